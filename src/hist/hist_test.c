/* Reads of one channel: paging at every edge, rights, unread counts, members, cold channels, pages
 * in memory. */
#include "hist/test_rig.h"

#include "json/read.h"

static struct hist_history page(uint64_t oldest, uint64_t latest, bool inclusive, uint32_t limit)
{
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA},
                             .cid = OPEN,
                             .oldest_us = oldest,
                             .latest_us = latest,
                             .inclusive = inclusive,
                             .limit = limit};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    return m;
}

/* "100 90 80" */
static void check_page(const struct hist_history *m, const char *want)
{
    char got[256] = "";
    struct buf b;
    buf_init_fixed(&b, got, sizeof got - 1);
    struct str_view rest = buf_view(&m->out);
    while (rest.len > 0) {
        sv_cut(&rest, ':');
        struct str_view n = sv_cut(&rest, '}');
        buf_printf(&b, b.len > 0 ? " %.*s" : "%.*s", SV_ARG(n));
        sv_cut(&rest, ',');
    }
    CHECK_STR(got, want);
}

TEST(history_bounds)
{
    fix_init();
    static const struct {
        uint64_t oldest, latest;
        bool inclusive;
        const char *want;
    } rows[] = {{0, 0, false, "100 90 80 70 60 50 40 30 20 10"},
                {0, 100, false, "90 80 70 60 50 40 30 20 10"},
                {0, 100, true, "100 90 80 70 60 50 40 30 20 10"},
                {90, 0, false, "100"},
                {90, 0, true, "100 90"},
                {30, 60, false, "50 40"},
                {30, 60, true, "60 50 40 30"},
                {31, 59, true, "50 40"},
                {50, 50, true, "50"},
                {50, 50, false, ""},
                {60, 50, true, ""},
                {49, 51, false, "50"},
                {100, 0, false, ""},
                {0, 10, false, ""},
                {0, 1, false, ""},
                {9999999999999999u, 0, true, ""},
                {0, 9999999999999999u, false, "100 90 80 70 60 50 40 30 20 10"}};
    for (int from_memory = 0; from_memory < 2; from_memory++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct hist_history m = page(rows[i].oldest, rows[i].latest, rows[i].inclusive, 100);
            check_page(&m, rows[i].want);
            CHECK(!m.has_more);
        }
    }
    fix_deinit();
}

TEST(history_pages_meet_without_gap_or_overlap)
{
    fix_init();
    for (uint32_t limit = 1; limit <= 11; limit++) {
        uint64_t latest = 0, want = 100;
        for (int pages = 0;; pages++) {
            struct hist_history m = page(0, latest, false, limit);
            CHECK_EQ(m.messages, MIN(limit, want / 10));
            want -= 10 * m.messages;
            CHECK_EQ(m.has_more, want > 0); /* never a promise of an empty page */
            if (!m.has_more)
                break;
            CHECK_EQ(m.next_us, want + 10);
            latest = m.next_us;
        }
        CHECK_EQ(want, 0);
    }
    /* More at the oldest edge is not more within the bounds. */
    struct hist_history m = page(80, 0, false, 2);
    check_page(&m, "100 90");
    CHECK(!m.has_more);
    fix_deinit();
}

/* Long messages: the page ends at its bytes, a message over them comes alone, none is lost. */
TEST(pages_of_long_messages_end_early)
{
    static const size_t bytes[] = {1000, 3 << 20, 600000, 400000, 400000, 10};
    static const uint32_t pages[] = {3, 1, 1, 1}; /* newest first */
    uint64_t latest = 0, want = 1006;
    fix_init();
    for (uint64_t i = 0; i < ARRAY_LEN(bytes); i++)
        put_long_message(OPEN, 1001 + i, bytes[i]);
    write_rows();
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        arena_reset(&f.arena);
        struct hist_history m = page(1000, latest, false, 100);
        CHECK_EQ(m.messages, pages[i]);
        want -= m.messages;
        CHECK_EQ(m.has_more, i + 1 < ARRAY_LEN(pages));
        if (m.has_more)
            CHECK_EQ(m.next_us, want + 1);
        latest = m.next_us;
    }
    CHECK_EQ(want, 1000);
    fix_deinit();
}

