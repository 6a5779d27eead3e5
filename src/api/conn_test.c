/* The connection: order, deadlines, ends, the hand-over. */
#include "api/test_world.h"

TEST(answers_leave_in_order_and_together)
{
    struct world *w = world_new();
    char text[4096];
    world_start(w);
    open_conn(w, 0);
    pipeline(text, sizeof text, 3);
    feed(w, 0, text);
    struct cell a = take(w, A_CHAN), b = take(w, A_CHAN), c = take(w, A_CHAN);
    posted(w, c, 3000000);
    posted(w, b, 2000000);
    CHECK_EQ(w->conns[0].sends, 0);
    posted(w, a, 1000000);
    CHECK_EQ(w->conns[0].sends, 1);
    const char *one = strstr(said(w, 0), "\"text\":\"m0\""),
               *two = strstr(said(w, 0), "\"text\":\"m1\""),
               *three = strstr(said(w, 0), "\"text\":\"m2\"");
    CHECK(one != NULL && two != NULL && three != NULL && one < two && two < three);
    SAID(0, "\"ts\":\"0000000001.000000\"");
    sent(w, 0);
    CHECK(!w->conns[0].closed && !w->conns[0].paused);
    world_free(w);
}

TEST(past_the_pipeline_bound_the_socket_is_not_read)
{
    struct world *w = world_new();
    char text[8192];
    w->conf.http_pipeline_max = 2;
    world_start(w);
    open_conn(w, 0);
    pipeline(text, sizeof text, 5);
    feed(w, 0, text);
    struct cell a = take(w, A_CHAN), b = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(w->conns[0].paused);
    posted(w, a, 1000000);
    CHECK(!asked(w, A_CHAN)); /* its place is free once its answer is sent */
    sent(w, 0);
    struct cell c = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    posted(w, b, 2000000);
    sent(w, 0);
    struct cell d = take(w, A_CHAN);
    posted(w, c, 3000000);
    sent(w, 0);
    posted(w, d, 4000000);
    sent(w, 0);
    posted(w, take(w, A_CHAN), 5000000);
    sent(w, 0);
    CHECK(!w->conns[0].paused);
    SAID(0, "m4");
    world_free(w);
}

TEST(every_split_of_the_bytes_gives_the_same)
{
    struct world *w = world_new();
    char text[4096];
    world_start(w);
    open_conn(w, 0);
    pipeline(text, sizeof text, 2);
    for (size_t i = 0; i < strlen(text); i++)
        feed_bytes(w, 0, text + i, 1);
    posted(w, take(w, A_CHAN), 1000000);
    sent(w, 0);
    posted(w, take(w, A_CHAN), 2000000);
    SAID(0, "m0");
    SAID(0, "m1");
    world_free(w);
}

TEST(a_client_that_left_is_answered_to_nobody)
{
    struct world *w = world_new();
    w->conf.ring_request_cells = 2;
    world_start(w);
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    open_conn(w, 0);
    open_conn(w, 1);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    struct cell c = take(w, A_CHAN);
    leave(w, 0);
    leave(w, 1); /* parked: never sent */
    open_conn(w, 0);
    posted(w, c, 1000000);
    CHECK(!asked(w, A_CHAN));
    CHECK_EQ(w->conns[0].len, 0);
    ask(w, 0, "GET /api/api.test", "", NULL);
    SAID(0, "\"ok\":true");
    sent(w, 0);
    leave(w, 0);
    CHECK(acceptor_actor_ops.drain(w->a, &w->t)); /* nothing was left behind */
    world_free(w);
}

