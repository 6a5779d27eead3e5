/* parley-bench mixed: what a workspace does all day, at a rate: posts and reads with the channels
 * and texts of a trace, typing, sockets that are lost and come back. Users are members of the
 * channels in which they write in the trace. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"
#include "poster.h"
#include "replay.h"

enum { connect_max_us = 120 * 1000 * 1000, reads_max = 65536 };
#define page_limit "100"

/* Of a hundred calls. */
static const struct mix {
    uint32_t of_100;
    enum mixed_call { CALL_POST, CALL_NEWEST, CALL_DEEP, CALL_TYPING, CALL_CUT } call;
} mix[] = {{25, CALL_POST}, {40, CALL_NEWEST}, {10, CALL_DEEP}, {24, CALL_TYPING}, {1, CALL_CUT}};

struct mixed_read {
    struct http_request request;
    struct mixed *mixed;
    struct mixed_read *next;
    bool deep;
    uint64_t intended_us;
    char body[160];
};

struct mixed {
    struct bench *bench;
    struct plan plan;
    uint32_t *posts; /* steps that post */
    uint32_t posts_len, next_post;
    struct ledger ledger;
    struct ws_set sockets;
    struct poster poster;
    uint32_t users;
    uint8_t *member; /* [channel * users + user] */
    struct {
        uint32_t channel, user;
    } * joins;
    uint32_t joins_len;
    struct rand_src rand;
    struct io_timer timer;
    uint64_t start_us, end_us, due;
    struct mixed_read *free;
    uint64_t reads, reads_under_way, typed, cuts, not_sent;
    struct hist_log newest_us, deep_us;
};

/* ---- who is where ---- */

static uint32_t channel_of(const struct mixed *m, const struct step *s)
{
    return s->channel % m->ledger.channels_len;
}

static uint32_t user_of(const struct mixed *m, const struct step *s)
{
    return s->author % m->users;
}

static void plan_members(struct mixed *m)
{
    struct bench *b = m->bench;
    struct ledger *l = &m->ledger;
    l->channels = b->population.channels;
    l->channels_len = MIN(b->population.channels_len,
                          MIN((uint32_t)b->opt.channels, MAX(m->plan.channels_len, 1u)));
    l->channel_tokens = bench_zalloc(b, l->channels_len * sizeof(char *));
    m->users = MIN(b->population.tokens_len, (uint32_t)b->opt.sockets);
    m->member = bench_zalloc(b, (size_t)l->channels_len * m->users);
    m->posts = bench_zalloc(b, (m->plan.steps_len + 1) * sizeof *m->posts);
    m->joins = bench_zalloc(b, (size_t)l->channels_len * m->users * sizeof *m->joins);
    for (uint32_t i = 0; i < m->plan.steps_len; i++) {
        const struct step *s = &m->plan.steps[i];
        if (s->kind != STEP_POST || s->text.len > 8000)
            continue;
        uint32_t c = channel_of(m, s), u = user_of(m, s);
        m->posts[m->posts_len++] = i;
        if (m->member[(size_t)c * m->users + u])
            continue;
        m->member[(size_t)c * m->users + u] = 1;
        m->joins[m->joins_len].channel = c;
        m->joins[m->joins_len++].user = u;
    }
    /* A channel of the trace in which nobody writes has one reader. */
    for (uint32_t c = 0; c < l->channels_len; c++) {
        uint32_t u = 0;
        while (u < m->users && !m->member[(size_t)c * m->users + u])
            u++;
        l->channel_tokens[c] = b->population.tokens[u < m->users ? u : 0];
    }
}

static void make_join(void *owner, uint32_t item, struct batch_call *out)
{
    struct mixed *m = owner;
    *out = (struct batch_call){m->bench->population.tokens[m->joins[item].user],
                               "conversations.join",
                               {"channel", m->ledger.channels[m->joins[item].channel]}};
}

static void on_joined(void *owner, uint32_t item, const struct reply *r)
{
    struct mixed *m = owner;
    if (!r->ok)
        report_problem(&m->bench->report, "conversations.join of %s: %.*s",
                       m->ledger.channels[m->joins[item].channel], SV_ARG(r->error));
}

static void expect(struct mixed *m, uint32_t message, uint32_t channel)
{
    uint64_t *bits = ledger_expected(&m->ledger, message);
    for (uint32_t s = 0; s < m->sockets.len; s++) {
        if (m->member[(size_t)channel * m->users + s % m->users])
            bits[s / 64] |= (uint64_t)1 << s % 64;
    }
}

/* ---- calls ---- */

