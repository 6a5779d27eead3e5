/* channel.c - what members do to a channel, and direct conversations. Source: Slack
 * conversations.open, .close, .kick, .rename, .setTopic, .setPurpose, .archive, .unarchive. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "chan/channel_json.h"
#include "dir/dir_msg.h"
#include "hist/hist_msg.h"

/* ---- topic, purpose, archive ---- */

static void on_changed(struct request *r, const struct cell *c)
{
    const struct chan_info_change *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    if (m->kind != INFO_ARCHIVE && m->kind != INFO_UNARCHIVE) {
        json_key(&r->j, "channel");
        channel_json(&r->j, &m->info,
                     &(struct channel_view){.viewer = r->who.uid,
                                            .is_member = true,
                                            .with_num_members = true,
                                            .num_members = m->head.members_len});
    }
    answer_end(r);
}

static struct chan_info_change change_of(struct request *r, enum info_kind kind,
                                         struct str_view text)
{
    return (struct chan_info_change){.kind = kind,
                                     .team = r->who.team,
                                     .uid = r->who.uid,
                                     .admin = req_is_admin(r),
                                     .guest = req_is_guest(r),
                                     .text = text,
                                     .deadline_us = r->deadline_us,
                                     .arena = &r->arena};
}

static void change(struct request *r, enum info_kind kind, struct str_view text)
{
    struct chan_info_change *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM : utf8_count(text) > info_text_max ? ERR_TOO_LONG : ERR_OK;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    uint64_t cid = arg(r, "channel")->n;
    *m = change_of(r, kind, text);
    r->work = m;
    req_send(r, req_chan(r, cid), CHAN_INFO, cid, m, on_changed);
}

void conversations_set_topic(struct request *r)
{
    change(r, INFO_TOPIC, arg(r, "topic")->s);
}

void conversations_set_purpose(struct request *r)
{
    change(r, INFO_PURPOSE, arg(r, "purpose")->s);
}

void conversations_archive(struct request *r)
{
    change(r, INFO_ARCHIVE, SV(""));
}

void conversations_unarchive(struct request *r)
{
    change(r, INFO_UNARCHIVE, SV(""));
}

struct rename_work {
    struct hist_info info;
    struct dir_rename rename;
};

/* Who does not see the channel must not learn from another error that it is there. */
static void on_renamed_info(struct request *r, const struct cell *c)
{
    struct rename_work *w = r->work;
    if (answer_refused(r, c))
        return;
    if (!w->info.member) {
        answer_error(r, ERR_NOT_IN_CHANNEL);
        return;
    }
    r->work = &w->rename.change;
    req_send(r, r->a->conf.dir, DIR_RENAME, ID_NONE, &w->rename, on_changed);
}

void conversations_rename(struct request *r)
{
    struct rename_work *w = arena_zalloc(&r->arena, sizeof *w);
    if (w == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    w->info.cid = w->rename.cid = arg(r, "channel")->n;
    w->info.viewer = req_viewer(r);
    buf_init(&w->info.out, &r->arena, 0);
    w->rename.change = change_of(r, INFO_NAME, arg(r, "name")->s);
    r->work = w;
    req_send(r, req_hist(r), HIST_INFO, w->info.cid, &w->info, on_renamed_info);
}

/* ---- kick ---- */

static void on_kicked(struct request *r, const struct cell *c)
{
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_key(&r->j, "errors");
    json_obj(&r->j);
    json_obj_end(&r->j);
    answer_end(r);
}

void conversations_kick(struct request *r)
{
    struct chan_member_change *m = arena_zalloc(&r->arena, sizeof *m);
    uint64_t cid = arg(r, "channel")->n, uid = arg(r, "user")->n;
    enum err err = m == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && dir_user(r->a->conf.dir_reader, r->who.team, uid) == NULL)
        err = ERR_USER_NOT_FOUND;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    *m = (struct chan_member_change){.team = r->who.team,
                                     .uid = uid,
                                     .kicker = r->who.uid,
                                     .guest = req_is_guest(r),
                                     .admin = req_is_admin(r),
                                     .deadline_us = r->deadline_us,
                                     .arena = &r->arena};
    r->work = m;
    req_send(r, req_chan(r, cid), CHAN_LEAVE, cid, m, on_kicked);
}

/* ---- close ---- */

static void ask_show(struct request *r, struct chan_show *m, uint64_t cid, bool open,
                     req_then *then)
{
    *m = (struct chan_show){
        .team = r->who.team, .uid = r->who.uid, .open = open, .deadline_us = r->deadline_us};
    req_send(r, req_chan(r, cid), CHAN_SHOW, cid, m, then);
}

