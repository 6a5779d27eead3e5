/* A store from before users had lists of their reactions gets them, once. */
#include "chan/chan.h"
#include "chan/reactions.h"
#include "store/batch.h"
#include "store/row.h"
#include "store/store.h"
#include "test.h"
#include "scratch.h"

enum { OPEN = 1, DIRECT = 2, EMPTY = 3 };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct view view;
    struct arena_pool pool;
    struct arena arena;
    struct batch b;
    uint32_t writes, fail_at; /* fail_at: this write fails; 0: none */
};

static struct fix f;

static void put_channel(uint64_t cid, enum channel_kind kind)
{
    struct key k;
    key_chan_info(&k, cid);
    row_chan_info_encode(batch_put_begin(&f.b, CF_CHAN, &k), &k,
                         &(struct row_chan_info){.cid = cid, .kind = kind, .name = SV("x")});
    batch_put_end(&f.b);
}

static void put_message(uint64_t cid, uint64_t thread_ts_us, uint64_t ts_us, const uint64_t *uids,
                        uint32_t n)
{
    struct key k;
    struct row_message row = {
        .ts_us = ts_us,
        .uid = 9,
        .body = SV("{\"text\":\"x\""),
        .flags = (uint16_t)((thread_ts_us != 0 ? MSG_REPLY : 0) | (n > 0 ? MSG_REACTIONS : 0)),
        .thread_ts_us = thread_ts_us};
    for (uint32_t i = 0; i < n; i++)
        CHECK_EQ(reactions_add(row.reactions, (struct str_view){&"abc"[i % 3], 1}, uids[i],
                               &f.arena, &row.reactions),
                 ERR_OK);
    if (thread_ts_us != 0)
        key_reply(&k, cid, thread_ts_us, ts_us);
    else
        key_msg(&k, cid, ts_us);
    row_message_encode(batch_put_begin(&f.b, CF_MSG, &k), &k, &row);
    batch_put_end(&f.b);
    if (thread_ts_us == 0)
        return;
    key_pointer(&k, cid, ts_us);
    row_u64_encode(batch_put_begin(&f.b, CF_MSG, &k), &k, thread_ts_us);
    batch_put_end(&f.b);
}

static void fix_init(void)
{
    f = (struct fix){0};
    scratch_init(&f.scratch);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &f.view), ERR_OK);
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, UINT64_MAX), ERR_OK);
    CHECK_EQ(arena_init(&f.b.arena, &f.pool, UINT64_MAX), ERR_OK);
    put_channel(OPEN, CHANNEL_PUBLIC);
    put_channel(DIRECT, CHANNEL_IM);
    put_channel(EMPTY, CHANNEL_PRIVATE);
}

static void write_rows(void)
{
    CHECK(!f.b.failed);
    CHECK_EQ(store_write_sync(f.store, &f.b), ERR_OK);
}

static void fix_deinit(void)
{
    store_close(f.store);
    arena_deinit(&f.arena);
    arena_deinit(&f.b.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static enum err count_write(void *ctx, const struct batch *b)
{
    CHECK(ctx == &f);
    return ++f.writes == f.fail_at ? ERR_IO : store_write_sync(f.store, b);
}

static bool count_row(void *ctx, struct str_view key, struct str_view value)
{
    struct row_reacted row;
    CHECK_EQ(row_reacted_decode(&row, key, value), ERR_OK);
    ++*(uint32_t *)ctx;
    return true;
}

static uint32_t listed(uint64_t uid)
{
    struct key prefix;
    uint32_t n = 0;
    key_reacted_all(&prefix, uid);
    CHECK_EQ(view_scan_prefix(&f.view, CF_USER, &prefix, count_row, &n), ERR_OK);
    return n;
}

static bool is_listed(uint64_t uid, uint64_t ts_us, uint64_t cid, enum channel_kind kind)
{
    struct key k;
    struct str_view value;
    struct row_reacted row;
    key_reacted(&k, uid, ts_us, cid);
    CHECK_EQ(view_get1(&f.view, CF_USER, &k, &f.arena, &value), ERR_OK);
    return value.p != NULL && row_reacted_decode(&row, key_view(&k), value) == ERR_OK &&
           row.kind == kind;
}

TEST(old_reactions_are_listed_once)
{
    fix_init();
    put_message(OPEN, 0, 100, (uint64_t[]){11, 12, 11}, 3);
    put_message(OPEN, 0, 101, NULL, 0);
    put_message(OPEN, 100, 102, (uint64_t[]){11}, 1);
    put_message(DIRECT, 0, 103, (uint64_t[]){12}, 1);
    write_rows();
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 1);
    CHECK_EQ(listed(11), 2);
    CHECK_EQ(listed(12), 2);
    CHECK(is_listed(11, 100, OPEN, CHANNEL_PUBLIC));
    CHECK(is_listed(11, 102, OPEN, CHANNEL_PUBLIC));
    CHECK(is_listed(12, 103, DIRECT, CHANNEL_IM));
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 1); /* the mark tells */
    fix_deinit();
}

