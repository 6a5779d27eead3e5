/* json/write.h - JSON out, straight into a buf. Commas are kept by the writer; a missing room
 * sticks in buf.failed. Strings must be valid UTF-8; control characters, quote and backslash are
 * escaped, '/' is not. */
#ifndef PARLEY_JSON_WRITE_H
#define PARLEY_JSON_WRITE_H

#include "base/arena.h"
#include "base/id.h"

struct json_out {
    struct buf *b;
    bool comma; /* the next element needs one */
};

static inline struct json_out json_out_on(struct buf *b)
{
    return (struct json_out){.b = b, .comma = false};
}
void json_obj(struct json_out *j);     /* { as an element or a value */
void json_obj_end(struct json_out *j); /* } */
void json_arr(struct json_out *j);
void json_arr_end(struct json_out *j);
void json_key_of(struct json_out *j, const char *name, size_t len);
/* name needs no escaping; the next call is its value. Inline, so that a literal's length is known.
 */
static inline void json_key(struct json_out *j, const char *name)
{
    json_key_of(j, name, strlen(name));
}
void json_str(struct json_out *j, struct str_view s);
void json_u64(struct json_out *j, uint64_t v);
void json_i64(struct json_out *j, int64_t v);
void json_bool(struct json_out *j, bool v);
void json_null(struct json_out *j);
void json_id(struct json_out *j, enum id_kind kind, uint64_t id); /* quoted */
void json_ts(struct json_out *j, uint64_t ts_us);                 /* quoted */
/* Text that is JSON already: a value, or whole members "a":1,"b":2 inside an object. Empty:
 * nothing. */
void json_raw(struct json_out *j, struct str_view text);

/* Key and value in one call, for the many plain members. */
static inline void json_kv_str(struct json_out *j, const char *name, struct str_view s)
{
    json_key(j, name);
    json_str(j, s);
}
static inline void json_kv_u64(struct json_out *j, const char *name, uint64_t v)
{
    json_key(j, name);
    json_u64(j, v);
}
static inline void json_kv_bool(struct json_out *j, const char *name, bool v)
{
    json_key(j, name);
    json_bool(j, v);
}
static inline void json_kv_id(struct json_out *j, const char *name, enum id_kind kind, uint64_t id)
{
    json_key(j, name);
    json_id(j, kind, id);
}
static inline void json_kv_ts(struct json_out *j, const char *name, uint64_t ts_us)
{
    json_key(j, name);
    json_ts(j, ts_us);
}

#endif
