/* Frames from clients, and heartbeats. */
#include "fanout/fake_world.h"

/* ---- frames from clients ---- */

TEST(pings_of_both_kinds)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    client(0, WS_PING, "payload");
    client(0, WS_TEXT, "{\"id\":3,\"type\":\"ping\",\"time\":12.50,\"s\":\"a\\\"b\",\"o\":{}}");
    client(0, WS_TEXT, "{ \"kind\": \"ping\" }");
    client(0, WS_TEXT, "{\"type\":\"presence_sub\",\"ids\":[\"U1\"]}");
    client(0, WS_TEXT, "[1");
    end_turn();
    read_all(0);
    check_frame(0, WS_PONG, "payload");
    check_frame(0, WS_TEXT, "{\"type\":\"pong\",\"reply_to\":3,\"time\":12.50,\"s\":\"a\\\"b\"}");
    check_frame(0, WS_TEXT, "{\"type\":\"error\",\"error\":{\"code\":2,\"msg\":\"invalid JSON\"}}");
    check_no_frame(0);
    CHECK_EQ(w.socks[0].closed, 0);
    end();
}

/* Bytes of one frame, in two pieces. */
static void client_in_pieces(unsigned slot, enum ws_opcode opcode, const char *text, size_t cut)
{
    uint8_t bytes[512];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t len = strlen(text), n = ws_encode_client_header(bytes, opcode, true, len, mask);
    memcpy(bytes + n, text, len);
    ws_mask(bytes + n, len, mask, 0);
    fanout_net_ops.on_data(w.f, w.socks[slot].id, bytes, cut, &w.t);
    fanout_net_ops.on_data(w.f, w.socks[slot].id, bytes + cut, n + len - cut, &w.t);
}

TEST(an_idle_socket_keeps_no_buffer)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    const struct ws_decoder *d = &conn_by_net(w.f, w.socks[0].id)->ws;
    client_in_pieces(0, WS_TEXT, "{\"id\":3,\"type\":\"ping\"}", 12);
    CHECK(d->buf == NULL);
    client_in_pieces(0, WS_PING, "payload", 9);
    CHECK(d->control == NULL);
    end_turn();
    read_all(0);
    check_frame(0, WS_PONG, "payload"); /* it may pass what waits */
    check_frame(0, WS_TEXT, "{\"type\":\"pong\",\"reply_to\":3}");
    end();
}

TEST(a_message_is_answered_when_chan_answers)
{
    struct cell *c;
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT,
           "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"a & b\","
           "\"client_msg_id\":\"k1\"}");
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    CHECK_EQ(edge_peek(&w.req_chan, 1, &c), 1);
    const struct chan_post *p = c->u.p;
    CHECK_EQ(c->cid, 11);
    CHECK_EQ(p->uid, 101);
    CHECK_SV(p->client_msg_id, "k1");
    CHECK_SV(p->members, "\"type\":\"message\",\"user\":\"U35\",\"team\":\"T7\","
                         "\"client_msg_id\":\"k1\",\"text\":\"a &amp; b\"");
    post_answer(ERR_OK, 1700000000000001);
    read_all(0);
    check_frame(0, WS_TEXT,
                "{\"ok\":true,\"reply_to\":9,\"ts\":\"1700000000.000001\",\"text\":\"a &amp; b\"}");
    client(0, WS_TEXT, "{\"id\":10,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    post_answer(ERR_NOT_IN_CHANNEL, 0);
    read_all(0);
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":10,\"error\":{\"code\":403,\"msg\":\"not_in_channel\"}}");
    CHECK_EQ(slab_used(&w.f->posts), 0);
    CHECK_EQ(w.f->arenas.bytes_used, 0);
    end();
}

/* The text of a retry need not be the one that was stored. */
TEST(a_known_key_is_answered_by_its_ts_alone)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT,
           "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"other\","
           "\"client_msg_id\":\"k1\"}");
    end_turn();
    post_answer_as(ERR_OK, 1700000000000001, CHAN_F_DUPLICATE);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"ok\":true,\"reply_to\":9,\"ts\":\"1700000000.000001\"}");
    end();
}

TEST(a_message_that_cannot_be_is_told_why)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"message\",\"channel\":\"CB\"}");
    client(0, WS_TEXT, "{\"id\":2,\"type\":\"message\",\"channel\":\"B\",\"text\":\"x\"}");
    client(0, WS_TEXT,
           "{\"id\":3,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\","
           "\"client_msg_id\":\"\"}");
    client(0, WS_TEXT, "{\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    client(0, WS_TEXT,
           "{\"id\":5,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\","
           "\"thread_ts\":1700000000.000001}");
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT,
                "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":2,\"msg\":\"message text is "
                "missing\"}}");
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":2,\"error\":{\"code\":404,\"msg\":\"channel_not_found\"}}");
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":3,\"error\":{\"code\":400,\"msg\":\"invalid_client_msg_id\"}}");
    check_frame(0, WS_TEXT,
                "{\"type\":\"error\",\"error\":{\"code\":2,\"msg\":\"message id is missing\"}}");
    check_frame(0, WS_TEXT,
                "{\"ok\":false,\"reply_to\":5,\"error\":{\"code\":400,\"msg\":\"cannot_reply_to_"
                "message\"}}");
    token_revoked[0] = true;
    client(0, WS_TEXT, "{\"id\":4,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    read_all(0);
    check_close(0, WS_STATUS_POLICY);
    end();
}

