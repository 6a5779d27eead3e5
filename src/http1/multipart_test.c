#include "http1/multipart.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#define TYPE       "multipart/form-data; boundary=XX"
#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

struct rig {
    struct arena_pool pool;
    struct arena arena;
    struct multipart m;
    char got[4096]; /* what was told, pieces joined */
    size_t len;
    enum err err;
};

static void rig_init(struct rig *g)
{
    memset(g, 0, sizeof *g);
    arena_pool_init(&g->pool, 16384, 4, UINT64_MAX);
    CHECK_EQ(arena_init(&g->arena, &g->pool, 2 << 20), ERR_OK);
    CHECK_EQ(multipart_init(&g->m, &g->arena, SV(TYPE)), ERR_OK);
}

static void rig_deinit(struct rig *g)
{
    arena_deinit(&g->arena);
    arena_pool_deinit(&g->pool);
}

static void tell(struct rig *g, struct str_view s)
{
    CHECK(g->len + s.len < sizeof g->got);
    memcpy(g->got + g->len, s.p, s.len);
    g->len += s.len;
}

static void tell_part(struct rig *g)
{
    const struct multipart_part *p = &g->m.part;
    tell(g, p->name);
    if (p->filename.p != NULL) {
        tell(g, SV("("));
        tell(g, p->filename);
        tell(g, SV(","));
        tell(g, p->content_type);
        tell(g, SV(")"));
    }
    tell(g, SV("="));
}

/* The piece is a copy of its own, gone after the call. */
static bool feed(struct rig *g, const char *p, size_t n, size_t data_max)
{
    char *piece = malloc(n + (n == 0));
    memcpy(piece, p, n);
    size_t at = 0, used;
    for (;;) {
        struct str_view data;
        enum multipart_step step =
            multipart_feed(&g->m, piece + at, n - at, data_max, &used, &data);
        at += used;
        CHECK(at <= n);
        if (step == MULTIPART_MORE || step == MULTIPART_FAILED) {
            CHECK(step == MULTIPART_FAILED || at == n);
            free(piece);
            return step == MULTIPART_MORE;
        }
        if (step == MULTIPART_PART) {
            tell_part(g);
        } else if (step == MULTIPART_PART_END) {
            tell(g, SV(";"));
        } else {
            CHECK(data.len > 0 && data.len <= data_max);
            tell(g, data);
        }
    }
}

/* body in pieces of `each` bytes; the first is `first` long. */
static void run(struct rig *g, struct str_view body, size_t first, size_t each, size_t data_max)
{
    rig_init(g);
    bool more = true;
    for (size_t at = 0; more && at < body.len;) {
        size_t n = MIN(at == 0 ? first : each, body.len - at);
        more = feed(g, body.p + at, n, data_max);
        at += n;
    }
    g->err = multipart_end(&g->m);
    rig_deinit(g);
}

#define ROW(text, want)                                                                            \
    {                                                                                              \
        {text, sizeof(text) - 1},                                                                  \
        {                                                                                          \
            want, sizeof(want) - 1                                                                 \
        }                                                                                          \
    }
static const struct {
    struct str_view body, want;
} good[] = {
    ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n" PART("b") "\r\n\r\n--XX--\r\n", "a=1;b=;"),
    ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n" PART("b") "\r\n2\r\n--XX", "a=1;b=2;"),
    ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n", "a=1;"),
    ROW("before\r\n--X\r\n--XX\r\n" PART("a") "\r\n1\r\n--XX--behind --XX\r\n--XX", "a=1;"),
    ROW("--XX--\r\n", ""),
    ROW("--XX", ""),
    ROW("--XX\r\n" PART("a") "\r\n--XX\r\n" PART("b") "\r\n2\r\n--XX--", "a=;b=2;"),
    /* All the ways to look like a boundary and be none. */
    ROW("--XX\r\n" PART("a") "\r\n\r\n\r\n--X\r\n-XX\r\r\n\r\n\n--XX\r\n--XY\r\n--XX--",
        "a=\r\n\r\n--X\r\n-XX\r\r\n\r\n\n--XX\r\n--XY;"),
    ROW("--XX\r\n" PART("a") "\r\n--X\r\n--XX--", "a=--X;"),
    ROW("--XX\r\n" PART("a") "\r\n-\r\n--XX--", "a=-;"),
    ROW("--XX\r\ncontent-disposition:form-data; filename=\"x.bin\"; name=f\r\n"
        "Content-Type: image/png\r\nX-Y: z\r\n\r\n\xff\0\r\n--XX--",
        "f(x.bin,image/png)=\xff\0;"),
};

