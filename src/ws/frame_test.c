#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

enum { message_max = 16384, bytes_max = 80000 };

/* Client frames as bytes. */
struct wire {
    uint8_t p[bytes_max];
    size_t len;
};

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void put(struct wire *w, const void *p, size_t n)
{
    CHECK(w->len + n <= bytes_max);
    if (n > 0)
        memcpy(w->p + w->len, p, n);
    w->len += n;
}

static void frame(struct wire *w, enum ws_opcode op, bool fin, struct str_view payload)
{
    uint8_t head[14];
    put(w, head, ws_encode_client_header(head, op, fin, payload.len, mask));
    put(w, payload.p, payload.len);
    ws_mask(w->p + w->len - payload.len, payload.len, mask, 0);
}

/* Everything that came out, as text; two decodes agree when their texts do. */
struct seen {
    char text[bytes_max * 2];
    size_t used; /* bytes taken before the failure */
};

static void run(const struct wire *w, size_t step, size_t first, struct seen *s)
{
    struct ws_decoder d;
    struct buf b;
    buf_init_fixed(&b, s->text, sizeof s->text - 1);
    ws_decoder_init(&d, message_max);
    s->used = 0;
    for (size_t at = 0, n; at < w->len; at += n) {
        n = at == 0 && first > 0 ? first : step;
        n = MIN(n, w->len - at);
        uint8_t *piece = malloc(n);
        memcpy(piece, w->p + at, n);
        size_t used, done = 0;
        for (;;) {
            struct ws_message m;
            uint16_t status = 0;
            enum ws_step got = ws_decode(&d, piece + done, n - done, &used, &m, &status);
            done += used;
            s->used += used;
            if (got == WS_MORE)
                break;
            if (got == WS_FAILED) {
                buf_printf(&b, "!%u", status);
                CHECK_EQ(ws_decode(&d, piece, 1, &used, &m, &status), WS_FAILED);
                break;
            }
            buf_printf(&b, "%d", (int)m.opcode);
            if (m.opcode == WS_CLOSE)
                buf_printf(&b, "/%u", m.close_status);
            buf_putc(&b, ':');
            buf_put_sv(&b, m.payload);
            buf_putc(&b, ';');
        }
        CHECK(done == n || d.failed);
        free(piece);
        if (d.failed)
            break;
    }
    ws_decoder_deinit(&d);
    s->text[b.len] = '\0';
}

/* Whole, split once at every byte, and byte by byte. */
static void check(const struct wire *w, const char *want)
{
    static struct seen whole, split;
    run(w, bytes_max, 0, &whole);
    CHECK_STR(whole.text, want);
    run(w, 1, 0, &split);
    CHECK_STR(split.text, want);
    for (size_t cut = 1; cut < w->len && w->len < 2000; cut++) {
        run(w, bytes_max, cut, &split);
        CHECK_STR(split.text, want);
    }
}

static struct wire w;
#define CASE w.len = 0;

TEST(messages_and_controls)
{
    CASE frame(&w, WS_TEXT, true, SV("Hello"));
    check(&w, "1:Hello;");
    CASE frame(&w, WS_TEXT, true, SV(""));
    frame(&w, WS_BINARY, true, SV("\xff"));
    check(&w, "1:;2:\xff;");
    CASE frame(&w, WS_TEXT, false, SV("a"));
    frame(&w, WS_PING, true, SV("p"));
    frame(&w, WS_CONTINUATION, false, SV(""));
    frame(&w, WS_PONG, true, SV(""));
    frame(&w, WS_CONTINUATION, false, SV("b"));
    frame(&w, WS_CONTINUATION, true, SV(""));
    frame(&w, WS_TEXT, true, SV("c"));
    check(&w, "9:p;10:;1:ab;1:c;");
    CASE frame(&w, WS_TEXT, false, SV(""));
    frame(&w, WS_CONTINUATION, true, SV("x"));
    check(&w, "1:x;");
    /* A code point may be cut by a fragment's end. */
    CASE frame(&w, WS_TEXT, false, SV("\xf0\x9f"));
    frame(&w, WS_PING, true, SV("\xff"));
    frame(&w, WS_CONTINUATION, false, SV("\x8e"));
    frame(&w, WS_CONTINUATION, true, SV("\x89"));
    check(&w, "9:\xff;1:\xf0\x9f\x8e\x89;");
    CASE frame(&w, WS_CLOSE, true, SV(""));
    check(&w, "8/1005:;");
    CASE frame(&w, WS_CLOSE, true,
               SV("\x03\xe8"
                  "bye"));
    check(&w, "8/1000:\x03\xe8"
              "bye;");
}

