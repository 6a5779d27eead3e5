/* sim/report.h - what a run found, in memory that the parent process shares. */
#ifndef PARLEY_SIM_REPORT_H
#define PARLEY_SIM_REPORT_H

#include "base/compiler.h"

struct world;

struct result {
    bool finished, violated;
    char name[48]; /* of the invariant */
    char text[1024];
    uint64_t ops, steps, crashes, drains, events, hints, hash, virtual_us;
};

/* This process is the run's own from now on: signals, asserts and violations end it. */
void report_begin(struct result *r, struct world *w, bool loud);
_Noreturn void report_violation(struct world *w, const char *name, const char *text);
void report_sum(struct world *w); /* fills the counters */

#endif
