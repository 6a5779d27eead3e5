/* Events to sockets: scope, coalescing, bounds, memberships that change. */
#include "fanout/fake_world.h"

/* ---- delivery ---- */

TEST(events_reach_members_but_who_is_left_out)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    open_socket(2, 3, C2, 1);
    event(11, "a", 101, 0);
    event(12, "b", 0, 0);
    end_turn();
    read_all(1);
    read_all(2);
    check_no_frame(0);
    check_frame(1, WS_TEXT, "a");
    check_frame(2, WS_TEXT, "b");
    frames_come_home();
    CHECK_EQ(w.frames.out, 0);
    struct cell c = {.type = FAN_EVENT};
    c.u.u[0] = (uintptr_t)make_frame("user", 0);
    c.u.u[1] = 102;
    give(CHAN, CLASS_EVENT, &c);
    c.u.u[0] = (uintptr_t)make_frame("team", 0);
    c.u.u[1] = 0;
    c.u.u[2] = 7;
    c.u.u[3] = 103;
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
    for (unsigned i = 0; i < 3; i++)
        read_all(i);
    check_frame(0, WS_TEXT, "team");
    check_frame(1, WS_TEXT, "user");
    check_frame(1, WS_TEXT, "team");
    check_no_frame(2);
    end();
}

TEST(what_gathers_behind_a_send_goes_in_the_next)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    event(11, "0", 0, 0);
    end_turn();
    for (int i = 0; i < 30; i++) {
        event(11, "x", 0, 0);
        end_turn();
    }
    CHECK_EQ(w.socks[0].sends, 1);
    sent(0);
    CHECK_EQ(w.socks[0].sends, 2);
    CHECK_EQ(w.socks[0].iov_len, 30);
    sent(0);
    CHECK_EQ(w.socks[0].sends, 2);
    CHECK(conn_by_net(w.f, w.socks[0].id)->q == NULL); /* nothing is kept for an idle socket */
    end();
}

TEST(one_event_of_many_in_a_turn_is_one_send_a_socket)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    for (int i = 0; i < 10; i++)
        event(11, "x", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].sends, 1);
    CHECK_EQ(w.socks[0].iov_len, 10);
    CHECK_EQ(w.socks[1].sends, 1);
    end();
}

TEST(a_frame_comes_home_once_also_when_its_sockets_die)
{
    struct cell c = {0};
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    event(11, "in flight", 0, 0);
    end_turn();
    event(11, "queued", 0, 0);
    end_turn();
    CHECK(!pop(&w.ans_chan, &c));
    close_now(0, ERR_IO);
    CHECK(!pop(&w.ans_chan, &c));
    read_all(1);
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    CHECK(!pop(&w.ans_chan, &c));
    event(99, "for nobody", 0, 0);
    end_turn();
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    end();
}

static const char *big(void)
{
    static char text[501];
    memset(text, 'x', 500);
    return text;
}

TEST(a_slow_reader_loses_typing_then_events_and_is_told_once)
{
    begin(small_queues);
    open_socket(0, 1, C12, 2);
    open_socket(1, 2, C12, 2);
    for (int i = 0; i < 3; i++) {
        event(11, big(), 0, 0);
        end_turn();
        read_all(1);
    }
    event(11, "typing", 0, FAN_TYPING); /* over the soft bound of socket 0 only */
    event(11, big(), 0, 0);
    event(11, big(), 0, 0); /* over the hard bound */
    event(12, big(), 0, 0);
    event(11, "small", 0, 0); /* would fit, but its channel has lost one before it */
    event(12, "late", 0, 0);
    end_turn();
    CHECK_EQ(w.metrics.values[METRIC_EVENTS_DROPPED], 4);
    read_all(1);
    for (int i = 0; i < 3; i++)
        check_frame(1, WS_TEXT, big());
    check_frame(1, WS_TEXT, "typing"); /* the neighbour is unharmed */
    for (int i = 0; i < 3; i++)
        check_frame(1, WS_TEXT, big());
    check_frame(1, WS_TEXT, "small");
    check_frame(1, WS_TEXT, "late");
    read_all(0);
    for (int i = 0; i < 4; i++)
        check_frame(0, WS_TEXT, big());
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\",\"CC\"],\"all\":false}");
    check_no_frame(0);
    event(11, "again", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "again");
    end();
}

