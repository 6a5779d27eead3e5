/* chan/posted.h - what a client's key has become, by the rows that chan wrote: for actors that must
 * know whether a message was stored, whatever they were told of it. A message and its key are one
 * batch, and the key stays when the message is deleted.
 * Thread: any. It blocks in reads of the store. Source: store/key.h, idx 'd'. */
#ifndef PARLEY_CHAN_POSTED_H
#define PARLEY_CHAN_POSTED_H

#include "store/view.h"

/* Two keys may meet in one place (chan/dedup.c): the second one goes to the next, so many times. */
enum { dedup_probes_max = 4 };

/* *ts_us: of the message that uid has posted in cid under this key, as of now; TS_NONE: none.
 * Errors: those of the store, ERR_CORRUPT. Rows are read into the scratch. */
MUST_USE enum err posted_ts(const struct view *v, uint64_t cid, uint64_t uid,
                            struct str_view client_msg_id, struct arena *scratch, uint64_t *ts_us);

#endif
