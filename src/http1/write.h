/* http1/write.h - the head of an HTTP/1.1 answer into a buf. */
#ifndef PARLEY_HTTP1_WRITE_H
#define PARLEY_HTTP1_WRITE_H

#include "base/arena.h"

const char *
http_reason(int status); /* never empty: one client needs three parts in the status line */
/* "HTTP/1.1 200 OK\r\n" */
void http_write_status(struct buf *b, int status);
/* Asserts that value holds no CR, LF or NUL. */
void http_write_field(struct buf *b, const char *name, struct str_view value);
void http_write_field_u64(struct buf *b, const char *name, uint64_t value);
void http_write_date(
    struct buf *b, uint64_t wall_us); /* Date: IMF-fixdate; formatted once per second and reused */
void http_write_end(struct buf *b);   /* the empty line */

#endif
