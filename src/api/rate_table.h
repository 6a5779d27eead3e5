/* api/rate_table.h - rate words (dir/rate.h) by a key of 16 bytes, in a fixed table of sets: a key
 * that is not in its set takes the place of the one that owes least. Such a key's debt is forgotten
 * only when a set's ways are all in debt; then the least of them is.
 * Thread: its acceptor's. */
#ifndef PARLEY_API_RATE_TABLE_H
#define PARLEY_API_RATE_TABLE_H

#include "base/rand.h"

enum { rate_sets = 1024, rate_ways = 8 };

struct rate_table {
    uint64_t seed; /* 0: not drawn yet */
    struct rate_entry {
        uint64_t key[2];
        uint64_t rate;
    } entries[rate_sets * rate_ways];
};

/* rand draws the seed, at first: nobody can fill another's set on purpose. */
uint64_t *rate_table_word(struct rate_table *t, struct rand_src *rand, const uint64_t key[2]);

#endif
