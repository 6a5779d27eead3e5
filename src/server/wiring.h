/* server/wiring.h - which kinds of actors talk to which, how large the ring between two of them is,
 * and in which order they end. Pure: the daemon and the simulator are both wired from here. */
#ifndef PARLEY_SERVER_WIRING_H
#define PARLEY_SERVER_WIRING_H

#include "base/conf.h"
#include "ring/cell.h"

const char *wiring_kind_name(enum actor_kind kind); /* "chan" */
/* Slots of the ring (a power of two), 0: there is no such ring. */
uint32_t wiring_edge_size(const struct conf *c, enum actor_kind from, enum actor_kind to,
                          enum ring_class class);

/* A stage of the drain: upstream first; one that is done sends nothing more. */
struct wiring_stage {
    const char *name;
    enum actor_kind kinds[3];
    uint32_t kinds_len;
    uint32_t until_percent; /* of the whole time, when this stage must be over */
};
enum { wiring_stages_len = 5 };
extern const struct wiring_stage wiring_stages[wiring_stages_len];

#endif
