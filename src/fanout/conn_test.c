/* Tickets, hello, revocations, the drain. */
#include "fanout/fake_world.h"

/* ---- tickets ---- */

TEST(a_ticket_opens_one_socket_once)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK_EQ(fan_ticket_index(ticket), 3);
    CHECK_MEM(ticket, "03", 2);
    adopt(0, ticket);
    read_all(0);
    head_is(0, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Request-Id: r-1\r\n\r\n");
    adopt(1, ticket);
    CHECK_EQ(w.socks[1].closed, 1);
    CHECK_EQ(w.socks[1].how, NET_CLOSE_FLUSH);
    sent(1);
    head_is(1, "HTTP/1.1 403 Forbidden\r\n");
    CHECK(memmem(w.socks[1].wire, w.socks[1].wire_len,
                 "{\"ok\":false,\"error\":\"invalid_ticket\"}", 37) != NULL);
    CHECK_EQ(w.metrics.values[METRIC_TICKETS_REFUSED], 1);
    answer_hist(NULL, 0);
    end();
}

TEST(a_ticket_ends_with_its_time_and_makes_room)
{
    char ticket[ticket_text_len], other[ticket_text_len];
    begin(NULL);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK_EQ(issue(1, other), ERR_FULL);
    advance(29900);
    CHECK_EQ(issue(1, other), ERR_FULL);
    advance(200);
    adopt(0, ticket);
    sent(0);
    head_is(0, "HTTP/1.1 403 ");
    CHECK_EQ(issue(1, other), ERR_OK);
    other[20] = other[20] == '0' ? '1' : '0';
    adopt(1, other);
    sent(1);
    head_is(1, "HTTP/1.1 403 ");
    end();
}

TEST(a_malformed_ticket_names_no_fanout)
{
    CHECK_EQ(fan_ticket_index("0G0123456789abcdef0123456789abcdef"), actors_max);
    CHECK_EQ(fan_ticket_index("ff0123456789abcdef0123456789abcdeF"), actors_max);
    CHECK_EQ(fan_ticket_index("ff0123456789abcdef0123456789abcdef"), 255);
}

static void revoke(uint64_t tag, uint64_t uid)
{
    struct cell c = {.type = DIR_REVOKE};
    if (tag != 0)
        token_revoked[tag - 1] = true;
    c.u.u[0] = tag;
    c.u.u[1] = uid;
    give(DIR, CLASS_CONTROL, &c);
    end_turn();
}

TEST(a_revocation_ends_tickets_and_sockets_before_it_is_acknowledged)
{
    char ticket[ticket_text_len];
    struct cell c = {0};
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK(!pop(&w.ctl_dir, &c));
    revoke(1, 101);
    CHECK_EQ(w.socks[0].closed, 1); /* by the same turn that acknowledges */
    CHECK(pop(&w.ctl_dir, &c));
    CHECK_EQ(c.type, DIR_REVOKED);
    CHECK(!pop(&w.ctl_dir, &c));
    sent(0);
    check_close(0, WS_STATUS_POLICY);
    CHECK_EQ(w.socks[1].closed, 0);
    token_revoked[0] = false; /* so that only the table can refuse */
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 403 ");
    event(11, "{}", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    end();
}

TEST(a_token_revoked_on_the_way_is_refused_at_adoption)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(2, ticket), ERR_OK);
    token_revoked[1] = true;
    adopt(0, ticket);
    sent(0);
    head_is(0, "HTTP/1.1 403 ");
    end();
}

TEST(all_tokens_of_a_user)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    revoke(0, 102);
    CHECK_EQ(w.socks[0].closed, 0);
    CHECK_EQ(w.socks[1].closed, 1);
    end();
}

static void two_sockets(struct conf *c)
{
    c->ws_conns_max = 2;
}

TEST(a_full_table_says_so)
{
    char ticket[ticket_text_len];
    begin(two_sockets);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 1, NULL, 0);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 503 ");
    CHECK(memmem(w.socks[2].wire, w.socks[2].wire_len, "Retry-After: ", 13) != NULL);
    close_now(2, ERR_OK);
    close_now(0, ERR_CLOSED);
    open_socket(0, 1, NULL, 0); /* recovered */
    end();
}

/* ---- hello ---- */

TEST(hello_is_first_and_follows_the_last_subscription)
{
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(1, 2, C12, 2);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    event(11, "early", 0, 0); /* not confirmed yet: not for this socket */
    answer_hist(C12, 2);
    check_no_frame(0);
    tell(FAN_JOINED, CHAN, 12, 101); /* chan was quicker for this one */
    event(12, "held", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    answer_sub(true, 5);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"hello\"}");
    check_frame(0, WS_TEXT, "held");
    check_no_frame(0);
    end();
}

