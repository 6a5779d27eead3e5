/* faultfs.c - a FUSE file system that passes everything through to a directory, except for what it
 * was told to break. It stands below the real RocksDB, so that tests see what a bad disk does and
 * not what a flag above the store would.
 *
 *     faultfs DIRECTORY MOUNTPOINT     in the foreground; SIGTERM unmounts
 *
 * Control: write lines to MOUNTPOINT/.faultfs (not listed in its directory), read it for counts.
 *     clear                        no rule, space as it is below
 *     full on|off                  as a full disk: creating and growing fails with ENOSPC, statfs
 *                                  says 0 free
 *     free PERCENT                 what statfs says is free
 *     rule OP ACTION [match=GLOB] [after=N] [times=N]
 *         OP      write create read fsync fallocate rename truncate
 *         ACTION  enospc, eio, delay=MS, short=BYTES (of a write; the rest is for the next write);
 *                 late: the error is told of a write that was done
 *         match   against the path below the mount point; default: every file
 *         after   lets N calls pass first; times: then strikes N calls (default: for ever)
 *     reset                        counts start again
 * The first rule that matches and has not passed is the one that counts. */
#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { rules_max = 64, files_max = 4096, path_max = 256, text_max = 1 << 18 };

enum op { OP_WRITE, OP_CREATE, OP_READ, OP_FSYNC, OP_FALLOCATE, OP_RENAME, OP_TRUNCATE, OPS };
static const char *const op_names[OPS] = {"write",     "create", "read",    "fsync",
                                          "fallocate", "rename", "truncate"};

struct rule {
    enum op op;
    int error;         /* 0: none */
    int64_t delay_ms;  /* 0: none */
    int64_t short_len; /* -1: none */
    int64_t after, times;
    bool late;
    char match[path_max];
};

struct file_count {
    char path[path_max];
    uint64_t calls[OPS], bytes;
};

static const char control_path[] = "/.faultfs";
static int root_fd;

/* Everything below is guarded by the lock; libfuse calls from many threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[rules_max];
static size_t rules_len;
static bool full;
static int64_t free_percent = -1;
static struct file_count files[files_max];
static size_t files_len;
static uint64_t struck;

/* ---- rules ---- */

