/* What a thread is to who reads it. */
#include "chan/thread.h"
#include "hist/test_rig.h"

enum { THREAD = 500, CAROL = 103 };

/* A reply, or of a broadcast one the mark and the row in the channel. */
static void put_reply(uint64_t ts_us, uint64_t uid, uint16_t flags)
{
    struct key k;
    struct row_message row = {.ts_us = ts_us,
                              .uid = uid,
                              .flags = MSG_REPLY | flags,
                              .body = SV("{\"text\":\"r\""),
                              .thread_ts_us = THREAD};
    if ((flags & MSG_BROADCAST) != 0) {
        key_msg(&k, OPEN, ts_us);
        row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, &row);
        batch_put_end(&f.batch);
        row.flags &= (uint16_t)~MSG_DELETED; /* the mark does not change */
        row.body = SV_NONE;
    }
    key_reply(&k, OPEN, THREAD, ts_us);
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, &row);
    batch_put_end(&f.batch);
}

static void put_parent(uint64_t replies, uint64_t latest_us)
{
    struct key k;
    struct row_message row = {
        .ts_us = THREAD, .seq = 11, .uid = BOB, .body = SV("{\"text\":\"p\""), .flags = MSG_THREAD};
    for (uint64_t i = 0; i < replies; i++)
        CHECK_EQ(thread_add(row.thread, ADA, latest_us, &f.arena, &row.thread), ERR_OK);
    key_msg(&k, OPEN, THREAD);
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, &row);
    batch_put_end(&f.batch);
}

static void put_follow(uint64_t uid, bool active, uint64_t read_us)
{
    struct key k;
    struct row_follow row = {.active = active, .since_us = 1, .read_us = read_us};
    key_follow(&k, OPEN, THREAD, uid);
    row_follow_encode(batch_put_begin(&f.batch, CF_IDX, &k), &k, &row);
    batch_put_end(&f.batch);
}

static void check_parent(uint64_t uid, const char *want)
{
    struct hist_replies m = {
        .viewer = {.team = TEAM, .uid = uid}, .cid = OPEN, .ts_us = THREAD, .limit = 1};
    char end[256];
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_REPLIES, &m), ERR_OK);
    const char *brace = memchr(m.out.p, '}', m.out.len);
    const char *at = memmem(m.out.p, (size_t)(brace - m.out.p), ",\"subscribed\"", 13);
    snprintf(end, sizeof end, "%.*s", at == NULL ? 0 : (int)(brace - at), at == NULL ? "" : at);
    CHECK_STR(end, want);
}

TEST(a_parent_says_what_its_thread_is_to_the_reader)
{
    fix_init();
    put_parent(4, 504);
    put_reply(501, ADA, 0);
    put_reply(502, BOB, 0);
    put_reply(503, ADA, MSG_DELETED);
    put_reply(504, ADA, 0);
    put_follow(ADA, true, 501);
    put_follow(CAROL, false, 500);
    write_rows();
    check_parent(BOB,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000500\",\"unread_count\":2");
    check_parent(ADA,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000501\",\"unread_count\":1");
    check_parent(CAROL, ",\"subscribed\":false");
    check_parent(BOT, ",\"subscribed\":false");
    put_follow(BOB, true, 504);
    write_rows();
    check_parent(BOB,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000504\",\"unread_count\":0");
    fix_deinit();
}

TEST(a_message_without_replies_says_nothing_until_somebody_follows)
{
    fix_init();
    put_parent(0, 0);
    put_follow(CAROL, true, 500);
    write_rows();
    check_parent(BOB, "");
    check_parent(ADA, "");
    check_parent(CAROL,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000500\",\"unread_count\":0");
    fix_deinit();
}

/* Whether a broadcast reply is there its row in the channel says. */
TEST(broadcast_replies_count_while_they_are_there)
{
    fix_init();
    put_parent(3, 503);
    put_reply(501, ADA, MSG_BROADCAST);
    put_reply(502, ADA, MSG_BROADCAST | MSG_DELETED);
    put_reply(503, BOB, MSG_BROADCAST);
    write_rows();
    check_parent(BOB,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000500\",\"unread_count\":1");
    fix_deinit();
}

TEST(unread_replies_are_counted_up_to_a_bound)
{
    enum { replies = 1300, counted_max = 1000 };
    fix_init();
    count_reads();
    put_parent(1, THREAD + replies);
    for (uint64_t i = 1; i <= replies; i++)
        put_reply(THREAD + i, ADA, 0);
    write_rows();
    counted.rows = 0;
    check_parent(BOB,
                 ",\"subscribed\":true,\"last_read\":\"0000000000.000500\",\"unread_count\":1000");
    CHECK(counted.rows <= counted_max + 8);
    counted.rows = 0;
    check_parent(ADA, ",\"subscribed\":false"); /* and who does not follow pays nothing */
    CHECK(counted.rows <= 8);
    fix_deinit();
}
