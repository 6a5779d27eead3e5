/* request.c - the life of a request: judged by its head, run when whole, answered exactly once. */
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

void req_on_answer(struct acceptor *a, const struct cell *cell)
{
    struct request *r = slab_find(&a->requests, cell->req);
    ASSERT(r != NULL && r->state == REQ_OUT);
    gate_back(&r->out.gate);
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
