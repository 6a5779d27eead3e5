/* http1/range.h - which part of what is asked for, and whether it is still wanted. Sources: RFC
 * 9110 13 (conditions), 14 (ranges). Thread: any. */
#ifndef PARLEY_HTTP1_RANGE_H
#define PARLEY_HTTP1_RANGE_H

#include "base/str_view.h"

enum http_range {
    HTTP_RANGE_WHOLE, /* none, several, or one that is not understood: all of it */
    HTTP_RANGE_PART,
    HTTP_RANGE_NONE /* 416: nothing of it is there */
};

/* value: of the Range field, p NULL when absent; length: of the whole. *first and *len are set for
 * PART only; len is at least 1. */
enum http_range http_range(struct str_view value, uint64_t length, uint64_t *first, uint64_t *len);

/* Whether a list of entity tags, or "*", has etag, a strong one with its quotes. weak: W/"x" and
 * "x" are the same (If-None-Match); otherwise a weak one equals none (If-Match, If-Range). */
bool http_has_etag(struct str_view list, struct str_view etag, bool weak);

#endif
