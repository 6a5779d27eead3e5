/* conn.c - the life of a connection: bytes become requests, answers leave in their order, at most
 * one send under way, deadlines on the steady clock. Everything that is due happens in hconn_step
 * at the end of the turn, so that answers that became ready together leave in one send. */
#include "base/mutant.h"
#include "api/internal.h"

#include <stdlib.h>

void hconn_mark(struct hconn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->dirty_next = c->a->dirty;
    c->a->dirty = c;
}

bool hconn_blocked(const struct hconn *c)
{
    return c->closing || c->ending || c->starved || c->parked > 0 ||
           c->under_way >= c->a->conf.conf->http_pipeline_max ||
           (c->last != NULL && c->last->state == REQ_UPGRADE) ||
           (c->reading != NULL && upload_blocked(c->reading));
}

static struct hconn *find(struct acceptor *a, conn_id id)
{
    uint32_t i = slab_index(id);
    return i < a->conns_cap && a->conns[i].id == id ? &a->conns[i] : NULL;
}

/* ---- reading ---- */

static bool begin_request(struct hconn *c)
{
    struct request *r = req_new(c);
    if (r == NULL) { /* tried again once this connection's own requests are done */
        c->starved = true;
        hconn_mark(c);
        return false;
    }
    if (c->last != NULL)
        c->last->next = r;
    else
        c->first = r;
    c->last = c->reading = r;
    return true;
}

/* Parses what may be parsed; returns how many bytes were taken. */
static size_t parse(struct hconn *c, const uint8_t *p, size_t n)
{
    size_t at = 0;
    bool feed_none = false; /* behind a head: a request without a body is whole already */
    while (!hconn_blocked(c) && (at < n || feed_none)) {
        size_t used = 0;
        enum err why = ERR_OK;
        if (c->reading == NULL && !begin_request(c))
            break;
        struct request *r = c->reading;
        bool fresh = !http_parser_started(r->parser);
        enum http_step step = http_parser_feed(r->parser, p + at, n - at, &used, &why);
        at += used;
        r->fed += used;
        if (fresh && http_parser_started(r->parser))
            req_begins(r);
        feed_none = false;
        if (!arena_charge(&r->arena) && step != HTTP_FAILED) {
            step = HTTP_FAILED;
            why = ERR_NOMEM;
        }
        switch (step) {
        case HTTP_MORE:
            if (r->refused != ERR_OK && r->fed > refused_body_max)
                req_end(r, r->refused);
            break;
        case HTTP_HEAD_DONE:
            r->fed = 0;
            req_head_done(r);
            feed_none = c->reading != NULL;
            break;
        case HTTP_FULL:
            break;
        case HTTP_DONE:
            req_whole(r);
            break;
        case HTTP_FAILED:
            req_end(r, why);
            break;
        }
    }
    return at;
}

static void drop_held(struct hconn *c)
{
    free(c->held);
    c->held = NULL;
    c->held_len = c->held_at = 0;
}

void hconn_reset(struct hconn *c)
{
    c->ending = true;
    drop_held(c);
    net_close(&c->a->conf.net, c->id, NET_CLOSE_RESET);
}

static void hold(struct hconn *c, const uint8_t *p, size_t n)
{
    size_t old = c->held_len - c->held_at;
    if (n == 0 || c->closing || c->ending)
        return;
    uint8_t *more = malloc(old + n);
    if (more == NULL) {
        hconn_reset(c);
        return;
    }
    if (old > 0)
        memcpy(more, c->held + c->held_at, old);
    memcpy(more + old, p, n);
    free(c->held);
    c->held = more;
    c->held_len = (uint32_t)(old + n);
    c->held_at = 0;
}

static void parse_held(struct hconn *c)
{
    if (c->held == NULL)
        return;
    if (!c->closing)
        c->held_at += (uint32_t)parse(c, c->held + c->held_at, c->held_len - c->held_at);
    if (c->held_at == c->held_len || c->closing)
        drop_held(c);
}

static void on_data(void *self, conn_id id, uint8_t *p, size_t n, struct turn *t)
{
    struct acceptor *a = self;
    struct hconn *c = find(a, id);
    a->t = t;
    if (c == NULL || c->closing || c->ending)
        return; /* what comes behind the end is thrown away, so that the peer can read our answer */
    hconn_mark(c);
    size_t used = c->held == NULL ? parse(c, p, n) : 0;
    hold(c, p + used, n - used);
}

static void on_end(void *self, conn_id id, struct turn *t)
{
    struct acceptor *a = self;
    struct hconn *c = find(a, id);
    a->t = t;
    if (c == NULL)
        return;
    c->ended = true;
    hconn_mark(c);
}

/* ---- deadlines ---- */

static uint64_t due_us(const struct hconn *c)
{
    if (c->ending || c->sending)
        return 0; /* net watches a peer that does not read */
    if (c->reading != NULL && http_parser_started(c->reading->parser))
        return c->paused ? 0 : c->reading->read_due_us;
    if (c->first == c->reading) /* both NULL, or empty lines before a request */
        return c->idle_since_us + c->a->conf.conf->http_idle_timeout_ms * 1000;
    return 0;
}

