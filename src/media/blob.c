#include "media/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/log.h"

enum {
    name_max = 32,
    /* The kernel begins to write so much at a time while more arrives, so that the sync at the end
     * has little left to wait for. */
    write_back_bytes = 8 << 20
};

static enum err failed(const char *what)
{
    int why = errno;
    log_warn("file_failed", "\"call\":\"%s\",\"problem\":%s", what,
             log_str(sv_from(strerror(why))));
    return why == ENOSPC || why == EDQUOT ? ERR_STORAGE_FULL : ERR_SERVICE_UNAVAILABLE;
}

/* ---- names ---- */

void sha256_hex(char out[sha256_hex_len + 1], const uint8_t sha256[sha256_bytes])
{
    hex_write(out, sha256, sha256_bytes);
    out[sha256_hex_len] = '\0';
}

void blob_path(char out[blob_path_bytes], const uint8_t sha256[sha256_bytes])
{
    char hex[sha256_hex_len + 1];
    sha256_hex(hex, sha256);
    snprintf(out, blob_path_bytes, "%.2s/%.2s/%s", hex, hex + 2, hex + 4);
}

static void temporary_name(char out[name_max], uint64_t number)
{
    snprintf(out, name_max, "%llu", (unsigned long long)number);
}

/* ---- start ---- */

static enum err make_directory(int at, const char *name, int *fd)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return failed("mkdir");
    *fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? failed("open") : ERR_OK;
}

static enum err remove_temporaries(const struct blobs *b)
{
    int fd = openat(b->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return failed("opendir");
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.')
            (void)unlinkat(b->tmp, e->d_name, 0);
    }
    closedir(dir);
    return ERR_OK;
}

enum err blobs_open(struct blobs *b, const char *data_directory)
{
    *b = (struct blobs){.root = -1, .tmp = -1};
    int data = open(data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return failed("open");
    enum err err = make_directory(data, "blobs", &b->root);
    if (err == ERR_OK && fsync(data) != 0)
        err = failed("fsync");
    close(data);
    TRY(err);
    TRY(make_directory(b->root, "tmp", &b->tmp));
    return remove_temporaries(b);
}

void blobs_close(struct blobs *b)
{
    if (b->root >= 0)
        close(b->root);
    if (b->tmp >= 0)
        close(b->tmp);
    b->root = b->tmp = -1;
}

/* ---- bytes that arrive ---- */

enum err blob_begin(struct blobs *b, struct blob_up *u)
{
    char name[name_max];
    *u = (struct blob_up){.fd = -1, .number = b->number++};
    temporary_name(name, u->number);
    u->fd = openat(b->tmp, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (u->fd < 0)
        return failed("open");
    SHA256_Init(&u->sha);
    return ERR_OK;
}

static void write_back(struct blob_up *u)
{
    if (u->length - u->written_back < write_back_bytes)
        return;
    /* A hint: what it cannot do the sync does. */
    (void)sync_file_range(u->fd, (off_t)u->written_back, (off_t)(u->length - u->written_back),
                          SYNC_FILE_RANGE_WRITE);
    u->written_back = u->length;
}

enum err blob_write(struct blob_up *u, const void *p, uint32_t len)
{
    for (uint32_t done = 0; done < len;) {
        ssize_t n = write(u->fd, (const char *)p + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed("write");
        done += (uint32_t)n;
    }
    SHA256_Update(&u->sha, p, len);
    u->length += len;
    write_back(u);
    return ERR_OK;
}

size_t blob_head(const struct blob_up *u, void *p, size_t max)
{
    ssize_t n = pread(u->fd, p, max, 0);
    return n < 0 ? 0 : (size_t)n;
}

enum err blob_sync(struct blob_up *u, uint8_t sha256[sha256_bytes])
{
    if (fdatasync(u->fd) != 0)
        return failed("fdatasync"); /* it is dropped, never synced again: its pages may be lost */
    SHA256_Final(sha256, &u->sha);
    return ERR_OK;
}

static enum err sync_directory(const struct blobs *b, const char *path)
{
    int fd = openat(b->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed("open");
    enum err err = fsync(fd) == 0 ? ERR_OK : failed("fsync");
    close(fd);
    return err;
}

static enum err make_if_absent(const struct blobs *b, const char *path)
{
    return mkdirat(b->root, path, 0700) == 0 || errno == EEXIST ? ERR_OK : failed("mkdir");
}

/* All that leads to it, from below. Also directories that were there already: the sync of who made
 * them may have failed. */
static enum err sync_way(const struct blobs *b, const char *above, const char *directory)
{
    TRY(sync_directory(b, directory));
    TRY(sync_directory(b, above));
    return sync_directory(b, ".");
}

enum err blob_place(struct blobs *b, struct blob_up *u, const uint8_t sha256[sha256_bytes])
{
    char path[blob_path_bytes], name[name_max], above[3], directory[6];
    blob_path(path, sha256);
    temporary_name(name, u->number);
    snprintf(above, sizeof above, "%.2s", path);
    snprintf(directory, sizeof directory, "%.5s", path);
    enum err err = make_if_absent(b, above);
    if (err == ERR_OK)
        err = make_if_absent(b, directory);
    if (err == ERR_OK && renameat(b->tmp, name, b->root, path) != 0)
        err = failed("rename");
    if (err != ERR_OK) {
        blob_drop(b, u);
        return err;
    }
    blob_leave(u);
    err = sync_way(b, above, directory);
    if (err != ERR_OK)
        (void)unlinkat(b->root, path, 0);
    return err;
}

void blob_drop(struct blobs *b, struct blob_up *u)
{
    char name[name_max];
    if (u->fd < 0)
        return;
    temporary_name(name, u->number);
    if (unlinkat(b->tmp, name, 0) != 0)
        (void)failed("unlink");
    blob_leave(u);
}

void blob_leave(struct blob_up *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

/* ---- bytes that are there ---- */

static enum err missing(const char *path, const char *problem)
{
    log_error("blob_damaged", "\"path\":\"%s\",\"problem\":\"%s\"", path, problem);
    return ERR_CORRUPT;
}

bool blob_is_there(const struct blobs *b, const uint8_t sha256[sha256_bytes], uint64_t length)
{
    char path[blob_path_bytes];
    struct stat st;
    blob_path(path, sha256);
    return fstatat(b->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == length;
}

enum err blob_open(const struct blobs *b, const uint8_t sha256[sha256_bytes], uint64_t length,
                   int *fd)
{
    char path[blob_path_bytes];
    struct stat st;
    blob_path(path, sha256);
    int got = openat(b->root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (got < 0)
        return errno == ENOENT ? missing(path, "absent") : failed("open");
    if (fstat(got, &st) != 0 || (uint64_t)st.st_size != length) {
        close(got);
        return missing(path, "not as long as it was");
    }
    (void)posix_fadvise(got, 0, 0, POSIX_FADV_SEQUENTIAL);
    *fd = got;
    return ERR_OK;
}

enum err blob_read(int fd, uint64_t offset, void *p, uint32_t len)
{
    for (uint32_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)p + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed("read");
        if (n == 0)
            return missing("", "cut while it was read");
        done += (uint32_t)n;
    }
    return ERR_OK;
}

enum err blob_remove(const struct blobs *b, const uint8_t sha256[sha256_bytes])
{
    char path[blob_path_bytes];
    blob_path(path, sha256);
    return unlinkat(b->root, path, 0) == 0 || errno == ENOENT ? ERR_OK : failed("unlink");
}
