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

/* Written beside and renamed, synced: a crash leaves either no key and no store, or the whole key.
 */
static enum err create(const char *data_dir, const char *path, uint8_t out[32])
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    if (getrandom(out, 32, 0) != 32)
        return complain(path, "no randomness");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain(temporary, strerror(errno));
    bool ok = write(fd, out, 32) == 32 && fsync(fd) == 0;
    close(fd);
    if (!ok || rename(temporary, path) != 0)
        return complain(path, strerror(errno));
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) != 0)
        return complain(data_dir, strerror(errno));
    close(dir);
    return ERR_OK;
}

enum err secret_load(const char *data_dir, uint8_t out[32])
{
    char path[4000];
    snprintf(path, sizeof path, "%s/secret.key", data_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return create(data_dir, path, out);
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
