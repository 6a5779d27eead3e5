#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/row.h"

enum {
    /* 1: rows, each under its own key, came with their commit; no family `log`. 2: users have no
     * lists of what they reacted to (chan_list_reactions makes them). 3: shares of files do not
     * know the keys of their messages. */
    schema_version = 4,
    bloom_bits = 10,
    block_bytes = 16384,
    filter_piece_bytes = 4096,
    background_jobs = 2,
    /* Level 0 is merged with all of level 1, members of channels that never change among it. Twice
     * RocksDB's 4: half as much merging, a tenth more for a key that is looked up in each file. */
    level0_files = 8,
    /* Replay costs 11 ms of CPU a MiB when rows are small: half of the 3 s that a restart may take.
     */
    wal_bytes_max = 128 << 20
};

static void on_note(bool warning, const char *text)
{
    if (strstr(text, "without unique ID") != NULL) /* every file that was ingested is */
        warning = false;
    log_line(warning ? LOG_WARN : LOG_DEBUG, "rocksdb", "\"note\":%s", log_str(sv_from(text)));
}

static rocksdb_options_t *common_options(const struct conf *c)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_write_buffer_size(o, c->store_memtable_bytes);
    rocksdb_options_set_max_background_jobs(o, background_jobs);
    rocksdb_options_set_max_total_wal_size(o, wal_bytes_max);
    store_shim_log(o, on_note, log_enabled(LOG_DEBUG));
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0); /* one writer */
    /* A torn tail is what a crash leaves behind the last sync and is dropped; damage anywhere else
     * refuses to open, since what follows it was acknowledged. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    return o;
}

/* A filter in one piece grows with its file, beyond what a shard of the cache may hold: from two
 * million messages on each look-up read three megabytes of it anew (bench/endure). */
static void cut_filters(rocksdb_block_based_table_options_t *t)
{
    rocksdb_block_based_options_set_partition_filters(t, 1);
    rocksdb_block_based_options_set_index_type(
        t, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_metadata_block_size(t, filter_piece_bytes);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(t, 1);
}

/* small_files: those of a tail, which stay in one piece, a little quicker to ask. */
static rocksdb_options_t *make_options(const struct store *s, const struct conf *c, enum cf cf,
                                       bool small_files)
{
    size_t prefix_bytes = families[cf].prefix_bytes;
    rocksdb_options_t *o = common_options(c);
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, s->cache);
    rocksdb_block_based_options_set_block_size(t, block_bytes);
    rocksdb_block_based_options_set_filter_policy(
        t, rocksdb_filterpolicy_create_bloom_full(bloom_bits));
    if (!small_files)
        cut_filters(t);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
    if (prefix_bytes > 0)
        rocksdb_options_set_prefix_extractor(
            o, rocksdb_slicetransform_create_fixed_prefix(prefix_bytes));
    rocksdb_options_set_level0_file_num_compaction_trigger(o, level0_files);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(o, rocksdb_zstd_compression);
    return o;
}

/* Read from front to back at a start, and never else: no filter, no compression, no cache. */
static rocksdb_options_t *make_log_options(const struct conf *c)
{
    rocksdb_options_t *o = common_options(c);
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_no_block_cache(t, 1);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    return o;
}

enum err store_complain(const char *event, const struct store *s, char *rocksdb_error)
{
    bool corrupt = strncmp(rocksdb_error, "Corruption", 10) == 0;
    log_error(event, "\"path\":%s,\"problem\":%s", log_str(sv_from(s->path)),
              log_str(sv_from(rocksdb_error)));
    rocksdb_free(rocksdb_error);
    return corrupt ? ERR_CORRUPT : ERR_IO;
}

enum err store_open_db(struct store *s, bool read_only)
{
    enum { at_log = CF_COUNT, at_default, all };
    const char *names[all];
    const rocksdb_options_t *options[all];
    rocksdb_column_family_handle_t *handles[all];
    for (int i = 0; i < CF_COUNT; i++) {
        names[i] = families[i].name;
        options[i] = s->options[i];
    }
    names[at_log] = "log";
    options[at_log] = s->log_options;
    names[at_default] = "default"; /* RocksDB insists on one of this name; nothing is in it */
    options[at_default] = s->options[CF_META];
    char *error = NULL;
    s->read_only = read_only;
    s->db = read_only ? rocksdb_open_for_read_only_column_families(
                            s->options[CF_META], s->path, all, names, options, handles, 0, &error)
                      : rocksdb_open_column_families(s->options[CF_META], s->path, all, names,
                                                     options, handles, &error);
    if (error != NULL) {
        s->db = NULL;
        store_check_sync(error);
        (void)!store_complain("store_open_failed", s, error);
        return ERR_IO;
    }
    rocksdb_column_family_handle_destroy(handles[at_default]);
    s->log_cf = handles[at_log];
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
    rocksdb_column_family_handle_destroy(s->log_cf);
    s->log_cf = NULL;
    rocksdb_close(s->db);
    s->db = NULL;
}

