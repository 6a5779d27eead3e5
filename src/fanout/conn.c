/* conn.c - the life of a socket: upgrade or refusal, frames in, close. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mutant.h"
#include "dir/presence.h"
#include "fanout/internal.h"
#include "http1/write.h"

enum { head_max = 1024, retry_after_max_s = 8 };

/* ---- answers to the upgrade ---- */

static void write_request_id(struct buf *b, const struct fan_upgrade *u)
{
    struct str_view id = {u->request_id, strnlen(u->request_id, sizeof u->request_id)};
    if (id.len > 0)
        http_write_field(b, "X-Request-Id", id);
}

static bool put_101(struct fanout *f, struct fan_conn *c, const struct fan_upgrade *u)
{
    char text[head_max];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    http_write_status(&b, 101);
    http_write_field(&b, "Upgrade", SV("websocket"));
    http_write_field(&b, "Connection", SV("Upgrade"));
    http_write_field(&b, "Sec-WebSocket-Accept", (struct str_view){u->accept, sizeof u->accept});
    write_request_id(&b, u);
    http_write_end(&b);
    ASSERT(!b.failed);
    return queue_own(f, c, true, b.p, b.len, SV_NONE);
}

static void refuse(struct fanout *f, struct fan_conn *c, const struct fan_upgrade *u, enum err err)
{
    char text[head_max], body[128];
    struct buf b, j;
    buf_init_fixed(&j, body, sizeof body);
    buf_printf(&j, "{\"ok\":false,\"error\":\"%s\"}", err_slack(err));
    buf_init_fixed(&b, text, sizeof text);
    http_write_status(&b, err_http(err));
    http_write_date(&b, f->turn->wall_us);
    http_write_field(&b, "Content-Type", SV("application/json; charset=utf-8"));
    http_write_field_u64(&b, "Content-Length", j.len);
    if (err_http(err) == 503)
        http_write_field_u64(&b, "Retry-After", 1 + rand_below(f->turn->rand, retry_after_max_s));
    http_write_field(&b, "Connection", SV("close"));
    write_request_id(&b, u);
    http_write_end(&b);
    ASSERT(!b.failed && !j.failed);
    metric_add(f->turn->metrics, METRIC_TICKETS_REFUSED, 1);
    log_debug("upgrade_refused", "\"error\":\"%s\",\"request\":%s", err_code_name(err),
              log_str(sv_from(u->request_id)));
    if (queue_own(f, c, true, b.p, b.len, buf_view(&j)))
        c->state = FAN_CLOSING; /* flushed at the end of the turn, then closed */
}

/* ---- opening ---- */

/* An expired ticket is refused like an unknown one, by 403. (Slack opens the socket and sends an
 * error frame; an unmodified client asks for a new URL either way.) 404 would be fatal to slack-go.
 * The token is read again: it may have been revoked after the ticket was issued, and an upgrade on
 * its way here is in no table that the revocation could clear. */
static enum err admit(struct fanout *f, const struct fan_upgrade *u, struct ticket *k)
{
    struct principal *p;
    if (f->draining)
        return ERR_SERVICE_UNAVAILABLE;
    if (f->open >= f->conns_max)
        return ERR_FULL;
    if (!ticket_take(f, u->ticket, k) || dir_token_by_tag(f->conf.dir, k->token_tag, &p) != ERR_OK)
        return ERR_INVALID_TICKET;
    return p->uid == k->uid && p->team == k->team ? ERR_OK : ERR_INVALID_TICKET;
}

static void set_open(struct fanout *f, uint32_t n)
{
    f->open = n;
    metric_set(f->turn->metrics, METRIC_WS_OPEN, n);
}

static void count_presence(struct fanout *f, const struct fan_conn *c, int sockets)
{
    struct presence *p = dir_presence(f->conf.dir, c->team, c->uid);
    if (p != NULL)
        presence_count(p, sockets, f->turn->wall_us / 1000000);
}

static void open_socket(struct fanout *f, struct fan_conn *c, const struct ticket *k)
{
    c->team = k->team;
    c->uid = k->uid;
    c->token_tag = k->token_tag;
    c->since_us = k->since_us;
    c->resumes = k->resumes;
    c->batch_presence = k->batch_presence;
    c->state = FAN_OPENING;
    if (!f->replay.listened)
        f->replay.gap_us = MAX(f->replay.gap_us, f->turn->wall_us);
    f->replay.listened = true;
    conn_index(f, c);
    count_presence(f, c, 1);
    set_open(f, f->open + 1);
    f->hot[slab_index(c->self)] =
        (struct hot){.conn = c->self, .heard_ms = (uint32_t)(f->turn->mono_us / 1000)};
    ask_memberships(f, c);
}

