/* search/order.h - postings into the order of time. What the index has of one word comes as some
 * hundred runs, one of each batch, that hardly overlap: putting those together costs little more
 * than a look at each posting. Thread: any. */
#ifndef PARLEY_SEARCH_ORDER_H
#define PARLEY_SEARCH_ORDER_H

#include "search/postings.h"

/* Newest first, each message once; *len shrinks by those that were there more often. Memory: a, at
 * most as much again; none when they are in order already. Errors: ERR_NOMEM, p is as before. */
MUST_USE enum err postings_order(struct posting *p, uint32_t *len, struct arena *a);

#endif
