/* Forms of arguments, their limits, and errors with their statuses. */
#include "api/internal.h"
#include "api/test_world.h"
#include "media/media_msg.h"

TEST(every_form_of_arguments_gives_the_same_post)
{
    struct world *w = start();
    static const struct {
        const char *line, *fields, *body;
    } rows[] = {
        {"GET /api/chat.postMessage?channel=CR9&text=a%26b&client_msg_id=k&blocks=%5B%7B%22a%22"
         "%3A1%7D%5D",
         BEARER(ADA_TOKEN), NULL},
        {POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE,
         "channel=%23general&text=a%26b&client_msg_id=k&blocks=%5B%7B%22a%22%3A1%7D%5D"},
        {POST_LINE, BEARER(ADA_TOKEN) "Content-Type: application/json\r\n",
         "{\"channel\":\"general\",\"text\":\"a&b\",\"client_msg_id\":\"k\","
         "\"blocks\":[ {\"a\" :\n1} ], \"thread_ts\":null}"},
        {POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE,
         "{\"channel\":\"CR9\",\"text\":\"a\\u0026b\",\"client_msg_id\":\"k\","
         "\"blocks\":\"[{\\\"a\\\":1}]\",\"unknown\":[1]}"},
        {"POST /api/chat.postMessage?text=a%26b",
         BEARER(ADA_TOKEN) "Content-Type: multipart/form-data; boundary=B\r\n",
         "--B\r\nContent-Disposition: form-data; name=\"channel\"\r\n\r\ngeneral\r\n--B\r\n"
         "Content-Disposition: form-data; name=\"client_msg_id\"\r\n\r\nk\r\n--B\r\n"
         "Content-Disposition: form-data; name=\"blocks\"\r\n\r\n[{\"a\":1}]\r\n--B"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask(w, 0, rows[i].line, rows[i].fields, rows[i].body);
        struct cell c = take(w, A_CHAN);
        const struct chan_post *p = post_of(&c);
        CHECK_EQ(c.cid, CID);
        CHECK_EQ(p->uid, ADA);
        CHECK_SV(p->members,
                 "\"type\":\"message\",\"user\":\"U69\",\"team\":\"T34\",\"client_msg_id\":\"k\","
                 "\"text\":\"a&amp;b\",\"blocks\":[{\"a\":1}]");
        CHECK_SV(((struct str_view){p->members.p + p->content_at, 7}), ",\"text\"");
        posted(w, c, 1000000);
        SAID(0, POSTED);
        SAID(0, "\"blocks\":[{\"a\":1}],\"ts\":\"0000000001.000000\"}}");
    }
    world_free(w);
}

struct refusal {
    const char *line, *fields, *body, *error;
    int http;
};

static const struct refusal refusals[] = {
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\"", "invalid_json", 400},
    {POST_LINE, JSON_TYPE, "[1]", "json_not_object", 400},
    {POST_LINE, JSON_TYPE, "{\"text\":\"a\",\"text\":\"b\"}", "invalid_json", 400},
    {POST_LINE, FORM_TYPE, "channel=%zz", "invalid_form_data", 400},
    {POST_LINE, "Content-Type: application/json; charset=latin1\r\n", "{}", "invalid_charset", 400},
    {POST_LINE, "Content-Type: text/xml\r\n", "<a/>", "invalid_post_type", 415},
    {POST_LINE, JSON_TYPE, "{\"text\":\"x\"}", "missing_argument", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"nowhere\",\"text\":\"x\"}", "channel_not_found", 404},
    {POST_LINE, JSON_TYPE, "{\"channel\":5,\"text\":\"x\"}", "channel_not_found", 404},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":5}", "invalid_arguments", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"mrkdwn\":\"no\"}",
     "invalid_arguments", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"unfurl_links\":2}",
     "invalid_arguments", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"unfurl_media\":[]}",
     "invalid_arguments", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\"}", "no_text", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"blocks\":[1]}", "invalid_blocks", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"blocks\":\"{}\"}", "invalid_blocks", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"attachments\":\"[\"}", "invalid_attachments",
     400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"client_msg_id\":\"\"}",
     "invalid_client_msg_id", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"thread_ts\":1.2}",
     "cannot_reply_to_message", 400},
    {"GET /api/conversations.history?channel=CR9&limit=0", "", NULL, "invalid_limit", 400},
    {"GET /api/conversations.history?channel=CR9&limit=1001", "", NULL, "invalid_limit", 400},
    {"GET /api/conversations.history?channel=CR9&latest=now", "", NULL, "invalid_ts_latest", 400},
    {"POST /api/conversations.history", JSON_TYPE, "{\"channel\":\"CR9\",\"oldest\":1517436010.5}",
     "invalid_ts_oldest", 400},
    {"GET /api/conversations.history?channel=CR9&cursor=bWVtYmVyOjE%3D", "", NULL, "invalid_cursor",
     400},
    {"GET /api/conversations.history?channel=CR9&cursor=Y2hhbm5lbDo1", "", NULL, "invalid_cursor",
     400},
    {"GET /api/conversations.members?channel=CR9&cursor=%21", "", NULL, "invalid_cursor", 400},
    {"GET /api/conversations.list?types=public_channel,x", "", NULL, "invalid_types", 400},
    {"GET /api/conversations.list?exclude_archived=maybe", "", NULL, "invalid_arguments", 400},
    {"GET /api/conversations.info?channel=xyz", "", NULL, "channel_not_found", 404},
    {"GET /api/users.info?user=UZZZZZ", "", NULL, "user_not_found", 404},
    {"GET /api/users.info", "", NULL, "missing_argument", 400},
    {"GET /api/conversations.create", "", NULL, "invalid_name_required", 400},
    {"GET /api/conversations.invite?channel=CR9", "", NULL, "no_user", 400},
    {"GET /api/conversations.invite?channel=CR9&users=,", "", NULL, "no_user", 400},
    {"GET /api/conversations.invite?channel=CR9&users=U69", "", NULL, "cant_invite_self", 400},
    {"GET /api/conversations.invite?channel=CR9&users=%5B%22U69%22%5D", "", NULL,
     "cant_invite_self", 400},
    {"GET /api/conversations.invite?channel=CR9&users=%5B%22U69%22", "", NULL, "user_not_found",
     404},
    {"GET /api/conversations.invite?channel=CR9&users=%5B69%5D", "", NULL, "user_not_found", 404},
    {"GET /api/conversations.invite?channel=CR9&users=U6A,UZZZ", "", NULL, "user_not_found", 404},
    {"GET /api/conversations.invite?channel=CR9&users=", "", NULL, "no_user", 400},
    {"POST /api/conversations.invite", JSON_TYPE, "{\"channel\":\"CR9\",\"users\":[]}", "no_user",
     400},
    {"GET /api/conversations.open?users=", "", NULL, "users_list_not_supplied", 400},
    {"GET /api/dnd.teamInfo?users=", "", NULL, "no_users_provided", 400},
    {"POST /api/dnd.teamInfo", JSON_TYPE, "{\"users\":[]}", "no_users_provided", 400},
    {"GET /api/team.info?team=TZZZ", "", NULL, "team_not_found", 404},
    {"GET /api/no.such", "", NULL, "unknown_method", 404},
};

