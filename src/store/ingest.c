#include "store/ingest.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"
#include "store/row.h"

/* ---- files ---- */

struct files {
    char paths[CF_COUNT][sizeof((struct store *)0)->path + 32];
    bool made[CF_COUNT];
};

static void name_files(const struct store *s, struct files *f)
{
    memset(f, 0, sizeof *f);
    for (int cf = 0; cf < CF_COUNT; cf++)
        snprintf(f->paths[cf], sizeof f->paths[cf], "%s/ingest-%s.sst", s->path, families[cf].name);
}

static void remove_files(const struct files *f)
{
    for (int cf = 0; cf < CF_COUNT; cf++)
        (void)unlink(f->paths[cf]);
}

static char *write_rows(rocksdb_sstfilewriter_t *w, struct tail_cursor *c, const char *path)
{
    char *error = NULL;
    rocksdb_sstfilewriter_open(w, path, &error);
    for (; c->valid && error == NULL; tail_next(c)) {
        if (c->deleted)
            rocksdb_sstfilewriter_delete(w, c->key.p, c->key.len, &error);
        else
            rocksdb_sstfilewriter_put(w, c->key.p, c->key.len, c->value.p, c->value.len, &error);
    }
    if (error == NULL)
        rocksdb_sstfilewriter_finish(w, &error);
    return error;
}

static enum err judge(char *error)
{
    if (error == NULL)
        return ERR_OK;
    enum err err = store_judge(error);
    rocksdb_free(error);
    return err;
}

/* One family's rows, sorted and synced; none: no file. */
static enum err write_file(struct store *s, const struct tail *t, enum cf cf, struct files *f)
{
    struct tail_cursor c;
    char *error = NULL;
    TRY(tail_seek(&c, t, cf, SV(""), SV_NONE, tail_newest(t)));
    f->made[cf] = c.valid;
    if (c.valid) {
        rocksdb_sstfilewriter_t *w = store_shim_table_writer(s->tail_options[cf]);
        error = write_rows(w, &c, f->paths[cf]);
        rocksdb_sstfilewriter_destroy(w);
    }
    tail_cursor_deinit(&c);
    return judge(error);
}

/* ---- RocksDB's part ---- */

static enum err take_in(struct store *s, const struct files *f)
{
    rocksdb_column_family_handle_t *cfs[CF_COUNT];
    const char *paths[CF_COUNT];
    size_t n = 0;
    char *error = NULL;
    for (int cf = 0; cf < CF_COUNT; cf++) {
        if (f->made[cf]) {
            cfs[n] = s->cfs[cf];
            paths[n++] = f->paths[cf];
        }
    }
    store_shim_ingest(s->db, cfs, paths, n, &error);
    return judge(error);
}

/* Not synced: what follows in RocksDB's log is, and until then the records are there twice. */
static enum err drop_records(struct store *s, uint64_t up_to)
{
    struct key mark, from, to;
    char value[32], *error = NULL;
    struct buf b;
    log_key(&mark, 0);
    log_key(&from, 1);
    log_key(&to, up_to + 1);
    buf_init_fixed(&b, value, sizeof value);
    row_u64_encode(&b, &mark, up_to);
    ASSERT(!b.failed);
    rocksdb_writeoptions_t *wo = rocksdb_writeoptions_create();
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    rocksdb_writebatch_put_cf(wb, s->log_cf, (const char *)mark.b, mark.len, b.p, b.len);
    rocksdb_writebatch_delete_range_cf(wb, s->log_cf, (const char *)from.b, from.len,
                                       (const char *)to.b, to.len);
    rocksdb_write(s->db, wo, wb, &error);
    rocksdb_writebatch_destroy(wb);
    rocksdb_writeoptions_destroy(wo);
    return judge(error);
}

static enum err hand_over(struct store *s, const struct tail *t, const struct files *f)
{
    if (s->db == NULL || s->read_only)
        return ERR_STORAGE_UNAVAILABLE;
    TRY(take_in(s, f));
    return drop_records(s, tail_newest(t));
}

static enum err run(struct store *s, const struct tail *t)
{
    struct files f;
    uint64_t started_us = clock_mono_us();
    enum err err = ERR_OK;
    if (tail_newest(t) == 0) /* frozen empty, for a commit larger than its room */
        return stage_ingested(&s->stages);
    name_files(s, &f);
    remove_files(&f); /* of one that did not end */
    for (int cf = 0; cf < CF_COUNT && err == ERR_OK; cf++)
        err = write_file(s, t, (enum cf)cf, &f);
    if (err == ERR_OK) {
        pthread_rwlock_rdlock(&s->opened);
        err = hand_over(s, t, &f);
        TSAN_RELEASE(s); /* pairs with the readers in view_rocksdb.c */
        pthread_rwlock_unlock(&s->opened);
    }
    if (err != ERR_OK) {
        remove_files(&f);
        return err;
    }
    log_debug("ingested", "\"up_to\":%llu,\"keys\":%u,\"took_ms\":%llu",
              (unsigned long long)tail_newest(t), tail_keys(t),
              (unsigned long long)((clock_mono_us() - started_us) / 1000));
    return stage_ingested(&s->stages); /* t may be gone now */
}

/* ---- the thread ---- */

static void *ingest_main(void *arg)
{
    struct store *s = arg;
    struct ingest *i = &s->ingest;
    log_thread_name("ingest");
    pthread_mutex_lock(&i->lock);
    for (;;) {
        while (!i->due && !i->stop)
            pthread_cond_wait(&i->changed, &i->lock);
        if (!i->due)
            break;
        pthread_mutex_unlock(&i->lock);
        if (run(s, stage_frozen(&s->stages)) == ERR_OK)
            __atomic_store_n(&i->runs, i->runs + 1, __ATOMIC_RELAXED);
        else
            __atomic_store_n(&s->background_failed, 1, __ATOMIC_RELEASE);
        pthread_mutex_lock(&i->lock);
        i->due = false;
        pthread_cond_broadcast(&i->changed);
    }
    pthread_mutex_unlock(&i->lock);
    return NULL;
}

void ingest_init(struct ingest *i)
{
    *i = (struct ingest){0};
    pthread_mutex_init(&i->lock, NULL);
    pthread_cond_init(&i->changed, NULL);
}

void ingest_deinit(struct ingest *i)
{
    pthread_cond_destroy(&i->changed);
    pthread_mutex_destroy(&i->lock);
}

enum err ingest_start(struct store *s)
{
    s->ingest.started = pthread_create(&s->ingest.thread, NULL, ingest_main, s) == 0;
    return s->ingest.started ? ERR_OK : ERR_NOMEM;
}

void ingest_stop(struct store *s)
{
    struct ingest *i = &s->ingest;
    if (!i->started)
        return;
    pthread_mutex_lock(&i->lock);
    i->stop = true;
    pthread_cond_broadcast(&i->changed);
    pthread_mutex_unlock(&i->lock);
    pthread_join(i->thread, NULL);
    i->started = false;
}

void ingest_wake(struct store *s)
{
    pthread_mutex_lock(&s->ingest.lock);
    s->ingest.due = stage_frozen(&s->stages) != NULL;
    pthread_cond_broadcast(&s->ingest.changed);
    pthread_mutex_unlock(&s->ingest.lock);
}

bool ingest_wait(struct store *s)
{
    struct ingest *i = &s->ingest;
    pthread_mutex_lock(&i->lock);
    while (i->due)
        pthread_cond_wait(&i->changed, &i->lock);
    pthread_mutex_unlock(&i->lock);
    return stage_frozen(&s->stages) == NULL;
}
