/* answer_reactions.c - answers about reactions: given, taken back, shown with a message, listed. */
#include "answer.h"

static uint32_t own_bit(const struct ctx *x)
{
    return oracle_reaction(x->op->name, x->cl->user);
}

static bool was_there(const struct ctx *x, bool there)
{
    uint64_t always, ever, bit = 1ull << own_bit(x);
    levels_bits(&x->w->oracle.msgs[x->op->number].reactions, x->op->sent_pos, x->pos, &always,
                &ever);
    return there ? (ever & bit) != 0 : (always & bit) == 0;
}

/* A row was written between question and answer that may hide what was done and undone in it. */
static bool is_hidden(const struct ctx *x, bool add)
{
    const struct levels *rows = &x->w->oracle.msgs[x->op->number].written;
    for (uint32_t i = rows->len; i > 0 && rows->all[i - 1].pos > x->op->sent_pos; i--) {
        uint64_t pos = rows->all[i - 1].pos;
        if (pos <= x->pos &&
            oracle_reaction_is_hidden(&x->w->oracle, x->op->number, own_bit(x), add, pos))
            return true;
    }
    return false;
}

/* It was not so, and became so by this request: a repeat is refused. */
static void judge_change(const struct ctx *x, bool add)
{
    const struct omsg *m = &x->w->oracle.msgs[x->op->number];
    uint64_t pos = oracle_reaction_became(m, own_bit(x), add, x->pos);
    if (pos <= x->op->sent_pos && !is_hidden(x, add))
        untrue(x, "ok_is_durable", "the reaction, or its end, was not stored since");
    if (x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a stranger reacts");
}

static void judge_reacted(const struct ctx *x)
{
    judge_change(x, true);
}

static void judge_unreacted(const struct ctx *x)
{
    judge_change(x, false);
}

static bool judge_repeat(const struct ctx *x, bool add)
{
    if (!error_is(x, add ? "already_reacted" : "no_reaction"))
        return false;
    if (!was_there(x, add) && !is_hidden(x, !add))
        untrue(x, "refusals_are_durable", "a reaction is there, it says, or is not");
    return true;
}

bool judge_reaction_refusal(const struct ctx *x)
{
    if (x->op->kind == OP_REACT || x->op->kind == OP_UNREACT)
        return judge_repeat(x, x->op->kind == OP_REACT);
    if (x->op->kind != OP_REACTED || !error_is(x, "user_not_found"))
        return false;
    const struct ouser *users = x->w->oracle.users;
    if (users[x->op->other].team == users[x->cl->user].team)
        untrue(x, "refusals_are_durable", "that user exists");
    return true;
}

/* ---- what is shown ---- */

/* {"name":..,"users":[..],"count":..} */
static uint64_t shown_emoji(const struct ctx *x, struct str_view one)
{
    struct str_view users = js_get(one, "users"), user;
    uint64_t mask = 0;
    size_t at = 0;
    char name[32];
    struct str_view got = js_string(js_get(one, "name"), name, sizeof name);
    uint32_t emoji = got.p == NULL ? oracle_emoji_max : oracle_emoji(got);
    if (emoji == oracle_emoji_max)
        untrue(x, "answers_whole", "a reaction that nobody gives");
    while ((user = js_next(users, &at)).p != NULL) {
        uint8_t u = oracle_user(&x->w->oracle, js_id(user));
        if (u == plan_users_max || (mask >> oracle_reaction(emoji, u) & 1) != 0)
            untrue(x, "answers_whole", "a reaction of no user, or twice");
        mask |= 1ull << oracle_reaction(emoji, u);
    }
    if (mask == 0 || js_u64(js_get(one, "count")) != (uint64_t)__builtin_popcountll(mask))
        untrue(x, "reactions_equal_recount", "a wrong count of a reaction");
    return mask;
}

void judge_reactions(const struct ctx *x, struct str_view item, uint32_t n)
{
    struct str_view list = js_get(item, "reactions"), one;
    uint64_t shown = 0, always, ever;
    size_t at = 0;
    while ((one = js_next(list, &at)).p != NULL)
        shown |= shown_emoji(x, one);
    levels_bits(&x->w->oracle.msgs[n].reactions, x->op->sent_pos, x->pos, &always, &ever);
    if ((shown & ~ever) != 0)
        untrue(x, "reactions_equal_recount", "a reaction that is not stored, or was taken back");
    if ((always & ~shown) != 0 && x->w->oracle.msgs[n].deleted_pos == 0)
        untrue(x, "reactions_equal_recount", "a reaction is missing");
}

/* ---- what a user has reacted to ---- */

static bool is_seen(const struct ctx *x, const struct ochan *c, bool always)
{
    const struct ouser *users = x->w->oracle.users;
    if (c->team != users[x->cl->user].team)
        return false;
    if (c->kind == CHANNEL_PUBLIC)
        return true;
    return always ? !oracle_was(c, x->cl->user, false, x->op->sent_pos, x->pos)
                  : oracle_was(c, x->cl->user, true, x->op->sent_pos, x->pos);
}

/* Whether the message has, at all times or at any, a reaction of the user that is asked for. */
static bool has_own(const struct ctx *x, const struct omsg *m, bool always)
{
    const struct levels *l = &m->reactions;
    uint64_t own = oracle_reactions_of(x->op->other);
    bool is = (levels_at(l, x->op->sent_pos) & own) != 0;
    for (uint32_t i = l->len; i > 0 && l->all[i - 1].pos > x->op->sent_pos; i--) {
        bool then = (l->all[i - 1].n & own) != 0;
        if (l->all[i - 1].pos <= x->pos)
            is = always ? is && then : is || then;
    }
    return is;
}

static void judge_list(const struct ctx *x)
{
    struct oracle *o = &x->w->oracle;
    struct str_view list = js_get(x->body, "items"), item;
    uint64_t last_us = UINT64_MAX;
    uint32_t must = 0, seen = 0;
    size_t at = 0;
    while ((item = js_next(list, &at)).p != NULL) {
        uint64_t cid = js_id(js_get(item, "channel"));
        const struct ochan *c = oracle_chan(o, cid);
        if (c == NULL || !is_seen(x, c, false))
            untrue(x, "members_only", "a stranger's message is listed");
        const struct omsg *m =
            &o->msgs[judge_item(x, cid, js_get(item, "message"), "reactions.list")];
        if (!has_own(x, m, false))
            untrue(x, "reactions_equal_recount", "the user has not reacted to it");
        if (m->ts_us >= last_us)
            untrue(x, "answers_whole", "a wrong order of messages, or one twice");
        last_us = m->ts_us;
        seen += has_own(x, m, true) && is_seen(x, c, true) && m->deleted_pos == 0;
    }
    if (js_get(js_get(x->body, "response_metadata"), "next_cursor").len > 2)
        return; /* more on other pages */
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        const struct omsg *m = &o->msgs[n];
        must += m->ts_us != 0 && has_own(x, m, true) && is_seen(x, oracle_chan(o, m->cid), true) &&
                m->deleted_pos == 0;
    }
    if (seen != must)
        untrue(x, "reactions_equal_recount", "a message is not listed");
}

judge_fn *const reaction_judges[OP_KINDS] = {
    [OP_REACT] = judge_reacted, [OP_UNREACT] = judge_unreacted, [OP_REACTED] = judge_list};
