#include "dir/rate.h"

enum { burst_ns = 2000000000, ns_per_s = 1000000000 };

/* The word is nanoseconds on the steady clock: a rate over 10^6 a second still has an interval. */
bool rate_take_every(uint64_t *word, uint64_t now_us, const struct rate *rate, uint32_t *retry_s)
{
    uint64_t now_ns = now_us * 1000, interval_ns = MAX(1u, rate->interval_ns);
    /* One call is always allowed after a pause, however low the rate. */
    uint64_t ahead_ns = MAX(rate->burst_ns, interval_ns);
    uint64_t used_ns = __atomic_load_n(word, __ATOMIC_RELAXED);
    for (;;) {
        uint64_t next_ns = MAX(used_ns, now_ns) + interval_ns;
        if (next_ns - now_ns > ahead_ns) {
            uint64_t wait_ns = next_ns - now_ns - ahead_ns;
            *retry_s = (uint32_t)((wait_ns + ns_per_s - 1) / ns_per_s);
            return false;
        }
        if (__atomic_compare_exchange_n(word, &used_ns, next_ns, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    }
}

bool rate_take(uint64_t *word, uint64_t now_us, uint64_t per_s, uint32_t *retry_s)
{
    struct rate rate = rate_per_s(per_s);
    return rate_take_every(word, now_us, &rate, retry_s);
}

struct rate rate_per_s(uint64_t per_s)
{
    return (struct rate){.interval_ns = ns_per_s / per_s, .burst_ns = burst_ns};
}

struct rate rate_per_min(uint64_t per_min)
{
    return (struct rate){.interval_ns = 60ull * ns_per_s / per_min, .burst_ns = 60ull * ns_per_s};
}
