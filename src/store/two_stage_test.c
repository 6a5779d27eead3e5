/* The store's two stages as one: views against a plain table in memory, through freezes, ingests
 * and reopenings at random times; what a crash between any two steps of an ingest leaves; readers
 * beside writer and ingest. The linker puts this file's hooks around two calls of RocksDB
 * (CMakeLists.txt).
 */
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rand.h"
#include "store/internal.h"
#include "store/record.h"
#include "store/row.h"
#include "test.h"
#include "scratch.h"

enum { keys_of_family = 120, keys_max = CF_COUNT * keys_of_family, value_bytes_max = 40000 };

/* ---- the hooks ---- */

enum step { BEFORE_INGEST, AFTER_INGEST, AFTER_MARK, steps };

static struct hook {
    void (*fn)(struct hook *h, enum step step); /* on ingest's thread */
    struct scratch *scratch;
    char copies[steps][240];
    uint32_t fail;     /* so many ingests fail, atomic */
    uint32_t pause_us; /* of a reader, atomic */
} hook;

static void step(enum step s)
{
    if (hook.fn != NULL)
        hook.fn(&hook, s);
}

void __real_store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *cfs,
                              const char *const *paths, size_t n, char **error);
void __wrap_store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *cfs,
                              const char *const *paths, size_t n, char **error);
void __wrap_store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *cfs,
                              const char *const *paths, size_t n, char **error)
{
    step(BEFORE_INGEST);
    uint32_t fail = __atomic_load_n(&hook.fail, __ATOMIC_ACQUIRE);
    if (fail > 0) {
        __atomic_store_n(&hook.fail, fail - 1, __ATOMIC_RELEASE);
        *error = strdup("IO error: as the test wants it");
        return;
    }
    __real_store_shim_ingest(db, cfs, paths, n, error);
    step(AFTER_INGEST);
}

void __real_rocksdb_write(rocksdb_t *db, const rocksdb_writeoptions_t *o, rocksdb_writebatch_t *b,
                          char **error);
void __wrap_rocksdb_write(rocksdb_t *db, const rocksdb_writeoptions_t *o, rocksdb_writebatch_t *b,
                          char **error);
void __wrap_rocksdb_write(rocksdb_t *db, const rocksdb_writeoptions_t *o, rocksdb_writebatch_t *b,
                          char **error)
{
    char name[16] = "";
    __real_rocksdb_write(db, o, b, error);
    if (pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strcmp(name, "ingest") == 0)
        step(AFTER_MARK);
}

/* A reader that is held up between its look at the tails and its iterator. */
rocksdb_iterator_t *__real_rocksdb_create_iterator_cf(rocksdb_t *db, const rocksdb_readoptions_t *o,
                                                      rocksdb_column_family_handle_t *cf);
rocksdb_iterator_t *__wrap_rocksdb_create_iterator_cf(rocksdb_t *db, const rocksdb_readoptions_t *o,
                                                      rocksdb_column_family_handle_t *cf);
rocksdb_iterator_t *__wrap_rocksdb_create_iterator_cf(rocksdb_t *db, const rocksdb_readoptions_t *o,
                                                      rocksdb_column_family_handle_t *cf)
{
    uint32_t pause_us = __atomic_load_n(&hook.pause_us, __ATOMIC_RELAXED);
    if (pause_us > 0)
        usleep(pause_us);
    return __real_rocksdb_create_iterator_cf(db, o, cf);
}

/* ---- a store, and what should be in it ---- */

struct fix {
    struct scratch scratch;
    struct store *store;
    struct view view;
    struct arena_pool pool;
    struct arena answers;
    struct batch b;
    struct rand_src rand;
    struct key keys[keys_max];   /* in order, family by family */
    uint32_t versions[keys_max]; /* 0: absent */
    uint32_t version;            /* the last one given */
    uint64_t ingests_before;     /* the store was opened anew */
};

/* The bytes of a version, so that the table need not hold them. */
static struct str_view value_of(uint32_t version)
{
    static char bytes[value_bytes_max];
    size_t len = version % 251 == 0 ? value_bytes_max : version * 7919 % 180;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(version >> i % 4 * 8 ^ i);
    return (struct str_view){bytes, len};
}

static int by_bytes(const void *a, const void *b)
{
    return sv_cmp(key_view(a), key_view(b));
}

