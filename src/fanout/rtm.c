/* rtm.c - what clients say: ping, typing, presence, message. Source: Slack RTM (slack-api
 * reference, section 6).
 *
 * Errors of a message: {"ok":false,"reply_to":id,"error":{"code":n,"msg":s}}. Slack names two
 * codes, -1 for the rate and 2 for a missing text; the others are the HTTP status of the same error
 * of chat.postMessage, and msg is its error string. */
#include "base/log.h"
#include "base/mutant.h"
#include "chan/chan.h"
#include "chan/post_json.h"
#include "dir/rate.h"
#include "fanout/internal.h"

enum { code_rate = -1, code_text = 2, client_msg_id_max = 255, reply_text_max = 65536 };

struct rtm { /* one frame, read */
    struct json_member *members;
    uint32_t len;
    int64_t id; /* 0: none */
};

static struct str_view string_of(const struct rtm *m, const char *name)
{
    return json_text(m->members, m->len, name);
}

/* ---- replies ---- */

static struct json_out reply(struct fanout *f, struct buf *b)
{
    buf_init(b, &f->scratch, 256);
    struct json_out j = json_out_on(b);
    json_obj(&j);
    return j;
}

static void put_reply(struct fanout *f, struct fan_conn *c, struct json_out *j)
{
    json_obj_end(j);
    if (j->b->failed || j->b->len > own_bytes_max - ws_header_max)
        conn_end(f, c, WS_STATUS_INTERNAL, SV_NONE);
    else
        queue_text(f, c, false, buf_view(j->b));
}

static void error_members(struct json_out *j, int64_t code, struct str_view msg)
{
    json_key(j, "error");
    json_obj(j);
    json_key(j, "code");
    json_i64(j, code);
    json_kv_str(j, "msg", msg);
    json_obj_end(j);
}

static void reply_error(struct fanout *f, struct fan_conn *c, int64_t id, int64_t code,
                        struct str_view msg)
{
    struct buf b;
    struct json_out j = reply(f, &b);
    json_kv_bool(&j, "ok", false);
    json_key(&j, "reply_to");
    json_i64(&j, id);
    error_members(&j, code, msg);
    put_reply(f, c, &j);
}

static void reply_err(struct fanout *f, struct fan_conn *c, int64_t id, enum err err)
{
    reply_error(f, c, id, err_http(err), sv_from(err_slack(err)));
}

static void say_error(struct fanout *f, struct fan_conn *c, struct str_view msg)
{
    struct buf b;
    struct json_out j = reply(f, &b);
    json_kv_str(&j, "type", SV("error"));
    error_members(&j, code_text, msg);
    put_reply(f, c, &j);
}

static void put_value(struct json_out *j, const struct json_value *v)
{
    if (v->type == JSON_STRING)
        json_str(j, v->s);
    else
        json_raw(j, v->s);
}

static bool echoed(const struct json_member *m)
{
    return m->value.type != JSON_ARRAY && m->value.type != JSON_OBJECT &&
           !sv_eq(m->name, SV("type")) && !sv_eq(m->name, SV("id")) &&
           !sv_eq(m->name, SV("reply_to"));
}

static void on_ping(struct fanout *f, struct fan_conn *c, const struct rtm *m)
{
    struct buf b;
    struct json_out j = reply(f, &b);
    json_kv_str(&j, "type", SV("pong"));
    if (m->id > 0)
        json_kv_u64(&j, "reply_to", (uint64_t)m->id);
    for (uint32_t i = 0; i < m->len; i++) {
        if (!echoed(&m->members[i]))
            continue;
        json_str(&j, m->members[i].name);
        buf_putc(&b, ':');
        j.comma = false;
        put_value(&j, &m->members[i].value);
    }
    put_reply(f, c, &j);
}

/* ---- who speaks ---- */

/* As of now. NULL: the token is no longer good, and the socket ends. */
static struct principal *speaker(struct fanout *f, struct fan_conn *c)
{
    struct principal *p;
    if (dir_token_by_tag(f->conf.dir, c->token_tag, &p) == ERR_OK)
        return p;
    conn_end(f, c, WS_STATUS_POLICY, SV("token revoked"));
    return NULL;
}

