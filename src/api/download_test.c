/* Downloads: whole, in part, not at all; who may; readers that are slow, or leave. */
#include "api/test_media.h"

enum { K = media_chunk_bytes };
#define HASH   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NOBODY "Authorization: Bearer xoxp-nobody\r\n"

/* Lets all of it go out; what was said stands in one piece. */
static void send_all(struct world *w, conn_id c)
{
    fake_run(w);
    while (w->conns[c].sending) {
        sent(w, c);
        fake_run(w);
        CHECK(w->a->transfers.chunks_len <= 2);
    }
}

static void get(struct world *w, const char *line, const char *fields)
{
    ask(w, 0, line, fields, NULL);
    send_all(w, 0);
}

static void check_body(struct world *w, const struct fake_file *f, size_t offset, size_t len)
{
    const char *body = strstr(said(w, 0), "\r\n\r\n");
    char length[64];
    CHECK(body != NULL);
    CHECK_EQ(w->conns[0].len - (size_t)(body + 4 - said(w, 0)), len);
    CHECK_MEM(body + 4, f->bytes + offset, len);
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", len);
    SAID(0, length);
}

TEST(a_file_whole)
{
    static const size_t sizes[] = {0, 1, K, K + 1, 5 * K + 3};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct world *w = start_with_media();
        struct fake_file *f = fake_store(1, "r\xc3\xa9sum\xc3\xa9.pdf", sizes[i]);
        f->mimetype = "application/pdf";
        get(w, "GET /files/" FILE_1 "/any-name.pdf", BEARER(ADA_TOKEN));
        SAID(0, "HTTP/1.1 200 OK\r\n");
        check_body(w, f, 0, sizes[i]);
        SAID(0, "\r\nContent-Type: application/pdf\r\n");
        SAID(0, "\r\nContent-Disposition: attachment; filename=\"r_sum_.pdf\"; "
                "filename*=UTF-8''r%C3%A9sum%C3%A9.pdf\r\n");
        SAID(0, "\r\nETag: \"" HASH "\"\r\n");
        SAID(0, "\r\nAccept-Ranges: bytes\r\n");
        SAID(0, "\r\nX-Content-Type-Options: nosniff\r\n");
        SAID(0, "\r\nContent-Security-Policy: sandbox; default-src 'none'\r\n");
        SAID(0, "\r\nCache-Control: private, max-age=3600\r\n");
        SAID(0, "\r\nCross-Origin-Resource-Policy: same-origin\r\n");
        NOT_SAID(0, "Content-Range");
        CHECK_EQ(slab_used(&w->a->requests), 0);
        fake_check_clean(w);
        get(w, "HEAD /files/" FILE_1, BEARER(ADA_TOKEN));
        char length[64];
        snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", sizes[i]);
        SAID(0, length);
        CHECK_STR(said(w, 0) + w->conns[0].len - 4, "\r\n\r\n");
        fake_check_clean(w);
        world_free(w);
    }
}

/* The client has a word of its own coming when the file is here. */
TEST(a_file_behind_a_continue_has_its_head)
{
    static const size_t sizes[] = {1, 3 * K + 3};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct world *w = start_with_media();
        struct fake_file *f = fake_store(1, "a", sizes[i]);
        feed(w, 0,
             "GET /files/" FILE_1 "/a HTTP/1.1\r\nHost: h\r\n" BEARER(
                 ADA_TOKEN) "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        CHECK_STR(said(w, 0), "HTTP/1.1 100 Continue\r\n\r\n");
        feed(w, 0, "x");
        fake_run(w);
        forget(w, 0);
        send_all(w, 0);
        SAID(0, "HTTP/1.1 200 OK\r\n");
        check_body(w, f, 0, sizes[i]);
        CHECK_EQ(slab_used(&w->a->requests), 0);
        fake_check_clean(w);
        world_free(w);
    }
}

