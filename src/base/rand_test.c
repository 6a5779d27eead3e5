#include "base/rand.h"

#include "test.h"

TEST(a_seed_is_a_sequence)
{
    struct rand_src a, b, other;
    rand_init_seeded(&a, 1);
    rand_init_seeded(&b, 1);
    rand_init_seeded(&other, 2);
    CHECK(rand_u64(&a) == rand_u64(&b));
    CHECK(rand_u64(&a) != rand_u64(&other));
    /* Cut anywhere, over refills: the same bytes. */
    uint8_t whole[10000], parts[10000];
    rand_bytes(&a, whole, sizeof whole);
    rand_u64(&other);
    rand_u64(&b);
    for (size_t at = 0, n = 1; at < sizeof parts; at += n, n = n % 97 + 1) {
        n = MIN(n, sizeof parts - at);
        rand_bytes(&b, parts + at, n);
    }
    CHECK_MEM(whole, parts, sizeof whole);
}

TEST(below_stays_below_and_reaches_all)
{
    struct rand_src r;
    unsigned seen = 0;
    rand_init_system(&r);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rand_below(&r, 7);
        CHECK(v < 7);
        seen |= 1u << v;
    }
    CHECK_EQ(seen, 127);
    CHECK_EQ(rand_below(&r, 1), 0);
}

/* Stored keys depend on it: these values are for ever. */
TEST(mix64_is_what_it_was)
{
    CHECK(mix64(0) == 0);
    CHECK(mix64(0x9e3779b97f4a7c15u) == 0xe220a8397b1dcdafu); /* splitmix64's first of seed 0 */
    CHECK(mix64(1) == 0x5692161d100b05e5u);
}
