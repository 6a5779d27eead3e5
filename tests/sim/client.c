#include "client.h"

#include <stdlib.h>

#include "world.h"

enum {
    backoff_max_us = 1500000,
    request_timeout_us = 25000000, /* then the client goes elsewhere with the same key */
    no_conn_us = 20000,            /* no token, or no server */
    turn_us = 1000,
    attempts_probe = 3,
    name_ops = 48,
    made_max = 24
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

/* ---- what to do next ---- */

static struct ochan *some_channel(struct client *cl)
{
    struct oracle *o = &cl->w->oracle;
    if (o->chans_len == 0)
        return NULL;
    /* Mostly one where the user is a member, as people do. */
    for (int i = 0; i < 4; i++) {
        struct ochan *c = &o->chans[rng_below(&cl->rng, o->chans_len)];
        if ((c->members >> cl->user & 1) != 0)
            return c;
    }
    return &o->chans[rng_below(&cl->rng, o->chans_len)];
}

/* Mostly the name that others want right now, too. */
static uint32_t some_name(struct client *cl)
{
    uint32_t now = (uint32_t)(cl->w->ops_issued / name_ops);
    return rng_one_in(&cl->rng, 4) ? (uint32_t)rng_below(&cl->rng, now + 1ull) : now;
}

static bool choose_member_op(struct client *cl, struct op *op, struct ochan *c)
{
    uint64_t k = rng_below(&cl->rng, 9);
    if (k == 8) {
        *op = (struct op){.kind = OP_RENAME, .cid = c->cid, .name = some_name(cl)};
        return true;
    }
    if (k == 0 && cl->w->oracle.chans_len < cl->w->plan.channels + made_max) {
        *op = (struct op){.kind = OP_CREATE, .name = some_name(cl)};
        return true;
    }
    if (k < 3)
        *op = (struct op){.kind = OP_LEAVE, .cid = c->cid};
    else if (k < 5)
        *op = (struct op){.kind = OP_INVITE,
                          .cid = c->cid,
                          .other = (uint8_t)rng_below(&cl->rng, cl->w->plan.users)};
    else
        *op = (struct op){.kind = OP_JOIN, .cid = c->cid};
    return true;
}

static void choose_history(struct client *cl, struct op *op, const struct ochan *c)
{
    *op = (struct op){
        .kind = OP_HISTORY, .cid = c->cid, .limit = (uint32_t)rng_range(&cl->rng, 1, 30)};
    if (c->len > 0 && rng_one_in(&cl->rng, 3))
        op->oldest_us = cl->w->oracle.msgs[c->numbers[rng_below(&cl->rng, c->len)]].ts_us;
}

/* One of the newest messages that somebody sent to the channel, where others are busy too; 0: none.
 */
static uint32_t some_message(struct client *cl, const struct ochan *c)
{
    uint32_t back = (uint32_t)rng_below(&cl->rng, 4), n = 0;
    for (uint32_t i = c->len; i > 0; i--) {
        if (cl->w->oracle.msgs[c->numbers[i - 1]].system)
            continue;
        n = c->numbers[i - 1];
        if (back-- == 0)
            break;
    }
    return n;
}

static uint32_t own_reply(struct client *cl, const struct ochan *c)
{
    const struct oracle *o = &cl->w->oracle;
    for (uint32_t n = o->msgs_len; n > 0; n--) {
        const struct omsg *m = &o->msgs[n];
        if (m->cid == c->cid && m->user == cl->user && m->thread != 0 && m->ts_us != 0 &&
            (m->deleted_pos == 0 || rng_one_in(&cl->rng, 4)))
            return n;
    }
    return 0;
}

/* False: there is nothing to change. */
static bool choose_change(struct client *cl, struct op *op, const struct ochan *c)
{
    struct oracle *o = &cl->w->oracle;
    uint32_t n = some_message(cl, c);
    if (n == 0)
        return false;
    *op = (struct op){.cid = c->cid, .number = n};
    switch (rng_below(&cl->rng, 6)) {
    case 0:
        op->kind = OP_REPLIES;
        op->limit = 1000;
        return true;
    case 1:
        op->kind = OP_REACT;
        return true;
    case 2:
        op->kind = OP_DELETE;
        op->number = own_reply(cl, c);
        return op->number != 0;
    case 3:
        if (o->msgs[n].user != cl->user || o->msgs[n].edits == oracle_edits_max)
            return false;
        op->kind = OP_EDIT;
        op->version = ++o->msgs[n].edits;
        o->msgs[n].asked_pos[op->version] = o->pos;
        return true;
    default:
        op->kind = OP_POST;
        op->number = oracle_message(o, c->cid, cl->user, true);
        o->msgs[op->number].thread = n;
        return true;
    }
}

/* Three in a run, in any order: with a wrong password or the one before; as somebody who is not
 * there or has none; with the right one, unless it changes meanwhile. */
static bool choose_sign_in(struct client *cl, struct op *op)
{
    struct world *w = cl->w;
    const struct oracle *o = &w->oracle;
    if (w->plan.passwords == 0 || w->sign_ins == sign_ins_max ||
        !rng_one_in(&cl->rng, w->plan.ops / 4 + 1))
        return false;
    uint32_t stored = o->passwords_len == 0 ? 0 : o->passwords[o->passwords_len - 1].number;
    uint32_t newest = w->operator_.passwords_len; /* which is perhaps still being set */
    *op = (struct op){.kind = OP_SIGN_IN, .other = w->plan.signer, .version = newest};
    switch ((w->sign_ins++ + w->plan.seed) % sign_ins_max) {
    case 0:
        op->version = newest > 0 && rng_one_in(&cl->rng, 2) ? newest - 1 : 0;
        break;
    case 1:
        op->other = (uint8_t)((w->plan.signer + 1u) % w->plan.users);
        if (rng_one_in(&cl->rng, 2))
            op->other = plan_users_max;
        break;
    default:
        if (rng_one_in(&cl->rng, 2))
            op->version = stored;
        break;
    }
    return true;
}

/* False: it went over RTM already, or there is nothing to do. */
static bool choose(struct client *cl, struct op *op)
{
    const struct plan *p = &cl->w->plan;
    struct ochan *c = some_channel(cl);
    uint64_t k = rng_below(&cl->rng, 100);
    if (c == NULL)
        return false;
    if (choose_sign_in(cl, op))
        return true;
    if (k < p->member_percent)
        return choose_member_op(cl, op, c);
    k = rng_below(&cl->rng, 100);
    if (k < p->history_percent) {
        choose_history(cl, op, c);
        return true;
    }
    if (rng_one_in(&cl->rng, 40)) {
        struct oracle *o = &cl->w->oracle;
        uint64_t wall_us = (uint64_t)((int64_t)cl->w->now_us + cl->w->wall_offset_us);
        *op = (struct op){.kind = OP_SCHEDULE,
                          .number = oracle_message(o, c->cid, cl->user, false),
                          .cid = c->cid};
        /* Some never: what is due is not always the next. */
        o->msgs[op->number].post_s =
            wall_us / 1000000 + (rng_one_in(&cl->rng, 4) ? 86400 : rng_range(&cl->rng, 1, 15));
        return true;
    }
    if (c->len > 0 && rng_one_in(&cl->rng, 25)) { /* a message, or between two */
        uint32_t back = (uint32_t)rng_below(&cl->rng, MIN(c->len, 8u));
        *op = (struct op){.kind = OP_MARK, .cid = c->cid};
        op->oldest_us =
            cl->w->oracle.msgs[c->numbers[c->len - 1 - back]].ts_us + rng_below(&cl->rng, 2);
        return true;
    }
    if (cl->prefs_len < client_prefs_max && rng_one_in(&cl->rng, 40)) {
        *op = (struct op){.kind = OP_PREF, .version = cl->prefs_len++};
        return true;
    }
    if (c->counted > 0 && rng_one_in(&cl->rng, 40)) { /* whether or not it may see it */
        *op = (struct op){.kind = OP_SEARCH, .number = some_message(cl, c)};
        return true;
    }
    if (rng_one_in(&cl->rng, 40)) {
        *op = (struct op){.kind = rng_one_in(&cl->rng, 2) ? OP_LIST : OP_MEMBERS};
        op->cid = op->kind == OP_MEMBERS ? c->cid : 0;
        op->limit = 200;
        return true;
    }
    if (rng_below(&cl->rng, 100) < p->change_percent && choose_change(cl, op, c))
        return true;
    bool keyed = rng_below(&cl->rng, 100) >= p->unkeyed_percent;
    uint32_t number = oracle_message(&cl->w->oracle, c->cid, cl->user, keyed);
    if (cl->ws.state == SOCKET_LIVE && rng_below(&cl->rng, 100) < p->rtm_percent) {
        if (rng_one_in(&cl->rng, 4))
            socket_typing(cl, c->cid);
        if (socket_post(cl, number))
            return false;
    }
    *op = (struct op){.kind = OP_POST, .number = number, .cid = c->cid};
    return true;
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

/* ---- the calm phase: each client shows that it is served ---- */

static bool choose_probe(struct client *cl, struct op *op)
{
    struct oracle *o = &cl->w->oracle;
    if (cl->probes == 0)
        return false;
    cl->probes--;
    for (uint32_t i = 0; i < o->chans_len; i++) {
        struct ochan *c = &o->chans[(i + cl->index) % o->chans_len];
        if ((c->members >> cl->user & 1) == 0)
            continue;
        if (cl->probes == 2)
            *op = (struct op){.kind = OP_HISTORY, .cid = c->cid, .limit = 30};
        else if (cl->probes == 1 && c->counted > 0)
            *op = (struct op){.kind = OP_SEARCH, .number = some_message(cl, c), .must = true};
        else
            *op = (struct op){.kind = OP_POST,
                              .number = oracle_message(o, c->cid, cl->user, true),
                              .cid = c->cid};
        return true;
    }
    return false;
}

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
    bool http = calm ? choose_probe(cl, &op) : choose(cl, &op);
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

void client_run(struct client *cl)
{
    struct world *w = cl->w;
    cl->woken = false;
    http_read(cl, &cl->http);
    http_read(cl, &cl->extra);
    socket_read(cl);
    give_up_slow(cl, &cl->http);
    give_up_slow(cl, &cl->extra);
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
