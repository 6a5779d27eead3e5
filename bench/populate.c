/* parley-bench populate: a workspace that has grown, made over HTTP: channels with their members,
 * messages with the texts of a trace, threads, reactions. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "populate.h"

enum {
    text_bytes_max = 8000, /* longer ones of the trace are left out */
    messages_per_reacted = 20,
    reactions_each_max = 3
};

static const char *token_of(const struct populate *p, uint32_t user)
{
    return p->bench->population.tokens[user];
}

/* ---- users, channels and members ---- */

static void make_test(void *owner, uint32_t item, struct batch_call *out)
{
    *out = (struct batch_call){token_of(owner, item), "auth.test", {NULL}};
}

static void on_tested(void *owner, uint32_t item, const struct reply *reply)
{
    struct populate *p = owner;
    struct str_view id = reply_str(reply, "user_id");
    if (!reply->ok || id.p == NULL || id.len > id_text_max)
        report_problem(&p->bench->report, "auth.test: %.*s", SV_ARG(reply->error));
    else
        p->user_ids[item] = bench_text(p->bench, id);
}

static void make_channel(void *owner, uint32_t item, struct batch_call *out)
{
    struct populate *p = owner;
    const struct shape_channel *c = &p->shape.channels[item];
    snprintf(p->list, sizeof p->list, "people-%05u", item);
    *out = (struct batch_call){token_of(p, c->members.p[0]),
                               "conversations.create",
                               {"name", p->list, "is_private", c->private ? "\1true" : "\1false"}};
}

static void on_channel(void *owner, uint32_t item, const struct reply *reply)
{
    struct populate *p = owner;
    struct json_value *channel = json_find(reply->members, reply->len, SV("channel")), id;
    if (!reply->ok || channel == NULL || !object_member(p->bench, channel->s, "id", &id))
        report_problem(&p->bench->report, "conversations.create: %.*s", SV_ARG(reply->error));
    else
        p->ledger.channels[item] = bench_text(p->bench, id.s);
}

static void make_invitation(void *owner, uint32_t item, struct batch_call *out)
{
    struct populate *p = owner;
    const struct invitation *v = &p->invitations[item];
    const struct numbers *members = &p->shape.channels[v->channel].members;
    size_t n = 0;
    for (uint32_t i = 0; i < v->len; i++)
        n += (size_t)snprintf(p->list + n, sizeof p->list - n, "%s%s", i > 0 ? "," : "",
                              p->user_ids[members->p[v->from + i]]);
    *out = (struct batch_call){token_of(p, members->p[0]),
                               "conversations.invite",
                               {"channel", p->ledger.channels[v->channel], "users", p->list}};
}

static void on_invited(void *owner, uint32_t item, const struct reply *reply)
{
    struct populate *p = owner;
    if (!reply->ok)
        report_problem(&p->bench->report, "conversations.invite to %s: %.*s",
                       p->ledger.channels[p->invitations[item].channel], SV_ARG(reply->error));
}

static void plan_invitations(struct populate *p)
{
    uint64_t most = p->shape.memberships / populate_invited_max + p->shape.channels_len;
    p->invitations = bench_zalloc(p->bench, most * sizeof *p->invitations);
    for (uint32_t c = 0; c < p->shape.channels_len; c++) {
        uint32_t len = p->shape.channels[c].members.len;
        for (uint32_t from = 1; from < len; from += populate_invited_max)
            p->invitations[p->invitations_len++] =
                (struct invitation){c, from, MIN(len - from, (uint32_t)populate_invited_max)};
    }
}

