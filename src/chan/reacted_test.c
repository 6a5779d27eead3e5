/* A user's list of messages with reactions of his: there with the first, gone with the last and
 * with the message, in the batch of the change. */
#include "chan/reactions.h"
#include "chan/test_rig.h"

static uint64_t a_message(struct rig *r, uint64_t thread_ts_us)
{
    struct chan_post *m = rig_post_as(r, BOB, NULL);
    m->thread_ts_us = thread_ts_us;
    rig_request(r, ACC, CHAN_POST, 1, m);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    return m->ts_us;
}

static struct chan_change *change(struct rig *r, uint64_t uid, enum change_kind kind,
                                  uint64_t ts_us, const char *name)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    *m = (struct chan_change){.kind = kind,
                              .team = TEAM,
                              .uid = uid,
                              .ts_us = ts_us,
                              .name = sv_from(name),
                              .arena = &r->arena};
    rig_request(r, ACC, CHAN_CHANGE, 1, m);
    return m;
}

static bool is_listed(struct rig *r, uint64_t uid, uint64_t ts_us)
{
    struct key k;
    struct row_reacted row;
    key_reacted(&k, uid, ts_us, 1);
    const struct rig_row *at = rig_find(r, CF_USER, key_view(&k));
    if (at != NULL)
        CHECK_EQ(row_reacted_decode(&row, key_view(&k), at->value), ERR_OK);
    return at != NULL;
}

TEST(a_list_follows_the_reactions)
{
    for (int batches = 0; batches < 2; batches++) { /* each change in its own, or all in one */
        struct rig *r = rig_room(7, 256);
        uint64_t root = a_message(r, 0), reply = a_message(r, root);
        const struct {
            uint64_t uid, ts_us;
            enum change_kind kind;
            const char *name;
            bool after;
        } rows[] = {
            {ALICE, root, CHANGE_REACT, "a", true},    {ALICE, root, CHANGE_REACT, "b", true},
            {BOB, root, CHANGE_REACT, "a", true},      {ALICE, root, CHANGE_UNREACT, "a", true},
            {ALICE, root, CHANGE_UNREACT, "b", false}, {CAROL, reply, CHANGE_REACT, "c", true},
            {ALICE, root, CHANGE_REACT, "c", true}};
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct chan_change *m =
                change(r, rows[i].uid, rows[i].kind, rows[i].ts_us, rows[i].name);
            if (batches == 1)
                continue;
            rig_settle(r);
            CHECK(rig_ok(r, m));
            CHECK_EQ(is_listed(r, rows[i].uid, rows[i].ts_us), rows[i].after);
        }
        rig_settle(r);
        CHECK(is_listed(r, ALICE, root) && is_listed(r, BOB, root) && is_listed(r, CAROL, reply));
        CHECK_EQ(rig_rows(r, CF_USER), 3);
        rig_free(r);
    }
}

TEST(a_reaction_that_was_refused_or_lost_is_in_no_list)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, 0);
    struct chan_change *none = change(r, ALICE, CHANGE_UNREACT, ts, "a");
    rig_settle(r);
    CHECK_EQ(rig_err(r, none), ERR_NO_REACTION);
    CHECK_EQ(rig_rows(r, CF_USER), 0);
    change(r, ALICE, CHANGE_REACT, ts, "a");
    rig_turn(r);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    rig_settle(r);
    CHECK_EQ(rig_rows(r, CF_USER), 0);
    rig_free(r);
}

TEST(a_message_takes_its_reactions_out_of_the_lists)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, 0), other = a_message(r, 0);
    change(r, ALICE, CHANGE_REACT, ts, "a");
    change(r, BOB, CHANGE_REACT, ts, "a");
    change(r, BOB, CHANGE_REACT, ts, "b");
    change(r, BOB, CHANGE_REACT, other, "b");
    rig_settle(r);
    CHECK_EQ(rig_rows(r, CF_USER), 3);
    struct chan_change *m = change(r, BOB, CHANGE_DELETE, ts, "");
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(rig_rows(r, CF_USER), 1);
    CHECK(is_listed(r, BOB, other));
    rig_free(r);
}

/* More reactions than a batch removes: rows of the users behind them stay. */
TEST(a_deletion_is_bounded)
{
    enum { users = 1500, gone = 1024 };
    struct rig *r = rig_room(3, 64);
    struct row_message row;
    struct key k;
    struct batch b = {.arena = r->arena};
    uint64_t ts = a_message(r, 0);
    key_msg(&k, 1, ts);
    CHECK_EQ(row_message_decode(&row, key_view(&k), rig_find(r, CF_MSG, key_view(&k))->value),
             ERR_OK);
    row.flags |= MSG_REACTIONS;
    for (uint64_t i = 0; i < users; i++) {
        struct key of;
        CHECK_EQ(reactions_add(row.reactions, SV("a"), 1000 + i, &b.arena, &row.reactions), ERR_OK);
        key_reacted(&of, 1000 + i, ts, 1);
        row_reacted_encode(batch_put_begin(&b, CF_USER, &of), &of, &(struct row_reacted){0});
        batch_put_end(&b);
    }
    row_message_encode(batch_put_begin(&b, CF_MSG, &k), &k, &row);
    batch_put_end(&b);
    r->arena = b.arena;
    rig_apply(r, &b);
    struct chan_change *m = change(r, BOB, CHANGE_DELETE, ts, "");
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(rig_rows(r, CF_USER), users - gone);
    CHECK(!is_listed(r, 1000 + gone - 1, ts) && is_listed(r, 1000 + gone, ts));
    rig_free(r);
}
