/* server/wiring.h - which kinds of actors talk to which, and how large the ring between two of them
 * is. Pure: the daemon's topology and the simulator's world are both wired from here. */
#ifndef PARLEY_SERVER_WIRING_H
#define PARLEY_SERVER_WIRING_H

#include "base/conf.h"
#include "ring/cell.h"

const char *wiring_kind_name(enum actor_kind kind); /* "chan" */
/* Slots of the ring (a power of two), 0: there is no such ring. */
uint32_t wiring_edge_size(const struct conf *c, enum actor_kind from, enum actor_kind to,
                          enum ring_class class);

#endif
