#include "api/internal.h"
#include "resources.h"

uint64_t acceptor_missing(const struct acceptor *a, const char **what)
{
    MISSING(a->conns_len, "connections are still counted");
    MISSING(a->parked_len, "requests are still parked");
    MISSING(slab_used(&a->requests), "requests are still there");
    MISSING(a->pool.bytes_used, "bytes of arenas are not back");
    return 0;
}

uint64_t acceptor_over(const struct acceptor *a, const char **what)
{
    const struct conf *c = a->conf.conf;
    MISSING(a->parked_len > c->http_parked_max ? a->parked_len : 0, "requests are parked");
    MISSING(a->conns_len > c->http_conns_max ? a->conns_len : 0, "connections are open");
    return 0;
}
