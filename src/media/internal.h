/* media/internal.h - shared by the files of media/ only. */
#ifndef PARLEY_MEDIA_INTERNAL_H
#define PARLEY_MEDIA_INTERNAL_H

#include "base/slab.h"
#include "hist/see.h"
#include "media/blob.h"
#include "media/media.h"
#include "media/media_msg.h"
#include "media/sniff.h"
#include "store/batch.h"

enum {
    MEDIA_FORGET = MEDIA_REINDEX + 1, /* media's own: a file that is reserved for too long */
    MEDIA_INDEX_STEP,                 /* and: the words of the next files */
    group_ops_max = 64,
    /* Of each its file and its content; the files of an index step. */
    group_claims_max = 3 * group_ops_max,
    group_bytes_max = 1 << 20, /* of rows, and those of one change more */
    turn_syncs_max = 4,        /* uploads that are synced before others' bytes go on */
    lists_max = 64,            /* files.list under way */
    finds_max = 64             /* search.files under way */
};

/* A change of a file, or what must keep its place among these, from arrival to answer. */
struct media_op {
    struct cell request;
    actor_id from;     /* ACTOR_NONE: media's own */
    struct file_id id; /* text[0] 0: of none yet */
    enum err err;
    bool writes; /* it has rows in the group's batch */
    /* Blobs go when no row speaks of them: placed by an upload whose rows failed, or the last
     * file's that is deleted. */
    bool placed, unreferenced;
    uint8_t sha256[sha256_bytes];
};

/* A file that waits for its bytes. */
struct reserved {
    struct file_id id;
    uint64_t uid, created_us;
    bool streaming;  /* a stream is open for it */
    bool forgetting; /* its MEDIA_FORGET is under way */
    bool undurable;
};

struct stream {
    actor_id from;
    bool up;
    struct file_id id;
    /* up */
    struct blob_up bytes;
    uint64_t expected; /* UINT64_MAX: not known */
    uint64_t cap;      /* as far as is known what it is */
    bool judged;       /* cap is that of what it is */
    bool finishing;    /* its MEDIA_FINISH is among the changes */
    bool synced;       /* and sha256 is its hash */
    uint8_t sha256[sha256_bytes];
    /* down */
    int fd;
    uint64_t length;
};

struct list_job {
    struct cell request;
    actor_id from;
    bool begun;
    bool all_seen;      /* the viewer may see whatever is in this list */
    struct key at, end; /* rows of the list that are still to be looked at */
    uint32_t rows;      /* that were */
    bool whole;         /* there are no others */
};

struct find_job {
    struct cell request;
    actor_id from;
};

/* How far the words of all files have been made anew. */
struct reindex {
    struct file_id at, next_at; /* text[0] 0: before the first */
    uint32_t next_files;
    bool whole, next_whole; /* next_: once the step under way is durable */
    bool pushed, failed;    /* a step is among the changes; the last one failed */
};

struct media {
    struct media_conf conf;
    struct turn *turn; /* of the present call */
    struct blobs blobs;
    struct arena_pool pool;
    struct arena scratch; /* of one request, or one step of a longer one */
    struct seer seer;
    uint8_t *head; /* sniff_bytes_max: the first bytes of what is judged */
    size_t head_len;
    struct slab streams;
    /* Changes in order of arrival: [0, group_len) are in the batch that is being committed, the
     * rest wait. Bounded by the requesters' credits and reserved_max. */
    struct media_op *ops;
    uint32_t ops_len, ops_cap, group_len;
    uint64_t claims[group_claims_max]; /* files and contents that the group is about, hashed */
    uint32_t claims_len;
    uint32_t syncs_left; /* of this turn */
    struct arena_pool batch_pool;
    struct batch batch;
    bool committing;
    uint64_t epoch, number;
    /* A commit failed, and none has succeeded since. Meanwhile nothing is placed. */
    bool in_doubt;
    uint8_t doubtful[group_ops_max][sha256_bytes]; /* placed by that group */
    uint32_t doubtful_len;
    struct timer probe_timer;
    /* In order of creation. */
    struct reserved *reserved;
    uint32_t reserved_len, reserved_corrupt; /* corrupt: passed over at the start */
    struct timer forget_timer;
    struct list_job lists[lists_max]; /* a ring; the first is worked on, a step a turn */
    uint32_t lists_at, lists_len;
    struct find_job finds[finds_max]; /* as lists */
    uint32_t finds_at, finds_len;
    struct arena find_arena; /* of the first */
    struct finding *finding; /* of the first, in it; NULL: not begun (find.c) */
    struct reindex reindex;
    struct timer index_timer;
    struct blob_walk walk;
    struct timer sweep_timer;
    bool swept;
    bool draining;
};

