/* population.h - who there is: the JSON file that parleyctl demo writes. Thread: main. */
#ifndef PARLEY_BENCH_POPULATION_H
#define PARLEY_BENCH_POPULATION_H

#include "base/compiler.h"

struct bench;

struct population {
    const char *base_url, *domain;
    const char **tokens; /* of the tokens list; without one, of the users */
    uint32_t tokens_len;
    const char **channels; /* ids; without a list, of #general */
    uint32_t channels_len;
};

bool population_read(struct bench *b, const char *path); /* false: said on standard error */

#endif
