/* Scheduled messages: whose chan is busy waits alone, and many that wait cost the others nothing.
 */
#include "chan/chan.h"
#include "dir/test_rig.h"

#include <time.h>

/* ---- time that the test moves ---- */

static uint64_t skipped_us;

static uint64_t mono_us(void *ctx)
{
    (void)ctx;
    return clock_mono_us() + skipped_us;
}

static uint64_t wall_us(void *ctx)
{
    (void)ctx;
    return clock_wall_us() + skipped_us;
}

static uint32_t cells_max(void *ctx, struct edge *e)
{
    (void)ctx, (void)e;
    return UINT32_MAX;
}

static const struct loop_seam seam = {
    .mono_us = mono_us, .wall_us = wall_us, .cells_max = cells_max};

static void start_scheduling(bool real_log)
{
    start(real_log, 64);
    skipped_us = 0;
    f.rig.loop.seam = &seam;
}

static struct dir_schedule message(uint64_t uid, uint64_t cid, uint64_t after_s)
{
    return (struct dir_schedule){.row = {.team = 1,
                                         .uid = uid,
                                         .cid = cid,
                                         .kind = CHANNEL_PUBLIC,
                                         .post_s = clock_wall_us() / 1000000 + after_s,
                                         .members = SV("\"text\":\"later\""),
                                         .text = SV("later")}};
}

static enum err unschedule(const struct dir_schedule *m)
{
    struct dir_unschedule u = {m->row.team, m->row.uid, m->row.cid, m->row.id};
    return call(DIR_UNSCHEDULE, &u);
}

/* ---- busy chans ---- */

static uint64_t cid_of(uint16_t chan)
{
    uint64_t cid = 1000;
    while (chan_of(cid, 2) != chan)
        cid++;
    return cid;
}

enum { many = 40 }; /* more than a chan's credits, and than the share of one */

TEST(who_waits_for_a_busy_chan_holds_up_no_other)
{
    fix_init();
    f.chans_len = 2;
    start_scheduling(true);
    add_team_and_user();
    f.chan.slow = true;
    for (uint32_t i = 0; i < many; i++) {
        struct dir_schedule m = message(f.uid, cid_of(0), 10 + i);
        CHECK_EQ(call(DIR_SCHEDULE, &m), ERR_OK);
    }
    struct dir_schedule last = message(f.uid, cid_of(1), 10 + many);
    CHECK_EQ(call(DIR_SCHEDULE, &last), ERR_OK);
    skipped_us = 100000000;
    rig_turns(&f.rig, 20);
    CHECK_EQ(f.chan.seen.len, 3); /* its credits */
    CHECK_EQ(f.chan2.seen.len, 1);
    CHECK_EQ(f.chan2.seen.cells[0].cid, last.row.cid);
    f.chan.slow = false;
    rig_turns(&f.rig, 200);
    CHECK_EQ(f.chan.seen.len, many);
    CHECK_EQ(unschedule(&last), ERR_INVALID_SCHEDULED_ID);
    stop();
    fix_deinit();
}

/* One that is taken back while its chan is busy is not posted. */
TEST(who_waits_for_a_busy_chan_can_be_taken_back)
{
    fix_init();
    start_scheduling(true);
    add_team_and_user();
    f.chan.slow = true;
    struct dir_schedule m[5];
    for (uint32_t i = 0; i < ARRAY_LEN(m); i++) {
        m[i] = message(f.uid, cid_of(0), 10 + i);
        CHECK_EQ(call(DIR_SCHEDULE, &m[i]), ERR_OK);
    }
    skipped_us = 100000000;
    rig_turns(&f.rig, 20);
    CHECK_EQ(f.chan.seen.len, 3);
    CHECK_EQ(unschedule(&m[4]), ERR_OK);
    CHECK_EQ(unschedule(&m[4]), ERR_INVALID_SCHEDULED_ID);
    f.chan.slow = false;
    rig_turns(&f.rig, 50);
    CHECK_EQ(f.chan.seen.len, 4);
    stop();
    fix_deinit();
}

/* ---- many ---- */

