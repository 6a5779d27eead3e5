#include "http1/parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

static const struct http_limits limits = {
    .request_line_max = 8192, .head_max = 32768, .fields_max = 100, .body_max = 1 << 20};

/* What a feed came to, as text: two feeds agree when their texts do. */
struct outcome {
    enum err err; /* ERR_NEED_MORE: neither whole nor failed */
    bool head_done;
    size_t used;
    char text[65536];
};

struct rig {
    struct arena_pool pool;
    struct arena arena;
    struct http_parser *parser;
    struct http_request request;
};

static void rig_init(struct rig *g, const struct http_limits *l)
{
    arena_pool_init(&g->pool, 16384, 4, UINT64_MAX);
    CHECK_EQ(arena_init(&g->arena, &g->pool, 2 << 20), ERR_OK);
    g->parser = malloc(http_parser_bytes());
    http_parser_init(g->parser, l);
    http_parser_begin(g->parser, &g->arena, &g->request);
}

static void rig_deinit(struct rig *g)
{
    free(g->parser);
    arena_deinit(&g->arena);
    arena_pool_deinit(&g->pool);
}

static void describe(const struct http_request *r, struct outcome *o)
{
    struct buf b;
    buf_init_fixed(&b, o->text, sizeof o->text);
    buf_printf(&b,
               "%d %.*s|%.*s|%.*s|%.*s|1.%d keep:%d chunked:%d expect:%d upgrade:%d len:%d,%llu",
               (int)r->method, SV_ARG(r->method_text), SV_ARG(r->path), SV_ARG(r->query),
               SV_ARG(r->host), r->minor, r->keep_alive, r->chunked, r->expect_continue, r->upgrade,
               r->has_content_length, (unsigned long long)r->content_length);
    for (uint32_t i = 0; i < r->fields_len; i++)
        buf_printf(&b, "\n%.*s=%.*s", SV_ARG(r->fields[i].name), SV_ARG(r->fields[i].value));
    if (o->err == ERR_OK) {
        for (size_t i = 0; i < 64 && r->body.len > 0; i++)
            CHECK_EQ(r->body.p[r->body.len + i], 0); /* decoders read a little past the end */
        buf_printf(&b, "\nbody %zu:", r->body.len);
        buf_put_sv(&b, (struct str_view){r->body.p, MIN(r->body.len, (size_t)4096)});
    }
    o->text[b.len] = '\0';
}

/* Feeds text in pieces that end at the cuts; each piece is a copy of its own, gone after the call.
 */
static void run(const struct http_limits *l, struct str_view text, const size_t *cuts, size_t n,
                struct outcome *o)
{
    struct rig g;
    rig_init(&g, l);
    o->err = ERR_NEED_MORE;
    o->head_done = false;
    o->used = 0;
    for (size_t i = 0; i <= n && o->err == ERR_NEED_MORE; i++) {
        size_t end = i < n ? cuts[i] : text.len;
        size_t len = end - o->used, at = 0;
        uint8_t *piece = malloc(len + 1);
        memcpy(piece, text.p + o->used, len);
        for (bool more = true; more;) {
            size_t used;
            enum err why;
            switch (http_parser_feed(g.parser, piece + at, len - at, &used, &why)) {
            case HTTP_MORE:
                CHECK_EQ(used, len - at);
                more = false;
                break;
            case HTTP_HEAD_DONE:
                CHECK(!o->head_done);
                o->head_done = true;
                break;
            case HTTP_FULL:
                CHECK(false); /* no body is streamed here */
                break;
            case HTTP_DONE:
                o->err = ERR_OK;
                more = false;
                break;
            case HTTP_FAILED:
                CHECK(why != ERR_OK);
                o->err = why;
                more = false;
                break;
            }
            at += o->err == ERR_OK || o->err == ERR_NEED_MORE ? used : 0;
        }
        o->used += at;
        memset(piece, '!', len);
        free(piece);
    }
    if (o->head_done)
        describe(&g.request, o);
    else
        o->text[0] = '\0';
    rig_deinit(&g);
}

