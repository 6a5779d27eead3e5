#include "chan/post_json.h"

#include "base/span.h"

static bool is_entity(struct str_view s)
{
    return sv_starts(s, SV("&amp;")) || sv_starts(s, SV("&lt;")) || sv_starts(s, SV("&gt;"));
}

/* Length of a token <@U..>, <#C..|x>, <!here>, <url|label> at the start of s; 0: a stray bracket.
 */
static size_t token_len(struct str_view s)
{
    static const char *const schemes[] = {"http://", "https://", "mailto:", "tel:", "slack://"};
    const char *end = memchr(s.p, '>', s.len);
    if (end == NULL || end == s.p + 1 || memchr(s.p + 1, '<', (size_t)(end - s.p - 1)) != NULL ||
        memchr(s.p, '\n', (size_t)(end - s.p)) != NULL)
        return 0;
    struct str_view inside = {s.p + 1, (size_t)(end - s.p - 1)};
    bool known = strchr("@#!", inside.p[0]) != NULL && inside.len > 1;
    for (size_t i = 0; i < ARRAY_LEN(schemes) && !known; i++)
        known = sv_starts(inside, sv_from(schemes[i]));
    return known ? (size_t)(end - s.p) + 1 : 0;
}

static inline int is_markup(__m128i bytes)
{
    return _mm_movemask_epi8(
        _mm_or_si128(span_is(bytes, '&'), _mm_or_si128(span_is(bytes, '<'), span_is(bytes, '>'))));
}

static bool needs_work(struct str_view text)
{
    return span(text.p, text.len, is_markup) < text.len;
}

void post_json_text(struct json_out *j, struct arena *a, struct str_view text)
{
    if (LIKELY(!needs_work(text))) {
        json_str(j, text);
        return;
    }
    struct buf out;
    buf_init(&out, a, text.len + 64);
    for (size_t i = 0; i < text.len;) {
        struct str_view rest = {text.p + i, text.len - i};
        size_t token = text.p[i] == '<' ? token_len(rest) : 0;
        if (token > 0) { /* inside, too, a bare & is stray: <https://x/?a=1&b=2> */
            for (size_t k = 0; k < token; k++) {
                struct str_view at = {rest.p + k, rest.len - k};
                if (at.p[0] == '&' && !is_entity(at))
                    buf_put(&out, "&amp;", 5);
                else
                    buf_putc(&out, at.p[0]);
            }
            i += token;
            continue;
        }
        if (text.p[i] == '<')
            buf_put(&out, "&lt;", 4);
        else if (text.p[i] == '>')
            buf_put(&out, "&gt;", 4);
        else if (text.p[i] == '&' && !is_entity(rest))
            buf_put(&out, "&amp;", 5);
        else
            buf_putc(&out, text.p[i]);
        i++;
    }
    j->b->failed |= out.failed;
    json_str(j, buf_view(&out));
}

static void bot_members(struct json_out *j, const struct post_json *p)
{
    json_kv_id(j, "bot_id", ID_BOT, p->bot_id);
    json_kv_id(j, "app_id", ID_APP, p->app_id);
    json_key(j, "bot_profile");
    json_obj(j);
    json_kv_id(j, "id", ID_BOT, p->bot_id);
    json_kv_str(j, "name", p->bot_name);
    json_kv_id(j, "app_id", ID_APP, p->app_id);
    json_kv_id(j, "team_id", ID_TEAM, p->team);
    json_kv_bool(j, "deleted", false);
    json_obj_end(j);
}

static void name_members(struct json_out *j, const struct post_json *p)
{
    if (p->username.len > 0)
        json_kv_str(j, "username", p->username);
    if (p->icon_url.len == 0 && p->icon_emoji.len == 0)
        return;
    json_key(j, "icons");
    json_obj(j);
    if (p->icon_emoji.len > 0)
        json_kv_str(j, "emoji", p->icon_emoji);
    if (p->icon_url.len > 0)
        json_kv_str(j, "image_48", p->icon_url);
    json_obj_end(j);
}

static void put_array(struct json_out *j, const char *name, struct str_view array)
{
    if (array.len == 0)
        return;
    json_key(j, name);
    json_raw(j, array);
}

void post_json_content(struct buf *b, const struct post_json *p)
{
    struct json_out j = {.b = b, .comma = true};
    json_key(&j, "text");
    post_json_text(&j, b->arena, p->text);
    put_array(&j, "blocks", p->blocks);
    put_array(&j, "attachments", p->attachments);
    put_array(&j, "files", p->files);
}

uint32_t post_json_members(struct buf *b, const struct post_json *p)
{
    struct json_out j = json_out_on(b);
    size_t begin = b->len;
    json_kv_str(&j, "type", SV("message"));
    if (p->subtype.len > 0)
        json_kv_str(&j, "subtype", p->subtype);
    if (!sv_eq(p->subtype, SV("bot_message"))) /* that one speaks for somebody else */
        json_kv_id(&j, "user", ID_USER, p->uid);
    json_kv_id(&j, "team", ID_TEAM, p->team);
    if (p->bot_id != ID_NONE)
        bot_members(&j, p);
    name_members(&j, p);
    if (p->client_msg_id.len > 0)
        json_kv_str(&j, "client_msg_id", p->client_msg_id);
    if (p->upload)
        json_kv_bool(&j, "upload", true);
    if (p->plain) /* before the content: an edit leaves it */
        json_kv_bool(&j, "mrkdwn", false);
    uint32_t content_at = (uint32_t)(b->len - begin);
    post_json_content(b, p);
    return content_at;
}
