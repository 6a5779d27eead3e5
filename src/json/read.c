#include "json/read.h"

#include <stdlib.h>

#include "json/simdjson_shim.h"

/* simdjson judges the whole text; what follows walks text that is known to be valid, so it needs no
 * checks of its own beyond finding the ends. */
struct json_reader {
    void *parser;
};

enum err json_reader_new(struct json_reader **out)
{
    struct json_reader *r = calloc(1, sizeof *r);
    if (r == NULL || (r->parser = shim_parser_new()) == NULL) {
        free(r);
        return ERR_NOMEM;
    }
    *out = r;
    return ERR_OK;
}

void json_reader_free(struct json_reader *r)
{
    if (r == NULL)
        return;
    shim_parser_free(r->parser);
    free(r);
}

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
        p++;
    return p;
}

/* p at the opening quote; returns behind the closing one. */
static const char *string_end(const char *p, bool *escaped)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            *escaped = true;
            p++;
        }
    }
    return p + 1;
}

static const char *nested_end(const char *p)
{
    unsigned depth = 0;
    bool ignored;
    for (;;) {
        if (*p == '"') {
            p = string_end(p, &ignored);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        v = v << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return v;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* An unescaped string is never longer than its source. */
static enum err unescape(struct arena *a, const char *p, size_t n, struct str_view *out)
{
    char *to = arena_alloc(a, n + 1), *at = to;
    const char *end = p + n;
    if (to == NULL)
        return ERR_NOMEM;
    while (p < end) {
        if (*p != '\\') {
            *at++ = *p++;
            continue;
        }
        p++;
        switch (*p++) {
        case 'b':
            *at++ = '\b';
            break;
        case 'f':
            *at++ = '\f';
            break;
        case 'n':
            *at++ = '\n';
            break;
        case 'r':
            *at++ = '\r';
            break;
        case 't':
            *at++ = '\t';
            break;
        case 'u': {
            unsigned c = hex4(p);
            p += 4;
            if (c >= 0xd800 && c < 0xdc00) { /* its other half follows: simdjson has checked */
                c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
                p += 6;
            }
            at = put_utf8(at, c);
            break;
        }
        default:
            *at++ = p[-1];
            break;
        }
    }
    *at = '\0';
    *out = (struct str_view){to, (size_t)(at - to)};
    return ERR_OK;
}

static enum err read_string(struct arena *a, const char **p, struct str_view *out)
{
    bool escaped = false;
    const char *begin = *p + 1, *end = string_end(*p, &escaped);
    *p = end;
    *out = (struct str_view){begin, (size_t)(end - 1 - begin)};
    return escaped ? unescape(a, begin, out->len, out) : ERR_OK;
}

static void classify_number(struct json_value *v)
{
    v->type = JSON_INT;
    uint64_t n = 0;
    bool negative = v->s.p[0] == '-';
    struct str_view digits = {v->s.p + negative, v->s.len - negative};
    if (sv_to_u64(digits, &n) && n <= INT64_MAX)
        v->i = negative ? -(int64_t)n : (int64_t)n;
    else
        v->type = JSON_DOUBLE;
}

static enum err read_value(struct arena *a, const char **p, struct json_value *v)
{
    const char *begin = *p;
    memset(v, 0, sizeof *v);
    if (*begin == '"') {
        v->type = JSON_STRING;
        return read_string(a, p, &v->s);
    }
    if (*begin == '{' || *begin == '[') {
        v->type = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
        *p = nested_end(begin);
    } else {
        while (strchr(",]} \t\r\n", **p) == NULL)
            (*p)++;
    }
    v->s = (struct str_view){begin, (size_t)(*p - begin)};
    if (*begin == 't' || *begin == 'f') {
        v->type = JSON_BOOL;
        v->b = *begin == 't';
    } else if (*begin == 'n') {
        v->type = JSON_NULL;
    } else if (*begin == '-' || (*begin >= '0' && *begin <= '9')) {
        classify_number(v);
    }
    return ERR_OK;
}

/* Walks `{...}` or `[...]` into members; grows by doubling, counted against max. */
static enum err read_members(struct arena *a, const char *p, bool object, uint32_t max,
                             struct json_member **out, uint32_t *len)
{
    uint32_t cap = 16, n = 0;
    struct json_member *m = arena_alloc(a, cap * sizeof *m);
    if (m == NULL)
        return ERR_NOMEM;
    char close = object ? '}' : ']';
    p = skip_space(skip_space(p) + 1);
    while (*p != close) {
        if (n == max)
            return object ? ERR_INVALID_JSON : ERR_FULL;
        if (n == cap) {
            struct json_member *more = arena_alloc(a, 2 * cap * sizeof *m);
            if (more == NULL)
                return ERR_NOMEM;
            memcpy(more, m, cap * sizeof *m);
            m = more;
            cap *= 2;
        }
        m[n].name = SV_NONE;
        if (object) {
            TRY(read_string(a, &p, &m[n].name));
            p = skip_space(skip_space(p) + 1); /* the colon */
        }
        TRY(read_value(a, &p, &m[n].value));
        n++;
        p = skip_space(p);
        if (*p == ',')
            p = skip_space(p + 1);
    }
    *out = m;
    *len = n;
    return ERR_OK;
}

enum err json_read_object(struct json_reader *r, struct arena *a, struct str_view text,
                          struct json_member **members, uint32_t *len)
{
    enum shim_type type = shim_judge(r->parser, text.p, text.len, json_depth_max);
    if (type == SHIM_INVALID)
        return ERR_INVALID_JSON;
    if (type != SHIM_OBJECT)
        return ERR_JSON_NOT_OBJECT;
    return read_members(a, text.p, true, json_members_max, members, len);
}

enum err json_read_array(struct json_reader *r, struct arena *a, struct str_view text,
                         struct json_member **elements, uint32_t *len)
{
    return json_read_array_max(r, a, text, UINT32_MAX, elements, len);
}

enum err json_read_array_max(struct json_reader *r, struct arena *a, struct str_view text,
                             uint32_t max, struct json_member **elements, uint32_t *len)
{
    if (shim_judge(r->parser, text.p, text.len, json_depth_max) != SHIM_ARRAY)
        return ERR_INVALID_JSON;
    return read_members(a, text.p, false, max, elements, len);
}

enum err json_check(struct json_reader *r, struct str_view text, enum json_type *type)
{
    enum shim_type t =
        text.len == 0 ? SHIM_INVALID : shim_judge(r->parser, text.p, text.len, json_depth_max);
    if (t == SHIM_INVALID)
        return ERR_INVALID_JSON;
    *type = (enum json_type)(t - SHIM_NULL); /* the same order */
    return ERR_OK;
}

struct json_value *json_find(struct json_member *members, uint32_t len, struct str_view name)
{
    for (uint32_t i = 0; i < len; i++) {
        if (sv_eq(members[i].name, name))
            return &members[i].value;
    }
    return NULL;
}

struct str_view json_text(struct json_member *members, uint32_t len, const char *name)
{
    const struct json_value *v = json_find(members, len, sv_from(name));
    return v != NULL && v->type == JSON_STRING ? v->s : SV_NONE;
}

bool utf8_valid(struct str_view s)
{
    return s.len == 0 || shim_utf8_valid(s.p, s.len);
}

size_t utf8_count(struct str_view s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}