/* Whole, split at every position, and byte by byte: one verdict. */
static void run_all(struct str_view text, struct outcome *o)
{
    static struct outcome split;
    run(&limits, text, NULL, 0, o);
    for (size_t cut = 0; cut <= text.len; cut++) {
        run(&limits, text, &cut, 1, &split);
        CHECK_EQ(split.err, o->err);
        CHECK_EQ(split.head_done, o->head_done);
        CHECK_STR(split.text, o->text);
        if (o->err == ERR_OK)
            CHECK_EQ(split.used, o->used);
    }
    size_t *cuts = malloc((text.len + 1) * sizeof *cuts);
    for (size_t i = 0; i < text.len; i++)
        cuts[i] = i + 1;
    run(&limits, text, cuts, text.len, &split);
    CHECK_EQ(split.err, o->err);
    CHECK_STR(split.text, o->text);
    free(cuts);
}

#define H "Host: a\r\n"

TEST(good_requests_split_at_every_byte)
{
    static const struct {
        const char *text, *want;
    } good[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n",
         "0 GET|/||a|1.1 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\n"
         "Host=a\nbody 0:"},
        {"\r\n\r\nGET /a%20b?x=1?2&y HTTP/1.1\r\nHost: [::1]:8065\r\nX:\t v w \t\r\nY:\r\n\r\n",
         "0 GET|/a%20b|x=1?2&y|[::1]:8065|1.1 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\n"
         "Host=[::1]:8065\nX=v w\nY=\nbody 0:"},
        {"POST /api/chat.postMessage HTTP/1.1\r\nHost: chat.example.com:443\r\n"
         "Content-Length: 5\r\nContent-Type: application/json\r\n\r\nhello",
         "2 POST|/api/chat.postMessage||chat.example.com:443|1.1 keep:1 chunked:0 expect:0 "
         "upgrade:0 "
         "len:1,5\nHost=chat.example.com:443\nContent-Length=5\nContent-Type=application/json\n"
         "body 5:hello"},
        {"POST /x HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"
         "3;a=b;c=\"d e\";f\r\nabc\r\n000A\r\n0123456789\r\n0\r\nT: v\r\nU: w\r\n\r\n",
         "2 POST|/x||a|1.1 keep:1 chunked:1 expect:1 upgrade:0 len:0,0\nHost=a\n"
         "transfer-encoding=Chunked\nExpect=100-Continue\nbody 13:abc0123456789"},
        {"GET /ws/t HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "0 GET|/ws/t||a|1.1 keep:1 chunked:0 expect:0 upgrade:1 len:0,0\nHost=a\n"
         "Connection=keep-alive, Upgrade\nUpgrade=websocket\nbody 0:"},
        {"GET / HTTP/1.0\r\n\r\n", "0 GET|/|||1.0 keep:0 chunked:0 expect:0 upgrade:0 len:0,0\n"
                                   "body 0:"},
        {"HEAD / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "1 HEAD|/|||1.0 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\nConnection=Keep-Alive\nbody "
         "0:"},
        {"OPTIONS * HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
         "3 OPTIONS|*||a|1.1 keep:0 chunked:0 expect:0 upgrade:0 len:0,0\nHost=a\n"
         "Connection=close\nbody 0:"},
        /* RFC 9112 3.2.2: the target's host, not the field's. */
        {"PATCH HTTP://b:1/p?q HTTP/1.1\r\n" H "\r\n",
         "4 PATCH|/p|q|b:1|1.1 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\nHost=a\nbody 0:"},
        {"GET http://b?q HTTP/1.1\r\n" H "\r\n",
         "0 GET|/|q|b|1.1 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\nHost=a\nbody 0:"},
        {"GET / HTTP/1.1\r\n" H "X: \xc3\xa4\xff\r\n\r\n",
         "0 GET|/||a|1.1 keep:1 chunked:0 expect:0 upgrade:0 len:0,0\nHost=a\nX=\xc3\xa4\xff\nbody "
         "0:"},
    };
    static struct outcome o;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        run_all(sv_from(good[i].text), &o);
        CHECK_EQ(o.err, ERR_OK);
        CHECK_STR(o.text, good[i].want);
        CHECK_EQ(o.used, strlen(good[i].text));
    }
}

