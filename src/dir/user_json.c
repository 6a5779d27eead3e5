#include "dir/user_json.h"

#include "base/hex.h"
#include "base/rand.h"

struct str_view user_color(char out[6], uint64_t uid)
{
    uint64_t v = mix64(uid);
    for (int i = 0; i < 6; i++, v >>= 4)
        out[i] = hex_digit(v);
    return (struct str_view){out, 6};
}

/* No user has a picture: a plain one in the user's colour stands for it in every size. */
static void put_images(struct json_out *j, struct str_view base, struct str_view color)
{
    static const char *const names[] = {"image_24", "image_32",  "image_48",
                                        "image_72", "image_192", "image_512"};
    char text[256];
    struct buf url;
    json_kv_str(j, "avatar_hash", color);
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    if (base.len == 0)
        return;
    buf_init_fixed(&url, text, sizeof text);
    buf_printf(&url, "%.*s/avatar/%.*s.png", SV_ARG(base), SV_ARG(color));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_kv_str(j, names[i], url.failed ? SV("") : buf_view(&url));
}

/* The first word, and the rest. */
static void put_names(struct json_out *j, struct str_view real)
{
    size_t first = 0;
    while (first < real.len && real.p[first] != ' ')
        first++;
    json_kv_str(j, "first_name", (struct str_view){real.p, first});
    json_kv_str(j, "last_name", sv_trim((struct str_view){real.p + first, real.len - first}));
}

static void put_status(struct json_out *j, const struct row_user *u, uint64_t now_s)
{
    bool ended = u->status_expiration_s != 0 && u->status_expiration_s <= now_s;
    json_kv_str(j, "status_text", ended ? SV("") : u->status_text);
    json_kv_str(j, "status_emoji", ended ? SV("") : u->status_emoji);
    json_kv_u64(j, "status_expiration", ended ? 0 : u->status_expiration_s);
}

void user_json_profile(struct json_out *j, const struct row_user *u, const struct user_view *v)
{
    char text[6];
    json_obj(j);
    json_kv_str(j, "real_name", u->real_name);
    json_kv_str(j, "real_name_normalized", u->real_name);
    json_kv_str(j, "display_name", u->display_name);
    json_kv_str(j, "display_name_normalized", u->display_name);
    put_names(j, u->real_name);
    if (v->with_email && u->email.len > 0)
        json_kv_str(j, "email", u->email);
    json_kv_str(j, "title", u->title);
    json_kv_str(j, "phone", u->phone);
    put_status(j, u, v->now_s);
    put_images(j, v->base_url, user_color(text, u->uid));
    json_kv_id(j, "team", ID_TEAM, u->team);
    if (u->bot_id != ID_NONE) {
        json_kv_id(j, "bot_id", ID_BOT, u->bot_id);
        json_kv_id(j, "api_app_id", ID_APP, u->app_id);
    }
    json_obj_end(j);
}

void user_json(struct json_out *j, const struct row_user *u, const struct user_view *v)
{
    char text[6];
    bool first = (u->flags & USER_PRIMARY_OWNER) != 0;
    bool owner = first || (u->flags & USER_OWNER) != 0;
    json_obj(j);
    json_kv_id(j, "id", ID_USER, u->uid);
    json_kv_id(j, "team_id", ID_TEAM, u->team);
    json_kv_str(j, "name", u->name);
    json_kv_bool(j, "deleted", (u->flags & USER_DELETED) != 0);
    json_kv_str(j, "color", user_color(text, u->uid));
    json_kv_str(j, "real_name", u->real_name);
    json_kv_str(j, "tz", u->tz.len > 0 ? u->tz : SV("UTC"));
    json_kv_str(j, "tz_label", SV("Coordinated Universal Time"));
    json_kv_u64(j, "tz_offset", 0);
    json_key(j, "profile");
    user_json_profile(j, u, v);
    json_kv_bool(j, "is_admin", owner || (u->flags & USER_ADMIN) != 0);
    json_kv_bool(j, "is_owner", owner);
    json_kv_bool(j, "is_primary_owner", first);
    json_kv_bool(j, "is_restricted", (u->flags & USER_GUEST) != 0);
    json_kv_bool(j, "is_ultra_restricted", false);
    json_kv_bool(j, "is_bot", (u->flags & USER_BOT) != 0);
    json_kv_bool(j, "is_app_user", false);
    json_kv_u64(j, "updated", u->updated_s);
    if (v->with_locale)
        json_kv_str(j, "locale", SV("en-US"));
    json_obj_end(j);
}
