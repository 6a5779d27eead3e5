/* sim/run.h - one seed in a process of its own, and what is done with many. */
#ifndef PARLEY_SIM_RUN_H
#define PARLEY_SIM_RUN_H

#include "plan.h"
#include "report.h"

struct run_opts {
    uint64_t ops;
    uint32_t without; /* faults that must not happen */
    bool trace;       /* every message on standard error */
    int mutant;       /* planted bug to run with; 0: none */
};

/* loud: violations are printed with the messages that led there. */
struct result run_seed(uint64_t seed, const struct run_opts *o, bool loud);
/* Shorter and with fewer faults, as long as the same invariant breaks; prints how to run it. */
int run_minimise(uint64_t seed, struct run_opts o);
/* Plants each bug in turn; true: every one was found within seeds_max, by a seed that is clean
 * without it, and by an invariant that mutants.def expects: what an unrelated one stumbles over may
 * pass the next time. */
bool run_mutants(const struct run_opts *o, uint64_t first_seed, uint64_t seeds_max,
                 const char *only);

#endif