static bool make_people(struct populate *p)
{
    struct bench *b = p->bench;
    struct ledger *l = &p->ledger;
    uint32_t channels = p->shape.channels_len;
    p->user_ids = bench_zalloc(b, p->shape.users * sizeof *p->user_ids);
    l->channels_len = channels;
    l->channels = bench_zalloc(b, channels * sizeof *l->channels);
    l->channel_tokens = bench_zalloc(b, channels * sizeof *l->channel_tokens);
    for (uint32_t i = 0; i < channels; i++)
        l->channel_tokens[i] = token_of(p, p->shape.channels[i].members.p[0]);
    plan_invitations(p);
    const struct batch stages[] = {
        {.len = p->shape.users, .make = make_test, .done = on_tested},
        {.len = channels, .make = make_channel, .done = on_channel},
        {.len = p->invitations_len, .make = make_invitation, .done = on_invited},
    };
    for (size_t i = 0; i < ARRAY_LEN(stages) && b->report.problems == 0; i++) {
        struct batch t = stages[i];
        t.bench = b;
        t.owner = p;
        batch_run(&t);
    }
    return b->report.problems == 0;
}

/* ---- messages ---- */

static struct str_view text_of(void *owner, uint32_t i)
{
    struct populate *p = owner;
    return p->plan.steps[p->ledger.messages[i].text].text;
}

static void post_next(struct populate *p, uint32_t lane)
{
    if (p->left == 0 || io_stop)
        return;
    p->left--;
    struct shape *s = &p->shape;
    uint32_t channel = shape_channel(s);
    const struct shape_channel *c = &s->channels[channel];
    uint32_t text = p->posts.p[rand_below(&s->rand, p->posts.len)];
    uint32_t i = ledger_add(&p->ledger, channel, text, p->bench->io.now_us);
    uint32_t parent = shape_parent(s, c, p->replies);
    p->ledger.messages[i].parent = parent;
    if (parent != ledger_root)
        p->replies[parent]++;
    poster_send(&p->poster, i, token_of(p, shape_member(s, c)), lane);
}

static void on_posted(void *owner, uint32_t message, uint32_t lane, bool ok)
{
    struct populate *p = owner;
    const struct message *m = &p->ledger.messages[message];
    struct shape_channel *c = &p->shape.channels[m->channel];
    if (ok && m->parent == ledger_root)
        numbers_add(&c->roots, message);
    else if (ok)
        numbers_add(&c->parents, m->parent);
    post_next(p, lane);
}

static void post_all(struct populate *p)
{
    p->left = p->bench->opt.messages;
    p->replies = calloc(p->left, sizeof *p->replies);
    ASSERT(p->replies != NULL);
    p->poster.done = on_posted;
    p->poster.owner = p;
    for (uint32_t i = 0; i < p->bench->opt.conns; i++)
        post_next(p, i);
    while (p->poster.in_flight > 0 && !io_stop)
        io_step(&p->bench->io, p->bench->io.now_us + 200000);
    poster_drain(&p->poster);
}

/* ---- reactions ---- */

static void draw_reactions(struct populate *p)
{
    static const char *const emoji[] = {"+1", "heart", "tada", "eyes", "joy", "white_check_mark"};
    struct shape *s = &p->shape;
    uint32_t rounds = p->ledger.len / messages_per_reacted;
    p->reactions = calloc((size_t)rounds * reactions_each_max + 1, sizeof *p->reactions);
    ASSERT(p->reactions != NULL);
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t message = (uint32_t)rand_below(&s->rand, p->ledger.len);
        const struct message *m = &p->ledger.messages[message];
        const struct numbers *members = &s->channels[m->channel].members;
        uint64_t len = 1 + rand_below(&s->rand, reactions_each_max);
        uint64_t first = rand_below(&s->rand, members->len);
        for (uint64_t k = 0; k < len && m->ts_us != TS_NONE; k++)
            p->reactions[p->reactions_len++] =
                (struct reaction){message, members->p[(first + k) % members->len],
                                  emoji[rand_below(&s->rand, ARRAY_LEN(emoji))]};
    }
}

