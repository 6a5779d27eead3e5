/* Messages that change: what a change begins with, what it leaves, who is told when. */
#include "chan/message_json.h"
#include "chan/reactions.h"
#include "chan/test_rig.h"
#include "chan/thread.h"

static struct row_message stored(struct rig *r, const struct key *k)
{
    struct row_message row;
    const struct rig_row *at = rig_find(r, CF_MSG, key_view(k));
    CHECK(at != NULL);
    CHECK_EQ(row_message_decode(&row, key_view(k), at->value), ERR_OK);
    return row;
}

static struct row_message root(struct rig *r, uint64_t ts_us)
{
    struct key k;
    key_msg(&k, 1, ts_us);
    return stored(r, &k);
}

static struct thread thread_of(struct rig *r, uint64_t ts_us)
{
    struct row_message row = root(r, ts_us);
    struct thread t;
    CHECK_EQ(thread_read(&t, row.thread), ERR_OK);
    return t;
}

static struct chan_post *post(struct rig *r, uint64_t uid, uint64_t thread_ts_us)
{
    struct chan_post *m = rig_post_as(r, uid, NULL);
    m->members = SV("\"type\":\"message\",\"text\":\"hi\"");
    m->content_at = 16;
    m->thread_ts_us = thread_ts_us;
    rig_request(r, ACC, CHAN_POST, 1, m);
    return m;
}

static struct chan_change *ask(struct rig *r, uint64_t uid, enum change_kind kind, uint64_t ts_us)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    *m = (struct chan_change){
        .kind = kind, .team = TEAM, .uid = uid, .ts_us = ts_us, .arena = &r->arena};
    return m;
}

static struct chan_change *send(struct rig *r, struct chan_change *m)
{
    rig_request(r, ACC, CHAN_CHANGE, 1, m);
    return m;
}

static struct chan_change *react(struct rig *r, uint64_t uid, enum change_kind kind, uint64_t ts_us,
                                 const char *name)
{
    struct chan_change *m = ask(r, uid, kind, ts_us);
    m->name = sv_from(name);
    return send(r, m);
}

static uint64_t a_message(struct rig *r, uint64_t uid)
{
    struct chan_post *m = post(r, uid, 0);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    return m->ts_us;
}

TEST(a_change_is_seen_only_when_it_is_durable)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, BOB);
    uint32_t events = r->events_len[0];
    struct chan_change *m = ask(r, BOB, CHANGE_UPDATE, ts);
    m->text = SV("\"new\"");
    send(r, m);
    rig_turn(r);
    CHECK_EQ(r->log_len, 1);
    CHECK_EQ(r->events_len[0], events);
    rig_log_done(r, ERR_OK);
    CHECK(rig_ok(r, m));
    CHECK(rig_says(rig_event(r, 0, events), "\"subtype\":\"message_changed\""));
    CHECK(rig_says(rig_event(r, 0, events),
                   "\"previous_message\":{\"type\":\"message\",\"text\":\"hi\""));
    struct row_message row = root(r, ts);
    CHECK(sv_starts(row.body, SV("{\"type\":\"message\",\"text\":\"new\",\"ts\":")));
    CHECK_EQ(row.edited_by, BOB);
    CHECK_EQ(row.seq, 1);
    rig_free(r);
}

/* None of them is durable when the next is decided, in one batch and in several. */
TEST(changes_build_on_changes_that_are_not_durable)
{
    for (int batches = 0; batches < 2; batches++) {
        struct rig *r = rig_room(7, 256);
        uint64_t ts = a_message(r, BOB);
        struct chan_post *replies[6];
        for (int i = 0; i < 6; i++) {
            replies[i] = post(r, i % 2 == 0 ? ALICE : BOB, ts);
            if (batches)
                rig_turn(r);
        }
        react(r, ALICE, CHANGE_REACT, ts, "a");
        if (batches)
            rig_turn(r);
        react(r, BOB, CHANGE_REACT, ts, "a");
        react(r, BOB, CHANGE_REACT, ts, "b");
        struct chan_change *edit = ask(r, BOB, CHANGE_UPDATE, ts);
        edit->text = SV("\"edited\"");
        send(r, edit);
        send(r, ask(r, ALICE, CHANGE_PIN, ts));
        rig_settle(r);
        struct thread t = thread_of(r, ts);
        CHECK_EQ(t.replies, 6);
        CHECK_EQ(t.users, 2);
        CHECK_EQ(t.latest_us, replies[5]->ts_us);
        struct row_message row = root(r, ts);
        CHECK_EQ(row.flags, MSG_THREAD | MSG_REACTIONS | MSG_EDITED | MSG_PINNED);
        CHECK(reactions_have(row.reactions, SV("a")) && reactions_have(row.reactions, SV("b")));
        struct chan_change *again = react(r, BOB, CHANGE_REACT, ts, "a");
        rig_settle(r);
        CHECK_EQ(rig_err(r, again), ERR_ALREADY_REACTED);
        rig_free(r);
    }
}

