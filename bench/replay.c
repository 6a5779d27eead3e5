/* parley-bench replay: the trace's steps, one at a time in each channel, and the audit of all. */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "poster.h"

enum { connect_max_us = 120 * 1000 * 1000, create_rounds = 3 };

struct replay;

struct channel_run {
    struct replay *replay;
    uint32_t at; /* the step under way or next; UINT32_MAX: done */
    uint64_t last_ts_us;
    uint64_t *members; /* a bit per author */
    struct http_request request;
    char body[64];
    struct io_timer timer;
};

struct replay {
    struct bench *bench;
    struct plan plan;
    struct ledger ledger;
    struct ws_set sockets;
    struct poster poster;
    struct channel_run *runs;
    struct {
        uint32_t channel, author;
    } * joins;
    uint32_t joins_len;
    uint64_t start_us, trace_start_us;
    uint64_t channels_left, executed, failed, last_acked;
    uint64_t *heads_us;
    bool stopped;
};

static void advance(struct channel_run *c);

static uint32_t channel_index(const struct channel_run *c)
{
    return (uint32_t)(c - c->replay->runs);
}

/* ---- channels and members, before the replay ---- */

static void channel_name(const struct replay *r, uint32_t i, char out[96])
{
    snprintf(out, 96, "replay-%.*s", (int)MIN(r->plan.channels[i].name.len, (size_t)64),
             r->plan.channels[i].name.p);
    for (char *p = out; *p != '\0'; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
}

static void find_channels(struct replay *r, struct json_member *items, uint32_t len)
{
    struct json_value id, name;
    char wanted[96];
    for (uint32_t i = 0; i < len; i++) {
        if (!object_member(r->bench, items[i].value.s, "id", &id) ||
            !object_member(r->bench, items[i].value.s, "name", &name))
            continue;
        for (uint32_t c = 0; c < r->plan.channels_len; c++) {
            channel_name(r, c, wanted);
            if (r->ledger.channels[c] == NULL && sv_eq(name.s, sv_from(wanted)))
                r->ledger.channels[c] = bench_text(r->bench, id.s);
        }
    }
}

/* Walks a list with a cursor; each page goes to take(). */
static bool list_all(struct replay *r, const char *method, const char *channel, const char *member,
                     void (*take)(struct replay *r, struct json_member *items, uint32_t len))
{
    struct bench *b = r->bench;
    char cursor[256] = "";
    do {
        struct reply reply;
        struct json_value next;
        struct json_member *items;
        uint32_t len;
        const char *args[] = {"limit",
                              "\1"
                              "500",
                              NULL,
                              NULL,
                              NULL,
                              NULL,
                              NULL};
        size_t n = 2;
        if (channel != NULL) {
            args[n++] = "channel";
            args[n++] = channel;
        }
        if (cursor[0] != '\0') {
            args[n++] = "cursor";
            args[n++] = cursor;
        }
        if (!api_call(b, r->plan.authors[replay_user].token, method, args, &reply)) {
            fprintf(stderr, "parley-bench: %s: %.*s\n", method, SV_ARG(reply.error));
            return false;
        }
        struct json_value *list = json_find(reply.members, reply.len, sv_from(member));
        struct json_value *meta = json_find(reply.members, reply.len, SV("response_metadata"));
        if (list == NULL || json_read_array(b->json, &b->scratch, list->s, &items, &len) != ERR_OK)
            return false;
        take(r, items, len);
        cursor[0] = '\0';
        if (meta != NULL && meta->type == JSON_OBJECT &&
            object_member(b, meta->s, "next_cursor", &next) && next.type == JSON_STRING)
            snprintf(cursor, sizeof cursor, "%.*s", SV_ARG(next.s));
    } while (cursor[0] != '\0');
    return true;
}

static bool make_channels(struct replay *r)
{
    struct bench *b = r->bench;
    r->ledger.channels_len = r->plan.channels_len;
    r->ledger.channels = bench_zalloc(b, r->plan.channels_len * sizeof(char *));
    r->ledger.channel_tokens = bench_zalloc(b, r->plan.channels_len * sizeof(char *));
    for (int round = 0; round < create_rounds; round++) {
        uint32_t missing = 0;
        if (!list_all(r, "conversations.list", NULL, "channels", find_channels))
            return false;
        for (uint32_t i = 0; i < r->plan.channels_len; i++) {
            struct reply reply;
            struct json_value *channel, id;
            char name[96];
            r->ledger.channel_tokens[i] = r->plan.authors[replay_user].token;
            if (r->ledger.channels[i] != NULL)
                continue;
            channel_name(r, i, name);
            /* name_taken: an answer was lost and the call sent again; the next round finds it */
            if (api_call(b, r->plan.authors[replay_user].token, "conversations.create",
                         API_ARGS("name", name), &reply) &&
                (channel = json_find(reply.members, reply.len, SV("channel"))) != NULL &&
                object_member(b, channel->s, "id", &id))
                r->ledger.channels[i] = bench_text(b, id.s);
            else if (missing++ == 0 && round > 0)
                fprintf(stderr, "parley-bench: conversations.create %s: %.*s\n", name,
                        SV_ARG(reply.error));
        }
        if (missing == 0)
            return true;
    }
    return false;
}

static void make_join(void *owner, uint32_t item, struct batch_call *out)
{
    struct replay *r = owner;
    *out = (struct batch_call){r->plan.authors[r->joins[item].author].token,
                               "conversations.join",
                               {"channel", r->ledger.channels[r->joins[item].channel]}};
}

static void on_joined(void *owner, uint32_t item, const struct reply *reply)
{
    struct replay *r = owner;
    if (!reply->ok)
        report_problem(&r->bench->report, "conversations.join of %s: %.*s",
                       r->ledger.channels[r->joins[item].channel], SV_ARG(reply->error));
}

static void make_test(void *owner, uint32_t item, struct batch_call *out)
{
    struct replay *r = owner;
    *out = (struct batch_call){r->plan.authors[item].token, "auth.test", {NULL}};
}

static void on_tested(void *owner, uint32_t item, const struct reply *reply)
{
    struct replay *r = owner;
    struct str_view id = reply_str(reply, "user_id");
    struct author *a = &r->plan.authors[item];
    snprintf(a->user_id, sizeof a->user_id, "%.*s", SV_ARG(id));
    if (!reply->ok || id.len == 0 || id.len >= sizeof a->user_id)
        report_problem(&r->bench->report, "auth.test: %.*s", SV_ARG(reply->error));
}

static bool join_all(struct replay *r)
{
    struct plan *p = &r->plan;
    size_t cells = (size_t)p->channels_len * p->authors_len;
    r->joins = calloc(cells, sizeof *r->joins);
    ASSERT(r->joins != NULL);
    for (size_t i = 0; i < cells; i++) {
        if (!p->setup[i])
            continue;
        r->joins[r->joins_len].channel = (uint32_t)(i / p->authors_len);
        r->joins[r->joins_len++].author = (uint32_t)(i % p->authors_len);
    }
    batch_run(&(struct batch){
        .bench = r->bench, .len = r->joins_len, .make = make_join, .done = on_joined, .owner = r});
    batch_run(&(struct batch){.bench = r->bench,
                              .len = p->authors_len,
                              .make = make_test,
                              .done = on_tested,
                              .owner = r});
    return r->bench->report.problems == 0;
}

static struct channel_run *reading_members; /* of list_all: set before each call */

static void take_members(struct replay *r, struct json_member *items, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        for (uint32_t a = 0; a < r->plan.authors_len; a++) {
            if (sv_eq(items[i].value.s, sv_from(r->plan.authors[a].user_id)))
                reading_members->members[a / 64] |= (uint64_t)1 << a % 64;
        }
    }
}

