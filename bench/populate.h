/* populate.h - a workspace that populate.c makes and populate_out.c tells of. Thread: main. */
#ifndef PARLEY_BENCH_POPULATE_H
#define PARLEY_BENCH_POPULATE_H

#include "poster.h"
#include "replay.h"
#include "shape.h"

/* A body of a batch has 1,024 bytes, an id 14 and a comma. */
enum { populate_invited_max = 48 };

struct invitation {
    uint32_t channel, from, len; /* of its members */
};

struct reaction {
    uint32_t message, user;
    const char *emoji;
};

struct populate {
    struct bench *bench;
    struct plan plan;
    struct numbers posts; /* steps of the plan with a text */
    struct shape shape;
    const char **user_ids;
    struct ledger ledger;
    struct poster poster;
    uint32_t *replies; /* of each message of the ledger */
    uint64_t left;     /* messages that are not begun */
    struct invitation *invitations;
    uint32_t invitations_len;
    struct reaction *reactions;
    uint32_t reactions_len, reacted, threads, longest;
    uint64_t last_acked;
    /* arguments of the call that is made */
    char list[populate_invited_max * (id_text_max + 1) + 1], ts[ts_text_len + 1];
};

/* The file of --out: a population for every command, since what they read stands in front, and
 * behind it each channel and thread. Tokens are in it. Counts the threads. False: said on standard
 * error. */
bool populate_write(struct populate *p, const char *path);

#endif
