/* socket.c - a client's WebSocket: RFC 6455 by its own hand, and whether what it is shown is true,
 * in order and without an unannounced gap. */
#include <stdio.h>
#include <stdlib.h>

#include "text.h"
#include "world.h"

enum { retry_min_us = 1000, retry_max_us = 2000000 };

static const char key_and_accept[2][32] = {"dGhlIHNhbXBsZSBub25jZQ==",
                                           "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}; /* RFC 6455 1.3 */

/* ---- life ---- */

void socket_want(struct client *cl)
{
    cl->ws.state = SOCKET_ASKED;
    struct op op = {.kind = OP_CONNECT};
    client_retry(cl, &op);
}

static void put_upgrade(struct client *cl, struct sim_conn *c, const char *ticket)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: sim.example\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n",
                     ticket, key_and_accept[0]);
    sim_write(&cl->w->net, c, head, (size_t)n);
}

/* ---- the same ticket once more ---- */

static void send_thief(struct client *cl)
{
    struct socket *s = &cl->ws;
    if (s->thief != NULL || (s->thief = sim_connect(&cl->w->net, cl->index)) == NULL)
        return;
    s->thief_in.at = s->thief_in.len = 0;
    put_upgrade(cl, s->thief, s->ticket);
}

static void count_use(struct client *cl)
{
    if (++cl->ws.ticket_uses > 1)
        violation(cl->w, "one_socket_per_ticket", "client %u: a ticket opened two sockets",
                  (unsigned)cl->index);
}

static void drop_thief(struct client *cl)
{
    if (cl->ws.thief != NULL)
        sim_hang_up(&cl->w->net, cl->ws.thief, false);
    cl->ws.thief = NULL;
}

static void read_thief(struct client *cl)
{
    struct socket *s = &cl->ws;
    if (s->thief == NULL)
        return;
    struct str_view v = sim_read(&cl->w->net, s->thief, 65536);
    bytes_put(&s->thief_in, v.p, v.len);
    if (s->thief_in.len >= 13) {
        if (memcmp(s->thief_in.p, "HTTP/1.1 101 ", 13) == 0)
            count_use(cl);
        drop_thief(cl);
    } else if (sim_ended(s->thief)) {
        drop_thief(cl);
    }
}

void socket_connect(struct client *cl, const char *ticket, uint32_t token, uint64_t known_pos)
{
    struct socket *s = &cl->ws;
    if (s->conn != NULL)
        socket_drop(cl, false);
    s->conn = sim_connect(&cl->w->net, cl->index);
    s->state = s->conn == NULL ? SOCKET_NONE : SOCKET_UPGRADING;
    s->retry_us = cl->w->now_us + retry_max_us;
    if (s->conn == NULL)
        return;
    snprintf(s->ticket, sizeof s->ticket, "%.60s", ticket);
    s->token = token;
    s->known_pos = known_pos;
    s->opened_us = cl->w->now_us;
    s->partial = false;
    s->in.at = s->in.len = 0;
    s->rtm_len = 0;
    s->sockets++;
    memset(s->subs, 0, sizeof s->subs);
    drop_thief(cl);
    s->ticket_uses = 0;
    put_upgrade(cl, s->conn, s->ticket);
    if (rng_one_in(&cl->rng, 8)) /* two at once */
        send_thief(cl);
    cl->woken = true;
}

void socket_drop(struct client *cl, bool reset)
{
    struct socket *s = &cl->ws;
    drop_thief(cl);
    if (s->conn != NULL)
        sim_hang_up(&cl->w->net, s->conn, reset);
    s->conn = NULL;
    s->state = SOCKET_NONE;
    s->retry_us = cl->w->now_us +
                  (rng_one_in(&cl->rng, 2) ? 0 : rng_skewed(&cl->rng, retry_min_us, retry_max_us));
    for (uint32_t i = 0; i < s->rtm_len; i++) {
        /* The same key, now over HTTP. */
        const struct omsg *m = &cl->w->oracle.msgs[s->rtm[i].number];
        struct op op = {.kind = OP_POST, .number = s->rtm[i].number, .cid = m->cid};
        if (m->keyed)
            client_retry(cl, &op);
    }
    s->rtm_len = 0;
}

/* ---- frames out ---- */

