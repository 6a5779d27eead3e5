#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "text.h"
#include "world.h"

/* ---- requests ---- */

struct arg {
    const char *name;
    struct str_view value;
};

enum { args_max = 8, request_fresh_us = 20000000 };

static void put_text(struct bytes *b, const char *s)
{
    bytes_put(b, s, strlen(s));
}

static void put_percent(struct bytes *b, struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char hex[4];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     strchr("-._~", c) != NULL;
        if (plain && c != 0) {
            bytes_put(b, &c, 1);
        } else {
            snprintf(hex, sizeof hex, "%%%02X", c);
            put_text(b, hex);
        }
    }
}

static void put_form(struct bytes *b, const struct arg *args, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            put_text(b, "&");
        put_text(b, args[i].name);
        put_text(b, "=");
        put_percent(b, args[i].value);
    }
}

void put_json_string(struct bytes *b, struct str_view s)
{
    put_text(b, "\"");
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i], esc[8];
        if (c == '"' || c == '\\')
            snprintf(esc, sizeof esc, "\\%c", c);
        else if ((unsigned char)c < 0x20)
            snprintf(esc, sizeof esc, "\\u%04x", c);
        else
            snprintf(esc, sizeof esc, "%c", c);
        put_text(b, esc);
    }
    put_text(b, "\"");
}

static void put_json(struct bytes *b, const struct arg *args, uint32_t n)
{
    put_text(b, "{");
    for (uint32_t i = 0; i < n; i++) {
        put_json_string(b, sv_from(args[i].name));
        put_text(b, ":");
        put_json_string(b, args[i].value);
        put_text(b, i + 1 < n ? ", " : "");
    }
    put_text(b, "}");
}

static const char *const methods[OP_KINDS] = {[OP_POST] = "chat.postMessage",
                                              [OP_HISTORY] = "conversations.history",
                                              [OP_JOIN] = "conversations.join",
                                              [OP_LEAVE] = "conversations.leave",
                                              [OP_INVITE] = "conversations.invite",
                                              [OP_CREATE] = "conversations.create",
                                              [OP_RENAME] = "conversations.rename",
                                              [OP_LIST] = "conversations.list",
                                              [OP_MEMBERS] = "conversations.members",
                                              [OP_EDIT] = "chat.update",
                                              [OP_REACT] = "reactions.add",
                                              [OP_UNREACT] = "reactions.remove",
                                              [OP_REACTED] = "reactions.list",
                                              [OP_DELETE] = "chat.delete",
                                              [OP_REPLIES] = "conversations.replies",
                                              [OP_FOLLOW] = "subscriptions.thread.add",
                                              [OP_UNFOLLOW] = "subscriptions.thread.remove",
                                              [OP_THREAD_MARK] = "subscriptions.thread.mark",
                                              [OP_MARK] = "conversations.mark",
                                              [OP_SCHEDULE] = "chat.scheduleMessage",
                                              [OP_PREF] = "users.prefs.set",
                                              [OP_SEARCH] = "search.messages",
                                              [OP_SIGN_IN] = "auth.signin",
                                              [OP_WHO] = "auth.test",
                                              [OP_INFO] = "conversations.info",
                                              [OP_KICK] = "conversations.kick",
                                              [OP_ARCHIVE] = "conversations.archive",
                                              [OP_UNARCHIVE] = "conversations.unarchive",
                                              [OP_PIN] = "pins.add",
                                              [OP_UNPIN] = "pins.remove",
                                              [OP_PINS] = "pins.list",
                                              [OP_OPEN] = "conversations.open",
                                              [OP_CLOSE] = "conversations.close",
                                              [OP_STAR] = "stars.add",
                                              [OP_UNSTAR] = "stars.remove",
                                              [OP_STARS] = "stars.list",
                                              [OP_BOOKMARK] = "bookmarks.add",
                                              [OP_BOOKMARKS] = "bookmarks.list",
                                              [OP_REMIND] = "reminders.add",
                                              [OP_REMINDERS] = "reminders.list",
                                              [OP_CONNECT] = "rtm.connect"};

struct words { /* storage behind the arguments */
    char cid[16], other[16], users[16 * plan_users_max], text[oracle_text_max], key[256], limit[16],
        oldest[24], name[32], ts[24];
};

static struct str_view format_ts(char out[24], uint64_t ts_us)
{
    snprintf(out, 24, "%010llu.%06llu", (unsigned long long)(ts_us / 1000000),
             (unsigned long long)(ts_us % 1000000));
    return sv_from(out);
}

