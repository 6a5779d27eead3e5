/* scratch.h - a directory of its own for one test, and a store in it. */
#ifndef PARLEY_TESTS_SCRATCH_H
#define PARLEY_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/conf.h"
#include "base/log.h"

struct scratch {
    struct conf conf; /* server.data is the directory */
};

static inline void scratch_init(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR");
    log_set_level(LOG_ERROR);
    conf_defaults(&s->conf);
    s->conf.store_cache_bytes = 8 << 20;
    snprintf(s->conf.server_data, sizeof s->conf.server_data, "%s/parley-test-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    CHECK(mkdtemp(s->conf.server_data) != NULL);
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void scratch_deinit(struct scratch *s)
{
    nftw(s->conf.server_data, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
