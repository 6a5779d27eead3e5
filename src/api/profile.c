/* profile.c - users.profile.get and set. What is asked is judged here against the row as published;
 * dir writes only the fields that were named. */
#include "api/handlers.h"
#include "api/internal.h"
#include "dir/dir_msg.h"
#include "dir/name.h"

enum { value_chars_max = 80, status_chars_max = 100, email_bytes_max = 200 };

static const struct row_user *whose(struct request *r)
{
    const struct arg_value *user = arg(r, "user");
    return dir_user(r->a->conf.dir_reader, r->who.team, user->given ? user->n : r->who.uid);
}

static void put_profile(struct request *r, const struct row_user *u)
{
    struct user_view view = req_user_view(r);
    json_key(&r->j, "profile");
    user_json_profile(&r->j, u, &view);
}

void users_profile_get(struct request *r)
{
    const struct row_user *u = whose(r);
    if (u == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    answer_begin(r);
    put_profile(r, u);
    answer_end(r);
}

/* ---- set ---- */

struct names { /* of which real_name is made */
    struct str_view first, last;
};

static bool take_text(const struct json_member *m, const char *name, uint32_t max, bool *fits,
                      struct str_view *out)
{
    if (!sv_eq(m->name, sv_from(name)))
        return false;
    *out = (struct str_view){m->value.s.len == 0 ? "" : m->value.s.p, m->value.s.len};
    *fits &= utf8_count(m->value.s) <= max;
    return true;
}

static enum err take_expiration(const struct json_member *m, struct dir_user_change *c)
{
    c->set_status_expiration = true;
    if (m->value.type == JSON_STRING && m->value.s.len == 0)
        return ERR_OK;
    if ((m->value.type != JSON_INT && m->value.type != JSON_STRING) ||
        !sv_to_u64(m->value.s, &c->status_expiration_s))
        return ERR_INVALID_PROFILE;
    return ERR_OK;
}

static enum err take_member(const struct json_member *m, struct dir_user_change *c, struct names *n)
{
    bool fits = true;
    if (sv_eq(m->name, SV("status_expiration")))
        return take_expiration(m, c);
    bool known = take_text(m, "real_name", value_chars_max, &fits, &c->real_name) ||
                 take_text(m, "first_name", value_chars_max, &fits, &n->first) ||
                 take_text(m, "last_name", value_chars_max, &fits, &n->last) ||
                 take_text(m, "display_name", value_chars_max, &fits, &c->display_name) ||
                 take_text(m, "title", value_chars_max, &fits, &c->title) ||
                 take_text(m, "phone", value_chars_max, &fits, &c->phone) ||
                 take_text(m, "email", email_bytes_max, &fits, &c->email) ||
                 take_text(m, "status_text", status_chars_max, &fits, &c->status_text) ||
                 take_text(m, "status_emoji", status_chars_max, &fits, &c->status_emoji);
    if (!known)
        return ERR_OK; /* pronouns, fields of the workspace's own: not kept */
    if (m->value.type != JSON_STRING)
        return ERR_INVALID_PROFILE;
    return fits ? ERR_OK : ERR_TOO_LONG;
}

static enum err read_members(struct request *r, struct json_member **members, uint32_t *len)
{
    const struct json_value *profile = args_find(r, SV("profile"));
    const struct json_value *value = args_find(r, SV("value"));
    const struct arg_value *name = arg(r, "name");
    if (profile != NULL && (profile->type == JSON_OBJECT || profile->type == JSON_STRING)) {
        enum err err = json_read_object(r->a->json, &r->arena, profile->s, members, len);
        return err == ERR_OK || err == ERR_NOMEM ? err : ERR_INVALID_PROFILE;
    }
    if (profile != NULL || !name->given || value == NULL)
        return ERR_INVALID_PROFILE;
    struct json_member *one = arena_zalloc(&r->arena, sizeof *one);
    if (one == NULL)
        return ERR_NOMEM;
    *one = (struct json_member){.name = name->s, .value = *value};
    *members = one;
    *len = 1;
    return ERR_OK;
}

static enum err join_names(struct request *r, const struct row_user *u, const struct names *n,
                           struct dir_user_change *c)
{
    struct str_view rest = u->real_name, first = sv_cut(&rest, ' ');
    struct buf b;
    if (c->real_name.p != NULL)
        return c->real_name.len > 0 ? ERR_OK : ERR_INVALID_PROFILE;
    if (n->first.p == NULL && n->last.p == NULL)
        return ERR_OK;
    first = n->first.p != NULL ? n->first : first;
    rest = n->last.p != NULL ? n->last : rest;
    buf_init(&b, &r->arena, 176);
    buf_put_sv(&b, first);
    if (first.len > 0 && rest.len > 0)
        buf_putc(&b, ' ');
    buf_put_sv(&b, rest);
    c->real_name = buf_view(&b);
    if (b.failed)
        return ERR_NOMEM;
    return c->real_name.len > 0 ? ERR_OK : ERR_INVALID_PROFILE;
}

static bool is_emoji(struct str_view s)
{
    return s.len == 0 ||
           (s.len > 2 && s.p[0] == ':' && s.p[s.len - 1] == ':' && memchr(s.p, ' ', s.len) == NULL);
}

/* Slack: a text without an emoji has a speech balloon; without an end of its own a status has none.
 */
static enum err judge_status(const struct row_user *u, struct dir_user_change *c)
{
    bool texts = c->status_text.p != NULL, emojis = c->status_emoji.p != NULL;
    if (!is_emoji(c->status_emoji))
        return ERR_INVALID_EMOJI;
    if (!texts && !emojis)
        return ERR_OK;
    if ((texts && c->status_text.len == 0 && !emojis && u->status_emoji.len > 0) ||
        (emojis && c->status_emoji.len == 0 && !texts && u->status_text.len > 0))
        return ERR_MUST_CLEAR_BOTH;
    struct str_view text = texts ? c->status_text : u->status_text;
    struct str_view emoji = emojis ? c->status_emoji : u->status_emoji;
    if (text.len > 0 && emoji.len == 0)
        c->status_emoji = SV(":speech_balloon:");
    if (!c->set_status_expiration || (text.len == 0 && emoji.len == 0))
        c->status_expiration_s = 0;
    c->set_status_expiration = true;
    return ERR_OK;
}

static enum err judge_rights(const struct request *r, const struct row_user *u,
                             const struct dir_user_change *c)
{
    const uint32_t owners = USER_OWNER | USER_PRIMARY_OWNER, admins = owners | USER_ADMIN;
    bool other = u->uid != r->who.uid, admin = (r->who.user_flags & admins) != 0;
    if ((other || c->email.p != NULL) && !admin)
        return ERR_NOT_ADMIN;
    if (other && (u->flags & admins) != 0 && (r->who.user_flags & owners) == 0)
        return ERR_CANNOT_UPDATE_ADMIN_USER;
    return ERR_OK;
}

static enum err read_change(struct request *r, struct dir_user_change *c)
{
    const struct row_user *u = whose(r);
    struct json_member *members;
    uint32_t len;
    struct names names = {0};
    if (u == NULL || (u->flags & USER_DELETED) != 0)
        return ERR_USER_NOT_FOUND;
    TRY(read_members(r, &members, &len));
    *c = (struct dir_user_change){.team = u->team, .uid = u->uid};
    for (uint32_t i = 0; i < len; i++)
        TRY(take_member(&members[i], c, &names));
    TRY(judge_rights(r, u, c));
    TRY(join_names(r, u, &names, c));
    if (c->email.p != NULL) {
        if (memchr(c->email.p, '@', c->email.len) == NULL)
            return ERR_INVALID_PROFILE;
        TRY(name_fold_email(&r->arena, c->email, &c->email));
    }
    return judge_status(u, c);
}

static void on_changed(struct request *r, const struct cell *cell)
{
    const struct dir_user_change *c = r->work;
    const struct row_user *u = dir_user(r->a->conf.dir_reader, c->team, c->uid);
    enum err err = (enum err)cell->err;
    if (err != ERR_OK || u == NULL) {
        answer_error(r, err == ERR_EXISTS ? ERR_EMAIL_TAKEN
                        : err == ERR_OK   ? ERR_INTERNAL_ERROR
                                          : err);
        return;
    }
    answer_begin(r);
    json_kv_str(&r->j, "username", u->name);
    put_profile(r, u);
    answer_end(r);
}

void users_profile_set(struct request *r)
{
    struct dir_user_change *c = arena_zalloc(&r->arena, sizeof *c);
    enum err err = c == NULL ? ERR_NOMEM : read_change(r, c);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = c;
    req_send(r, r->a->conf.dir, DIR_USER_CHANGE, ID_NONE, c, on_changed);
}
