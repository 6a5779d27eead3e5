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
/* Content-Disposition of a file (RFC 6266, RFC 8187): its name as it is, for those who read that,
 * and in plain ASCII. name: valid UTF-8, what is over http_filename_max bytes is left out. */
enum { http_filename_max = 255 };
void http_write_disposition(struct buf *b, bool is_inline, struct str_view name);
void http_write_date(
    struct buf *b, uint64_t wall_us); /* Date: IMF-fixdate; formatted once per second and reused */
void http_write_end(struct buf *b);   /* the empty line */

#endif
