/* Requests by their content: tokens, forms of arguments, errors, each method's answer. */
#include "api/internal.h"
#include "api/test_world.h"

#define POSTED "\"ok\":true,\"channel\":\"CR9\",\"ts\":\"0000000001.000000\""

static struct world *start(void)
{
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    return w;
}

/* ---- tokens ---- */

TEST(tokens_are_refused_by_their_names)
{
    struct world *w = start();
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    static const struct {
        const char *fields, *error;
    } rows[] = {{"", "not_authed"},
                {BEARER("xoxp-1-2-3-nope"), "invalid_auth"},
                {"Authorization: Basic YTpi\r\n", "invalid_auth"},
                {"Authorization: Bearer\r\n", "invalid_auth"},
                {BEARER(OLD_TOKEN), "token_revoked"},
                {BEARER(APP_TOKEN), "not_allowed_token_type"},
                {BEARER(BARE_TOKEN), "missing_scope"},
                {BEARER(ADA_TOKEN "x"), "invalid_auth"},
                {BEARER(ADA_TOKEN) BEARER(BOT_TOKEN), "invalid_auth"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fields[512], error[64];
        snprintf(fields, sizeof fields, "%s" JSON_TYPE, rows[i].fields);
        snprintf(error, sizeof error, "\"ok\":false,\"error\":\"%s\"", rows[i].error);
        ask(w, 0, POST_LINE, fields, body);
        SAID(0, "HTTP/1.1 200 OK");
        SAID(0, error);
        CHECK(!asked(w, A_CHAN));
    }
    ask(w, 0, POST_LINE, BEARER(BARE_TOKEN) JSON_TYPE, body);
    SAID(0, "\"needed\":\"chat:write\",\"provided\":\"\"");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) BEARER(ADA_TOKEN) JSON_TYPE, body); /* twice the same */
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    world_free(w);
}

/* The token is judged before the declared size, and neither waits for the body. */
TEST(a_token_goes_before_the_size_of_the_body)
{
    static const struct {
        const char *fields, *answer;
    } rows[] = {{BEARER("xoxp-1-2-3-nope"), "invalid_auth"},
                {BEARER(OLD_TOKEN), "token_revoked"},
                {BEARER("nope") "Expect: 100-continue\r\n", "invalid_auth"},
                {BEARER(ADA_TOKEN), "HTTP/1.1 413 "},
                {BEARER(ADA_TOKEN) "Expect: 100-continue\r\n", "HTTP/1.1 413 "},
                {"", "HTTP/1.1 413 "}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *w = world_new();
        char text[512];
        w->conf.http_body_max = 2000;
        world_start(w);
        open_conn(w, 0);
        snprintf(text, sizeof text,
                 POST_LINE " HTTP/1.1\r\nHost: h\r\n%s" JSON_TYPE "Content-Length: 2001\r\n\r\n",
                 rows[i].fields);
        feed(w, 0, text);
        SAID(0, rows[i].answer);
        SAID(0, "Connection: close");
        NOT_SAID(0, "100 Continue");
        world_free(w);
    }
}

/* It is the refusal that the client is told, not what became of the body behind it. */
TEST(a_refusal_outlives_a_slow_body)
{
    struct world *w = start();
    feed(w, 0,
         POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER("nope") JSON_TYPE
         "Content-Length: 20\r\n\r\n{");
    CHECK_EQ(w->conns[0].len, 0);
    pass_ms(w, 31000);
    SAID(0, "invalid_auth");
    SAID(0, "Connection: close");
    world_free(w);
}

