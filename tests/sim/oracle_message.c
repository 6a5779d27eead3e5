/* oracle_message.c - what was stored of messages: their first rows, what became of them, and what
 * parents say of their threads. */
#include <stdio.h>
#include <stdlib.h>

#include "chan/thread.h"
#include "grow.h"
#include "text.h"
#include "world.h"

enum { kind_at = 10 }; /* of a key, behind its shard and channel */

static void add_ts(struct world *w, uint64_t ts_us)
{
    struct oracle *o = &w->oracle;
    if ((o->ts_len + 1) * 2 > o->ts_cap) {
        uint32_t cap = o->ts_cap == 0 ? 1024 : o->ts_cap * 2;
        uint64_t *set = calloc(cap, sizeof *set);
        ASSERT(set != NULL);
        for (uint32_t i = 0; i < o->ts_cap; i++) {
            if (o->ts_set[i] == 0)
                continue;
            uint32_t at = (uint32_t)mix64(o->ts_set[i]) & (cap - 1);
            while (set[at] != 0)
                at = (at + 1) & (cap - 1);
            set[at] = o->ts_set[i];
        }
        free(o->ts_set);
        o->ts_set = set;
        o->ts_cap = cap;
    }
    uint32_t at = (uint32_t)mix64(ts_us) & (o->ts_cap - 1);
    for (; o->ts_set[at] != 0; at = (at + 1) & (o->ts_cap - 1)) {
        if (o->ts_set[at] == ts_us)
            violation(w, "ts_unique", "ts %llu was given twice", (unsigned long long)ts_us);
    }
    o->ts_set[at] = ts_us;
    o->ts_len++;
}

static uint32_t number_in(struct world *w, const struct row_message *row, uint32_t *version)
{
    char text[oracle_text_max], body[8192];
    size_t len = MIN(row->body.len, sizeof body - 1);
    memcpy(body, row->body.p, len);
    body[len] = '}';
    struct str_view got =
        js_string(js_get((struct str_view){body, len + 1}, "text"), text, sizeof text);
    uint32_t n = got.p == NULL ? 0 : oracle_number(got);
    *version = oracle_version_of(&w->oracle, n, got);
    if (*version == UINT32_MAX)
        violation(w, "rows_whole", "a row holds text that nobody sent: %.*s", SV_ARG(row->body));
    return n;
}

static uint32_t add_number(struct numbers *l, uint32_t n)
{
    GROW(l->all, l->len, l->cap);
    l->all[l->len] = n;
    return l->len++;
}

static void on_root(struct world *w, struct ochan *c, struct omsg *m, uint32_t n,
                    const struct row_message *row)
{
    c->counted += !m->system;
    if (row->seq != c->counted)
        violation(w, "seq_counts", "message #%u: seq %llu, and it is number %u", n,
                  (unsigned long long)row->seq, c->counted);
    m->ordinal = add_number(&c->roots, n);
}

static void on_reply_row(struct world *w, struct ochan *c, struct omsg *m, uint32_t n,
                         const struct row_message *row)
{
    struct omsg *parent = oracle_by_ts(&w->oracle, c->cid, row->thread_ts_us);
    if (parent == NULL || parent->thread != 0 || parent != &w->oracle.msgs[m->thread])
        violation(w, "no_orphan_reply", "message #%u is stored in a thread that is not there", n);
    parent->thread_touched = parent->threaded = parent->lists_touched = true;
    parent->replied_pos[m->user] = w->oracle.pos;
    parent->newest_reply_us = row->ts_us;
    m->ordinal = add_number(&c->replies, n);
}

/* Not before its time by the daemon's clock, which is that of the world as long as nobody sets it;
 * and not late, but for the faults that hold up everything. */
