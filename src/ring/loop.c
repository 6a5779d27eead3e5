#include "ring/loop.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mutant.h"
#include "ring/frame.h"

enum err loop_init(struct loop *l, uint32_t index, const char *name)
{
    memset(l, 0, sizeof *l);
    l->index = index;
    snprintf(l->name, sizeof l->name, "%s", name);
    uint64_t mono = clock_mono_us();
    wall_clock_init(&l->wall, mono, clock_wall_us());
    rand_init_system(&l->rand);
    l->turn = (struct turn){.mono_us = mono, .rand = &l->rand, .metrics = &l->metrics};
    l->turn.wall_us = wall_clock_read(&l->wall, mono, clock_wall_us());
    return ERR_OK;
}

void loop_deinit(struct loop *l)
{
    l->actors_len = 0;
}

void loop_add(struct loop *l, struct actor *a)
{
    ASSERT(l->actors_len < loop_actors_max);
    a->loop = l;
    a->outbox.self = a->id;
    wheel_init(&a->wheel, l->turn.mono_us);
    l->actors[l->actors_len++] = a;
}

struct turn *loop_turn_of(struct loop *l, struct actor *a)
{
    l->turn.out = &a->outbox;
    l->turn.wheel = &a->wheel;
    return &l->turn;
}

static uint64_t mono_us(const struct loop *l)
{
    return l->seam == NULL ? clock_mono_us() : l->seam->mono_us(l->seam->ctx);
}

static void read_clocks(struct loop *l)
{
    l->turn.mono_us = mono_us(l);
    l->turn.wall_us =
        wall_clock_read(&l->wall, l->turn.mono_us,
                        l->seam == NULL ? clock_wall_us() : l->seam->wall_us(l->seam->ctx));
}

/* Hands one run of an edge to its actor. Credits come home before the actor looks, so that it may
 * spend them. */
static uint32_t deliver(struct loop *l, struct actor *a, struct edge *e, uint32_t max)
{
    struct cell *run;
    uint32_t n = edge_peek(e, max, &run);
    if (n == 0)
        return 0;
    if (e->class == CLASS_ANSWER || e->class == CLASS_EVENT) {
        for (uint32_t i = 0; i < n; i++) {
            bool answer = e->class == CLASS_ANSWER ? run[i].type != FRAME_HOME
                                                   : (run[i].flags & CELL_F_ANSWER) != 0;
            if (MUTANT(CREDIT_LEAK, answer, answer && run[i].err == ERR_OK))
                outbox_credit_back(&a->outbox, e->src);
        }
    }
    a->ops->on_cells(a->self, e->src, e->class, run, n, loop_turn_of(l, a));
    edge_consume(e, n);
    return n;
}

/* Up to turn_cells_max cells of one ring; a run ends at the ring's wrap, so there may be two. */
static uint32_t deliver_ring(struct loop *l, struct actor *a, struct edge *e)
{
    uint32_t total = 0;
    uint32_t max = l->seam == NULL ? turn_cells_max : l->seam->cells_max(l->seam->ctx, e);
    while (total < max) {
        uint32_t n = deliver(l, a, e, max - total);
        if (n == 0)
            break;
        total += n;
    }
    return total;
}

static bool over_budget(const struct loop *l)
{
    return mono_us(l) - l->turn_started_us > turn_budget_us;
}

static bool deliver_actor(struct loop *l, struct actor *a)
{
    bool did = false;
    for (uint32_t i = 0; i < a->in_control_len; i++)
        did |= deliver_ring(l, a, a->in[i]) > 0;
    uint32_t others = a->in_len - a->in_control_len;
    for (uint32_t i = 0; i < others; i++) {
        struct edge *e = a->in[a->in_control_len + (a->in_next + i) % others];
        if (deliver_ring(l, a, e) == 0)
            continue;
        did = true;
        if (over_budget(l)) {
            a->in_next = (a->in_next + i + 1) % others; /* who waited goes first next turn */
            return did;
        }
    }
    a->in_next = others > 0 ? (a->in_next + 1) % others : 0;
    return did;
}

