/* parley-bench send: writes only, and the promise that what was acknowledged is there. */
#include <stdlib.h>

#include "base/clock.h"
#include "load.h"

enum { open_max_us = 30 * 1000 * 1000 };

static void make_lanes(struct load *l, struct bench *b)
{
    uint32_t tokens = b->population.tokens_len, channels = l->ledger->channels_len;
    /* Open loop: several users per channel even when few connections are asked for. */
    l->lanes_len = MAX((uint32_t)b->opt.conns, channels);
    l->lanes = calloc(l->lanes_len, sizeof *l->lanes);
    ASSERT(l->lanes != NULL);
    for (uint32_t i = 0; i < l->lanes_len; i++)
        l->lanes[i] = (struct lane){b->population.tokens[i % tokens], i % channels};
    if (l->rate == 0)
        l->lanes_len = (uint32_t)b->opt.conns;
}

bool send_run(struct bench *b)
{
    struct ledger *ledger = bench_zalloc(b, sizeof *ledger);
    struct load *load = bench_zalloc(b, sizeof *load);
    ledger_init(ledger, b, clock_wall_us());
    ledger->channels = b->population.channels;
    ledger->channels_len =
        MIN(b->population.channels_len, (uint32_t)MAX(b->opt.channels, (uint64_t)1));
    if (b->opt.rate == 0) /* a closed loop uses no more channels than connections */
        ledger->channels_len = MIN(ledger->channels_len, (uint32_t)b->opt.conns);
    load_init(load, b, ledger);
    make_lanes(load, b);
    ledger->channel_tokens = bench_zalloc(b, ledger->channels_len * sizeof(char *));
    for (uint32_t i = 0; i < ledger->channels_len; i++)
        ledger->channel_tokens[i] = load->lanes[i].token;
    uint64_t *heads_us = bench_zalloc(b, ledger->channels_len * sizeof *heads_us);
    if (!load_join(load))
        return false;
    http_pool_open(&b->http, b->io.now_us + open_max_us);
    ledger_read_heads(ledger, heads_us);
    uint64_t measured_us = load_run(load, b->opt.seconds);
    bench_load_ended(b, measured_us);
    load_report(load, measured_us);
    ledger_audit_history(ledger, heads_us);
    ledger_report(ledger);
    bench_report_client(b);
    return b->report.problems == 0;
}
