/* crowd.h - more sockets than one process may open: helpers that each hold a share of them, from a
 * loopback address of its own (one has 28,000 ports to one server). Forked before anything else is
 * set up, since a ring belongs to its process. Thread: main. */
#ifndef PARLEY_BENCH_CROWD_H
#define PARLEY_BENCH_CROWD_H

#include <sys/types.h>

#include "base/compiler.h"

enum { crowd_max = 64 };

/* What a helper has to say: once its sockets are up, and at the end. */
struct crowd_word {
    uint64_t ready, missing, losses, pings;
};

struct crowd {
    uint32_t part; /* of a helper, from 1; 0: the leader, or no crowd */
    uint32_t len;  /* of a leader: helpers */
    pid_t pids[crowd_max];
    int from[crowd_max]; /* what they say */
    int hold;            /* its end tells the others: a leader closes it, a helper looks at it */
    int say;             /* of a helper */
};

/* Forks len helpers; returns in each of them too, with *sockets its share. False: said on standard
 * error. */
bool crowd_fork(struct crowd *c, uint32_t len, uint64_t *sockets);

/* Of a helper. */
bool crowd_over(const struct crowd *c); /* the leader has ended it, or is gone */
void crowd_say(const struct crowd *c, const struct crowd_word *w);

/* Of a leader: the sum of what all say next; false: a helper is gone, or io_stop. */
bool crowd_hear(const struct crowd *c, struct crowd_word *sum);
void crowd_end(struct crowd *c);  /* tells them, so that they say their last word */
bool crowd_wait(struct crowd *c); /* until they are gone; false: one failed */

#endif
