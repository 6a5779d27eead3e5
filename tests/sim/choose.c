/* choose.c - what a client does next. */
#include "world.h"

enum { name_ops = 48, made_max = 24 };

/* ---- what to do next ---- */

static struct ochan *some_channel(struct client *cl)
{
    struct oracle *o = &cl->w->oracle;
    if (o->chans_len == 0)
        return NULL;
    /* Mostly one where the user is a member, as people do. */
    for (int i = 0; i < 4; i++) {
        struct ochan *c = &o->chans[rng_below(&cl->rng, o->chans_len)];
        if ((c->members >> cl->user & 1) != 0)
            return c;
    }
    return &o->chans[rng_below(&cl->rng, o->chans_len)];
}

/* Mostly the name that others want right now, too. */
static uint32_t some_name(struct client *cl)
{
    uint32_t now = (uint32_t)(cl->w->ops_issued / name_ops);
    return rng_one_in(&cl->rng, 4) ? (uint32_t)rng_below(&cl->rng, now + 1ull) : now;
}

static bool choose_member_op(struct client *cl, struct op *op, struct ochan *c)
{
    uint64_t k = rng_below(&cl->rng, 9);
    if (k == 8) {
        *op = (struct op){.kind = OP_RENAME, .cid = c->cid, .name = some_name(cl)};
        return true;
    }
    if (k == 0 && cl->w->oracle.chans_len < cl->w->plan.channels + made_max) {
        *op = (struct op){.kind = OP_CREATE, .name = some_name(cl)};
        return true;
    }
    if (k < 3)
        *op = (struct op){.kind = OP_LEAVE, .cid = c->cid};
    else if (k < 5)
        *op = (struct op){.kind = OP_INVITE,
                          .cid = c->cid,
                          .other = (uint8_t)rng_below(&cl->rng, cl->w->plan.users)};
    else
        *op = (struct op){.kind = OP_JOIN, .cid = c->cid};
    return true;
}

static void choose_history(struct client *cl, struct op *op, const struct ochan *c)
{
    *op = (struct op){
        .kind = OP_HISTORY, .cid = c->cid, .limit = (uint32_t)rng_range(&cl->rng, 1, 30)};
    if (c->roots.len > 0 && rng_one_in(&cl->rng, 3))
        op->oldest_us = cl->w->oracle.msgs[c->roots.all[rng_below(&cl->rng, c->roots.len)]].ts_us;
}

uint32_t choose_message(struct client *cl, const struct ochan *c)
{
    uint32_t back = (uint32_t)rng_below(&cl->rng, 4), n = 0;
    for (uint32_t i = c->roots.len; i > 0; i--) {
        const struct omsg *m = &cl->w->oracle.msgs[c->roots.all[i - 1]];
        if (m->system || (m->deleted_pos != 0 && !rng_one_in(&cl->rng, 8)))
            continue;
        n = c->roots.all[i - 1];
        if (back-- == 0)
            break;
    }
    return n;
}

uint32_t choose_reply(struct client *cl, const struct ochan *c)
{
    const struct oracle *o = &cl->w->oracle;
    for (uint32_t n = o->msgs_len; n > 0; n--) {
        const struct omsg *m = &o->msgs[n];
        if (m->cid == c->cid && m->user == cl->user && m->thread != 0 && m->ts_us != 0 &&
            (m->deleted_pos == 0 || rng_one_in(&cl->rng, 4)))
            return n;
    }
    return 0;
}

/* Mostly one more, or of those that are there one less; mostly of the emoji that all give. */
static void choose_reaction(struct client *cl, struct op *op)
{
    const struct oracle *o = &cl->w->oracle;
    uint64_t mask = levels_at(&o->msgs[op->number].reactions, o->pos);
    op->name = rng_one_in(&cl->rng, 3) ? (uint32_t)rng_below(&cl->rng, oracle_emoji_max) : 0;
    bool is = (mask >> oracle_reaction(op->name, cl->user) & 1) != 0;
    op->kind = is != rng_one_in(&cl->rng, 8) ? OP_UNREACT : OP_REACT;
    if (rng_one_in(&cl->rng, 8))
        *op = (struct op){.kind = OP_REACTED,
                          .limit = 200,
                          .other = (uint8_t)rng_below(&cl->rng, cl->w->plan.users)};
}

