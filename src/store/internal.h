/* store/internal.h - shared by the files of store/ only: the open database. */
#ifndef PARLEY_STORE_INTERNAL_H
#define PARLEY_STORE_INTERNAL_H

#include <rocksdb/c.h>
#include "store/batch.h"
#include "store/store.h"

struct store {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *cfs[CF_COUNT];
    rocksdb_options_t *options[CF_COUNT];
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write_sync;
    rocksdb_readoptions_t *read;
    char path[512];
};

/* Appends the batch's rows to wb. */
void store_gather(const struct store *s, const struct batch *b, rocksdb_writebatch_t *wb);

/* RocksDB's C interface lacks DB::Resume; true: writes may be tried again. */
bool store_shim_resume(rocksdb_t *db);

#endif
