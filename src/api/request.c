/* request.c - the life of a request: judged by its head, run when whole, parked while its target
 * has no credit, answered exactly once. */
#include "base/mutant.h"
#include "base/probe.h"
#include "api/internal.h"

#include "chan/chan.h"
#include "hist/hist_msg.h"

struct request *req_new(struct hconn *c)
{
    struct acceptor *a = c->a;
    const struct conf *conf = a->conf.conf;
    uint64_t handle;
    struct request *r = slab_take(&a->requests, &handle);
    if (r == NULL)
        return NULL;
    if (arena_init(&r->arena, &a->pool, arena_request_max) != ERR_OK) {
        slab_give(&a->requests, handle);
        return NULL;
    }
    r->a = a;
    r->conn = c;
    r->handle = handle;
    r->state = REQ_HEAD;
    r->started_us = a->t->mono_us;
    r->secure = c->tls;
    r->http_errors = conf->api_client_errors == 1;
    r->head_p = arena_alloc(&r->arena, head_bytes_max);
    r->error_p = arena_alloc(&r->arena, error_body_max);
    r->parser = arena_alloc(&r->arena, http_parser_bytes());
    ASSERT(r->head_p != NULL && r->error_p != NULL && r->parser != NULL);
    http_parser_init(r->parser, &a->limits);
    http_parser_begin(r->parser, &r->arena, &r->http);
    return r;
}

void req_begins(struct request *r)
{
    r->started_us = r->a->t->mono_us;
    PROBE(accepted, r->handle, r->a->conf.index, r->started_us);
    r->read_due_us = r->started_us + r->a->conf.conf->http_head_timeout_ms * 1000;
}

void req_free(struct request *r)
{
    struct acceptor *a = r->a;
    signin_end(r);
    transfer_leave(r);
    if (MUTANT(REQUEST_ARENA_LEAK, true, r->err == ERR_OK))
        arena_deinit(&r->arena);
    slab_give(&a->requests, r->handle);
}

void req_abandon(struct request *r)
{
    ASSERT(r->conn == NULL && r->goes_on);
    r->state = REQ_ANSWERED;
    r->next = r->a->abandoned;
    r->a->abandoned = r;
}

void req_free_abandoned(struct acceptor *a)
{
    while (a->abandoned != NULL) {
        struct request *r = a->abandoned;
        a->abandoned = r->next;
        stage_mark(r, STAGE_ANSWERED);
        stages_done(r);
        req_free(r);
    }
}

/* ---- reading ---- */

bool req_has_body(const struct request *r)
{
    return r->http.chunked || r->http.content_length > 0;
}

/* An unread body cannot be told from the next request. */
static bool must_end(const struct request *r, enum err err)
{
    return err == ERR_INVALID_POST_TYPE || r->http.expect_continue ||
           r->http.content_length > MIN(r->a->limits.body_max, refused_body_max);
}

void req_refuse(struct request *r, enum err err)
{
    r->refused = err;
    r->wants_100 = false;
    if (req_has_body(r) && (must_end(r, err) || r->fed > refused_body_max))
        req_end(r, err);
}

static enum err authorise_head(struct request *r)
{
    if (r->http.method == HTTP_OPTIONS)
        return ERR_OK;
    switch (r->route) {
    case ROUTE_API:
        TRY(auth_by_head(r));
        return form_upload_begin(r);
    case ROUTE_FILE:
        return auth_for_file(r);
    case ROUTE_UPLOAD:
        TRY(address_take_rate(r));
        return upload_begin(r);
    case ROUTE_PUBLIC:
        return address_take_rate(r);
    case ROUTE_NONE:
    case ROUTE_AVATAR:
    case ROUTE_RTM:
        break;
    }
    return ERR_OK;
}

void req_head_done(struct request *r)
{
    const struct conf *conf = r->a->conf.conf;
    r->state = REQ_BODY;
    r->read_due_us = r->a->t->mono_us + conf->http_body_timeout_ms * 1000;
    metric_add(r->a->t->metrics, METRIC_HTTP_REQUESTS, 1);
    enum err err = head_judge(r);
    if (err == ERR_OK)
        err = authorise_head(r);
    if (err != ERR_OK)
        req_refuse(r, err);
    else /* an upload is welcome once media says so */
        r->wants_100 = r->http.expect_continue && req_has_body(r) &&
                       (r->transfer == NULL || !r->transfer->shut);
}

static void stop_reading(struct request *r)
{
    struct hconn *c = r->conn;
    ASSERT(c->reading == r);
    c->reading = NULL;
    c->under_way++;
    r->state = REQ_RUNNING;
    r->wants_100 = false;
}

void req_end(struct request *r, enum err err)
{
    stop_reading(r);
    r->close = true;
    r->conn->closing = true;
    transfer_leave(r);
    answer_error(r, r->refused != ERR_OK ? r->refused : err);
}

