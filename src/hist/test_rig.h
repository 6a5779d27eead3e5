/* hist/test_rig.h - hist over a real store with a few channels, messages and members in it. Only
 * for
 * *_test.c. */
#ifndef PARLEY_HIST_TEST_RIG_H
#define PARLEY_HIST_TEST_RIG_H

#include "hist/hist.h"

#include <stdio.h>
#include <stdlib.h>

#include "hist/hist_msg.h"
#include "store/batch.h"
#include "store/store.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

enum { TEAM = 7, ADA = 100, BOB = 101, BOT = 102 };
enum { OPEN = 1, SECRET = 2, FOREIGN = 3, LONE = 4 };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct hist *hist;
    struct rig rig;
    struct recorder asker;
    struct arena_pool pool;
    struct arena arena;
    struct batch batch;
};

static struct fix f;

static inline void put_channel(uint64_t cid, uint64_t team, enum channel_kind kind,
                               const char *name, uint64_t seq, uint64_t last_ts_us)
{
    struct key k;
    key_chan_info(&k, cid);
    row_chan_info_encode(
        batch_put_begin(&f.batch, CF_CHAN, &k), &k,
        &(struct row_chan_info){
            .cid = cid, .team = team, .creator = ADA, .kind = kind, .name = sv_from(name)});
    batch_put_end(&f.batch);
    key_chan_head(&k, cid);
    row_chan_head_encode(
        batch_put_begin(&f.batch, CF_CHAN, &k), &k,
        &(struct row_chan_head){.seq = seq, .last_ts_us = last_ts_us, .members_len = 1});
    batch_put_end(&f.batch);
    key_channel_name(&k, team, sv_from(name));
    row_channel_name_encode(batch_put_begin(&f.batch, CF_DIR, &k), &k,
                            &(struct row_channel_name){.cid = cid, .kind = kind});
    batch_put_end(&f.batch);
}

static inline void put_member(uint64_t cid, uint64_t uid, enum channel_kind kind)
{
    struct key k;
    const struct row_member m = {.joined_us = 1, .kind = kind};
    key_chan_member(&k, cid, uid);
    row_member_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k, &m);
    batch_put_end(&f.batch);
    key_membership(&k, uid, cid);
    row_member_encode(batch_put_begin(&f.batch, CF_USER, &k), &k, &m);
    batch_put_end(&f.batch);
}

static inline void put_message(uint64_t cid, uint64_t ts_us, uint64_t seq, uint64_t uid)
{
    struct key k;
    char body[64];
    int n = snprintf(body, sizeof body, "{\"n\":%llu", (unsigned long long)ts_us);
    key_msg(&k, cid, ts_us);
    row_message_encode(
        batch_put_begin(&f.batch, CF_MSG, &k), &k,
        &(struct row_message){.ts_us = ts_us, .seq = seq, .uid = uid, .body = {body, (size_t)n}});
    batch_put_end(&f.batch);
}

static inline void put_long_message(uint64_t cid, uint64_t ts_us, size_t bytes)
{
    struct key k;
    char *body = malloc(bytes);
    CHECK(body != NULL);
    memset(body, 'x', bytes);
    key_msg(&k, cid, ts_us);
    row_message_encode(
        batch_put_begin(&f.batch, CF_MSG, &k), &k,
        &(struct row_message){.ts_us = ts_us, .seq = ts_us, .uid = ADA, .body = {body, bytes}});
    batch_put_end(&f.batch);
    free(body);
}

static inline void write_rows(void)
{
    struct arena a = f.batch.arena;
    CHECK(!f.batch.failed);
    CHECK_EQ(store_write_sync(f.store, &f.batch), ERR_OK);
    arena_reset(&a);
    f.batch = (struct batch){.arena = a};
}

static inline void fix_init(void)
{
    struct view v;
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(arena_init(&f.batch.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &v), ERR_OK);
    CHECK_EQ(hist_new(&f.hist, &v, &f.scratch.conf), ERR_OK);
    rig_init(&f.rig);
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &hist_actor_ops, f.hist);
    rig_wire_requests(&f.rig, 0, 1, 16);
    put_channel(OPEN, TEAM, CHANNEL_PUBLIC, "open", 10, 100);
    put_channel(SECRET, TEAM, CHANNEL_PRIVATE, "secret", 0, 0);
    put_channel(FOREIGN, TEAM + 1, CHANNEL_PUBLIC, "foreign", 0, 0);
    put_channel(LONE, TEAM, CHANNEL_PUBLIC, "lone", 0, 0);
    put_member(OPEN, ADA, CHANNEL_PUBLIC);
    put_member(SECRET, ADA, CHANNEL_PRIVATE);
    put_message(SECRET, 50, 1, ADA);
    for (uint64_t i = 1; i <= 10; i++)
        put_message(OPEN, i * 10, i, i % 2 == 0 ? ADA : BOB);
    write_rows();
}

static inline void fix_deinit(void)
{
    rig_deinit(&f.rig);
    hist_free(f.hist);
    store_close(f.store);
    arena_deinit(&f.arena);
    arena_deinit(&f.batch.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static inline enum err call(enum hist_msg type, void *m)
{
    f.asker.len = 0;
    CHECK(rig_ask(&f.rig, 0, 1, (uint16_t)type, 0, m));
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.asker.len, 1);
    return (enum err)f.asker.cells[0].err;
}

/* ---- counting ---- */

/* A view that counts the rows that a scan hands out and the keys that are looked up. */
struct counted {
    struct view v;
    view_row_fn *fn;
    void *ctx;
    uint32_t rows, gets, scans;
};

static inline bool count_row(void *ctx, struct str_view key, struct str_view value)
{
    struct counted *c = ctx;
    c->rows++;
    return c->fn(c->ctx, key, value);
}

static inline enum err counted_scan(void *self, enum cf cf, struct str_view from,
                                    struct str_view to, view_row_fn *fn, void *ctx,
                                    uint64_t *moment)
{
    struct counted *c = self;
    c->scans++;
    c->fn = fn;
    c->ctx = ctx;
    return c->v.ops->scan(c->v.self, cf, from, to, count_row, c, moment);
}

static inline enum err counted_get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    struct counted *c = self;
    c->gets += n;
    return view_multi_get(&c->v, gets, n, a);
}

static inline uint64_t counted_moment(void *self)
{
    const struct counted *c = self;
    return view_moment(&c->v);
}

static inline bool counted_touched(void *self, const struct view_get *keys, uint32_t n,
                                   uint64_t since)
{
    const struct counted *c = self;
    return view_touched(&c->v, keys, n, since);
}

static inline bool counted_front(void *self, enum cf cf, struct str_view key, uint64_t since,
                                 view_row_fn *fn, void *ctx, uint64_t *moment)
{
    const struct counted *c = self;
    return c->v.ops->front(c->v.self, cf, key, since, fn, ctx, moment);
}

static struct counted counted;

/* From here on hist reads through it. */
static inline void count_reads(void)
{
    static const struct view_ops ops = {.multi_get = counted_get,
                                        .scan = counted_scan,
                                        .moment = counted_moment,
                                        .touched = counted_touched,
                                        .front = counted_front};
    counted = (struct counted){0};
    CHECK_EQ(store_view(f.store, &counted.v), ERR_OK);
    hist_free(f.hist);
    CHECK_EQ(hist_new(&f.hist, &(struct view){&ops, &counted}, &f.scratch.conf), ERR_OK);
    f.rig.actors[1].self = f.hist;
}

#endif
