/* What others learn of a key: its message once that is durable, and of no other key. */
#include "chan/posted.h"

#include "chan/test_rig.h"

static uint64_t posted(struct rig *r, uint64_t cid, uint64_t uid, const char *key)
{
    struct view v = {&rig_view_ops, r};
    uint64_t ts_us = 1;
    CHECK_EQ(posted_ts(&v, cid, uid, sv_from(key), &r->arena, &ts_us), ERR_OK);
    return ts_us;
}

TEST(a_key_has_its_message_once_that_is_durable)
{
    struct rig *r = rig_room(3, 64);
    CHECK_EQ(posted(r, 1, BOB, "k1"), TS_NONE);
    struct chan_post *m = rig_post(r, 1, BOB, "k1");
    rig_turn(r);
    CHECK_EQ(posted(r, 1, BOB, "k1"), TS_NONE);
    rig_settle(r);
    CHECK(rig_ok(r, m));
    CHECK_EQ(posted(r, 1, BOB, "k1"), m->ts_us);
    CHECK_EQ(posted(r, 1, ALICE, "k1"), TS_NONE);
    CHECK_EQ(posted(r, 2, BOB, "k1"), TS_NONE);
    CHECK_EQ(posted(r, 1, BOB, "k2"), TS_NONE);
    rig_free(r);
}

/* A client may make a UUID whose bytes are another key's hash. */
TEST(keys_that_meet_in_one_place_are_told_apart)
{
    enum { keys = dedup_probes_max };
    static const char *const key[keys + 1] = {"a", "b", "c", "d", "e"};
    struct rig *r = rig_room(3, 64);
    struct chan_post *m[keys + 1];
    for (int i = 0; i <= keys; i++) {
        m[i] = rig_post_as(r, BOB, key[i]);
        key128_of(m[i]->key128, SV("d"));
        rig_request(r, ACC, CHAN_POST, 1, m[i]);
        rig_settle(r);
        /* Whoever looks for one of them begins at its own place: only this one is there. */
        CHECK_EQ(posted(r, 1, BOB, "d"), i < 3 ? TS_NONE : m[3]->ts_us);
        CHECK_EQ(posted(r, 1, BOB, "a"), TS_NONE);
    }
    CHECK(rig_ok(r, m[keys - 1]) && !rig_ok(r, m[keys]));
    CHECK_EQ(m[keys]->client_msg_id.len, 1);
    rig_free(r);
}
