/* Lists of files: order, filters, pages, cursors, and how much a call reads. */
#include "media/test_rig.h"

TEST(lists_are_newest_first_and_show_what_is_seen)
{
    fix_init();
    struct file_id a = upload(ADA, "a", "1"), b = upload(ADA, "b", "2"), c = upload(BOB, "c", "3");
    upload(BOB, "d", "4");
    share(&a, OPEN, CHANNEL_PUBLIC, 1);
    share(&b, SECRET, CHANNEL_PRIVATE, 2);
    share(&b, SECRET, CHANNEL_PRIVATE, 3);
    reserve(ADA, "e");
    check_list(query(ADA), "ba|2");
    check_list(query(BOB), "dcba|4");
    check_list(query(EVE), "a|1");
    struct media_list q = query(EVE);
    q.uid = ADA;
    check_list(q, "a|1");
    q = query(ADA);
    q.uid = ADA;
    check_list(q, "ba|2");
    q.uid = BOB;
    check_list(q, "|0");
    q = query(BOB);
    q.cid = SECRET;
    check_list(q, "b|1");
    q.uid = BOB;
    check_list(q, "|0");
    q = query(EVE);
    q.cid = SECRET;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_CHANNEL_NOT_FOUND);
    q.viewer.team = TEAM + 1;
    q.cid = ID_NONE;
    check_list(q, "|0");
    /* Deleted, or not in the conversation any more. */
    CHECK_EQ(delete_as(ADA, &b), ERR_OK);
    check_list(query(BOB), "dca|3");
    q = query(BOB);
    q.cid = SECRET;
    check_list(q, "|0");
    q.page = 2; /* nor is it counted */
    check_list(q, "|0");
    q.page = 1;
    struct media_share s = share_of(&c, DIRECT, CHANNEL_IM, TS_NONE);
    s.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    q.cid = DIRECT;
    check_list(q, "|0"); /* its message is on the way */
    s.undo = true;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check_list(q, "|0");
    s.undo = false;
    s.ts_us = 4;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check_list(q, "c|1");
    crash();
    check_list(query(BOB), "dca|3");
    fix_deinit();
}

TEST(lists_are_filtered_by_type_and_time)
{
    fix_init();
    upload(ADA, "a", "text");
    pass_ms(10000);
    upload(ADA, "b", "GIF89a\1\1\1\1");
    uint64_t between_us = f.rig.loop.turn.wall_us;
    pass_ms(10000);
    upload(ADA, "c", "%PDF-1.4");
    upload(ADA, "d", "PK\3\4xxxx");
    struct media_reserve r = {.team = TEAM,
                              .uid = ADA,
                              .name = SV("e"),
                              .title = SV(""),
                              .alt_text = SV("what it is"),
                              .snippet_type = SV("python"),
                              .length = UINT64_MAX};
    CHECK_EQ(call(MEDIA_RESERVE, &r), ERR_OK);
    CHECK_EQ(send(&r.id, "print()", 7), ERR_OK);
    struct media_list q = query(ADA);
    check_list(q, "edcba|5");
    static const struct {
        uint32_t types;
        const char *want;
    } cases[] = {{MEDIA_IMAGES, "b|1"},
                 {MEDIA_PDFS, "c|1"},
                 {MEDIA_ZIPS, "d|1"},
                 {MEDIA_SNIPPETS, "e|1"},
                 {MEDIA_DOCS, "|0"},
                 {MEDIA_IMAGES | MEDIA_ZIPS, "db|2"},
                 {0, "|0"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        q.types = cases[i].types;
        check_list(q, cases[i].want);
    }
    q = query(ADA);
    q.from_us = between_us;
    check_list(q, "edc|3");
    q = query(ADA);
    q.to_us = between_us;
    check_list(q, "ba|2");
    struct row_file row;
    CHECK_EQ(file_read(f.media, &r.id, &row), ERR_OK);
    q.from_us = q.to_us = row.created_us; /* both included */
    check_list(q, "e|1");
    q.to_us = row.created_us - 1;
    q.from_us = row.created_us;
    check_list(q, "|0");
    struct str_view json = own_json(&r.id);
    CHECK(says(json, "\"mode\":\"snippet\"") && says(json, "\"filetype\":\"python\""));
    CHECK(says(json, "\"alt_txt\":\"what it is\""));
    fix_deinit();
}

/* More than a step of them, of which only every other one is seen. */
TEST(pages_are_cut_out_of_what_is_seen)
{
    enum { files = 150, page = 20 };
    char want[64], name[2] = "";
    fix_init();
    f.conf.reserved_user_max = files;
    crash();
    for (int i = 0; i < files; i++) {
        name[0] = (char)('a' + i / 2 % 26);
        struct file_id id = upload(ADA, name, i % 2 == 0 ? "seen" : "unseen");
        if (i % 2 == 0)
            share(&id, OPEN, CHANNEL_PUBLIC, (uint64_t)i + 1);
    }
    for (uint32_t p = 1; p <= 5; p++) {
        struct media_list q = query(EVE);
        size_t n = 0;
        q.page = p;
        q.count = page;
        for (uint32_t k = (p - 1) * page; k < MIN(p * page, (uint32_t)files / 2); k++)
            want[n++] = (char)('a' + (files / 2 - 1 - k) % 26);
        snprintf(want + n, sizeof want - n, "|%d", files / 2);
        check_list(q, want);
        q = query(ADA); /* her own: not looked at, only counted */
        q.uid = ADA;
        q.page = 3;
        q.count = 1;
        snprintf(want, sizeof want, "%c|%d", 'a' + (files / 2 - 2) % 26, files);
        check_list(q, want);
        q.viewer = viewer(EVE);
        q.cid = OPEN;
        q.page = 2;
        snprintf(want, sizeof want, "%c|%d", 'a' + (files / 2 - 2) % 26, files / 2);
        check_list(q, want);
    }
    fix_deinit();
}

/* All of a list by pages of n, each from where the one before ended. */
static void check_by_cursor(struct media_list q, uint32_t n, const char *want)
{
    char got[256] = "";
    size_t len = 0;
    q.page = 0;
    q.count = n;
    do {
        buf_init(&q.json, &f.arena, 0);
        CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
        CHECK(q.len <= n && len + q.len < sizeof got);
        struct str_view json = buf_view(&q.json);
        for (const char *at = json.p;
             json.len > 0 && (at = memmem(at, (size_t)(json.p + json.len - at), "\"name\":\"", 8));)
            got[len++] = *(at += 8);
        CHECK(q.len > 0 || q.next.created_us == 0);
        q.behind = q.next;
    } while (q.next.created_us != 0);
    CHECK_STR(got, want);
}

TEST(a_cursor_reaches_all_once)
{
    fix_init();
    struct file_id ids[9];
    for (int i = 0; i < 9; i++) {
        char name[] = {(char)('a' + i), 0};
        ids[i] = upload(ADA, name, "text");
    }
    for (int i = 0; i < 9; i += 2)
        share(&ids[i], OPEN, CHANNEL_PUBLIC, (uint64_t)i + 1);
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 8, 9, 10, 1000};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct media_list q = query(EVE);
        check_by_cursor(query(ADA), counts[i], "ihgfedcba");
        check_by_cursor(q, counts[i], "igeca"); /* of the hidden ones no page tells */
        q.cid = OPEN;
        check_by_cursor(q, counts[i], "igeca");
    }
    /* The file that a cursor stands at may go. */
    struct media_list q = query(EVE);
    q.page = 0;
    q.count = 2;
    check_list(q, "ig|3");
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    CHECK_EQ(delete_as(ADA, &ids[6]), ERR_OK);
    q.behind = q.next;
    check_by_cursor(q, 2, "eca");
    q = query(EVE); /* a page by number is gone on from as well */
    q.count = 2;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    q.behind = q.next;
    check_by_cursor(q, 2, "ca");
    fix_deinit();
}

