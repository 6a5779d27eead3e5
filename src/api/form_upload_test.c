/* files.upload: file, arguments and token in one form, in any order; or a text. */
#define FAKE_MEDIA_KNOWN
#include "api/test_media.h"

static enum err fake_known(struct world *w, const struct cell *c)
{
    (void)w;
    if (c->type == MEDIA_SHARE) {
        struct media_share *m = c->u.p;
        struct fake_file *f = fake_find(m->id);
        CHECK(f != NULL && f->owner == m->uid && f->state == FAKE_STORED);
        if (m->title.p != NULL)
            snprintf(f->title, sizeof f->title, "%.*s", SV_ARG(m->title));
        buf_printf(&m->json, "{}");
        return ERR_OK;
    }
    CHECK_EQ(c->type, MEDIA_INFO);
    struct media_info *m = c->u.p;
    struct fake_file *f = fake_find(m->id);
    buf_printf(&m->json, "{\"id\":\"%.*s\",\"name\":\"%s\",\"title\":\"%s\"}", file_id_len,
               f->id.text, f->name, f->title);
    return ERR_OK;
}

enum { K = media_chunk_bytes };
#define FIELD(name, value)                                                                         \
    "--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_PART                                                                                  \
    "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"                \
    "Content-Type: image/png\r\n\r\n"

static void answer_dir(struct world *w)
{
    struct cell c = take(w, A_DIR);
    CHECK_EQ(c.type, DIR_TELL);
    reply(w, A_DIR, c, ERR_OK, 0);
    fake_run(w);
}

/* The bytes of before, n of the file's, those of after; media answers at once. */
static void upload(struct world *w, const char *fields, const char *before, size_t n,
                   const char *after, size_t each)
{
    static char body[5 * K];
    char head[512];
    size_t len = strlen(before);
    memcpy(body, before, len);
    for (size_t i = 0; i < n; i++)
        body[len + i] = (char)(i * 31 + i / 253);
    strcpy(body + len + n, after);
    len += n + strlen(after);
    snprintf(head, sizeof head,
             "POST /api/files.upload?title=T HTTP/1.1\r\nHost: chat.test\r\n%s"
             "Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: %zu\r\n\r\n",
             fields, len);
    feed(w, 0, head);
    for (size_t at = 0; at < len && w->conns[0].len == 0;) {
        size_t some = MIN(each, len - at);
        CHECK(!w->conns[0].paused);
        feed_bytes(w, 0, body + at, some);
        fake_run(w);
        CHECK(w->a->transfers.chunks_len <= 2);
        at += some;
    }
}

static void check_file(size_t n)
{
    CHECK_EQ(fake.files[1].state, FAKE_STORED);
    CHECK_EQ(fake.files[1].len, n);
    for (size_t i = 0; i < n; i++)
        CHECK(fake.files[1].bytes[i] == (uint8_t)(i * 31 + i / 253));
}

TEST(in_any_order_while_it_is_short)
{
    static const struct {
        const char *fields, *before, *after;
    } rows[] = {{BEARER(ADA_TOKEN), FILE_PART, "\r\n--XX--\r\n"},
                {"", FIELD("token", ADA_TOKEN) FIELD("filename", "n") FILE_PART, "\r\n--XX--\r\n"},
                {"", FILE_PART, "\r\n" FIELD("filename", "n") FIELD("token", ADA_TOKEN) "--XX"},
                {BEARER(ADA_TOKEN), FIELD("token", ADA_TOKEN) FILE_PART,
                 "\r\n" FILE_PART "another\r\n--XX--\r\n"}};
    static const size_t sizes[] = {0, 1, K - 200};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct world *w = start_with_media();
            upload(w, rows[i].fields, rows[i].before, sizes[s], rows[i].after,
                   sizes[s] == 1 ? 1 : 4000);
            answer_dir(w);
            SAID(0, "\"ok\":true,\"file\":{\"id\":\"" FILE_1 "\",\"name\":");
            SAID(0, strstr(rows[i].before, "\"filename\"") != NULL ||
                            strstr(rows[i].after, "\"filename\"") != NULL
                        ? "\"name\":\"n\",\"title\":\"T\"}}"
                        : "\"name\":\"a.bin\",\"title\":\"T\"}}");
            check_file(sizes[s]);
            CHECK_EQ(fake.files[1].announced, sizes[s]);
            CHECK_EQ(fake.files[1].owner, ADA);
            fake_check_clean(w);
            world_free(w);
        }
    }
}

