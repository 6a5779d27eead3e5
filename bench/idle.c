/* parley-bench idle: what a socket costs that says nothing. */
#include <stdio.h>

#include "bench.h"
#include "ws_client.h"

enum { connect_max_us = 300 * 1000 * 1000 };

static void progress_line(void *owner, char *out, size_t max)
{
    const struct ws_set *s = owner;
    snprintf(out, max, "%llu of %u sockets  %llu pings  %llu losses", (unsigned long long)s->ready,
             s->len, (unsigned long long)s->stats.pings, (unsigned long long)s->stats.losses);
}

static double per_socket(uint64_t after, uint64_t before, uint64_t sockets)
{
    return sockets > 0 ? ((double)after - (double)before) / (double)sockets : 0;
}

bool idle_run(struct bench *b)
{
    struct ws_set *sockets = bench_zalloc(b, sizeof *sockets);
    struct report *r = &b->report;
    ws_set_init(sockets, b, (uint32_t)b->opt.sockets, b->population.tokens,
                b->population.tokens_len);
    if (!server_proc_known(&b->server))
        fputs("parley-bench: without --pid or --data the server's memory is not seen\n", stderr);
    uint64_t before = server_proc_rss(&b->server), began_us = b->io.now_us;
    bench_progress(b, progress_line, sockets);
    bool all = ws_set_connect(sockets, b->io.now_us + connect_max_us);
    uint64_t connected = server_proc_rss(&b->server), connect_us = b->io.now_us - began_us;
    uint64_t up = sockets->ready;
    server_proc_start(&b->server);
    uint64_t start_us = b->io.now_us, end_us = start_us + b->opt.seconds * 1000000;
    while (b->io.now_us < end_us && !io_stop)
        io_step(&b->io, MIN(end_us, b->io.now_us + 200000));
    bench_load_ended(b, b->io.now_us - start_us);
    uint64_t held = server_proc_rss(&b->server);
    report_u64(r, "sockets", up);
    report_real(r, "connect_s", (double)connect_us / 1e6);
    report_u64(r, "socket_losses", sockets->stats.losses);
    report_u64(r, "pings", sockets->stats.pings);
    if (server_proc_known(&b->server)) {
        report_bytes(r, "rss_before_bytes", before);
        report_bytes(r, "rss_connected_bytes", connected);
        report_bytes(r, "rss_held_bytes", held);
        report_real(r, "rss_bytes_per_socket", per_socket(held, before, up));
        report_real(r, "server_cpu_ms_per_s",
                    (double)b->server.cpu_us / 1e3 / (double)MAX(b->opt.seconds, (uint64_t)1));
    }
    bench_report_client(b);
    if (!all)
        report_problem(r, "%llu of %u sockets never said hello",
                       (unsigned long long)sockets->to_be_ready, sockets->len);
    if (sockets->stats.losses > 0)
        report_problem(r, "%llu idle sockets were lost", (unsigned long long)sockets->stats.losses);
    ws_set_close(sockets);
    return r->problems == 0;
}
