/* hist/hist.h - blocking reads for everyone: history, lists, members, unread counts, cold channels.
 * Thread: its loop; it may block in RocksDB, nobody waits for it but the requester. */
#ifndef PARLEY_HIST_HIST_H
#define PARLEY_HIST_HIST_H

#include "base/conf.h"
#include "ring/loop.h"
#include "store/view.h"

struct hist;
MUST_USE enum err hist_new(struct hist **out, const struct view *v, const struct conf *c);
void hist_free(struct hist *h);
extern const struct actor_ops hist_actor_ops; /* self: struct hist * */

#endif
