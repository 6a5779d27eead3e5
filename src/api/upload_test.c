/* Uploads: whole, in pieces, cut off, too long, too slow; media slow to answer. */
#include "api/test_media.h"

enum { K = media_chunk_bytes };

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 253);
}

static char *content(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)pattern(i);
    return p;
}

/* As net does: what arrives at a paused connection waits. Media answers at once. */
static void feed_all(struct world *w, conn_id c, const char *p, size_t n, size_t each)
{
    for (size_t at = 0; at < n;) {
        fake_run(w);
        CHECK(!w->conns[c].paused);
        if (w->conns[c].closed)
            return;
        size_t some = MIN(each, n - at);
        feed_bytes(w, c, p + at, some);
        at += some;
        CHECK(w->a->transfers.chunks_len <= 2);
    }
    fake_run(w);
}

static void check_stored(int n, size_t len)
{
    CHECK_EQ(fake.files[n].state, FAKE_STORED);
    CHECK_EQ(fake.files[n].len, len);
    for (size_t i = 0; i < len; i++)
        CHECK(fake.files[n].bytes[i] == pattern(i));
}

static void upload_raw(struct world *w, size_t n, size_t each)
{
    char head[256], *body = content(n);
    fake_put(1, FAKE_RESERVED);
    snprintf(head, sizeof head,
             "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\n" FORM_TYPE
             "Content-Length: %zu\r\n\r\n",
             n);
    feed(w, 0, head);
    feed_all(w, 0, body, n, each);
    free(body);
}

TEST(raw_bytes_whatever_they_are_said_to_be)
{
    static const size_t sizes[] = {0, 1, 100000, K - 1, K, K + 1, 2 * K, 5 * K + 7};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct world *w = start_with_media();
        char ok[32];
        upload_raw(w, sizes[i], 4032);
        snprintf(ok, sizeof ok, "\r\n\r\nOK - %zu", sizes[i]);
        SAID(0, "HTTP/1.1 200 OK");
        SAID(0, "Content-Type: text/plain");
        SAID(0, ok);
        NOT_SAID(0, "Connection: close");
        check_stored(1, sizes[i]);
        CHECK_EQ(fake.seen[MEDIA_WRITE], (sizes[i] + K - 1) / K);
        fake_check_clean(w);
        ask(w, 0, "GET /api/api.test", "", NULL);
        SAID(0, "\"ok\":true");
        world_free(w);
    }
}

