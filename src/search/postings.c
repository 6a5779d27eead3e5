#include "search/postings.h"

#include "store/crc32c.h"

enum { postings_version = 1, crc_bytes = 4 };

static void put_v(struct buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(b, (char)(v | 0x80));
    buf_putc(b, (char)v);
}

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
        put_v(b, i == 0 ? p[i].ts_us : last - p[i].ts_us);
        put_v(b, p[i].cid);
        last = p[i].ts_us;
    }
    if (b->failed)
        return;
    uint32_t crc = crc_of(key_view(k), b->p + begin, b->len - begin);
    buf_put(b, &crc, crc_bytes);
}

static bool get_v(const char **p, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *p < end; shift += 7) {
        uint8_t b = (uint8_t) * (*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

enum err postings_decode(struct str_view key, struct str_view value, posting_fn *fn, void *ctx)
{
    uint32_t crc;
    if (value.len < 1 + crc_bytes || value.p[0] != postings_version)
        return ERR_CORRUPT;
    const char *p = value.p + 1, *end = value.p + value.len - crc_bytes;
    memcpy(&crc, end, crc_bytes);
    if (crc != crc_of(key, value.p, value.len - crc_bytes))
        return ERR_CORRUPT;
    struct posting one = {0};
    for (bool first = true; p < end; first = false) {
        uint64_t step;
        if (!get_v(&p, end, &step) || !get_v(&p, end, &one.cid) || (!first && step > one.ts_us))
            return ERR_CORRUPT;
        one.ts_us = first ? step : one.ts_us - step;
        if (!fn(ctx, &one))
            return ERR_OK;
    }
    return ERR_OK;
}
