/* What fanouts are told when rings, frames or memory are short; subscriptions; typing; eviction. */
#include "chan/test_rig.h"

TEST(full_ring_then_gap_first_then_events_again)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    struct chan_post *m[10];
    for (int i = 0; i < 10; i++) {
        m[i] = rig_post(r, 1, BOB, NULL);
        rig_settle(r);
        CHECK(rig_ok(r, m[i])); /* a reader never stops a writer */
    }
    r->deaf[0] = false;
    rig_read(r);
    uint32_t before = r->events_len[0];
    CHECK(before > 0 && before < 10);
    CHECK_EQ(rig_events(r, 0, FAN_GAP), 0);
    rig_turn(r);
    CHECK_EQ(rig_event(r, 0, before)->cell.type, FAN_GAP);
    CHECK_EQ(rig_event(r, 0, before)->cell.cid, 1);
    rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(r->events_len[0], before + 2);
    CHECK_EQ(rig_event(r, 0, before + 1)->cell.type, FAN_EVENT);
    rig_free(r);
}

/* One fanout that reads nothing must not keep the others from what they are owed, however many
 * channels it is owed for. */
TEST(a_deaf_fanout_does_not_keep_debts_from_the_others)
{
    enum { channels = owed_pays_max + 44 };
    struct rig *r = rig_new(127, 4);
    r->conf.channels_max = channels;
    r->conf.parked_max = 1;
    rig_start(r);
    for (uint64_t cid = 1; cid <= channels; cid++) { /* loaded: both are taken to listen */
        rig_channel(r, cid, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
        rig_post(r, cid, BOB, NULL);
        rig_settle(r);
        rig_read(r);
    }
    r->deaf[0] = r->deaf[1] = true;
    for (uint64_t cid = 1; cid <= channels; cid++) {
        struct chan *c = table_find(r->s, cid);
        c->interest = cid <= owed_pays_max ? 1 : 2; /* the second fanout's channels come last */
        for (int i = 0; i < 5; i++)
            rig_post(r, cid, BOB, NULL);
        rig_settle(r);
    }
    r->deaf[1] = false;
    rig_read(r);
    for (int i = 0; i < 40; i++) {
        rig_turn(r);
        rig_read(r);
    }
    CHECK(rig_events(r, 1, FAN_GAP) >= channels - owed_pays_max - 4);
    CHECK_EQ(table_find(r->s, channels)->gap_owed, 0);
    CHECK(table_find(r->s, owed_pays_max)->gap_owed != 0);
    r->deaf[0] = false;
    for (int i = 0; i < channels && !list_empty(&r->s->owed); i++) {
        rig_read(r);
        rig_turn(r);
    }
    rig_free(r);
}

/* The ring has room again when the next event of the channel comes: the gap still goes first. */
TEST(owed_gap_goes_before_the_event_in_the_same_turn)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    for (int i = 0; i < 10; i++)
        rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    r->deaf[0] = false;
    rig_read(r); /* room, and no turn in between */
    uint32_t before = r->events_len[0];
    rig_log_done(r, ERR_OK);
    CHECK_EQ(rig_event(r, 0, before)->cell.type, FAN_GAP);
    CHECK_EQ(rig_event(r, 0, before + 1)->cell.type, FAN_EVENT);
    rig_free(r);
}

TEST(a_retry_timer_pays_when_nothing_else_happens)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    for (int i = 0; i < 10; i++)
        rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK(!list_empty(&r->s->owed));
    CHECK(timer_armed(&r->s->retry));
    rig_free(r); /* checks that it was paid */
}

TEST(lost_leave_becomes_revalidate_before_anything_of_the_channel)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    for (int i = 0; i < 10; i++)
        rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    struct chan_member_change *leave = rig_change(r, CHAN_LEAVE, 1, ALICE, NULL, 0);
    rig_settle(r);
    CHECK(rig_ok(r, leave));
    rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    r->deaf[0] = false;
    rig_read(r);
    uint32_t before = r->events_len[0];
    rig_log_done(r, ERR_OK); /* alice's sockets must not see this message */
    CHECK_EQ(rig_event(r, 0, before)->cell.type, FAN_REVALIDATE);
    CHECK_EQ(rig_event(r, 0, before + 1)->cell.type, FAN_EVENT);
    CHECK_EQ(rig_event(r, 0, before + 1)->cell.cid, 1);
    CHECK_EQ(rig_event(r, 0, before + 2)->cell.type, FAN_GAP); /* channel_left was lost */
    CHECK_EQ(rig_event(r, 0, before + 2)->cell.cid, ID_NONE);
    rig_free(r);
}

