/* Members: the set, join, leave, invite, rights, events in their order. */
#include "chan/test_rig.h"

TEST(member_set_against_a_plain_list)
{
    enum { n = 5000 };
    static bool in[n];
    struct member_set set = {0};
    struct rand_src rand;
    uint32_t len = 0;
    memset(in, 0, sizeof in);
    rand_init_seeded(&rand, 42);
    for (int i = 0; i < 60000; i++) {
        uint64_t uid = rand_below(&rand, n - 1) + 1;
        bool add = rand_below(&rand, 3) > 0;
        CHECK_EQ(member_set_has(&set, uid), in[uid]);
        if (add && !in[uid]) {
            CHECK_EQ(member_set_reserve(&set, 1), ERR_OK);
            member_set_add(&set, uid);
            len++;
            in[uid] = true;
        } else if (!add && in[uid]) {
            member_set_del(&set, uid);
            len--;
            in[uid] = false;
        }
        CHECK_EQ(set.len, len);
    }
    for (uint64_t uid = 1; uid < n; uid++)
        CHECK_EQ(member_set_has(&set, uid), in[uid]);
    CHECK(!member_set_has(&set, ID_NONE));
    CHECK_EQ(member_set_reserve(&set, 100000), ERR_OK);
    CHECK(set.cap <= 262144);
    member_set_free(&set);
}

static bool has_row(struct rig *r, enum cf cf, const struct key *k)
{
    return rig_find(r, cf, key_view(k)) != NULL;
}

/* The three rows of a member, all or none, and the head agrees. */
static bool is_member(struct rig *r, uint64_t cid, uint64_t uid)
{
    struct key member, membership, cursor;
    key_chan_member(&member, cid, uid);
    key_membership(&membership, uid, cid);
    key_chan_cursor(&cursor, cid, uid);
    bool in = has_row(r, CF_CHAN, &member);
    CHECK_EQ(has_row(r, CF_USER, &membership), in);
    CHECK_EQ(has_row(r, CF_CHAN, &cursor), in);
    return in;
}

TEST(join_is_stored_then_told_to_the_joiner_then_to_the_channel)
{
    struct rig *r = rig_room(3, 64);
    struct chan_member_change *m = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_turn(r);
    CHECK_EQ(r->answers_len, 0);
    CHECK_EQ(r->events_len[0], 0);
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    CHECK(!m->already);
    CHECK_EQ(m->info.cid, 1);
    CHECK_SV(m->info.name, "room");
    CHECK_EQ(m->head.members_len, 3);
    CHECK(is_member(r, 1, CAROL));
    for (uint32_t fan = 0; fan < 2; fan++) {
        CHECK_EQ(r->events_len[fan], 4);
        const struct rig_event *joined = rig_event(r, fan, 0), *own = rig_event(r, fan, 1),
                               *all = rig_event(r, fan, 2), *said = rig_event(r, fan, 3);
        CHECK_EQ(joined->cell.type, FAN_JOINED);
        CHECK_EQ(joined->cell.cid, 1);
        CHECK_EQ(joined->cell.u.u[0], CAROL);
        CHECK(joined->cell.u.u[2] > 0);
        CHECK_EQ(own->cell.cid, ID_NONE);
        CHECK_EQ(own->cell.u.u[1], CAROL);
        CHECK(rig_says(own, "{\"type\":\"channel_joined\",\"channel\":{\"id\":\"C1\","));
        CHECK(rig_says(own, "\"is_member\":true"));
        CHECK(rig_says(own, "\"num_members\":3"));
        CHECK_EQ(all->cell.cid, 1);
        CHECK(rig_says(all, "{\"type\":\"member_joined_channel\",\"user\":\"U37\",\"channel\":"
                            "\"C1\",\"channel_type\":\"C\",\"team\":\"T7\",\"event_ts\":"));
        CHECK_EQ(said->cell.cid, 1);
        CHECK(rig_says(said, "{\"type\":\"message\",\"subtype\":\"channel_join\",\"user\":\"U37\","
                             "\"team\":\"T7\",\"text\":\"<@U37> has joined the channel\",\"ts\":"));
    }
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    CHECK_EQ(m->head.seq, 0); /* unread to nobody */
    struct chan_post *post = rig_post(r, 1, CAROL, NULL);
    struct chan_member_change *again = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_settle(r);
    CHECK(rig_ok(r, post) && rig_ok(r, again));
    CHECK(again->already);
    CHECK_EQ(r->events_len[1], 5); /* interest came with the join */
    rig_free(r);
}

