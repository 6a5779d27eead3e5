#include "chan/internal.h"
#include "resources.h"

uint64_t chan_missing(const struct chan_shard *s, const char **what)
{
    MISSING(s->frames.out, "frames are not home");
    MISSING(s->requests, "requests are not answered");
    MISSING(s->parked, "requests are parked");
    MISSING(s->flight_first != NULL, "a batch is in flight");
    MISSING(!list_empty(&s->owed), "something is owed to a fanout");
    MISSING(s->resident > s->conf.channels_max, "more channels are in memory than may be");
    for (uint32_t i = 0; i < pending_buckets; i++)
        MISSING(s->pending[i] != NULL, "a key is still pending");
    return 0;
}
