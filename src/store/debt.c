/* debt.c - what the store still has to do: files to merge, rows to make files of, log to read at
 * the next start. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/internal.h"

enum { dir_entries_max = 100000 };

static uint64_t level0_of(struct store *s, rocksdb_column_family_handle_t *cf)
{
    char *text = rocksdb_property_value_cf(s->db, cf, "rocksdb.num-files-at-level0");
    uint64_t n = text != NULL ? strtoull(text, NULL, 10) : 0;
    rocksdb_free(text);
    return n;
}

static uint64_t number_of(struct store *s, rocksdb_column_family_handle_t *cf, const char *name)
{
    uint64_t n = 0;
    return rocksdb_property_int_cf(s->db, cf, name, &n) == 0 ? n : 0;
}

static void add_family(struct store *s, rocksdb_column_family_handle_t *cf, struct store_debt *out)
{
    uint64_t level0 = level0_of(s, cf);
    out->level0_files += level0;
    out->level0_files_most = MAX(out->level0_files_most, level0);
    out->pending_compaction_bytes += number_of(s, cf, "rocksdb.estimate-pending-compaction-bytes");
    out->memtable_bytes += number_of(s, cf, "rocksdb.cur-size-all-mem-tables");
    out->file_bytes += number_of(s, cf, "rocksdb.live-sst-files-size");
}

/* RocksDB has no property for its log. */
static uint64_t wal_bytes(const struct store *s)
{
    uint64_t bytes = 0;
    DIR *d = opendir(s->path);
    if (d == NULL)
        return 0;
    struct dirent *e;
    for (int i = 0; i < dir_entries_max && (e = readdir(d)) != NULL; i++) {
        size_t len = strlen(e->d_name);
        struct stat st;
        if (len > 4 && memcmp(e->d_name + len - 4, ".log", 4) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)st.st_size;
    }
    closedir(d);
    return bytes;
}

bool store_debt(struct store *s, struct store_debt *out)
{
    *out = (struct store_debt){0};
    if (pthread_rwlock_tryrdlock(&s->opened) != 0)
        return false;
    bool open = s->db != NULL;
    if (open) {
        for (int i = 0; i < CF_COUNT; i++)
            add_family(s, s->cfs[i], out);
        add_family(s, s->log_cf, out);
        out->wal_bytes = wal_bytes(s);
    }
    pthread_rwlock_unlock(&s->opened);
    return open;
}
