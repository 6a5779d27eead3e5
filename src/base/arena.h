/* arena.h - bump allocation for one request or one batch: many small pieces, freed at once.
 * Blocks come from a pool that counts bytes, so that a bound over all arenas of an actor holds.
 * Thread: one owner at a time; the lender waits until the borrower has answered
 * (docs/architecture.md, Memory). */
#ifndef PARLEY_BASE_ARENA_H
#define PARLEY_BASE_ARENA_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/str_view.h"

/* Recycles first blocks and bounds the sum of all blocks. Owned by one actor; only its thread takes
 * and returns. */
struct arena_pool {
    uint64_t bytes_used;  /* of all blocks handed out, gauge */
    uint64_t bytes_max;   /* over it: NULL */
    uint32_t first_bytes; /* size of the first block, recycled */
    uint32_t free_len;
    uint32_t free_max;        /* at most so many first blocks are kept */
    struct arena_block *free; /* single linked */
};

struct arena {
    struct arena_pool *pool; /* not touched by a borrower: blocks past the first come from malloc
                              * and are counted by the owner in arena_charge */
    struct arena_block *first, *last;
    uint64_t bytes;     /* of all blocks */
    uint64_t bytes_max; /* of this arena; over it arena_alloc returns NULL */
    uint64_t charged;   /* of bytes, what the pool has counted */
};

void arena_pool_init(struct arena_pool *p, uint32_t first_bytes, uint32_t keep_max,
                     uint64_t bytes_max);
void arena_pool_deinit(struct arena_pool *p);

/* Takes a first block. Errors: ERR_NOMEM when the pool is at its bound. Owner's thread. */
MUST_USE enum err arena_init(struct arena *a, struct arena_pool *p, uint64_t bytes_max);
void arena_deinit(struct arena *a); /* owner's thread; all memory of the arena is gone */
void arena_reset(
    struct arena *a); /* keeps the first block, counts and frees the others; owner's thread */

/* Owner's thread: counts with the pool what the arena has grown by since (a body, a borrower's
 * answer). False: the pool is over its bound now; refuse what would grow further. */
bool arena_charge(struct arena *a);

/* Makes sure that pieces of n bytes in all, each rounded up to 16, are found without the heap: then
 * what follows cannot fail half way. False: no room. Holder's thread. */
MUST_USE bool arena_reserve(struct arena *a, size_t n);
/* 16-byte aligned, not cleared. NULL when bytes_max would be passed or the heap is empty. Holder's
 * thread. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* A copy with a NUL behind it (not counted in len). p NULL when there is no room. */
struct str_view arena_dup(struct arena *a, struct str_view s);

/* A growing byte buffer in the arena; grows in place when it is the newest piece. */
struct buf {
    struct arena *arena;
    char *p;
    size_t len, cap;
    bool failed; /* sticky: some append found no room; the content is not whole */
};

void buf_init(struct buf *b, struct arena *a, size_t cap); /* cap 0: first append allocates */
/* Over fixed memory, e.g. a frame; arena NULL: fails when full. */
void buf_init_fixed(struct buf *b, void *p, size_t cap);
bool buf_grow(struct buf *b, size_t more); /* for buf_reserve */

/* False: failed is set. */
static inline bool buf_reserve(struct buf *b, size_t more)
{
    return LIKELY(b->cap - b->len >= more) || buf_grow(b, more);
}
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->len, p, n);
    b->len += n;
}
static inline void buf_putc(struct buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->p[b->len++] = c;
}
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline void buf_put_sv(struct buf *b, struct str_view s)
{
    buf_put(b, s.p, s.len);
}
static inline struct str_view buf_view(const struct buf *b)
{
    return (struct str_view){b->p, b->len};
}

#endif