/* Many of one channel or user, some alone, some no longer than a prefix. */
static void make_keys(struct fix *f)
{
    for (uint32_t cf = 0; cf < CF_COUNT; cf++) {
        for (uint32_t i = 0; i < keys_of_family; i++) {
            struct key *k = &f->keys[cf * keys_of_family + i];
            key_msg(k, 1 + i % 12 * (i % 3), i);
            if (i % 10 == 9) {
                k->len = (uint16_t)(i / 10 + 1);
                k->b[0] = (uint8_t)i;
            }
        }
        qsort(&f->keys[cf * keys_of_family], keys_of_family, sizeof f->keys[0], by_bytes);
    }
}

static void open_store(struct fix *f)
{
    CHECK_EQ(store_open(&f->store, &f->scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f->store, &f->view), ERR_OK);
}

static void fix_init(struct fix *f, uint64_t seed)
{
    memset(f, 0, sizeof *f);
    scratch_init(&f->scratch);
    f->scratch.conf.store_tail_bytes = 16384;
    f->scratch.conf.store_batch_bytes_max = 4096;
    arena_pool_init(&f->pool, 4096, 4, UINT64_MAX);
    CHECK_EQ(arena_init(&f->b.arena, &f->pool, UINT64_MAX), ERR_OK);
    CHECK_EQ(arena_init(&f->answers, &f->pool, UINT64_MAX), ERR_OK);
    rand_init_seeded(&f->rand, seed);
    make_keys(f);
    open_store(f);
}

static void fix_deinit(struct fix *f)
{
    store_close(f->store);
    arena_deinit(&f->b.arena);
    arena_deinit(&f->answers);
    arena_pool_deinit(&f->pool);
    scratch_deinit(&f->scratch);
}

static enum cf family_of(uint32_t at)
{
    return (enum cf)(at / keys_of_family);
}

static void change(struct fix *f, uint32_t at)
{
    bool delete = rand_below(&f->rand, 4) == 0;
    f->versions[at] = delete ? 0 : ++f->version;
    if (delete)
        batch_delete(&f->b, family_of(at), &f->keys[at]);
    else
        batch_put(&f->b, family_of(at), &f->keys[at], value_of(f->version));
}

static void begin(struct fix *f)
{
    struct arena a = f->b.arena;
    arena_reset(&a);
    f->b = (struct batch){.arena = a};
}

static void commit(struct fix *f)
{
    begin(f);
    uint64_t n = 1 + rand_below(&f->rand, 12);
    for (uint64_t i = 0; i < n; i++)
        change(f, (uint32_t)rand_below(&f->rand, keys_max));
    CHECK(!f->b.failed);
    CHECK_EQ(store_write_sync(f->store, &f->b), ERR_OK);
}

static void check_points(struct fix *f, uint32_t n)
{
    static struct view_get gets[keys_max];
    static uint32_t at[keys_max];
    arena_reset(&f->answers);
    for (uint32_t i = 0; i < n; i++) { /* some calls in order, with runs of one family */
        at[i] = n > 300 ? i : (uint32_t)rand_below(&f->rand, keys_max);
        gets[i] = (struct view_get){.cf = family_of(at[i]), .key = key_view(&f->keys[at[i]])};
    }
    CHECK_EQ(view_multi_get(&f->view, gets, n, &f->answers), ERR_OK);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t version = f->versions[at[i]];
        CHECK_EQ(gets[i].value.p != NULL, version != 0);
        if (version != 0)
            CHECK(sv_eq(gets[i].value, value_of(version)));
    }
}

struct scan {
    struct fix *f;
    uint32_t at, end, left; /* next row that may come; rows until a stop */
};

static void skip_absent(struct scan *s)
{
    while (s->at < s->end && s->f->versions[s->at] == 0)
        s->at++;
}

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct scan *s = ctx;
    if (sv_starts(key, SV("schema"))) /* the store's own, in meta */
        return true;
    skip_absent(s);
    CHECK(s->at < s->end);
    CHECK(sv_eq(key, key_view(&s->f->keys[s->at])));
    CHECK(sv_eq(value, value_of(s->f->versions[s->at])));
    if (s->at % 16 == 0) /* a read within a read */
        check_points(s->f, 3);
    s->at++;
    return --s->left > 0;
}

