/* Runs that overlap, repeat and stand alone come out newest first, once each. */
#include "search/order.h"

#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

enum { most = 4096, rounds = 300 };

struct order {
    struct arena_pool pool;
    struct arena arena;
    struct posting p[most];
    uint32_t len;
};

static void order_init(struct order *o)
{
    arena_pool_init(&o->pool, 4096, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&o->arena, &o->pool, UINT64_MAX), ERR_OK);
    o->len = 0;
}

static void order_deinit(struct order *o)
{
    arena_deinit(&o->arena);
    arena_pool_deinit(&o->pool);
}

static void put(struct order *o, uint64_t ts_us)
{
    o->p[o->len++] = (struct posting){ts_us, ts_us % 7 + 1};
}

static int newest_first(const void *a, const void *b)
{
    const struct posting *x = a, *y = b;
    return (x->ts_us < y->ts_us) - (x->ts_us > y->ts_us);
}

/* Against the library's sort. */
static void check(struct order *o)
{
    static struct posting want[most];
    uint32_t kept = 0;
    memcpy(want, o->p, o->len * sizeof *want);
    if (o->len > 0)
        qsort(want, o->len, sizeof *want, newest_first);
    for (uint32_t i = 0; i < o->len; i++) {
        if (kept == 0 || want[kept - 1].ts_us != want[i].ts_us)
            want[kept++] = want[i];
    }
    CHECK_EQ(postings_order(o->p, &o->len, &o->arena), ERR_OK);
    CHECK_EQ(o->len, kept);
    for (uint32_t i = 0; i < kept; i++) {
        CHECK_EQ(o->p[i].ts_us, want[i].ts_us);
        CHECK_EQ(o->p[i].cid, want[i].cid);
    }
    arena_reset(&o->arena);
}

TEST(nothing_and_one_posting_are_in_order)
{
    static struct order o;
    order_init(&o);
    check(&o);
    put(&o, 5);
    check(&o);
    CHECK_EQ(o.len, 1);
    order_deinit(&o);
}

TEST(runs_in_order_take_no_memory)
{
    static struct order o;
    order_init(&o);
    for (uint64_t ts_us = most; ts_us > 0; ts_us--)
        put(&o, ts_us);
    o.arena.bytes_max = 0; /* an allocation would fail */
    check(&o);
    CHECK_EQ(o.len, most);
    order_deinit(&o);
}

TEST(rising_order_is_turned_round)
{
    static struct order o;
    order_init(&o);
    for (uint64_t ts_us = 1; ts_us <= 1000; ts_us++)
        put(&o, ts_us);
    check(&o);
    order_deinit(&o);
}

TEST(runs_of_any_shape)
{
    static struct order o;
    struct rand_src r;
    rand_init_seeded(&r, 20180201);
    order_init(&o);
    for (int round = 0; round < rounds; round++) {
        uint64_t spread = 1 + rand_below(&r, 6000), from = 1000000; /* narrow: many repeat */
        o.len = 0;
        for (uint64_t runs = rand_below(&r, 60); runs > 0; runs--) {
            uint64_t ts_us = from - rand_below(&r, spread);
            for (uint64_t n = 1 + rand_below(&r, most / 64); n > 0 && ts_us > 3; n--) {
                put(&o, ts_us);
                ts_us -= rand_below(&r, 3); /* 0: the same again */
            }
            from -= rand_below(&r, 200);
        }
        check(&o);
    }
    order_deinit(&o);
}

TEST(no_memory_leaves_them_as_they_were)
{
    static struct order o;
    order_init(&o);
    for (uint64_t ts_us = 1; ts_us <= most; ts_us++)
        put(&o, ts_us);
    o.arena.bytes_max = 4096;
    CHECK_EQ(postings_order(o.p, &o.len, &o.arena), ERR_NOMEM);
    CHECK_EQ(o.len, most);
    CHECK_EQ(o.p[0].ts_us, 1);
    order_deinit(&o);
}