TEST(token_as_an_argument)
{
    struct world *w = start();
    const char *args = "token=" ADA_TOKEN "&channel=general&text=x";
    ask(w, 0, POST_LINE, FORM_TYPE, args);
    posted(w, take(w, A_CHAN), 1000000);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, args); /* Bolt sends both */
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    ask(w, 0, POST_LINE, BEARER(BOT_TOKEN) FORM_TYPE, args);
    SAID(0, "invalid_auth");
    ask(w, 0, "GET /api/auth.test?token=" ADA_TOKEN, "", NULL);
    SAID(0, "\"user\":\"ada\"");
    ask(w, 0, "POST /api/auth.test?token=" ADA_TOKEN, "", "");
    SAID(0, "not_authed");
    ask(w, 0, POST_LINE, JSON_TYPE, "{\"token\":7,\"channel\":\"general\",\"text\":\"x\"}");
    SAID(0, "invalid_auth");
    CHECK(!asked(w, A_CHAN));
    world_free(w);
}

TEST(a_token_revoked_while_the_body_comes_is_refused)
{
    struct world *w = start();
    uint64_t tag;
    uint8_t hash[32];
    feed(w, 0,
         POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) FORM_TYPE
         "Content-Length: 22\r\n\r\nchannel=general");
    token_hash(&w->dir->tables.hasher, SV(ADA_TOKEN), hash);
    memcpy(&tag, hash, sizeof tag);
    __atomic_store_n(&tables_token(&w->dir->tables, tag)->state, TOKEN_REVOKED, __ATOMIC_RELEASE);
    feed(w, 0, "&text=x");
    SAID(0, "token_revoked");
    CHECK(!asked(w, A_CHAN));
    world_free(w);
}

TEST(rates_are_per_token_and_class_and_name_the_wait)
{
    struct world *w = world_new();
    w->conf.api_rate_posts_per_s = 1;
    world_start(w);
    open_conn(w, 0);
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    for (int i = 0; i < 2; i++) {
        ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
        posted(w, take(w, A_CHAN), 1000000);
    }
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    SAID(0, "HTTP/1.1 429 ");
    SAID(0, "Retry-After: 1\r\n");
    SAID(0, "\"error\":\"ratelimited\"");
    ask(w, 0, "GET /api/auth.test", BEARER(ADA_TOKEN), NULL); /* reads have their own */
    SAID(0, "\"ok\":true");
    ask(w, 0, POST_LINE, BEARER(BOT_TOKEN) JSON_TYPE, body);
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    world_free(w);
}

/* ---- addresses ---- */

/* A call that names no token in its head is counted by its address before its body is read. */
TEST(without_a_token_in_the_head_the_address_has_a_rate)
{
    struct world *w = world_new();
    const char *args = "token=" ADA_TOKEN "&channel=general&text=x";
    w->conf.api_rate_unauthenticated_per_s = 1;
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, POST_LINE, FORM_TYPE, args);
    posted(w, take(w, A_CHAN), 1000000);
    ask(w, 0, "GET /api/api.test", BEARER("not looked at"), NULL);
    SAID(0, "\"ok\":true");
    ask(w, 0, POST_LINE, FORM_TYPE, args);
    SAID(0, "HTTP/1.1 429 ");
    SAID(0, "Retry-After: 1\r\n");
    SAID(0, "\"error\":\"ratelimited\"");
    CHECK_EQ(w->metrics.values[METRIC_RATE_LIMITED], 1);
    ask(w, 0, "GET /api/api.test", "", NULL);
    SAID(0, "HTTP/1.1 429 ");
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, args); /* a named token has its own rate */
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, POSTED);
    sent(w, 0);
    forget(w, 0);
    feed(w, 0,
         POST_LINE " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    SAID(0, "HTTP/1.1 429 ");
    world_free(w);
}

TEST(addresses_behind_a_trusted_proxy_are_apart)
{
    for (int trusted = 0; trusted < 2; trusted++) {
        struct world *w = world_new();
        w->conf.api_rate_unauthenticated_per_s = 1;
        if (trusted)
            strcpy(w->conf.server_trusted_proxies, "10.0.0.1");
        world_start(w);
        open_conn(w, 0);
        for (int i = 0; i < 2; i++)
            ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n", NULL);
        SAID(0, "HTTP/1.1 200 ");
        ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 7.7.7.7, 192.0.2.1\r\n", NULL);
        SAID(0, "HTTP/1.1 429 ");
        ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 192.0.2.2\r\n", NULL);
        SAID(0, trusted ? "HTTP/1.1 200 " : "HTTP/1.1 429 ");
        for (int i = 0; i < 2; i++) /* one network, however many addresses it has */
            ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 2001:db8::1\r\n", NULL);
        ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 2001:db8::2\r\n", NULL);
        SAID(0, "HTTP/1.1 429 ");
        ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 2001:db8:0:1::2\r\n", NULL);
        SAID(0, trusted ? "HTTP/1.1 200 " : "HTTP/1.1 429 ");
        world_free(w);
    }
}

