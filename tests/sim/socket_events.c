/* socket_events.c - whether what a socket is shown is true, in order, and for its user to see. What
 * it is not shown: socket_view.c. */
#include <stdio.h>

#include "text.h"
#include "world.h"

static struct ochan *channel_of(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(e, "channel")));
    if (c == NULL || c->pos > pos)
        violation(cl->w, "nothing_undurable_visible",
                  "an event of a channel that is not stored: %.*s", SV_ARG(e));
    return c;
}

/* It was subscribed: a member at some time while the socket is there, and if it has been told that
 * it left, told otherwise since. */
static bool listens(const struct client *cl, const struct ochan *c, uint64_t pos)
{
    return !cl->ws.subs[c - cl->w->oracle.chans].left &&
           oracle_was(c, cl->user, true, cl->ws.known_pos, pos);
}

/* An event of a channel whose member it is; `in` has the channel. */
static struct ochan *own_channel_of(struct client *cl, struct str_view e, struct str_view in,
                                    uint64_t pos)
{
    struct socket *s = &cl->ws;
    struct ochan *c = channel_of(cl, in, pos);
    if (!listens(cl, c, pos))
        violation(cl->w, "members_only", "client %u (user %u) hears of %s when it is out: %.*s",
                  (unsigned)cl->index, (unsigned)cl->user, c->name, SV_ARG(e));
    s->newest_ts_us =
        MAX(s->newest_ts_us, MAX(js_ts(js_get(e, "ts")), js_ts(js_get(e, "event_ts"))));
    if (s->resumes && !s->resuming)
        s->last_ts_us = MAX(s->last_ts_us, s->newest_ts_us);
    if (js_get(e, "text").p == NULL)
        view_event(cl, c, js_ts(js_get(e, "event_ts")));
    return c;
}

/* Decided while it was a member. What it missed it is told again whole, as it would read it. */
static bool is_for(const struct client *cl, const struct ochan *c, uint64_t pos)
{
    return cl->ws.resuming || oracle_heard(&cl->w->oracle, c, cl->user, pos);
}

/* ---- messages ---- */

/* The change became stored while the listener was a member: the text is that of a row then, or of
 * one that a later change of the same batch replaced. */
static bool heard_as_member(const struct client *cl, const struct ochan *c, uint32_t n,
                            uint32_t version)
{
    const struct omsg *m = &cl->w->oracle.msgs[n];
    for (uint32_t i = 0; i < m->rows_len; i++) {
        if (is_for(cl, c, m->rows[i].pos) && oracle_may_be_edit(&cl->w->oracle, n, i, version))
            return true;
    }
    return false;
}

/* It is not pinned any more either. */
static void on_deleted(struct client *cl, const struct ochan *c, struct str_view e, uint64_t pos)
{
    const struct omsg *m = oracle_by_ts(&cl->w->oracle, c->cid, js_ts(js_get(e, "deleted_ts")));
    if (m == NULL || m->deleted_pos == 0 || m->deleted_pos > pos)
        violation(cl->w, "nothing_undurable_visible", "that is not deleted: %.*s", SV_ARG(e));
    if (!is_for(cl, c, m->deleted_pos))
        violation(cl->w, "members_only", "client %u hears of a deletion in %s when it is out",
                  (unsigned)cl->index, c->name);
    view_deleted(cl, c, (uint32_t)(m - cl->w->oracle.msgs));
}

static bool is_tombstone(struct str_view message)
{
    return sv_eq(js_get(message, "subtype"), SV("\"tombstone\""));
}