TEST(slow_heads_bodies_and_idlers_are_ended)
{
    struct world *w = world_new();
    w->conf.http_head_timeout_ms = 1000;
    w->conf.http_body_timeout_ms = 2000;
    w->conf.http_idle_timeout_ms = 5000;
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    open_conn(w, 2);
    feed(w, 0, "GET /api/api.t");
    feed(w, 1, POST_LINE " HTTP/1.1\r\nHost: h\r\n" JSON_TYPE "Content-Length: 9\r\n\r\n{");
    pass_ms(w, 900);
    feed(w, 0, "est HTTP/1.1\r\n"); /* a byte now and then wins nothing */
    CHECK_EQ(w->conns[0].len, 0);
    pass_ms(w, 300);
    SAID(0, "HTTP/1.1 408 ");
    SAID(0, "request_timeout");
    SAID(0, "Connection: close");
    sent(w, 0);
    CHECK(w->conns[0].closed && !w->conns[0].reset);
    CHECK_EQ(w->conns[1].len, 0);
    pass_ms(w, 1000);
    SAID(1, "HTTP/1.1 408 ");
    CHECK(!w->conns[2].closed);
    pass_ms(w, 3000);
    CHECK(w->conns[2].closed);
    CHECK_EQ(w->conns[2].len, 0);
    world_free(w);
}

/* Some old clients send an empty line behind a body: that begins no request. */
TEST(empty_lines_are_idleness)
{
    struct world *w = world_new();
    w->conf.http_head_timeout_ms = 1000;
    w->conf.http_idle_timeout_ms = 5000;
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=x");
    feed(w, 0, "\r\n");
    struct cell c = take(w, A_CHAN);
    pass_ms(w, 6000); /* a slow disk */
    CHECK(!w->conns[0].closed);
    posted(w, c, 1000000);
    SAID(0, "\"ok\":true");
    sent(w, 0);
    forget(w, 0);
    pass_ms(w, 2000);
    CHECK(!w->conns[0].closed);
    feed(w, 0, "GET /api/api.test HTTP/1.1\r\n");
    pass_ms(w, 900);
    CHECK_EQ(w->conns[0].len, 0); /* its time runs from its first byte */
    feed(w, 0, "Host: h\r\n\r\n");
    SAID(0, "HTTP/1.1 200 ");
    sent(w, 0);
    feed(w, 0, "\r\n");
    pass_ms(w, 5100);
    CHECK(w->conns[0].closed);
    world_free(w);
}

