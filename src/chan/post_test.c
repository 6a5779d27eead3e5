/* Posts: stored first, then seen; keys; ts; failures; bounds. */
#include "chan/test_rig.h"

static struct row_message message(struct rig *r, uint64_t cid, uint64_t ts_us)
{
    struct key k;
    struct row_message row;
    key_msg(&k, cid, ts_us);
    const struct rig_row *stored = rig_find(r, CF_MSG, key_view(&k));
    CHECK(stored != NULL);
    CHECK_EQ(row_message_decode(&row, key_view(&k), stored->value), ERR_OK);
    return row;
}

TEST(answer_and_event_come_only_after_durable)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m = rig_post(r, 1, BOB, "k1");
    rig_turn(r);
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    CHECK_EQ(r->answers_len, 0);
    CHECK_EQ(r->events_len[0], 0);
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    CHECK_EQ(r->events_len[0], 1);
    CHECK_EQ(r->events_len[1], 0); /* not interested */
    const struct rig_event *ev = rig_event(r, 0, 0);
    CHECK_EQ(ev->cell.type, FAN_EVENT);
    CHECK_EQ(ev->cell.cid, 1);
    char expected[256], ts[ts_text_len + 1] = "";
    ts_format(ts, m->ts_us);
    snprintf(expected, sizeof expected,
             "{\"type\":\"message\",\"text\":\"hi\",\"ts\":\"%s\",\"channel\":\"C1\","
             "\"channel_type\":\"channel\",\"event_ts\":\"%s\"}",
             ts, ts);
    CHECK_STR(ev->text, expected);
    struct row_message row = message(r, 1, m->ts_us);
    CHECK_EQ(row.seq, 1);
    CHECK_EQ(row.uid, BOB);
    CHECK_SV(row.client_msg_id, "k1");
    CHECK_EQ(m->ts_us % 4, 1); /* index 1 of 3 */
    CHECK_EQ(row.body.len, strstr(expected, ",\"channel\"") - expected);
    CHECK_MEM(row.body.p, expected, row.body.len);
    rig_free(r);
}

/* When it was decided, when its batch went to log and when that was synced; so does what waited for
 * the same batch without a row of its own. */
TEST(posts_bear_their_times)
{
    struct rig *r = rig_room(3, 64);
    uint64_t from_us = r->t.mono_us;
    struct chan_post *all[] = {rig_post(r, 1, BOB, "k1"), rig_post(r, 1, BOB, "k1"),
                               rig_post(r, 1, CAROL, NULL)};
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    CHECK_EQ(all[0]->stepped_us, 0); /* nothing is told before the answer */
    uint64_t sent_us = r->t.mono_us;
    r->t.mono_us += 5000;
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, all[0]));
    CHECK_EQ(rig_err(r, all[2]), ERR_NOT_IN_CHANNEL);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CHECK(all[i]->stepped_us > from_us && all[i]->stepped_us <= all[i]->batched_us);
        CHECK_EQ(all[i]->batched_us, sent_us);
        CHECK_EQ(all[i]->durable_us, sent_us + 5000);
    }
    struct chan_post *failed = rig_post(r, 1, BOB, "k2");
    rig_turn(r);
    rig_log_done(r, ERR_DISK_FULL);
    CHECK_EQ(rig_err(r, failed), ERR_DISK_FULL);
    CHECK(failed->durable_us > all[0]->durable_us); /* how long the disk took to say so */
    rig_free(r);
}