static void check_time(struct world *w, const struct omsg *m, uint32_t n)
{
    enum { late_us = 3000000, healing_us = 15000000 };
    static const uint32_t slow = 1u << FAULT_CRASH | 1u << FAULT_SYNC_ERROR | 1u << FAULT_NO_SPACE |
                                 1u << FAULT_IO_ERROR | 1u << FAULT_STALL | 1u << FAULT_READ_ERROR |
                                 1u << FAULT_FREEZE | 1u << FAULT_DELAY;
    uint64_t now_us = world_wall_us(w), due_us = m->post_s * 1000000;
    bool judged =
        (w->plan.faults & slow) == 0 || (!w->faults_on && w->now_us > w->healed_us + healing_us);
    if (m->post_s == 0 || (w->plan.faults & 1u << FAULT_CLOCK) != 0)
        return;
    if (now_us < due_us)
        violation(w, "scheduled_in_time", "message #%u comes %llu us too early", n,
                  (unsigned long long)(due_us - now_us));
    if (judged && now_us > due_us + late_us)
        violation(w, "scheduled_in_time", "message #%u comes %llu us late", n,
                  (unsigned long long)(now_us - due_us));
}

/* The first row of a message. */
static void on_new(struct world *w, struct ochan *c, uint32_t n, const struct row_message *row,
                   const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = &o->msgs[n];
    char key[256];
    if (m->cid != c->cid || o->users[m->user].uid != row->uid)
        violation(w, "rows_whole", "message #%u is stored for the wrong channel or sender", n);
    bool own = m->post_s == 0 ? sv_eq(row->client_msg_id, m->keyed ? oracle_key(m, key) : SV(""))
                              : row->client_msg_id.len > 1 && row->client_msg_id.p[0] == '\0';
    if (!own)
        violation(w, "rows_whole", "message #%u is stored with another key", n);
    bool reply = (row->flags & MSG_REPLY) != 0;
    if (row->ts_us <= c->last_ts_us ||
        row->ts_us != (reply ? key_reply_ts(r->key) : key_msg_ts(r->key)))
        violation(w, "ts_rises", "message #%u: ts %llu after %llu", n,
                  (unsigned long long)row->ts_us, (unsigned long long)c->last_ts_us);
    add_ts(w, row->ts_us);
    m->ts_us = c->last_ts_us = row->ts_us;
    m->pos = o->pos;
    m->stored_us = world_wall_us(w);
    if (oracle_is_direct(c))
        levels_set(&c->newest, o->pos, m->ts_us);
    check_time(w, m, n);
    if (reply)
        on_reply_row(w, c, m, n, row);
    else
        on_root(w, c, m, n, row);
    if (!m->system && !oracle_member_at(c, m->user, o->pos))
        violation(w, "members_only", "message #%u was stored for a user who is no member", n);
    if (!m->system && levels_at(&c->archived, o->pos) != 0)
        violation(w, "archived_is_quiet", "message #%u was stored in an archived channel", n);
}

static uint32_t system_number(struct world *w, const struct ochan *c, const struct row_message *row)
{
    struct oracle *o = &w->oracle;
    const struct omsg *m = oracle_by_ts(o, c->cid, row->ts_us);
    if (m != NULL)
        return (uint32_t)(m - o->msgs);
    uint8_t user = oracle_user(o, row->uid);
    if (user == plan_users_max)
        violation(w, "rows_whole", "a message about nobody");
    uint32_t n = oracle_message(o, c->cid, user, false);
    o->msgs[n].system = true;
    return n;
}

static void on_text(struct world *w, const struct ochan *c, struct omsg *m, uint32_t version,
                    uint64_t edited_us)
{
    if (m->rows_len > 0 && m->rows[m->rows_len - 1].version == version && m->edited_us == edited_us)
        return;
    if (m->rows_len > 0)
        oracle_check_quiet(w, c, "a message is edited or deleted");
    m->edited_us = edited_us;
    GROW(m->rows, m->rows_len, m->rows_cap); /* retries may go back and forth */
    m->rows[m->rows_len++] = (struct otext){.pos = w->oracle.pos, .version = version};
}

