#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/row.h"

enum {
    schema_version = 1,
    bloom_bits = 10,
    block_bytes = 16384,
    background_jobs = 2,
    /* Replay costs 11 ms of CPU a MiB when rows are small: half of the 3 s that a restart may take.
     */
    wal_bytes_max = 128 << 20
};

static const struct {
    const char *name;
    size_t prefix_bytes;
} cf_table[CF_COUNT] = {
#define CF(id, name_, prefix, what) {name_, prefix},
#include "store/cf.def"
#undef CF
};

static void on_note(bool warning, const char *text)
{
    log_line(warning ? LOG_WARN : LOG_DEBUG, "rocksdb", "\"note\":%s", log_str(sv_from(text)));
}

static rocksdb_options_t *make_options(const struct store *s, const struct conf *c, enum cf cf)
{
    size_t prefix_bytes = cf_table[cf].prefix_bytes;
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, s->cache);
    rocksdb_block_based_options_set_block_size(t, block_bytes);
    rocksdb_block_based_options_set_filter_policy(
        t, rocksdb_filterpolicy_create_bloom_full(bloom_bits));
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    if (prefix_bytes > 0) {
        rocksdb_options_set_prefix_extractor(
            o, rocksdb_slicetransform_create_fixed_prefix(prefix_bytes));
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.05);
    }
    /* Almost every key that is looked up there is new, in a channel that is not: the prefix says
     * nothing, and a search of the memtable costs more than all else that chan does for a post. */
    if (cf == CF_IDX)
        rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_write_buffer_size(o, c->store_memtable_bytes);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(o, rocksdb_zstd_compression);
    rocksdb_options_set_max_background_jobs(o, background_jobs);
    rocksdb_options_set_max_total_wal_size(o, wal_bytes_max);
    store_shim_log(o, on_note, log_enabled(LOG_DEBUG));
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0); /* one writer */
    /* A torn tail is what a crash leaves behind the last sync and is dropped; damage anywhere else
     * refuses to open, since what follows it was acknowledged. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    return o;
}

static enum err complain(const char *event, const char *path, char *rocksdb_error)
{
    bool corrupt = strncmp(rocksdb_error, "Corruption", 10) == 0;
    log_error(event, "\"path\":%s,\"problem\":%s", log_str(sv_from(path)),
              log_str(sv_from(rocksdb_error)));
    rocksdb_free(rocksdb_error);
    return corrupt ? ERR_CORRUPT : ERR_IO;
}

enum err store_open_db(struct store *s, bool read_only)
{
    const char *names[CF_COUNT + 1];
    const rocksdb_options_t *options[CF_COUNT + 1];
    rocksdb_column_family_handle_t *handles[CF_COUNT + 1];
    for (int i = 0; i < CF_COUNT; i++) {
        names[i] = cf_table[i].name;
        options[i] = s->options[i];
    }
    names[CF_COUNT] = "default"; /* RocksDB insists on one of this name; nothing is in it */
    options[CF_COUNT] = s->options[CF_META];
    char *error = NULL;
    s->read_only = read_only;
    s->db = read_only ? rocksdb_open_for_read_only_column_families(s->options[CF_META], s->path,
                                                                   CF_COUNT + 1, names, options,
                                                                   handles, 0, &error)
                      : rocksdb_open_column_families(s->options[CF_META], s->path, CF_COUNT + 1,
                                                     names, options, handles, &error);
    if (error != NULL) {
        s->db = NULL;
        store_check_sync(error);
        (void)!complain("store_open_failed", s->path, error);
        return ERR_IO;
    }
    rocksdb_column_family_handle_destroy(handles[CF_COUNT]);
    for (int i = 0; i < CF_COUNT; i++)
        s->cfs[i] = handles[i];
    return ERR_OK;
}

void store_close_db(struct store *s)
{
    if (s->db == NULL)
        return;
    for (int i = 0; i < CF_COUNT; i++) {
        rocksdb_column_family_handle_destroy(s->cfs[i]); /* before the close, or RocksDB aborts */
        s->cfs[i] = NULL;
    }
    rocksdb_close(s->db);
    s->db = NULL;
}

