/* answer.c - is this answer true? Held against the oracle between the position at which the request
 * was written and the one at which the answer was said. */
#include "answer.h"

#include <stdio.h>

_Noreturn void untrue(const struct ctx *x, const char *name, const char *why)
{
    violation(x->w, name, "client %u (user %u), op %d on %s (message #%u): %s: %.*s",
              (unsigned)x->cl->index, (unsigned)x->cl->user, (int)x->op->kind,
              x->chan == NULL ? "-" : x->chan->name, x->op->number, why,
              (int)MIN(x->body.len, 600u), x->body.p);
}

static bool foreign(const struct ctx *x)
{
    return x->w->oracle.users[x->cl->user].team != x->chan->team;
}

bool answer_transient(struct world *w, struct str_view error)
{
    static const struct {
        const char *error;
        uint32_t faults;
    } all[] = {
        {"service_unavailable", UINT32_MAX}, /* back-pressure needs no fault */
        {"ratelimited", UINT32_MAX},
        {"storage_unavailable",
         1u << FAULT_IO_ERROR | 1u << FAULT_NO_SPACE | 1u << FAULT_READ_ERROR},
        {"disk_full", 1u << FAULT_NO_SPACE},
        {"deadline_exceeded", UINT32_MAX},
        {"request_timeout", 1u << FAULT_FREEZE | 1u << FAULT_DELAY | 1u << FAULT_STALL},
        {"internal_error", 1u << FAULT_READ_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!sv_eq(error, sv_from(all[i].error)))
            continue;
        if (all[i].faults != UINT32_MAX && (w->plan.faults & all[i].faults) == 0)
            violation(w, "errors_have_causes", "%s without a fault that can cause it",
                      all[i].error);
        return true;
    }
    return false;
}

/* Promised: only after these may what was refused be done all the same. */
static bool is_doubtful(struct str_view error)
{
    return sv_eq(error, SV("storage_unavailable")) || sv_eq(error, SV("internal_error"));
}

/* ---- refusals ---- */

static bool token_refused(const struct ctx *x)
{
    if (x->op->kind == OP_SIGN_IN ||
        (!error_is(x, "token_revoked") && !error_is(x, "invalid_auth")))
        return false;
    if (x->w->operator_.tokens[x->op->token].state == SIM_TOKEN_VALID)
        untrue(x, "errors_have_causes", "a valid token was refused");
    return true;
}

static void check_not_in_channel(const struct ctx *x)
{
    bool victim = x->op->kind == OP_KICK && was(x, x->op->other, false);
    if (!was(x, x->cl->user, false) && !victim)
        untrue(x, "refusals_are_durable", "not a member, it says, but it was all the time");
}

static void check_not_found(const struct ctx *x)
{
    if (foreign(x))
        return;
    bool visible = x->chan->kind == CHANNEL_PUBLIC && x->op->kind != OP_CLOSE;
    if (visible || !was(x, x->cl->user, false))
        untrue(x, "refusals_are_durable", "a channel that it may see was not found");
}

/* The message of the question, or what a reply answers to. */
static void check_deleted(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    uint32_t n = x->op->kind == OP_POST ? o->msgs[x->op->number].thread : x->op->number;
    uint64_t pos = o->msgs[n].deleted_pos;
    if (pos == 0 || pos > x->pos)
        untrue(x, "ok_is_durable", "the message is not deleted");
}

static void check_not_signed_in(const struct ctx *x)
{
    const struct op *op = x->op;
    if (!oracle_was_password(x->w, op->other, op->version, false, op->sent_pos, x->pos))
        untrue(x, "passwords_decide", "the right password was refused");
}