enum err req_authorise(struct request *r)
{
    const struct method *m = r->method;
    if (m->who == WHO_ANYONE)
        return ERR_OK;
    if (r->known && r->turn != r->a->turn)
        TRY(auth_again(r));
    TRY(auth_by_args(r));
    if ((m->who & 1u << r->who.kind) == 0)
        return ERR_NOT_ALLOWED_TOKEN_TYPE;
    if (m->scopes != SCOPE_NONE && (r->who.scopes & m->scopes) == 0)
        return ERR_MISSING_SCOPE;
    if (req_is_guest(r) && (m->who & WHO_NO_GUESTS) != 0)
        return ERR_USER_IS_RESTRICTED;
    return ERR_OK;
}

static enum err prepare(struct request *r)
{
    TRY(r->refused);
    if (r->method == NULL)
        return ERR_OK;
    if (!r->args_gathered)
        TRY(args_gather(r));
    TRY(req_authorise(r));
    return args_check(r);
}

static void run(struct request *r)
{
    switch (r->route) {
    case ROUTE_API:
        r->method->run(r);
        return;
    case ROUTE_AVATAR:
        avatar_answer(r);
        return;
    case ROUTE_RTM:
        upgrade_judge(r);
        return;
    case ROUTE_UPLOAD:
        upload_whole(r);
        return;
    case ROUTE_FILE:
    case ROUTE_PUBLIC:
        download_start(r);
        return;
    case ROUTE_NONE:
        break;
    }
    ASSERT(false); /* refused by its head */
}

void req_whole(struct request *r)
{
    stop_reading(r);
    stage_mark(r, STAGE_PARSED);
    PROBE(parsed, r->handle, r->a->conf.index, r->a->t->mono_us, r->id);
    if (!r->http.keep_alive) {
        r->close = true;
        r->conn->closing = true;
    }
    if (r->fields.timeout.p == NULL) /* a slow upload has had its own deadline */
        r->deadline_us = r->a->t->mono_us + r->a->conf.conf->http_request_timeout_ms * 1000;
    enum err err = prepare(r);
    if (err != ERR_OK) {
        transfer_leave(r);
        answer_error(r, err);
    } else if (r->http.method == HTTP_OPTIONS) {
        answer_preflight(r);
    } else {
        run(r);
    }
}

/* ---- other actors ---- */

actor_id req_chan(const struct request *r, uint64_t cid)
{
    return r->a->conf.chans[chan_of(cid, r->a->conf.chans_len)];
}

actor_id req_hist(struct request *r)
{
    return r->a->conf.hists[r->a->hist_next++ % r->a->conf.hists_len];
}

struct hist_viewer req_viewer(const struct request *r)
{
    return (struct hist_viewer){.team = r->who.team,
                                .uid = r->who.uid,
                                .is_bot = r->who.kind == TOKEN_BOT,
                                .is_guest = req_is_guest(r)};
}

static bool send_now(struct request *r)
{
    struct cell *c = outbox_request(r->a->t->out, r->out.dst);
    if (c == NULL)
        return false;
    c->type = r->out.type;
    c->cid = r->out.cid;
    c->req = r->handle;
    c->u.p = r->out.p;
    r->state = REQ_OUT;
    if ((r->passed >> STAGE_QUEUED & 1) == 0) /* a second question is part of the answer */
        stage_mark(r, STAGE_QUEUED);
    PROBE(queued, r->handle, r->out.dst, r->a->t->mono_us, r->out.type);
    return true;
}

void req_on_answer(struct acceptor *a, const struct cell *cell)
{
    struct request *r = slab_find(&a->requests, cell->req);
    ASSERT(r != NULL && r->state == REQ_OUT);
    stages_take_post(r);
    if (r->conn == NULL && !r->goes_on) { /* the client has left; the arena is ours again */
        stage_mark(r, STAGE_ANSWERED);
        stages_done(r);
        req_free(r);
        return;
    }
    r->state = REQ_RUNNING;
    /* What the borrower wrote is paid for already; but lists could be so many and so long that all
     * memory went into them. They only read: refused, they may be asked for again. */
    if (!arena_charge(&r->arena) && r->arena.bytes > arena_request_max)
        answer_nomem(r);
    else
        r->then(r, cell);
}

/* ---- pacing: sockets that come back all at once do so at a rate ----
 *
 * A ticket is what every socket begins with. Whatever follows it (the upgrade, the hand-over, the
 * subscriptions, a page of history) comes at this pace too, and posts find the cores free. */

static bool in_turn(const struct request *r)
{
    return !r->out.paced || r->a->connect_due_us <= r->a->t->mono_us;
}

static void use_turn(const struct request *r)
{
    struct acceptor *a = r->a;
    const struct conf *conf = a->conf.conf;
    uint64_t each_us = 1000000 / conf->ws_connects_per_s;
    uint64_t saved_us = (conf->ws_connects_burst - 1) * each_us;
    if (!r->out.paced)
        return;
    if (a->connect_due_us + saved_us < a->t->mono_us)
        a->connect_due_us = a->t->mono_us - saved_us;
    a->connect_due_us += each_us;
}

