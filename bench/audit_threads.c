/* The history audit's second walk: history does not show replies, so each thread is read, several
 * at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"

#define page_limit "999"

struct thread_walk {
    struct http_request request;
    struct threads_audit *audit;
    uint32_t parent;
    uint64_t last_us; /* of the row before: replies come oldest first */
    char cursor[256], body[1024];
};

struct threads_audit {
    struct ledger *ledger;
    uint32_t next; /* message that may be a parent */
    uint64_t left; /* walks that are not done */
    bool failed;
};

static void ask_page(struct thread_walk *w)
{
    struct ledger *l = w->audit->ledger;
    const struct message *parent = &l->messages[w->parent];
    char ts[ts_text_len + 1];
    struct buf body;
    ts_format(ts, parent->ts_us);
    ts[ts_text_len] = '\0';
    buf_init_fixed(&body, w->body, sizeof w->body);
    struct json_out j = json_out_on(&body);
    json_args(&j, API_ARGS("channel", l->channels[parent->channel], "ts", ts, "limit",
                           "\1" page_limit, w->cursor[0] != '\0' ? "cursor" : NULL, w->cursor));
    ASSERT(!body.failed);
    w->request.method = "conversations.replies";
    w->request.token = l->channel_tokens[parent->channel];
    w->request.body = buf_view(&body);
    http_send(&l->bench->http, &w->request);
}

static void next_thread(struct thread_walk *w)
{
    struct threads_audit *a = w->audit;
    struct ledger *l = a->ledger;
    while (a->next < l->len && !l->messages[a->next].threaded)
        a->next++;
    if (a->next == l->len || a->failed) {
        a->left--;
        return;
    }
    l->threads++;
    w->parent = a->next++;
    w->last_us = l->messages[w->parent].ts_us;
    w->cursor[0] = '\0';
    ask_page(w);
}

static void judge_reply(struct thread_walk *w, const struct audit_row *row)
{
    struct ledger *l = w->audit->ledger;
    struct report *r = &l->bench->report;
    uint32_t i, channel = l->messages[w->parent].channel;
    if (row->ts_us <= w->last_us)
        report_problem(r, "the thread of message %u is not in rising order of ts", w->parent);
    w->last_us = row->ts_us;
    if (!ledger_find(l, row->key, &i)) {
        audit_foreign(l, channel, row);
        return;
    }
    l->history_messages++;
    if (l->messages[i].parent != w->parent)
        report_problem(r, "message %u is in the thread of message %u, not in its own", i,
                       w->parent);
    audit_judge(l, i, channel, row);
}

static bool read_page(struct thread_walk *w, const struct reply *reply)
{
    struct ledger *l = w->audit->ledger;
    struct bench *b = l->bench;
    const struct message *parent = &l->messages[w->parent];
    struct json_value *list = json_find(reply->members, reply->len, SV("messages"));
    struct json_member *rows;
    struct audit_row row;
    uint32_t len;
    if (list == NULL || json_read_array(b->json, &b->scratch, list->s, &rows, &len) != ERR_OK) {
        report_problem(&b->report, "conversations.replies without messages");
        return false;
    }
    for (uint32_t i = 0; i < len; i++) {
        if (!audit_read_row(l, rows[i].value.s, parent->channel, &row))
            continue;
        bool is_parent = row.ts_us == parent->ts_us;
        if (is_parent != (i == 0))
            report_problem(&b->report, "a page of the thread of message %u does not begin with it",
                           w->parent);
        if (!is_parent)
            judge_reply(w, &row);
    }
    return audit_next_page(l, reply, w->cursor, sizeof w->cursor);
}

static void on_page(struct http_request *r, const struct http_answer *answer)
{
    struct thread_walk *w = r->owner;
    struct ledger *l = w->audit->ledger;
    struct reply reply;
    reply_read(l->bench, answer, &reply);
    if (!reply.ok) {
        report_problem(&l->bench->report, "conversations.replies of message %u: %.*s", w->parent,
                       SV_ARG(reply.error));
        w->audit->failed = true;
    } else if (read_page(w, &reply)) {
        ask_page(w);
        return;
    }
    next_thread(w);
}

bool audit_threads(struct ledger *l)
{
    struct threads_audit a = {.ledger = l, .left = audit_walks_max};
    struct thread_walk *walks = calloc(audit_walks_max, sizeof *walks);
    ASSERT(walks != NULL);
    for (uint32_t i = 0; i < l->len; i++) {
        if (l->messages[i].due && l->messages[i].parent != ledger_root)
            l->messages[l->messages[i].parent].threaded = true;
    }
    for (uint32_t i = 0; i < audit_walks_max; i++) {
        walks[i].audit = &a;
        walks[i].request.owner = &walks[i];
        walks[i].request.done = on_page;
        next_thread(&walks[i]);
    }
    if (!io_run_until_zero(&l->bench->io, &a.left, UINT64_MAX)) {
        report_problem(&l->bench->report, "the audit of threads was interrupted");
        return false; /* walks stay: their answers may still come */
    }
    free(walks);
    return !a.failed;
}