/* More addresses than the table has room for: it stays as it is, and who owes most stays known. */
TEST(a_flood_of_addresses_does_not_free_the_one_that_owes)
{
    struct world *w = world_new();
    w->conf.api_rate_unauthenticated_per_s = 1;
    strcpy(w->conf.server_trusted_proxies, "10.0.0.1");
    world_start(w);
    open_conn(w, 0);
    for (int i = 0; i < 2; i++)
        ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 192.0.2.1\r\n", NULL);
    for (int i = 0; i < 20000; i++) {
        char fields[64];
        snprintf(fields, sizeof fields, "X-Forwarded-For: 198.18.%d.%d\r\n", i >> 8, i & 255);
        ask(w, 0, "GET /api/api.test", fields, NULL);
        SAID(0, "HTTP/1.1 200 ");
    }
    ask(w, 0, "GET /api/api.test", "X-Forwarded-For: 192.0.2.1\r\n", NULL);
    SAID(0, "HTTP/1.1 429 ");
    world_free(w);
}

/* ---- arguments ---- */

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
        CHECK_SV(p->members, "\"type\":\"message\",\"user\":\"U69\",\"team\":\"T34\",\"text\":\"a"
                             "&amp;b\",\"blocks\":[{\"a\":1}],\"client_msg_id\":\"k\"");
        posted(w, c, 1000000);
        SAID(0, POSTED);
        SAID(0, "\"client_msg_id\":\"k\",\"ts\":\"0000000001.000000\"}}");
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
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\"}", "no_text", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"blocks\":[1]}", "invalid_blocks", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"blocks\":\"{}\"}", "invalid_blocks", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"attachments\":\"[\"}", "invalid_attachments",
     400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"client_msg_id\":\"\"}",
     "invalid_client_msg_id", 400},
    {POST_LINE, JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\",\"thread_ts\":\"1.2\"}",
     "cannot_reply_to_message", 400},
    {"GET /api/conversations.history?channel=CR9&limit=0", "", NULL, "invalid_limit", 400},
    {"GET /api/conversations.history?channel=CR9&limit=1000", "", NULL, "invalid_limit", 400},
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
    {"GET /api/conversations.invite?channel=CR9&users=U6A,UZZZ", "", NULL, "user_not_found", 404},
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
    static char body[1 << 17] = "{\"channel\":\"CR9\",\"blocks\":[{}", users[1 << 17];
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

/* ---- heads ---- */

