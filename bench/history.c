/* parley-bench history: readers of pages of 100 (or fewer), of the newest ones and then of deeper
 * ones. What each page must hold is known beforehand: the channels' pages are walked once before
 * the load. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "load.h"

enum { pages_max = 64, readers_max = 1024 };

/* A channel's pages, newest first. */
struct shelf {
    struct {
        uint64_t latest_us; /* what it is asked for with; TS_NONE: nothing */
        uint64_t newest_us, oldest_us;
    } pages[pages_max];
    uint32_t len;
};

struct reader {
    struct http_request request;
    struct history *history;
    uint32_t shelf, page;
    uint64_t began_us;
    char body[256];
};

struct history {
    struct bench *bench;
    struct ledger ledger;
    struct shelf *shelves;
    struct reader *readers;
    struct rand_src rand;
    bool deep;
    uint64_t page_rows;
    char limit[16];  /* the same as an argument */
    uint64_t old_us; /* deeper pages begin here; TS_NONE: behind the newest one */
    uint64_t end_us, under_way, pages, bytes;
    struct hist_log newest_us, deep_us;
};

/* ---- a page's first and last ts ---- */

static bool ts_at(const char *p, const char *end, uint64_t *out)
{
    const char *quote = memchr(p, '"', (size_t)(end - p));
    return quote != NULL && ts_parse((struct str_view){p, (size_t)(quote - p)}, out);
}

/* Rows are counted by their ts: inside a string the quotes would be escaped. A parse of each page
 * would cost the client more than the server spends on it. */
static uint32_t scan_page(struct str_view body, uint64_t *first_us, uint64_t *last_us)
{
    static const char name[] = "\"ts\":\"";
    const char *p = body.p, *end = body.p + body.len;
    uint32_t rows = 0;
    uint64_t ts_us;
    while ((p = memmem(p, (size_t)(end - p), name, sizeof name - 1)) != NULL) {
        p += sizeof name - 1;
        if (!ts_at(p, end, &ts_us))
            return 0;
        if (rows++ == 0)
            *first_us = ts_us;
        *last_us = ts_us;
    }
    return rows;
}

/* ---- filling and walking ---- */

struct filling {
    struct load *load;
    uint64_t left_to_send;
};

static void on_filled(void *owner, uint32_t message, uint32_t lane, bool ok)
{
    struct filling *f = owner;
    struct load *l = f->load;
    (void)message, (void)ok;
    if (f->left_to_send == 0 || io_stop)
        return;
    f->left_to_send--;
    uint32_t i = ledger_add(l->ledger, l->lanes[lane].channel, 0, l->bench->io.now_us);
    if (i != UINT32_MAX)
        poster_send(&l->poster, i, l->lanes[lane].token, lane);
}

static void fill(struct load *l, uint64_t posts)
{
    struct filling f = {l, posts};
    l->poster.done = on_filled;
    l->poster.owner = &f;
    for (uint32_t i = 0; i < l->lanes_len; i++)
        on_filled(&f, 0, i, true);
    while (l->poster.in_flight > 0 && !io_stop)
        io_step(&l->bench->io, l->bench->io.now_us + 200000);
    l->poster.owner = NULL;
    l->poster.done = NULL;
}

static void latest_text(uint64_t ts_us, char out[ts_text_len + 1])
{
    out[0] = '\0';
    if (ts_us == TS_NONE)
        return;
    ts_format(out, ts_us);
    out[ts_text_len] = '\0';
}