TEST(absent_foreign_and_private_are_one_answer)
{
    fix_init();
    static const uint64_t hidden[] = {SECRET, FOREIGN, 999};
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        struct hist_viewer bob = {.team = TEAM, .uid = BOB};
        struct hist_history h = {.viewer = bob, .cid = hidden[i], .limit = 10};
        struct hist_message g = {.viewer = bob, .cid = hidden[i], .ts_us = 50};
        struct hist_info n = {.viewer = bob, .cid = hidden[i]};
        struct hist_members m = {.viewer = bob, .cid = hidden[i], .limit = 10, .arena = &f.arena};
        buf_init(&h.out, &f.arena, 0);
        buf_init(&g.out, &f.arena, 0);
        buf_init(&n.out, &f.arena, 0);
        CHECK_EQ(call(HIST_HISTORY, &h), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_MESSAGE, &g), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_INFO, &n), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_MEMBERS, &m), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(h.out.len + g.out.len + n.out.len + m.len, 0);
    }
    struct hist_history h = {.viewer = {.team = TEAM, .uid = BOB}, .cid = OPEN, .limit = 1};
    buf_init(&h.out, &f.arena, 0);
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_OK); /* a person reads public channels from outside */
    h.viewer = (struct hist_viewer){.team = TEAM, .uid = BOT, .is_bot = true};
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_NOT_IN_CHANNEL);
    struct hist_pins pins = {.viewer = h.viewer, .cid = OPEN};
    buf_init(&pins.out, &f.arena, 0);
    CHECK_EQ(call(HIST_PINS, &pins), ERR_NOT_IN_CHANNEL);
    h.viewer = (struct hist_viewer){.team = TEAM, .uid = BOB, .is_admin = true};
    h.cid = SECRET;
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_OK);
    struct hist_message g = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .ts_us = 50};
    buf_init(&g.out, &f.arena, 0);
    CHECK_EQ(call(HIST_MESSAGE, &g), ERR_OK);
    CHECK_SV(buf_view(&g.out), "{\"n\":50}");
    g.ts_us = 51;
    CHECK_EQ(call(HIST_MESSAGE, &g), ERR_MESSAGE_NOT_FOUND);
    fix_deinit();
}

static uint64_t member_number(const struct buf *b, const char *name)
{
    struct json_reader *r;
    struct json_member *m;
    uint32_t n;
    CHECK_EQ(json_reader_new(&r), ERR_OK);
    CHECK_EQ(json_read_object(r, &f.arena, buf_view(b), &m, &n), ERR_OK);
    struct json_value *v = json_find(m, n, sv_from(name));
    CHECK(v != NULL && v->type == JSON_INT);
    json_reader_free(r);
    return (uint64_t)v->i;
}

static void put_cursor(uint64_t uid, uint64_t read_seq)
{
    struct key k;
    key_chan_cursor(&k, OPEN, uid);
    row_cursor_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k,
                      &(struct row_cursor){.read_seq = read_seq, .read_ts_us = read_seq * 10});
    batch_put_end(&f.batch);
    write_rows();
}

TEST(unread_counts_leave_out_the_readers_own)
{
    fix_init();
    static const struct {
        uint64_t read, unread;
    } rows[] = {{0, 5}, {1, 4}, {2, 4}, {9, 0}, {8, 1}, {10, 0}, {99, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) { /* ADA's own are the even ones */
        struct hist_info m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN};
        put_cursor(ADA, rows[i].read);
        buf_init(&m.out, &f.arena, 0);
        CHECK_EQ(call(HIST_INFO, &m), ERR_OK);
        CHECK_EQ(member_number(&m.out, "unread_count"), rows[i].unread);
    }
    fix_deinit();
}

TEST(members_page_by_page)
{
    fix_init();
    for (uint64_t uid = 200; uid < 210; uid++)
        put_member(OPEN, uid, CHANNEL_PUBLIC);
    write_rows();
    uint64_t after = 0, last = 0;
    uint32_t total = 0;
    do {
        struct hist_members m = {.viewer = {.team = TEAM, .uid = ADA},
                                 .cid = OPEN,
                                 .after_uid = after,
                                 .limit = 4,
                                 .arena = &f.arena};
        CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
        for (uint32_t i = 0; i < m.len; i++) {
            CHECK(m.uids[i] > last);
            last = m.uids[i];
        }
        total += m.len;
        after = m.next_uid;
    } while (after != 0);
    CHECK_EQ(total, 11);
    struct hist_members m = {.viewer = {.team = TEAM, .uid = ADA},
                             .cid = OPEN,
                             .after_uid = UINT64_MAX, /* a forged cursor */
                             .limit = 4,
                             .arena = &f.arena};
    CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
    CHECK_EQ(m.len, 0);
    m.limit = 0;
    m.after_uid = 0;
    CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
    CHECK_EQ(m.len, 0);
    struct hist_memberships s = {.uid = ADA, .max = 1, .arena = &f.arena};
    CHECK_EQ(call(HIST_MEMBERSHIPS, &s), ERR_OK);
    CHECK_EQ(s.len, 1);
    CHECK(s.more);
    s.max = 2;
    CHECK_EQ(call(HIST_MEMBERSHIPS, &s), ERR_OK);
    CHECK(s.len == 2 && !s.more && s.cids[0] == OPEN && s.cids[1] == SECRET);
    fix_deinit();
}