static void input(struct fanout *f, struct fan_conn *c, uint8_t *p, size_t n);

static void on_adopt(void *self, conn_id net, struct net_adopt *a, struct turn *t)
{
    struct fanout *f = self;
    const struct fan_upgrade *u = a->owner_data;
    struct ticket k;
    f->turn = t;
    struct fan_conn *c = conn_take(f, net);
    if (c == NULL) { /* the room for refusals is used up too */
        net_close(&f->conf.net, net, NET_CLOSE_RESET);
        net_adopt_free(a);
        return;
    }
    ws_decoder_init(&c->ws, (uint32_t)f->conf.conf->ws_message_max);
    enum err err = admit(f, u, &k);
    if (err != ERR_OK) {
        refuse(f, c, u, err);
    } else if (put_101(f, c, u)) {
        open_socket(f, c, &k);
        log_debug("socket_opened", "\"request\":%s,\"uid\":%llu", log_str(sv_from(u->request_id)),
                  (unsigned long long)c->uid);
        if (a->leftover_len > 0)
            input(f, c, a->leftover, a->leftover_len);
    }
    net_adopt_free(a);
}

void conn_ready(struct fanout *f, struct fan_conn *c, const struct hint *missed)
{
    c->state = FAN_OPEN;
    if (c->left_out)
        log_debug("channels_left_out", "\"uid\":%llu,\"subscriptions\":%u",
                  (unsigned long long)c->uid, c->subs_len);
    queue_text(f, c, true,
               c->left_out ? SV("{\"type\":\"hello\",\"channels_left_out\":true}")
                           : SV("{\"type\":\"hello\"}"));
    if (missed->all || missed->len > 0)
        queue_hint(f, c, true, missed); /* older than all events that wait */
    if (MUTANT(RESUMED_NOT_SAID, c->resumes, false))
        queue_text(f, c, false, SV("{\"type\":\"resumed\"}"));
}

/* ---- closing ---- */

void conn_reset(struct fanout *f, struct fan_conn *c)
{
    if (c->state == FAN_GONE)
        return;
    c->state = FAN_GONE;
    net_close(&f->conf.net, c->net, NET_CLOSE_RESET);
}

void conn_end(struct fanout *f, struct fan_conn *c, uint16_t status, struct str_view reason)
{
    uint8_t frame[2 + ws_control_max];
    if (c->state > FAN_OPEN)
        return;
    queue_drop_events(f, c, false);
    size_t n = ws_encode_close(frame, status, reason);
    if (queue_own(f, c, false, frame, n, SV_NONE)) /* behind the replies, last of all */
        c->state = FAN_CLOSING;
    log_debug("socket_ending", "\"uid\":%llu,\"status\":%u", (unsigned long long)c->uid,
              (unsigned)status);
}

void conns_revoke(struct fanout *f, uint64_t tag, uint64_t uid)
{
    for (uint32_t i = 0; i < f->conns.cap; i++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, i, &handle);
        if (c == NULL || !c->indexed || (tag != 0 ? c->token_tag != tag : c->uid != uid))
            continue;
        if (MUTANT(REVOKED_SOCKET_STAYS, true, false))
            conn_end(f, c, WS_STATUS_POLICY, SV("token revoked"));
    }
}

static void on_close(void *self, conn_id net, enum err why, struct turn *t)
{
    (void)why;
    struct fanout *f = self;
    struct fan_conn *c = conn_by_net(f, net);
    f->turn = t;
    if (c == NULL)
        return;
    if (c->indexed) {
        set_open(f, f->open - 1);
        count_presence(f, c, MUTANT(PRESENT_FOR_EVER, -1, 0));
    }
    presence_forget(f, c);
    f->hot[slab_index(c->self)].conn = SLAB_NONE;
    ask_leave_line(f, c);
    subs_remove_all(f, c);
    conn_unindex(f, c);
    queue_free(f, c);
    ws_decoder_deinit(&c->ws);
    free(c->held);
    conn_give(f, c);
}

/* ---- bytes in ---- */

static bool blocked(const struct fanout *f, const struct fan_conn *c)
{
    return c->requests_out >= f->conf.conf->ws_requests_max ||
           queue_bytes(c) >= f->conf.conf->ws_queue_soft_bytes;
}

static void pong(struct fanout *f, struct fan_conn *c, struct str_view payload)
{
    uint8_t head[ws_header_max];
    size_t n = ws_encode_header(head, WS_PONG, payload.len);
    queue_own(f, c, true, head, n, payload);
}

