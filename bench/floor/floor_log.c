/* floor_log - RocksDB as an append-only log: records in commit order, one synced batch each, at
 * several batch sizes. The least that RocksDB asks for a durable message. */
#include "floor.h"

#include <errno.h>
#include <ftw.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { record_bytes_max = 65536, memtable_bytes = 64 * 1024 * 1024, files_open_max = 16 };
enum { N_BYTES };

static struct floor_number numbers[] = {
    [N_BYTES] = {"bytes", 200, 1, record_bytes_max, "bytes of one record"}};

static const struct point {
    uint32_t batch;
    const char *cpu, *process, *rate, *us;
} points[] = {
#define POINT(n)                                                                                   \
    {                                                                                              \
        n, "cpu_us_per_record_" #n, "process_cpu_us_per_record_" #n, "records_per_s_" #n,          \
            "commit_us_" #n                                                                        \
    }
    POINT(1), POINT(8), POINT(64), POINT(512), POINT(4096)};

struct log {
    rocksdb_t *db;
    rocksdb_writeoptions_t *sync;
    uint64_t seq;
    char record[record_bytes_max];
    size_t record_len;
};

static void check(char *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "floor_log: %s\n", error);
    exit(1);
}

static void open_log(struct log *l, const char *path)
{
    char *error = NULL;
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_write_buffer_size(o, memtable_bytes);
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0); /* one writer */
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    l->db = rocksdb_open(o, path, &error);
    check(error);
    l->sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(l->sync, 1);
    rocksdb_options_destroy(o);
}

static void commit(struct log *l, rocksdb_writebatch_t *wb, uint32_t records)
{
    char *error = NULL;
    rocksdb_writebatch_clear(wb);
    for (uint32_t i = 0; i < records; i++) {
        uint64_t key = __builtin_bswap64(l->seq++); /* big end first: commit order is key order */
        memcpy(l->record, &l->seq, MIN(sizeof l->seq, l->record_len));
        rocksdb_writebatch_put(wb, (const char *)&key, sizeof key, l->record, l->record_len);
    }
    rocksdb_write(l->db, l->sync, wb, &error);
    check(error);
}

static void measure(struct log *l, struct report *r, const struct point *p, struct hist_log *us,
                    uint64_t length_us)
{
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    uint64_t began_us = clock_mono_us(), now_us = began_us, first = l->seq;
    uint64_t thread_ns = floor_thread_cpu_ns(), process_ns = floor_process_cpu_ns();
    while (now_us < began_us + length_us) {
        uint64_t from_us = now_us;
        commit(l, wb, p->batch);
        now_us = clock_mono_us();
        hist_log_add(us, now_us - from_us);
    }
    uint64_t n = l->seq - first;
    report_real(r, p->cpu, floor_us(floor_thread_cpu_ns() - thread_ns, n));
    report_real(r, p->process, floor_us(floor_process_cpu_ns() - process_ns, n));
    report_real(r, p->rate, (double)n * 1e6 / (double)(now_us - began_us));
    report_hist(r, p->us, us);
    rocksdb_writebatch_destroy(wb);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    static struct floor f;
    static struct log l;
    static struct hist_log us[ARRAY_LEN(points)];
    char path[4096];
    floor_begin(&f, argc, argv, "RocksDB appends in commit order, synced", numbers,
                ARRAY_LEN(numbers));
    snprintf(path, sizeof path, "%s/floor_log.XXXXXX", f.dir);
    if (mkdtemp(path) == NULL)
        floor_die(path, errno);
    l.record_len = numbers[N_BYTES].value;
    for (size_t i = 0; i < l.record_len; i++) /* as compressible as words */
        l.record[i] = (char)('a' + (i * 7 + i / 13) % 26);
    open_log(&l, path);
    report_u64(&f.report, "record_size", l.record_len);
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        measure(&l, &f.report, &points[i], &us[i], f.seconds * 1000000 / ARRAY_LEN(points));
    rocksdb_writeoptions_destroy(l.sync);
    rocksdb_close(l.db);
    nftw(path, remove_entry, files_open_max, FTW_DEPTH | FTW_PHYS);
    return floor_end(&f);
}
