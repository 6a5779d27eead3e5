/* address.c - the rate of calls that name no token in their head, by the client's address. A fixed
 * table of sets: an address that is not in its set takes the place of the one that owes least. */
#include "api/internal.h"
#include "dir/rate.h"

/* A client of IPv6 has a whole /64 to call from. */
static void to_network(uint8_t ip[16])
{
    static const uint8_t zeros[8];
    if (memcmp(ip, zeros, sizeof zeros) != 0)
        memset(ip + 8, 0, 8);
}

static struct address *find(struct acceptor *a, const uint8_t ip[16])
{
    uint64_t half[2];
    memcpy(half, ip, sizeof half);
    uint64_t set = mix64(half[0] ^ mix64(half[1] ^ a->address_seed)) % address_sets;
    struct address *ways = &a->addresses[set * address_ways], *least = ways;
    for (uint32_t i = 0; i < address_ways; i++) {
        if (memcmp(ways[i].ip, ip, sizeof ways[i].ip) == 0)
            return &ways[i];
        if (ways[i].rate < least->rate)
            least = &ways[i];
    }
    memcpy(least->ip, ip, sizeof least->ip);
    least->rate = 0;
    return least;
}

enum err address_take_rate(struct request *r)
{
    struct acceptor *a = r->a;
    uint8_t ip[16];
    if (a->address_seed == 0) /* so that nobody can fill another's set on purpose */
        a->address_seed = rand_u64(a->t->rand) | 1;
    proxy_client_ip(r, ip);
    to_network(ip);
    if (rate_take(&find(a, ip)->rate, a->t->mono_us, a->conf.conf->api_rate_unauthenticated_per_s,
                  &r->retry_after_s))
        return ERR_OK;
    metric_add(a->t->metrics, METRIC_RATE_LIMITED, 1);
    return ERR_RATELIMITED;
}