static void make_reaction(void *owner, uint32_t item, struct batch_call *out)
{
    struct populate *p = owner;
    const struct reaction *x = &p->reactions[item];
    const struct message *m = &p->ledger.messages[x->message];
    ts_format(p->ts, m->ts_us);
    p->ts[ts_text_len] = '\0';
    *out = (struct batch_call){
        token_of(p, x->user),
        "reactions.add",
        {"channel", p->ledger.channels[m->channel], "timestamp", p->ts, "name", x->emoji}};
}

static void on_reaction(void *owner, uint32_t item, const struct reply *reply)
{
    struct populate *p = owner;
    struct message *m = &p->ledger.messages[p->reactions[item].message];
    if (reply->ok) {
        p->reacted++;
        m->reactions = (uint8_t)MIN(m->reactions + 1, ledger_reactions_max);
    } else if (!sv_eq(reply->error, SV("already_reacted"))) { /* a message may be drawn twice */
        report_problem(&p->bench->report, "reactions.add: %.*s", SV_ARG(reply->error));
    }
}

/* ---- all of it ---- */

static void progress_line(void *owner, char *out, size_t max)
{
    struct populate *p = owner;
    snprintf(out, max, "%8llu posts/s  %llu posted  %u reactions",
             (unsigned long long)(p->poster.acked - p->last_acked),
             (unsigned long long)p->poster.acked, p->reacted);
    p->last_acked = p->poster.acked;
}

static bool prepare(struct populate *p)
{
    struct bench *b = p->bench;
    if (!plan_read(&p->plan, b, b->opt.operands[0]))
        return false;
    for (uint32_t i = 0; i < p->plan.steps_len; i++) {
        if (p->plan.steps[i].kind == STEP_POST && p->plan.steps[i].text.len <= text_bytes_max)
            numbers_add(&p->posts, i);
    }
    if (p->posts.len == 0 || b->population.tokens_len < shape_members_min) {
        fprintf(stderr, "parley-bench: a trace with texts is needed, and %d users\n",
                shape_members_min);
        return false;
    }
    shape_init(&p->shape, b->population.tokens_len, (uint32_t)b->opt.channels, p->plan.seed);
    ledger_init(&p->ledger, b, clock_wall_us());
    p->ledger.text = text_of;
    p->ledger.owner = p;
    poster_init(&p->poster, b, &p->ledger);
    return make_people(p);
}

static void report_populate(struct populate *p)
{
    struct report *r = &p->bench->report;
    uint64_t replies = 0, private = 0;
    for (uint32_t i = 0; i < p->shape.channels_len; i++) {
        replies += p->shape.channels[i].parents.len;
        private += p->shape.channels[i].private;
    }
    report_u64(r, "users", p->shape.users);
    report_u64(r, "channels", p->shape.channels_len);
    report_u64(r, "channels_private", private);
    report_u64(r, "memberships", p->shape.memberships);
    report_u64(r, "members_most", p->shape.channels[0].members.len);
    report_u64(r, "messages_most", p->shape.channels[0].roots.len);
    poster_report_counts(&p->poster);
    report_u64(r, "replies", replies);
    report_u64(r, "threads", p->threads);
    report_u64(r, "replies_most", p->longest);
    report_u64(r, "reactions", p->reacted);
}

bool populate_run(struct bench *b)
{
    struct populate *p = bench_zalloc(b, sizeof *p);
    p->bench = b;
    bench_progress(b, progress_line, p);
    if (!prepare(p))
        return false;
    uint64_t from_us = b->io.now_us;
    server_proc_start(&b->server);
    post_all(p);
    draw_reactions(p);
    batch_run(&(struct batch){.bench = b,
                              .len = io_stop ? 0 : p->reactions_len,
                              .make = make_reaction,
                              .done = on_reaction,
                              .owner = p});
    bench_load_ended(b, b->io.now_us - from_us);
    bool ok = populate_write(p, b->opt.out);
    report_populate(p);
    ledger_audit_history(&p->ledger, NULL);
    ledger_report(&p->ledger);
    bench_report_client(b);
    return ok && b->report.problems == 0;
}