static void end(struct hconn *c)
{
    c->ending = true;
    drop_held(c);
    net_close(&c->a->conf.net, c->id, NET_CLOSE_FLUSH);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct hconn *c = (struct hconn *)((char *)timer - offsetof(struct hconn, timer));
    c->a->t = ctx;
    c->timer_due_us = 0;
    uint64_t due = due_us(c);
    if (due == 0)
        return;
    if (due > c->a->t->mono_us) {
        hconn_mark(c);
        return;
    }
    if (c->reading != NULL && http_parser_started(c->reading->parser)) {
        req_end(c->reading, ERR_REQUEST_TIMEOUT);
        hconn_mark(c);
    } else {
        end(c);
    }
}

/* A deadline moves with each request, mostly to later: then the timer stays as it is, and looks
 * again when it fires. So a busy connection does not visit the wheel. */
static void arm(struct hconn *c)
{
    uint64_t due = due_us(c);
    if (due == 0 || (c->timer_due_us != 0 && c->timer_due_us <= due))
        return;
    c->timer.fire = on_timer;
    wheel_arm(c->a->t->wheel, &c->timer, due);
    c->timer_due_us = due;
}

/* A reader that was stopped by us gets its time anew. */
static void pause_or_resume(struct hconn *c)
{
    bool stop = !c->closing && (hconn_blocked(c) || c->held != NULL);
    if (stop == c->paused)
        return;
    c->paused = stop;
    if (stop) {
        net_pause(&c->a->conf.net, c->id);
        return;
    }
    if (c->reading != NULL) {
        const struct conf *conf = c->a->conf.conf;
        uint64_t ms =
            c->reading->state == REQ_HEAD ? conf->http_head_timeout_ms : conf->http_body_timeout_ms;
        c->reading->read_due_us = c->a->t->mono_us + ms * 1000;
    }
    net_resume(&c->a->conf.net, c->id);
}

/* ---- sending ---- */

/* The next piece of a file, if it is here. */
static void send_file(struct hconn *c)
{
    struct request *r = c->first;
    struct iovec v[2], piece = transfer_piece(r->transfer);
    unsigned n = 0;
    if (piece.iov_len == 0)
        return;
    if (r->head.len > 0)
        v[n++] = (struct iovec){(void *)(uintptr_t)r->head.p, r->head.len};
    v[n++] = piece;
    c->sending = c->sending_file = true;
    net_send(&c->a->conf.net, c->id, v, n);
}

static void on_file_sent(struct hconn *c)
{
    struct request *r = c->first;
    r->head = SV("");
    if (!transfer_sent(r->transfer))
        return;
    r->state = REQ_SENDING;
    c->sending_n = 1;
}

static void send_answers(struct hconn *c)
{
    struct iovec v[net_iov_max];
    unsigned n = 0;
    if (c->first != NULL && c->first->state == REQ_FILE) {
        send_file(c);
        return;
    }
    for (struct request *r = MUTANT(PIPELINE_OUT_OF_ORDER, c->first, c->last);
         r != NULL && r->state == REQ_ANSWERED && n + 2 <= net_iov_max; r = r->next) {
        v[n++] = (struct iovec){(void *)(uintptr_t)r->head.p, r->head.len};
        if (r->answer_body.len > 0)
            v[n++] = (struct iovec){(void *)(uintptr_t)r->answer_body.p, r->answer_body.len};
        r->state = REQ_SENDING;
        c->sending_n++;
    }
    if (n == 0)
        return;
    c->sending = true;
    net_send(&c->a->conf.net, c->id, v, n);
}

static void send_constant(struct hconn *c, struct str_view text)
{
    struct iovec v = {(void *)(uintptr_t)text.p, text.len};
    c->sending = true;
    net_send(&c->a->conf.net, c->id, &v, 1);
}

static void on_sent(void *self, conn_id id, enum err err, struct turn *t)
{
    struct acceptor *a = self;
    struct hconn *c = find(a, id);
    a->t = t;
    if (c == NULL)
        return;
    bool file = c->sending_file;
    c->sending = c->sending_file = false;
    if (err == ERR_OK && file)
        on_file_sent(c);
    for (; c->sending_n > 0; c->sending_n--) {
        struct request *r = c->first;
        ASSERT(r != NULL && r->state == REQ_SENDING);
        c->first = r->next;
        if (c->first == NULL)
            c->last = NULL;
        c->under_way--;
        if (err == ERR_OK) /* else on_close follows */
            stage_mark(r, STAGE_SENT);
        stages_done(r);
        req_free(r);
    }
    c->idle_since_us = t->mono_us;
    hconn_mark(c);
}

/* ---- what is due ---- */

static void step_starved(struct hconn *c)
{
    if (!c->starved || c->first != NULL)
        return;
    c->starved = false;
    if (c->held == NULL || begin_request(c)) {
        hconn_mark(c);
        return;
    }
    c->starved = false;
    c->closing = true;
    metric_add(c->a->t->metrics, METRIC_HTTP_ERRORS, 1);
    send_constant(c, answer_busy(c->a));
}

