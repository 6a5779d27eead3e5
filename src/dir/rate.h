/* dir/rate.h - a token bucket in one atomic word (GCRA): the time up to which the caller has used
 * its rate. Source: ITU-T I.371, generic cell rate algorithm. */
#ifndef PARLEY_DIR_RATE_H
#define PARLEY_DIR_RATE_H

#include "base/compiler.h"

/* Takes one call at per_s calls a second with a burst of two seconds' worth. True: allowed. False:
 * *retry_s (>= 1) says when to come back. now_us: steady clock. Any thread. */
bool rate_take(uint64_t *word, uint64_t now_us, uint64_t per_s, uint32_t *retry_s);

#endif
