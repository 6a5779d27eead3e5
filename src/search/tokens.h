/* search/tokens.h - text into the words that the index knows: compatibility forms, case and accents
 * folded away (Unicode NFKD, default case folding, marks removed), so that "Ärger", "ärger" and
 * "arger" are one. Scripts that put no space between words (Han, kana, Thai and the like) give
 * pairs of neighbours, and the last character of a run alone: any part of a run is found as its
 * pairs. Each emoji is a word. Slack's own brackets (<@U1>, <https://x|label>) and entities are
 * looked through. Source: Unicode TR 15 (normal forms), TR 44 (general categories). Thread: any; no
 * memory is taken. */
#ifndef PARLEY_SEARCH_TOKENS_H
#define PARLEY_SEARCH_TOKENS_H

#include "base/compiler.h"
#include "base/str_view.h"

/* Rises when texts give other words than before: what was kept of them is made anew. */
enum { tokens_version = 1 };

enum {
    token_bytes_max = 64, /* folded; a longer word is cut there, at a character */
    token_chars_max = 48  /* of the text that are folded into one word */
};

struct token {
    struct str_view word;   /* folded; valid during the call */
    struct str_view source; /* where it stands in the text */
    uint32_t at; /* words before it; a pair and its second character stand at their first one's */
    bool pair;   /* two characters of an unspaced script: the next word begins inside */
    bool rest;   /* one character of it: any pair that begins with it matches too */
};

/* False: stop. */
typedef bool token_fn(void *ctx, const struct token *t);

/* Text is valid UTF-8. */
void tokens_each(struct str_view text, token_fn *fn, void *ctx);

#endif
