/* admin_commands.c - what the control socket can do, one row and one function each. */
#include <stdio.h>
#include <stdlib.h>

#include "api/method.h"
#include "chan/chan.h"
#include "dir/name.h"
#include "media/media_msg.h"
#include "search/search_msg.h"
#include "server/admin_call.h"

/* ---- arguments ---- */

static struct str_view arg_str(const struct admin_call *c, const char *name)
{
    return json_text(c->args, c->args_len, name);
}

static bool arg_bool(const struct admin_call *c, const char *name)
{
    struct json_value *v = json_find(c->args, c->args_len, sv_from(name));
    return v != NULL && v->type == JSON_BOOL && v->b;
}

static bool missing(struct admin_call *c, const char *detail)
{
    admin_fail(c, ERR_MISSING_ARGUMENT, detail);
    return false;
}

/* By domain or id; without one, the only workspace there is. */
static bool resolve_team(struct admin_call *c)
{
    struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
    struct str_view name = arg_str(c, "workspace");
    uint64_t ids[2];
    if (name.p == NULL) {
        uint32_t n = dir_teams(r, 0, ids, 2);
        if (n != 1)
            return missing(
                c, n == 0 ? "there is no workspace yet: workspace add DOMAIN"
                          : "there are several workspaces: say which with --workspace DOMAIN");
        c->team = ids[0];
        return true;
    }
    const struct row_team *team = dir_team_by_domain(r, name);
    if (team != NULL) {
        c->team = team->team;
        return true;
    }
    if (id_parse(name, ID_TEAM, &c->team) && dir_team(r, c->team) != NULL)
        return true;
    admin_fail(c, ERR_TEAM_NOT_FOUND, NULL);
    return false;
}

static bool find_user(struct admin_call *c, struct str_view name, uint64_t *uid)
{
    struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
    if (id_parse(name, ID_USER, uid) && dir_user(r, c->team, *uid) != NULL)
        return true;
    uint64_t after = 0, ids[256];
    for (uint32_t n; (n = dir_users(r, c->team, after, ids, ARRAY_LEN(ids))) > 0;
         after = ids[n - 1]) {
        for (uint32_t i = 0; i < n; i++) {
            const struct row_user *u = dir_user(r, c->team, ids[i]);
            if (u != NULL && (sv_eq(u->name, name) || (name.len > 0 && sv_eq(u->email, name)))) {
                *uid = ids[i];
                return true;
            }
        }
    }
    return false;
}

static bool resolve_user(struct admin_call *c, const char *arg)
{
    struct str_view name = arg_str(c, arg);
    if (name.p == NULL)
        return missing(c, strcmp(arg, "creator") == 0
                              ? "creator: the channel's first member, an id, a name or an e-mail "
                                "address"
                              : "user: an id, a name or an e-mail address");
    if (find_user(c, name, &c->uid))
        return true;
    admin_fail(c, ERR_USER_NOT_FOUND, NULL);
    return false;
}

/* A caller that was cut off and begins again (`resume`) gets what it had made before. */
static bool may_exist(const struct admin_call *c, const struct cell *answer)
{
    return arg_bool(c, "resume") && (answer->err == ERR_EXISTS || answer->err == ERR_NAME_TAKEN);
}

/* ---- workspaces ---- */

static void team_members(struct json_out *j, const struct row_team *team)
{
    json_kv_id(j, "id", ID_TEAM, team->team);
    json_kv_str(j, "domain", team->domain);
    json_kv_str(j, "name", team->name);
}

static void answer_workspace(struct admin_call *c, const struct row_team *team)
{
    admin_ok(c);
    json_key(&c->j, "workspace");
    json_obj(&c->j);
    team_members(&c->j, team);
    json_obj_end(&c->j);
    admin_done(c);
}

static void workspace_add(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct dir_team_add *m = &c->u.team_add;
    if (answer == NULL) {
        m->domain = arg_str(c, "domain");
        m->name = arg_str(c, "name");
        if (m->domain.p == NULL) {
            missing(c, "domain: lower case letters, digits and -");
            return;
        }
        if (m->name.p == NULL)
            m->name = m->domain;
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_TEAM_ADD, m, t);
        return;
    }
    if (may_exist(c, answer)) {
        answer_workspace(c, dir_team_by_domain(admin_conf_of(c->admin)->dir_reader, m->domain));
        return;
    }
    if (answer->err != ERR_OK) {
        admin_fail(c, (enum err)answer->err, NULL);
        return;
    }
    answer_workspace(c, &(struct row_team){.team = m->team, .domain = m->domain, .name = m->name});
}