TEST(what_was_said_before_a_join_is_not_unread)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *post = rig_post(r, 1, BOB, NULL);
    struct chan_member_change *join = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_settle(r);
    struct key k;
    struct row_cursor cursor;
    key_chan_cursor(&k, 1, CAROL);
    CHECK_EQ(row_cursor_decode(&cursor, key_view(&k), rig_find(r, CF_CHAN, key_view(&k))->value),
             ERR_OK);
    CHECK_EQ(cursor.read_seq, 1);
    CHECK(cursor.read_ts_us > post->ts_us);
    CHECK_EQ(cursor.read_ts_us, join->head.last_ts_us); /* nor is that it came */
    rig_free(r);
}

/* As of a population that is made by a command. */
TEST(a_silent_join_says_nothing)
{
    struct rig *r = rig_room(3, 64);
    struct chan_member_change *m = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    m->silent = true;
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK(is_member(r, 1, CAROL));
    CHECK_EQ(r->events_len[0], 1);
    CHECK_EQ(rig_event(r, 0, 0)->cell.type, FAN_JOINED);
    CHECK_EQ(rig_rows(r, CF_MSG), 0);
    rig_free(r);
}

TEST(leave_is_told_to_the_channel_then_to_the_leaver)
{
    struct rig *r = rig_room(3, 64);
    struct chan_member_change *join = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_settle(r);
    r->events_len[0] = 0;
    struct chan_member_change *m = rig_change(r, CHAN_LEAVE, 1, CAROL, NULL, 0);
    rig_settle(r);
    CHECK(rig_ok(r, join) && rig_ok(r, m));
    CHECK(!m->already);
    CHECK(!is_member(r, 1, CAROL));
    CHECK_EQ(r->events_len[0], 4);
    CHECK(rig_says(rig_event(r, 0, 3), "\"text\":\"<@U37> has left the channel\""));
    CHECK(rig_says(rig_event(r, 0, 0), "{\"type\":\"member_left_channel\",\"user\":\"U37\""));
    CHECK(rig_says(rig_event(r, 0, 1),
                   "{\"type\":\"channel_left\",\"channel\":\"C1\",\"actor_id\":\"U37\","));
    CHECK_EQ(rig_event(r, 0, 1)->cell.u.u[1], CAROL);
    CHECK_EQ(rig_event(r, 0, 2)->cell.type, FAN_LEFT);
    CHECK_EQ(rig_event(r, 0, 2)->cell.u.u[0], CAROL);
    struct chan_member_change *again = rig_change(r, CHAN_LEAVE, 1, CAROL, NULL, 0);
    rig_settle(r);
    CHECK(rig_ok(r, again));
    CHECK(again->already);
    rig_free(r);
}

/* A refusal rests on the leave: it must not be seen before the leave is durable. */
TEST(refusal_after_an_undurable_leave_is_held)
{
    struct rig *r = rig_room(3, 64);
    struct chan_member_change *leave = rig_change(r, CHAN_LEAVE, 1, BOB, NULL, 0);
    struct chan_post *post = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    struct chan_post *later = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    CHECK_EQ(r->answers_len, 0);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, leave), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, post), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, later), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(r->events_len[0], 0);
    struct chan_post *still = rig_post(r, 1, BOB, NULL); /* he never left */
    rig_settle(r);
    CHECK(rig_ok(r, still));
    leave = rig_change(r, CHAN_LEAVE, 1, BOB, NULL, 0);
    post = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, leave));
    CHECK_EQ(rig_err(r, post), ERR_NOT_IN_CHANNEL);
    rig_free(r);
}

