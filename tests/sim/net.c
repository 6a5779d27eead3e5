#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "world.h"

enum { readable_behind = 64, chunk_max = 4032 }; /* a provided buffer of net/ without its padding */

/* ---- queues of bytes ---- */

void bytes_put(struct bytes *b, const void *p, size_t n)
{
    if (b->at == b->len)
        b->at = b->len = 0;
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2 + 256;
        b->p = realloc(b->p, b->cap);
        ASSERT(b->p != NULL);
    }
    if (n > 0)
        memcpy(b->p + b->len, p, n);
    b->len += n;
}

/* ---- slots ---- */

static struct sim_conn *find(struct sim_port *p, conn_id id)
{
    const uint16_t *slot = p->conns_max == 0 ? NULL : slab_find(&p->slots, id);
    struct sim_conn *c = slot == NULL ? NULL : &p->w->net.conns[*slot];
    return c != NULL && (c->state == SIM_OPEN || c->state == SIM_CLOSING) ? c : NULL;
}

void sim_port_start(struct sim_port *p)
{
    enum err err = ERR_OK;
    p->conns_max = MIN(p->conns_max, (uint32_t)sim_conns_max);
    if (p->conns_max > 0)
        err = slab_init(&p->slots, p->conns_max, sizeof(uint16_t));
    ASSERT(err == ERR_OK);
}

static void take_slot(struct sim_port *p, struct sim_conn *c)
{
    uint16_t *slot = slab_take(&p->slots, &c->handle);
    ASSERT(slot != NULL);
    *slot = c->slot;
    c->port = p;
    p->conns++;
}

void sim_give_slot(struct sim_conn *c)
{
    slab_give(&c->port->slots, c->handle);
    c->port->conns--;
    c->port = NULL;
}

static void trace(struct sim_port *p, const struct sim_conn *c, const char *what, size_t n)
{
    trace_add(&p->w->trace, (struct trace_entry){.at_us = p->w->now_us,
                                                 .what = what,
                                                 .kind = TRACE_NET,
                                                 .a = c->slot,
                                                 .n = (uint32_t)n,
                                                 .x = c->handle});
}

void sim_enqueue(struct sim_conn *c)
{
    if (c->queued || c->port == NULL)
        return;
    c->queued = true;
    c->port->queue[c->port->queue_len++] = c->slot;
}

/* Both sides have let go. */
void sim_free_if_done(struct sim_conn *c)
{
    if (c->state != SIM_SHUT || c->client_open || c->queued)
        return;
    bytes_drop(&c->up);
    bytes_drop(&c->down);
    c->state = SIM_FREE;
    c->port = NULL;
}

/* Who waits in the backlog goes to an acceptor that takes connections. */
void sim_assign_backlog(struct sim_net *n)
{
    for (uint32_t i = 0; i < n->conns_top; i++) {
        struct sim_conn *c = &n->conns[i];
        if (c->state != SIM_BACKLOG || c->port != NULL)
            continue;
        uint32_t from = (uint32_t)rng_below(&n->rng, MAX(n->ports_len, 1u));
        for (uint32_t k = 0; k < n->ports_len; k++) {
            struct sim_port *p = &n->ports[(from + k) % n->ports_len];
            if (p->listener == NULL || p->accept_paused || p->conns >= p->conns_max)
                continue;
            take_slot(p, c);
            sim_enqueue(c);
            break;
        }
    }
}

static void server_side_gone(struct sim_conn *c)
{
    struct sim_port *p = c->port;
    c->state = SIM_SHUT;
    sim_give_slot(c);
    c->iov_len = 0;
    bytes_drop(&c->up);
    world_wake_client(p->w, c->client);
    sim_assign_backlog(&p->w->net);
}

/* ---- what an actor asks ---- */

static uint64_t hash_of(const struct sim_conn *c)
{
    uint64_t h = c->iov_len;
    for (unsigned i = 0; i < c->iov_len; i++)
        h = h * 31 + XXH3_64bits(c->iov[i].iov_base, c->iov[i].iov_len);
    return h;
}

