/* store/internal.h - shared by the files of store/ only: the open database. */
#ifndef PARLEY_STORE_INTERNAL_H
#define PARLEY_STORE_INTERNAL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include "store/batch.h"
#include "store/store.h"

struct store {
    /* Readers hold it shared for one read; log takes it whole while the database is closed and
     * opened again after a failed write, and never else. */
    pthread_rwlock_t opened;
    rocksdb_t *db; /* NULL: neither to write nor to read it could be opened again */
    bool read_only;
    uint64_t last_seq;          /* RocksDB's sequence number when it was last open for writing */
    uint32_t background_failed; /* atomic: RocksDB takes no more writes */
    rocksdb_column_family_handle_t *cfs[CF_COUNT];
    rocksdb_options_t *options[CF_COUNT];
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write_sync;
    rocksdb_readoptions_t *read;
    char path[512];
};

/* Appends the batch's rows to wb. */
void store_gather(const struct store *s, const struct batch *b, rocksdb_writebatch_t *wb);

/* Opens for reading and writing, or for reading only. On an error s->db is NULL and the error is
 * logged. */
MUST_USE enum err store_open_db(struct store *s, bool read_only);
void store_close_db(struct store *s);

/* What RocksDB says of a failure, in its text only. A failed sync ends the process here. */
void store_check_sync(const char *error);
MUST_USE enum err store_judge(const char *error);

/* After a failed write: writes, syncs and removes a file beside the database. False: not yet. */
bool store_probe(const struct store *s);
/* Closes and opens: what the disk holds is the truth then. Should it hold a batch that was answered
 * with an error, the process ends, since every actor decided on its absence. On an error the store
 * can be read if that is possible at all. Log's thread. */
MUST_USE enum err store_reopen(struct store *s);

/* What RocksDB's C interface lacks: hear of errors in its background, and keep it from resuming by
 * itself. fn is called on any of its threads. */
typedef void store_background_fn(void *ctx, const char *error);
void store_shim_listen(rocksdb_options_t *o, store_background_fn *fn, void *ctx);
/* RocksDB's notes go where fn puts them, and into no file; details: not only warnings. */
typedef void store_note_fn(bool warning, const char *text);
void store_shim_log(rocksdb_options_t *o, store_note_fn *fn, bool details);

#endif
