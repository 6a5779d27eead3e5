/* api/document.h - reads and changes what users, channels and teams keep (store/row.h,
 * document_kind). A change is made here of what was read and written by dir, which refuses it when
 * somebody else has changed it meanwhile: then all of it is done again. So the edit may run several
 * times, and depends on the document and the request only. Thread: the acceptor's; memory: the
 * request's arena. */
#ifndef PARLEY_API_DOCUMENT_H
#define PARLEY_API_DOCUMENT_H

#include "api/internal.h"
#include "dir/dir_msg.h"
#include "hist/hist_msg.h"

enum { document_tries_max = 16 };

struct document;
typedef void document_then(struct request *r, struct document *d);
/* Sets next and the events. Errors are the answer. */
typedef enum err document_edit(struct request *r, struct document *d);

struct document {
    uint64_t owner;
    enum document_kind kind;
    uint64_t known;       /* set before document_read: of this revision the text is not needed */
    struct str_view text; /* as stored; empty: there is none, or it is known */
    /* set by the edit */
    bool changed;            /* false: nothing is written, and that is no error */
    struct str_view next;    /* empty: none any more */
    struct str_view to_team; /* event to the workspace's sockets */
    /* events to the caller's sockets, in order */
    const struct str_view *to_user;
    uint32_t to_user_len;
    /* the handler's own */
    void *own;
    uint64_t n;
    /* document.c's */
    document_edit *edit;
    document_then *then;
    uint32_t tries;
    struct str_view one_event;
    struct hist_document read;
    struct dir_document write;
};

/* NULL: answered already. r->work is it from now on. */
struct document *document_new(struct request *r, uint64_t owner, enum document_kind kind);
void document_read(struct request *r, struct document *d, document_then *then);
void document_change(struct request *r, struct document *d, document_edit *edit,
                     document_then *then);
void document_done(struct request *r, struct document *d); /* {"ok":true}; a document_then */

/* Elements of the document, an array of objects. */
MUST_USE enum err document_elements(struct request *r, const struct document *d,
                                    struct json_member **elements, uint32_t *len);
/* The same where only the answer is left to write. False: it is written, an error. */
bool document_open(struct request *r, const struct document *d, struct json_member **elements,
                   uint32_t *len);
/* A member of an element: a string's text, anything else as it is written; p NULL: none. */
struct str_view document_member(struct request *r, const struct json_member *element,
                                const char *name);
/* The one event of the edit for the caller's sockets; empty: there was no memory for it. */
void document_tell_user(struct document *d, struct str_view event);
/* A value as it was read. */
void document_put(struct json_out *j, const struct json_value *v);
/* Room for a document or an event that is about to be written. */
struct json_out document_out(struct request *r, struct buf *b);

#endif