static void check_range(struct fix *f, uint32_t from, uint32_t to, uint32_t rows_max)
{
    static const struct key last = {.len = 12, .b = {255, 255, 255, 255, 255, 255, 255, 255, 255}};
    enum cf cf = family_of(from);
    bool to_end = to == (uint32_t)(cf + 1) * keys_of_family;
    struct scan s = {.f = f, .at = from, .end = to, .left = rows_max};
    CHECK_EQ(view_scan(&f->view, cf, key_view(&f->keys[from]),
                       key_view(to_end ? &last : &f->keys[to]), on_row, &s),
             ERR_OK);
    skip_absent(&s);
    CHECK(s.at == s.end || s.left == 0);
}

static void check_some(struct fix *f)
{
    uint32_t first = (uint32_t)rand_below(&f->rand, CF_COUNT) * keys_of_family;
    uint32_t from = (uint32_t)rand_below(&f->rand, keys_of_family);
    uint32_t len = (uint32_t)rand_below(&f->rand, keys_of_family - from + 1);
    check_range(f, first + from, first + from + len, 1 + (uint32_t)rand_below(&f->rand, 40));
    check_points(f, 1 + (uint32_t)rand_below(&f->rand, 40));
}

static void check_all(struct fix *f)
{
    check_points(f, keys_max);
    for (uint32_t cf = 0; cf < CF_COUNT; cf++)
        check_range(f, cf * keys_of_family, (cf + 1) * keys_of_family, UINT32_MAX);
}

static uint64_t ingests(const struct fix *f)
{
    return f->ingests_before + __atomic_load_n(&f->store->ingest.runs, __ATOMIC_RELAXED);
}

static void reopen(struct fix *f)
{
    f->ingests_before = ingests(f);
    store_close(f->store);
    open_store(f);
    check_all(f);
}

/* ---- tests ---- */

TEST(views_are_as_a_plain_table)
{
    enum { ops = 4000 };
    static struct fix f;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        fix_init(&f, seed);
        for (int i = 0; i < ops; i++) {
            uint64_t what = rand_below(&f.rand, 1000);
            if (what < 300)
                commit(&f);
            else if (what < 303)
                reopen(&f);
            else if (what < 310)
                CHECK_EQ(store_settle(f.store), ERR_OK);
            else if (what < 330)
                CHECK_EQ(store_freeze(f.store), ERR_OK);
            else
                check_some(&f);
        }
        check_all(&f);
        CHECK(ingests(&f) > 0);
        CHECK_EQ(store_settle(f.store), ERR_OK);
        CHECK_EQ(store_tail_bytes(f.store) < 16384, true);
        check_all(&f);
        reopen(&f);
        fix_deinit(&f);
    }
}

/* The tables that large commits have made would fill a small tail; later ones get one of their own
 * size again. */
TEST(large_commits_do_not_make_each_later_one_a_file)
{
    enum { large = 400, larges = 3, small = 100 };
    static struct fix f;
    uint64_t ts = 0;
    fix_init(&f, 3);
    f.scratch.conf.store_batch_bytes_max = 65536; /* room for them in an ordinary tail */
    reopen(&f);
    for (uint32_t i = 0; i < larges + small; i++) {
        struct key k;
        begin(&f);
        for (uint32_t rows = i < larges ? large : 1; rows > 0; rows--) {
            key_msg(&k, 1, ++ts);
            batch_put(&f.b, CF_MSG, &k, SV("x"));
        }
        CHECK_EQ(store_write_sync(f.store, &f.b), ERR_OK);
    }
    CHECK(ingests(&f) < larges + small / 4);
    fix_deinit(&f);
}

