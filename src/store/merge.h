/* merge.h - a range as if the rows of the tails lay in RocksDB already. */
#ifndef PARLEY_STORE_MERGE_H
#define PARLEY_STORE_MERGE_H

#include <rocksdb/c.h>
#include "store/tail.h"
#include "store/view.h"

/* In rising order of keys, one row per key: that of the first tail that has it, else RocksDB's;
 * deleted ones are left out. Ends when fn says so. it: at its first row; NULL: tails only. */
void merge_scan(struct tail_cursor *tails, uint32_t tails_len, rocksdb_iterator_t *it,
                view_row_fn *fn, void *ctx);

#endif
