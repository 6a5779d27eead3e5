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

/* The user of tag comes back with what it heard last. Up to its hello. */
static void come_back(unsigned slot, uint64_t tag, uint64_t last_us)
{
    char ticket[ticket_text_len];
    struct fan_ticket m = {
        .team = 7, .uid = 100 + tag, .token_tag = tag, .since_us = last_us, .resumes = true};
    CHECK_EQ(issue_as(m, ticket), ERR_OK);
    adopt(slot, ticket);
    answer_hist(C1, 1);
    answer_sub(true, w.t.wall_us);
    read_all(slot);
    head_is(slot, "HTTP/1.1 101 ");
    uint8_t opcode;
    struct str_view payload = SV_NONE;
    CHECK(frame(slot, &opcode, &payload));
    CHECK(sv_starts(payload, SV("{\"type\":\"hello\"")));
}

static void is_told_to_fetch(unsigned slot)
{
    check_frame(slot, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
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
    come_back(0, 1, heard_us);
    check_no_frame(0);
    end();
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
