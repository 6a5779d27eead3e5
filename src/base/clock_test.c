#include "base/clock.h"

#include "base/rand.h"
#include "test.h"

enum { second = 1000000 };

TEST(wall_time_follows_by_a_millisecond_a_second)
{
    struct wall_clock c;
    uint64_t mono = 5 * second, wall = 1700000000000000u;
    wall_clock_init(&c, mono, wall);
    CHECK(wall_clock_read(&c, mono, wall) == wall);
    wall += 30 * (uint64_t)second; /* the system clock is set 30 s ahead */
    for (int s = 1; s <= 100; s++) {
        mono += second;
        wall += second;
        uint64_t got = wall_clock_read(&c, mono, wall);
        CHECK_EQ(wall - got, 30 * second - s * 1000);
        CHECK(!c.stepped);
    }
}

/* Whatever the system clock does, ours never runs backwards, read ever so often. */
TEST(wall_time_never_runs_back)
{
    struct wall_clock c;
    struct rand_src r;
    uint64_t mono = 1, wall = 1700000000000000u, last = 0;
    rand_init_seeded(&r, 9);
    wall_clock_init(&c, mono, wall);
    for (int i = 0; i < 100000; i++) {
        uint64_t passed = rand_below(&r, 3000);
        mono += passed;
        wall += passed + rand_below(&r, 2001) - 1000;
        uint64_t got = wall_clock_read(&c, mono, wall);
        CHECK(got >= last);
        last = got;
    }
}

TEST(short_reads_still_converge)
{
    struct wall_clock c;
    uint64_t mono = 0, wall = 1700000000000000u;
    wall_clock_init(&c, mono, wall);
    wall += 500;
    for (int i = 0; i < 20000; i++) { /* 100 us each: 2 s */
        mono += 100;
        wall += 100;
        wall_clock_read(&c, mono, wall);
    }
    CHECK(wall_clock_read(&c, mono, wall) == wall);
}

TEST(a_step_is_not_followed_but_told)
{
    struct wall_clock c;
    uint64_t mono = 0, wall = 1700000000000000u;
    wall_clock_init(&c, mono, wall);
    for (int s = 1; s <= 10; s++) {
        mono += second;
        CHECK(wall_clock_read(&c, mono, wall + 61u * second + mono) == wall + mono);
        CHECK(c.stepped);
    }
    mono += second;
    CHECK(wall_clock_read(&c, mono, wall + mono) == wall + mono); /* it came back */
    CHECK(!c.stepped);
    mono += second;
    wall_clock_read(&c, mono, wall + mono - 61u * second);
    CHECK(c.stepped);
}
