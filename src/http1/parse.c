/* Own, not llhttp: the head is gathered whole and judged once, so that the verdict cannot depend on
 * how the bytes were split, and so that every rule of ours is beside the bytes it is about. llhttp
 * is the second opinion in parse_test. */
#include "http1/parse.h"

#include "base/span.h"

enum parse_state {
    STATE_HEAD,
    STATE_BODY_LENGTH,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_DATA,
    STATE_CHUNK_END, /* the CRLF behind a chunk's data */
    STATE_TRAILER,
    STATE_DONE,
    STATE_FAILED
};

enum {
    chunk_line_max = 256,
    chunk_extensions_max = 4096,
    trailers_max = 4096,
    body_padding = 64,
    blank_lines_max = 4, /* before a request */
    body_trust_bytes = 65536
};

struct http_parser {
    const struct http_limits *limits;
    struct arena *arena;
    struct http_request *request;
    struct buf head, body;
    enum parse_state state;
    enum err error;
    bool started, line_has_bytes; /* line_has_bytes: of the head's present line */
    char last;                    /* byte before, over calls: CR must be followed by LF */
    uint64_t left;                /* of the body or chunk */
    uint64_t body_max, body_len;
    http_body_sink *sink; /* NULL: the body is kept in the arena */
    void *sink_ctx;
    char line[chunk_line_max + 2];
    uint32_t line_len;
    uint32_t extension_bytes, trailer_bytes, blank_lines;
};

size_t http_parser_bytes(void)
{
    return sizeof(struct http_parser);
}

void http_parser_init(struct http_parser *p, const struct http_limits *limits)
{
    p->limits = limits; /* the rest is for http_parser_begin */
    p->state = STATE_DONE;
}

void http_parser_begin(struct http_parser *p, struct arena *a, struct http_request *r)
{
    const struct http_limits *limits = p->limits;
    memset(p, 0, sizeof *p);
    p->limits = limits;
    p->arena = a;
    p->request = r;
    memset(r, 0, sizeof *r);
    buf_init(&p->head, a, 0);
    buf_init(&p->body, a, 0);
}

void http_parser_stream(struct http_parser *p, uint64_t body_max, http_body_sink *sink, void *ctx)
{
    ASSERT(p->state == STATE_BODY_LENGTH || p->state == STATE_CHUNK_SIZE);
    p->body_max = body_max;
    p->sink = sink;
    p->sink_ctx = ctx;
}

bool http_parser_started(const struct http_parser *p)
{
    return p->started;
}

struct str_view http_field(const struct http_request *r, struct str_view name)
{
    for (uint32_t i = 0; i < r->fields_len; i++) {
        if (sv_eq_nocase(r->fields[i].name, name))
            return r->fields[i].value;
    }
    return SV_NONE;
}

/* ---- character classes (RFC 9110 5.6.2) ---- */

static bool is_token_char(unsigned char c)
{
    static const bool token[256] = {
        ['0' ... '9'] = true,  ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['!'] = true,
        ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,         ['-'] = true,
        ['.'] = true,          ['^' ... '`'] = true, ['|'] = true,         ['~'] = true};
    return token[c];
}

static bool is_token(struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char((unsigned char)s.p[i]))
            return false;
    }
    return s.len > 0;
}

static inline int is_control(__m128i bytes)
{
    __m128i low = _mm_andnot_si128(span_is(bytes, '\t'), span_at_most(bytes, 0x1f));
    return _mm_movemask_epi8(_mm_or_si128(low, span_is(bytes, 0x7f)));
}

static bool is_field_value(struct str_view s)
{
    return span(s.p, s.len, is_control) == s.len;
}

/* Chunk extensions (RFC 9112 7.1.1): ;name, ;name=token or ;name="text", without blanks around and
 * backslashes inside: what other parsers may read differently is refused. */
