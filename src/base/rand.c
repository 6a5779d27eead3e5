#include "base/rand.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void refill_system(struct rand_src *r)
{
    size_t have = 0;
    while (have < sizeof r->buf) {
        ssize_t n = getrandom(r->buf + have, sizeof r->buf - have, 0);
        ASSERT(n > 0 || errno == EINTR);
        if (n > 0)
            have += (size_t)n;
    }
    r->pos = 0;
}

/* splitmix64: enough for schedules and test data. */
static void refill_seeded(struct rand_src *r)
{
    for (size_t i = 0; i < sizeof r->buf; i += 8) {
        r->state[0] += 0x9e3779b97f4a7c15u;
        uint64_t v = mix64(r->state[0]);
        memcpy(r->buf + i, &v, 8);
    }
    r->pos = 0;
}

void rand_init_system(struct rand_src *r)
{
    r->refill = refill_system;
    r->pos = sizeof r->buf;
}

void rand_init_seeded(struct rand_src *r, uint64_t seed)
{
    r->refill = refill_seeded;
    r->state[0] = seed;
    r->state[1] = 0;
    r->pos = sizeof r->buf;
}

void rand_bytes(struct rand_src *r, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        if (r->pos == sizeof r->buf)
            r->refill(r);
        size_t take = MIN(n, sizeof r->buf - r->pos);
        memcpy(p, r->buf + r->pos, take);
        memset(r->buf + r->pos, 0, take); /* given once, kept nowhere */
        r->pos += (uint32_t)take;
        p += take;
        n -= take;
    }
}

uint64_t rand_u64(struct rand_src *r)
{
    uint64_t v;
    rand_bytes(r, &v, sizeof v);
    return v;
}

uint64_t rand_below(struct rand_src *r, uint64_t n)
{
    ASSERT(n > 0);
    return (uint64_t)((unsigned __int128)rand_u64(r) * n >> 64);
}
