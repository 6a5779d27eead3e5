/* The newest messages in memory: what is read is what the store holds at that moment, whatever was
 * written, changed, deleted or made into files since the last read. */
#include "hist/recent.h"

#include <stdio.h>
#include <stdlib.h>

#include "hist/rights.h"
#include "store/batch.h"
#include "store/store.h"
#include "test.h"
#include "scratch.h"

enum { A = 1, B = 2, channels = 3, OTHER = 99, ADA = 100, tail_bytes = 65536 };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct view view;
    struct recent *recent;
    struct arena_pool pool;
    struct arena arena;
    struct batch b;
    struct rand_src rand;
};

static struct fix f;

static void fix_init(uint64_t recent_bytes)
{
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    f.scratch.conf.store_tail_bytes = tail_bytes; /* a few hundred rows: files come and come */
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 64 << 20), ERR_OK);
    CHECK_EQ(arena_init(&f.b.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &f.view), ERR_OK);
    CHECK_EQ(recent_new(&f.recent, recent_bytes), ERR_OK);
    rand_init_seeded(&f.rand, 5);
}

static void fix_deinit(void)
{
    recent_free(f.recent);
    store_close(f.store);
    arena_deinit(&f.arena);
    arena_deinit(&f.b.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static void commit(void)
{
    struct arena a = f.b.arena;
    CHECK(!f.b.failed);
    CHECK_EQ(store_write_sync(f.store, &f.b), ERR_OK);
    arena_reset(&a);
    f.b = (struct batch){.arena = a};
}

/* The same message again with another version is a change of it. */
static void put(uint64_t cid, uint64_t ts_us, uint64_t version, size_t bytes)
{
    struct key k;
    char body[2048];
    int n = snprintf(body, sizeof body, "{\"n\":%llu,\"v\":%llu,\"x\":\"%0*d\"",
                     (unsigned long long)ts_us, (unsigned long long)version, (int)bytes, 0);
    CHECK(n > 0 && (size_t)n < sizeof body);
    key_msg(&k, cid, ts_us);
    row_message_encode(batch_put_begin(&f.b, CF_MSG, &k), &k,
                       &(struct row_message){.ts_us = ts_us, .body = {body, (size_t)n}});
    batch_put_end(&f.b);
}

static void del(uint64_t cid, uint64_t ts_us)
{
    struct key k;
    key_msg(&k, cid, ts_us);
    batch_delete(&f.b, CF_MSG, &k);
}

static void put_many(uint64_t cid, uint64_t from, uint64_t to, size_t bytes)
{
    for (uint64_t ts = from; ts <= to; ts++)
        put(cid, ts, 1, bytes);
    commit();
}

/* There are two tails; the writer waits for the older one when both are full. */
static void into_files(void)
{
    static uint64_t ts;
    for (int i = 0; i < 4; i++, ts += tail_bytes / 1000)
        put_many(OTHER, ts + 1, ts + tail_bytes / 1000, 1000);
}

static struct hist_history question(uint64_t cid, uint32_t limit)
{
    struct hist_history m = {.cid = cid, .limit = limit};
    buf_init(&m.out, &f.arena, 0);
    return m;
}

static bool ask(struct hist_history *m, struct ts_span span)
{
    return recent_answer(f.recent, &f.view, m, span);
}

static const struct ts_span all = {UINT64_MAX, 0};

/* ---- what the store says ---- */

struct truth {
    struct hist_history *m;
    uint64_t last_us;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct truth *t = ctx;
    struct row_message row;
    CHECK_EQ(row_message_decode(&row, key, value), ERR_OK);
    if (t->m->messages == t->m->limit) {
        t->m->has_more = true;
        t->m->next_us = t->last_us;
        return false;
    }
    if (t->m->messages++ > 0)
        buf_putc(&t->m->out, ',');
    buf_put_sv(&t->m->out, row.body);
    buf_putc(&t->m->out, '}');
    t->last_us = row.ts_us;
    return true;
}

/* A page, if it is answered, is the store's. True: it was. */
static bool check_page(uint64_t cid, struct ts_span span, uint32_t limit)
{
    struct key from, to;
    struct hist_history got = question(cid, limit), want = question(cid, limit);
    if (!ask(&got, span)) {
        CHECK_EQ(got.out.len, 0);
        return false;
    }
    key_msg(&from, cid, span.newest_us);
    key_msg(&to, cid, span.oldest_us);
    key_prefix_end(&to);
    CHECK_EQ(view_scan(&f.view, CF_MSG, key_view(&from), key_view(&to), on_row,
                       &(struct truth){.m = &want}),
             ERR_OK);
    CHECK_EQ(got.messages, want.messages);
    CHECK_EQ(got.has_more, want.has_more);
    CHECK(sv_eq(buf_view(&got.out), buf_view(&want.out)));
    if (want.has_more)
        CHECK_EQ(got.next_us, want.next_us);
    return true;
}

static uint64_t fills(void)
{
    return recent_counts(f.recent)->fills;
}

/* ---- tests ---- */

/* Who walks through all channels drives none out. */
TEST(a_channel_is_kept_from_its_second_read_on)
{
    fix_init(1 << 20);
    put_many(A, 1, 10, 10);
    CHECK(!check_page(A, all, 5));
    CHECK_EQ(recent_counts(f.recent)->bytes, 0);
    CHECK(check_page(A, all, 5));
    CHECK(check_page(A, all, 5));
    CHECK_EQ(fills(), 1);
    CHECK_EQ(recent_counts(f.recent)->hits, 2);
    /* What it would have to be read for does not make it one that is kept. */
    for (int i = 0; i < 3; i++) {
        CHECK(!check_page(B, all, recent_rows_fill));
        CHECK(!check_page(B, (struct ts_span){100, 0}, 5));
    }
    CHECK_EQ(fills(), 1);
    fix_deinit();
}

/* A read behind a commit shows it, and without reading the rest again. */
TEST(what_was_posted_since_is_put_in_front)
{
    fix_init(1 << 20);
    put_many(A, 1, 300, 100);
    CHECK(!check_page(A, all, 100));
    for (uint64_t ts = 301; ts <= 1000; ts++) {
        put(A, ts, 1, ts % 400);
        put(B, ts, 1, 10); /* another's are not its own */
        if (ts % 3 == 0)
            put(A, ++ts, 1, 30);
        commit();
        CHECK(check_page(A, all, 100));
        CHECK(check_page(A, (struct ts_span){UINT64_MAX, ts - 5}, 100));
        arena_reset(&f.arena);
    }
    /* Only tails that became files, and texts that no longer fit, made it read anew. */
    CHECK(fills() < 60);
    CHECK(recent_counts(f.recent)->hits > 900);
    fix_deinit();
}

TEST(bounds_inside_and_outside_of_what_is_kept)
{
    fix_init(1 << 20);
    put_many(A, 1001, 1400, 10);
    put_many(B, 1001, 1020, 10); /* kept as a whole */
    for (uint64_t cid = A; cid <= B; cid++) {
        (void)check_page(cid, all, 10);
        CHECK(check_page(cid, all, 10));
    }
    for (uint32_t limit = 1; limit <= 130; limit += limit < 5 ? 1 : 31) {
        for (uint64_t newest = 990; newest <= 1410; newest += 7) {
            for (uint64_t oldest = 990; oldest <= newest; oldest += 19) {
                (void)check_page(A, (struct ts_span){newest, oldest}, limit);
                CHECK(check_page(B, (struct ts_span){newest, oldest}, limit));
            }
            arena_reset(&f.arena);
        }
    }
    CHECK(check_page(A, (struct ts_span){1400, 1300}, 100));  /* its bounds are in memory */
    CHECK(!check_page(A, (struct ts_span){1300, 1200}, 100)); /* part of it is not */
    CHECK(check_page(A, all, 127));
    CHECK(!check_page(A, all, 128)); /* is there one more? */
    CHECK_EQ(fills(), 2);
    fix_deinit();
}

/* A change of an old message, a deletion, a row between others: read anew, not served stale. */
TEST(other_changes_are_seen)
{
    fix_init(1 << 20);
    for (uint64_t ts = 10; ts <= 2000; ts += 10)
        put(A, ts, 1, 10);
    commit();
    into_files();
    (void)check_page(A, all, 100);
    CHECK(check_page(A, all, 100));
    put(A, 1990, 2, 10); /* into an empty tail, in front of everything that is in it */
    commit();
    CHECK(check_page(A, all, 100));
    put(A, 1985, 1, 10);
    commit();
    CHECK(check_page(A, all, 100));
    put(A, 2010, 1, 10);
    put(A, 2010, 2, 10); /* twice in one commit */
    commit();
    CHECK(check_page(A, all, 100));
    put(A, 2010, 3, 10);
    commit();
    CHECK(check_page(A, all, 100));
    del(A, 2010);
    commit();
    CHECK(check_page(A, all, 100));
    del(A, 2020); /* never was there */
    commit();
    CHECK(check_page(A, all, 100));
    put(A, 2030, 1, 10);
    commit();
    into_files(); /* no tail tells of it any more */
    CHECK(check_page(A, all, 100));
    fix_deinit();
}

/* Anything at all in any order, while tails become files. */
TEST(a_random_history_is_the_stores)
{
    fix_init(3 * 20000);
    uint64_t newest[channels + 1] = {0}, answered = 0;
    for (uint64_t step = 1; step <= 3000; step++) {
        uint64_t cid = 1 + rand_below(&f.rand, channels), kind = rand_below(&f.rand, 100);
        size_t bytes = rand_below(&f.rand, 50) == 0 ? 1500 : rand_below(&f.rand, 120);
        if (kind < 90)
            put(cid, newest[cid] += 1 + rand_below(&f.rand, 3), step, bytes);
        else if (kind < 95)
            put(cid, 1 + newest[cid] - rand_below(&f.rand, MIN(newest[cid] + 1, 150u)), step,
                bytes);
        else
            del(cid, 1 + newest[cid] - rand_below(&f.rand, MIN(newest[cid] + 1, 150u)));
        newest[cid] += kind >= 90; /* the change may have been in front */
        if (rand_below(&f.rand, 4) == 0)
            commit();
        if (rand_below(&f.rand, 3) > 0 || f.b.first != NULL)
            continue;
        uint64_t span = rand_below(&f.rand, 200);
        answered += check_page(cid,
                               rand_below(&f.rand, 2)
                                   ? all
                                   : (struct ts_span){newest[cid] - MIN(newest[cid], span / 2),
                                                      newest[cid] - MIN(newest[cid], span)},
                               1 + (uint32_t)rand_below(&f.rand, 127));
        arena_reset(&f.arena);
    }
    CHECK(answered > 100);
    fix_deinit();
}

TEST(memory_is_bounded_and_the_least_used_goes)
{
    enum { many = 50, bound = 100000 };
    fix_init(bound);
    for (uint64_t cid = 1; cid <= many; cid++)
        put_many(cid, 1, 20, 10);
    for (uint64_t cid = 1; cid <= many; cid++) {
        for (int i = 0; i < 2; i++) {
            (void)check_page(cid, all, 10);
            CHECK(check_page(1, all, 10) || cid == 1); /* in use: stays */
            CHECK(recent_counts(f.recent)->bytes <= bound);
        }
    }
    CHECK(recent_counts(f.recent)->evictions > many / 2);
    uint64_t before = fills();
    CHECK(check_page(1, all, 10) && check_page(many, all, 10));
    CHECK_EQ(fills(), before);
    fix_deinit();
    fix_init(0);
    put_many(A, 1, 20, 10);
    for (int i = 0; i < 3; i++)
        CHECK(!check_page(A, all, 10));
    CHECK_EQ(recent_counts(f.recent)->bytes, 0);
    fix_deinit();
}

/* ---- rights ---- */

static void put_member(uint64_t cid, bool in)
{
    struct key k;
    key_chan_member(&k, cid, ADA);
    if (in) {
        row_member_encode(batch_put_begin(&f.b, CF_CHAN, &k), &k,
                          &(struct row_member){.joined_us = 1});
        batch_put_end(&f.b);
    } else {
        batch_delete(&f.b, CF_CHAN, &k);
    }
    commit();
}

TEST(a_right_lasts_until_its_rows_are_written)
{
    struct rights *r;
    struct right got, member = {.team = 7, .kind = CHANNEL_PRIVATE, .member = true};
    fix_init(0);
    CHECK_EQ(rights_new(&r), ERR_OK);
    put_member(A, true);
    CHECK(!rights_find(r, &f.view, A, ADA, &got));
    rights_keep(r, A, ADA, &member, view_moment(&f.view));
    put_many(A, 1, 10, 10); /* neither its info nor its member */
    put_member(B, true);
    CHECK(rights_find(r, &f.view, A, ADA, &got));
    CHECK(got.team == 7 && got.kind == CHANNEL_PRIVATE && got.member);
    CHECK(!rights_find(r, &f.view, A, ADA + 1, &got));
    CHECK(!rights_find(r, &f.view, B, ADA, &got));
    put_member(A, false);
    CHECK(!rights_find(r, &f.view, A, ADA, &got));
    into_files(); /* nor when that is only in files */
    CHECK(!rights_find(r, &f.view, A, ADA, &got));
    struct key info;
    rights_keep(r, A, ADA, &member, view_moment(&f.view));
    CHECK(rights_find(r, &f.view, A, ADA, &got));
    key_chan_info(&info, A);
    batch_put(&f.b, CF_CHAN, &info, SV("x"));
    commit();
    CHECK(!rights_find(r, &f.view, A, ADA, &got));
    rights_free(r);
    fix_deinit();
}
