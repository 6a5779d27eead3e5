/* sim/grow.h - arrays that grow as a run needs them: what the world's steps bound bounds them. */
#ifndef PARLEY_SIM_GROW_H
#define PARLEY_SIM_GROW_H

#include <stdlib.h>

#include "base/compiler.h"

/* The array, with room for one more behind its `len`. */
static inline void *grow(void *all, uint32_t len, uint32_t *cap, size_t bytes_each)
{
    if (len < *cap)
        return all;
    *cap = *cap * 2 + 8;
    all = realloc(all, *cap * bytes_each);
    ASSERT(all != NULL);
    return all;
}

#define GROW(all, len, cap) ((all) = grow((all), (len), &(cap), sizeof *(all)))

#endif
