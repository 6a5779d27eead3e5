/* media/find.h - one query of files: its conditions as lists of files (find_lists.c), and what is
 * made of what stands in all of them (find.c). For the files of media/ only. */
#ifndef PARLEY_MEDIA_FIND_H
#define PARLEY_MEDIA_FIND_H

#include "media/internal.h"
#include "media/words.h"

enum {
    /* Rows of the index that are read for one query, and for one of its sources: each has its own
     * share of them, so that wide ones do not keep a narrow one from being read whole. */
    find_rows_max = 20000,
    find_source_max = 4096,
    find_checks_max = 5000 /* files looked at for one query */
};

struct candidate {
    uint64_t created_us;
    struct file_id id;
};

/* Files that a condition holds for, newest first, each once. */
struct list {
    struct candidate *p;
    uint32_t len, cap;
    uint64_t cut_us; /* older ones were not read; 0: all were */
    bool mixed;      /* not in order yet: it has several sources */
};

/* Rows that a list is made of. */
struct source {
    enum { FROM_WORD, FROM_WORDS_BEGINNING, FROM_FILES_OF } kind;
    struct str_view word;
    enum file_list files;
    uint64_t owner;
    uint32_t list; /* whose it is */
};

struct lists {
    struct source *sources;
    uint32_t sources_len, at; /* at: the one that is being read */
    bool begun;               /* of that one source_rows were read; the rest is [from, to) */
    uint32_t source_rows, source_max;
    struct key from, to;
    struct list *p;
    uint32_t len, rows;
    bool nothing; /* a condition cannot hold */
};

/* What a query asks for, in words of the index. Errors: ERR_NOMEM, those of the store. */
MUST_USE enum err lists_begin(struct lists *l, struct media *m, struct media_search *q,
                              struct arena *a);
/* Some rows more. */
MUST_USE enum err lists_step(struct lists *l, struct media *m, const struct media_search *q,
                             struct arena *a, bool *done);
/* What stands in all lists, as far as they are known; find_checks_max at most. *more: there may be
 * others. */
MUST_USE enum err lists_common(const struct lists *l, struct arena *a, struct candidate **out,
                               uint32_t *len, bool *more);
/* Newest first. */
int candidate_order(const void *a, const void *b);

static inline bool has_id(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

#endif