static void workspace_list(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    (void)answer, (void)t;
    struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
    uint64_t after = 0, ids[256];
    admin_ok(c);
    json_key(&c->j, "workspaces");
    json_arr(&c->j);
    for (uint32_t n; (n = dir_teams(r, after, ids, ARRAY_LEN(ids))) > 0; after = ids[n - 1]) {
        for (uint32_t i = 0; i < n; i++) {
            json_obj(&c->j);
            team_members(&c->j, dir_team(r, ids[i]));
            json_kv_u64(&c->j, "users", dir_users_len(r, ids[i]));
            json_obj_end(&c->j);
        }
    }
    json_arr_end(&c->j);
    admin_done(c);
}

/* ---- users ---- */

static void user_members(struct json_out *j, const struct row_user *u)
{
    json_kv_id(j, "id", ID_USER, u->uid);
    json_kv_str(j, "name", u->name);
    json_kv_str(j, "real_name", u->real_name);
    json_kv_str(j, "email", u->email);
    json_kv_bool(j, "is_bot", (u->flags & USER_BOT) != 0);
    json_kv_bool(j, "is_admin", (u->flags & USER_ADMIN) != 0);
    json_kv_bool(j, "is_owner", (u->flags & (USER_OWNER | USER_PRIMARY_OWNER)) != 0);
    json_kv_bool(j, "is_restricted", (u->flags & USER_GUEST) != 0);
    json_kv_bool(j, "deleted", (u->flags & USER_DELETED) != 0);
    if (u->bot_id != ID_NONE) {
        json_kv_id(j, "bot_id", ID_BOT, u->bot_id);
        json_kv_id(j, "app_id", ID_APP, u->app_id);
    }
}

static void answer_user(struct admin_call *c)
{
    admin_ok(c);
    json_key(&c->j, "user");
    json_obj(&c->j);
    user_members(&c->j, dir_user(admin_conf_of(c->admin)->dir_reader, c->team, c->uid));
    json_obj_end(&c->j);
    admin_done(c);
}

static actor_id chan_actor(const struct admin_call *c, uint64_t cid)
{
    const struct admin_conf *conf = admin_conf_of(c->admin);
    return conf->chans[chan_of(cid, conf->chans_len)];
}

/* Everybody is in #general: the first user of a workspace founds it, each later one is brought in.
 */
static void join_general(struct admin_call *c, struct turn *t)
{
    const struct admin_conf *conf = admin_conf_of(c->admin);
    uint64_t cid;
    enum channel_kind kind;
    if (dir_channel_by_name(conf->dir_reader, c->team, SV("general"), &cid, &kind)) {
        c->change = (struct chan_member_change){.team = c->team,
                                                .uid = c->uid,
                                                .users = &c->uid,
                                                .users_len = 1,
                                                .by_admin = true,
                                                .arena = c->arena};
        struct cell *cell = admin_request(c, chan_actor(c, cid), CHAN_INVITE, &c->change, t);
        if (cell != NULL)
            cell->cid = cid;
        return;
    }
    c->u.channel_create = (struct dir_channel_create){.team = c->team,
                                                      .creator = c->uid,
                                                      .name = SV("general"),
                                                      .is_general = true,
                                                      .arena = c->arena};
    admin_request(c, conf->dir, DIR_CHANNEL_CREATE, &c->u.channel_create, t);
}

static uint32_t roles_of(const struct admin_call *c)
{
    return (arg_bool(c, "admin") ? USER_ADMIN : 0u) | (arg_bool(c, "owner") ? USER_OWNER : 0u) |
           (arg_bool(c, "primary_owner") ? USER_PRIMARY_OWNER | USER_OWNER : 0u) |
           (arg_bool(c, "guest") ? USER_GUEST : 0u);
}