static void on_closed(struct request *r, const struct cell *c)
{
    const struct chan_show *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    if (m->already) {
        json_kv_bool(&r->j, "no_op", true);
        json_kv_bool(&r->j, "already_closed", true);
    }
    answer_end(r);
}

void conversations_close(struct request *r)
{
    struct chan_show *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    r->work = m;
    ask_show(r, m, arg(r, "channel")->n, false, on_closed);
}

/* ---- open ---- */

struct open_work {
    struct dir_direct_open direct;
    struct chan_show show;
    struct hist_info info; /* return_im, or a channel that was named */
    bool made;
};

static void put_flags(struct request *r, const struct open_work *w)
{
    bool already = !w->made && w->show.already;
    json_kv_bool(&r->j, "no_op", already);
    json_kv_bool(&r->j, "already_open", already);
    json_key(&r->j, "channel");
}

static void on_info(struct request *r, const struct cell *c)
{
    const struct open_work *w = r->work;
    if (answer_refused(r, c))
        return;
    if (!channel_is_direct(w->info.kind)) {
        answer_error(r, ERR_WRONG_CHANNEL_TYPE);
        return;
    }
    answer_begin(r);
    put_flags(r, w);
    json_raw(&r->j, buf_view(&w->info.out));
    answer_end(r);
}

static void read_info(struct request *r, struct open_work *w, uint64_t cid)
{
    w->info = (struct hist_info){.viewer = req_viewer(r), .cid = cid};
    buf_init(&w->info.out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_INFO, cid, &w->info, on_info);
}

static void answer_opened(struct request *r, const struct cell *c)
{
    struct open_work *w = r->work;
    if (answer_refused(r, c))
        return;
    if (arg(r, "return_im")->n != 0) {
        read_info(r, w, w->direct.cid);
        return;
    }
    answer_begin(r);
    put_flags(r, w);
    json_obj(&r->j);
    json_kv_id(&r->j, "id", channel_letter(w->direct.kind), w->direct.cid);
    json_obj_end(&r->j);
    answer_end(r);
}

static void on_opened(struct request *r, const struct cell *c)
{
    struct open_work *w = r->work;
    w->made = w->direct.made;
    w->show.already = w->direct.find_only;
    if (c->err != ERR_OK || w->made || w->direct.find_only)
        answer_opened(r, c);
    else
        ask_show(r, &w->show, w->direct.cid, true, answer_opened);
}

static void on_shown(struct request *r, const struct cell *c)
{
    struct open_work *w = r->work;
    if (!answer_refused(r, c))
        read_info(r, w, arg(r, "channel")->n);
}

static bool has_user(const struct dir_direct_open *m, uint64_t uid)
{
    for (uint32_t i = 0; i < m->len; i++) {
        if (m->uids[i] == uid)
            return true;
    }
    return false;
}

static enum err read_members(struct request *r, struct dir_direct_open *m)
{
    struct str_view rest = arg(r, "users")->s;
    bool any = false;
    m->uids[m->len++] = r->who.uid;
    while (rest.p != NULL) {
        struct str_view name = sv_trim(sv_cut(&rest, ','));
        uint64_t uid;
        if (name.len == 0)
            continue;
        any = true;
        if (!id_parse(name, ID_USER, &uid))
            return ERR_USER_NOT_FOUND;
        if (has_user(m, uid))
            continue;
        if (m->len == direct_members_max)
            return ERR_TOO_MANY_USERS;
        m->uids[m->len++] = uid;
    }
    return any ? ERR_OK : ERR_NOT_ENOUGH_USERS;
}

void direct_open(struct request *r, struct dir_direct_open *m, req_then *then)
{
    m->team = r->who.team;
    m->creator = r->who.uid;
    m->arena = &r->arena;
    req_send(r, r->a->conf.dir, DIR_DIRECT_OPEN, ID_NONE, m, then);
}

void conversations_open(struct request *r)
{
    struct open_work *w = arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && arg(r, "channel")->given) {
        r->work = w;
        ask_show(r, &w->show, arg(r, "channel")->n, true, on_shown);
        return;
    }
    if (err == ERR_OK)
        err = arg(r, "users")->s.len > 0 ? read_members(r, &w->direct) : ERR_USERS_NOT_SUPPLIED;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = w;
    w->direct.find_only = arg(r, "prevent_creation")->n != 0;
    direct_open(r, &w->direct, on_opened);
}
