/* The index over a real store, with a real log. */
#include "search/search.h"

#include <stdlib.h>

#include "search/internal.h"
#include "store/log.h"
#include "store/store.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

enum { TEAM = 7, OTHER_TEAM = 8, ADA = 100, BOB = 101 };
enum { OPEN = 1, SECRET = 2, FOREIGN = 3 };
enum { ASKER, SEARCH, LOG };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct log *log;
    struct search *search;
    struct rig rig;
    struct recorder asker;
    struct arena_pool pool;
    struct arena arena;
    struct batch batch;
};
static struct fix f;

static void put_channel(uint64_t cid, uint64_t team, enum channel_kind kind, const char *name)
{
    struct key k;
    key_chan_info(&k, cid);
    row_chan_info_encode(
        batch_put_begin(&f.batch, CF_CHAN, &k), &k,
        &(struct row_chan_info){.cid = cid, .team = team, .kind = kind, .name = sv_from(name)});
    batch_put_end(&f.batch);
    key_channel_name(&k, team, sv_from(name));
    row_channel_name_encode(batch_put_begin(&f.batch, CF_DIR, &k), &k,
                            &(struct row_channel_name){.cid = cid, .kind = kind});
    batch_put_end(&f.batch);
}

static void put_head(uint64_t cid, uint64_t ts_us)
{
    struct key k;
    key_chan_head(&k, cid);
    row_chan_head_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k,
                         &(struct row_chan_head){.seq = 1, .last_ts_us = ts_us, .members_len = 1});
    batch_put_end(&f.batch);
}

static void put_member(uint64_t cid, uint64_t uid)
{
    struct key k;
    key_chan_member(&k, cid, uid);
    row_member_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k, &(struct row_member){0});
    batch_put_end(&f.batch);
}

static struct str_view body_of(const char *text)
{
    static char body[4096];
    int n = snprintf(body, sizeof body, "{\"type\":\"message\",\"text\":\"%s\"", text);
    return (struct str_view){body, (size_t)n};
}

static void put_row(const struct key *k, const struct row_message *row)
{
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, k), k, row);
    batch_put_end(&f.batch);
}

static void put_message(uint64_t cid, uint64_t ts_us, uint64_t uid, const char *text)
{
    struct key k;
    key_msg(&k, cid, ts_us);
    put_row(&k, &(struct row_message){.ts_us = ts_us, .uid = uid, .body = body_of(text)});
    put_head(cid, ts_us);
}

static void put_reply(uint64_t cid, uint64_t thread_us, uint64_t ts_us, const char *text)
{
    struct key k;
    key_reply(&k, cid, thread_us, ts_us);
    put_row(&k, &(struct row_message){.ts_us = ts_us,
                                      .uid = BOB,
                                      .flags = MSG_REPLY,
                                      .thread_ts_us = thread_us,
                                      .body = body_of(text)});
    key_pointer(&k, cid, ts_us);
    row_u64_encode(batch_put_begin(&f.batch, CF_MSG, &k), &k, thread_us);
    batch_put_end(&f.batch);
    put_head(cid, ts_us);
}

static void write_rows(void)
{
    struct arena a = f.batch.arena;
    CHECK(!f.batch.failed);
    CHECK_EQ(store_write_sync(f.store, &f.batch), ERR_OK);
    arena_reset(&a);
    f.batch = (struct batch){.arena = a};
}

static void start_search(void)
{
    struct search_conf c = {.self = SEARCH,
                            .log = LOG,
                            .enabled = true,
                            .delay_ms = 1,
                            .batch_words = 64,
                            .queue_max = 2,
                            .dirty_max = 512};
    CHECK_EQ(store_view(f.store, &c.view), ERR_OK);
    CHECK_EQ(search_new(&f.search, &c), ERR_OK);
    rig_init(&f.rig);
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &search_actor_ops, f.search);
    rig_add(&f.rig, &log_actor_ops, f.log);
    rig_wire_requests(&f.rig, ASKER, SEARCH, 16);
    rig_wire_requests(&f.rig, SEARCH, LOG, 16);
    rig_wire(&f.rig, ASKER, SEARCH, CLASS_EVENT, 16);
}

