/* recent.h - the newest messages of the channels that are read most, as the text of an answer. What
 * came since is taken over from the store's memory at each read, so that a read shows all that was
 * durable when it began; when the store cannot tell, the rows are read anew.
 * Memory: text of bytes_max in all; the channel that was not read for the longest time goes. A
 * channel is kept from its second read on, so that who walks through all of them drives none out.
 * Thread: hist's loop. */
#ifndef PARLEY_HIST_RECENT_H
#define PARLEY_HIST_RECENT_H

#include "hist/hist_msg.h"
#include "store/view.h"

enum {
    recent_rows_least = 101,        /* a page of 100, and whether there is more */
    recent_rows_fill = 128,         /* read for a channel */
    recent_rows_max = 256,          /* with those that were posted since */
    recent_text_bytes_max = 1 << 18 /* of one channel */
};

struct recent;

struct recent_count {
    uint64_t hits, fills, evictions;
    uint64_t bytes; /* in use now */
};

/* Bounds of a page, both inclusive. */
struct ts_span {
    uint64_t newest_us, oldest_us;
};

/* bytes_max 0: keeps nothing. Errors: ERR_NOMEM. */
MUST_USE enum err recent_new(struct recent **out, uint64_t bytes_max);
void recent_free(struct recent *r);
/* Answers m, whose rights are checked. False: m is as it was, the store has to be read. */
bool recent_answer(struct recent *r, const struct view *v, struct hist_history *m,
                   struct ts_span span);
/* Pinned messages of the channel, which the store tells at its first answer: m->pins is
 * recent_pins_unknown then. A pin is a change of its message, so what was noted is forgotten by
 * then. */
enum { recent_pins_unknown = -1 };
void recent_note_pins(struct recent *r, uint64_t cid, int32_t pins);
const struct recent_count *recent_counts(const struct recent *r);

#endif
