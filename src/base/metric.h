/* metric.h - counters, gauges and histograms that each thread writes for itself; /metrics sums
 * them. metric.def holds name, kind, unit and meaning. Writing is one plain store to the thread's
 * own cache line. */
#ifndef PARLEY_BASE_METRIC_H
#define PARLEY_BASE_METRIC_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/hist_log.h"

enum metric {
#define COUNTER(id, help) METRIC_##id,
#define GAUGE(id, help)   METRIC_##id,
#define HISTOGRAM(id, help)
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRIC_COUNT
};

enum metric_hist {
#define COUNTER(id, help)
#define GAUGE(id, help)
#define HISTOGRAM(id, help) METRIC_HIST_##id,
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRIC_HIST_COUNT
};

/* One per thread; made at start by the loop that runs the thread, given to its actors. */
struct metrics {
    uint64_t values[METRIC_COUNT];
    struct hist_log hists[METRIC_HIST_COUNT];
};

static inline void metric_add(struct metrics *m, enum metric id, uint64_t n)
{
    __atomic_store_n(&m->values[id], m->values[id] + n, __ATOMIC_RELAXED);
}
static inline void metric_set(struct metrics *m, enum metric id, uint64_t v)
{
    __atomic_store_n(&m->values[id], v, __ATOMIC_RELAXED);
}
static inline void metric_hist(struct metrics *m, enum metric_hist id, uint64_t v)
{
    hist_log_add(&m->hists[id], v);
}

/* Prometheus text format 0.0.4 of the sum over all n threads; names are parley_<id in lower case>.
 */
void metrics_render(const struct metrics *const *all, size_t n, struct buf *out);

#endif
