#include "media/file_json.h"

#include "json/write.h"
#include "media/sniff.h"

enum { url_name_max = 80 };

/* ---- urls ---- */

static bool is_harmless(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Lower case, what else there is as one underscore; a dot only between two others, so that no name
 * is a way up. */
static void put_url_name(struct buf *out, struct str_view name)
{
    char text[url_name_max];
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < sizeof text; i++) {
        char c = name.p[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        bool dot = c == '.' && n > 0 && text[n - 1] != '.' && i + 1 < name.len;
        if (is_harmless(c) || dot)
            text[n++] = c;
        else if (n == 0 || text[n - 1] != '_')
            text[n++] = '_';
    }
    if (n == 0)
        buf_put_sv(out, SV("file"));
    buf_put(out, text, n);
}

static void put_id(struct buf *out, enum id_kind kind, uint64_t id)
{
    char text[id_text_max];
    buf_put(out, text, id_format(text, kind, id));
}

/* BASE/DIRECTORY/TEAM-FILE */
static void put_place(struct buf *out, struct str_view base_url, const char *directory,
                      const struct file_id *id, const struct row_file *row)
{
    buf_put_sv(out, base_url);
    buf_put_sv(out, sv_from(directory));
    put_id(out, ID_TEAM, row->team);
    buf_putc(out, '-');
    buf_put_sv(out, file_id_view(id));
}

/* Urls need no escaping: all that they are made of is harmless. */
static void open_text(struct json_out *j, const char *name)
{
    json_key(j, name);
    buf_putc(j->b, '"');
}

static void close_text(struct json_out *j)
{
    buf_putc(j->b, '"');
    j->comma = true;
}

static void put_urls(struct json_out *j, const struct file_id *id, const struct row_file *row,
                     struct str_view base_url)
{
    open_text(j, "url_private");
    put_place(j->b, base_url, "/files-pri/", id, row);
    buf_putc(j->b, '/');
    put_url_name(j->b, row->name);
    close_text(j);
    open_text(j, "url_private_download");
    put_place(j->b, base_url, "/files-pri/", id, row);
    buf_put_sv(j->b, SV("/download/"));
    put_url_name(j->b, row->name);
    close_text(j);
    open_text(j, "permalink");
    buf_put_sv(j->b, base_url);
    buf_put_sv(j->b, SV("/files/"));
    put_id(j->b, ID_USER, row->uid);
    buf_putc(j->b, '/');
    buf_put_sv(j->b, file_id_view(id));
    buf_putc(j->b, '/');
    put_url_name(j->b, row->name);
    close_text(j);
    if (row->secret.len == 0)
        return;
    open_text(j, "permalink_public");
    put_place(j->b, base_url, "/files-pub/", id, row);
    buf_putc(j->b, '-');
    buf_put_sv(j->b, row->secret);
    close_text(j);
}

/* ---- where it is shared ---- */

static enum id_kind letter_of(enum channel_kind kind)
{
    return kind == CHANNEL_IM ? ID_IM : kind == CHANNEL_MPIM ? ID_GROUP : ID_CHANNEL;
}

static bool is_first_of_channel(const struct row_file *row, const bool *seen, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (seen[k] && row->shares[k].cid == row->shares[i].cid)
            return false;
    }
    return true;
}

static void put_channels(struct json_out *j, const char *name, const struct row_file *row,
                         const bool *seen, unsigned kinds)
{
    json_key(j, name);
    json_arr(j);
    for (uint32_t i = 0; i < row->shares_len; i++) {
        const struct row_share *s = &row->shares[i];
        if (seen[i] && (kinds & 1u << s->kind) != 0 && is_first_of_channel(row, seen, i))
            json_id(j, letter_of(s->kind), s->cid);
    }
    json_arr_end(j);
}

static void put_messages(struct json_out *j, const struct row_file *row, uint32_t first)
{
    const struct row_share *of = &row->shares[first];
    char name[id_text_max];
    json_key_of(j, name, id_format(name, letter_of(of->kind), of->cid));
    json_arr(j);
    for (uint32_t i = first; i < row->shares_len; i++) {
        if (row->shares[i].cid != of->cid || row->shares[i].ts_us == TS_NONE)
            continue;
        json_obj(j);
        json_kv_ts(j, "ts", row->shares[i].ts_us);
        json_kv_id(j, "team_id", ID_TEAM, row->team);
        json_obj_end(j);
    }
    json_arr_end(j);
}