TEST(answers_carry_ids_traces_and_scopes)
{
    struct world *w = start();
    ask(w, 0, "GET /api/auth.test",
        BEARER(
            ADA_TOKEN) "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        NULL);
    SAID(0, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-");
    NOT_SAID(0, "b7ad6b7169203331");
    SAID(0, "X-Request-Id: ");
    SAID(0, "X-OAuth-Scopes: chat:write,channels:read");
    SAID(0, "Cache-Control: private, no-store");
    SAID(0, "X-Content-Type-Options: nosniff");
    SAID(0, "Access-Control-Allow-Origin: *");
    SAID(0, "Date: Tue, 14 Nov 2023 22:13:20 GMT");
    SAID(0, "\"url\":\"http://chat.test/\"");
    ask(w, 0, "GET /api/auth.test", BEARER(BOT_TOKEN) "traceparent: 00-0-0-0\r\n", NULL);
    SAID(0, "\"bot_id\":\"B9D\"");
    SAID(0, "traceparent: 00-");
    world_free(w);
}

TEST(only_configured_proxies_are_believed)
{
    for (int trusted = 0; trusted < 2; trusted++) {
        struct world *w = world_new();
        strcpy(w->conf.server_trusted_proxies, trusted ? "::1, 10.0.0.0/24" : "10.0.1.0/24,::/128");
        world_start(w);
        open_conn(w, 0);
        ask(w, 0, "GET /api/auth.test", BEARER(ADA_TOKEN) "X-Forwarded-Proto: https\r\n", NULL);
        SAID(0, trusted ? "\"url\":\"https://chat.test/\"" : "\"url\":\"http://chat.test/\"");
        world_free(w);
    }
}

/* ---- methods ---- */

TEST(a_known_key_is_answered_with_what_is_stored)
{
    struct world *w = start();
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"channel\":\"general\",\"text\":\"again\",\"client_msg_id\":\"k\"}");
    struct cell c = take(w, A_CHAN);
    post_of(&c)->ts_us = 7000000;
    reply(w, A_CHAN, c, ERR_OK, CHAN_F_DUPLICATE);
    c = take(w, A_HIST);
    struct hist_message *m = c.u.p;
    CHECK_EQ(c.type, HIST_MESSAGE);
    CHECK_EQ(m->ts_us, 7000000);
    buf_put(&m->out, "{\"text\":\"first\"}", 16);
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"ts\":\"0000000007.000000\",\"message\":{\"text\":\"first\"}}");
    world_free(w);
}

TEST(history_pages_by_its_cursor)
{
    struct world *w = start();
    ask(w, 0, "GET /api/conversations.history?channel=CR9&inclusive=1&latest=9.000000",
        BEARER(ADA_TOKEN), NULL);
    struct cell c = take(w, A_HIST);
    struct hist_history *m = c.u.p;
    CHECK_EQ(m->limit, 100);
    CHECK_EQ(m->latest_us, 9000000);
    CHECK(m->inclusive);
    buf_put(&m->out, "{\"ts\":\"a\"},{\"ts\":\"b\"}", 21);
    m->has_more = true;
    m->next_us = 5000000;
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"messages\":[{\"ts\":\"a\"},{\"ts\":\"b\"}],\"has_more\":true");
    SAID(0, "\"next_cursor\":\"bmV4dF90czo1MDAwMDAw\"");
    ask(w, 0, "GET /api/conversations.history?channel=CR9&inclusive=1&cursor=bmV4dF90czo1MDAwMDAw",
        BEARER(BOT_TOKEN), NULL);
    c = take(w, A_HIST);
    m = c.u.p;
    CHECK_EQ(m->latest_us, 4999999);
    CHECK(m->viewer.is_bot);
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"messages\":[],\"has_more\":false");
    SAID(0, "\"next_cursor\":\"\"");
    world_free(w);
}

TEST(joins_leaves_and_invitations_say_what_was_so_already)
{
    struct world *w = start();
    ask(w, 0, "POST /api/conversations.join", BEARER(ADA_TOKEN) FORM_TYPE, "channel=CR9");
    struct cell c = take(w, A_CHAN);
    struct chan_member_change *m = c.u.p;
    CHECK_EQ(c.type, CHAN_JOIN);
    m->already = true;
    m->info = (struct row_chan_info){.cid = CID, .team = TEAM, .name = SV("general")};
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"warning\":\"already_in_channel\"");
    SAID(0, "\"is_member\":true");
    ask(w, 0, "POST /api/conversations.leave", BEARER(ADA_TOKEN) FORM_TYPE, "channel=CR9");
    c = take(w, A_CHAN);
    m = c.u.p;
    m->already = true;
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"ok\":true,\"not_in_channel\":true}");
    ask(w, 0, "POST /api/conversations.invite", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"channel\":\"CR9\",\"users\":[\"U6A\",\"UZZZ\",\"U6B\",\"U6A\"],\"force\":true}");
    c = take(w, A_CHAN);
    m = c.u.p;
    CHECK_EQ(m->users_len, 2);
    CHECK_EQ(m->users[0], BOB);
    CHECK_EQ(m->users[1], BOT);
    m->user_errs[1] = ERR_ALREADY_IN_CHANNEL;
    m->info = (struct row_chan_info){.cid = CID, .team = TEAM, .name = SV("general")};
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"ok\":true,\"channel\":{");
    SAID(0, "\"errors\":[{\"user\":\"UZZZ\",\"ok\":false,\"error\":\"user_not_found\"},"
            "{\"user\":\"U6B\",\"ok\":false,\"error\":\"already_in_channel\"}]");
    world_free(w);
}