static void user_add(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct dir_user_add *m = &c->u.user_add;
    if (answer == NULL) {
        if (!resolve_team(c))
            return;
        *m = (struct dir_user_add){.team = c->team,
                                   .name = arg_str(c, "name"),
                                   .real_name = arg_str(c, "real_name"),
                                   .email = arg_str(c, "email")};
        m->flags = (arg_bool(c, "bot") ? USER_BOT : 0u) | roles_of(c);
        if (name_fold_email(c->arena, m->email, &m->email) != ERR_OK) {
            admin_fail(c, ERR_NOMEM, NULL);
            return;
        }
        if (m->name.p == NULL) {
            missing(c, "name: how the user is called, e.g. ada");
            return;
        }
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_USER_ADD, m, t);
    } else if (c->step == 0 && answer->err == ERR_OK) {
        c->uid = m->uid;
        c->step = 1;
        if ((m->flags & USER_GUEST) != 0)
            answer_user(c); /* a guest is where it is invited */
        else
            join_general(c, t);
    } else if (c->step == 0 && may_exist(c, answer) && find_user(c, m->name, &c->uid)) {
        c->step = 1;
        join_general(c, t);
    } else if (c->step == 1 && (answer->err == ERR_OK || answer->err == ERR_ALREADY_IN_CHANNEL)) {
        answer_user(c);
    } else if (c->step == 1 && answer->err == ERR_NAME_TAKEN) {
        join_general(c, t); /* another first user founded it meanwhile */
    } else {
        admin_fail(c, (enum err)answer->err, NULL);
    }
}

static void user_list(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    (void)answer, (void)t;
    struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
    uint64_t after = 0, ids[256];
    if (!resolve_team(c))
        return;
    admin_ok(c);
    json_key(&c->j, "users");
    json_arr(&c->j);
    for (uint32_t n; (n = dir_users(r, c->team, after, ids, ARRAY_LEN(ids))) > 0;
         after = ids[n - 1]) {
        for (uint32_t i = 0; i < n; i++) {
            json_obj(&c->j);
            user_members(&c->j, dir_user(r, c->team, ids[i]));
            json_obj_end(&c->j);
        }
    }
    json_arr_end(&c->j);
    admin_done(c);
}

/* The role is what the options say: none of them, a member. */
static void user_change(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct dir_user_change *m = &c->u.user_change;
    if (answer != NULL) {
        if (answer->err != ERR_OK)
            admin_fail(c, (enum err)answer->err, NULL);
        else
            answer_user(c);
        return;
    }
    if (!resolve_team(c) || !resolve_user(c, "user"))
        return;
    *m = (struct dir_user_change){.team = c->team,
                                  .uid = c->uid,
                                  .real_name = arg_str(c, "real_name"),
                                  .email = arg_str(c, "email"),
                                  .set_flags = roles_of(c)};
    bool roles = m->set_flags != 0 || arg_bool(c, "member");
    if (roles)
        m->clear_flags =
            (USER_ADMIN | USER_OWNER | USER_PRIMARY_OWNER | USER_GUEST) & ~m->set_flags;
    if (name_fold_email(c->arena, m->email, &m->email) != ERR_OK)
        admin_fail(c, ERR_NOMEM, NULL);
    else
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_USER_CHANGE, m, t);
}

static void answer_plain(struct admin_call *c, const struct cell *answer)
{
    if (answer->err != ERR_OK) {
        admin_fail(c, (enum err)answer->err, NULL);
        return;
    }
    admin_ok(c);
    admin_done(c);
}

static void user_disable(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    if (answer != NULL) {
        answer_plain(c, answer);
    } else if (resolve_team(c) && resolve_user(c, "user")) {
        c->u.user_disable = (struct dir_user_disable){.team = c->team, .uid = c->uid};
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_USER_DISABLE, &c->u.user_disable, t);
    }
}

/* Hashed first, by login; only the hash goes to dir. */
static void user_password(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    const struct admin_conf *conf = admin_conf_of(c->admin);
    struct login_hash *m = &c->u.password.hash;
    if (answer != NULL && answer->err == ERR_INVALID_ARGUMENTS && c->step == 0) {
        admin_fail(c, ERR_INVALID_ARGUMENTS, "password: 8 to 1024 bytes");
    } else if (answer != NULL && (answer->err != ERR_OK || c->step == 1)) {
        answer_plain(c, answer);
    } else if (answer != NULL) {
        c->step = 1;
        c->u.password.set =
            (struct dir_password_set){.team = c->team, .uid = c->uid, .hash = {m->hash, m->len}};
        admin_request(c, conf->dir, DIR_PASSWORD_SET, &c->u.password.set, t);
    } else if (resolve_team(c) && resolve_user(c, "user")) {
        m->password = arg_str(c, "password");
        admin_request(c, conf->login, LOGIN_HASH, m, t);
    }
}

/* ---- tokens ---- */

