/* Sockets that come back: what they get again, and when they are told to fetch instead. */
#include "fanout/fake_world.h"

enum { second = 1000000 };

static void later(uint64_t us)
{
    w.t.wall_us += us;
}

static void say(uint64_t cid, const char *body)
{
    event(cid, body, 0, 0);
    end_turn();
    frames_come_home();
}

static void resumed(unsigned slot)
{
    check_frame(slot, WS_TEXT, "{\"type\":\"resumed\"}");
}

/* The user of tag comes back with what it heard last. Up to its hello. */
static void come_back_to(unsigned slot, uint64_t tag, uint64_t last_us, uint64_t durable_us)
{
    char ticket[ticket_text_len];
    struct fan_ticket m = {
        .team = 7, .uid = 100 + tag, .token_tag = tag, .since_us = last_us, .resumes = true};
    CHECK_EQ(issue_as(m, ticket), ERR_OK);
    adopt(slot, ticket);
    answer_hist(C1, 1);
    answer_sub(true, durable_us);
    read_all(slot);
    head_is(slot, "HTTP/1.1 101 ");
    uint8_t opcode;
    struct str_view payload = SV_NONE;
    CHECK(frame(slot, &opcode, &payload));
    CHECK(sv_starts(payload, SV("{\"type\":\"hello\"")));
}

static void come_back(unsigned slot, uint64_t tag, uint64_t last_us)
{
    come_back_to(slot, tag, last_us, w.t.wall_us);
}

static void is_told_to_fetch(unsigned slot)
{
    check_frame(slot, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    resumed(slot);
    check_no_frame(slot);
}

TEST(what_was_missed_comes_in_order)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C2, 1);
    later(10 * second);
    say(cid1, "heard");
    uint64_t heard_us = w.t.wall_us;
    close_now(0, ERR_OK);
    later(2 * second);
    say(cid1, "one");
    say(cid2, "of another channel");
    event(cid1, "of her own", 101, 0);
    event(cid1, "typing", 0, FAN_TYPING);
    say(cid1, "two");
    come_back(0, 1, heard_us);
    check_frame(0, WS_TEXT, "heard"); /* within the margin */
    check_frame(0, WS_TEXT, "one");
    check_frame(0, WS_TEXT, "two");
    resumed(0);
    check_no_frame(0);
    say(cid1, "live");
    read_all(0);
    check_frame(0, WS_TEXT, "live");
    check_no_frame(0);
    CHECK_EQ(w.metrics.values[METRIC_EVENTS_REPLAYED], 3);
    end();
}

TEST(nothing_missed_nothing_said)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    close_now(0, ERR_OK);
    later(5 * second);
    come_back_to(0, 1, heard_us, heard_us - 2 * second);
    resumed(0);
    check_no_frame(0);
    end();
}

/* Its last_ts may be of the time before: then what it missed seems older than that. */
TEST(across_a_clock_that_is_set_back_it_is_told_to_fetch)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    say(cid1, "heard");
    close_now(0, ERR_OK);
    w.t.wall_us -= 2 * second;
    say(cid1, "missed");
    later(3 * second / 2);
    say(cid1, "and this");
    come_back(0, 1, w.t.wall_us);
    is_told_to_fetch(0);
    close_now(0, ERR_OK);
    later(2 * second);
    uint64_t heard_us = w.t.wall_us;
    say(cid1, "missed");
    come_back(0, 1, heard_us);
    check_frame(0, WS_TEXT, "missed"); /* the clock is past where it stood */
    resumed(0);
    end();
}

/* What was lost before, or was before the start, stays lost. */
TEST(a_loss_behind_a_clock_that_is_set_back_does_not_end_another)
{
    for (int all = 0; all < 2; all++) {
        uint64_t cid = all ? ID_NONE : cid1;
        begin(NULL);
        open_socket(0, 1, C1, 1);
        later(10 * second);
        say(cid1, "heard");
        close_now(0, ERR_OK);
        tell(FAN_GAP, CHAN, cid, 0);
        w.t.wall_us -= 2 * second;
        tell(FAN_GAP, CHAN, cid, 0);
        later(3 * second / 2);
        say(cid1, "missed");
        come_back(0, 1, w.t.wall_us);
        is_told_to_fetch(0);
        end();
    }
}

