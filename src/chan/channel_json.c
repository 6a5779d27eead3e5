#include "chan/channel_json.h"

enum id_kind channel_letter(enum channel_kind kind)
{
    return kind == CHANNEL_IM ? ID_IM : ID_CHANNEL;
}

static void text_object(struct json_out *j, const char *name, struct str_view value, uint64_t by,
                        uint64_t set_s)
{
    json_key(j, name);
    json_obj(j);
    json_kv_str(j, "value", value);
    if (by == ID_NONE)
        json_kv_str(j, "creator", SV(""));
    else
        json_kv_id(j, "creator", ID_USER, by);
    json_kv_u64(j, "last_set", set_s);
    json_obj_end(j);
}

/* Of a group conversation the name is stored behind a mark. */
static void put_names(struct json_out *j, const struct row_chan_info *info)
{
    struct str_view name = info->name;
    if (info->kind == CHANNEL_MPIM && name.len > 0)
        name = (struct str_view){name.p + 1, name.len - 1};
    json_kv_str(j, "name", name);
    json_kv_str(j, "name_normalized", name);
}

void channel_json(struct json_out *j, const struct row_chan_info *info,
                  const struct channel_view *v)
{
    json_obj(j);
    json_kv_id(j, "id", channel_letter(info->kind), info->cid);
    if (info->kind == CHANNEL_IM)
        json_kv_id(j, "user", ID_USER, info->creator == v->viewer ? info->peer : info->creator);
    else
        put_names(j, info);
    json_kv_bool(j, "is_channel", info->kind == CHANNEL_PUBLIC);
    json_kv_bool(j, "is_group", info->kind == CHANNEL_PRIVATE);
    json_kv_bool(j, "is_im", info->kind == CHANNEL_IM);
    json_kv_bool(j, "is_mpim", info->kind == CHANNEL_MPIM);
    json_kv_bool(j, "is_private", info->kind != CHANNEL_PUBLIC);
    json_kv_bool(j, "is_archived", info->archived);
    json_kv_bool(j, "is_general", info->general);
    json_kv_bool(j, "is_member", v->is_member);
    if (channel_is_direct(info->kind))
        json_kv_bool(j, "is_open", v->is_member && !v->closed);
    json_kv_bool(j, "is_shared", false);
    json_kv_bool(j, "is_ext_shared", false);
    json_kv_bool(j, "is_org_shared", false);
    json_kv_u64(j, "created", info->created_s);
    json_kv_u64(j, "updated", info->updated_s * 1000);
    json_kv_id(j, "creator", ID_USER, info->creator);
    json_kv_u64(j, "unlinked", 0);
    json_kv_id(j, "context_team_id", ID_TEAM, info->team);
    text_object(j, "topic", info->topic, info->topic_by, info->topic_set_s);
    text_object(j, "purpose", info->purpose, info->purpose_by, info->purpose_set_s);
    if (v->with_num_members)
        json_kv_u64(j, "num_members", v->num_members);
    if (v->with_read) {
        json_kv_ts(j, "last_read", v->last_read_us);
        json_kv_u64(j, "unread_count", v->unread);
        json_kv_u64(j, "unread_count_display", v->unread);
        if (v->latest_us != TS_NONE) {
            json_key(j, "latest");
            json_obj(j);
            json_kv_ts(j, "ts", v->latest_us);
            json_obj_end(j);
        }
    }
    json_obj_end(j);
}