/* Reads the schema's number, or writes it into a new store. */
static enum err check_schema(struct store *s)
{
    struct arena_pool pool;
    struct batch b = {0};
    struct key k;
    char *error = NULL;
    size_t len;
    uint64_t version = schema_version;
    key_meta(&k, SV("schema"), 0);
    char *value =
        rocksdb_get_cf(s->db, s->read, s->cfs[CF_META], (const char *)k.b, k.len, &len, &error);
    if (error != NULL)
        return complain("store_open_failed", s->path, error);
    if (value != NULL) {
        enum err err = row_u64_decode(&version, key_view(&k), (struct str_view){value, len});
        rocksdb_free(value);
        if (err == ERR_OK && version > schema_version) {
            log_error("store_newer", "\"schema\":%llu,\"known\":%d", (unsigned long long)version,
                      schema_version);
            return ERR_BAD_CONF;
        }
        return err;
    }
    arena_pool_init(&pool, 4096, 0, UINT64_MAX);
    enum err err = arena_init(&b.arena, &pool, UINT64_MAX);
    if (err == ERR_OK) {
        row_u64_encode(batch_put_begin(&b, CF_META, &k), &k, schema_version);
        batch_put_end(&b);
        err = store_write_sync(s, &b);
        arena_deinit(&b.arena);
    }
    arena_pool_deinit(&pool);
    return err;
}

/* A reopening must not wait for ever behind readers that take turns. */
static void init_lock(struct store *s)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->opened, &attr);
    pthread_rwlockattr_destroy(&attr);
}

static void on_background_error(void *ctx, const char *error)
{
    struct store *s = ctx;
    (void)!store_judge(error);
    __atomic_store_n(&s->background_failed, 1, __ATOMIC_RELEASE);
}

enum err store_open(struct store **out, const struct conf *c)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    uint64_t started_us = clock_mono_us();
    snprintf(s->path, sizeof s->path, "%s/store", c->server_data);
    init_lock(s);
    s->cache = rocksdb_cache_create_lru(c->store_cache_bytes);
    s->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->write_sync, 1);
    s->read = rocksdb_readoptions_create();
    for (int i = 0; i < CF_COUNT; i++)
        s->options[i] = make_options(s, c, (enum cf)i);
    (void)!mkdir(s->path, 0700); /* there already: fine; cannot be: the opening says so */
    store_shim_listen(s->options[CF_META], on_background_error, s);
    enum err err = store_open_db(s, false);
    if (err == ERR_OK)
        err = check_schema(s);
    if (err != ERR_OK) {
        store_close(s);
        return err;
    }
    log_info("store_open", "\"path\":%s,\"took_ms\":%llu", log_str(sv_from(s->path)),
             (unsigned long long)((clock_mono_us() - started_us) / 1000));
    *out = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    store_close_db(s);
    pthread_rwlock_destroy(&s->opened);
    for (int i = 0; i < CF_COUNT; i++)
        rocksdb_options_destroy(s->options[i]);
    rocksdb_writeoptions_destroy(s->write_sync);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_cache_destroy(s->cache);
    free(s);
}

void store_gather(const struct store *s, const struct batch *b, rocksdb_writebatch_t *wb)
{
    for (const struct row *r = b->first; r != NULL; r = r->next) {
        if (r->op == ROW_PUT)
            rocksdb_writebatch_put_cf(wb, s->cfs[r->cf], r->key.p, r->key.len, r->value.p,
                                      r->value.len);
        else
            rocksdb_writebatch_delete_cf(wb, s->cfs[r->cf], r->key.p, r->key.len);
    }
}

enum err store_write_sync(struct store *s, const struct batch *b)
{
    char *error = NULL;
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    store_gather(s, b, wb);
    rocksdb_write(s->db, s->write_sync, wb, &error);
    rocksdb_writebatch_destroy(wb);
    return error == NULL ? ERR_OK : complain("store_write_failed", s->path, error);
}

/* ---- views ---- */

