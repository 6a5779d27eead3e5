/* search/internal.h - shared by the files of search/ only. */
#ifndef PARLEY_SEARCH_INTERNAL_H
#define PARLEY_SEARCH_INTERNAL_H

#include "base/id.h"
#include "json/read.h"
#include "search/build.h"
#include "search/search.h"
#include "search/search_msg.h"

enum {
    index_rows_max = 256, /* messages read in one step */
    index_channels_max = 64,
    wipe_rows_max = 2048,
    finished_max = 4096,         /* channels and edits of one batch */
    compare_channels = 256,      /* whose heads are compared in one step */
    query_rows_max = 20000,      /* of the index, read for one query */
    query_postings_max = 200000, /* of one condition */
    query_checks_max = 5000      /* messages looked at for one query */
};

/* Words that stand for something else than text begin with this byte, which no text has. */
enum { mark_byte = 1, mark_max = 32 };
struct str_view mark_from(char out[mark_max], uint64_t uid);
struct str_view mark_in(char out[mark_max], uint64_t cid);
struct str_view mark_plain(char out[mark_max], char what);
enum { MARK_LINK = 'l', MARK_FILE = 'a', MARK_REPLY = 'r' };

/* ---- text.c ---- */

struct message_text {
    struct str_view text;  /* what is searched: the text, and the texts of blocks and attachments */
    struct str_view shown; /* the text alone */
    bool has_link, has_file;
};
/* Of a stored body. Errors: ERR_CORRUPT, ERR_NOMEM. Memory: a. */
MUST_USE enum err message_text(struct json_reader *json, struct arena *a, struct str_view body,
                               struct message_text *out);

/* ---- dirty.c: channels that the index may be behind of, each once, in order ---- */

struct dirty {
    uint64_t *queue; /* a ring */
    uint64_t *set;   /* open addressing; ID_NONE: free */
    uint32_t cap, at, len, set_cap;
};
MUST_USE enum err dirty_init(struct dirty *d, uint32_t max);
void dirty_deinit(struct dirty *d);
bool dirty_add(struct dirty *d, uint64_t cid); /* false: full */
bool dirty_take(struct dirty *d, uint64_t *cid);

/* ---- known.c: what was read of channels lately, so that the next time only what is new is ---- */

struct known {
    uint64_t cid; /* ID_NONE: nothing */
    uint64_t team, indexed_us;
    uint64_t moment; /* as of which messages up to indexed_us were read (store/view.h) */
};
enum { known_max = 16384 }; /* a power of two; half a megabyte, untouched until it is used */
MUST_USE enum err known_init(struct known **out);
/* The channel's own place; who stands there now may be another. */
struct known *known_at(struct known *all, uint64_t cid);
void known_forget(struct known *all); /* everything */

/* ---- index.c ---- */

struct job {      /* one channel */
    uint64_t cid; /* ID_NONE: none */
    uint64_t team;
    uint64_t from_us, to_us; /* (from, to] is to be indexed */
    uint64_t left_us;        /* messages: those above are done; 0: all are */
    uint64_t replies_us;     /* replies: those up to here are done */
    uint64_t moment;         /* of the view, before anything of it was read */
};

struct search {
    struct search_conf conf;
    struct turn *turn; /* of the present call */
    struct json_reader *json;
    struct arena_pool pool;
    struct arena scratch; /* of one step or query */
    struct arena some;    /* of some rows of it */
    /* index */
    struct dirty dirty;
    struct known *known;
    struct build *build;
    struct job job;
    struct key wipe_at;    /* of CF_FTS: how far a rebuild has deleted; len 0: there is none */
    bool wiped;            /* all of it is in the batch, or was in earlier ones */
    struct key compare_at; /* of CF_DIR: how far all channels have been compared; len 0: all */
    bool comparing, edits, due;
    uint32_t rows;             /* messages read in this step */
    bool behind, rebuild_owed; /* all must be compared, or deleted first, once the timer fires */
    struct batch batch;
    struct arena_pool batch_pool;
    bool committing;
    bool draining; /* no batch is begun any more */
    uint64_t epoch, number;
    uint64_t finished[finished_max]; /* channels whose cursors are in the batch */
    uint32_t finished_len;
    struct timer timer;
    /* queries, in order of arrival; a ring of conf.queue_max */
    struct {
        struct cell request;
        actor_id from;
    } * queries;
    uint32_t queries_at, queries_len;
    uint32_t asked; /* requests taken and not answered */
};

/* Reads what the index does not know, as long as there is room; then sends a batch. */
void index_step(struct search *s);
void index_done(struct search *s, enum err err);
bool index_is_busy(const struct search *s);
void index_compare_all(struct search *s);
void index_rebuild(struct search *s);

/* ---- run.c ---- */
MUST_USE enum err run_messages(struct search *s, struct search_messages *m);

/* Messages by their ts, root or reply. Not found: absent or deleted. */
struct row_at {
    uint64_t cid, ts_us;
    struct row_message row;
    bool found;
};
MUST_USE enum err read_rows(struct search *s, struct row_at *rows, uint32_t n, struct arena *a);

#endif