TEST(people_and_the_workspace)
{
    struct world *w = start();
    ask(w, 0, "GET /api/users.list?limit=2", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"name\":\"ada\"");
    SAID(0, "\"email\":\"a@x.y\"");
    SAID(0, "\"name\":\"bob\"");
    NOT_SAID(0, "parrot");
    SAID(0, "\"next_cursor\":\"dXNlcjoyMDI=\"");
    ask(w, 0, "GET /api/users.list?limit=2&cursor=dXNlcjoyMDI%3D", BEARER(ADA_TOKEN), NULL);
    SAID(0, "parrot");
    NOT_SAID(0, "\"name\":\"ada\"");
    SAID(0, "\"next_cursor\":\"\"");
    ask(w, 0, "GET /api/users.info?user=U6B", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"is_bot\":true");
    ask(w, 0, "GET /api/team.info", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"domain\":\"demo\"");
    world_free(w);
}

/* Slack's user objects have these, never empty; clients compute with them or fetch them. */
TEST(users_have_a_time_zone_and_a_picture)
{
    struct world *w = start();
    char color[16], line[64];
    ask(w, 0, "GET /api/users.info?user=U69", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"tz\":\"UTC\",\"tz_label\":\"Coordinated Universal Time\",\"tz_offset\":0");
    const char *at = strstr(said(w, 0), "\"color\":\"");
    CHECK(at != NULL);
    snprintf(color, sizeof color, "%.6s", at + 9);
    snprintf(line, sizeof line, "\"avatar_hash\":\"%s\"", color);
    SAID(0, line);
    static const int sizes[] = {24, 32, 48, 72, 192, 512};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        snprintf(line, sizeof line, "\"image_%d\":\"http://chat.test/avatar/%s.png\"", sizes[i],
                 color);
        SAID(0, line);
    }
    ask(w, 0, "GET /avatar/0a64ff.png", "", NULL);
    SAID(0, "HTTP/1.1 200 ");
    SAID(0, "Content-Type: image/png\r\n");
    SAID(0, "Cache-Control: public");
    SAID(0, "Content-Length: 72\r\n");
    NOT_SAID(0, "no-store");
    NOT_SAID(0, "json");
    /* made by another encoder's rules: zlib.compress(b"\0\x0a\x64\xff", 0), zlib.crc32 */
    static const char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde"
        "\0\0\0\x0fIDAT"
        "\170\001\001\004\000\373\377\000\012\144\377\001\351\001\156\105\250\177\360"
        "\0\0\0\0IEND\xae"
        "B`\x82";
    CHECK_MEM(w->conns[0].out + w->conns[0].len - 72, png, sizeof png - 1);
    ask(w, 0, "HEAD /avatar/0a64ff.png", "", NULL);
    SAID(0, "Content-Length: 72\r\n");
    CHECK(strstr(said(w, 0), "\r\n\r\n")[4] == '\0');
    ask(w, 0, "GET /avatar/0A64FF.png", "", NULL);
    SAID(0, "HTTP/1.1 404 ");
    ask(w, 0, "GET /avatar/0a64ff.png/..", "", NULL);
    SAID(0, "HTTP/1.1 404 ");
    ask(w, 0, "POST /avatar/0a64ff.png", "", "");
    SAID(0, "HTTP/1.1 405 ");
    SAID(0, "Allow: GET, HEAD\r\n");
    world_free(w);
}