static bool are_extensions(struct str_view s)
{
    size_t i = 0;
    while (i < s.len) {
        if (s.p[i] != ';')
            return false;
        size_t from = ++i;
        while (i < s.len && is_token_char((unsigned char)s.p[i]))
            i++;
        if (i == from)
            return false;
        if (i == s.len || s.p[i] != '=')
            continue;
        from = ++i;
        bool quoted = i < s.len && s.p[i] == '"';
        if (quoted) {
            for (i++; i < s.len && s.p[i] != '"'; i++) {
                if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f || s.p[i] == '\\')
                    return false;
            }
            if (i++ == s.len)
                return false;
            continue;
        }
        while (i < s.len && is_token_char((unsigned char)s.p[i]))
            i++;
        if (i == from)
            return false;
    }
    return true;
}

/* ---- request line ---- */

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986 3.2.2, without escapes and user names: a name, an IPv4 or a bracketed IPv6 address, then
 * perhaps a port. It goes into URLs that we make, so nothing else may pass. */
static bool is_host(struct str_view s)
{
    size_t i = 0;
    if (s.len > 0 && s.p[0] == '[') {
        for (i = 1; i < s.len && s.p[i] != ']'; i++) {
            unsigned char c = (unsigned char)s.p[i];
            if (!is_alnum(c) && c != ':' && c != '.')
                return false;
        }
        if (i < 3 || i++ == s.len)
            return false;
    } else {
        while (i < s.len && (is_alnum((unsigned char)s.p[i]) || strchr(".-_", s.p[i]) != NULL))
            i++;
        if (i == 0)
            return false;
    }
    if (i == s.len)
        return true;
    uint64_t port;
    struct str_view digits = {s.p + i + 1, s.len - i - 1};
    return s.p[i] == ':' &&
           (digits.len == 0 || (digits.len <= 5 && sv_to_u64(digits, &port) && port <= 65535));
}

static bool starts_nocase(struct str_view s, struct str_view prefix)
{
    return s.len >= prefix.len && sv_eq_nocase((struct str_view){s.p, prefix.len}, prefix);
}

static enum http_method method_of(struct str_view s)
{
    static const struct {
        struct str_view name;
        enum http_method method;
    } methods[] = {{{"GET", 3}, HTTP_GET},
                   {{"POST", 4}, HTTP_POST},
                   {{"HEAD", 4}, HTTP_HEAD},
                   {{"OPTIONS", 7}, HTTP_OPTIONS}};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (sv_eq(s, methods[i].name))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

static enum err parse_version(struct http_request *r, struct str_view v)
{
    if (v.len != 8 || !sv_starts(v, SV("HTTP/")) || v.p[6] != '.' || v.p[5] < '0' || v.p[5] > '9' ||
        v.p[7] < '0' || v.p[7] > '9')
        return ERR_BAD_REQUEST;
    if (v.p[5] != '1')
        return ERR_HTTP_VERSION;
    r->minor = v.p[7] == '0' ? 0 : 1;
    return ERR_OK;
}

/* RFC 9112 3.2: origin-form; absolute-form must be accepted; `*` for OPTIONS only. */
static enum err parse_target(struct http_request *r, struct str_view t)
{
    for (size_t i = 0; i < t.len; i++) { /* a fragment is never sent (RFC 9110 7.1) */
        if ((unsigned char)t.p[i] <= 0x20 || (unsigned char)t.p[i] >= 0x7f || t.p[i] == '#')
            return ERR_BAD_REQUEST;
    }
    r->target = t;
    struct str_view rest = t;
    size_t scheme = starts_nocase(t, SV("http://")) ? 7 : starts_nocase(t, SV("https://")) ? 8 : 0;
    if (scheme > 0) {
        size_t at = scheme;
        while (at < t.len && t.p[at] != '/' && t.p[at] != '?')
            at++;
        r->host = (struct str_view){t.p + scheme, at - scheme};
        if (!is_host(r->host))
            return ERR_BAD_REQUEST;
        rest = (struct str_view){t.p + at, t.len - at};
    } else if (sv_eq(t, SV("*")) && r->method == HTTP_OPTIONS) {
        r->path = t;
        return ERR_OK;
    } else if (t.len == 0 || t.p[0] != '/') {
        return ERR_BAD_REQUEST;
    }
    r->path = sv_cut(&rest, '?');
    if (r->path.len == 0) /* http://host and http://host?query */
        r->path = SV("/");
    r->query = rest.p == NULL ? SV("") : rest;
    return ERR_OK;
}

static enum err parse_request_line(struct http_request *r, struct str_view line)
{
    struct str_view rest = line;
    r->method_text = sv_cut(&rest, ' ');
    struct str_view target = sv_cut(&rest, ' ');
    if (!is_token(r->method_text) || rest.p == NULL)
        return ERR_BAD_REQUEST;
    r->method = method_of(r->method_text);
    TRY(parse_version(r, rest));
    return parse_target(r, target);
}

/* ---- fields ---- */

static bool has_word(struct str_view list, struct str_view word)
{
    while (list.p != NULL) {
        if (sv_eq_nocase(sv_trim(sv_cut(&list, ',')), word))
            return true;
    }
    return false;
}

/* RFC 9112 6.1: only chunked is read. Known codings are honestly not supported; anything else is an
 * attack or a bug. */
static enum err judge_transfer_encoding(struct http_request *r, struct str_view v)
{
    if (r->chunked || r->minor == 0)
        return ERR_BAD_REQUEST;
    if (sv_eq_nocase(v, SV("chunked"))) {
        r->chunked = true;
        return ERR_OK;
    }
    static const char *const known[] = {"gzip",     "x-gzip",     "deflate",
                                        "compress", "x-compress", "identity"};
    struct str_view first = sv_trim(sv_cut(&v, ','));
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (sv_eq_nocase(first, sv_from(known[i])))
            return ERR_UNSUPPORTED_CODING;
    }
    return ERR_BAD_REQUEST;
}

