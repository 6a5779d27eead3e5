#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

void *bench_zalloc(struct bench *b, size_t n)
{
    void *p = arena_zalloc(&b->arena, n);
    ASSERT(p != NULL);
    return p;
}

const char *bench_text(struct bench *b, struct str_view s)
{
    struct str_view copy = arena_dup(&b->arena, s);
    ASSERT(copy.p != NULL);
    return copy.p;
}

/* ---- answers ---- */

void reply_read(struct bench *b, const struct http_answer *a, struct reply *out)
{
    *out = (struct reply){.status = a->status, .error = SV("no_answer")};
    if (a->status == 0)
        return;
    arena_reset(&b->scratch);
    out->error = SV("bad_json");
    if (json_read_object(b->json, &b->scratch, a->body, &out->members, &out->len) != ERR_OK) {
        report_problem(&b->report, "HTTP %d with a body that is not a JSON object: %.*s", a->status,
                       (int)MIN(a->body.len, (size_t)80), a->body.p);
        return;
    }
    struct json_value *ok = json_find(out->members, out->len, SV("ok"));
    out->ok = ok != NULL && ok->type == JSON_BOOL && ok->b;
    struct str_view error = reply_str(out, "error");
    out->error = error.p != NULL ? error : SV("no error given");
}

struct str_view reply_str(const struct reply *r, const char *name)
{
    return json_text(r->members, r->len, name);
}

bool object_member(struct bench *b, struct str_view object, const char *name,
                   struct json_value *out)
{
    struct json_member *m;
    uint32_t len;
    if (json_read_object(b->json, &b->scratch, object, &m, &len) != ERR_OK)
        return false;
    struct json_value *v = json_find(m, len, sv_from(name));
    if (v != NULL)
        *out = *v;
    return v != NULL;
}

/* ---- calls that are waited for ---- */

void json_args(struct json_out *j, const char *const *args)
{
    json_obj(j);
    for (; args[0] != NULL; args += 2) {
        json_key(j, args[0]);
        if (args[1][0] == '\1')
            json_raw(j, sv_from(args[1] + 1));
        else
            json_str(j, sv_from(args[1]));
    }
    json_obj_end(j);
}

/* While something is being prepared there is nothing to report yet. */
static void stop_if_told(void)
{
    if (!io_stop)
        return;
    fputs("parley-bench: interrupted before the load began\n", stderr);
    exit(130);
}

struct call {
    struct http_request request;
    struct bench *bench;
    struct reply *out;
    uint64_t left;
};

static void on_call_done(struct http_request *r, const struct http_answer *a)
{
    struct call *c = r->owner;
    struct str_view body =
        arena_dup(&c->bench->arena, a->body); /* outlives the connection's buffer */
    reply_read(c->bench, &(struct http_answer){a->status, body}, c->out);
    c->left = 0;
}

bool api_call(struct bench *b, const char *token, const char *method, const char *const *args,
              struct reply *out)
{
    char text[4096];
    struct buf body;
    buf_init_fixed(&body, text, sizeof text);
    struct json_out j = json_out_on(&body);
    json_args(&j, args);
    ASSERT(!body.failed);
    struct call c = {.request = {.method = method,
                                 .token = token,
                                 .body = buf_view(&body),
                                 .done = on_call_done},
                     .bench = b,
                     .out = out,
                     .left = 1};
    c.request.owner = &c;
    http_send(&b->http, &c.request);
    while (!io_run_until_zero(&b->io, &c.left, b->io.now_us + 1000000))
        stop_if_told();
    return out->ok;
}

struct batch_slot {
    struct http_request request;
    struct batch *batch;
    uint32_t item;
    char text[1024];
};

static void batch_next(struct batch_slot *s)
{
    struct batch *t = s->batch;
    struct batch_call call = {0};
    struct buf body;
    if (t->next == t->len)
        return;
    s->item = t->next++;
    buf_init_fixed(&body, s->text, sizeof s->text);
    struct json_out j = json_out_on(&body);
    t->make(t->owner, s->item, &call);
    json_args(&j, call.args);
    ASSERT(!body.failed);
    s->request.method = call.method;
    s->request.token = call.token;
    s->request.body = buf_view(&body);
    http_send(&t->bench->http, &s->request);
}