TEST(errors_are_200_unless_the_true_status_is_asked_for)
{
    struct world *w = start();
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct refusal *x = &refusals[i];
        char fields[512], error[64], status[32];
        snprintf(error, sizeof error, "\"ok\":false,\"error\":\"%s\"", x->error);
        snprintf(status, sizeof status, "HTTP/1.1 %d ", x->http);
        snprintf(fields, sizeof fields, BEARER(ADA_TOKEN) "%s", x->fields);
        ask(w, 0, x->line, fields, x->body);
        SAID(0, "HTTP/1.1 200 OK");
        SAID(0, error);
        strcat(fields, "X-Parley-Errors: http\r\n");
        ask(w, 0, x->line, fields, x->body);
        SAID(0, status);
        SAID(0, error);
        for (actor_id a = 1; a < A_COUNT; a++)
            CHECK(!asked(w, a));
    }
    ask(w, 0, "GET /api/users.info", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"response_metadata\":{\"messages\":[\"[ERROR] missing required field: user\"]}");
    world_free(w);
}

TEST(the_configuration_can_ask_for_true_statuses_too)
{
    struct world *w = world_new();
    w->conf.api_client_errors = 1;
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, "GET /api/auth.test", "", NULL);
    SAID(0, "HTTP/1.1 401 ");
    ask(w, 0, "GET /api/auth.test", "X-Parley-Errors: slack\r\n", NULL);
    SAID(0, "HTTP/1.1 200 ");
    world_free(w);
}