TEST(parts_of_it)
{
    static const struct {
        const char *fields, *status, *range;
        size_t offset, len;
    } rows[] = {
        {"Range: bytes=0-0\r\n", "206 Partial Content", "bytes 0-0/600000", 0, 1},
        {"Range: bytes=100-\r\n", "206 Partial Content", "bytes 100-599999/600000", 100, 599900},
        {"Range: bytes=-5\r\n", "206 Partial Content", "bytes 599995-599999/600000", 599995, 5},
        {"Range: bytes=1-2,4-5\r\n", "200 OK", NULL, 0, 600000},
        {"Range: bytes=600000-\r\n", "416 Range Not Satisfiable", "bytes */600000", 0, 0},
        {"Range: bytes=1-2\r\nIf-Range: \"" HASH "\"\r\n", "206 Partial Content",
         "bytes 1-2/600000", 1, 2},
        {"Range: bytes=1-2\r\nIf-Range: \"x\"\r\n", "200 OK", NULL, 0, 600000},
        {"Range: bytes=1-2\r\nIf-Range: Tue, 14 Nov 2023 22:13:20 GMT\r\n", "200 OK", NULL, 0,
         600000},
        {"If-None-Match: \"x\", W/\"" HASH "\"\r\n", "304 Not Modified", NULL, 0, 0},
        {"If-None-Match: *\r\nRange: bytes=1-2\r\n", "304 Not Modified", NULL, 0, 0},
        {"If-None-Match: \"x\"\r\nIf-Match: \"" HASH "\"\r\n", "200 OK", NULL, 0, 600000},
        {"If-Match: \"x\"\r\n", "412 Precondition Failed", NULL, 0, 0},
    };
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a", 600000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fields[512], text[128];
        snprintf(fields, sizeof fields, BEARER(ADA_TOKEN) "%s", rows[i].fields);
        get(w, "GET /files/" FILE_1 "/a", fields);
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\n", rows[i].status);
        SAID(0, text);
        if (strncmp(rows[i].status, "304", 3) == 0)
            NOT_SAID(0, "Content-Length");
        else
            check_body(w, f, rows[i].offset, rows[i].len);
        snprintf(text, sizeof text, "\r\nContent-Range: %s\r\n", rows[i].range);
        if (rows[i].range != NULL)
            SAID(0, text);
        else
            NOT_SAID(0, "Content-Range");
        NOT_SAID(0, "Connection: close");
        fake_check_clean(w);
    }
    get(w, "HEAD /files/" FILE_1 "/a", BEARER(ADA_TOKEN) "Range: bytes=1-2\r\n");
    SAID(0, "HTTP/1.1 200 OK\r\n"); /* RFC 9110 14.2: of GET only */
    world_free(w);
}

TEST(only_images_are_shown_where_they_are)
{
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a.png", 10);
    f->mimetype = "image/png";
    get(w, "GET /files/" FILE_1 "/a.png", BEARER(ADA_TOKEN));
    SAID(0, "Content-Disposition: attachment; filename=\"a.png\"\r\n");
    f->is_image = true;
    get(w, "GET /files/" FILE_1 "/a.png", BEARER(ADA_TOKEN));
    SAID(0, "Content-Disposition: inline; filename=\"a.png\"\r\n");
    get(w, "GET /files/" FILE_1 "/a.png?x=y&download=1", BEARER(ADA_TOKEN));
    SAID(0, "Content-Disposition: attachment");
    world_free(w);
}

TEST(the_paths_that_its_object_names)
{
    static const struct {
        const char *line;
        bool shown;
    } rows[] = {{"GET /files-pri/T34-" FILE_1 "/a.png", true},
                {"GET /files-pri/T34-" FILE_1 "/download/a.png", false},
                {"GET /files/U6A/" FILE_1 "/a.png", true},
                {"GET /files/" FILE_1 "/", true}};
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a.png", 10);
    f->is_image = true;
    snprintf(f->secret, sizeof f->secret, "abcdef");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        get(w, rows[i].line, BEARER(ADA_TOKEN));
        check_body(w, f, 0, 10);
        SAID(0, rows[i].shown ? ": inline" : ": attachment");
    }
    get(w, "GET /files-pri/T34-" FILE_1 "-abcdef/a.png", BEARER(ADA_TOKEN));
    SAID(0, "HTTP/1.1 404 "); /* a link is for the other path */
    get(w, "GET /files-pri/T34-" FILE_1 "/a.png", "");
    SAID(0, "HTTP/1.1 403 ");
    world_free(w);
}