static void on_hidden(struct client *cl, const struct ochan *c, struct str_view e, uint64_t pos)
{
    char text[oracle_text_max], name[32];
    struct str_view message = js_get(e, "message");
    struct str_view got = js_string(js_get(message, "text"), text, sizeof text);
    struct str_view what = js_string(js_get(e, "subtype"), name, sizeof name);
    if (sv_eq(what, SV("message_deleted"))) {
        on_deleted(cl, c, e, pos);
        return;
    }
    if (got.p == NULL)
        violation(cl->w, "answers_whole", "a change of nothing: %.*s", SV_ARG(e));
    if (is_tombstone(message)) /* somebody replies to it */
        return;
    uint32_t n = oracle_check_shown(cl->w, c->cid, got, js_ts(js_get(message, "ts")),
                                    js_id(js_get(message, "user")), pos, "a changed message");
    if (!sv_eq(what, SV("message_changed")))
        return;
    uint32_t version = oracle_version_of(&cl->w->oracle, n, got);
    if (!heard_as_member(cl, c, n, version))
        violation(cl->w, "members_only",
                  "client %u (user %u) hears of an edit in %s when it is out", (unsigned)cl->index,
                  (unsigned)cl->user, c->name);
    view_text(cl, c, n, version, pos);
}

/* Until when a text could be read; UINT64_MAX: it still can, or never was stored. */
static uint64_t read_until(const struct omsg *m, uint32_t version)
{
    uint64_t until_pos = UINT64_MAX;
    for (uint32_t i = 0; i < m->rows_len; i++) {
        if (m->rows[i].version == version)
            until_pos = i + 1 < m->rows_len ? m->rows[i + 1].pos : UINT64_MAX;
    }
    return until_pos;
}

/* Who came later is not told it afterwards. */
static void check_taken_back(struct client *cl, const struct ochan *c, uint32_t n,
                             struct str_view text)
{
    const struct oracle *o = &cl->w->oracle;
    const struct omsg *m = &o->msgs[n];
    uint64_t until_pos = read_until(m, oracle_version_of(o, n, text));
    if (until_pos <= cl->ws.known_pos && !oracle_was(c, cl->user, true, m->pos, until_pos))
        violation(cl->w, "members_only",
                  "client %u (user %u) is shown what #%u of %s said before it came",
                  (unsigned)cl->index, (unsigned)cl->user, n, c->name);
}

static void on_message(struct client *cl, struct str_view e, uint64_t pos)
{
    struct oracle *o = &cl->w->oracle;
    char text[oracle_text_max];
    struct ochan *c = own_channel_of(cl, e, e, pos);
    struct sub *sub = &cl->ws.subs[c - o->chans];
    uint64_t ts_us = js_ts(js_get(e, "ts"));
    struct str_view got = js_string(js_get(e, "text"), text, sizeof text);
    if (js_true(js_get(e, "hidden"))) { /* of a message that changed; what it says is in it */
        on_hidden(cl, c, e, pos);
        return;
    }
    if (got.p == NULL)
        violation(cl->w, "answers_whole", "an event without text: %.*s", SV_ARG(e));
    uint32_t n =
        oracle_check_shown(cl->w, c->cid, got, ts_us, js_id(js_get(e, "user")), pos, "an event");
    const struct omsg *m = &o->msgs[n];
    check_taken_back(cl, c, n, got);
    if (!cl->ws.resuming && !oracle_member_at(c, cl->user, m->pos))
        violation(cl->w, "members_only",
                  "client %u (user %u) is shown message #%u of %s without being a member",
                  (unsigned)cl->index, (unsigned)cl->user, n, c->name);
    if (ts_us <= sub->last_ts_us)
        violation(cl->w, "events_in_order", "client %u: message #%u of %s comes late or twice",
                  (unsigned)cl->index, n, c->name);
    sub->last_ts_us = ts_us;
    view_message(cl, c, n, oracle_version_of(o, n, got));
    cl->ws.events++;
}

/* ---- hints and members ---- */

static void on_refetch(struct client *cl, struct str_view e, uint64_t pos)
{
    struct str_view list = js_get(e, "channels"), item;
    size_t at = 0;
    cl->ws.hints++;
    if (js_true(js_get(e, "all")))
        view_cover_all(cl, pos, pos);
    while ((item = js_next(list, &at)).p != NULL) {
        struct ochan *c = oracle_chan(&cl->w->oracle, js_id(item));
        if (c == NULL || !oracle_was(c, cl->user, true, cl->ws.known_pos, pos))
            violation(cl->w, "members_only", "a refetch hint of a channel it was not in: %.*s",
                      SV_ARG(e));
        view_cover(cl, c, pos, pos);
    }
}

