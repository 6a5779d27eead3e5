/* ingest.h - the thread that turns the frozen tail into sorted files: one per family, the newest
 * version of each key, deletions as such. RocksDB takes all of them in at once; then the records of
 * the log up to the tail's last are deleted, and readers go on without the tail.
 *
 * A crash between any two of these steps costs only the work: the records are there until the files
 * are, and keys are absolute, so that the same rows may be taken in twice. A failure is a failure
 * of RocksDB's background: writes stop, the store is opened again (reopen.c), and it is tried anew.
 */
#ifndef PARLEY_STORE_INGEST_H
#define PARLEY_STORE_INGEST_H

#include <pthread.h>
#include "base/err.h"
#include "store/tail.h"

struct store;

struct ingest {
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of due and stop */
    pthread_cond_t changed;
    bool due, stop;
    uint64_t runs,
        waits; /* tails taken in, atomic; times the writer waited for one, the writer's */
};

void ingest_init(struct ingest *i);
void ingest_deinit(struct ingest *i);
MUST_USE enum err ingest_start(struct store *s);
void ingest_stop(struct store *s); /* finishes what it has begun; NULL thread is fine */

/* For the frozen tail, if there is one: new, or it failed before. Writer's thread, as the next. */
void ingest_wake(struct store *s);
/* Until nothing is under way. False: there is a frozen tail still, since it failed. */
bool ingest_wait(struct store *s);

/* The record that says up to which commit everything is in files: key 0, before every commit's. */
enum { log_key_bytes = 8 };
static inline void log_key(struct key *k, uint64_t number)
{
    uint64_t big_endian = __builtin_bswap64(number); /* x86-64 is little-endian */
    k->len = log_key_bytes;
    memcpy(k->b, &big_endian, log_key_bytes);
}

#endif