static void stamp(struct sim_port *p, struct sim_conn *c, size_t n)
{
    uint64_t pos = p->w->oracle.pos;
    c->down_ever += n;
    struct stamp *last = c->stamps_len == 0
                             ? NULL
                             : &c->stamps[(c->stamps_from + c->stamps_len - 1) % sim_stamps_max];
    if (last == NULL || (last->pos != pos && c->stamps_len < sim_stamps_max)) {
        last = &c->stamps[(c->stamps_from + c->stamps_len++) % sim_stamps_max];
        last->pos = pos;
    }
    last->pos = MAX(last->pos, pos);
    last->until = c->down_ever;
}

static void port_send(void *net, conn_id id, const struct iovec *v, unsigned n)
{
    struct sim_port *p = net;
    struct sim_conn *c = find(p, id);
    size_t total = 0;
    if (c == NULL || c->state != SIM_OPEN)
        return; /* on_close is on its way */
    if (n == 0 || n > net_iov_max)
        violation(p->w, "net_port_rules", "a send of %u pieces", n);
    if (c->iov_len > 0)
        violation(p->w, "net_port_rules", "conn %u: a second send while one is under way",
                  (unsigned)c->slot);
    memcpy(c->iov, v, n * sizeof *v);
    c->iov_len = n;
    c->iov_at = 0;
    c->iov_off = 0;
    for (unsigned i = 0; i < n; i++)
        total += v[i].iov_len;
    c->lent_hash = hash_of(c);
    c->deadline_us = p->w->now_us + p->write_timeout_ms * 1000ull;
    stamp(p, c, total);
    clients_on_send(p->w, c);
    trace(p, c, "send", total);
    sim_enqueue(c);
}

static void port_pause(void *net, conn_id id)
{
    struct sim_conn *c = find(net, id);
    if (c != NULL && c->state == SIM_OPEN)
        c->paused = true;
}

static void port_resume(void *net, conn_id id)
{
    struct sim_conn *c = find(net, id);
    if (c == NULL || c->state != SIM_OPEN)
        return;
    c->paused = false;
    sim_enqueue(c);
}

void sim_start_close(struct sim_conn *c, enum err why, enum net_close_how how)
{
    if (c->state == SIM_CLOSING)
        return;
    c->state = SIM_CLOSING;
    c->why = why;
    c->how = how;
    sim_enqueue(c);
}

static void port_close(void *net, conn_id id, enum net_close_how how)
{
    struct sim_port *p = net;
    struct sim_conn *c = find(p, id);
    if (c == NULL)
        return;
    trace(p, c, how == NET_CLOSE_RESET ? "close (reset)" : "close", 0);
    sim_start_close(c, ERR_OK, how);
}

static struct sim_port *port_of(struct sim_net *n, actor_id to)
{
    struct loop *l = n->w->actors[to].loop;
    return &n->ports[l->index];
}

void sim_free_adopt(struct sim_conn *c)
{
    net_adopt_free(c->adopt);
    c->adopt = NULL;
}

static void port_handover(void *net, conn_id id, actor_id to, struct net_adopt *a)
{
    struct sim_port *p = net;
    struct sim_conn *c = find(p, id);
    if (c == NULL || c->state != SIM_OPEN) {
        net_adopt_free(a);
        return;
    }
    if (c->iov_len > 0)
        violation(p->w, "net_port_rules", "conn %u: handed over with a send under way",
                  (unsigned)c->slot);
    trace(p, c, "hand over", to);
    struct sim_port *q = port_of(&p->w->net, to);
    c->adopt = a;
    c->adopt_to = to;
    c->paused = false;
    if (q->conns - (q == p) >= q->conns_max) {
        sim_free_adopt(c);
        c->down_reset = true;
        server_side_gone(c);
        sim_free_if_done(c);
        return;
    }
    c->state = SIM_MOVING;
    if (c->queued) { /* leave the old port's list */
        for (uint32_t i = 0; i < p->queue_len; i++) {
            if (p->queue[i] == c->slot) {
                p->queue[i] = p->queue[--p->queue_len];
                break;
            }
        }
        c->queued = false;
    }
    sim_give_slot(c);
    take_slot(q, c);
    sim_enqueue(c);
    sim_assign_backlog(&p->w->net);
}

static void port_accept_pause(void *net)
{
    ((struct sim_port *)net)->accept_paused = true;
}

static void port_accept_resume(void *net)
{
    struct sim_port *p = net;
    p->accept_paused = false;
    sim_assign_backlog(&p->w->net);
}

