#include "base/hist_log.h"

#include "base/rand.h"
#include "test.h"

TEST(a_value_is_off_by_at_most_a_sixteenth)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t step = 0; step < 64; step++) {
            struct hist_log h = {0};
            uint64_t v = (1ull << shift) + (((1ull << shift) >> 6) * step);
            hist_log_add(&h, v);
            hist_log_add(&h, UINT64_MAX); /* so that max does not help */
            uint64_t got = hist_log_quantile(&h, 0.5);
            CHECK(got >= v);
            if (shift < 47)
                CHECK(got - v <= v / 16);
        }
    }
}

TEST(quantiles_rank_rightly)
{
    struct hist_log h = {0}, sum = {0};
    CHECK_EQ(hist_log_quantile(&h, 0.99), 0);
    for (uint64_t v = 1; v <= 10; v++)
        hist_log_add(&h, v);
    CHECK_EQ(hist_log_quantile(&h, 0), 1);
    CHECK_EQ(hist_log_quantile(&h, 0.5), 5);
    CHECK_EQ(hist_log_quantile(&h, 0.99), 10);
    CHECK_EQ(hist_log_quantile(&h, 1), 10);
    hist_log_merge(&sum, &h);
    hist_log_merge(&sum, &h);
    CHECK_EQ(sum.count, 20);
    CHECK_EQ(sum.sum, 110);
    CHECK_EQ(sum.max, 10);
    CHECK_EQ(hist_log_quantile(&sum, 0.5), 5);
}
