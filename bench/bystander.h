/* bystander.h - a process that posts at a rate into a channel of its own while the storm rages. Of
 * its own, so that its posts do not wait in the client behind twenty thousand returners. Forked
 * before anything else is set up, since a ring belongs to its process. Thread: main of each. */
#ifndef PARLEY_BENCH_BYSTANDER_H
#define PARLEY_BENCH_BYSTANDER_H

#include "base/hist_log.h"

#include "base/compiler.h"

struct bench;
struct options;

struct bystander_figures {
    uint64_t acknowledged, problems;
    char first[240];                                 /* of the problems */
    struct hist_log calm_us, storm_us;               /* from the intended time */
    struct hist_log calm_answer_us, storm_answer_us; /* from the first byte written */
};

/* Forks it; returns in both. In the bystander bystander_part() is true. False: said on stderr. */
bool bystander_fork(void);
bool bystander_part(void);
bool bystander_run(struct bench *b); /* the bystander's own main */

/* Of the one that forked it. */
bool bystander_begin(void); /* waits until it is ready, lets it post; false: it is gone */
void bystander_storm(void);
bool bystander_end(struct bystander_figures *out); /* false: it is gone */

#endif
