/* parley-bench send: writes only, and the promise that what was acknowledged is there. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "sample.h"

enum { open_max_us = 30 * 1000 * 1000, skewed_lanes_each = 8, skewed_seed = 7 };

/* Channel k gets a share of 1 / (k + 1), in no order that repeats soon: lanes are taken in turn. */
static void skew(struct load *l)
{
    uint32_t channels = l->ledger->channels_len, n = 0;
    double sum = 0;
    for (uint32_t k = 0; k < channels; k++)
        sum += 1.0 / (k + 1);
    for (uint32_t k = 0; k < channels; k++) {
        uint32_t share = (uint32_t)((l->lanes_len - channels) / sum / (k + 1));
        for (uint32_t i = 0; i <= share && n < l->lanes_len; i++)
            l->lanes[n++].channel = k;
    }
    l->lanes_len = n;
    struct rand_src r;
    rand_init_seeded(&r, skewed_seed);
    for (uint32_t i = n; i > 1; i--) {
        uint32_t at = (uint32_t)rand_below(&r, i), channel = l->lanes[i - 1].channel;
        l->lanes[i - 1].channel = l->lanes[at].channel;
        l->lanes[at].channel = channel;
    }
}

static void make_lanes(struct load *l, struct bench *b)
{
    uint32_t tokens = b->population.tokens_len, channels = l->ledger->channels_len;
    /* Open loop: several users per channel even when few connections are asked for. */
    l->lanes_len = MAX((uint32_t)b->opt.conns, channels);
    if (b->opt.skewed)
        l->lanes_len = MAX(l->lanes_len, channels * skewed_lanes_each);
    l->lanes = calloc(l->lanes_len, sizeof *l->lanes);
    ASSERT(l->lanes != NULL);
    for (uint32_t i = 0; i < l->lanes_len; i++)
        l->lanes[i] = (struct lane){b->population.tokens[i % tokens], i % channels};
    if (b->opt.skewed)
        skew(l);
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
    for (uint32_t i = load->lanes_len; i-- > 0;)
        ledger->channel_tokens[load->lanes[i].channel] = load->lanes[i].token;
    uint64_t *heads_us = bench_zalloc(b, ledger->channels_len * sizeof *heads_us);
    if (!load_join(load))
        return false;
    http_pool_open(&b->http, b->io.now_us + open_max_us);
    ledger_read_heads(ledger, heads_us);
    struct sampler *sampler = bench_zalloc(b, sizeof *sampler);
    if (b->opt.sample > 0)
        sampler_start(sampler, load, b->opt.sample);
    uint64_t measured_us = load_run(load, b->opt.seconds);
    if (b->opt.sample > 0)
        sampler_stop(sampler);
    bench_load_ended(b, measured_us);
    load_report(load, measured_us);
    ledger_audit_history(ledger, heads_us);
    ledger_report(ledger);
    bench_report_client(b);
    return b->report.problems == 0;
}
