/* http1/multipart.h - a multipart/form-data body, read as its bytes come: heads of parts and pieces
 * of their content, whatever the body's length and however it is cut. Sources: RFC 7578, RFC 2046
 * 5.1. What stands before the first boundary and behind the last is thrown away. A last boundary
 * without its final dashes at the end of the body is accepted: a real client sends it.
 * Thread: one owner. */
#ifndef PARLEY_HTTP1_MULTIPART_H
#define PARLEY_HTTP1_MULTIPART_H

#include "base/arena.h"
#include "base/err.h"

enum {
    multipart_boundary_max = 70,
    multipart_fields_max = 16,      /* of one part */
    multipart_heads_max = 64 << 10, /* bytes, of all parts */
    multipart_parts_max = 256
};

struct multipart_part {                           /* in the arena; valid UTF-8 without NUL */
    struct str_view name, filename, content_type; /* filename, content_type: p NULL when absent */
};

enum multipart_step {
    MULTIPART_MORE,     /* all input taken */
    MULTIPART_PART,     /* m->part is a new one */
    MULTIPART_DATA,     /* the next bytes of it, in the input or in m: good until the next call */
    MULTIPART_PART_END, /* it is whole */
    MULTIPART_FAILED    /* ERR_INVALID_FORM_DATA or ERR_NOMEM; nothing more may be fed */
};

struct multipart {
    struct arena *arena;
    struct multipart_part part;
    /* its own */
    int state;
    enum err error;
    struct buf head; /* lines of the present part's head */
    uint32_t lines, line_len, parts, heads_bytes;
    char delimiter[4 + multipart_boundary_max]; /* CRLF, two dashes, boundary */
    uint32_t delimiter_len;
    uint32_t matched; /* bytes of the delimiter that the input ended with */
    uint32_t given;   /* of those, what can be no content, or is handed out already */
    bool broken;      /* the delimiter did not go on: what was matched is content */
    uint32_t behind;  /* bytes seen behind a boundary */
    char behind_first, last;
};

/* content_type: the whole header value, with its boundary parameter. Errors: ERR_INVALID_FORM_DATA
 * (no boundary, or one that cannot be). */
MUST_USE enum err multipart_init(struct multipart *m, struct arena *a,
                                 struct str_view content_type);
/* Takes bytes up to the next thing to tell; *used says how many. MULTIPART_DATA: *data, of at most
 * data_max bytes (1 at least). */
enum multipart_step multipart_feed(struct multipart *m, const void *in, size_t n, size_t data_max,
                                   size_t *used, struct str_view *data);
/* The body is over. ERR_INVALID_FORM_DATA: not behind a boundary. */
MUST_USE enum err multipart_end(const struct multipart *m);

#endif