static uint32_t sign_in_args(const struct world *w, const struct op *op, struct words *s,
                             struct arg *args)
{
    bool second =
        op->other < plan_users_max && w->oracle.users[op->other].team != w->operator_.teams[0];
    if (op->other < plan_users_max)
        snprintf(s->name, sizeof s->name, "user%u@sim.example", (unsigned)op->other);
    else
        snprintf(s->name, sizeof s->name, "nobody@sim.example");
    args[0] = (struct arg){"team", second ? SV("second") : SV("first")};
    args[1] = (struct arg){"email", sv_from(s->name)};
    args[2] = (struct arg){"password", operator_password(op->version, s->ts)};
    return 3;
}

/* Of a conversation between two some name the other one. */
static void format_channel(const struct client *cl, const struct op *op, char out[16])
{
    struct oracle *o = &cl->w->oracle;
    const struct ochan *c = oracle_chan(o, op->cid);
    uint32_t others = c->members & ~(1u << cl->user);
    bool pair = c->kind == CHANNEL_IM && others != 0 && others != c->members;
    if (pair && op->kind == OP_POST && op->number % 4 == 1)
        js_format_id(out, 'U', o->users[__builtin_ctz(others)].uid);
    else
        js_format_id(out, c->kind == CHANNEL_IM ? 'D' : 'C', op->cid);
}

/* In an order of its own. */
static struct str_view format_users(const struct client *cl, const struct op *op,
                                    char out[16 * plan_users_max])
{
    const struct oracle *o = &cl->w->oracle;
    size_t len = 0;
    for (uint32_t i = 0; i < o->users_len; i++) {
        uint32_t u = (i + cl->index) % o->users_len;
        if ((op->users >> u & 1) == 0 || (u == cl->user && op->users != 1u << u))
            continue; /* itself goes without saying */
        if (len > 0)
            out[len++] = ',';
        js_format_id(out + len, 'U', o->users[u].uid);
        len += strlen(out + len);
    }
    return (struct str_view){out, len};
}

static bool is_about_thread(const struct op *op)
{
    return op->kind == OP_FOLLOW || op->kind == OP_UNFOLLOW || op->kind == OP_THREAD_MARK;
}

/* The oracle's id of what only this request may bring about; 0: others ask for the like. */
static uint32_t wish_of(const struct client *cl, const struct op *op)
{
    static const enum wish_kind kinds[OP_KINDS] = {
        [OP_FOLLOW] = WISH_FOLLOW, [OP_UNFOLLOW] = WISH_UNFOLLOW, [OP_THREAD_MARK] = WISH_MARK,
        [OP_REACT] = WISH_REACT,   [OP_UNREACT] = WISH_UNREACT,   [OP_EDIT] = WISH_EDIT};
    uint64_t what;
    if (op->kind == OP_REACT || op->kind == OP_UNREACT)
        what = oracle_reaction(op->name, cl->user);
    else if (op->kind == OP_EDIT)
        what = op->version;
    else if (is_about_thread(op))
        what = op->oldest_us;
    else
        return 0;
    return oracle_wish(
        cl->w, (struct wish){
                   .number = op->number, .user = cl->user, .kind = kinds[op->kind], .what = what});
}

