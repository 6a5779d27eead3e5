/* dir/presence.h - who is there: one block per user, shared by all threads, never on disk. The
 * fanouts count sockets in it, dir sets what the user says; everybody reads. Whoever wants to hear
 * of changes looks again and again: a change that does not last is of no interest. */
#ifndef PARLEY_DIR_PRESENCE_H
#define PARLEY_DIR_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

struct presence { /* all words atomic */
    uint32_t sockets;
    uint32_t away;   /* by hand */
    uint64_t seen_s; /* when a socket came or went last; 0: never */
};

static inline bool presence_active(const struct presence *p)
{
    return __atomic_load_n(&p->sockets, __ATOMIC_RELAXED) > 0 &&
           __atomic_load_n(&p->away, __ATOMIC_RELAXED) == 0;
}

/* A socket came (+1) or went (-1). */
static inline void presence_count(struct presence *p, int sockets, uint64_t now_s)
{
    __atomic_fetch_add(&p->sockets, (uint32_t)sockets, __ATOMIC_RELAXED);
    __atomic_store_n(&p->seen_s, now_s, __ATOMIC_RELAXED);
}

#endif
