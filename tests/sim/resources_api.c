#include "api/internal.h"
#include "resources.h"

uint64_t acceptor_missing(const struct acceptor *a, const char **what)
{
    MISSING(a->conns_len, "connections are still counted");
    MISSING(a->gate.waiting, "requests are still parked");
    MISSING(a->held_len, "requests are still held");
    MISSING(slab_used(&a->requests), "requests are still there");
    MISSING(a->signins_len, "sign-ins are still counted");
    MISSING(a->pool.bytes_used, "bytes of arenas are not back");
    return 0;
}

uint64_t acceptor_over(const struct acceptor *a, const char **what)
{
    const struct conf *c = a->conf.conf;
    uint32_t parked = a->gate.waiting - a->held_len;
    MISSING(parked > c->http_parked_max ? parked : 0, "requests are parked");
    MISSING(a->held_len > c->ws_connects_held_max ? a->held_len : 0, "requests are held");
    MISSING(a->signins_len > signins_max ? a->signins_len : 0, "sign-ins are under way");
    MISSING(a->conns_len > c->http_conns_max ? a->conns_len : 0, "connections are open");
    return 0;
}
