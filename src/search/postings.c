#include "search/postings.h"

#include "base/varint.h"
#include "store/crc32c.h"

enum { postings_version = 1, crc_bytes = 4 };

static uint32_t crc_of(struct str_view key, const char *p, size_t n)
{
    return ~crc32c_add(crc32c_add(~0u, key.p, key.len), p, n);
}

void postings_encode(struct buf *b, const struct key *k, const struct posting *p, uint32_t n)
{
    size_t begin = b->len;
    uint64_t last = 0;
    buf_putc(b, postings_version);
    for (uint32_t i = 0; i < n; i++) {
        varint_put(b, i == 0 ? p[i].ts_us : last - p[i].ts_us);
        varint_put(b, p[i].cid);
        last = p[i].ts_us;
    }
    if (b->failed)
        return;
    uint32_t crc = crc_of(key_view(k), b->p + begin, b->len - begin);
    buf_put(b, &crc, crc_bytes);
}

enum err postings_decode(struct str_view key, struct str_view value, posting_fn *fn, void *ctx)
{
    uint32_t crc;
    if (value.len < 1 + crc_bytes || value.p[0] != postings_version)
        return ERR_CORRUPT;
    struct str_view rest = {value.p + 1, value.len - 1 - crc_bytes};
    memcpy(&crc, rest.p + rest.len, crc_bytes);
    if (crc != crc_of(key, value.p, value.len - crc_bytes))
        return ERR_CORRUPT;
    struct posting one = {0};
    for (bool first = true; rest.len > 0; first = false) {
        uint64_t step;
        if (!varint_get(&rest, &step) || !varint_get(&rest, &one.cid) ||
            (!first && step > one.ts_us))
            return ERR_CORRUPT;
        one.ts_us = first ? step : one.ts_us - step;
        if (!fn(ctx, &one))
            return ERR_OK;
    }
    return ERR_OK;
}
