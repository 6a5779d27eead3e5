/* parley-bench fanout: one channel, many sockets; how long a post takes to reach each of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "load.h"

enum { connect_max_us = 120 * 1000 * 1000, authors_max = 64 };

static void make_lanes(struct load *l, struct bench *b, uint32_t len)
{
    free(l->lanes);
    l->lanes_len = len;
    l->lanes = calloc(len, sizeof *l->lanes);
    ASSERT(l->lanes != NULL);
    for (uint32_t i = 0; i < len; i++)
        l->lanes[i] = (struct lane){b->population.tokens[i], 0};
}

static void report_fanout(struct bench *b, struct ledger *l, const struct hist_log *delivery_us,
                          uint64_t measured_us, uint64_t deliveries)
{
    double seconds = (double)measured_us / 1e6;
    report_hist(&b->report, "delivery_us", delivery_us);
    report_real(&b->report, "deliveries_per_s", seconds > 0 ? (double)deliveries / seconds : 0);
    bench_report_cpu(b, "server_cpu_us_per_delivery", "server_cpu_us_per_delivery_by_thread",
                     l->deliveries);
}

bool fanout_run(struct bench *b)
{
    struct ledger *ledger = bench_zalloc(b, sizeof *ledger);
    struct ws_set *sockets = bench_zalloc(b, sizeof *sockets);
    struct hist_log *delivery_us = bench_zalloc(b, sizeof *delivery_us);
    struct load *load = bench_zalloc(b, sizeof *load);
    uint32_t users = MIN(b->population.tokens_len, (uint32_t)b->opt.subscribers);
    ledger_init(ledger, b, clock_wall_us());
    ledger->channels = b->population.channels;
    ledger->channels_len = 1;
    ledger->channel_tokens = b->population.tokens;
    ledger->delivery_us = delivery_us;
    load_init(load, b, ledger);
    load_follow_deliveries(load);
    make_lanes(load, b, users); /* all of them join, some of them post */
    if (!load_join(load))
        return false;
    make_lanes(load, b, MIN(users, b->opt.rate > 0 ? authors_max : (uint32_t)b->opt.conns));
    ws_set_init(sockets, b, (uint32_t)b->opt.subscribers, b->population.tokens,
                b->population.tokens_len);
    ledger_watch(ledger, sockets, false);
    if (!ws_set_connect(sockets, b->io.now_us + connect_max_us)) {
        fprintf(stderr, "parley-bench: %llu of %u sockets never said hello\n",
                (unsigned long long)sockets->to_be_ready, sockets->len);
        return false;
    }
    uint64_t head_us;
    ledger_read_heads(ledger, &head_us);
    uint64_t measured_us = load_run(load, b->opt.seconds), in_time = ledger->deliveries;
    bool stopped = io_stop;
    bench_load_ended(b, measured_us);
    ledger_settle(ledger);
    if (!stopped)
        server_proc_sample(&b->server);
    load_report(load, measured_us);
    report_fanout(b, ledger, delivery_us, measured_us, in_time);
    ledger_audit_deliveries(ledger);
    ledger_audit_history(ledger, &head_us);
    ledger_report(ledger);
    bench_report_client(b);
    ws_set_close(sockets);
    return b->report.problems == 0;
}
