/* store/batch.h - rows that must become durable together. Built by a decider (chan, dir) in an
 * arena of its own, lent to log until the answer. */
#ifndef PARLEY_STORE_BATCH_H
#define PARLEY_STORE_BATCH_H

#include "base/arena.h"
#include "store/key.h"

enum row_op { ROW_PUT, ROW_DELETE };

struct row {
    uint8_t op, cf;
    struct str_view key, value; /* in the arena */
    struct row *next;
};

struct batch {
    struct arena arena;
    struct row *first, *last;
    uint32_t rows_len, requests; /* requests: answers that wait for it, for metrics */
    uint64_t bytes;              /* of all keys and values */
    uint64_t epoch;              /* of the decider; see log.h */
    uint64_t number;             /* rises by one per batch of a decider */
    uint16_t part;               /* decider: chan index, or log_part_dir */
    uint32_t err;                /* set by log before the answer */
    uint64_t sent_us;            /* steady clock: given to log; set by the decider */
    uint64_t durable_us;         /* steady clock: its commit has ended; set by log */
    struct buf building;         /* between put_begin and put_end */
    bool failed;                 /* some row found no room: the batch must not be submitted */
    struct batch *next;          /* free list of the decider; log's own chain while it has it */
};

/* Copies the key; value: begin, encode with row_*_encode into the returned buf, then end. */
struct buf *batch_put_begin(struct batch *b, enum cf cf, const struct key *k);
void batch_put_end(struct batch *b);
void batch_put(struct batch *b, enum cf cf, const struct key *k, struct str_view value);
void batch_delete(struct batch *b, enum cf cf, const struct key *k);

#endif