/* A client that comes back names the newest event_ts: after a restart that is known to be of before
 * it, whatever the clock says then. */
TEST(no_event_ts_is_later_than_the_stored_high)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, BOB);
    r->t.wall_us += 5000000;
    uint64_t event_us = r->t.wall_us;
    react(r, BOB, CHANGE_REACT, ts, "late");
    rig_settle(r);
    rig_restart(r);
    CHECK(r->conf.ts_high_us >= event_us);
    rig_free(r);
}

/* What was decided on heads that do not exist is forgotten, the message's row too. */
TEST(a_failed_batch_leaves_nothing_of_its_changes)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, BOB);
    struct chan_change *lost = react(r, BOB, CHANGE_REACT, ts, "lost");
    rig_turn(r);
    struct chan_change *too = react(r, ALICE, CHANGE_REACT, ts, "too");
    rig_turn(r);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    rig_log_done(r, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, lost), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(rig_err(r, too), ERR_STORAGE_UNAVAILABLE);
    react(r, BOB, CHANGE_REACT, ts, "kept");
    rig_settle(r);
    struct row_message row = root(r, ts);
    CHECK(reactions_have(row.reactions, SV("kept")));
    CHECK(!reactions_have(row.reactions, SV("lost")) && !reactions_have(row.reactions, SV("too")));
    rig_free(r);
}

TEST(a_deleted_reply_is_taken_out_of_the_count)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, BOB);
    struct chan_post *first = post(r, ALICE, ts), *last = post(r, BOB, ts);
    rig_settle(r);
    struct chan_change *m = send(r, ask(r, BOB, CHANGE_DELETE, last->ts_us));
    rig_settle(r);
    CHECK_EQ(rig_err(r, m), ERR_BEFORE_NEEDED);
    CHECK_EQ(m->thread_ts_us, ts);
    m->before_known = true;
    m->before_ts_us = first->ts_us;
    send(r, m);
    rig_settle(r);
    struct thread t = thread_of(r, ts);
    CHECK_EQ(t.replies, 1);
    CHECK_EQ(t.users, 1);
    CHECK_EQ(t.latest_us, first->ts_us);
    /* The one before is deleted between the question and the answer. */
    struct chan_post *third = post(r, BOB, ts);
    rig_settle(r);
    struct chan_change *of_first = send(r, ask(r, ALICE, CHANGE_DELETE, first->ts_us));
    struct chan_change *stale = ask(r, BOB, CHANGE_DELETE, third->ts_us);
    stale->before_known = true;
    stale->before_ts_us = first->ts_us;
    send(r, stale);
    rig_settle(r);
    CHECK(rig_ok(r, of_first));
    CHECK_EQ(rig_err(r, stale), ERR_BEFORE_NEEDED);
    stale->before_ts_us = 0;
    send(r, stale);
    rig_settle(r);
    CHECK_EQ(thread_of(r, ts).replies, 0);
    CHECK_EQ(root(r, ts).flags, MSG_THREAD);
    rig_free(r);
}

static uint32_t pins_of(struct rig *r)
{
    struct key k;
    struct row_chan_head head;
    key_chan_head(&k, 1);
    const struct rig_row *at = rig_find(r, CF_CHAN, key_view(&k));
    CHECK(at != NULL);
    CHECK_EQ(row_chan_head_decode(&head, key_view(&k), at->value), ERR_OK);
    return head.pins;
}

/* The rig's channels may have three. What is undurable counts, too. */
TEST(pins_of_a_channel_are_bounded)
{
    struct rig *r = rig_room(3, 64);
    struct chan_change *pins[4];
    for (int i = 0; i < 4; i++)
        pins[i] = ask(r, ALICE, CHANGE_PIN, a_message(r, BOB));
    for (int i = 0; i < 4; i++)
        send(r, pins[i]);
    rig_settle(r);
    CHECK(rig_ok(r, pins[2]));
    CHECK_EQ(rig_err(r, pins[3]), ERR_TOO_MANY_PINS);
    CHECK_EQ(pins_of(r), 3);
    /* A deleted message makes room, as one that is unpinned. */
    struct chan_change *gone = send(r, ask(r, BOB, CHANGE_DELETE, pins[0]->ts_us));
    struct chan_change *fourth = send(r, ask(r, BOB, CHANGE_PIN, pins[3]->ts_us));
    rig_settle(r);
    CHECK(rig_ok(r, gone));
    CHECK(rig_ok(r, fourth));
    CHECK_EQ(pins_of(r), 3);
    rig_free(r);
}