TEST(without_a_frame_the_message_is_stored_and_a_gap_is_told)
{
    struct rig *r = rig_new(3, 64);
    r->conf.frames_max = 2;
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
    rig_sub(r, FAN, ALICE, (uint64_t[]){1}, 1);
    rig_settle(r);
    r->events_len[0] = 0;
    struct chan_post *m[3];
    for (int i = 0; i < 3; i++)
        m[i] = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    for (int i = 0; i < 3; i++)
        CHECK(rig_ok(r, m[i]));
    CHECK_EQ(rig_rows(r, CF_MSG), 3);
    CHECK_EQ(rig_events(r, 0, FAN_EVENT), 2);
    CHECK_EQ(rig_event(r, 0, 2)->cell.type, FAN_GAP);
    CHECK_EQ(r->metrics.values[METRIC_FRAMES_EXHAUSTED], 1);
    rig_free(r);
}

/* ---- subscriptions ---- */

static const struct chan_sub *sub_ok(struct rig *r, uint32_t fan, uint32_t i)
{
    const struct rig_event *ev = rig_event(r, fan, i);
    CHECK_EQ(ev->cell.type, FAN_SUB_OK);
    CHECK_EQ(ev->cell.flags, CELL_F_ANSWER);
    return ev->cell.u.p;
}

TEST(sub_answers_membership_and_newest_durable_ts)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PRIVATE, false, (uint64_t[]){BOB}, 1);
    rig_channel(r, 3, CHANNEL_PUBLIC, false, (uint64_t[]){CAROL}, 1);
    struct chan_post *m = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    rig_sub(r, FAN2, CAROL, (uint64_t[]){1, 2, 9, 3}, 4);
    rig_settle(r);
    const struct chan_sub *sub = sub_ok(r, 1, 0);
    CHECK(!sub->chans[0].member && !sub->chans[1].member && !sub->chans[2].member);
    CHECK_EQ(sub->chans[0].last_ts_us | sub->chans[1].last_ts_us | sub->chans[2].last_ts_us, 0);
    CHECK(sub->chans[3].member);
    rig_sub(r, FAN2, BOB, (uint64_t[]){1}, 1);
    rig_settle(r);
    sub = sub_ok(r, 1, 1);
    CHECK(sub->chans[0].member);
    CHECK_EQ(sub->chans[0].last_ts_us, m->ts_us);
    CHECK(sub->stamp > 0);
    rig_free(r);
}

/* A ts says when a message was decided; who comes anew must know when it could be seen. */
TEST(sub_tells_when_the_newest_message_became_visible)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    r->t.wall_us += 5000000; /* a slow sync */
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    rig_sub(r, FAN2, BOB, (uint64_t[]){1}, 1);
    rig_settle(r);
    CHECK_EQ(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].last_ts_us, m->ts_us);
    CHECK(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].durable_us >= m->ts_us + 4999000);
    rig_free(r);
}

/* Nothing falls between the answer's ts and the events: either it is covered by the ts, or it comes
 * behind the answer. */
TEST(sub_is_ordered_with_posts_around_it)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *before = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    rig_sub(r, FAN2, ALICE, (uint64_t[]){1}, 1);
    struct chan_post *after = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    CHECK_EQ(r->events_len[1], 0); /* `before` is not durable yet */
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, before));
    CHECK_EQ(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].last_ts_us, before->ts_us);
    rig_settle(r);
    CHECK(rig_ok(r, after));
    CHECK_EQ(rig_event(r, 1, r->events_len[1] - 1)->cell.type, FAN_EVENT);
    rig_free(r);
}

