#include "keep.h"

#include <stdio.h>

#include "answer.h"

enum { due_in_s = 100 * 86400 }; /* however clocks step, not in this run */

struct str_view keep_name(const struct client *cl, uint32_t index, char out[keep_text_max])
{
    snprintf(out, keep_text_max, "c%u-%u", (unsigned)cl->index, index);
    return sv_from(out);
}

/* How it stands in its document, and in lists. */
static struct str_view mark_of(const struct client *cl, uint32_t index, char out[keep_text_max])
{
    const struct kept *k = &cl->kept[index];
    uint64_t ts_us = k->kind == DOC_STARS ? cl->w->oracle.msgs[k->number].ts_us : 0;
    if (k->kind == DOC_STARS)
        snprintf(out, keep_text_max, "\"ts\":\"%010llu.%06llu\"",
                 (unsigned long long)(ts_us / 1000000), (unsigned long long)(ts_us % 1000000));
    else
        snprintf(out, keep_text_max, "\"c%u-%u\"", (unsigned)cl->index, index);
    return sv_from(out);
}

static bool has(struct str_view text, struct str_view mark)
{
    return text.len > 0 && memmem(text.p, text.len, mark.p, mark.len) != NULL;
}

static bool is_stored(const struct client *cl, uint32_t index)
{
    const struct kept *kept = &cl->kept[index];
    char mark[keep_text_max];
    struct row_document row;
    struct key k;
    key_document(&k, kept->owner, (uint8_t)kept->kind);
    const struct sorted_node *n = sorted_get(&cl->w->store.cfs[CF_USER], key_view(&k));
    if (n == NULL)
        return false;
    if (row_document_decode(&row, key_view(&k), n->value) != ERR_OK)
        violation(cl->w, "rows_whole", "a document that cannot be read was written");
    return has(row.text, mark_of(cl, index, mark));
}

/* ---- what to do ---- */

static struct kept *add(struct client *cl, struct op *op, enum op_kind kind,
                        enum document_kind document, uint64_t owner)
{
    struct kept *k = &cl->kept[cl->kept_len];
    *k = (struct kept){.kind = document, .owner = owner};
    *op = (struct op){.kind = kind, .version = cl->kept_len++};
    return k;
}

static bool drops(struct client *cl, const struct kept *k)
{
    return k->kind == DOC_STARS && k->acked_us != 0 && !k->dropping && rng_one_in(&cl->rng, 6);
}

static bool has_starred(const struct client *cl, uint32_t number)
{
    for (uint32_t i = 0; i < cl->kept_len; i++) {
        if (cl->kept[i].kind == DOC_STARS && cl->kept[i].number == number)
            return true;
    }
    return false;
}

/* Messages are shared out among the clients: no two of them star the same one. */
static uint32_t message_to_star(const struct client *cl, const struct ochan *c)
{
    for (uint32_t i = c->roots.len; i > 0; i--) {
        uint32_t n = c->roots.all[i - 1];
        if (n % cl->w->plan.clients == cl->index && !cl->w->oracle.msgs[n].system &&
            !has_starred(cl, n))
            return n;
    }
    return 0;
}

static bool choose_star(struct client *cl, struct op *op, const struct ochan *c)
{
    const struct oracle *o = &cl->w->oracle;
    for (uint32_t i = 0; i < cl->kept_len; i++) {
        struct kept *k = &cl->kept[i];
        if (!drops(cl, k))
            continue;
        k->dropping = true;
        *op = (struct op){
            .kind = OP_UNSTAR, .version = i, .number = k->number, .cid = o->msgs[k->number].cid};
        return true;
    }
    uint32_t n = message_to_star(cl, c);
    if (n == 0 || cl->kept_len == client_kept_max)
        return false;
    add(cl, op, OP_STAR, DOC_STARS, o->users[cl->user].uid)->number = n;
    op->number = n;
    op->cid = c->cid;
    return true;
}