TEST(a_long_one_needs_its_token_first)
{
    struct world *w = start_with_media();
    upload(w, "", FIELD("token", ADA_TOKEN) FILE_PART, 3 * K, "\r\n--XX--\r\n", 4000);
    answer_dir(w);
    SAID(0, "\"ok\":true");
    check_file(3 * K);
    CHECK_EQ(fake.files[1].announced, UINT64_MAX);
    fake_check_clean(w);
    world_free(w);
    w = start_with_media();
    upload(w, "", FILE_PART, 3 * K, "\r\n" FIELD("token", ADA_TOKEN) "--XX--\r\n", 4000);
    SAID(0, "not_authed");
    SAID(0, "Connection: close");
    CHECK_EQ(fake.seen[MEDIA_RESERVE], 0);
    fake_check_clean(w);
    world_free(w);
}

TEST(what_is_refused)
{
    static const struct {
        const char *fields, *before, *after, *error;
    } rows[] = {
        {"", FILE_PART, "\r\n--XX--\r\n", "not_authed"},
        {"Authorization: Bearer xoxp-nobody\r\n", FILE_PART, "\r\n--XX--\r\n", "invalid_auth"},
        {BEARER(BARE_TOKEN), FILE_PART, "\r\n--XX--\r\n", "missing_scope"},
        {BEARER(ADA_TOKEN), FIELD("title", "x"), "\r\n--XX--\r\n", "invalid_form_data"},
        {BEARER(ADA_TOKEN), FIELD("title", "x") "--XX--", "", "no_file_data"},
        {BEARER(ADA_TOKEN), FILE_PART, "\r\n--X", "invalid_form_data"},
        {BEARER(ADA_TOKEN), FIELD("title", "\xff") FILE_PART, "\r\n--XX--", "invalid_form_data"},
        {BEARER(ADA_TOKEN), FIELD("thread_ts", "x") FILE_PART, "\r\n--XX--", "invalid_thread_ts"},
        {BEARER(ADA_TOKEN), FIELD("channels", "nowhere") FILE_PART, "\r\n--XX--",
         "channel_not_found"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = start_with_media();
        upload(w, rows[i].fields, rows[i].before, 50, rows[i].after, 4000);
        SAID(0, rows[i].error);
        CHECK_EQ(fake.seen[MEDIA_RESERVE], 0);
        fake_check_clean(w);
        world_free(w);
    }
    struct world *w = start_with_media(); /* what is known only when some of it is with media */
    upload(w, BEARER(ADA_TOKEN), FILE_PART, 2 * K, "\r\n" FIELD("channels", "nowhere") "--XX--",
           4000);
    SAID(0, "channel_not_found");
    fake_check_clean(w);
    CHECK_EQ(fake.files[1].state, FAKE_NONE);
    world_free(w);
}

/* Nobody knows the id of the place that was kept for it: it would wait for its time to be over. */
TEST(a_failed_upload_gives_its_place_back)
{
    static const struct {
        uint64_t bytes_max;
        enum err begin, finish;
        const char *error;
    } rows[] = {{K, ERR_OK, ERR_OK, "file_upload_size_restricted"},
                {5 * K, ERR_SERVICE_UNAVAILABLE, ERR_OK, "service_unavailable"},
                {5 * K, ERR_OK, ERR_STORAGE_FULL, "storage_limit_reached"}};
    static const size_t sizes[] = {2 * K, 4 * K - 100};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct world *w = start_with_media();
            fake.bytes_max = rows[i].bytes_max;
            fake.begin_error = rows[i].begin;
            fake.finish_error = rows[i].finish;
            upload(w, BEARER(ADA_TOKEN), FILE_PART, sizes[s], "\r\n--XX--", 4000);
            SAID(0, rows[i].error);
            fake_check_clean(w);
            CHECK_EQ(fake.seen[MEDIA_RESERVE], 1);
            CHECK_EQ(fake.files[1].state, FAKE_NONE);
            world_free(w);
        }
    }
}

TEST(fields_are_bounded)
{
    struct world *w = start_with_media();
    w->conf.http_body_max = 1024;
    upload(w, BEARER(ADA_TOKEN), "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n", 1025,
           "\r\n--XX--", 500);
    SAID(0, "post_contents_too_large");
    world_free(w);
    w = start_with_media();
    static char many[64 << 10];
    for (int i = 0; i < 65; i++)
        strcat(many, FIELD("x", "y"));
    upload(w, BEARER(ADA_TOKEN), many, 0, FILE_PART "z\r\n--XX--", 4000);
    SAID(0, "post_contents_too_large");
    world_free(w);
}