static struct str_view text_of(void *owner, uint32_t i)
{
    struct mixed *m = owner;
    return m->plan.steps[m->ledger.messages[i].text].text;
}

static const struct step *random_step(struct mixed *m)
{
    return &m->plan.steps[m->posts[rand_below(&m->rand, m->posts_len)]];
}

static void post(struct mixed *m, uint64_t intended_us)
{
    uint32_t at = m->posts[m->next_post++ % m->posts_len];
    const struct step *s = &m->plan.steps[at];
    uint32_t channel = channel_of(m, s);
    uint32_t i = ledger_add(&m->ledger, channel, at, intended_us);
    if (i == UINT32_MAX) {
        m->not_sent++;
        return;
    }
    expect(m, i, channel);
    poster_send(&m->poster, i, m->bench->population.tokens[user_of(m, s)], 0);
}

static void on_page(struct http_request *q, const struct http_answer *a)
{
    struct mixed_read *r = q->owner;
    struct mixed *m = r->mixed;
    static const char ok[] = "{\"ok\":true";
    if (a->status != 200 || a->body.len < sizeof ok || memcmp(a->body.p, ok, sizeof ok - 1) != 0)
        report_problem(&m->bench->report, "conversations.history: HTTP %d %.*s", a->status,
                       (int)MIN(a->body.len, (size_t)80), a->body.p);
    hist_log_add(r->deep ? &m->deep_us : &m->newest_us, m->bench->io.now_us - r->intended_us);
    m->reads++;
    m->reads_under_way--;
    r->next = m->free;
    m->free = r;
}

/* Deep: before some message that this run has sent to the channel. */
static uint64_t some_ts(struct mixed *m, uint32_t channel)
{
    for (int tries = 0; tries < 16 && m->ledger.len > 0; tries++) {
        const struct message *t = &m->ledger.messages[rand_below(&m->rand, m->ledger.len)];
        if (t->channel == channel && t->ts_us != TS_NONE)
            return t->ts_us;
    }
    return TS_NONE;
}

static void read_page(struct mixed *m, bool deep, uint64_t intended_us)
{
    struct mixed_read *r = m->free;
    char latest[ts_text_len + 1] = "";
    if (m->reads_under_way == reads_max) {
        m->not_sent++;
        return;
    }
    if (r != NULL) {
        m->free = r->next;
    } else {
        r = calloc(1, sizeof *r);
        ASSERT(r != NULL);
    }
    const struct step *s = random_step(m);
    uint32_t channel = channel_of(m, s);
    uint64_t ts_us = deep ? some_ts(m, channel) : TS_NONE;
    if (ts_us != TS_NONE) {
        ts_format(latest, ts_us);
        latest[ts_text_len] = '\0';
    }
    int n = snprintf(r->body, sizeof r->body, "{\"channel\":\"%s\",\"limit\":" page_limit "%s%s%s}",
                     m->ledger.channels[channel], latest[0] != '\0' ? ",\"latest\":\"" : "", latest,
                     latest[0] != '\0' ? "\"" : "");
    r->mixed = m;
    r->deep = deep;
    r->intended_us = intended_us;
    r->request = (struct http_request){.method = "conversations.history",
                                       .token = m->bench->population.tokens[user_of(m, s)],
                                       .body = {r->body, (size_t)n},
                                       .done = on_page,
                                       .owner = r};
    m->reads_under_way++;
    http_send(&m->bench->http, &r->request);
}

static void type(struct mixed *m)
{
    const struct step *s = random_step(m);
    char text[96];
    int n = snprintf(text, sizeof text, "{\"type\":\"typing\",\"channel\":\"%s\"}",
                     m->ledger.channels[channel_of(m, s)]);
    ws_say(&m->sockets.clients[user_of(m, s)], (struct str_view){text, (size_t)n});
    m->typed++;
}

static void call(struct mixed *m, uint64_t intended_us)
{
    uint64_t dice = rand_below(&m->rand, 100);
    const struct mix *x = mix;
    while (dice >= x->of_100)
        dice -= x++->of_100;
    switch (x->call) {
    case CALL_POST:
        post(m, intended_us);
        break;
    case CALL_NEWEST:
        read_page(m, false, intended_us);
        break;
    case CALL_DEEP:
        read_page(m, true, intended_us);
        break;
    case CALL_TYPING:
        type(m);
        break;
    case CALL_CUT:
        ws_cut(&m->sockets.clients[rand_below(&m->rand, m->sockets.len)]);
        m->cuts++;
        break;
    }
}