/* Everybody connects anew, each with thousands of channels: posts go on in between. */
TEST(many_subs_do_not_hold_up_posts)
{
    enum { subs = 10, channels = 3000 };
    struct rig *r = rig_room(7, 64);
    static uint64_t cids[channels];
    for (int i = 0; i < channels; i++)
        cids[i] = 1;
    for (int i = 0; i < subs; i++)
        rig_sub(r, FAN, ALICE, cids, channels);
    struct chan_post *m = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    CHECK(rig_events(r, 0, FAN_SUB_OK) < 3);
    CHECK(chan_actor_ops.busy(r->s));
    CHECK_EQ(r->log_len, 1);
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    CHECK(rig_events(r, 0, FAN_SUB_OK) < 5);
    rig_settle(r);
    CHECK_EQ(rig_events(r, 0, FAN_SUB_OK), subs);
    rig_free(r);
}

TEST(sub_waits_for_the_membership_it_rests_on)
{
    struct rig *r = rig_room(3, 64);
    rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_turn(r);
    rig_sub(r, FAN2, CAROL, (uint64_t[]){1}, 1);
    rig_turn(r);
    CHECK_EQ(r->events_len[1], 0);
    rig_log_done(r, ERR_OK);
    CHECK_EQ(rig_event(r, 1, 0)->cell.type, FAN_JOINED);
    CHECK(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].member);
    rig_free(r);
}

TEST(sub_of_a_failed_batch_is_answered_with_the_error)
{
    struct rig *r = rig_room(3, 64);
    rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_turn(r);
    rig_sub(r, FAN2, CAROL, (uint64_t[]){1}, 1);
    rig_turn(r);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    (void)sub_ok(r, 1, 0);
    CHECK_EQ(rig_event(r, 1, 0)->cell.err, ERR_STORAGE_UNAVAILABLE);
    rig_free(r);
}

/* A failed batch forgets its channels, but not when their messages were seen. */
TEST(a_channel_loaded_after_a_failed_batch_was_seen_when_it_was)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    r->t.wall_us += 5000000;
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    rig_log_done(r, ERR_DISK_FULL);
    rig_sub(r, FAN2, BOB, (uint64_t[]){1}, 1);
    rig_settle(r);
    CHECK(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].durable_us >= m->ts_us + 4999000);
    rig_free(r);
}

TEST(sub_has_its_room_in_a_full_ring)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    for (int i = 0; i < 10; i++)
        rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    for (int i = 0; i < 3; i++) /* the reserve */
        rig_sub(r, FAN, BOB, (uint64_t[]){1}, 1);
    rig_settle(r);
    r->deaf[0] = false;
    rig_read(r);
    CHECK_EQ(rig_events(r, 0, FAN_SUB_OK), 3);
    rig_free(r);
}

static void idle(struct rig *r, actor_id fan, uint64_t cid, uint64_t stamp)
{
    struct cell c = {.type = CHAN_IDLE, .cid = cid, .u.u = {stamp}};
    rig_in(r, fan, CLASS_EVENT, &c);
    rig_turn(r);
}

TEST(idle_ends_interest_unless_a_younger_grant_crossed_it)
{
    struct rig *r = rig_room(3, 64);
    struct chan_sub *sub = rig_sub(r, FAN, BOB, (uint64_t[]){1}, 1);
    rig_settle(r);
    r->events_len[0] = 0;
    idle(r, FAN, 1, sub->stamp - 1); /* sent before the fanout saw the answer */
    rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(r->events_len[0], 1);
    idle(r, FAN, 1, sub->stamp);
    rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(r->events_len[0], 1);
    idle(r, FAN, 77, 1000); /* a channel nobody knows */
    rig_free(r);
}

static void type(struct rig *r, uint64_t cid, uint64_t uid)
{
    struct cell c = {.type = CHAN_TYPING, .cid = cid, .u.u = {uid, TEAM}};
    rig_in(r, FAN2, CLASS_EVENT, &c);
    rig_turn(r);
}

