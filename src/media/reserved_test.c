/* Files that wait for their bytes: bounds, and how they are forgotten. */
#include "media/test_rig.h"

TEST(reserved_files_are_bounded_and_forgotten)
{
    struct file_id ids[4], id;
    uint64_t stream;
    fix_init();
    f.conf.reserved_user_max = 3;
    f.conf.reserved_max = 4;
    f.conf.upload_timeout_ms = 60000;
    crash();
    for (int i = 0; i < 3; i++)
        ids[i] = reserve(ADA, "x");
    CHECK_EQ(try_reserve(ADA, "x", UINT64_MAX, &id), ERR_TOO_MANY_UPLOADS);
    ids[3] = reserve(BOB, "x");
    CHECK_EQ(try_reserve(BOB, "x", UINT64_MAX, &id), ERR_SERVICE_UNAVAILABLE);
    crash(); /* they are rows */
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 4);
    CHECK_EQ(try_reserve(ADA, "x", UINT64_MAX, &id), ERR_TOO_MANY_UPLOADS);
    CHECK_EQ(send(&ids[0], "text", 4), ERR_OK);
    stream = begin(&ids[1]); /* who is at it is not forgotten */
    pass_ms(59000);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 3);
    pass_ms(1100);
    rig_turns(&f.rig, 10);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 1);
    CHECK_EQ(try_begin(&ids[2], &(uint64_t){0}), ERR_FILE_NOT_FOUND);
    CHECK_EQ(try_begin(&ids[3], &(uint64_t){0}), ERR_FILE_NOT_FOUND);
    crash();
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 1);
    CHECK_EQ(read_as(ADA, &ids[0], "text"), ERR_OK);
    stream = begin(&ids[1]);
    struct media_abort a = {.stream = stream};
    CHECK_EQ(call(MEDIA_ABORT, &a), ERR_OK);
    pass_ms(61000);
    rig_turns(&f.rig, 10);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 0);
    fix_deinit();
}

/* One upload is lost, and nothing else. */
TEST(a_damaged_row_of_a_reserved_file_is_passed_over)
{
    struct key k;
    struct row_file row = {.team = TEAM, .uid = ADA, .length = UINT64_MAX};
    fix_init();
    struct file_id damaged = reserve(ADA, "x"), sound[2] = {reserve(ADA, "y"), reserve(ADA, "z")};
    key_file_reserved(&k, &damaged);
    struct buf *b = batch_put_begin(&f.batch, CF_FILE, &k);
    row_file_encode(b, &k, &row);
    b->p[b->len - 1] ^= 1;
    batch_put_end(&f.batch);
    write_rows();
    crash();
    rig_turns(&f.rig, 1);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 2);
    CHECK_EQ(metric(METRIC_FILES_RESERVED_CORRUPT), 1);
    CHECK_EQ(try_begin(&damaged, &(uint64_t){0}), ERR_FILE_NOT_FOUND);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(send(&sound[i], "text", 4), ERR_OK);
    fix_deinit();
}

/* By who reserved them for a stream that ended, failed, or never began. */
TEST(a_place_that_nobody_knows_of_is_forgotten_at_once)
{
    struct file_id id[4];
    fix_init();
    f.conf.reserved_user_max = 3;
    crash();
    for (int i = 0; i < 3; i++)
        id[i] = reserve(ADA, "x");
    uint64_t streams[] = {begin(&id[0]), 0, begin(&id[2])};
    CHECK_EQ(call(MEDIA_ABORT, &(struct media_abort){.stream = streams[2]}), ERR_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(try_reserve(ADA, "x", UINT64_MAX, &id[3]), ERR_TOO_MANY_UPLOADS);
        struct media_abort a = {.stream = streams[i], .forget = id[i]};
        CHECK_EQ(call(MEDIA_ABORT, &a), ERR_OK);
        CHECK_EQ(call(MEDIA_ABORT, &a), ERR_OK); /* twice is once */
        rig_turns(&f.rig, 10);
        CHECK_EQ(try_begin(&id[i], &(uint64_t){0}), ERR_FILE_NOT_FOUND);
        id[i] = reserve(ADA, "x");
    }
    struct media_abort other = {.forget = id[0]}; /* somebody is at it */
    streams[0] = begin(&id[0]);
    CHECK_EQ(call(MEDIA_ABORT, &other), ERR_OK);
    CHECK_EQ(write_bytes(streams[0], "text", 4), ERR_OK);
    CHECK_EQ(finish(streams[0]), ERR_OK);
    CHECK_EQ(call(MEDIA_ABORT, &other), ERR_OK); /* it has its bytes */
    crash();
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 2);
    CHECK_EQ(read_as(ADA, &id[0], "text"), ERR_OK);
    fix_deinit();
}

/* Its time is over while the wish to bring its bytes waits behind another's commit. */
TEST(who_comes_in_time_is_not_forgotten)
{
    fix_init();
    f.conf.upload_timeout_ms = 60000;
    crash();
    index_all();
    struct file_id id = reserve(ADA, "x");
    struct media_reserve other = {.team = TEAM,
                                  .uid = BOB,
                                  .name = SV("y"),
                                  .title = SV(""),
                                  .alt_text = SV(""),
                                  .snippet_type = SV(""),
                                  .length = UINT64_MAX};
    struct media_begin b = {.id = id, .declared = UINT64_MAX};
    f.valve.holds = true;
    f.asker.len = 0;
    ask(MEDIA_RESERVE, &other);
    rig_turns(&f.rig, 5);
    ask(MEDIA_BEGIN, &b);
    rig_turns(&f.rig, 1);
    pass_ms(59000);
    pass_ms(1500);
    CHECK_EQ(f.media->ops_len, 3); /* to forget it is the last of them */
    f.valve.holds = false;
    rig_turns(&f.rig, 10);
    CHECK_EQ(answer_to(&b), ERR_OK);
    CHECK_EQ(write_bytes(b.stream, "text", 4), ERR_OK);
    CHECK_EQ(finish(b.stream), ERR_OK);
    crash();
    CHECK_EQ(read_as(ADA, &id, "text"), ERR_OK);
    fix_deinit();
}

TEST(what_cannot_be_forgotten_now_is_forgotten_later)
{
    fix_init();
    f.conf.upload_timeout_ms = 60000;
    crash();
    struct file_id id = reserve(ADA, "x");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    pass_ms(61000);
    rig_turns(&f.rig, 10);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 1);
    f.valve.fails = ERR_OK;
    pass_ms(61000);
    rig_turns(&f.rig, 10);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 0);
    CHECK_EQ(try_begin(&id, &(uint64_t){0}), ERR_FILE_NOT_FOUND);
    fix_deinit();
}
