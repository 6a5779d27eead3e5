/* sim/levels.h - a number that changes: which value it had since which position. 0 before the
 * first. */
#ifndef PARLEY_SIM_LEVELS_H
#define PARLEY_SIM_LEVELS_H

#include "base/compiler.h"

struct level {
    uint64_t pos, n;
};

struct levels {
    struct level *all;
    uint32_t len, cap;
};

/* Positions rise. The value that it has already is no change. */
void levels_set(struct levels *l, uint64_t pos, uint64_t n);
void levels_free(struct levels *l);
uint64_t levels_at(const struct levels *l, uint64_t pos);
/* Whether it was from least to most, both included, at any position from..to. */
bool levels_within(const struct levels *l, uint64_t least, uint64_t most, uint64_t from,
                   uint64_t to);
static inline bool levels_was(const struct levels *l, uint64_t n, uint64_t from, uint64_t to)
{
    return levels_within(l, n, n, from, to);
}

/* Whether it changed to n at any position behind from and up to `to`. */
bool levels_became(const struct levels *l, uint64_t n, uint64_t from, uint64_t to);

/* Where it first changed to n, behind `after` and up to `to`; 0: nowhere. */
uint64_t levels_next(const struct levels *l, uint64_t n, uint64_t after, uint64_t to);

/* Of numbers that are sets of bits: those that were there at all positions from..to, and those that
 * were at any. */
void levels_bits(const struct levels *l, uint64_t from, uint64_t to, uint64_t *always,
                 uint64_t *ever);

#endif