struct field_counts {
    unsigned host, transfer_encoding;
    bool close, keep_alive, connection_upgrade, upgrade;
};

static enum err judge_field(struct http_request *r, const struct http_field *f,
                            struct field_counts *n)
{
    if (sv_eq_nocase(f->name, SV("Host"))) {
        if (n->host++ > 0 || !is_host(f->value))
            return ERR_BAD_REQUEST;
        if (r->host.p == NULL) /* RFC 9112 3.2.2: the target's own host goes before the field */
            r->host = f->value;
    } else if (sv_eq_nocase(f->name, SV("Content-Length"))) {
        if (r->has_content_length || f->value.len > 19 || !sv_to_u64(f->value, &r->content_length))
            return ERR_BAD_REQUEST;
        r->has_content_length = true;
    } else if (sv_eq_nocase(f->name, SV("Transfer-Encoding"))) {
        if (n->transfer_encoding++ > 0)
            return ERR_BAD_REQUEST;
        return judge_transfer_encoding(r, f->value);
    } else if (sv_eq_nocase(f->name, SV("Connection"))) {
        n->close |= has_word(f->value, SV("close"));
        n->keep_alive |= has_word(f->value, SV("keep-alive"));
        n->connection_upgrade |= has_word(f->value, SV("upgrade"));
    } else if (sv_eq_nocase(f->name, SV("Upgrade"))) {
        n->upgrade = true;
    } else if (sv_eq_nocase(f->name, SV("Expect"))) {
        if (!sv_eq_nocase(f->value, SV("100-continue")))
            return ERR_EXPECTATION_FAILED;
        r->expect_continue = r->minor > 0;
    }
    return ERR_OK;
}

static enum err parse_field(struct str_view line, struct http_field *f)
{
    struct str_view rest = line;
    f->name = sv_cut(&rest, ':'); /* a space before the colon or a folded line makes it no token */
    if (rest.p == NULL || !is_token(f->name))
        return ERR_BAD_REQUEST;
    f->value = sv_trim(rest);
    return is_field_value(f->value) ? ERR_OK : ERR_BAD_REQUEST;
}