/* Nobody has said who sends it, and nobody wants it. */
TEST(what_is_thrown_away_is_bounded)
{
    static const char *const befores[] = {"a preamble ", FILE_PART "z\r\n" FILE_PART,
                                          FILE_PART "z\r\n--XX--"};
    for (size_t i = 0; i < ARRAY_LEN(befores); i++) {
        for (size_t n = 500; n <= 2000; n += 1500) {
            struct world *w = start_with_media();
            w->conf.http_body_max = 1024;
            upload(w, "", befores[i], n, "", 100);
            SAID(0, n == 500 ? "not_authed" : "post_contents_too_large");
            fake_check_clean(w);
            world_free(w);
        }
    }
}

/* They are kept with the file and shown in every list that it is in. */
TEST(texts_that_are_kept_are_bounded)
{
    static const struct {
        const char *name;
        int max;
    } rows[] = {{"filename", 255}, {"title", 255}, {"filetype", 64}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int over = 0; over < 2; over++) {
            struct world *w = start_with_media();
            char body[2048];
            int n = snprintf(body, sizeof body, "content=c&%s=", rows[i].name);
            for (int k = 0; k < rows[i].max + over; k++)
                n += snprintf(body + n, sizeof body - (size_t)n, "%%C3%%A4");
            ask(w, 0, "POST /api/files.upload", BEARER(ADA_TOKEN) FORM_TYPE, body);
            CHECK_EQ(asked(w, A_MEDIA), !over);
            if (over)
                SAID(0, "invalid_arguments");
            world_free(w);
        }
    }
}

TEST(a_text_is_a_snippet)
{
    struct world *w = start_with_media();
    static char body[5 * K];
    memcpy(body, "title=T&content=", 16);
    for (size_t i = 0; i < 3 * K; i++)
        body[16 + i] = (char)('a' + i % 26);
    snprintf(body + 16 + 3 * K, 64, "&channels=CR9&initial_comment=look");
    static char text[5 * K + 512];
    snprintf(text, sizeof text,
             "POST /api/files.upload HTTP/1.1\r\nHost: chat.test\r\n" BEARER(ADA_TOKEN) FORM_TYPE
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    feed(w, 0, text);
    struct cell c = take(w, A_MEDIA);
    const struct media_reserve *m = c.u.p;
    CHECK_SV(m->snippet_type, "text");
    CHECK_SV(m->name, "untitled");
    CHECK_EQ(m->length, 3 * K);
    CHECK_EQ(w->a->transfers.chunks_len, 2);
    fake_answer(w, c);
    fake_run(w);
    CHECK_EQ(fake.files[1].len, 3 * K);
    for (size_t i = 0; i < 3 * K; i++)
        CHECK(fake.files[1].bytes[i] == 'a' + i % 26);
    c = take(w, A_HIST);
    ((struct hist_info *)c.u.p)->member = true;
    ((struct hist_info *)c.u.p)->kind = CHANNEL_PRIVATE;
    reply(w, A_HIST, c, ERR_OK, 0);
    fake_run(w);
    c = take(w, A_CHAN);
    CHECK(memmem(post_of(&c)->members.p, post_of(&c)->members.len, "\"text\":\"look\"", 13) !=
          NULL);
    posted(w, c, 5000000);
    fake_run(w);
    answer_dir(w);
    SAID(0, "\"ok\":true,\"file\":{\"id\":\"" FILE_1 "\"");
    fake_check_clean(w);
    world_free(w);
}

TEST(a_client_that_leaves_leaves_no_file)
{
    for (int point = 0; point < 4; point++) {
        struct world *w = start_with_media();
        static char text[3 * K];
        size_t n = (size_t)snprintf(
            text, sizeof text,
            "POST /api/files.upload HTTP/1.1\r\nHost: chat.test\r\n" BEARER(
                ADA_TOKEN) "Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: "
                           "600000\r\n\r\n" FILE_PART);
        memset(text + n, 'x', K + 1);
        feed_bytes(w, 0, text, n + K + 1);
        for (int i = 0; i < point; i++) /* RESERVE, BEGIN, WRITE */
            CHECK(fake_step(w));
        leave(w, 0);
        CHECK_EQ(slab_used(&w->a->requests), 0);
        fake_check_clean(w);
        CHECK_EQ(fake.seen[MEDIA_RESERVE], 1);
        CHECK_EQ(fake.files[1].state, FAKE_NONE);
        world_free(w);
    }
}

TEST(continue_is_said_at_once)
{
    struct world *w = start_with_media();
    feed(w, 0,
         "POST /api/files.upload HTTP/1.1\r\nHost: h\r\n" BEARER(
             ADA_TOKEN) "Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: 600\r\n"
                        "Expect: 100-continue\r\n\r\n");
    CHECK_STR(said(w, 0), "HTTP/1.1 100 Continue\r\n\r\n");
    world_free(w);
}
