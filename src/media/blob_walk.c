/* blob_walk.c - all blobs, one directory or one entry at a step: 65,536 directories are too many to
 * look at in one turn. What comes or goes meanwhile may be seen or not. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/blob.h"

enum { directories = 1 << 16 };

static DIR *open_directory(const struct blobs *b, const char *path)
{
    int fd = openat(b->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static void open_next(const struct blobs *b, struct blob_walk *w)
{
    char path[6];
    w->in = (uint16_t)w->next;
    if ((w->above[w->in >> 11] >> (w->in >> 8 & 7) & 1) == 0) {
        w->next += 256; /* nor any below it */
        return;
    }
    snprintf(path, sizeof path, "%02x/%02x", w->in >> 8, w->in & 255);
    w->dir = open_directory(b, path);
    w->next++;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Which directories there are above the others: most stores have few files. */
static void list_above(const struct blobs *b, struct blob_walk *w)
{
    DIR *dir = open_directory(b, ".");
    w->listed = true;
    if (dir == NULL)
        return;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        int high = hex_value(e->d_name[0]), low = high < 0 ? -1 : hex_value(e->d_name[1]);
        if (low >= 0 && e->d_name[2] == '\0')
            w->above[high << 1 | low >> 3] |= (uint8_t)(1 << (low & 7));
    }
    closedir(dir);
}

/* The rest of a hash, whose first two bytes are the directory's. */
static bool parse_name(const char *name, uint16_t in, uint8_t sha256[sha256_bytes])
{
    if (strlen(name) != sha256_hex_len - 4)
        return false;
    sha256[0] = (uint8_t)(in >> 8);
    sha256[1] = (uint8_t)in;
    for (size_t i = 2; i < sha256_bytes; i++) {
        int high = hex_value(name[2 * i - 4]), low = hex_value(name[2 * i - 3]);
        if (high < 0 || low < 0)
            return false;
        sha256[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

enum blob_step blob_walk_step(const struct blobs *b, struct blob_walk *w,
                              uint8_t sha256[sha256_bytes])
{
    if (!w->listed)
        list_above(b, w);
    if (w->dir == NULL) {
        if (w->next >= directories)
            return WALK_ENDED;
        open_next(b, w);
        return WALK_WENT_ON;
    }
    const struct dirent *e = readdir(w->dir);
    if (e == NULL) {
        closedir(w->dir);
        w->dir = NULL;
        return WALK_WENT_ON;
    }
    return parse_name(e->d_name, w->in, sha256) ? WALK_FOUND : WALK_WENT_ON;
}

void blob_walk_end(struct blob_walk *w)
{
    if (w->dir != NULL)
        closedir(w->dir);
    *w = (struct blob_walk){.next = directories, .listed = true};
}
