#include "client.h"

#include <stdlib.h>

#include "world.h"

enum {
    backoff_max_us = 1500000,
    request_timeout_us = 25000000, /* then the client goes elsewhere with the same key */
    no_conn_us = 20000,            /* no token, or no server */
    turn_us = 1000,
    attempts_probe = 3
};

/* ---- life ---- */

void clients_init(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        struct client *cl = &w->clients[i];
        cl->w = w;
        cl->index = (uint16_t)i;
        cl->user = (uint8_t)(i % w->plan.users);
        cl->rng = rng_make(w->plan.seed, 100 + i);
        cl->http.depth = (uint32_t)rng_range(&cl->rng, 1, client_pipe_max);
        cl->extra.depth = 1;
        cl->wake_us = w->now_us;
        cl->probes = attempts_probe;
    }
}

void clients_deinit(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        free(w->clients[i].http.in.p);
        free(w->clients[i].extra.in.p);
        free(w->clients[i].ws.in.p);
        free(w->clients[i].ws.thief_in.p);
        view_begin(&w->clients[i]);
    }
}

void clients_on_crash(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.clients; i++)
        w->clients[i].woken = true;
}

/* A socket of a revoked token may end what it was sending, replies and the close frame, no more. */
void clients_on_send(struct world *w, const struct sim_conn *c)
{
    const struct socket *s = &w->clients[c->client].ws;
    if (s->conn != c || w->operator_.tokens[s->token].state != SIM_TOKEN_REVOKED)
        return;
    const uint8_t *p = c->iov[0].iov_base, *last = c->iov[c->iov_len - 1].iov_base;
    if (s->state >= SOCKET_OPEN && last[0] != 0x88)
        violation(w, "revoked_is_revoked", "something is sent to a socket of a revoked token");
    if (c->iov[0].iov_len >= 12 && memcmp(p, "HTTP/1.1 101", 12) == 0)
        violation(w, "revoked_is_revoked", "a socket is opened for a revoked token");
}

void clients_check_revoked(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        const struct socket *s = &w->clients[i].ws;
        if (s->conn != NULL && s->state >= SOCKET_OPEN && s->conn->state == SIM_OPEN &&
            w->operator_.tokens[s->token].state == SIM_TOKEN_REVOKED)
            violation(w, "revoked_is_revoked", "a socket of a revoked token (client %u) stays", i);
    }
}

uint32_t client_token(struct client *cl)
{
    struct operator* o = & cl->w->operator_;
    uint32_t t = operator_token_of(o, cl->user);
    if (t == operator_tokens_max && cl->w->up && cl->w->drain_stage < 0 &&
        cl->w->now_us >= cl->issue_us) {
        operator_issue(o, cl->user);
        cl->issue_us = cl->w->now_us + backoff_max_us * 4;
    }
    return t;
}

void client_retry(struct client *cl, const struct op *op)
{
    struct world *w = cl->w;
    if (op->kind == OP_CONNECT && cl->ws.state != SOCKET_ASKED)
        return;
    if (cl->retries_len == client_retries_max)
        violation(w, "simulator", "too many retries of one client");
    /* A socket is wanted first, but not again and again. */
    uint32_t at = op->kind == OP_CONNECT && op->attempts == 0 ? 0 : cl->retries_len;
    memmove(cl->retries + at + 1, cl->retries + at, (cl->retries_len - at) * sizeof *cl->retries);
    cl->retries[at] = *op;
    cl->retries_len++;
    bool at_once = op->attempts == 0 && rng_one_in(&cl->rng, 2);
    cl->retry_us = w->now_us + (at_once ? 0 : rng_skewed(&cl->rng, 0, backoff_max_us));
}

/* How many of these wait for an answer that must come. A socket may be refused for ever: there is
 * room for so many. */
static uint32_t must(const struct op *ops, uint32_t n)
{
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < n; i++)
        waiting += ops[i].kind != OP_CONNECT;
    return waiting;
}

bool client_idle(const struct client *cl)
{
    return must(cl->http.pipe, cl->http.pipe_len) == 0 && cl->extra.pipe_len == 0 &&
           must(cl->retries, cl->retries_len) == 0 && cl->ws.rtm_len == 0 && cl->probes == 0;
}

void clients_hang_up(struct world *w)
{
    w->populated = false; /* they do not come again */
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        struct client *cl = &w->clients[i];
        http_drop(cl, &cl->http, false);
        http_drop(cl, &cl->extra, false);
        if (cl->ws.conn != NULL)
            socket_drop(cl, false);
    }
}

/* ---- connections ---- */

static bool ready(struct client *cl, struct http_client *h)
{
    if (h->conn == NULL) {
        uint32_t token = client_token(cl);
        if (token == operator_tokens_max)
            return false;
        h->conn = sim_connect(&cl->w->net, cl->index);
        h->token = token;
        h->last = h->shut = false;
        h->opened_us = cl->w->now_us;
        h->opened_by = cl->w->incarnation;
    }
    if (h->conn != NULL && h->pipe_len == 0 &&
        cl->w->operator_.tokens[h->token].state != SIM_TOKEN_VALID &&
        !rng_one_in(&cl->rng, 4)) { /* now and then it goes on with the old one */
        uint32_t token = client_token(cl);
        if (token != operator_tokens_max)
            h->token = token;
    }
    return h->conn != NULL && !h->last && !h->shut && h->pipe_len < h->depth;
}

static void give_up_slow(struct client *cl, struct http_client *h)
{
    if (h->pipe_len == 0 || cl->w->now_us < h->pipe[0].sent_us + request_timeout_us)
        return;
    trace_add(&cl->w->trace, (struct trace_entry){.at_us = cl->w->now_us,
                                                  .what = "times out and goes elsewhere",
                                                  .kind = TRACE_CLIENT,
                                                  .a = cl->index,
                                                  .n = h->pipe[0].number,
                                                  .x = h->pipe[0].cid});
    http_drop(cl, h, rng_one_in(&cl->rng, 2));
}

