/* search/build.h - words of messages gathered in memory, until they are written as rows. A hash
 * table of (team, word), each with a list of postings. Bounded; whoever adds looks at build_is_full
 * first. Thread: search's loop. */
#ifndef PARLEY_SEARCH_BUILD_H
#define PARLEY_SEARCH_BUILD_H

#include "search/postings.h"
#include "store/batch.h"

struct build;
/* postings: about how many it may hold. Errors: ERR_NOMEM. */
MUST_USE enum err build_new(struct build **out, uint32_t postings);
void build_free(struct build *b);

/* Each word of the text, once. False: no memory; what it has of it stays. */
bool build_add(struct build *b, uint64_t team, struct posting where, struct str_view text);
/* One word that is folded already, or stands for something else than text. */
bool build_add_word(struct build *b, uint64_t team, struct posting where, struct str_view word);
bool build_is_full(const struct build *b);
bool build_is_empty(const struct build *b);
/* Puts everything into the batch and is empty again. False: no memory for it. */
MUST_USE bool build_write(struct build *b, struct batch *batch);
void build_clear(struct build *b);

#endif
