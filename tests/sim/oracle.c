#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "chan/reactions.h"
#include "chan/thread.h"
#include "text.h"
#include "world.h"

/* ---- texts and keys ---- */

/* No message of this sender in this channel has the key of that one. */
static bool may_share(const struct oracle *o, uint32_t other, uint64_t cid, uint8_t user)
{
    for (uint32_t n = other; n > 0 && other - n < 16; n--) {
        const struct omsg *m = &o->msgs[n];
        if (m->key != o->msgs[other].key)
            return true;
        if (m->cid == cid && m->user == user)
            return false;
    }
    return false;
}

uint32_t oracle_message(struct oracle *o, uint64_t cid, uint8_t user, bool keyed)
{
    if (o->msgs_len + 1 >= o->msgs_cap) {
        o->msgs_cap = o->msgs_cap * 2 + 1024;
        o->msgs = realloc(o->msgs, o->msgs_cap * sizeof *o->msgs);
        ASSERT(o->msgs != NULL);
    }
    uint32_t number = ++o->msgs_len;
    o->msgs[number] = (struct omsg){.cid = cid, .user = user, .keyed = keyed, .key = number};
    if (mix64(number) % 4 == 0 && may_share(o, number - 1, cid, user))
        o->msgs[number].key = o->msgs[number - 1].key;
    return number;
}

/* Escapes, several planes, and Slack's own brackets and entities: all of it must come back as it
 * was. */
struct str_view oracle_text(uint32_t number, char out[oracle_text_max])
{
    static const char *const pieces[] = {" ",
                                         "word",
                                         "\"quoted\"",
                                         "back\\slash",
                                         "tab\there",
                                         "line\nbreak",
                                         "&amp;",
                                         "<@U123>",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "&lt;b&gt;",
                                         "100%",
                                         "a+b=c&amp;d",
                                         "<https://x.example/?q=1|label>",
                                         "{\"json\":[1,2]}"};
    int n = snprintf(out, oracle_text_max, "m%u.", number);
    uint64_t h = mix64(number * 7919ull + 13);
    uint32_t count = (h & 63) == 0 ? 60 : (uint32_t)(h & 7);
    for (uint32_t i = 0; i < count; i++) {
        h = mix64(h + i + 1);
        n += snprintf(out + n, oracle_text_max - (size_t)n, "%s", pieces[h % ARRAY_LEN(pieces)]);
    }
    return (struct str_view){out, (size_t)n};
}

struct str_view oracle_version(uint32_t number, uint32_t version, char out[oracle_text_max])
{
    struct str_view text = oracle_text(number, out);
    if (version == 0)
        return text;
    int n = snprintf(out + text.len, oracle_text_max - text.len, " e%u", version);
    return (struct str_view){out, text.len + (size_t)n};
}

/* "<@U1> has joined the channel" */
static bool is_system(struct str_view text)
{
    return text.len > 3 && memcmp(text.p, "<@U", 3) == 0;
}

/* The version of message n that a text is; UINT32_MAX: none that was sent. */
static uint32_t version_of(const struct oracle *o, uint32_t n, struct str_view text)
{
    char expected[oracle_text_max];
    if (n > 0 && n <= o->msgs_len && o->msgs[n].system)
        return is_system(text) ? 0 : UINT32_MAX;
    for (uint32_t v = 0; n > 0 && n <= o->msgs_len && v <= o->msgs[n].edits; v++) {
        if (sv_eq(text, oracle_version(n, v, expected)))
            return v;
    }
    return UINT32_MAX;
}

bool oracle_was_text(const struct oracle *o, uint32_t number, struct str_view text, uint64_t from,
                     uint64_t to)
{
    const struct omsg *m = &o->msgs[number];
    uint32_t version = version_of(o, number, text);
    if (version == UINT32_MAX)
        return false;
    for (uint32_t i = 0; i < m->rows_len; i++) {
        uint64_t end = i + 1 < m->rows_len ? m->rows[i + 1].pos : UINT64_MAX;
        if (m->rows[i].version == version && m->rows[i].pos <= to && end > from)
            return true;
        /* Another edit of the same batch followed on it: the batch has one row of both. */
        if (m->rows[i].version != version && m->rows[i].pos <= to && m->rows[i].pos > from &&
            m->rows[i].pos > m->asked_pos[version] && i > 0)
            return true;
    }
    return false;
}

