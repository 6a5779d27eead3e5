/* http1/parse.h - HTTP/1.1 requests from bytes, strictly: what is not plainly right is refused,
 * never repaired. Sources: RFC 9112, RFC 9110. No sockets, no clock: deadlines are the caller's.
 * Thread: one owner. */
#ifndef PARLEY_HTTP1_PARSE_H
#define PARLEY_HTTP1_PARSE_H

#include "base/arena.h"
#include "base/err.h"

struct http_limits { /* from [http] of the configuration */
    uint32_t request_line_max, head_max, fields_max;
    uint64_t body_max;
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

struct http_field {
    struct str_view name;  /* as sent; compare with sv_eq_nocase */
    struct str_view value; /* trimmed */
};

struct http_request {
    enum http_method method;
    struct str_view method_text, target, path, query; /* path is not decoded; query without '?' */
    uint8_t minor;                                    /* HTTP/1.minor */
    bool keep_alive, chunked, expect_continue,
        upgrade; /* upgrade: Connection has it and an Upgrade field exists */
    bool has_content_length;
    uint64_t content_length;
    struct http_field *fields;
    uint32_t fields_len;
    struct str_view host; /* of an absolute target, else of the Host field */
    struct str_view body; /* whole, contiguous, after HTTP_DONE; streamed: empty */
};

/* First field of that name, or p NULL. */
struct str_view http_field(const struct http_request *r, struct str_view name);

enum http_step {
    HTTP_MORE,      /* all input taken, the request is not complete */
    HTTP_HEAD_DONE, /* head views are valid and stay so; the caller judges (auth, size, Expect),
                       then feeds on, with no bytes too: a body may be over its limit by its
                       declaration, or be empty */
    HTTP_FULL,      /* the sink takes no more now: feed the rest later */
    HTTP_DONE,      /* the request is whole; what follows in the input belongs to the next */
    HTTP_FAILED     /* err and http_parser.error say why; not one more byte may be fed */
};

struct http_parser; /* size is private: http_parser_bytes, so that it lies inside a connection */
size_t http_parser_bytes(void);
/* arena: every byte that is kept is copied there (input buffers are recycled at once); views of the
 * request point into it. limits is borrowed for the parser's life. */
void http_parser_init(struct http_parser *p, const struct http_limits *limits);
/* Takes the next n bytes of a body, in order, and says how many of them: fewer than n, and the
 * feeding ends with HTTP_FULL. */
typedef size_t http_body_sink(void *ctx, const uint8_t *p, size_t n);
/* After HTTP_HEAD_DONE, before the next feed: this body goes to sink, not into the arena, and has a
 * bound of its own. */
void http_parser_stream(struct http_parser *p, uint64_t body_max, http_body_sink *sink, void *ctx);
/* For the next request on the connection. */
void http_parser_begin(struct http_parser *p, struct arena *a, struct http_request *r);
/* Feeds up to n bytes; *used says how many were taken. Empty lines before a request line are
 * skipped (RFC 9112 2.2). HTTP_FAILED errors: ERR_BAD_REQUEST, ERR_URI_TOO_LONG,
 * ERR_HEADERS_TOO_LARGE, ERR_BODY_TOO_LARGE (on the declaration), ERR_EXPECTATION_FAILED,
 * ERR_UNSUPPORTED_CODING, ERR_HTTP_VERSION, ERR_NOMEM. */
enum http_step http_parser_feed(struct http_parser *p, const uint8_t *in, size_t n, size_t *used,
                                enum err *why);
/* Whether any byte of the present request has arrived (for the idle and head deadlines). */
bool http_parser_started(const struct http_parser *p);

#endif
