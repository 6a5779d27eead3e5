#include "fanout/internal.h"
#include "resources.h"

uint64_t fanout_missing(const struct fanout *f, const char **what)
{
    MISSING(f->open, "sockets are still counted");
    MISSING(slab_used(&f->conns), "sockets are still there");
    MISSING(slab_used(&f->posts), "messages of sockets are not answered");
    MISSING(f->uses.used, "frames are still in use");
    MISSING(f->chunks.used, "pieces of queues are left");
    MISSING(f->queues.used, "queues are left");
    MISSING(f->queued_bytes, "queued bytes are still counted");
    MISSING(f->asks.used, "memberships are still asked for");
    MISSING(f->sub_pool.used, "subscriptions are still asked for");
    for (uint32_t i = 0; i < f->watches.len; i++)
        MISSING(f->watches.all[i].by_len, "sockets still watch somebody");
    MISSING(f->arenas.bytes_used, "bytes of arenas are not back");
    return 0;
}

uint64_t fanout_over(const struct fanout *f, const char **what)
{
    const struct conf *c = f->conf.conf;
    MISSING(f->open > c->ws_conns_max ? f->open : 0, "sockets are open");
    MISSING(slab_used(&f->tickets.slots) > c->ws_tickets_max, "too many tickets");
    for (uint32_t i = 0; i < f->conns.cap; i++) {
        uint64_t handle;
        const struct fan_conn *s = slab_at(&f->conns, i, &handle);
        MISSING(s != NULL && s->requests_out > c->ws_requests_max ? s->requests_out : 0,
                "messages of one socket are under way");
        /* Replies, hello and pongs come on top of the events; they are bounded by requests. */
        MISSING(s != NULL && s->q != NULL && s->q->bytes > c->ws_queue_hard_bytes + own_bytes_max
                    ? s->q->bytes
                    : 0,
                "bytes are queued on one socket");
    }
    return 0;
}
