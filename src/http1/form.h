/* http1/form.h - arguments out of a query string, an urlencoded body or a multipart body.
 * Sources: WHATWG URL (application/x-www-form-urlencoded), RFC 7578. Views point into the arena or
 * the input. Errors of all: ERR_INVALID_FORM_DATA (broken escapes, no boundary, unterminated part,
 * too many), ERR_NOMEM. A last boundary without its final dashes at the end of the body is
 * accepted: a real client sends it. */
#ifndef PARLEY_HTTP1_FORM_H
#define PARLEY_HTTP1_FORM_H

#include "base/arena.h"
#include "base/err.h"

enum { form_params_max = 256 };

struct form_param {
    struct str_view name, value;  /* decoded; valid UTF-8, but for the value of a file */
    struct str_view filename;     /* multipart only; valid UTF-8; p NULL when absent */
    struct str_view content_type; /* multipart only; valid UTF-8 */
    bool is_file;
};

struct form {
    struct form_param *params; /* in order; a repeated name stays repeated */
    uint32_t len, cap;
};

/* Each adds to *f (zero it first), so query and body can be merged in order. */
MUST_USE enum err form_parse_urlencoded(struct form *f, struct arena *a, struct str_view text);
/* content_type: the whole header value, with its boundary parameter. */
MUST_USE enum err form_parse_multipart(struct form *f, struct arena *a,
                                       struct str_view content_type, struct str_view body);
/* "%41+b" -> "A b"; for paths plus_is_space is false. Refuses broken escapes, NUL and bad UTF-8. */
MUST_USE enum err form_unescape(struct arena *a, struct str_view text, bool plus_is_space,
                                struct str_view *out);

/* What an argument may be: valid UTF-8 without NUL, as in JSON. */
bool form_is_text(struct str_view s);

/* A Content-Type or the like: "text/html; charset=utf-8" -> type "text/html"; parameter by name,
 * unquoted, or p NULL. */
struct str_view media_type(struct str_view value);
struct str_view media_param(struct arena *a, struct str_view value, struct str_view name);

#endif