TEST(retry_before_durable_writes_one_row)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *a = rig_post(r, 1, BOB, "k1"), *b = rig_post(r, 1, BOB, "k1");
    rig_turn(r); /* both in one turn, a third while the batch is with log */
    struct chan_post *c = rig_post(r, 1, BOB, "k1");
    rig_turn(r);
    CHECK_EQ(r->answers_len, 0);
    rig_settle(r);
    CHECK(rig_ok(r, a) && rig_ok(r, b) && rig_ok(r, c));
    CHECK_EQ(a->ts_us, b->ts_us);
    CHECK_EQ(a->ts_us, c->ts_us);
    CHECK_EQ(rig_answer(r, a)->flags, 0);
    CHECK_EQ(rig_answer(r, b)->flags, CHAN_F_DUPLICATE);
    CHECK_EQ(rig_answer(r, c)->flags, CHAN_F_DUPLICATE);
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    CHECK_EQ(rig_rows(r, CF_IDX), 1);
    CHECK_EQ(r->events_len[0], 1);
    rig_free(r);
}

TEST(retry_after_restart_gets_the_stored_ts)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *a = rig_post(r, 1, BOB, "k1");
    rig_settle(r);
    rig_restart(r);
    r->disk_full = true; /* a duplicate is answered all the same */
    struct chan_post *b = rig_post(r, 1, BOB, "k1");
    rig_settle(r);
    CHECK(rig_ok(r, b));
    CHECK_EQ(a->ts_us, b->ts_us);
    CHECK_EQ(rig_answer(r, b)->flags, CHAN_F_DUPLICATE);
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    rig_free(r);
}

TEST(keys_belong_to_channel_and_sender)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    struct chan_post *a = rig_post(r, 1, BOB, "k1"), *b = rig_post(r, 1, ALICE, "k1"),
                     *c = rig_post(r, 2, BOB, "k1");
    rig_settle(r);
    CHECK(a->ts_us != b->ts_us && a->ts_us != c->ts_us && b->ts_us != c->ts_us);
    CHECK_EQ(rig_rows(r, CF_MSG), 3);
    rig_free(r);
}

/* Two literals whose 16 bytes are equal: both are stored, each retry finds its own. */
static void collide(bool durable_between)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m[4];
    for (int i = 0; i < 4; i++) {
        m[i] = rig_post_as(r, BOB, i % 2 == 0 ? "one" : "two");
        memset(m[i]->key128, 0xff, key128_bytes);
        rig_request(r, ACC, CHAN_POST, 1, m[i]);
        if (durable_between)
            rig_settle(r);
    }
    rig_settle(r);
    CHECK(m[0]->ts_us != m[1]->ts_us);
    CHECK_EQ(m[0]->ts_us, m[2]->ts_us);
    CHECK_EQ(m[1]->ts_us, m[3]->ts_us);
    CHECK_EQ(rig_rows(r, CF_MSG), 2);
    rig_free(r);
}

TEST(colliding_keys_are_told_apart_in_the_store)
{
    collide(true);
}

TEST(colliding_keys_are_told_apart_before_durable)
{
    collide(false);
}

TEST(ts_rises_when_the_clock_steps_back_and_across_restarts)
{
    struct rig *r = rig_room(3, 64);
    uint64_t last = 0;
    for (int i = 0; i < 6; i++) {
        struct chan_post *m = rig_post(r, 1, BOB, NULL);
        rig_settle(r);
        CHECK(m->ts_us > last);
        CHECK_EQ(m->ts_us % 4, 1);
        last = m->ts_us;
        if (i % 2 == 0)
            r->t.wall_us -= 3600000000;
        else
            rig_restart(r);
    }
    rig_free(r);
}