static void put_shares(struct json_out *j, const char *name, const struct row_file *row,
                       const bool *seen, bool public)
{
    bool begun = false;
    for (uint32_t i = 0; i < row->shares_len; i++) {
        bool of_this = (row->shares[i].kind == CHANNEL_PUBLIC) == public;
        if (!seen[i] || !of_this || !is_first_of_channel(row, seen, i))
            continue;
        if (!begun) {
            json_key(j, name);
            json_obj(j);
        }
        begun = true;
        put_messages(j, row, i);
    }
    if (begun)
        json_obj_end(j);
}

static bool is_public(const struct row_file *row, const bool *seen)
{
    for (uint32_t i = 0; i < row->shares_len; i++) {
        if (seen[i] && row->shares[i].kind == CHANNEL_PUBLIC)
            return true;
    }
    return false;
}

static void put_places(struct json_out *j, const struct row_file *row, const bool *seen)
{
    put_channels(j, "channels", row, seen, 1u << CHANNEL_PUBLIC);
    put_channels(j, "groups", row, seen, 1u << CHANNEL_PRIVATE | 1u << CHANNEL_MPIM);
    put_channels(j, "ims", row, seen, 1u << CHANNEL_IM);
    json_key(j, "shares");
    json_obj(j);
    put_shares(j, "public", row, seen, true);
    put_shares(j, "private", row, seen, false);
    json_obj_end(j);
}

/* ---- the object ---- */

static void put_content(struct json_out *j, const struct row_file *row)
{
    const struct type *t = type_find(row->filetype);
    bool snippet = (row->flags & FILE_SNIPPET) != 0;
    json_kv_str(j, "mimetype", row->mimetype);
    json_kv_str(j, "filetype", row->filetype);
    json_kv_str(j, "pretty_type", t == NULL ? row->filetype : t->pretty);
    json_kv_bool(j, "editable", snippet);
    json_kv_u64(j, "size", row->length);
    json_kv_str(j, "mode", snippet ? SV("snippet") : SV("hosted"));
    if (row->width > 0 && row->height > 0) {
        json_kv_u64(j, "original_w", row->width);
        json_kv_u64(j, "original_h", row->height);
    }
    if (row->alt_text.len > 0)
        json_kv_str(j, "alt_txt", row->alt_text);
}

void file_json(struct buf *out, const struct file_id *id, const struct row_file *row,
               struct str_view base_url, const bool seen[row_file_shares_max])
{
    struct json_out j = json_out_on(out);
    json_obj(&j);
    json_kv_str(&j, "id", file_id_view(id));
    json_kv_u64(&j, "created", row->created_us / 1000000);
    json_kv_u64(&j, "timestamp", row->created_us / 1000000);
    json_kv_str(&j, "name", row->name);
    json_kv_str(&j, "title", row->title.len > 0 ? row->title : row->name);
    put_content(&j, row);
    json_kv_id(&j, "user", ID_USER, row->uid);
    json_kv_id(&j, "user_team", ID_TEAM, row->team);
    json_kv_bool(&j, "is_external", false);
    json_kv_str(&j, "external_type", SV(""));
    json_kv_bool(&j, "is_public", is_public(row, seen));
    json_kv_bool(&j, "public_url_shared", row->secret.len > 0);
    json_kv_bool(&j, "display_as_bot", false);
    json_kv_str(&j, "username", SV(""));
    put_urls(&j, id, row, base_url);
    put_places(&j, row, seen);
    json_kv_bool(&j, "has_rich_preview", false);
    json_kv_str(&j, "file_access", SV("visible"));
    json_obj_end(&j);
}

void file_json_tombstone(struct buf *out, const struct file_id *id)
{
    struct json_out j = json_out_on(out);
    json_obj(&j);
    json_kv_str(&j, "id", file_id_view(id));
    json_kv_str(&j, "mode", SV("tombstone"));
    json_obj_end(&j);
}
