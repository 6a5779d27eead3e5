/* The log on a real RocksDB in a scratch directory: one commit per turn, order, refusals after a
 * failed write, recovery. */
#include "store/log.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/row.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

enum { batches_max = 8 };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct log *log;
    struct rig rig;
    struct recorder decider;
    actor_id self, to;
    struct arena_pool pool;
    struct batch batches[batches_max];
};

static void open_store(struct fix *f)
{
    CHECK_EQ(store_open(&f->store, &f->scratch.conf), ERR_OK);
    CHECK_EQ(log_new(&f->log, f->store, &f->scratch.conf), ERR_OK);
    rig_init(&f->rig);
    f->decider.len = 0;
    f->self = rig_add(&f->rig, &recorder_ops, &f->decider);
    f->to = rig_add(&f->rig, &log_actor_ops, f->log);
    rig_wire_requests(&f->rig, f->self, f->to, 64);
}

static void close_store(struct fix *f)
{
    rig_deinit(&f->rig);
    log_free(f->log);
    store_close(f->store);
}

static void fix_init(struct fix *f)
{
    memset(f, 0, sizeof *f);
    scratch_init(&f->scratch);
    arena_pool_init(&f->pool, 4096, 4, UINT64_MAX);
    for (int i = 0; i < batches_max; i++)
        CHECK_EQ(arena_init(&f->batches[i].arena, &f->pool, 8 << 20), ERR_OK);
    open_store(f);
}

static void fix_deinit(struct fix *f)
{
    close_store(f);
    for (int i = 0; i < batches_max; i++)
        arena_deinit(&f->batches[i].arena);
    arena_pool_deinit(&f->pool);
    scratch_deinit(&f->scratch);
}

static struct batch *batch(struct fix *f, int i, uint16_t part, uint64_t epoch)
{
    struct batch *b = &f->batches[i];
    struct arena a = b->arena;
    arena_reset(&a);
    *b = (struct batch){.arena = a, .part = part, .epoch = epoch, .requests = 1};
    return b;
}

static void put_u64(struct batch *b, uint32_t index, uint64_t v)
{
    struct key k;
    key_meta(&k, SV("test"), index);
    row_u64_encode(batch_put_begin(b, CF_META, &k), &k, v);
    batch_put_end(b);
}

/* 0: absent */
static uint64_t get_u64(struct fix *f, uint32_t index)
{
    struct view v;
    struct key k;
    struct str_view value;
    uint64_t n = 0;
    struct arena a;
    CHECK_EQ(arena_init(&a, &f->pool, 1 << 20), ERR_OK);
    CHECK_EQ(store_view(f->store, &v), ERR_OK);
    key_meta(&k, SV("test"), index);
    CHECK_EQ(view_get1(&v, CF_META, &k, &a, &value), ERR_OK);
    if (value.p != NULL)
        CHECK_EQ(row_u64_decode(&n, key_view(&k), value), ERR_OK);
    arena_deinit(&a);
    return n;
}

static void submit(struct fix *f, struct batch *b, uint64_t req)
{
    CHECK(!b->failed);
    CHECK(rig_ask(&f->rig, f->self, f->to, LOG_APPEND, req, b));
}

static uint64_t commits(const struct fix *f)
{
    return f->rig.loop.metrics.values[METRIC_LOG_BATCHES];
}

TEST(a_turn_is_one_commit_answered_in_order)
{
    static struct fix f;
    fix_init(&f);
    for (int i = 0; i < 5; i++) {
        struct batch *b = batch(&f, i, (uint16_t)(i % 2), 1);
        put_u64(b, (uint32_t)i, 100 + (uint64_t)i);
        put_u64(b, 9, (uint64_t)i + 1); /* the last one wins */
        submit(&f, b, 70 + (uint64_t)i);
    }
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.decider.len, 5);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(f.decider.cells[i].req, 70 + i);
        CHECK_EQ(f.decider.cells[i].err, ERR_OK);
        CHECK(f.decider.cells[i].u.p == &f.batches[i]);
        CHECK_EQ(get_u64(&f, i), 100 + i);
    }
    CHECK_EQ(get_u64(&f, 9), 5);
    CHECK_EQ(commits(&f), 1);
    CHECK_EQ(f.rig.loop.metrics.values[METRIC_LOG_ROWS], 10);
    CHECK_EQ(f.rig.actors[f.self].outbox.credits[f.to], 63);
    /* A batch without rows is answered and costs no sync. */
    submit(&f, batch(&f, 0, 0, 1), 1);
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.decider.len, 6);
    CHECK_EQ(commits(&f), 1);
    fix_deinit(&f);
}