/* Cuts a line that ends with CRLF; the gathering has made sure that it does. */
static struct str_view cut_line(struct str_view *rest)
{
    struct str_view line = sv_cut(rest, '\n');
    line.len--;
    return line;
}

static enum err parse_fields(struct http_parser *p, struct str_view rest)
{
    struct http_request *r = p->request;
    struct field_counts counts = {0};
    uint32_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.p[i] == '\n';
    if (lines - 1 > p->limits->fields_max) /* the last one is empty */
        return ERR_HEADERS_TOO_LARGE;
    r->fields = arena_alloc(p->arena, lines * sizeof *r->fields);
    if (r->fields == NULL)
        return ERR_NOMEM;
    for (struct str_view line; (line = cut_line(&rest)).len > 0;) {
        struct http_field *f = &r->fields[r->fields_len++];
        TRY(parse_field(line, f));
        TRY(judge_field(r, f, &counts));
    }
    if (r->chunked && r->has_content_length) /* RFC 9112 6.3: smuggling */
        return ERR_BAD_REQUEST;
    if (r->minor > 0 && counts.host == 0)
        return ERR_BAD_REQUEST;
    r->keep_alive = !counts.close && (r->minor > 0 || counts.keep_alive);
    r->upgrade = counts.connection_upgrade && counts.upgrade;
    return ERR_OK;
}

static enum err parse_head(struct http_parser *p)
{
    struct str_view rest = buf_view(&p->head);
    TRY(parse_request_line(p->request, cut_line(&rest)));
    return parse_fields(p, rest);
}

/* ---- gathering ---- */

static enum http_step fail(struct http_parser *p, enum err err, enum err *why)
{
    p->state = STATE_FAILED;
    p->error = *why = err;
    return HTTP_FAILED;
}

static bool keep(struct buf *b, const uint8_t *p, size_t n)
{
    buf_put(b, p, n);
    return !b->failed;
}

static inline int at_most_cr(__m128i bytes)
{
    return _mm_movemask_epi8(span_at_most(bytes, '\r'));
}

/* How many bytes stand before the first that may be a CR, LF or NUL. */
static size_t plain_run(const uint8_t *p, size_t n)
{
    return span(p, n, at_most_cr);
}

/* Takes bytes up to the empty line. A bare CR or LF ends it at once; limits are checked as bytes
 * come, so a flood is cut off before its end. */
static enum err gather_head(struct http_parser *p, const uint8_t *in, size_t n, size_t *used,
                            bool *whole)
{
    const uint32_t line_max = p->limits->request_line_max, head_max = p->limits->head_max;
    bool first_line = p->request->fields_len == 0 &&
                      (p->head.len == 0 || memchr(p->head.p, '\n', p->head.len) == NULL);
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        size_t run = p->started && p->last != '\r' ? plain_run(in + i, n - i) : 0;
        if (run > 1) { /* judged as one, by its last byte */
            p->line_has_bytes = true;
            i += run - 1;
        }
        unsigned char c = in[i];
        if (p->head.len == 0 && i == from && !p->started && (c == '\r' || c == '\n')) {
            /* RFC 9112 2.2: an empty line before a request is skipped; a bare LF is not one. */
            if ((c == '\n') != (p->last == '\r') || p->blank_lines == blank_lines_max)
                return ERR_BAD_REQUEST;
            p->blank_lines += c == '\n';
            p->last = (char)c;
            from = i + 1;
            continue;
        }
        if (!p->started && p->last == '\r')
            return ERR_BAD_REQUEST;
        p->started = true;
        if ((c == '\n') != (p->last == '\r'))
            return ERR_BAD_REQUEST;
        if (c == 0)
            return ERR_BAD_REQUEST;
        p->last = (char)c;
        size_t total = p->head.len + i + 1 - from;
        if (first_line && total > line_max + 2u)
            return ERR_URI_TOO_LONG;
        if (total > head_max)
            return ERR_HEADERS_TOO_LARGE;
        if (c == '\n') {
            first_line = false;
            if (!p->line_has_bytes) {
                *used = i + 1;
                *whole = true;
                p->last = 0;
                return keep(&p->head, in + from, i + 1 - from) ? ERR_OK : ERR_NOMEM;
            }
            p->line_has_bytes = false;
        } else if (c != '\r') {
            p->line_has_bytes = true;
        }
    }
    *used = n;
    return keep(&p->head, in + from, n - from) ? ERR_OK : ERR_NOMEM;
}

