/* reopen.c - what failures mean, and the way back. After a failed write the log on disk may end in
 * a torn record, and RocksDB's own resume would write on behind it. Closing and opening goes the
 * way that a crash goes, which is the one that is tested most: what the disk holds is the truth. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"

enum { exit_recover = 70, probe_piece_bytes = 65536, probe_pieces = 16 };

/* From here only what is on disk is known for sure: end, and recover from it. */
static _Noreturn void end_process(const char *event, const char *problem)
{
    static uint32_t ending; /* the first of several threads to see it says so and ends */
    if (__atomic_exchange_n(&ending, 1, __ATOMIC_ACQ_REL) == 0) {
        log_error(event, "\"problem\":%s", log_str(sv_from(problem)));
        log_stop();
        _exit(exit_recover);
    }
    for (;;)
        pause();
}

/* A sync that failed may have thrown away what the kernel held; a second one would not tell. */
void store_check_sync(const char *error)
{
    /* RocksDB's contexts, at their place: file names, which may hold anything, follow them. */
    if (strstr(error, ": While fdatasync") != NULL || strstr(error, ": While fsync") != NULL)
        end_process("store_sync_failed", error);
}

enum err store_judge(const char *error)
{
    store_check_sync(error);
    bool space = strstr(error, "No space") != NULL || strstr(error, "Space limit") != NULL;
    log_error("store_failed", "\"problem\":%s", log_str(sv_from(error)));
    return space ? ERR_DISK_FULL : ERR_STORAGE_UNAVAILABLE;
}

static bool write_probe(int fd)
{
    static const char piece[probe_piece_bytes];
    for (int i = 0; i < probe_pieces; i++) {
        if (write(fd, piece, sizeof piece) != (ssize_t)sizeof piece)
            return false;
    }
    return fdatasync(fd) == 0;
}

bool store_probe(const struct store *s)
{
    char path[sizeof s->path + 8];
    snprintf(path, sizeof path, "%s.probe", s->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool ok = write_probe(fd);
    ok = close(fd) == 0 && ok;
    return unlink(path) == 0 && ok;
}

/* The tails stay as they are: they hold what was answered, and so must the disk. */
static enum err open_and_compare(struct store *s)
{
    uint64_t last;
    TRY(store_open_db(s, false));
    enum err err = store_last_commit(s, &last);
    if (err != ERR_OK)
        store_close_db(s);
    else if (last > s->committed)
        end_process("store_surfaced", "a batch whose write failed is there after all");
    else if (last < s->committed)
        end_process("store_lost", "a batch that was answered is not there any more");
    return err;
}

enum err store_reopen(struct store *s)
{
    uint64_t started_us = clock_mono_us();
    pthread_rwlock_wrlock(&s->opened);
    store_close_db(s);
    __atomic_store_n(&s->background_failed, 0, __ATOMIC_RELEASE);
    enum err err = open_and_compare(s);
    if (err != ERR_OK)
        (void)!store_open_db(s, true);
    pthread_rwlock_unlock(&s->opened);
    if (err != ERR_OK)
        return err;
    ingest_wake(s);
    if (stage_frozen(&s->stages) != NULL && !ingest_wait(s)) /* it was that, and still is */
        return ERR_STORAGE_UNAVAILABLE;
    log_info("store_reopened", "\"took_ms\":%llu",
             (unsigned long long)((clock_mono_us() - started_us) / 1000));
    return ERR_OK;
}