const struct net_port_ops sim_port_ops = {.send = port_send,
                                          .pause = port_pause,
                                          .resume = port_resume,
                                          .close = port_close,
                                          .handover = port_handover,
                                          .accept_pause = port_accept_pause,
                                          .accept_resume = port_accept_resume};

/* net/conn.c has the daemon's; fanout calls it by this name. */
void net_adopt_free(struct net_adopt *a)
{
    if (a == NULL)
        return;
    if (a->free_owner_data != NULL)
        a->free_owner_data(a->owner_data);
    free(a->leftover);
    free(a->late);
    free(a);
}

/* ---- completions ---- */

static const struct net_owner_ops *owner_of(const struct sim_port *p, const struct actor *a)
{
    for (uint32_t i = 0; i < p->adopters_len; i++) {
        if (p->adopters[i].actor == a)
            return p->adopters[i].ops;
    }
    return p->listener_ops;
}

/* Moves some of the send to the client's buffer; true when all of it is there. */
static bool progress(struct sim_port *p, struct sim_conn *c)
{
    struct rng *r = &p->w->net.rng;
    size_t room = c->receive_max - MIN(c->receive_max, bytes_left(&c->down));
    bool all = !plan_has(&p->w->plan, FAULT_DELAY) || !rng_one_in(r, 3);
    size_t may = all ? room : (size_t)rng_below(r, room + 1);
    size_t moved = 0;
    while (c->iov_at < c->iov_len && (moved < may || c->iov[c->iov_at].iov_len == c->iov_off)) {
        const struct iovec *v = &c->iov[c->iov_at];
        size_t n = MIN(v->iov_len - c->iov_off, may - moved);
        if (!c->down_reset)
            bytes_put(&c->down, (const char *)v->iov_base + c->iov_off, n);
        moved += n;
        c->iov_off += n;
        if (c->iov_off == v->iov_len) {
            c->iov_at++;
            c->iov_off = 0;
        }
    }
    if (moved > 0) {
        p->w->net.bytes_down += moved;
        c->deadline_us = p->w->now_us + p->write_timeout_ms * 1000ull;
        world_wake_client(p->w, c->client);
    }
    if (c->iov_at < c->iov_len) {
        if (room > may)
            sim_enqueue(c);
        return false;
    }
    if (hash_of(c) != c->lent_hash)
        violation(p->w, "lent_bytes_stable", "conn %u: the bytes of a send changed before on_sent",
                  (unsigned)c->slot);
    c->iov_len = 0;
    return true;
}

static void deliver(struct sim_port *p, struct sim_conn *c)
{
    struct rng *r = &p->w->net.rng;
    size_t left = MIN(bytes_left(&c->up), (size_t)chunk_max);
    size_t n = left;
    if (plan_has(&p->w->plan, FAULT_DELAY) && rng_one_in(r, 2))
        n = rng_one_in(r, 4) ? 1 : (size_t)rng_range(r, 1, left);
    uint8_t *p_bytes = malloc(n + readable_behind);
    ASSERT(p_bytes != NULL);
    memcpy(p_bytes, c->up.p + c->up.at, n);
    memset(p_bytes + n, 0xdb, readable_behind);
    c->up.at += n;
    p->w->net.bytes_up += n;
    trace(p, c, "data", n);
    owner_of(p, c->actor)
        ->on_data(c->actor->self, c->handle, p_bytes, n, loop_turn_of(p->loop, c->actor));
    memset(p_bytes, 0xdb, n); /* lent for the call only */
    free(p_bytes);
}

static void close_step(struct sim_port *p, struct sim_conn *c)
{
    bool flush = c->how == NET_CLOSE_FLUSH && c->client_open && !c->up_reset && !c->down_reset;
    if (flush && c->iov_len > 0 && !progress(p, c))
        return; /* the client's reading or the deadline brings it back */
    if (c->iov_len > 0 && hash_of(c) != c->lent_hash)
        violation(p->w, "lent_bytes_stable", "conn %u: the bytes of a send changed before on_close",
                  (unsigned)c->slot);
    if (c->announced)
        owner_of(p, c->actor)
            ->on_close(c->actor->self, c->handle, c->why, loop_turn_of(p->loop, c->actor));
    if (flush)
        c->down_fin = true;
    else
        c->down_reset = true;
    server_side_gone(c);
    sim_free_if_done(c);
}