static uint32_t make_args(const struct client *cl, const struct op *op, struct words *s,
                          struct arg *args)
{
    const struct oracle *o = &cl->w->oracle;
    uint32_t n = 0;
    if (op->kind == OP_SIGN_IN)
        return sign_in_args(cl->w, op, s, args);
    if (op->kind == OP_CONNECT) {
        args[0] =
            (struct arg){"last_ts", op->oldest_us == 0 ? SV("0") : format_ts(s->ts, op->oldest_us)};
        return op->resumes;
    }
    if (op->cid != 0) {
        format_channel(cl, op, s->cid);
        bool bookmarks = op->kind == OP_BOOKMARK || op->kind == OP_BOOKMARKS;
        args[n++] = (struct arg){bookmarks ? "channel_id" : "channel", sv_from(s->cid)};
    }
    bool reaction = op->kind == OP_REACT || op->kind == OP_UNREACT;
    bool item = reaction || op->kind == OP_PIN || op->kind == OP_UNPIN || op->kind == OP_STAR ||
                op->kind == OP_UNSTAR;
    if (item || op->kind == OP_EDIT || op->kind == OP_DELETE || op->kind == OP_REPLIES)
        args[n++] =
            (struct arg){item ? "timestamp" : "ts", format_ts(s->ts, o->msgs[op->number].ts_us)};
    if (op->kind == OP_EDIT)
        args[n++] = (struct arg){"text", oracle_version(op->number, op->version, s->text)};
    if (reaction) {
        snprintf(s->name, sizeof s->name, "r%u", op->name);
        args[n++] = (struct arg){"name", sv_from(s->name)};
    }
    if (op->kind == OP_POST && o->msgs[op->number].thread != 0)
        args[n++] =
            (struct arg){"thread_ts", format_ts(s->ts, o->msgs[o->msgs[op->number].thread].ts_us)};
    if (op->kind == OP_POST) {
        args[n++] = (struct arg){"text", oracle_text(op->number, s->text)};
        if (o->msgs[op->number].keyed)
            args[n++] = (struct arg){"client_msg_id", oracle_key(&o->msgs[op->number], s->key)};
    }
    if (op->kind == OP_INVITE || op->kind == OP_REACTED) {
        js_format_id(s->other, 'U', o->users[op->other].uid);
        args[n++] = (struct arg){op->kind == OP_INVITE ? "users" : "user", sv_from(s->other)};
    }
    if (op->kind == OP_KICK) {
        js_format_id(s->other, 'U', o->users[op->other].uid);
        args[n++] = (struct arg){"user", sv_from(s->other)};
    }
    if (op->kind == OP_OPEN)
        args[n++] = (struct arg){"users", format_users(cl, op, s->users)};
    if (op->kind == OP_BOOKMARK) {
        args[n++] = (struct arg){"title", keep_name(cl, op->version, s->name)};
        args[n++] = (struct arg){"type", SV("link")};
        args[n++] = (struct arg){"link", SV("https://sim.example/")};
    }
    if (op->kind == OP_REMIND) {
        snprintf(s->ts, sizeof s->ts, "%llu", (unsigned long long)cl->kept[op->version].due_s);
        args[n++] = (struct arg){"time", sv_from(s->ts)};
        args[n++] = (struct arg){"text", keep_name(cl, op->version, s->name)};
    }
    if (op->kind == OP_INFO)
        args[n++] = (struct arg){"include_num_members", SV("true")};
    if (op->kind == OP_CREATE || op->kind == OP_RENAME) {
        snprintf(s->name, sizeof s->name, "made-%u", op->name);
        args[n++] = (struct arg){"name", sv_from(s->name)};
    }
    if (op->kind == OP_CREATE) {
        args[n++] = (struct arg){"is_private", op->name % 3 == 0 ? SV("true") : SV("false")};
    }
    if (op->kind == OP_MARK)
        args[n++] = (struct arg){"ts", format_ts(s->ts, op->oldest_us)};
    if (op->kind == OP_SCHEDULE) {
        snprintf(s->ts, sizeof s->ts, "%llu", (unsigned long long)o->msgs[op->number].post_s);
        args[n++] = (struct arg){"post_at", sv_from(s->ts)};
        args[n++] = (struct arg){"text", oracle_text(op->number, s->text)};
    }
    if (op->kind == OP_PREF) {
        snprintf(s->name, sizeof s->name, "c%u-%u", (unsigned)cl->index, op->version);
        args[n++] = (struct arg){"name", sv_from(s->name)};
        args[n++] = (struct arg){"value", SV("set")};
    }
    if (op->kind == OP_SEARCH) {
        snprintf(s->name, sizeof s->name, "m%u", op->number);
        args[n++] = (struct arg){"query", sv_from(s->name)};
    }
    if (op->limit > 0) {
        snprintf(s->limit, sizeof s->limit, "%u", op->limit);
        args[n++] = (struct arg){"limit", sv_from(s->limit)};
    }
    if (is_about_thread(op)) {
        args[n++] = (struct arg){"thread_ts", format_ts(s->ts, o->msgs[op->number].ts_us)};
        if (op->oldest_us > 0)
            args[n++] = (struct arg){op->kind == OP_FOLLOW ? "last_read" : "ts",
                                     format_ts(s->oldest, op->oldest_us)};
    } else if (op->oldest_us > 0) {
        args[n++] = (struct arg){"oldest", format_ts(s->oldest, op->oldest_us)};
    }
    if (op->kind == OP_LIST) {
        args[n++] = (struct arg){"types", SV("public_channel,private_channel,im,mpim")};
        args[n++] = (struct arg){"exclude_archived", op->version == 1 ? SV("true") : SV("false")};
    }
    return n;
}