static void on_message(struct fanout *f, struct fan_conn *c, const struct ws_message *m)
{
    switch (m->opcode) {
    case WS_TEXT:
        rtm_text(f, c, m->payload);
        return;
    case WS_PING:
        pong(f, c, m->payload);
        return;
    case WS_CLOSE: /* RFC 6455 5.5.1: answered with the same code, then nothing more */
        conn_end(f, c, m->close_status, SV_NONE);
        return;
    case WS_BINARY:
        conn_end(f, c, WS_STATUS_UNSUPPORTED, SV("text only"));
        return;
    case WS_PONG:
    case WS_CONTINUATION:
        return;
    }
}

static void hold(struct fanout *f, struct fan_conn *c, const uint8_t *p, size_t n)
{
    uint8_t *more = realloc(c->held, c->held_len + n);
    if (more == NULL) {
        conn_reset(f, c);
        return;
    }
    memcpy(more + c->held_len, p, n);
    c->held = more;
    c->held_len += (uint32_t)n;
}

/* What fills a bound stops the decoding between two frames: the rest is held, net reads no more. */
static void input(struct fanout *f, struct fan_conn *c, uint8_t *p, size_t n)
{
    enum ws_step step = WS_MESSAGE;
    while (step == WS_MESSAGE && c->state <= FAN_OPEN) {
        struct ws_message m;
        uint16_t status = 0;
        size_t used = 0;
        if (n > 0 && blocked(f, c)) {
            hold(f, c, p, n);
            break;
        }
        step = ws_decode(&c->ws, p, n, &used, &m, &status); /* at last with nothing */
        if (step == WS_FAILED) {
            metric_add(f->turn->metrics, METRIC_WS_PROTOCOL_ERRORS, 1);
            conn_end(f, c, status, SV_NONE);
        } else if (step == WS_MESSAGE) {
            on_message(f, c, &m);
        }
        p += used;
        n -= used;
    }
    if (c->state <= FAN_OPEN && !c->paused && blocked(f, c)) {
        c->paused = true;
        net_pause(&f->conf.net, c->net);
    }
}

void conn_unblock(struct fanout *f, struct fan_conn *c)
{
    if (c->state > FAN_OPEN || !c->paused || blocked(f, c))
        return;
    uint8_t *p = c->held;
    uint32_t n = c->held_len;
    c->held = NULL;
    c->held_len = 0;
    if (n > 0)
        input(f, c, p, n);
    free(p);
    if (c->state > FAN_OPEN || c->held_len > 0 || blocked(f, c))
        return;
    c->paused = false;
    net_resume(&f->conf.net, c->net);
}

static void on_data(void *self, conn_id net, uint8_t *p, size_t n, struct turn *t)
{
    struct fanout *f = self;
    struct fan_conn *c = conn_by_net(f, net);
    f->turn = t;
    if (c == NULL || c->state > FAN_OPEN)
        return;
    struct hot *h = &f->hot[slab_index(c->self)];
    h->heard_ms = (uint32_t)(t->mono_us / 1000);
    h->pings = 0;
    if (c->held_len > 0)
        hold(f, c, p, n);
    else
        input(f, c, p, n);
}

static void on_sent(void *self, conn_id net, enum err err, struct turn *t)
{
    struct fanout *f = self;
    struct fan_conn *c = conn_by_net(f, net);
    f->turn = t;
    if (c == NULL)
        return;
    uint64_t stuck_us = f->conf.conf->ws_stuck_ms * 1000;
    if (err == ERR_IO && c->state != FAN_GONE && t->mono_us - c->q->sent_us >= stuck_us)
        metric_add(t->metrics, METRIC_WS_SLOW_CLOSED, 1); /* net was first to see no progress */
    queue_sent(f, c);
    if (err == ERR_OK)
        conn_unblock(f, c);
}

void conn_ping(struct fanout *f, struct fan_conn *c)
{
    static const uint8_t ping[2] = {0x80 | WS_PING, 0};
    queue_own(f, c, true, ping, sizeof ping, SV_NONE);
}

static void on_open(void *self, conn_id net, const struct net_peer *peer, struct turn *t)
{
    (void)self, (void)net, (void)peer, (void)t;
    assert_failed("a fanout listens nowhere", __FILE__, __LINE__);
}

const struct net_owner_ops fanout_net_ops = {.on_open = on_open,
                                             .on_data = on_data,
                                             .on_sent = on_sent,
                                             .on_adopt = on_adopt,
                                             .on_close = on_close};