static void send_frame(struct client *cl, uint8_t opcode, const void *payload, size_t len)
{
    uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
    size_t n = 2;
    struct bytes out = {0};
    if (len < 126) {
        head[1] = (uint8_t)(0x80 | len);
    } else {
        head[1] = 0x80 | 126;
        head[n++] = (uint8_t)(len >> 8);
        head[n++] = (uint8_t)len;
    }
    uint64_t mask = rng_u64(&cl->rng);
    memcpy(head + n, &mask, 4);
    bytes_put(&out, head, n + 4);
    bytes_put(&out, payload, len);
    for (size_t i = 0; i < len; i++)
        out.p[n + 4 + i] ^= head[n + i % 4];
    sim_write(&cl->w->net, cl->ws.conn, out.p, out.len);
    free(out.p);
}

static void put_id(struct bytes *b, char letter, uint64_t id)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char text[16];
    size_t n = sizeof text;
    for (; id != 0; id >>= 5)
        text[--n] = digits[id & 31];
    text[--n] = letter;
    put_json_string(b, (struct str_view){text + n, sizeof text - n});
}

static void put(struct bytes *b, const char *s)
{
    bytes_put(b, s, strlen(s));
}

bool socket_post(struct client *cl, uint32_t number)
{
    struct socket *s = &cl->ws;
    char text[oracle_text_max], key[256], id[32];
    if (s->state != SOCKET_LIVE || s->rtm_len == client_rtm_max)
        return false;
    struct omsg *m = &cl->w->oracle.msgs[number];
    struct bytes b = {0};
    snprintf(id, sizeof id, "{\"id\":%u,", ++s->next_id);
    put(&b, id);
    put(&b, "\"type\":\"message\",\"channel\":");
    put_id(&b, 'C', m->cid);
    put(&b, ",\"text\":");
    put_json_string(&b, oracle_text(number, text));
    if (m->keyed) {
        put(&b, ",\"client_msg_id\":");
        put_json_string(&b, oracle_key(m, key));
    }
    put(&b, "}");
    m->sent = true;
    s->rtm[s->rtm_len].number = number;
    s->rtm[s->rtm_len].id = s->next_id;
    s->rtm[s->rtm_len++].sent_pos = cl->w->oracle.pos;
    trace_add(&cl->w->trace, (struct trace_entry){.at_us = cl->w->now_us,
                                                  .what = "RTM message",
                                                  .kind = TRACE_CLIENT,
                                                  .a = cl->index,
                                                  .n = number,
                                                  .x = m->cid});
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
    return true;
}

/* Of all users, those of other workspaces too. */
static void watch_users(struct client *cl)
{
    const struct oracle *o = &cl->w->oracle;
    struct bytes b = {0};
    put(&b, "{\"type\":\"presence_sub\",\"ids\":[\"\"");
    for (uint32_t u = 0; u < o->users_len; u++) {
        put(&b, ",");
        put_id(&b, 'U', o->users[u].uid);
    }
    put(&b, "]}");
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
}

static void on_presence(struct client *cl, struct str_view e)
{
    const struct oracle *o = &cl->w->oracle;
    uint8_t u = oracle_user(o, js_id(js_get(e, "user")));
    if (u == plan_users_max || o->users[u].team != o->users[cl->user].team)
        violation(cl->w, "members_only", "a stranger's presence: %.*s", SV_ARG(e));
}

void socket_typing(struct client *cl, uint64_t cid)
{
    char id[32];
    struct bytes b = {0};
    if (cl->ws.state != SOCKET_LIVE)
        return;
    snprintf(id, sizeof id, "{\"id\":%u,", ++cl->ws.next_id);
    put(&b, id);
    put(&b, "\"type\":\"typing\",\"channel\":");
    put_id(&b, 'C', cid);
    put(&b, "}");
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
}

/* ---- events ---- */

/* It knows the messages of the channel up to pos and its members up to members_pos: it fetches both
 * after this. */
static void cover(struct socket *s, uint32_t chan, uint64_t pos, uint64_t members_pos)
{
    struct sub *sub = &s->subs[chan];
    sub->covered_pos = MAX(sub->covered_pos, pos);
    sub->members_pos = MAX(sub->members_pos, members_pos);
}

static void cover_all(struct client *cl, uint64_t pos, uint64_t members_pos)
{
    for (uint32_t i = 0; i < oracle_channels_max; i++)
        cover(&cl->ws, i, pos, members_pos);
}

