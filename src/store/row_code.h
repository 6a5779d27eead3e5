/* store/row_code.h - what every record is made of: version byte, fields (varints; strings as length
 * and bytes), CRC-32C of key and all before it. For the files that encode rows. */
#ifndef PARLEY_STORE_ROW_CODE_H
#define PARLEY_STORE_ROW_CODE_H

#include "base/varint.h"
#include "store/crc32c.h"
#include "store/row.h"

enum { row_version = 1, crc_bytes = 4 };

/* ---- checksum ---- */

static inline uint32_t crc_of(struct str_view key, const char *record, size_t n)
{
    return ~crc32c_add(crc32c_add(~0u, key.p, key.len), record, n);
}

/* ---- writing ---- */

struct writer {
    struct buf *b;
    size_t begin;
    const struct key *key;
};

static inline void put_v(struct writer *w, uint64_t v)
{
    varint_put(w->b, v);
}

static inline void put_s(struct writer *w, struct str_view s)
{
    put_v(w, s.len);
    buf_put_sv(w->b, s);
}

static inline struct writer begin_as(struct buf *b, const struct key *k, char version)
{
    struct writer w = {b, b->len, k};
    buf_putc(b, version);
    return w;
}

static inline struct writer begin(struct buf *b, const struct key *k)
{
    return begin_as(b, k, row_version);
}

static inline void end(struct writer *w)
{
    if (w->b->failed)
        return;
    uint32_t crc = crc_of(key_view(w->key), w->b->p + w->begin, w->b->len - w->begin);
    buf_put(w->b, &crc, crc_bytes);
}

/* ---- reading ---- */

struct reader {
    const uint8_t *p, *end;
    bool ok;
};

static inline enum err open_version(struct reader *r, struct str_view key, struct str_view value,
                                    uint8_t newest)
{
    uint32_t crc;
    if (value.len < 1 + crc_bytes || (uint8_t)value.p[0] == 0 || (uint8_t)value.p[0] > newest)
        return ERR_CORRUPT;
    memcpy(&crc, value.p + value.len - crc_bytes, crc_bytes);
    if (crc != crc_of(key, value.p, value.len - crc_bytes))
        return ERR_CORRUPT;
    *r = (struct reader){(const uint8_t *)value.p + 1,
                         (const uint8_t *)value.p + value.len - crc_bytes, true};
    return ERR_OK;
}

static inline enum err open_record(struct reader *r, struct str_view key, struct str_view value)
{
    return open_version(r, key, value, row_version);
}

static inline uint64_t get_v(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    r->ok = false;
    return 0;
}

static inline struct str_view get_s(struct reader *r)
{
    uint64_t n = get_v(r);
    if (!r->ok || n > (uint64_t)(r->end - r->p)) {
        r->ok = false;
        return SV_NONE;
    }
    struct str_view s = {(const char *)r->p, (size_t)n};
    r->p += n;
    return s;
}

/* A kind from a later version fails the record: it would be an index past somebody's table. */
static inline uint64_t get_enum(struct reader *r, uint64_t last)
{
    uint64_t v = get_v(r);
    r->ok &= v <= last;
    return v <= last ? v : 0;
}

static inline enum channel_kind get_channel_kind(struct reader *r)
{
    return (enum channel_kind)get_enum(r, CHANNEL_MPIM);
}

static inline enum err close_record(const struct reader *r)
{
    return r->ok && r->p == r->end ? ERR_OK : ERR_CORRUPT;
}

#endif
