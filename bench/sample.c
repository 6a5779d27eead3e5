#include "sample.h"

#include <stdio.h>

enum { short_us = 2 * 1000 * 1000 }; /* what came behind the last window is none by itself */

static void begin_window(struct sampler *s)
{
    const struct server_proc *p = &s->bench->server;
    s->acked = s->poster->acked;
    s->cpu_us = p->cpu_us;
    s->written_bytes = p->written_bytes;
    s->restarts = p->restarts;
    for (uint32_t i = 0; i < server_roles_max; i++)
        s->roles_ns[i] = p->roles[i].cpu_ns;
    s->post_us = (struct hist_log){0};
    s->window_us = s->bench->io.now_us;
}

static void print_roles(const struct sampler *s, double posts)
{
    const struct server_proc *p = &s->bench->server;
    const char *comma = "";
    for (uint32_t i = 0; i < p->roles_len; i++) {
        double us = (double)(p->roles[i].cpu_ns - s->roles_ns[i]) / 1e3 / posts;
        if (us < 0.0005)
            continue;
        printf("%s\"%s\":%.3f", comma, p->roles[i].name, us);
        comma = ",";
    }
}

static void print_window(struct sampler *s)
{
    struct bench *b = s->bench;
    server_proc_sample(&b->server);
    const struct server_proc *p = &b->server;
    uint64_t acked = s->poster->acked - s->acked;
    double posts = (double)MAX(acked, 1u);
    printf("{\"sample_s\":%.1f,\"window_s\":%.1f,\"posts\":%llu,\"posts_total\":%llu,"
           "\"in_flight\":%llu,\"refused\":%llu,\"server_restarts\":%llu,"
           "\"server_cpu_us_per_post\":%.3f,\"server_cpu_us_per_post_by_thread\":{",
           (double)(b->io.now_us - s->start_us) / 1e6, (double)(b->io.now_us - s->window_us) / 1e6,
           (unsigned long long)acked, (unsigned long long)s->poster->acked,
           (unsigned long long)s->poster->in_flight, (unsigned long long)s->poster->refused,
           (unsigned long long)(p->restarts - s->restarts),
           (double)(p->cpu_us - s->cpu_us) / posts);
    print_roles(s, posts);
    printf("},\"post_us\":{\"p50\":%llu,\"p99\":%llu,\"max\":%llu},\"written_bytes_per_post\":%.1f,"
           "\"server_rss_bytes\":%llu}\n",
           (unsigned long long)hist_log_quantile(&s->post_us, 0.5),
           (unsigned long long)hist_log_quantile(&s->post_us, 0.99),
           (unsigned long long)s->post_us.max,
           (double)(p->written_bytes - s->written_bytes) / posts,
           (unsigned long long)server_proc_rss(p));
    fflush(stdout);
    begin_window(s);
}

static void on_window(struct io_timer *t)
{
    struct sampler *s = (struct sampler *)((char *)t - offsetof(struct sampler, timer));
    print_window(s);
    io_timer_arm(&s->bench->io, t, t->at_us + s->every_us);
}

void sampler_start(struct sampler *s, struct load *l, uint64_t every_s)
{
    struct io *io = &l->bench->io;
    io_step(io, 0); /* for a fresh now_us */
    *s = (struct sampler){.bench = l->bench,
                          .poster = &l->poster,
                          .every_us = every_s * 1000000,
                          .start_us = io->now_us};
    server_proc_start(&l->bench->server);
    begin_window(s);
    l->poster.window_us = &s->post_us;
    s->timer.fire = on_window;
    io_timer_arm(io, &s->timer, io->now_us + s->every_us);
}

void sampler_stop(struct sampler *s)
{
    io_timer_disarm(&s->bench->io, &s->timer);
    if (s->bench->io.now_us > s->window_us + short_us)
        print_window(s);
    s->poster->window_us = NULL;
}
