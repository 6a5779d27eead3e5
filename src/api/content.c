#include "api/content.h"

#include "chan/chan_msg.h"

enum { markdown_max = 12000 };

enum err content_channel(const struct request *r, uint64_t *cid)
{
    struct str_view name = arg(r, "channel")->s;
    enum channel_kind kind;
    if (id_parse_channel(name, cid))
        return ERR_OK;
    if (name.len > 0 && name.p[0] == '#')
        name = (struct str_view){name.p + 1, name.len - 1};
    return dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, cid, &kind)
               ? ERR_OK
               : ERR_CHANNEL_NOT_FOUND;
}

static bool is_longer(struct str_view text, uint64_t max)
{
    return text.len > max && utf8_count(text) > max;
}

bool content_too_long(const struct request *r, struct str_view text)
{
    return is_longer(text, r->a->conf.conf->api_text_max);
}

enum err content_read(const struct request *r, struct post_json *p)
{
    const struct arg_value *text = arg(r, "text"), *markdown = arg(r, "markdown_text"),
                           *blocks = arg(r, "blocks"), *attachments = arg(r, "attachments");
    bool is_markdown = markdown->given && markdown->s.len > 0;
    if (is_markdown && ((text->given && text->s.len > 0) || blocks->given))
        return ERR_MARKDOWN_TEXT_CONFLICT;
    p->text = is_markdown ? markdown->s : text->given ? text->s : SV("");
    p->blocks = blocks->given ? blocks->s : SV_NONE;
    p->attachments = attachments->given ? attachments->s : SV_NONE;
    bool too_long = is_markdown ? is_longer(p->text, markdown_max) : content_too_long(r, p->text);
    return too_long ? ERR_MSG_TOO_LONG : ERR_OK;
}

enum err content_metadata(struct request *r, struct str_view *out)
{
    const struct arg_value *v = arg(r, "metadata");
    struct json_member *members;
    uint32_t len;
    *out = SV_NONE;
    if (!v->given)
        return ERR_OK;
    TRY(json_read_object(r->a->json, &r->arena, v->s, &members, &len));
    const struct json_value *type = json_find(members, len, SV("event_type"));
    const struct json_value *payload = json_find(members, len, SV("event_payload"));
    if (type == NULL || type->type != JSON_STRING || type->s.len == 0 || payload == NULL ||
        payload->type != JSON_OBJECT)
        return ERR_INVALID_METADATA;
    *out = v->s;
    return ERR_OK;
}

void content_self(const struct request *r, struct post_json *p)
{
    p->team = r->who.team;
    p->uid = r->who.uid;
    p->app_id = r->who.app_id;
    if (r->who.kind != TOKEN_BOT)
        return;
    const struct row_user *user = dir_user(r->a->conf.dir_reader, r->who.team, r->who.uid);
    p->bot_id = r->who.bot_id;
    p->bot_name = user == NULL ? SV("") : user->name;
}

void content_sender(const struct request *r, struct post_json *p)
{
    content_self(r, p);
    if (r->who.kind != TOKEN_BOT)
        return;
    p->username = arg(r, "username")->s;
    p->icon_emoji = arg(r, "icon_emoji")->s;
    p->icon_url = arg(r, "icon_url")->s;
    if (p->username.len > 0)
        p->subtype = SV("bot_message");
}

enum err content_encode(struct request *r, const struct post_json *p, struct chan_post *post)
{
    struct buf members;
    buf_init(&members, &r->arena,
             256 + p->text.len + p->blocks.len + p->attachments.len + p->client_msg_id.len);
    post->content_at = post_json_members(&members, p);
    /* Once it is stored nothing may fail any more, so the answer's room is taken now. */
    if (members.failed || !arena_reserve(&r->arena, members.len + content_answer_bytes))
        return ERR_NOMEM;
    post->team = r->who.team;
    post->uid = r->who.uid;
    post->client_msg_id = p->client_msg_id;
    post->members = buf_view(&members);
    post->deadline_us = r->deadline_us;
    if (p->client_msg_id.len > 0)
        key128_of(post->key128, p->client_msg_id);
    return ERR_OK;
}
