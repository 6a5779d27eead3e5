/* rig.h - a few actors on one loop without a driver, turned by hand: for tests of one actor among
 * recorders. Header only, since each test is one file. */
#ifndef PARLEY_TESTS_RIG_H
#define PARLEY_TESTS_RIG_H

#include "ring/frame.h"
#include "ring/loop.h"

enum { rig_actors_max = 8, rig_edges_max = 64, recorded_max = 512 };

struct rig {
    struct loop loop;
    struct loop *peers[rig_actors_max];
    struct actor actors[rig_actors_max];
    struct edge edges[rig_edges_max];
    struct edge *in[rig_actors_max][rig_edges_max];
    uint32_t len, edges_len;
};

static inline void rig_no_wait(void *driver, uint64_t timeout_us)
{
    (void)driver, (void)timeout_us;
}
static inline void rig_no_dispatch(void *driver)
{
    (void)driver;
}
static inline void rig_no_ring(void *driver, void *other)
{
    (void)driver, (void)other;
}

static inline void rig_init(struct rig *r)
{
    static const struct loop_driver_ops ops = {rig_no_wait, rig_no_dispatch, rig_no_ring};
    memset(r, 0, sizeof *r);
    CHECK_EQ(loop_init(&r->loop, 0, "rig"), ERR_OK);
    r->loop.driver_ops = &ops;
    r->loop.peers = r->peers;
}

static inline void rig_deinit(struct rig *r)
{
    for (uint32_t i = 0; i < r->edges_len; i++)
        edge_deinit(&r->edges[i]);
    loop_deinit(&r->loop);
}

static inline actor_id rig_add(struct rig *r, const struct actor_ops *ops, void *self)
{
    struct actor *a = &r->actors[r->len];
    *a = (struct actor){.ops = ops, .self = self, .id = (actor_id)r->len, .in = r->in[r->len]};
    r->peers[r->len] = &r->loop;
    loop_add(&r->loop, a);
    return (actor_id)r->len++;
}

static inline void rig_wire(struct rig *r, actor_id src, actor_id dst, enum ring_class class,
                            uint32_t size)
{
    struct edge *e = &r->edges[r->edges_len++];
    struct actor *to = &r->actors[dst];
    CHECK_EQ(edge_init(e, src, dst, class, size), ERR_OK);
    outbox_wire(&r->actors[src].outbox, e);
    uint32_t at = class == CLASS_CONTROL ? to->in_control_len++ : to->in_len;
    memmove(&to->in[at + 1], &to->in[at], (to->in_len - at) * sizeof to->in[0]);
    to->in[at] = e;
    to->in_len++;
}

/* Requests one way, answers the other. */
static inline void rig_wire_requests(struct rig *r, actor_id src, actor_id dst, uint32_t size)
{
    rig_wire(r, src, dst, CLASS_REQUEST, size);
    rig_wire(r, dst, src, CLASS_ANSWER, size);
}

static inline void rig_turns(struct rig *r, unsigned n)
{
    while (n-- > 0)
        loop_turn(&r->loop);
}

/* An actor that keeps what it gets. */
struct recorder {
    struct cell cells[recorded_max];
    actor_id from[recorded_max];
    uint32_t len;
};

static inline void recorder_cells(void *self, actor_id from, enum ring_class class,
                                  const struct cell *cells, uint32_t n, struct turn *t)
{
    (void)class, (void)t;
    struct recorder *r = self;
    for (uint32_t i = 0; i < n; i++) {
        CHECK(r->len < recorded_max);
        r->from[r->len] = from;
        r->cells[r->len++] = cells[i];
    }
}

static const struct actor_ops recorder_ops = {.on_cells = recorder_cells};

/* Stages a request; it leaves with the next turn. False: no credit. */
static inline bool rig_ask(struct rig *r, actor_id src, actor_id dst, uint16_t type, uint64_t req,
                           void *p)
{
    struct cell *c = outbox_request(&r->actors[src].outbox, dst);
    if (c == NULL)
        return false;
    c->type = type;
    c->req = req;
    c->u.p = p;
    return true;
}

#endif
