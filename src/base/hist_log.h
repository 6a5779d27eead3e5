/* hist_log.h - log-linear histogram: 16 linear steps per power of two, so a value is off by at
 * most 6.25 %. Values are unsigned (us, bytes, counts). Thread: one writer; readers may see a count
 * one short. */
#ifndef PARLEY_BASE_HIST_LOG_H
#define PARLEY_BASE_HIST_LOG_H

#include "base/compiler.h"

enum { hist_log_buckets = 16 + 16 * 44 }; /* up to 2^48 */

struct hist_log {
    uint64_t count, sum, max;
    uint64_t buckets[hist_log_buckets];
};

void hist_log_add(struct hist_log *h, uint64_t value);
void hist_log_merge(struct hist_log *into, const struct hist_log *from);
/* The upper edge of the bucket that holds quantile q (0..1); 0 when empty. */
uint64_t hist_log_quantile(const struct hist_log *h, double q);

#endif