/* What /metrics says: the log of commits grows first, then there are files of level 0. */
TEST(a_store_tells_what_it_owes)
{
    static struct fix f;
    struct store_debt empty, written, settled;
    fix_init(&f, 5);
    CHECK(store_debt(f.store, &empty));
    for (int i = 0; i < 20; i++)
        commit(&f);
    CHECK(store_debt(f.store, &written));
    CHECK(written.wal_bytes > empty.wal_bytes);
    CHECK(written.memtable_bytes > 0 && written.memtable_bytes >= empty.memtable_bytes);
    CHECK_EQ(written.file_bytes, empty.file_bytes);
    for (int i = 0; i < 40; i++) { /* a file that overlaps none goes to the last level */
        commit(&f);
        if (i % 20 == 0)
            CHECK_EQ(store_settle(f.store), ERR_OK);
    }
    CHECK_EQ(store_settle(f.store), ERR_OK);
    CHECK(store_debt(f.store, &settled));
    CHECK(settled.file_bytes > 0 && settled.level0_files > settled.level0_files_most);
    CHECK(settled.level0_files_most > 0);
    /* It waits for nobody: the answer is that there is none. */
    pthread_rwlock_wrlock(&f.store->opened);
    CHECK(!store_debt(f.store, &settled));
    pthread_rwlock_unlock(&f.store->opened);
    fix_deinit(&f);
}

static struct scratch *copy_from;
static char copy_to[300];

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    static char bytes[1 << 16];
    char to[700];
    size_t n;
    (void)st, (void)ftw;
    snprintf(to, sizeof to, "%s%s", copy_to, path + strlen(copy_from->conf.server_data));
    if (type == FTW_D)
        return mkdir(to, 0700);
    FILE *in = fopen(path, "re"), *out = fopen(to, "we");
    if (in == NULL || out == NULL)
        return -1;
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        (void)!fwrite(bytes, 1, n, out);
    return fclose(in) | fclose(out);
}

/* What a process that dies at this step leaves behind. */
static void copy_at(struct hook *h, enum step s)
{
    if (h->copies[s][0] != '\0')
        return; /* a later ingest */
    snprintf(h->copies[s], sizeof h->copies[s], "%.200s-%d", h->scratch->conf.server_data, (int)s);
    copy_from = h->scratch;
    snprintf(copy_to, sizeof copy_to, "%s", h->copies[s]);
    if (nftw(h->scratch->conf.server_data, copy_one, 16, FTW_PHYS) != 0)
        abort();
}

static void check_copy(struct fix *f, enum step s, bool cut_a_file)
{
    struct fix after = *f;
    char path[400];
    snprintf(after.scratch.conf.server_data, sizeof after.scratch.conf.server_data, "%s",
             hook.copies[s]);
    snprintf(path, sizeof path, "%s/store/ingest-msg.sst", hook.copies[s]);
    CHECK_EQ(access(path, F_OK) == 0, s == BEFORE_INGEST);
    if (cut_a_file)
        CHECK_EQ(truncate(path, 100), 0);
    open_store(&after);
    CHECK_EQ(after.store->committed, f->store->committed);
    check_all(&after);
    commit(&after); /* what follows is not disturbed, neither what was deleted by it */
    CHECK_EQ(store_settle(after.store), ERR_OK);
    check_all(&after);
    reopen(&after);
    CHECK(access(path, F_OK) != 0);
    store_close(after.store);
    f->b.arena = after.b.arena;
    f->answers = after.answers;
    f->pool = after.pool;
    scratch_deinit(&after.scratch);
}

TEST(a_crash_at_any_step_of_an_ingest_loses_nothing)
{
    static struct fix f;
    for (int round = 0; round < 2; round++) {
        fix_init(&f, 7 + (uint64_t)round);
        f.scratch.conf.store_tail_bytes = 1 << 20;
        reopen(&f);
        for (int i = 0; i < 60; i++)
            commit(&f);
        CHECK_EQ(store_settle(f.store), ERR_OK); /* something to be written over, and deleted */
        for (int i = 0; i < 60; i++)
            commit(&f);
        hook = (struct hook){.fn = copy_at, .scratch = &f.scratch};
        CHECK_EQ(store_settle(f.store), ERR_OK);
        hook.fn = NULL;
        for (enum step s = 0; s < steps; s++)
            check_copy(&f, s, round == 1 && s == BEFORE_INGEST);
        check_all(&f);
        fix_deinit(&f);
    }
}