TEST(who_may_change_what)
{
    struct rig *r = rig_room(3, 64);
    uint64_t ts = a_message(r, BOB);
    struct chan_change *edit = ask(r, ALICE, CHANGE_UPDATE, ts);
    edit->text = SV("\"x\"");
    send(r, edit);
    struct chan_change *gone = send(r, ask(r, ALICE, CHANGE_DELETE, ts));
    struct chan_change *pin = send(r, ask(r, CAROL, CHANGE_PIN, ts));
    struct chan_change *absent = send(r, ask(r, ALICE, CHANGE_PIN, ts + 1));
    rig_settle(r);
    CHECK_EQ(rig_err(r, edit), ERR_CANT_UPDATE_MESSAGE);
    CHECK_EQ(rig_err(r, gone), ERR_CANT_DELETE_MESSAGE);
    CHECK_EQ(rig_err(r, pin), ERR_NOT_IN_CHANNEL);
    CHECK_EQ(rig_err(r, absent), ERR_MESSAGE_NOT_FOUND);
    struct chan_change *admin = ask(r, ALICE, CHANGE_DELETE, ts);
    admin->admin = true;
    send(r, admin);
    rig_settle(r);
    CHECK(rig_ok(r, admin));
    CHECK_EQ(root(r, ts).flags, MSG_DELETED);
    CHECK_EQ(root(r, ts).body.len, 0);
    struct chan_post *reply = post(r, BOB, ts);
    rig_settle(r);
    CHECK_EQ(rig_err(r, reply), ERR_CANNOT_REPLY_TO_MESSAGE);
    rig_free(r);
}

TEST(an_ephemeral_message_waits_for_what_stands_before_it)
{
    struct rig *r = rig_room(3, 64);
    (void)post(r, BOB, 0);
    rig_turn(r);
    struct chan_post *m = rig_post_as(r, BOB, NULL);
    m->ephemeral_to = ALICE;
    rig_request(r, ACC, CHAN_POST, 1, m);
    rig_turn(r);
    uint32_t events = r->events_len[1];
    rig_log_done(r, ERR_OK);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(r->events_len[1], events + 1); /* nobody knows where ALICE's sockets are */
    CHECK(rig_says(rig_event(r, 1, events), "\"is_ephemeral\":true"));
    CHECK_EQ(rig_event(r, 1, events)->cell.u.u[1], ALICE);
    CHECK_EQ(rig_rows(r, CF_MSG), 1);
    m = rig_post_as(r, BOB, NULL);
    m->ephemeral_to = CAROL;
    rig_request(r, ACC, CHAN_POST, 1, m);
    rig_settle(r);
    CHECK_EQ(rig_err(r, m), ERR_USER_NOT_IN_CHANNEL);
    rig_free(r);
}

TEST(a_cursor_stands_at_the_message_that_was_read)
{
    struct rig *r = rig_room(3, 64);
    uint64_t first = a_message(r, BOB), last = a_message(r, BOB);
    struct key k;
    struct row_cursor c;
    key_chan_cursor(&k, 1, ALICE);
    const struct {
        uint64_t ts_us, seq;
    } rows[] = {{first, 1}, {last, 2}, {last + 100, 2}, {first, 1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chan_change *m = send(r, ask(r, ALICE, CHANGE_MARK, rows[i].ts_us));
        rig_settle(r);
        CHECK(rig_ok(r, m));
        CHECK_EQ(row_cursor_decode(&c, key_view(&k), rig_find(r, CF_CHAN, key_view(&k))->value),
                 ERR_OK);
        CHECK_EQ(c.read_seq, rows[i].seq);
        CHECK_EQ(c.read_ts_us, rows[i].ts_us);
    }
    struct chan_change *between = send(r, ask(r, ALICE, CHANGE_MARK, first + 1));
    rig_settle(r);
    CHECK_EQ(rig_err(r, between), ERR_BEFORE_NEEDED);
    rig_free(r);
}
