/* sim/plan.h - what one seed means: how many actors, how small the rings, which faults, what load.
 */
#ifndef PARLEY_SIM_PLAN_H
#define PARLEY_SIM_PLAN_H

#include "base/conf.h"
#include "rng.h"

enum fault {
#define FAULT(id, name, what) FAULT_##id,
#include "fault.def"
#undef FAULT
    FAULT_COUNT
};

enum { plan_clients_max = 24, plan_users_max = 16, plan_channels_start = 6 };

struct plan {
    uint64_t seed, ops;
    uint32_t faults; /* bit per enum fault */
    uint32_t clients, users, channels;
    uint64_t think_us;    /* mean pause of a client between operations */
    uint64_t sync_us;     /* mean time of a sync */
    uint64_t crash_steps; /* mean number of steps between crashes */
    uint32_t history_percent, member_percent, rtm_percent, unkeyed_percent, duplicate_percent;
    uint32_t change_percent;     /* of what is posted: replies, edits, reactions, deletions */
    uint32_t channel_percent;    /* archives, kicks, pins, direct conversations */
    uint32_t pins_max;           /* of a channel */
    uint32_t half_close_percent; /* of the requests: nothing more is sent behind them */
    uint32_t passwords;      /* one after the other; a hash costs real time: most runs have none */
    uint8_t signer;          /* whose they are */
    uint32_t hang_up_one_in; /* of a client's turns: it hangs up its socket, and comes back */
    struct conf conf;
};

const char *fault_name(enum fault f);
/* without: faults that must not happen. */
void plan_make(struct plan *p, uint64_t seed, uint64_t ops, uint32_t without);
/* Numbers of actors, as a restart may change them. */
void plan_actors(struct plan *p, struct rng *r);
static inline bool plan_has(const struct plan *p, enum fault f)
{
    return (p->faults >> f & 1) != 0;
}

#endif