static void stop_search(void)
{
    search_free(f.search);
    rig_deinit(&f.rig);
}

static void fix_init_tails(uint64_t tail_bytes)
{
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    f.scratch.conf.store_tail_bytes = tail_bytes;
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(arena_init(&f.batch.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(log_new(&f.log, f.store, &f.scratch.conf), ERR_OK);
    put_channel(OPEN, TEAM, CHANNEL_PUBLIC, "open");
    put_channel(SECRET, TEAM, CHANNEL_PRIVATE, "secret");
    put_channel(FOREIGN, OTHER_TEAM, CHANNEL_PUBLIC, "foreign");
    put_member(OPEN, ADA);
    put_member(SECRET, ADA);
    write_rows();
    start_search();
}

static void fix_init(void)
{
    fix_init_tails(32 << 20);
}

static void fix_deinit(void)
{
    stop_search();
    log_free(f.log);
    store_close(f.store);
    arena_deinit(&f.batch.arena);
    arena_deinit(&f.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

/* Until it has nothing to do any more. */
static void settle(void)
{
    for (int i = 0; i < 30000; i++) {
        rig_turns(&f.rig, 1);
        usleep(index_is_busy(f.search) || f.search->committing ? 0 : 100);
        if (i > 50 && !index_is_busy(f.search) && !f.search->committing &&
            f.search->dirty.len == 0 && !f.search->edits && !f.search->behind)
            return;
    }
    CHECK(false);
}

static void tell(uint64_t cid, bool edited)
{
    struct cell *c = outbox_event(&f.rig.actors[ASKER].outbox, SEARCH, 0);
    CHECK(c != NULL);
    c->type = SEARCH_DIRTY;
    c->cid = cid;
    c->u.u[0] = edited;
    settle();
}

/* ---- asking ---- */

static struct search_messages ask_as(uint64_t uid, const char *query)
{
    struct query q;
    struct search_messages m = {
        .team = TEAM, .uid = uid, .page = 1, .count = 20, .arena = &f.arena};
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, sv_from(query), 1764072000, 0), ERR_OK);
    CHECK_EQ(match_compile(&m.match, &q, &f.arena), ERR_OK);
    m.has = q.has;
    m.is = q.is;
    return m;
}

static void run(struct search_messages *m)
{
    f.asker.len = 0;
    CHECK(rig_ask(&f.rig, ASKER, SEARCH, SEARCH_MESSAGES, 5, m));
    for (int i = 0; i < 100 && f.asker.len == 0; i++)
        rig_turns(&f.rig, 1);
    CHECK_EQ(f.asker.len, 1);
    CHECK_EQ(f.asker.cells[0].err, ERR_OK);
}

static void check_as(uint64_t uid, const char *query, const char *want)
{
    char got[512] = "";
    size_t len = 0;
    struct search_messages m = ask_as(uid, query);
    run(&m);
    for (uint32_t i = 0; i < m.len; i++)
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%llu", i == 0 ? "" : " ",
                                (unsigned long long)m.found[i].ts_us);
    if (strcmp(got, want) != 0)
        fprintf(stderr, "%s: %s, not %s\n", query, got, want);
    CHECK(strcmp(got, want) == 0);
    CHECK_EQ(m.total, m.len);
}

static void check(const char *query, const char *want)
{
    check_as(ADA, query, want);
}

TEST(what_is_durable_is_found)
{
    fix_init();
    put_message(OPEN, 10, ADA, "The quick brown fox");
    put_message(OPEN, 20, BOB, "a lazy dog, a quick one");
    put_message(SECRET, 30, ADA, "quick secret");
    put_message(FOREIGN, 40, ADA, "quick foreign");
    put_reply(OPEN, 10, 50, "Quick reply");
    write_rows();
    settle(); /* nobody has told: it compares after the start */
    check("quick", "50 30 20 10");
    check("QUICK brown", "10");
    check("\"quick brown\"", "10");
    check("quick -brown", "50 30 20");
    check("qui*", "50 30 20 10");
    check("qui", "");
    check("is:thread quick", "50");
    check_as(BOB, "quick", "50 20 10"); /* no member of the private channel */
    fix_deinit();
}

TEST(hints_bring_what_is_new)
{
    fix_init();
    settle();
    put_message(OPEN, 10, ADA, "one word");
    write_rows();
    check("word", "");
    tell(OPEN, false);
    check("word", "10");
    for (uint64_t i = 0; i < 40; i++) /* more words than a batch has */
        put_message(OPEN, 100 + i, ADA, "many different words of all kinds");
    put_reply(OPEN, 10, 200, "many in a reply");
    write_rows();
    tell(OPEN, false);
    struct search_messages m = ask_as(ADA, "many");
    m.page = 3;
    run(&m);
    CHECK_EQ(m.total, 41);
    CHECK_EQ(m.len, 1);
    CHECK_EQ(m.found[0].ts_us, 100);
    tell(ID_NONE, false); /* lost hints */
    check("reply", "200");
    fix_deinit();
}

/* By way of what memory has of the channel, and anew where it does not tell. */
TEST(what_comes_is_found_once_whatever_came_with_it)
{
    fix_init();
    put_message(OPEN, 10, ADA, "first fish");
    write_rows();
    tell(OPEN, false);
    put_message(OPEN, 20, ADA, "second fish");
    write_rows();
    put_message(OPEN, 30, ADA, "third fish");
    write_rows();
    tell(OPEN, false);
    check("fish", "30 20 10");
    tell(OPEN, false); /* nothing is new */
    put_reply(OPEN, 10, 40, "fish in a reply");
    put_message(OPEN, 50, ADA, "fish behind it");
    write_rows();
    tell(OPEN, false);
    check("fish", "50 40 30 20 10");
    for (uint64_t i = 0; i < 300; i++) /* more than a step reads, and than a batch has room for */
        put_message(OPEN, 100 + i, ADA, i % 100 == 0 ? "shoal of fish" : "weed");
    write_rows();
    tell(OPEN, false);
    check("fish", "300 200 100 50 40 30 20 10");
    struct search_messages m = ask_as(ADA, "weed");
    run(&m);
    CHECK_EQ(m.total, 297);
    fix_deinit();
}

/* Tails of a few rows: what memory had is in files, now and then in the middle of it. */
TEST(what_went_into_files_meanwhile_is_found_too)
{
    fix_init_tails(16384);
    for (uint64_t i = 0; i < 200; i++) {
        put_message(OPEN, 1000 + i, ADA, i % 50 == 0 ? "a rare fish" : "weed, nothing but weed");
        write_rows();
        if (i % 8 == 7)
            tell(OPEN, false);
    }
    check("fish", "1150 1100 1050 1000");
    struct search_messages m = ask_as(ADA, "weed");
    run(&m);
    CHECK_EQ(m.total, 196);
    fix_deinit();
}

TEST(edits_and_deletions_are_seen_through)
{
    struct key k;
    fix_init();
    put_message(OPEN, 10, ADA, "before");
    put_message(OPEN, 20, ADA, "doomed");
    write_rows();
    settle();
    key_msg(&k, OPEN, 10);
    put_row(&k, &(struct row_message){.ts_us = 10, .uid = ADA, .body = body_of("after")});
    key_msg(&k, OPEN, 20);
    put_row(&k, &(struct row_message){.ts_us = 20, .uid = ADA, .flags = MSG_DELETED});
    key_edited(&k, OPEN, 10);
    row_u64_encode(batch_put_begin(&f.batch, CF_FTS, &k), &k, 1);
    batch_put_end(&f.batch);
    write_rows();
    check("before", "");
    check("doomed", "");
    tell(OPEN, true);
    check("after", "10");
    fix_deinit();
}

TEST(it_goes_on_after_a_restart)
{
    fix_init();
    put_message(OPEN, 10, ADA, "first");
    write_rows();
    settle();
    stop_search();
    put_message(OPEN, 20, ADA, "second");
    write_rows();
    start_search();
    settle();
    check("first", "10");
    check("second", "20");
    f.asker.len = 0;
    CHECK(rig_ask(&f.rig, ASKER, SEARCH, SEARCH_REBUILD, 5, NULL));
    settle();
    CHECK_EQ(f.asker.len, 1);
    check("first", "10");
    check("second", "20");
    fix_deinit();
}

/* Its cost depends on what it finds, not on what there is. */
TEST(answers_come_from_postings)
{
    fix_init();
    for (uint64_t i = 0; i < 2000; i++)
        put_message(OPEN, 1000 + i, ADA, i % 500 == 7 ? "common rare" : "common text");
    write_rows();
    settle();
    struct search_messages m = ask_as(ADA, "rare");
    run(&m);
    CHECK_EQ(m.total, 4);
    CHECK(m.rows <= 8);
    m = ask_as(ADA, "absent");
    run(&m);
    CHECK_EQ(m.rows, 0);
    fix_deinit();
}

/* How much is read says as little as what is found. */
TEST(a_channel_out_of_sight_costs_what_a_missing_one_does)
{
    fix_init();
    for (uint64_t i = 0; i < 100; i++)
        put_message(SECRET, 1000 + i, ADA, "secret words");
    write_rows();
    settle();
    const uint64_t cids[] = {SECRET, FOREIGN, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(cids); i++) {
        struct search_messages m = ask_as(BOB, "words");
        m.in[m.in_len++] = cids[i];
        run(&m);
        CHECK_EQ(m.total + m.rows, 0);
        m = ask_as(BOB, "words");
        m.in[m.in_len++] = cids[i];
        m.in[m.in_len++] = OPEN;
        run(&m);
        CHECK_EQ(m.total, 0);
        CHECK(m.rows <= 100); /* those of the word */
    }
    struct search_messages m = ask_as(ADA, "words");
    m.in[m.in_len++] = SECRET;
    m.in[m.in_len++] = OPEN;
    run(&m);
    CHECK_EQ(m.total, 100);
    fix_deinit();
}

/* Rows of a word, each with a message that is not there. */
static void put_postings(const char *word, uint32_t n, uint64_t newest_us)
{
    for (uint32_t i = 0; i < n; i++) {
        struct key k;
        struct posting p = {newest_us - i, OPEN};
        key_posting(&k, TEAM, sv_from(word), p.ts_us);
        postings_encode(batch_put_begin(&f.batch, CF_FTS, &k), &k, &p, 1);
        batch_put_end(&f.batch);
        if (i % 1000 == 999)
            write_rows();
    }
    write_rows();
}

/* Wide words leave a narrow one its share of the rows, and it leads past what they are known to. */
TEST(a_narrow_word_is_read_whole_beside_wide_ones)
{
    fix_init();
    put_message(OPEN, 1000, ADA, "wide narrow");
    write_rows();
    settle();
    put_postings("wide", query_rows_max + 100, 1000000);
    struct search_messages m = ask_as(ADA, "wide narrow");
    run(&m);
    CHECK_EQ(m.total, 1);
    CHECK(!m.more);
    CHECK(m.rows <= query_rows_max);
    m = ask_as(ADA, "wide");
    run(&m);
    CHECK_EQ(m.total, 0);
    CHECK_EQ(m.rows, query_rows_max); /* alone it has all of them */
    CHECK(m.more);
    fix_deinit();
}

TEST(too_many_queries_are_refused)
{
    struct search_messages m[3];
    fix_init();
    settle();
    f.asker.len = 0;
    for (int i = 0; i < 3; i++) {
        m[i] = ask_as(ADA, "x");
        CHECK(rig_ask(&f.rig, ASKER, SEARCH, SEARCH_MESSAGES, (uint64_t)i, &m[i]));
    }
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 3);
    CHECK_EQ(f.asker.cells[0].err, ERR_SERVICE_UNAVAILABLE);
    CHECK_EQ(f.asker.cells[0].req, 2);
    fix_deinit();
}
