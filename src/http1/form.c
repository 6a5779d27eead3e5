#include "http1/form.h"

#include "http1/multipart.h"
#include "json/read.h"

static enum err add(struct form *f, struct arena *a, const struct form_param *param)
{
    if (f->len == form_params_max)
        return ERR_INVALID_FORM_DATA;
    if (f->len == f->cap) {
        uint32_t cap = f->cap == 0 ? 16 : f->cap * 2;
        struct form_param *more = arena_alloc(a, cap * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        if (f->len > 0)
            memcpy(more, f->params, f->len * sizeof *more);
        f->params = more;
        f->cap = cap;
    }
    f->params[f->len++] = *param;
    return ERR_OK;
}

bool form_is_text(struct str_view s)
{
    return (s.len == 0 || memchr(s.p, 0, s.len) == NULL) && utf8_valid(s);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err form_unescape(struct arena *a, struct str_view text, bool plus_is_space,
                       struct str_view *out)
{
    bool plain = true;
    for (size_t i = 0; i < text.len && plain; i++)
        plain = text.p[i] != '%' && !(plus_is_space && text.p[i] == '+');
    if (plain) {
        *out = text.p == NULL ? SV("") : text;
        return form_is_text(*out) ? ERR_OK : ERR_INVALID_FORM_DATA;
    }
    char *to = arena_alloc(a, text.len + 1), *at = to;
    if (to == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.p[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_INVALID_FORM_DATA;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *at++ = c;
    }
    *at = '\0';
    *out = (struct str_view){to, (size_t)(at - to)};
    return form_is_text(*out) ? ERR_OK : ERR_INVALID_FORM_DATA;
}

enum err form_parse_urlencoded(struct form *f, struct arena *a, struct str_view text)
{
    while (text.p != NULL) {
        struct str_view value = sv_cut(&text, '&');
        struct form_param param = {0};
        if (value.len == 0)
            continue;
        struct str_view name = sv_cut(&value, '=');
        TRY(form_unescape(a, name, true, &param.name));
        TRY(form_unescape(a, value, true, &param.value));
        TRY(add(f, a, &param));
    }
    return ERR_OK;
}

struct str_view media_type(struct str_view value)
{
    return sv_trim(sv_cut(&value, ';'));
}

/* Behind a parameter's '=': a token or a quoted string; *rest moves behind its ';'. */
static struct str_view param_value(struct arena *a, struct str_view *rest)
{
    if (rest->len == 0 || rest->p[0] != '"')
        return sv_trim(sv_cut(rest, ';'));
    char *to = arena_alloc(a, rest->len);
    size_t n = 0, i = 1;
    if (to == NULL)
        return SV_NONE;
    for (; i < rest->len && rest->p[i] != '"'; i++) {
        if (rest->p[i] == '\\' && i + 1 < rest->len &&
            (rest->p[i + 1] == '"' || rest->p[i + 1] == '\\'))
            i++; /* browsers escape only the quote; other backslashes are kept */
        to[n++] = rest->p[i];
    }
    bool closed = i < rest->len;
    *rest = (struct str_view){rest->p + i, rest->len - i};
    sv_cut(rest, ';');
    return closed ? (struct str_view){to, n} : SV_NONE;
}

struct str_view media_param(struct arena *a, struct str_view value, struct str_view name)
{
    sv_cut(&value, ';');
    while (value.p != NULL) {
        size_t i = 0;
        while (i < value.len && value.p[i] != '=' && value.p[i] != ';')
            i++;
        struct str_view key = sv_trim((struct str_view){value.p, i});
        if (i == value.len || value.p[i] == ';') {
            sv_cut(&value, ';');
            continue;
        }
        value = sv_trim((struct str_view){value.p + i + 1, value.len - i - 1});
        struct str_view v = param_value(a, &value);
        if (sv_eq_nocase(key, name))
            return v;
    }
    return SV_NONE;
}

/* ---- multipart (RFC 7578, RFC 2046 5.1) ---- */

enum err form_parse_multipart(struct form *f, struct arena *a, struct str_view content_type,
                              struct str_view body)
{
    struct multipart m;
    struct form_param param = {0};
    struct str_view rest = body, data;
    size_t used;
    TRY(multipart_init(&m, a, content_type));
    for (;;) {
        enum multipart_step step = multipart_feed(&m, rest.p, rest.len, SIZE_MAX, &used, &data);
        rest = (struct str_view){rest.p + used, rest.len - used};
        switch (step) {
        case MULTIPART_PART:
            param = (struct form_param){.name = m.part.name,
                                        .value = {rest.p, 0},
                                        .filename = m.part.filename,
                                        .content_type = m.part.content_type,
                                        .is_file = m.part.filename.p != NULL};
            break;
        case MULTIPART_DATA: /* the pieces of a part stand together in the body */
            param.value.len += data.len;
            break;
        case MULTIPART_PART_END:
            if (!param.is_file && !form_is_text(param.value))
                return ERR_INVALID_FORM_DATA;
            TRY(add(f, a, &param));
            break;
        case MULTIPART_MORE:
        case MULTIPART_FAILED:
            return multipart_end(&m);
        }
    }
}
