/* text.c - what is searched of a message: its text, and every text inside blocks and attachments.
 */
#include "base/id.h"
#include "search/internal.h"

enum { nested_max = 8, texts_bytes_max = 65536 };

struct gather {
    struct json_reader *json;
    struct arena *a;
    struct buf out;
};

static bool is_text_name(struct str_view name)
{
    static const char *const names[] = {"text",    "title", "fallback",
                                        "pretext", "value", "alt_text"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (sv_eq(name, sv_from(names[i])))
            return true;
    }
    return false;
}

static void gather_value(struct gather *g, struct str_view name, const struct json_value *v,
                         unsigned depth)
{
    struct json_member *members;
    uint32_t len;
    if (v->type == JSON_STRING && is_text_name(name) && g->out.len < texts_bytes_max) {
        buf_putc(&g->out, '\n');
        buf_put_sv(&g->out, v->s);
    }
    if (depth == nested_max)
        return;
    bool read =
        (v->type == JSON_OBJECT &&
         json_read_object(g->json, g->a, v->s, &members, &len) == ERR_OK) ||
        (v->type == JSON_ARRAY && json_read_array(g->json, g->a, v->s, &members, &len) == ERR_OK);
    for (uint32_t i = 0; read && i < len; i++)
        gather_value(g, members[i].name, &members[i].value, depth + 1);
}

enum err message_text(struct json_reader *json, struct arena *a, struct str_view body,
                      struct message_text *out)
{
    struct json_member *members;
    uint32_t len;
    struct gather g = {.json = json, .a = a};
    *out = (struct message_text){0};
    char *whole = arena_alloc(a, body.len + 1);
    if (whole == NULL)
        return ERR_NOMEM;
    memcpy(whole, body.p, body.len);
    whole[body.len] = '}';
    enum err err =
        json_read_object(json, a, (struct str_view){whole, body.len + 1}, &members, &len);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? err : ERR_CORRUPT;
    const struct json_value *text = json_find(members, len, SV("text"));
    const struct json_value *blocks = json_find(members, len, SV("blocks"));
    const struct json_value *attachments = json_find(members, len, SV("attachments"));
    out->shown = text != NULL && text->type == JSON_STRING ? text->s : SV("");
    out->has_file = json_find(members, len, SV("files")) != NULL;
    out->text = out->shown;
    if (blocks != NULL || attachments != NULL) {
        buf_init(&g.out, a, out->shown.len + 256);
        buf_put_sv(&g.out, out->shown);
        if (blocks != NULL)
            gather_value(&g, SV(""), blocks, 0);
        if (attachments != NULL)
            gather_value(&g, SV(""), attachments, 0);
        if (g.out.failed)
            return ERR_NOMEM;
        out->text = buf_view(&g.out);
    }
    out->has_link = memmem(out->text.p, out->text.len, "http://", 7) != NULL ||
                    memmem(out->text.p, out->text.len, "https://", 8) != NULL;
    return ERR_OK;
}

/* ---- marks ---- */

static struct str_view mark_id(char out[mark_max], char what, enum id_kind kind, uint64_t id)
{
    out[0] = mark_byte;
    out[1] = what;
    return (struct str_view){out, 2 + id_format(out + 2, kind, id)};
}

struct str_view mark_from(char out[mark_max], uint64_t uid)
{
    return mark_id(out, 'f', ID_USER, uid);
}

struct str_view mark_in(char out[mark_max], uint64_t cid)
{
    return mark_id(out, 'c', ID_CHANNEL, cid);
}

struct str_view mark_plain(char out[mark_max], char what)
{
    out[0] = mark_byte;
    out[1] = what;
    return (struct str_view){out, 2};
}