/* One of the channel's newest threads, or sometimes n, which may be none. */
static uint32_t some_thread(struct client *cl, const struct ochan *c, uint32_t n)
{
    const struct oracle *o = &cl->w->oracle;
    uint32_t back = (uint32_t)rng_below(&cl->rng, 2);
    for (uint32_t i = c->roots.len; i > 0 && !rng_one_in(&cl->rng, 16); i--) {
        if (!o->msgs[c->roots.all[i - 1]].threaded)
            continue;
        n = c->roots.all[i - 1];
        if (back-- == 0)
            break;
    }
    return n;
}

/* The ts of one of its newest replies, a little more, or one of its own: 1 is before the first
 * message. */
static uint64_t some_reading(struct client *cl, const struct ochan *c, uint32_t n)
{
    const struct oracle *o = &cl->w->oracle;
    uint32_t back = (uint32_t)rng_below(&cl->rng, 4);
    uint64_t ts_us = rng_one_in(&cl->rng, 4) ? o->msgs[n].ts_us : 1;
    for (uint32_t i = c->replies.len; i > 0; i--) {
        const struct omsg *m = &o->msgs[c->replies.all[i - 1]];
        if (m->thread != n)
            continue;
        ts_us = m->ts_us;
        if (back-- == 0)
            break;
    }
    return ts_us + (rng_one_in(&cl->rng, 4) ? rng_below(&cl->rng, 1000000) : 0);
}

static void choose_thread(struct client *cl, struct op *op, const struct ochan *c)
{
    static const enum op_kind kinds[] = {OP_FOLLOW, OP_UNFOLLOW, OP_THREAD_MARK, OP_THREAD_MARK};
    *op = (struct op){.kind = kinds[rng_below(&cl->rng, ARRAY_LEN(kinds))],
                      .cid = c->cid,
                      .number = some_thread(cl, c, op->number)};
    bool named = op->kind == OP_THREAD_MARK || (op->kind == OP_FOLLOW && rng_one_in(&cl->rng, 2));
    op->oldest_us = named ? some_reading(cl, c, op->number) : 0;
}

/* False: there is nothing to change. */
static bool choose_change(struct client *cl, struct op *op, const struct ochan *c)
{
    struct oracle *o = &cl->w->oracle;
    uint32_t n = choose_message(cl, c);
    if (n == 0)
        return false;
    *op = (struct op){.cid = c->cid, .number = n};
    switch (rng_below(&cl->rng, 11)) {
    case 0:
        op->kind = OP_REPLIES;
        op->number = some_thread(cl, c, n);
        op->limit = 1000;
        return true;
    case 1:
    case 2:
        choose_reaction(cl, op);
        return true;
    case 3:
        op->kind = OP_DELETE;
        op->number = o->msgs[n].user == cl->user ? n : choose_reply(cl, c);
        o->msgs[op->number].delete_asked = true; /* of 0: nobody looks */
        return op->number != 0;
    case 4:
        if (o->msgs[n].user != cl->user || o->msgs[n].edits == oracle_edits_max)
            return false;
        op->kind = OP_EDIT;
        op->version = ++o->msgs[n].edits;
        return true;
    case 5:
    case 6:
        choose_thread(cl, op, c);
        return true;
    default:
        op->kind = OP_POST;
        op->number = oracle_message(o, c->cid, cl->user, true);
        o->msgs[op->number].thread = n;
        return true;
    }
}

/* Three in a run, in any order: with a wrong password or the one before; as somebody who is not
 * there or has none; with the right one, unless it changes meanwhile. */
static bool choose_sign_in(struct client *cl, struct op *op)
{
    struct world *w = cl->w;
    const struct oracle *o = &w->oracle;
    if (w->plan.passwords == 0 || w->sign_ins == sign_ins_max ||
        !rng_one_in(&cl->rng, w->plan.ops / 4 + 1))
        return false;
    uint32_t stored = o->passwords_len == 0 ? 0 : o->passwords[o->passwords_len - 1].number;
    uint32_t newest = w->operator_.passwords_len; /* which is perhaps still being set */
    *op = (struct op){.kind = OP_SIGN_IN, .other = w->plan.signer, .version = newest};
    switch ((w->sign_ins++ + w->plan.seed) % sign_ins_max) {
    case 0:
        op->version = newest > 0 && rng_one_in(&cl->rng, 2) ? newest - 1 : 0;
        break;
    case 1:
        op->other = (uint8_t)((w->plan.signer + 1u) % w->plan.users);
        if (rng_one_in(&cl->rng, 2))
            op->other = plan_users_max;
        break;
    default:
        if (rng_one_in(&cl->rng, 2))
            op->version = stored;
        break;
    }
    return true;
}

