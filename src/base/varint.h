/* varint.h - numbers in seven bits a byte, lowest first; the top bit says that more follow. What is
 * stored has them, so the form never changes. Thread: any. */
#ifndef PARLEY_BASE_VARINT_H
#define PARLEY_BASE_VARINT_H

#include "base/arena.h"

enum { varint_bytes_max = 10 };

static inline void varint_put(struct buf *b, uint64_t v)
{
    uint8_t bytes[varint_bytes_max];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    buf_put(b, bytes, n);
}

/* Takes one off the front. False: s ends within it; *out untouched. */
static inline MUST_USE bool varint_get(struct str_view *s, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && s->len > 0; shift += 7) {
        uint8_t b = (uint8_t)*s->p;
        s->p++;
        s->len--;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

#endif
