/* emoji.c - emoji.list, and admin.emoji.* by which admins make a workspace's own. A value is a URL
 * or alias:NAME. Source: Slack emoji.list, admin.emoji.*, emoji_changed. */
#include "api/document.h"
#include "api/handlers.h"

enum { emoji_max = 5000, name_bytes_max = 100, url_bytes_max = 2048 };

static void put_list(struct request *r, struct document *d)
{
    struct json_member *all;
    uint32_t len;
    r->arena.bytes_max = arena_list_max;
    if (!document_open(r, d, &all, &len))
        return;
    answer_begin_sized(r, d->text.len + 64);
    json_key(&r->j, "emoji");
    json_obj(&r->j);
    for (uint32_t i = 0; i < len; i++) {
        struct str_view name = document_member(r, &all[i], "name");
        json_key_of(&r->j, name.p, name.len);
        json_str(&r->j, document_member(r, &all[i], "value"));
    }
    json_obj_end(&r->j);
    json_kv_ts(&r->j, "cache_ts", r->a->t->wall_us);
    answer_end(r);
}

void emoji_list(struct request *r)
{
    struct document *d = document_new(r, r->who.team, DOC_EMOJI);
    if (d != NULL)
        document_read(r, d, put_list);
}

/* ---- admins ---- */

struct naming {
    struct str_view name, value; /* value p NULL: takes it away */
};

static bool is_name(struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+'))
            return false;
    }
    return s.len > 0 && s.len <= name_bytes_max;
}

static struct str_view event(struct request *r, const struct naming *n)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("emoji_changed"));
    json_kv_str(&j, "subtype", n->value.p != NULL ? SV("add") : SV("remove"));
    if (n->value.p != NULL) {
        json_kv_str(&j, "name", n->name);
        json_kv_str(&j, "value", n->value);
    } else {
        json_key(&j, "names");
        json_arr(&j);
        json_str(&j, n->name);
        json_arr_end(&j);
    }
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    return b.failed ? SV("") : buf_view(&b);
}

static enum err edit(struct request *r, struct document *d)
{
    const struct naming *n = d->own;
    struct json_member *all;
    uint32_t len;
    bool found = false;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++) {
        bool it = sv_eq(document_member(r, &all[i], "name"), n->name);
        found |= it;
        if (!it || n->value.p != NULL)
            document_put(&j, &all[i].value);
    }
    if (found == (n->value.p != NULL))
        return found ? ERR_NAME_TAKEN : ERR_EMOJI_NOT_FOUND;
    if (n->value.p != NULL) {
        if (len >= emoji_max)
            return ERR_TOO_MANY_ITEMS;
        json_obj(&j);
        json_kv_str(&j, "name", n->name);
        json_kv_str(&j, "value", n->value);
        json_obj_end(&j);
    }
    json_arr_end(&j);
    d->changed = true;
    d->next = buf_view(&b);
    d->to_team = event(r, n);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static void change(struct request *r, struct str_view value)
{
    struct document *d = document_new(r, r->who.team, DOC_EMOJI);
    struct naming *n = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *n);
    if (d == NULL)
        return;
    enum err err = n == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && !req_is_admin(r))
        err = ERR_NOT_ADMIN;
    if (err == ERR_OK && !is_name(arg(r, "name")->s))
        err = ERR_INVALID_EMOJI_NAME;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    *n = (struct naming){arg(r, "name")->s, value};
    d->own = n;
    document_change(r, d, edit, document_done);
}

void admin_emoji_add(struct request *r)
{
    struct str_view url = arg(r, "url")->s;
    bool web = sv_starts(url, SV("https://")) || sv_starts(url, SV("http://"));
    if (!web || url.len > url_bytes_max)
        answer_error(r, ERR_INVALID_LINK);
    else
        change(r, url);
}

void admin_emoji_add_alias(struct request *r)
{
    struct str_view of = arg(r, "alias_for")->s;
    struct buf b;
    if (!is_name(of)) {
        answer_error(r, ERR_INVALID_EMOJI_NAME);
        return;
    }
    buf_init(&b, &r->arena, of.len + 8);
    buf_put(&b, "alias:", 6);
    buf_put_sv(&b, of);
    if (b.failed)
        answer_error(r, ERR_NOMEM);
    else
        change(r, buf_view(&b));
}

void admin_emoji_remove(struct request *r)
{
    change(r, (struct str_view){0});
}