static bool within_rate(struct fanout *f, struct principal *p)
{
    uint32_t retry_s;
    if (rate_take(&p->rate, f->turn->mono_us, f->conf.conf->api_rate_posts_per_s, &retry_s))
        return true;
    metric_add(f->turn->metrics, METRIC_RATE_LIMITED, 1);
    return false;
}

/* ---- typing ---- */

static void on_typing(struct fanout *f, struct fan_conn *c, const struct rtm *m)
{
    uint64_t cid;
    struct principal *p = speaker(f, c);
    if (p == NULL || !id_parse_channel(string_of(m, "channel"), &cid) || !subs_has(f, c, cid) ||
        !within_rate(f, p))
        return;
    actor_id to = f->conf.chans[chan_of(cid, f->conf.chans_len)];
    struct cell *cell = outbox_event(f->turn->out, to, 0);
    if (cell == NULL)
        return; /* the first thing to be dropped */
    cell->type = CHAN_TYPING;
    cell->cid = cid;
    cell->u.u[0] = c->uid;
    cell->u.u[1] = c->team;
}

/* ---- presence ---- */

static void on_presence(struct fanout *f, struct fan_conn *c, const struct rtm *m, bool subscribe)
{
    const struct json_value *ids = json_find(m->members, m->len, SV("ids"));
    struct principal *p = speaker(f, c);
    if (p == NULL || ids == NULL || ids->type != JSON_ARRAY || !within_rate(f, p))
        return;
    if (subscribe)
        presence_subscribe(f, c, ids->s);
    else
        presence_query(f, c, ids->s);
}

/* ---- message ---- */

struct message { /* judged */
    uint64_t cid;
    uint64_t thread_ts_us;
    bool broadcast;
    struct str_view text, client_msg_id;
};

static bool given(const struct json_value *v)
{
    return v != NULL && v->type != JSON_NULL && !(v->type == JSON_STRING && v->s.len == 0);
}

static bool judge(struct fanout *f, struct fan_conn *c, const struct rtm *m, struct message *out)
{
    const struct json_value *key = json_find(m->members, m->len, SV("client_msg_id"));
    const struct json_value *thread = json_find(m->members, m->len, SV("thread_ts"));
    const struct json_value *broadcast = json_find(m->members, m->len, SV("reply_broadcast"));
    out->thread_ts_us = 0;
    out->broadcast = broadcast != NULL && broadcast->type == JSON_BOOL && broadcast->b;
    out->text = string_of(m, "text");
    out->client_msg_id = string_of(m, "client_msg_id");
    if (out->text.len == 0)
        reply_error(f, c, m->id, code_text, SV("message text is missing"));
    else if (utf8_count(out->text) > f->conf.conf->api_text_max)
        reply_err(f, c, m->id, ERR_MSG_TOO_LONG);
    else if (!id_parse_channel(string_of(m, "channel"), &out->cid))
        reply_err(f, c, m->id, ERR_CHANNEL_NOT_FOUND);
    else if (key != NULL && key->type != JSON_NULL &&
             (out->client_msg_id.len == 0 || out->client_msg_id.len > client_msg_id_max))
        reply_err(f, c, m->id, ERR_INVALID_CLIENT_MSG_ID);
    else if (given(thread) &&
             (thread->type != JSON_STRING || !ts_parse(thread->s, &out->thread_ts_us)))
        reply_err(f, c, m->id, ERR_CANNOT_REPLY_TO_MESSAGE);
    else
        return true;
    return false;
}

