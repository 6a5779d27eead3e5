#include "poster.h"

#include <stdio.h>
#include <stdlib.h>

struct post {
    struct http_request request;
    struct poster *poster;
    struct post *next;
    uint32_t message, tag;
    char *body;
    size_t body_cap;
};

void poster_init(struct poster *p, struct bench *b, struct ledger *l)
{
    *p = (struct poster){.bench = b, .ledger = l, .pool = &b->http};
}

void poster_deinit(struct poster *p)
{
    while (p->free != NULL) {
        struct post *t = p->free;
        p->free = t->next;
        free(t->body);
        free(t);
    }
}

static void count_error(struct poster *p, struct str_view name)
{
    p->refused++;
    for (size_t i = 0; i < poster_errors_max; i++) {
        if (p->errors[i].count == 0)
            snprintf(p->errors[i].name, sizeof p->errors[i].name, "%.*s", SV_ARG(name));
        if (i + 1 == poster_errors_max || sv_eq(name, sv_from(p->errors[i].name))) {
            p->errors[i].count++;
            return;
        }
    }
}

static void on_posted(struct http_request *r, const struct http_answer *a)
{
    struct post *t = r->owner;
    struct poster *p = t->poster;
    struct message *m = &p->ledger->messages[t->message];
    struct reply reply;
    uint64_t ts_us;
    reply_read(p->bench, a, &reply);
    bool ok = reply.ok && ts_parse(reply_str(&reply, "ts"), &ts_us);
    if (ok) {
        m->ts_us = ts_us;
        if (p->ledger->sockets != NULL)
            p->ledger->deliveries_of[t->message].written_us = r->first_written_us;
        p->ledger->acked++;
        p->acked++;
        hist_log_add(&p->latency_us, p->bench->io.now_us - m->intended_us);
        if (p->window_us != NULL)
            hist_log_add(p->window_us, p->bench->io.now_us - m->intended_us);
        if (p->answer_us != NULL)
            hist_log_add(p->answer_us, p->bench->io.now_us - r->first_written_us);
        if (!sv_eq(reply_str(&reply, "channel"), sv_from(p->ledger->channels[m->channel])))
            report_problem(&p->bench->report, "message %u: answered with another channel",
                           t->message);
    } else {
        count_error(p, reply.ok ? SV("bad_ts") : reply.error);
    }
    p->in_flight--;
    t->next = p->free;
    p->free = t;
    if (p->done != NULL)
        p->done(p->owner, t->message, t->tag, ok);
}

void poster_send(struct poster *p, uint32_t message, const char *token, uint32_t tag)
{
    struct ledger *l = p->ledger;
    struct message *m = &l->messages[message];
    struct post *t = p->free;
    char key[key_text_len + 1];
    if (t != NULL) {
        p->free = t->next;
    } else {
        t = calloc(1, sizeof *t);
        ASSERT(t != NULL);
        t->poster = p;
        t->request.method = "chat.postMessage";
        t->request.done = on_posted;
        t->request.owner = t;
    }
    struct str_view text = l->text(l->owner, message);
    size_t room = text.len * 6 + 256; /* a control character takes six bytes */
    if (room > t->body_cap) {
        free(t->body);
        t->body = malloc(room);
        t->body_cap = room;
        ASSERT(t->body != NULL);
    }
    struct buf body;
    buf_init_fixed(&body, t->body, t->body_cap);
    struct json_out j = json_out_on(&body);
    ledger_key(l, message, key);
    json_obj(&j);
    json_kv_str(&j, "channel", sv_from(l->channels[m->channel]));
    json_kv_str(&j, "text", text);
    json_kv_str(&j, "client_msg_id", sv_from(key));
    if (m->parent != ledger_root) {
        json_key(&j, "thread_ts");
        json_ts(&j, l->messages[m->parent].ts_us);
    }
    json_obj_end(&j);
    ASSERT(!body.failed);
    t->message = message;
    t->tag = tag;
    t->request.token = token;
    t->request.body = buf_view(&body);
    m->sent = true;
    p->sent++;
    p->in_flight++;
    http_send(p->pool, &t->request);
}

void poster_drain(struct poster *p)
{
    struct io *io = &p->bench->io;
    uint64_t end_us = io->now_us + http_patience_us + http_answer_us;
    while (p->in_flight > 0 && io->now_us < end_us) {
        if (io_stop)
            end_us = MIN(end_us, io->now_us + 2000000);
        bool stopped = io_stop;
        io_step(io, io->now_us + 100000);
        if (stopped && io->now_us >= end_us)
            return;
    }
}

void poster_report_counts(struct poster *p)
{
    struct report *r = &p->bench->report;
    report_u64(r, "posts_sent", p->sent);
    report_u64(r, "posts_acknowledged", p->acked);
    report_u64(r, "posts_refused", p->refused);
    report_u64(r, "posts_unanswered", p->in_flight);
    for (size_t i = 0; i < poster_errors_max && p->errors[i].count > 0; i++)
        report_problem(r, "%llu posts refused: %s", (unsigned long long)p->errors[i].count,
                       p->errors[i].name);
}

void poster_report(struct poster *p, uint64_t measured_us)
{
    struct report *r = &p->bench->report;
    double seconds = (double)measured_us / 1e6;
    poster_report_counts(p);
    report_real(r, "posts_per_s", seconds > 0 ? (double)p->acked / seconds : 0);
    report_hist(r, "post_us", &p->latency_us);
    bench_report_cpu(p->bench, "server_cpu_us_per_post", "server_cpu_us_per_post_by_thread",
                     p->acked);
    if (server_proc_known(&p->bench->server) && p->acked > 0)
        report_real(r, "disk_bytes_per_post",
                    (double)p->bench->server.written_bytes / (double)p->acked);
}
