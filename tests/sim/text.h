/* sim/text.h - the clients' own little JSON: finds members in text that the server wrote. Shares
 * nothing with json/. */
#ifndef PARLEY_SIM_TEXT_H
#define PARLEY_SIM_TEXT_H

#include "base/str_view.h"

/* The member's value as its source text; p NULL: none. obj begins with '{'. */
struct str_view js_get(struct str_view obj, const char *name);
/* The n-th element of an array's text; p NULL at the end. *at starts at 0 and is kept for the next
 * call. */
struct str_view js_next(struct str_view array, size_t *at);
/* Without quotes, escapes undone; out has room for max bytes; p NULL: not a string, or too long. */
struct str_view js_string(struct str_view value, char *out, size_t max);
static inline bool js_true(struct str_view value)
{
    return sv_eq(value, SV("true"));
}
/* Whether the text is one JSON value and nothing else. */
bool js_whole(struct str_view text);
uint64_t js_u64(struct str_view value);
/* "C1A2" and the like, with quotes; 0: not an id. */
uint64_t js_id(struct str_view value);
enum { js_id_max = 16 };
void js_format_id(char out[js_id_max], char letter, uint64_t id); /* with NUL */
/* "1517436010.000936" with quotes; 0: not a ts. */
uint64_t js_ts(struct str_view value);

#endif