static bool encode(struct fanout *f, struct post_req *r, const struct principal *p,
                   const struct message *m)
{
    struct buf members;
    struct post_json pj = {.team = p->team,
                           .uid = p->uid,
                           .bot_id = p->bot_id,
                           .app_id = p->app_id,
                           .text = m->text,
                           .client_msg_id = m->client_msg_id};
    const struct row_user *u = p->bot_id == ID_NONE ? NULL : dir_user(f->conf.dir, p->team, p->uid);
    if (u != NULL)
        pj.bot_name = u->name; /* as chat.postMessage has it: one bot, one profile */
    buf_init(&members, &r->arena, m->text.len + 512);
    uint32_t content_at = post_json_members(&members, &pj);
    r->text = arena_dup(&r->arena, m->text);
    r->post = (struct chan_post){.team = p->team,
                                 .uid = p->uid,
                                 .members = buf_view(&members),
                                 .content_at = content_at,
                                 .thread_ts_us = m->thread_ts_us,
                                 .broadcast = m->broadcast && m->thread_ts_us != 0,
                                 .deadline_us = f->turn->mono_us +
                                                f->conf.conf->http_request_timeout_ms * 1000};
    if (m->client_msg_id.len > 0) {
        r->post.client_msg_id = arena_dup(&r->arena, m->client_msg_id);
        key128_of(r->post.key128, m->client_msg_id);
    }
    return !members.failed && r->text.p != NULL &&
           (m->client_msg_id.len == 0 || r->post.client_msg_id.p != NULL) &&
           arena_charge(&r->arena);
}

static void give_post(struct fanout *f, struct post_req *r)
{
    arena_deinit(&r->arena);
    slab_give(&f->posts, r->handle);
}

/* NULL: refused before anything was sent, so a retry is safe. */
static struct post_req *new_post(struct fanout *f, const struct principal *p,
                                 const struct message *m)
{
    uint64_t handle;
    struct post_req *r = slab_take(&f->posts, &handle);
    if (r == NULL)
        return NULL;
    if (arena_init(&r->arena, &f->arenas, request_arena_max) != ERR_OK) {
        slab_give(&f->posts, handle);
        return NULL;
    }
    r->handle = handle;
    if (encode(f, r, p, m))
        return r;
    give_post(f, r);
    return NULL;
}

static void send_post(struct fanout *f, struct post_req *r)
{
    struct cell *cell = outbox_request(f->turn->out, r->gate.dst);
    ASSERT(cell != NULL); /* gate_open, gate_next */
    cell->type = CHAN_POST;
    cell->cid = r->cid;
    cell->req = r->handle;
    cell->u.p = &r->post;
    gate_sent(&r->gate);
}

/* False: too many wait already. */
static bool send_or_wait(struct fanout *f, struct post_req *r)
{
    if (gate_open(&f->gate, &r->gate, f->turn->out->credits[r->gate.dst])) {
        send_post(f, r);
        return true;
    }
    if (!gate_has_room(&r->gate, posts_waiting_max(f) - f->gate.waiting))
        return false;
    gate_put(&f->gate, &r->gate);
    return true;
}

