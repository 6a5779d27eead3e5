#include "dir/internal.h"
#include "dir/presence.h"
#include "resources.h"

uint64_t dir_missing(const struct dir *d, const char **what)
{
    MISSING(d->frames.out, "frames are not home");
    MISSING(d->ops_len, "requests are not answered");
    MISSING(d->revoking_len, "revocations are under way");
    MISSING(d->gap_owed, "a gap is owed to a fanout");
    MISSING(d->schedule.firing, "scheduled messages are with chan");
    ck_hs_iterator_t it = CK_HS_ITERATOR_INITIALIZER;
    ck_hs_t users = d->tables.hs[TABLE_USERS];
    void *e;
    while (ck_hs_next(&users, &it, &e))
        MISSING(((const struct user_entry *)e)->presence->sockets, "sockets of a user are counted");
    MISSING(d->committing, "a batch is in flight");
    return 0;
}
