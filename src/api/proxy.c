/* proxy.c - which peers may say whom they speak for: [server] trusted_proxies, addresses of IPv4
 * and IPv6, exact or with a prefix length. */
#include "api/internal.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_ip(struct str_view s, uint8_t ip[16], unsigned *bits)
{
    char text[INET6_ADDRSTRLEN];
    if (s.len >= 2 && s.p[0] == '[' && s.p[s.len - 1] == ']')
        s = (struct str_view){s.p + 1, s.len - 2};
    if (s.len == 0 || s.len >= sizeof text)
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    *bits = 32;
    memcpy(ip, v4_mapped, sizeof v4_mapped);
    if (inet_pton(AF_INET, text, ip + 12) == 1)
        return true;
    *bits = 128;
    return inet_pton(AF_INET6, text, ip) == 1;
}

static bool parse_proxy(struct str_view s, struct proxy *out)
{
    struct str_view rest = s;
    struct str_view ip = sv_trim(sv_cut(&rest, '/'));
    unsigned width;
    uint64_t bits;
    if (!parse_ip(ip, out->ip, &width))
        return false;
    bits = width;
    if (rest.p != NULL && (!sv_to_u64(sv_trim(rest), &bits) || bits > width))
        return false;
    out->bits = (unsigned)bits + (128 - width);
    return true;
}

enum err proxies_parse(struct acceptor *a, const char *list)
{
    struct str_view rest = sv_from(list);
    while (rest.len > 0) {
        struct str_view one = sv_trim(sv_cut(&rest, ','));
        if (one.len == 0)
            continue;
        if (a->proxies_len == proxies_max || !parse_proxy(one, &a->proxies[a->proxies_len])) {
            log_error("trusted_proxies", "\"problem\":\"not an address or prefix\",\"value\":%s",
                      log_str(one));
            return ERR_BAD_CONF;
        }
        a->proxies_len++;
    }
    return ERR_OK;
}

static bool same_prefix(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    unsigned whole = bits / 8, left = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return left == 0 || ((a[whole] ^ b[whole]) >> (8 - left)) == 0;
}

static bool trusted(const struct acceptor *a, const uint8_t ip[16])
{
    for (uint32_t i = 0; i < a->proxies_len; i++) {
        if (same_prefix(ip, a->proxies[i].ip, a->proxies[i].bits))
            return true;
    }
    return false;
}

static bool ip_of(const union peer_addr *addr, uint8_t ip[16])
{
    if (addr->sa.sa_family == AF_INET) {
        memcpy(ip, v4_mapped, sizeof v4_mapped);
        memcpy(ip + 12, &addr->v4.sin_addr, 4);
        return true;
    }
    if (addr->sa.sa_family != AF_INET6)
        return false;
    memcpy(ip, &addr->v6.sin6_addr, 16);
    return true;
}

bool proxies_have(const struct acceptor *a, const union peer_addr *addr)
{
    uint8_t ip[16];
    return a->proxies_len > 0 && ip_of(addr, ip) && trusted(a, ip);
}

/* From the right, the first address that is not one of ours: what stands left of it anybody may
 * have written. */
static void forwarded(const struct request *r, uint8_t ip[16])
{
    struct str_view list = r->fields.forwarded_for;
    while (list.len > 0) {
        size_t at = list.len;
        while (at > 0 && list.p[at - 1] != ',')
            at--;
        uint8_t one[16];
        unsigned width;
        if (!parse_ip(sv_trim((struct str_view){list.p + at, list.len - at}), one, &width))
            break;
        memcpy(ip, one, sizeof one);
        if (!trusted(r->a, one))
            break;
        list.len = at == 0 ? 0 : at - 1;
    }
}

void proxy_client_ip(const struct request *r, uint8_t ip[16])
{
    if (!ip_of(&r->conn->addr, ip))
        memset(ip, 0, 16);
    else if (r->conn->trusted)
        forwarded(r, ip);
}

struct str_view proxy_client(const struct request *r, char *out, size_t cap)
{
    uint8_t ip[16];
    ASSERT(cap >= INET6_ADDRSTRLEN);
    if (r->conn->addr.sa.sa_family == AF_UNSPEC)
        return SV("");
    proxy_client_ip(r, ip);
    bool v4 = memcmp(ip, v4_mapped, sizeof v4_mapped) == 0;
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, out, (socklen_t)cap) == NULL)
        return SV("");
    return sv_from(out);
}