/* A declaration alone gets little memory. Once body_trust_bytes have really come, the rest is
 * reserved in one or two steps: doubling all the way would leave more than the body behind in the
 * arena. */
static bool keep_body(struct http_parser *p, const uint8_t *in, size_t n)
{
    size_t need = p->body.len + n;
    if (n > 0 && need + body_padding > p->body.cap) {
        size_t whole =
            (size_t)(p->request->chunked ? MIN(p->body_max, (uint64_t)MAX(need, 4 * p->body.cap))
                                         : p->request->content_length);
        size_t cap = need > body_trust_bytes ? whole : need;
        if (!buf_reserve(&p->body, cap - p->body.len + body_padding))
            return false;
    }
    return keep(&p->body, in, n);
}

/* The next n bytes of the body; *used of them were taken. */
static enum err take_body(struct http_parser *p, const uint8_t *in, size_t n, size_t *used)
{
    if (p->sink == NULL && !keep_body(p, in, n))
        return ERR_NOMEM;
    *used = p->sink == NULL || n == 0 ? n : p->sink(p->sink_ctx, in, n);
    ASSERT(*used <= n);
    p->left -= *used;
    p->body_len += *used;
    return ERR_OK;
}

static enum http_step finish(struct http_parser *p)
{
    /* Decoders read a little past the end. */
    if (p->body.len > 0)
        memset(p->body.p + p->body.len, 0, body_padding);
    p->request->body = p->body.len > 0 ? buf_view(&p->body) : SV("");
    p->state = STATE_DONE;
    return HTTP_DONE;
}

/* ---- chunked (RFC 9112 7.1) ---- */

/* Gathers a line that ends with CRLF into p->line; true when whole (without its CRLF). */
static bool gather_line(struct http_parser *p, uint8_t c, enum err *err)
{
    if ((c == '\n') != (p->last == '\r') || c == 0) {
        *err = ERR_BAD_REQUEST;
        return false;
    }
    p->last = (char)c;
    if (c == '\n') {
        p->last = 0;
        return true;
    }
    if (c != '\r') {
        if (p->line_len == chunk_line_max)
            *err = p->state == STATE_TRAILER ? ERR_HEADERS_TOO_LARGE : ERR_BODY_TOO_LARGE;
        else
            p->line[p->line_len++] = (char)c;
    }
    return false;
}

static enum err chunk_size(struct http_parser *p, uint64_t *size)
{
    struct str_view line = {p->line, p->line_len};
    size_t digits = 0;
    *size = 0;
    while (digits < line.len) {
        char c = line.p[digits];
        int d = c >= '0' && c <= '9'                 ? c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                     : -1;
        if (d < 0)
            break;
        if (*size >> 60 != 0)
            return ERR_BAD_REQUEST;
        *size = *size << 4 | (uint64_t)d;
        digits++;
    }
    if (digits == 0 || digits > 16)
        return ERR_BAD_REQUEST;
    struct str_view extension = {line.p + digits, line.len - digits};
    if (!are_extensions(extension))
        return ERR_BAD_REQUEST;
    p->extension_bytes += (uint32_t)extension.len;
    return p->extension_bytes > chunk_extensions_max ? ERR_BODY_TOO_LARGE : ERR_OK;
}

static enum err on_chunk_line(struct http_parser *p)
{
    uint64_t size;
    TRY(chunk_size(p, &size));
    p->line_len = 0;
    if (size > p->body_max - p->body_len)
        return ERR_BODY_TOO_LARGE;
    p->left = size;
    p->state = size == 0 ? STATE_TRAILER : STATE_CHUNK_DATA;
    return ERR_OK;
}

