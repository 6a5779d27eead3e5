/* parley-bench calls: the calls of a list, in its order and from its beginning again, as fast as
 * they are answered or at a rate. What an answer must hold is said in the list. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { calls_max = 1 << 20, line_bytes_max = 1 << 20, under_way_max = 65536 };

struct wanted {
    const char *token, *method;
    struct str_view body, holds; /* holds: part of the answer; empty: nothing is asked */
};

struct slot { /* one call under way */
    struct http_request request;
    struct calls *calls;
    struct slot *next;
    uint32_t at; /* of the list */
    uint64_t intended_us;
};

struct calls {
    struct bench *bench;
    struct wanted *list;
    uint32_t len, cap;
    struct slot *free;
    uint64_t begun, answered, under_way, not_sent, bytes, last_answered;
    uint64_t due, start_us, end_us;
    struct hist_log call_us;
    struct io_timer timer;
};

/* ---- the list ---- */

static bool read_line(struct calls *c, struct str_view line)
{
    struct bench *b = c->bench;
    struct json_member *m;
    uint32_t len;
    if (c->len == calls_max || json_read_object(b->json, &b->arena, line, &m, &len) != ERR_OK)
        return false;
    if (c->len == c->cap) {
        c->cap = MAX(1024u, c->cap * 2);
        c->list = realloc(c->list, c->cap * sizeof *c->list);
        ASSERT(c->list != NULL);
    }
    struct json_value *args = json_find(m, len, SV("args"));
    struct str_view token = json_text(m, len, "token"), method = json_text(m, len, "method");
    if (token.len == 0 || method.len == 0 || (args != NULL && args->type != JSON_OBJECT))
        return false;
    c->list[c->len++] = (struct wanted){.token = bench_text(b, token),
                                        .method = bench_text(b, method),
                                        .body = args != NULL ? args->s : SV("{}"),
                                        .holds = json_text(m, len, "holds")};
    return true;
}

static bool read_list(struct calls *c, const char *path)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    bool ok = f != NULL;
    errno = f != NULL ? 0 : errno;
    for (ssize_t n; ok && (n = getline(&line, &cap, f)) > 0;) {
        /* Views point into the copy. */
        struct str_view copy = arena_dup(&c->bench->arena, (struct str_view){line, (size_t)n});
        ok = n <= line_bytes_max && copy.p != NULL && read_line(c, copy);
    }
    if (!ok || c->len == 0)
        fprintf(stderr, "parley-bench: %s, line %u: %s\n", path, c->len + 1,
                errno != 0 ? strerror(errno) : "not a call with token and method");
    free(line);
    if (f != NULL)
        fclose(f);
    return ok && c->len > 0;
}

/* ---- calling ---- */

static void on_answer(struct http_request *q, const struct http_answer *a);

static void call(struct calls *c, uint64_t intended_us)
{
    struct slot *s = c->free;
    if (c->under_way == under_way_max) {
        c->not_sent++;
        return;
    }
    if (s != NULL) {
        c->free = s->next;
    } else {
        s = calloc(1, sizeof *s);
        ASSERT(s != NULL);
    }
    s->calls = c;
    s->at = (uint32_t)(c->begun++ % c->len);
    s->intended_us = intended_us;
    s->request = (struct http_request){.method = c->list[s->at].method,
                                       .token = c->list[s->at].token,
                                       .body = c->list[s->at].body,
                                       .done = on_answer,
                                       .owner = s};
    c->under_way++;
    http_send(&c->bench->http, &s->request);
}

