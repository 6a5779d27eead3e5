#include "base/hist_log.h"

/* Below 16: a bucket a value. Above: the power of two, then the four bits behind the leading one.
 */
static unsigned bucket_of(uint64_t v)
{
    if (v < 16)
        return (unsigned)v;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(v);
    unsigned b = 16 + (exponent - 4) * 16 + (unsigned)(v >> (exponent - 4) & 15);
    return MIN(b, (unsigned)hist_log_buckets - 1);
}

static uint64_t bucket_end(unsigned b)
{
    if (b < 16)
        return b;
    unsigned exponent = (b - 16) / 16 + 4;
    return (((uint64_t)16 + (b - 16) % 16 + 1) << (exponent - 4)) - 1;
}

static void bump(uint64_t *p, uint64_t n)
{
    __atomic_store_n(p, *p + n, __ATOMIC_RELAXED);
}

void hist_log_add(struct hist_log *h, uint64_t value)
{
    bump(&h->count, 1);
    bump(&h->sum, value);
    bump(&h->buckets[bucket_of(value)], 1);
    if (value > h->max)
        __atomic_store_n(&h->max, value, __ATOMIC_RELAXED);
}

void hist_log_merge(struct hist_log *into, const struct hist_log *from)
{
    into->count += __atomic_load_n(&from->count, __ATOMIC_RELAXED);
    into->sum += __atomic_load_n(&from->sum, __ATOMIC_RELAXED);
    into->max = MAX(into->max, __atomic_load_n(&from->max, __ATOMIC_RELAXED));
    for (unsigned i = 0; i < hist_log_buckets; i++)
        into->buckets[i] += __atomic_load_n(&from->buckets[i], __ATOMIC_RELAXED);
}

uint64_t hist_log_quantile(const struct hist_log *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count + 0.5), seen = 0;
    if (h->count == 0)
        return 0;
    want = MAX(want, 1);
    for (unsigned i = 0; i < hist_log_buckets; i++) {
        seen += h->buckets[i];
        if (seen >= want) /* the last bucket is open at its end */
            return i == hist_log_buckets - 1 ? h->max : MIN(bucket_end(i), h->max);
    }
    return h->max;
}
