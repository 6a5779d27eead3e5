/* oracle_rows.c - what was stored: each row of each batch that became durable, judged as it comes
 * and between the rows of one batch. Rows of messages: oracle_message.c. */
#include <stdio.h>

#include "grow.h"
#include "world.h"

enum { kind_at = 10 }; /* of keys that begin with a shard and an id */

uint64_t oracle_be64(struct str_view key, size_t at)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (uint8_t)key.p[at + i];
    return v;
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

static void on_member(struct world *w, struct ochan *c, const struct row *r)
{
    uint8_t u = oracle_user(&w->oracle, oracle_be64(r->key, 11));
    bool member = r->op == ROW_PUT;
    struct row_member row;
    if (u == plan_users_max)
        violation(w, "rows_whole", "a member that is no user");
    struct ouser *user = &w->oracle.users[u];
    bool was = (c->members >> u & 1) != 0;
    if (member != was) {
        user->channels += member ? 1 : UINT32_MAX;
        oracle_check_quiet(w, c, "somebody comes or goes");
    }
    user->channels_peak = MAX(user->channels_peak, user->channels);
    c->members = member ? c->members | 1u << u : c->members & ~(1u << u);
    levels_set(&c->membership[u], w->oracle.pos, member);
    levels_set(&c->sizes, w->oracle.pos, (uint64_t)__builtin_popcount(c->members));
    if (!member)
        return;
    if (row_member_decode(&row, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "a member that cannot be read was written");
    if (row.closed_ts_us > MAX(levels_at(&c->newest, w->oracle.pos), 1u))
        violation(w, "closed_until_news", "%s is out of user %u's sight whatever is said", c->name,
                  (unsigned)u);
    levels_set(&c->closed[u], w->oracle.pos, row.closed_ts_us);
    if (was && row.closed_ts_us == 0 && c->opened_pos[u] == 0)
        c->opened_pos[u] = w->oracle.pos;
}

static void on_called(struct world *w, struct ochan *c, struct str_view name)
{
    snprintf(c->name, sizeof c->name, "%.*s", SV_ARG(name));
    if (c->called_len > 0 && strcmp(c->called[c->called_len - 1].name, c->name) == 0)
        return;
    GROW(c->called, c->called_len, c->called_cap);
    struct called *last = &c->called[c->called_len++];
    last->pos = w->oracle.pos;
    memcpy(last->name, c->name, sizeof last->name);
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
        c->listed_archived = row.archived;
        snprintf(c->listed, sizeof c->listed, "%.*s", SV_ARG(name));
        return;
    }
    for (uint32_t i = 0; i < o->chans_len && c == NULL; i++) {
        bool its = o->chans[i].team == oracle_be64(r->key, 1);
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
    uint8_t user = oracle_user(o, oracle_be64(r->key, 11));
    uint32_t counted = 0;
    if (user == plan_users_max)
        violation(w, "rows_whole", "a cursor of no user");
    c->cursors = r->op == ROW_PUT ? c->cursors | 1u << user : c->cursors & ~(1u << user);
    if (r->op != ROW_PUT)
        return;
    if (row_cursor_decode(&row, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "a cursor that cannot be read was written");
    for (uint32_t i = 0; i < c->roots.len && o->msgs[c->roots.all[i]].ts_us <= row.read_ts_us; i++)
        counted += !o->msgs[c->roots.all[i]].system;
    if (counted != row.read_seq)
        violation(w, "unread_equals_recount",
                  "user %u has read %llu messages of %s, it says; up to %llu there are %u",
                  (unsigned)user, (unsigned long long)row.read_seq, c->name,
                  (unsigned long long)row.read_ts_us, counted);
    GROW(c->reads, c->reads_len, c->reads_cap);
    c->reads[c->reads_len++] =
        (struct reading){.pos = o->pos, .ts_us = row.read_ts_us, .user = user};
}

static void on_chan_row(struct world *w, const struct row *r)
{
    struct ochan *c = chan_of_row(w, oracle_be64(r->key, 2));
    struct row_chan_head head;
    struct row_chan_info info;
    switch (r->key.p[kind_at]) {
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
        c->head_pins = head.pins;
        break;
    case 'i':
        if (row_chan_info_decode(&info, r->key, r->value) != ERR_OK || info.cid != c->cid)
            violation(w, "rows_whole", "an info that cannot be read was written");
        c->team = info.team;
        c->creator = info.creator;
        c->kind = info.kind;
        c->general = info.general;
        levels_set(&c->archived, w->oracle.pos, info.archived);
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
    uint64_t uid = oracle_be64(r->key, 2);
    if (r->key.p[kind_at] == 'M') {
        struct ochan *c = chan_of_row(w, oracle_be64(r->key, 11));
        uint8_t u = oracle_user(o, uid);
        if (u == plan_users_max)
            violation(w, "rows_whole", "a membership of no user");
        c->memberships = r->op == ROW_PUT ? c->memberships | 1u << u : c->memberships & ~(1u << u);
    } else if (r->key.p[kind_at] == 'R') {
        oracle_on_reacted(w, r);
    } else if (r->key.p[kind_at] == 'p' && oracle_user(o, uid) == plan_users_max) {
        struct row_user row;
        if (row_user_decode(&row, r->key, r->value) != ERR_OK || o->users_len == plan_users_max)
            violation(w, "rows_whole", "a user that cannot be read was written");
        o->users[o->users_len++] = (struct ouser){.uid = uid, .team = row.team};
    }
}

/* The members of a direct conversation lead to it. */
static void on_set_row(struct world *w, const struct row *r)
{
    struct row_channel_name row;
    if (r->op != ROW_PUT || row_channel_name_decode(&row, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "a set of members that cannot be read was written");
    oracle_on_set(w, chan_of_row(w, row.cid), r);
}

static void on_dir_row(struct world *w, const struct row *r)
{
    switch (r->key.p[0]) {
    case '2':
        on_set_row(w, r);
        break;
    case 'n':
        on_name_row(w, r);
        break;
    case 'p':
        oracle_on_password(w, r);
        break;
    case 't':
        oracle_on_token(w, r);
        break;
    default:
        break;
    }
}

/* What must hold between the rows of a channel after each whole batch. */
static void check_channel(struct world *w, struct ochan *c)
{
    if (c->members != c->memberships)
        violation(w, "both_sides_of_membership", "channel %s: members %x, but its users believe %x",
                  c->name, c->members, c->memberships);
    if (c->cursors != c->members)
        violation(w, "both_sides_of_membership", "channel %s: members %x, cursors %x", c->name,
                  c->members, c->cursors);
    if (oracle_is_direct(c))
        oracle_check_sets(w, c);
    else if (c->names != 1 || strcmp(c->listed, c->name) != 0 || c->sets != 0)
        violation(w, "one_name_one_channel", "%u names lead to channel %s, one of them %s",
                  c->names, c->name, c->listed);
    else if (c->listed_archived != (levels_at(&c->archived, w->oracle.pos) != 0))
        violation(w, "archived_is_quiet", "the row of the name %s says otherwise", c->name);
    oracle_check_pins(w, c);
    if (c->head_seq != c->counted || c->head_ts_us != c->last_ts_us ||
        c->head_members != (uint64_t)__builtin_popcount(c->members))
        violation(w, "head_matches_rows",
                  "channel %s: head says %llu messages, %llu members; there are %u and %d", c->name,
                  (unsigned long long)c->head_seq, (unsigned long long)c->head_members, c->counted,
                  __builtin_popcount(c->members));
}

static void end_batch(struct oracle *o)
{
    GROW(o->ends, o->ends_len, o->ends_cap);
    o->ends[o->ends_len++] = o->pos;
}

void oracle_on_batch(struct world *w, const struct batch *b)
{
    struct oracle *o = &w->oracle;
    o->batch_pos = o->pos;
    oracle_wishes_expire(w);
    for (const struct row *r = b->first; r != NULL; r = r->next) {
        o->pos++;
        if (r->cf == CF_MSG)
            oracle_on_message(w, chan_of_row(w, oracle_be64(r->key, 2)), r);
        else if (r->cf == CF_CHAN)
            on_chan_row(w, r);
        else if (r->cf == CF_USER)
            on_user_row(w, r);
        else if (r->cf == CF_DIR)
            on_dir_row(w, r);
        else if (r->cf == CF_IDX && r->key.p[kind_at] == 't')
            oracle_on_follow(w, r);
        else if (r->cf == CF_IDX && r->key.p[kind_at] == 'p')
            oracle_on_pin(w, chan_of_row(w, oracle_be64(r->key, 2)), r);
    }
    end_batch(o);
    oracle_check_threads(w);
    oracle_check_lists(w);
    for (uint32_t i = 0; i < o->chans_len; i++) {
        if (!o->chans[i].touched)
            continue;
        o->chans[i].touched = false;
        check_channel(w, &o->chans[i]);
    }
}
