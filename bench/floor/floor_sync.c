/* floor_sync - how fast the disk takes a write that must stay: append and fdatasync, in space that
 * was allocated ahead as RocksDB's log does it, and the same over a file that is written already.
 * A post cannot be answered sooner than one of these. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { file_bytes = 32 * 1024 * 1024, fill_bytes = 1024 * 1024 };
enum { N_BYTES };

static struct floor_number numbers[] = {
    [N_BYTES] = {"bytes", 4096, 1, 1048576, "bytes of one write"}};

struct phase {
    uint64_t writes, cpu_ns, elapsed_us;
    struct hist_log us;
};

/* Of the file at work; empty: none. At file scope for atexit. */
static char path[4096];

static void remove_file(void)
{
    if (path[0] != '\0')
        unlink(path);
    path[0] = '\0';
}

/* The file keeps its name while it is used: syncs of a nameless one are slower on ext4. */
static int open_file(const struct floor *f)
{
    snprintf(path, sizeof path, "%s/floor_sync.XXXXXX", f->dir);
    int fd = mkstemp(path);
    if (fd < 0) {
        int error = errno;
        path[0] = '\0';
        floor_die("floor_sync: the file", error);
    }
    return fd;
}

static void allocate(int fd)
{
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, file_bytes) != 0 && errno != EOPNOTSUPP)
        floor_die("floor_sync: fallocate", errno);
}

static void write_at(int fd, const uint8_t *p, size_t n, uint64_t at)
{
    ssize_t done = pwrite(fd, p, n, (off_t)at);
    if (done != (ssize_t)n)
        floor_die("floor_sync: write", done < 0 ? errno : ENOSPC);
}

static void run(struct phase *p, int fd, const uint8_t *block, size_t n, bool append,
                uint64_t seconds)
{
    uint64_t began_us = clock_mono_us(), now_us = began_us, at = 0;
    uint64_t cpu_ns = floor_thread_cpu_ns();
    while (now_us < began_us + seconds * 1000000) {
        uint64_t from_us = now_us;
        write_at(fd, block, n, at);
        if (fdatasync(fd) != 0)
            floor_die("floor_sync: fdatasync", errno);
        now_us = clock_mono_us();
        hist_log_add(&p->us, now_us - from_us);
        p->writes++;
        at += n;
        if (at + n > file_bytes) { /* an appender begins a new file, as a log does */
            at = 0;
            if (append && ftruncate(fd, 0) != 0)
                floor_die("floor_sync: truncate", errno);
            if (append)
                allocate(fd);
        }
    }
    p->cpu_ns = floor_thread_cpu_ns() - cpu_ns;
    p->elapsed_us = now_us - began_us;
}

static void report(struct report *r, const struct phase *p, const char *rate, const char *us,
                   const char *cpu)
{
    report_real(r, rate, (double)p->writes * 1e6 / (double)p->elapsed_us);
    report_hist(r, us, &p->us);
    report_real(r, cpu, floor_us(p->cpu_ns, p->writes));
}

int main(int argc, char **argv)
{
    static struct floor f;
    static struct phase append, overwrite;
    static uint8_t block[fill_bytes];
    floor_begin(&f, argc, argv, "the disk's rate of synced writes", numbers, ARRAY_LEN(numbers));
    size_t n = numbers[N_BYTES].value;
    uint64_t half = MAX(f.seconds / 2, (uint64_t)1);
    memset(block, 'x', sizeof block);
    atexit(remove_file);
    int fd = open_file(&f);
    allocate(fd);
    run(&append, fd, block, n, true, half);
    close(fd);
    remove_file();
    fd = open_file(&f);
    for (uint64_t at = 0; at < file_bytes; at += fill_bytes)
        write_at(fd, block, fill_bytes, at);
    if (fsync(fd) != 0)
        floor_die("floor_sync: fsync", errno);
    run(&overwrite, fd, block, n, false, half);
    close(fd);
    report_u64(&f.report, "write_size", n);
    report(&f.report, &append, "append_syncs_per_s", "append_sync_us", "append_cpu_us_per_sync");
    report(&f.report, &overwrite, "overwrite_syncs_per_s", "overwrite_sync_us",
           "overwrite_cpu_us_per_sync");
    return floor_end(&f);
}
