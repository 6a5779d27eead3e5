#include "base/wheel.h"

#include <string.h>

void wheel_init(struct wheel *w, uint64_t now_us)
{
    memset(w, 0, sizeof *w);
    w->now_tick = now_us / WHEEL_TICK_US;
}

static void link_timer(struct timer **head, struct timer *t)
{
    t->next = *head;
    if (t->next != NULL)
        t->next->link = &t->next;
    t->link = head;
    *head = t;
}

static void unlink_timer(struct timer *t)
{
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    t->link = NULL;
    t->next = NULL;
}

/* Level l has slots of 64^l ticks. A timer sits at the lowest level whose span reaches it; past the
 * highest it waits in the furthest slot and is placed anew when that comes round. */
static void place(struct wheel *w, struct timer *t)
{
    uint64_t ahead = t->due_tick - w->now_tick;
    unsigned level = 0;
    while (level < wheel_levels - 1 && ahead >> (6 * (level + 1)) != 0)
        level++;
    uint64_t at = t->due_tick;
    if (ahead >> (6 * wheel_levels) != 0)
        at = w->now_tick + ((uint64_t)1 << (6 * wheel_levels)) - 1;
    link_timer(&w->slots[level][at >> (6 * level) & (wheel_slots - 1)], t);
}

void wheel_arm(struct wheel *w, struct timer *t, uint64_t due_us)
{
    wheel_disarm(w, t);
    /* Rounded up: never before its time. UINT64_MAX, "never", must not wrap to "now". */
    uint64_t tick = due_us / WHEEL_TICK_US + (due_us % WHEEL_TICK_US != 0);
    t->due_tick = MAX(tick, w->now_tick + 1);
    place(w, t);
    w->armed++;
}

void wheel_disarm(struct wheel *w, struct timer *t)
{
    if (!timer_armed(t))
        return;
    unlink_timer(t);
    w->armed--;
}

static void cascade(struct wheel *w, unsigned level)
{
    struct timer **slot = &w->slots[level][w->now_tick >> (6 * level) & (wheel_slots - 1)];
    struct timer *list = *slot;
    *slot = NULL;
    while (list != NULL) {
        struct timer *t = list;
        list = t->next;
        t->next = NULL;
        t->link = NULL;
        place(w, t);
    }
}

uint32_t wheel_advance(struct wheel *w, uint64_t now_us, void *ctx)
{
    uint64_t to = now_us / WHEEL_TICK_US;
    uint32_t fired = 0;
    if (w->armed == 0 && to > w->now_tick)
        w->now_tick = to;
    while (w->now_tick < to) {
        w->now_tick++;
        for (unsigned level = wheel_levels - 1; level >= 1; level--) {
            if ((w->now_tick & (((uint64_t)1 << (6 * level)) - 1)) == 0)
                cascade(w, level);
        }
        struct timer **slot = &w->slots[0][w->now_tick & (wheel_slots - 1)];
        for (struct timer *t; (t = *slot) != NULL;) {
            unlink_timer(t);
            w->armed--;
            fired++;
            t->fire(t, ctx); /* may arm or disarm any timer: the slot is read anew each time */
        }
    }
    return fired;
}

uint64_t wheel_next_us(const struct wheel *w)
{
    if (w->armed == 0)
        return UINT64_MAX;
    for (uint64_t i = 1; i <= wheel_slots; i++) {
        uint64_t tick = w->now_tick + i;
        bool boundary =
            (tick & (wheel_slots - 1)) == 0; /* higher levels come down here: look again then */
        if (boundary || w->slots[0][tick & (wheel_slots - 1)] != NULL)
            return tick * WHEEL_TICK_US;
    }
    return (w->now_tick + wheel_slots) * WHEEL_TICK_US;
}