struct str_view oracle_key(const struct omsg *m, char out[256])
{
    uint32_t number = m->key;
    uint64_t a = mix64(number * 31ull + 5), b = mix64(a + 9);
    int n;
    if (number % 3 != 0) {
        n = snprintf(out, 256, "%08x-%04x-%04x-%04x-%012llx", (uint32_t)a,
                     (uint32_t)(a >> 32) & 0xffff, (uint32_t)(a >> 48), (uint32_t)b & 0xffff,
                     (unsigned long long)(b >> 16));
    } else {
        n = snprintf(out, 256, "key/%u \xc3\xbc", number);
        for (; number % 21 == 0 && n < 250; n++)
            out[n] = (char)('a' + n % 26);
        out[n] = '\0';
    }
    return (struct str_view){out, (size_t)n};
}

uint32_t oracle_number(struct str_view text)
{
    uint32_t v = 0;
    size_t i = 1;
    if (text.len < 3 || text.p[0] != 'm')
        return 0;
    for (; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        v = v * 10 + (uint32_t)(text.p[i] - '0');
    return i < text.len && text.p[i] == '.' ? v : 0;
}

/* ---- look-ups ---- */

struct ochan *oracle_chan(struct oracle *o, uint64_t cid)
{
    for (uint32_t i = 0; i < o->chans_len; i++) {
        if (o->chans[i].cid == cid)
            return &o->chans[i];
    }
    return NULL;
}

uint8_t oracle_user(const struct oracle *o, uint64_t uid)
{
    for (uint8_t i = 0; i < o->users_len; i++) {
        if (o->users[i].uid == uid)
            return i;
    }
    return plan_users_max;
}

bool oracle_member_at(const struct ochan *c, uint8_t user, uint64_t pos)
{
    bool member = false;
    for (uint32_t i = 0; i < c->toggles_len[user] && c->toggles[user][i].pos <= pos; i++)
        member = c->toggles[user][i].member;
    return member;
}

uint64_t oracle_member_since(const struct ochan *c, uint8_t user, uint64_t pos)
{
    uint64_t since = 0;
    for (uint32_t i = 0; i < c->toggles_len[user] && c->toggles[user][i].pos <= pos; i++)
        since = c->toggles[user][i].member ? c->toggles[user][i].pos : 0;
    return since;
}

bool oracle_was(const struct ochan *c, uint8_t user, bool member, uint64_t from, uint64_t to)
{
    if (oracle_member_at(c, user, from) == member)
        return true;
    for (uint32_t i = 0; i < c->toggles_len[user]; i++) {
        const struct toggle *t = &c->toggles[user][i];
        if (t->pos > from && t->pos <= to && t->member == member)
            return true;
    }
    return false;
}

/* ---- rows ---- */

static uint64_t be64(struct str_view key, size_t at)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (uint8_t)key.p[at + i];
    return v;
}

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

static struct ochan *chan_of_row(struct world *w, uint64_t cid)
{
    struct oracle *o = &w->oracle;
    struct ochan *c = oracle_chan(o, cid);
    if (c == NULL) {
        if (o->chans_len == oracle_channels_max)
            violation(w, "simulator", "too many channels");
        c = &o->chans[o->chans_len++];
        memset(c, 0, sizeof *c);
        c->cid = cid;
        c->pos = o->pos;
    }
    c->touched = true;
    return c;
}

static struct omsg *by_ts(struct oracle *o, uint64_t cid, uint64_t ts_us)
{
    for (uint32_t n = o->msgs_len; n > 0; n--) {
        if (o->msgs[n].ts_us == ts_us && o->msgs[n].cid == cid)
            return &o->msgs[n];
    }
    return NULL;
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
    *version = version_of(&w->oracle, n, got);
    if (*version == UINT32_MAX)
        violation(w, "rows_whole", "a row holds text that nobody sent: %.*s", SV_ARG(row->body));
    return n;
}

