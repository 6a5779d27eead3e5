#include "server/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static enum err complain(const char *path, const char *what)
{
    log_error("secret_key", "\"path\":%s,\"problem\":%s", log_str(sv_from(path)),
              log_str(sv_from(what)));
    return ERR_IO;
}

/* Written beside and linked, synced: a crash leaves no key or the whole key, and of two processes
 * that start at once the second finds the first one's. */
static enum err create(const char *data_dir, const char *path)
{
    char temporary[4096];
    uint8_t key[32];
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (getrandom(key, sizeof key, 0) != sizeof key)
        return complain(path, "no randomness");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain(temporary, strerror(errno));
    bool ok = write(fd, key, sizeof key) == sizeof key && fsync(fd) == 0;
    close(fd);
    ok = ok && (link(temporary, path) == 0 || errno == EEXIST);
    int why = errno;
    unlink(temporary);
    if (!ok)
        return complain(path, strerror(why));
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return complain(data_dir, strerror(errno));
    ok = fsync(dir) == 0;
    close(dir);
    return ok ? ERR_OK : complain(data_dir, strerror(errno));
}

enum err secret_load(const char *data_dir, bool may_create, uint8_t out[32])
{
    char path[4000];
    snprintf(path, sizeof path, "%s/secret.key", data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && may_create) {
        TRY(create(data_dir, path));
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT) {
        complain(path, "gone, but the store is there: restore it from a backup, or all tokens are "
                       "lost");
        return ERR_CORRUPT;
    }
    if (fd < 0)
        return complain(path, strerror(errno));
    uint8_t extra;
    bool whole = read(fd, out, 32) == 32 && read(fd, &extra, 1) == 0;
    close(fd);
    if (!whole) {
        complain(path, "not 32 bytes: restore it from a backup, or all tokens are lost");
        return ERR_CORRUPT;
    }
    return ERR_OK;
}
