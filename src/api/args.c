/* args.c - arguments from the query, an urlencoded, multipart or JSON body, as one list; then by
 * the method's row. The last of a repeated name counts; the body comes behind the query. */
#include "api/internal.h"

#include <openssl/base64.h>

#include "http1/form.h"

/* ---- gathering ---- */

static enum err check_charset(struct request *r)
{
    struct str_view charset = media_param(&r->arena, r->fields.content_type, SV("charset"));
    bool ok = charset.p == NULL || sv_eq_nocase(charset, SV("utf-8")) ||
              sv_eq_nocase(charset, SV("utf8"));
    return ok ? ERR_OK : ERR_INVALID_CHARSET;
}

static enum err read_body(struct request *r, struct form *f, struct json_member **members,
                          uint32_t *len)
{
    struct str_view body = r->http.body, value = r->fields.content_type;
    if (body.len == 0)
        return ERR_OK;
    struct str_view type = value.p == NULL ? SV("") : media_type(value);
    if (sv_eq_nocase(type, SV("application/json"))) {
        TRY(check_charset(r));
        return json_read_object(r->a->json, &r->arena, body, members, len);
    }
    if (sv_eq_nocase(type, SV("application/x-www-form-urlencoded"))) {
        TRY(check_charset(r));
        return form_parse_urlencoded(f, &r->arena, body);
    }
    if (sv_eq_nocase(type, SV("multipart/form-data"))) {
        TRY(check_charset(r));
        return form_parse_multipart(f, &r->arena, value, body);
    }
    return ERR_INVALID_POST_TYPE;
}

enum err args_gather(struct request *r)
{
    struct form f = {0};
    struct json_member *members = NULL;
    uint32_t members_len = 0;
    TRY(form_parse_urlencoded(&f, &r->arena, r->http.query));
    r->query_args_len = f.len;
    TRY(read_body(r, &f, &members, &members_len));
    if (f.len == 0) {
        r->args = members;
        r->args_len = members_len;
        return ERR_OK;
    }
    r->args = arena_alloc(&r->arena, (f.len + members_len) * sizeof *r->args);
    if (r->args == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < f.len; i++) {
        if (f.params[i].is_file)
            continue; /* no method of this table takes a file */
        r->args[r->args_len++] = (struct json_member){
            .name = f.params[i].name, .value = {.type = JSON_STRING, .s = f.params[i].value}};
    }
    for (uint32_t i = 0; i < members_len; i++)
        r->args[r->args_len++] = members[i];
    return ERR_OK;
}

const struct json_value *args_find(const struct request *r, struct str_view name)
{
    for (uint32_t i = r->args_len; i > 0; i--) {
        if (sv_eq(r->args[i - 1].name, name))
            return &r->args[i - 1].value;
    }
    return NULL;
}

/* ---- types ---- */

static bool to_bool(const struct json_value *v, uint64_t *out)
{
    static const struct {
        const char *text;
        uint64_t value;
    } words[] = {{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {"True", 1}, {"False", 0}};
    if (v->type == JSON_BOOL) {
        *out = v->b;
        return true;
    }
    if (v->type != JSON_STRING && v->type != JSON_INT)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq(v->s, sv_from(words[i].text))) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static bool to_int(const struct json_value *v, uint32_t max, uint64_t *out)
{
    if (v->type != JSON_INT && v->type != JSON_STRING)
        return false;
    return sv_to_u64(v->s, out) && *out >= 1 && *out <= max;
}

/* Without the white space between tokens: what goes into a frame stays on one line. */
static bool compact(struct arena *a, struct str_view text, struct str_view *out)
{
    char *p = arena_alloc(a, text.len + 1);
    size_t n = 0;
    bool quoted = false;
    if (p == NULL)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (quoted && c == '\\') { /* what it escapes cannot end the string */
            p[n++] = c;
            c = text.p[++i];
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
            continue;
        }
        p[n++] = c;
    }
    *out = (struct str_view){p, n};
    return true;
}

/* Slack has an error of its own for too many attachments, and none for too many blocks. */
static enum err too_many(const struct arg_spec *spec)
{
    return spec->bad == ERR_INVALID_ATTACHMENTS ? ERR_TOO_MANY_ATTACHMENTS : spec->bad;
}

