/* net_wire.c - the wire and the clients' end of it: connecting, reading, writing, hanging up; cuts,
 * time-outs of writes, and what is left when the process is gone. */
#include <stdlib.h>

#include "world.h"

uint64_t sim_net_next_us(const struct sim_net *n)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < n->conns_top; i++) {
        const struct sim_conn *c = &n->conns[i];
        /* One that is past has been ticked and waits for a loop that may be frozen: were it
         * counted, time would creep by single microseconds until the loop thaws. */
        if ((c->state == SIM_OPEN || c->state == SIM_CLOSING) && c->iov_len > 0 &&
            c->deadline_us > n->w->now_us)
            next = MIN(next, c->deadline_us);
    }
    return next;
}

void sim_net_tick(struct sim_net *n)
{
    for (uint32_t i = 0; i < n->conns_top; i++) {
        struct sim_conn *c = &n->conns[i];
        if ((c->state != SIM_OPEN && c->state != SIM_CLOSING) || c->iov_len == 0 ||
            c->deadline_us > n->w->now_us)
            continue;
        c->down_reset = true;
        if (c->state == SIM_CLOSING)
            c->how = NET_CLOSE_RESET;
        sim_start_close(c, ERR_IO, NET_CLOSE_RESET);
        sim_enqueue(c);
    }
}

/* ---- life ---- */

void sim_net_init(struct sim_net *n, struct world *w, uint64_t seed)
{
    n->w = w;
    n->rng = rng_make(seed, 10);
    for (uint32_t i = 0; i < sim_conns_max; i++)
        n->conns[i].slot = (uint16_t)i;
}

void sim_net_deinit(struct sim_net *n)
{
    for (uint32_t i = 0; i < sim_conns_max; i++) {
        free(n->conns[i].up.p);
        free(n->conns[i].down.p);
    }
    free(n->ports);
}

void sim_net_crash(struct sim_net *n)
{
    for (uint32_t i = 0; i < n->conns_top; i++) {
        struct sim_conn *c = &n->conns[i];
        c->queued = false;
        if (c->state == SIM_FREE || c->state == SIM_SHUT)
            continue;
        if (c->adopt != NULL)
            sim_free_adopt(c);
        /* What is in the wires may or may not arrive. */
        if (bytes_left(&c->down) > 0 && rng_one_in(&n->rng, 2))
            c->down.len = c->down.at + (size_t)rng_below(&n->rng, bytes_left(&c->down) + 1);
        bytes_drop(&c->up);
        if (c->port != NULL)
            sim_give_slot(c);
        c->state = SIM_SHUT;
        c->iov_len = 0;
        c->down_reset = true;
        world_wake_client(n->w, c->client);
        sim_free_if_done(c);
    }
}

/* ---- clients ---- */

struct sim_conn *sim_connect(struct sim_net *n, uint32_t client)
{
    if (!n->w->up)
        return NULL;
    for (uint32_t i = 0; i < sim_conns_max; i++) {
        struct sim_conn *c = &n->conns[i];
        if (c->state != SIM_FREE)
            continue;
        n->conns_top = MAX(n->conns_top, i + 1);
        c->state = SIM_BACKLOG;
        c->port = NULL;
        c->announced = c->paused = false;
        c->iov_len = 0;
        c->up_fin = c->up_reset = c->down_fin = c->down_reset = c->end_told = false;
        c->receive_max = (size_t)rng_skewed(&n->rng, 256, 32768);
        c->down_ever = c->read_ever = 0;
        c->stamps_from = c->stamps_len = 0;
        c->client_open = true;
        c->client = client;
        sim_assign_backlog(n);
        return c;
    }
    return NULL;
}

void sim_write(struct sim_net *n, struct sim_conn *c, const void *p, size_t len)
{
    (void)n;
    if (c->state == SIM_SHUT || c->up_fin || c->up_reset)
        return;
    bytes_put(&c->up, p, len);
    sim_enqueue(c);
}

bool sim_readable(const struct sim_conn *c)
{
    return bytes_left(&c->down) > 0 || sim_ended(c);
}

bool sim_ended(const struct sim_conn *c)
{
    return bytes_left(&c->down) == 0 && (c->down_fin || c->down_reset);
}

struct str_view sim_read(struct sim_net *n, struct sim_conn *c, size_t max)
{
    (void)n;
    size_t len = MIN(max, bytes_left(&c->down));
    struct str_view v = {(const char *)c->down.p + c->down.at, len};
    c->down.at += len;
    c->read_ever += len;
    if (len > 0 && c->iov_len > 0)
        sim_enqueue(c);
    return v;
}

uint64_t sim_stamp(struct sim_conn *c, uint64_t offset)
{
    while (c->stamps_len > 1 && c->stamps[c->stamps_from].until < offset) {
        c->stamps_from = (c->stamps_from + 1) % sim_stamps_max;
        c->stamps_len--;
    }
    return c->stamps_len == 0 ? 0 : c->stamps[c->stamps_from].pos;
}

void sim_cut(struct sim_net *n, struct sim_conn *c)
{
    c->up.len = c->up.at + (size_t)rng_below(&n->rng, bytes_left(&c->up) + 1);
    c->down.len = c->down.at + (size_t)rng_below(&n->rng, bytes_left(&c->down) + 1);
    c->up_reset = true;
    c->down_reset = true;
    sim_enqueue(c);
    world_wake_client(n->w, c->client);
}

void sim_shut_down(struct sim_conn *c)
{
    if (c->state == SIM_SHUT)
        return;
    c->up_fin = true;
    sim_enqueue(c);
}

void sim_hang_up(struct sim_net *n, struct sim_conn *c, bool reset)
{
    c->client_open = false;
    if (c->state == SIM_BACKLOG && c->port == NULL) {
        c->state = SIM_SHUT;
    } else if (c->state != SIM_SHUT) {
        if (reset && bytes_left(&c->up) > 0) /* lost at any byte */
            c->up.len = c->up.at + (size_t)rng_below(&n->rng, bytes_left(&c->up) + 1);
        if (reset)
            c->up_reset = true;
        else
            c->up_fin = true;
        bytes_drop(&c->down);
        sim_enqueue(c);
    }
    sim_free_if_done(c);
}