static void on_root(struct world *w, struct ochan *c, struct omsg *m, uint32_t n,
                    const struct row_message *row)
{
    c->counted += !m->system;
    if (row->seq != c->counted)
        violation(w, "seq_counts", "message #%u: seq %llu, and it is number %u", n,
                  (unsigned long long)row->seq, c->counted);
    m->ordinal = c->len;
    if (c->len == c->cap) {
        c->cap = c->cap * 2 + 64;
        c->numbers = realloc(c->numbers, c->cap * sizeof *c->numbers);
        ASSERT(c->numbers != NULL);
    }
    c->numbers[c->len++] = n;
}

static void on_reply_row(struct world *w, const struct ochan *c, const struct omsg *m, uint32_t n,
                         const struct row_message *row)
{
    struct omsg *parent = by_ts(&w->oracle, c->cid, row->thread_ts_us);
    if (parent == NULL || parent->thread != 0 || parent != &w->oracle.msgs[m->thread])
        violation(w, "no_orphan_reply", "message #%u is stored in a thread that is not there", n);
    parent->thread_touched = true;
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
    if (reply)
        on_reply_row(w, c, m, n, row);
    else
        on_root(w, c, m, n, row);
    if (!m->system && !oracle_member_at(c, m->user, o->pos))
        violation(w, "members_only", "message #%u was stored for a user who is no member", n);
}

static void on_reactions(struct world *w, struct omsg *m, uint32_t n, const struct row_message *row)
{
    for (uint32_t i = 0; i < plan_clients_max; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        bool is = reactions_have(row->reactions, sv_from(name));
        if (!is && m->reacted_pos[i] != 0)
            violation(w, "changes_kept", "message #%u lost the reaction of client %u", n, i);
        if (is && m->reacted_pos[i] == 0)
            m->reacted_pos[i] = w->oracle.pos;
    }
}

static uint32_t system_number(struct world *w, const struct ochan *c, const struct row_message *row)
{
    struct oracle *o = &w->oracle;
    const struct omsg *m = by_ts(o, c->cid, row->ts_us);
    if (m != NULL)
        return (uint32_t)(m - o->msgs);
    uint8_t user = oracle_user(o, row->uid);
    if (user == plan_users_max)
        violation(w, "rows_whole", "a message about nobody");
    uint32_t n = oracle_message(o, c->cid, user, false);
    o->msgs[n].system = true;
    return n;
}

static void on_text(struct world *w, struct omsg *m, uint32_t version)
{
    if (m->rows_len > 0 && m->rows[m->rows_len - 1].version == version)
        return;
    if (m->rows_len == ARRAY_LEN(m->rows)) { /* retries may go back and forth */
        m->rows_len--;
        memmove(m->rows, m->rows + 1, m->rows_len * sizeof m->rows[0]);
    }
    m->rows[m->rows_len].pos = w->oracle.pos;
    m->rows[m->rows_len++].version = version;
}

static void on_message(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct ochan *c = chan_of_row(w, be64(r->key, 2));
    struct row_message row;
    struct thread t;
    uint32_t version = 0;
    if (r->key.p[10] == 2) /* the way from a reply's ts to its thread */
        return;
    if (r->op != ROW_PUT || row_message_decode(&row, r->key, r->value) != ERR_OK ||
        thread_read(&t, row.thread) != ERR_OK)
        violation(w, "rows_whole", "a message row that cannot be read was written");
    if ((row.flags & MSG_DELETED) != 0) {
        struct omsg *m = by_ts(o, c->cid, row.ts_us);
        if (m == NULL || m->thread == 0)
            violation(w, "rows_whole", "something is deleted that nobody deletes");
        m->deleted_pos = o->pos;
        o->msgs[m->thread].thread_touched = true;
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
    on_text(w, m, version);
    on_reactions(w, m, n, &row);
    m->replies = t.replies;
    m->repliers = t.users;
    m->latest_us = t.latest_us;
    m->thread_touched |= m->thread == 0;
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

static void check_threads(struct world *w)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        if (!o->msgs[n].thread_touched)
            continue;
        o->msgs[n].thread_touched = false;
        check_thread(w, n);
    }
}

