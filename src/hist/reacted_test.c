/* What a user has reacted to: order, pages, cursors, rights, bounds. */
#include "chan/reactions.h"
#include "hist/test_rig.h"

static void put_reacted(uint64_t cid, uint64_t ts_us, uint64_t uid, enum channel_kind kind)
{
    struct key k;
    key_reacted(&k, uid, ts_us, cid);
    row_reacted_encode(batch_put_begin(&f.batch, CF_USER, &k), &k, &(struct row_reacted){kind});
    batch_put_end(&f.batch);
}

/* A message of OPEN or SECRET that uid has reacted to. */
static void put_both(uint64_t cid, uint64_t ts_us, uint64_t uid)
{
    enum channel_kind kind = cid == SECRET ? CHANNEL_PRIVATE : CHANNEL_PUBLIC;
    struct key k;
    char body[64];
    int n = snprintf(body, sizeof body, "{\"n\":%llu", (unsigned long long)ts_us);
    struct row_message row = {
        .ts_us = ts_us, .uid = ADA, .body = {body, (size_t)n}, .flags = MSG_REACTIONS};
    CHECK_EQ(reactions_add(SV_NONE, SV("tada"), uid, &f.arena, &row.reactions), ERR_OK);
    key_msg(&k, cid, ts_us);
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, &row);
    batch_put_end(&f.batch);
    put_reacted(cid, ts_us, uid, kind);
}

static struct hist_reacted ask(uint64_t viewer, uint64_t uid, uint32_t page, uint32_t count,
                               uint64_t before_us)
{
    struct hist_reacted m = {.viewer = {.team = TEAM, .uid = viewer},
                             .uid = uid,
                             .page = page,
                             .count = count,
                             .before_us = before_us};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_REACTED, &m), ERR_OK);
    return m;
}

/* "130 120" */
static void check_items(const struct hist_reacted *m, const char *want)
{
    char got[256] = "";
    struct buf b;
    buf_init_fixed(&b, got, sizeof got - 1);
    for (const char *at = m->out.p, *end = at + m->out.len; at != NULL;) {
        at = memmem(at, (size_t)(end - at), "\"n\":", 4);
        if (at == NULL)
            break;
        at += 4;
        buf_printf(&b, b.len > 0 ? " %llu" : "%llu", strtoull(at, NULL, 10));
    }
    CHECK_STR(got, want);
}

static void put_some(void)
{
    put_both(OPEN, 110, BOB);
    put_both(SECRET, 120, BOB);
    put_both(OPEN, 130, BOB);
    put_both(OPEN, 140, ADA);
    put_both(SECRET, 150, BOB);
    put_both(OPEN, 160, BOB);
    write_rows();
}

TEST(items_are_shown_newest_first_to_who_may_read_them)
{
    fix_init();
    put_some();
    struct hist_reacted m = ask(ADA, BOB, 1, 100, 0);
    check_items(&m, "160 150 130 120 110");
    CHECK_EQ(m.total, 5);
    m = ask(BOB, BOB, 1, 100, 0); /* no member of SECRET any more */
    check_items(&m, "160 130 110");
    CHECK_EQ(m.total, 3);
    CHECK(memmem(m.out.p, m.out.len,
                 "{\"type\":\"message\",\"channel\":\"C1\",\"message\":{\"n\":160,\"reactions\":"
                 "[{\"name\":\"tada\",\"users\":[\"U35\"],\"count\":1}]}}",
                 106) != NULL);
    m = ask(ADA, ADA, 1, 100, 0);
    check_items(&m, "140");
    m = ask(ADA, BOT, 1, 100, 0);
    check_items(&m, "");
    m.viewer = (struct hist_viewer){.team = TEAM, .uid = BOT, .is_bot = true}; /* in neither */
    m.uid = BOB;
    CHECK_EQ(call(HIST_REACTED, &m), ERR_OK);
    CHECK_EQ(m.len + m.total, 0);
    fix_deinit();
}

TEST(pages_and_cursors_cover_all_once)
{
    fix_init();
    put_some();
    static const char *const pages[] = {"160 150", "130 120", "110", ""};
    for (uint32_t i = 0; i < ARRAY_LEN(pages); i++) {
        struct hist_reacted m = ask(ADA, BOB, i + 1, 2, 0);
        check_items(&m, pages[i]);
        CHECK_EQ(m.total, 5);
    }
    struct hist_reacted m = ask(ADA, BOB, 0, 2, 0);
    check_items(&m, "160 150");
    CHECK_EQ(m.next_us, 150);
    m = ask(ADA, BOB, 0, 3, m.next_us);
    check_items(&m, "130 120 110");
    CHECK_EQ(m.next_us, 0);
    /* Between and behind what BOB sees lies what he may not: the cursor is that of what he sees. */
    m = ask(BOB, BOB, 0, 1, 0);
    check_items(&m, "160");
    CHECK_EQ(m.next_us, 160);
    m = ask(BOB, BOB, 0, 2, m.next_us);
    check_items(&m, "130 110");
    CHECK_EQ(m.next_us, 0);
    fix_deinit();
}