static bool walk(struct history *h, uint32_t channel)
{
    struct shelf *s = &h->shelves[channel];
    uint64_t latest_us = TS_NONE;
    while (s->len < pages_max) {
        struct reply reply;
        char latest[ts_text_len + 1] = "";
        latest_text(latest_us, latest);
        uint64_t first_us = 0, last_us = 0;
        if (!api_call(h->bench, h->ledger.channel_tokens[channel], "conversations.history",
                      API_ARGS("channel", h->ledger.channels[channel], "limit", h->limit,
                               latest[0] != '\0' ? "latest" : NULL, latest),
                      &reply)) {
            report_problem(&h->bench->report, "conversations.history: %.*s", SV_ARG(reply.error));
            return false;
        }
        struct json_value *list = json_find(reply.members, reply.len, SV("messages"));
        if (list == NULL || scan_page(list->s, &first_us, &last_us) != h->page_rows)
            break;
        s->pages[s->len].latest_us = latest_us;
        s->pages[s->len].newest_us = first_us;
        s->pages[s->len++].oldest_us = last_us;
        latest_us = s->len == 1 && h->old_us != TS_NONE ? h->old_us : last_us;
    }
    return true;
}

/* ---- reading ---- */

static void read_next(struct reader *r)
{
    struct history *h = r->history;
    struct buf body;
    buf_init_fixed(&body, r->body, sizeof r->body);
    struct json_out j = json_out_on(&body);
    r->shelf = (uint32_t)rand_below(&h->rand, h->ledger.channels_len);
    struct shelf *s = &h->shelves[r->shelf];
    r->page = h->deep ? 1 + (uint32_t)rand_below(&h->rand, s->len - 1) : 0;
    char latest[ts_text_len + 1];
    latest_text(s->pages[r->page].latest_us, latest);
    const char *const args[] = {"channel", h->ledger.channels[r->shelf],  "limit",
                                h->limit,  r->page > 0 ? "latest" : NULL, latest,
                                NULL};
    json_args(&j, args);
    ASSERT(!body.failed);
    r->request.method = "conversations.history";
    r->request.token = h->ledger.channel_tokens[r->shelf];
    r->request.body = buf_view(&body);
    r->began_us = h->bench->io.now_us;
    h->under_way++;
    http_send(&h->bench->http, &r->request);
}

static void on_page(struct http_request *q, const struct http_answer *a)
{
    struct reader *r = q->owner;
    struct history *h = r->history;
    struct shelf *s = &h->shelves[r->shelf];
    uint64_t first_us = 0, last_us = 0;
    uint32_t rows = scan_page(a->body, &first_us, &last_us);
    h->under_way--;
    if (a->status != 200 || rows != h->page_rows || first_us != s->pages[r->page].newest_us ||
        last_us != s->pages[r->page].oldest_us)
        report_problem(&h->bench->report, "page %u of %s: HTTP %d, %u rows or the wrong ones",
                       r->page, h->ledger.channels[r->shelf], a->status, rows);
    hist_log_add(h->deep ? &h->deep_us : &h->newest_us, h->bench->io.now_us - r->began_us);
    h->pages++;
    h->bytes += a->body.len;
    if (h->bench->io.now_us < h->end_us && !io_stop)
        read_next(r);
}

static void progress_line(void *owner, char *out, size_t max)
{
    const struct history *h = owner;
    snprintf(out, max, "%llu pages, %s", (unsigned long long)h->pages,
             h->deep ? "deeper ones" : "the newest of each channel");
}

static void read_phase(struct history *h, bool deep, uint64_t length_us)
{
    struct io *io = &h->bench->io;
    io_step(io, 0);
    h->deep = deep;
    h->pages = h->bytes = 0;
    server_proc_start(&h->bench->server);
    uint64_t began_us = io->now_us;
    h->end_us = began_us + length_us;
    for (uint32_t i = 0; i < h->bench->opt.conns; i++)
        read_next(&h->readers[i]);
    while (io->now_us < h->end_us && !io_stop)
        io_step(io, h->end_us);
    bool stopped = io_stop;
    io_run_until_zero(io, &h->under_way, io->now_us + http_patience_us);
    server_proc_sample(&h->bench->server);
    struct report *r = &h->bench->report;
    double seconds = (double)(io->now_us - began_us) / 1e6;
    report_u64(r, deep ? "deep_pages" : "newest_pages", h->pages);
    report_real(r, deep ? "deep_pages_per_s" : "newest_pages_per_s", (double)h->pages / seconds);
    report_real(r, deep ? "deep_page_bytes" : "newest_page_bytes",
                h->pages > 0 ? (double)h->bytes / (double)h->pages : 0);
    report_hist(r, deep ? "deep_page_us" : "newest_page_us", deep ? &h->deep_us : &h->newest_us);
    bench_report_cpu(
        h->bench, deep ? "server_cpu_us_per_deep_page" : "server_cpu_us_per_newest_page",
        deep ? "server_cpu_us_per_deep_page_by_thread" : "server_cpu_us_per_newest_page_by_thread",
        h->pages);
    if (stopped)
        io_stop = 1;
}