static void put_body(struct bytes *out, struct bytes *body, bool chunked, struct rng *r)
{
    char line[64];
    if (!chunked) {
        snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", bytes_left(body));
        put_text(out, line);
        bytes_put(out, body->p, body->len);
        return;
    }
    put_text(out, "Transfer-Encoding: chunked\r\n\r\n");
    while (bytes_left(body) > 0) {
        size_t n = (size_t)rng_range(r, 1, bytes_left(body));
        snprintf(line, sizeof line, "%zx\r\n", n);
        put_text(out, line);
        bytes_put(out, body->p + body->at, n);
        put_text(out, "\r\n");
        body->at += n;
    }
    put_text(out, "0\r\n\r\n");
}

/* Every form in which Slack's clients send arguments, chosen at random. */
static void encode(struct client *cl, const struct op *op, struct bytes *out)
{
    struct words words;
    struct arg args[args_max];
    uint32_t n = make_args(cl, op, &words, args);
    struct str_view token = sv_from(cl->w->operator_.tokens[op->token].text);
    bool named = op->kind != OP_SIGN_IN; /* whose password is in no URL either */
    uint64_t form = named ? rng_below(&cl->rng, 5) : rng_range(&cl->rng, 2, 4);
    struct bytes body = {0};
    bool get = form == 0, as_arg = form == 1;
    if (as_arg)
        args[n++] = (struct arg){"token", token};
    put_text(out, get ? "GET /api/" : "POST /api/");
    put_text(out, methods[op->kind]);
    if (get && n > 0) {
        put_text(out, "?");
        put_form(out, args, n);
    }
    put_text(out, " HTTP/1.1\r\nHost: sim.example\r\n");
    if (named && !as_arg) {
        put_text(out, "Authorization: Bearer ");
        bytes_put(out, token.p, token.len);
        put_text(out, "\r\n");
    }
    if (get) {
        put_text(out, "\r\n");
        return;
    }
    if (form >= 3) {
        put_text(out, "Content-Type: application/json; charset=utf-8\r\n");
        put_json(&body, args, n);
    } else {
        put_text(out, "Content-Type: application/x-www-form-urlencoded\r\n");
        put_form(&body, args, n);
    }
    put_body(out, &body, form == 4, &cl->rng);
    free(body.p);
}

void http_send(struct client *cl, struct http_client *h, const struct op *op)
{
    struct world *w = cl->w;
    struct bytes out = {0};
    ASSERT(h->pipe_len < client_pipe_max && h->conn != NULL);
    struct op *o = &h->pipe[h->pipe_len++];
    *o = *op;
    o->token = o->kind == OP_WHO ? o->as : h->token;
    o->token_dead =
        o->kind != OP_SIGN_IN && w->operator_.tokens[o->token].state == SIM_TOKEN_REVOKED;
    o->sent_pos = w->oracle.pos;
    o->sent_us = w->now_us;
    o->attempts++;
    if (o->kind == OP_POST)
        w->oracle.msgs[o->number].sent = true;
    o->wish = wish_of(cl, o);
    trace_add(&w->trace, (struct trace_entry){.at_us = w->now_us,
                                              .what = methods[o->kind],
                                              .kind = TRACE_CLIENT,
                                              .a = cl->index,
                                              .n = o->number,
                                              .x = o->cid,
                                              .y = h->conn->slot});
    encode(cl, o, &out);
    sim_write(&w->net, h->conn, out.p, out.len);
    free(out.p);
    if (rng_below(&cl->rng, 100) < w->plan.half_close_percent) {
        sim_shut_down(h->conn);
        h->shut = true;
    }
}

/* ---- answers ---- */

static const char *find_text(const char *p, size_t len, const char *what)
{
    return memmem(p, len, what, strlen(what));
}

static struct str_view header(struct str_view head, const char *name)
{
    size_t n = strlen(name);
    const char *end = head.p + head.len;
    for (const char *line = head.p; line != NULL && line < end;) {
        const char *next = find_text(line, (size_t)(end - line), "\r\n");
        const char *stop = next == NULL ? end : next;
        if ((size_t)(stop - line) > n + 1 && strncasecmp(line, name, n) == 0 && line[n] == ':')
            return sv_trim((struct str_view){line + n + 1, (size_t)(stop - line) - n - 1});
        line = next == NULL ? NULL : next + 2;
    }
    return SV_NONE;
}