TEST(chunked_bytes)
{
    for (size_t n = 0; n <= 2 * K; n += K) {
        struct world *w = start_with_media();
        char *body = content(n), size[32];
        fake_put(1, FAKE_RESERVED);
        feed(w, 0,
             "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        fake_run(w);
        for (size_t at = 0; at < n; at += 65536) {
            snprintf(size, sizeof size, "10000\r\n");
            feed_all(w, 0, size, strlen(size), 1);
            feed_all(w, 0, body + at, 65536, 3000);
            feed_all(w, 0, "\r\n", 2, 2);
        }
        feed_all(w, 0, "0\r\n\r\n", 5, 5);
        SAID(0, "OK - ");
        check_stored(1, n);
        fake_check_clean(w);
        free(body);
        world_free(w);
    }
}

static const char boundary_type[] = "Content-Type: multipart/form-data; boundary=XX\r\n";
#define NODE_PART "Content-Disposition: form-data; name=\"body\"; filename=\"Untitled\"\r\n\r\n"
#define FIELD     "Content-Disposition: form-data; name=\"x\"\r\n\r\n"

static void upload_form(struct world *w, const char *before, size_t n, const char *after,
                        size_t each)
{
    size_t total = strlen(before) + n + strlen(after);
    char head[256], *body = malloc(total + 1), *bytes = content(n);
    memcpy(body, before, strlen(before));
    memcpy(body + strlen(before), bytes, n);
    memcpy(body + strlen(before) + n, after, strlen(after));
    fake_put(1, FAKE_RESERVED);
    snprintf(head, sizeof head,
             "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n",
             boundary_type, total);
    feed(w, 0, head);
    feed_all(w, 0, body, total, each);
    free(body);
    free(bytes);
}

TEST(the_part_with_a_filename_or_the_only_one)
{
    static const struct {
        const char *before, *after;
        bool good;
    } rows[] = {
        {"--XX\r\n" NODE_PART, "\r\n--XX--\r\n", true},
        {"--XX\r\n" NODE_PART, "\r\n--XX", true}, /* a real client ends so */
        {"--XX\r\n" FIELD, "\r\n--XX--\r\n", true},
        {"--XX\r\n" FIELD "y\r\n--XX\r\n" FIELD "z\r\n--XX\r\n" NODE_PART, "\r\n--XX--", true},
        {"--XX\r\n" NODE_PART, "\r\n--XX\r\n" FIELD "y\r\n--XX\r\n" NODE_PART "z\r\n--XX--", true},
        {"--XX\r\n" FIELD, "\r\n--XX\r\n" FIELD "y\r\n--XX--", false},
        {"--XX\r\n" NODE_PART, "\r\n--XX", true},
        {"--XX\r\n" NODE_PART, "\r\n--X", false},
        {"--XX\r\n" NODE_PART, "", false},
        {"--XX\r\nno head\r\n\r\n", "\r\n--XX--", false},
        {"--XX--", "", false},
    };
    static const size_t sizes[] = {0, 50, K + 5};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct world *w = start_with_media();
            upload_form(w, rows[i].before, sizes[s], rows[i].after, sizes[s] == 50 ? 1 : 5000);
            SAID(0, rows[i].good ? "OK - " : "HTTP/1.1 400 ");
            if (rows[i].good)
                check_stored(1, sizes[s]);
            else
                CHECK_EQ(fake.files[1].state, FAKE_RESERVED);
            fake_check_clean(w);
            world_free(w);
        }
    }
    struct world *w = start_with_media(); /* media has some of what is not the file, it turns out */
    upload_form(w, "--XX\r\n" FIELD, K + 5, "\r\n--XX\r\n" NODE_PART "z\r\n--XX--", 5000);
    SAID(0, "HTTP/1.1 400 ");
    fake_check_clean(w);
    world_free(w);
}

/* The file itself may be longer. */
TEST(what_stands_beside_the_file_is_bounded)
{
    static const struct {
        const char *before, *after;
    } rows[] = {{"%s\r\n--XX\r\n" NODE_PART, "\r\n--XX--"},
                {"--XX\r\n" NODE_PART, "\r\n--XX--%s"},
                {"--XX\r\n" NODE_PART, "\r\n--XX\r\n" FIELD "%s\r\n--XX--"},
                {"--XX\r\n" NODE_PART, "\r\n--XX\r\n" NODE_PART "%s\r\n--XX--"}};
    char some[1100], before[1500], after[1500];
    memset(some, 'x', sizeof some);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int over = 0; over < 2; over++) {
            struct world *w = start_with_media();
            w->conf.http_body_max = 1024;
            some[over ? 1090 : 800] = '\0';
            some[over ? 800 : 1090] = 'x';
            snprintf(before, sizeof before, rows[i].before, some);
            snprintf(after, sizeof after, rows[i].after, some);
            upload_form(w, before, K + 5, after, 5000);
            SAID(0, over ? "HTTP/1.1 400 " : "OK - ");
            fake_check_clean(w);
            CHECK_EQ(fake.files[1].state, over ? FAKE_RESERVED : FAKE_STORED);
            world_free(w);
        }
    }
}