/* The client sends no more: an owner that wants to know finishes what is under way. Whether the
 * client still reads it cannot tell. */
static void end_step(struct sim_port *p, struct sim_conn *c)
{
    const struct net_owner_ops *ops = owner_of(p, c->actor);
    if (c->up_reset || ops->on_end == NULL) {
        sim_start_close(c, c->up_reset ? ERR_IO : ERR_CLOSED, NET_CLOSE_RESET);
    } else if (!c->end_told) {
        c->end_told = true;
        trace(p, c, "end", 0);
        ops->on_end(c->actor->self, c->handle, loop_turn_of(p->loop, c->actor));
    }
}

static void open_step(struct sim_port *p, struct sim_conn *c)
{
    bool sending = c->iov_len > 0;
    if (sending && (c->up_reset || !c->client_open)) {
        sim_start_close(c, ERR_IO, NET_CLOSE_RESET);
        return;
    }
    if (sending && progress(p, c)) {
        uint64_t handle = c->handle;
        trace(p, c, "sent", 0);
        owner_of(p, c->actor)
            ->on_sent(c->actor->self, c->handle, ERR_OK, loop_turn_of(p->loop, c->actor));
        if (c->state != SIM_OPEN || c->handle != handle)
            return;
    }
    if (!c->paused && bytes_left(&c->up) > 0) {
        deliver(p, c);
        if (c->state == SIM_OPEN && (bytes_left(&c->up) > 0 || c->up_fin || c->up_reset))
            sim_enqueue(c);
    } else if (!c->paused && (c->up_fin || c->up_reset)) {
        end_step(p, c);
    }
}

static void accept_step(struct sim_port *p, struct sim_conn *c)
{
    struct net_peer peer = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {0x0100007f}};
    memcpy(&peer.addr, &in, sizeof in);
    c->state = SIM_OPEN;
    c->actor = p->listener;
    c->announced = true;
    trace(p, c, "open", 0);
    p->listener_ops->on_open(c->actor->self, c->handle, &peer, loop_turn_of(p->loop, c->actor));
    sim_enqueue(c);
}

static void adopt_step(struct sim_port *p, struct sim_conn *c)
{
    struct net_adopt *a = c->adopt;
    c->adopt = NULL;
    c->state = SIM_OPEN;
    c->actor = &p->w->actors[c->adopt_to];
    trace(p, c, "adopt", c->adopt_to);
    owner_of(p, c->actor)->on_adopt(c->actor->self, c->handle, a, loop_turn_of(p->loop, c->actor));
    if (c->state == SIM_OPEN)
        sim_enqueue(c);
}

static void dispatch(void *driver)
{
    struct sim_port *p = driver;
    struct rng *r = &p->w->net.rng;
    uint16_t list[sim_conns_max];
    uint32_t n = p->queue_len;
    memcpy(list, p->queue, n * sizeof *list);
    p->queue_len = 0;
    for (uint32_t i = 0; i < n; i++)
        p->w->net.conns[list[i]].queued = false;
    uint32_t from = n > 0 ? (uint32_t)rng_below(r, n) : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct sim_conn *c = &p->w->net.conns[list[(from + i) % n]];
        if (c->port != p) {
            sim_free_if_done(c);
            continue;
        }
        if (plan_has(&p->w->plan, FAULT_DELAY) && rng_one_in(r, 8)) {
            sim_enqueue(c);
            continue;
        }
        switch (c->state) {
        case SIM_BACKLOG:
            accept_step(p, c);
            break;
        case SIM_OPEN:
            open_step(p, c);
            break;
        case SIM_MOVING:
            adopt_step(p, c);
            break;
        case SIM_CLOSING:
            close_step(p, c);
            break;
        case SIM_FREE:
        case SIM_SHUT:
            break;
        }
    }
}

static void driver_wait(void *driver, uint64_t timeout_us)
{
    (void)driver, (void)timeout_us;
}

static void driver_ring(void *driver, void *other)
{
    (void)driver, (void)other; /* the world looks at every ring itself */
}

const struct loop_driver_ops sim_driver_ops = {driver_wait, dispatch, driver_ring};