/* Opens a socket whose channels' newest messages are so much younger than its ticket. */
static void open_after(const uint64_t *cids, uint32_t n, int64_t later_us)
{
    char ticket[ticket_text_len];
    uint64_t issued_us = w.t.wall_us;
    CHECK_EQ(issue(1, ticket), ERR_OK);
    w.t.wall_us += 20000000;
    adopt(0, ticket);
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    answer_hist(cids, n);
    event(cids[0], "unheard", 0, 0); /* chan has set interest; it has not answered the socket */
    answer_sub(true, (uint64_t)((int64_t)issued_us + later_us));
    event(cids[0], "heard", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"hello\"}");
}

TEST(what_came_between_ticket_and_hello_is_to_be_fetched)
{
    uint64_t many[dropped_max + 1];
    begin(NULL);
    open_after(C12, 2, 1);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\",\"CC\"],\"all\":false}");
    check_frame(0, WS_TEXT, "heard");
    check_no_frame(0);
    close_now(0, ERR_CLOSED);
    open_after(C1, 1, -999999); /* the two clocks may differ: rather one hint too many */
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    check_frame(0, WS_TEXT, "heard");
    close_now(0, ERR_CLOSED);
    open_after(C1, 1, -1000001); /* surely older than the ticket */
    check_frame(0, WS_TEXT, "heard");
    check_no_frame(0);
    close_now(0, ERR_CLOSED);
    for (uint64_t i = 0; i <= dropped_max; i++)
        many[i] = 100 + i;
    open_after(many, dropped_max + 1, 1);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    check_frame(0, WS_TEXT, "heard");
    check_no_frame(0);
    end();
}

static void one_subscription(struct conf *c)
{
    c->ws_subscriptions_max = 2;
}

TEST(hello_says_that_channels_were_left_out)
{
    char ticket[ticket_text_len];
    struct cell c = {0};
    begin(one_subscription);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    CHECK(pop(&w.req_hist, &c));
    struct hist_memberships *m = c.u.p;
    CHECK_EQ(m->max, 2);
    m->more = true;
    outbox_credit_back(&w.out, HIST);
    give(HIST, CLASS_ANSWER, &c);
    end_turn();
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    check_frame(0, WS_TEXT, "{\"type\":\"hello\",\"channels_left_out\":true}");
    end();
}

TEST(a_socket_whose_channels_cannot_be_read_is_told_to_try_later)
{
    char ticket[ticket_text_len];
    struct cell c = {0};
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    CHECK(pop(&w.req_hist, &c));
    c.err = ERR_STORAGE_UNAVAILABLE;
    outbox_credit_back(&w.out, HIST);
    give(HIST, CLASS_ANSWER, &c);
    end_turn();
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    check_close(0, WS_STATUS_TRY_LATER);
    end();
}

TEST(a_socket_that_dies_while_it_asks_leaves_nothing)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    answer_hist(C12, 2);
    close_now(0, ERR_CLOSED);
    answer_sub(true, 0);
    CHECK_EQ(w.f->asks_out, 0);
    CHECK_EQ(w.f->subs.used, 2); /* chan's interest is taken back in a while */
    end();
}

/* ---- drain ---- */

TEST(a_drain_says_goodbye_and_waits_for_answers)
{
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    client(1, WS_TEXT, "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    CHECK_EQ(w.socks[0].closed, 0); /* not all at once */
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 503 ");
    close_now(2, ERR_OK);
    CHECK_EQ(issue(1, ticket), ERR_SERVICE_UNAVAILABLE);
    advance(1000);
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    CHECK_EQ(w.socks[0].closed, 1);
    sent(0);
    check_frame(0, WS_TEXT, "{\"type\":\"goodbye\"}");
    check_close(0, WS_STATUS_GOING_AWAY);
    close_now(0, ERR_OK);
    CHECK_EQ(w.socks[1].closed, 0); /* its message is not answered yet */
    post_answer(ERR_OK, 1700000000000001);
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    read_all(1);
    check_frame(1, WS_TEXT,
                "{\"ok\":true,\"reply_to\":9,\"ts\":\"1700000000.000001\",\"text\":\"x\"}");
    check_frame(1, WS_TEXT, "{\"type\":\"goodbye\"}");
    check_close(1, WS_STATUS_GOING_AWAY);
    close_now(1, ERR_OK);
    CHECK(fanout_actor_ops.drain(w.f, &w.t));
    end();
}

TEST(an_idle_socket_is_small)
{
    CHECK(sizeof(struct fan_conn) + sizeof(struct hot) <= 224);
}
