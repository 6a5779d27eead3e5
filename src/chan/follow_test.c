/* Who follows a thread: by writing, by replying, by saying so; what it costs, who is told. */
#include "chan/follow.h"
#include "chan/test_rig.h"

static struct chan_post *reply(struct rig *r, uint64_t uid, uint64_t thread_ts_us)
{
    struct chan_post *m = rig_post_as(r, uid, NULL);
    m->thread_ts_us = thread_ts_us;
    rig_request(r, ACC, CHAN_POST, 1, m);
    return m;
}

static uint64_t said(struct rig *r, uint64_t uid, uint64_t thread_ts_us)
{
    struct chan_post *m = reply(r, uid, thread_ts_us);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    return m->ts_us;
}

static struct chan_change *change(struct rig *r, uint64_t uid, enum change_kind kind,
                                  uint64_t thread_ts_us, uint64_t read_us)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    *m = (struct chan_change){.kind = kind,
                              .team = TEAM,
                              .uid = uid,
                              .ts_us = thread_ts_us,
                              .read_us = read_us,
                              .arena = &r->arena};
    rig_request(r, ACC, CHAN_CHANGE, 1, m);
    return m;
}

static enum err changed(struct rig *r, uint64_t uid, enum change_kind kind, uint64_t thread_ts_us,
                        uint64_t read_us)
{
    struct chan_change *m = change(r, uid, kind, thread_ts_us, read_us);
    rig_settle(r);
    return rig_err(r, m);
}

static bool find(struct rig *r, uint64_t uid, uint64_t thread_ts_us, struct row_follow *out)
{
    struct key k;
    key_follow(&k, 1, thread_ts_us, uid);
    const struct rig_row *row = rig_find(r, CF_IDX, key_view(&k));
    if (row != NULL)
        CHECK_EQ(row_follow_decode(out, key_view(&k), row->value), ERR_OK);
    return row != NULL;
}

static void check_row(struct rig *r, uint64_t uid, uint64_t thread_ts_us, bool active,
                      uint64_t read_us)
{
    struct row_follow row;
    CHECK(find(r, uid, thread_ts_us, &row));
    CHECK_EQ(row.active, active);
    CHECK_EQ(row.read_us, read_us);
}

/* What uid's sockets heard of that kind, at the fanout that nobody listens at. */
static uint32_t heard(struct rig *r, uint64_t uid, const char *type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->events_len[1]; i++) {
        const struct rig_event *e = rig_event(r, 1, i);
        n += e->cell.u.u[1] == uid && rig_says(e, type);
    }
    return n;
}

TEST(who_replies_follows_and_the_author_without_a_row)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0);
    CHECK_EQ(rig_rows(r, CF_IDX), 0); /* a message costs nothing */
    uint64_t first = said(r, ALICE, ts);
    check_row(r, ALICE, ts, true, first);
    CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 1);
    CHECK_EQ(heard(r, BOB, "\"thread_subscribed\""), 1);
    said(r, ALICE, ts);
    said(r, BOB, ts);
    CHECK_EQ(rig_rows(r, CF_IDX), 1);
    check_row(r, ALICE, ts, true, first);
    CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 1);
    CHECK_EQ(heard(r, BOB, "\"thread_subscribed\""), 1);
    rig_free(r);
}

TEST(an_author_who_replies_to_itself_first_has_no_row)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0);
    said(r, BOB, ts);
    CHECK_EQ(rig_rows(r, CF_IDX), 0);
    CHECK_EQ(heard(r, BOB, "\"thread_subscribed\""), 1);
    rig_free(r);
}

TEST(the_event_says_which_thread_and_how_far)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0);
    (void)said(r, ALICE, ts);
    char want[256];
    snprintf(
        want, sizeof want,
        "\"subscription\":{\"type\":\"thread\",\"channel\":\"C1\",\"thread_ts\":\"%llu.%06llu\","
        "\"date_create\":%llu,\"active\":true,\"last_read\":\"%llu.%06llu\"}",
        (unsigned long long)ts / 1000000, (unsigned long long)ts % 1000000,
        (unsigned long long)ts / 1000000, (unsigned long long)ts / 1000000,
        (unsigned long long)ts % 1000000);
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->events_len[1]; i++)
        found += rig_event(r, 1, i)->cell.u.u[1] == BOB && rig_says(rig_event(r, 1, i), want);
    CHECK_EQ(found, 1);
    rig_free(r);
}

/* None is durable when the next is decided. */
TEST(decisions_build_on_decisions_that_are_not_durable)
{
    for (int batches = 0; batches < 2; batches++) {
        struct rig *r = rig_room(7, 256);
        uint64_t ts = said(r, BOB, 0);
        struct row_follow row;
        struct chan_post *replies[3];
        replies[0] = reply(r, ALICE, ts);
        if (batches)
            rig_turn(r);
        replies[1] = reply(r, ALICE, ts);
        if (batches)
            rig_turn(r);
        change(r, ALICE, CHANGE_UNFOLLOW, ts, 0);
        if (batches)
            rig_turn(r);
        replies[2] = reply(r, ALICE, ts);
        rig_settle(r);
        check_row(r, ALICE, ts, true, replies[2]->ts_us);
        CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 2);
        CHECK_EQ(heard(r, ALICE, "\"thread_unsubscribed\""), 1);
        CHECK(!find(r, BOB, ts, &row));
        rig_free(r);
    }
}