TEST(failed_batch_answers_all_shows_nothing_and_the_channel_works_again)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m[4];
    m[0] = rig_post(r, 1, BOB, "a");
    rig_turn(r);
    m[1] = rig_post(r, 1, BOB, "b"); /* in a later batch of the same epoch */
    m[2] = rig_post(r, 1, BOB, "a"); /* attached to the first */
    rig_turn(r);
    CHECK_EQ(r->log_len, 2);
    m[3] = rig_post(r, 1, BOB, "c"); /* not stepped yet when the failure comes */
    rig_log_done(r, ERR_DISK_FULL);
    CHECK_EQ(rig_err(r, m[0]), ERR_DISK_FULL);
    CHECK_EQ(rig_err(r, m[2]), ERR_DISK_FULL);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, m[1]), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(r->events_len[0], 0);
    CHECK_EQ(r->s->epoch, 2);
    rig_settle(r); /* loads again, then stores c */
    CHECK(rig_ok(r, m[3]));
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    CHECK_EQ(message(r, 1, m[3]->ts_us).seq, 1); /* of the head that is stored */
    struct chan_post *again = rig_post(r, 1, BOB, "a");
    rig_settle(r);
    CHECK(rig_ok(r, again));
    CHECK(again->ts_us > m[3]->ts_us);
    CHECK_EQ(rig_answer(r, again)->flags, 0);
    CHECK_EQ(r->events_len[0], 2); /* interest survived */
    rig_free(r);
}

TEST(failure_fails_the_open_batch_and_keeps_ts_rising)
{
    struct rig *r = rig_room(1, 64);
    struct chan_post *a = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    uint64_t last = r->s->last_ts_us;
    struct chan_post *b = rig_post(r, 1, BOB, NULL); /* no credit: in the open batch */
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    CHECK(r->s->open != NULL);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, a), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, b), ERR_STORAGE_UNAVAILABLE);
    CHECK(r->s->open == NULL && r->log_len == 0);
    struct chan_post *c = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, c));
    CHECK(c->ts_us > last);
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    rig_free(r);
}

TEST(one_credit_is_enough_and_batches_grow_meanwhile)
{
    struct rig *r = rig_room(1, 64);
    struct chan_post *m[20];
    for (int i = 0; i < 20; i++) {
        m[i] = rig_post(r, 1, BOB, NULL);
        rig_turn(r);
        CHECK_EQ(r->log_len, 1);
    }
    rig_log_done(r, ERR_OK);
    CHECK_EQ(r->log_len, 1);
    const struct batch *b = r->log[0].u.p;
    CHECK_EQ(b->requests, 19);
    CHECK_EQ(b->rows_len, 19 + 2); /* one head, one ts_high */
    rig_log_done(r, ERR_OK);
    for (int i = 0; i < 20; i++)
        CHECK(rig_ok(r, m[i]));
    CHECK_EQ(r->events_len[0], 20);
    rig_free(r);
}

/* A disk that takes its time: more turns pass during one sync than there are batches. Nothing is
 * full, so nobody is refused: the last batch stays and grows. */
TEST(a_slow_sync_refuses_nobody_while_there_is_room)
{
    enum { turns = batches_max + 40 };
    struct rig *r = rig_room(127, 256);
    struct chan_post *m[turns];
    for (int i = 0; i < turns; i++) {
        m[i] = rig_post(r, 1, BOB, NULL);
        rig_turn(r);
    }
    CHECK_EQ(r->answers_len, 0);
    CHECK_EQ(r->log_len, batches_max - 1);
    rig_settle(r);
    for (int i = 0; i < turns; i++)
        CHECK(rig_ok(r, m[i]));
    CHECK_EQ(rig_rows(r, CF_MSG), turns);
    rig_free(r);
}

