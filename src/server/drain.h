/* server/drain.h - from SIGTERM to exit: upstream first, each stage until it has nothing left or
 * its time is up. acceptors (no new connections, what was taken is answered) -> fanouts (goodbye,
 * closes spread out) -> dir, admin -> chans -> log. A stage that is done sends nothing more, so the
 * next stage can only shrink. kill -9 is always safe; this is the polite way. Thread: main. */
#ifndef PARLEY_SERVER_DRAIN_H
#define PARLEY_SERVER_DRAIN_H

#include "server/topology.h"

/* True: all stages finished within deadline_ms. False: what was left is logged. */
bool drain_all(struct topology *t, uint64_t deadline_ms);

#endif
