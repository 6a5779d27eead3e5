/* ring/cell.h - what travels between actors: one cache line by value; larger content by a pointer
 * whose owner is written beside each message type (see the *_msg.h of the receiving room). */
#ifndef PARLEY_RING_CELL_H
#define PARLEY_RING_CELL_H

#include "base/compiler.h"
#include "base/err.h"

enum actor_kind {
    ACTOR_ACCEPTOR,
    ACTOR_CHAN,
    ACTOR_LOG,
    ACTOR_HIST,
    ACTOR_FANOUT,
    ACTOR_DIR,
    ACTOR_ADMIN,
    ACTOR_SEARCH,
    ACTOR_LOGIN,
    ACTOR_MEDIA,
    ACTOR_KINDS
};

typedef uint16_t actor_id; /* index in the topology; dense from 0 */
#define ACTOR_NONE UINT16_MAX
enum { actors_max = 256 };

/* Ring classes; docs/architecture.md, Rings. A request needs a credit; its answer brings the credit
 * back. */
enum ring_class {
    CLASS_CONTROL, /* revoke, drain; full: stays with the sender */
    CLASS_REQUEST, /* cannot be full: no credit, no send */
    CLASS_ANSWER,  /* cannot be full: as large as the requests and frames that can be out */
    CLASS_EVENT,   /* full: dropped by the sender, who records a gap */
    CLASS_COUNT
};

/* In cell.flags: this cell of an EVENT ring answers a request, so it brings a credit home (CHAN_SUB
 * only). */
enum { CELL_F_ANSWER = 0x8000 };

struct cell {
    uint16_t type;  /* one enum per receiving room: CHAN_POST, HIST_HISTORY, ...; an answer repeats
                       its request's type */
    uint16_t flags; /* per type */
    uint32_t err;   /* answers: enum err */
    uint64_t req;   /* requester's handle, returned untouched in the answer */
    uint64_t cid;   /* channel, where there is one */
    union {
        uint8_t b[40];
        uint64_t u[5];
        void *p; /* borrowed until the answer, unless the type says otherwise */
    } u;
};
_Static_assert(sizeof(struct cell) == CACHE_LINE, "a cell is one cache line");

#endif
