/* Who may ask, and how often: tokens, their rates, addresses. */
#include "api/internal.h"
#include "api/test_world.h"

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
