/* api/acceptor_msg.h - requests to an acceptor. u.p is a struct below in the requester's memory,
 * lent until the answer. */
#ifndef PARLEY_API_ACCEPTOR_MSG_H
#define PARLEY_API_ACCEPTOR_MSG_H

#include "api/slow.h"
#include "ring/cell.h"

enum acceptor_msg {
    ACCEPTOR_SLOW = 1 /* request; struct acceptor_slow. Answered in the same turn, always ERR_OK */
};

struct acceptor_slow {
    struct slow_entry *entries; /* room for slow_entries_max */
    uint32_t len;               /* out; slowest first */
};

#endif