TEST(statuses_that_are_always_their_own)
{
    struct world *w = start();
    ask(w, 0, "GET /elsewhere", "", NULL);
    SAID(0, "HTTP/1.1 404 ");
    SAID(0, "\"error\":\"not_found\"");
    ask(w, 0, "PUT /api/auth.test", "", NULL);
    SAID(0, "HTTP/1.1 405 ");
    ask(w, 0, "OPTIONS /api/auth.test", "Origin: http://x\r\n", NULL);
    SAID(0, "HTTP/1.1 204 No Content");
    SAID(0, "Access-Control-Allow-Headers: authorization");
    NOT_SAID(0, "Content-Length");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\"}");
    reply(w, A_CHAN, take(w, A_CHAN), ERR_DISK_FULL, 0);
    SAID(0, "HTTP/1.1 503 ");
    SAID(0, "\"error\":\"disk_full\"");
    SAID(0, "Retry-After: ");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE "Content-Encoding: gzip\r\n", "xx");
    SAID(0, "HTTP/1.1 415 ");
    SAID(0, "Connection: close");
    world_free(w);
}

/* The largest bodies there may be, in the forms that need most memory: posted, not refused as if
 * the server had none. */
TEST(the_largest_bodies_are_posted)
{
    static char body[1 << 20], text[(1 << 20) + 1024];
    static const struct {
        const char *type, *head, *unit, *tail;
    } rows[] = {
        {JSON_TYPE, "{\"channel\":\"CR9\",\"blocks\":\"[{\\\"a\\\":\\\"", "\\u00fc", "\\\"}]\"}"},
        {JSON_TYPE, "{\"channel\":\"CR9\",\"blocks\":[ {\"a\":\"", "abcdef", "\"}]}"},
        {FORM_TYPE, "channel=CR9&blocks=[{%22a%22:%22", "%61", "%22}]"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = start();
        size_t n = strlen(rows[i].head), unit = strlen(rows[i].unit), tail = strlen(rows[i].tail);
        memcpy(body, rows[i].head, n);
        for (; n + unit + tail <= sizeof body; n += unit)
            memcpy(body + n, rows[i].unit, unit);
        memcpy(body + n, rows[i].tail, tail);
        n += tail;
        size_t len = (size_t)snprintf(
            text, sizeof text,
            POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) "%s"
                                                                   "Content-Length: %zu\r\n\r\n",
            rows[i].type, n);
        memcpy(text + len, body, n);
        for (size_t at = 0; at < len + n; at += 4032)
            feed_bytes(w, 0, text + at, MIN((size_t)4032, len + n - at));
        posted(w, take(w, A_CHAN), 1000000);
        SAID(0, POSTED);
        world_free(w);
    }
}

/* A message that is stored is answered so, however little memory is left. */
TEST(a_stored_message_has_room_for_its_answer)
{
    struct world *w = start();
    for (size_t n = 1; n < 40000; n += 1009) {
        static char body[50000] = "channel=CR9&text=";
        memset(body + 17, 'x', n);
        ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, body);
        struct cell c = take(w, A_CHAN);
        struct request *r = slab_find(&w->a->requests, c.req);
        r->arena.bytes_max = r->arena.bytes; /* not one block more */
        posted(w, c, 1000000);
        SAID(0, POSTED);
    }
    world_free(w);
}