/* A slow list does not hold back the answers to those that came before it. */
TEST(a_turn_answers_a_few_and_the_rest_waits_its_turn)
{
    enum { asked = 15 };
    fix_init();
    struct hist_members m[asked];
    for (uint32_t i = 0; i < asked; i++) {
        m[i] = (struct hist_members){
            .viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .limit = 10, .arena = &f.arena};
        CHECK(rig_ask(&f.rig, 0, 1, HIST_MEMBERS, i, &m[i]));
    }
    rig_turns(&f.rig, 2);
    CHECK(hist_actor_ops.busy(f.hist));
    CHECK(!hist_actor_ops.drain(f.hist, NULL));
    rig_turns(&f.rig, 1);
    CHECK_EQ(f.asker.len, 8);
    rig_turns(&f.rig, 2);
    CHECK_EQ(f.asker.len, asked);
    for (uint32_t i = 0; i < asked; i++)
        CHECK_EQ(f.asker.cells[i].req, i);
    CHECK(!hist_actor_ops.busy(f.hist));
    fix_deinit();
}

TEST(cold_channels_load_whole_and_bounded)
{
    fix_init();
    struct hist_load m = {.cid = 999, .members_max = 100, .arena = &f.arena};
    CHECK_EQ(call(HIST_LOAD, &m), ERR_OK);
    CHECK(!m.found);
    for (uint64_t uid = 200; uid < 299; uid++)
        put_member(OPEN, uid, CHANNEL_PUBLIC);
    write_rows();
    m.cid = OPEN;
    CHECK_EQ(call(HIST_LOAD, &m), ERR_OK);
    CHECK(m.found);
    CHECK_SV(m.info.name, "open");
    CHECK_EQ(m.head.seq, 10);
    CHECK_EQ(m.members_len, 100);
    for (uint32_t i = 1; i < m.members_len; i++)
        CHECK(m.members[i] > m.members[i - 1]);
    m.members_max = 99;
    CHECK_EQ(call(HIST_LOAD, &m), ERR_NOMEM);
    CHECK(!m.found);
    fix_deinit();
}

/* From the second read of a page on nothing is asked of the store, but of what was refused. */
TEST(a_page_that_is_read_again_comes_from_memory)
{
    fix_init();
    count_reads();
    for (int i = 0; i < 2; i++) {
        struct hist_history m = page(0, 0, false, 5);
        check_page(&m, "100 90 80 70 60");
    }
    uint32_t scans = counted.scans, gets = counted.gets;
    put_message(OPEN, 110, 11, ADA);
    write_rows();
    struct hist_history m = page(0, 0, false, 5);
    check_page(&m, "110 100 90 80 70");
    CHECK_EQ(counted.scans, scans);
    CHECK_EQ(counted.gets, gets);
    m.viewer.uid = BOB;
    m.cid = SECRET;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(call(HIST_HISTORY, &m), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(counted.gets, gets + 6);
    fix_deinit();
}

/* A member who leaves a private channel reads no more of it, though its page is in memory. */
TEST(a_page_in_memory_does_not_outlive_a_right)
{
    struct key k;
    fix_init();
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = SECRET, .limit = 10};
    buf_init(&m.out, &f.arena, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    key_chan_member(&k, SECRET, ADA);
    batch_delete(&f.batch, CF_CHAN, &k);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_CHANNEL_NOT_FOUND);
    put_member(SECRET, ADA, CHANNEL_PRIVATE);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    fix_deinit();
}

/* A record that does not match its checksum is never a wrong answer. */
TEST(a_damaged_row_fails_the_read)
{
    fix_init();
    struct key k, other;
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .limit = 100};
    buf_init(&m.out, &f.arena, 0);
    key_msg(&k, OPEN, 50);
    key_msg(&other, OPEN, 51); /* another message's bytes under this key */
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &other,
                       &(struct row_message){.ts_us = 51, .body = SV("{")});
    batch_put_end(&f.batch);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_CORRUPT);
    fix_deinit();
}

TEST(which_conversations_one_sees)
{
    fix_init();
    static const uint64_t cids[] = {OPEN, SECRET, FOREIGN, 999, ID_NONE, LONE};
    static const struct {
        struct hist_viewer viewer;
        bool seen[ARRAY_LEN(cids)];
    } rows[] = {
        {{.team = TEAM, .uid = ADA}, {true, true, false, false, false, true}},
        {{.team = TEAM, .uid = BOB}, {true, false, false, false, false, true}},
        {{.team = TEAM, .uid = ADA, .is_guest = true}, {true, true, false, false, false, false}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool seen[ARRAY_LEN(cids)] = {false, false, true, true, true, false};
        struct hist_sees m = {
            .viewer = rows[i].viewer, .cids = cids, .seen = seen, .len = ARRAY_LEN(cids)};
        CHECK_EQ(call(HIST_SEES, &m), ERR_OK);
        for (size_t k = 0; k < ARRAY_LEN(cids); k++)
            CHECK_EQ(seen[k], rows[i].seen[k]);
    }
    fix_deinit();
}
