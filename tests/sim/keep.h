/* sim/keep.h - what clients keep beside messages: stars of their user, bookmarks of a channel,
 * reminders. Each is one client's, so that only this client takes it away; many share a document.
 */
#ifndef PARLEY_SIM_KEEP_H
#define PARLEY_SIM_KEEP_H

#include "base/str_view.h"
#include "store/row.h"

struct world;
struct client;
struct op;
struct ochan;
struct ctx;

enum { client_kept_max = 16, keep_text_max = 32 };

struct kept {
    enum document_kind kind;
    uint64_t owner;      /* of the document */
    uint32_t number;     /* DOC_STARS: of the message */
    uint64_t due_s;      /* DOC_REMINDERS */
    uint64_t acked_us;   /* 0: not answered ok */
    bool dropping;       /* it was asked to be taken away */
    uint64_t dropped_us; /* 0: that was not answered ok */
};

/* False: nothing to do. */
bool keep_choose(struct client *cl, struct op *op, const struct ochan *c);
/* Title of a bookmark, text of a reminder: nobody else's. */
struct str_view keep_name(const struct client *cl, uint32_t index, char out[keep_text_max]);

/* What holds of answers to additions, removals and lists. */
void keep_judge_added(const struct ctx *x);
void keep_judge_dropped(const struct ctx *x);
void keep_judge_list(const struct ctx *x);
/* False: an error that the op cannot have. */
bool keep_judge_refusal(const struct ctx *x);

/* At the end: what was answered is in the documents. */
void keep_check(struct world *w);

#endif