/* Rows of the team's list whose files are not there. */
static void put_gone(uint32_t n, uint64_t newest_us)
{
    for (uint32_t i = 0; i < n; i++) {
        struct key k;
        char digits[file_id_len];
        struct file_id id = {"F"};
        snprintf(digits, sizeof digits, "%020u", i);
        memcpy(id.text + 1, digits, file_id_len - 1);
        key_file_listed(&k, FILES_OF_TEAM, TEAM, newest_us - i, &id);
        row_file_listed_encode(batch_put_begin(&f.batch, CF_FILE, &k), &k,
                               &(struct row_file_listed){.uid = ADA, .types = MEDIA_DOCS});
        batch_put_end(&f.batch);
        if (i % 1000 == 999)
            write_rows();
    }
    write_rows();
}

TEST(a_call_reads_so_many_rows_and_the_next_goes_on)
{
    fix_init();
    upload(ADA, "a", "text");
    pass_ms(1000);
    put_gone(6000, f.rig.loop.turn.wall_us - 100000);
    upload(ADA, "b", "text");
    pass_ms(1000);
    put_gone(6000, f.rig.loop.turn.wall_us - 100000);
    upload(ADA, "c", "text");
    check_list(query(ADA), "cb|2"); /* by pages the rest is not reached */
    struct media_list q = query(ADA);
    q.page = 0;
    q.count = 3;
    check_list(q, "cb|2");
    check_by_cursor(query(ADA), 3, "cba");
    fix_deinit();
}

/* They take turns, and bytes of others go on meanwhile; too many are refused. */
TEST(lists_wait_in_line)
{
    enum { more = lists_max + 3 };
    static struct media_list q[more];
    fix_init();
    upload(ADA, "a", "text");
    f.asker.len = 0;
    for (int i = 0; i < more; i++) {
        q[i] = query(ADA);
        buf_init(&q[i].json, &f.arena, 0);
        ask(MEDIA_LIST, &q[i]);
    }
    rig_turns(&f.rig, 2);
    CHECK(media_actor_ops.busy(f.media));
    rig_turns(&f.rig, more + 4);
    CHECK_EQ(f.asker.len, more);
    for (int i = 0; i < more; i++)
        CHECK_EQ(answer_to(&q[i]), i < lists_max ? ERR_OK : ERR_SERVICE_UNAVAILABLE);
    CHECK(!media_actor_ops.busy(f.media));
    fix_deinit();
}
