/* Threads and reactions as they are packed into a message's row, against a plain model. */
#include <stdio.h>

#include "base/rand.h"
#include "chan/message_json.h"
#include "chan/reactions.h"
#include "chan/thread.h"
#include "test.h"

enum { USERS = 9, NAMES = 5, ROUNDS = 4000 };

static struct arena_pool pool;
static struct arena a;

static void begin(void)
{
    arena_pool_init(&pool, 65536, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&a, &pool, UINT64_MAX), ERR_OK);
}

static void end(void)
{
    arena_deinit(&a);
    arena_pool_deinit(&pool);
}

TEST(a_thread_equals_a_recount)
{
    struct rand_src r;
    uint32_t counts[USERS + 1] = {0}, total = 0;
    struct str_view packed = SV_NONE;
    begin();
    rand_init_seeded(&r, 3);
    for (uint64_t ts = 1; ts < ROUNDS; ts++) {
        uint64_t uid = 1 + rand_below(&r, USERS);
        if (rand_below(&r, 3) > 0 || counts[uid] == 0) {
            CHECK_EQ(thread_add(packed, uid, ts, &a, &packed), ERR_OK);
            counts[uid]++;
            total++;
        } else {
            CHECK_EQ(thread_remove(packed, uid, ts, &a, &packed), ERR_OK);
            counts[uid]--;
            total--;
        }
        struct thread t;
        uint32_t users = 0;
        for (uint64_t u = 1; u <= USERS; u++)
            users += counts[u] > 0;
        CHECK_EQ(thread_read(&t, packed), ERR_OK);
        CHECK(t.replies == total && t.users == users && t.latest_us == ts);
        uint64_t uids[USERS];
        CHECK_EQ(thread_users(&t, uids, USERS), users);
        for (uint32_t i = 0; i < users; i++)
            CHECK(counts[uids[i]] > 0);
    }
    CHECK_EQ(thread_remove(packed, 77, 1, &a, &packed), ERR_CORRUPT);
    end();
}

TEST(reactions_equal_a_model)
{
    static const char *const names[NAMES] = {"a", "b", "thumbsup", "tada::skin-tone-2", "x"};
    struct rand_src r;
    bool has[NAMES][USERS + 1] = {0};
    struct str_view packed = SV_NONE;
    begin();
    rand_init_seeded(&r, 4);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t n = (uint32_t)rand_below(&r, NAMES);
        uint64_t uid = 1 + rand_below(&r, USERS);
        struct str_view name = sv_from(names[n]);
        if (rand_below(&r, 2) == 0) {
            CHECK_EQ(reactions_add(packed, name, uid, &a, &packed),
                     has[n][uid] ? ERR_ALREADY_REACTED : ERR_OK);
            has[n][uid] = true;
        } else {
            CHECK_EQ(reactions_remove(packed, name, uid, &a, &packed),
                     has[n][uid] ? ERR_OK : ERR_NO_REACTION);
            has[n][uid] = false;
        }
        uint64_t users[USERS * NAMES], want[USERS];
        uint32_t own[USERS + 1] = {0}, len = 0;
        for (uint32_t k = 0; k < NAMES; k++) {
            bool any = false;
            for (uint64_t u = 1; u <= USERS; u++) {
                any |= has[k][u];
                own[u] += has[k][u];
            }
            CHECK_EQ(reactions_have(packed, sv_from(names[k])), any);
        }
        for (uint64_t u = 1; u <= USERS; u++) {
            CHECK_EQ(reactions_of(packed, u), own[u]);
            if (own[u] > 0)
                want[len++] = u;
        }
        CHECK_EQ(reactions_users(packed, users, ARRAY_LEN(users)), len);
        CHECK_MEM(users, want, len * sizeof want[0]);
        CHECK(reactions_users(packed, users, 3) <= MIN(3u, len));
    }
    end();
}

