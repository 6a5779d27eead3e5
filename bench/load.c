#include "load.h"

#include <stdio.h>
#include <stdlib.h>

/* Words, markup and an entity, so that the audit's text comparison has something to find. */
static const char filler[] = "the quick brown fox & the <lazy> dog, \xc3\xa4\xc3\xb6\xc3\xbc; ";

static struct str_view text_of(void *owner, uint32_t i)
{
    struct load *l = owner;
    char number[32];
    int n = snprintf(number, sizeof number, "%u ", i);
    size_t len = MAX((size_t)l->text_bytes, (size_t)n);
    /* The bytes behind the number were filled by load_init: only a wider number covers more. */
    memcpy(l->text, number, (size_t)n);
    memset(l->text + n, ' ', 12u - (size_t)n);
    return (struct str_view){l->text, len};
}

void load_init(struct load *l, struct bench *b, struct ledger *ledger)
{
    *l = (struct load){.bench = b, .ledger = ledger, .rate = b->opt.rate};
    l->text_bytes = MIN(b->opt.text_bytes, (uint64_t)load_text_max - sizeof filler);
    memset(l->text, ' ', 16);
    size_t len = 16;
    while (len + sizeof filler - 1 <= l->text_bytes) {
        memcpy(l->text + len, filler, sizeof filler - 1);
        len += sizeof filler - 1;
    }
    if (len < l->text_bytes)
        memset(l->text + len, 'x', l->text_bytes - len); /* no half character at the end */
    ledger->text = text_of;
    ledger->owner = l;
    poster_init(&l->poster, b, ledger);
}

void load_deinit(struct load *l)
{
    poster_deinit(&l->poster);
    free(l->lanes);
}

/* ---- joining ---- */

static void make_join(void *owner, uint32_t item, struct batch_call *out)
{
    struct load *l = owner;
    *out = (struct batch_call){l->lanes[item].token,
                               "conversations.join",
                               {"channel", l->ledger->channels[l->lanes[item].channel]}};
}

static void on_joined(void *owner, uint32_t item, const struct reply *r)
{
    struct load *l = owner;
    if (!r->ok && !sv_eq(r->error, SV("method_not_supported_for_channel_type")))
        report_problem(&l->bench->report, "conversations.join of %s: %.*s",
                       l->ledger->channels[l->lanes[item].channel], SV_ARG(r->error));
}

bool load_join(struct load *l)
{
    batch_run(&(struct batch){
        .bench = l->bench, .len = l->lanes_len, .make = make_join, .done = on_joined, .owner = l});
    return l->bench->report.problems == 0;
}

/* ---- sending ---- */

static void send_on(struct load *l, uint32_t lane, uint64_t intended_us)
{
    uint32_t i = l->poster.in_flight < l->bench->opt.in_flight
                     ? ledger_add(l->ledger, l->lanes[lane].channel, 0, intended_us)
                     : UINT32_MAX;
    if (i == UINT32_MAX)
        l->not_sent++;
    else
        poster_send(&l->poster, i, l->lanes[lane].token, lane);
}

static void on_answered(void *owner, uint32_t message, uint32_t lane, bool ok)
{
    struct load *l = owner;
    uint64_t now_us = l->bench->io.now_us;
    (void)message;
    if (l->until_delivered && ok)
        return;
    if (l->rate == 0 && now_us < l->end_us && !io_stop)
        send_on(l, lane, now_us);
}

static void on_delivered(void *owner, uint32_t message)
{
    struct load *l = owner;
    uint64_t now_us = l->bench->io.now_us;
    if (now_us < l->end_us && !io_stop)
        send_on(l, message % l->lanes_len, now_us);
}

void load_follow_deliveries(struct load *l)
{
    l->until_delivered = l->rate == 0;
    if (l->until_delivered)
        l->ledger->delivered = on_delivered;
}

static void on_tick(struct io_timer *t)
{
    struct load *l = (struct load *)((char *)t - offsetof(struct load, timer));
    uint64_t now_us = MIN(l->bench->io.now_us, l->end_us);
    for (;; l->due++) {
        uint64_t at_us = l->start_us + l->due * 1000000 / l->rate;
        if (at_us >= l->end_us || io_stop)
            return;
        if (at_us > now_us) {
            io_timer_arm(&l->bench->io, t, at_us);
            return;
        }
        send_on(l, (uint32_t)(l->due % l->lanes_len), at_us);
    }
}

static void progress_line(void *owner, char *out, size_t max)
{
    struct load *l = owner;
    snprintf(out, max, "%8llu posts/s  %llu in flight  %llu deliveries  p99 %llu us",
             (unsigned long long)(l->poster.acked - l->last_acked),
             (unsigned long long)l->poster.in_flight, (unsigned long long)l->ledger->deliveries,
             (unsigned long long)hist_log_quantile(&l->poster.latency_us, 0.99));
    l->last_acked = l->poster.acked;
}

void load_begin(struct load *l, uint64_t seconds)
{
    struct io *io = &l->bench->io;
    io_step(io, 0); /* for a fresh now_us */
    server_proc_start(&l->bench->server);
    bench_progress(l->bench, progress_line, l);
    l->start_us = io->now_us;
    l->end_us = io->now_us + seconds * 1000000;
    l->poster.done = on_answered;
    l->poster.owner = l;
    l->timer.fire = on_tick;
    if (l->rate > 0)
        on_tick(&l->timer);
    for (uint32_t i = 0; l->rate == 0 && i < l->lanes_len; i++)
        send_on(l, i, io->now_us);
}

void load_end(struct load *l)
{
    l->end_us = MIN(l->end_us, l->bench->io.now_us);
    if (l->rate > 0)
        on_tick(&l->timer); /* who is due is sent: the timer may not have fired yet */
    poster_drain(&l->poster);
}

uint64_t load_run(struct load *l, uint64_t seconds)
{
    struct io *io = &l->bench->io;
    load_begin(l, seconds);
    while (io->now_us < l->end_us && !io_stop)
        io_step(io, MIN(l->end_us, io->now_us + 200000));
    poster_drain(&l->poster);
    return io->now_us - l->start_us;
}

void load_report(struct load *l, uint64_t measured_us)
{
    poster_report(&l->poster, measured_us);
    if (l->not_sent > 0)
        report_u64(&l->bench->report, "posts_not_sent", l->not_sent);
}
