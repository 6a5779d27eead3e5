/* rights.h - that somebody may see a channel, as its rows said last; asked again of the rows only
 * if these were written since. Refusals are not kept. A table of fixed size: a pair that falls on
 * another's place takes it. Thread: hist's loop. */
#ifndef PARLEY_HIST_RIGHTS_H
#define PARLEY_HIST_RIGHTS_H

#include "store/row.h"
#include "store/view.h"

enum { rights_slots = 8192 };

struct right { /* of a user in a channel that exists */
    uint64_t team;
    enum channel_kind kind;
    bool member;
};

struct rights;
MUST_USE enum err rights_new(struct rights **out);
void rights_free(struct rights *r);
/* False: not known, or not any more. */
bool rights_find(const struct rights *r, const struct view *v, uint64_t cid, uint64_t uid,
                 struct right *out);
/* moment: view_moment from before the rows were read. */
void rights_keep(struct rights *r, uint64_t cid, uint64_t uid, const struct right *right,
                 uint64_t moment);

#endif
