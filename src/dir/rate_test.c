#include "dir/rate.h"

#include "test.h"

static unsigned burst(uint64_t *word, uint64_t now_us, uint64_t per_s)
{
    unsigned n = 0;
    uint32_t retry_s;
    while (n < 1000000 && rate_take(word, now_us, per_s, &retry_s))
        n++;
    CHECK(n == 1000000 || retry_s >= 1);
    return n;
}

TEST(a_burst_is_two_seconds_worth_and_then_the_rate)
{
    static const uint64_t rates[] = {1, 3, 10, 2000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        uint64_t word = 0, now_us = 5000000000;
        CHECK_EQ(burst(&word, now_us, rates[i]), 2 * rates[i]);
        unsigned taken = 0;
        for (int ms = 0; ms < 10000; ms++) {
            uint32_t retry_s;
            now_us += 1000;
            while (rate_take(&word, now_us, rates[i], &retry_s))
                taken++;
        }
        CHECK(taken >= 10 * rates[i] - 1 && taken <= 10 * rates[i] + 1);
        now_us += 60000000;
        CHECK_EQ(burst(&word, now_us, rates[i]), 2 * rates[i]); /* rest does not add up to more */
    }
}

/* Who waits as long as told is let in. */
TEST(retry_after_is_enough)
{
    uint64_t word = 0, now_us = 1000;
    uint32_t retry_s = 0;
    burst(&word, now_us, 1);
    CHECK(!rate_take(&word, now_us, 1, &retry_s));
    CHECK_EQ(retry_s, 1);
    CHECK(rate_take(&word, now_us + retry_s * 1000000u, 1, &retry_s));
    word = 0;
    CHECK(rate_take(&word, now_us, 10000000000u, &retry_s)); /* rates past a call a nanosecond */
}
