/* commit.c - the first of the two stages: a group of batches becomes one record of the family
 * `log`, synced, then rows of the active tail. And the same again from disk at the start. */
#include "base/log.h"
#include "store/internal.h"
#include "store/record.h"
#include "store/row.h"

/* ---- tails ---- */

/* Another tail for the active one. While both are full the writer waits, and what is to be written
 * queues up. */
static enum err next_tail(struct store *s, size_t room_bytes)
{
    if (stage_frozen(&s->stages) != NULL) {
        s->ingest.waits++;
        if (!ingest_wait(s))
            return ERR_STORAGE_UNAVAILABLE;
    }
    TRY(stage_freeze(&s->stages, room_bytes));
    ingest_wake(s);
    return ERR_OK;
}

/* Room in a tail for a record; tail_add cannot fail after it. */
static enum err make_room(struct store *s, size_t bytes, uint32_t rows, uint8_t **out)
{
    struct stages *st = &s->stages;
    bool full = tail_bytes(st->active) >= st->bytes_max && tail_newest(st->active) != 0;
    *out = full ? NULL : tail_reserve(st->active, bytes, rows);
    if (*out != NULL)
        return ERR_OK;
    TRY(next_tail(s, tail_room(bytes, rows)));
    *out = tail_reserve(st->active, bytes, rows);
    return *out != NULL ? ERR_OK : ERR_NOMEM;
}

enum err store_freeze(struct store *s)
{
    if (tail_newest(s->stages.active) == 0 || stage_frozen(&s->stages) != NULL)
        return ERR_OK;
    return next_tail(s, 0);
}

uint64_t store_tail_bytes(const struct store *s)
{
    return tail_bytes(s->stages.active);
}

enum err store_settle(struct store *s)
{
    for (int i = 0; i < 2; i++) { /* the frozen one, then the active one */
        TRY(store_freeze(s));
        if (!ingest_wait(s))
            return ERR_STORAGE_UNAVAILABLE;
    }
    return ERR_OK;
}

/* ---- commit ---- */

static enum err write_record(struct store *s, uint64_t number, const uint8_t *record, size_t bytes)
{
    struct key k;
    char *error = NULL;
    log_key(&k, number);
    rocksdb_writebatch_clear(s->wb);
    rocksdb_writebatch_put_cf(s->wb, s->log_cf, (const char *)k.b, k.len, (const char *)record,
                              bytes);
    rocksdb_write(s->db, s->write_sync, s->wb, &error);
    if (error == NULL)
        return ERR_OK;
    enum err err = store_judge(error);
    rocksdb_free(error);
    return err;
}

enum err store_commit(struct store *s, const struct batch *first)
{
    uint32_t rows;
    uint8_t *record;
    size_t bytes = record_bytes(first, &rows);
    uint64_t number = s->committed + 1;
    if (rows == 0)
        return ERR_OK;
    enum err err = make_room(s, bytes, rows, &record);
    if (err == ERR_NOMEM)
        log_error("store_failed", "\"problem\":\"no memory for a commit\"");
    if (err != ERR_OK)
        return ERR_STORAGE_UNAVAILABLE;
    record_write(record, number, first);
    TRY(write_record(s, number, record, bytes));
    tail_add(s->stages.active, number, bytes);
    s->committed = number;
    return ERR_OK;
}

/* ---- from disk ---- */

static rocksdb_iterator_t *iterate(struct store *s)
{
    return rocksdb_create_iterator_cf(s->db, s->read, s->log_cf);
}

/* Behind a seek or step: is there a row? */
static enum err look(struct store *s, rocksdb_iterator_t *it, bool *valid)
{
    char *error = NULL;
    *valid = rocksdb_iter_valid(it);
    if (*valid)
        return ERR_OK;
    rocksdb_iter_get_error(it, &error);
    return error == NULL ? ERR_OK : store_complain("store_read_failed", s, error);
}

static uint64_t number_at(rocksdb_iterator_t *it)
{
    size_t len;
    uint64_t big_endian;
    const char *key = rocksdb_iter_key(it, &len);
    if (len != log_key_bytes)
        return UINT64_MAX;
    memcpy(&big_endian, key, sizeof big_endian);
    return __builtin_bswap64(big_endian);
}

static struct str_view value_at(rocksdb_iterator_t *it)
{
    struct str_view v;
    v.p = rocksdb_iter_value(it, &v.len);
    return v;
}

static enum err damaged(const struct store *s, uint64_t number, const char *problem)
{
    log_error("store_log_damaged", "\"path\":%s,\"commit\":%llu,\"problem\":\"%s\"",
              log_str(sv_from(s->path)), (unsigned long long)number, problem);
    return ERR_CORRUPT;
}

/* Up to which commit everything is in files. */
static enum err read_mark(struct store *s, rocksdb_iterator_t *it, uint64_t *number)
{
    struct key k;
    bool valid;
    log_key(&k, 0);
    *number = 0;
    rocksdb_iter_seek(it, (const char *)k.b, k.len);
    TRY(look(s, it, &valid));
    if (!valid || number_at(it) != 0)
        return ERR_OK;
    return row_u64_decode(number, key_view(&k), value_at(it)) == ERR_OK
               ? ERR_OK
               : damaged(s, 0, "checksum of the mark");
}

static enum err last_commit(struct store *s, rocksdb_iterator_t *it, uint64_t *number)
{
    bool valid;
    TRY(read_mark(s, it, number));
    rocksdb_iter_seek_to_last(it);
    TRY(look(s, it, &valid));
    if (valid)
        *number = MAX(*number, number_at(it));
    return ERR_OK;
}

enum err store_last_commit(struct store *s, uint64_t *number)
{
    rocksdb_iterator_t *it = iterate(s);
    enum err err = last_commit(s, it, number);
    rocksdb_iter_destroy(it);
    return err;
}

static enum err replay_one(struct store *s, rocksdb_iterator_t *it)
{
    uint64_t number = number_at(it);
    struct str_view record = value_at(it);
    uint32_t rows;
    uint8_t *room;
    if (number != s->committed + 1)
        return damaged(s, s->committed + 1, "missing");
    if (!record_check(number, record, &rows))
        return damaged(s, number, "checksum");
    TRY(make_room(s, record.len, rows, &room));
    memcpy(room, record.p, record.len);
    tail_add(s->stages.active, number, record.len);
    s->committed = number;
    return ERR_OK;
}

static enum err replay(struct store *s, rocksdb_iterator_t *it)
{
    struct key k;
    bool valid;
    TRY(read_mark(s, it, &s->committed));
    log_key(&k, s->committed + 1);
    rocksdb_iter_seek(it, (const char *)k.b, k.len);
    for (;; rocksdb_iter_next(it)) {
        TRY(look(s, it, &valid));
        if (!valid)
            return ERR_OK;
        TRY(replay_one(s, it));
    }
}

enum err store_replay(struct store *s)
{
    rocksdb_iterator_t *it = iterate(s);
    enum err err = replay(s, it);
    rocksdb_iter_destroy(it);
    return err == ERR_OK ? store_freeze(s) : err;
}
