/* answer_thread.c - answers about threads: what is in them, who follows them, how far they are
 * read. */
#include "answer.h"

/* ---- what is in a thread ---- */

/* Rows of the reader's own, or replies: a thread, and not only a message. */
static bool is_thread(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    struct follow first = {0};
    bool is = oracle_follow_next(&o->msgs[x->op->number], x->cl->user, x->op->sent_pos, &first);
    for (uint32_t n = 1; n <= o->msgs_len && !is; n++) {
        const struct omsg *m = &o->msgs[n];
        is = m->thread == x->op->number && m->ts_us != 0 && m->pos <= x->op->sent_pos &&
             m->deleted_pos == 0;
    }
    return is;
}

/* One state between question and answer says so, of whether it is followed and read how far. */
static bool was_followed(const struct ctx *x, bool active, uint64_t read_us)
{
    const struct omsg *m = &x->w->oracle.msgs[x->op->number];
    struct follow f = oracle_follow_at(m, x->cl->user, x->op->sent_pos);
    do {
        if (f.active == active && (!active || f.read_us == read_us))
            return true;
    } while (oracle_follow_next(m, x->cl->user, x->pos, &f));
    return false;
}

/* What the thread is to who asks, as the first message says. */
static void check_followed(const struct ctx *x, struct str_view parent)
{
    const struct oracle *o = &x->w->oracle;
    struct str_view says = js_get(parent, "subscribed");
    uint64_t read_us = js_ts(js_get(parent, "last_read"));
    if (says.p == NULL && is_thread(x))
        untrue(x, "history_complete", "what the thread is to the reader is missing");
    if (says.p == NULL)
        return;
    if (!was_followed(x, js_true(says), read_us))
        untrue(x, "follows_kept", "followed, it says, or read, as it never was");
    uint64_t unread = js_u64(js_get(parent, "unread_count"));
    uint32_t n = x->op->number;
    uint8_t user = x->cl->user;
    if (js_true(says) &&
        (unread < oracle_unread_replies(o, n, user, read_us, x->op->sent_pos, x->pos) ||
         unread > oracle_unread_replies(o, n, user, read_us, x->pos, x->op->sent_pos)))
        untrue(x, "unread_equals_recount", "so many replies are not unread");
}

enum { page_max = 1000 }; /* as much as choose.c asks for */

struct page { /* the replies that are shown, by their numbers */
    uint32_t all[page_max];
    uint32_t len;
};

/* They are what there was at pos: each of them, in the order of their rows, and no other. */
static bool is_whole_at(const struct ctx *x, const struct page *p, uint64_t pos)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < x->chan->replies.len; i++) {
        uint32_t n = x->chan->replies.all[i];
        const struct omsg *m = &x->w->oracle.msgs[n];
        bool there = m->thread == x->op->number && m->pos <= pos &&
                     (m->deleted_pos == 0 || m->deleted_pos > pos);
        bool shown = at < p->len && p->all[at] == n;
        if (there != shown)
            return false;
        at += shown;
    }
    return at == p->len;
}

/* They are those of one durable state between question and answer: it changes with each reply that
 * comes or goes. */
static bool is_whole(const struct ctx *x, const struct page *p)
{
    bool is = is_whole_at(x, p, x->op->sent_pos);
    for (uint32_t i = 0; i < x->chan->replies.len && !is; i++) {
        const struct omsg *m = &x->w->oracle.msgs[x->chan->replies.all[i]];
        const uint64_t changes[] = {m->pos, m->deleted_pos};
        for (uint32_t k = 0; k < ARRAY_LEN(changes) && !is; k++)
            is = m->thread == x->op->number && changes[k] > x->op->sent_pos &&
                 changes[k] <= x->pos && is_whole_at(x, p, changes[k]);
    }
    return is;
}

static void judge_replies(const struct ctx *x)
{
    struct str_view list = js_get(x->body, "messages"), item;
    struct page p = {.len = 0};
    size_t at = 0;
    if (x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a private channel's thread for a stranger");
    if ((item = js_next(list, &at)).p == NULL ||
        judge_item(x, x->op->cid, item, "a thread") != x->op->number)
        untrue(x, "one_answer_per_request", "the first message is not the thread's");
    check_followed(x, item);
    while ((item = js_next(list, &at)).p != NULL) {
        if (p.len == page_max)
            untrue(x, "history_complete", "more than was asked for");
        p.all[p.len++] = judge_item(x, x->op->cid, item, "a thread");
    }
    if (!is_whole(x, &p))
        untrue(x, "history_complete", "not the replies of one moment, or not in their order");
    if (js_true(js_get(x->body, "has_more")))
        untrue(x, "history_complete", "has_more is wrong");
}

/* ---- who follows it ---- */

/* How far somebody who names read_us has read at least: no further than the newest reply that was
 * there all the time. */
static uint64_t read_at_least(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    uint64_t newest_us = o->msgs[x->op->number].ts_us;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        const struct omsg *m = &o->msgs[n];
        if (m->thread == x->op->number && m->ts_us != 0 && m->pos <= x->op->sent_pos &&
            m->deleted_pos == 0)
            newest_us = MAX(newest_us, m->ts_us);
    }
    return x->op->oldest_us == 0 ? 0 : MIN(x->op->oldest_us, newest_us);
}

static void judge_thread(const struct ctx *x)
{
    const struct omsg *m = &x->w->oracle.msgs[x->op->number];
    struct follow f = oracle_follow_at(m, x->cl->user, x->op->sent_pos);
    bool is = false;
    do {
        bool read = f.active && f.read_us >= read_at_least(x);
        is |= x->op->kind == OP_FOLLOW     ? read
              : x->op->kind == OP_UNFOLLOW ? !f.active
                                           : read || !f.active;
    } while (oracle_follow_next(m, x->cl->user, x->pos, &f));
    if (!is)
        untrue(x, "ok_is_durable", "that the thread is followed, or not, or read, is not stored");
    if (!was(x, x->cl->user, true))
        untrue(x, "members_only", "a stranger follows a thread");
}

bool judge_thread_refusal(const struct ctx *x)
{
    bool asks = x->op->kind == OP_REPLIES || x->op->kind == OP_FOLLOW ||
                x->op->kind == OP_UNFOLLOW || x->op->kind == OP_THREAD_MARK;
    const struct omsg *m = &x->w->oracle.msgs[x->op->number];
    if (!asks || !error_is(x, "thread_not_found"))
        return false;
    if (m->deleted_pos == 0 || m->deleted_pos > x->pos)
        untrue(x, "refusals_are_durable", "the thread is there");
    return true;
}

judge_fn *const thread_judges[OP_KINDS] = {[OP_REPLIES] = judge_replies,
                                           [OP_FOLLOW] = judge_thread,
                                           [OP_UNFOLLOW] = judge_thread,
                                           [OP_THREAD_MARK] = judge_thread};
