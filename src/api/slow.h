/* api/slow.h - the slowest requests of the last minutes, one table per acceptor. Ranked by what the
 * server itself took, from a request's last byte to its answer: a client that uploads or reads
 * slowly would fill the table otherwise. Thread: the acceptor's. */
#ifndef PARLEY_API_SLOW_H
#define PARLEY_API_SLOW_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/str_view.h"

enum stage {
#define STAGE(code, name, what) STAGE_##code,
#include "api/stage.def"
#undef STAGE
    STAGE_COUNT
};
const char *stage_name(enum stage s);

enum {
    slow_entries_max = 64,
    slow_window_s = 600, /* older ones make room, for any newer one */
    slow_id_len = 32
};

struct slow_entry {
    struct str_view method; /* static text; empty: no API method */
    char request_id[slow_id_len];
    uint64_t team, uid, cid;     /* 0: none */
    uint64_t wall_us;            /* when it was answered */
    uint32_t own_us;             /* from parsed to answered: the rank */
    uint32_t at_us[STAGE_COUNT]; /* since accepted; never falls from one passed stage to the next */
    uint32_t passed;             /* a bit per stage */
    int status;                  /* 0: the client had left */
    enum err err;
};

struct slow_table {
    struct slow_entry entries[slow_entries_max];
    uint64_t until_us[slow_entries_max]; /* steady clock; from then on too old */
    uint32_t len;
    uint32_t least_us;   /* of own_us, once the table is full */
    uint64_t expires_us; /* the earliest of until_us */
};

/* Where a request that took own_us belongs, for the caller to fill; NULL: it is none of the
 * slowest. The entry's own_us is set. */
struct slow_entry *slow_offer(struct slow_table *t, uint32_t own_us, uint64_t now_us);
/* Copies what is young enough to out, slowest first; returns how many. */
uint32_t slow_read(const struct slow_table *t, uint64_t now_us,
                   struct slow_entry out[slow_entries_max]);
void slow_sort(struct slow_entry *entries, uint32_t len); /* slowest first */

#endif