TEST(a_failed_batch_leaves_nobody_following)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0);
    struct chan_post *lost = reply(r, ALICE, ts);
    rig_turn(r);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    rig_settle(r);
    CHECK_EQ(rig_err(r, lost), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_rows(r, CF_IDX), 0);
    CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 0);
    uint64_t kept = said(r, ALICE, ts);
    check_row(r, ALICE, ts, true, kept);
    rig_free(r);
}

TEST(members_follow_and_leave_as_they_say)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0), first = said(r, BOB, ts), last = said(r, BOB, ts);
    CHECK_EQ(changed(r, ALICE, CHANGE_UNFOLLOW, ts, 0), ERR_OK); /* she does not */
    CHECK_EQ(changed(r, ALICE, CHANGE_THREAD_MARK, ts, first), ERR_OK);
    CHECK_EQ(rig_rows(r, CF_IDX), 0);
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, ts, 0), ERR_OK);
    check_row(r, ALICE, ts, true, last); /* what was said before is read */
    CHECK_EQ(changed(r, ALICE, CHANGE_UNFOLLOW, ts, 0), ERR_OK);
    check_row(r, ALICE, ts, false, last);
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, ts, first), ERR_OK);
    check_row(r, ALICE, ts, true, first);
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, ts, 0), ERR_OK); /* twice */
    check_row(r, ALICE, ts, true, first);
    CHECK_EQ(changed(r, ALICE, CHANGE_UNFOLLOW, ts, 0), ERR_OK);
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, ts, 1), ERR_OK);
    check_row(r, ALICE, ts, true, ts); /* who follows has read the first message */
    CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 3);
    CHECK_EQ(heard(r, ALICE, "\"thread_unsubscribed\""), 2);
    CHECK_EQ(changed(r, BOB, CHANGE_UNFOLLOW, ts, 0), ERR_OK); /* the author: a row says no */
    check_row(r, BOB, ts, false, ts);
    rig_free(r);
}

TEST(a_mark_stays_in_the_thread_and_never_goes_back)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0), first = said(r, ALICE, ts), last = said(r, ALICE, ts);
    const struct {
        uint64_t read_us, want;
    } rows[] = {{first, first}, {1, first}, {last + 1000000, last}, {first, last}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(changed(r, BOB, CHANGE_THREAD_MARK, ts, rows[i].read_us), ERR_OK);
        check_row(r, BOB, ts, true, rows[i].want);
    }
    CHECK_EQ(heard(r, BOB, "\"thread_marked\""), 2); /* of what changed something */
    CHECK_EQ(heard(r, ALICE, "\"thread_marked\""), 0);
    uint64_t later = said(r, ALICE, ts);
    CHECK_EQ(changed(r, BOB, CHANGE_THREAD_MARK, ts, later), ERR_OK);
    check_row(r, BOB, ts, true, later);
    rig_free(r);
}

TEST(a_thread_must_be_there_and_the_caller_in_the_channel)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0), first = said(r, BOB, ts);
    static const enum change_kind kinds[] = {CHANGE_FOLLOW, CHANGE_UNFOLLOW, CHANGE_THREAD_MARK};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CHECK_EQ(changed(r, ALICE, kinds[i], ts + 1, 1), ERR_THREAD_NOT_FOUND);
        CHECK_EQ(changed(r, ALICE, kinds[i], first, 1), ERR_THREAD_NOT_FOUND);
        CHECK_EQ(changed(r, CAROL, kinds[i], ts, 1), ERR_NOT_IN_CHANNEL);
    }
    r->read_err = ERR_IO;
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, ts, 0), ERR_STORAGE_UNAVAILABLE);
    r->read_err = ERR_OK;
    CHECK_EQ(rig_rows(r, CF_IDX), 0);
    uint64_t gone = said(r, BOB, 0);
    struct chan_change *m = change(r, BOB, CHANGE_DELETE, gone, 0);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(changed(r, ALICE, CHANGE_FOLLOW, gone, 0), ERR_THREAD_NOT_FOUND);
    rig_free(r);
}

/* Whoever has left hears nothing of the thread that begins behind him. */
TEST(an_author_who_has_left_is_not_told)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = said(r, BOB, 0);
    (void)rig_change(r, CHAN_LEAVE, 1, BOB, NULL, 0);
    rig_settle(r);
    (void)said(r, ALICE, ts);
    CHECK_EQ(heard(r, BOB, "\"thread_subscribed\""), 0);
    CHECK_EQ(heard(r, ALICE, "\"thread_subscribed\""), 1);
    rig_free(r);
}
