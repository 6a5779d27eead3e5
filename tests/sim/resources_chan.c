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

uint64_t chan_over(const struct chan_shard *s, const char **what)
{
    MISSING(s->parked > s->conf.parked_max ? s->parked : 0, "requests are parked");
    MISSING(s->resident > s->conf.channels_max ? s->resident : 0, "channels are in memory");
    MISSING(s->frames.out > s->conf.frames_max ? s->frames.out : 0, "frames are out");
    return 0;
}