static void judge_refusal(const struct ctx *x)
{
    const struct op *op = x->op;
    if (x->chan != NULL && error_is(x, "not_in_channel")) {
        check_not_in_channel(x);
    } else if (x->chan != NULL && error_is(x, "channel_not_found")) {
        check_not_found(x);
    } else if ((op->number != 0 && error_is(x, "message_not_found")) ||
               (op->kind == OP_POST && error_is(x, "cannot_reply_to_message"))) {
        check_deleted(x);
    } else if (op->kind == OP_SCHEDULE && error_is(x, "time_in_past")) {
        return; /* clocks step, and requests wait */
    } else if (op->kind == OP_SIGN_IN && error_is(x, "invalid_credentials")) {
        check_not_signed_in(x);
    } else if (keep_judge_refusal(x) || judge_reaction_refusal(x) || judge_thread_refusal(x)) {
        return;
    } else if (!judge_channel_refusal(x)) {
        untrue(x, "errors_have_causes", "an error that this call cannot have");
    }
}

/* ---- successes ---- */

static void judge_post(const struct ctx *x)
{
    char text[oracle_text_max];
    uint64_t ts_us = js_ts(js_get(x->body, "ts"));
    struct str_view message = js_get(x->body, "message");
    oracle_check_ok(x->w, x->op->number, ts_us, x->pos);
    if (js_id(js_get(x->body, "channel")) != x->op->cid)
        untrue(x, "one_answer_per_request", "the answer names another channel");
    struct str_view got = js_string(js_get(message, "text"), text, sizeof text);
    if (got.p == NULL || js_ts(js_get(message, "ts")) != ts_us)
        untrue(x, "answers_whole", "the message is missing");
    uint32_t n = oracle_check_shown(x->w, x->op->cid, got, ts_us, js_id(js_get(message, "user")),
                                    x->pos, "chat.postMessage");
    if (n != x->op->number)
        untrue(x, "one_answer_per_request", "the answer is another message's");
}

static void judge_edit(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    char text[oracle_text_max], sent[oracle_text_max];
    struct str_view want = oracle_version(x->op->number, x->op->version, sent);
    struct str_view got = js_string(js_get(js_get(x->body, "message"), "text"), text, sizeof text);
    if (got.p == NULL || !sv_eq(got, want))
        untrue(x, "one_answer_per_request", "the answer shows another text");
    if (!oracle_was_text(o, x->op->number, got, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "the edit was never stored");
}

/* What is left of a deleted message that has replies. */
static uint32_t judge_tombstone(const struct ctx *x, uint64_t cid, struct str_view item)
{
    const struct oracle *o = &x->w->oracle;
    const struct omsg *m = oracle_by_ts(&x->w->oracle, cid, js_ts(js_get(item, "ts")));
    if (m == NULL || m->deleted_pos == 0 || m->deleted_pos > x->pos || !m->threaded)
        untrue(x, "changes_kept", "a message is deleted, it says");
    return (uint32_t)(m - o->msgs);
}

uint32_t judge_item(const struct ctx *x, uint64_t cid, struct str_view item, const char *where)
{
    char text[oracle_text_max];
    struct str_view got = js_string(js_get(item, "text"), text, sizeof text);
    if (got.p == NULL)
        untrue(x, "answers_whole", "a message without text");
    if (sv_eq(js_get(item, "subtype"), SV("\"tombstone\"")))
        return judge_tombstone(x, cid, item);
    uint32_t n = oracle_check_shown(x->w, cid, got, js_ts(js_get(item, "ts")),
                                    js_id(js_get(item, "user")), x->pos, where);
    if (x->w->oracle.msgs[n].deleted_pos != 0 &&
        x->w->oracle.msgs[n].deleted_pos <= x->op->sent_pos)
        untrue(x, "changes_kept", "a message that was deleted before the question");
    if (!oracle_was_text(&x->w->oracle, n, got, x->op->sent_pos, x->pos))
        untrue(x, "history_complete", "a text that had been edited before the question");
    judge_reactions(x, item, n);
    return n;
}

static uint32_t rows_until(const struct ctx *x, uint64_t pos)
{
    uint32_t n = x->chan->roots.len;
    while (n > 0 && x->w->oracle.msgs[x->chan->roots.all[n - 1]].pos > pos)
        n--;
    return n;
}

enum sight { SIGHT_SEEN, SIGHT_PERHAPS, SIGHT_GONE };

/* Whether history shows a message: not if it was deleted, but for one that still has replies. */
static enum sight sight_of(const struct ctx *x, uint32_t ordinal)
{
    const struct omsg *m = &x->w->oracle.msgs[x->chan->roots.all[ordinal]];
    if (m->deleted_pos == 0 || m->deleted_pos > x->pos)
        return SIGHT_SEEN;
    return m->threaded || m->deleted_pos > x->op->sent_pos ? SIGHT_PERHAPS : SIGHT_GONE;
}

/* How many of from..to-1 are in sight for certain; *perhaps: whether more may be. */
static uint32_t seen_between(const struct ctx *x, uint32_t from, uint32_t to, bool *perhaps)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        enum sight sight = sight_of(x, i);
        n += sight == SIGHT_SEEN;
        *perhaps |= sight == SIGHT_PERHAPS;
    }
    return n;
}