bool choose_op(struct client *cl, struct op *op)
{
    const struct plan *p = &cl->w->plan;
    struct ochan *c = some_channel(cl);
    uint64_t k = rng_below(&cl->rng, 100);
    if (c == NULL)
        return false;
    if (choose_sign_in(cl, op))
        return true;
    if (k < p->member_percent)
        return choose_member_op(cl, op, c);
    if (levels_at(&c->archived, cl->w->oracle.pos) != 0 && rng_one_in(&cl->rng, 3)) {
        *op = (struct op){.kind = OP_UNARCHIVE, .cid = c->cid}; /* much is refused meanwhile */
        return true;
    }
    if (rng_below(&cl->rng, 100) < p->channel_percent && choose_channel_op(cl, op, c))
        return true;
    k = rng_below(&cl->rng, 100);
    if (k < p->history_percent) {
        choose_history(cl, op, c);
        return true;
    }
    if (rng_one_in(&cl->rng, 40)) {
        struct oracle *o = &cl->w->oracle;
        uint64_t wall_us = (uint64_t)((int64_t)cl->w->now_us + cl->w->wall_offset_us);
        *op = (struct op){.kind = OP_SCHEDULE,
                          .number = oracle_message(o, c->cid, cl->user, false),
                          .cid = c->cid};
        /* Some never: what is due is not always the next. */
        o->msgs[op->number].post_s =
            wall_us / 1000000 + (rng_one_in(&cl->rng, 4) ? 86400 : rng_range(&cl->rng, 1, 15));
        return true;
    }
    if (c->roots.len > 0 && rng_one_in(&cl->rng, 25)) { /* a message, or between two */
        uint32_t back = (uint32_t)rng_below(&cl->rng, MIN(c->roots.len, 8u));
        *op = (struct op){.kind = OP_MARK, .cid = c->cid};
        op->oldest_us = cl->w->oracle.msgs[c->roots.all[c->roots.len - 1 - back]].ts_us +
                        rng_below(&cl->rng, 2);
        return true;
    }
    if (cl->prefs_len < client_prefs_max && rng_one_in(&cl->rng, 40)) {
        *op = (struct op){.kind = OP_PREF, .version = cl->prefs_len++};
        return true;
    }
    if (rng_one_in(&cl->rng, 20) && keep_choose(cl, op, c))
        return true;
    if (rng_one_in(&cl->rng, 40)) { /* whether or not it may see it */
        *op = (struct op){.kind = OP_SEARCH, .number = choose_message(cl, c)};
        return op->number != 0;
    }
    if (rng_one_in(&cl->rng, 40)) {
        *op = (struct op){.kind = rng_one_in(&cl->rng, 2) ? OP_LIST : OP_MEMBERS};
        op->cid = op->kind == OP_MEMBERS ? c->cid : 0;
        op->version = (uint32_t)rng_below(&cl->rng, 2); /* 1: without archived ones */
        op->limit = 200;
        return true;
    }
    if (rng_below(&cl->rng, 100) < p->change_percent && choose_change(cl, op, c))
        return true;
    bool keyed = rng_below(&cl->rng, 100) >= p->unkeyed_percent;
    uint32_t number = oracle_message(&cl->w->oracle, c->cid, cl->user, keyed);
    if (cl->ws.state == SOCKET_LIVE && rng_below(&cl->rng, 100) < p->rtm_percent) {
        if (rng_one_in(&cl->rng, 4))
            socket_typing(cl, c->cid);
        if (socket_post(cl, number))
            return false;
    }
    *op = (struct op){.kind = OP_POST, .number = number, .cid = c->cid};
    return true;
}

/* ---- the calm phase: each client shows that it is served ---- */

bool choose_probe(struct client *cl, struct op *op)
{
    struct oracle *o = &cl->w->oracle;
    if (cl->probes == 0)
        return false;
    cl->probes--;
    for (uint32_t i = 0; i < o->chans_len; i++) {
        struct ochan *c = &o->chans[(i + cl->index) % o->chans_len];
        if ((c->members >> cl->user & 1) == 0 || levels_at(&c->archived, o->pos) != 0)
            continue;
        uint32_t n = choose_message(cl, c);
        if (cl->probes == 2)
            *op = (struct op){.kind = OP_HISTORY, .cid = c->cid, .limit = 30};
        else if (cl->probes == 1 && n != 0)
            *op = (struct op){.kind = OP_SEARCH, .number = n, .must = true};
        else
            *op = (struct op){.kind = OP_POST,
                              .number = oracle_message(o, c->cid, cl->user, true),
                              .cid = c->cid};
        return true;
    }
    return false;
}
