/* dir/rate.h - a token bucket in one atomic word (GCRA): the time up to which the caller has used
 * its rate. Source: ITU-T I.371, generic cell rate algorithm. */
#ifndef PARLEY_DIR_RATE_H
#define PARLEY_DIR_RATE_H

#include "base/compiler.h"

struct rate {
    uint64_t interval_ns, burst_ns; /* burst: how far the word may be ahead of the clock */
};
struct rate rate_per_s(uint64_t per_s);     /* with a burst of two seconds' worth */
struct rate rate_per_min(uint64_t per_min); /* with a burst of a minute's worth */

/* Takes one call. True: allowed. False: *retry_s (>= 1) says when to come back. now_us: steady
 * clock. Any thread. */
bool rate_take_every(uint64_t *word, uint64_t now_us, const struct rate *rate, uint32_t *retry_s);
bool rate_take(uint64_t *word, uint64_t now_us, uint64_t per_s, uint32_t *retry_s);

#endif
