/* The history audit: pages of several channels at a time, each row judged as it comes. */
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"

#define page_limit "999"

struct walk {
    struct http_request request;
    struct audit *audit;
    uint32_t channel;
    uint64_t last_us; /* of the row before: history comes newest first */
    char cursor[256], body[1024];
};

struct audit {
    struct ledger *ledger;
    const uint64_t *oldest_us;
    uint32_t next_channel;
    uint64_t left; /* channels */
    bool failed;
};

/* ---- text ---- */

/* The next byte with &amp; &lt; &gt; taken for what they stand for. */
static char next_plain(struct str_view *s)
{
    static const struct {
        struct str_view entity;
        char plain;
    } entities[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'}};
    for (size_t i = 0; s->p[0] == '&' && i < ARRAY_LEN(entities); i++) {
        if (sv_starts(*s, entities[i].entity)) {
            s->p += entities[i].entity.len;
            s->len -= entities[i].entity.len;
            return entities[i].plain;
        }
    }
    s->len--;
    return *s->p++;
}

/* FNV-1a */
uint64_t ledger_text_hash(struct str_view text)
{
    uint64_t hash = 0xcbf29ce484222325;
    while (text.len > 0)
        hash = (hash ^ (uint8_t)next_plain(&text)) * 0x100000001b3;
    return hash;
}

static uint64_t sent_hash(struct ledger *l, uint32_t i)
{
    return l->text_hashes != NULL ? l->text_hashes[i] : ledger_text_hash(l->text(l->owner, i));
}

/* ---- rows ---- */

bool audit_read_row(struct ledger *l, struct str_view text, uint32_t channel, struct audit_row *out)
{
    struct bench *b = l->bench;
    if (json_read_object(b->json, &b->scratch, text, &out->members, &out->len) != ERR_OK ||
        !ts_parse(json_text(out->members, out->len, "ts"), &out->ts_us)) {
        report_problem(&b->report, "%s has a row without ts", l->channels[channel]);
        return false;
    }
    out->key = json_text(out->members, out->len, "client_msg_id");
    return true;
}

/* Of all emoji; more than one byte can say are as many as that. */
static uint32_t reactions_of(struct bench *b, const struct audit_row *row)
{
    struct json_value *list = json_find(row->members, row->len, SV("reactions")), count;
    struct json_member *items;
    uint32_t len;
    int64_t sum = 0;
    if (list == NULL || json_read_array(b->json, &b->scratch, list->s, &items, &len) != ERR_OK)
        return 0;
    for (uint32_t i = 0; i < len; i++) {
        if (object_member(b, items[i].value.s, "count", &count) && count.type == JSON_INT)
            sum += count.i;
    }
    return (uint32_t)MIN(sum, (int64_t)ledger_reactions_max);
}

void audit_judge(struct ledger *l, uint32_t i, uint32_t channel, const struct audit_row *row)
{
    struct report *r = &l->bench->report;
    struct message *m = &l->messages[i];
    const char *name = l->channels[channel];
    if (!m->sent)
        report_problem(r, "message %u is in history of %s and was never sent", i, name);
    if (m->stored < UINT8_MAX)
        m->stored++;
    if (m->stored > 1)
        report_problem(r, "message %u is in history %u times", i, m->stored);
    if (m->channel != channel)
        report_problem(r, "message %u is in history of %s, not of its own channel", i, name);
    if (m->ts_us == TS_NONE)
        l->stored_unacknowledged++;
    else if (m->ts_us != row->ts_us)
        report_problem(r, "message %u is stored with another ts than acknowledged", i);
    if (reactions_of(l->bench, row) < m->reactions)
        report_problem(r, "message %u has lost a reaction of %u", i, m->reactions);
    struct str_view text = json_text(row->members, row->len, "text");
    if (sent_hash(l, i) != ledger_text_hash(text))
        report_problem(r, "message %u has another text: %.*s", i, (int)MIN(text.len, (size_t)120),
                       text.p);
}

void audit_foreign(struct ledger *l, uint32_t channel, const struct audit_row *row)
{
    if (l->newest_us != NULL && row->ts_us > l->newest_us[channel])
        return; /* of a later run */
    l->history_messages++;
    if (json_text(row->members, row->len, "subtype").p != NULL)
        return; /* joins and the like have no key */
    l->history_foreign++;
    report_problem(&l->bench->report, "%s holds a message that was not sent: key \"%.*s\"",
                   l->channels[channel], SV_ARG(row->key));
}

static void judge_row(struct walk *w, struct str_view text)
{
    struct ledger *l = w->audit->ledger;
    struct report *r = &l->bench->report;
    struct audit_row row;
    uint32_t i;
    if (!audit_read_row(l, text, w->channel, &row))
        return;
    if (row.ts_us >= w->last_us)
        report_problem(r, "history of %s is not in falling order of ts", l->channels[w->channel]);
    w->last_us = row.ts_us;
    if (!ledger_find(l, row.key, &i)) {
        audit_foreign(l, w->channel, &row);
        return;
    }
    l->history_messages++;
    if (l->messages[i].parent != ledger_root)
        report_problem(r, "message %u is a reply, and in history of %s", i,
                       l->channels[w->channel]);
    audit_judge(l, i, w->channel, &row);
}

/* ---- pages ---- */

static void ask_page(struct walk *w)
{
    struct audit *a = w->audit;
    struct ledger *l = a->ledger;
    char oldest[ts_text_len + 1] = "0";
    struct buf body;
    if (a->oldest_us != NULL && a->oldest_us[w->channel] != TS_NONE) {
        ts_format(oldest, a->oldest_us[w->channel]);
        oldest[ts_text_len] = '\0';
    }
    buf_init_fixed(&body, w->body, sizeof w->body);
    struct json_out j = json_out_on(&body);
    const char *const args[] = {"channel",
                                l->channels[w->channel],
                                "oldest",
                                oldest,
                                "limit",
                                "\1" page_limit,
                                w->cursor[0] != '\0' ? "cursor" : NULL,
                                w->cursor,
                                NULL};
    json_args(&j, args);
    ASSERT(!body.failed);
    w->request.method = "conversations.history";
    w->request.token = l->channel_tokens[w->channel];
    w->request.body = buf_view(&body);
    http_send(&l->bench->http, &w->request);
}

static void next_channel(struct walk *w)
{
    struct audit *a = w->audit;
    if (a->next_channel == a->ledger->channels_len)
        return;
    w->channel = a->next_channel++;
    w->last_us = UINT64_MAX;
    w->cursor[0] = '\0';
    ask_page(w);
}

bool audit_next_page(struct ledger *l, const struct reply *reply, char *out, size_t max)
{
    struct bench *b = l->bench;
    struct json_value *meta = json_find(reply->members, reply->len, SV("response_metadata"));
    struct json_value *more = json_find(reply->members, reply->len, SV("has_more"));
    struct json_value cursor = {.type = JSON_NULL};
    if (meta == NULL || meta->type != JSON_OBJECT ||
        !object_member(b, meta->s, "next_cursor", &cursor))
        cursor.s = SV("");
    bool has_more = more != NULL && more->type == JSON_BOOL && more->b;
    if (has_more != (cursor.s.len > 0))
        report_problem(&b->report, "has_more and next_cursor disagree");
    if (cursor.s.len >= max)
        return false;
    snprintf(out, max, "%.*s", SV_ARG(cursor.s));
    return out[0] != '\0';
}

static bool read_page(struct walk *w, const struct reply *reply)
{
    struct bench *b = w->audit->ledger->bench;
    struct json_value *list = json_find(reply->members, reply->len, SV("messages"));
    struct json_member *rows;
    uint32_t len;
    if (list == NULL || json_read_array(b->json, &b->scratch, list->s, &rows, &len) != ERR_OK) {
        report_problem(&b->report, "conversations.history without messages");
        return false;
    }
    for (uint32_t i = 0; i < len; i++)
        judge_row(w, rows[i].value.s);
    return audit_next_page(w->audit->ledger, reply, w->cursor, sizeof w->cursor);
}

static void on_page(struct http_request *r, const struct http_answer *answer)
{
    struct walk *w = r->owner;
    struct audit *a = w->audit;
    struct reply reply;
    reply_read(a->ledger->bench, answer, &reply);
    if (!reply.ok) {
        report_problem(&a->ledger->bench->report, "conversations.history of %s: %.*s",
                       a->ledger->channels[w->channel], SV_ARG(reply.error));
        a->failed = true;
    } else if (read_page(w, &reply)) {
        ask_page(w);
        return;
    }
    a->left--;
    next_channel(w);
}

bool ledger_audit_history(struct ledger *l, const uint64_t *oldest_us)
{
    struct audit a = {.ledger = l, .oldest_us = oldest_us, .left = l->channels_len};
    struct walk *walks = calloc(audit_walks_max, sizeof *walks);
    ASSERT(walks != NULL);
    /* After a signal posts may be under way yet: one of them that is acknowledged while pages are
     * read may rightly be behind them. */
    for (uint32_t i = 0; i < l->len; i++)
        l->messages[i].due = l->messages[i].ts_us != TS_NONE;
    for (uint32_t i = 0; i < audit_walks_max; i++) {
        walks[i].audit = &a;
        walks[i].request.owner = &walks[i];
        walks[i].request.done = on_page;
        next_channel(&walks[i]);
    }
    if (!io_run_until_zero(&l->bench->io, &a.left, UINT64_MAX)) {
        report_problem(&l->bench->report, "the history audit was interrupted");
        return false; /* walks stay: their answers may still come */
    }
    free(walks);
    if (!a.failed && !audit_threads(l))
        return false;
    for (uint32_t i = 0; i < l->len; i++) {
        const struct message *m = &l->messages[i];
        if (m->due && m->stored == 0 && !a.failed) {
            l->missing_in_history++;
            report_problem(&l->bench->report, "message %u was acknowledged and is not in %s", i,
                           l->channels[m->channel]);
        }
    }
    if (l->bench->opt.books != NULL && l->text_hashes == NULL) /* else it was read from books */
        ledger_write_books(l, oldest_us, l->bench->opt.books);
    return !a.failed;
}

/* ---- heads ---- */

struct heads {
    struct ledger *ledger;
    uint64_t *out;
};

static void make_head(void *owner, uint32_t item, struct batch_call *out)
{
    struct heads *h = owner;
    *out = (struct batch_call){h->ledger->channel_tokens[item],
                               "conversations.history",
                               {"channel", h->ledger->channels[item], "limit",
                                "\1"
                                "1"}};
}

static void on_head(void *owner, uint32_t item, const struct reply *r)
{
    struct heads *h = owner;
    struct bench *b = h->ledger->bench;
    struct json_value *list = json_find(r->members, r->len, SV("messages")), ts;
    struct json_member *rows;
    uint32_t len;
    h->out[item] = TS_NONE;
    if (!r->ok)
        report_problem(&b->report, "conversations.history of %s: %.*s", h->ledger->channels[item],
                       SV_ARG(r->error));
    else if (list != NULL &&
             json_read_array(b->json, &b->scratch, list->s, &rows, &len) == ERR_OK && len > 0 &&
             object_member(b, rows[0].value.s, "ts", &ts) && !ts_parse(ts.s, &h->out[item]))
        report_problem(&b->report, "history of %s has a bad ts", h->ledger->channels[item]);
}

void ledger_read_heads(struct ledger *l, uint64_t *heads_us)
{
    struct heads h = {l, heads_us};
    batch_run(&(struct batch){.bench = l->bench,
                              .len = l->channels_len,
                              .make = make_head,
                              .done = on_head,
                              .owner = &h});
}