TEST(typing_is_relayed_to_members_and_never_stored)
{
    struct rig *r = rig_room(3, 64);
    uint32_t rows = r->rows_len;
    type(r, 1, BOB);
    CHECK_EQ(r->events_len[0], 1);
    const struct rig_event *ev = rig_event(r, 0, 0);
    CHECK_STR(ev->text, "{\"type\":\"user_typing\",\"channel\":\"C1\",\"user\":\"U36\"}");
    CHECK_EQ(ev->cell.u.u[3], BOB);
    CHECK_EQ(ev->cell.u.u[4], FAN_TYPING);
    type(r, 1, CAROL); /* no member */
    type(r, 5, BOB);   /* not in memory: dropped */
    CHECK_EQ(r->hist_len, 0);
    rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0);
    rig_turn(r);
    type(r, 1, CAROL); /* not a member yet */
    CHECK_EQ(r->events_len[0], 1);
    CHECK_EQ(r->rows_len, rows);
    rig_settle(r);
    rig_free(r);
}

TEST(typing_lost_in_a_full_ring_is_no_gap)
{
    struct rig *r = rig_room(3, 4);
    r->deaf[0] = true;
    for (int i = 0; i < 20; i++)
        type(r, 1, BOB);
    CHECK(list_empty(&r->s->owed));
    rig_free(r);
}

/* ---- eviction ---- */

static struct rig *small_rig(uint32_t channels_max)
{
    struct rig *r = rig_new(3, 4);
    r->conf.channels_max = channels_max;
    rig_start(r);
    for (uint64_t cid = 1; cid <= 5; cid++)
        rig_channel(r, cid, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
    return r;
}

static void post_and_settle(struct rig *r, uint64_t cid)
{
    struct chan_post *m = rig_post(r, cid, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, m));
}

TEST(the_least_recently_used_channel_without_interest_is_evicted)
{
    struct rig *r = small_rig(3);
    rig_sub(r, FAN, ALICE, (uint64_t[]){1}, 1);
    rig_settle(r);
    for (uint64_t cid = 2; cid <= 3; cid++) {
        post_and_settle(r, cid);
        rig_idle(r, FAN, cid);
        rig_idle(r, FAN2, cid);
    }
    post_and_settle(r, 2);
    r->events_len[0] = 0;
    post_and_settle(r, 4); /* 3 goes: 1 is older, but somebody listens */
    CHECK_EQ(r->s->resident, 3);
    CHECK(table_find(r->s, 3) == NULL);
    CHECK(table_find(r->s, 1) != NULL && table_find(r->s, 2) != NULL);
    CHECK_EQ(r->metrics.values[METRIC_CHAN_EVICTIONS], 1);
    CHECK_EQ(r->metrics.values[METRIC_CHANS_LOADED], 3);
    post_and_settle(r, 3); /* and what was evicted comes back whole */
    CHECK_EQ(table_find(r->s, 3)->head.seq, 2);
    rig_free(r);
}

TEST(an_evicted_channel_was_seen_until_then)
{
    struct rig *r = small_rig(2);
    struct chan_post *m = rig_post(r, 1, ALICE, NULL);
    rig_turn(r); /* loads */
    rig_settle(r);
    CHECK(rig_ok(r, m));
    r->t.wall_us += 5000000;
    post_and_settle(r, 2);
    post_and_settle(r, 3);
    CHECK(table_find(r->s, 1) == NULL);
    rig_sub(r, FAN2, ALICE, (uint64_t[]){1}, 1);
    rig_settle(r);
    CHECK(sub_ok(r, 1, r->events_len[1] - 1)->chans[0].durable_us >= m->ts_us + 4999000);
    rig_free(r);
}

TEST(a_channel_evicted_while_a_sub_waits_is_as_new_as_that)
{
    struct rig *r = small_rig(2);
    post_and_settle(r, 1);
    post_and_settle(r, 2);
    struct chan_post *seen = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    rig_post(r, 2, BOB, NULL);
    rig_turn(r);
    CHECK_EQ(r->log_len, 2);
    rig_sub(r, FAN2, ALICE, (uint64_t[]){1, 2}, 2);
    rig_turn(r); /* decided; it waits for the second batch */
    r->t.wall_us += 5000000;
    rig_log_done(r, ERR_OK); /* its event goes before the sub's answer */
    rig_post(r, 3, BOB, NULL);
    rig_turn(r);
    rig_hist_done(r, ERR_OK);
    CHECK(table_find(r->s, 1) == NULL);
    rig_settle(r);
    uint32_t i = 0;
    while (rig_event(r, 1, i)->cell.type != FAN_SUB_OK)
        i++;
    const struct chan_sub *m = sub_ok(r, 1, i);
    CHECK(m->chans[0].last_ts_us >= seen->ts_us);
    CHECK(m->chans[0].durable_us >= seen->ts_us + 4999000);
    rig_free(r);
}

