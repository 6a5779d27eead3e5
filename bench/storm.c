/* parley-bench storm: every socket is cut off at once; all come back with rtm.connect and read
 * what they missed from history, while a process of its own posts at a rate (bystander.h). */
#include <stdio.h>

#include "base/clock.h"
#include "bystander.h"
#include "load.h"

enum {
    connect_max_us = 300 * 1000 * 1000,
    storm_max_us = 120 * 1000 * 1000,
    missed_per_s = 20, /* for a second from the cut, so that most are read, not pushed: what is
                          measured is the storm, not twenty thousand listeners of a channel */
    missed_s = 1,
    post_conns = 64,
    authors_max = 64
};
#define page_limit "999"

struct returner {
    struct http_request request;
    struct storm *storm;
    struct ws_client *ws;
    uint64_t seen_us; /* newest ts at the cut */
    bool back, caught_up;
    char body[160];
};

struct storm {
    struct bench *bench;
    struct load load;
    struct ledger ledger;
    struct ws_set sockets;
    struct http_pool
        posts; /* of its own: a post does not wait in the client behind the returners */
    struct returner *returners;
    bool cut;
    uint64_t head_us, cut_us, back_us, caught_up_us, not_back, not_caught_up;
    struct hist_log hello_us, catch_up_us;
    struct bystander_figures posts_beside;
    /* the loader's text() and this file's hello() share the ledger's owner */
    struct str_view (*text)(void *owner, uint32_t i);
};

static struct str_view text_of(void *owner, uint32_t i)
{
    struct storm *s = owner;
    return s->text(&s->load, i);
}

/* ---- coming back ---- */

static void on_page(struct http_request *q, const struct http_answer *a)
{
    struct returner *r = q->owner;
    struct storm *s = r->storm;
    struct io *io = &s->bench->io;
    static const char more[] = "\"has_more\":true";
    if (a->status != 200 || memmem(a->body.p, a->body.len, more, sizeof more - 1) != NULL) {
        report_problem(&s->bench->report, "socket %u missed more than a page, or HTTP %d",
                       r->ws->index, a->status);
    }
    ledger_caught_up(&s->ledger, r->ws, a->body);
    if (r->caught_up)
        return;
    r->caught_up = true;
    s->not_caught_up--;
    hist_log_add(&s->catch_up_us, io->now_us - s->cut_us);
    s->caught_up_us = io->now_us;
}

static void on_hello(void *owner, struct ws_client *ws)
{
    struct storm *s = owner;
    struct returner *r = &s->returners[ws->index];
    char oldest[ts_text_len + 1] = "0";
    if (!s->cut || r->back)
        return;
    r->back = true;
    s->not_back--;
    s->back_us = s->bench->io.now_us;
    hist_log_add(&s->hello_us, s->back_us - s->cut_us);
    if (r->seen_us != TS_NONE) {
        ts_format(oldest, r->seen_us);
        oldest[ts_text_len] = '\0';
    }
    int n = snprintf(r->body, sizeof r->body,
                     "{\"channel\":\"%s\",\"oldest\":\"%s\",\"limit\":" page_limit "}",
                     s->ledger.channels[0], oldest);
    r->request = (struct http_request){.method = "conversations.history",
                                       .token = ws->token,
                                       .body = {r->body, (size_t)n},
                                       .done = on_page,
                                       .owner = r};
    http_send(&s->bench->http, &r->request);
}

static void cut_all(struct storm *s)
{
    bystander_storm();
    load_begin(&s->load, missed_s);
    s->cut = true;
    s->cut_us = s->bench->io.now_us;
    s->not_back = s->not_caught_up = s->sockets.len;
    for (uint32_t i = 0; i < s->sockets.len; i++) {
        s->returners[i].seen_us = MAX(s->ledger.last_ts[i], s->head_us);
        ws_cut(&s->sockets.clients[i]);
    }
}

/* ---- all of it ---- */