/* Not through the log, whose records an older version would not see: it has to see this. */
static enum err write_schema(struct store *s, const struct key *k)
{
    char value[32], *error = NULL;
    struct buf b;
    buf_init_fixed(&b, value, sizeof value);
    row_u64_encode(&b, k, schema_version);
    ASSERT(!b.failed);
    rocksdb_put_cf(s->db, s->write_sync, s->cfs[CF_META], (const char *)k->b, k->len, b.p, b.len,
                   &error);
    return error == NULL ? ERR_OK : store_complain("store_open_failed", s, error);
}

/* Reads the schema's number; writes it into a store that is new or older, since every older one can
 * be read. */
static enum err check_schema(struct store *s)
{
    struct key k;
    char *error = NULL;
    size_t len;
    uint64_t version = 0;
    key_meta(&k, SV("schema"), 0);
    char *value =
        rocksdb_get_cf(s->db, s->read, s->cfs[CF_META], (const char *)k.b, k.len, &len, &error);
    if (error != NULL)
        return store_complain("store_open_failed", s, error);
    if (value != NULL) {
        enum err err = row_u64_decode(&version, key_view(&k), (struct str_view){value, len});
        rocksdb_free(value);
        TRY(err);
    }
    if (version > schema_version) {
        log_error("store_newer", "\"schema\":%llu,\"known\":%d", (unsigned long long)version,
                  schema_version);
        return ERR_BAD_CONF;
    }
    return version == schema_version ? ERR_OK : write_schema(s, &k);
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

static enum err open_stages(struct store *s, const struct conf *c)
{
    struct rand_src rand;
    rand_init_system(&rand);
    TRY(stages_init(&s->stages, rand_u64(&rand), c->store_tail_bytes, c->store_batch_bytes_max));
    TRY(store_open_db(s, false));
    TRY(check_schema(s));
    TRY(ingest_start(s));
    return store_replay(s);
}

enum err store_open(struct store **out, const struct conf *c)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    uint64_t started_us = clock_mono_us();
    snprintf(s->path, sizeof s->path, "%s/store", c->server_data);
    init_lock(s);
    ingest_init(&s->ingest);
    s->cache = rocksdb_cache_create_lru(c->store_cache_bytes);
    s->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->write_sync, 1);
    s->read = rocksdb_readoptions_create();
    s->wb = rocksdb_writebatch_create();
    for (int i = 0; i < CF_COUNT; i++) {
        s->options[i] = make_options(s, c, (enum cf)i, false);
        s->tail_options[i] = make_options(s, c, (enum cf)i, true);
    }
    s->log_options = make_log_options(c);
    (void)!mkdir(s->path, 0700); /* there already: fine; cannot be: the opening says so */
    store_shim_listen(s->options[CF_META], on_background_error, s);
    enum err err = open_stages(s, c);
    if (err != ERR_OK) {
        store_close(s);
        return err;
    }
    log_info("store_open", "\"path\":%s,\"commits\":%llu,\"took_ms\":%llu",
             log_str(sv_from(s->path)), (unsigned long long)s->committed,
             (unsigned long long)((clock_mono_us() - started_us) / 1000));
    *out = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    ingest_stop(s);
    store_close_db(s);
    stages_deinit(&s->stages);
    ingest_deinit(&s->ingest);
    pthread_rwlock_destroy(&s->opened);
    for (int i = 0; i < CF_COUNT; i++) {
        rocksdb_options_destroy(s->options[i]);
        rocksdb_options_destroy(s->tail_options[i]);
    }
    rocksdb_options_destroy(s->log_options);
    rocksdb_writebatch_destroy(s->wb);
    rocksdb_writeoptions_destroy(s->write_sync);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_cache_destroy(s->cache);
    free(s);
}

enum err store_write_sync(struct store *s, const struct batch *b)
{
    struct batch alone = *b;
    alone.next = NULL;
    return store_commit(s, &alone);
}