/* A page is the newest rows of one durable state between question and answer, without a hole. */
static void judge_page(const struct ctx *x, uint32_t low)
{
    const struct oracle *o = &x->w->oracle;
    struct str_view list = js_get(x->body, "messages"), item;
    uint32_t count = 0, above = rows_until(x, x->pos);
    bool perhaps = false;
    size_t at = 0;
    while ((item = js_next(list, &at)).p != NULL) {
        uint32_t ordinal = o->msgs[judge_item(x, x->op->cid, item, "history")].ordinal;
        /* Above the first may be what became durable behind the question. */
        uint32_t end = count == 0 ? MIN(above, rows_until(x, x->op->sent_pos)) : above;
        if (ordinal >= above || seen_between(x, ordinal + 1, MAX(end, ordinal + 1), &perhaps) > 0)
            untrue(x, "history_complete", "a hole or a wrong order");
        above = ordinal;
        count++;
    }
    if (count == 0)
        above = rows_until(x, x->op->sent_pos);
    perhaps = false;
    uint32_t left = seen_between(x, low, MAX(above, low), &perhaps);
    if (count > x->op->limit || (count > 0 && above < low) || (count < x->op->limit && left > 0))
        untrue(x, "history_complete", "the page is too short or too long");
    bool more = js_true(js_get(x->body, "has_more"));
    if (more ? count < x->op->limit || (left == 0 && !perhaps) : left > 0)
        untrue(x, "history_complete", "has_more is wrong");
}

static void judge_history(const struct ctx *x)
{
    const struct oracle *o = &x->w->oracle;
    uint32_t low = 0;
    if (x->chan->kind != CHANNEL_PUBLIC && !was(x, x->cl->user, true))
        untrue(x, "members_only", "a private channel's history for a stranger");
    if (foreign(x))
        untrue(x, "members_only", "another workspace's history");
    while (low < x->chan->roots.len && o->msgs[x->chan->roots.all[low]].ts_us <= x->op->oldest_us)
        low++;
    judge_page(x, low);
    if (!levels_was(&x->chan->pins, js_u64(js_get(x->body, "pin_count")), x->op->sent_pos, x->pos))
        untrue(x, "pins_equal_recount", "pin_count is wrong");
}

/* Others of the same user change the same document: nobody's change is lost. */
static void judge_pref(const struct ctx *x)
{
    struct str_view prefs = js_get(x->body, "prefs");
    for (uint32_t i = 0; i < x->w->plan.clients; i++) {
        const struct client *cl = &x->w->clients[i];
        for (uint32_t n = 0; cl->user == x->cl->user && n < cl->prefs_len; n++) {
            bool own = cl == x->cl && n == x->op->version;
            bool before = cl->pref_acked_us[n] != 0 && cl->pref_acked_us[n] < x->op->sent_us;
            char name[24];
            snprintf(name, sizeof name, "c%u-%u", i, n);
            if ((own || before) && js_get(prefs, name).p == NULL)
                untrue(x, "documents_kept", name);
        }
    }
    x->cl->pref_acked_us[x->op->version] = x->w->now_us;
}