/* Stays where it was frozen, read from there, until the store has been opened again. */
TEST(an_ingest_that_fails_stops_writes_and_is_tried_again)
{
    static struct fix f;
    fix_init(&f, 11);
    log_set_level(LOG_ERROR + 1);
    for (int i = 0; i < 5; i++)
        commit(&f);
    hook = (struct hook){.fail = 1};
    CHECK_EQ(store_settle(f.store), ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(f.store->background_failed, 1);
    check_all(&f);
    CHECK_EQ(store_reopen(f.store), ERR_OK);
    CHECK_EQ(f.store->background_failed, 0);
    check_all(&f);
    commit(&f);
    CHECK_EQ(store_settle(f.store), ERR_OK);
    check_all(&f);
    reopen(&f);
    fix_deinit(&f);
}

static void check_refused(struct fix *f, struct str_view key, struct str_view value)
{
    char *error = NULL;
    rocksdb_put_cf(f->store->db, f->store->write_sync, f->store->log_cf, key.p, key.len, value.p,
                   value.len, &error);
    CHECK(error == NULL);
    store_close(f->store);
    CHECK_EQ(store_open(&f->store, &f->scratch.conf), ERR_CORRUPT);
}

static struct str_view record_of(struct fix *f, uint64_t number, struct key *k)
{
    static uint8_t record[4096];
    uint32_t rows;
    begin(f);
    batch_put(&f->b, CF_MSG, &f->keys[0], SV("value"));
    size_t bytes = record_bytes(&f->b, &rows);
    record_write(record, number, &f->b);
    log_key(k, number);
    return (struct str_view){(char *)record, bytes};
}

TEST(records_that_are_damaged_or_missing_refuse_to_start)
{
    static struct fix f;
    struct key k;
    for (int damage = 0; damage < 4; damage++) {
        fix_init(&f, 13);
        log_set_level(LOG_ERROR + 1);
        for (int i = 0; i < 3; i++)
            commit(&f);
        struct str_view r = record_of(&f, damage == 0 ? 5 : 4, &k); /* 4 would be missing */
        if (damage == 1)
            ((char *)(uintptr_t)r.p)[r.len / 2] ^= 1;
        if (damage == 2)
            r.len--;
        if (damage == 3)
            log_key(&k, 3); /* another commit's record */
        check_refused(&f, key_view(&k), r);
        f.store = NULL;
        fix_deinit(&f);
    }
    fix_init(&f, 13); /* and a whole one is taken */
    commit(&f);
    struct str_view r = record_of(&f, 2, &k);
    char *error = NULL;
    rocksdb_put_cf(f.store->db, f.store->write_sync, f.store->log_cf, (char *)k.b, k.len, r.p,
                   r.len, &error);
    CHECK(error == NULL);
    store_close(f.store);
    open_store(&f);
    CHECK_EQ(f.store->committed, 2);
    fix_deinit(&f);
}

/* Schema 1 kept each row under its own key from the start, and knew no log. */
TEST(a_store_of_schema_1_opens)
{
    static struct fix f;
    struct key k;
    char bytes[32], *error = NULL;
    struct buf v;
    fix_init(&f, 17);
    for (int i = 0; i < 200; i++)
        change(&f, (uint32_t)rand_below(&f.rand, keys_max));
    for (const struct row *r = f.b.first; r != NULL; r = r->next) {
        if (r->op == ROW_PUT)
            rocksdb_put_cf(f.store->db, f.store->write_sync, f.store->cfs[r->cf], r->key.p,
                           r->key.len, r->value.p, r->value.len, &error);
        else
            rocksdb_delete_cf(f.store->db, f.store->write_sync, f.store->cfs[r->cf], r->key.p,
                              r->key.len, &error);
        CHECK(error == NULL);
    }
    key_meta(&k, SV("schema"), 0);
    buf_init_fixed(&v, bytes, sizeof bytes);
    row_u64_encode(&v, &k, 1);
    rocksdb_put_cf(f.store->db, f.store->write_sync, f.store->cfs[CF_META], (char *)k.b, k.len, v.p,
                   v.len, &error);
    rocksdb_drop_column_family(f.store->db, f.store->log_cf, &error);
    CHECK(error == NULL);
    reopen(&f);
    struct str_view schema;
    uint64_t version;
    CHECK_EQ(view_get1(&f.view, CF_META, &k, &f.answers, &schema), ERR_OK);
    CHECK_EQ(row_u64_decode(&version, key_view(&k), schema), ERR_OK);
    CHECK_EQ(version, 4);
    for (int i = 0; i < 50; i++)
        commit(&f);
    check_all(&f);
    CHECK_EQ(store_settle(f.store), ERR_OK);
    reopen(&f);
    fix_deinit(&f);
}

/* ---- readers beside the writer ---- */

/* Money is moved between accounts, two rows a commit: whoever reads all accounts sees one sum, and
 * never a sum of two moments. */
enum { accounts = 40, money = 1000, transfers = 2500 };

struct bank {
    struct fix *f;
    enum cf cf;
    bool by_scan;
    uint32_t stop;
    uint64_t reads;
    struct view view;
};

static void account_key(struct key *k, uint64_t i)
{
    key_msg(k, 1 + i % 5, i + 1);
}

static bool add_account(void *ctx, struct str_view key, struct str_view value)
{
    uint64_t *sum = ctx, v;
    (void)key;
    memcpy(&v, value.p, sizeof v);
    *sum += v;
    return true;
}

static uint64_t sum_of(struct bank *b, struct arena *a)
{
    uint64_t sum = 0;
    struct key keys[accounts];
    struct view_get gets[accounts];
    static const struct key last = {.len = 3, .b = {255, 255, 255}};
    if (b->by_scan)
        return view_scan(&b->view, b->cf, SV("\0"), key_view(&last), add_account, &sum) == ERR_OK
                   ? sum
                   : 0;
    arena_reset(a);
    for (uint64_t i = 0; i < accounts; i++) {
        account_key(&keys[i], i);
        gets[i] = (struct view_get){.cf = b->cf, .key = key_view(&keys[i])};
    }
    if (view_multi_get(&b->view, gets, accounts, a) != ERR_OK)
        return 0;
    for (uint64_t i = 0; i < accounts; i++)
        add_account(&sum, gets[i].key, gets[i].value);
    return sum;
}

static void *read_bank(void *arg)
{
    struct bank *b = arg;
    struct arena_pool pool;
    struct arena a;
    arena_pool_init(&pool, 65536, 1, UINT64_MAX);
    if (arena_init(&a, &pool, UINT64_MAX) != ERR_OK)
        abort();
    while (__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE) == 0) {
        if (sum_of(b, &a) != accounts * money)
            abort();
        b->reads++;
    }
    arena_deinit(&a);
    arena_pool_deinit(&pool);
    return NULL;
}

