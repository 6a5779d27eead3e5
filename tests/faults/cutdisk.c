/* cutdisk.c - a FUSE file system with one file, "disk", to put under a loop device: it holds what
 * was written since the last flush apart from what was flushed, as a drive with a write cache does,
 * and can lose power.
 *
 *     cutdisk IMAGE MOUNTPOINT     in the foreground; SIGTERM unmounts
 *
 * IMAGE always holds exactly what survived: everything up to the last flush. Control: write a line
 * to MOUNTPOINT/control, read it for counts.
 *     cut SEED     the power goes: of the sectors written since the last flush a seeded subset
 *                  reaches IMAGE, the others are lost; every later call fails with EIO
 * A flush takes a millisecond, as a drive's does, so that a cut can fall into it. */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { sector_bytes = 512, pending_max = 1 << 20, flush_ns = 1000000 };

static int image_fd;
static uint64_t image_bytes;

/* Guarded by the lock; libfuse calls from many threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t **pending; /* by sector; NULL: as in the image */
static uint32_t *order;   /* sectors that are pending, oldest first */
static uint32_t order_len;
static bool dead;
static uint64_t writes, flushes, kept, dropped;

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool settle(uint32_t sector, bool keep)
{
    bool ok = !keep || pwrite(image_fd, pending[sector], sector_bytes,
                              (off_t)sector * sector_bytes) == sector_bytes;
    free(pending[sector]);
    pending[sector] = NULL;
    return ok;
}

static int flush(void)
{
    bool ok = true;
    for (uint32_t i = 0; i < order_len; i++)
        ok = settle(order[i], true) && ok;
    order_len = 0;
    flushes++;
    return ok ? 0 : -EIO;
}

/* Now and then all or nothing of the cache survives; otherwise each sector has the same chance. */
static int cut(uint64_t seed)
{
    uint64_t state = seed, chance = next_random(&state) % 6 * 20;
    bool ok = true;
    for (uint32_t i = 0; i < order_len; i++) {
        bool keep = next_random(&state) % 100 < chance;
        kept += keep;
        dropped += !keep;
        ok = settle(order[i], keep) && ok;
    }
    order_len = 0;
    dead = true;
    return ok ? 0 : -EIO;
}

/* Sector by sector; a part of one is laid over what was there. */
static int put(const uint8_t *p, size_t n, uint64_t offset)
{
    while (n > 0) {
        uint32_t sector = (uint32_t)(offset / sector_bytes);
        size_t at = offset % sector_bytes, part = sector_bytes - at;
        part = part < n ? part : n;
        if (pending[sector] == NULL) {
            if (order_len == pending_max || (pending[sector] = malloc(sector_bytes)) == NULL)
                return -EIO;
            order[order_len++] = sector;
            if (part < sector_bytes && pread(image_fd, pending[sector], sector_bytes,
                                             (off_t)sector * sector_bytes) != sector_bytes)
                return -EIO;
        }
        memcpy(pending[sector] + at, p, part);
        p += part;
        n -= part;
        offset += part;
    }
    return 0;
}

static int get(uint8_t *p, size_t n, uint64_t offset)
{
    if (pread(image_fd, p, n, (off_t)offset) != (ssize_t)n)
        return -EIO;
    for (uint64_t end = offset + n; offset < end;) {
        uint32_t sector = (uint32_t)(offset / sector_bytes);
        size_t at = offset % sector_bytes, part = sector_bytes - at;
        part = part < end - offset ? part : end - offset;
        if (pending[sector] != NULL)
            memcpy(p, pending[sector] + at, part);
        p += part;
        offset += part;
    }
    return 0;
}

/* ---- the file system ---- */

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    *st = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
    if (strcmp(path, "/") == 0)
        *st = (struct stat){.st_mode = S_IFDIR | 0700, .st_nlink = 2};
    else if (is_disk(path))
        st->st_size = (off_t)image_bytes;
    else if (strcmp(path, "/control") != 0)
        return -ENOENT;
    return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    fi->direct_io = 1;
    return 0;
}

static int report(char *buf, size_t size, off_t offset)
{
    char text[160];
    int len =
        snprintf(text, sizeof text, "writes %llu flushes %llu pending %u kept %llu dropped %llu\n",
                 (unsigned long long)writes, (unsigned long long)flushes, order_len,
                 (unsigned long long)kept, (unsigned long long)dropped);
    if (offset >= len)
        return 0;
    size_t n = (size_t)(len - offset) < size ? (size_t)(len - offset) : size;
    memcpy(buf, text + offset, n);
    return (int)n;
}

static int fs_read(const char *path, char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    (void)fi;
    pthread_mutex_lock(&lock);
    int result = -EIO;
    if (!is_disk(path)) {
        result = report(buf, size, offset);
    } else if (!dead) {
        uint64_t left = (uint64_t)offset < image_bytes ? image_bytes - (uint64_t)offset : 0;
        size = size < left ? size : (size_t)left;
        result = get((uint8_t *)buf, size, (uint64_t)offset);
        result = result == 0 ? (int)size : result;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int obey(const char *text, size_t len)
{
    char line[64];
    if (len >= sizeof line)
        return -EINVAL;
    memcpy(line, text, len);
    line[len] = '\0';
    if (strncmp(line, "cut ", 4) != 0)
        return -EINVAL;
    int err = cut(strtoull(line + 4, NULL, 10));
    return err == 0 ? (int)len : err;
}

static int fs_write(const char *path, const char *buf, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    (void)fi;
    pthread_mutex_lock(&lock);
    int result = -EIO;
    if (!is_disk(path)) {
        result = obey(buf, size);
    } else if (!dead && (uint64_t)offset + size <= image_bytes) {
        writes++;
        result = put((const uint8_t *)buf, size, (uint64_t)offset);
        result = result == 0 ? (int)size : result;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)data_only;
    (void)fi;
    nanosleep(&(struct timespec){.tv_nsec = flush_ns}, NULL);
    pthread_mutex_lock(&lock);
    int result = !is_disk(path) ? 0 : dead ? -EIO : flush();
    pthread_mutex_unlock(&lock);
    return result;
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    (void)path;
    (void)size;
    (void)fi;
    return 0; /* a shell's > control */
}

static int fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)path;
    (void)offset;
    (void)fi;
    (void)flags;
    fill(buf, "disk", NULL, 0, 0);
    fill(buf, "control", NULL, 0, 0);
    return 0;
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *c)
{
    (void)conn;
    (void)c;
    puts("ready");
    fflush(stdout);
    return NULL;
}

static const struct fuse_operations operations = {.getattr = fs_getattr,
                                                  .open = fs_open,
                                                  .read = fs_read,
                                                  .write = fs_write,
                                                  .fsync = fs_fsync,
                                                  .truncate = fs_truncate,
                                                  .readdir = fs_readdir,
                                                  .init = fs_init};

int main(int argc, char **argv)
{
    struct stat st;
    if (argc != 3) {
        fputs("usage: cutdisk IMAGE MOUNTPOINT\n", stderr);
        return 2;
    }
    image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (image_fd < 0 || fstat(image_fd, &st) != 0) {
        fprintf(stderr, "cutdisk: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    image_bytes = (uint64_t)st.st_size / sector_bytes * sector_bytes;
    pending = calloc(image_bytes / sector_bytes, sizeof *pending);
    order = calloc(pending_max, sizeof *order);
    if (pending == NULL || order == NULL)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that dies leaves no mount behind */
    char *args[] = {argv[0], "-f", "-o", "fsname=cutdisk", argv[2], NULL};
    return fuse_main(5, args, &operations, NULL);
}
