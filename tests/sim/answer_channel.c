/* answer_channel.c - answers about channels themselves: who is in them, what they are called,
 * whether they are open, what is pinned in them; and about direct conversations. */
#include <stdio.h>

#include "answer.h"

/* ---- members ---- */

static void judge_member(const struct ctx *x, uint8_t user, bool member)
{
    if (!was(x, user, member))
        untrue(x, "ok_is_durable", "the membership that it speaks of was never durable");
}

/* Of a public channel its creator alone: nobody here is an administrator. */
static void judge_kick(const struct ctx *x)
{
    const struct ochan *c = x->chan;
    bool own = c->creator == x->w->oracle.users[x->cl->user].uid;
    judge_member(x, x->op->other, false);
    if (!was(x, x->cl->user, true) || (c->kind == CHANNEL_PUBLIC && !own) || oracle_is_direct(c) ||
        c->general || x->op->other == x->cl->user)
        untrue(x, "rights_decide", "who may not kick has kicked");
}

/* ---- names and lists ---- */

static void judge_create(const struct ctx *x)
{
    uint64_t cid = js_id(js_get(js_get(x->body, "channel"), "id"));
    struct ochan *c = oracle_chan(&x->w->oracle, cid);
    char name[32];
    snprintf(name, sizeof name, "made-%u", x->op->name);
    if (c == NULL || c->pos > x->pos || !oracle_was_called(c, name, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "the channel is not stored");
}

static void judge_rename(const struct ctx *x)
{
    char name[32];
    snprintf(name, sizeof name, "made-%u", x->op->name);
    if (!oracle_was_called(x->chan, name, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "the channel was never called that");
}

/* What a list says of one of them. */
static void judge_listed(const struct ctx *x, const struct ochan *c, struct str_view item)
{
    bool archived = js_true(js_get(item, "is_archived"));
    if (!levels_was(&c->archived, archived, x->op->sent_pos, x->pos) ||
        (archived && x->op->version == 1))
        untrue(x, "archived_is_quiet", "a channel is archived, or is not, or not to be listed");
    if (oracle_is_direct(c) && !oracle_was_closed(c, x->cl->user, !js_true(js_get(item, "is_open")),
                                                  x->op->sent_pos, x->pos))
        untrue(x, "one_set_one_conversation", "a conversation is open, or is not");
}

static void judge_list(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    struct str_view list = js_get(x->body, "channels"), item;
    bool seen[oracle_channels_max] = {false};
    size_t at = 0;
    uint8_t user = x->cl->user;
    uint64_t team = o->users[user].team, from = x->op->sent_pos;
    while ((item = js_next(list, &at)).p != NULL) {
        struct ochan *c = oracle_chan(&x->w->oracle, js_id(js_get(item, "id")));
        if (c == NULL || c->pos > x->pos)
            untrue(x, "nothing_undurable_visible", "a channel that is not stored is listed");
        if (c->team != team ||
            (c->kind != CHANNEL_PUBLIC && !oracle_was(c, user, true, from, x->pos)))
            untrue(x, "members_only", "a channel is listed for a stranger");
        if (seen[c - o->chans])
            untrue(x, "answers_whole", "a channel is listed twice");
        seen[c - o->chans] = true;
        judge_listed(x, c, item);
    }
    struct str_view cursor = js_get(js_get(x->body, "response_metadata"), "next_cursor");
    for (uint32_t i = 0; i < o->chans_len && cursor.len <= 2; i++) {
        const struct ochan *c = &o->chans[i];
        bool hidden = x->op->version == 1 && levels_was(&c->archived, true, from, x->pos);
        bool visible = c->kind == CHANNEL_PUBLIC || !oracle_was(c, user, false, from, x->pos);
        if (c->team == team && visible && !hidden && c->pos <= from && !seen[i])
            untrue(x, "history_complete", "a channel is not listed");
    }
}

static void judge_members(const struct ctx *x)
{
    struct str_view list = js_get(x->body, "members"), item;
    uint32_t seen = 0;
    size_t at = 0;
    while ((item = js_next(list, &at)).p != NULL) {
        uint8_t u = oracle_user(&x->w->oracle, js_id(item));
        if (u == plan_users_max || !was(x, u, true) || (seen >> u & 1) != 0)
            untrue(x, "nothing_undurable_visible", "a member that never was");
        seen |= 1u << u;
    }
    for (uint8_t u = 0; u < x->w->oracle.users_len; u++) {
        if (!was(x, u, false) && (seen >> u & 1) == 0)
            untrue(x, "history_complete", "a member is not listed");
    }
}

/* ---- archives ---- */

static void judge_archive(const struct ctx *x, bool archived)
{
    if (!was_archived(x, archived))
        untrue(x, "ok_is_durable", "the channel never was so");
    if (x->chan->general || oracle_is_direct(x->chan) || (archived && !was(x, x->cl->user, true)) ||
        (x->chan->kind == CHANNEL_PRIVATE && !was(x, x->cl->user, true)))
        untrue(x, "rights_decide", "who may not has archived a channel, or opened it");
}

/* ---- pins ---- */

static bool was_pinned(const struct ctx *x, const struct omsg *m, bool pinned)
{
    return levels_was(&m->pinned, pinned, x->op->sent_pos, x->pos);
}

static void judge_pin(const struct ctx *x, bool pinned)
{
    if (!was_pinned(x, &x->w->oracle.msgs[x->op->number], pinned))
        untrue(x, "ok_is_durable", "the pin, or its end, is not stored");
    if (!was(x, x->cl->user, true))
        untrue(x, "members_only", "a stranger pins");
}

static void judge_pins(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    struct str_view list = js_get(x->body, "items"), item;
    uint64_t last_us = UINT64_MAX;
    uint32_t seen = 0, must = 0;
    size_t at = 0;
    if (x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a private channel's pins for a stranger");
    while ((item = js_next(list, &at)).p != NULL) {
        const struct omsg *m =
            &o->msgs[judge_item(x, x->op->cid, js_get(item, "message"), "a pin")];
        if (!was_pinned(x, m, true))
            untrue(x, "pins_equal_recount", "a message that was not pinned");
        if (m->ts_us >= last_us)
            untrue(x, "answers_whole", "a wrong order of pins");
        last_us = m->ts_us;
        seen += !was_pinned(x, m, false);
    }
    for (uint32_t n = 1; n <= o->msgs_len; n++)
        must += o->msgs[n].cid == x->op->cid && !was_pinned(x, &o->msgs[n], false);
    if (seen != must)
        untrue(x, "history_complete", "a pin is missing");
}

/* ---- direct conversations ---- */

static void judge_open(const struct ctx *x)
{
    const struct ochan *c =
        oracle_chan(&x->w->oracle, js_id(js_get(js_get(x->body, "channel"), "id")));
    if (c == NULL || c->pos > x->pos || !oracle_is_direct(c) || c->members != x->op->users)
        untrue(x, "one_set_one_conversation", "not the conversation of these users");
    if (!oracle_was_closed(c, x->cl->user, false, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "the conversation is out of sight");
}

static void judge_close(const struct ctx *x)
{
    if (!oracle_is_direct(x->chan) || !was(x, x->cl->user, true) ||
        !oracle_was_closed(x->chan, x->cl->user, true, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "the conversation never was out of sight");
}

static bool has_foreigner(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    bool foreign = false;
    for (uint32_t u = 0; u < o->users_len; u++)
        foreign |= (x->op->users >> u & 1) != 0 && o->users[u].team != o->users[x->cl->user].team;
    return foreign;
}

/* ---- one conversation ---- */

static void judge_state(const struct ctx *x, struct str_view c)
{
    const struct oracle *o = &x->w->oracle;
    uint64_t from = x->op->sent_pos, read_us = js_ts(js_get(c, "last_read"));
    uint64_t unread = js_u64(js_get(c, "unread_count"));
    uint8_t user = x->cl->user;
    if (!oracle_read_was(x->chan, user, read_us, from, x->pos))
        untrue(x, "unread_equals_recount", "it never had read up to there");
    if (unread < oracle_unread(o, x->chan, user, read_us, from, x->pos) ||
        unread > oracle_unread(o, x->chan, user, read_us, x->pos, from))
        untrue(x, "unread_equals_recount", "so many are not unread");
    if (oracle_is_direct(x->chan) &&
        !oracle_was_closed(x->chan, user, !js_true(js_get(c, "is_open")), from, x->pos))
        untrue(x, "one_set_one_conversation", "the conversation is open, or is not");
}

static void judge_info(const struct ctx *x)
{
    struct str_view c = js_get(x->body, "channel");
    bool member = js_true(js_get(c, "is_member"));
    uint64_t from = x->op->sent_pos;
    if (js_id(js_get(c, "id")) != x->op->cid)
        untrue(x, "one_answer_per_request", "the answer is another channel's");
    if (x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a private channel is told of to a stranger");
    if (!was(x, x->cl->user, member))
        untrue(x, "nothing_undurable_visible", "a member, it says, or none");
    if (!was_archived(x, js_true(js_get(c, "is_archived"))))
        untrue(x, "archived_is_quiet", "archived, it says, or not");
    if (!levels_was(&x->chan->sizes, js_u64(js_get(c, "num_members")), from, x->pos))
        untrue(x, "head_matches_rows", "num_members is wrong");
    if (member)
        judge_state(x, c);
}

/* ---- refusals ---- */

static void check_taken(const struct ctx *x)
{
    char name[32];
    bool taken = false;
    snprintf(name, sizeof name, "made-%u", x->op->name);
    for (uint32_t i = 0; i < x->w->oracle.chans_len; i++)
        taken |= oracle_was_called(&x->w->oracle.chans[i], name, x->op->sent_pos, x->pos);
    if (!taken)
        untrue(x, "refusals_are_durable", "the name is not taken");
}

/* What rests on the channel as such: false: another error. */
static bool judge_kind(const struct ctx *x)
{
    const struct ochan *c = x->chan;
    if (error_is(x, "method_not_supported_for_channel_type")) {
        bool may_be = x->op->kind == OP_CLOSE  ? !oracle_is_direct(c)
                      : x->op->kind == OP_JOIN ? c->kind != CHANNEL_PUBLIC
                                               : oracle_is_direct(c);
        if (!may_be)
            untrue(x, "refusals_are_durable", "it works on this kind of channel");
    } else if (error_is(x, "is_archived") || error_is(x, "already_archived")) {
        if (!was_archived(x, true))
            untrue(x, "refusals_are_durable", "archived, it says, and never was");
    } else if (error_is(x, "not_archived")) {
        if (!was_archived(x, false))
            untrue(x, "refusals_are_durable", "not archived, it says, and was all the time");
    } else if (error_is(x, "cant_leave_general") || error_is(x, "cant_kick_from_general") ||
               error_is(x, "cant_archive_general")) {
        if (!c->general)
            untrue(x, "refusals_are_durable", "not the general channel");
    } else if (error_is(x, "last_member")) {
        if (c->kind != CHANNEL_PRIVATE || !levels_was(&c->sizes, 1, x->op->sent_pos, x->pos))
            untrue(x, "refusals_are_durable", "not a private channel with one member");
    } else {
        return false;
    }
    return true;
}

static bool judge_pin_refusal(const struct ctx *x)
{
    const struct omsg *m = &x->w->oracle.msgs[x->op->number];
    bool true_ = false;
    if (error_is(x, "already_pinned"))
        true_ = was_pinned(x, m, true);
    else if (error_is(x, "no_pin"))
        true_ = was_pinned(x, m, false);
    else if (error_is(x, "too_many_pins"))
        true_ =
            levels_within(&x->chan->pins, x->w->plan.pins_max, UINT64_MAX, x->op->sent_pos, x->pos);
    else
        return false;
    if (!true_)
        untrue(x, "refusals_are_durable", "a pin was refused for what never was");
    return true;
}

static bool judge_kick_refusal(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    uint64_t uid = o->users[x->cl->user].uid;
    if (error_is(x, "cant_kick_self")) {
        if (x->op->other != x->cl->user)
            untrue(x, "refusals_are_durable", "somebody else was to be kicked");
    } else if (error_is(x, "restricted_action")) {
        if (x->chan->creator == uid || x->chan->kind != CHANNEL_PUBLIC)
            untrue(x, "rights_decide", "who may kick was refused");
    } else {
        return false;
    }
    return true;
}

static bool judge_user_refusal(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    const struct op *op = x->op;
    if (op->kind == OP_INVITE && error_is(x, "already_in_channel")) {
        if (!was(x, op->other, true))
            untrue(x, "refusals_are_durable", "already a member, it says, but it never was");
    } else if (op->kind == OP_INVITE && error_is(x, "cant_invite_self")) {
        if (op->other != x->cl->user)
            untrue(x, "refusals_are_durable", "somebody else was invited");
    } else if (error_is(x, "user_not_found")) {
        bool foreign = op->kind == OP_OPEN ? has_foreigner(x)
                                           : o->users[op->other].team != o->users[x->cl->user].team;
        if (!foreign)
            untrue(x, "refusals_are_durable", "that user exists");
    } else {
        return false;
    }
    return true;
}

bool judge_channel_refusal(const struct ctx *x)
{
    enum op_kind kind = x->op->kind;
    if (x->chan != NULL && judge_kind(x))
        return true;
    if ((kind == OP_PIN || kind == OP_UNPIN) && judge_pin_refusal(x))
        return true;
    if (kind == OP_KICK && judge_kick_refusal(x))
        return true;
    if ((kind == OP_INVITE || kind == OP_KICK || kind == OP_OPEN) && judge_user_refusal(x))
        return true;
    if ((kind == OP_CREATE || kind == OP_RENAME) && error_is(x, "name_taken")) {
        check_taken(x);
        return true;
    }
    if (kind == OP_RENAME && error_is(x, "not_authorized")) {
        if (x->chan->creator == x->w->oracle.users[x->cl->user].uid)
            untrue(x, "errors_have_causes", "the creator may not rename");
        return true;
    }
    return false;
}

/* ---- successes ---- */

static void judge_joined(const struct ctx *x)
{
    judge_member(x, x->cl->user, true);
}

static void judge_left(const struct ctx *x)
{
    judge_member(x, x->cl->user, false);
}

static void judge_invited(const struct ctx *x)
{
    judge_member(x, x->op->other, true);
}

static void judge_archived(const struct ctx *x)
{
    judge_archive(x, true);
}

static void judge_unarchived(const struct ctx *x)
{
    judge_archive(x, false);
}

static void judge_pinned(const struct ctx *x)
{
    judge_pin(x, true);
}

static void judge_unpinned(const struct ctx *x)
{
    judge_pin(x, false);
}

judge_fn *const channel_judges[OP_KINDS] = {[OP_JOIN] = judge_joined,
                                            [OP_LEAVE] = judge_left,
                                            [OP_INVITE] = judge_invited,
                                            [OP_KICK] = judge_kick,
                                            [OP_RENAME] = judge_rename,
                                            [OP_CREATE] = judge_create,
                                            [OP_LIST] = judge_list,
                                            [OP_MEMBERS] = judge_members,
                                            [OP_INFO] = judge_info,
                                            [OP_ARCHIVE] = judge_archived,
                                            [OP_UNARCHIVE] = judge_unarchived,
                                            [OP_PIN] = judge_pinned,
                                            [OP_UNPIN] = judge_unpinned,
                                            [OP_PINS] = judge_pins,
                                            [OP_OPEN] = judge_open,
                                            [OP_CLOSE] = judge_close};
