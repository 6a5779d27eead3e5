/* sim/rng.h - the seeded choices of the simulator itself; one stream per concern, so that turning
 * one fault off disturbs the others little. Source: splitmix64. */
#ifndef PARLEY_SIM_RNG_H
#define PARLEY_SIM_RNG_H

#include "base/rand.h"

struct rng {
    uint64_t s;
};

static inline struct rng rng_make(uint64_t seed, uint64_t stream)
{
    return (struct rng){mix64(seed * 0x9e3779b97f4a7c15u + stream) ^ mix64(stream + 77)};
}
static inline uint64_t rng_u64(struct rng *r)
{
    r->s += 0x9e3779b97f4a7c15u;
    return mix64(r->s);
}
static inline uint64_t rng_below(struct rng *r, uint64_t n) /* 0..n-1 */
{
    return (uint64_t)((unsigned __int128)rng_u64(r) * n >> 64);
}
static inline uint64_t rng_range(struct rng *r, uint64_t low, uint64_t high) /* both included */
{
    return low + rng_below(r, high - low + 1);
}
static inline bool rng_one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}
/* Between low and high, short ones far more often: most delays are short, some are not. */
static inline uint64_t rng_skewed(struct rng *r, uint64_t low, uint64_t high)
{
    uint64_t span = high - low + 1;
    return low + rng_below(r, 1 + rng_below(r, 1 + rng_below(r, span)));
}

#endif