/* Two chunks are out, and the socket is not read; nothing else is kept than what had arrived. */
TEST(a_slow_disk_stops_the_client)
{
    struct world *w = start_with_media();
    char head[256], *body = content(4 * K);
    fake_put(1, FAKE_RESERVED);
    snprintf(head, sizeof head,
             "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", 4 * K);
    feed(w, 0, head);
    CHECK(w->conns[0].paused); /* not one byte before media has said yes */
    fake_run(w);
    CHECK(!w->conns[0].paused);
    size_t at = 0;
    for (; !w->conns[0].paused; at += 4000) {
        CHECK(at < 3 * K);
        feed_bytes(w, 0, body + at, 4000);
    }
    CHECK(at > 2 * K && at < 2 * K + 4000);
    CHECK_EQ(w->a->transfers.chunks_len, 2);
    struct cell one = take(w, A_MEDIA), two = take(w, A_MEDIA);
    CHECK(!asked(w, A_MEDIA));
    pass_ms(w, 300000); /* the time is ours, not the client's */
    CHECK_EQ(w->conns[0].len, 0);
    fake_answer(w, one);
    CHECK(!w->conns[0].paused);
    fake_answer(w, two);
    feed_all(w, 0, body + at, 4 * K - at, 4000);
    SAID(0, "OK - 1048576");
    check_stored(1, 4 * K);
    fake_check_clean(w);
    free(body);
    world_free(w);
}