static void on_member(struct world *w, struct ochan *c, const struct row *r)
{
    uint8_t u = oracle_user(&w->oracle, be64(r->key, 11));
    bool member = r->op == ROW_PUT;
    if (u == plan_users_max)
        violation(w, "rows_whole", "a member that is no user");
    struct ouser *user = &w->oracle.users[u];
    if (member != ((c->members >> u & 1) != 0))
        user->channels += member ? 1 : UINT32_MAX;
    user->channels_peak = MAX(user->channels_peak, user->channels);
    c->members = member ? c->members | 1u << u : c->members & ~(1u << u);
    if (c->toggles_len[u] == c->toggles_cap[u]) {
        c->toggles_cap[u] = c->toggles_cap[u] * 2 + 8;
        c->toggles[u] = realloc(c->toggles[u], c->toggles_cap[u] * sizeof *c->toggles[u]);
        ASSERT(c->toggles[u] != NULL);
    }
    c->toggles[u][c->toggles_len[u]++] = (struct toggle){w->oracle.pos, member};
}

static void on_called(struct world *w, struct ochan *c, struct str_view name)
{
    snprintf(c->name, sizeof c->name, "%.*s", SV_ARG(name));
    if (c->called_len > 0 && strcmp(c->called[c->called_len - 1].name, c->name) == 0)
        return;
    if (c->called_len == c->called_cap) {
        c->called_cap = c->called_cap * 2 + 4;
        c->called = realloc(c->called, c->called_cap * sizeof *c->called);
        ASSERT(c->called != NULL);
    }
    struct called *last = &c->called[c->called_len++];
    last->pos = w->oracle.pos;
    memcpy(last->name, c->name, sizeof last->name);
}

bool oracle_was_called(const struct ochan *c, const char *name, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < c->called_len; i++) {
        uint64_t end = i + 1 < c->called_len ? c->called[i + 1].pos : UINT64_MAX;
        if (strcmp(c->called[i].name, name) == 0 && c->called[i].pos <= to && end > from)
            return true;
    }
    return false;
}

/* A name leads to a channel. */
static void on_name_row(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_channel_name row;
    struct str_view name = key_channel_name_of(r->key);
    struct ochan *c = NULL;
    if (r->op == ROW_PUT) {
        if (row_channel_name_decode(&row, r->key, r->value) != ERR_OK)
            violation(w, "rows_whole", "a name that cannot be read was written");
        c = chan_of_row(w, row.cid);
        c->names += !sv_eq(name, sv_from(c->listed));
        snprintf(c->listed, sizeof c->listed, "%.*s", SV_ARG(name));
        return;
    }
    for (uint32_t i = 0; i < o->chans_len && c == NULL; i++) {
        bool its = o->chans[i].team == be64(r->key, 1);
        c = its && sv_eq(name, sv_from(o->chans[i].listed)) ? &o->chans[i] : NULL;
    }
    if (c == NULL)
        violation(w, "rows_whole", "a name of no channel is deleted");
    c->names--;
    c->listed[0] = '\0';
    c->touched = true;
}

/* The count that unread messages are reckoned from is that of the messages up to there. */
static void on_cursor(struct world *w, struct ochan *c, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_cursor row;
    uint8_t user = oracle_user(o, be64(r->key, 11));
    uint32_t counted = 0;
    if (r->op != ROW_PUT)
        return;
    if (row_cursor_decode(&row, r->key, r->value) != ERR_OK || user == plan_users_max)
        violation(w, "rows_whole", "a cursor that cannot be read was written");
    for (uint32_t i = 0; i < c->len && o->msgs[c->numbers[i]].ts_us <= row.read_ts_us; i++)
        counted += !o->msgs[c->numbers[i]].system;
    if (counted != row.read_seq)
        violation(w, "unread_equals_recount",
                  "user %u has read %llu messages of %s, it says; up to %llu there are %u",
                  (unsigned)user, (unsigned long long)row.read_seq, c->name,
                  (unsigned long long)row.read_ts_us, counted);
    if (c->reads_len == c->reads_cap) {
        c->reads_cap = c->reads_cap * 2 + 16;
        c->reads = realloc(c->reads, c->reads_cap * sizeof *c->reads);
        ASSERT(c->reads != NULL);
    }
    c->reads[c->reads_len++] =
        (struct reading){.pos = o->pos, .ts_us = row.read_ts_us, .user = user};
}