TEST(a_socket_that_is_never_quite_idle_gets_its_hint)
{
    begin(small_queues);
    open_socket(0, 1, C12, 2);
    for (int i = 0; i < 6; i++) {
        event(11, big(), 0, 0);
        end_turn();
    }
    CHECK_EQ(w.metrics.values[METRIC_EVENTS_DROPPED], 2);
    for (int i = 0; i < 4; i++) { /* the neighbour channel says something in every turn */
        event(12, "busy", 0, 0);
        sent(0);
    }
    event(11, "again", 0, 0);
    end_turn();
    read_all(0);
    for (int i = 0; i < 4; i++)
        check_frame(0, WS_TEXT, big());
    check_frame(0, WS_TEXT, "busy");
    check_frame(0, WS_TEXT, "busy");
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    check_frame(0, WS_TEXT, "busy");
    check_frame(0, WS_TEXT, "busy");
    check_frame(0, WS_TEXT, "again");
    check_no_frame(0);
    end();
}

TEST(a_long_queue_that_loses_its_events_keeps_replies_and_what_is_sent)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    struct fan_conn *c = conn_by_net(w.f, w.socks[0].id);
    event(11, "in flight", 0, 0);
    end_turn();
    for (int i = 0; i < 40; i++) {
        event(11, "lost", 0, 0);
        if (i % 10 == 0)
            queue_text(w.f, c, false, SV("reply"));
    }
    queue_drop_events(w.f, c, true);
    CHECK_EQ(w.f->chunks.used, 1);
    read_all(0);
    check_frame(0, WS_TEXT, "in flight");
    for (int i = 0; i < 4; i++)
        check_frame(0, WS_TEXT, "reply");
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    check_no_frame(0);
    end();
}

static void tiny_total(struct conf *c)
{
    c->ws_queue_total_bytes = 8192;
}

TEST(past_the_total_the_largest_queue_sheds)
{
    begin(tiny_total);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C12, 2);
    open_socket(2, 2, C2, 1);
    event(12, "first", 0, 0);
    event(11, "first", 0, 0);
    end_turn();
    read_all(1); /* socket 1 and 2 read, 0 does not */
    read_all(2);
    event(12, "kept", 0, 0);
    end_turn();
    event(12, "kept too", 0, 0);
    end_turn();
    for (int i = 0; i < 9; i++) {
        event(11, big(), 0, 0);
        w.t.mono_us++;
    }
    while (w.socks[1].iov_len > 0)
        sent(1);
    for (int i = 0; i < 10; i++) {
        event(11, big(), 0, 0);
        end_turn();
        w.t.mono_us++;
        read_all(1);
    }
    CHECK(w.f->queued_bytes <= 8192);
    CHECK(w.metrics.values[METRIC_EVENTS_DROPPED] > 0);
    read_all(0);
    read_all(2);
    check_frame(0, WS_TEXT, "first");
    check_frame(2, WS_TEXT, "first");
    check_frame(2, WS_TEXT, "kept");
    check_frame(2, WS_TEXT, "kept too"); /* small: untouched */
    check_no_frame(2);
    uint8_t opcode;
    struct str_view payload = SV_NONE;
    while (frame(0, &opcode, &payload))
        continue;
    CHECK_SV(payload, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    end();
}

TEST(a_socket_that_takes_nothing_is_reset)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    event(11, "x", 0, 0);
    end_turn();
    advance(29000);
    CHECK_EQ(w.socks[0].closed, 0);
    advance(2500);
    CHECK_EQ(w.socks[0].closed, 1);
    CHECK_EQ(w.socks[0].how, NET_CLOSE_RESET);
    CHECK_EQ(w.metrics.values[METRIC_WS_SLOW_CLOSED], 1);
    end();
}

/* Whoever sees it first, it counts once: net's write timeout gives the send back, then the socket.
 */
TEST(a_socket_that_net_finds_stuck_counts_too)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    event(11, "x", 0, 0);
    end_turn();
    w.t.mono_us += 30000000;
    fanout_net_ops.on_sent(w.f, w.socks[0].id, ERR_IO, &w.t);
    close_now(0, ERR_IO);
    CHECK_EQ(w.metrics.values[METRIC_WS_SLOW_CLOSED], 1);
    open_socket(1, 2, C1, 1);
    event(11, "y", 0, 0);
    end_turn();
    fanout_net_ops.on_sent(w.f, w.socks[1].id, ERR_IO, &w.t); /* cut, not stuck */
    close_now(1, ERR_IO);
    CHECK_EQ(w.metrics.values[METRIC_WS_SLOW_CLOSED], 1);
    end();
}

/* ---- memberships that change ---- */

TEST(joined_and_left)
{
    struct cell c = {0};
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    tell(FAN_JOINED, CHAN, 11, 101);
    event(11, "in", 0, 0);
    tell(FAN_LEFT, CHAN, 11, 101);
    event(11, "out", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "in");
    check_no_frame(0);
    advance(20000);
    tell(FAN_JOINED, CHAN, 11, 101); /* in time: the channel is not idle any more */
    for (int s = 0; s < 20; s++) {
        advance(1000);
        client(0, WS_PONG, "");
    }
    CHECK(!pop(&w.ev_chan, &c));
    tell(FAN_LEFT, CHAN, 11, 101);
    advance(29000);
    CHECK(!pop(&w.ev_chan, &c));
    advance(2100);
    CHECK(pop(&w.ev_chan, &c));
    CHECK_EQ(c.type, CHAN_IDLE);
    CHECK_EQ(c.cid, 11);
    CHECK_EQ(c.u.u[0], 2); /* the younger of the two stamps above */
    CHECK_EQ(w.f->subs.used, 0);
    end();
}

