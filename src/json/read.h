/* json/read.h - JSON from outside: judged whole in one pass, the top level handed out, nested
 * values as checked text. Refused (docs/api.md, "Bodies"): anything but one value, depth over 32,
 * duplicate names at any depth, NaN and the like, lone surrogates, NUL raw or escaped, a byte-order
 * mark, bad UTF-8, trailing bytes. Source: RFC 8259. Parser: simdjson behind a C shim. Thread: one
 * reader per thread. */
#ifndef PARLEY_JSON_READ_H
#define PARLEY_JSON_READ_H

#include "base/arena.h"
#include "base/err.h"

enum { json_depth_max = 32, json_members_max = 256, json_padding = 64 };

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    enum json_type type;
    bool b;            /* JSON_BOOL */
    int64_t i;         /* JSON_INT */
    struct str_view s; /* JSON_STRING: unescaped UTF-8; every other type: its source text */
};

struct json_member {
    struct str_view name; /* unescaped */
    struct json_value value;
};

struct json_reader; /* parser memory, reused from call to call */
MUST_USE enum err json_reader_new(struct json_reader **out);
void json_reader_free(struct json_reader *r);

/* Reads text as one object. Members in order, at most json_members_max, in the arena; views point
 * into the arena or into text, so text must live as long. text needs no padding. Time is linear in
 * len. Errors: ERR_INVALID_JSON, ERR_JSON_NOT_OBJECT, ERR_NOMEM. */
MUST_USE enum err json_read_object(struct json_reader *r, struct arena *a, struct str_view text,
                                   struct json_member **members, uint32_t *len);
/* Checks text as one value by the same rules and says its type. */
MUST_USE enum err json_check(struct json_reader *r, struct str_view text, enum json_type *type);
/* Elements of an array, as json_read_object does for members (name is empty). Errors: also
 * ERR_INVALID_JSON when it is no array, ERR_FULL when it has more than max elements. */
MUST_USE enum err json_read_array_max(struct json_reader *r, struct arena *a, struct str_view text,
                                      uint32_t max, struct json_member **elements, uint32_t *len);
/* Of any length. */
MUST_USE enum err json_read_array(struct json_reader *r, struct arena *a, struct str_view text,
                                  struct json_member **elements, uint32_t *len);

struct json_value *json_find(struct json_member *members, uint32_t len,
                             struct str_view name); /* or NULL */
/* The text of that member; p NULL: there is none, or it is no string. */
struct str_view json_text(struct json_member *members, uint32_t len, const char *name);

/* Strict UTF-8 (no surrogates, no overlong forms); NUL is legal here. */
bool utf8_valid(struct str_view s);
/* Number of code points of valid UTF-8. */
size_t utf8_count(struct str_view s);

#endif