static enum err on_trailer_line(struct http_parser *p, bool *whole)
{
    struct str_view line = {p->line, p->line_len};
    struct http_field f;
    *whole = line.len == 0;
    p->trailer_bytes += (uint32_t)line.len + 2;
    p->line_len = 0;
    if (*whole)
        return ERR_OK;
    if (p->trailer_bytes > trailers_max)
        return ERR_HEADERS_TOO_LARGE;
    TRY(parse_field(line, &f));
    /* RFC 9110 6.5.1: framing is no business of a trailer, and some parsers would listen to it. */
    bool framing =
        sv_eq_nocase(f.name, SV("Content-Length")) || sv_eq_nocase(f.name, SV("Transfer-Encoding"));
    return framing ? ERR_BAD_REQUEST : ERR_OK;
}

static enum err on_line(struct http_parser *p, bool *whole)
{
    if (p->state == STATE_CHUNK_SIZE)
        return on_chunk_line(p);
    if (p->state == STATE_TRAILER)
        return on_trailer_line(p, whole);
    p->state = STATE_CHUNK_SIZE;
    return ERR_OK;
}

static enum err feed_chunked(struct http_parser *p, const uint8_t *in, size_t n, size_t *used,
                             bool *whole)
{
    enum err err = ERR_OK;
    while (*used < n && !*whole) {
        if (p->state == STATE_CHUNK_DATA) {
            size_t want = (size_t)MIN((uint64_t)(n - *used), p->left), took;
            TRY(take_body(p, in + *used, want, &took));
            *used += took;
            if (p->left == 0)
                p->state = STATE_CHUNK_END;
            if (took < want)
                return ERR_OK;
            continue;
        }
        bool line = gather_line(p, in[(*used)++], &err);
        if (err != ERR_OK)
            return err;
        if (p->state == STATE_CHUNK_END && p->line_len > 0)
            return ERR_BAD_REQUEST;
        if (line)
            TRY(on_line(p, whole));
    }
    return ERR_OK;
}

/* ---- feeding ---- */

static void begin_body(struct http_parser *p)
{
    const struct http_request *r = p->request;
    p->left = r->content_length;
    p->body_max = p->limits->body_max;
    p->state = r->chunked ? STATE_CHUNK_SIZE : STATE_BODY_LENGTH;
}

enum http_step http_parser_feed(struct http_parser *p, const uint8_t *in, size_t n, size_t *used,
                                enum err *why)
{
    bool whole = false;
    enum err err;
    *used = 0;
    *why = ERR_OK;
    if (p->state == STATE_BODY_LENGTH && p->left > p->body_max - p->body_len)
        return fail(p, ERR_BODY_TOO_LARGE, why); /* by its declaration, but behind the head */
    switch (p->state) {
    case STATE_HEAD:
        err = gather_head(p, in, n, used, &whole);
        if (err == ERR_OK && whole)
            err = parse_head(p);
        if (err != ERR_OK)
            return fail(p, err, why);
        if (!whole)
            return HTTP_MORE;
        begin_body(p);
        return HTTP_HEAD_DONE;
    case STATE_BODY_LENGTH: {
        size_t want = (size_t)MIN((uint64_t)n, p->left);
        if (take_body(p, in, want, used) != ERR_OK)
            return fail(p, ERR_NOMEM, why);
        if (p->left == 0)
            return finish(p);
        return *used < want ? HTTP_FULL : HTTP_MORE;
    }
    case STATE_CHUNK_SIZE:
    case STATE_CHUNK_DATA:
    case STATE_CHUNK_END:
    case STATE_TRAILER:
        err = feed_chunked(p, in, n, used, &whole);
        if (err != ERR_OK)
            return fail(p, err, why);
        if (whole)
            return finish(p);
        return *used < n ? HTTP_FULL : HTTP_MORE;
    case STATE_DONE:
        return HTTP_DONE;
    case STATE_FAILED:
        break;
    }
    return fail(p, p->error, why);
}
