/* media/test_faults.h - a disk that fails when told: the test is linked so that these calls of
 * media's come here (CMakeLists.txt). Only for *_test.c. */
#ifndef PARLEY_MEDIA_TEST_FAULTS_H
#define PARLEY_MEDIA_TEST_FAULTS_H

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"

/* 0: works. */
struct faults {
    int write, pread, fdatasync, fsync, rename; /* the errno of every such call */
    uint64_t room;                              /* bytes that are written before write fails */
    uint32_t interrupted;                       /* so many writes end with EINTR first */
};
static struct faults faults;

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_at, const char *from, int to_at, const char *to);
int __wrap_renameat(int from_at, const char *from, int to_at, const char *to);

static int fault(int err)
{
    errno = err;
    return -1;
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (!is_file(fd))
        return __real_write(fd, p, n);
    if (faults.interrupted > 0) {
        faults.interrupted--;
        return fault(EINTR);
    }
    if (faults.write == 0)
        return __real_write(fd, p, n);
    if (faults.room == 0)
        return fault(faults.write);
    n = MIN(n, faults.room);
    faults.room -= n;
    return __real_write(fd, p, n);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    return faults.pread != 0 ? fault(faults.pread) : __real_pread(fd, p, n, at);
}

int __wrap_fdatasync(int fd)
{
    return faults.fdatasync != 0 ? fault(faults.fdatasync) : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return faults.fsync != 0 ? fault(faults.fsync) : __real_fsync(fd);
}

int __wrap_renameat(int from_at, const char *from, int to_at, const char *to)
{
    return faults.rename != 0 ? fault(faults.rename) : __real_renameat(from_at, from, to_at, to);
}

#endif
