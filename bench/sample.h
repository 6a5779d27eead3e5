/* sample.h - a long load, told in pieces: each few seconds a JSON line on standard output says what
 * the posts of that window cost. Thread: main. */
#ifndef PARLEY_BENCH_SAMPLE_H
#define PARLEY_BENCH_SAMPLE_H

#include "load.h"

struct sampler {
    struct bench *bench;
    struct poster *poster;
    uint64_t every_us, start_us;
    struct io_timer timer;
    struct hist_log post_us; /* of the window */
    uint64_t window_us;      /* when it began; what was then: */
    uint64_t acked, cpu_us, written_bytes, restarts, roles_ns[server_roles_max];
};

/* From now on; before load_run. The window's posts are counted by the poster. */
void sampler_start(struct sampler *s, struct load *l, uint64_t every_s);
/* The last, shorter one. */
void sampler_stop(struct sampler *s);

#endif