static void on_tombstone(struct world *w, struct ochan *c, const struct row_message *row,
                         const struct thread *t)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = oracle_by_ts(o, c->cid, row->ts_us);
    if (m == NULL || !m->delete_asked)
        violation(w, "rows_whole", "something is deleted that nobody deletes");
    m->replies = t->replies;
    m->repliers = t->users;
    m->latest_us = t->latest_us;
    m->thread_touched |= m->thread == 0;
    m->lists_touched |= m->thread == 0;
    if (m->deleted_pos != 0)
        return;
    m->deleted_pos = o->pos;
    m->reacted = 0;
    levels_set(&m->reactions, o->pos, 0);
    levels_set(&m->written, o->pos, levels_at(&m->written, o->pos) + 1);
    m->lists_touched = true;
    on_text(w, c, m, oracle_edits_max + 1, 0); /* what was edited in the same batch has no row */
    c->pins_touched |= m->says_pinned;
    m->says_pinned = false;
    if (m->thread != 0) {
        o->msgs[m->thread].thread_touched = true;
        o->msgs[m->thread].reply_gone_pos = o->pos;
    }
}

void oracle_on_message(struct world *w, struct ochan *c, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_message row;
    struct thread t;
    uint32_t version = 0;
    if (r->key.p[kind_at] == 2) /* the way from a reply's ts to its thread */
        return;
    if (r->op != ROW_PUT || row_message_decode(&row, r->key, r->value) != ERR_OK ||
        thread_read(&t, row.thread) != ERR_OK)
        violation(w, "rows_whole", "a message row that cannot be read was written");
    if ((row.flags & MSG_DELETED) != 0) {
        on_tombstone(w, c, &row, &t);
        return;
    }
    bool system = (row.flags & MSG_SYSTEM) != 0;
    uint32_t n = system ? system_number(w, c, &row) : number_in(w, &row, &version);
    struct omsg *m = &o->msgs[n];
    if (m->ts_us == 0)
        on_new(w, c, n, &row, r);
    if (m->ts_us != row.ts_us)
        violation(w, "one_row_per_key", "message #%u has two rows: ts %llu and %llu", n,
                  (unsigned long long)m->ts_us, (unsigned long long)row.ts_us);
    if (m->deleted_pos != 0)
        violation(w, "changes_kept", "message #%u comes back after it was deleted", n);
    on_text(w, c, m, version, row.edited_us);
    oracle_on_reactions(w, c, n, row.reactions);
    levels_set(&m->written, o->pos, levels_at(&m->written, o->pos) + 1);
    bool pinned = (row.flags & MSG_PINNED) != 0;
    c->pins_touched |= m->says_pinned != pinned;
    m->says_pinned = pinned;
    m->replies = t.replies;
    m->repliers = t.users;
    m->latest_us = t.latest_us;
    m->thread_touched |= m->thread == 0;
    m->lists_touched |= m->thread == 0;
}

/* After each whole batch a thread's counts are those of its replies. */
static void check_thread(struct world *w, uint32_t n)
{
    struct oracle *o = &w->oracle;
    uint32_t replies = 0, users = 0;
    uint64_t latest_us = 0;
    for (uint32_t i = 1; i <= o->msgs_len; i++) {
        const struct omsg *m = &o->msgs[i];
        if (m->thread != n || m->ts_us == 0 || m->deleted_pos != 0)
            continue;
        replies++;
        users |= 1u << m->user;
        latest_us = MAX(latest_us, m->ts_us);
    }
    const struct omsg *p = &o->msgs[n];
    if (p->replies != replies || p->repliers != (uint32_t)__builtin_popcount(users) ||
        p->latest_us != latest_us)
        violation(w, "counts_equal_recount",
                  "message #%u says %u replies by %u, the last %llu; there are %u by %d, %llu", n,
                  p->replies, p->repliers, (unsigned long long)p->latest_us, replies,
                  __builtin_popcount(users), (unsigned long long)latest_us);
}

void oracle_check_threads(struct world *w)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        if (!o->msgs[n].thread_touched)
            continue;
        o->msgs[n].thread_touched = false;
        check_thread(w, n);
    }
}