/* Channels past ws.subscriptions_max are not pushed: which they are it cannot know. A join may be
 * heard of before the leave that made room for it: they come from different chans. */
static bool partial(const struct client *cl)
{
    return cl->ws.partial ||
           cl->w->oracle.users[cl->user].channels_peak + 2 > cl->w->plan.conf.ws_subscriptions_max;
}

/* Moves `next` over what it has been told to fetch and what was not for it: not a member then, or
 * not any more by now. */
static void skip_covered(struct client *cl, uint32_t chan, uint64_t now)
{
    const struct oracle *o = &cl->w->oracle;
    const struct ochan *c = &o->chans[chan];
    struct sub *sub = &cl->ws.subs[chan];
    while (sub->next < c->len) {
        uint64_t pos = o->msgs[c->numbers[sub->next]].pos;
        if (pos > sub->covered_pos && !oracle_was(c, cl->user, false, pos, now))
            break;
        sub->next++;
    }
}

static struct ochan *channel_of(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(e, "channel")));
    if (c == NULL || c->pos > pos)
        violation(cl->w, "nothing_undurable_visible",
                  "an event of a channel that is not stored: %.*s", SV_ARG(e));
    return c;
}

static void on_hidden(struct client *cl, const struct ochan *c, struct str_view e, uint64_t pos)
{
    char text[oracle_text_max];
    struct str_view message = js_get(e, "message");
    struct str_view got = js_string(js_get(message, "text"), text, sizeof text);
    if (!oracle_was(c, cl->user, true, 0, pos))
        violation(cl->w, "members_only", "client %u hears of %s without being a member",
                  (unsigned)cl->index, c->name);
    if (got.p != NULL) /* deleted ones have none */
        oracle_check_shown(cl->w, c->cid, got, js_ts(js_get(message, "ts")),
                           js_id(js_get(message, "user")), pos, "a changed message");
}

static void on_message(struct client *cl, struct str_view e, uint64_t pos)
{
    struct oracle *o = &cl->w->oracle;
    char text[oracle_text_max];
    struct ochan *c = channel_of(cl, e, pos);
    uint32_t chan = (uint32_t)(c - o->chans);
    struct sub *sub = &cl->ws.subs[chan];
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
    if (!oracle_member_at(c, cl->user, m->pos))
        violation(cl->w, "members_only",
                  "client %u (user %u) is shown message #%u of %s without being a member",
                  (unsigned)cl->index, (unsigned)cl->user, n, c->name);
    if (ts_us <= sub->last_ts_us)
        violation(cl->w, "events_in_order", "client %u: message #%u of %s comes late or twice",
                  (unsigned)cl->index, n, c->name);
    sub->last_ts_us = ts_us;
    if (m->thread != 0) /* a lost one is in the channel's hint, and has no number */
        return;
    skip_covered(cl, chan, m->pos);
    if (m->ordinal > sub->next && !partial(cl))
        violation(cl->w, "gaps_are_announced",
                  "client %u (user %u): message #%u of %s, but #%u before it is missing and no "
                  "refetch came",
                  (unsigned)cl->index, (unsigned)cl->user, n, c->name, c->numbers[sub->next]);
    sub->next = MAX(sub->next, m->ordinal + 1);
    cl->ws.events++;
}

static void on_refetch(struct client *cl, struct str_view e, uint64_t pos)
{
    struct str_view list = js_get(e, "channels"), item;
    size_t at = 0;
    cl->ws.hints++;
    if (js_true(js_get(e, "all")))
        cover_all(cl, pos, pos);
    while ((item = js_next(list, &at)).p != NULL) {
        struct ochan *c = oracle_chan(&cl->w->oracle, js_id(item));
        if (c == NULL || !oracle_was(c, cl->user, true, 0, pos))
            violation(cl->w, "members_only", "a refetch hint of a channel it was never in: %.*s",
                      SV_ARG(e));
        cover(&cl->ws, (uint32_t)(c - cl->w->oracle.chans), pos, pos);
    }
}

static void on_joined(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(js_get(e, "channel"), "id")));
    if (c == NULL || !oracle_was(c, cl->user, true, 0, pos))
        violation(cl->w, "nothing_undurable_visible",
                  "joined, it says, but that is not stored: %.*s", SV_ARG(e));
    /* From the moment that it is a member it hears every message, or is told to fetch. */
    cover(&cl->ws, (uint32_t)(c - cl->w->oracle.chans), oracle_member_since(c, cl->user, pos), pos);
}

