/* Bytes up and down: the whole life of a file, caps, failures of disk and log, crashes, order. */
#include "media/test_rig.h"

#include <stdlib.h>

#define PNG_HEAD "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\x80\0\0\1\xe0"

TEST(a_file_comes_and_goes)
{
    struct str_view json;
    fix_init();
    struct file_id id = reserve(ADA, "Hello.TXT");
    CHECK_EQ(read_as(ADA, &id, ""), ERR_FILE_NOT_FOUND); /* it has no bytes */
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 1);
    uint64_t stream = begin(&id);
    CHECK_EQ(write_bytes(stream, "hello ", 6), ERR_OK);
    CHECK_EQ(write_bytes(stream, "world", 5), ERR_OK);
    DISK(0, 1);
    struct media_finish fin = {.stream = stream};
    CHECK_EQ(call(MEDIA_FINISH, &fin), ERR_OK);
    CHECK_EQ(fin.length, 11);
    DISK(1, 0);
    CHECK_EQ(read_as(ADA, &id, "hello world"), ERR_OK);
    CHECK_EQ(info_as(ADA, &id, &json), ERR_OK);
    CHECK(says(json, "\"name\":\"Hello.TXT\",\"title\":\"Hello.TXT\""));
    CHECK(says(json, "\"filetype\":\"text\"") && says(json, "\"size\":11,"));
    /* Only once, and nobody else's. */
    CHECK_EQ(try_begin(&id, &stream), ERR_FILE_NOT_FOUND);
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    DISK(0, 0);
    CHECK_EQ(read_as(ADA, &id, ""), ERR_FILE_DELETED);
    CHECK_EQ(delete_as(ADA, &id), ERR_FILE_DELETED);
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(metric(METRIC_FILE_STREAMS), 0);
    CHECK_EQ(metric(METRIC_FILES_RESERVED), 0);
    CHECK_EQ(metric(METRIC_FILE_BYTES_IN), 11);
    CHECK_EQ(metric(METRIC_FILE_BYTES_OUT), 11);
    CHECK_EQ(metric(METRIC_BLOBS_PLACED), 1);
    CHECK_EQ(metric(METRIC_BLOBS_REMOVED), 1);
    fix_deinit();
}

TEST(many_chunks_come_back_as_they_were)
{
    enum { bytes = 5 * media_chunk_bytes + 17 };
    char *out = malloc(bytes), *back = malloc(bytes);
    struct media_open m;
    struct hist_viewer v = viewer(ADA);
    struct rand_src r;
    CHECK(out != NULL && back != NULL);
    rand_init_seeded(&r, 3);
    rand_bytes(&r, out, bytes);
    fix_init();
    struct file_id id = reserve(ADA, "big");
    CHECK_EQ(send(&id, out, bytes), ERR_OK);
    CHECK_EQ(open_as(&v, &id, &m), ERR_OK);
    CHECK_EQ(m.length, bytes);
    CHECK_EQ(m.hash.len, 64);
    CHECK_SV(m.mimetype, "application/octet-stream");
    CHECK(!m.is_image);
    for (uint64_t at = 0; at < bytes; at += media_chunk_bytes) { /* two asked for at once */
        struct media_read rd = {.stream = m.stream,
                                .offset = at,
                                .p = back + at,
                                .len = (uint32_t)MIN(bytes - at, (uint64_t)media_chunk_bytes)};
        CHECK_EQ(call(MEDIA_READ, &rd), ERR_OK);
    }
    CHECK_MEM(out, back, bytes);
    free(out);
    free(back);
    fix_deinit();
}

/* ---- equal content ---- */

TEST(equal_contents_are_one_blob_until_the_last_file_goes)
{
    fix_init();
    struct file_id a = upload(ADA, "a", "same"), b = upload(BOB, "b", "same");
    DISK(1, 0);
    CHECK_EQ(metric(METRIC_BLOBS_PLACED), 1);
    CHECK_EQ(delete_as(ADA, &a), ERR_OK);
    DISK(1, 0);
    CHECK_EQ(read_as(BOB, &b, "same"), ERR_OK);
    CHECK_EQ(delete_as(BOB, &b), ERR_OK);
    DISK(0, 0);
    fix_deinit();
}

