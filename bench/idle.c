/* parley-bench idle: what a socket costs that says nothing. */
#include <stdio.h>

#include "base/clock.h"
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

/* Of everything on this machine; sockets of both ends are in it. */
static uint64_t kernel_bytes(void)
{
    char line[128];
    unsigned long long kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL &&
           sscanf(line, "SUnreclaim: %llu", &kb) != 1)
        continue;
    if (f != NULL)
        fclose(f);
    return kb * 1024;
}

struct idle {
    struct bench *bench;
    struct ws_set *sockets; /* NULL: of helpers */
    struct crowd_word up, end;
    uint64_t rss_before, rss_connected, rss_held, kernel_before, kernel_held, connect_us;
};

static struct crowd_word word_of(const struct ws_set *s)
{
    return (struct crowd_word){s->ready, s->to_be_ready, s->stats.losses, s->stats.pings};
}

static bool connect_all(struct idle *d)
{
    struct bench *b = d->bench;
    if (b->crowd.len > 0)
        return crowd_hear(&b->crowd, &d->up);
    ws_set_connect(d->sockets, b->io.now_us + connect_max_us);
    d->up = word_of(d->sockets);
    return true;
}

static void hold(struct bench *b)
{
    uint64_t end_us = b->io.now_us + b->opt.seconds * 1000000;
    while (b->io.now_us < end_us && !io_stop)
        io_step(&b->io, MIN(end_us, b->io.now_us + 200000));
    server_proc_sample(&b->server);
}

static bool let_go(struct idle *d)
{
    struct crowd *c = &d->bench->crowd;
    if (c->len == 0) {
        d->end = word_of(d->sockets);
        ws_set_close(d->sockets);
        return true;
    }
    crowd_end(c);
    bool heard = crowd_hear(c, &d->end);
    return crowd_wait(c) && heard;
}

static void report_idle(const struct idle *d)
{
    struct bench *b = d->bench;
    struct report *r = &b->report;
    uint64_t up = d->up.ready;
    report_u64(r, "sockets", up);
    report_real(r, "connect_s", (double)d->connect_us / 1e6);
    report_u64(r, "socket_losses", d->end.losses);
    report_u64(r, "pings", d->end.pings);
    report_real(r, "kernel_bytes_per_pair", per_socket(d->kernel_held, d->kernel_before, up));
    if (server_proc_known(&b->server)) {
        report_bytes(r, "rss_before_bytes", d->rss_before);
        report_bytes(r, "rss_connected_bytes", d->rss_connected);
        report_bytes(r, "rss_held_bytes", d->rss_held);
        report_real(r, "rss_bytes_per_socket", per_socket(d->rss_held, d->rss_before, up));
        report_real(r, "server_cpu_ms_per_s",
                    (double)b->server.cpu_us / 1e3 / (double)MAX(b->opt.seconds, (uint64_t)1));
    }
    bench_report_client(b);
    if (d->up.missing > 0)
        report_problem(r, "%llu of %llu sockets never said hello",
                       (unsigned long long)d->up.missing, (unsigned long long)b->opt.sockets);
    if (d->end.losses > 0)
        report_problem(r, "%llu idle sockets were lost", (unsigned long long)d->end.losses);
}

/* A helper: connects its share, and holds it for as long as it is told. */
static bool help(struct bench *b, struct ws_set *s)
{
    ws_set_connect(s, b->io.now_us + connect_max_us);
    crowd_say(&b->crowd, &(struct crowd_word){s->ready, s->to_be_ready, 0, 0});
    while (!crowd_over(&b->crowd) && !io_stop)
        io_step(&b->io, b->io.now_us + 200000);
    struct crowd_word last = word_of(s);
    ws_set_close(s);
    crowd_say(&b->crowd, &last);
    return true;
}

bool idle_run(struct bench *b)
{
    struct idle d = {.bench = b};
    d.kernel_before = kernel_bytes();
    if (b->crowd.len == 0) {
        d.sockets = bench_zalloc(b, sizeof *d.sockets);
        ws_set_init(d.sockets, b, (uint32_t)b->opt.sockets, b->population.tokens,
                    b->population.tokens_len);
    }
    if (b->crowd.part > 0)
        return help(b, d.sockets);
    if (!server_proc_known(&b->server))
        fputs("parley-bench: without --pid or --data the server's memory is not seen\n", stderr);
    d.rss_before = server_proc_rss(&b->server);
    uint64_t began_us = clock_mono_us();
    if (d.sockets != NULL)
        bench_progress(b, progress_line, d.sockets);
    bool heard = connect_all(&d);
    d.rss_connected = server_proc_rss(&b->server);
    d.connect_us = clock_mono_us() - began_us;
    io_step(&b->io, 0); /* for a fresh now_us */
    server_proc_start(&b->server);
    uint64_t start_us = b->io.now_us;
    hold(b);
    bench_load_ended(b, b->io.now_us - start_us);
    d.rss_held = server_proc_rss(&b->server);
    d.kernel_held = kernel_bytes();
    heard = let_go(&d) && heard;
    if (!heard)
        report_problem(&b->report, "a helper process is gone");
    report_idle(&d);
    return b->report.problems == 0;
}
