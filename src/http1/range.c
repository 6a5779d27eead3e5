#include "http1/range.h"

/* Digits only; what does not fit is the largest there is. False: not a number. */
static bool to_position(struct str_view s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return s.len > 0;
}

/* "-500": the last bytes */
static enum http_range suffix(struct str_view count, uint64_t length, uint64_t *first,
                              uint64_t *len)
{
    uint64_t n;
    if (!to_position(count, &n))
        return HTTP_RANGE_WHOLE;
    if (n == 0)
        return HTTP_RANGE_NONE;
    if (length == 0) /* it is there, and cannot be told from the whole */
        return HTTP_RANGE_WHOLE;
    *len = MIN(n, length);
    *first = length - *len;
    return HTTP_RANGE_PART;
}

enum http_range http_range(struct str_view value, uint64_t length, uint64_t *first, uint64_t *len)
{
    struct str_view rest = value;
    struct str_view unit = sv_cut(&rest, '=');
    if (rest.p == NULL || !sv_eq_nocase(sv_trim(unit), SV("bytes")))
        return HTTP_RANGE_WHOLE;
    struct str_view last_text = sv_trim(rest);
    struct str_view first_text = sv_cut(&last_text, '-');
    uint64_t from, to = UINT64_MAX;
    if (last_text.p == NULL)
        return HTTP_RANGE_WHOLE;
    if (first_text.len == 0)
        return suffix(last_text, length, first, len);
    if (!to_position(first_text, &from) ||
        (last_text.len > 0 && (!to_position(last_text, &to) || to < from)))
        return HTTP_RANGE_WHOLE;
    if (from >= length)
        return HTTP_RANGE_NONE;
    *first = from;
    *len = MIN(to, length - 1) - from + 1;
    return HTTP_RANGE_PART;
}

bool http_has_etag(struct str_view list, struct str_view etag, bool weak)
{
    if (sv_eq(sv_trim(list), SV("*")))
        return true;
    while (list.p != NULL) { /* ours has no comma; another's that has one is not ours */
        struct str_view one = sv_trim(sv_cut(&list, ','));
        if (weak && sv_starts(one, SV("W/")))
            one = (struct str_view){one.p + 2, one.len - 2};
        if (sv_eq(one, etag))
            return true;
    }
    return false;
}