static void set_account(struct fix *f, uint64_t balances[accounts], uint64_t i, uint64_t v)
{
    struct key k;
    balances[i] = v;
    account_key(&k, i);
    batch_put(&f->b, CF_MSG, &k, (struct str_view){(char *)&v, sizeof v});
    batch_put(&f->b, CF_IDX, &k, (struct str_view){(char *)&v, sizeof v});
}

TEST(readers_see_one_moment_while_tails_come_and_go)
{
    static struct fix f;
    uint64_t balances[accounts];
    struct bank banks[4] = {{.cf = CF_MSG, .by_scan = true},
                            {.cf = CF_IDX, .by_scan = true},
                            {.cf = CF_MSG},
                            {.cf = CF_IDX}};
    pthread_t readers[ARRAY_LEN(banks)];
    hook = (struct hook){0};
    fix_init(&f, 19);
    begin(&f);
    for (uint64_t i = 0; i < accounts; i++)
        set_account(&f, balances, i, money);
    CHECK_EQ(store_write_sync(f.store, &f.b), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(banks); i++) {
        CHECK_EQ(store_view(f.store, &banks[i].view), ERR_OK);
        CHECK_EQ(pthread_create(&readers[i], NULL, read_bank, &banks[i]), 0);
    }
    for (int n = 0; n < transfers; n++) {
        __atomic_store_n(&hook.pause_us, n % 500 < 300 ? 3000 : 0, __ATOMIC_RELAXED);
        uint64_t from = rand_below(&f.rand, accounts), to = rand_below(&f.rand, accounts);
        uint64_t sum = rand_below(&f.rand, balances[from] + 1);
        begin(&f);
        set_account(&f, balances, from, balances[from] - sum);
        set_account(&f, balances, to, balances[to] + sum);
        CHECK_EQ(store_write_sync(f.store, &f.b), ERR_OK);
    }
    __atomic_store_n(&hook.pause_us, 0, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ARRAY_LEN(banks); i++) {
        __atomic_store_n(&banks[i].stop, 1, __ATOMIC_RELEASE);
        pthread_join(readers[i], NULL);
        CHECK(banks[i].reads > 0);
    }
    CHECK(ingests(&f) > 10);
    fix_deinit(&f);
}
