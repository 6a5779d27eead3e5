/* poster.h - chat.postMessage calls under way, each tied to its line in the ledger. Thread: main.
 */
#ifndef PARLEY_BENCH_POSTER_H
#define PARLEY_BENCH_POSTER_H

#include "ledger.h"

enum { poster_errors_max = 16 };

struct post; /* one call, recycled */

struct poster {
    struct bench *bench;
    struct ledger *ledger;
    struct http_pool *pool; /* the bench's, unless the caller sets another */
    struct post *free;
    uint64_t in_flight, sent, acked, refused;
    struct hist_log latency_us; /* from the intended time to the acknowledgement */
    struct hist_log *window_us; /* the same, of who samples; may be NULL */
    /* From its first byte, so without what it waited in the client; may be NULL. */
    struct hist_log *answer_us;
    struct {
        char name[48];
        uint64_t count;
    } errors[poster_errors_max];
    void (*done)(void *owner, uint32_t message, uint32_t tag, bool ok); /* may be NULL */
    void *owner;
};

void poster_init(struct poster *p, struct bench *b, struct ledger *l);
void poster_deinit(struct poster *p); /* only when nothing is in flight, or the program ends */
/* tag comes back with done(). */
void poster_send(struct poster *p, uint32_t message, const char *token, uint32_t tag);
/* Waits for what is in flight: as long as calls are retried, or 2 s after a signal. */
void poster_drain(struct poster *p);
void poster_report_counts(struct poster *p);
/* The counts, rate, latency and the server's CPU per post. */
void poster_report(struct poster *p, uint64_t measured_us);

#endif