TEST(arrays_of_arguments_have_their_bounds)
{
    static char body[1 << 17] = "{\"channel\":\"CR9\",\"blocks\":[{}", users[1 << 17],
                          attachments[1024] = "channel=CR9&attachments=[{}";
    struct world *w = start();
    for (size_t n = strlen(body); n < 100000; n += 3)
        strcpy(body + n, ",{}");
    strcat(body, "]}");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    SAID(0, "invalid_blocks");
    size_t at = (size_t)sprintf(users, "{\"channel\":\"CR9\",\"users\":[\"U6A\"");
    for (int i = 0; i < 1000; i++)
        at += (size_t)sprintf(users + at, ",\"U6A\"");
    strcat(users, "]}");
    ask(w, 0, "POST /api/conversations.invite", BEARER(ADA_TOKEN) JSON_TYPE, users);
    SAID(0, "user_not_found");
    CHECK(!asked(w, A_CHAN));
    for (int i = 1; i < 100; i++)
        strcat(attachments, ",{}");
    strcat(attachments, "]");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, attachments);
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    strcpy(attachments + strlen(attachments) - 1, ",{}]");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, attachments);
    SAID(0, "too_many_attachments");
    CHECK(!asked(w, A_CHAN));
    world_free(w);
}

/* A list is words with commas, an array of strings, or the text of one. */
TEST(lists_are_text_or_arrays)
{
    static const char *const forms[] = {"\"im, public_channel\"", "[\"im\",\"public_channel\"]",
                                        "\"[\\\"im\\\", \\\"public_channel\\\"]\""};
    static const char *const methods_of_types[] = {"conversations.list", "users.conversations"};
    struct world *w = start();
    char line[64], body[256];
    for (size_t i = 0; i < ARRAY_LEN(forms) * 2; i++) {
        snprintf(line, sizeof line, "POST /api/%s", methods_of_types[i % 2]);
        snprintf(body, sizeof body, "{\"types\":%s}", forms[i / 2]);
        ask(w, 0, line, BEARER(ADA_TOKEN) JSON_TYPE, body);
        struct cell c = take(w, A_HIST);
        CHECK_EQ(c.type, HIST_LIST);
        CHECK_EQ(((struct hist_list *)c.u.p)->types, hist_types_im | hist_types_public);
        reply(w, A_HIST, c, ERR_OK, 0);
        SAID(0, "\"ok\":true");
    }
    static const char *const bad[] = {"5", "[5]", "{}", "true", "[[\"im\"]]", "[\"im\",\"x\"]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(body, sizeof body, "{\"types\":%s}", bad[i]);
        ask(w, 0, "POST /api/conversations.list", BEARER(ADA_TOKEN) JSON_TYPE, body);
        SAID(0, "invalid_types");
    }
    ask(w, 0, "POST /api/files.list", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"types\":[\"pdfs\",\"zips\"]}");
    struct cell c = take(w, A_MEDIA);
    CHECK_EQ(((struct media_list *)c.u.p)->types, MEDIA_PDFS | MEDIA_ZIPS);
    reply(w, A_MEDIA, c, ERR_OK, 0);
    world_free(w);
}

static void document_read_as(struct world *w, const char *stored)
{
    struct cell c = take(w, A_HIST);
    CHECK_EQ(c.type, HIST_DOCUMENT);
    ((struct hist_document *)c.u.p)->text = sv_from(stored);
    reply(w, A_HIST, c, ERR_OK, 0);
}

static struct dir_document *document_asked(struct world *w, struct cell *c, const char *stored)
{
    document_read_as(w, stored);
    *c = take(w, A_DIR);
    CHECK_EQ(c->type, DIR_DOCUMENT);
    return c->u.p;
}

static bool says(struct str_view event, const char *what)
{
    return memmem(event.p, event.len, what, strlen(what)) != NULL;
}

