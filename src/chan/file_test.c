/* Files in messages: who hears of them, and what stays of one that is gone. */
#include "chan/message_json.h"
#include "chan/post_json.h"
#include "chan/test_rig.h"

#define ONE   "F00000000000000000001"
#define TWO   "F00000000000000000002"
#define FILES "[{\"id\":\"" ONE "\",\"name\":\"a]},{\"},{\"id\":\"" TWO "\",\"n\":[1,{\"x\":2}]}]"

static struct file_id ids[] = {{ONE}, {TWO}};

static struct chan_post *post_files(struct rig *r, const char *text, const char *key)
{
    struct chan_post *m = rig_post_as(r, BOB, key);
    struct buf b;
    buf_init(&b, &r->arena, 512);
    struct post_json p = {
        .team = TEAM, .uid = BOB, .text = sv_from(text), .files = SV(FILES), .upload = true};
    m->content_at = post_json_members(&b, &p);
    m->members = buf_view(&b);
    m->files = ids;
    m->files_len = ARRAY_LEN(ids);
    rig_request(r, ACC, CHAN_POST, 1, m);
    rig_settle(r);
    return m;
}

static struct row_message stored(struct rig *r, uint64_t ts_us)
{
    struct key k;
    struct row_message row;
    key_msg(&k, 1, ts_us);
    const struct rig_row *at = rig_find(r, CF_MSG, key_view(&k));
    CHECK(at != NULL);
    CHECK_EQ(row_message_decode(&row, key_view(&k), at->value), ERR_OK);
    return row;
}

static bool has(struct str_view s, const char *text)
{
    return memmem(s.p, s.len, text, strlen(text)) != NULL;
}

static struct chan_change *change(struct rig *r, enum change_kind kind, uint64_t ts_us,
                                  const char *id, const char *text)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    *m = (struct chan_change){.kind = kind,
                              .team = TEAM,
                              .uid = CAROL,
                              .ts_us = ts_us,
                              .name = sv_from(id),
                              .text = sv_from(text),
                              .arena = &r->arena};
    rig_request(r, ACC, CHAN_CHANGE, 1, m);
    rig_settle(r);
    return m;
}

TEST(those_who_are_there_hear_what_was_shared)
{
    struct rig *r = rig_room(3, 64);
    uint32_t events = r->events_len[0];
    struct chan_post *m = post_files(r, "look", "key");
    CHECK(rig_ok(r, m));
    CHECK_EQ(r->events_len[0], events + 3);
    CHECK(rig_says(rig_event(r, 0, events), "\"upload\":true,\"text\":\"look\",\"files\":[{"));
    CHECK(rig_says(rig_event(r, 0, events), "\"subtype\":\"file_share\""));
    CHECK(rig_says(rig_event(r, 0, events + 1),
                   "{\"type\":\"file_shared\",\"file_id\":\"" ONE "\",\"user_id\":"));
    CHECK(rig_says(rig_event(r, 0, events + 1), "\"file\":{\"id\":\"" ONE "\"},\"channel_id\":"));
    CHECK(rig_says(rig_event(r, 0, events + 2), "\"file_id\":\"" TWO "\""));
    CHECK(!has(stored(r, m->ts_us).body, "file_share")); /* in the event only */
    CHECK(has(stored(r, m->ts_us).body, "\"upload\":true"));
    struct chan_post *again = post_files(r, "look", "key");
    CHECK_EQ(again->ts_us, m->ts_us);
    CHECK_EQ(r->events_len[0], events + 3);
    rig_free(r);
}

TEST(a_file_that_is_gone_leaves_a_tombstone)
{
    struct rig *r = rig_room(3, 64);
    /* Text that looks like what is looked for. */
    struct chan_post *m = post_files(r, ",\"files\":[{\"id\":\"" ONE "\"", NULL);
    struct str_view before = stored(r, m->ts_us).body;
    uint32_t events = r->events_len[0];
    struct chan_change *gone = change(r, CHANGE_FILE_GONE, m->ts_us, ONE, "");
    CHECK(rig_ok(r, gone)); /* CAROL is no member: media has judged */
    struct row_message row = stored(r, m->ts_us);
    CHECK(has(row.body, ",\"files\":[{\"id\":\"" ONE "\",\"mode\":\"tombstone\"},{\"id\":\"" TWO
                        "\",\"n\":[1,{\"x\":2}]}],\"ts\":"));
    CHECK_EQ((row.flags & MSG_EDITED), 0);
    CHECK(before.len - row.body.len ==
          strlen(",\"name\":\"a]},{\"") - strlen(",\"mode\":\"tombstone\""));
    CHECK_EQ(r->events_len[0], events + 2);
    CHECK(rig_says(rig_event(r, 0, events), "\"subtype\":\"message_changed\""));
    CHECK(rig_says(rig_event(r, 0, events + 1),
                   "{\"type\":\"file_deleted\",\"file_id\":\"" ONE "\""));
    struct chan_change *again = change(r, CHANGE_FILE_GONE, m->ts_us, ONE, "");
    CHECK(rig_ok(r, again));
    CHECK_EQ(r->events_len[0], events + 2);
    CHECK(rig_ok(r, change(r, CHANGE_FILE_GONE, m->ts_us, TWO, "")));
    CHECK(has(stored(r, m->ts_us).body,
              "\"files\":[{\"id\":\"" ONE "\",\"mode\":\"tombstone\"},{\"id\":\"" TWO
              "\",\"mode\":\"tombstone\"}],\"ts\":"));
    struct chan_change *none = change(r, CHANGE_FILE_GONE, m->ts_us, "F00000000000000000003", "");
    CHECK_EQ(rig_err(r, none), ERR_MESSAGE_NOT_FOUND);
    struct chan_change *edit = arena_zalloc(&r->arena, sizeof *edit);
    *edit = (struct chan_change){.kind = CHANGE_UPDATE,
                                 .team = TEAM,
                                 .uid = BOB,
                                 .ts_us = m->ts_us,
                                 .text = SV("\"new\""),
                                 .arena = &r->arena};
    rig_request(r, ACC, CHAN_CHANGE, 1, edit);
    rig_settle(r);
    CHECK(has(stored(r, m->ts_us).body,
              "\"text\":\"new\",\"files\":[{\"id\":\"" ONE "\",\"mode\":\"tombstone\"}"));
    rig_free(r);
}

TEST(a_channel_is_told_of_its_file_in_order)
{
    struct rig *r = rig_room(3, 64);
    uint32_t events = r->events_len[0];
    CHECK(rig_ok(r, change(r, CHANGE_FILE_TELL, 0, ONE, "file_change")));
    CHECK(rig_says(rig_event(r, 0, events), "{\"type\":\"file_change\",\"file_id\":\"" ONE));
    rig_post(r, 1, BOB, NULL);
    rig_turn(r);
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    *m = (struct chan_change){.kind = CHANGE_FILE_TELL,
                              .team = TEAM,
                              .uid = BOB,
                              .name = SV(ONE),
                              .text = SV("file_public"),
                              .arena = &r->arena};
    rig_request(r, ACC, CHAN_CHANGE, 1, m);
    rig_turn(r);
    CHECK_EQ(r->events_len[0], events + 1); /* not before the message in front of it */
    rig_settle(r);
    CHECK_EQ(r->events_len[0], events + 3);
    CHECK(rig_says(rig_event(r, 0, events + 2), "\"file_public\""));
    rig_free(r);
}
