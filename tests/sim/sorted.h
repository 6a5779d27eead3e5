/* sim/sorted.h - an ordered map of byte strings: one column family of the modelled store. A skip
 * list; every operation is deterministic. */
#ifndef PARLEY_SIM_SORTED_H
#define PARLEY_SIM_SORTED_H

#include "base/str_view.h"
#include "rng.h"

enum { sorted_levels = 14 };

struct sorted_node {
    struct str_view key, value; /* key behind the node, value on the heap */
    struct sorted_node *next[];
};

struct sorted {
    struct sorted_node *first[sorted_levels];
    struct rng rng;
    uint64_t len;
};

void sorted_init(struct sorted *s);
void sorted_deinit(struct sorted *s);
void sorted_put(struct sorted *s, struct str_view key, struct str_view value);
void sorted_delete(struct sorted *s, struct str_view key);
/* The first with a key not less than this one, or NULL. */
struct sorted_node *sorted_seek(const struct sorted *s, struct str_view key);
struct sorted_node *sorted_get(const struct sorted *s, struct str_view key); /* or NULL */

#endif