/* An array of objects, or the text of one. Empty: as if absent. */
static enum err to_objects(struct request *r, const struct json_value *v,
                           const struct arg_spec *spec, struct arg_value *out)
{
    struct json_member *elements;
    uint32_t len;
    if (v->type != JSON_ARRAY && v->type != JSON_STRING)
        return spec->bad;
    enum err err = json_read_array_max(r->a->json, &r->arena, v->s, spec->max, &elements, &len);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? err : err == ERR_FULL ? too_many(spec) : spec->bad;
    for (uint32_t i = 0; i < len; i++) {
        if (elements[i].value.type != JSON_OBJECT)
            return spec->bad;
    }
    out->given = len > 0;
    return len == 0 || compact(&r->arena, v->s, &out->s) ? ERR_OK : ERR_NOMEM;
}

/* An object, or the text of one. */
static enum err to_object(struct request *r, const struct json_value *v,
                          const struct arg_spec *spec, struct arg_value *out)
{
    enum json_type type;
    if (v->type != JSON_OBJECT && v->type != JSON_STRING)
        return spec->bad;
    if (v->s.len > spec->max)
        return ERR_METADATA_TOO_LARGE;
    enum err err = json_check(r->a->json, v->s, &type);
    if (err != ERR_OK || type != JSON_OBJECT)
        return err == ERR_NOMEM ? err : spec->bad;
    return compact(&r->arena, v->s, &out->s) ? ERR_OK : ERR_NOMEM;
}

/* "U1,U2" as it is; an array of strings, or the text of one, joined so. SDKs write a list as its
 * JSON into a JSON body, Slack's Node SDK into a form, too. */
static enum err to_list(struct request *r, const struct json_value *v, const struct arg_spec *spec,
                        struct arg_value *out)
{
    struct json_member *elements;
    uint32_t len;
    struct buf joined;
    if (v->type == JSON_STRING && !sv_starts(v->s, SV("["))) {
        out->s = v->s;
        return ERR_OK;
    }
    if ((v->type != JSON_ARRAY && v->type != JSON_STRING) ||
        json_read_array_max(r->a->json, &r->arena, v->s, spec->max, &elements, &len) != ERR_OK)
        return spec->bad;
    buf_init(&joined, &r->arena, 64);
    for (uint32_t i = 0; i < len; i++) {
        if (elements[i].value.type != JSON_STRING)
            return spec->bad;
        if (i > 0)
            buf_putc(&joined, ',');
        buf_put_sv(&joined, elements[i].value.s);
    }
    out->s = buf_view(&joined);
    return joined.failed ? ERR_NOMEM : ERR_OK;
}

static enum err convert(struct request *r, const struct json_value *v, const struct arg_spec *spec,
                        struct arg_value *out)
{
    bool is_text = v->type == JSON_STRING, ok = false;
    out->s = v->s;
    switch (spec->type) {
    case ARG_TEXT:
    case ARG_CHANNEL_NAME:
    case ARG_CURSOR:
        ok = is_text;
        break;
    case ARG_BOOL:
        ok = to_bool(v, &out->n);
        break;
    case ARG_INT:
        ok = to_int(v, spec->max, &out->n);
        break;
    case ARG_TS: /* a JSON number has lost digits */
        ok = is_text && ts_parse(v->s, &out->n);
        break;
    case ARG_CHANNEL:
        ok = is_text && id_parse_channel(v->s, &out->n);
        break;
    case ARG_USER:
        ok = is_text && id_parse(v->s, ID_USER, &out->n);
        break;
    case ARG_LIST:
        return to_list(r, v, spec, out);
    case ARG_OBJECT:
        return to_object(r, v, spec, out);
    case ARG_OBJECTS:
        return to_objects(r, v, spec, out);
    case ARG_ANY:
        ok = true;
        break;
    }
    return ok ? ERR_OK : spec->bad;
}

/* Clients send empty fields and null for what they leave out; an empty text is a value, and so is
 * an empty list: it takes away what was listed before. */
static bool is_absent(const struct json_value *v, const struct arg_spec *spec)
{
    if (v == NULL || v->type == JSON_NULL)
        return true;
    return spec->type != ARG_TEXT && spec->type != ARG_LIST && spec->type != ARG_ANY &&
           v->type == JSON_STRING && v->s.len == 0;
}

static const char *detail(struct request *r, const char *what, const char *name)
{
    struct buf b;
    buf_init(&b, &r->arena, 96);
    buf_printf(&b, "%s: %s", what, name);
    buf_putc(&b, '\0');
    return b.failed ? NULL : b.p;
}

