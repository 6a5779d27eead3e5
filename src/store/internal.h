/* store/internal.h - shared by the files of store/ only: the open database. */
#ifndef PARLEY_STORE_INTERNAL_H
#define PARLEY_STORE_INTERNAL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include "store/batch.h"
#include "store/family.h"
#include "store/ingest.h"
#include "store/stage.h"
#include "store/store.h"

struct store {
    /* Readers hold it shared for one read, ingest while it hands files over; log takes it whole
     * while the database is closed and opened again after a failed write, and never else. */
    pthread_rwlock_t opened;
    rocksdb_t *db; /* NULL: neither to write nor to read it could be opened again */
    bool read_only;
    uint32_t background_failed; /* atomic: RocksDB takes no more writes */
    rocksdb_column_family_handle_t *cfs[CF_COUNT], *log_cf;
    rocksdb_options_t *options[CF_COUNT], *tail_options[CF_COUNT], *log_options;
    struct stages stages;
    struct ingest ingest;
    uint64_t committed; /* number of the last commit; the writer's */
    rocksdb_writebatch_t *wb;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write_sync;
    rocksdb_readoptions_t *read;
    char path[512];
};

/* ---- the writer: log's thread, and who opens the store (commit.c) ---- */

/* Writes and syncs a chain of batches as one record, then shows its rows. Waits while both tails
 * are full. An error is logged. A failed sync ends the process. */
MUST_USE enum err store_commit(struct store *s, const struct batch *first);
/* At the opening: commits that are in no file yet become a tail again. */
MUST_USE enum err store_replay(struct store *s);
/* The number of the last commit that the disk holds. */
MUST_USE enum err store_last_commit(struct store *s, uint64_t *number);
/* Freezes the active tail unless it is empty or another is frozen: it becomes files. */
MUST_USE enum err store_freeze(struct store *s);
uint64_t store_tail_bytes(const struct store *s); /* of the active one */
/* Everything into files, for a quick start the next time; waits for it. */
MUST_USE enum err store_settle(struct store *s);

/* ---- open and close ---- */

/* Opens for reading and writing, or for reading only. On an error s->db is NULL and the error is
 * logged. */
MUST_USE enum err store_open_db(struct store *s, bool read_only);
void store_close_db(struct store *s);

/* What RocksDB says of a failure, in its text only. A failed sync ends the process here. */
void store_check_sync(const char *error);
MUST_USE enum err store_judge(const char *error);

/* Logs the failure of an opening or a read, frees RocksDB's text. ERR_CORRUPT or ERR_IO. */
MUST_USE enum err store_complain(const char *event, const struct store *s, char *rocksdb_error);

/* After a failed write: writes, syncs and removes a file beside the database. False: not yet. */
bool store_probe(const struct store *s);
/* Closes and opens: what the disk holds is the truth then. Should it hold a batch that was answered
 * with an error, the process ends, since every actor decided on its absence. On an error the store
 * can be read if that is possible at all. Log's thread. */
MUST_USE enum err store_reopen(struct store *s);

/* ---- what RocksDB's C interface lacks ---- */

/* Hear of errors in its background, and keep it from resuming by
 * itself. fn is called on any of its threads. */
typedef void store_background_fn(void *ctx, const char *error);
void store_shim_listen(rocksdb_options_t *o, store_background_fn *fn, void *ctx);
/* RocksDB's notes go where fn puts them, and into no file; details: not only warnings. */
typedef void store_note_fn(bool warning, const char *text);
void store_shim_log(rocksdb_options_t *o, store_note_fn *fn, bool details);
/* A writer whose files stay in the page cache: they are read soon. */
rocksdb_sstfilewriter_t *store_shim_table_writer(const rocksdb_options_t *o);
/* Takes in the files, one for each of n families, all of them or none. The files are gone then.
 * error: as RocksDB sets it. */
void store_shim_ingest(rocksdb_t *db, rocksdb_column_family_handle_t *const *cfs,
                       const char *const *paths, size_t n, char **error);

#endif