static void on_batch_done(struct http_request *r, const struct http_answer *a)
{
    struct batch_slot *s = r->owner;
    struct reply reply;
    reply_read(s->batch->bench, a, &reply);
    s->batch->done(s->batch->owner, s->item, &reply);
    s->batch->left--;
    batch_next(s);
}

void batch_run(struct batch *t)
{
    uint32_t window = MIN(t->len, MIN(t->bench->http.conns_len, 64u));
    struct batch_slot *slots = calloc(window + 1, sizeof *slots);
    ASSERT(slots != NULL);
    t->left = t->len;
    for (uint32_t i = 0; i < window; i++) {
        slots[i].batch = t;
        slots[i].request.owner = &slots[i];
        slots[i].request.done = on_batch_done;
        batch_next(&slots[i]);
    }
    while (!io_run_until_zero(&t->bench->io, &t->left, t->bench->io.now_us + 1000000))
        stop_if_told();
    free(slots);
}

/* ---- progress ---- */

static void on_progress(struct io_timer *t)
{
    struct bench *b = (struct bench *)((char *)t - offsetof(struct bench, progress));
    char line[200] = "";
    server_proc_sample(&b->server);
    io_timer_arm(&b->io, t, t->at_us + 1000000);
    if (b->progress_line == NULL)
        return;
    b->progress_line(b->progress_owner, line, sizeof line);
    fprintf(stderr, "%4llu s  %s\n", (unsigned long long)((b->io.now_us - b->started_us) / 1000000),
            line);
}

void bench_progress(struct bench *b, void (*line)(void *owner, char *out, size_t max), void *owner)
{
    b->progress_line = line;
    b->progress_owner = owner;
    b->progress.fire = on_progress;
    b->started_us = b->io.now_us;
    io_timer_arm(&b->io, &b->progress, b->io.now_us + 1000000);
}

void bench_load_ended(struct bench *b, uint64_t measured_us)
{
    server_proc_sample(&b->server);
    report_real(&b->report, "measured_s", (double)measured_us / 1e6);
    if (io_stop)
        report_text(&b->report, "ended", "interrupted");
    io_stop = 0; /* the audit is still to be done; a second signal kills */
}

void bench_report_cpu(struct bench *b, const char *name, const char *by_thread, uint64_t units)
{
    const struct server_proc *s = &b->server;
    if (!server_proc_known(s) || units == 0)
        return;
    struct report_part *parts = bench_zalloc(b, server_roles_max * sizeof *parts);
    uint32_t len = 0;
    for (uint32_t i = 0; i < s->roles_len; i++) {
        double us = (double)s->roles[i].cpu_ns / 1e3 / (double)units;
        if (us < 0.0005) /* would be printed as nothing */
            continue;
        memcpy(parts[len].name, s->roles[i].name, sizeof s->roles[i].name);
        parts[len++].value = us;
    }
    report_real(&b->report, name, (double)s->cpu_us / (double)units);
    report_parts(&b->report, by_thread, parts, len);
}

void bench_report_client(struct bench *b)
{
    const struct http_stats *h = &b->http.stats;
    report_u64(&b->report, "http_answers", h->answers);
    report_u64(&b->report, "http_lost", h->lost);
    report_u64(&b->report, "http_429_503", h->busy);
    report_u64(&b->report, "http_5xx", h->server_errors);
    report_u64(&b->report, "http_timeouts", h->timeouts);
    report_u64(&b->report, "http_given_up", h->given_up);
    if (server_proc_known(&b->server))
        report_u64(&b->report, "server_restarts", b->server.restarts);
    if (h->malformed > 0)
        report_problem(&b->report, "%llu malformed HTTP responses",
                       (unsigned long long)h->malformed);
}
