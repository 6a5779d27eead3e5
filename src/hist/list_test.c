/* Lists of channels: who sees which, paging, and what they cost. */
#include "hist/test_rig.h"

static struct hist_list list(uint64_t uid, uint32_t types, uint32_t limit, struct str_view after)
{
    struct hist_list m = {.viewer = {.team = TEAM, .uid = uid},
                          .types = types,
                          .limit = limit,
                          .after = after,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    return m;
}

TEST(lists_show_what_may_be_seen)
{
    fix_init();
    struct hist_list m = list(ADA, 15, 100, SV_NONE);
    CHECK_EQ(m.len, 3);
    CHECK_EQ(m.next.len, 0);
    m = list(BOB, 15, 100, SV_NONE);
    CHECK_EQ(m.len, 2);
    CHECK(memmem(m.out.p, m.out.len, "secret", 6) == NULL);
    m = list(ADA, hist_types_private, 100, SV_NONE);
    CHECK_EQ(m.len, 1);
    m = list(BOB, hist_types_private, 100, SV_NONE);
    CHECK_EQ(m.len, 0);
    m.members_only = true;
    m.types = 15;
    m.viewer.uid = ADA;
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, 2);
    /* "lone", "open", then only what BOB may not see: no cursor that would betray it. */
    m = list(BOB, 15, 2, SV_NONE);
    CHECK_EQ(m.len, 2);
    CHECK_EQ(m.next.len, 0);
    m = list(ADA, 15, 2, SV_NONE);
    CHECK_SV(m.next, "open");
    m = list(ADA, 15, 2, m.next);
    CHECK_EQ(m.len, 1);
    CHECK_EQ(m.next.len, 0);
    static char forged[400];
    memset(forged, 'x', sizeof forged);
    m.after = (struct str_view){forged, sizeof forged};
    CHECK_EQ(call(HIST_LIST, &m), ERR_INVALID_CURSOR);
    fix_deinit();
}

TEST(long_lists_page_by_page_meet)
{
    fix_init();
    static char names[300][16];
    for (uint64_t i = 0; i < 300; i++) { /* every third is private and not ADA's */
        snprintf(names[i], sizeof names[i], "c%03d", (int)i);
        put_channel(1000 + i, TEAM, i % 3 == 0 ? CHANNEL_PRIVATE : CHANNEL_PUBLIC, names[i], 0, 0);
    }
    write_rows();
    static const uint32_t limits[] = {1, 7, 100, 127, 128, 129, 203, UINT32_MAX};
    for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
        struct str_view after = SV_NONE;
        uint32_t total = 0, pages = 0;
        do {
            struct hist_list m = list(ADA, 15, limits[l], after);
            CHECK(m.len > 0 && m.len <= limits[l]);
            total += m.len;
            after = m.next;
            CHECK(++pages < 1000);
        } while (after.len > 0);
        CHECK_EQ(total, 200 + 3);
        arena_reset(&f.arena);
    }
    fix_deinit();
}

static struct hist_list own_list(uint64_t uid, uint32_t limit, struct str_view after)
{
    struct hist_list m = {.viewer = {.team = TEAM, .uid = uid},
                          .members_only = true,
                          .types = 15,
                          .limit = limit,
                          .after = after,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    return m;
}

/* Everything, by pages of limit; the names must rise. */
static uint32_t own_total(uint64_t uid, uint32_t limit)
{
    struct str_view after = SV_NONE;
    uint32_t total = 0;
    do {
        struct hist_list m = own_list(uid, limit, after);
        CHECK(m.len > 0 && m.len <= limit);
        CHECK(m.next.len == 0 || sv_cmp(m.next, after) > 0);
        total += m.len;
        after = m.next;
    } while (after.len > 0);
    return total;
}

TEST(own_channels_cost_what_the_user_has_not_what_the_team_has)
{
    fix_init();
    static char name[16];
    for (uint64_t i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "c%04d", (int)((i * 7919) % 1500));
        put_channel(1000 + i, TEAM, CHANNEL_PUBLIC, name, 0, 0);
        if (i % 5 == 0)
            put_member(1000 + i, BOB, CHANNEL_PUBLIC);
        put_member(1000 + i, BOT, CHANNEL_PUBLIC); /* more than are sorted in memory */
        write_rows();
    }
    count_reads();
    struct hist_list m = own_list(ADA, 100, SV_NONE); /* "open" and "secret" */
    CHECK_EQ(m.len, 2);
    CHECK(counted.rows + counted.gets <= 16);
    m = own_list(ADA, 1, SV_NONE);
    CHECK_EQ(m.len, 1);
    CHECK_SV(m.next, "open");
    m = own_list(ADA, 1, m.next);
    CHECK_EQ(m.len, 1);
    CHECK_EQ(m.next.len, 0);
    CHECK_EQ(own_list(777, 100, SV_NONE).len, 0);
    static const uint32_t limits[] = {7, 127, 128, 129, UINT32_MAX};
    for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
        CHECK_EQ(own_total(BOB, limits[l]), 300);
        CHECK_EQ(own_total(BOT, limits[l]), 1500);
    }
    /* An operator that asks for its own channels gets those, and not all. */
    m.viewer = (struct hist_viewer){.team = TEAM, .uid = ADA, .is_admin = true};
    m.after = SV_NONE;
    m.limit = 100;
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, 2);
    fix_deinit();
}

/* A list of everything, for a user who has read nothing, reads a bounded number of messages. */
TEST(unread_counts_of_many_channels_are_bounded)
{
    enum { channels = 20, posts = 1000 };
    fix_init();
    static char name[16];
    for (uint64_t i = 0; i < channels; i++) {
        snprintf(name, sizeof name, "c%02d", (int)i);
        put_channel(1000 + i, TEAM, CHANNEL_PUBLIC, name, posts, posts);
        put_member(1000 + i, BOB, CHANNEL_PUBLIC);
        for (uint64_t p = 1; p <= posts; p++)
            put_message(1000 + i, p, p, BOB);
        write_rows();
    }
    count_reads();
    struct hist_list m = {.viewer = {.team = TEAM, .uid = BOB},
                          .with_unread = true,
                          .types = 15,
                          .limit = UINT32_MAX,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, channels + 2);
    CHECK(counted.rows < 17000);
    CHECK(memmem(m.out.p, m.out.len, "\"unread_count\":0", 16) != NULL);
    fix_deinit();
}