TEST(a_commit_is_bounded)
{
    static struct fix f;
    fix_init(&f);
    close_store(&f);
    f.scratch.conf.store_batch_requests_max = 2;
    open_store(&f);
    for (int i = 0; i < 5; i++) {
        struct batch *b = batch(&f, i, 0, 1);
        put_u64(b, (uint32_t)i, 1);
        submit(&f, b, (uint64_t)i);
    }
    /* One commit a turn: whom the first one made durable does not wait for the others. */
    rig_turns(&f.rig, 2);
    CHECK_EQ(commits(&f), 1);
    CHECK(log_actor_ops.busy(f.log));
    rig_turns(&f.rig, 1);
    CHECK_EQ(f.decider.len, 2);
    CHECK_EQ(commits(&f), 2);
    submit(&f, batch(&f, 5, 0, 1), 5); /* what comes meanwhile queues behind */
    rig_turns(&f.rig, 4);
    CHECK_EQ(f.decider.len, 6);
    for (uint32_t i = 0; i < 6; i++)
        CHECK_EQ(f.decider.cells[i].req, i);
    CHECK_EQ(commits(&f), 3);
    CHECK(!log_actor_ops.busy(f.log));
    fix_deinit(&f);
}

TEST(rows_survive_and_deletes_delete)
{
    static struct fix f;
    struct key k;
    fix_init(&f);
    struct batch *b = batch(&f, 0, 0, 1);
    put_u64(b, 1, 11);
    put_u64(b, 2, 22);
    submit(&f, b, 0);
    rig_turns(&f.rig, 3);
    b = batch(&f, 0, 0, 1);
    key_meta(&k, SV("test"), 1);
    batch_delete(b, CF_META, &k);
    submit(&f, b, 0);
    rig_turns(&f.rig, 3);
    close_store(&f);
    open_store(&f);
    CHECK_EQ(get_u64(&f, 1), 0);
    CHECK_EQ(get_u64(&f, 2), 22);
    fix_deinit(&f);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit r;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* The kernel refuses writes past a file size: nothing in flight is acknowledged, what was decided
 * on top of it is refused by its epoch, and the log goes on by itself once there is room. */
TEST(a_failed_write_refuses_its_epoch_and_resumes)
{
    static struct fix f;
    fix_init(&f);
    signal(SIGXFSZ, SIG_IGN);
    struct batch *b = batch(&f, 0, 3, 1);
    put_u64(b, 1, 1);
    submit(&f, b, 0);
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.decider.cells[0].err, ERR_OK);
    limit_files(65536);
    b = batch(&f, 0, 3, 1);
    struct key k;
    static char large[1 << 17];
    key_meta(&k, SV("large"), 0);
    put_u64(b, 2, 2);
    batch_put(b, CF_META, &k, (struct str_view){large, sizeof large});
    submit(&f, b, 1);
    b = batch(&f, 1, 4, 7); /* another part, in the same commit */
    put_u64(b, 3, 3);
    submit(&f, b, 2);
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.decider.len, 3);
    CHECK_EQ(f.decider.cells[1].err, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(f.decider.cells[2].err, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(get_u64(&f, 1), 1); /* reads go on */
    CHECK_EQ(get_u64(&f, 2), 0);
    CHECK_EQ(get_u64(&f, 3), 0);
    limit_files(RLIM_INFINITY);
    uint64_t tries = 0;
    do { /* a resume is tried once a second */
        f.decider.len = 0;
        b = batch(&f, 2, 5, 1 + tries); /* a refusal means: reload, next epoch */
        put_u64(b, 5, 5);
        submit(&f, b, 3);
        rig_turns(&f.rig, 3);
        CHECK_EQ(f.decider.len, 1);
        usleep(100000);
    } while (f.decider.cells[0].err != ERR_OK && ++tries < 100);
    CHECK_EQ(f.decider.cells[0].err, ERR_OK);
    f.decider.len = 0;
    static const struct {
        uint16_t part;
        uint64_t epoch;
        enum err err;
    } later[] = {{3, 1, ERR_STORAGE_UNAVAILABLE},
                 {3, 2, ERR_OK},
                 {4, 7, ERR_STORAGE_UNAVAILABLE},
                 {4, 8, ERR_OK},
                 {4, 6, ERR_STORAGE_UNAVAILABLE}};
    for (uint32_t i = 0; i < ARRAY_LEN(later); i++) {
        b = batch(&f, 3 + (int)i, later[i].part, later[i].epoch);
        put_u64(b, 10 + i, 1);
        submit(&f, b, i);
    }
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.decider.len, ARRAY_LEN(later));
    close_store(&f);
    open_store(&f);
    for (uint32_t i = 0; i < ARRAY_LEN(later); i++)
        CHECK_EQ(get_u64(&f, 10 + i), later[i].err == ERR_OK);
    CHECK_EQ(get_u64(&f, 1), 1);
    CHECK_EQ(get_u64(&f, 5), 5);
    fix_deinit(&f);
}