TEST(interest_without_subscribers_is_taken_back_again_and_again)
{
    struct cell c = {0};
    begin(NULL);
    for (int i = 0; i < 2; i++) {
        event(11, "for nobody", 0, 0); /* chan ignored the first CHAN_IDLE */
        end_turn();
        CHECK(!pop(&w.ev_chan, &c));
        advance(1100); /* nobody has left, so nobody is waited for */
        CHECK(pop(&w.ev_chan, &c));
        CHECK_EQ(c.type, CHAN_IDLE);
    }
    for (uint64_t cid = 20; cid < 26; cid++)
        event(cid, "x", 0, 0);
    end_turn();
    advance(32000); /* the ring takes three */
    for (int i = 0; i < 3; i++)
        CHECK(pop(&w.ev_chan, &c));
    CHECK(!pop(&w.ev_chan, &c));
    advance(1100);
    for (int i = 0; i < 3; i++)
        CHECK(pop(&w.ev_chan, &c));
    CHECK_EQ(c.cid, 20);
    CHECK_EQ(w.f->subs.used, 0);
    end();
}

TEST(a_failed_confirmation_is_asked_again)
{
    struct cell c = {0};
    begin(NULL);
    open_socket(0, 1, C1, 1);
    tell(FAN_REVALIDATE, CHAN, 11, 0);
    CHECK(pop(&w.req_chan, &c));
    c.type = FAN_SUB_OK;
    c.flags = CELL_F_ANSWER;
    c.err = ERR_SERVICE_UNAVAILABLE;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
    CHECK(!pop(&w.req_chan, &c)); /* not at once */
    advance(1100);
    answer_sub(true, 0);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    end();
}

TEST(past_dropped_max_a_hint_names_all)
{
    uint64_t cids[dropped_max + 1];
    begin(NULL);
    for (uint64_t i = 0; i <= dropped_max; i++)
        cids[i] = 100 + i;
    open_socket(0, 1, cids, dropped_max + 1);
    for (uint64_t i = 0; i < dropped_max; i++)
        tell(FAN_GAP, CHAN, 100 + i, 0); /* the first goes at once, the others wait for its send */
    tell(FAN_GAP, CHAN, 100, 0);
    tell(FAN_GAP, CHAN, 100 + dropped_max, 0);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"C34\"],\"all\":false}");
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    check_no_frame(0);
    end();
}

TEST(after_revalidate_nobody_hears_until_confirmed)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    open_socket(2, 3, NULL, 0); /* its join was lost */
    tell(FAN_REVALIDATE, CHAN, 11, 0);
    event(11, "secret", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len + w.socks[1].iov_len, 0);
    answer_sub(true, 0);
    answer_sub(false, 0);
    answer_sub(true, 0);
    event(11, "open", 0, 0);
    end_turn();
    for (unsigned i = 0; i < 3; i++)
        read_all(i);
    for (unsigned i = 0; i < 3; i += 2) {
        check_frame(i, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
        check_frame(i, WS_TEXT, "open");
    }
    check_no_frame(1);
    CHECK_EQ(conn_by_net(w.f, w.socks[1].id)->subs_len, 0);
    end();
}

/* Chan parks so many at a time: who was refused asks again behind each that was not, else by the
 * next sweep. */