static void on_joined(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(js_get(e, "channel"), "id")));
    if (c == NULL || !oracle_was(c, cl->user, true, 0, pos))
        violation(cl->w, "nothing_undurable_visible",
                  "joined, it says, but that is not stored: %.*s", SV_ARG(e));
    /* From the moment that it is a member it hears every message, or is told to fetch. */
    view_cover(cl, c, oracle_member_since(c, cl->user, pos), pos);
}

/* The last that it hears of the channel. */
static void on_left(struct client *cl, struct str_view e, uint64_t pos)
{
    const struct ochan *c = channel_of(cl, e, pos);
    if (!levels_became(&c->membership[cl->user], false, 0, pos))
        violation(cl->w, "nothing_undurable_visible", "it left, it says, but that is not stored");
    cl->ws.subs[c - cl->w->oracle.chans].left = true;
}

static void on_member(struct client *cl, struct str_view e, uint64_t pos, bool joined)
{
    struct ochan *c = own_channel_of(cl, e, e, pos);
    uint8_t u = oracle_user(&cl->w->oracle, js_id(js_get(e, "user")));
    if (u == plan_users_max || !oracle_was(c, u, joined, 0, pos))
        violation(cl->w, "nothing_undurable_visible", "a membership that never was: %.*s",
                  SV_ARG(e));
    view_member(cl, c, u, joined, pos);
}

static void on_member_joined(struct client *cl, struct str_view e, uint64_t pos)
{
    on_member(cl, e, pos, true);
}

static void on_member_left(struct client *cl, struct str_view e, uint64_t pos)
{
    on_member(cl, e, pos, false);
}

static void on_created(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(js_get(e, "channel"), "id")));
    if (c == NULL || c->pos > pos)
        violation(cl->w, "nothing_undurable_visible", "created, it says, but that is not stored");
    if (c->kind != CHANNEL_PUBLIC || c->team != cl->w->oracle.users[cl->user].team)
        violation(cl->w, "members_only", "a stranger is told of a channel: %.*s", SV_ARG(e));
}

static void on_typing(struct client *cl, struct str_view e, uint64_t pos)
{
    (void)own_channel_of(cl, e, e, pos);
}

static void on_reply(struct client *cl, struct str_view e, uint64_t pos)
{
    struct socket *s = &cl->ws;
    uint64_t id = js_u64(js_get(e, "reply_to"));
    uint32_t i = 0;
    while (i < s->rtm_len && s->rtm[i].id != id)
        i++;
    if (i == s->rtm_len)
        violation(cl->w, "one_answer_per_request", "a reply to nothing: %.*s", SV_ARG(e));
    uint32_t number = s->rtm[i].number;
    s->rtm[i] = s->rtm[--s->rtm_len];
    struct omsg *m = &cl->w->oracle.msgs[number];
    if (js_true(js_get(e, "ok"))) {
        oracle_check_ok(cl->w, number, js_ts(js_get(e, "ts")), pos);
        cl->w->ops_done++;
        return;
    }
    /* Told no over RTM: HTTP says why, by name. */
    struct op op = {.kind = OP_POST, .number = number, .cid = m->cid};
    if (m->keyed)
        client_retry(cl, &op);
}

static void on_hello(struct client *cl, struct str_view e, uint64_t pos)
{
    struct socket *s = &cl->ws;
    if (s->state != SOCKET_OPEN)
        violation(cl->w, "hello_first", "a second hello");
    s->state = SOCKET_LIVE;
    s->partial |= js_true(js_get(e, "channels_left_out"));
    s->resuming = s->resumes;
    if (s->last_ts_us == 0)
        view_cover_all(cl, s->known_pos, pos); /* what is posted since is pushed or announced */
    else
        view_resume(cl, pos);
    if (rng_one_in(&cl->rng, 2))
        socket_watch_users(cl);
}

