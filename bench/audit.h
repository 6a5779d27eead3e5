/* audit.h - what the two walks of the history audit share: pages of history, and replies thread by
 * thread. Thread: main. */
#ifndef PARLEY_BENCH_AUDIT_H
#define PARLEY_BENCH_AUDIT_H

#include "ledger.h"

enum { audit_walks_max = 16 };

/* A row of an answer, taken apart. False: it has no ts, which is a problem. */
struct audit_row {
    struct json_member *members;
    uint32_t len;
    uint64_t ts_us;
    struct str_view key; /* client_msg_id; p NULL: absent */
};
bool audit_read_row(struct ledger *l, struct str_view text, uint32_t channel,
                    struct audit_row *out);
/* Message i of the ledger is that row of that channel. */
void audit_judge(struct ledger *l, uint32_t i, uint32_t channel, const struct audit_row *row);
/* A row that no message of the ledger is. */
void audit_foreign(struct ledger *l, uint32_t channel, const struct audit_row *row);
/* next_cursor of an answer into out; false: there is none. */
bool audit_next_page(struct ledger *l, const struct reply *reply, char *out, size_t max);

/* Each thread of which the ledger has a reply that is due: its parent on every page, then its
 * replies in rising order. False: threads cannot be read. */
bool audit_threads(struct ledger *l);

#endif
