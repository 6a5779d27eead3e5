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