/* The same request at the same time on another connection: an impatient proxy, a double click. */
static void duplicate(struct client *cl, const struct op *op)
{
    if (op->kind != OP_POST || !cl->w->oracle.msgs[op->number].keyed ||
        rng_below(&cl->rng, 100) >= cl->w->plan.duplicate_percent || !ready(cl, &cl->extra))
        return;
    struct op copy = *op;
    copy.quiet = true;
    http_send(cl, &cl->extra, &copy);
}

static void issue(struct client *cl, const struct op *op)
{
    http_send(cl, &cl->http, op);
    duplicate(cl, op);
}

/* ---- when ---- */

/* Has something new to do, and room to remember it should it fail. */
static bool wants_more(const struct client *cl)
{
    const struct world *w = cl->w;
    bool more = w->faults_on ? w->ops_issued < w->plan.ops : cl->probes > 0;
    return more && cl->retries_len + client_pipe_max + client_rtm_max + 2 <= client_retries_max;
}

/* Retries go first: each answer makes room, and the client looks again. */
static bool wants_socket(const struct client *cl)
{
    return cl->ws.state == SOCKET_NONE && cl->retries_len < client_retries_max / 2;
}

static void start_something(struct client *cl)
{
    struct world *w = cl->w;
    struct op op;
    if (cl->retries_len > 0 && w->now_us >= cl->retry_us && ready(cl, &cl->http)) {
        op = cl->retries[0];
        cl->retries_len--;
        memmove(cl->retries, cl->retries + 1, cl->retries_len * sizeof *cl->retries);
        cl->retry_us = w->now_us + rng_skewed(&cl->rng, 0, 20000);
        issue(cl, &op);
        return;
    }
    if (w->now_us < cl->next_op_us || !wants_more(cl) || !ready(cl, &cl->http))
        return;
    bool calm = !w->faults_on;
    bool http = calm ? choose_probe(cl, &op) : choose_op(cl, &op);
    if (!calm)
        w->ops_issued++;
    cl->next_op_us = w->now_us + rng_below(&cl->rng, w->plan.think_us * 2 + 1);
    if (http)
        issue(cl, &op);
}

/* What the server says next decides, and that wakes the client. */
static bool must_wait(const struct http_client *h)
{
    return h->conn != NULL && (h->last || h->shut || h->pipe_len >= h->depth);
}

/* When to try what is due at `at_us`; it was tried just now if that is past. */
static uint64_t again_us(uint64_t now, uint64_t at_us, uint64_t pause_us)
{
    return at_us > now ? at_us : now + pause_us;
}

static uint64_t gives_up_us(const struct http_client *h)
{
    return h->pipe_len == 0 ? UINT64_MAX : h->pipe[0].sent_us + request_timeout_us;
}

/* Looks again only where time alone may help. A client that polled for an answer would make many
 * steps of a second in which all threads are frozen, and faults come by steps: new ones faster than
 * the old ones end. */
static uint64_t next_wake(const struct client *cl)
{
    uint64_t now = cl->w->now_us, next = now + request_timeout_us;
    next = MIN(next, MIN(gives_up_us(&cl->http), gives_up_us(&cl->extra)));
    if (!must_wait(&cl->http)) {
        uint64_t pause_us = cl->http.conn == NULL ? no_conn_us : turn_us;
        if (cl->retries_len > 0)
            next = MIN(next, again_us(now, cl->retry_us, pause_us));
        if (wants_more(cl))
            next = MIN(next, again_us(now, cl->next_op_us, pause_us));
    }
    if (wants_socket(cl))
        next = MIN(next, again_us(now, cl->ws.retry_us, no_conn_us));
    if (cl->deaf_until_us > now)
        next = MIN(next, cl->deaf_until_us);
    return MAX(next, now + 1);
}

/* Often while the threads' clocks differ: what it heard last is then told by another's. */
static uint32_t hangs_up_one_in(const struct world *w)
{
    enum { differ_us = 10000000, often_one_in = 6 };
    bool differ = w->clock_stepped_us != 0 && w->now_us < w->clock_stepped_us + differ_us;
    return differ ? MIN(often_one_in, w->plan.hang_up_one_in) : w->plan.hang_up_one_in;
}

void client_run(struct client *cl)
{
    struct world *w = cl->w;
    cl->woken = false;
    http_read(cl, &cl->http);
    http_read(cl, &cl->extra);
    socket_read(cl);
    give_up_slow(cl, &cl->http);
    give_up_slow(cl, &cl->extra);
    if (cl->ws.state == SOCKET_LIVE && w->faults_on && rng_one_in(&cl->rng, hangs_up_one_in(w)))
        socket_drop(cl, rng_one_in(&cl->rng, 2)); /* a lid is closed, and opened again */
    if (w->up && wants_socket(cl) && w->now_us >= cl->ws.retry_us)
        socket_want(cl);
    start_something(cl);
    /* Others want a connection too, and servers have few. */
    bool done = !w->faults_on && cl->probes == 0 && must(cl->retries, cl->retries_len) == 0;
    if (cl->http.conn != NULL && cl->http.pipe_len == 0 && (done || rng_one_in(&cl->rng, 60)))
        http_drop(cl, &cl->http, false);
    if (cl->extra.conn != NULL && cl->extra.pipe_len == 0 && (done || rng_one_in(&cl->rng, 10)))
        http_drop(cl, &cl->extra, false);
    cl->wake_us = next_wake(cl);
}