/* A call tells few, so that the rings of events hold what many callers set at once. */
TEST(more_preferences_than_are_told_are_refused)
{
    struct world *w = start();
    char body[1024] = "{\"prefs\":{";
    for (int i = 0; i <= 32; i++)
        snprintf(body + strlen(body), sizeof body - strlen(body), "%s\"p%d\":1", i == 0 ? "" : ",",
                 i);
    strcat(body, "}}");
    ask(w, 0, "POST /api/users.prefs.set", BEARER(ADA_TOKEN) JSON_TYPE, body);
    struct cell c = take(w, A_HIST);
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "too_long");
    CHECK(!asked(w, A_DIR));
    world_free(w);
}

/* What a group or a preference lists is kept in the one form; an empty list takes it away. */
TEST(lists_that_are_kept)
{
    static const struct {
        const char *line, *body, *stored, *kept;
    } rows[] = {
        {"POST /api/usergroups.update", "{\"usergroup\":\"S1\",\"channels\":[\"CR9\"]}",
         "[{\"id\":\"S1\",\"by\":\"U69\",\"name\":\"n\",\"handle\":\"n\"}]", "[\"CR9\"]"},
        {"POST /api/usergroups.update", "{\"usergroup\":\"S1\",\"channels\":[]}",
         "[{\"id\":\"S1\",\"by\":\"U69\",\"name\":\"n\",\"handle\":\"n\",\"channels\":[\"CR9\"]}]",
         "\"channels\":[]"},
        {"POST /api/usergroups.update", "{\"usergroup\":\"S1\",\"channels\":\"\"}",
         "[{\"id\":\"S1\",\"by\":\"U69\",\"name\":\"n\",\"handle\":\"n\",\"channels\":[\"CR9\"]}]",
         "\"channels\":[]"},
        {"POST /api/users.prefs.set", "{\"muted_channels\":[\"CR9\",\"CRA\"]}", "{}",
         "\"muted_channels\":\"CR9,CRA\""},
        {"POST /api/users.prefs.set", "{\"highlight_words\":[]}", "{\"highlight_words\":\"x\"}",
         "{\"highlight_words\":\"\"}"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = start();
        struct cell c;
        ask(w, 0, rows[i].line, BEARER(ADA_TOKEN) JSON_TYPE, rows[i].body);
        const struct dir_document *m = document_asked(w, &c, rows[i].stored);
        CHECK(says(m->text, rows[i].kept));
        reply(w, A_DIR, c, ERR_OK, 0);
        SAID(0, "\"ok\":true");
        world_free(w);
    }
}

/* Each preference has its event: a client knows none of two. */
TEST(every_preference_that_is_set_is_told)
{
    struct world *w = start();
    struct cell c;
    ask(w, 0, "POST /api/users.prefs.set", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"prefs\":{\"a\":1,\"b\":\"x\",\"c\":{}}}");
    const struct dir_document *m = document_asked(w, &c, "{\"a\":0,\"d\":2}");
    CHECK_EQ(m->to_user_len, 3);
    CHECK(says(m->to_user[0], "\"type\":\"pref_change\",\"name\":\"a\",\"value\":1"));
    CHECK(says(m->to_user[1], "\"name\":\"b\",\"value\":\"x\""));
    CHECK(says(m->to_user[2], "\"name\":\"c\",\"value\":{}"));
    reply(w, A_DIR, c, ERR_OK, 0);
    SAID(0, "\"prefs\":{");
    world_free(w);
}

/* Set to what it is, whatever it is: not changed. Another kind of the same letters is. */
TEST(only_preferences_that_change_are_told)
{
    static const char stored[] = "{\"a\":1,\"b\":\"x\",\"c\":{},\"d\":true,\"e\":\"1\"}";
    struct world *w = start();
    struct cell c;
    ask(w, 0, "POST /api/users.prefs.set", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"prefs\":{\"a\":1,\"b\":\"y\",\"c\":{},\"d\":true,\"e\":1}}");
    const struct dir_document *m = document_asked(w, &c, stored);
    CHECK_EQ(m->to_user_len, 2);
    CHECK(says(m->to_user[0], "\"name\":\"b\",\"value\":\"y\""));
    CHECK(says(m->to_user[1], "\"name\":\"e\",\"value\":1"));
    reply(w, A_DIR, c, ERR_OK, 0);
    SAID(0, "\"prefs\":{");
    /* Nothing at all: nothing is written either. */
    ask(w, 0, "POST /api/users.prefs.set", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"prefs\":{\"b\":\"x\",\"d\":true}}");
    document_read_as(w, stored);
    SAID(0, "\"ok\":true,\"prefs\":{");
    ask(w, 0, "POST /api/users.prefs.set", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"prefs\":{\"muted_channels\":\"\"}}"); /* as it is before it is ever set */
    document_read_as(w, "");
    SAID(0, "\"ok\":true,\"prefs\":{");
    world_free(w);
}

/* Without a deadline of its own a request has its time from when it is whole. */
TEST(deadlines_are_the_callers_or_the_default)
{
    static const struct {
        const char *field;
        uint64_t us;
    } rows[] = {{"", 15000000 + 20000000},
                {"X-Request-Timeout: 250\r\n", 250000},
                {"X-Request-Timeout: 0\r\n", 0},
                {"X-Request-Timeout: 99999999\r\n", 15000000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = start();
        char text[512];
        uint64_t from_us = w->t.mono_us;
        snprintf(text, sizeof text,
                 POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) FORM_TYPE
                 "%sContent-Length: 22\r\n\r\nchannel=general",
                 rows[i].field);
        feed(w, 0, text);
        pass_ms(w, 20000); /* a slow upload */
        feed(w, 0, "&text=x");
        struct cell c = take(w, A_CHAN);
        CHECK_EQ(post_of(&c)->deadline_us - from_us, rows[i].us);
        reply(w, A_CHAN, c, ERR_DEADLINE, 0);
        SAID(0, "HTTP/1.1 503 ");
        SAID(0, "deadline_exceeded");
        SAID(0, "Retry-After: ");
        world_free(w);
    }
    struct world *w = start();
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE "X-Request-Timeout: soon\r\n",
        "channel=general&text=x");
    SAID(0, "invalid_arguments");
    SAID(0, "X-Request-Timeout is not a number of milliseconds");
    world_free(w);
}

