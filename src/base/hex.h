/* hex.h - lower-case hexadecimal. Thread: any. */
#ifndef PARLEY_BASE_HEX_H
#define PARLEY_BASE_HEX_H

#include "base/compiler.h"

/* Of the lowest four bits. */
static inline char hex_digit(uint64_t v)
{
    return "0123456789abcdef"[v & 15];
}

/* 2 * n digits, no NUL. */
static inline void hex_write(char *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digit(p[i] >> 4);
        out[2 * i + 1] = hex_digit(p[i]);
    }
}

#endif
