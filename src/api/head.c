/* head.c - what the head of a request tells before its body: fields, trace, deadline, path. */
#include "api/internal.h"
#include "base/hex.h"

/* ---- fields ---- */

static void on_authorization(struct request *r, struct str_view value)
{
    struct head_fields *f = &r->fields;
    struct str_view rest = value;
    struct str_view scheme = sv_cut(&rest, ' ');
    struct str_view token = rest.p == NULL ? SV("") : sv_trim(rest);
    bool bad = !sv_eq_nocase(scheme, SV("Bearer")) || token.len == 0;
    if (f->token.p != NULL && !sv_eq_constant_time(f->token, token))
        bad = true; /* two that differ: no guess which one is meant */
    f->auth_bad |= bad;
    f->token = token;
}

struct known_field {
    struct str_view name;
    size_t offset;
};
#define FIELD(text, member)                                                                        \
    {                                                                                              \
        {text, sizeof(text) - 1}, offsetof(struct head_fields, member)                             \
    }

static const struct known_field known[] = {FIELD("Content-Type", content_type),
                                           FIELD("Content-Encoding", content_encoding),
                                           FIELD("traceparent", traceparent),
                                           FIELD("X-Parley-Errors", errors),
                                           FIELD("X-Request-Timeout", timeout),
                                           FIELD("X-Forwarded-Proto", forwarded_proto),
                                           FIELD("Upgrade", upgrade),
                                           FIELD("Sec-WebSocket-Key", ws_key),
                                           FIELD("Sec-WebSocket-Version", ws_version)};

/* The first of each name counts, but for X-Forwarded-For: proxies add theirs behind. */
static void read_fields(struct request *r)
{
    for (uint32_t i = 0; i < r->http.fields_len; i++) {
        const struct http_field *f = &r->http.fields[i];
        if (sv_eq_nocase(f->name, SV("Authorization"))) {
            on_authorization(r, f->value);
            continue;
        }
        if (sv_eq_nocase(f->name, SV("X-Forwarded-For"))) {
            r->fields.forwarded_for = f->value;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            if (!sv_eq_nocase(f->name, known[k].name))
                continue;
            struct str_view *to = (struct str_view *)(void *)((char *)&r->fields + known[k].offset);
            if (to->p == NULL)
                *to = f->value;
            break;
        }
    }
}

/* ---- trace (W3C Trace Context) ---- */

static bool is_hex(const char *p, size_t n, bool *zero)
{
    *zero = true;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
        *zero &= p[i] == '0';
    }
    return true;
}

/* version-trace-parent-flags; later versions may be longer. */
static bool is_traceparent(struct str_view s)
{
    bool zero_trace, zero_span, any;
    return s.len >= 55 && is_hex(s.p, 2, &any) && memcmp(s.p, "ff", 2) != 0 &&
           (s.len == 55 || (memcmp(s.p, "00", 2) != 0 && s.p[55] == '-')) && s.p[2] == '-' &&
           is_hex(s.p + 3, 32, &zero_trace) && !zero_trace && s.p[35] == '-' &&
           is_hex(s.p + 36, 16, &zero_span) && !zero_span && s.p[52] == '-' &&
           is_hex(s.p + 53, 2, &any);
}

void head_name(struct request *r)
{
    uint8_t random[24];
    rand_bytes(r->a->t->rand, random, sizeof random);
    random[0] |= 1; /* neither id may be all zeros */
    random[16] |= 1;
    hex_write(r->id, random, 16);
    hex_write(r->span, random + 16, 8);
    struct str_view t = r->fields.traceparent;
    bool given = t.p != NULL && is_traceparent(t);
    memcpy(r->trace, given ? t.p + 3 : r->id, sizeof r->trace);
    memcpy(r->trace_flags, given ? t.p + 53 : "00", sizeof r->trace_flags);
}

/* ---- what it asks for ---- */

static enum err read_deadline(struct request *r)
{
    uint64_t ms;
    if (r->fields.timeout.p == NULL)
        return ERR_OK;
    if (!sv_to_u64(r->fields.timeout, &ms)) {
        r->detail = "X-Request-Timeout is not a number of milliseconds";
        return ERR_INVALID_ARGUMENTS;
    }
    ms = MIN(ms, r->a->conf.conf->http_request_timeout_ms);
    r->deadline_us = r->started_us + ms * 1000;
    return ERR_OK;
}

