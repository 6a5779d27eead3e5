/* search/postings.h - where a word stands: messages (channel and ts), newest first, packed into one
 * value with a checksum. One value holds what one batch of the indexer has found, at most
 * postings_max of it. The same message may be in several values, since it is indexed again after an
 * edit or a crash. Thread: any. */
#ifndef PARLEY_SEARCH_POSTINGS_H
#define PARLEY_SEARCH_POSTINGS_H

#include "base/arena.h"
#include "base/err.h"
#include "store/key.h"

enum { postings_max = 4096, posting_bytes_max = 20 };

struct posting {
    uint64_t ts_us, cid;
};

/* p: newest first, n > 0. */
void postings_encode(struct buf *b, const struct key *k, const struct posting *p, uint32_t n);

typedef bool posting_fn(void *ctx, const struct posting *p); /* false: stop */
/* Errors: ERR_CORRUPT. */
MUST_USE enum err postings_decode(struct str_view key, struct str_view value, posting_fn *fn,
                                  void *ctx);

#endif