/* "chat:write,users:read"; absent: all. False: the call was answered. */
static bool read_scopes(struct admin_call *c, uint64_t *scopes)
{
    struct str_view rest = arg_str(c, "scopes");
    *scopes = rest.p == NULL ? UINT64_MAX : 0;
    while (rest.p != NULL) {
        struct str_view one = sv_trim(sv_cut(&rest, ','));
        uint64_t bit = 0;
        for (int s = 0; s < SCOPE_COUNT; s++) {
            if (sv_eq(one, sv_from(scope_name((enum scope_bit)s))))
                bit = UINT64_C(1) << s;
        }
        if (bit == 0) {
            admin_fail(c, ERR_INVALID_ARGUMENTS, "scopes: names of docs/api.md, comma-separated");
            return false;
        }
        *scopes |= bit;
    }
    return true;
}

static void token_issue(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct dir_token_issue *m = &c->u.token_issue;
    if (answer == NULL) {
        if (!resolve_team(c) || !resolve_user(c, "user"))
            return;
        const struct row_user *u = dir_user(admin_conf_of(c->admin)->dir_reader, c->team, c->uid);
        *m = (struct dir_token_issue){.team = c->team, .uid = c->uid};
        if (!read_scopes(c, &m->scopes))
            return;
        if ((u->flags & USER_DELETED) != 0) {
            admin_fail(c, ERR_ACCOUNT_INACTIVE, NULL);
            return;
        }
        m->kind = (u->flags & USER_BOT) != 0 ? TOKEN_BOT : TOKEN_USER;
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_TOKEN_ISSUE, m, t);
    } else if (answer->err != ERR_OK) {
        admin_fail(c, (enum err)answer->err, NULL);
    } else {
        admin_ok(c);
        json_kv_str(&c->j, "token", sv_from(m->token));
        json_kv_id(&c->j, "user_id", ID_USER, c->uid);
        admin_done(c);
    }
}

static void token_revoke(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    if (answer != NULL) {
        answer_plain(c, answer);
        return;
    }
    bool any = arg_str(c, "workspace").p == NULL; /* the token says which */
    if (!any && !resolve_team(c))
        return;
    c->u.token_revoke =
        (struct dir_token_revoke){.token = arg_str(c, "token"), .team = any ? ID_NONE : c->team};
    if (c->u.token_revoke.token.p == NULL)
        missing(c, "token: the whole text, xox...");
    else
        admin_request(c, admin_conf_of(c->admin)->dir, DIR_TOKEN_REVOKE, &c->u.token_revoke, t);
}

/* ---- channels ---- */

static void channel_add(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct dir_channel_create *m = &c->u.channel_create;
    if (answer == NULL) {
        if (!resolve_team(c) || !resolve_user(c, "creator"))
            return;
        *m = (struct dir_channel_create){.team = c->team,
                                         .creator = c->uid,
                                         .name = arg_str(c, "name"),
                                         .is_private = arg_bool(c, "private"),
                                         .arena = c->arena};
        if (m->name.p == NULL)
            missing(c, "name: the channel's name without #");
        else
            admin_request(c, admin_conf_of(c->admin)->dir, DIR_CHANNEL_CREATE, m, t);
    } else if (answer->err != ERR_OK && !may_exist(c, answer)) {
        admin_fail(c, (enum err)answer->err, NULL);
    } else {
        uint64_t cid = m->info.cid;
        enum channel_kind kind = m->info.kind;
        if (answer->err != ERR_OK && !dir_channel_by_name(admin_conf_of(c->admin)->dir_reader,
                                                          c->team, m->name, &cid, &kind)) {
            admin_fail(c, (enum err)answer->err, NULL);
            return;
        }
        admin_ok(c);
        json_key(&c->j, "channel");
        json_obj(&c->j);
        json_kv_id(&c->j, "id", ID_CHANNEL, cid);
        json_kv_str(&c->j, "name", answer->err == ERR_OK ? m->info.name : m->name);
        json_kv_bool(&c->j, "is_private", kind == CHANNEL_PRIVATE);
        json_obj_end(&c->j);
        admin_done(c);
    }
}

static void channel_list(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    struct hist_list *m = &c->u.list;
    if (answer == NULL) {
        if (!resolve_team(c))
            return;
        *m = (struct hist_list){.viewer = {.team = c->team, .is_admin = true},
                                .types = hist_types_public | hist_types_private,
                                .limit = UINT32_MAX,
                                .arena = c->arena};
        buf_init(&m->out, c->arena, 4096);
        admin_request(c, admin_conf_of(c->admin)->hist, HIST_LIST, m, t);
    } else if (answer->err != ERR_OK) {
        admin_fail(c, (enum err)answer->err, NULL);
    } else {
        admin_ok(c);
        json_key(&c->j, "channels");
        json_arr(&c->j);
        json_raw(&c->j, buf_view(&m->out));
        json_arr_end(&c->j);
        admin_done(c);
    }
}

