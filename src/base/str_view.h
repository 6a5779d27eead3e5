/* str_view.h - a borrowed run of bytes. Owns nothing; p may be NULL only when len is 0.
 * Thread: any. */
#ifndef PARLEY_BASE_STR_VIEW_H
#define PARLEY_BASE_STR_VIEW_H

#include <string.h>
#include "base/compiler.h"

struct str_view {
    const char *p;
    size_t len;
};

#define SV(lit)    ((struct str_view){"" lit, sizeof(lit) - 1})
#define SV_NONE    ((struct str_view){NULL, 0})
#define SV_ARG(sv) (int)(sv).len, (sv).p /* for "%.*s" */

static inline struct str_view sv_from(const char *z)
{
    return (struct str_view){z, z == NULL ? 0 : strlen(z)};
}

static inline bool sv_eq(struct str_view a, struct str_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII letters only, as HTTP and Slack compare them. */
bool sv_eq_nocase(struct str_view a, struct str_view b);
bool sv_starts(struct str_view s, struct str_view prefix);
/* Bytewise, then by length: <0, 0, >0. */
int sv_cmp(struct str_view a, struct str_view b);
/* Without leading and trailing SP and HTAB. */
struct str_view sv_trim(struct str_view s);
/* Cuts *rest at the first sep: returns what stands before it, *rest becomes what stands behind (p
 * NULL at the end). */
struct str_view sv_cut(struct str_view *rest, char sep);
/* Whole of s, decimal digits only, no sign, no spaces. False on anything else or overflow; *out
 * untouched. */
MUST_USE bool sv_to_u64(struct str_view s, uint64_t *out);
/* Same bytes, same length; the time depends on the lengths only. For tokens and hashes. */
bool sv_eq_constant_time(struct str_view a, struct str_view b);

#endif