/* False: it must be found, and is not yet. */
static bool judge_search(const struct ctx *x)
{
    struct world *w = x->w;
    struct str_view list = js_get(js_get(x->body, "messages"), "matches"), item;
    const struct omsg *m = &w->oracle.msgs[x->op->number];
    const struct ochan *c = oracle_chan(&w->oracle, m->cid);
    bool private = c->kind != CHANNEL_PUBLIC;
    uint32_t found = 0;
    size_t at = 0;
    for (; (item = js_next(list, &at)).p != NULL; found++) {
        char text[oracle_text_max];
        struct str_view got = js_string(js_get(item, "text"), text, sizeof text);
        uint64_t cid = js_id(js_get(js_get(item, "channel"), "id"));
        if (got.p == NULL)
            untrue(x, "answers_whole", "a match without text");
        uint32_t n = oracle_check_shown(w, cid, got, js_ts(js_get(item, "ts")),
                                        js_id(js_get(item, "user")), x->pos, "search");
        if (n != x->op->number || found > 0)
            untrue(x, "one_answer_per_request", "a message that does not match, or one twice");
        if (m->deleted_pos != 0 && m->deleted_pos <= x->op->sent_pos)
            untrue(x, "changes_kept", "a message that was deleted before the question is found");
        if (!oracle_was_text(&w->oracle, n, got, x->op->sent_pos, x->pos))
            untrue(x, "history_complete", "a text that had been edited before the question");
        if (c->team != w->oracle.users[x->cl->user].team ||
            (private && !oracle_was(c, x->cl->user, true, x->op->sent_pos, x->pos)))
            untrue(x, "members_only", "a stranger finds a message");
    }
    bool visible = !private || !oracle_was(c, x->cl->user, false, x->op->sent_pos, x->pos);
    return found > 0 || !x->op->must || !visible || m->deleted_pos != 0;
}

static void judge_connect(const struct ctx *x)
{
    char url[256];
    struct str_view u = js_string(js_get(x->body, "url"), url, sizeof url - 1);
    const char *path = NULL;
    if (u.p != NULL) {
        url[u.len] = '\0';
        path = strstr(url, "/rtm/");
    }
    if (path == NULL)
        untrue(x, "answers_whole", "no URL of a socket");
    socket_connect(x->cl, path, x->op, x->pos);
}

static void check_named(const struct ctx *x, uint8_t user)
{
    const struct ouser *u = &x->w->oracle.users[user];
    if (js_id(js_get(x->body, "user_id")) != u->uid || js_id(js_get(x->body, "team_id")) != u->team)
        untrue(x, "passwords_decide", "the token is somebody else's");
}

/* The clients of that user go on with the token, after crashes too; this one asks whose it is. */
static void judge_sign_in(const struct ctx *x)
{
    const struct op *op = x->op;
    char text[token_text_max];
    struct str_view token = js_string(js_get(x->body, "token"), text, sizeof text);
    if (!oracle_was_password(x->w, op->other, op->version, true, op->sent_pos, x->pos))
        untrue(x, "passwords_decide", "a password that is none signs in");
    check_named(x, op->other);
    if (token.p == NULL || !oracle_has_token(x->w, token, op->other, x->pos))
        untrue(x, "ok_is_durable", "the token is not stored");
    struct op who = {.kind = OP_WHO, .as = operator_add_token(&x->w->operator_, token, op->other)};
    if (who.as < operator_tokens_max)
        client_retry(x->cl, &who);
}

static void judge_mark(const struct ctx *x)
{
    if (!oracle_had_read(x->chan, x->cl->user, x->op->oldest_us, x->op->sent_pos, x->pos))
        untrue(x, "ok_is_durable", "how far it has read is not stored");
}