TEST(rights_of_join_and_leave)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PRIVATE, false, (uint64_t[]){ALICE}, 1);
    rig_channel(r, 3, CHANNEL_PUBLIC, true, (uint64_t[]){ALICE}, 1);
    rig_channel(r, 4, CHANNEL_IM, false, (uint64_t[]){ALICE, BOB}, 2);
    struct chan_member_change *private = rig_change(r, CHAN_JOIN, 2, BOB, NULL, 0),
                              *peek = rig_change(r, CHAN_LEAVE, 2, BOB, NULL, 0),
                              *last = rig_change(r, CHAN_LEAVE, 2, ALICE, NULL, 0),
                              *general = rig_change(r, CHAN_LEAVE, 3, ALICE, NULL, 0),
                              *im = rig_change(r, CHAN_LEAVE, 4, ALICE, NULL, 0),
                              *absent = rig_change(r, CHAN_JOIN, 9, ALICE, NULL, 0),
                              *nobody = rig_change(r, CHAN_JOIN, 1, ID_NONE, NULL, 0);
    rig_settle(r);
    CHECK_EQ(rig_err(r, private), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, peek), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, last), ERR_LAST_MEMBER);
    CHECK_EQ(rig_err(r, general), ERR_CANT_LEAVE_GENERAL);
    CHECK_EQ(rig_err(r, im), ERR_WRONG_CHANNEL_TYPE);
    CHECK_EQ(rig_err(r, absent), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, nobody), ERR_USER_NOT_FOUND);
    struct chan_member_change *admin = arena_zalloc(&r->arena, sizeof *admin);
    *admin = (struct chan_member_change){
        .team = TEAM, .uid = BOB, .by_admin = true, .silent = true, .arena = &r->arena};
    rig_request(r, ACC, CHAN_JOIN, 2, admin);
    r->events_len[0] = 0;
    rig_settle(r);
    CHECK(rig_ok(r, admin));
    CHECK(is_member(r, 2, BOB));
    CHECK_EQ(r->events_len[0], 1); /* silent, but bob's open sockets subscribe */
    CHECK_EQ(rig_event(r, 0, 0)->cell.type, FAN_JOINED);
    rig_free(r);
}

TEST(invite_answers_for_each_user)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PRIVATE, false, (uint64_t[]){ALICE}, 1);
    uint64_t users[] = {BOB, ALICE, BOB, CAROL};
    struct chan_member_change *m = rig_change(r, CHAN_INVITE, 2, ALICE, users, 4),
                              *stranger = rig_change(r, CHAN_INVITE, 1, CAROL, users, 1),
                              *none = rig_change(r, CHAN_INVITE, 1, ALICE, users, 0);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(m->user_errs[0], ERR_OK);
    CHECK_EQ(m->user_errs[1], ERR_CANT_INVITE_SELF);
    CHECK_EQ(m->user_errs[2], ERR_ALREADY_IN_CHANNEL);
    CHECK_EQ(m->user_errs[3], ERR_OK);
    CHECK(!m->already);
    CHECK_EQ(m->head.members_len, 3);
    CHECK(is_member(r, 2, BOB) && is_member(r, 2, CAROL));
    CHECK_EQ(rig_err(r, stranger), ERR_NOT_IN_CHANNEL);
    CHECK_EQ(rig_err(r, none), ERR_NO_USER);
    CHECK_EQ(rig_events(r, 1, FAN_JOINED), 2);
    CHECK(rig_says(rig_event(r, 1, 1), "\"type\":\"group_joined\""));
    CHECK(
        rig_says(rig_event(r, 1, 2), "\"channel_type\":\"G\",\"team\":\"T7\",\"inviter\":\"U35\""));
    m = rig_change(r, CHAN_INVITE, 2, ALICE, users, 1);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK(m->already);
    rig_free(r);
}

