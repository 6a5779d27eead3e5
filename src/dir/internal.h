/* dir/internal.h - shared by the files of dir/ only. */
#ifndef PARLEY_DIR_INTERNAL_H
#define PARLEY_DIR_INTERNAL_H

#include "dir/dir.h"
#include "dir/dir_msg.h"
#include "dir/tables.h"
#include "store/batch.h"

/* A request from its arrival to its answer. The payload is the requester's. */
struct dir_op {
    struct cell request;
    actor_id from;
    enum err err;
    uint64_t revoke_tag, revoke_uid; /* what must be revoked everywhere before the answer */
    bool revokes;
    uint8_t hash[32];     /* DIR_TOKEN_ISSUE, DIR_TOKEN_REVOKE */
    struct row_user user; /* DIR_USER_ADD, _DISABLE: strings of the payload or of the table */
    struct row_token token;
    struct row_member member;
};

enum { group_ops_max = 256, claims_max = group_ops_max * 3 };

/* A scheduled message, as memory knows it. */
struct due {
    uint64_t post_s, id, team, uid, cid;
    uint64_t same;            /* the same for the same message of the same sender, place and time */
    bool leaving;             /* its row is being deleted by the present group */
    uint32_t at;              /* in its line */
    struct due *next, **link; /* of the same users */
};

/* Those of one chan. */
struct line {
    struct due **heap; /* by post_s; a binary heap */
    uint32_t len, cap;
    uint32_t firing; /* with the chan, or being deleted behind that */
};

struct schedule {
    struct line *lines; /* one of each chan: who waits for a credit waits there */
    struct due **users; /* lists by hash of uid */
    uint32_t users_cap;
    uint32_t len, firing;   /* of all lines */
    struct firing *firings; /* those */
    struct timer timer;
    bool ended; /* draining: none is begun any more */
};

struct dir {
    struct dir_conf conf;
    struct tables tables;
    /* Requests in order of arrival: [0, group_len) are in the batch that is being committed, the
     * rest wait. Bounded by the requesters' credits. */
    struct dir_op *ops;
    uint32_t ops_len, ops_cap, group_len;
    uint64_t claims[claims_max]; /* hashes of the names that the group takes */
    uint32_t claims_len;
    struct arena_pool pool;
    struct batch batch;
    bool committing; /* the batch is lent to log */
    uint64_t epoch, number;
    uint64_t last_id;
    struct frame_slab frames;
    uint64_t gap_owed; /* bit per fanout: a team-wide event was lost on the way */
    struct timer retry;
    struct schedule schedule;
    struct dir_rename *renames; /* with chan, or waiting for a credit; bounded by the requesters' */
    /* Channels whose creators are being told: those that wait for a credit of their chan, in order,
     * and how many are with a chan. Bounded by the requesters' credits. */
    struct dir_told *untold_first, *untold_last;
    uint32_t telling_len;
    /* Revocations go out one at a time, so that no control ring can be full. */
    struct dir_op *revoking;
    uint32_t revoking_len, revoking_cap, acks_left;
    struct turn *turn; /* of the present call */
};

/* ops.c: one request each. */

/* Judges the request against the published tables and adds its rows to d->batch. Errors become the
 * answer. */
MUST_USE enum err dir_op_decide(struct dir *d, struct dir_op *op);
/* Whether it takes a name that the group, or a rename under way, has taken already: it must wait
 * for that one's end. */
bool dir_op_collides(struct dir *d, const struct dir_op *op);
/* Its rows are durable: enters the tables and emits its events. */
void dir_op_publish(struct dir *d, struct dir_op *op);

/* Rows of its own; a rename's are chan's. */
bool dir_op_writes(const struct dir_op *op);
/* It made a channel, which is announced before the answer. */
bool dir_op_makes_channel(const struct dir_op *op);

/* direct.c: DIR_DIRECT_OPEN */
uint64_t direct_claim(const struct dir_direct_open *m);
MUST_USE enum err direct_decide(struct dir *d, struct dir_direct_open *m);
MUST_USE enum err direct_publish(struct dir *d, struct dir_direct_open *m);

/* What all need. Ids rise, so that lists of them only ever grow at the end. */
uint64_t dir_next_id(struct dir *d);
uint64_t dir_now_s(const struct dir *d);
void dir_put_u64(struct dir *d, const struct key *k, uint64_t v);

/* user.c: the two halves of each request about a user. */
MUST_USE enum err dir_user_decide_add(struct dir *d, struct dir_user_add *m, struct dir_op *op);
MUST_USE enum err dir_user_publish_add(struct dir *d, const struct dir_op *op);
MUST_USE enum err dir_user_decide_disable(struct dir *d, const struct dir_user_disable *m,
                                          struct dir_op *op);
MUST_USE enum err dir_user_publish_disable(struct dir *d, struct dir_op *op);
MUST_USE enum err dir_user_decide_change(struct dir *d, const struct dir_user_change *m,
                                         struct dir_op *op);
MUST_USE enum err dir_user_publish_change(struct dir *d, struct dir_op *op);
MUST_USE enum err dir_user_decide_password(struct dir *d, const struct dir_password_set *m);

/* schedule.c: DIR_SCHEDULE, DIR_UNSCHEDULE, DIR_POSTED */
MUST_USE enum err schedule_init(struct dir *d);
MUST_USE enum err schedule_load(struct dir *d, const struct view *v);
void schedule_free(struct dir *d);
MUST_USE enum err schedule_decide(struct dir *d, struct dir_schedule *m);
MUST_USE enum err schedule_publish(struct dir *d, const struct dir_schedule *m);
MUST_USE enum err unschedule_decide(struct dir *d, const struct dir_unschedule *m);
void unschedule_publish(struct dir *d, const struct dir_unschedule *m);
void unschedule_failed(struct dir *d, const struct dir_unschedule *m);
uint64_t schedule_claim(const struct dir_op *op);
struct firing;
void posted_decide(struct dir *d, const struct firing *f);
void posted_done(struct dir *d, struct firing *f, enum err err);
/* chan's answer to a CHAN_POST of dir's. */
void schedule_answered(struct dir *d, const struct cell *answer);
void schedule_run(struct dir *d);
void dir_push(struct dir *d, const struct dir_op *op);

/* rename.c: DIR_RENAME */
MUST_USE enum err rename_decide(struct dir *d, const struct dir_rename *m);
void rename_begin(struct dir *d, const struct dir_op *op, uint64_t claim);
void rename_run(struct dir *d);
void rename_answered(struct dir *d, const struct cell *answer);
/* A channel is being given the name that op claims, or gives it up. */
bool rename_holds(struct dir *d, const struct dir_op *op, uint64_t claim);

/* document.c: DIR_DOCUMENT */
MUST_USE enum err document_decide(struct dir *d, const struct dir_document *m);
void document_publish(struct dir *d, const struct dir_document *m);

/* event.c */

/* body, {...}, to the sockets of uid or, ID_NONE, of the team. */
void dir_emit(struct dir *d, uint64_t uid, uint64_t team, uint32_t flags, struct str_view body);

/* {"type":TYPE,"user":{..},"cache_ts":..} to the team: of who is published. */
void dir_tell_user(struct dir *d, const char *type, uint64_t uid);

/* A channel is published: tells its team, then asks its chan to tell the creator; the requester is
 * answered after that. */
void dir_tell_created(struct dir *d, const struct dir_op *op);
void dir_tell_untold(struct dir *d);
void dir_told(struct dir *d, const struct cell *answer);
void dir_emit_owed(struct dir *d);

#endif