TEST(api_test_echoes_all_but_the_token)
{
    struct world *w = start();
    ask(w, 0, "POST /api/api.test?q=1", JSON_TYPE,
        "{\"foo\":\"b\\\"ar\",\"n\":[1,2],\"token\":\"secret\"}");
    SAID(0, "{\"ok\":true,\"args\":{\"q\":\"1\",\"foo\":\"b\\\"ar\",\"n\":[1,2]}}");
    ask(w, 0, "GET /api/api.test?error=my_error", "", NULL);
    SAID(0, "HTTP/1.1 200 ");
    SAID(0, "{\"ok\":false,\"error\":\"my_error\",\"args\":{\"error\":\"my_error\"}}");
    world_free(w);
}

TEST(tickets_come_from_the_fanout_that_has_room)
{
    struct world *w = start();
    ask(w, 0, "POST /api/rtm.connect", BEARER(ADA_TOKEN), "");
    actor_id first = asked(w, A_FAN) ? A_FAN : A_FAN2, second = A_FAN + A_FAN2 - first;
    reply(w, first, take(w, first), ERR_FULL, 0);
    struct cell c = take(w, second);
    struct fan_ticket *k = c.u.p;
    CHECK_EQ(k->uid, ADA);
    CHECK(k->token_tag != 0);
    memset(k->ticket, 'a', sizeof k->ticket);
    reply(w, second, c, ERR_OK, 0);
    SAID(0, "\"url\":\"ws://chat.test/rtm/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"");
    SAID(0, "\"self\":{\"id\":\"U69\",\"name\":\"ada\"}");
    SAID(0, "Deprecation: @");
    SAID(0, "Link: <");
    ask(w, 0, "POST /api/rtm.connect", BEARER(ADA_TOKEN), "");
    reply(w, first, take(w, first), ERR_FULL, 0);
    reply(w, second, take(w, second), ERR_FULL, 0);
    SAID(0, "HTTP/1.1 503 ");
    world_free(w);
}

TEST(rtm_start_gives_the_snapshot_then_a_fresh_ticket)
{
    struct world *w = start();
    ask(w, 0, "POST /api/rtm.start", BEARER(ADA_TOKEN), "");
    struct cell c = take(w, A_HIST);
    struct hist_list *m = c.u.p;
    CHECK(m->with_unread && !m->members_only);
    buf_put(&m->out, "{\"name\":\"general\"}", 18);
    reply(w, A_HIST, c, ERR_OK, 0);
    actor_id fan = asked(w, A_FAN) ? A_FAN : A_FAN2;
    c = take(w, fan);
    memset(((struct fan_ticket *)c.u.p)->ticket, 'b', ticket_text_len);
    reply(w, fan, c, ERR_OK, 0);
    SAID(0, "\"users\":[{\"id\":\"U69\"");
    SAID(0, "\"channels\":[{\"name\":\"general\"}]");
    world_free(w);
}

TEST(a_channel_is_created_by_dir)
{
    struct world *w = start();
    ask(w, 0, "POST /api/conversations.create", BEARER(ADA_TOKEN) FORM_TYPE,
        "name=new&is_private=True");
    struct cell c = take(w, A_DIR);
    struct dir_channel_create *m = c.u.p;
    CHECK_SV(m->name, "new");
    CHECK(m->is_private);
    m->info = (struct row_chan_info){
        .cid = CID, .team = TEAM, .name = SV("new"), .kind = CHANNEL_PRIVATE};
    reply(w, A_DIR, c, ERR_OK, 0);
    SAID(0, "\"is_private\":true");
    SAID(0, "\"is_member\":true");
    ask(w, 0, "POST /api/conversations.create", BEARER(ADA_TOKEN) FORM_TYPE, "name=new");
    reply(w, A_DIR, take(w, A_DIR), ERR_NAME_TAKEN, 0);
    SAID(0, "\"error\":\"name_taken\"");
    world_free(w);
}
