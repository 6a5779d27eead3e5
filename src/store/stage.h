/* stage.h - which tails there are, as one value that readers pin: the active one, which the writer
 * adds to, and the frozen one, which is on its way into files. Three changes: freeze (writer),
 * ingested (ingest's thread), and the end.
 *
 * Rows of both tails win over RocksDB's, so it does no harm to see an ingested row twice. What must
 * not be is RocksDB's state younger than the tails: a reader opens its iterator, then asks with
 * stage_is_current whether the stage is still the one it pinned, and begins anew if not. Until
 * then the active tail was not frozen, so nothing of it is in a file.
 *
 * Pins are hazard pointers: a reader's own word says which stage it is in; a stage that was
 * replaced is freed, and its tails with it, when no word says so any more. */
#ifndef PARLEY_STORE_STAGE_H
#define PARLEY_STORE_STAGE_H

#include <pthread.h>
#include "store/tail.h"

enum { stage_readers_max = 65536, stage_nested_max = 2 };

struct stage {
    struct tail *active, *frozen; /* frozen: NULL if there is none */
    uint64_t in_files;            /* no later commit has left the tails since the start */
    struct stage *next;           /* among the retired */
};

struct stage_reader {
    /* atomic; NULL: not reading. A scan's function may read too, as of a moment of its own. */
    const struct stage *pinned[stage_nested_max];
    uint32_t depth; /* the reader's */
    struct stages *stages;
    void *owner; /* whose rows they are, for the view */
    struct stage_reader *next;
} __attribute__((aligned(CACHE_LINE)));

struct stages {
    struct stage *current; /* atomic; the readers' */
    struct tail *active;   /* the writer's */
    struct tail *frozen;   /* atomic; set by the writer, cleared by ingest */
    uint64_t seed;
    uint64_t bytes_max;   /* a tail that holds so much is frozen */
    uint64_t room_bytes;  /* mapped for it: that, and the largest commit */
    pthread_mutex_t lock; /* of what follows, and of each change of current */
    struct stage *retired;
    struct tail
        *spare; /* NULL: none. Empty; its memory is resident, which saves as many page faults */
    struct stage_reader *readers;
    uint32_t readers_len;
};

MUST_USE enum err stages_init(struct stages *s, uint64_t seed, uint64_t bytes_max,
                              uint64_t commit_bytes_max);
void stages_deinit(struct stages *s);

/* ---- readers ---- */

/* Freed with the stages. Errors: ERR_NOMEM. */
MUST_USE enum err stage_reader_new(struct stages *s, void *owner, struct stage_reader **out);
const struct stage *stage_pin(struct stage_reader *r);
void stage_unpin(struct stage_reader *r);
static inline bool stage_is_current(const struct stage_reader *r)
{
    return __atomic_load_n(&r->stages->current, __ATOMIC_SEQ_CST) == r->pinned[r->depth - 1];
}

/* ---- writer and ingest ---- */

static inline struct tail *stage_frozen(const struct stages *s)
{
    return __atomic_load_n(&s->frozen, __ATOMIC_ACQUIRE);
}
/* The active tail becomes the frozen one; there must be none. The new one has room for at least so
 * much. Errors: ERR_NOMEM. */
MUST_USE enum err stage_freeze(struct stages *s, size_t room_bytes);
/* The frozen tail is in files: it goes when its readers have. Errors: ERR_NOMEM. */
MUST_USE enum err stage_ingested(struct stages *s);

#endif
