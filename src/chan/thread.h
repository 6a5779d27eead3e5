/* chan/thread.h - who replied to a message and how often, packed into its row: number of replies,
 * ts of the newest, then each replier with its count in order of first reply. Exact: a recount of
 * the replies that are not deleted gives the same. */
#ifndef PARLEY_CHAN_THREAD_H
#define PARLEY_CHAN_THREAD_H

#include "base/arena.h"
#include "base/err.h"

struct thread {
    uint32_t replies, users;
    uint64_t latest_us; /* 0: none is left */
    struct str_view packed_users;
};

enum { thread_users_max = 10000, thread_users_shown = 5 };

/* Errors: ERR_CORRUPT. Empty: no replies. */
MUST_USE enum err thread_read(struct thread *t, struct str_view packed);
/* One more reply of uid, newer than all others. out: packed anew, in the arena. Over
 * thread_users_max repliers: ERR_FULL. */
MUST_USE enum err thread_add(struct str_view packed, uint64_t uid, uint64_t ts_us, struct arena *a,
                             struct str_view *out);
/* A reply of uid is deleted; latest_us: what is the newest now. */
MUST_USE enum err thread_remove(struct str_view packed, uint64_t uid, uint64_t latest_us,
                                struct arena *a, struct str_view *out);
/* The first max repliers, in order of first reply; returns how many. */
uint32_t thread_users(const struct thread *t, uint64_t *uids, uint32_t max);

#endif