/* ---- media.c ---- */

void media_answer(struct media *m, const struct cell *request, actor_id to, enum err err);
/* Counts what is not the fault of who asked. */
enum err media_count(struct media *m, enum err err);
/* For lists: a damaged record is counted, and is as good as none. Others' files are found, and who
 * may not see it does not notice. */
MUST_USE enum err media_pass_by(struct media *m, enum err err);

/* ---- group.c ---- */

MUST_USE bool group_push(struct media *m, const struct media_op *op); /* false: no memory */
void group_step(struct media *m);
void group_committed(struct media *m, enum err err);
/* False: the group is about this content already; the change waits for its end. */
MUST_USE bool group_claim_blob(struct media *m, const uint8_t sha256[sha256_bytes]);
bool group_claims_blob(const struct media *m, const uint8_t sha256[sha256_bytes]);
/* For who begins a group, and so knows that nobody has. */
void group_claim_file(struct media *m, const struct file_id *id);
bool group_doubts_blob(const struct media *m, const uint8_t sha256[sha256_bytes]);

/* ---- stream.c ---- */

/* What of a stream is answered at once. False: it keeps its place among the changes. */
bool stream_request(struct media *m, const struct cell *c, actor_id from, enum err *err);
struct stream *stream_find(const struct media *m, uint64_t handle, actor_id from);
/* NULL: all are taken. */
struct stream *stream_take(struct media *m, uint64_t *handle);
void stream_end(struct media *m, uint64_t handle); /* nothing of its bytes stays */
void stream_end_all(struct media *m, bool leave);  /* leave: as a crash does */
MUST_USE enum err stream_open_down(struct media *m, struct media_open *o, actor_id from);
uint64_t stream_cap(const struct media *m, const struct type *t);

/* ---- upload.c: reserve, begin, finish, forget ---- */

/* The decisions of changes. False: the change must wait for the group's end, and nothing was done.
 */
void decide_reserve(struct media *m, struct media_op *op);
void decide_begin(struct media *m, struct media_op *op);
MUST_USE bool decide_finish(struct media *m, struct media_op *op);
void decide_forget(struct media *m, struct media_op *op);
/* The change is durable, or failed. */
void upload_ended(struct media *m, struct media_op *op, bool durable);

/* ---- file.c: share, public, delete ---- */

void decide_share(struct media *m, struct media_op *op);
void decide_public(struct media *m, struct media_op *op);
MUST_USE bool decide_delete(struct media *m, struct media_op *op);
void file_put(struct media *m, const struct file_id *id, const struct row_file *row);
void file_put_listed(struct media *m, enum file_list list, uint64_t owner, const struct file_id *id,
                     const struct row_file *row);
uint32_t file_types(const struct row_file *row); /* bits of media_type */
/* A row as it is known now: shares whose messages are stored have their ts, whoever may have told
 * media of them; those that have none are without a message. Its strings point into the value. */
MUST_USE enum err file_decode(struct media *m, struct str_view key, struct str_view value,
                              struct row_file *row);
/* A message shows it. Without ts and key, from version 1, it cannot be looked for, and is believed.
 */