/* More channels are listened to than fit: nobody is told anything, and nobody misses anything. */
TEST(a_listener_hears_a_channel_that_was_evicted_meanwhile)
{
    struct rig *r = small_rig(2);
    rig_sub(r, FAN, ALICE, (uint64_t[]){1, 2}, 2);
    rig_settle(r);
    CHECK_EQ(r->events_len[0], 1);
    post_and_settle(r, 3);
    CHECK(table_find(r->s, 1) == NULL);
    post_and_settle(r, 1);
    post_and_settle(r, 2);
    CHECK_EQ(rig_events(r, 0, FAN_REVALIDATE), 0);
    CHECK_EQ(r->events_len[0], 4);
    CHECK_EQ(rig_event(r, 0, 2)->cell.type, FAN_EVENT);
    CHECK_EQ(rig_event(r, 0, 2)->cell.cid, 1);
    CHECK_EQ(rig_event(r, 0, 3)->cell.cid, 2);
    CHECK_EQ(r->events_len[1], 3); /* who does not listen says so, and is left alone */
    rig_idle(r, FAN2, 2);
    post_and_settle(r, 2);
    CHECK_EQ(r->events_len[1], 3);
    rig_free(r);
}

TEST(all_pinned_is_unavailable_then_recovers)
{
    struct rig *r = small_rig(2);
    post_and_settle(r, 1);
    post_and_settle(r, 2);
    rig_post(r, 1, BOB, NULL);
    rig_post(r, 2, BOB, NULL);
    rig_turn(r); /* both wait for their batch */
    struct chan_post *m = rig_post(r, 3, BOB, NULL);
    rig_turn(r);
    rig_hist_done(r, ERR_OK);
    CHECK_EQ(rig_err(r, m), ERR_SERVICE_UNAVAILABLE);
    rig_settle(r);
    post_and_settle(r, 3);
    CHECK_EQ(r->s->resident, 2);
    rig_free(r);
}

/* More channels than fit in memory at once: refused, not answered wrongly, and not for ever. */
TEST(sub_of_more_channels_than_fit_ends)
{
    struct rig *r = small_rig(2);
    rig_sub(r, FAN, ALICE, (uint64_t[]){1, 2, 3, 4}, 4);
    rig_settle(r);
    (void)sub_ok(r, 0, r->events_len[0] - 1);
    CHECK_EQ(rig_event(r, 0, r->events_len[0] - 1)->cell.err, ERR_SERVICE_UNAVAILABLE);
    rig_free(r);
}

/* The fanout says that it has nobody left while a join there waits for its sync. */
TEST(idle_does_not_overtake_an_undurable_join)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE}, 1);
    rig_sub(r, FAN2, ALICE, (uint64_t[]){2}, 1);
    rig_settle(r);
    rig_change(r, CHAN_JOIN, 1, CAROL, NULL, 0); /* grant, hangs on a batch */
    rig_turn(r);
    struct chan_sub *sub = rig_sub(r, FAN2, ALICE, (uint64_t[]){2}, 1);
    rig_turn(r); /* answered at once: channel 2 waits for nothing */
    CHECK(rig_events(r, 1, FAN_JOINED) == 0);
    idle(r, FAN2, 1, sub->stamp);
    rig_log_done(r, ERR_OK);
    rig_settle(r);
    CHECK_EQ(rig_events(r, 1, FAN_JOINED), 1);
    uint32_t before = r->events_len[1];
    rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(r->events_len[1], before + 1); /* carol's fanout hears it */
    rig_free(r);
}