static void damage(enum cf cf, const struct key *k)
{
    batch_put(&f.b, cf, k, SV("\1damaged"));
}

/* What cannot be read is in no list, and the server starts. */
TEST(a_damaged_message_or_channel_is_passed_by)
{
    struct key k;
    fix_init();
    put_message(OPEN, 0, 100, (uint64_t[]){11}, 1);
    put_message(OPEN, 0, 101, (uint64_t[]){11}, 1);
    put_message(OPEN, 100, 102, (uint64_t[]){11}, 1);
    put_message(OPEN, 100, 103, (uint64_t[]){11}, 1);
    put_message(DIRECT, 0, 104, (uint64_t[]){11}, 1);
    put_message(EMPTY + 1, 0, 105, (uint64_t[]){11}, 1); /* no such channel */
    put_message(EMPTY + 1, 0, 106, (uint64_t[]){11}, 1);
    put_message(EMPTY, 0, 107, (uint64_t[]){11}, 1);
    key_msg(&k, OPEN, 101);
    damage(CF_MSG, &k);
    key_reply(&k, OPEN, 100, 103);
    damage(CF_MSG, &k);
    key_chan_info(&k, DIRECT);
    damage(CF_CHAN, &k);
    write_rows();
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(listed(11), 3);
    CHECK(is_listed(11, 100, OPEN, CHANNEL_PUBLIC));
    CHECK(is_listed(11, 102, OPEN, CHANNEL_PUBLIC));
    CHECK(is_listed(11, 107, EMPTY, CHANNEL_PRIVATE));
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 1); /* once and for all */
    fix_deinit();
}

TEST(a_new_store_is_marked_without_rows)
{
    fix_init();
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 1);
    fix_deinit();
}

/* Parts meet without a gap; cut off between them, the next start makes the rest, and only that. */
TEST(many_reactions_are_listed_in_parts)
{
    enum { messages = 9000 };
    fix_init();
    for (uint64_t i = 0; i < messages; i++)
        put_message(i % 3 == 0 ? DIRECT : OPEN, 0, 1000 + i, (uint64_t[]){11, 12 + i % 2}, 2);
    write_rows();
    f.fail_at = 3;
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_IO);
    CHECK(listed(11) > 0 && listed(11) < messages);
    f.fail_at = 0;
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 6); /* five parts, of which the third was tried twice */
    CHECK_EQ(listed(11), messages);
    CHECK_EQ(listed(12) + listed(13), messages);
    fix_deinit();
}

TEST(a_damaged_mark_is_none)
{
    struct key k;
    fix_init();
    put_message(OPEN, 0, 100, (uint64_t[]){11}, 1);
    key_meta(&k, SV("reactions_listed"), 0);
    damage(CF_META, &k);
    write_rows();
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(listed(11), 1);
    CHECK_EQ(chan_list_reactions(&f.view, count_write, &f), ERR_OK);
    CHECK_EQ(f.writes, 1);
    fix_deinit();
}
