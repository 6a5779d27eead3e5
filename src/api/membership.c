/* membership.c - what changes conversations: create, join, leave, invite. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "chan/channel_json.h"
#include "dir/dir_msg.h"

/* ---- create ---- */

static void on_created(struct request *r, const struct cell *c)
{
    const struct dir_channel_create *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_key(&r->j, "channel");
    channel_json(
        &r->j, &m->info,
        &(struct channel_view){.is_member = true, .with_num_members = true, .num_members = 1});
    answer_end(r);
}

void conversations_create(struct request *r)
{
    struct dir_channel_create *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct dir_channel_create){.team = r->who.team,
                                     .creator = r->who.uid,
                                     .name = arg(r, "name")->s,
                                     .is_private = arg(r, "is_private")->n != 0,
                                     .arena = &r->arena};
    r->work = m;
    req_send(r, r->a->conf.dir, DIR_CHANNEL_CREATE, ID_NONE, m, on_created);
}

/* ---- join, leave ---- */

static struct chan_member_change *change_new(struct request *r)
{
    struct chan_member_change *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return NULL;
    }
    *m = (struct chan_member_change){.team = r->who.team,
                                     .uid = r->who.uid,
                                     .guest = req_is_guest(r),
                                     .deadline_us = r->deadline_us,
                                     .arena = &r->arena};
    r->work = m;
    return m;
}

static void send_change(struct request *r, uint16_t type, req_then *then)
{
    uint64_t cid = arg(r, "channel")->n;
    req_send(r, req_chan(r, cid), type, cid, r->work, then);
}

static void put_channel(struct request *r, const struct chan_member_change *m)
{
    json_key(&r->j, "channel");
    channel_json(&r->j, &m->info,
                 &(struct channel_view){.is_member = true,
                                        .with_num_members = true,
                                        .num_members = m->head.members_len});
}

static void on_joined(struct request *r, const struct cell *c)
{
    const struct chan_member_change *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    put_channel(r, m);
    if (m->already)
        json_raw(&r->j, SV("\"warning\":\"already_in_channel\",\"response_metadata\":"
                           "{\"warnings\":[\"already_in_channel\"]}"));
    answer_end(r);
}

void conversations_join(struct request *r)
{
    if (change_new(r) != NULL)
        send_change(r, CHAN_JOIN, on_joined);
}

static void on_left(struct request *r, const struct cell *c)
{
    const struct chan_member_change *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    if (m->already)
        json_kv_bool(&r->j, "not_in_channel", true);
    answer_end(r);
}

void conversations_leave(struct request *r)
{
    if (change_new(r) != NULL)
        send_change(r, CHAN_LEAVE, on_left);
}

/* ---- invite ---- */

struct invite {
    struct chan_member_change change;        /* first: r->work is it for chan, too */
    struct str_view names[invite_users_max]; /* as asked, in order */
    enum err errs[invite_users_max];
    uint32_t at[invite_users_max]; /* index in change.users of those that are asked for */
    uint64_t users[invite_users_max];
    uint32_t user_errs[invite_users_max];
    uint32_t len;
    enum err first_err;
};

static enum err judge_user(const struct request *r, struct str_view name, uint64_t *uid)
{
    if (!id_parse(name, ID_USER, uid))
        return ERR_USER_NOT_FOUND;
    if (*uid == r->who.uid)
        return ERR_CANT_INVITE_SELF;
    const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, *uid);
    return u == NULL || (u->flags & USER_DELETED) != 0 ? ERR_USER_NOT_FOUND : ERR_OK;
}

static bool has_user(const struct invite *v, uint64_t uid)
{
    for (uint32_t i = 0; i < v->change.users_len; i++) {
        if (v->users[i] == uid)
            return true;
    }
    return false;
}

static enum err read_users(struct request *r, struct invite *v)
{
    struct str_view rest = arg(r, "users")->s;
    while (rest.p != NULL) {
        struct str_view name = sv_trim(sv_cut(&rest, ','));
        uint64_t uid = ID_NONE;
        if (name.len == 0)
            continue;
        if (v->len == invite_users_max)
            return ERR_INVALID_ARGUMENTS;
        enum err err = judge_user(r, name, &uid);
        if (err == ERR_OK && has_user(v, uid))
            continue; /* named twice is asked once */
        v->names[v->len] = name;
        v->errs[v->len] = err;
        v->at[v->len] = v->change.users_len;
        v->len++;
        if (err == ERR_OK)
            v->users[v->change.users_len++] = uid;
        else if (v->first_err == ERR_OK)
            v->first_err = err;
    }
    return v->len == 0 ? ERR_NO_USER : ERR_OK;
}

static void put_errors(struct request *r, const struct invite *v)
{
    json_key(&r->j, "errors");
    json_arr(&r->j);
    for (uint32_t i = 0; i < v->len; i++) {
        if (v->errs[i] == ERR_OK)
            continue;
        json_obj(&r->j);
        json_kv_str(&r->j, "user", v->names[i]);
        json_kv_bool(&r->j, "ok", false);
        json_kv_str(&r->j, "error", sv_from(err_slack(v->errs[i])));
        json_obj_end(&r->j);
    }
    json_arr_end(&r->j);
}

/* The first error stands for all; errors says which user had which. */
static void refuse_invite(struct request *r, const struct invite *v, enum err err)
{
    buf_init(&r->body, &r->arena, 256);
    r->j = json_out_on(&r->body);
    json_obj(&r->j);
    json_kv_bool(&r->j, "ok", false);
    json_kv_str(&r->j, "error", sv_from(err_slack(err)));
    put_errors(r, v);
    json_obj_end(&r->j);
    if (r->body.failed)
        answer_error(r, ERR_NOMEM);
    else
        answer_body(r, err, buf_view(&r->body));
}

static void on_invited(struct request *r, const struct cell *c)
{
    struct invite *v = r->work;
    bool any_failed = false;
    if (answer_refused(r, c))
        return;
    for (uint32_t i = 0; i < v->len; i++) {
        if (v->errs[i] == ERR_OK)
            v->errs[i] =
                v->change.already ? ERR_ALREADY_IN_CHANNEL : (enum err)v->user_errs[v->at[i]];
        any_failed |= v->errs[i] != ERR_OK;
    }
    if (v->change.already) {
        refuse_invite(r, v, ERR_ALREADY_IN_CHANNEL);
        return;
    }
    answer_begin(r);
    put_channel(r, &v->change);
    if (any_failed)
        put_errors(r, v);
    answer_end(r);
}

void conversations_invite(struct request *r)
{
    struct invite *v = arena_zalloc(&r->arena, sizeof *v);
    enum err err = v == NULL ? ERR_NOMEM : read_users(r, v);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    if (v->change.users_len == 0 || (v->first_err != ERR_OK && arg(r, "force")->n == 0)) {
        refuse_invite(r, v, v->first_err);
        return;
    }
    v->change = (struct chan_member_change){.team = r->who.team,
                                            .uid = r->who.uid,
                                            .users = v->users,
                                            .users_len = v->change.users_len,
                                            .deadline_us = r->deadline_us,
                                            .user_errs = v->user_errs,
                                            .arena = &r->arena};
    r->work = v;
    send_change(r, CHAN_INVITE, on_invited);
}