/* At each point: before media knows of it, while it writes, while it finishes. */
TEST(a_client_that_leaves_leaves_nothing)
{
    for (int point = 0; point < 5; point++) {
        struct world *w = start_with_media();
        char head[256], *body = content(3 * K);
        fake_put(1, FAKE_RESERVED);
        snprintf(head, sizeof head,
                 "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                 point == 4 ? 5 : 3 * K);
        feed(w, 0, head);
        if (point >= 1)
            fake_run(w);
        if (point == 2)
            feed_bytes(w, 0, body, K / 2);
        if (point == 3)
            feed_bytes(w, 0, body, 2 * K);
        if (point == 4)
            feed_bytes(w, 0, body, 5);
        leave(w, 0);
        CHECK(slab_used(&w->a->requests) == 0);
        if (point == 3) { /* lent is lent */
            CHECK_EQ(slab_used(&w->a->transfers.slots), 1);
            CHECK_EQ(w->a->transfers.spare_len, 0);
        }
        fake_check_clean(w);
        CHECK_EQ(fake.files[1].state, FAKE_RESERVED);
        open_conn(w, 0);
        upload_raw(w, 10, 10); /* its id is as good as before */
        SAID(0, "OK - 10");
        free(body);
        world_free(w);
    }
}

TEST(what_media_refuses)
{
    static const struct {
        const char *path;
        size_t declared;
        const char *status;
        bool end;
    } rows[] = {{"/upload/" FILE_1, 60000, "HTTP/1.1 404 ", false},
                {"/upload/" FILE_1, 70000, "HTTP/1.1 404 ", true},
                {"/upload/nope", 10, "HTTP/1.1 404 ", false},
                {"/upload/F00000000000000000002", 2000000, "HTTP/1.1 413 ", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = start_with_media();
        char head[256], *body = content(rows[i].declared);
        fake_put(2, FAKE_RESERVED);
        fake.bytes_max = 1000000;
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
                 rows[i].path, rows[i].declared);
        feed(w, 0, head);
        fake_run(w);
        if (rows[i].end) { /* before a byte of it */
            SAID(0, "Connection: close");
        } else {
            CHECK_EQ(w->conns[0].len, 0);
            feed_all(w, 0, body, rows[i].declared, 4000);
            NOT_SAID(0, "Connection: close");
        }
        SAID(0, rows[i].status);
        SAID(0, "Content-Type: text/plain");
        NOT_SAID(0, "{");
        CHECK_EQ(w->a->transfers.chunks_len, 0);
        fake_check_clean(w);
        free(body);
        world_free(w);
    }
}

TEST(too_long_is_told_when_it_is_seen)
{
    struct world *w = start_with_media();
    fake.bytes_max = K + 1;
    fake_put(1, FAKE_RESERVED);
    char *body = content(4 * K);
    feed(w, 0,
         "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
         "100000\r\n");
    fake_run(w);
    feed_bytes(w, 0, body, 2 * K);
    feed_bytes(w, 0, body, 10);
    fake_run(w);
    SAID(0, "HTTP/1.1 413 ");
    SAID(0, "file_upload_size_restricted");
    SAID(0, "Connection: close");
    fake_check_clean(w);
    CHECK_EQ(fake.files[1].state, FAKE_RESERVED);
    free(body);
    world_free(w);
}

TEST(continue_once_media_says_so)
{
    struct world *w = start_with_media();
    static const char head[] = "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\n"
                               "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    feed(w, 0, head);
    CHECK_EQ(w->conns[0].len, 0);
    fake_run(w);
    SAID(0, "HTTP/1.1 404 ");
    NOT_SAID(0, "100 Continue");
    open_conn(w, 1);
    fake_put(1, FAKE_RESERVED);
    feed(w, 1, head);
    CHECK_EQ(w->conns[1].len, 0);
    fake_run(w);
    CHECK_STR(said(w, 1), "HTTP/1.1 100 Continue\r\n\r\n");
    sent(w, 1);
    feed(w, 1, "abc");
    fake_run(w);
    SAID(1, "OK - 3");
    world_free(w);
}

/* No deadline for the whole, but for a client that stands still or only drips. */
TEST(the_slow_are_given_up)
{
    struct world *w = start_with_media();
    char piece[4000] = {0};
    w->conf.http_body_timeout_ms = 30000;
    w->conf.files_rate_min_bytes_per_s = 1000;
    fake_put(1, FAKE_RESERVED);
    fake_put(2, FAKE_RESERVED);
    open_conn(w, 1);
    for (conn_id c = 0; c < 2; c++)
        feed(w, c,
             c == 0 ? "POST /upload/" FILE_1
                      " HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n"
                    : "POST /upload/F00000000000000000002 HTTP/1.1\r\nHost: h\r\n"
                      "Content-Length: 900000\r\n\r\n");
    fake_run(w);
    for (int s = 0; s < 200; s += 2) { /* 2,000 bytes a second, and 50 */
        pass_ms(w, 2000);
        feed_bytes(w, 0, piece, sizeof piece);
        if (!w->conns[1].sending)
            feed_bytes(w, 1, piece, 100);
        fake_run(w);
        if (s == 28)
            CHECK_EQ(w->conns[1].len, 0);
    }
    SAID(1, "HTTP/1.1 408 ");
    SAID(1, "Connection: close");
    CHECK_EQ(w->conns[0].len, 0);
    pass_ms(w, 29000);
    CHECK_EQ(w->conns[0].len, 0);
    pass_ms(w, 1100);
    SAID(0, "HTTP/1.1 408 ");
    fake_check_clean(w);
    CHECK_EQ(fake.files[1].state, FAKE_RESERVED);
    world_free(w);
}

TEST(so_many_at_once_and_no_more)
{
    struct world *w = world_new();
    fake_reset();
    w->conf.files_transfers_max = 1;
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    fake_put(1, FAKE_RESERVED);
    feed(w, 0, "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
    fake_run(w);
    ask(w, 1, "POST /upload/" FILE_1, "", "abc");
    SAID(1, "HTTP/1.1 503 ");
    SAID(1, "Retry-After: ");
    feed(w, 0, "abc");
    fake_run(w);
    SAID(0, "OK - 3");
    world_free(w);
}

/* Who is slow on purpose is slow alone: half for a user, a quarter for whoever is not known. */
#define LEGACY "POST /api/files.upload HTTP/1.1\r\nHost: h\r\n"
#define LENGTH "Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: 900000\r\n\r\n"
#define SECRET "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\n" LENGTH
#define LINK   "GET /files-pub/T34-" FILE_1 "-0123456789ABCDEF/a HTTP/1.1\r\nHost: h\r\n\r\n"

/* Of eight: four of one user, two of those who do not say who they are, two by public links, four
 * by files' own secrets. Media has not answered any of them. */
TEST(nobody_has_all_of_them)
{
    static const struct {
        const char *request;
        int most;
    } rows[] = {{LEGACY BEARER(ADA_TOKEN) LENGTH, 4}, {LEGACY LENGTH, 2}, {LINK, 2}, {SECRET, 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = world_new();
        fake_reset();
        w->conf.files_transfers_max = 8;
        world_start(w);
        for (int c = 0; c <= rows[i].most; c++) {
            open_conn(w, (conn_id)c);
            feed(w, (conn_id)c, rows[i].request);
            if (c < rows[i].most)
                CHECK_EQ(w->conns[c].len, 0);
            else
                SAID((conn_id)c, "HTTP/1.1 503 ");
        }
        CHECK_EQ(slab_used(&w->a->transfers.slots), rows[i].most);
        for (size_t k = 0, c = 5; k < ARRAY_LEN(rows); k++) { /* others have theirs */
            if (k == i)
                continue;
            open_conn(w, c);
            feed(w, c, rows[k].request);
            CHECK_EQ(w->conns[c++].len, 0);
        }
        world_free(w);
    }
    struct world *w = world_new(); /* there are too few to share */
    fake_reset();
    w->conf.files_transfers_max = 1;
    world_start(w);
    open_conn(w, 0);
    feed(w, 0, LINK);
    CHECK_EQ(w->conns[0].len, 0);
    CHECK_EQ(slab_used(&w->a->transfers.slots), 1);
    world_free(w);
}

/* One credit for all: whoever waits for it has it in turn. */
TEST(credits_go_round)
{
    struct world *w = world_new();
    fake_reset();
    w->conf.ring_request_cells = 2;
    world_start(w);
    char *body = content(2 * K + 9);
    for (conn_id c = 0; c < 4; c++) {
        char head[256];
        fake_put((int)c + 1, FAKE_RESERVED);
        open_conn(w, c);
        snprintf(head, sizeof head,
                 "POST /upload/F0000000000000000000%d HTTP/1.1\r\nHost: h\r\n"
                 "Content-Length: %d\r\n\r\n",
                 (int)c + 1, 2 * K + 9);
        feed(w, c, head);
    }
    fake_run(w);
    for (size_t at = 0; at < 2 * K + 9;) {
        size_t n = MIN((size_t)K, (size_t)(2 * K + 9) - at);
        for (conn_id c = 0; c < 4; c++) {
            CHECK(!w->conns[c].paused);
            feed_bytes(w, c, body + at, n);
        }
        fake_run(w);
        at += n;
    }
    for (conn_id c = 0; c < 4; c++) {
        SAID(c, "OK - ");
        check_stored((int)c + 1, 2 * K + 9);
    }
    fake_check_clean(w);
    free(body);
    world_free(w);
}

TEST(a_drain_gives_uploads_their_time)
{
    struct world *w = start_with_media();
    w->conf.server_drain_ms = 10000;
    fake_put(1, FAKE_RESERVED);
    feed(w, 0, "POST /upload/" FILE_1 " HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    fake_run(w);
    acceptor_actor_ops.drain(w->a, &w->t);
    pass_ms(w, 1900);
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    CHECK_EQ(w->conns[0].len, 0);
    pass_ms(w, 200);
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    SAID(0, "HTTP/1.1 503 ");
    sent(w, 0);
    leave(w, 0);
    CHECK(!acceptor_actor_ops.drain(w->a, &w->t)); /* media has a stream of ours */
    fake_run(w);
    CHECK(acceptor_actor_ops.drain(w->a, &w->t));
    world_free(w);
}

TEST(other_methods_are_refused)
{
    struct world *w = start_with_media();
    ask(w, 0, "GET /upload/" FILE_1, "", NULL);
    SAID(0, "HTTP/1.1 405 ");
    SAID(0, "Allow: POST, OPTIONS");
    ask(w, 0, "OPTIONS /upload/" FILE_1, "", NULL);
    SAID(0, "HTTP/1.1 204 ");
    ask(w, 0, "POST /upload/" FILE_1, "Content-Encoding: gzip\r\n", "abc");
    SAID(0, "HTTP/1.1 415 ");
    world_free(w);
}
