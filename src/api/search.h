/* api/search.h - one search.*, between who reads it (search.c) and who answers (search_answer.c).
 * Lies in the request's arena; the two structs are lent to search and media. */
#ifndef PARLEY_API_SEARCH_H
#define PARLEY_API_SEARCH_H

#include "api/internal.h"
#include "media/media_msg.h"
#include "search/search_msg.h"

enum search_of { SEARCH_OF_MESSAGES = 1, SEARCH_OF_FILES = 2 };

struct search_work {
    unsigned of, left; /* bits of search_of: what is asked for, and not yet asked */
    struct query q;    /* while it is read */
    struct search_messages m;
    struct media_search f;
    /* Bits of search_of: it names somebody or something that is not there, or not known here. */
    unsigned hopeless;
};

void search_answer(struct request *r, const struct search_work *w);

#endif