static void answer_wishes(enum err err)
{
    while (f.wishes.len > 0) {
        struct cell held = f.wishes.held[0];
        f.wishes.len = 0;
        outbox_answer(&f.rig.actors[ID_LOG].outbox, ID_DIR, &held)->err = err;
        rig_turns(&f.rig, 4);
    }
}

static void ask_all(enum dir_msg type, void *first, size_t size, uint32_t len)
{
    f.asker.len = 0;
    for (uint32_t i = 0; i < len; i++)
        ask(type, (char *)first + i * size);
    rig_turns(&f.rig, 4);
    answer_wishes(ERR_OK);
    CHECK_EQ(f.asker.len, len);
    for (uint32_t i = 0; i < len; i++)
        CHECK_EQ(f.asker.cells[i].err, ERR_OK);
}

enum { wave = 200, user_messages = 400 };

static void schedule_some(uint64_t uid, uint32_t len)
{
    static struct dir_schedule m[wave];
    for (uint32_t i = 0; i < len; i += wave) {
        for (uint32_t j = 0; j < wave; j++)
            m[j] = message(uid, 1000 + j, 1000 + i);
        ask_all(DIR_SCHEDULE, m, sizeof m[0], wave);
    }
}

/* Of one that schedules some and takes them back, us of this thread; the best of a few. */
static uint64_t cost_us(void)
{
    static struct dir_schedule m[wave];
    static struct dir_unschedule u[wave];
    uint64_t best_us = UINT64_MAX;
    for (int round = 0; round < 5; round++) {
        clock_t from = clock();
        for (uint32_t i = 0; i < wave; i++)
            m[i] = message(7, 1000 + i, 5000);
        ask_all(DIR_SCHEDULE, m, sizeof m[0], wave);
        for (uint32_t i = 0; i < wave; i++)
            u[i] = (struct dir_unschedule){1, 7, m[i].row.cid, m[i].row.id};
        ask_all(DIR_UNSCHEDULE, u, sizeof u[0], wave);
        best_us = MIN(best_us, (uint64_t)(clock() - from) * 1000000 / CLOCKS_PER_SEC);
    }
    return best_us;
}

/* A linear look at all of them took 30 times as long. */
TEST(those_of_others_that_wait_cost_nothing)
{
    fix_init();
    start_scheduling(false);
    schedule_some(8, user_messages);
    uint64_t few_us = cost_us();
    for (uint64_t uid = 100; uid < 150; uid++)
        schedule_some(uid, user_messages);
    uint64_t many_us = cost_us();
    CHECK(many_us < few_us * 5 + 1000);
    stop();
    fix_deinit();
}

/* The row is still there, so the message is, and it can be taken back again. */
TEST(who_could_not_be_taken_back_stays)
{
    fix_init();
    start_scheduling(false);
    struct dir_schedule m = message(7, 1000, 10), again = message(7, 1000, 10);
    ask_all(DIR_SCHEDULE, &m, sizeof m, 1);
    struct dir_unschedule u = {1, 7, 1000, m.row.id};
    f.asker.len = 0;
    ask(DIR_UNSCHEDULE, &u);
    rig_turns(&f.rig, 4);
    answer_wishes(ERR_DISK_FULL);
    CHECK_EQ(f.asker.cells[0].err, ERR_DISK_FULL);
    again.row.post_s = m.row.post_s;
    ask_all(DIR_SCHEDULE, &again, sizeof again, 1);
    CHECK_EQ(again.row.id, m.row.id);
    ask_all(DIR_UNSCHEDULE, &u, sizeof u, 1);
    CHECK_EQ(call(DIR_UNSCHEDULE, &u), ERR_INVALID_SCHEDULED_ID);
    stop();
    fix_deinit();
}

TEST(a_user_has_a_limit)
{
    fix_init();
    start_scheduling(false);
    schedule_some(8, 1000);
    schedule_some(9, wave);
    struct dir_schedule m = message(8, 5, 10);
    CHECK_EQ(call(DIR_SCHEDULE, &m), ERR_TOO_MANY_SCHEDULED);
    stop();
    fix_deinit();
}