/* Which change of u's membership the event tells of is not to be seen: the newest that it can mean.
 */
static void hear_member(struct client *cl, const struct ochan *c, uint8_t u, bool joined,
                        uint64_t pos)
{
    struct sub *sub = &cl->ws.subs[c - cl->w->oracle.chans];
    for (uint32_t i = 0; i < c->toggles_len[u] && c->toggles[u][i].pos <= pos; i++) {
        if (c->toggles[u][i].member == joined)
            sub->heard_pos[u] = MAX(sub->heard_pos[u], c->toggles[u][i].pos);
    }
}

static void on_member_event(struct client *cl, struct str_view e, uint64_t pos, bool joined)
{
    struct ochan *c = channel_of(cl, e, pos);
    uint8_t u = oracle_user(&cl->w->oracle, js_id(js_get(e, "user")));
    if (u == plan_users_max || !oracle_was(c, u, joined, 0, pos))
        violation(cl->w, "nothing_undurable_visible", "a membership that never was: %.*s",
                  SV_ARG(e));
    if (c->kind == CHANNEL_PRIVATE && !oracle_was(c, cl->user, true, 0, pos))
        violation(cl->w, "members_only", "a stranger is told of a private channel: %.*s",
                  SV_ARG(e));
    hear_member(cl, c, u, joined, pos);
}

static void on_created(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = oracle_chan(&cl->w->oracle, js_id(js_get(js_get(e, "channel"), "id")));
    if (c == NULL || c->pos > pos)
        violation(cl->w, "nothing_undurable_visible", "created, it says, but that is not stored");
    if (c->kind == CHANNEL_PRIVATE || c->team != cl->w->oracle.users[cl->user].team)
        violation(cl->w, "members_only", "a stranger is told of a channel: %.*s", SV_ARG(e));
}

static void on_typing(struct client *cl, struct str_view e, uint64_t pos)
{
    struct ochan *c = channel_of(cl, e, pos);
    if (!oracle_was(c, cl->user, true, 0, pos))
        violation(cl->w, "members_only", "a stranger sees typing: %.*s", SV_ARG(e));
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
    s->partial = js_true(js_get(e, "channels_left_out"));
    cover_all(cl, s->known_pos, pos); /* what is posted since is pushed or announced */
    if (rng_one_in(&cl->rng, 2))
        watch_users(cl);
}

static void on_event(struct client *cl, struct str_view e, uint64_t pos)
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
    else if (sv_eq(type, SV("message")))
        on_message(cl, e, pos);
    else if (sv_eq(type, SV("refetch")))
        on_refetch(cl, e, pos);
    else if (sv_eq(type, SV("channel_joined")) || sv_eq(type, SV("group_joined")))
        on_joined(cl, e, pos);
    else if (sv_eq(type, SV("member_joined_channel")))
        on_member_event(cl, e, pos, true);
    else if (sv_eq(type, SV("member_left_channel")))
        on_member_event(cl, e, pos, false);
    else if (sv_eq(type, SV("channel_created")))
        on_created(cl, e, pos);
    else if (sv_eq(type, SV("presence_change")))
        on_presence(cl, e);
    else if (sv_eq(type, SV("user_typing")))
        on_typing(cl, e, pos);
}

/* ---- bytes in ---- */

/* The 101 or a refusal; false: more must come. */
static bool read_upgrade(struct client *cl)
{
    struct socket *s = &cl->ws;
    const char *p = (const char *)s->in.p + s->in.at;
    size_t len = bytes_left(&s->in);
    const char *end = len == 0 ? NULL : memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    size_t head = (size_t)(end - p) + 4;
    if (len >= 13 && memcmp(p, "HTTP/1.1 101 ", 13) == 0) {
        if (memmem(p, head, key_and_accept[1], strlen(key_and_accept[1])) == NULL)
            violation(cl->w, "answers_whole", "a wrong Sec-WebSocket-Accept");
        s->in.at += head;
        s->state = SOCKET_OPEN;
        count_use(cl);
        if (rng_one_in(&cl->rng, 8))
            send_thief(cl);
        return true;
    }
    if (memcmp(p, "HTTP/1.1 ", 9) != 0)
        violation(cl->w, "answers_whole", "no answer to an upgrade: %.*s", (int)MIN(len, 100u), p);
    socket_drop(cl, false); /* used up, expired, revoked or no room: another one */
    return false;
}