static void prepare(struct storm *s)
{
    struct bench *b = s->bench;
    uint32_t users = MIN(b->population.tokens_len, (uint32_t)b->opt.sockets);
    ledger_init(&s->ledger, b, clock_wall_us());
    s->ledger.channels = b->population.channels;
    s->ledger.channels_len = 1;
    s->ledger.channel_tokens = b->population.tokens;
    load_init(&s->load, b, &s->ledger);
    s->load.rate = missed_per_s;
    s->text = s->ledger.text;
    s->ledger.text = text_of;
    s->ledger.owner = s;
    s->load.lanes = bench_zalloc(b, users * sizeof *s->load.lanes);
    s->load.lanes_len = users;
    for (uint32_t i = 0; i < users; i++)
        s->load.lanes[i] = (struct lane){b->population.tokens[i], 0};
    ws_set_init(&s->sockets, b, (uint32_t)b->opt.sockets, b->population.tokens, users);
    s->sockets.asking_max = (uint32_t)b->opt.conns;
    s->returners = bench_zalloc(b, s->sockets.len * sizeof *s->returners);
    for (uint32_t i = 0; i < s->sockets.len; i++) {
        s->returners[i].storm = s;
        s->returners[i].ws = &s->sockets.clients[i];
    }
}

static bool connect_all(struct storm *s)
{
    struct bench *b = s->bench;
    if (!load_join(&s->load) ||
        !http_pool_init(&s->posts, &b->io, b->population.base_url, post_conns))
        return false;
    s->load.lanes_len = MIN(s->load.lanes_len, (uint32_t)authors_max);
    s->load.poster.pool = &s->posts;
    ledger_watch(&s->ledger, &s->sockets, false);
    ledger_expect_catching_up(&s->ledger);
    s->ledger.hello = on_hello;
    if (ws_set_connect(&s->sockets, b->io.now_us + connect_max_us))
        return true;
    fprintf(stderr, "parley-bench: %llu of %u sockets never said hello\n",
            (unsigned long long)s->sockets.to_be_ready, s->sockets.len);
    return false;
}

static void report_storm(struct storm *s)
{
    struct bench *b = s->bench;
    struct report *r = &b->report;
    poster_report_counts(&s->load.poster);
    report_u64(r, "posts_beside_acknowledged", s->posts_beside.acknowledged);
    report_hist(r, "calm_post_us", &s->posts_beside.calm_us);
    report_hist(r, "storm_post_us", &s->posts_beside.storm_us);
    report_hist(r, "calm_answer_us", &s->posts_beside.calm_answer_us);
    report_hist(r, "storm_answer_us", &s->posts_beside.storm_answer_us);
    report_real(r, "storm_to_calm_p99",
                (double)hist_log_quantile(&s->posts_beside.storm_us, 0.99) /
                    (double)MAX(hist_log_quantile(&s->posts_beside.calm_us, 0.99), (uint64_t)1));
    report_real(r, "all_back_s", (double)(s->back_us - MIN(s->back_us, s->cut_us)) / 1e6);
    report_real(r, "all_caught_up_s",
                (double)(s->caught_up_us - MIN(s->caught_up_us, s->cut_us)) / 1e6);
    report_hist(r, "hello_after_us", &s->hello_us);
    report_hist(r, "caught_up_after_us", &s->catch_up_us);
    bench_report_cpu(b, "server_cpu_us_per_return", "server_cpu_us_per_return_by_thread",
                     s->sockets.len);
    if (s->not_caught_up > 0)
        report_problem(r, "%llu sockets did not come back, %llu did not catch up",
                       (unsigned long long)s->not_back, (unsigned long long)s->not_caught_up);
}

bool storm_run(struct bench *b)
{
    struct storm *s = bench_zalloc(b, sizeof *s);
    struct io *io = &b->io;
    s->bench = b;
    prepare(s);
    if (!connect_all(s))
        return false;
    ledger_read_heads(&s->ledger, &s->head_us);
    if (!bystander_begin())
        return false;
    io_step(io, 0); /* for a fresh now_us */
    uint64_t calm_end_us = io->now_us + b->opt.seconds * 1000000;
    while (io->now_us < calm_end_us && !io_stop)
        io_step(io, calm_end_us);
    cut_all(s);
    io_run_until_zero(io, &s->not_caught_up, s->cut_us + storm_max_us);
    server_proc_sample(&b->server);
    if (!bystander_end(&s->posts_beside) || s->posts_beside.problems > 0)
        report_problem(&b->report, "the process of the posts beside: %llu problems, %s",
                       (unsigned long long)s->posts_beside.problems, s->posts_beside.first);
    load_end(&s->load);
    bench_load_ended(b, io->now_us - s->load.start_us);
    ledger_settle(&s->ledger);
    report_storm(s);
    ledger_audit_deliveries(&s->ledger);
    ledger_audit_history(&s->ledger, &s->head_us);
    ledger_report(&s->ledger);
    bench_report_client(b);
    ws_set_close(&s->sockets);
    return b->report.problems == 0;
}