static bool is_integer(struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.len > 0;
}

/* One whole answer at the front of `in`; false: more must come. */
static bool one_answer(struct client *cl, struct http_client *h)
{
    struct world *w = cl->w;
    const char *p = (const char *)h->in.p + h->in.at;
    size_t len = bytes_left(&h->in);
    const char *end = len == 0 ? NULL : find_text(p, len, "\r\n\r\n");
    if (end == NULL)
        return false;
    struct str_view head = {p, (size_t)(end - p)};
    struct str_view length = header(head, "content-length");
    if (head.len < 15 || memcmp(p, "HTTP/1.1 ", 9) != 0 || !is_integer(length))
        violation(w, "answers_whole", "client %u got no HTTP answer: %.*s", (unsigned)cl->index,
                  (int)MIN(head.len, 200u), p);
    int status = (int)js_u64((struct str_view){p + 9, 3});
    size_t body_len = (size_t)js_u64(length);
    if (len < head.len + 4 + body_len)
        return false;
    struct str_view body = {end + 4, body_len};
    h->in.at += head.len + 4 + body_len;
    uint64_t pos = sim_stamp(h->conn, h->conn->read_ever - bytes_left(&h->in));
    if (sv_eq_nocase(header(head, "connection"), SV("close")))
        h->last = true;
    if (h->pipe_len == 0)
        violation(w, "one_answer_per_request", "client %u got an answer to nothing: %.*s",
                  (unsigned)cl->index, SV_ARG(body));
    if ((status == 503 || status == 429) && !is_integer(header(head, "retry-after")))
        violation(w, "retry_after_present", "a %d without Retry-After", status);
    if (!js_whole(body))
        violation(w, "answers_whole", "client %u got an answer that is not JSON: %.*s",
                  (unsigned)cl->index, SV_ARG(body));
    struct op op = h->pipe[0];
    h->pipe_len--;
    memmove(h->pipe, h->pipe + 1, h->pipe_len * sizeof *h->pipe);
    enum verdict verdict = answer_judge(cl, &op, status, body, pos);
    if (verdict == VERDICT_DONE) {
        if (!op.quiet)
            w->ops_done++;
    } else if (!op.quiet) {
        client_retry(cl, &op);
    }
    return true;
}

void http_drop(struct client *cl, struct http_client *h, bool reset)
{
    if (h->conn != NULL)
        sim_hang_up(&cl->w->net, h->conn, reset);
    h->conn = NULL;
    h->last = h->shut = false;
    h->in.at = h->in.len = 0;
    uint32_t n = h->pipe_len;
    h->pipe_len = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct op op = h->pipe[i];
        if (op.wish != 0)
            oracle_wish_lost(cl->w, op.wish);
        /* Without a key nobody can know whether it is stored: not sent again. */
        bool again = op.kind != OP_POST || cl->w->oracle.msgs[op.number].keyed;
        if (again && !op.quiet)
            client_retry(cl, &op);
    }
}

/* A server that drains, or finds a connection idle, may close before it has read the request. */
static void check_answered(struct client *cl, const struct http_client *h)
{
    const struct world *w = cl->w;
    if (h->shut && !h->last && h->pipe_len > 0 && h->conn->down_fin && !h->conn->down_reset &&
        w->up && w->drain_stage < 0 && h->opened_by == w->incarnation &&
        w->now_us < h->opened_us + request_fresh_us)
        violation(cl->w, "half_closed_is_answered",
                  "client %u sends no more and waits for %u answers: the server closes",
                  (unsigned)cl->index, h->pipe_len);
}

void http_read(struct client *cl, struct http_client *h)
{
    struct world *w = cl->w;
    if (h->conn == NULL)
        return;
    if (w->now_us >= cl->deaf_until_us) {
        size_t max = rng_one_in(&cl->rng, 4) ? (size_t)rng_range(&cl->rng, 1, 600) : 65536;
        struct str_view v = sim_read(&w->net, h->conn, max);
        bytes_put(&h->in, v.p, v.len);
        while (h->conn != NULL && one_answer(cl, h)) {
        }
    }
    if (h->conn == NULL)
        return;
    if (sim_ended(h->conn)) {
        check_answered(cl, h);
        http_drop(cl, h, false);
    } else if (sim_readable(h->conn) && w->now_us >= cl->deaf_until_us)
        cl->woken = true;
}
