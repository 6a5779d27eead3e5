/* media/test_disk.h - what lies on the disk, counted. Only for *_test.c. */
#ifndef PARLEY_MEDIA_TEST_DISK_H
#define PARLEY_MEDIA_TEST_DISK_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

struct on_disk {
    uint32_t blobs, temporaries;
};
static struct on_disk on_disk_counted;

static inline int on_disk_count(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)at;
    if (type == FTW_F && strstr(path, "/blobs/tmp/") != NULL)
        on_disk_counted.temporaries++;
    else if (type == FTW_F)
        on_disk_counted.blobs++;
    return 0;
}

static inline struct on_disk on_disk(const char *data_directory)
{
    char path[512];
    on_disk_counted = (struct on_disk){0};
    snprintf(path, sizeof path, "%s/blobs", data_directory);
    nftw(path, on_disk_count, 16, FTW_PHYS);
    return on_disk_counted;
}

#define CHECK_DISK(data, blobs_, temporaries_)                                                     \
    do {                                                                                           \
        struct on_disk found_ = on_disk(data);                                                     \
        CHECK_EQ(found_.blobs, blobs_);                                                            \
        CHECK_EQ(found_.temporaries, temporaries_);                                                \
    } while (0)

#endif