/* ---- all of it ---- */

static bool prepare(struct history *h, struct load *load, uint64_t *heads_us)
{
    struct bench *b = h->bench;
    uint32_t shallowest = UINT32_MAX;
    if (!load_join(load))
        return false;
    ledger_read_heads(&h->ledger, heads_us);
    fill(load, b->opt.fill * h->ledger.channels_len);
    for (uint32_t i = 0; i < h->ledger.channels_len && !io_stop; i++) {
        if (!walk(h, i))
            return false;
        shallowest = MIN(shallowest, h->shelves[i].len);
    }
    if (shallowest >= 2 && !io_stop)
        return true;
    fprintf(stderr, "parley-bench: a channel has less than two pages of %u; use --fill\n",
            (unsigned)h->page_rows);
    return false;
}

bool history_run(struct bench *b)
{
    struct history *h = bench_zalloc(b, sizeof *h);
    struct load *load = bench_zalloc(b, sizeof *load);
    uint32_t channels =
        MIN(b->population.channels_len, (uint32_t)MAX(b->opt.channels, (uint64_t)1));
    uint32_t lanes = MAX(channels, (uint32_t)b->opt.conns);
    h->bench = b;
    h->page_rows = b->opt.page_rows;
    snprintf(h->limit, sizeof h->limit, "\1%u", (unsigned)h->page_rows);
    h->old_us = b->opt.age > 0 ? clock_wall_us() - b->opt.age * 1000000 : TS_NONE;
    h->shelves = bench_zalloc(b, channels * sizeof *h->shelves);
    h->readers = bench_zalloc(b, b->opt.conns * sizeof *h->readers);
    rand_init_seeded(&h->rand, clock_wall_us());
    for (uint32_t i = 0; i < b->opt.conns; i++) {
        h->readers[i].history = h;
        h->readers[i].request.owner = &h->readers[i];
        h->readers[i].request.done = on_page;
    }
    ledger_init(&h->ledger, b, clock_wall_us());
    h->ledger.channels = b->population.channels;
    h->ledger.channels_len = channels;
    h->ledger.channel_tokens = bench_zalloc(b, channels * sizeof(char *));
    load_init(load, b, &h->ledger);
    load->lanes_len = lanes;
    load->lanes = bench_zalloc(b, lanes * sizeof *load->lanes);
    for (uint32_t i = lanes; i-- > 0;) {
        load->lanes[i] =
            (struct lane){b->population.tokens[i % b->population.tokens_len], i % channels};
        h->ledger.channel_tokens[i % channels] = load->lanes[i].token;
    }
    uint64_t *heads_us = bench_zalloc(b, channels * sizeof *heads_us);
    if (!prepare(h, load, heads_us))
        return false;
    bench_progress(b, progress_line, h);
    uint64_t half_us = MAX(b->opt.seconds, (uint64_t)1) * 1000000 / 2;
    report_u64(&b->report, "channels", channels);
    report_u64(&b->report, "posts_acknowledged", load->poster.acked);
    read_phase(h, false, half_us);
    read_phase(h, true, half_us);
    bench_load_ended(b, half_us * 2);
    ledger_audit_history(&h->ledger, heads_us);
    ledger_report(&h->ledger);
    bench_report_client(b);
    return b->report.problems == 0;
}
