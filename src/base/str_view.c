#include "base/str_view.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool sv_eq_nocase(struct str_view a, struct str_view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

bool sv_starts(struct str_view s, struct str_view prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

int sv_cmp(struct str_view a, struct str_view b)
{
    size_t n = MIN(a.len, b.len);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str_view sv_trim(struct str_view s)
{
    while (s.len > 0 && blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

struct str_view sv_cut(struct str_view *rest, char sep)
{
    struct str_view all = *rest;
    const char *at = all.len == 0 ? NULL : memchr(all.p, sep, all.len);
    if (at == NULL) {
        *rest = SV_NONE;
        return all;
    }
    size_t n = (size_t)(at - all.p);
    *rest = (struct str_view){at + 1, all.len - n - 1};
    return (struct str_view){all.p, n};
}

bool sv_to_u64(struct str_view s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool sv_eq_constant_time(struct str_view a, struct str_view b)
{
    if (a.len != b.len)
        return false;
    uint64_t diff = 0, x, y;
    size_t i = 0;
    for (; i + sizeof x <= a.len; i += sizeof x) {
        memcpy(&x, a.p + i, sizeof x);
        memcpy(&y, b.p + i, sizeof y);
        diff |= x ^ y;
    }
    for (; i < a.len; i++)
        diff |= (unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}
