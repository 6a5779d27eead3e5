/* family.h - what is known of each column family (cf.def). */
#ifndef PARLEY_STORE_FAMILY_H
#define PARLEY_STORE_FAMILY_H

#include "store/key.h"

struct family {
    const char *name;
    size_t prefix_bytes;
    bool scanned;
};
extern const struct family families[CF_COUNT];

/* What the prefix filters cover of a key. */
static inline struct str_view family_prefix(enum cf cf, struct str_view key)
{
    return (struct str_view){key.p, MIN(key.len, families[cf].prefix_bytes)};
}

/* Of these a reader may ask what was put in front of a prefix's rows (tail_front). */
static inline bool family_watched(enum cf cf)
{
    return cf == CF_MSG;
}

#endif