bool keep_choose(struct client *cl, struct op *op, const struct ochan *c)
{
    const struct world *w = cl->w;
    uint64_t uid = w->oracle.users[cl->user].uid, k = rng_below(&cl->rng, 8);
    uint64_t now_s = (uint64_t)((int64_t)w->now_us + w->wall_offset_us) / 1000000;
    *op = (struct op){0};
    switch (k) {
    case 0:
        *op = (struct op){.kind = OP_STARS, .limit = 200};
        return true;
    case 1:
        *op = (struct op){.kind = OP_BOOKMARKS, .cid = c->cid};
        return true;
    case 2:
        *op = (struct op){.kind = OP_REMINDERS};
        return true;
    case 3:
        if (cl->kept_len < client_kept_max)
            add(cl, op, OP_REMIND, DOC_REMINDERS, uid)->due_s = now_s + due_in_s;
        return op->kind == OP_REMIND;
    case 4:
        if (cl->kept_len == client_kept_max)
            return false;
        add(cl, op, OP_BOOKMARK, DOC_BOOKMARKS, c->cid);
        op->cid = c->cid;
        return true;
    default:
        return choose_star(cl, op, c);
    }
}

/* ---- answers ---- */

void keep_judge_added(const struct ctx *x)
{
    struct kept *k = &x->cl->kept[x->op->version];
    if (!is_stored(x->cl, x->op->version))
        untrue(x, "ok_is_durable", "it is not in the document");
    if (k->kind == DOC_BOOKMARKS && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a stranger's bookmark");
    if (k->acked_us == 0)
        k->acked_us = x->w->now_us;
}

void keep_judge_dropped(const struct ctx *x)
{
    if (is_stored(x->cl, x->op->version))
        untrue(x, "ok_is_durable", "it is still in the document");
    x->cl->kept[x->op->version].dropped_us = x->w->now_us;
}

/* Stars are listed as long as one sees what they are of. */
static bool is_seen(const struct ctx *x, const struct kept *k)
{
    const struct omsg *m = &x->w->oracle.msgs[k->number];
    const struct ochan *c = k->kind == DOC_STARS ? oracle_chan(&x->w->oracle, m->cid) : NULL;
    if (c != NULL && m->deleted_pos != 0)
        return false;
    return c == NULL || c->kind == CHANNEL_PUBLIC ||
           !oracle_was(c, x->cl->user, false, x->op->sent_pos, x->pos);
}

void keep_judge_list(const struct ctx *x)
{
    enum document_kind kind = x->op->kind == OP_STARS       ? DOC_STARS
                              : x->op->kind == OP_BOOKMARKS ? DOC_BOOKMARKS
                                                            : DOC_REMINDERS;
    uint64_t owner = kind == DOC_BOOKMARKS ? x->op->cid : x->w->oracle.users[x->cl->user].uid;
    if (x->chan != NULL && x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a private channel's bookmarks for a stranger");
    for (uint32_t i = 0; i < x->w->plan.clients; i++) {
        const struct client *cl = &x->w->clients[i];
        for (uint32_t n = 0; n < cl->kept_len; n++) {
            const struct kept *k = &cl->kept[n];
            char mark[keep_text_max];
            if (k->kind != kind)
                continue;
            bool shown = has(x->body, mark_of(cl, n, mark));
            if (shown && k->owner != owner)
                untrue(x, "members_only", "what somebody else keeps");
            if (k->owner != owner)
                continue;
            bool must = k->acked_us != 0 && k->acked_us < x->op->sent_us && !k->dropping;
            if (must && !shown && is_seen(x, k))
                untrue(x, "documents_kept", mark);
            if (shown && k->dropped_us != 0 && k->dropped_us < x->op->sent_us)
                untrue(x, "documents_kept", "what was taken away is there");
        }
    }
}

bool keep_judge_refusal(const struct ctx *x)
{
    if (x->op->kind == OP_STAR && error_is(x, "already_starred"))
        keep_judge_added(x);
    else if (x->op->kind == OP_UNSTAR && error_is(x, "not_starred"))
        keep_judge_dropped(x);
    else
        return x->op->kind == OP_REMIND && error_is(x, "cannot_parse") &&
               plan_has(&x->w->plan, FAULT_CLOCK); /* days have passed */
    return true;
}

/* ---- at the end ---- */

void keep_check(struct world *w)
{
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        const struct client *cl = &w->clients[i];
        for (uint32_t n = 0; n < cl->kept_len; n++) {
            const struct kept *k = &cl->kept[n];
            bool lost = k->acked_us != 0 && !k->dropping && !is_stored(cl, n);
            if (lost || (k->dropped_us != 0 && is_stored(cl, n)))
                violation(w, "documents_kept", "client %u: thing %u (%d) is lost, or came back", i,
                          n, (int)k->kind);
        }
    }
}
