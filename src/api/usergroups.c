/* usergroups.c - usergroups.*: named lists of members that a message can mention. All of a
 * workspace are one document, so that names and handles are unique. Source: Slack usergroups.*,
 * subteam_*. */
#include "api/usergroups.h"

#include "api/handlers.h"

enum {
    groups_max = 500,
    group_users_max = 1000,
    name_chars_max = 80,
    description_chars_max = 250,
    group_channels_max = 100
};

/* A group as it is stored, taken apart. Lists are JSON: ["U1","U2"]. */
struct group {
    uint64_t id, created_s, updated_s, deleted_s, created_by;
    struct str_view name, handle, description, users, channels;
    uint32_t users_len;
};

static const char *const events[] = {"subteam_created", "subteam_updated"};

static uint64_t u64_of(const struct json_member *m, uint32_t len, const char *name)
{
    const struct json_value *v = json_find((struct json_member *)m, len, sv_from(name));
    uint64_t n = 0;
    return v != NULL && v->type == JSON_INT && sv_to_u64(v->s, &n) ? n : 0;
}

static struct str_view text_of(const struct json_member *m, uint32_t len, const char *name)
{
    const struct json_value *v = json_find((struct json_member *)m, len, sv_from(name));
    return v == NULL ? SV("") : v->s;
}

static enum err take_apart(struct request *r, const struct json_member *element, struct group *g)
{
    struct json_member *m;
    uint32_t len;
    enum err err = json_read_object(r->a->json, &r->arena, element->value.s, &m, &len);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    *g = (struct group){.created_s = u64_of(m, len, "created"),
                        .updated_s = u64_of(m, len, "updated"),
                        .deleted_s = u64_of(m, len, "deleted"),
                        .name = text_of(m, len, "name"),
                        .handle = text_of(m, len, "handle"),
                        .description = text_of(m, len, "description"),
                        .users = text_of(m, len, "users"),
                        .channels = text_of(m, len, "channels"),
                        .users_len = (uint32_t)u64_of(m, len, "users_len")};
    bool ok = id_parse(text_of(m, len, "id"), ID_USERGROUP, &g->id) &&
              id_parse(text_of(m, len, "by"), ID_USER, &g->created_by);
    return ok ? ERR_OK : ERR_CORRUPT;
}

static void put_stored(struct json_out *j, const struct group *g)
{
    json_obj(j);
    json_kv_id(j, "id", ID_USERGROUP, g->id);
    json_kv_id(j, "by", ID_USER, g->created_by);
    json_kv_u64(j, "created", g->created_s);
    json_kv_u64(j, "updated", g->updated_s);
    json_kv_u64(j, "deleted", g->deleted_s);
    json_kv_str(j, "name", g->name);
    json_kv_str(j, "handle", g->handle);
    json_kv_str(j, "description", g->description);
    json_kv_u64(j, "users_len", g->users_len);
    json_key(j, "users");
    json_raw(j, g->users.len > 0 ? g->users : SV("[]"));
    json_key(j, "channels");
    json_raw(j, g->channels.len > 0 ? g->channels : SV("[]"));
    json_obj_end(j);
}

static void put_shown(struct request *r, struct json_out *j, const struct group *g, bool users,
                      bool count)
{
    json_obj(j);
    json_kv_id(j, "id", ID_USERGROUP, g->id);
    json_kv_id(j, "team_id", ID_TEAM, r->who.team);
    json_kv_bool(j, "is_usergroup", true);
    json_kv_bool(j, "is_subteam", true);
    json_kv_str(j, "name", g->name);
    json_kv_str(j, "description", g->description);
    json_kv_str(j, "handle", g->handle);
    json_kv_bool(j, "is_external", false);
    json_kv_u64(j, "date_create", g->created_s);
    json_kv_u64(j, "date_update", g->updated_s);
    json_kv_u64(j, "date_delete", g->deleted_s);
    json_key(j, "auto_type");
    json_null(j);
    json_kv_id(j, "created_by", ID_USER, g->created_by);
    json_kv_id(j, "updated_by", ID_USER, g->created_by);
    json_key(j, "prefs");
    json_obj(j);
    json_key(j, "channels");
    json_raw(j, g->channels.len > 0 ? g->channels : SV("[]"));
    json_key(j, "groups");
    json_raw(j, SV("[]"));
    json_obj_end(j);
    if (users) {
        json_key(j, "users");
        json_raw(j, g->users.len > 0 ? g->users : SV("[]"));
    }
    if (count)
        json_kv_u64(j, "user_count", g->users_len);
    json_obj_end(j);
}

/* ---- reads ---- */

