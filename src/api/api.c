/* api.c - api.test, auth.test, auth.revoke, auth.teams.list, team.info. */
#include "api/handlers.h"
#include "api/internal.h"
#include "dir/dir_msg.h"

static void put_name(struct json_out *j, struct str_view name)
{
    json_str(j, name); /* a key from outside: it may need escapes */
    buf_putc(j->b, ':');
    j->comma = false;
}

/* Every argument once, but the token. */
static void put_args(struct request *r)
{
    json_key(&r->j, "args");
    json_obj(&r->j);
    for (uint32_t i = 0; i < r->args_len; i++) {
        const struct json_member *m = &r->args[i];
        if (sv_eq(m->name, SV("token")) || args_find(r, m->name) != &m->value)
            continue;
        put_name(&r->j, m->name);
        if (m->value.type == JSON_STRING)
            json_str(&r->j, m->value.s);
        else
            json_raw(&r->j, m->value.s);
    }
    json_obj_end(&r->j);
}

void api_test(struct request *r)
{
    const struct json_value *error = args_find(r, SV("error"));
    if (error == NULL || error->type != JSON_STRING || error->s.len == 0) {
        answer_begin(r);
        put_args(r);
        answer_end(r);
        return;
    }
    buf_init(&r->body, &r->arena, 256);
    r->j = json_out_on(&r->body);
    json_obj(&r->j);
    json_kv_bool(&r->j, "ok", false);
    json_kv_str(&r->j, "error", error->s);
    put_args(r);
    json_obj_end(&r->j);
    if (r->body.failed)
        answer_error(r, ERR_NOMEM);
    else
        answer_body(r, ERR_INVALID_ARGUMENTS, buf_view(&r->body));
}

static void put_url(struct request *r)
{
    struct buf url;
    buf_init(&url, &r->arena, 128);
    answer_url(r, &url, false);
    r->body.failed |= url.failed;
    json_kv_str(&r->j, "url", buf_view(&url));
}

void auth_test(struct request *r)
{
    const struct row_team *team = dir_team(r->a->conf.dir_reader, r->who.team);
    const struct row_user *user = dir_user(r->a->conf.dir_reader, r->who.team, r->who.uid);
    if (team == NULL || user == NULL) {
        answer_error(r, ERR_ACCOUNT_INACTIVE);
        return;
    }
    answer_begin(r);
    put_url(r);
    json_kv_str(&r->j, "team", team->name);
    json_kv_str(&r->j, "user", user->name);
    json_kv_id(&r->j, "team_id", ID_TEAM, team->team);
    json_kv_id(&r->j, "user_id", ID_USER, user->uid);
    if (r->who.kind == TOKEN_BOT)
        json_kv_id(&r->j, "bot_id", ID_BOT, r->who.bot_id);
    json_kv_bool(&r->j, "is_enterprise_install", false);
    answer_end(r);
}

static void on_token_revoked(struct request *r, const struct cell *c)
{
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_kv_bool(&r->j, "revoked", true);
    answer_end(r);
}

/* The token's text, wherever it stood: auth_by_args has found them equal. */
static struct str_view token_of(const struct request *r)
{
    const struct json_value *v = args_find(r, SV("token"));
    return r->fields.token.p != NULL || v == NULL ? r->fields.token : v->s;
}

void auth_revoke(struct request *r)
{
    if (arg(r, "test")->n != 0) {
        answer_begin(r);
        json_kv_bool(&r->j, "revoked", false);
        answer_end(r);
        return;
    }
    struct dir_token_revoke *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct dir_token_revoke){.token = token_of(r), .team = r->who.team};
    r->work = m;
    req_send(r, r->a->conf.dir, DIR_TOKEN_REVOKE, ID_NONE, m, on_token_revoked);
}

static void put_icon(struct request *r)
{
    json_key(&r->j, "icon");
    json_obj(&r->j);
    json_kv_bool(&r->j, "image_default", true);
    json_obj_end(&r->j);
}

/* One token, one workspace: the list is whole on its first page, so no cursor was ever given. */
void auth_teams_list(struct request *r)
{
    const struct row_team *team = dir_team(r->a->conf.dir_reader, r->who.team);
    struct str_view cursor;
    enum err err = cursor_read(r, "team", &cursor);
    if (err == ERR_OK && cursor.len > 0)
        err = ERR_INVALID_CURSOR;
    if (err == ERR_OK && team == NULL)
        err = ERR_TEAM_NOT_FOUND;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "teams");
    json_arr(&r->j);
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_TEAM, team->team);
    json_kv_str(&r->j, "name", team->name);
    if (arg(r, "include_icon")->n != 0)
        put_icon(r);
    json_obj_end(&r->j);
    json_arr_end(&r->j);
    cursor_write(r, "team", SV(""));
    answer_end(r);
}

void team_info(struct request *r)
{
    const struct row_team *team = dir_team(r->a->conf.dir_reader, r->who.team);
    const struct arg_value *asked = arg(r, "team");
    uint64_t id = r->who.team;
    if (asked->given && asked->s.len > 0 && !id_parse(asked->s, ID_TEAM, &id))
        id = ID_NONE;
    struct str_view domain = arg(r, "domain")->s;
    if (team == NULL || id != r->who.team || (domain.len > 0 && !sv_eq(domain, team->domain))) {
        answer_error(r, ERR_TEAM_NOT_FOUND);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "team");
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_TEAM, team->team);
    json_kv_str(&r->j, "name", team->name);
    json_kv_str(&r->j, "domain", team->domain);
    json_kv_str(&r->j, "email_domain", SV(""));
    put_url(r);
    put_icon(r);
    json_obj_end(&r->j);
    answer_end(r);
}
