/* api/parts.h - a form whose file goes to media as it comes: its parts, told one after the other,
 * the file's bytes into the request's transfer. Thread: the acceptor's. */
#ifndef PARLEY_API_PARTS_H
#define PARLEY_API_PARTS_H

#include "api/internal.h"
#include "http1/multipart.h"

struct parts;
typedef enum err parts_told(struct request *r, struct parts *p);
typedef enum err parts_field(struct request *r, struct parts *p, struct str_view data);

struct parts {
    struct multipart m;
    bool in_file;          /* the present part's bytes are the file's: on_part says so */
    uint64_t beside_bytes; /* of the form that are not the file's */
    parts_told *on_part;   /* m.part has begun */
    parts_field *on_field; /* the next bytes of a part that is no file; NULL: nobody wants them */
    parts_told *on_end;    /* it is whole; may be NULL */
};

/* Errors: ERR_INVALID_FORM_DATA (no boundary). */
MUST_USE enum err parts_init(struct request *r, struct parts *p);
/* How many of the bytes were taken: fewer, and the transfer has no room. What is wrong with them
 * refuses the request, whose body then passes unread; so do more than http.body_max bytes beside
 * the file. */
size_t parts_take(struct request *r, struct parts *p, const uint8_t *in, size_t n);

bool is_form(const struct request *r); /* multipart/form-data */
/* Of an http_body_sink: the request is refused, the rest of its body passes unread. */
void upload_refuse_here(struct request *r, enum err err);
/* These bytes have come: the time that they were worth. */
void upload_earn_time(struct request *r, size_t bytes);
/* Media has refused: answered, now or once the body has passed. */
void upload_failed(struct request *r, enum err err);

#endif
