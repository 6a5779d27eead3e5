/* sim/resources.h - whether an actor has everything back that it lent or took. Each looks into its
 * room's own header; 0: yes, otherwise what is missing is in *what. */
#ifndef PARLEY_SIM_RESOURCES_H
#define PARLEY_SIM_RESOURCES_H

#include "base/compiler.h"

struct acceptor;
struct chan_shard;
struct dir;
struct fanout;
struct search;

uint64_t acceptor_missing(const struct acceptor *a, const char **what);
uint64_t chan_missing(const struct chan_shard *s, const char **what);
uint64_t dir_missing(const struct dir *d, const char **what);
uint64_t fanout_missing(const struct fanout *f, const char **what);
uint64_t search_missing(const struct search *s, const char **what);
/* How many there are of something that has fewer places; 0: every bound holds. */
uint64_t acceptor_over(const struct acceptor *a, const char **what);
uint64_t chan_over(const struct chan_shard *s, const char **what);
uint64_t fanout_over(const struct fanout *f, const char **what);

/* The first that is not zero. */
#define MISSING(n, text)                                                                           \
    do {                                                                                           \
        uint64_t missing = (uint64_t)(n);                                                          \
        if (missing != 0) {                                                                        \
            *what = text;                                                                          \
            return missing;                                                                        \
        }                                                                                          \
    } while (0)

#endif