static struct file_count *count_of(const char *path)
{
    for (size_t i = 0; i < files_len; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    if (files_len == files_max || strlen(path) >= path_max)
        return NULL;
    strcpy(files[files_len].path, path);
    return &files[files_len++];
}

static struct rule *strike(enum op op, const char *path)
{
    for (size_t i = 0; i < rules_len; i++) {
        struct rule *r = &rules[i];
        if (r->op != op || r->times == 0 || fnmatch(r->match, path, 0) != 0)
            continue;
        if (r->after > 0) {
            r->after--;
            return NULL;
        }
        if (r->times > 0)
            r->times--;
        return r;
    }
    return NULL;
}

static void wait_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* Counts the call and says what becomes of it: 0 or a negative errno. *len may shrink. */
static int judge_late(enum op op, const char *path, size_t *len, bool *late)
{
    int64_t delay_ms = 0;
    int error = 0;
    pthread_mutex_lock(&lock);
    struct file_count *c = count_of(path);
    if (c != NULL) {
        c->calls[op]++;
        c->bytes += op == OP_WRITE ? *len : 0;
    }
    if (full && (op == OP_WRITE || op == OP_CREATE || op == OP_FALLOCATE))
        error = ENOSPC;
    struct rule *r = strike(op, path);
    if (r != NULL) {
        struck++;
        delay_ms = r->delay_ms;
        error = r->error != 0 ? r->error : error;
        *late = r->late;
        if (r->short_len >= 0 && len != NULL && (size_t)r->short_len < *len)
            *len = (size_t)r->short_len;
    }
    pthread_mutex_unlock(&lock);
    if (delay_ms > 0)
        wait_ms(delay_ms);
    return -error;
}

static int judge(enum op op, const char *path, size_t *len)
{
    bool late = false;
    return judge_late(op, path, len, &late);
}

/* ---- control ---- */

static bool parse_number(const char *word, const char *name, int64_t *out)
{
    size_t n = strlen(name);
    if (strncmp(word, name, n) != 0 || word[n] != '=')
        return false;
    char *end;
    *out = strtoll(word + n + 1, &end, 10);
    return *end == '\0' && end != word + n + 1;
}

static int parse_rule(char *words)
{
    struct rule r = {.op = OPS, .short_len = -1, .times = -1, .match = "*"};
    char *save, *op = strtok_r(words, " ", &save);
    bool acts = false;
    for (int i = 0; op != NULL && i < OPS; i++) {
        if (strcmp(op, op_names[i]) == 0)
            r.op = (enum op)i;
    }
    if (r.op == OPS || rules_len == rules_max)
        return -EINVAL;
    for (char *w; (w = strtok_r(NULL, " ", &save)) != NULL;) {
        if (strcmp(w, "enospc") == 0 || strcmp(w, "eio") == 0) {
            r.error = w[1] == 'n' ? ENOSPC : EIO;
            acts = true;
        } else if (parse_number(w, "delay", &r.delay_ms) ||
                   parse_number(w, "short", &r.short_len)) {
            acts = true;
        } else if (strcmp(w, "late") == 0) {
            r.late = true;
        } else if (strncmp(w, "match=", 6) == 0 && strlen(w) < path_max) {
            strcpy(r.match, w + 6);
        } else if (!parse_number(w, "after", &r.after) && !parse_number(w, "times", &r.times)) {
            return -EINVAL;
        }
    }
    if (!acts)
        return -EINVAL;
    rules[rules_len++] = r;
    return 0;
}

static int obey_line(char *line)
{
    if (strcmp(line, "clear") == 0) {
        rules_len = 0;
        full = false;
        free_percent = -1;
    } else if (strcmp(line, "reset") == 0) {
        files_len = 0;
        struck = 0;
        memset(files, 0, sizeof files);
    } else if (strcmp(line, "full on") == 0 || strcmp(line, "full off") == 0) {
        full = line[6] == 'n';
    } else if (strncmp(line, "free ", 5) == 0) {
        free_percent = strtoll(line + 5, NULL, 10);
    } else if (strncmp(line, "rule ", 5) == 0) {
        return parse_rule(line + 5);
    } else {
        return -EINVAL;
    }
    return 0;
}

/* A command file is short and comes in one write. */
static int obey(const char *text, size_t len)
{
    char copy[4096], *save;
    if (len >= sizeof copy)
        return -EINVAL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    int err = 0;
    pthread_mutex_lock(&lock);
    for (char *line = strtok_r(copy, "\n", &save); line != NULL && err == 0;
         line = strtok_r(NULL, "\n", &save))
        err = obey_line(line);
    pthread_mutex_unlock(&lock);
    return err == 0 ? (int)len : err;
}

/* One line per file that was touched: path, then a count per kind of call, then bytes written. */
static int report(char *out, size_t size, off_t offset)
{
    static char text[text_max];
    size_t len = 0;
    pthread_mutex_lock(&lock);
    len += (size_t)snprintf(text, sizeof text, "struck %llu\n", (unsigned long long)struck);
    for (size_t i = 0; i < files_len && len + 512 < sizeof text; i++) {
        const struct file_count *f = &files[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", f->path);
        for (int k = 0; k < OPS; k++)
            len += (size_t)snprintf(text + len, sizeof text - len, " %s=%llu", op_names[k],
                                    (unsigned long long)f->calls[k]);
        len += (size_t)snprintf(text + len, sizeof text - len, " bytes=%llu\n",
                                (unsigned long long)f->bytes);
    }
    size_t n = (size_t)offset >= len ? 0 : len - (size_t)offset;
    n = n < size ? n : size;
    memcpy(out, text + offset, n);
    pthread_mutex_unlock(&lock);
    return (int)n;
}

static bool is_control(const char *path)
{
    return path != NULL && strcmp(path, control_path) == 0;
}

/* ---- the file system ---- */

static const char *below(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int done(int result)
{
    return result < 0 ? -errno : 0;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    if (is_control(path)) {
        *st = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
        return 0;
    }
    if (fi != NULL && fi->fh != 0)
        return done(fstat((int)fi->fh, st));
    return done(fstatat(root_fd, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
    fi->direct_io = 1; /* each read and write of the caller arrives here, with its own length */
    if (is_control(path))
        return 0;
    int fd = openat(root_fd, below(path), (fi->flags & ~(O_NOFOLLOW | O_APPEND)) | O_CLOEXEC);
    fi->fh = (uint64_t)fd;
    return done(fd);
}

static int fs_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    if (is_control(path))
        return fs_open(path, fi);
    int err = judge(OP_CREATE, path, NULL);
    if (err != 0)
        return err;
    fi->direct_io = 1;
    int fd = openat(root_fd, below(path), (fi->flags & ~O_APPEND) | O_CREAT | O_CLOEXEC, mode);
    fi->fh = (uint64_t)fd;
    return done(fd);
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
    return is_control(path) ? 0 : done(close((int)fi->fh));
}

static int fs_read(const char *path, char *buf, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    if (is_control(path))
        return report(buf, size, offset);
    int err = judge(OP_READ, path, &size);
    if (err != 0)
        return err;
    ssize_t n = pread((int)fi->fh, buf, size, offset);
    return n < 0 ? -errno : (int)n;
}

static int fs_write(const char *path, const char *buf, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    if (is_control(path))
        return obey(buf, size);
    bool late = false;
    int err = judge_late(OP_WRITE, path, &size, &late);
    if (err != 0 && !late)
        return err;
    ssize_t n = pwrite((int)fi->fh, buf, size, offset);
    if (err != 0)
        return err;
    return n < 0 ? -errno : (int)n;
}

static int fs_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    int err = is_control(path) ? 0 : judge(OP_FSYNC, path, NULL);
    if (err != 0 || is_control(path))
        return err;
    return done(data_only ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int fs_fsyncdir(const char *path, int data_only, struct fuse_file_info *fi)
{
    (void)fi;
    (void)data_only;
    int err = judge(OP_FSYNC, path, NULL);
    if (err != 0)
        return err;
    int fd = openat(root_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = done(fsync(fd));
    close(fd);
    return err;
}

static int fs_fallocate(const char *path, int mode, off_t offset, off_t len,
                        struct fuse_file_info *fi)
{
    int err = judge(OP_FALLOCATE, path, NULL);
    return err != 0 ? err : done(fallocate((int)fi->fh, mode, offset, len));
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    int judged = is_control(path) ? 0 : judge(OP_TRUNCATE, path, NULL);
    if (judged != 0 || is_control(path))
        return judged;
    if (fi != NULL)
        return done(ftruncate((int)fi->fh, size));
    int fd = openat(root_fd, below(path), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = done(ftruncate(fd, size));
    close(fd);
    return err;
}

static int fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)offset;
    (void)fi;
    (void)flags;
    int fd = openat(root_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL)
        return -errno;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        fill(buf, e->d_name, NULL, 0, 0);
    closedir(d);
    return 0;
}

static int fs_mkdir(const char *path, mode_t mode)
{
    int err = judge(OP_CREATE, path, NULL);
    return err != 0 ? err : done(mkdirat(root_fd, below(path), mode));
}

static int fs_mknod(const char *path, mode_t mode, dev_t dev)
{
    int err = judge(OP_CREATE, path, NULL);
    return err != 0 ? err : done(mknodat(root_fd, below(path), mode, dev));
}

static int fs_unlink(const char *path)
{
    return done(unlinkat(root_fd, below(path), 0));
}

static int fs_rmdir(const char *path)
{
    return done(unlinkat(root_fd, below(path), AT_REMOVEDIR));
}

static int fs_rename(const char *from, const char *to, unsigned flags)
{
    int err = judge(OP_RENAME, from, NULL);
    return err != 0 ? err : done(renameat2(root_fd, below(from), root_fd, below(to), flags));
}

static int fs_link(const char *from, const char *to)
{
    int err = judge(OP_CREATE, to, NULL);
    return err != 0 ? err : done(linkat(root_fd, below(from), root_fd, below(to), 0));
}

static int fs_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    (void)fi;
    return done(fchmodat(root_fd, below(path), mode, 0));
}

static int fs_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
    (void)fi;
    return done(utimensat(root_fd, below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int fs_statfs(const char *path, struct statvfs *v)
{
    (void)path;
    if (fstatvfs(root_fd, v) != 0)
        return -errno;
    pthread_mutex_lock(&lock);
    if (full)
        v->f_bavail = v->f_bfree = 0;
    else if (free_percent >= 0)
        v->f_bavail = v->f_bfree = v->f_blocks * (fsblkcnt_t)free_percent / 100;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* Caches off: tests change the files below, too. hard_remove: an unlinked open file lives in its
 * descriptor. */
static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *c)
{
    (void)conn;
    c->hard_remove = 1;
    c->entry_timeout = c->attr_timeout = c->negative_timeout = 0;
    puts("ready");
    fflush(stdout);
    return NULL;
}

static const struct fuse_operations operations = {.getattr = fs_getattr,
                                                  .open = fs_open,
                                                  .create = fs_create,
                                                  .release = fs_release,
                                                  .read = fs_read,
                                                  .write = fs_write,
                                                  .fsync = fs_fsync,
                                                  .fsyncdir = fs_fsyncdir,
                                                  .fallocate = fs_fallocate,
                                                  .truncate = fs_truncate,
                                                  .readdir = fs_readdir,
                                                  .mkdir = fs_mkdir,
                                                  .mknod = fs_mknod,
                                                  .unlink = fs_unlink,
                                                  .rmdir = fs_rmdir,
                                                  .rename = fs_rename,
                                                  .link = fs_link,
                                                  .chmod = fs_chmod,
                                                  .utimens = fs_utimens,
                                                  .statfs = fs_statfs,
                                                  .init = fs_init};

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: faultfs DIRECTORY MOUNTPOINT\n", stderr);
        return 2;
    }
    root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        fprintf(stderr, "faultfs: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    umask(0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that dies leaves no mount behind */
    char *args[] = {argv[0], "-f", "-o", "fsname=faultfs,default_permissions", argv[2], NULL};
    return fuse_main(5, args, &operations, NULL);
}