/* RFC 6455 5.7's own example. */
TEST(the_example_of_the_rfc)
{
    CASE put(&w, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    check(&w, "1:Hello;");
}

TEST(bad_frames_end_with_their_code)
{
    static const struct {
        const char *what;
        struct str_view bytes;
        const char *want;
    } bad[] = {
#define BAD(what, bytes, want) {what, {bytes, sizeof(bytes) - 1}, want}
        BAD("unmasked", "\x81\x05Hello", "!1002"),
        BAD("RSV1", "\xc1\x80", "!1002"),
        BAD("RSV2", "\xa1\x80", "!1002"),
        BAD("RSV3", "\x91\x80", "!1002"),
        BAD("opcode 3", "\x83\x80", "!1002"),
        BAD("opcode 7", "\x87\x80", "!1002"),
        BAD("opcode 11", "\x8b\x80", "!1002"),
        BAD("opcode 15", "\x8f\x80", "!1002"),
        BAD("fragmented ping", "\x09\x80", "!1002"),
        BAD("fragmented close", "\x08\x80", "!1002"),
        BAD("ping of 126", "\x89\xfe", "!1002"),
        BAD("close of 127", "\x88\xff", "!1002"),
        BAD("continuation of nothing", "\x80\x80", "!1002"),
        BAD("text inside text", "\x01\x80\0\0\0\0\x81\x80", "!1002"),
        BAD("binary inside text", "\x01\x80\0\0\0\0\x82\x80", "!1002"),
        BAD("16-bit length of 125", "\x81\xfe\x00\x7d\0\0\0\0", "!1002"),
        BAD("64-bit length of 65535", "\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", "!1002"),
        BAD("64-bit length with its top bit", "\x81\xff\x80\0\0\0\0\0\0\1\0\0\0\0", "!1002"),
        BAD("64-bit length of 2^63-1", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", "!1009"),
        BAD("over the cap", "\x82\xfe\x40\x01", "!1009"), /* the mask is not waited for */
        BAD("not minimal", "\x82\xfe\x00\x01", "!1002"),
        BAD("close of 1", "\x88\x81\0\0\0\0\x03", "!1002"),
        BAD("close 999", "\x88\x82\0\0\0\0\x03\xe7", "!1002"),
        BAD("close 1004", "\x88\x82\0\0\0\0\x03\xec", "!1002"),
        BAD("close 1005", "\x88\x82\0\0\0\0\x03\xed", "!1002"),
        BAD("close 1006", "\x88\x82\0\0\0\0\x03\xee", "!1002"),
        BAD("close 1015", "\x88\x82\0\0\0\0\x03\xf7", "!1002"),
        BAD("close 1016", "\x88\x82\0\0\0\0\x03\xf8", "!1002"),
        BAD("close 2999", "\x88\x82\0\0\0\0\x0b\xb7", "!1002"),
        BAD("close 5000", "\x88\x82\0\0\0\0\x13\x88", "!1002"),
        BAD("close 0", "\x88\x82\0\0\0\0\x00\x00", "!1002"),
        BAD("close with bad text", "\x88\x83\0\0\0\0\x03\xe8\xff", "!1007"),
        BAD("close with half a character", "\x88\x83\0\0\0\0\x03\xe8\xc3", "!1007"),
#undef BAD
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CASE put(&w, bad[i].bytes.p, bad[i].bytes.len);
        static struct seen s;
        run(&w, bytes_max, 0, &s);
        if (strcmp(s.text, bad[i].want) != 0)
            print_error("%s: %s\n", bad[i].what, s.text);
        check(&w, bad[i].want);
    }
    static const uint16_t good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint8_t head[14];
        struct ws_decoder d;
        struct ws_message m;
        uint16_t status;
        size_t used, n = ws_encode_client_header(head, WS_CLOSE, true, 2, (const uint8_t[4]){0});
        head[n] = (uint8_t)(good[i] >> 8);
        head[n + 1] = (uint8_t)good[i];
        ws_decoder_init(&d, 125);
        CHECK_EQ(ws_decode(&d, head, n + 2, &used, &m, &status), WS_MESSAGE);
        CHECK_EQ(m.close_status, good[i]);
    }
}

/* 1007 at the byte that makes the text bad, not at the frame's end. */
TEST(bad_utf8_fails_at_its_byte)
{
    static const struct {
        const char *bytes;
        size_t len, bad; /* index of the offending byte */
    } rows[] = {{"\xff", 1, 0},
                {"ab\x80", 3, 2},
                {"\xc0\xaf", 2, 0},
                {"\xc1\xbf", 2, 0},
                {"\xc3(", 2, 1},
                {"\xe0\x80\x80", 3, 1},
                {"\xe0\x9f\xbf", 3, 1},
                {"\xed\xa0\x80", 3, 1},
                {"\xed\xbf\xbf", 3, 1},
                {"\xe2\x82(", 3, 2},
                {"\xf0\x80\x80\x80", 4, 1},
                {"\xf0\x8f\xbf\xbf", 4, 1},
                {"\xf4\x90\x80\x80", 4, 1},
                {"\xf5\x80\x80\x80", 4, 0},
                {"\xf0\x9f\x8e\xf0", 4, 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* In one frame that promises more, and in fragments of a byte each. */
        for (int fragments = 0; fragments < 2; fragments++) {
            CASE uint8_t head[14];
            struct str_view text = {rows[i].bytes, rows[i].len};
            size_t want = 0;
            if (fragments) {
                for (size_t k = 0; k < text.len; k++)
                    frame(&w, k == 0 ? WS_TEXT : WS_CONTINUATION, false,
                          (struct str_view){text.p + k, 1});
                want = 7 * (rows[i].bad + 1);
            } else {
                put(&w, head,
                    ws_encode_client_header(head, WS_TEXT, true, 1000, (const uint8_t[4]){0}));
                want = w.len + rows[i].bad + 1;
                put(&w, text.p, text.len);
            }
            static struct seen s;
            run(&w, 1, 0, &s);
            CHECK_STR(s.text, "!1007");
            CHECK_EQ(s.used, want);
        }
    }
    CASE frame(&w, WS_TEXT, true, SV("half \xc3"));
    check(&w, "!1007");
    CASE frame(&w, WS_TEXT, true,
               SV("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf"
                  "\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    check(&w,
          "1:\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80"
          "\xf4\x8f\xbf\xbf;");
}

TEST(sizes_at_the_edges_of_the_length_forms)
{
    static const size_t sizes[] = {124, 125, 126, 127, 128, 255, 256, 257, 16383, 16384};
    static struct seen a, b;
    static char text[message_max];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CASE frame(&w, WS_TEXT, true, (struct str_view){text, sizes[i]});
        frame(&w, WS_TEXT, true, SV("y"));
        run(&w, bytes_max, 0, &a);
        CHECK_EQ(strlen(a.text), sizes[i] + 3 + 4);
        for (size_t step = 1; step < 5000; step = step * 3 + 1) {
            run(&w, step, 0, &b);
            CHECK_STR(a.text, b.text);
        }
    }
    /* The cap is of the message, over all its fragments. */
    CASE frame(&w, WS_BINARY, false, (struct str_view){text, 16000});
    frame(&w, WS_CONTINUATION, false, (struct str_view){text, 384});
    frame(&w, WS_CONTINUATION, true, SV(""));
    run(&w, 1000, 0, &a);
    CHECK_EQ(strlen(a.text), 16384 + 3);
    CASE frame(&w, WS_BINARY, false, (struct str_view){text, 16000});
    frame(&w, WS_CONTINUATION, true, (struct str_view){text, 385});
    run(&w, 1000, 0, &a);
    CHECK_STR(a.text, "!1009");
}

TEST(endless_empty_fragments_end)
{
    static struct seen s;
    CASE frame(&w, WS_TEXT, false, SV(""));
    for (int i = 0; i < 100; i++)
        frame(&w, WS_CONTINUATION, false, SV(""));
    run(&w, 7, 0, &s);
    CHECK_STR(s.text, "!1008");
    CHECK(s.used <= 66 * 6);
}

/* Asked once more after the last message, the decoder gives its buffer back. */
TEST(an_idle_decoder_holds_no_buffer)
{
    struct ws_decoder d;
    struct ws_message m;
    uint16_t status;
    size_t used;
    CASE frame(&w, WS_TEXT, false, SV("a"));
    frame(&w, WS_CONTINUATION, true, SV("b"));
    ws_decoder_init(&d, message_max);
    CHECK_EQ(ws_decode(&d, w.p, w.len, &used, &m, &status), WS_MESSAGE);
    CHECK_SV(m.payload, "ab");
    CHECK_EQ(used, w.len);
    CHECK_EQ(ws_decode(&d, w.p + used, 0, &used, &m, &status), WS_MORE);
    CHECK(d.buf == NULL);
    ws_decoder_deinit(&d);
}

TEST(masking_is_the_same_at_every_position)
{
    uint8_t plain[64], wide[64];
    for (size_t n = 0; n < 64; n++) {
        for (size_t pos = 0; pos < 8; pos++) {
            for (size_t i = 0; i < 64; i++)
                plain[i] = wide[i] = (uint8_t)(i * 37);
            ws_mask(wide, n, mask, pos);
            for (size_t i = 0; i < n; i++)
                plain[i] ^= mask[(pos + i) & 3];
            CHECK_MEM(plain, wide, 64);
        }
    }
}

TEST(server_headers_and_close_frames)
{
    uint8_t out[2 + ws_control_max];
    CHECK_EQ(ws_encode_header(out, WS_TEXT, 125), 2);
    CHECK_MEM(out, "\x81\x7d", 2);
    CHECK_EQ(ws_encode_header(out, WS_TEXT, 126), 4);
    CHECK_MEM(out, "\x81\x7e\x00\x7e", 4);
    CHECK_EQ(ws_encode_header(out, WS_BINARY, 65535), 4);
    CHECK_MEM(out, "\x82\x7e\xff\xff", 4);
    CHECK_EQ(ws_encode_header(out, WS_TEXT, 65536), 10);
    CHECK_MEM(out, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
    CHECK_EQ(ws_encode_close(out, 1001, SV("restart")), 11);
    CHECK_MEM(out, "\x88\x09\x03\xe9restart", 11);
    CHECK_EQ(ws_encode_close(out, WS_STATUS_NONE, SV("x")), 2);
    CHECK_MEM(out, "\x88\x00", 2);
    char text[200];
    memset(text, 'r', sizeof text);
    CHECK_EQ(ws_encode_close(out, 1000, (struct str_view){text, sizeof text}), 2 + ws_control_max);
    CHECK_EQ(out[1], ws_control_max);
    /* A reason is never cut inside a character: the peer would have to fail it. */
    memcpy(text + 122, "\xc3\xa4", 2);
    CHECK_EQ(ws_encode_close(out, 1000, (struct str_view){text, sizeof text}), 2 + 2 + 122);
}

TEST(accept_keys)
{
    char out[28];
    CHECK(ws_accept_key(SV("dGhlIHNhbXBsZSBub25jZQ=="), out)); /* RFC 6455 1.3 */
    CHECK_MEM(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
    CHECK(!ws_accept_key(SV("dGhlIHNhbXBsZSBub25jZQ="), out));
    CHECK(!ws_accept_key(SV("dGhlIHNhbXBsZSBub25jZXM="), out)); /* 17 bytes */
    CHECK(!ws_accept_key(SV("dGhlIHNhbXBsZSBub25j!Q=="), out));
    CHECK(!ws_accept_key(SV(""), out));
}
