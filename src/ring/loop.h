/* ring/loop.h - a thread: clock, timer wheel, actors, and a driver that sleeps, wakes and handles
 * completions. One turn: control cells, then at most 256 cells of every inbound ring in rotating
 * order, completions, timers, end_turn of each actor, outboxes published, bells rung. No new work
 * is begun after 1 ms. There is one kind of loop for every actor; log and hist merely block inside
 * their turn. */
#ifndef PARLEY_RING_LOOP_H
#define PARLEY_RING_LOOP_H

#include <pthread.h>
#include "base/clock.h"
#include "base/metric.h"
#include "base/rand.h"
#include "base/wheel.h"
#include "ring/outbox.h"

enum { loop_actors_max = 64, turn_cells_max = 256, turn_budget_us = 1000 };

/* What a step may know of the world. Made by the loop (or the simulator) for one actor and one
 * turn. */
struct turn {
    uint64_t mono_us; /* steady clock at the start of the turn */
    uint64_t wall_us; /* slewed wall clock, us since 1970 */
    struct outbox *out;
    struct rand_src *rand;
    struct wheel *wheel; /* the actor's timers; fire() gets the turn as ctx */
    struct metrics *metrics;
};

struct actor_ops {
    /* A run of cells from one ring, in order. The cells are borrowed for the call. Answers: the
     * credit has been put back already. */
    void (*on_cells)(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t);
    void (*end_turn)(void *self, struct turn *t); /* may be NULL; flush what the turn gathered */
    bool (*busy)(const void *self); /* may be NULL; true: has work left, do not sleep */
    /* Drain: finish what was taken; true once nothing is left. Called each turn from the drain on.
     * May be NULL. */
    bool (*drain)(void *self, struct turn *t);
};

struct loop;

struct actor {
    const struct actor_ops *ops;
    void *self;
    actor_id id;
    enum actor_kind kind;
    uint16_t index; /* among its kind */
    char name[16];  /* "chan0" */
    struct loop *loop;
    struct outbox outbox;
    struct wheel wheel;
    struct edge **in; /* inbound edges, control first; owned by the topology */
    uint32_t in_len, in_control_len, in_next;
    uint32_t drained; /* atomic; the loop sets it once drain() is true and no request is out */
};

/* The part that touches the kernel; net/uring.c in the daemon. */
struct loop_driver_ops {
    /* Submits what is queued; sleeps until a completion, a bell or timeout_us (0: no sleep,
     * UINT64_MAX: for ever). */
    void (*wait)(void *driver, uint64_t timeout_us);
    /* Handles completions; calls net owners. turn_of() gives the turn of the actor that owns a
     * connection. */
    void (*dispatch)(void *driver);
    /* Queues a bell to another loop's driver; leaves at the next submit. Called on the ringing
     * loop's thread. */
    void (*ring)(void *driver, void *other_driver);
};

/* The world as a simulator or a test makes it: its clocks, and which cells have arrived. In the
 * daemon there is none: the machine's clocks, and every published cell is seen at once. */
struct loop_seam {
    uint64_t (*mono_us)(void *ctx);
    uint64_t (*wall_us)(void *ctx); /* the system's clock, before wall_clock slews it */
    /* At most so many cells of e are seen in this turn; a delay, or the end of a batch. */
    uint32_t (*cells_max)(void *ctx, struct edge *e);
    void *ctx;
};

struct loop {
    char name[16];
    uint32_t index;
    const struct loop_driver_ops *driver_ops;
    void *driver;
    struct actor *actors[loop_actors_max];
    uint32_t actors_len;
    struct loop **peers;          /* loop of each actor id */
    const struct loop_seam *seam; /* NULL in the daemon */
    struct wall_clock wall;
    struct rand_src rand;
    struct metrics metrics;
    struct turn turn; /* mono_us and wall_us of the present turn; out is set per actor */
    uint64_t turn_started_us;
    uint32_t thread_id;   /* atomic; the kernel's, set by the thread that runs it; 0: none */
    uint32_t stop;        /* atomic */
    uint32_t drain_kinds; /* atomic; bit per actor_kind that is draining (server/drain.c) */
    uint32_t sleeping
        __attribute__((aligned(CACHE_LINE))); /* atomic; pairs with loop_flush's fence */
};

MUST_USE enum err loop_init(struct loop *l, uint32_t index, const char *name);
void loop_deinit(struct loop *l);
void loop_add(struct loop *l, struct actor *a);
/* One turn; true when something was done. The simulator and tests call it too. */
bool loop_turn(struct loop *l);
/* Turns until loop_stop; the thread's main. */
void loop_run(struct loop *l);
/* How long it may sleep: 0 while work waits, UINT64_MAX when only a bell can bring some. */
uint64_t loop_idle_us(const struct loop *l, uint64_t now_us);
void loop_stop(struct loop *l); /* any thread; the caller wakes the loop through its driver */
/* Any thread, then wake: the loop's actors of that kind begin to drain. */
void loop_drain(struct loop *l, enum actor_kind kind);
static inline bool actor_drained(const struct actor *a)
{
    return __atomic_load_n(&a->drained, __ATOMIC_ACQUIRE) != 0;
}
/* The turn as seen by one actor, for the driver's callbacks. */
struct turn *loop_turn_of(struct loop *l, struct actor *a);

#endif