static void one_a_second(struct conf *c)
{
    c->api_rate_posts_per_s = 2;
    c->ring_request_cells = 2; /* one credit, and room for one that waits */
}

TEST(rates_and_credits_bound_messages)
{
    begin(one_a_second);
    open_socket(0, 1, C1, 1);
    for (int i = 0; i < 5; i++)
        client(0, WS_TEXT, "{\"id\":1,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    read_all(0);
    for (int i = 0; i < 2; i++)
        check_frame(0, WS_TEXT,
                    "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":503,\"msg\":\"service_"
                    "unavailable\"}}");
    check_frame(0, WS_TEXT,
                "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":-1,\"msg\":\"slow down, too many "
                "messages...\"}}");
    CHECK_EQ(w.f->gate.waiting, 1);
    advance(16000); /* its time is up, although chan does not answer */
    end_turn();
    CHECK_EQ(w.f->gate.waiting, 0);
    post_answer(ERR_OK, 1700000000000001);
    end();
}

static void some_credits(struct conf *c)
{
    c->ring_request_cells = 32;
    c->ws_requests_max = 64;
}

static void window_of_two(struct conf *c)
{
    some_credits(c);
    c->api_workspace_window = 2;
}

static void say(unsigned slot, const char *channel)
{
    char text[128];
    snprintf(text, sizeof text, "{\"id\":1,\"type\":\"message\",\"channel\":\"%s\",\"text\":\"x\"}",
             channel);
    client(slot, WS_TEXT, text);
}

/* Of 31 credits a crowd in one channel has 28 at most, also of several sockets: its next frames
 * wait, those of others do not. */
TEST(one_channel_leaves_credits_to_the_frames_of_others)
{
    enum { share = 28 };
    begin(some_credits);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    for (unsigned i = 0; i < share + 8; i++)
        say(i % 2, "CB");
    CHECK_EQ(w.out.requests_out, share);
    say(1, "CC");
    CHECK_EQ(w.out.requests_out, share + 1);
    end_turn();
    for (int i = 0; i < share + 9; i++)
        post_answer(ERR_OK, 1700000000000001);
    CHECK_EQ(w.out.requests_out, 0);
    CHECK_EQ(slab_used(&w.f->posts), 0);
    end();
}

/* While another workspace posts, what is past the window waits, and leaves with its socket. */
TEST(a_workspace_leaves_commits_to_the_frames_of_another)
{
    begin(window_of_two);
    for (unsigned i = 0; i < 3; i++)
        open_socket(i, i + 1, NULL, 0);
    tokens[1].team = tokens[0].team + 1;
    say(0, "CB");
    say(1, "CC");
    end_turn();
    say(2, "CD");
    say(2, "CE");
    say(0, "CF");
    CHECK_EQ(w.out.requests_out, 3); /* two and one */
    CHECK_EQ(w.f->gate.waiting, 2);
    say(1, "CG");
    CHECK_EQ(w.out.requests_out, 4);
    close_now(2, ERR_CLOSED); /* one of its frames is out, one waits */
    post_answer(ERR_OK, 1700000000000001);
    CHECK_EQ(w.f->gate.waiting, 0);
    CHECK_EQ(w.out.requests_out, 4); /* socket 0 goes on */
    for (int i = 0; i < 4; i++)
        post_answer(ERR_OK, 1700000000000002);
    CHECK_EQ(slab_used(&w.f->posts), 0);
    end();
}

static void two_requests(struct conf *c)
{
    c->ws_requests_max = 2;
}

TEST(past_requests_max_the_socket_is_not_read)
{
    uint8_t bytes[1024];
    static const uint8_t mask[4] = {9, 9, 9, 9};
    size_t n = 0;
    begin(two_requests);
    open_socket(0, 1, C1, 1);
    for (int i = 1; i <= 5; i++) {
        char text[128];
        int len = snprintf(text, sizeof text,
                           "{\"id\":%d,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}", i);
        size_t h = ws_encode_client_header(bytes + n, WS_TEXT, true, (size_t)len, mask);
        memcpy(bytes + n + h, text, (size_t)len);
        ws_mask(bytes + n + h, (size_t)len, mask, 0);
        n += h + (size_t)len;
    }
    fanout_net_ops.on_data(w.f, w.socks[0].id, bytes, n, &w.t);
    end_turn();
    CHECK(w.socks[0].paused);
    CHECK_EQ(w.f->turn->out->requests_out, 2);
    for (int i = 1; i <= 5; i++) {
        CHECK(i > 4 || w.socks[0].paused || i == 4);
        post_answer(ERR_OK, 1700000000000000 + (uint64_t)i);
    }
    CHECK(!w.socks[0].paused);
    CHECK(conn_by_net(w.f, w.socks[0].id)->held == NULL);
    read_all(0);
    for (int i = 1; i <= 5; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 "{\"ok\":true,\"reply_to\":%d,\"ts\":\"1700000000.00000%d\",\"text\":\"x\"}", i,
                 i);
        check_frame(0, WS_TEXT, text);
    }
    end();
}

