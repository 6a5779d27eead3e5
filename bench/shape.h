/* shape.h - the shape of a workspace that has grown: few large channels and many small ones, few
 * users in hundreds of channels and most in some, few busy channels, few long threads. All of it by
 * power laws, from one seed. Thread: main. */
#ifndef PARLEY_BENCH_SHAPE_H
#define PARLEY_BENCH_SHAPE_H

#include "base/compiler.h"
#include "base/rand.h"

enum { shape_members_min = 5, shape_thread_max = 800 };

struct numbers {
    uint32_t *p, len, cap;
};
void numbers_add(struct numbers *n, uint32_t v);

struct shape_channel {
    struct numbers members; /* users, who writes most first; the first one makes the channel */
    bool private;
    double share_end; /* messages whose draw is below it, and not below its neighbour's, are its */
    /* messages of the ledger, as they are acknowledged */
    struct numbers roots;
    struct numbers parents; /* of each reply: a long thread is drawn more often */
};

struct shape {
    struct shape_channel *channels;
    uint32_t channels_len, users;
    uint64_t memberships;
    struct rand_src rand;
};

/* The largest channel has half of the users, the k-th that divided by k^0.85, none less than
 * shape_members_min; three of ten are private. A user stands in a channel with a likelihood that
 * falls with the square root of the number. Messages: the k-th channel gets a share of 1/k^1.15. */
void shape_init(struct shape *s, uint32_t users, uint32_t channels, uint64_t seed);

uint32_t shape_channel(struct shape *s); /* of the next message */
uint32_t shape_member(struct shape *s, const struct shape_channel *c);
/* What the next message of c answers to: a fifth are replies, to a thread that there is, or, three
 * of ten, to one of the newest roots. replies: of each message of the ledger. UINT32_MAX: nothing.
 */
uint32_t shape_parent(struct shape *s, const struct shape_channel *c, const uint32_t *replies);

#endif
