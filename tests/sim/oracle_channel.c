/* oracle_channel.c - what was stored of channels beside their messages: archives, pins, and direct
 * conversations, which are known by their members. */
#include <stdlib.h>

#include "world.h"

enum { pin_ts_at = 11, set_at = 9 };

/* ---- archives ---- */

/* Rows of what changes a message are written where the first change of the batch stands: what the
 * batch itself archives is not judged. */
void oracle_check_quiet(struct world *w, const struct ochan *c, const char *what)
{
    if (levels_at(&c->archived, w->oracle.batch_pos) != 0 &&
        levels_at(&c->archived, w->oracle.pos) != 0)
        violation(w, "archived_is_quiet", "channel %s is archived: %s", c->name, what);
}

/* ---- pins ---- */

void oracle_on_pin(struct world *w, struct ochan *c, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = oracle_by_ts(o, c->cid, oracle_be64(r->key, pin_ts_at));
    bool is = r->op == ROW_PUT;
    if (m == NULL)
        violation(w, "rows_whole", "a pin of no message in %s", c->name);
    uint64_t before = levels_at(&m->pinned, o->pos), pins = levels_at(&c->pins, o->pos);
    levels_set(&m->pinned, o->pos, is);
    levels_set(&c->pins, o->pos, pins + is - before);
    c->pins_touched = true;
    if (pins + is - before > w->plan.pins_max)
        violation(w, "bounds_hold", "channel %s has more than %u pins", c->name, w->plan.pins_max);
    oracle_check_quiet(w, c, "a message is pinned or not any more");
}

void oracle_check_pins(struct world *w, struct ochan *c)
{
    struct oracle *o = &w->oracle;
    uint64_t pins = levels_at(&c->pins, o->pos);
    if (c->head_pins != pins)
        violation(w, "pins_equal_recount", "channel %s: head says %llu pins, there are %llu",
                  c->name, (unsigned long long)c->head_pins, (unsigned long long)pins);
    for (uint32_t n = 1; n <= o->msgs_len && c->pins_touched; n++) {
        const struct omsg *m = &o->msgs[n];
        if (m->cid != c->cid)
            continue;
        bool pinned = levels_at(&m->pinned, o->pos) != 0;
        if (pinned != m->says_pinned)
            violation(w, "pins_equal_recount", "message #%u of %s is %s, and its row says other", n,
                      c->name, pinned ? "pinned" : "not pinned");
        if (pinned && m->deleted_pos != 0)
            violation(w, "pins_equal_recount", "message #%u of %s is pinned and deleted", n,
                      c->name);
    }
    c->pins_touched = false;
}

/* ---- direct conversations ---- */

void oracle_on_set(struct world *w, struct ochan *c, const struct row *r)
{
    if (r->op != ROW_PUT || r->key.len != set_at + sizeof c->set)
        violation(w, "rows_whole", "a way to a direct conversation is lost");
    memcpy(c->set, r->key.p + set_at, sizeof c->set);
    c->sets++;
}

static int by_uid(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void oracle_check_sets(struct world *w, const struct ochan *c)
{
    const struct oracle *o = &w->oracle;
    uint64_t uids[plan_users_max];
    uint32_t n = 0;
    struct key k;
    for (uint32_t u = 0; u < o->users_len; u++) {
        if ((c->members >> u & 1) == 0)
            continue;
        uids[n++] = o->users[u].uid;
        if (o->users[u].team != c->team)
            violation(w, "members_only", "a stranger in a direct conversation");
        if (c->membership[u].len != 1 || c->membership[u].all[0].pos < c->pos)
            violation(w, "members_only", "a direct conversation gets or loses a member");
    }
    qsort(uids, n, sizeof *uids, by_uid);
    key_direct(&k, c->team, uids, n);
    if (c->sets != 1 || memcmp(k.b + k.len - sizeof c->set, c->set, sizeof c->set) != 0)
        violation(w, "one_set_one_conversation", "%u rows lead to the conversation of %x", c->sets,
                  c->members);
    if (c->kind != (n <= 2 ? CHANNEL_IM : CHANNEL_MPIM))
        violation(w, "rows_whole", "a conversation of %u is of a wrong kind", n);
    for (uint32_t i = 0; i < o->chans_len; i++) {
        const struct ochan *d = &o->chans[i];
        if (d != c && oracle_is_direct(d) && d->team == c->team && d->members == c->members)
            violation(w, "one_set_one_conversation", "%x have two conversations", c->members);
    }
}

static bool is_closed(const struct ochan *c, uint8_t user, uint64_t pos)
{
    uint64_t at_us = levels_at(&c->closed[user], pos);
    return at_us != 0 && levels_at(&c->newest, pos) <= at_us;
}

static bool changes_to(const struct ochan *c, uint8_t user, bool closed, const struct levels *l,
                       uint64_t from, uint64_t to)
{
    for (uint32_t i = l->len; i > 0 && l->all[i - 1].pos > from; i--) {
        if (l->all[i - 1].pos <= to && is_closed(c, user, l->all[i - 1].pos) == closed)
            return true;
    }
    return false;
}

bool oracle_was_closed(const struct ochan *c, uint8_t user, bool closed, uint64_t from, uint64_t to)
{
    return is_closed(c, user, from) == closed ||
           changes_to(c, user, closed, &c->closed[user], from, to) ||
           changes_to(c, user, closed, &c->newest, from, to);
}

/* ---- unread messages ---- */

uint32_t oracle_unread(const struct oracle *o, const struct ochan *c, uint8_t user, uint64_t ts_us,
                       uint64_t pos, uint64_t gone_pos)
{
    uint32_t n = 0;
    for (uint32_t i = c->roots.len; i > 0; i--) {
        const struct omsg *m = &o->msgs[c->roots.all[i - 1]];
        if (m->ts_us <= ts_us)
            break;
        bool gone = m->deleted_pos != 0 && m->deleted_pos <= gone_pos;
        n += m->pos <= pos && !gone && !m->system && m->user != user;
    }
    return n;
}
