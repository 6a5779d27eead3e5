#include "resources.h"
#include "search/internal.h"

uint64_t search_missing(const struct search *s, const char **what)
{
    MISSING(s->asked, "queries are not answered");
    MISSING(s->dirty.len, "channels are not indexed");
    MISSING(s->job.cid, "a channel is half indexed");
    MISSING(s->committing, "a batch is in flight");
    MISSING(s->batch.rows_len, "rows are in no batch on its way");
    return 0;
}
