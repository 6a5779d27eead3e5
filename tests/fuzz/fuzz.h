/* fuzz.h - what every target needs: an arena per input, a claim that stops the run, and pieces
 * whose sizes follow from the input alone, so that a finding repeats. */
#ifndef PARLEY_FUZZ_H
#define PARLEY_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include "base/arena.h"
#include "base/rand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CLAIM(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "claim failed: %s at %s:%d\n", #x, __FILE__, __LINE__);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz {
    struct arena_pool pool;
    struct arena arena;
    struct rand_src rand;
};

static inline void fuzz_init(struct fuzz *f, const uint8_t *data, size_t n)
{
    uint64_t seed = n;
    for (size_t i = 0; i < n; i++)
        seed = (seed ^ data[i]) * 0x100000001b3u;
    arena_pool_init(&f->pool, 16384, 1, UINT64_MAX);
    CLAIM(arena_init(&f->arena, &f->pool, 2 << 20) == ERR_OK);
    rand_init_seeded(&f->rand, seed);
}

static inline void fuzz_deinit(struct fuzz *f)
{
    arena_deinit(&f->arena);
    arena_pool_deinit(&f->pool);
}

/* The input in a block of its exact size: one byte past it is seen. Freed by the caller. */
static inline char *fuzz_exact(const void *p, size_t n)
{
    char *copy = malloc(n + (n == 0));
    CLAIM(copy != NULL);
    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

#endif