TEST(only_who_asks_gets_events_again)
{
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    say(cid1, "one");
    CHECK_EQ(issue(2, ticket), ERR_OK);
    adopt(1, ticket);
    answer_hist(C1, 1);
    answer_sub(true, w.t.wall_us);
    read_all(1);
    CHECK(memmem(w.socks[1].wire, w.socks[1].wire_len, "refetch", 7) != NULL);
    CHECK(memmem(w.socks[1].wire, w.socks[1].wire_len, "one", 3) == NULL);
    end();
}

TEST(what_came_before_anybody_listened_is_fetched)
{
    begin(NULL);
    uint64_t heard_us = w.t.wall_us;
    later(10 * second);
    open_socket(0, 1, C1, 1);
    say(cid1, "one");
    come_back(1, 2, heard_us);
    is_told_to_fetch(1);
    end();
}

TEST(a_gap_is_fetched)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    for (int i = 0; i < 2; i++) {
        later(10 * second);
        uint64_t heard_us = w.t.wall_us;
        close_now(0, ERR_OK);
        later(2 * second);
        say(cid1, "one");
        tell(FAN_GAP, CHAN, i == 0 ? cid1 : ID_NONE, 0);
        say(cid1, "two");
        come_back(0, 1, heard_us);
        is_told_to_fetch(0);
    }
    end();
}

/* What was lost is not news to chan any more when it is heard of. */
TEST(a_gap_is_fetched_however_old_the_news)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    for (int i = 0; i < 3; i++) {
        later(10 * second);
        uint64_t said_us = w.t.wall_us;
        later(5 * second);
        uint64_t heard_us = w.t.wall_us; /* of another channel */
        close_now(0, ERR_OK);
        tell(i == 2 ? FAN_REVALIDATE : FAN_GAP, CHAN, i == 1 ? ID_NONE : cid1, 0);
        come_back_to(0, 1, heard_us, said_us);
        is_told_to_fetch(0);
    }
    end();
}

/* Chan may not tell of a channel that is only asked about. */
TEST(a_revalidated_channel_is_whole_once_somebody_is_in)
{
    begin(NULL);
    open_socket(0, 1, C2, 1);
    later(10 * second);
    tell(FAN_REVALIDATE, CHAN, cid1, 0);
    answer_sub(false, 0);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    later(2 * second);
    come_back(1, 2, heard_us);
    is_told_to_fetch(1);
    later(2 * second);
    heard_us = w.t.wall_us;
    later(2 * second);
    say(cid1, "one");
    come_back(2, 3, heard_us);
    check_frame(2, WS_TEXT, "one");
    resumed(2);
    end();
}

TEST(before_the_first_socket_nobody_listened)
{
    begin(NULL);
    uint64_t heard_us = w.t.wall_us;
    later(10 * second);
    come_back_to(0, 1, heard_us, heard_us - 5 * second);
    is_told_to_fetch(0);
    end();
}

/* What it heard last is of before the restart, though the clock says that it is of after it. */
TEST(a_clock_that_was_set_back_hides_no_restart)
{
    enum { start_s = 1700000000 };
    uint64_t heard_us = (start_s + 30) * (uint64_t)second;
    begin_behind(heard_us, NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    say(cid1, "missed");
    later(30 * second);
    CHECK(heard_us < w.t.wall_us);
    come_back_to(1, 2, heard_us, w.t.wall_us - 30 * second);
    is_told_to_fetch(1);
    end();
}

TEST(what_was_taken_back_is_not_told_again)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    later(2 * second);
    say(cid1, "a secret");
    struct cell c = {.type = FAN_EVENT, .cid = cid1};
    struct frame *frame = make_frame("it was a secret", cid1);
    frame->takes_back = true;
    c.u.u[0] = (uintptr_t)frame;
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
    come_back(1, 2, heard_us);
    is_told_to_fetch(1);
    later(2 * second);
    heard_us = w.t.wall_us;
    later(2 * second);
    say(cid1, "one");
    come_back(2, 3, heard_us);
    check_frame(2, WS_TEXT, "one");
    resumed(2);
    end();
}

/* Else a later event of another channel would be the last that it heard, and the hint lost. */
TEST(behind_a_loss_its_hint_comes_first)
{
    static char body[600];
    memset(body, 'y', sizeof body - 1);
    begin(small_queues);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    char ticket[ticket_text_len];
    struct fan_ticket m = {
        .team = 7, .uid = 102, .token_tag = 2, .since_us = w.t.wall_us, .resumes = true};
    CHECK_EQ(issue_as(m, ticket), ERR_OK);
    adopt(1, ticket);
    answer_hist(C12, 2);
    answer_sub(true, w.t.wall_us - 5 * second);
    read_all(1);
    w.socks[1].read = w.socks[1].wire_len;
    for (int i = 0; i < 4; i++)
        say(cid1, body); /* the last is dropped */
    say(cid2, "of another channel");
    read_all(1);
    for (int i = 0; i < 3; i++)
        check_frame(1, WS_TEXT, body);
    check_frame(1, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\",\"CC\"],\"all\":false}");
    check_no_frame(1);
    end();
}