/* The second finds the first's row only once that is durable: it waits for it. */
TEST(equal_contents_at_one_time_are_one_blob)
{
    fix_init();
    struct file_id ids[3];
    uint64_t streams[3];
    struct media_finish fins[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = reserve(ADA, "x");
        streams[i] = begin(&ids[i]);
        CHECK_EQ(write_bytes(streams[i], "same", 4), ERR_OK);
    }
    f.asker.len = 0;
    for (int i = 0; i < 3; i++) {
        fins[i] = (struct media_finish){.stream = streams[i]};
        ask(MEDIA_FINISH, &fins[i]);
    }
    rig_turns(&f.rig, 20);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(answer_to(&fins[i]), ERR_OK);
    DISK(1, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(read_as(ADA, &ids[i], "same"), ERR_OK);
        CHECK_EQ(delete_as(ADA, &ids[i]), ERR_OK);
        DISK(i < 2, 0);
    }
    fix_deinit();
}

/* The deletion of the last file and an upload of the same bytes, in both orders. */
TEST(what_is_deleted_and_uploaded_again_at_one_time_is_there)
{
    for (int upload_first = 0; upload_first < 2; upload_first++) {
        fix_init();
        struct file_id old = upload(ADA, "old", "same"), new = reserve(ADA, "new");
        uint64_t stream = begin(&new);
        CHECK_EQ(write_bytes(stream, "same", 4), ERR_OK);
        struct media_finish fin = {.stream = stream};
        struct media_delete del = {.team = TEAM, .uid = ADA, .id = old, .arena = &f.arena};
        f.asker.len = 0;
        if (upload_first)
            ask(MEDIA_FINISH, &fin);
        ask(MEDIA_DELETE, &del);
        if (!upload_first)
            ask(MEDIA_FINISH, &fin);
        rig_turns(&f.rig, 20);
        CHECK_EQ(answer_to(&fin), ERR_OK);
        CHECK_EQ(answer_to(&del), ERR_OK);
        DISK(1, 0);
        CHECK_EQ(read_as(ADA, &new, "same"), ERR_OK);
        crash();
        sweep();
        CHECK_EQ(read_as(ADA, &new, "same"), ERR_OK);
        CHECK_EQ(delete_as(ADA, &new), ERR_OK);
        DISK(0, 0);
        fix_deinit();
    }
}

TEST(a_blob_that_somebody_removed_comes_back_with_the_next_upload)
{
    fix_init();
    struct file_id a = upload(ADA, "a", "same");
    struct row_file row;
    CHECK_EQ(file_read(f.media, &a, &row), ERR_OK);
    CHECK_EQ(blob_remove(&f.media->blobs, row.sha256), ERR_OK);
    CHECK_EQ(read_as(ADA, &a, "same"), ERR_CORRUPT);
    struct file_id b = reserve(ADA, "b");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&b, "same", 4), ERR_STORAGE_UNAVAILABLE);
    f.valve.fails = ERR_OK;
    CHECK_EQ(read_as(ADA, &a, "same"),
             ERR_OK); /* the first one's, whatever becomes of the second */
    CHECK_EQ(send(&b, "same", 4), ERR_OK);
    CHECK_EQ(read_as(ADA, &a, "same"), ERR_OK);
    CHECK_EQ(read_as(ADA, &b, "same"), ERR_OK);
    fix_deinit();
}

/* ---- caps ---- */