/* Publishes what the turn staged and rings each sleeping loop once. */
static void flush(struct loop *l)
{
    struct loop *woken[loop_actors_max];
    uint32_t woken_len = 0;
    bool published = false;
    for (uint32_t i = 0; i < l->actors_len; i++) {
        struct outbox *o = &l->actors[i]->outbox;
        for (uint32_t d = 0; d < o->dirty_len; d++) {
            struct loop *peer = l->peers[o->dirty[d]->dst];
            published |= edge_publish(o->dirty[d]);
            if (peer == l)
                continue;
            uint32_t w = 0;
            while (w < woken_len && woken[w] != peer)
                w++;
            if (w == woken_len && woken_len < loop_actors_max)
                woken[woken_len++] = peer;
        }
        o->dirty_len = 0;
    }
    if (!published)
        return;
    __atomic_thread_fence(
        __ATOMIC_SEQ_CST); /* tails before `sleeping`; pairs with the fence in may_sleep */
    for (uint32_t w = 0; w < woken_len; w++) {
        struct loop *peer = woken[w];
        if (__atomic_load_n(&peer->sleeping, __ATOMIC_RELAXED) != 0 &&
            __atomic_exchange_n(&peer->sleeping, 0, __ATOMIC_ACQ_REL) != 0) {
            metric_add(&l->metrics, METRIC_LOOP_WAKEUPS, 1);
            l->driver_ops->ring(l->driver, peer->driver);
        }
    }
}

static bool work_waits(const struct loop *l)
{
    for (uint32_t i = 0; i < l->actors_len; i++) {
        const struct actor *a = l->actors[i];
        for (uint32_t e = 0; e < a->in_len; e++) {
            if (!edge_empty(a->in[e]))
                return true;
        }
        if (a->ops->busy != NULL && a->ops->busy(a->self))
            return true;
    }
    return false;
}

static void drain_actors(struct loop *l)
{
    uint32_t kinds = __atomic_load_n(&l->drain_kinds, __ATOMIC_ACQUIRE);
    if (kinds == 0)
        return;
    for (uint32_t i = 0; i < l->actors_len; i++) {
        struct actor *a = l->actors[i];
        if ((kinds >> a->kind & 1) == 0)
            continue;
        bool done = a->ops->drain == NULL || a->ops->drain(a->self, loop_turn_of(l, a));
        done = done && a->outbox.requests_out == 0;
        __atomic_store_n(&a->drained, done, __ATOMIC_RELEASE);
    }
}

bool loop_turn(struct loop *l)
{
    read_clocks(l);
    l->turn_started_us = l->turn.mono_us;
    bool did = false;
    for (uint32_t i = 0; i < l->actors_len; i++)
        did |= deliver_actor(l, l->actors[i]);
    l->driver_ops->dispatch(l->driver);
    for (uint32_t i = 0; i < l->actors_len; i++) {
        struct actor *a = l->actors[i];
        did |= wheel_advance(&a->wheel, l->turn.mono_us, loop_turn_of(l, a)) > 0;
    }
    drain_actors(l);
    for (uint32_t i = 0; i < l->actors_len; i++) {
        struct actor *a = l->actors[i];
        if (a->ops->end_turn != NULL)
            a->ops->end_turn(a->self, loop_turn_of(l, a));
    }
    flush(l);
    metric_add(&l->metrics, METRIC_LOOP_TURNS, 1);
    return did;
}

/* Announces sleep, then looks again: a producer that published before it saw the announcement is
 * seen here, one that publishes after it rings. */
static bool may_sleep(struct loop *l)
{
    __atomic_store_n(&l->sleeping, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the fence in flush */
    if (!work_waits(l) && __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE) == 0)
        return true;
    __atomic_store_n(&l->sleeping, 0, __ATOMIC_RELAXED);
    return false;
}

/* While draining, a turn at least each 10 ms: what drain() waits for may not ring this loop. */
static uint64_t sleep_us(const struct loop *l, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < l->actors_len; i++)
        next = MIN(next, wheel_next_us(&l->actors[i]->wheel));
    uint64_t us = next == UINT64_MAX ? UINT64_MAX : next > now_us ? next - now_us : 0;
    if (__atomic_load_n(&l->drain_kinds, __ATOMIC_RELAXED) != 0)
        us = MIN(us, 10000u);
    return us;
}

uint64_t loop_idle_us(const struct loop *l, uint64_t now_us)
{
    return work_waits(l) ? 0 : sleep_us(l, now_us);
}

void loop_run(struct loop *l)
{
    log_thread_name(l->name);
    while (__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE) == 0) {
        loop_turn(l);
        uint64_t now_us = clock_mono_us();
        metric_hist(&l->metrics, METRIC_HIST_TURN_US, now_us - l->turn_started_us);
        uint64_t timeout_us = may_sleep(l) ? sleep_us(l, now_us) : 0;
        l->driver_ops->wait(l->driver, timeout_us);
        __atomic_store_n(&l->sleeping, 0, __ATOMIC_RELAXED);
    }
}

void loop_stop(struct loop *l)
{
    __atomic_store_n(&l->stop, 1, __ATOMIC_RELEASE);
}

void loop_drain(struct loop *l, enum actor_kind kind)
{
    __atomic_or_fetch(&l->drain_kinds, 1u << kind, __ATOMIC_ACQ_REL);
}