static void judge(struct calls *c, const struct wanted *w, const struct http_answer *a)
{
    static const char ok[] = "{\"ok\":true";
    struct report *r = &c->bench->report;
    if (a->status != 200 || a->body.len < sizeof ok || memcmp(a->body.p, ok, sizeof ok - 1) != 0)
        report_problem(r, "%s %.*s: HTTP %d %.*s", w->method, (int)MIN(w->body.len, (size_t)80),
                       w->body.p, a->status, (int)MIN(a->body.len, (size_t)80), a->body.p);
    else if (w->holds.len > 0 && memmem(a->body.p, a->body.len, w->holds.p, w->holds.len) == NULL)
        report_problem(r, "%s %.*s: the answer lacks %.*s", w->method,
                       (int)MIN(w->body.len, (size_t)100), w->body.p, SV_ARG(w->holds));
}

static void on_answer(struct http_request *q, const struct http_answer *a)
{
    struct slot *s = q->owner;
    struct calls *c = s->calls;
    uint64_t now_us = c->bench->io.now_us;
    judge(c, &c->list[s->at], a);
    hist_log_add(&c->call_us, now_us - s->intended_us);
    c->answered++;
    c->bytes += a->body.len;
    c->under_way--;
    s->next = c->free;
    c->free = s;
    if (c->bench->opt.rate == 0 && now_us < c->end_us && !io_stop)
        call(c, now_us);
}

static void on_tick(struct io_timer *t)
{
    struct calls *c = (struct calls *)((char *)t - offsetof(struct calls, timer));
    uint64_t now_us = MIN(c->bench->io.now_us, c->end_us);
    for (;; c->due++) {
        uint64_t at_us = c->start_us + c->due * 1000000 / c->bench->opt.rate;
        if (at_us >= c->end_us || io_stop)
            return;
        if (at_us > now_us) {
            io_timer_arm(&c->bench->io, t, at_us);
            return;
        }
        call(c, at_us);
    }
}

static void progress_line(void *owner, char *out, size_t max)
{
    struct calls *c = owner;
    snprintf(out, max, "%8llu calls/s  %llu under way  p99 %llu us",
             (unsigned long long)(c->answered - c->last_answered), (unsigned long long)c->under_way,
             (unsigned long long)hist_log_quantile(&c->call_us, 0.99));
    c->last_answered = c->answered;
}

static uint64_t run(struct calls *c)
{
    struct bench *b = c->bench;
    struct io *io = &b->io;
    io_step(io, 0); /* for a fresh now_us */
    server_proc_start(&b->server);
    bench_progress(b, progress_line, c);
    c->start_us = io->now_us;
    c->end_us = io->now_us + b->opt.seconds * 1000000;
    c->timer.fire = on_tick;
    if (b->opt.rate > 0)
        on_tick(&c->timer);
    for (uint64_t i = 0; b->opt.rate == 0 && i < b->opt.conns; i++)
        call(c, io->now_us);
    while (io->now_us < c->end_us && !io_stop)
        io_step(io, MIN(c->end_us, io->now_us + 200000));
    io_run_until_zero(io, &c->under_way, io->now_us + http_patience_us);
    return io->now_us - c->start_us;
}

bool calls_run(struct bench *b)
{
    struct calls *c = bench_zalloc(b, sizeof *c);
    struct report *r = &b->report;
    c->bench = b;
    if (!read_list(c, b->opt.operands[0]))
        return false;
    http_pool_open(&b->http, b->io.now_us + http_patience_us);
    uint64_t measured_us = run(c);
    bench_load_ended(b, measured_us);
    double answered = (double)MAX(c->answered, (uint64_t)1);
    report_u64(r, "list", c->len);
    report_u64(r, "calls", c->answered);
    report_u64(r, "calls_not_sent", c->not_sent);
    if (c->under_way > 0)
        report_problem(r, "%llu calls were not answered", (unsigned long long)c->under_way);
    report_real(r, "calls_per_s",
                (double)c->answered * 1e6 / (double)MAX(measured_us, (uint64_t)1));
    report_hist(r, "call_us", &c->call_us);
    report_real(r, "answer_bytes", (double)c->bytes / answered);
    bench_report_cpu(b, "server_cpu_us_per_call", "server_cpu_us_per_call_by_thread", c->answered);
    bench_report_client(b);
    return r->problems == 0;
}