TEST(caps_hold_to_the_byte_by_what_the_bytes_are)
{
    static const struct {
        const char *head;
        size_t head_len, bytes;
        enum err err;
    } cases[] = {{PNG_HEAD, 24, 1000, ERR_OK},
                 {PNG_HEAD, 24, 1001, ERR_FILE_UPLOAD_SIZE_RESTRICTED},
                 {"ID3\3\0\0\0\0\0\0", 10, 1000, ERR_OK},
                 {"ID3\3\0\0\0\0\0\0", 10, 1001, ERR_FILE_UPLOAD_SIZE_RESTRICTED},
                 {"text", 4, 1001, ERR_OK},
                 {"text", 4, 3000, ERR_OK},
                 {"text", 4, 3001, ERR_FILE_UPLOAD_SIZE_RESTRICTED},
                 {"%PDF-", 5, 3000, ERR_OK},
                 {"%PDF-", 5, 3001, ERR_FILE_UPLOAD_SIZE_RESTRICTED}};
    char bytes[3001];
    fix_init();
    f.conf.media_bytes_max = 1000;
    f.conf.document_bytes_max = 3000;
    crash();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        /* In one piece, and byte by byte around the caps. */
        for (int pieces = 0; pieces < 2; pieces++) {
            uint32_t before = on_disk(f.scratch.conf.server_data).blobs;
            memset(bytes, 'a' + (int)i + 10 * pieces, sizeof bytes);
            memcpy(bytes, cases[i].head, cases[i].head_len);
            struct file_id id = reserve(ADA, "x.txt");
            uint64_t stream = begin(&id);
            size_t first = pieces ? 990 : cases[i].bytes;
            enum err err = write_bytes(stream, bytes, first);
            for (size_t at = first; err == ERR_OK && at < cases[i].bytes; at++)
                err = write_bytes(stream, bytes + at, 1);
            CHECK_EQ(err, cases[i].err); /* with the first byte over it, not at the end */
            if (err == ERR_OK)
                CHECK_EQ(finish(stream), ERR_OK);
            DISK(before + (err == ERR_OK), 0);
            if (err != ERR_OK) /* it has ended */
                CHECK_EQ(write_bytes(stream, "x", 1), ERR_UNKNOWN_STREAM);
            else
                CHECK_EQ(delete_as(ADA, &id), ERR_OK);
        }
    }
    fix_deinit();
}