static void put_list(struct request *r, struct document *d)
{
    struct json_member *all;
    uint32_t len;
    r->arena.bytes_max = arena_list_max;
    enum err err = ERR_OK;
    if (!document_open(r, d, &all, &len))
        return;
    answer_begin_sized(r, d->text.len + 256);
    json_key(&r->j, "usergroups");
    json_arr(&r->j);
    for (uint32_t i = 0; i < len && err == ERR_OK; i++) {
        struct group g;
        err = take_apart(r, &all[i], &g);
        if (err == ERR_OK && (g.deleted_s == 0 || arg(r, "include_disabled")->n != 0))
            put_shown(r, &r->j, &g, arg(r, "include_users")->n != 0,
                      arg(r, "include_count")->n != 0);
    }
    json_arr_end(&r->j);
    if (err != ERR_OK)
        answer_error(r, err);
    else
        answer_end(r);
}

void usergroups_list(struct request *r)
{
    struct document *d = document_new(r, r->who.team, DOC_USERGROUPS);
    if (d != NULL)
        document_read(r, d, put_list);
}

enum err usergroup_handles(struct request *r, const struct document *d,
                           struct usergroup_handle **out, uint32_t *len)
{
    struct json_member *all;
    uint32_t n;
    *len = 0;
    TRY(document_elements(r, d, &all, &n));
    if (n == 0)
        return ERR_OK;
    struct usergroup_handle *handles = arena_alloc(&r->arena, n * sizeof *handles);
    if (handles == NULL)
        return ERR_NOMEM;
    *out = handles;
    for (uint32_t i = 0; i < n; i++) {
        struct group g;
        TRY(take_apart(r, &all[i], &g));
        if (g.deleted_s == 0)
            handles[(*len)++] = (struct usergroup_handle){g.id, g.handle};
    }
    return ERR_OK;
}

static enum err find(struct request *r, const struct document *d, struct group *out)
{
    struct json_member *all;
    uint32_t len;
    uint64_t id;
    TRY(document_elements(r, d, &all, &len));
    if (!id_parse(arg(r, "usergroup")->s, ID_USERGROUP, &id))
        return ERR_NO_SUCH_SUBTEAM;
    for (uint32_t i = 0; i < len; i++) {
        TRY(take_apart(r, &all[i], out));
        if (out->id == id)
            return ERR_OK;
    }
    return ERR_NO_SUCH_SUBTEAM;
}

static void put_users(struct request *r, struct document *d)
{
    struct group g;
    enum err err = find(r, d, &g);
    if (err == ERR_OK && g.deleted_s != 0 && arg(r, "include_disabled")->n == 0)
        err = ERR_NO_SUCH_SUBTEAM;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "users");
    json_raw(&r->j, g.users);
    answer_end(r);
}

void usergroups_users_list(struct request *r)
{
    struct document *d = document_new(r, r->who.team, DOC_USERGROUPS);
    if (d != NULL)
        document_read(r, d, put_users);
}

/* ---- changes ---- */

enum change { CREATE, UPDATE, ENABLE, DISABLE, SET_USERS };

struct wish {
    enum change change;
    struct str_view users, channels; /* JSON; p NULL: as it is */
    uint32_t users_len;
    struct str_view handle; /* of a name, when none was given */
    struct group done;
};

/* "Marketing Team" is marketing-team. */
static struct str_view handle_of(struct request *r, struct str_view name)
{
    struct buf b;
    buf_init(&b, &r->arena, name.len);
    for (size_t i = 0; i < name.len && b.len < handle_bytes_max; i++) {
        char c = name.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        buf_putc(&b, (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-');
    }
    return b.failed ? SV("") : buf_view(&b);
}

static bool is_handle(struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_-.", c) != NULL))
            return false;
    }
    return s.len > 0 && s.len <= handle_bytes_max;
}

static enum err apply(struct request *r, const struct wish *w, struct group *g)
{
    uint64_t now_s = r->a->t->wall_us / 1000000;
    g->updated_s = now_s;
    if (w->change == ENABLE || w->change == DISABLE) {
        g->deleted_s = w->change == DISABLE ? now_s : 0;
        return ERR_OK;
    }
    if (w->change == SET_USERS) {
        g->users = w->users;
        g->users_len = w->users_len;
        return ERR_OK;
    }
    const struct arg_value *name = arg(r, "name"), *handle = arg(r, "handle"),
                           *description = arg(r, "description");
    g->name = name->given ? name->s : g->name;
    g->handle = handle->given ? handle->s : w->change == CREATE ? w->handle : g->handle;
    g->description = description->given ? description->s : g->description;
    g->channels = w->channels.p != NULL ? w->channels : g->channels;
    if (g->name.len == 0)
        return ERR_MISSING_SUBTEAM_NAME;
    if (utf8_count(g->name) > name_chars_max)
        return ERR_NAME_TOO_LONG;
    if (utf8_count(g->description) > description_chars_max)
        return ERR_DESCRIPTION_TOO_LONG;
    return is_handle(g->handle) ? ERR_OK : ERR_BAD_HANDLE;
}

static struct str_view event(struct request *r, const struct wish *w)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(events[w->change != CREATE]));
    json_key(&j, "subteam");
    put_shown(r, &j, &w->done, true, true);
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    return b.failed ? SV("") : buf_view(&b);
}