TEST(reactions_are_bounded)
{
    struct str_view packed = SV_NONE;
    char name[8];
    begin();
    for (int i = 0; i < reactions_of_user_max; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_EQ(reactions_add(packed, sv_from(name), 1, &a, &packed), ERR_OK);
    }
    CHECK_EQ(reactions_add(packed, SV("more"), 1, &a, &packed), ERR_TOO_MANY_REACTIONS);
    for (int i = reactions_of_user_max; i < reactions_emoji_max; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_EQ(reactions_add(packed, sv_from(name), 1 + (uint64_t)i, &a, &packed), ERR_OK);
    }
    CHECK_EQ(reactions_add(packed, SV("more"), 5000, &a, &packed), ERR_TOO_MANY_EMOJI);
    CHECK_EQ(reactions_add(packed, SV("n3"), 5000, &a, &packed), ERR_OK);
    end();
}

/* Stored records are checked by their sums; even so no bytes lead a reader astray. */
TEST(any_bytes_are_read_without_harm)
{
    struct rand_src r;
    begin();
    rand_init_seeded(&r, 5);
    for (int i = 0; i < 20000; i++) {
        char bytes[40], text[4096];
        struct thread t;
        struct buf b;
        uint64_t uids[8];
        struct str_view s = {bytes, (size_t)rand_below(&r, sizeof bytes)}, out;
        for (size_t k = 0; k < s.len; k++)
            bytes[k] = (char)(rand_below(&r, 2) == 0 ? rand_below(&r, 6) : rand_below(&r, 256));
        if (thread_read(&t, s) == ERR_OK)
            (void)thread_users(&t, uids, 8);
        if (thread_add(s, 1, 2, &a, &out) == ERR_OK && thread_read(&t, out) == ERR_OK)
            CHECK_EQ(t.latest_us, 2);
        if (thread_remove(s, 1, 3, &a, &out) == ERR_OK && thread_read(&t, out) == ERR_OK)
            CHECK_EQ(t.latest_us, 3);
        (void)reactions_have(s, SV("a"));
        CHECK(reactions_users(s, uids, 8) <= 8);
        CHECK(reactions_of(s, 1) <= s.len);
        if (reactions_add(s, SV("a"), 1, &a, &out) == ERR_OK)
            CHECK(reactions_have(out, SV("a")));
        if (reactions_remove(s, SV("a"), 1, &a, &out) == ERR_OK)
            CHECK(out.len < s.len);
        buf_init_fixed(&b, text, sizeof text);
        struct json_out j = json_out_on(&b);
        reactions_json(&j, s);
        arena_reset(&a);
    }
    end();
}

TEST(a_message_is_shown_with_what_changed)
{
    char text[2048];
    struct buf b;
    struct row_message m = {.ts_us = 1700000000000001, .uid = 5, .body = SV("{\"text\":\"x\"")};
    begin();
    buf_init_fixed(&b, text, sizeof text);
    message_json(&b, &m, 9, true);
    CHECK_SV(buf_view(&b), "{\"text\":\"x\"}");
    CHECK_EQ(thread_add(SV_NONE, 6, 1700000000000002, &a, &m.thread), ERR_OK);
    CHECK_EQ(reactions_add(SV_NONE, SV("tada"), 7, &a, &m.reactions), ERR_OK);
    m.metadata = SV("{\"event_type\":\"e\",\"event_payload\":{}}");
    m.edited_us = 1700000000000003;
    m.edited_by = 5;
    m.flags = MSG_THREAD | MSG_REACTIONS | MSG_EDITED | MSG_METADATA;
    b.len = 0;
    message_json(&b, &m, 9, false);
    CHECK_SV(buf_view(&b),
             "{\"text\":\"x\",\"edited\":{\"user\":\"U5\",\"ts\":\"1700000000.000003\"},"
             "\"thread_ts\":\"1700000000.000001\",\"reply_count\":1,\"reply_users_count\":1,"
             "\"latest_reply\":\"1700000000.000002\",\"reply_users\":[\"U6\"],\"is_locked\":false,"
             "\"reactions\":[{\"name\":\"tada\",\"users\":[\"U7\"],\"count\":1}]}");
    CHECK(b.len <= message_json_max(&m));
    m.flags = MSG_THREAD | MSG_DELETED;
    CHECK(message_is_shown(&m));
    b.len = 0;
    message_json(&b, &m, 9, false);
    CHECK(sv_starts(buf_view(&b), SV("{\"type\":\"message\",\"subtype\":\"tombstone\"")));
    m.flags = MSG_DELETED;
    CHECK(!message_is_shown(&m));
    end();
}