TEST(refused_while_unsure_asks_again_behind_an_answer)
{
    begin(NULL);
    for (unsigned i = 0; i < 3; i++)
        open_socket(i, i + 1, C1, 1);
    tell(FAN_REVALIDATE, CHAN, 11, 0);
    for (unsigned i = 0; i < 2; i++)
        answer_sub_as(ERR_SERVICE_UNAVAILABLE, false, 0);
    answer_sub(true, 0);
    answer_sub(true, 0); /* at once */
    answer_sub_as(ERR_SERVICE_UNAVAILABLE, false, 0);
    CHECK(edge_empty(&w.req_chan)); /* no answer to wait for */
    advance(2000);
    answer_sub(true, 0);
    event(11, "open", 0, 0);
    end_turn();
    for (unsigned i = 0; i < 3; i++) {
        read_all(i);
        check_frame(i, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
        check_frame(i, WS_TEXT, "open");
    }
    end();
}

static void two_channels(struct conf *c)
{
    c->ws_subscriptions_max = 2;
}

/* A revalidation asks for sockets that are no members too: that takes no room from a join. */
TEST(a_join_finds_room_beside_channels_that_are_asked_for)
{
    begin(two_channels);
    open_socket(0, 1, C1, 1);
    for (uint64_t cid = 20; cid < 23; cid++)
        tell(FAN_REVALIDATE, CHAN, cid, 0);
    tell(FAN_JOINED, CHAN, 12, 101);
    for (uint64_t cid = 20; cid < 23; cid++)
        answer_sub(false, 0);
    event(12, "heard", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "heard");
    CHECK_EQ(conn_by_net(w.f, w.socks[0].id)->subs_len, 2);
    CHECK_EQ(conn_by_net(w.f, w.socks[0].id)->unsure_len, 0);
    end();
}

TEST(a_gap_is_told_to_each_subscriber)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, NULL, 0);
    tell(FAN_GAP, CHAN, 11, 0);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    CHECK_EQ(w.socks[1].iov_len, 0);
    tell(FAN_GAP, DIR, 0, 0);
    read_all(0);
    read_all(1);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    check_frame(1, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    answer_hist(C1, 1); /* subscribed already: nothing to ask */
    answer_hist(C2, 1);
    answer_sub(true, 0);
    event(12, "new", 0, 0);
    end_turn();
    read_all(1);
    /* Without messages, too: somebody may have joined meanwhile. */
    check_frame(1, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CC\"],\"all\":false}");
    check_frame(1, WS_TEXT, "new");
    check_no_frame(1);
    end();
}

/* ---- refused, or without memory ---- */

/* Chan answers the first with no, while the second is still out: only the first is asked again. */
TEST(who_is_still_out_is_not_asked_twice)
{
    struct cell first = {0}, second = {0};
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    tell(FAN_REVALIDATE, CHAN, 11, 0);
    CHECK(pop(&w.req_chan, &first));
    CHECK(pop(&w.req_chan, &second));
    first.type = second.type = FAN_SUB_OK;
    first.flags = second.flags = CELL_F_ANSWER;
    first.err = ERR_SERVICE_UNAVAILABLE;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &first);
    end_turn();
    advance(1100);
    CHECK(edge_empty(&w.req_chan));
    ((struct chan_sub *)second.u.p)->chans[0].member = true;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &second);
    end_turn();
    answer_sub(true, 0);
    CHECK(edge_empty(&w.req_chan));
    end();
}

/* A stranger with a full list is asked for by a revalidation: its hello says nothing of it. */
TEST(a_revalidation_leaves_no_stranger_out)
{
    begin(two_channels);
    open_socket(0, 1, C12, 2);
    tell(FAN_REVALIDATE, CHAN, 20, 0);
    CHECK(!conn_by_net(w.f, w.socks[0].id)->left_out);
    end();
}

/* A request for more memory than there is answers NULL under the sanitizers too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void lose(uint64_t uid, uint64_t team, uint64_t flags)
{
    struct pool kept = w.f->uses;
    struct cell c = {.type = FAN_EVENT};
    c.u.u[0] = (uintptr_t)make_frame("lost", 0);
    c.u.u[1] = uid;
    c.u.u[2] = team;
    c.u.u[4] = flags;
    w.f->uses.free = NULL;
    w.f->uses.object_bytes = 1ull << 50;
    give(CHAN, CLASS_EVENT, &c);
    w.f->uses = kept;
    end_turn();
}

TEST(without_memory_an_event_of_a_user_or_a_team_is_a_hint)
{
    static const char all[] = "{\"type\":\"refetch\",\"channels\":[],\"all\":true}";
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    lose(102, 0, 0);
    read_all(0);
    read_all(1);
    check_no_frame(0);
    check_frame(1, WS_TEXT, all);
    lose(0, 7, 0);
    read_all(0);
    read_all(1);
    check_frame(0, WS_TEXT, all);
    check_frame(1, WS_TEXT, all);
    lose(102, 0, FAN_TYPING);
    read_all(1);
    check_no_frame(1);
    end();
}

/* The table of channels takes no more: a join of anybody may be what was lost. */
TEST(without_memory_a_revalidation_asks_everybody_anew)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, NULL, 0);
    struct subs *s = &w.f->subs;
    uint32_t len = s->len, cap = s->cap, free_ = s->free;
    s->len = s->cap = channels_max;
    s->free = slot_none;
    tell(FAN_REVALIDATE, CHAN, 12, 0);
    s->len = len;
    s->cap = cap;
    s->free = free_;
    for (unsigned i = 0; i < 2; i++) {
        read_all(i);
        check_frame(i, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    }
    answer_hist(C1, 1);
    answer_hist(C2, 1);
    answer_sub(true, 0);
    event(12, "heard", 0, 0);
    end_turn();
    read_all(1);
    check_frame(1, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CC\"],\"all\":false}");
    check_frame(1, WS_TEXT, "heard");
    end();
}
