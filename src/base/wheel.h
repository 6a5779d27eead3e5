/* wheel.h - hierarchical timer wheel, 4 levels x 64 slots, 64 ms ticks: about 12 days ahead.
 * A timer fires at or up to one tick after its time, never before. Intrusive: the caller owns the
 * node. Thread: one owner. Time comes in as an argument (steady clock, us). */
#ifndef PARLEY_BASE_WHEEL_H
#define PARLEY_BASE_WHEEL_H

#include "base/compiler.h"

#define WHEEL_TICK_US 65536u
enum { wheel_levels = 4, wheel_slots = 64 };

struct timer {
    struct timer *next, **link; /* link NULL: not armed */
    uint64_t due_tick;
    void (*fire)(struct timer *t,
                 void *ctx); /* the timer is disarmed already; it may be armed again or freed */
};

struct wheel {
    uint64_t now_tick;
    uint32_t armed;
    struct timer *slots[wheel_levels][wheel_slots];
};

void wheel_init(struct wheel *w, uint64_t now_us);
void wheel_arm(struct wheel *w, struct timer *t, uint64_t due_us); /* armed already: moved */
void wheel_disarm(struct wheel *w, struct timer *t);               /* not armed: nothing */
static inline bool timer_armed(const struct timer *t)
{
    return t->link != NULL;
}
/* Fires what is due; ctx goes to every fire(). Returns how many fired. */
uint32_t wheel_advance(struct wheel *w, uint64_t now_us, void *ctx);
/* When to call again at the latest, us; UINT64_MAX when nothing is armed. */
uint64_t wheel_next_us(const struct wheel *w);

#endif