enum err args_check(struct request *r)
{
    const struct arg_spec *spec = r->method->args;
    r->argv = arena_zalloc(&r->arena, method_args_max * sizeof *r->argv);
    if (r->argv == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; spec[i].name != NULL; i++) {
        ASSERT(i < method_args_max);
        const struct json_value *v = args_find(r, sv_from(spec[i].name));
        if (is_absent(v, &spec[i])) {
            if (spec[i].missing == ERR_OK)
                continue;
            r->detail = detail(r, "missing required field", spec[i].name);
            return spec[i].missing;
        }
        r->argv[i].given = true;
        enum err err = convert(r, v, &spec[i], &r->argv[i]);
        if (err == ERR_INVALID_ARGUMENTS)
            r->detail = detail(r, "invalid value of field", spec[i].name);
        TRY(err);
    }
    return ERR_OK;
}

static struct arg_value *arg_of(const struct request *r, const char *name)
{
    const struct arg_spec *spec = r->method->args;
    uint32_t i = 0;
    while (spec[i].name != NULL && strcmp(spec[i].name, name) != 0)
        i++;
    ASSERT(spec[i].name != NULL); /* a handler asks only for what its row lists */
    return &r->argv[i];
}

const struct arg_value *arg(const struct request *r, const char *name)
{
    return arg_of(r, name);
}

void arg_replace(struct request *r, const char *name, struct str_view s)
{
    arg_of(r, name)->s = s;
}

/* ---- cursors: base64 of "key:value"; the key tells which method made it ---- */

enum { cursor_text_max = 1024 };

enum err cursor_read(struct request *r, const char *key, struct str_view *value)
{
    const struct arg_value *v = arg(r, "cursor");
    size_t key_len = strlen(key), len = 0;
    *value = SV("");
    if (!v->given)
        return ERR_OK;
    uint8_t *p = v->s.len > cursor_text_max ? NULL : arena_alloc(&r->arena, v->s.len);
    if (p == NULL || !EVP_DecodeBase64(p, &len, v->s.len, (const uint8_t *)v->s.p, v->s.len) ||
        len <= key_len + 1 || memcmp(p, key, key_len) != 0 || p[key_len] != ':')
        return ERR_INVALID_CURSOR;
    *value = (struct str_view){(const char *)p + key_len + 1, len - key_len - 1};
    return ERR_OK;
}

void cursor_write(struct request *r, const char *key, struct str_view value)
{
    struct buf plain;
    struct str_view text = SV("");
    buf_init(&plain, &r->arena, 64);
    buf_put(&plain, key, strlen(key));
    buf_putc(&plain, ':');
    buf_put_sv(&plain, value);
    uint8_t *to = arena_alloc(&r->arena, plain.len / 3 * 4 + 8);
    if (plain.failed || to == NULL)
        r->body.failed = true;
    else if (value.len > 0)
        text = (struct str_view){(const char *)to,
                                 EVP_EncodeBlock(to, (const uint8_t *)plain.p, plain.len)};
    json_key(&r->j, "response_metadata");
    json_obj(&r->j);
    json_kv_str(&r->j, "next_cursor", text);
    json_obj_end(&r->j);
}

void cursor_write_u64(struct request *r, const char *key, uint64_t value)
{
    char text[24];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    buf_printf(&b, "%llu", (unsigned long long)value);
    cursor_write(r, key, value == 0 ? SV("") : buf_view(&b));
}

static uint32_t pages_max(const struct request *r)
{
    return r->method->args[arg(r, "page") - r->argv].max;
}

enum err page_read(struct request *r, uint32_t *page)
{
    const struct arg_value *cursor = arg(r, "cursor"), *number = arg(r, "page");
    struct str_view value;
    uint64_t n = number->given ? number->n : 1;
    if (cursor->given && sv_eq(cursor->s, SV("*"))) {
        n = 1;
    } else if (cursor->given) {
        TRY(cursor_read(r, "page", &value));
        if (!sv_to_u64(value, &n) || n < 2 || n > pages_max(r))
            return ERR_INVALID_CURSOR;
    }
    *page = (uint32_t)n;
    return ERR_OK;
}

void page_cursor_write(struct request *r, uint32_t count, uint32_t total, uint32_t page)
{
    bool more = page < pages_max(r) && (uint64_t)page * count < total;
    cursor_write_u64(r, "page", more ? page + 1 : 0);
}

void paging_write(struct request *r, uint32_t count, uint32_t total, uint32_t page)
{
    json_key(&r->j, "paging");
    json_obj(&r->j);
    json_kv_u64(&r->j, "count", count);
    json_kv_u64(&r->j, "total", total);
    json_kv_u64(&r->j, "page", page);
    json_kv_u64(&r->j, "pages", (total + (uint64_t)count - 1) / count);
    json_obj_end(&r->j);
}