/* The lesser cap is under what tells an image: it holds all the same, at the end. */
TEST(a_cap_holds_although_it_is_reached_before_the_type_is_known)
{
    fix_init();
    f.conf.media_bytes_max = 10;
    f.conf.document_bytes_max = 3000;
    crash();
    struct file_id id = reserve(ADA, "x");
    uint64_t stream = begin(&id);
    CHECK_EQ(write_bytes(stream, PNG_HEAD, 12), ERR_OK);
    CHECK_EQ(write_bytes(stream, &(PNG_HEAD "abc")[12], 12), ERR_OK);
    CHECK_EQ(finish(stream), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    DISK(0, 0);
    fix_deinit();
}

TEST(a_file_is_as_long_as_it_was_announced_to_be)
{
    struct file_id id;
    fix_init();
    f.conf.document_bytes_max = 100;
    f.conf.media_bytes_max = 50;
    crash();
    CHECK_EQ(try_reserve(ADA, "x", 101, &id), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    CHECK_EQ(try_reserve(ADA, "x", 5, &id), ERR_OK);
    struct media_begin b = {.id = id, .declared = 6};
    CHECK_EQ(call(MEDIA_BEGIN, &b), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    CHECK_EQ(send(&id, "four", 4), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    CHECK_EQ(send(&id, "sixsix", 6), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    DISK(0, 0);
    b.declared = 5;
    CHECK_EQ(call(MEDIA_BEGIN, &b), ERR_OK);
    CHECK_EQ(write_bytes(b.stream, "fives", 5), ERR_OK);
    CHECK_EQ(finish(b.stream), ERR_OK);
    id = reserve(ADA, "y"); /* not announced: what was declared counts */
    b = (struct media_begin){.id = id, .declared = 101};
    CHECK_EQ(call(MEDIA_BEGIN, &b), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    b.declared = 3;
    CHECK_EQ(call(MEDIA_BEGIN, &b), ERR_OK);
    CHECK_EQ(write_bytes(b.stream, "four", 4), ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    CHECK_EQ(send(&id, "", 0), ERR_OK); /* an empty file is one */
    fix_deinit();
}

/* ---- streams ---- */

TEST(an_aborted_upload_leaves_nothing_and_may_be_made_again)
{
    fix_init();
    struct file_id id = reserve(ADA, "x");
    uint64_t stream = begin(&id), second;
    CHECK_EQ(write_bytes(stream, "half", 4), ERR_OK);
    CHECK_EQ(try_begin(&id, &second), ERR_FILE_NOT_FOUND); /* one at a time */
    struct media_abort a = {.stream = stream};
    CHECK_EQ(call(MEDIA_ABORT, &a), ERR_OK);
    DISK(0, 0);
    CHECK_EQ(call(MEDIA_ABORT, &a), ERR_UNKNOWN_STREAM);
    CHECK_EQ(finish(stream), ERR_UNKNOWN_STREAM);
    CHECK_EQ(read_as(ADA, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(send(&id, "whole", 5), ERR_OK);
    CHECK_EQ(read_as(ADA, &id, "whole"), ERR_OK);
    fix_deinit();
}

TEST(streams_are_bounded_and_their_requesters_own)
{
    fix_init();
    f.conf.streams_max = 2;
    crash();
    struct file_id id = upload(ADA, "x", "text"), other = reserve(ADA, "y");
    struct media_open a, b, c;
    struct hist_viewer v = viewer(ADA);
    uint64_t stream;
    CHECK_EQ(open_as(&v, &id, &a), ERR_OK);
    CHECK_EQ(open_as(&v, &id, &b), ERR_OK);
    CHECK_EQ(open_as(&v, &id, &c), ERR_SERVICE_UNAVAILABLE);
    CHECK_EQ(try_begin(&other, &stream), ERR_SERVICE_UNAVAILABLE);
    struct media_close m = {a.stream};
    CHECK(rig_ask(&f.rig, ID_OTHER, ID_MEDIA, MEDIA_CLOSE, 0, &m));
    rig_turns(&f.rig, 4);
    CHECK_EQ(f.other.cells[0].err, ERR_UNKNOWN_STREAM);
    CHECK_EQ(write_bytes(a.stream, "x", 1), ERR_UNKNOWN_STREAM); /* of the other direction */
    CHECK_EQ(call(MEDIA_CLOSE, &m), ERR_OK);
    CHECK_EQ(call(MEDIA_CLOSE, &m), ERR_UNKNOWN_STREAM);
    stream = begin(&other);
    m.stream = stream;
    CHECK_EQ(call(MEDIA_CLOSE, &m), ERR_UNKNOWN_STREAM);
    CHECK_EQ(write_bytes(stream, "x", 1), ERR_OK);
    fix_deinit();
}

/* Whoever reads goes on reading what somebody deletes meanwhile. */
TEST(a_download_outlives_its_file)
{
    char got[4];
    struct media_open m;
    struct hist_viewer v = viewer(ADA);
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    CHECK_EQ(open_as(&v, &id, &m), ERR_OK);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    struct media_read r = {.stream = m.stream, .p = got, .len = 4};
    CHECK_EQ(call(MEDIA_READ, &r), ERR_OK);
    CHECK_MEM(got, "text", 4);
    fix_deinit();
}

/* What is asked about a stream is answered in the order in which it was asked, although the end of
 * an upload waits for a commit. */
TEST(what_comes_behind_the_end_of_an_upload_waits_for_it)
{
    fix_init();
    struct file_id id = reserve(ADA, "x");
    uint64_t stream = begin(&id);
    struct media_write w = {.stream = stream, .p = "text", .len = 4}, late = w;
    struct media_finish fin = {.stream = stream}, again = fin;
    struct media_abort a = {.stream = stream};
    void *order[] = {&w, &fin, &late, &again, &a};
    f.asker.len = 0;
    ask(MEDIA_WRITE, &w);
    ask(MEDIA_FINISH, &fin);
    ask(MEDIA_WRITE, &late);
    ask(MEDIA_FINISH, &again);
    ask(MEDIA_ABORT, &a);
    f.valve.holds = true;
    rig_turns(&f.rig, 5);
    CHECK_EQ(f.asker.len, 1);
    f.valve.holds = false;
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 5);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(f.asker.cells[i].u.p == order[i]);
        CHECK_EQ(f.asker.cells[i].err, i < 2 ? ERR_OK : ERR_UNKNOWN_STREAM);
    }
    CHECK_EQ(read_as(ADA, &id, "text"), ERR_OK);
    fix_deinit();
}

/* Many end at once: their syncs are spread over turns, and all are answered. */
TEST(many_uploads_end_at_once)
{
    enum { uploads = 20 };
    static struct media_finish fins[uploads];
    fix_init();
    for (int i = 0; i < uploads; i++) {
        char text[8];
        struct file_id id = reserve(ADA, "x");
        fins[i] = (struct media_finish){.stream = begin(&id)};
        snprintf(text, sizeof text, "%d", i % 15); /* some are equal */
        CHECK_EQ(write_bytes(fins[i].stream, text, strlen(text)), ERR_OK);
    }
    f.asker.len = 0;
    for (int i = 0; i < uploads; i++)
        ask(MEDIA_FINISH, &fins[i]);
    rig_turns(&f.rig, 2);
    CHECK(f.media->group_len <= turn_syncs_max);
    CHECK_EQ(f.media->ops_len, uploads);
    CHECK(media_actor_ops.busy(f.media) || f.media->committing);
    rig_turns(&f.rig, 100);
    for (int i = 0; i < uploads; i++)
        CHECK_EQ(answer_to(&fins[i]), ERR_OK);
    DISK(15, 0);
    CHECK_EQ(metric(METRIC_FILE_STREAMS), 0);
    fix_deinit();
}

/* ---- failures ---- */

TEST(a_disk_that_fails_leaves_nothing_and_the_next_upload_works)
{
    static const struct {
        struct faults faults;
        enum err err;
    } cases[] = {{{.write = ENOSPC}, ERR_STORAGE_FULL},
                 {{.write = ENOSPC, .room = 3}, ERR_STORAGE_FULL},
                 {{.write = EIO, .room = 3}, ERR_SERVICE_UNAVAILABLE},
                 {{.fdatasync = EIO}, ERR_SERVICE_UNAVAILABLE},
                 {{.fdatasync = ENOSPC}, ERR_STORAGE_FULL},
                 {{.rename = EIO}, ERR_SERVICE_UNAVAILABLE},
                 {{.fsync = ENOSPC}, ERR_STORAGE_FULL}};
    fix_init();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file_id id = reserve(ADA, "x"), other = reserve(ADA, "y");
        uint64_t stream = begin(&id), beside = begin(&other);
        CHECK_EQ(write_bytes(beside, "beside", 6), ERR_OK);
        faults = cases[i].faults;
        enum err err = write_bytes(stream, "hello", 5);
        if (err == ERR_OK)
            err = finish(stream);
        CHECK_EQ(err, cases[i].err);
        CHECK_EQ(finish(stream), ERR_UNKNOWN_STREAM);
        DISK(0, 1);
        CHECK_EQ(metric(METRIC_FILE_ERRORS), 2 * (i + 1)); /* and the unknown stream */
        faults = (struct faults){0};
        CHECK_EQ(finish(beside), ERR_OK); /* others go on */
        CHECK_EQ(send(&id, "hello", 5), ERR_OK);
        CHECK_EQ(read_as(ADA, &id, "hello"), ERR_OK);
        CHECK_EQ(delete_as(ADA, &id), ERR_OK);
        CHECK_EQ(delete_as(ADA, &other), ERR_OK);
        DISK(0, 0);
    }
    fix_deinit();
}

TEST(a_read_that_fails_says_so)
{
    char got[4];
    struct media_open m;
    struct hist_viewer v = viewer(ADA);
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    CHECK_EQ(open_as(&v, &id, &m), ERR_OK);
    struct media_read r = {.stream = m.stream, .p = got, .len = 4};
    faults.pread = EIO;
    CHECK_EQ(call(MEDIA_READ, &r), ERR_SERVICE_UNAVAILABLE);
    faults.pread = 0;
    CHECK_EQ(call(MEDIA_READ, &r), ERR_OK);
    fix_deinit();
}

static bool full(const struct log *l)
{
    (void)l;
    return true;
}

TEST(a_disk_with_too_little_space_takes_nothing_new)
{
    struct file_id id;
    uint64_t stream;
    fix_init();
    struct file_id there = upload(ADA, "x", "text"), waits = reserve(ADA, "y");
    f.conf.disk_full = full;
    crash();
    CHECK_EQ(try_reserve(ADA, "x", UINT64_MAX, &id), ERR_DISK_FULL);
    CHECK_EQ(try_begin(&waits, &stream), ERR_DISK_FULL);
    CHECK_EQ(read_as(ADA, &there, "text"), ERR_OK);
    CHECK_EQ(delete_as(ADA, &there), ERR_OK); /* this helps */
    fix_deinit();
}

TEST(a_commit_that_fails_changes_nothing)
{
    struct file_id id;
    fix_init();
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(try_reserve(ADA, "x", UINT64_MAX, &id), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(f.media->reserved_len, 0);
    f.valve.fails = ERR_OK;
    struct file_id there = upload(ADA, "x", "there");
    id = reserve(ADA, "y");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&id, "there", 5), ERR_STORAGE_UNAVAILABLE); /* another file has these */
    CHECK_EQ(delete_as(ADA, &there), ERR_STORAGE_UNAVAILABLE);
    DISK(1, 0);
    CHECK_EQ(read_as(ADA, &there, "there"), ERR_OK);
    f.valve.fails = ERR_OK;
    CHECK_EQ(read_as(ADA, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(send(&id, "there", 5), ERR_OK);
    CHECK_EQ(delete_as(ADA, &there), ERR_OK);
    CHECK_EQ(read_as(ADA, &id, "there"), ERR_OK);
    DISK(1, 0);
    CHECK(f.media->epoch > 1);
    fix_deinit();
}

/* Rows that log could not write may turn up all the same: their bytes stay until it is known that
 * they did not. */
TEST(bytes_whose_commit_failed_go_when_log_commits_again)
{
    fix_init();
    struct file_id id = reserve(ADA, "x"), other = reserve(ADA, "y"), third = reserve(ADA, "z");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&id, "new", 3), ERR_STORAGE_UNAVAILABLE);
    DISK(1, 0);
    CHECK_EQ(send(&other, "more", 4), ERR_SERVICE_UNAVAILABLE); /* nothing is added to them */
    sweep();
    pass_ms(1100);
    DISK(1, 0);
    f.valve.fails = ERR_OK;
    pass_ms(1100);
    DISK(0, 0);
    CHECK_EQ(send(&id, "new", 3), ERR_OK);
    CHECK_EQ(send(&other, "more", 4), ERR_OK);
    CHECK_EQ(read_as(ADA, &id, "new"), ERR_OK);
    /* Any change that is committed says so, too. */
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&third, "third", 5), ERR_STORAGE_UNAVAILABLE);
    DISK(3, 0);
    f.valve.fails = ERR_OK;
    reserve(ADA, "z");
    DISK(2, 0);
    fix_deinit();
}

/* The process ends in doubt: the next one goes by the rows. */
TEST(a_crash_in_doubt_leaves_what_has_a_row)
{
    fix_init();
    struct file_id id = reserve(ADA, "x");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&id, "new", 3), ERR_STORAGE_UNAVAILABLE);
    crash();
    DISK(1, 0);
    sweep();
    DISK(0, 0);
    CHECK_EQ(send(&id, "new", 3), ERR_OK);
    fix_deinit();
}

/* ---- crashes ---- */

/* As far as the log has what it was sent, and nobody has been answered. */
static void turn_until_committed(void)
{
    uint64_t before = metric(METRIC_LOG_BATCHES);
    for (int i = 0; i < 10 && metric(METRIC_LOG_BATCHES) == before; i++)
        rig_turns(&f.rig, 1);
    CHECK_EQ(metric(METRIC_LOG_BATCHES), before + 1);
}

/* In order; a life is cut behind one of them. HELD: sent to the log, which does not have it. */
enum point {
    RESERVED,
    BEGUN,
    HALF,
    FINISH_HELD,
    FINISH_COMMITTED,
    STORED,
    DELETE_HELD,
    DELETE_COMMITTED,
    REMOVED,
    POINTS
};

/* True: as far as it was to go. */
static bool change(uint16_t type, void *m, enum point last, enum point held)
{
    if (last < held)
        return true;
    f.valve.holds = last == held;
    ask(type, m);
    if (last == held)
        rig_turns(&f.rig, 10);
    else
        turn_until_committed();
    if (last <= held + 1)
        return true;
    rig_turns(&f.rig, 10);
    return false;
}

static void live_until(enum point last, const struct file_id *id)
{
    uint64_t stream = last >= BEGUN ? begin(id) : 0;
    struct media_finish fin = {.stream = stream};
    struct media_delete del = {.team = TEAM, .uid = ADA, .id = *id, .arena = &f.arena};
    if (last >= HALF)
        CHECK_EQ(write_bytes(stream, "text", 4), ERR_OK);
    if (!change(MEDIA_FINISH, &fin, last, FINISH_HELD))
        (void)change(MEDIA_DELETE, &del, last, DELETE_HELD);
    crash();
}

static void check_what_is_left(enum point last, bool equal, const struct file_id *id,
                               const struct file_id *other)
{
    bool stored = last >= FINISH_COMMITTED && last <= DELETE_HELD;
    bool there = last >= FINISH_HELD && last <= DELETE_COMMITTED;
    enum err err = stored ? ERR_OK : last > DELETE_HELD ? ERR_FILE_DELETED : ERR_FILE_NOT_FOUND;
    DISK(1 + (there && !equal), 0);
    sweep();
    DISK(1 + (stored && !equal), 0);
    CHECK_EQ(metric(METRIC_BLOBS_SWEPT), there && !stored && !equal);
    CHECK_EQ(read_as(BOB, other, equal ? "text" : "other"), ERR_OK);
    CHECK_EQ(read_as(ADA, id, "text"), err);
    /* What was not done can be done now. */
    if (last < FINISH_COMMITTED)
        CHECK_EQ(send(id, "text", 4), ERR_OK);
    CHECK_EQ(delete_as(ADA, id), last > DELETE_HELD ? ERR_FILE_DELETED : ERR_OK);
    CHECK_EQ(read_as(BOB, other, equal ? "text" : "other"), ERR_OK);
    CHECK_EQ(delete_as(BOB, other), ERR_OK);
    DISK(0, 0);
}

/* The process ends after each step of an upload and of a deletion: at the end there is a blob for
 * each row and no other, and nothing temporary. */
TEST(a_crash_leaves_neither_temporary_files_nor_blobs_without_rows)
{
    for (int equal = 0; equal < 2; equal++) {
        for (enum point last = RESERVED; last < POINTS; last++) {
            fix_init();
            struct file_id other = upload(BOB, "other", equal ? "text" : "other");
            struct file_id id = reserve(ADA, "x");
            live_until(last, &id);
            check_what_is_left(last, equal, &id, &other);
            fix_deinit();
        }
    }
}

/* The sweep meets bytes whose row is on its way. */
TEST(a_sweep_leaves_what_is_being_committed)
{
    fix_init();
    struct file_id id = reserve(ADA, "x");
    uint64_t stream = begin(&id);
    struct media_finish fin = {.stream = stream};
    CHECK_EQ(write_bytes(stream, "text", 4), ERR_OK);
    f.valve.holds = true;
    f.asker.len = 0;
    ask(MEDIA_FINISH, &fin);
    rig_turns(&f.rig, 5);
    DISK(1, 0);
    sweep();
    DISK(1, 0);
    f.valve.holds = false;
    rig_turns(&f.rig, 10);
    CHECK_EQ(answer_to(&fin), ERR_OK);
    CHECK_EQ(read_as(ADA, &id, "text"), ERR_OK);
    fix_deinit();
}

TEST(a_drain_ends_what_was_asked_and_leaves_no_stream)
{
    fix_init();
    struct file_id a = reserve(ADA, "a"), b = reserve(ADA, "b");
    uint64_t left = begin(&a), ends = begin(&b);
    CHECK_EQ(write_bytes(left, "half", 4), ERR_OK);
    CHECK_EQ(write_bytes(ends, "whole", 5), ERR_OK);
    struct media_finish fin = {.stream = ends};
    f.valve.holds = true;
    f.asker.len = 0;
    ask(MEDIA_FINISH, &fin);
    rig_turns(&f.rig, 5);
    f.rig.actors[ID_MEDIA].kind = ACTOR_MEDIA;
    loop_drain(&f.rig.loop, ACTOR_MEDIA);
    rig_turns(&f.rig, 5);
    CHECK(!actor_drained(&f.rig.actors[ID_MEDIA]));
    f.valve.holds = false;
    rig_turns(&f.rig, 10);
    CHECK(actor_drained(&f.rig.actors[ID_MEDIA]));
    CHECK_EQ(answer_to(&fin), ERR_OK);
    DISK(1, 0);
    CHECK_EQ(slab_used(&f.media->streams), 0);
    fix_deinit();
}