/* As many posts as an acceptor usually has under way fit into what was made at start. */
TEST(a_turn_of_many_posts_takes_nothing_from_the_heap)
{
    enum { posts = 256, channels = 8 };
    struct rig *r = rig_new(127, 512);
    rig_start(r);
    for (uint64_t cid = 1; cid <= channels; cid++) {
        rig_channel(r, cid, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
        rig_post(r, cid, BOB, NULL);
    }
    rig_settle(r);
    for (int i = 0; i < posts; i++) {
        char key[64];
        snprintf(key, sizeof key, "d8f1f5f0-7d6a-4a57-9d0e-%012d", i);
        rig_post(r, (uint64_t)(i % channels) + 1, BOB, key)->members =
            SV("\"type\":\"message\",\"user\":\"U02ABCDEFGH\",\"team\":\"T02ABCDEFGH\",\"text\":\""
               "a sentence of common length, as people write them all day, not short and not long"
               "\",\"client_msg_id\":\"d8f1f5f0-7d6a-4a57-9d0e-000000000000\"");
    }
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    const struct batch *b = r->log[0].u.p;
    const struct chan_batch *cb = CONTAINER(r->log[0].u.p, struct chan_batch, b);
    CHECK_EQ(b->requests, posts);
    CHECK(b->arena.first == b->arena.last);
    CHECK(cb->hang.first == cb->hang.last);
    CHECK(r->s->scratch.first == r->s->scratch.last);
    rig_free(r);
}

TEST(a_full_batch_without_a_credit_refuses)
{
    struct rig *r = rig_new(1, 64);
    r->conf.batch_bytes_max = 4096;
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    struct chan_post *m[100];
    uint32_t ok = 0, refused = 0;
    for (int i = 0; i < 100; i++) {
        m[i] = rig_post(r, 1, BOB, NULL);
        rig_turn(r);
        if (i == 0)
            rig_hist_done(r, ERR_OK);
    }
    rig_settle(r);
    for (int i = 0; i < 100; i++) {
        ok += rig_err(r, m[i]) == ERR_OK;
        refused += rig_err(r, m[i]) == ERR_SERVICE_UNAVAILABLE;
    }
    CHECK(ok > 1 && refused > 1);
    CHECK_EQ(ok + refused, 100);
    CHECK_EQ(rig_rows(r, CF_MSG), ok);
    struct chan_post *after = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, after));
    rig_free(r);
}

TEST(who_may_not_post_is_told_why_or_nothing)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PRIVATE, false, (uint64_t[]){ALICE}, 1);
    struct chan_post *stranger = rig_post(r, 1, CAROL, NULL), *private = rig_post(r, 2, BOB, NULL),
                     *absent = rig_post(r, 3, BOB, NULL), *foreign = rig_post_as(r, BOB, NULL),
                     *late = rig_post_as(r, BOB, NULL);
    foreign->team = 8;
    late->deadline_us = r->t.mono_us - 1;
    rig_request(r, ACC, CHAN_POST, 1, foreign);
    rig_request(r, ACC, CHAN_POST, 1, late);
    rig_settle(r);
    CHECK_EQ(rig_err(r, stranger), ERR_NOT_IN_CHANNEL);
    CHECK_EQ(rig_err(r, private), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, absent), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, foreign), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(rig_err(r, late), ERR_DEADLINE);
    r->disk_full = true;
    struct chan_post *full = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(rig_err(r, full), ERR_DISK_FULL);
    CHECK_EQ(rig_rows(r, CF_MSG), 0);
    rig_free(r);
}

TEST(unreadable_keys_are_never_taken_for_new)
{
    struct rig *r = rig_room(3, 64);
    r->read_err = ERR_IO;
    struct chan_post *keyed = rig_post(r, 1, BOB, "k"), *plain = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK_EQ(rig_err(r, keyed), ERR_STORAGE_UNAVAILABLE);
    CHECK(rig_ok(r, plain));
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    rig_free(r);
}

/* A cold channel: what comes waits in order; past parked_max it is refused; no credit, no harm. */
TEST(cold_channels_park_in_order_within_their_bound)
{
    struct rig *r = rig_new(1, 64);
    r->conf.parked_max = 3;
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    struct chan_post *m[4] = {rig_post(r, 1, BOB, NULL), rig_post(r, 2, BOB, NULL),
                              rig_post(r, 1, BOB, NULL), rig_post(r, 2, BOB, NULL)};
    rig_turn(r);
    CHECK_EQ(rig_err(r, m[3]), ERR_SERVICE_UNAVAILABLE);
    CHECK_EQ(r->hist_len, 1); /* one credit */
    rig_hist_done(r, ERR_OK);
    CHECK_EQ(r->hist_len, 1);
    rig_settle(r);
    CHECK(rig_ok(r, m[0]) && rig_ok(r, m[1]) && rig_ok(r, m[2]));
    CHECK(m[0]->ts_us < m[2]->ts_us);
    CHECK_EQ(r->metrics.values[METRIC_CHAN_LOADS], 2);
    rig_free(r);
}