static void judge_schedule(const struct ctx *x)
{
    char id[32];
    if (js_string(js_get(x->body, "scheduled_message_id"), id, sizeof id).p == NULL)
        untrue(x, "answers_whole", "no id of the scheduled message");
    x->w->oracle.msgs[x->op->number].promised_pos = x->pos;
}

static void judge_who(const struct ctx *x)
{
    check_named(x, x->w->operator_.tokens[x->op->token].user);
}

static judge_fn *const judges[OP_KINDS] = {[OP_POST] = judge_post,
                                           [OP_HISTORY] = judge_history,
                                           [OP_EDIT] = judge_edit,
                                           [OP_DELETE] = check_deleted,
                                           [OP_MARK] = judge_mark,
                                           [OP_SCHEDULE] = judge_schedule,
                                           [OP_PREF] = judge_pref,
                                           [OP_SIGN_IN] = judge_sign_in,
                                           [OP_WHO] = judge_who,
                                           [OP_CONNECT] = judge_connect,
                                           [OP_STAR] = keep_judge_added,
                                           [OP_UNSTAR] = keep_judge_dropped,
                                           [OP_STARS] = keep_judge_list,
                                           [OP_BOOKMARK] = keep_judge_added,
                                           [OP_BOOKMARKS] = keep_judge_list,
                                           [OP_REMIND] = keep_judge_added,
                                           [OP_REMINDERS] = keep_judge_list};

static void judge_success(const struct ctx *x)
{
    judge_fn *judge = channel_judges[x->op->kind];
    judge = judge == NULL ? reaction_judges[x->op->kind] : judge;
    judge = judge == NULL ? thread_judges[x->op->kind] : judge;
    judge = judge == NULL ? judges[x->op->kind] : judge;
    ASSERT(judge != NULL);
    judge(x);
}

static void end_wish(const struct ctx *x, uint64_t pos)
{
    if (x->op->wish != 0)
        oracle_wish_ends(x->w, x->op->wish, pos);
}

enum verdict answer_judge(struct client *cl, const struct op *op, int status, struct str_view body,
                          uint64_t pos)
{
    char error[64];
    struct ctx x = {.cl = cl, .w = cl->w, .op = op, .body = body, .pos = pos};
    x.chan = op->cid == 0 ? NULL : oracle_chan(&cl->w->oracle, op->cid);
    x.error = js_string(js_get(body, "error"), error, sizeof error);
    trace_add(&cl->w->trace, (struct trace_entry){.at_us = cl->w->now_us,
                                                  .what = x.error.p == NULL ? "ok" : "refused",
                                                  .kind = TRACE_CLIENT,
                                                  .a = cl->index,
                                                  .n = op->number,
                                                  .x = (uint64_t)status,
                                                  .y = pos});
    if (status == 200 && js_true(js_get(body, "ok"))) {
        if (op->token_dead)
            untrue(&x, "revoked_is_revoked", "served after the revocation was confirmed");
        if (op->kind == OP_SEARCH)
            return judge_search(&x) ? VERDICT_DONE : VERDICT_RETRY;
        judge_success(&x);
        end_wish(&x, pos);
        return VERDICT_DONE;
    }
    if (x.error.p == NULL)
        untrue(&x, "answers_whole", "neither ok nor an error");
    end_wish(&x, is_doubtful(x.error) ? pos : 0);
    if (token_refused(&x)) /* for good, where the token is the question */
        return op->kind == OP_WHO ? VERDICT_DONE : VERDICT_RETRY;
    if (answer_transient(cl->w, x.error)) {
        if (status == 200)
            untrue(&x, "retry_after_present", "an overload or fault that looks like a refusal");
        return VERDICT_RETRY;
    }
    if (status != 200)
        untrue(&x, "errors_have_causes", "a status that this call cannot have");
    judge_refusal(&x);
    return VERDICT_DONE;
}