/* One pass: all but the one in question stay, and none of them has its name or handle. */
static enum err edit(struct request *r, struct document *d)
{
    struct wish *w = d->own;
    struct json_member *all;
    uint32_t len;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    if (w->change == CREATE) {
        if (len >= groups_max)
            return ERR_TOO_MANY_ITEMS;
        w->done = (struct group){.id = r->a->t->wall_us,
                                 .created_s = r->a->t->wall_us / 1000000,
                                 .created_by = r->who.uid};
    } else {
        TRY(find(r, d, &w->done));
    }
    TRY(apply(r, w, &w->done));
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++) {
        struct group g;
        TRY(take_apart(r, &all[i], &g));
        if (g.id == w->done.id && w->change != CREATE) {
            put_stored(&j, &w->done);
            continue;
        }
        if (sv_eq(g.name, w->done.name))
            return ERR_NAME_ALREADY_EXISTS;
        if (sv_eq(g.handle, w->done.handle))
            return ERR_HANDLE_ALREADY_EXISTS;
        w->done.id += w->change == CREATE && g.id == w->done.id; /* ids rise along the list */
        document_put(&j, &all[i].value);
    }
    if (w->change == CREATE)
        put_stored(&j, &w->done);
    json_arr_end(&j);
    if (b.failed)
        return ERR_NOMEM;
    if (b.len > document_bytes_max)
        return ERR_TOO_MANY_ITEMS;
    d->changed = true;
    d->next = buf_view(&b);
    d->to_team = event(r, w);
    return ERR_OK;
}

static void put_one(struct request *r, struct document *d)
{
    const struct wish *w = d->own;
    answer_begin(r);
    json_key(&r->j, "usergroup");
    put_shown(r, &r->j, &w->done, w->change == SET_USERS, arg(r, "include_count")->n != 0);
    answer_end(r);
}

/* "U1,U2" of this workspace, each once, as JSON. */
static enum err read_users(struct request *r, struct wish *w)
{
    struct str_view rest = arg(r, "users")->s;
    uint64_t *seen = arena_alloc(&r->arena, group_users_max * sizeof *seen);
    struct buf b;
    struct json_out j = document_out(r, &b);
    if (seen == NULL)
        return ERR_NOMEM;
    json_arr(&j);
    while (rest.len > 0) {
        uint64_t uid;
        uint32_t i = 0;
        struct str_view one = sv_trim(sv_cut(&rest, ','));
        if (!id_parse(one, ID_USER, &uid) ||
            dir_user(r->a->conf.dir_reader, r->who.team, uid) == NULL)
            return ERR_INVALID_USERS;
        while (i < w->users_len && seen[i] != uid)
            i++;
        if (i < w->users_len)
            continue;
        if (w->users_len == group_users_max)
            return ERR_SUBTEAM_MAX_USERS;
        seen[w->users_len++] = uid;
        json_id(&j, ID_USER, uid);
    }
    json_arr_end(&j);
    w->users = buf_view(&b);
    if (w->users_len == 0)
        return ERR_NO_USERS_PROVIDED;
    return b.failed ? ERR_NOMEM : ERR_OK;
}

/* Defaults that a member is invited to: ids only, whoever reads the group knows them already. */
static enum err read_channels(struct request *r, struct wish *w)
{
    struct str_view rest = arg(r, "channels")->s;
    uint32_t len = 0;
    struct buf b;
    struct json_out j = document_out(r, &b);
    if (!arg(r, "channels")->given)
        return ERR_OK;
    json_arr(&j);
    while (rest.len > 0) {
        uint64_t cid;
        if (!id_parse_channel(sv_trim(sv_cut(&rest, ',')), &cid) || len++ == group_channels_max)
            return ERR_INVALID_CHANNEL_PROVIDED;
        json_id(&j, ID_CHANNEL, cid);
    }
    json_arr_end(&j);
    w->channels = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static void change(struct request *r, enum change what)
{
    struct document *d = document_new(r, r->who.team, DOC_USERGROUPS);
    struct wish *w = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : ERR_OK;
    if (d == NULL)
        return;
    if (err == ERR_OK) {
        w->change = what;
        d->own = w;
        if (what == SET_USERS)
            err = read_users(r, w);
        else if (what == CREATE || what == UPDATE)
            err = read_channels(r, w);
        if (what == CREATE)
            w->handle = handle_of(r, arg(r, "name")->s);
    }
    if (err != ERR_OK)
        answer_error(r, err);
    else
        document_change(r, d, edit, put_one);
}

void usergroups_create(struct request *r)
{
    change(r, CREATE);
}

void usergroups_update(struct request *r)
{
    change(r, UPDATE);
}

void usergroups_enable(struct request *r)
{
    change(r, ENABLE);
}

void usergroups_disable(struct request *r)
{
    change(r, DISABLE);
}

void usergroups_users_update(struct request *r)
{
    change(r, SET_USERS);
}