/* The truth about who hears what: an earlier replay may have left members that the plan has not. */
static bool read_members(struct replay *r)
{
    for (uint32_t i = 0; i < r->plan.channels_len; i++) {
        reading_members = &r->runs[i];
        if (!list_all(r, "conversations.members", r->ledger.channels[i], "members", take_members))
            return false;
    }
    return true;
}

/* ---- the replay ---- */

static struct str_view text_of(void *owner, uint32_t i)
{
    struct replay *r = owner;
    return r->plan.steps[r->ledger.messages[i].text].text;
}

static void next_step(struct channel_run *c)
{
    c->at = c->replay->plan.steps[c->at].next;
    advance(c);
}

static void on_posted(void *owner, uint32_t message, uint32_t tag, bool ok)
{
    struct replay *r = owner;
    struct channel_run *c = &r->runs[tag];
    struct message *m = &r->ledger.messages[message];
    if (ok) {
        m->repeated = m->ts_us <= r->heads_us[tag];
        if (m->ts_us <= c->last_ts_us)
            report_problem(&r->bench->report, "message %u of %s got a ts before its predecessor's",
                           message, r->ledger.channels[tag]);
        c->last_ts_us = m->ts_us;
    }
    next_step(c);
}

static void on_moved(struct http_request *request, const struct http_answer *a)
{
    struct channel_run *c = request->owner;
    struct replay *r = c->replay;
    const struct step *s = &r->plan.steps[c->at];
    struct reply reply;
    reply_read(r->bench, a, &reply);
    uint64_t bit = (uint64_t)1 << s->author % 64;
    if (!reply.ok) {
        r->failed++;
        report_problem(&r->bench->report, "%s of %s: %.*s", request->method,
                       r->ledger.channels[channel_index(c)], SV_ARG(reply.error));
    } else {
        r->executed += !s->extra;
        if (s->kind == STEP_JOIN)
            c->members[s->author / 64] |= bit;
        else
            c->members[s->author / 64] &= ~bit;
    }
    next_step(c);
}