TEST(text_has_its_limit_in_characters)
{
    struct world *w = world_new();
    w->conf.api_text_max = 100;
    world_start(w);
    open_conn(w, 0);
    char body[1024] = "channel=general&text=";
    for (int i = 0; i < 100; i++)
        strcat(body, "\xc3\xbc");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, body);
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    strcat(body, "x");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, body);
    SAID(0, "msg_too_long");
    world_free(w);
}

/* An edit replaces what stands behind content_at; that a text is plain stands before it. */
TEST(a_text_without_formatting_says_so)
{
    struct world *w = start();
    static const struct {
        const char *body, *members;
        size_t content_at;
    } rows[] = {
        {"channel=general&text=x&mrkdwn=false&unfurl_links=true&unfurl_media=0",
         "\"type\":\"message\",\"user\":\"U69\",\"team\":\"T34\",\"mrkdwn\":false,\"text\":\"x\"",
         57},
        {"channel=general&text=x&mrkdwn=true",
         "\"type\":\"message\",\"user\":\"U69\",\"team\":\"T34\",\"text\":\"x\"", 42},
        {"channel=general&text=x&mrkdwn=",
         "\"type\":\"message\",\"user\":\"U69\",\"team\":\"T34\",\"text\":\"x\"", 42}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, rows[i].body);
        struct cell c = take(w, A_CHAN);
        const struct chan_post *p = post_of(&c);
        CHECK_EQ(p->members.len, strlen(rows[i].members));
        CHECK_MEM(p->members.p, rows[i].members, p->members.len);
        CHECK_EQ(p->content_at, rows[i].content_at);
        posted(w, c, 1000000);
        SAID(0, rows[i].members);
    }
    world_free(w);
}