/* All that it missed it has got, or was told to fetch. */
static void on_resumed(struct client *cl, struct str_view e, uint64_t pos)
{
    struct socket *s = &cl->ws;
    (void)pos;
    if (!s->resuming)
        violation(cl->w, "hello_first", "resumed twice, or without last_ts: %.*s", SV_ARG(e));
    s->resuming = false;
    s->last_ts_us = MAX(s->last_ts_us, s->newest_ts_us);
}

static void on_presence(struct client *cl, struct str_view e, uint64_t pos)
{
    const struct oracle *o = &cl->w->oracle;
    (void)pos;
    uint8_t u = oracle_user(o, js_id(js_get(e, "user")));
    if (u == plan_users_max || o->users[u].team != o->users[cl->user].team)
        violation(cl->w, "members_only", "a stranger's presence: %.*s", SV_ARG(e));
}

/* ---- what becomes of messages and channels ---- */

/* When it became n last while the listener was a member; 0: never. */
static uint64_t became(const struct client *cl, const struct ochan *c, const struct levels *l,
                       uint64_t n, uint64_t pos)
{
    uint64_t last_pos = 0;
    for (uint32_t i = 0; i < l->len && l->all[i].pos <= pos; i++) {
        if (l->all[i].n == n && is_for(cl, c, l->all[i].pos))
            last_pos = l->all[i].pos;
    }
    return last_pos;
}

/* What was given and taken back in one batch is told twice and has no row of its own. */
static bool reaction_is_hidden(const struct client *cl, const struct ochan *c, uint32_t n,
                               uint32_t bit, bool add, uint64_t pos)
{
    struct oracle *o = &cl->w->oracle;
    const struct levels *rows = &o->msgs[n].written;
    for (uint32_t i = 0; i < rows->len && rows->all[i].pos <= pos; i++) {
        if (is_for(cl, c, rows->all[i].pos) &&
            oracle_reaction_is_hidden(o, n, bit, add, rows->all[i].pos))
            return true;
    }
    return false;
}

/* When it last came or went while the listener was a member; 0: never. */
static uint64_t reaction_became(const struct client *cl, const struct ochan *c,
                                const struct omsg *m, uint32_t bit, bool there, uint64_t pos)
{
    while (pos != 0) {
        uint64_t at = oracle_reaction_became(m, bit, there, pos);
        if (at == 0 || is_for(cl, c, at))
            return at;
        pos = at - 1;
    }
    return 0;
}

static void on_reaction(struct client *cl, struct str_view e, uint64_t pos, bool added)
{
    struct oracle *o = &cl->w->oracle;
    char name[32];
    const struct ochan *c = own_channel_of(cl, e, js_get(e, "item"), pos);
    const struct omsg *m = oracle_by_ts(o, c->cid, js_ts(js_get(js_get(e, "item"), "ts")));
    struct str_view got = js_string(js_get(e, "reaction"), name, sizeof name);
    uint32_t emoji = got.p == NULL ? oracle_emoji_max : oracle_emoji(got);
    uint8_t u = oracle_user(o, js_id(js_get(e, "user")));
    if (m == NULL || emoji == oracle_emoji_max || u == plan_users_max)
        violation(cl->w, "answers_whole", "a reaction that nobody gives: %.*s", SV_ARG(e));
    uint32_t n = (uint32_t)(m - o->msgs), bit = oracle_reaction(emoji, u);
    uint64_t at = reaction_became(cl, c, m, bit, added, pos);
    if (at == 0 && !reaction_is_hidden(cl, c, n, bit, added, pos)) {
        bool stored = oracle_reaction_became(m, bit, added, pos) != 0;
        violation(cl->w, stored ? "members_only" : "nothing_undurable_visible",
                  "client %u hears of a reaction in %s %s: %.*s", (unsigned)cl->index, c->name,
                  stored ? "when it is out" : "that is not stored", SV_ARG(e));
    }
    view_reaction(cl, c, n, bit, added, at, pos);
}

