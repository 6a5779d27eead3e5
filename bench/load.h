/* load.h - posts at a rate or as fast as answered, over lanes of (token, channel). Thread: main. */
#ifndef PARLEY_BENCH_LOAD_H
#define PARLEY_BENCH_LOAD_H

#include "poster.h"

enum { load_text_max = 40000, load_in_flight_max = 1 << 20 };

struct lane {
    const char *token;
    uint32_t channel; /* of the ledger */
};

struct load {
    struct bench *bench;
    struct ledger *ledger;
    struct poster poster;
    struct lane *lanes;
    uint32_t lanes_len;
    uint64_t rate;        /* per second; 0: each lane sends as soon as it is answered */
    bool until_delivered; /* rate 0: the next one goes out once every socket has one */
    uint64_t text_bytes;
    uint64_t start_us, end_us;
    uint64_t due;      /* posts that should be out by now */
    uint64_t not_sent; /* too many in flight, or the books full */
    uint64_t last_acked;
    struct io_timer timer;
    char text[load_text_max + 1];
};

/* Sets the ledger's text(). */
void load_init(struct load *l, struct bench *b, struct ledger *ledger);
void load_deinit(struct load *l);
/* With rate 0: a post is under way until every socket has it. After load_init. */
void load_follow_deliveries(struct load *l);
/* Every lane's user joins its channel. False: some could not. */
bool load_join(struct load *l);
/* Begins to send, at a rate, for seconds at most. */
void load_begin(struct load *l, uint64_t seconds);
/* Sends no more from now on, waits for the answers. */
void load_end(struct load *l);
/* Sends for seconds, waits for the answers; returns the measured microseconds. */
uint64_t load_run(struct load *l, uint64_t seconds);
void load_report(struct load *l, uint64_t measured_us);

#endif