TEST(what_follows_belongs_to_the_next_request)
{
    static struct outcome o;
    struct str_view text =
        SV("POST / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n");
    run_all(text, &o);
    CHECK_EQ(o.err, ERR_OK);
    CHECK_EQ(text.len - o.used, strlen("GET / HTTP/1.1\r\n"));
}

#define G "GET / HTTP/1.1\r\n" H
#define C "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

TEST(bad_requests_have_one_verdict_however_split)
{
    static const struct {
        const char *what;
        struct str_view text;
        enum err err;
    } bad[] = {
#define BAD(what, text, err) {what, {text, sizeof(text) - 1}, ERR_##err}
        BAD("length and chunked", G "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            BAD_REQUEST),
        BAD("chunked and length", G "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            BAD_REQUEST),
        BAD("two lengths", G "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", BAD_REQUEST),
        BAD("two equal lengths", G "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", BAD_REQUEST),
        BAD("a list of lengths", G "Content-Length: 3, 3\r\n\r\n", BAD_REQUEST),
        BAD("signed length", G "Content-Length: +3\r\n\r\n", BAD_REQUEST),
        BAD("negative length", G "Content-Length: -1\r\n\r\n", BAD_REQUEST),
        BAD("hex length", G "Content-Length: 0x3\r\n\r\n", BAD_REQUEST),
        BAD("empty length", G "Content-Length:\r\n\r\n", BAD_REQUEST),
        BAD("huge length", G "Content-Length: 99999999999999999999\r\n\r\n", BAD_REQUEST),
        BAD("length over the limit", G "Content-Length: 1048577\r\n\r\n", BODY_TOO_LARGE),
        BAD("two codings", G "Transfer-Encoding: chunked, chunked\r\n\r\n", BAD_REQUEST),
        BAD("chunked twice", G "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            BAD_REQUEST),
        BAD("not exactly chunked", G "Transfer-Encoding: xchunked\r\n\r\n", BAD_REQUEST),
        BAD("chunked with parameter", G "Transfer-Encoding: chunked;q=1\r\n\r\n", BAD_REQUEST),
        BAD("chunked in quotes", G "Transfer-Encoding: \"chunked\"\r\n\r\n", BAD_REQUEST),
        BAD("vertical tab",
            G "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
            BAD_REQUEST),
        BAD("empty coding", G "Transfer-Encoding:\r\n\r\n", BAD_REQUEST),
        BAD("gzip", G "Transfer-Encoding: gzip, chunked\r\n\r\n", UNSUPPORTED_CODING),
        BAD("identity", G "Transfer-Encoding: identity\r\n\r\n", UNSUPPORTED_CODING),
        BAD("chunked in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
            BAD_REQUEST),
        BAD("bare LF in the head", "GET / HTTP/1.1\n" H "\r\n", BAD_REQUEST),
        BAD("bare LF at the end", G "\n", BAD_REQUEST),
        BAD("bare CR in a value", G "X: a\rb\r\n\r\n", BAD_REQUEST),
        BAD("CR CR LF", G "X: a\r\r\n\r\n", BAD_REQUEST),
        BAD("bare LF before", "\nGET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("bare CR before", "\rGET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("a flood of empty lines", "\r\n\r\n\r\n\r\n\r\nGET", BAD_REQUEST),
        BAD("folding", G "X: a\r\n b\r\n\r\n", BAD_REQUEST),
        BAD("folding by tab", G "X: a\r\n\tb\r\n\r\n", BAD_REQUEST),
        BAD("space before the colon", G "X : a\r\n\r\n", BAD_REQUEST),
        BAD("empty name", G ": a\r\n\r\n", BAD_REQUEST),
        BAD("no colon", G "X\r\n\r\n", BAD_REQUEST),
        BAD("odd name", G "X(y): a\r\n\r\n", BAD_REQUEST),
        BAD("non-ASCII name", G "\xc3\xa4: a\r\n\r\n", BAD_REQUEST),
        BAD("NUL in a value", G "X: a\0b\r\n\r\n", BAD_REQUEST),
        BAD("NUL in a name", G "X\0: b\r\n\r\n", BAD_REQUEST),
        BAD("NUL first", "\0GET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("control byte", G "X: a\x01\r\n\r\n", BAD_REQUEST),
        BAD("DEL", G "X: a\x7f\r\n\r\n", BAD_REQUEST),
        BAD("no host", "GET / HTTP/1.1\r\n\r\n", BAD_REQUEST),
        BAD("two hosts", G H "\r\n", BAD_REQUEST),
        BAD("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_REQUEST),
        BAD("host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_REQUEST),
        BAD("host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD_REQUEST),
        BAD("host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_REQUEST),
        BAD("host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", BAD_REQUEST),
        BAD("host with a large port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", BAD_REQUEST),
        BAD("host of a port alone", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", BAD_REQUEST),
        BAD("host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD_REQUEST),
        BAD("host of empty brackets", "GET / HTTP/1.1\r\nHost: []\r\n\r\n", BAD_REQUEST),
        BAD("host behind brackets", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", BAD_REQUEST),
        BAD("host of 1.0 too", "GET / HTTP/1.0\r\nHost: a,b\r\n\r\n", BAD_REQUEST),
        BAD("absolute without host", "GET http:///x HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("absolute with user", "GET http://u:p@b/ HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("tab", "GET\t/ HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("leading space", " GET / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("trailing space", "GET / HTTP/1.1 \r\n" H "\r\n", BAD_REQUEST),
        BAD("no version", "GET /\r\n" H "\r\n", BAD_REQUEST),
        BAD("no target", "GET HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("method alone", "GET\r\n" H "\r\n", BAD_REQUEST),
        BAD("odd method", "G@T / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("no method", " / HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("target without slash", "GET x HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("authority form", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("star for GET", "GET * HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("fragment", "GET /#x HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("raw UTF-8 target", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("lower-case version", "GET / http/1.1\r\n" H "\r\n", BAD_REQUEST),
        BAD("long version", "GET / HTTP/1.10\r\n" H "\r\n", BAD_REQUEST),
        BAD("version 2", "GET / HTTP/2.0\r\n" H "\r\n", HTTP_VERSION),
        BAD("version 0.9", "GET / HTTP/0.9\r\n\r\n", HTTP_VERSION),
        BAD("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_VERSION),
        BAD("TLS hello", "\x16\x03\x01\x02\x00\x01\x00", BAD_REQUEST),
        BAD("unknown expectation", G "Expect: a-pony\r\n\r\n", EXPECTATION_FAILED),
        BAD("expectation list", G "Expect: 100-continue, x\r\n\r\n", EXPECTATION_FAILED),
        BAD("chunk size not hex", C "g\r\n", BAD_REQUEST),
        BAD("chunk size empty", C "\r\n", BAD_REQUEST),
        BAD("chunk size signed", C "-1\r\n", BAD_REQUEST),
        BAD("chunk size with 0x", C "0x1\r\na\r\n", BAD_REQUEST),
        BAD("chunk size with space", C "1 \r\na\r\n", BAD_REQUEST),
        BAD("chunk size past 64 bits", C "10000000000000000\r\n", BAD_REQUEST),
        BAD("many zeros", C "00000000000000001\r\n", BAD_REQUEST),
        BAD("largest chunk", C "ffffffffffffffff\r\n", BODY_TOO_LARGE),
        BAD("chunk over the limit", C "100001\r\n", BODY_TOO_LARGE),
        BAD("chunks over the limit", C "1\r\na\r\n100000\r\n", BODY_TOO_LARGE),
        BAD("bare LF behind the size", C "1\na\r\n", BAD_REQUEST),
        BAD("bare CR behind the size", C "1\ra\r\n", BAD_REQUEST),
        BAD("bare LF in an extension", C "1;a\n=b\r\na\r\n", BAD_REQUEST),
        BAD("extension without name", C "1;\r\na\r\n", BAD_REQUEST),
        BAD("extension without value", C "1;a=\r\na\r\n", BAD_REQUEST),
        BAD("two equals", C "1;a==\r\na\r\n", BAD_REQUEST),
        BAD("open quote", C "1;a=\"b\r\na\r\n", BAD_REQUEST),
        BAD("blanks in an extension", C "1;a =b\r\na\r\n", BAD_REQUEST),
        BAD("text behind a quote", C "1;a=\"b\"c\r\na\r\n", BAD_REQUEST),
        BAD("bytes past ASCII in an extension", C "1;a\xff\r\na\r\n", BAD_REQUEST),
        BAD("NUL in an extension", C "1;a\0\r\na\r\n", BAD_REQUEST),
        BAD("data too long", C "1\r\nab\r\n", BAD_REQUEST),
        BAD("data without CRLF", C "1\r\na1\r\n", BAD_REQUEST),
        BAD("data with bare LF", C "1\r\na\n", BAD_REQUEST),
        BAD("data with CR CR", C "1\r\na\r\r\n", BAD_REQUEST),
        BAD("bare LF in a trailer", C "0\r\nT: v\n\r\n", BAD_REQUEST),
        BAD("trailer without colon", C "0\r\nT\r\n\r\n", BAD_REQUEST),
        BAD("framing in a trailer", C "0\r\nContent-Length: 1\r\n\r\n", BAD_REQUEST),
        BAD("folded trailer", C "0\r\nT: v\r\n w\r\n\r\n", BAD_REQUEST),
#undef BAD
    };
    static struct outcome o;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        run_all(bad[i].text, &o);
        if (o.err != bad[i].err)
            print_error("%s: %s\n", bad[i].what, err_code_name(o.err));
        CHECK_EQ(o.err, bad[i].err);
    }
}

static enum err verdict(const struct http_limits *l, const struct buf *b)
{
    static struct outcome o;
    run(l, buf_view(b), NULL, 0, &o);
    return o.err;
}

/* Each limit to the byte, and one past it. */
TEST(limits_to_the_byte)
{
    static char space[1 << 18];
    struct buf b;
    for (unsigned over = 0; over < 2; over++) {
        buf_init_fixed(&b, space, sizeof space);
        buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" H "\r\n", (int)(8192 - 14 + over), 0);
        CHECK_EQ(verdict(&limits, &b), over ? ERR_URI_TOO_LONG : ERR_OK);
        buf_init_fixed(&b, space, sizeof space);
        buf_printf(&b, G "X: %0*d\r\n\r\n", (int)(32768 - 32 + over), 0);
        CHECK_EQ(verdict(&limits, &b), over ? ERR_HEADERS_TOO_LARGE : ERR_OK);
        buf_init_fixed(&b, space, sizeof space);
        buf_printf(&b, G);
        for (unsigned i = 0; i < 99 + over; i++)
            buf_printf(&b, "X: y\r\n");
        buf_printf(&b, "\r\n");
        CHECK_EQ(verdict(&limits, &b), over ? ERR_HEADERS_TOO_LARGE : ERR_OK);
        buf_init_fixed(&b, space, sizeof space);
        buf_printf(&b, C "1;%0*d\r\na\r\n0\r\n\r\n", (int)(254 + over), 0);
        CHECK_EQ(verdict(&limits, &b), over ? ERR_BODY_TOO_LARGE : ERR_OK);
        buf_init_fixed(&b, space, sizeof space);
        buf_printf(&b, C "0\r\n");
        for (unsigned i = 0; i < 40; i++)
            buf_printf(&b, "T: %0*d\r\n", (int)(97 + (over != 0 && i == 0)), 0);
        buf_printf(&b, "U: %0*d\r\n\r\n", (int)(4096 - 40 * 102 - 5), 0);
        CHECK_EQ(verdict(&limits, &b), over ? ERR_HEADERS_TOO_LARGE : ERR_OK);
    }
    /* Floods end before they are whole: these never see their end. */
    buf_init_fixed(&b, space, sizeof space);
    buf_printf(&b, "GET /%0*d", 9000, 0);
    CHECK_EQ(verdict(&limits, &b), ERR_URI_TOO_LONG);
    buf_init_fixed(&b, space, sizeof space);
    buf_printf(&b, C);
    for (unsigned i = 0; i < 17; i++)
        buf_printf(&b, "1;%0250d\r\na\r\n", 0);
    CHECK_EQ(verdict(&limits, &b), ERR_BODY_TOO_LARGE); /* extensions are counted together */
}

/* The largest head and body fit the arena that requests get, however they arrive. */
TEST(the_largest_request_fits_its_arena)
{
    size_t cap = (1 << 20) + (1 << 19);
    char *space = malloc(cap), *body = malloc(1 << 20);
    static struct outcome o;
    memset(body, 'b', 1 << 20);
    for (unsigned chunked = 0; chunked < 2; chunked++) {
        struct buf b;
        buf_init_fixed(&b, space, cap);
        buf_printf(&b, "POST / HTTP/1.1\r\n" H "X: %032000d\r\n", 0);
        if (chunked) {
            buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n");
            for (unsigned i = 0; i < 1024; i++) {
                buf_printf(&b, "400\r\n");
                buf_put(&b, body, 1024);
                buf_printf(&b, "\r\n");
            }
            buf_printf(&b, "0\r\n\r\n");
        } else {
            buf_printf(&b, "Content-Length: 1048576\r\n\r\n");
            buf_put(&b, body, 1 << 20);
        }
        CHECK(!b.failed);
        static const size_t steps[] = {1460, 4096, 16384, 100000};
        for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
            size_t n = 0, *cuts = malloc((b.len / steps[s] + 1) * sizeof *cuts);
            for (size_t at = steps[s]; at < b.len; at += steps[s])
                cuts[n++] = at;
            run(&limits, buf_view(&b), cuts, n, &o);
            CHECK_EQ(o.err, ERR_OK);
            CHECK(strstr(o.text, "\nbody 1048576:bbbb") != NULL);
            free(cuts);
        }
    }
    free(space);
    free(body);
}

TEST(a_failed_parser_stays_failed_and_a_begun_one_is_new)
{
    struct rig g;
    size_t used;
    enum err why;
    rig_init(&g, &limits);
    CHECK(!http_parser_started(g.parser));
    CHECK_EQ(http_parser_feed(g.parser, (const uint8_t *)"\r\n", 2, &used, &why), HTTP_MORE);
    CHECK(!http_parser_started(g.parser));
    CHECK_EQ(http_parser_feed(g.parser, (const uint8_t *)"G", 1, &used, &why), HTTP_MORE);
    CHECK(http_parser_started(g.parser));
    CHECK_EQ(http_parser_feed(g.parser, (const uint8_t *)"\n", 1, &used, &why), HTTP_FAILED);
    CHECK_EQ(http_parser_feed(g.parser, (const uint8_t *)"ET", 2, &used, &why), HTTP_FAILED);
    CHECK_EQ(why, ERR_BAD_REQUEST);
    http_parser_begin(g.parser, &g.arena, &g.request);
    const char *text = "GET / HTTP/1.1\r\n" H "\r\n";
    CHECK_EQ(http_parser_feed(g.parser, (const uint8_t *)text, strlen(text), &used, &why),
             HTTP_HEAD_DONE);
    CHECK_EQ(http_parser_feed(g.parser, NULL, 0, &used, &why), HTTP_DONE);
    CHECK_SV(http_field(&g.request, SV("HOST")), "a");
    CHECK(http_field(&g.request, SV("X")).p == NULL);
    rig_deinit(&g);
}

/* ---- bodies that are streamed ---- */

struct sink {
    char got[64];
    size_t len, room; /* room: of one call */
};

static size_t sink_take(void *ctx, const uint8_t *p, size_t n)
{
    struct sink *s = ctx;
    n = MIN(n, s->room);
    CHECK(s->len + n <= sizeof s->got);
    memcpy(s->got + s->len, p, n);
    s->len += n;
    s->room -= n;
    return n;
}

/* Feeds text in two pieces; the sink gets `room` bytes more each time that it is full. */
static enum err stream(struct str_view text, size_t cut, size_t room, uint64_t body_max,
                       struct sink *s)
{
    struct rig g;
    enum err why = ERR_NEED_MORE;
    size_t at = 0;
    rig_init(&g, &limits);
    *s = (struct sink){.room = room};
    for (bool more = true; more;) {
        size_t end = at < cut ? cut : text.len, used;
        switch (http_parser_feed(g.parser, (const uint8_t *)text.p + at, end - at, &used, &why)) {
        case HTTP_MORE:
            CHECK_EQ(used, end - at);
            more = end < text.len;
            why = ERR_NEED_MORE;
            break;
        case HTTP_HEAD_DONE:
            http_parser_stream(g.parser, body_max, sink_take, s);
            break;
        case HTTP_FULL:
            CHECK_EQ(s->room, 0);
            CHECK(used < end - at);
            s->room = room;
            break;
        case HTTP_DONE:
            CHECK_EQ(at + used, text.len);
            CHECK_EQ(g.request.body.len, 0);
            more = false;
            break;
        case HTTP_FAILED:
            more = false;
            break;
        }
        at += used;
    }
    rig_deinit(&g);
    return why;
}

TEST(a_streamed_body_waits_for_its_sink)
{
    static const char *const texts[] = {
        ("POST / HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\nhello world"),
        ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n"
         "6\r\n world\r\n0\r\nT: z\r\n\r\n")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t cut = 0; cut <= strlen(texts[i]); cut++) {
            for (size_t room = 1; room < 13; room++) {
                struct sink s;
                CHECK_EQ(stream(sv_from(texts[i]), cut, room, 11, &s), ERR_OK);
                CHECK_EQ(s.len, 11);
                CHECK_MEM(s.got, "hello world", 11);
            }
        }
    }
}

TEST(a_streamed_body_has_a_bound_of_its_own)
{
    struct sink s;
    struct str_view declared = SV("POST / HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\nhello world!");
    struct str_view chunked = SV("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                                 "6\r\nhello \r\n6\r\nworld!\r\n0\r\n\r\n");
    struct str_view huge = SV("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                              "1\r\nh\r\nffffffffffffffff\r\nx");
    CHECK_EQ(stream(declared, 0, 64, 11, &s), ERR_BODY_TOO_LARGE);
    CHECK_EQ(s.len, 0); /* by its declaration */
    CHECK_EQ(stream(declared, 0, 64, 12, &s), ERR_OK);
    CHECK_EQ(stream(chunked, 0, 64, 11, &s), ERR_BODY_TOO_LARGE);
    CHECK_EQ(s.len, 6);
    CHECK_EQ(stream(huge, 0, 64, UINT64_MAX, &s), ERR_BODY_TOO_LARGE);
    struct str_view longer = SV("POST / HTTP/1.1\r\n" H "Content-Length: 2097152\r\n\r\nhello");
    CHECK_EQ(stream(longer, 0, 64, UINT64_MAX, &s), ERR_NEED_MORE); /* over that of the arena */
    CHECK_EQ(s.len, 5);
}
