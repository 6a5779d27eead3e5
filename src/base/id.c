#include "base/id.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford: no I, L, O, U */

size_t id_format(char *out, enum id_kind kind, uint64_t id)
{
    char reversed[13];
    size_t n = 0;
    do {
        reversed[n++] = digits[id & 31];
        id >>= 5;
    } while (id != 0);
    out[0] = (char)kind;
    for (size_t i = 0; i < n; i++)
        out[1 + i] = reversed[n - 1 - i];
    return n + 1;
}

static int digit_value(char c)
{
    for (int i = 0; i < 32; i++) {
        if (digits[i] == c)
            return i;
    }
    return -1;
}

static bool parse_digits(struct str_view s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0 || s.len > 13 || s.p[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int d = digit_value(s.p[i]);
        if (d < 0 || v >> 59 != 0)
            return false;
        v = v << 5 | (uint64_t)d;
    }
    *out = v;
    return true;
}

bool id_parse(struct str_view s, enum id_kind kind, uint64_t *out)
{
    return s.len > 1 && s.p[0] == (char)kind &&
           parse_digits((struct str_view){s.p + 1, s.len - 1}, out);
}

bool id_parse_channel(struct str_view s, uint64_t *out)
{
    return id_parse(s, ID_CHANNEL, out) || id_parse(s, ID_GROUP, out) || id_parse(s, ID_IM, out);
}

void id_random_digits(char *out, const uint8_t *random, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = digits[random[i] & 31];
}

void file_id_make(struct file_id *id, const uint8_t random[file_id_random_bytes])
{
    uint32_t bits = 0, held = 0, at = 0;
    id->text[0] = ID_FILE;
    for (int i = 1; i < file_id_len; i++) {
        if (held < 5) {
            bits = bits << 8 | random[at++];
            held += 8;
        }
        held -= 5;
        id->text[i] = digits[bits >> held & 31];
    }
}

bool file_id_parse(struct str_view s, struct file_id *out)
{
    if (s.len != file_id_len || s.p[0] != ID_FILE)
        return false;
    for (size_t i = 1; i < file_id_len; i++) {
        if (digit_value(s.p[i]) < 0)
            return false;
    }
    memcpy(out->text, s.p, file_id_len);
    return true;
}

void ts_format(char out[ts_text_len], uint64_t ts_us)
{
    uint64_t s = ts_us / 1000000, us = ts_us % 1000000;
    for (int i = 9; i >= 0; i--, s /= 10)
        out[i] = (char)('0' + s % 10);
    out[10] = '.';
    for (int i = 16; i > 10; i--, us /= 10)
        out[i] = (char)('0' + us % 10);
}

bool ts_parse(struct str_view s, uint64_t *ts_us)
{
    struct str_view rest = s;
    struct str_view seconds = sv_cut(&rest, '.');
    uint64_t sec, us = 0;
    if (seconds.len > 10 || !sv_to_u64(seconds, &sec))
        return false;
    if (rest.p != NULL) {
        if (rest.len > 6 || !sv_to_u64(rest, &us))
            return false;
        for (size_t i = rest.len; i < 6; i++)
            us *= 10;
    }
    *ts_us = sec * 1000000 + us;
    return true;
}
