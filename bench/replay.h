/* replay.h - a trace of Slack messages turned into steps per channel, and the users that take them.
 * Thread: main. */
#ifndef PARLEY_BENCH_REPLAY_H
#define PARLEY_BENCH_REPLAY_H

#include "ledger.h"

enum { replay_skips_max = 32, replay_user = 0 };

enum step_kind { STEP_POST, STEP_JOIN, STEP_LEAVE };

struct step {
    enum step_kind kind;
    bool extra; /* not in the trace: a join that a post needs, since its author had left */
    uint32_t channel, author;
    uint32_t message; /* of the ledger; STEP_POST */
    uint32_t next;    /* step of the same channel; UINT32_MAX: none */
    uint64_t ts_us;   /* in the trace */
    struct str_view text;
};

struct trace_channel {
    struct str_view name; /* the trace's id */
    uint32_t first, last; /* steps; UINT32_MAX: none */
};

struct author {
    struct str_view name; /* the trace's id */
    const char *token;
    char user_id[16];
};

struct plan {
    struct bench *bench;
    struct step *steps;
    uint32_t steps_len, steps_cap;
    struct trace_channel *channels;
    uint32_t channels_len, channels_cap;
    struct str_view *names; /* of the trace's users; 0 is the replay user */
    uint32_t names_len, names_cap;
    struct author *authors; /* one per token: names past the tokens share them */
    uint32_t authors_len;
    uint32_t *author_of; /* of a name */
    uint8_t *setup;      /* [channel * authors_len + author]: joins before the replay */
    uint32_t lines;
    uint64_t seed; /* of the keys: the same file, the same keys */
    uint64_t skipped;
    struct {
        const char *name;
        uint64_t count;
    } skips[replay_skips_max];
    uint32_t skips_len;
};

/* Reads the trace. False: said on standard error. */
bool plan_read(struct plan *p, struct bench *b, const char *path);
/* A token per user, made with parleyctl when --ctl was given; then who must join where before a
 * post. */
bool plan_people(struct plan *p);

#endif