bool oracle_had_read(const struct ochan *c, uint8_t user, uint64_t ts_us, uint64_t from,
                     uint64_t to)
{
    for (uint32_t i = c->reads_len; i > 0 && c->reads[i - 1].pos > from; i--) {
        const struct reading *r = &c->reads[i - 1];
        if (r->user == user && r->ts_us == ts_us && r->pos <= to)
            return true;
    }
    return false;
}

static void on_chan_row(struct world *w, const struct row *r)
{
    struct ochan *c = chan_of_row(w, be64(r->key, 2));
    struct row_chan_head head;
    struct row_chan_info info;
    switch (r->key.p[10]) {
    case 'm':
        on_member(w, c, r);
        break;
    case 'c':
        on_cursor(w, c, r);
        break;
    case 'h':
        if (row_chan_head_decode(&head, r->key, r->value) != ERR_OK)
            violation(w, "rows_whole", "a head that cannot be read was written");
        c->head_seq = head.seq;
        c->head_ts_us = head.last_ts_us;
        c->head_members = head.members_len;
        break;
    case 'i':
        if (row_chan_info_decode(&info, r->key, r->value) != ERR_OK || info.cid != c->cid)
            violation(w, "rows_whole", "an info that cannot be read was written");
        c->team = info.team;
        c->creator = info.creator;
        c->kind = info.kind;
        c->general = info.general;
        on_called(w, c, info.name);
        for (uint32_t i = 0; i < w->oracle.chans_len; i++) {
            struct ochan *d = &w->oracle.chans[i];
            if (d != c && d->team == c->team && strcmp(d->name, c->name) == 0)
                violation(w, "one_name_one_channel", "two channels are called %s", c->name);
        }
        break;
    default:
        break;
    }
}

static void on_user_row(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    uint64_t uid = be64(r->key, 2);
    if (r->key.p[10] == 'M') {
        struct ochan *c = chan_of_row(w, be64(r->key, 11));
        uint8_t u = oracle_user(o, uid);
        if (u == plan_users_max)
            violation(w, "rows_whole", "a membership of no user");
        c->memberships = r->op == ROW_PUT ? c->memberships | 1u << u : c->memberships & ~(1u << u);
    } else if (r->key.p[10] == 'p' && oracle_user(o, uid) == plan_users_max) {
        struct row_user row;
        if (row_user_decode(&row, r->key, r->value) != ERR_OK || o->users_len == plan_users_max)
            violation(w, "rows_whole", "a user that cannot be read was written");
        o->users[o->users_len++] = (struct ouser){.uid = uid, .team = row.team};
    }
}

/* What must hold between the rows of a channel after each whole batch. */
static void check_channel(struct world *w, const struct ochan *c)
{
    if (c->members != c->memberships)
        violation(w, "both_sides_of_membership", "channel %s: members %x, but its users believe %x",
                  c->name, c->members, c->memberships);
    if (c->names != 1 || strcmp(c->listed, c->name) != 0)
        violation(w, "one_name_one_channel", "%u names lead to channel %s, one of them %s",
                  c->names, c->name, c->listed);
    if (c->head_seq != c->counted || c->head_ts_us != c->last_ts_us ||
        c->head_members != (uint64_t)__builtin_popcount(c->members))
        violation(w, "head_matches_rows",
                  "channel %s: head says %llu messages, %llu members; there are %u and %d", c->name,
                  (unsigned long long)c->head_seq, (unsigned long long)c->head_members, c->counted,
                  __builtin_popcount(c->members));
}