TEST(too_little_space_is_told_up_front)
{
    static struct fix f;
    fix_init(&f);
    close_store(&f);
    f.scratch.conf.store_disk_free_min_percent = 101; /* never so much is free */
    open_store(&f);
    struct batch *b = batch(&f, 0, 0, 1);
    put_u64(b, 1, 1);
    submit(&f, b, 0);
    rig_turns(&f.rig, 3);
    CHECK(log_disk_full(f.log));
    CHECK_EQ(f.decider.cells[0].err, ERR_OK); /* what was decided before is still written */
    close_store(&f);
    f.scratch.conf.store_disk_free_min_percent = 0;
    open_store(&f);
    b = batch(&f, 0, 0, 1);
    put_u64(b, 1, 1);
    submit(&f, b, 0);
    rig_turns(&f.rig, 3);
    CHECK(!log_disk_full(f.log));
    fix_deinit(&f);
}

TEST(a_second_process_and_a_newer_schema_are_refused)
{
    static struct fix f;
    struct store *second;
    struct key k;
    fix_init(&f);
    log_set_level(LOG_ERROR + 1);
    CHECK_EQ(store_open(&second, &f.scratch.conf), ERR_IO);
    struct batch *b = batch(&f, 0, 0, 1);
    key_meta(&k, SV("schema"), 0);
    row_u64_encode(batch_put_begin(b, CF_META, &k), &k, 5);
    batch_put_end(b);
    CHECK_EQ(store_write_sync(f.store, b), ERR_OK);
    CHECK_EQ(store_settle(f.store), ERR_OK); /* where a newer version would have it: in no record */
    close_store(&f);
    CHECK_EQ(store_open(&second, &f.scratch.conf), ERR_BAD_CONF);
    f.store = NULL;
    f.log = NULL;
    rig_init(&f.rig);
    fix_deinit(&f);
}

