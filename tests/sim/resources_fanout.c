#include "fanout/internal.h"
#include "resources.h"

uint64_t fanout_missing(const struct fanout *f, const char **what)
{
    MISSING(f->open, "sockets are still counted");
    MISSING(slab_used(&f->conns), "sockets are still there");
    MISSING(slab_used(&f->posts), "messages of sockets are not answered");
    MISSING(f->uses.used, "frames are still in use");
    MISSING(f->pieces.used, "pieces of queues are left");
    MISSING(f->queues.used, "queues are left");
    MISSING(f->queued_bytes, "queued bytes are still counted");
    MISSING(f->asks.used, "memberships are still asked for");
    MISSING(f->sub_pool.used, "subscriptions are still asked for");
    MISSING(f->arenas.bytes_used, "bytes of arenas are not back");
    return 0;
}