static enum err copy_out(struct arena *a, const char *p, size_t n, struct str_view *out)
{
    *out = arena_dup(a, (struct str_view){p, n});
    return out->p == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err get_one(struct store *s, struct view_get *g, struct arena *a)
{
    char *error = NULL;
    size_t n;
    g->value = SV_NONE;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned_cf(s->db, s->read, s->cfs[g->cf], g->key.p, g->key.len, &error);
    if (error != NULL)
        return complain("store_read_failed", s->path, error);
    if (v == NULL)
        return ERR_OK;
    const char *p = rocksdb_pinnableslice_value(v, &n);
    enum err err = copy_out(a, p, n, &g->value);
    rocksdb_pinnableslice_destroy(v);
    return err;
}

enum { multi_get_max = 256 };

/* Of one family: RocksDB looks through filters and blocks for many keys at once, and a key that is
 * absent costs no allocation. */
static enum err get_some(struct store *s, struct view_get *gets, uint32_t n, struct arena *a)
{
    const char *keys[multi_get_max];
    size_t key_lens[multi_get_max];
    rocksdb_pinnableslice_t *values[multi_get_max];
    char *errors[multi_get_max];
    ASSERT(n > 0 && n <= multi_get_max);
    for (uint32_t i = 0; i < n; i++) {
        keys[i] = gets[i].key.p;
        key_lens[i] = gets[i].key.len;
    }
    rocksdb_batched_multi_get_cf(s->db, s->read, s->cfs[gets[0].cf], n, keys, key_lens, values,
                                 errors, false);
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < n; i++) {
        gets[i].value = SV_NONE;
        if (errors[i] != NULL)
            err = complain("store_read_failed", s->path, errors[i]);
        if (values[i] == NULL)
            continue;
        size_t len;
        const char *p = rocksdb_pinnableslice_value(values[i], &len);
        if (err == ERR_OK)
            err = copy_out(a, p, len, &gets[i].value);
        rocksdb_pinnableslice_destroy(values[i]);
    }
    return err;
}

/* How many of the first ones are of one family, and fit into one call. */
static uint32_t run_of(const struct view_get *gets, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && i < multi_get_max && gets[i].cf == gets[0].cf)
        i++;
    return i;
}

static enum err get_all(struct store *s, struct view_get *gets, uint32_t n, struct arena *a)
{
    if (s->db == NULL)
        return ERR_IO;
    if (n == 1)
        return get_one(s, gets, a);
    for (uint32_t i = 0, run; i < n; i += run) {
        run = run_of(gets + i, n - i);
        TRY(get_some(s, gets + i, run, a));
    }
    return ERR_OK;
}

static enum err rocks_multi_get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    struct store *s = self;
    pthread_rwlock_rdlock(&s->opened);
    TSAN_ACQUIRE(s); /* of rows that log wrote */
    enum err err = get_all(s, gets, n, a);
    pthread_rwlock_unlock(&s->opened);
    return err;
}

static enum err scan(struct store *s, enum cf cf, struct str_view from, struct str_view to,
                     view_row_fn *fn, void *ctx)
{
    if (s->db == NULL)
        return ERR_IO;
    size_t prefix = cf_table[cf].prefix_bytes;
    bool one_prefix =
        prefix > 0 && from.len >= prefix && to.len >= prefix && memcmp(from.p, to.p, prefix) == 0;
    rocksdb_readoptions_t *ro = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(ro, to.p, to.len);
    if (one_prefix)
        rocksdb_readoptions_set_prefix_same_as_start(ro, 1);
    else
        rocksdb_readoptions_set_total_order_seek(ro, 1);
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(s->db, ro, s->cfs[cf]);
    for (rocksdb_iter_seek(it, from.p, from.len); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_len, value_len;
        const char *key = rocksdb_iter_key(it, &key_len);
        const char *value = rocksdb_iter_value(it, &value_len);
        if (!fn(ctx, (struct str_view){key, key_len}, (struct str_view){value, value_len}))
            break;
    }
    char *error = NULL;
    rocksdb_iter_get_error(it, &error);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(ro);
    return error == NULL ? ERR_OK : complain("store_read_failed", s->path, error);
}

static enum err rocks_scan(void *self, enum cf cf, struct str_view from, struct str_view to,
                           view_row_fn *fn, void *ctx)
{
    struct store *s = self;
    pthread_rwlock_rdlock(&s->opened);
    TSAN_ACQUIRE(s);
    enum err err = scan(s, cf, from, to, fn, ctx);
    pthread_rwlock_unlock(&s->opened);
    return err;
}

static const struct view_ops rocks_view_ops = {.multi_get = rocks_multi_get, .scan = rocks_scan};

enum err store_view(struct store *s, struct view *out)
{
    *out = (struct view){&rocks_view_ops, s}; /* RocksDB's reads are safe from any thread */
    return ERR_OK;
}