TEST(a_failed_load_answers_who_waited)
{
    struct rig *r = rig_new(1, 64);
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    struct chan_post *a = rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    rig_hist_done(r, ERR_IO);
    CHECK_EQ(rig_err(r, a), ERR_IO);
    struct chan_post *b = rig_post(r, 1, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, b));
    rig_free(r);
}

/* A hot channel takes 64 steps a turn; the others are served beside it. */
TEST(a_hot_channel_does_not_starve_the_rest)
{
    struct rig *r = rig_room(7, 256);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    rig_post(r, 2, BOB, NULL);
    rig_settle(r);
    struct chan_post *hot[200];
    for (int i = 0; i < 200; i++)
        hot[i] = rig_post(r, 1, BOB, NULL);
    struct chan_post *other = rig_post(r, 2, BOB, NULL);
    rig_turn(r);
    CHECK(chan_actor_ops.busy(r->s));
    CHECK(!chan_actor_ops.drain(r->s, &r->t));
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, other));
    CHECK(rig_ok(r, hot[63]));
    CHECK(rig_answer(r, hot[64]) == NULL);
    rig_settle(r);
    for (int i = 1; i < 200; i++) {
        CHECK(rig_ok(r, hot[i]));
        CHECK(hot[i]->ts_us > hot[i - 1]->ts_us);
    }
    rig_free(r);
}

TEST(a_message_too_large_for_a_frame_is_stored_and_becomes_a_gap)
{
    struct rig *r = rig_room(3, 64);
    struct chan_post *m = rig_post_as(r, BOB, NULL);
    char *text = arena_alloc(&r->arena, frame_body_max);
    memset(text, 'x', frame_body_max);
    memcpy(text, "\"text\":\"", 8);
    text[frame_body_max - 1] = '"';
    m->members = (struct str_view){text, frame_body_max};
    rig_request(r, ACC, CHAN_POST, 1, m);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(message(r, 1, m->ts_us).body.len, frame_body_max + 1 + 25);
    CHECK_EQ(r->events_len[0], 1);
    CHECK_EQ(rig_event(r, 0, 0)->cell.type, FAN_GAP);
    CHECK_EQ(rig_event(r, 0, 0)->cell.cid, 1);
    rig_free(r);
}

TEST(ts_is_unique_over_all_channels)
{
    struct rig *r = rig_room(3, 64);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    rig_post(r, 2, BOB, NULL);
    rig_settle(r); /* both are loaded: one turn, one wall time */
    struct chan_post *a = rig_post(r, 1, BOB, NULL), *b = rig_post(r, 2, BOB, NULL);
    rig_settle(r);
    CHECK(rig_ok(r, a) && rig_ok(r, b));
    CHECK(a->ts_us != b->ts_us);
    rig_free(r);
}

/* The failed batch and the open one touch different channels: neither keeps what was not stored. */
TEST(failure_drops_the_channels_of_the_open_batch_too)
{
    struct rig *r = rig_room(1, 64);
    rig_channel(r, 2, CHANNEL_PUBLIC, false, (uint64_t[]){BOB}, 1);
    rig_post(r, 2, BOB, NULL);
    rig_settle(r);
    rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    rig_post(r, 2, BOB, "k");
    rig_turn(r);
    CHECK(r->s->open != NULL);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    struct chan_post *m = rig_post(r, 2, BOB, "k");
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(message(r, 2, m->ts_us).seq, 2);
    rig_free(r);
}