static void take_step(struct channel_run *c, uint64_t intended_us)
{
    struct replay *r = c->replay;
    const struct step *s = &r->plan.steps[c->at];
    const char *token = r->plan.authors[s->author].token;
    uint32_t index = channel_index(c);
    if (s->kind == STEP_POST) {
        memcpy(ledger_expected(&r->ledger, s->message), c->members,
               r->ledger.words * sizeof *c->members);
        r->ledger.messages[s->message].intended_us = intended_us;
        poster_send(&r->poster, s->message, token, index);
        return;
    }
    int n = snprintf(c->body, sizeof c->body, "{\"channel\":\"%s\"}", r->ledger.channels[index]);
    c->request = (struct http_request){.method = s->kind == STEP_JOIN ? "conversations.join"
                                                                      : "conversations.leave",
                                       .token = token,
                                       .body = {c->body, (size_t)n},
                                       .done = on_moved,
                                       .owner = c};
    http_send(&r->bench->http, &c->request);
}

static void on_due(struct io_timer *t)
{
    take_step((struct channel_run *)((char *)t - offsetof(struct channel_run, timer)), t->at_us);
}

static void advance(struct channel_run *c)
{
    struct replay *r = c->replay;
    struct io *io = &r->bench->io;
    if (c->at == UINT32_MAX || r->stopped) {
        r->channels_left--;
        return;
    }
    uint64_t due_us = io->now_us;
    if (r->bench->opt.speed > 0) {
        uint64_t into_us = r->plan.steps[c->at].ts_us - r->trace_start_us;
        due_us = MAX(due_us, r->start_us + (uint64_t)((double)into_us / r->bench->opt.speed));
    }
    if (due_us > io->now_us) {
        c->timer.fire = on_due;
        io_timer_arm(io, &c->timer, due_us);
    } else {
        take_step(c, io->now_us);
    }
}

static void progress_line(void *owner, char *out, size_t max)
{
    struct replay *r = owner;
    const struct http_stats *h = &r->bench->http.stats;
    snprintf(out, max,
             "%6llu posts/s  %llu posted  %llu joined or left  %llu deliveries  %llu/%u sockets  "
             "%llu retries",
             (unsigned long long)(r->poster.acked - r->last_acked),
             (unsigned long long)r->poster.acked, (unsigned long long)r->executed,
             (unsigned long long)r->ledger.deliveries, (unsigned long long)r->sockets.ready,
             r->sockets.len, (unsigned long long)(h->lost + h->busy + h->server_errors));
    r->last_acked = r->poster.acked;
}

static uint64_t run(struct replay *r)
{
    struct io *io = &r->bench->io;
    uint64_t seconds = r->bench->opt.seconds;
    io_step(io, 0);
    server_proc_start(&r->bench->server);
    bench_progress(r->bench, progress_line, r);
    r->start_us = io->now_us;
    r->channels_left = r->plan.channels_len;
    r->trace_start_us = UINT64_MAX;
    for (uint32_t i = 0; i < r->plan.steps_len; i++)
        r->trace_start_us = MIN(r->trace_start_us, r->plan.steps[i].ts_us);
    for (uint32_t i = 0; i < r->plan.channels_len; i++) {
        r->runs[i].at = r->plan.channels[i].first;
        advance(&r->runs[i]);
    }
    io_run_until_zero(io, &r->channels_left,
                      seconds > 0 ? r->start_us + seconds * 1000000 : UINT64_MAX);
    r->stopped = r->channels_left > 0;
    for (uint32_t i = 0; i < r->plan.channels_len; i++)
        io_timer_disarm(io, &r->runs[i].timer);
    poster_drain(&r->poster);
    return io->now_us - r->start_us;
}