/* But for what names the request and the time. */
static void copy_answer(struct world *w, char *out, size_t cap)
{
    const char *answer = said(w, 0);
    CHECK(strlen(answer) < cap);
    memcpy(out, answer, strlen(answer) + 1);
    static const char *const own[] = {"X-Request-Id: ", "traceparent: ", "Date: "};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        char *at = strstr(out, own[i]);
        CHECK(at != NULL);
        while (*at != '\r')
            *at++ = '-';
    }
}

TEST(who_may)
{
    struct world *w = start_with_media();
    char absent[4096], other[4096];
    fake_store(1, "a", 10);
    fake_store(2, "b", 10)->owner = BOB;
    fake_store(3, "c", 10)->state = FAKE_DELETED;
    static const struct {
        const char *fields, *error;
    } refused[] = {{"", "not_authed"},
                   {NOBODY, "invalid_auth"},
                   {BEARER(OLD_TOKEN), "token_revoked"},
                   {BEARER(APP_TOKEN), "not_allowed_token_type"},
                   {BEARER(BARE_TOKEN), "missing_scope\",\"needed\":\"files:read\""},
                   {BEARER(ADA_TOKEN) NOBODY, "invalid_auth"}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        get(w, "GET /files/" FILE_1 "/a?token=" ADA_TOKEN "&t=" ADA_TOKEN, refused[i].fields);
        SAID(0, "HTTP/1.1 403 Forbidden\r\n");
        SAID(0, "{\"ok\":false,\"error\":\"");
        SAID(0, refused[i].error);
        CHECK_EQ(fake.seen[MEDIA_OPEN], 0);
    }
    get(w, "GET /files/F00000000000000000009/b", BEARER(ADA_TOKEN));
    copy_answer(w, absent, sizeof absent);
    SAID(0, "HTTP/1.1 404 Not Found\r\n");
    SAID(0, "\r\n\r\n{\"ok\":false,\"error\":\"file_not_found\"}");
    static const char *const alike[] = {"GET /files/F00000000000000000002/b",
                                        "GET /files/F00000000000000000003", "GET /files/nope/b",
                                        "GET /files/"};
    for (size_t i = 0; i < ARRAY_LEN(alike); i++) {
        get(w, alike[i], BEARER(ADA_TOKEN));
        copy_answer(w, other, sizeof other);
        CHECK_STR(other, absent);
    }
    get(w, "POST /files/" FILE_1, BEARER(ADA_TOKEN));
    SAID(0, "HTTP/1.1 405 ");
    SAID(0, "Allow: GET, HEAD, OPTIONS");
    get(w, "OPTIONS /files/" FILE_1, "");
    SAID(0, "HTTP/1.1 204 ");
    fake_check_clean(w);
    world_free(w);
}

TEST(a_link_needs_no_token)
{
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a", 10);
    get(w, "GET /files-pub/" FILE_1 "-abcdef/a", "");
    SAID(0, "HTTP/1.1 404 ");
    snprintf(f->secret, sizeof f->secret, "abcdef");
    get(w, "GET /files-pub/" FILE_1 "-abcdef/a", NOBODY);
    check_body(w, f, 0, 10);
    SAID(0, "Cross-Origin-Resource-Policy: cross-origin");
    get(w, "GET /files-pub/T34-" FILE_1 "-abcdef", "");
    check_body(w, f, 0, 10);
    static const char *const wrong[] = {"-abcdeg/a", "-abcde/a", "-/a", "/a", "-abcdef-/a"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char line[128];
        snprintf(line, sizeof line, "GET /files-pub/" FILE_1 "%s", wrong[i]);
        get(w, line, BEARER(ADA_TOKEN));
        SAID(0, "HTTP/1.1 404 ");
    }
    world_free(w);
}

/* Two chunks, and no third before one is sent. */
TEST(a_slow_reader_is_waited_for)
{
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a", 4 * K);
    ask(w, 0, "GET /files/" FILE_1, BEARER(ADA_TOKEN), NULL);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_READ], 2);
    CHECK(w->conns[0].sending);
    sent(w, 0); /* the second leaves, the third is read meanwhile */
    CHECK(w->conns[0].sending);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_READ], 3);
    sent(w, 0);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_READ], 4);
    CHECK_EQ(fake_open(), 0); /* the file is closed before its last bytes are sent */
    send_all(w, 0);
    check_body(w, f, 0, 4 * K);
    fake_check_clean(w);
    world_free(w);
}