void oracle_on_batch(struct world *w, const struct batch *b)
{
    struct oracle *o = &w->oracle;
    for (const struct row *r = b->first; r != NULL; r = r->next) {
        o->pos++;
        if (r->cf == CF_MSG)
            on_message(w, r);
        else if (r->cf == CF_CHAN)
            on_chan_row(w, r);
        else if (r->cf == CF_USER)
            on_user_row(w, r);
        else if (r->cf == CF_DIR && r->key.p[0] == 'n')
            on_name_row(w, r);
    }
    check_threads(w);
    for (uint32_t i = 0; i < o->chans_len; i++) {
        if (!o->chans[i].touched)
            continue;
        o->chans[i].touched = false;
        check_channel(w, &o->chans[i]);
    }
}

/* ---- answers and what is shown ---- */

void oracle_check_ok(struct world *w, uint32_t number, uint64_t ts_us, uint64_t pos)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = &o->msgs[number];
    if (m->ts_us == 0 || m->pos > pos)
        violation(w, "ok_is_durable",
                  "message #%u was answered ok (ts %llu) at position %llu; its row: %llu", number,
                  (unsigned long long)ts_us, (unsigned long long)pos, (unsigned long long)m->pos);
    if (m->ts_us != ts_us)
        violation(w, "one_ts_per_key", "message #%u is stored as ts %llu but answered as %llu",
                  number, (unsigned long long)m->ts_us, (unsigned long long)ts_us);
    m->acked = true;
    struct ochan *c = oracle_chan(o, m->cid);
    if (m->thread != 0)
        return;
    c->acked_len = MAX(c->acked_len, m->ordinal + 1);
}

uint32_t oracle_check_shown(struct world *w, uint64_t cid, struct str_view text, uint64_t ts_us,
                            uint64_t uid, uint64_t pos, const char *where)
{
    struct oracle *o = &w->oracle;
    const struct omsg *said = is_system(text) ? by_ts(o, cid, ts_us) : NULL;
    uint32_t n = said != NULL ? (uint32_t)(said - o->msgs) : oracle_number(text);
    if (version_of(o, n, text) == UINT32_MAX)
        violation(w, "text_unchanged", "%s shows text that nobody sent: %.*s", where, SV_ARG(text));
    if (!oracle_was_text(o, n, text, 0, pos))
        violation(w, "nothing_undurable_visible",
                  "%s shows an edit of message #%u that is not stored", where, n);
    const struct omsg *m = &o->msgs[n];
    if (m->ts_us == 0 || m->pos > pos)
        violation(w, "nothing_undurable_visible",
                  "%s shows message #%u at position %llu; its row: %llu", where, n,
                  (unsigned long long)pos, (unsigned long long)m->pos);
    if (m->ts_us != ts_us || m->cid != cid || o->users[m->user].uid != uid)
        violation(w, "text_unchanged", "%s shows message #%u with a wrong ts, channel or user",
                  where, n);
    return n;
}

void oracle_init(struct oracle *o)
{
    memset(o, 0, sizeof *o);
}

void oracle_deinit(struct oracle *o)
{
    for (uint32_t i = 0; i < o->chans_len; i++) {
        free(o->chans[i].numbers);
        free(o->chans[i].called);
        free(o->chans[i].reads);
        for (uint32_t u = 0; u < plan_users_max; u++)
            free(o->chans[i].toggles[u]);
    }
    free(o->msgs);
    free(o->ts_set);
}

void oracle_check_scheduled(struct world *w, uint64_t now_s)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        const struct omsg *m = &o->msgs[n];
        const struct ochan *c = oracle_chan(o, m->cid);
        if (m->promised_pos == 0 || m->ts_us != 0 || m->post_s + 10 > now_s ||
            oracle_was(c, m->user, false, m->promised_pos, o->pos))
            continue;
        violation(w, "scheduled_once", "message #%u was promised for %llu and is not there at %llu",
                  n, (unsigned long long)m->post_s, (unsigned long long)now_s);
    }
}