/* ---- all of it ---- */

static void prepare_books(struct replay *r)
{
    struct plan *p = &r->plan;
    const char **tokens = bench_zalloc(r->bench, p->authors_len * sizeof *tokens);
    for (uint32_t i = 0; i < p->authors_len; i++)
        tokens[i] = p->authors[i].token;
    ws_set_init(&r->sockets, r->bench, p->authors_len, tokens, p->authors_len);
    ledger_watch(&r->ledger, &r->sockets, true);
    r->ledger.text = text_of;
    r->ledger.owner = r;
    for (uint32_t i = 0; i < p->steps_len; i++) {
        if (p->steps[i].kind == STEP_POST)
            p->steps[i].message = ledger_add(&r->ledger, p->steps[i].channel, i, 0);
    }
    poster_init(&r->poster, r->bench, &r->ledger);
    r->poster.done = on_posted;
    r->poster.owner = r;
    r->runs = calloc(p->channels_len, sizeof *r->runs);
    ASSERT(r->runs != NULL);
    for (uint32_t i = 0; i < p->channels_len; i++) {
        r->runs[i].replay = r;
        r->runs[i].members = bench_zalloc(r->bench, r->ledger.words * sizeof(uint64_t));
    }
    r->heads_us = bench_zalloc(r->bench, p->channels_len * sizeof *r->heads_us);
}

static void report_replay(struct replay *r, uint64_t measured_us)
{
    struct report *out = &r->bench->report;
    struct plan *p = &r->plan;
    uint64_t repeated = 0;
    char name[96];
    for (uint32_t i = 0; i < r->ledger.len; i++)
        repeated += r->ledger.messages[i].repeated;
    report_u64(out, "lines", p->lines);
    report_u64(out, "posted", r->poster.acked);
    report_u64(out, "posted_before", repeated);
    report_u64(out, "executed", r->executed);
    report_u64(out, "skipped", p->skipped);
    for (uint32_t i = 0; i < p->skips_len; i++) {
        snprintf(name, sizeof name, "skipped_%s", p->skips[i].name);
        report_u64(out, bench_text(r->bench, sv_from(name)), p->skips[i].count);
    }
    report_u64(out, "channels", p->channels_len);
    report_u64(out, "authors", p->names_len);
    report_u64(out, "authors_sharing_a_token", p->names_len - p->authors_len);
    report_u64(out, "setup_joins", r->joins_len);
    if (!r->stopped && r->poster.acked + r->executed + p->skipped != p->lines)
        report_problem(out, "posted + executed + skipped is %llu, not the %u lines",
                       (unsigned long long)(r->poster.acked + r->executed + p->skipped), p->lines);
    poster_report(&r->poster, measured_us);
    bench_report_cpu(r->bench, "server_cpu_us_per_delivery", "server_cpu_us_per_delivery_by_thread",
                     r->ledger.deliveries);
}

bool replay_run(struct bench *b)
{
    struct replay *r = bench_zalloc(b, sizeof *r);
    r->bench = b;
    if (!plan_read(&r->plan, b, b->opt.operands[0]) || !plan_people(&r->plan))
        return false;
    fprintf(stderr, "%u lines, %u steps in %u channels, %u authors with %u tokens\n", r->plan.lines,
            r->plan.steps_len, r->plan.channels_len, r->plan.names_len, r->plan.authors_len);
    ledger_init(&r->ledger, b, r->plan.seed);
    if (!make_channels(r) || !join_all(r))
        return false;
    prepare_books(r);
    if (!read_members(r))
        return false;
    if (!ws_set_connect(&r->sockets, b->io.now_us + connect_max_us)) {
        fprintf(stderr, "parley-bench: %llu of %u sockets never said hello\n",
                (unsigned long long)r->sockets.to_be_ready, r->sockets.len);
        return false;
    }
    ledger_read_heads(&r->ledger, r->heads_us);
    uint64_t measured_us = run(r);
    bench_load_ended(b, measured_us);
    ledger_settle(&r->ledger);
    report_replay(r, measured_us);
    ledger_audit_deliveries(&r->ledger);
    ledger_audit_history(&r->ledger, NULL);
    ledger_report(&r->ledger);
    bench_report_client(b);
    ws_set_close(&r->sockets);
    return b->report.problems == 0;
}