TEST(a_reader_that_leaves)
{
    for (int point = 0; point < 5; point++) {
        struct world *w = start_with_media();
        fake_store(1, "a", 4 * K);
        ask(w, 0, "GET /files/" FILE_1, BEARER(ADA_TOKEN), NULL);
        for (int i = 0; i < point; i++) /* OPEN, READ, READ; then a send */
            fake_step(w);
        if (point == 4)
            sent(w, 0);
        leave(w, 0);
        CHECK_EQ(slab_used(&w->a->requests), 0);
        if (point == 1) { /* lent is lent */
            CHECK_EQ(slab_used(&w->a->transfers.slots), 1);
            CHECK_EQ(w->a->transfers.spare_len, 0);
        }
        fake_check_clean(w);
        world_free(w);
    }
}

TEST(a_disk_that_fails)
{
    struct world *w = start_with_media();
    fake_store(1, "a", 4 * K);
    fake.read_error = ERR_IO;
    get(w, "GET /files/" FILE_1, BEARER(ADA_TOKEN));
    SAID(0, "HTTP/1.1 503 ");
    SAID(0, "storage_unavailable");
    fake_check_clean(w);
    ask(w, 0, "GET /files/" FILE_1, BEARER(ADA_TOKEN), NULL);
    fake_step(w);
    fake_step(w);
    fake.read_error = ERR_IO; /* of the second: its head is out */
    fake_step(w);
    SAID(0, "HTTP/1.1 200 OK");
    CHECK(w->conns[0].closed && w->conns[0].reset);
    leave(w, 0);
    fake_check_clean(w);
    world_free(w);
}

TEST(answers_stay_in_order_around_a_file)
{
    struct world *w = start_with_media();
    struct fake_file *f = fake_store(1, "a", 3 * K);
    feed(w, 0,
         "GET /api/api.test?n=one HTTP/1.1\r\nHost: h\r\n\r\n"
         "GET /files/" FILE_1 " HTTP/1.1\r\nHost: h\r\n" BEARER(
             ADA_TOKEN) "\r\n"
                        "GET /api/api.test?n=two HTTP/1.1\r\nHost: h\r\n\r\n"
                        "GET /files/" FILE_1 " HTTP/1.1\r\nHost: h\r\n" BEARER(
                            ADA_TOKEN) "Range: bytes=0-2\r\nConnection: close\r\n\r\n");
    fake_run(w);
    CHECK(w->conns[0].sending);
    NOT_SAID(0, "Accept-Ranges");
    sent(w, 0);
    while (w->conns[0].sending) {
        fake_run(w);
        sent(w, 0);
    }
    const char *all = said(w, 0), *one = strstr(all, "\"one\""), *file = strstr(all, "\r\nETag"),
               *two = memmem(all, w->conns[0].len, "\"two\"", 5),
               *last = memmem(all, w->conns[0].len, "Content-Range: bytes 0-2/", 25);
    CHECK(one != NULL && file > one && two > file + 3 * K && last > two);
    CHECK_MEM(all + w->conns[0].len - 3, f->bytes, 3);
    CHECK(w->conns[0].closed && !w->conns[0].reset);
    leave(w, 0);
    fake_check_clean(w);
    world_free(w);
}

TEST(a_drain_ends_long_answers)
{
    struct world *w = start_with_media();
    w->conf.server_drain_ms = 10000;
    fake_store(1, "a", 4 * K);
    ask(w, 0, "GET /files/" FILE_1, BEARER(ADA_TOKEN), NULL);
    fake_step(w);
    fake_step(w);
    sent(w, 0); /* and waits for media */
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    CHECK(!w->conns[0].closed);
    pass_ms(w, 2100);
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    CHECK(w->conns[0].closed && w->conns[0].reset);
    leave(w, 0);
    fake_run(w);
    CHECK(acceptor_actor_ops.drain(w->a, &w->t));
    world_free(w);
}