/* All that the client had to say is read: its requests are answered, half of one is not waited for.
 */
static void step_ended(struct hconn *c)
{
    if (!c->ended || c->closing || c->held != NULL)
        return;
    if (c->reading != NULL && http_parser_started(c->reading->parser))
        req_end(c->reading, ERR_REQUEST_TIMEOUT);
    c->closing = true;
}

/* Nothing that was read is answered yet and the client waits for a word before it sends its body.
 */
static void step_continue(struct hconn *c)
{
    struct request *r = c->first;
    if (r == NULL || r != c->reading || !r->wants_100)
        return;
    r->wants_100 = false;
    send_constant(c, SV("HTTP/1.1 100 Continue\r\n\r\n"));
}

void hconn_step(struct hconn *c)
{
    if (c->id == CONN_NONE || c->ending)
        return;
    parse_held(c);
    step_ended(c);
    if (!c->sending && !c->ending)
        send_answers(c);
    if (!c->sending && !c->ending && c->first != NULL && c->first->state == REQ_UPGRADE) {
        upgrade_hand_over(c->first);
        return;
    }
    if (!c->sending && !c->ending)
        step_starved(c);
    if (!c->sending && !c->ending)
        step_continue(c);
    if (!c->sending && !c->ending && c->closing &&
        MUTANT(HALF_CLOSED_UNANSWERED, c->first == c->reading, c->ended || c->first == c->reading))
        end(c); /* nothing is owed; reading: not one byte of it has come */
    if (!c->ending)
        pause_or_resume(c);
    arm(c);
}

void hconn_drain(struct hconn *c, bool late)
{
    if (c->id == CONN_NONE || c->ending)
        return;
    if (c->sending) {
        if (late)
            hconn_reset(c);
    } else if (c->first == NULL || (c->first == c->reading && c->reading->state == REQ_HEAD)) {
        end(c);
    } else if (late && c->first->state == REQ_FILE) {
        hconn_reset(c);
    } else if (late && c->reading != NULL) {
        req_end(c->reading, ERR_SERVICE_UNAVAILABLE);
        hconn_mark(c);
    }
}

/* ---- opening and closing ---- */

static void set_addr(struct hconn *c, const struct net_peer *peer)
{
    if (peer->addr.ss_family == AF_INET)
        memcpy(&c->addr.v4, &peer->addr, sizeof c->addr.v4);
    else if (peer->addr.ss_family == AF_INET6)
        memcpy(&c->addr.v6, &peer->addr, sizeof c->addr.v6);
}

static void on_open(void *self, conn_id id, const struct net_peer *peer, struct turn *t)
{
    struct acceptor *a = self;
    uint32_t i = slab_index(id);
    a->t = t;
    if (i >= a->conns_cap || a->conns[i].id != CONN_NONE) {
        metric_add(t->metrics, METRIC_CONNS_REFUSED, 1);
        net_close(&a->conf.net, id, NET_CLOSE_RESET);
        return;
    }
    struct hconn *c = &a->conns[i];
    bool dirty = c->dirty; /* of its slot's earlier life, in this turn */
    struct hconn *dirty_next = c->dirty_next;
    *c = (struct hconn){.a = a,
                        .id = id,
                        .idle_since_us = t->mono_us,
                        .listener = peer->listener,
                        .tls = peer->tls,
                        .dirty = dirty,
                        .dirty_next = dirty_next};
    set_addr(c, peer);
    c->trusted = proxies_have(a, &c->addr);
    a->conns_len++;
    hconn_mark(c);
}

void hconn_free(struct hconn *c)
{
    struct acceptor *a = c->a;
    wheel_disarm(a->t->wheel, &c->timer);
    for (struct request *r = c->first; r != NULL;) {
        struct request *next = r->next;
        r->conn = NULL;
        r->next = NULL;
        bool waits = r->goes_on && r->state == REQ_PARKED;
        if (!waits)
            park_leave(r);
        if (r->state == REQ_ANSWERED || r->state == REQ_SENDING || r->state == REQ_FILE)
            stages_done(r);
        /* Else whoever has its arena answers first, or its list comes to it. */
        if (!waits && r->state != REQ_OUT && r->state != REQ_LISTING)
            req_free(r);
        r = next;
    }
    drop_held(c);
    c->first = c->last = c->reading = NULL;
    c->id = CONN_NONE;
    a->conns_len--;
}

static void on_close(void *self, conn_id id, enum err why, struct turn *t)
{
    struct acceptor *a = self;
    struct hconn *c = find(a, id);
    (void)why;
    a->t = t;
    if (c != NULL)
        hconn_free(c);
}

const struct net_owner_ops acceptor_net_ops = {.on_open = on_open,
                                               .on_data = on_data,
                                               .on_sent = on_sent,
                                               .on_close = on_close,
                                               .on_end = on_end};
