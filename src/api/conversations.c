/* conversations.c - what is read of conversations: list, info, members, history, threads; and
 * how far a member has read. Rights are checked
 * where the rows are, by hist. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "hist/hist_msg.h"

enum { page_default = 100, replies_default = 1000, members_page_max = 1000 };

static void *work_new(struct request *r, size_t bytes)
{
    r->work = arena_zalloc(&r->arena, bytes);
    if (r->work == NULL)
        answer_error(r, ERR_NOMEM);
    return r->work;
}

static uint32_t limit_of(const struct request *r)
{
    const struct arg_value *v = arg(r, "limit");
    return v->given ? (uint32_t)v->n : page_default;
}

/* ---- list ---- */

static enum err read_types(const struct request *r, uint32_t *types)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"public_channel", hist_types_public},
                 {"private_channel", hist_types_private},
                 {"im", hist_types_im},
                 {"mpim", hist_types_mpim}};
    const struct arg_value *v = arg(r, "types");
    struct str_view rest = v->given && v->s.len > 0 ? v->s : SV("public_channel");
    *types = 0;
    while (rest.p != NULL) {
        struct str_view one = sv_trim(sv_cut(&rest, ','));
        uint32_t bit = 0;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            bit |= sv_eq(one, sv_from(names[i].name)) ? names[i].bit : 0;
        if (bit == 0)
            return ERR_INVALID_TYPES;
        *types |= bit;
    }
    return ERR_OK;
}

static void on_list(struct request *r, const struct cell *c)
{
    const struct hist_list *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_key(&r->j, "channels");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->out));
    json_arr_end(&r->j);
    cursor_write(r, "channel", m->next);
    answer_end(r);
}

static void list(struct request *r, bool members_only, uint64_t of)
{
    struct hist_list *m = work_new(r, sizeof *m);
    if (m == NULL)
        return;
    *m = (struct hist_list){.viewer = req_viewer(r),
                            .members_only = members_only,
                            .of = of,
                            .exclude_archived = arg(r, "exclude_archived")->n != 0,
                            .limit = limit_of(r),
                            .arena = &r->arena};
    enum err err = read_types(r, &m->types);
    if (err == ERR_OK)
        err = cursor_read(r, "channel", &m->after);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_LIST, ID_NONE, m, on_list);
}

void conversations_list(struct request *r)
{
    list(r, false, ID_NONE);
}

void users_conversations(struct request *r)
{
    const struct arg_value *user = arg(r, "user");
    if (user->given && dir_user(r->a->conf.dir_reader, r->who.team, user->n) == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    list(r, true, user->given && user->n != r->who.uid ? user->n : ID_NONE);
}

/* ---- info ---- */

static void on_info(struct request *r, const struct cell *c)
{
    const struct hist_info *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_key(&r->j, "channel");
    json_raw(&r->j, buf_view(&m->out));
    answer_end(r);
}

void conversations_info(struct request *r)
{
    struct hist_info *m = work_new(r, sizeof *m);
    if (m == NULL)
        return;
    *m = (struct hist_info){.viewer = req_viewer(r),
                            .cid = arg(r, "channel")->n,
                            .num_members = arg(r, "include_num_members")->n != 0};
    buf_init(&m->out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_INFO, m->cid, m, on_info);
}

/* ---- members ---- */

static void on_members(struct request *r, const struct cell *c)
{
    const struct hist_members *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_key(&r->j, "members");
    json_arr(&r->j);
    for (uint32_t i = 0; i < m->len; i++)
        json_id(&r->j, ID_USER, m->uids[i]);
    json_arr_end(&r->j);
    cursor_write_u64(r, "member", m->next_uid);
    answer_end(r);
}

void conversations_members(struct request *r)
{
    struct hist_members *m = work_new(r, sizeof *m);
    struct str_view after;
    if (m == NULL)
        return;
    *m = (struct hist_members){.viewer = req_viewer(r),
                               .cid = arg(r, "channel")->n,
                               .limit = MIN(limit_of(r), members_page_max),
                               .arena = &r->arena};
    enum err err = cursor_read(r, "member", &after);
    if (err == ERR_OK && after.len > 0 && !sv_to_u64(after, &m->after_uid))
        err = ERR_INVALID_CURSOR;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    req_send(r, req_hist(r), HIST_MEMBERS, m->cid, m, on_members);
}

/* ---- history ---- */

static void on_history(struct request *r, const struct cell *c)
{
    const struct hist_history *m = r->work;
    if (answer_refused(r, c))
        return;
    r->body = m->out; /* goes on where hist has ended; j writes into body */
    json_arr_end(&r->j);
    json_kv_bool(&r->j, "has_more", m->has_more);
    json_kv_u64(&r->j, "pin_count", (uint64_t)m->pins);
    cursor_write_u64(r, "next_ts", m->has_more ? m->next_us : 0);
    answer_end(r);
}

/* The cursor takes the place of latest: what is older than the last message shown. */
static enum err read_bounds(struct request *r, struct hist_history *m)
{
    struct str_view cursor;
    uint64_t next_us;
    m->oldest_us = arg(r, "oldest")->n;
    m->latest_us = arg(r, "latest")->n;
    m->inclusive = arg(r, "inclusive")->n != 0;
    m->metadata = arg(r, "include_all_metadata")->n != 0;
    TRY(cursor_read(r, "next_ts", &cursor));
    if (cursor.len == 0)
        return ERR_OK;
    if (!sv_to_u64(cursor, &next_us) || next_us < 2)
        return ERR_INVALID_CURSOR;
    m->latest_us = m->inclusive ? next_us - 1 : next_us;
    return ERR_OK;
}

/* The newest messages of a channel are in the memory of one hist; older ones are read by whoever is
 * next. */
static actor_id reader_of(struct request *r, const struct hist_history *m)
{
    const struct acceptor_conf *c = &r->a->conf;
    return m->latest_us == 0 ? c->hists[mix64(m->cid) % c->hists_len] : req_hist(r);
}

void conversations_history(struct request *r)
{
    struct hist_history *m = work_new(r, sizeof *m);
    if (m == NULL)
        return;
    *m = (struct hist_history){
        .viewer = req_viewer(r), .cid = arg(r, "channel")->n, .limit = limit_of(r)};
    enum err err = read_bounds(r, m);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    answer_begin(r); /* hist puts the messages where they are sent from: one copy */
    json_key(&r->j, "messages");
    json_arr(&r->j);
    m->out = r->body;
    req_send(r, reader_of(r, m), HIST_HISTORY, m->cid, m, on_history);
}

/* ---- threads ---- */

static void on_replies(struct request *r, const struct cell *c)
{
    const struct hist_replies *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->out.len + 256);
    json_key(&r->j, "messages");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->out));
    json_arr_end(&r->j);
    json_kv_bool(&r->j, "has_more", m->has_more);
    cursor_write_u64(r, "next_ts", m->has_more ? m->next_us : 0);
    answer_end(r);
}