/* The turn that it causes ends with park_resume. */
static void on_connect_due(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx;
}

/* ---- parking: first come, first served for each destination ---- */

static void park_deadline(struct timer *timer, void *ctx)
{
    struct request *r = (struct request *)((char *)timer - offsetof(struct request, timer));
    r->a->t = ctx;
    park_leave(r);
    answer_error(r, ERR_DEADLINE);
}

static void park_put(struct request *r)
{
    struct acceptor *a = r->a;
    struct park *p = &a->parked[r->out.dst];
    if (p->first == NULL)
        p->last = &p->first;
    r->park_next = NULL;
    r->park_link = p->last;
    *p->last = r;
    p->last = &r->park_next;
    r->state = REQ_PARKED;
    a->parked_len++;
    a->held_len += r->out.paced;
    if (r->conn != NULL) {
        r->conn->parked++;
        hconn_mark(r->conn);
    }
    if (r->goes_on)
        return;
    r->timer.fire = park_deadline;
    wheel_arm(a->t->wheel, &r->timer, r->deadline_us);
}

void park_leave(struct request *r)
{
    struct acceptor *a = r->a;
    if (r->state != REQ_PARKED)
        return;
    *r->park_link = r->park_next;
    if (r->park_next != NULL)
        r->park_next->park_link = r->park_link;
    else
        a->parked[r->out.dst].last = r->park_link;
    wheel_disarm(a->t->wheel, &r->timer);
    a->parked_len--;
    a->held_len -= r->out.paced;
    r->state = REQ_RUNNING;
    if (r->conn != NULL) {
        r->conn->parked--;
        hconn_mark(r->conn);
    }
}

static bool no_room_to_park(const struct request *r)
{
    const struct acceptor *a = r->a;
    const struct conf *conf = a->conf.conf;
    return r->out.paced ? a->held_len >= conf->ws_connects_held_max
                        : a->parked_len - a->held_len >= conf->http_parked_max;
}

static void send_or_park(struct request *r)
{
    struct acceptor *a = r->a;
    if (a->parked[r->out.dst].first == NULL && in_turn(r) && send_now(r)) {
        use_turn(r);
        return;
    }
    if (!r->goes_on && no_room_to_park(r)) {
        metric_add(a->t->metrics, METRIC_RING_STALLS, 1);
        answer_error(r, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    if (r->out.paced)
        metric_add(a->t->metrics, METRIC_CONNECTS_HELD, 1);
    park_put(r);
}

void req_send(struct request *r, actor_id dst, uint16_t type, uint64_t cid, void *p, req_then *then)
{
    r->then = then;
    r->out.dst = dst;
    r->out.type = type;
    r->out.paced = false;
    r->out.cid = cid;
    r->out.p = p;
    send_or_park(r);
}

void req_send_paced(struct request *r, actor_id dst, uint16_t type, void *p, req_then *then)
{
    r->then = then;
    r->out.dst = dst;
    r->out.type = type;
    r->out.paced = true;
    r->out.cid = ID_NONE;
    r->out.p = p;
    send_or_park(r);
}

/* It waited over turns: its token and its time are judged again. */
static enum err still_good(struct request *r)
{
    if (r->goes_on)
        return ERR_OK;
    if (r->deadline_us <= r->a->t->mono_us)
        return ERR_DEADLINE;
    return r->known ? auth_again(r) : ERR_OK;
}

void park_resume(struct acceptor *a)
{
    for (uint32_t dst = 0; dst < actors_max && a->parked_len > 0; dst++) {
        struct request *r;
        while ((r = a->parked[dst].first) != NULL && a->t->out->credits[dst] > 0 && in_turn(r)) {
            park_leave(r);
            enum err err = still_good(r);
            if (err != ERR_OK) {
                answer_error(r, err);
            } else {
                bool sent = send_now(r);
                ASSERT(sent);
                use_turn(r);
            }
        }
    }
    if (a->held_len > 0 && a->connect_due_us > a->t->mono_us && !timer_armed(&a->connect_timer)) {
        a->connect_timer.fire = on_connect_due;
        wheel_arm(a->t->wheel, &a->connect_timer, a->connect_due_us);
    }
}

/* A token was revoked: whoever waits with it is told now, before the revocation is acknowledged. */
void park_revoke(struct acceptor *a)
{
    for (uint32_t dst = 0; dst < actors_max && a->parked_len > 0; dst++) {
        for (struct request *r = a->parked[dst].first; r != NULL;) {
            struct request *next = r->park_next;
            enum err err = r->known && !r->goes_on ? auth_again(r) : ERR_OK;
            if (err != ERR_OK) {
                park_leave(r);
                answer_error(r, err);
            }
            r = next;
        }
    }
}