static bool gather_users(struct admin_call *c)
{
    struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
    if (!arg_bool(c, "all")) {
        if (!resolve_user(c, "user"))
            return false;
        c->users = &c->uid;
        c->users_len = 1;
        return true;
    }
    uint32_t n = dir_users_len(r, c->team);
    c->users = arena_alloc(c->arena, (n + 1u) * sizeof *c->users);
    if (c->users == NULL) {
        admin_fail(c, ERR_NOMEM, NULL);
        return false;
    }
    c->users_len = dir_users(r, c->team, 0, c->users, n);
    c->uid = c->users[0];
    return true;
}

/* channel.join brings users in, invite_users_max at a time, as the operator. */
static void channel_join(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    uint64_t cid = c->u.channel_create.info.cid;
    if (answer == NULL) {
        if (!resolve_team(c))
            return;
        struct str_view name = arg_str(c, "channel");
        enum channel_kind kind;
        if (!id_parse_channel(name, &cid) &&
            !dir_channel_by_name(admin_conf_of(c->admin)->dir_reader, c->team, name, &cid, &kind)) {
            admin_fail(c, ERR_CHANNEL_NOT_FOUND, NULL);
            return;
        }
        c->u.channel_create.info.cid = cid;
        if (!gather_users(c))
            return;
    } else if (answer->err != ERR_OK && answer->err != ERR_ALREADY_IN_CHANNEL) {
        admin_fail(c, (enum err)answer->err, NULL);
        return;
    }
    if (c->users_done == c->users_len) {
        admin_ok(c);
        json_kv_u64(&c->j, "users", c->users_len);
        admin_done(c);
        return;
    }
    uint32_t n = MIN(c->users_len - c->users_done, (uint32_t)invite_users_max);
    c->change = (struct chan_member_change){.team = c->team,
                                            .uid = c->uid,
                                            .users = &c->users[c->users_done],
                                            .users_len = n,
                                            .by_admin = true,
                                            .silent = arg_bool(c, "silent"),
                                            .arena = c->arena};
    c->users_done += n;
    struct cell *cell = admin_request(c, chan_actor(c, cid), CHAN_INVITE, &c->change, t);
    if (cell != NULL)
        cell->cid = cid;
}

static void status(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    (void)answer, (void)t;
    bool one = arg_str(c, "workspace").p != NULL;
    if (one && !resolve_team(c))
        return;
    admin_ok(c);
    if (one) {
        struct dir_reader *r = admin_conf_of(c->admin)->dir_reader;
        json_key(&c->j, "workspace");
        json_obj(&c->j);
        team_members(&c->j, dir_team(r, c->team));
        json_kv_u64(&c->j, "users", dir_users_len(r, c->team));
        json_obj_end(&c->j);
    }
    admin_status_members(c);
    admin_done(c);
}

/* Of messages, then of files. The answer says that it has begun: queries of messages find more and
 * more meanwhile. */
static void search_rebuild(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    if (answer == NULL) {
        admin_request(c, admin_conf_of(c->admin)->search, SEARCH_REBUILD, NULL, t);
        return;
    }
    if (answer->err != ERR_OK) {
        admin_fail(c, (enum err)answer->err, NULL);
        return;
    }
    if (c->step++ == 0) {
        admin_request(c, admin_conf_of(c->admin)->media, MEDIA_REINDEX, NULL, t);
        return;
    }
    admin_ok(c);
    admin_done(c);
}

static const struct admin_command commands[] = {
    {"workspace.add", workspace_add, "domain [name resume]"},
    {"workspace.list", workspace_list, ""},
    {"user.add", user_add,
     "name [workspace email real_name bot admin owner primary_owner guest resume]"},
    {"user.change", user_change,
     "user [workspace email real_name member admin owner primary_owner guest]"},
    {"user.list", user_list, "[workspace]"},
    {"user.disable", user_disable, "user [workspace]"},
    {"user.password", user_password, "user password [workspace]"},
    {"token.issue", token_issue, "user [workspace scopes]"},
    {"token.revoke", token_revoke, "token [workspace]"},
    {"channel.add", channel_add, "name creator [workspace private resume]"},
    {"channel.list", channel_list, "[workspace]"},
    {"channel.join", channel_join, "channel user|all [workspace silent]"},
    {"search.rebuild", search_rebuild, ""},
    {"status", status, "[workspace]"},
    {"slow", admin_slow, ""},
};

const struct admin_command *admin_command_find(struct str_view name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (sv_eq(name, sv_from(commands[i].name)))
            return &commands[i];
    }
    return NULL;
}