TEST(the_same_wherever_the_body_is_cut)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct str_view body = good[i].body;
        for (size_t first = 1; first <= body.len; first++) {
            for (size_t each = 1; each <= body.len; each += each == 1 ? body.len - 1 : 1) {
                struct rig g;
                run(&g, body, first, each, each == 1 ? SIZE_MAX : first);
                if (g.err != ERR_OK || g.len != good[i].want.len)
                    print_error("row %zu cut at %zu: %.*s\n", i, first, (int)g.len, g.got);
                CHECK_EQ(g.err, ERR_OK);
                CHECK_EQ(g.len, good[i].want.len);
                CHECK_MEM(g.got, good[i].want.p, g.len);
                if (body.len == 1)
                    break;
            }
        }
    }
}

static const char *const bad[] = {
    "--XX\r\n" PART("a") "\r\n1",
    "--XX\r\n\r\n1\r\n--XX--",
    "--XX\r\nno colon\r\n\r\n1\r\n--XX--",
    "--XX\n" PART("a") "\r\n1\r\n--XX--",
    "--XXjunk\r\n" PART("a") "\r\n1\r\n--XX--",
    "--XX\r\n" PART("a") "\r\n1\r\n--XX-\r\n",
    "--XX\r\n" PART("a\nb") "\r\n1\r\n--XX--",
    "--XX\r\n" PART("a\x01") "\r\n1\r\n--XX--",
    "--XX\r\n" PART("\xff") "\r\n1\r\n--XX--",
    "",
    "-XX\r\n",
};

TEST(refused_wherever_the_body_is_cut)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct str_view body = sv_from(bad[i]);
        for (size_t first = 1; first <= body.len + 1; first++) {
            struct rig g;
            run(&g, body, first, body.len, SIZE_MAX);
            CHECK_EQ(g.err, ERR_INVALID_FORM_DATA);
        }
    }
}

/* What a client may say before it comes to the point is bounded, each and in all. */
TEST(heads_are_bounded)
{
    struct rig g;
    const char *head = "--XX\r\n" PART("a");
    for (int many = 0; many < 3; many++) {
        bool more = true;
        size_t fed = 0;
        rig_init(&g);
        more = feed(&g, head, strlen(head), SIZE_MAX);
        while (more && fed < 1 << 20) {
            const char *text = many == 0   ? "X: y\r\n"
                               : many == 1 ? "xxxxxxxxx"
                                           : "\r\n\r\n--XX\r\n" PART("a");
            more = feed(&g, text, strlen(text), SIZE_MAX);
            fed += strlen(text);
            g.len = 0;
        }
        CHECK(!more && fed < 2 * multipart_heads_max);
        CHECK_EQ(multipart_end(&g.m), ERR_INVALID_FORM_DATA);
        CHECK(!feed(&g, "x", 1, SIZE_MAX));
        rig_deinit(&g);
    }
}

TEST(boundaries_that_cannot_be)
{
    static const char *const types[] = {"multipart/form-data", "multipart/form-data; boundary=",
                                        "multipart/form-data; boundary=\"a\rb\""};
    struct rig g;
    rig_init(&g);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        CHECK_EQ(multipart_init(&g.m, &g.arena, sv_from(types[i])), ERR_INVALID_FORM_DATA);
    rig_deinit(&g);
}

/* Boundaries almost met, over and over, byte by byte: time stays linear. */
TEST(a_hostile_body_takes_linear_time)
{
    struct rig g;
    size_t n = 1 << 20, used;
    struct str_view data;
    char *p = malloc(n);
    const char *head = "--XX\r\n" PART("a") "\r\n";
    for (size_t i = 0; i < n; i++)
        p[i] = "\r\n--X"[i % 5];
    rig_init(&g);
    CHECK(feed(&g, head, strlen(head), SIZE_MAX));
    for (size_t at = 0; at < n; at += used) {
        enum multipart_step step = multipart_feed(&g.m, p + at, n - at, 1, &used, &data);
        CHECK(step == MULTIPART_DATA || step == MULTIPART_MORE);
    }
    CHECK_EQ(multipart_end(&g.m), ERR_INVALID_FORM_DATA);
    free(p);
    rig_deinit(&g);
}