static void on_reacted(struct client *cl, struct str_view e, uint64_t pos)
{
    on_reaction(cl, e, pos, true);
}

static void on_unreacted(struct client *cl, struct str_view e, uint64_t pos)
{
    on_reaction(cl, e, pos, false);
}

static void on_pin(struct client *cl, struct str_view e, uint64_t pos, bool pinned)
{
    const struct ochan *c = own_channel_of(cl, e, e, pos);
    struct str_view item = js_get(js_get(e, "item"), "message");
    const struct omsg *m = oracle_by_ts(&cl->w->oracle, c->cid, js_ts(js_get(item, "ts")));
    uint64_t last_pos = m == NULL ? 0 : became(cl, c, &m->pinned, pinned, pos);
    if (last_pos == 0)
        violation(cl->w, "members_only", "client %u hears of a pin in %s that it cannot know: %.*s",
                  (unsigned)cl->index, c->name, SV_ARG(e));
    view_pin(cl, c, (uint32_t)(m - cl->w->oracle.msgs), pinned, last_pos, pos);
}

static void on_pinned(struct client *cl, struct str_view e, uint64_t pos)
{
    on_pin(cl, e, pos, true);
}

static void on_unpinned(struct client *cl, struct str_view e, uint64_t pos)
{
    on_pin(cl, e, pos, false);
}

/* Of a public channel its workspace is told. */
static void on_archiving(struct client *cl, struct str_view e, uint64_t pos, bool archived)
{
    const struct ochan *c = channel_of(cl, e, pos);
    if (!levels_became(&c->archived, archived, c->pos, pos))
        violation(cl->w, "nothing_undurable_visible", "%s never was so: %.*s", c->name, SV_ARG(e));
    if (c->team != cl->w->oracle.users[cl->user].team ||
        (c->kind != CHANNEL_PUBLIC && became(cl, c, &c->archived, archived, pos) == 0))
        violation(cl->w, "members_only", "a stranger is told of %s: %.*s", c->name, SV_ARG(e));
}

static void on_archived(struct client *cl, struct str_view e, uint64_t pos)
{
    on_archiving(cl, e, pos, true);
}

static void on_unarchived(struct client *cl, struct str_view e, uint64_t pos)
{
    on_archiving(cl, e, pos, false);
}

/* ---- what only oneself is told ---- */

static void on_marked(struct client *cl, struct str_view e, uint64_t pos)
{
    const struct ochan *c = channel_of(cl, e, pos);
    if (!oracle_had_read(c, cl->user, js_ts(js_get(e, "ts")), 0, pos))
        violation(cl->w, "members_only",
                  "client %u (user %u) is told how far another has read: %.*s", (unsigned)cl->index,
                  (unsigned)cl->user, SV_ARG(e));
}

static bool is_so(const struct follow *f, bool active, uint64_t read_us, uint64_t since_s)
{
    return f->active == active && f->read_us == read_us && f->since_us / 1000000 == since_s;
}

/* What its thread is to the user, or was. */
static void on_thread(struct client *cl, struct str_view e, uint64_t pos, bool active)
{
    struct oracle *o = &cl->w->oracle;
    struct str_view s = js_get(e, "subscription");
    const struct ochan *c = channel_of(cl, s, pos);
    const struct omsg *m = oracle_by_ts(o, c->cid, js_ts(js_get(s, "thread_ts")));
    uint64_t read_us = js_ts(js_get(s, "last_read"));
    if (m == NULL || m->thread != 0 || m->pos > pos || js_true(js_get(s, "active")) != active)
        violation(cl->w, "nothing_undurable_visible", "no thread, or one that is not so: %.*s",
                  SV_ARG(e));
    /* The author without a row is told when there is a first reply. */
    struct follow f = oracle_follow_at(m, cl->user, 0);
    uint64_t since_s = js_u64(js_get(s, "date_create"));
    bool is = is_so(&f, active, read_us, since_s) && m->threaded;
    while (!is && oracle_follow_next(m, cl->user, pos, &f))
        is = is_so(&f, active, read_us, since_s);
    if (!is)
        violation(cl->w, "members_only",
                  "client %u (user %u) is told of #%u what it is not to it: %.*s",
                  (unsigned)cl->index, (unsigned)cl->user, (unsigned)(m - o->msgs), SV_ARG(e));
}