static bool read_frame(struct client *cl)
{
    struct socket *s = &cl->ws;
    const uint8_t *p = s->in.p + s->in.at;
    size_t len = bytes_left(&s->in), head = 2;
    if (len < 2)
        return false;
    uint64_t n = p[1] & 127u;
    if (n == 126 && len >= 4) {
        n = (uint64_t)p[2] << 8 | p[3];
        head = 4;
    } else if (n == 127 && len >= 10) {
        n = 0;
        for (int i = 0; i < 8; i++)
            n = n << 8 | p[2 + i];
        head = 10;
    } else if (n >= 126) {
        return false;
    }
    uint8_t opcode = p[0] & 15u;
    if ((p[0] & 0xf0) != 0x80 || (p[1] & 0x80) != 0 ||
        (opcode != 1 && opcode != 8 && opcode != 9 && opcode != 10))
        violation(cl->w, "answers_whole", "a frame that no server may send: %02x %02x", p[0], p[1]);
    if (len < head + n)
        return false;
    struct str_view payload = {(const char *)p + head, (size_t)n};
    s->in.at += head + (size_t)n;
    uint64_t pos = sim_stamp(s->conn, s->conn->read_ever - bytes_left(&s->in));
    if (opcode == 1)
        on_event(cl, payload, pos);
    else if (opcode == 9)
        send_frame(cl, 10, payload.p, payload.len);
    else if (opcode == 8)
        socket_drop(cl, false);
    return s->conn != NULL;
}

void socket_read(struct client *cl)
{
    struct world *w = cl->w;
    struct socket *s = &cl->ws;
    read_thief(cl);
    if (s->conn == NULL)
        return;
    if (w->now_us >= cl->deaf_until_us) {
        size_t max = rng_one_in(&cl->rng, 4) ? (size_t)rng_range(&cl->rng, 1, 600) : 65536;
        struct str_view v = sim_read(&w->net, s->conn, max);
        bytes_put(&s->in, v.p, v.len);
        if (s->state == SOCKET_UPGRADING && !read_upgrade(cl) && s->conn == NULL)
            return;
        while (s->conn != NULL && s->state != SOCKET_UPGRADING && read_frame(cl)) {
        }
    }
    if (s->conn == NULL)
        return;
    if (sim_ended(s->conn))
        socket_drop(cl, false);
    else if (sim_readable(s->conn) && w->now_us >= cl->deaf_until_us)
        cl->woken = true;
}

/* ---- at the end ---- */

/* It has heard of each one's last change, or has asked since. */
static void check_members(struct client *cl, const struct ochan *c)
{
    const struct oracle *o = &cl->w->oracle;
    const struct sub *sub = &cl->ws.subs[c - o->chans];
    for (uint8_t u = 0; u < o->users_len; u++) {
        if (u == cl->user || c->toggles_len[u] == 0)
            continue;
        const struct toggle *last = &c->toggles[u][c->toggles_len[u] - 1];
        if (last->pos > MAX(sub->members_pos, sub->heard_pos[u]) &&
            !oracle_was(c, cl->user, false, last->pos, o->pos))
            violation(cl->w, "view_converges",
                      "client %u (user %u) never heard that user %u %s %s and was told to fetch "
                      "nothing",
                      (unsigned)cl->index, (unsigned)cl->user, (unsigned)u,
                      last->member ? "joined" : "left", c->name);
    }
}

void socket_check_converged(struct client *cl)
{
    const struct oracle *o = &cl->w->oracle;
    if (cl->ws.state != SOCKET_LIVE || partial(cl))
        return;
    for (uint32_t i = 0; i < o->chans_len; i++) {
        skip_covered(cl, i, o->pos);
        if (cl->ws.subs[i].next < o->chans[i].len)
            violation(
                cl->w, "view_converges",
                "client %u (user %u) never saw message #%u of %s and was told to fetch nothing",
                (unsigned)cl->index, (unsigned)cl->user, o->chans[i].numbers[cl->ws.subs[i].next],
                o->chans[i].name);
        check_members(cl, &o->chans[i]);
    }
}