static void on_tick(struct io_timer *t)
{
    struct mixed *m = (struct mixed *)((char *)t - offsetof(struct mixed, timer));
    uint64_t now_us = MIN(m->bench->io.now_us, m->end_us);
    for (;; m->due++) {
        uint64_t at_us = m->start_us + m->due * 1000000 / m->bench->opt.rate;
        if (at_us >= m->end_us || io_stop)
            return;
        if (at_us > now_us) {
            io_timer_arm(&m->bench->io, t, at_us);
            return;
        }
        call(m, at_us);
    }
}

static void progress_line(void *owner, char *out, size_t max)
{
    const struct mixed *m = owner;
    snprintf(out, max, "%llu calls  %llu posts  %llu pages  %llu deliveries  %llu/%u sockets",
             (unsigned long long)m->due, (unsigned long long)m->poster.acked,
             (unsigned long long)m->reads, (unsigned long long)m->ledger.deliveries,
             (unsigned long long)m->sockets.ready, m->sockets.len);
}

/* ---- all of it ---- */

static uint64_t run(struct mixed *m)
{
    struct io *io = &m->bench->io;
    io_step(io, 0);
    server_proc_start(&m->bench->server);
    bench_progress(m->bench, progress_line, m);
    m->start_us = io->now_us;
    m->end_us = io->now_us + m->bench->opt.seconds * 1000000;
    m->timer.fire = on_tick;
    on_tick(&m->timer);
    while (io->now_us < m->end_us && !io_stop)
        io_step(io, m->end_us);
    uint64_t measured_us = io->now_us - m->start_us;
    poster_drain(&m->poster);
    io_run_until_zero(io, &m->reads_under_way, io->now_us + http_patience_us);
    return measured_us;
}

static void report_mixed(struct mixed *m, uint64_t measured_us)
{
    struct report *r = &m->bench->report;
    poster_report_counts(&m->poster);
    report_u64(r, "calls", m->due);
    report_u64(r, "calls_not_sent", m->not_sent);
    report_u64(r, "channels", m->ledger.channels_len);
    report_u64(r, "memberships", m->joins_len);
    report_u64(r, "pages", m->reads);
    report_u64(r, "typed", m->typed);
    report_u64(r, "cuts", m->cuts);
    report_real(r, "calls_per_s", (double)m->due * 1e6 / (double)MAX(measured_us, (uint64_t)1));
    report_hist(r, "post_us", &m->poster.latency_us);
    report_hist(r, "newest_page_us", &m->newest_us);
    report_hist(r, "deep_page_us", &m->deep_us);
    bench_report_cpu(m->bench, "server_cpu_us_per_call", "server_cpu_us_per_call_by_thread",
                     m->due);
}

static bool prepare(struct mixed *m)
{
    struct bench *b = m->bench;
    if (!plan_read(&m->plan, b, b->opt.operands[0]))
        return false;
    ledger_init(&m->ledger, b, clock_wall_us());
    plan_members(m);
    if (m->posts_len == 0) {
        fprintf(stderr, "parley-bench: %s holds no message with a text\n", b->opt.operands[0]);
        return false;
    }
    batch_run(&(struct batch){
        .bench = b, .len = m->joins_len, .make = make_join, .done = on_joined, .owner = m});
    ws_set_init(&m->sockets, b, (uint32_t)b->opt.sockets, b->population.tokens, m->users);
    ledger_watch(&m->ledger, &m->sockets, true);
    m->ledger.text = text_of;
    m->ledger.owner = m;
    poster_init(&m->poster, b, &m->ledger);
    rand_init_seeded(&m->rand, m->plan.seed);
    if (b->report.problems == 0 && ws_set_connect(&m->sockets, b->io.now_us + connect_max_us))
        return true;
    fprintf(stderr, "parley-bench: joins failed, or sockets never said hello\n");
    return false;
}

bool mixed_run(struct bench *b)
{
    struct mixed *m = bench_zalloc(b, sizeof *m);
    m->bench = b;
    if (!prepare(m))
        return false;
    uint64_t *heads_us = bench_zalloc(b, m->ledger.channels_len * sizeof *heads_us);
    ledger_read_heads(&m->ledger, heads_us);
    uint64_t measured_us = run(m);
    bench_load_ended(b, measured_us);
    ledger_settle(&m->ledger);
    report_mixed(m, measured_us);
    ledger_audit_deliveries(&m->ledger);
    ledger_audit_history(&m->ledger, heads_us);
    ledger_report(&m->ledger);
    bench_report_client(b);
    ws_set_close(&m->sockets);
    return b->report.problems == 0;
}
