/* search/match.h - whether a text is what a query asks for, and where. The index says which
 * messages have the words, perhaps of an older version of them; this says whether the message as it
 * is now has them, next to each other where that was asked for. Thread: any. */
#ifndef PARLEY_SEARCH_MATCH_H
#define PARLEY_SEARCH_MATCH_H

#include "search/query.h"
#include "search/tokens.h"

/* Of all terms, those of phrases and of negated ones too. */
enum { match_words_max = 128 };

struct match_word {
    struct str_view word; /* folded */
    bool prefix;          /* whatever begins with it */
    uint32_t at;          /* from the term's first word on */
};

struct match_term { /* its words stand next to each other */
    struct match_word *words;
    uint32_t len;
    bool negated;
};

struct match {
    struct match_term *terms;
    uint32_t terms_len;
};

/* Terms without a word (punctuation) are left out. Errors: ERR_INVALID_ARGUMENTS (over
 * match_words_max), ERR_NOMEM. Memory: the arena. */
MUST_USE enum err match_compile(struct match *m, const struct query *q, struct arena *a);

/* Every term is there, no negated one is. *score: how often the terms are, and how much of the text
 * they are; for sorting. scratch: reset by the caller. False also when there is no memory. */
bool match_text(const struct match *m, struct str_view text, struct arena *scratch,
                uint32_t *score);

/* The text with U+E000 before and U+E001 behind what was found, as Slack marks it. */
void match_highlight(const struct match *m, struct str_view text, struct arena *scratch,
                     struct buf *out);

#endif