TEST(what_is_gone_is_passed_by)
{
    fix_init();
    put_some();
    put_reacted(OPEN, 100, BOB, CHANNEL_PUBLIC);  /* the message has no reaction (any more) */
    put_reacted(OPEN, 9999, BOB, CHANNEL_PUBLIC); /* and this one is not there */
    write_rows();
    struct hist_reacted m = ask(BOB, BOB, 0, 100, 0);
    check_items(&m, "160 130 110");
    m = ask(BOB, BOB, 1, 2, 0); /* a page is what was counted */
    check_items(&m, "160");
    m = ask(BOB, BOB, 2, 2, 0);
    check_items(&m, "130 110");
    m = ask(BOB, BOB, 1, 1, 0); /* nothing of it is left, and more follows */
    check_items(&m, "");
    CHECK_EQ(m.total, 5);
    CHECK_EQ(m.next_us, 9999);
    m = ask(BOB, BOB, 0, 1, m.next_us);
    check_items(&m, "160");
    fix_deinit();
}

/* So many on end that are gone: not the end. */
TEST(behind_a_run_of_what_is_gone_the_cursor_goes_on)
{
    enum { gone = hist_reacted_rows_max + 100 };
    fix_init();
    for (uint64_t i = 0; i < gone; i++)
        put_reacted(OPEN, 100000 + i, BOB, CHANNEL_PUBLIC);
    put_both(OPEN, 99999, BOB);
    write_rows();
    struct hist_reacted m = ask(BOB, BOB, 0, 10, 0);
    check_items(&m, "");
    CHECK_EQ(m.next_us, 100000 + gone - hist_reacted_rows_max);
    m = ask(BOB, BOB, 0, 10, m.next_us);
    check_items(&m, "99999");
    CHECK_EQ(m.next_us, 0);
    fix_deinit();
}

TEST(what_is_damaged_is_passed_by)
{
    enum { NO_LONGER_READ = 77 };
    struct key k;
    fix_init();
    put_some();
    put_reacted(NO_LONGER_READ, 170, BOB, CHANNEL_PUBLIC);
    key_chan_info(&k, NO_LONGER_READ);
    batch_put(&f.batch, CF_CHAN, &k, SV("damaged"));
    key_msg(&k, OPEN, 130);
    batch_put(&f.batch, CF_MSG, &k, SV("damaged"));
    key_reacted(&k, BOB, 160, OPEN);
    batch_put(&f.batch, CF_USER, &k, SV("damaged"));
    write_rows();
    struct hist_reacted m = ask(BOB, BOB, 0, 100, 0);
    check_items(&m, "110");
    m = ask(BOB, BOB, 1, 100, 0);
    check_items(&m, "110");
    CHECK_EQ(f.rig.loop.metrics.values[METRIC_HIST_DAMAGED], 6);
    fix_deinit();
}

TEST(a_page_of_long_messages_ends_early)
{
    fix_init();
    for (uint64_t i = 1; i <= 3; i++) {
        put_long_message(OPEN, 1000 + i, 700 << 10);
        struct key k;
        struct str_view value;
        struct row_message row;
        struct view v;
        write_rows();
        CHECK_EQ(store_view(f.store, &v), ERR_OK);
        key_msg(&k, OPEN, 1000 + i);
        CHECK_EQ(view_get1(&v, CF_MSG, &k, &f.arena, &value), ERR_OK);
        CHECK_EQ(row_message_decode(&row, key_view(&k), value), ERR_OK);
        row.flags |= MSG_REACTIONS;
        CHECK_EQ(reactions_add(SV_NONE, SV("tada"), BOB, &f.arena, &row.reactions), ERR_OK);
        row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, &row);
        batch_put_end(&f.batch);
        put_reacted(OPEN, 1000 + i, BOB, CHANNEL_PUBLIC);
        write_rows();
    }
    for (uint32_t page = 0; page < 2; page++) {
        struct hist_reacted m = ask(BOB, BOB, page, 3, 0);
        CHECK_EQ(m.len, 2);
        CHECK_EQ(m.next_us, 1002);
    }
    fix_deinit();
}

TEST(a_call_reads_a_bounded_number_of_rows)
{
    enum { hidden = 5000 };
    fix_init();
    count_reads();
    for (uint64_t i = 0; i < hidden; i++)
        put_reacted(SECRET, 100000 + i, BOB, CHANNEL_PRIVATE);
    put_both(OPEN, 99999, BOB);
    put_both(OPEN, 200000, BOB);
    write_rows();
    for (uint32_t page = 0; page < 2; page++) {
        counted.rows = counted.gets = 0;
        struct hist_reacted m = ask(BOB, BOB, page, 10, 0);
        check_items(&m, "200000");
        CHECK_EQ(m.next_us, page == 0 ? 200000 : 0);
        CHECK(counted.rows <= hist_reacted_rows_max + 128);
        CHECK(counted.gets < 16); /* a channel is asked about once, a message read when shown */
    }
    /* So many on end that may not be read: the end. */
    struct hist_reacted m = ask(BOB, BOB, 0, 10, 200000);
    check_items(&m, "");
    CHECK_EQ(m.next_us, 0);
    fix_deinit();
}