static void on_following(struct client *cl, struct str_view e, uint64_t pos)
{
    on_thread(cl, e, pos, true);
}

static void on_unfollowing(struct client *cl, struct str_view e, uint64_t pos)
{
    on_thread(cl, e, pos, false);
}

static void on_sight(struct client *cl, struct str_view e, uint64_t pos, bool open)
{
    const struct oracle *o = &cl->w->oracle;
    const struct ochan *c = channel_of(cl, e, pos);
    uint64_t opened_pos = c->opened_pos[cl->user];
    if (js_id(js_get(e, "user")) != o->users[cl->user].uid || (c->members >> cl->user & 1) == 0)
        violation(cl->w, "members_only", "what another sees: %.*s", SV_ARG(e));
    if (open ? opened_pos == 0 || opened_pos > pos
             : !levels_within(&c->closed[cl->user], 1, UINT64_MAX, c->pos, pos))
        violation(cl->w, "nothing_undurable_visible", "that is not stored: %.*s", SV_ARG(e));
}

static void on_opened(struct client *cl, struct str_view e, uint64_t pos)
{
    on_sight(cl, e, pos, true);
}

static void on_closed(struct client *cl, struct str_view e, uint64_t pos)
{
    on_sight(cl, e, pos, false);
}

/* ---- all ---- */

static const struct {
    const char *type;
    void (*on)(struct client *cl, struct str_view e, uint64_t pos);
} handlers[] = {{"message", on_message},
                {"refetch", on_refetch},
                {"resumed", on_resumed},
                {"channel_joined", on_joined},
                {"group_joined", on_joined},
                {"im_created", on_joined},
                {"mpim_joined", on_joined},
                {"channel_left", on_left},
                {"group_left", on_left},
                {"member_joined_channel", on_member_joined},
                {"member_left_channel", on_member_left},
                {"channel_created", on_created},
                {"presence_change", on_presence},
                {"user_typing", on_typing},
                {"reaction_added", on_reacted},
                {"reaction_removed", on_unreacted},
                {"pin_added", on_pinned},
                {"pin_removed", on_unpinned},
                {"channel_archive", on_archived},
                {"group_archive", on_archived},
                {"channel_unarchive", on_unarchived},
                {"group_unarchive", on_unarchived},
                {"channel_marked", on_marked},
                {"group_marked", on_marked},
                {"im_marked", on_marked},
                {"mpim_marked", on_marked},
                {"thread_subscribed", on_following},
                {"thread_unsubscribed", on_unfollowing},
                {"thread_marked", on_following},
                {"im_open", on_opened},
                {"mpim_open", on_opened},
                {"im_close", on_closed},
                {"mpim_close", on_closed}};

void socket_on_event(struct client *cl, struct str_view e, uint64_t pos)
{
    char name[64];
    if (!js_whole(e) || e.len == 0 || e.p[0] != '{')
        violation(cl->w, "answers_whole", "a frame that is not JSON: %.*s", SV_ARG(e));
    struct str_view type = js_string(js_get(e, "type"), name, sizeof name);
    if (type.p != NULL && sv_eq(type, SV("hello"))) {
        on_hello(cl, e, pos);
        return;
    }
    if (cl->ws.state != SOCKET_LIVE && !sv_eq(type, SV("goodbye")) && !sv_eq(type, SV("error")))
        violation(cl->w, "hello_first", "before hello: %.*s", SV_ARG(e));
    if (type.p == NULL)
        on_reply(cl, e, pos);
    for (size_t i = 0; type.p != NULL && i < ARRAY_LEN(handlers); i++) {
        if (sv_eq(type, sv_from(handlers[i].type))) {
            handlers[i].on(cl, e, pos);
            return;
        }
    }
}
