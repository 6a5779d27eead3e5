/* One verdict however the bytes arrive; and what we accept, llhttp accepts with the same body and
 * the same end, so that no proxy in front can see another request than we do. */
#include "fuzz.h"
#include "http1/parse.h"

/* Both name their methods alike. */
#define HTTP_GET     LLHTTP_GET
#define HTTP_HEAD    LLHTTP_HEAD
#define HTTP_POST    LLHTTP_POST
#define HTTP_OPTIONS LLHTTP_OPTIONS
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_OPTIONS

static const struct http_limits limits = {
    .request_line_max = 512, .head_max = 2048, .fields_max = 16, .body_max = 4096};

/* A body that is streamed comes to the same as one that is kept. */
struct sink {
    struct fuzz *f;
    struct buf body;
};

static size_t sink_take(void *ctx, const uint8_t *p, size_t n)
{
    struct sink *s = ctx;
    n = rand_below(&s->f->rand, n + 1);
    buf_put(&s->body, p, n);
    return n;
}

struct verdict {
    enum err err; /* ERR_NEED_MORE: not whole */
    size_t used;
    struct http_request request;
};

static void feed(struct fuzz *f, const uint8_t *data, size_t n, bool whole, bool streamed,
                 struct verdict *v)
{
    struct http_parser *p = malloc(http_parser_bytes());
    struct sink sink = {.f = f};
    buf_init(&sink.body, &f->arena, 16);
    http_parser_init(p, &limits);
    http_parser_begin(p, &f->arena, &v->request);
    v->err = ERR_NEED_MORE;
    v->used = 0;
    for (bool more = true; more;) {
        size_t len = n - v->used, used;
        if (!whole && len > 0)
            len = 1 + rand_below(&f->rand, MIN(len, (size_t)24));
        char *piece = fuzz_exact(data + v->used, len);
        enum err why;
        enum http_step step = http_parser_feed(p, (const uint8_t *)piece, len, &used, &why);
        free(piece);
        CLAIM(used <= len);
        if (step == HTTP_FAILED) {
            CLAIM(why != ERR_OK && why != ERR_NEED_MORE);
            v->err = why;
            break;
        }
        v->used += used;
        if (step == HTTP_HEAD_DONE && streamed)
            http_parser_stream(p, limits.body_max, sink_take, &sink);
        if (step == HTTP_DONE) {
            v->err = ERR_OK;
            if (streamed)
                v->request.body = buf_view(&sink.body);
        }
        CLAIM(step != HTTP_MORE || used == len);
        more = step != HTTP_DONE && (step == HTTP_HEAD_DONE || v->used < n);
    }
    free(p);
}

struct second {
    struct buf body;
};

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct second *s = p->data;
    buf_put(&s->body, at, n);
    return 0;
}

static int on_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED;
}

static void ask_llhttp(struct fuzz *f, const uint8_t *data, const struct verdict *v)
{
    llhttp_t p;
    llhttp_settings_t settings;
    struct second s;
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = &s;
    buf_init(&s.body, &f->arena, 16);
    enum llhttp_errno rc = llhttp_execute(&p, (const char *)data, v->used);
    if (rc != HPE_PAUSED)
        fprintf(stderr, "llhttp: %s %s\n", llhttp_errno_name(rc), llhttp_get_error_reason(&p));
    CLAIM(rc == HPE_PAUSED);
    /* Paused behind the last byte that it takes for this request. */
    CLAIM(llhttp_get_error_pos(&p) == (const char *)data + v->used);
    CLAIM(sv_eq(buf_view(&s.body), v->request.body));
}

/* llhttp knows methods and versions by list, and hands an upgrade's bytes on unread. */
static bool comparable(const struct http_request *r)
{
    const char *version = r->target.p + r->target.len + 1;
    return r->method != HTTP_OTHER && !r->upgrade && (version[7] == '0' || version[7] == '1') &&
           http_field(r, SV("Upgrade")).p == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct verdict one, many;
    fuzz_init(&f, data, n);
    feed(&f, data, n, true, false, &one);
    for (int i = 0; i < 3; i++) {
        feed(&f, data, n, false, i == 1, &many);
        CLAIM(one.err == many.err);
        if (one.err != ERR_OK)
            continue;
        CLAIM(one.used == many.used);
        CLAIM(sv_eq(one.request.body, many.request.body));
        CLAIM(sv_eq(one.request.target, many.request.target));
        CLAIM(sv_eq(one.request.host, many.request.host));
        CLAIM(one.request.fields_len == many.request.fields_len);
        CLAIM(one.request.keep_alive == many.request.keep_alive);
    }
    if (one.err == ERR_OK && comparable(&one.request))
        ask_llhttp(&f, data, &one);
    fuzz_deinit(&f);
    return 0;
}
