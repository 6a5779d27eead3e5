/* address.c - the rate of calls that name no token in their head, by the client's address. */
#include "api/internal.h"
#include "dir/rate.h"

/* A client of IPv6 has a whole /64 to call from. */
static void to_network(uint8_t ip[16])
{
    static const uint8_t zeros[8];
    if (memcmp(ip, zeros, sizeof zeros) != 0)
        memset(ip + 8, 0, 8);
}

void address_key(const struct request *r, uint64_t key[2])
{
    uint8_t ip[16];
    proxy_client_ip(r, ip);
    to_network(ip);
    memcpy(key, ip, sizeof ip);
}

enum err address_take_rate(struct request *r)
{
    struct acceptor *a = r->a;
    uint64_t key[2];
    address_key(r, key);
    if (rate_take(rate_table_word(&a->address_rates, a->t->rand, key), a->t->mono_us,
                  a->conf.conf->api_rate_unauthenticated_per_s, &r->retry_after_s))
        return ERR_OK;
    metric_add(a->t->metrics, METRIC_RATE_LIMITED, 1);
    return ERR_RATELIMITED;
}
