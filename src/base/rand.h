/* rand.h - randomness as a value that is passed in, so that a simulator can seed it. */
#ifndef PARLEY_BASE_RAND_H
#define PARLEY_BASE_RAND_H

#include "base/compiler.h"

/* A source of random bytes. The daemon's is the system's generator, drawn 4 KiB at a time; the
 * simulator's is seeded. */
struct rand_src {
    void (*refill)(struct rand_src *r); /* fills buf, sets pos to 0 */
    uint32_t pos;
    uint64_t state[2]; /* of the seeded source */
    uint8_t buf[4096];
};

void rand_init_system(struct rand_src *r); /* getrandom(2); aborts when the kernel has none */
void rand_init_seeded(struct rand_src *r,
                      uint64_t seed); /* not for secrets: tests and simulation */
void rand_bytes(struct rand_src *r, void *out, size_t n);
uint64_t rand_u64(struct rand_src *r);
uint64_t rand_below(struct rand_src *r, uint64_t n); /* 0..n-1; n > 0 */

/* The finaliser of splitmix64: vshards, fanout of a user. Stable for ever: stored keys depend on
 * it. */
static inline uint64_t mix64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