void conversations_replies(struct request *r)
{
    struct hist_replies *m = work_new(r, sizeof *m);
    struct str_view after;
    if (m == NULL)
        return;
    *m = (struct hist_replies){.viewer = req_viewer(r),
                               .cid = arg(r, "channel")->n,
                               .ts_us = arg(r, "ts")->n,
                               .oldest_us = arg(r, "oldest")->n,
                               .latest_us = arg(r, "latest")->n,
                               .inclusive = arg(r, "inclusive")->n != 0,
                               .metadata = arg(r, "include_all_metadata")->n != 0,
                               .limit = arg(r, "limit")->given ? (uint32_t)arg(r, "limit")->n
                                                               : (uint32_t)replies_default};
    enum err err = cursor_read(r, "next_ts", &after);
    if (err == ERR_OK && after.len > 0 && !sv_to_u64(after, &m->after_us))
        err = ERR_INVALID_CURSOR;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_REPLIES, m->cid, m, on_replies);
}

/* ---- how far a member has read ---- */

struct mark_work {
    uint64_t cid;
    struct chan_change change;
    struct hist_seq_at at;
};

static void on_marked(struct request *r, const struct cell *c);

static void send_mark(struct request *r)
{
    struct mark_work *w = r->work;
    req_send(r, req_chan(r, w->cid), CHAN_CHANGE, w->cid, &w->change, on_marked);
}

static void on_seq(struct request *r, const struct cell *c)
{
    struct mark_work *w = r->work;
    if (answer_refused(r, c))
        return;
    w->change.before_known = true;
    w->change.before_seq = w->at.seq;
    send_mark(r);
}

/* A ts between two messages: hist finds the older one. */
static void on_marked(struct request *r, const struct cell *c)
{
    struct mark_work *w = r->work;
    if (c->err == ERR_BEFORE_NEEDED) {
        w->at = (struct hist_seq_at){.cid = w->cid, .ts_us = w->change.ts_us};
        req_send(r, req_hist(r), HIST_SEQ_AT, w->cid, &w->at, on_seq);
        return;
    }
    answer_done(r, c);
}

void conversations_mark(struct request *r)
{
    struct mark_work *w = work_new(r, sizeof *w);
    if (w == NULL)
        return;
    w->cid = arg(r, "channel")->n;
    w->change = (struct chan_change){.kind = CHANGE_MARK,
                                     .team = r->who.team,
                                     .uid = r->who.uid,
                                     .ts_us = arg(r, "ts")->n,
                                     .deadline_us = r->deadline_us,
                                     .arena = &r->arena};
    send_mark(r);
}
