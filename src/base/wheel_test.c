#include "base/wheel.h"

#include "base/rand.h"
#include "test.h"

struct shot {
    struct timer t; /* first: the timer is the shot */
    uint64_t due_us, fired_us;
    struct wheel *again; /* armed again inside fire */
    uint64_t period_us;
    struct timer *other; /* disarmed inside fire */
    uint32_t fired;
};

static void on_fire(struct timer *t, void *ctx)
{
    struct shot *s = (struct shot *)(void *)t;
    s->fired_us = *(uint64_t *)ctx;
    s->fired++;
    CHECK(!timer_armed(t));
    if (s->again != NULL) {
        s->due_us = s->fired_us + s->period_us;
        wheel_arm(s->again, t, s->due_us);
    }
    if (s->other != NULL)
        wheel_disarm(s->again, s->other);
}

/* Every level, many seeds' worth of distances, the clock in uneven steps: never early, at most a
 * tick and a step late. */
TEST(never_early_and_at_most_a_tick_late)
{
    static struct shot shots[3000];
    struct wheel w;
    struct rand_src r;
    uint64_t now = 1234567890;
    rand_init_seeded(&r, 11);
    wheel_init(&w, now);
    memset(shots, 0, sizeof shots);
    for (size_t i = 0; i < ARRAY_LEN(shots); i++) {
        shots[i].t.fire = on_fire;
        shots[i].due_us = now + rand_below(&r, 1ull << (10 + i % 31)); /* up to 18 minutes */
        wheel_arm(&w, &shots[i].t, shots[i].due_us);
    }
    CHECK_EQ(w.armed, ARRAY_LEN(shots));
    uint64_t step_max = 3 * WHEEL_TICK_US;
    while (w.armed > 0) {
        uint64_t next = wheel_next_us(&w);
        CHECK(next > now || next / WHEEL_TICK_US <= now / WHEEL_TICK_US);
        now += 1 + rand_below(&r, step_max);
        wheel_advance(&w, now, &now);
    }
    for (size_t i = 0; i < ARRAY_LEN(shots); i++) {
        CHECK_EQ(shots[i].fired, 1);
        CHECK(shots[i].fired_us >= shots[i].due_us);
        CHECK(shots[i].fired_us - shots[i].due_us <= step_max + WHEEL_TICK_US);
    }
}

/* Sleeping exactly as long as wheel_next_us() says must serve every timer on time. */
TEST(next_is_never_past_the_first_due_timer)
{
    struct rand_src r;
    rand_init_seeded(&r, 5);
    for (unsigned bits = 0; bits < 41; bits++) {
        struct wheel w;
        struct shot s = {.t.fire = on_fire};
        uint64_t now = rand_below(&r, 1ull << 50);
        wheel_init(&w, now);
        CHECK(wheel_next_us(&w) == UINT64_MAX);
        s.due_us = now + (1ull << bits);
        wheel_arm(&w, &s.t, s.due_us);
        unsigned wakes = 0;
        while (s.fired == 0 && ++wakes < 1u << 23) {
            uint64_t next = wheel_next_us(&w);
            CHECK(next > now - now % WHEEL_TICK_US);
            now = MAX(now, next);
            wheel_advance(&w, now, &now);
        }
        CHECK(s.fired_us >= s.due_us);
        CHECK(s.fired_us < s.due_us + WHEEL_TICK_US);
    }
}

TEST(far_and_endless_timers_wait)
{
    struct wheel w;
    struct shot far = {.t.fire = on_fire}, never = {.t.fire = on_fire};
    uint64_t now = 77, day = 86400000000u;
    wheel_init(&w, now);
    far.due_us = now + 30 * day; /* past the twelve days of the highest level */
    wheel_arm(&w, &far.t, far.due_us);
    wheel_arm(&w, &never.t, UINT64_MAX);
    for (; now < 29 * day; now += day / 4)
        CHECK_EQ(wheel_advance(&w, now, &now), 0);
    while (now < far.due_us) {
        CHECK_EQ(far.fired, 0);
        now += 60000000;
        wheel_advance(&w, now, &now);
    }
    wheel_advance(&w, now + WHEEL_TICK_US, &now);
    CHECK_EQ(far.fired, 1);
    CHECK_EQ(never.fired, 0);
    CHECK_EQ(w.armed, 1);
}

TEST(a_timer_armed_inside_its_fire_comes_again_once_a_tick)
{
    struct wheel w;
    uint64_t now = 10 * WHEEL_TICK_US;
    wheel_init(&w, now);
    struct shot s = {.t.fire = on_fire, .again = &w, .period_us = 0};
    wheel_arm(&w, &s.t, 0); /* long past: next tick */
    for (int i = 0; i < 100; i++) {
        now += WHEEL_TICK_US;
        CHECK_EQ(wheel_advance(&w, now, &now), 1);
    }
    now += 10 * WHEEL_TICK_US;
    CHECK(wheel_advance(&w, now, &now) <= 10); /* and ends: no endless loop */
}

TEST(fire_may_disarm_its_neighbour_and_moving_keeps_one)
{
    struct wheel w;
    uint64_t now = 0;
    wheel_init(&w, now);
    struct shot a = {.t.fire = on_fire, .again = NULL}, b = {.t.fire = on_fire};
    /* Both in one slot: whichever fires first takes the other out. */
    a.other = &b.t;
    b.other = &a.t;
    a.again = b.again = &w;
    a.period_us = b.period_us = 1000000;
    wheel_arm(&w, &a.t, WHEEL_TICK_US);
    wheel_arm(&w, &b.t, WHEEL_TICK_US);
    now = WHEEL_TICK_US;
    CHECK_EQ(wheel_advance(&w, now, &now), 1);
    CHECK_EQ(a.fired + b.fired, 1);
    CHECK_EQ(w.armed, 1);
    wheel_disarm(&w, &a.t);
    wheel_disarm(&w, &b.t);
    wheel_disarm(&w, &b.t);
    CHECK_EQ(w.armed, 0);
    wheel_arm(&w, &a.t, 5000000);
    wheel_arm(&w, &a.t, 9000000); /* moved */
    CHECK_EQ(w.armed, 1);
    now = 8900000;
    CHECK_EQ(wheel_advance(&w, now, &now), 0);
    a.again = NULL;
    a.other = NULL;
    now = 9100000;
    CHECK_EQ(wheel_advance(&w, now, &now), 1);
    CHECK(wheel_next_us(&w) == UINT64_MAX);
}