TEST(more_than_a_few_are_fetched)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    later(2 * second);
    close_now(0, ERR_OK);
    for (int i = 0; i < 32; i++)
        say(cid1, "x");
    come_back(0, 1, heard_us);
    for (int i = 0; i < 32; i++)
        check_frame(0, WS_TEXT, "x");
    resumed(0);
    check_no_frame(0);
    say(cid1, "x");
    come_back(1, 2, heard_us);
    is_told_to_fetch(1);
    end();
}

static void small_ring(struct conf *c)
{
    c->ws_replay_bytes = 1000;
}

/* Lengths that fill the ring exactly, leave a few bytes at its end, and do neither. */
TEST(what_was_written_over_is_fetched)
{
    static char long_body[120];
    memset(long_body, 'y', sizeof long_body - 1);
    begin(small_ring);
    open_socket(0, 1, C12, 2);
    for (int round = 0; round < 200; round++) {
        later(10 * second);
        uint64_t heard_us = w.t.wall_us;
        later(2 * second);
        say(cid1, "first");
        long_body[round % 119] = '\0';
        for (int i = 0; i < round % 12; i++)
            say(cid2, long_body);
        long_body[round % 119] = 'y';
        read_all(0);
        uint64_t kept_bytes = 72 + (uint64_t)(round % 12 * (48 + round % 119));
        come_back(1, 2, heard_us);
        if (kept_bytes < 600) {
            check_frame(1, WS_TEXT, "first");
            resumed(1);
            check_no_frame(1);
        } else if (kept_bytes > 1100) {
            is_told_to_fetch(1);
        }
        close_now(1, ERR_OK);
        w.socks[0].wire_len = w.socks[0].read = 0;
    }
    end();
}

TEST(one_longer_than_the_ring_is_fetched)
{
    static char huge[1200];
    memset(huge, 'y', sizeof huge - 1);
    begin(small_ring);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    close_now(0, ERR_OK);
    later(2 * second);
    say(cid1, huge);
    come_back(0, 1, heard_us);
    is_told_to_fetch(0);
    end();
}

static void no_ring(struct conf *c)
{
    c->ws_replay_bytes = 0;
}

TEST(without_a_ring_all_is_fetched)
{
    begin(no_ring);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    close_now(0, ERR_OK);
    later(2 * second);
    say(cid1, "one");
    come_back(0, 1, heard_us);
    is_told_to_fetch(0);
    end();
}

static void short_total(struct conf *c)
{
    c->ws_queue_total_bytes = 4096;
}

/* A storm of those who come back does not take the queues of those who are there. */
TEST(where_much_is_queued_all_is_fetched)
{
    static char body[101];
    memset(body, 'y', sizeof body - 1);
    begin(short_total);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    close_now(0, ERR_OK);
    later(2 * second);
    for (int i = 0; i < 30; i++)
        say(cid1, body);
    come_back(0, 1, heard_us);
    is_told_to_fetch(0);
    end();
}

/* What it was to get again is of no use to who is told to come another time. */
TEST(without_a_hello_nothing_is_told_again)
{
    static uint64_t cids[257]; /* more than one ask takes; the first is answered last */
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(0, 1, C1, 1);
    later(10 * second);
    uint64_t heard_us = w.t.wall_us;
    later(2 * second);
    say(cid1, "missed");
    for (uint64_t i = 0; i < ARRAY_LEN(cids); i++)
        cids[i] = i + 1 < ARRAY_LEN(cids) ? 1000 + i : cid1;
    struct fan_ticket m = {
        .team = 7, .uid = 102, .token_tag = 2, .since_us = heard_us, .resumes = true};
    CHECK_EQ(issue_as(m, ticket), ERR_OK);
    adopt(1, ticket);
    answer_hist(cids, ARRAY_LEN(cids));
    answer_sub(true, w.t.wall_us);
    CHECK(w.f->queued_bytes > 0);
    answer_sub_as(ERR_SERVICE_UNAVAILABLE, false, 0);
    read_all(1);
    head_is(1, "HTTP/1.1 101 ");
    check_close(1, WS_STATUS_TRY_LATER);
    end();
}