TEST(an_answer_for_a_socket_that_is_gone_frees_its_arena)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    close_now(0, ERR_CLOSED);
    CHECK_EQ(slab_used(&w.f->posts), 1);
    open_socket(0, 2, NULL, 0); /* in the same slot */
    post_answer(ERR_OK, 1);
    CHECK_EQ(slab_used(&w.f->posts), 0);
    CHECK_EQ(w.socks[0].iov_len, 0);
    CHECK_EQ(conn_by_net(w.f, w.socks[0].id)->requests_out, 0);
    end();
}

TEST(unread_pongs_stop_the_reading)
{
    begin(small_queues);
    open_socket(0, 1, NULL, 0);
    for (int i = 0; i < 100 && !w.socks[0].paused; i++)
        client(0, WS_PING, "01234567890123456789012345678901234567890123456789");
    end_turn();
    CHECK(w.socks[0].paused);
    CHECK(queue_bytes(conn_by_net(w.f, w.socks[0].id)) <= 1024 + 52);
    read_all(0);
    CHECK(!w.socks[0].paused);
    end();
}

TEST(typing_goes_to_the_chan_of_a_subscriber)
{
    struct cell c = {0};
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"typing\",\"channel\":\"CC\"}");
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"typing\",\"channel\":\"CB\"}");
    end_turn();
    CHECK(pop(&w.ev_chan, &c));
    CHECK_EQ(c.type, CHAN_TYPING);
    CHECK_EQ(c.cid, 11);
    CHECK_EQ(c.u.u[0], 101);
    CHECK_EQ(c.u.u[1], 7);
    CHECK(!pop(&w.ev_chan, &c));
    end();
}

TEST(protocol_errors_end_the_socket_with_their_code)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 1, C1, 1);
    open_socket(2, 1, C1, 1);
    client(0, WS_BINARY, "x");
    uint8_t unmasked[] = {0x81, 1, 'x'};
    fanout_net_ops.on_data(w.f, w.socks[1].id, unmasked, sizeof unmasked, &w.t);
    client(2, WS_CLOSE, "\x0f\xa0"); /* 4000 */
    event(11, "not any more", 0, 0);
    end_turn();
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(w.socks[i].closed, 1);
        CHECK_EQ(w.socks[i].how, NET_CLOSE_FLUSH);
        sent(i);
    }
    check_close(0, WS_STATUS_UNSUPPORTED);
    check_close(1, WS_STATUS_PROTOCOL);
    check_close(2, 4000);
    CHECK_EQ(w.metrics.values[METRIC_WS_PROTOCOL_ERRORS], 1);
    end();
}

/* ---- heartbeats ---- */

/* Between two visits lies the time of a ping, however few sockets there may be. */
TEST(a_pong_has_time_to_come)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    uint64_t opened_us = w.t.mono_us;
    while (!w.socks[0].closed) {
        advance(100);
        if (w.socks[0].iov_len > 0)
            read_all(0);
        CHECK(w.t.mono_us - opened_us < 101000000);
    }
    CHECK(w.t.mono_us - opened_us > 66000000);
    CHECK_EQ(w.metrics.values[METRIC_WS_DEAD_CLOSED], 1);
    end();
}

TEST(idle_sockets_are_pinged_and_dead_ones_closed)
{
    uint64_t pings = 0;
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    for (int s = 0; s < 110; s++) {
        advance(1000);
        read_all(0);
        if (w.socks[0].closed && w.socks[0].id != 0)
            close_now(0, ERR_OK);
        if (w.socks[1].iov_len > 0) {
            read_all(1);
            check_frame(1, WS_PING, "");
            client(1, WS_PONG, "");
            pings++;
        }
    }
    CHECK_EQ(w.socks[0].id, 0);
    CHECK_EQ(w.metrics.values[METRIC_WS_DEAD_CLOSED], 1);
    CHECK(pings >= 4 && pings <= 5);
    CHECK_EQ(w.socks[1].closed, 0);
    end();
}