/* The write-ahead log that was written last. */
static void wal_path(const struct fix *f, char *out, size_t n)
{
    char pattern[300];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/store/*.log", f->scratch.conf.server_data);
    CHECK_EQ(glob(pattern, 0, NULL, &g), 0);
    snprintf(out, n, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
}

/* A crash tears the tail: what was acknowledged before it stays. Damage in the middle is not a
 * crash: the store refuses rather than forget what follows. */
TEST(a_torn_tail_is_dropped_and_a_damaged_middle_refused)
{
    static struct fix f;
    char path[400];
    struct stat st;
    fix_init(&f);
    for (uint32_t i = 1; i <= 3; i++) {
        struct batch *b = batch(&f, 0, 0, 1);
        put_u64(b, i, i);
        submit(&f, b, 0);
        rig_turns(&f.rig, 3);
    }
    close_store(&f);
    wal_path(&f, path, sizeof path);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(truncate(path, st.st_size - 1), 0);
    open_store(&f);
    CHECK_EQ(get_u64(&f, 1), 1);
    CHECK_EQ(get_u64(&f, 2), 2);
    CHECK_EQ(get_u64(&f, 3), 0);
    for (uint32_t i = 1; i <= 3; i++) {
        struct batch *b = batch(&f, 0, 0, 1);
        put_u64(b, i, 10 + i);
        submit(&f, b, 0);
        rig_turns(&f.rig, 3);
    }
    close_store(&f);
    wal_path(&f, path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;
    CHECK_EQ(pread(fd, &byte, 1, 30), 1);
    byte ^= 4;
    CHECK_EQ(pwrite(fd, &byte, 1, 30), 1);
    close(fd);
    log_set_level(LOG_ERROR + 1);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_IO);
    f.store = NULL;
    f.log = NULL;
    rig_init(&f.rig);
    fix_deinit(&f);
}

struct scanned {
    uint64_t ts[64];
    uint32_t len, stop;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct scanned *s = ctx;
    (void)value;
    s->ts[s->len++] = key_msg_ts(key);
    return s->len != s->stop;
}

TEST(views_read_points_and_ranges)
{
    static struct fix f;
    struct view v;
    struct arena a;
    fix_init(&f);
    struct batch *b = batch(&f, 0, 0, 1);
    for (uint64_t cid = 1; cid <= 3; cid++) {
        for (uint64_t ts = 1; ts <= 20; ts++) {
            struct key k;
            key_msg(&k, cid, ts * 10);
            batch_put(b, CF_MSG, &k, SV("row"));
        }
    }
    CHECK_EQ(store_write_sync(f.store, b), ERR_OK);
    CHECK_EQ(store_view(f.store, &v), ERR_OK);
    CHECK_EQ(arena_init(&a, &f.pool, 8 << 20), ERR_OK);
    struct scanned s = {0};
    struct key from, to;
    key_msg_prefix(&from, 2);
    CHECK_EQ(view_scan_prefix(&v, CF_MSG, &from, on_row, &s), ERR_OK);
    CHECK_EQ(s.len, 20);
    for (uint32_t i = 0; i < 20; i++)
        CHECK_EQ(s.ts[i], 200 - i * 10); /* newest first */
    s = (struct scanned){.stop = 3};
    key_msg(&from, 2, 155); /* 150 .. 101 */
    key_msg(&to, 2, 100);
    CHECK_EQ(view_scan(&v, CF_MSG, key_view(&from), key_view(&to), on_row, &s), ERR_OK);
    CHECK_EQ(s.len, 3);
    CHECK_EQ(s.ts[0], 150);
    s = (struct scanned){0};
    CHECK_EQ(view_scan(&v, CF_MSG, key_view(&from), key_view(&to), on_row, &s), ERR_OK);
    CHECK_EQ(s.len, 5);
    CHECK_EQ(s.ts[4], 110);
    /* More points than one read of RocksDB takes, absent ones between. */
    enum { points = 600 };
    static struct key keys[points];
    static struct view_get gets[points];
    for (uint32_t i = 0; i < points; i++) {
        key_msg(&keys[i], 1 + i % 4, 10 * (i % 25));
        gets[i] = (struct view_get){.cf = CF_MSG, .key = key_view(&keys[i])};
    }
    CHECK_EQ(view_multi_get(&v, gets, points, &a), ERR_OK);
    for (uint32_t i = 0; i < points; i++) {
        bool there = i % 4 != 3 && i % 25 >= 1 && i % 25 <= 20;
        CHECK_EQ(gets[i].value.p != NULL, there);
        if (there)
            CHECK_SV(gets[i].value, "row");
    }
    CHECK_EQ(view_multi_get(&v, gets, 0, &a), ERR_OK);
    arena_deinit(&a);
    fix_deinit(&f);
}