static void on_message(struct fanout *f, struct fan_conn *c, const struct rtm *m)
{
    struct message msg;
    struct principal *p = speaker(f, c);
    if (p == NULL)
        return;
    if (m->id <= 0) {
        say_error(f, c, SV("message id is missing"));
        return;
    }
    if (!within_rate(f, p)) {
        reply_error(f, c, m->id, code_rate, SV("slow down, too many messages..."));
        return;
    }
    if (!judge(f, c, m, &msg))
        return;
    struct post_req *r = f->draining ? NULL : new_post(f, p, &msg);
    if (r == NULL) {
        metric_add(f->turn->metrics, METRIC_RING_STALLS, !f->draining);
        reply_err(f, c, m->id, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    r->conn = c->self;
    r->reply_to = m->id;
    r->cid = msg.cid;
    gate_aim(&f->gate, &r->gate, f->conf.chans[chan_of(r->cid, f->conf.chans_len)], r->cid, p->team,
             true);
    if (send_or_wait(f, r)) {
        c->requests_out++;
        return;
    }
    give_post(f, r);
    metric_add(f->turn->metrics, METRIC_RING_STALLS, 1);
    reply_err(f, c, m->id, ERR_SERVICE_UNAVAILABLE);
}

static void reply_ok(struct fanout *f, struct fan_conn *c, const struct post_req *r, bool duplicate)
{
    struct buf b;
    struct json_out j = reply(f, &b);
    json_kv_bool(&j, "ok", true);
    json_kv_u64(&j, "reply_to", (uint64_t)r->reply_to);
    json_kv_ts(&j, "ts", r->post.ts_us);
    /* Of a very long text the client gets the ts alone: it knows what it sent. Of a known key too:
     * the text that is stored under that ts is the first one, which may not be this. */
    if (!duplicate && r->post.members.len <= reply_text_max) {
        json_key(&j, "text");
        post_json_text(&j, &f->scratch, r->text);
    }
    put_reply(f, c, &j);
}

void on_posted(struct fanout *f, const struct cell *cell)
{
    struct post_req *r = slab_find(&f->posts, cell->req);
    ASSERT(r != NULL); /* one answer each */
    struct fan_conn *c = MUTANT(REPLY_TO_ANY_GENERATION, conn_find(f, r->conn),
                                slab_at(&f->conns, slab_index(r->conn), &(uint64_t){0}));
    if (c != NULL) {
        c->requests_out--;
        arena_reset(&f->scratch);
        if (c->state <= FAN_OPEN && cell->err == ERR_OK)
            reply_ok(f, c, r, (cell->flags & CHAN_F_DUPLICATE) != 0);
        else if (c->state <= FAN_OPEN)
            reply_err(f, c, r->reply_to, (enum err)cell->err);
    }
    gate_back(&r->gate);
    give_post(f, r);
    if (c != NULL)
        conn_unblock(f, c);
}

/* It waited over turns: its socket may have ended, by a revoked token too, and its time have
 * passed. Nothing of it was sent. */
static bool still_good(struct fanout *f, const struct post_req *r, struct fan_conn *c)
{
    if (c == NULL || c->state > FAN_OPEN)
        return false;
    if (r->post.deadline_us > f->turn->mono_us)
        return true;
    arena_reset(&f->scratch);
    reply_err(f, c, r->reply_to, ERR_DEADLINE);
    return false;
}

static void resume(struct fanout *f, struct post_req *r)
{
    struct fan_conn *c = conn_find(f, r->conn);
    if (still_good(f, r, c)) {
        send_post(f, r);
        return;
    }
    give_post(f, r);
    if (c != NULL) {
        c->requests_out--;
        conn_unblock(f, c);
    }
}

static struct post_req *of_item(struct gate_item *i)
{
    return (struct post_req *)((char *)i - offsetof(struct post_req, gate));
}

/* All have the same time, so that the first is the next whose time is up. */
static struct gate_item *late_or_next(struct fanout *f, actor_id to)
{
    struct gate_item *first = f->gate.lines[to].first;
    if (first != NULL && of_item(first)->post.deadline_us <= f->turn->mono_us)
        return first;
    return gate_next(&f->gate, to, f->turn->out->credits[to]);
}

void rtm_resume(struct fanout *f)
{
    gate_turn(&f->gate, f->turn->mono_us);
    for (uint16_t c = 0; c < f->conf.chans_len && f->gate.waiting > 0; c++) {
        actor_id to = f->conf.chans[c];
        struct gate_item *i;
        gate_scan(&f->gate, to);
        while ((i = late_or_next(f, to)) != NULL) {
            gate_leave(&f->gate, i);
            resume(f, of_item(i));
        }
    }
}

/* ---- dispatch ---- */

void rtm_text(struct fanout *f, struct fan_conn *c, struct str_view text)
{
    struct rtm m = {0};
    arena_reset(&f->scratch);
    if (json_read_object(f->json, &f->scratch, text, &m.members, &m.len) != ERR_OK) {
        say_error(f, c, SV("invalid JSON"));
        return;
    }
    const struct json_value *id = json_find(m.members, m.len, SV("id"));
    m.id = id != NULL && id->type == JSON_INT && id->i > 0 ? id->i : 0;
    struct str_view type = string_of(&m, "type");
    if (sv_eq(type, SV("ping")))
        on_ping(f, c, &m);
    else if (sv_eq(type, SV("typing")))
        on_typing(f, c, &m);
    else if (sv_eq(type, SV("message")))
        on_message(f, c, &m);
    else if (sv_eq(type, SV("presence_sub")) || sv_eq(type, SV("presence_query")))
        on_presence(f, c, &m, sv_eq(type, SV("presence_sub")));
    /* Anything else is for a newer server, or noise that old clients make: { "kind": "ping" }. */
}