TEST(a_channel_has_at_most_members_max)
{
    struct rig *r = rig_new(3, 64);
    r->conf.members_max = 3;
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
    uint64_t users[] = {201, 202};
    struct chan_member_change *some = rig_change(r, CHAN_INVITE, 1, ALICE, users, 2),
                              *join = rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_settle(r);
    CHECK_EQ(rig_err(r, some), ERR_TOO_MANY_MEMBERS);
    CHECK_EQ(some->user_errs[0], ERR_OK);
    CHECK_EQ(some->user_errs[1], ERR_TOO_MANY_MEMBERS);
    CHECK_EQ(rig_err(r, join), ERR_TOO_MANY_MEMBERS);
    CHECK(is_member(r, 1, 201));
    rig_restart(r); /* the stored rows agree with one another */
    struct chan_post *post = rig_post(r, 1, 201, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, post));
    rig_free(r);
}

TEST(a_thousand_are_invited_at_once)
{
    struct rig *r = rig_room(1, 64);
    static uint64_t users[invite_users_max];
    for (uint32_t i = 0; i < invite_users_max; i++)
        users[i] = 1000 + i;
    struct chan_member_change *m = rig_change(r, CHAN_INVITE, 1, ALICE, users, 900);
    r->deaf[1] = true;
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(m->head.members_len, 902);
    r->deaf[1] = false;
    rig_read(r);
    r->events_len[1] = 0;
    rig_turn(r); /* joins were lost: all are asked for again */
    CHECK_EQ(rig_event(r, 1, 0)->cell.type, FAN_REVALIDATE);
    rig_free(r);
}

/* ---- who made a channel ---- */

static void rig_created(struct rig *r, uint64_t cid, uint64_t uid)
{
    struct cell c = {.type = CHAN_CREATED, .req = ++r->req, .cid = cid, .u.u = {uid}};
    rig_in(r, ACC, CLASS_REQUEST, &c);
}

TEST(the_maker_of_a_channel_hears_it_from_the_start)
{
    struct rig *r = rig_new(3, 64);
    rig_start(r);
    rig_channel(r, 5, CHANNEL_PRIVATE, false, (uint64_t[]){ALICE}, 1);
    rig_created(r, 5, ALICE);
    rig_change(r, CHAN_INVITE, 5, ALICE, (uint64_t[]){BOB}, 1);
    rig_turn(r);
    rig_hist_done(r, ERR_OK); /* it was cold */
    CHECK_EQ(r->answers_len, 1);
    CHECK_EQ(r->answers[0].type, CHAN_CREATED);
    CHECK_EQ(r->answers[0].err, ERR_OK);
    rig_settle(r);
    for (uint32_t fan = 0; fan < 2; fan++) { /* nobody knows where its sockets are */
        const struct rig_event *joined = rig_event(r, fan, 0), *own = rig_event(r, fan, 1);
        CHECK_EQ(joined->cell.type, FAN_JOINED);
        CHECK_EQ(joined->cell.cid, 5);
        CHECK_EQ(joined->cell.u.u[0], ALICE);
        CHECK(joined->cell.u.u[2] > 0);
        CHECK_EQ(own->cell.u.u[1], ALICE);
        CHECK(rig_says(own, "{\"type\":\"group_joined\",\"channel\":{\"id\":\"C5\","));
        CHECK(rig_says(own, "\"num_members\":1"));
        CHECK_EQ(rig_event(r, fan, 2)->cell.u.u[0], BOB);
        CHECK(rig_says(rig_event(r, fan, 4), "\"type\":\"member_joined_channel\""));
    }
    rig_free(r);
}

