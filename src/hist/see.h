/* hist/see.h - who may see a conversation and read in it, by its rows. One function answers "not
 * found" for the foreign and the private as for the absent: nobody learns which it was. Whoever
 * answers for what is in conversations asks here: hist for messages, media for files.
 * Thread: its owner's. It blocks in reads of the store. */
#ifndef PARLEY_HIST_SEE_H
#define PARLEY_HIST_SEE_H

#include "hist/hist_msg.h"
#include "hist/rights.h"

struct seer {
    struct view view;
    struct rights *rights;
    struct arena
        *scratch; /* the owner's; rows are read into it, and it is the owner who resets it */
};

MUST_USE enum err seer_init(struct seer *s, const struct view *v, struct arena *scratch);
void seer_deinit(struct seer *s); /* zeroed is fine */

/* Errors: ERR_CHANNEL_NOT_FOUND, and those of the store. */
MUST_USE enum err seer_may_see(struct seer *s, const struct hist_viewer *v, uint64_t cid,
                               bool *member);
/* The same from the rows, with the channel's own; its strings are in the scratch. */
MUST_USE enum err seer_info(struct seer *s, const struct hist_viewer *v, uint64_t cid,
                            struct row_chan_info *info, bool *member);
/* And what is in it: bots only as members, else ERR_NOT_IN_CHANNEL. */
MUST_USE enum err seer_may_read(struct seer *s, const struct hist_viewer *v, uint64_t cid);

#endif
