/* store/store.h - opens and closes the one RocksDB of this process, and gives out views of it.
 * The only includer of RocksDB's headers is this room. */
#ifndef PARLEY_STORE_STORE_H
#define PARLEY_STORE_STORE_H

#include "base/conf.h"
#include "base/err.h"
#include "store/view.h"

struct store;

/* Opens or creates DATA/store. Says in the log what was recovered and how long it took. A lock file
 * keeps a second process out. Errors: ERR_IO (logged with RocksDB's text), ERR_BAD_CONF (newer
 * schema), ERR_CORRUPT (RocksDB, a row of its own or the log of commits is damaged), ERR_NOMEM,
 * ERR_STORAGE_UNAVAILABLE (commits that must become files on the way did not). */
MUST_USE enum err store_open(struct store **out, const struct conf *c);
void store_close(struct store *s); /* all views must be idle */
/* One view per reading thread. Borrowed from the store; freed with it. */
MUST_USE enum err store_view(struct store *s, struct view *out);
/* A write outside the log, for start-up before the actors run (schema, first team): synced. */
struct batch;
MUST_USE enum err store_write_sync(struct store *s, const struct batch *b);

/* What the store owes: work put off to its background, and what a start reads again. All families
 * together. */
struct store_debt {
    uint64_t level0_files, level0_files_most; /* most: of one family; merged from 8 on */
    uint64_t pending_compaction_bytes;
    uint64_t memtable_bytes, wal_bytes; /* the log of commits, in memory and on disk */
    uint64_t file_bytes;                /* sorted files */
};
/* For /metrics: looks into RocksDB and the directory, a millisecond perhaps. Any thread. False: the
 * store is being opened anew. */
bool store_debt(struct store *s, struct store_debt *out);

#endif