TEST(bytes_that_are_no_request_end_the_connection)
{
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    feed(w, 0,
         "POST /api/chat.postMessage HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE
         "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" POST_LINE
         " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE
         "Content-Length: 33\r\n\r\n{\"channel\":\"general\",\"text\":\"no\"}");
    SAID(0, "HTTP/1.1 400 ");
    SAID(0, "Connection: close");
    CHECK(!asked(w, A_CHAN));
    feed(w, 0, "GET /api/api.test HTTP/1.1\r\nHost: h\r\n\r\n");
    sent(w, 0);
    CHECK_EQ(w->conns[0].sends, 1);
    CHECK(w->conns[0].closed);
    open_conn(w, 1);
    feed(w, 1, POST_LINE " HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    SAID(1, "HTTP/1.1 413 "); /* on the declaration */
    world_free(w);
}

TEST(continue_is_said_only_to_what_is_welcome)
{
    struct world *w = world_new();
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    char head[512];
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    snprintf(head, sizeof head,
             POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE
             "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    feed(w, 0, head);
    CHECK_STR(said(w, 0), "HTTP/1.1 100 Continue\r\n\r\n");
    feed(w, 0, body);
    sent(w, 0);
    forget(w, 0);
    posted(w, take(w, A_CHAN), 1000000);
    SAID(0, "HTTP/1.1 200 OK");
    feed(w, 1,
         POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER("nope") JSON_TYPE
         "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    SAID(1, "invalid_auth");
    NOT_SAID(1, "100 Continue");
    SAID(1, "Connection: close");
    world_free(w);
}

TEST(keep_alive_is_as_the_version_says)
{
    struct world *w = world_new();
    world_start(w);
    for (conn_id c = 0; c < 4; c++)
        open_conn(w, c);
    feed(w, 0, "GET /api/api.test HTTP/1.0\r\n\r\n");
    SAID(0, "Connection: close");
    sent(w, 0);
    CHECK(w->conns[0].closed);
    feed(w, 1, "GET /api/api.test HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    SAID(1, "Connection: keep-alive");
    sent(w, 1);
    CHECK(!w->conns[1].closed);
    ask(w, 2, "GET /api/api.test", "Connection: close\r\n", NULL);
    SAID(2, "Connection: close");
    ask(w, 3, "HEAD /api/api.test", "", NULL);
    SAID(3, "HTTP/1.1 405 ");
    SAID(3, "Allow: GET, POST, OPTIONS");
    NOT_SAID(3, "{");
    world_free(w);
}

/* A client may end its side as soon as it has asked (nc -N, some pools): it still gets its answers.
 */
TEST(who_has_ended_is_answered_then_closed)
{
    struct world *w = world_new();
    char text[4096];
    w->conf.http_pipeline_max = 1;
    world_start(w);
    open_conn(w, 0);
    pipeline(text, sizeof text, 2);
    acceptor_net_ops.on_data(w->a, 0, (uint8_t *)text, strlen(text), &w->t);
    feed_end(w, 0); /* in the same turn; the second request waits for its place */
    struct cell a = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    posted(w, a, 1000000);
    NOT_SAID(0, "Connection: close");
    sent(w, 0);
    CHECK(!w->conns[0].closed);
    posted(w, take(w, A_CHAN), 2000000);
    SAID(0, "m1");
    SAID(0, "Connection: close");
    sent(w, 0);
    CHECK(w->conns[0].closed && !w->conns[0].reset);
    for (conn_id c = 1; c < 5; c++)
        open_conn(w, c);
    feed_end(w, 1);
    CHECK(w->conns[1].closed && !w->conns[1].reset);
    feed(w, 2, "POST /api/api.test HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{");
    feed_end(w, 2); /* half a request is none */
    SAID(2, "HTTP/1.1 408 ");
    sent(w, 2);
    CHECK(w->conns[2].closed);
    ask(w, 3, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=x");
    feed_end(w, 3);
    a = take(w, A_CHAN);
    leave(w, 3); /* gone for good meanwhile */
    posted(w, a, 3000000);
    ask(w, 4, "GET /api/api.test", "", NULL);
    feed(w, 4, "\r\n"); /* an empty line behind a request begins nothing */
    feed_end(w, 4);
    sent(w, 4);
    CHECK(w->conns[4].closed);
    CHECK_EQ(w->conns[4].sends, 1);
    world_free(w);
}

#define TICKET "00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define WS_FIELDS                                                                                  \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

TEST(the_hand_over_waits_for_what_came_before)
{
    struct world *w = world_new();
    char text[4096];
    world_start(w);
    open_conn(w, 0);
    pipeline(text, sizeof text, 1);
    strcat(text, "GET /rtm/" TICKET " HTTP/1.1\r\nHost: h\r\n" WS_FIELDS "\r\nleft");
    feed(w, 0, text);
    CHECK(w->adopted == NULL);
    CHECK(w->conns[0].paused);
    posted(w, take(w, A_CHAN), 1000000);
    CHECK(w->adopted == NULL);
    sent(w, 0);
    CHECK(w->adopted != NULL && w->conns[0].gone);
    CHECK_EQ(w->adopted_by, A_FAN);
    CHECK_EQ(w->adopted->leftover_len, 4);
    CHECK_MEM(w->adopted->leftover, "left", 4);
    const struct fan_upgrade *u = w->adopted->owner_data;
    CHECK_MEM(u->ticket, TICKET, ticket_text_len);
    CHECK_MEM(u->accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
    CHECK_EQ(strlen(u->request_id), 32);
    free(w->adopted->leftover);
    free(w->adopted->owner_data);
    free(w->adopted);
    world_free(w);
}

TEST(upgrades_that_cannot_be_are_refused_here)
{
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, "GET /rtm/" TICKET, "", NULL);
    SAID(0, "HTTP/1.1 426 ");
    SAID(0, "Connection: Upgrade\r\n"); /* RFC 9110 7.8: it goes with the field */
    SAID(0, "Sec-WebSocket-Version: 13");
    ask(w, 0, "GET /rtm/short", WS_FIELDS, NULL);
    SAID(0, "HTTP/1.1 403 ");
    SAID(0, "invalid_ticket");
    ask(w, 0, "GET /rtm/07aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", WS_FIELDS, NULL);
    SAID(0, "invalid_ticket");
    ask(w, 0, "POST /rtm/" TICKET, WS_FIELDS, NULL);
    SAID(0, "HTTP/1.1 405 ");
    SAID(0, "Allow: GET\r\n");
    CHECK(w->adopted == NULL);
    world_free(w);
}

TEST(draining_ends_the_idle_and_finishes_the_rest)
{
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, "{\"channel\":\"general\",\"text\":\"x\"}");
    struct cell c = take(w, A_CHAN);
    CHECK(!acceptor_actor_ops.drain(w->a, &w->t));
    end_turn(w);
    CHECK(w->accept_paused);
    CHECK(w->conns[0].closed && !w->conns[1].closed);
    leave(w, 0);
    CHECK(!acceptor_actor_ops.drain(w->a, &w->t));
    posted(w, c, 1000000);
    SAID(1, "\"ok\":true");
    SAID(1, "Connection: close");
    sent(w, 1);
    CHECK(w->conns[1].closed);
    leave(w, 1);
    CHECK(acceptor_actor_ops.drain(w->a, &w->t));
    world_free(w);
}

TEST(draining_does_not_wait_for_slow_clients)
{
    struct world *w = world_new();
    w->conf.server_drain_ms = 10000;
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    feed(w, 0,
         POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE
         "Content-Length: 33\r\n\r\n{\"channel\":");
    ask(w, 1, "GET /api/api.test", "", NULL); /* whose answer it does not read */
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    pass_ms(w, 1900);
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    CHECK_EQ(w->conns[0].len, 0);
    CHECK(!w->conns[1].closed);
    pass_ms(w, 200);
    acceptor_actor_ops.drain(w->a, &w->t);
    end_turn(w);
    SAID(0, "HTTP/1.1 503 ");
    SAID(0, "Connection: close");
    CHECK(w->conns[1].closed && w->conns[1].reset);
    leave(w, 1);
    sent(w, 0);
    CHECK(w->conns[0].closed);
    leave(w, 0);
    CHECK(acceptor_actor_ops.drain(w->a, &w->t));
    world_free(w);
}

/* What readers write is bounded too: a list that came when memory was out gives it back. */
TEST(long_lists_are_refused_when_memory_is_out)
{
    struct world *w = world_new();
    w->conf.http_arenas_bytes_max = 16 << 20;
    world_start(w);
    struct cell cells[2];
    for (conn_id c = 0; c < 2; c++) {
        open_conn(w, c);
        ask(w, c, "GET /api/conversations.history?channel=CR9", BEARER(ADA_TOKEN), NULL);
        cells[c] = take(w, A_HIST);
        struct buf *out = &((struct hist_history *)cells[c].u.p)->out;
        CHECK(buf_reserve(out, 13 << 20));
        memset(out->p + out->len, ' ', 1 << 20); /* behind what the answer begins with */
        out->len += 1 << 20;
    }
    reply(w, A_HIST, cells[0], ERR_OK, 0);
    SAID(0, "\"ok\":true");
    reply(w, A_HIST, cells[1], ERR_OK, 0);
    SAID(1, "HTTP/1.1 503 ");
    SAID(1, "Connection: close");
    sent(w, 1);
    CHECK(w->conns[1].closed);
    sent(w, 0);
    ask(w, 0, "GET /api/api.test", "", NULL);
    SAID(0, "HTTP/1.1 200 ");
    world_free(w);
}

TEST(no_memory_for_a_request_is_503_and_then_recovery)
{
    struct world *w = world_new();
    w->conf.http_arenas_bytes_max = 65536; /* four requests */
    w->conf.http_pipeline_max = 16;
    world_start(w);
    char text[8192];
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    for (conn_id c = 0; c < 2; c++)
        open_conn(w, c);
    pipeline(text, sizeof text, 5);
    feed(w, 0, text);
    struct cell cells[4];
    for (int i = 0; i < 4; i++)
        cells[i] = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(w->conns[0].paused); /* its fifth waits for its first four */
    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    SAID(1, "HTTP/1.1 503 ");
    SAID(1, "Retry-After: ");
    sent(w, 1);
    CHECK(w->conns[1].closed);
    for (int i = 0; i < 4; i++)
        posted(w, cells[i], 1000000);
    while (w->conns[0].sending)
        sent(w, 0);
    posted(w, take(w, A_CHAN), 5000000);
    SAID(0, "m4");
    world_free(w);
}