static inline bool share_is_shown(const struct row_share *s)
{
    return s->ts_us != TS_NONE || s->key.len == 0;
}
bool file_is_in(const struct row_file *row, uint64_t cid); /* a message there shows it */

/* ---- access.c ---- */

/* A file that is stored or deleted; its strings are in the scratch. ERR_FILE_NOT_FOUND. */
MUST_USE enum err file_read(struct media *m, const struct file_id *id, struct row_file *row);
/* ERR_FILE_NOT_FOUND also for the foreign and the unseen; ERR_FILE_DELETED only for who could see
 * it. */
MUST_USE enum err file_see(struct media *m, const struct hist_viewer *v, const struct file_id *id,
                           struct row_file *row);
MUST_USE enum err file_may_see(struct media *m, const struct hist_viewer *v,
                               const struct row_file *row);
/* Which of its shares the viewer may know of. */
MUST_USE enum err file_shares_seen(struct media *m, const struct hist_viewer *v,
                                   const struct row_file *row, bool seen[row_file_shares_max]);
MUST_USE enum err file_info(struct media *m, struct media_info *i);

/* ---- reserved.c ---- */

MUST_USE enum err reserved_load(struct media *m);
/* ERR_TOO_MANY_UPLOADS, ERR_SERVICE_UNAVAILABLE */
MUST_USE enum err reserved_check(const struct media *m, uint64_t uid);
struct reserved *reserved_add(struct media *m, const struct file_id *id, uint64_t uid,
                              uint64_t created_us);
struct reserved *reserved_find(const struct media *m, const struct file_id *id);
void reserved_remove(struct media *m, struct reserved *r);
void reserved_forget(struct media *m, const struct file_id *id); /* not there, or in use: nothing */
void reserved_watch(struct media *m);                            /* arms the timer that forgets */

/* ---- list.c ---- */

MUST_USE bool list_push(struct media *m, const struct cell *c, actor_id from); /* false: full */
void list_step(struct media *m);

/* ---- kind.c ---- */

enum { file_kinds_max = 4, kind_mark_max = 32 };
/* Names of what it is: its filetype, and the groups that this is in. */
uint32_t file_kinds(const struct row_file *row, struct str_view out[file_kinds_max]);
bool file_is_kind(const struct row_file *row, struct str_view kind);
/* Of what somebody has typed (images, PDF, jpeg). Static; p NULL: none. */
struct str_view kind_named(struct str_view typed);

/* ---- index.c ---- */

/* What is to become of a file's words. In the scratch. */
struct file_words {
    struct str_view before, after; /* packed (words.h); empty: none */
    bool all;                      /* what is in both is written, too */
    bool off;                      /* there is no index */
};
/* These may fail, before any of a change's rows is written. Errors: ERR_NOMEM, those of the store.
 * head: its first bytes; row: as it will be. */
MUST_USE enum err index_stored(struct media *m, const struct row_file *row, struct str_view head,
                               struct file_words *w);
MUST_USE enum err index_titled(struct media *m, const struct file_id *id,
                               const struct row_file *row, struct file_words *w);
MUST_USE enum err index_deleted(struct media *m, const struct file_id *id, struct file_words *w);
/* And this is beside these rows, into the group's batch. */
void index_write(struct media *m, const struct file_id *id, const struct row_file *row,
                 const struct file_words *w);
struct str_view index_kind_mark(char out[kind_mark_max], struct str_view kind);

MUST_USE enum err index_load(struct media *m);
void decide_reindex(struct media *m, struct media_op *op);
MUST_USE bool decide_index_step(struct media *m, struct media_op *op);
void index_ended(struct media *m, const struct media_op *op, bool durable);
void index_watch(struct media *m); /* arms the timer of the next step */

/* ---- find.c ---- */

MUST_USE bool find_push(struct media *m, const struct cell *c, actor_id from); /* false: full */
void find_step(struct media *m);

/* ---- sweep.c ---- */

void sweep_watch(struct media *m);

#endif
