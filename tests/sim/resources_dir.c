#include "dir/internal.h"
#include "resources.h"

uint64_t dir_missing(const struct dir *d, const char **what)
{
    MISSING(d->frames.out, "frames are not home");
    MISSING(d->ops_len, "requests are not answered");
    MISSING(d->revoking_len, "revocations are under way");
    MISSING(d->gap_owed, "a gap is owed to a fanout");
    MISSING(d->schedule.firing, "scheduled messages are with chan");
    MISSING(d->committing, "a batch is in flight");
    return 0;
}