static void read_mode(struct request *r)
{
    if (sv_eq_nocase(r->fields.errors, SV("http")))
        r->http_errors = true;
    else if (sv_eq_nocase(r->fields.errors, SV("slack")))
        r->http_errors = false;
    if (r->conn->trusted && r->fields.forwarded_proto.p != NULL)
        r->secure = sv_eq_nocase(r->fields.forwarded_proto, SV("https"));
}

static enum err route_api(struct request *r, struct str_view name)
{
    static const char allow[] = "Allow: GET, POST, OPTIONS\r\n";
    if (r->http.method == HTTP_OPTIONS)
        return ERR_OK; /* a browser asks before it calls from another origin */
    if (r->http.method != HTTP_GET && r->http.method != HTTP_POST) {
        r->extra = (struct str_view){allow, sizeof allow - 1};
        return ERR_METHOD_NOT_ALLOWED;
    }
    r->method = method_find(&r->a->methods, name);
    return r->method == NULL ? ERR_UNKNOWN_METHOD : ERR_OK;
}

static enum err route_avatar(struct request *r)
{
    uint8_t rgb[3];
    if (r->http.method == HTTP_GET || r->http.method == HTTP_HEAD)
        return avatar_path(r->http.path, rgb) ? ERR_OK : ERR_NOT_FOUND;
    r->extra = SV("Allow: GET, HEAD\r\n");
    return ERR_METHOD_NOT_ALLOWED;
}

static enum err route_rtm(struct request *r)
{
    if (r->http.method == HTTP_GET)
        return ERR_OK;
    r->extra = SV("Allow: GET\r\n");
    return ERR_METHOD_NOT_ALLOWED;
}

static enum err route_upload(struct request *r)
{
    if (r->http.method == HTTP_POST || r->http.method == HTTP_OPTIONS)
        return ERR_OK;
    r->extra = SV("Allow: POST, OPTIONS\r\n");
    return ERR_METHOD_NOT_ALLOWED;
}

static enum err route_file(struct request *r)
{
    if (r->http.method == HTTP_GET || r->http.method == HTTP_HEAD || r->http.method == HTTP_OPTIONS)
        return ERR_OK;
    r->extra = SV("Allow: GET, HEAD, OPTIONS\r\n");
    return ERR_METHOD_NOT_ALLOWED;
}

static enum route route_of(struct str_view path)
{
    static const struct {
        struct str_view prefix;
        enum route route;
    } routes[] = {{{"/api/", 5}, ROUTE_API},          {{"/rtm/", 5}, ROUTE_RTM},
                  {{"/avatar/", 8}, ROUTE_AVATAR},    {{"/files/", 7}, ROUTE_FILE},
                  {{"/upload/", 8}, ROUTE_UPLOAD},    {{"/files-pri/", 11}, ROUTE_FILE},
                  {{"/files-pub/", 11}, ROUTE_PUBLIC}};
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (sv_starts(path, routes[i].prefix))
            return routes[i].route;
    }
    return ROUTE_NONE;
}

static enum err route(struct request *r)
{
    struct str_view path = r->http.path;
    r->route = route_of(path);
    switch (r->route) {
    case ROUTE_API:
        return route_api(r, (struct str_view){path.p + 5, path.len - 5});
    case ROUTE_RTM:
        return route_rtm(r);
    case ROUTE_AVATAR:
        return route_avatar(r);
    case ROUTE_UPLOAD:
        return route_upload(r);
    case ROUTE_FILE:
    case ROUTE_PUBLIC:
        return route_file(r);
    case ROUTE_NONE:
        break;
    }
    return ERR_NOT_FOUND;
}

enum err head_judge(struct request *r)
{
    read_fields(r);
    head_name(r);
    read_mode(r);
    TRY(route(r));
    if (r->fields.content_encoding.p != NULL && r->http.method != HTTP_OPTIONS &&
        !sv_eq_nocase(r->fields.content_encoding, SV("identity")))
        return ERR_INVALID_POST_TYPE; /* compressed bodies are not read */
    return read_deadline(r);
}
