/* span.h - how far a text goes without a byte of some set, 16 bytes at a step (SSE2, which every
 * x86-64 has). Reads nothing past the end. */
#ifndef PARLEY_BASE_SPAN_H
#define PARLEY_BASE_SPAN_H

#include <emmintrin.h>
#include <string.h>
#include "base/compiler.h"

/* One bit for each byte that ends the span. */
typedef int span_ends_fn(__m128i bytes);

static inline __m128i span_is(__m128i bytes, char c)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

/* Unsigned: byte <= c. */
static inline __m128i span_at_most(__m128i bytes, char c)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(c)), bytes);
}

/* Length of the longest start of p[0, n) without such a byte; n: there is none. */
static inline __attribute__((always_inline)) size_t span(const void *text, size_t n,
                                                         span_ends_fn *ends)
{
    const char *p = text;
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        int found = ends(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (found != 0)
            return i + (size_t)__builtin_ctz((unsigned)found);
    }
    if (i == n)
        return n;
    char rest[16] = {0};
    memcpy(rest, p + i, n - i);
    int found = ends(_mm_loadu_si128((const __m128i *)(const void *)rest)) |
                1 << (n - i); /* what stands behind the end does not count */
    return i + (size_t)__builtin_ctz((unsigned)found);
}

#endif
