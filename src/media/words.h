/* media/words.h - the words that a file is found by, and the places where they stand: those of its
 * label (title, name, what it is, its description), and of a text those of its beginning. They are
 * gathered from texts, packed into one value, and asked by a query. Places of the label lie below
 * label_places, those of the content from there on: a new title leaves the content as it is.
 *
 * Packed: of each word, in order of its bytes: length (one byte), bytes, number of places, and the
 * places, each as what it is past the one before (varints). A word without places is a mark.
 * Pure. Thread: any. */
#ifndef PARLEY_MEDIA_WORDS_H
#define PARLEY_MEDIA_WORDS_H

#include "search/match.h"

enum {
    content_bytes_max = 64 << 10, /* of a text that are looked at */
    label_places = 1024,
    content_places = 16384,
    words_max = 4096 /* of a file; what comes behind them is not found */
};

/* ---- gathering ---- */

struct word {
    struct str_view text; /* folded */
    uint32_t first, last; /* of its places; 0: none */
};

struct place {
    uint32_t at, next;
};

struct words {
    struct arena *a;
    uint16_t *slots;
    struct word *p;
    uint32_t len, cap;
    struct place *places; /* from 1 on */
    uint32_t places_len, places_cap;
    uint32_t at; /* of the next text of the label */
    bool failed; /* no memory; sticky */
};

/* Memory: the arena, until it is reset. Errors: ERR_NOMEM. */
MUST_USE enum err words_init(struct words *w, struct arena *a);
/* One text of the label. No phrase reaches from one into the next. */
void words_add_label(struct words *w, struct str_view text);
void words_add_content(struct words *w, struct str_view text);
/* A word that stands for something else than text, as it is. */
void words_add_mark(struct words *w, struct str_view mark);
/* The content of a value that was packed before; its words must live as long as w. Errors:
 * ERR_CORRUPT. */
MUST_USE enum err words_add_packed_content(struct words *w, struct str_view packed);
/* In order of their bytes; nothing is added any more. */
void words_sort(struct words *w);
/* Of sorted ones. A missing room sticks in out->failed. */
void words_pack(const struct words *w, struct buf *out);

/* ---- reading ---- */

struct words_reader {
    const uint8_t *p, *end;
    bool corrupt; /* sticky */
};

struct packed_word {
    struct str_view text;
    uint32_t places_len; /* not read yet: words_place */
    uint32_t at;         /* the last one read */
};

struct words_reader words_read(struct str_view packed);
/* False: the end, or corrupt. All places of a word are read before the next one. */
bool words_next(struct words_reader *r, struct packed_word *w);
bool words_place(struct words_reader *r, struct packed_word *w, uint32_t *at);
void words_skip(struct words_reader *r, struct packed_word *w); /* all that are left */

/* ---- asking ---- */

/* A query, and room to answer it for one file after the other. */
struct words_query {
    const struct match *match;
    struct wanted *wanted;  /* its words, each once; match_words_max at most */
    struct wanted **sorted; /* by their bytes, as the file's are */
    uint32_t wanted_len;
    uint32_t *of; /* which of them: of each term's words, one term behind the other */
    uint64_t *term;
};
/* Borrows m as long as it is used. Errors: ERR_NOMEM. Memory: the arena. */
MUST_USE enum err words_query_init(struct words_query *q, const struct match *m, struct arena *a);
/* Every term is there, no negated one is. *score: as match_text's; what stands in the label weighs
 * more. The time is bounded by the query's words times content_places / 64, and by the value: the
 * words of both are walked side by side.
 * Errors: ERR_CORRUPT. */
MUST_USE enum err words_match(struct words_query *q, struct str_view packed, bool *found,
                              uint32_t *score);

#endif
