/* store/log.h - durability, seen from the deciders. Embedded: log_rocksdb.c, an actor whose turn
 * takes every LOG_APPEND that is queued (up to [store] batch_bytes_max and batch_requests_max),
 * writes them as one RocksDB batch with sync, and answers each. What arrives meanwhile, or was too
 * much, is the next commit. No timer, no waiting. Order: total per part. Atomic: a batch is whole
 * or absent. Exactly one answer per batch, in order per part.
 *
 * Failure before or at the write (no space, I/O error): every batch in flight is answered
 * ERR_STORAGE_UNAVAILABLE or ERR_DISK_FULL, and every later batch of that part with the same or a
 * lower epoch too, since it was decided on heads that do not exist. The decider drops what it
 * believed, raises its epoch and reloads. Each second the disk is tried; when it takes writes, the
 * store is closed and opened again (reads wait for that) and commits go on. Should it hold a batch
 * that was answered with an error, or should a sync ever fail, the process ends with 70 (log lines
 * store_surfaced, store_sync_failed) and recovers from disk at its next start. */
#ifndef PARLEY_STORE_LOG_H
#define PARLEY_STORE_LOG_H

#include "base/conf.h"
#include "ring/loop.h"
#include "store/batch.h"
#include "store/store.h"

enum log_msg {
    LOG_APPEND =
        1 /* request; u.p: struct batch *, lent until the answer. Answer: err; u.p the same batch */
};
enum { log_part_dir = 64, log_part_search = 65, log_part_media = 66, log_parts_max = 67 };

struct log;
MUST_USE enum err log_new(struct log **out, struct store *s, const struct conf *c);
void log_free(struct log *l);
extern const struct actor_ops log_actor_ops; /* self: struct log * */
/* Free space under [store] disk_free_min_percent, as last looked at (each second at most, and after
 * any error): deciders refuse writes up front. Any thread. */
bool log_disk_full(const struct log *l);

#endif