/* Somebody found the channel by its name and was quicker: what is told rests on that join. */
TEST(the_maker_is_told_behind_what_was_decided_before)
{
    struct rig *r = rig_new(3, 64);
    rig_start(r);
    rig_channel(r, 5, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE}, 1);
    rig_change(r, CHAN_JOIN, 5, BOB, NULL, 0);
    rig_turn(r);
    rig_hist_done(r, ERR_OK);
    rig_created(r, 5, ALICE);
    rig_turn(r);
    CHECK_EQ(r->answers_len, 0);
    CHECK_EQ(r->events_len[0], 0);
    rig_log_done(r, ERR_OK);
    CHECK_EQ(r->answers_len, 2);
    CHECK_EQ(r->answers[1].type, CHAN_CREATED);
    CHECK_EQ(rig_event(r, 0, 4)->cell.u.u[0], ALICE);
    CHECK(rig_says(rig_event(r, 0, 5), "\"num_members\":2"));
    CHECK_EQ(rig_event(r, 0, 6)->cell.type, FAN_GAP); /* of bob's coming it has heard nothing */
    CHECK_EQ(rig_event(r, 0, 6)->cell.cid, 5);
    rig_free(r);
}

TEST(the_maker_learns_that_somebody_came_and_went_before_it_was_told)
{
    struct rig *r = rig_new(3, 64);
    rig_start(r);
    rig_channel(r, 5, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE}, 1);
    rig_change(r, CHAN_JOIN, 5, BOB, NULL, 0);
    rig_change(r, CHAN_LEAVE, 5, BOB, NULL, 0);
    rig_settle(r);
    uint32_t before = r->events_len[0];
    rig_created(r, 5, ALICE);
    rig_settle(r);
    CHECK_EQ(rig_event(r, 0, before)->cell.type, FAN_JOINED);
    CHECK_EQ(rig_events(r, 0, FAN_GAP), 1);
    rig_free(r);
}

/* Also when it has been out of memory since. */
TEST(who_is_in_a_direct_conversation_learns_that_somebody_spoke_before_it_was_told)
{
    struct rig *r = rig_new(3, 64);
    rig_start(r);
    rig_channel(r, 5, CHANNEL_IM, false, (uint64_t[]){ALICE, BOB}, 2);
    rig_post(r, 5, ALICE, NULL);
    rig_settle(r);
    rig_restart(r);
    uint32_t before = r->events_len[0], gaps = rig_events(r, 0, FAN_GAP);
    rig_created(r, 5, ID_NONE);
    rig_settle(r);
    CHECK_EQ(rig_event(r, 0, before)->cell.type, FAN_JOINED);
    CHECK_EQ(rig_events(r, 0, FAN_GAP), gaps + 1);
    rig_free(r);
}

TEST(a_maker_is_not_told_when_what_it_rests_on_failed_or_when_it_has_left)
{
    struct rig *r = rig_new(3, 64);
    rig_start(r);
    rig_channel(r, 5, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
    rig_change(r, CHAN_LEAVE, 5, ALICE, NULL, 0);
    rig_turn(r);
    rig_hist_done(r, ERR_OK);
    rig_created(r, 5, BOB);
    rig_turn(r);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(r->answers_len, 2);
    CHECK_EQ(r->answers[1].type, CHAN_CREATED);
    CHECK_EQ(r->answers[1].err, ERR_STORAGE_UNAVAILABLE); /* dir announces a gap instead */
    rig_change(r, CHAN_LEAVE, 5, ALICE, NULL, 0);
    rig_created(r, 5, ALICE);
    rig_settle(r);
    CHECK_EQ(r->answers_len, 4);
    CHECK_EQ(r->answers[3].err, ERR_OK);
    CHECK_EQ(rig_events(r, 0, FAN_JOINED), 0);
    rig_created(r, 6, ALICE); /* there is none */
    rig_settle(r);
    CHECK_EQ(r->answers[4].err, ERR_CHANNEL_NOT_FOUND);
    rig_free(r);
}
