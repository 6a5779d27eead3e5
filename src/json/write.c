#include "json/write.h"

#include "base/hex.h"
#include "base/span.h"

static void before(struct json_out *j)
{
    if (j->comma)
        buf_putc(j->b, ',');
    j->comma = true;
}

void json_obj(struct json_out *j)
{
    before(j);
    buf_putc(j->b, '{');
    j->comma = false;
}

void json_obj_end(struct json_out *j)
{
    buf_putc(j->b, '}');
    j->comma = true;
}

void json_arr(struct json_out *j)
{
    before(j);
    buf_putc(j->b, '[');
    j->comma = false;
}

void json_arr_end(struct json_out *j)
{
    buf_putc(j->b, ']');
    j->comma = true;
}

void json_key_of(struct json_out *j, const char *name, size_t len)
{
    struct buf *b = j->b;
    if (!buf_reserve(b, len + 4))
        return;
    char *at = b->p + b->len;
    if (j->comma)
        *at++ = ',';
    *at++ = '"';
    memcpy(at, name, len);
    at += len;
    *at++ = '"';
    *at++ = ':';
    b->len = (size_t)(at - b->p);
    j->comma = false;
}

/* RFC 8259 7: control characters, quote and backslash must be escaped; the short forms where there
 * are any. */
static size_t escape(char out[6], unsigned char c)
{
    const char *shorts = "\b\f\n\r\t\"\\", *names = "bfnrt\"\\";
    const char *at = c == 0 ? NULL : strchr(shorts, c);
    out[0] = '\\';
    if (at != NULL) {
        out[1] = names[at - shorts];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex_digit(c >> 4);
    out[5] = hex_digit(c);
    return 6;
}

static inline int needs_escape(__m128i bytes)
{
    __m128i control = span_at_most(bytes, 0x1f);
    return _mm_movemask_epi8(
        _mm_or_si128(control, _mm_or_si128(span_is(bytes, '"'), span_is(bytes, '\\'))));
}

void json_str(struct json_out *j, struct str_view s)
{
    before(j);
    if (!buf_reserve(j->b, s.len + 2))
        return;
    buf_putc(j->b, '"');
    for (size_t plain; (plain = span(s.p, s.len, needs_escape)) < s.len;) {
        char out[6];
        size_t n = escape(out, (unsigned char)s.p[plain]);
        buf_put(j->b, s.p, plain);
        buf_put(j->b, out, n);
        s.p += plain + 1;
        s.len -= plain + 1;
    }
    buf_put(j->b, s.p, s.len);
    buf_putc(j->b, '"');
}

void json_u64(struct json_out *j, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    before(j);
    buf_put(j->b, digits + at, sizeof digits - at);
}

void json_i64(struct json_out *j, int64_t v)
{
    if (v >= 0) {
        json_u64(j, (uint64_t)v);
        return;
    }
    before(j);
    buf_putc(j->b, '-');
    j->comma = false;
    json_u64(j, 0 - (uint64_t)v);
}

void json_bool(struct json_out *j, bool v)
{
    before(j);
    buf_put(j->b, v ? "true" : "false", v ? 4 : 5);
}

void json_null(struct json_out *j)
{
    before(j);
    buf_put(j->b, "null", 4);
}

void json_id(struct json_out *j, enum id_kind kind, uint64_t id)
{
    char text[id_text_max + 2] = {'"'};
    size_t n = id_format(text + 1, kind, id);
    text[n + 1] = '"';
    before(j);
    buf_put(j->b, text, n + 2);
}

void json_ts(struct json_out *j, uint64_t ts_us)
{
    char text[ts_text_len + 2];
    text[0] = text[ts_text_len + 1] = '"';
    ts_format(text + 1, ts_us);
    before(j);
    buf_put(j->b, text, sizeof text);
}

void json_raw(struct json_out *j, struct str_view text)
{
    if (text.len == 0)
        return;
    before(j);
    buf_put_sv(j->b, text);
}
