/* files.c - files.*: what is known of files, their links, their end; and the two ends of an upload.
 * The bytes go by upload.c and download.c. Source: Slack files.*; slack-api reference, Files. */
#include "api/files.h"

#include "api/handlers.h"

enum {
    alt_text_max = 1000, /* characters */
    url_bytes = 256,
    object_bytes = 2048,
    list_count = 100
};

/* ---- an upload begins ---- */

static void on_reserved(struct request *r, const struct cell *c)
{
    const struct media_reserve *m = r->work;
    struct buf url;
    if (answer_refused(r, c))
        return;
    buf_init(&url, &r->arena, url_bytes);
    answer_url(r, &url, false);
    buf_printf(&url, "upload/%.*s", file_id_len, m->id.text);
    answer_begin(r);
    json_kv_str(&r->j, "upload_url", buf_view(&url));
    json_kv_str(&r->j, "file_id", file_id_view(&m->id));
    r->body.failed |= url.failed;
    answer_end(r);
}

bool files_text_is_over(struct str_view s, size_t characters)
{
    return s.len > characters && utf8_count(s) > characters;
}

void files_get_upload_url(struct request *r)
{
    struct media_reserve *m = arena_zalloc(&r->arena, sizeof *m);
    const struct arg_value *alt = arg(r, "alt_txt")->given ? arg(r, "alt_txt") : arg(r, "alt_text");
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct media_reserve){.team = r->who.team,
                                .uid = r->who.uid,
                                .name = arg(r, "filename")->s,
                                .alt_text = alt->s,
                                .snippet_type = arg(r, "snippet_type")->s,
                                .length = arg(r, "length")->n};
    if (m->name.len == 0 || files_text_is_over(m->name, filename_max) ||
        files_text_is_over(m->snippet_type, snippet_type_max)) {
        answer_error(r, ERR_INVALID_ARGUMENTS);
        return;
    }
    if (files_text_is_over(m->alt_text, alt_text_max)) {
        answer_error(r, ERR_ALT_TXT_TOO_LARGE);
        return;
    }
    r->work = m;
    req_send(r, r->a->conf.media, MEDIA_RESERVE, ID_NONE, m, on_reserved);
}

/* ---- and is complete ---- */

static enum err read_files(struct request *r, struct share *s)
{
    struct json_member *elements, *members;
    uint32_t len, members_len;
    TRY(json_read_array_max(r->a->json, &r->arena, arg(r, "files")->s, share_files_max, &elements,
                            &len));
    for (uint32_t i = 0; i < len; i++) {
        TRY(json_read_object(r->a->json, &r->arena, elements[i].value.s, &members, &members_len));
        const struct json_value *id = json_find(members, members_len, SV("id")),
                                *title = json_find(members, members_len, SV("title"));
        if (id == NULL || id->type != JSON_STRING || !file_id_parse(id->s, &s->ids[i]))
            return ERR_FILE_NOT_FOUND;
        for (uint32_t k = 0; k < i; k++) {
            if (memcmp(s->ids[k].text, s->ids[i].text, file_id_len) == 0)
                return ERR_INVALID_ARGUMENTS;
        }
        if (title != NULL && title->type == JSON_STRING && title->s.len > 0) {
            if (files_text_is_over(title->s, filename_max))
                return ERR_INVALID_ARGUMENTS;
            s->titles[i] = title->s;
        }
    }
    s->files_len = len;
    return len > 0 ? ERR_OK : ERR_INVALID_ARGUMENTS;
}

enum err files_read_message(struct request *r, struct share *s)
{
    const struct arg_value *thread = arg(r, "thread_ts"), *comment = arg(r, "initial_comment");
    if (files_text_is_over(comment->s, r->a->conf.conf->api_text_max))
        return ERR_MSG_TOO_LONG;
    if (thread->given && (thread->n == 0 || s->channels_len > 1))
        return ERR_CANNOT_REPLY_TO_MESSAGE;
    s->thread_ts_us = thread->given ? thread->n : 0;
    s->text = comment->given ? comment->s : SV("");
    return ERR_OK;
}

static enum err read_complete(struct request *r, struct share *s)
{
    const struct arg_value *channel = arg(r, "channel_id"), *blocks = arg(r, "blocks");
    TRY(read_files(r, s));
    if (channel->given)
        TRY(share_add_channel(s, channel->n));
    TRY(share_add_channels(r, s, arg(r, "channels")->s));
    s->blocks = blocks->given ? blocks->s : SV_NONE;
    return files_read_message(r, s);
}

static void on_complete(struct request *r, struct str_view files)
{
    answer_begin_sized(r, files.len + 64);
    json_key(&r->j, "files");
    json_arr(&r->j);
    json_raw(&r->j, files);
    json_arr_end(&r->j);
    answer_end(r);
}

void files_complete_upload(struct request *r)
{
    struct share *s = arena_zalloc(&r->arena, sizeof *s);
    enum err err = s == NULL ? ERR_NOMEM : read_complete(r, s);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    s->uploaded = true;
    s->then = on_complete;
    share_begin(r, s);
}

/* ---- what is known ---- */

static enum err read_file(struct request *r, struct file_id *id)
{
    r->base_url = file_base_url(r);
    if (r->base_url.p == NULL)
        return ERR_NOMEM;
    return file_id_parse(arg(r, "file")->s, id) ? ERR_OK : ERR_FILE_NOT_FOUND;
}

static void put_file(struct request *r, const struct buf *json)
{
    json_key(&r->j, "file");
    json_raw(&r->j, buf_view(json));
    r->body.failed |= json->failed;
}

static void on_info(struct request *r, const struct cell *c)
{
    const struct media_info *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->json.len + 256);
    put_file(r, &m->json);
    json_key(&r->j, "comments"); /* Slack has none any more */
    json_arr(&r->j);
    json_arr_end(&r->j);
    paging_write(r, list_count, 0, 1);
    answer_end(r);
}

void files_info(struct request *r)
{
    struct media_info *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM : read_file(r, &m->id);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    m->viewer = req_viewer(r);
    m->base_url = r->base_url;
    buf_init(&m->json, &r->arena, object_bytes);
    r->work = m;
    req_send(r, r->a->conf.media, MEDIA_INFO, ID_NONE, m, on_info);
}

static enum err read_types(struct str_view list, uint32_t *types)
{
    static const struct {
        const char *name;
        uint32_t types;
    } known[] = {{"all", MEDIA_ALL},   {"images", MEDIA_IMAGES}, {"snippets", MEDIA_SNIPPETS},
                 {"pdfs", MEDIA_PDFS}, {"zips", MEDIA_ZIPS},     {"gdocs", MEDIA_DOCS},
                 {"docs", MEDIA_DOCS}, {"spaces", MEDIA_DOCS}};
    *types = list.len == 0 ? MEDIA_ALL : 0;
    while (list.len > 0) {
        struct str_view one = sv_trim(sv_cut(&list, ','));
        size_t i = 0;
        while (i < ARRAY_LEN(known) && !sv_eq(one, sv_from(known[i].name)))
            i++;
        if (i == ARRAY_LEN(known))
            return ERR_UNKNOWN_TYPE;
        *types |= known[i].types;
    }
    return ERR_OK;
}

/* "1764072000000000:F0123..." */
static void write_next(struct request *r, const struct file_at *next)
{
    char text[24 + file_id_len];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    if (next->created_us != 0)
        buf_printf(&b, "%llu:%.*s", (unsigned long long)next->created_us, file_id_len,
                   next->id.text);
    cursor_write(r, "next_file", buf_view(&b));
}

/* By cursor where the caller asks so; both kinds of page can be gone on from by cursor. */
static enum err read_page(struct request *r, struct media_list *m)
{
    const struct arg_value *limit = arg(r, "limit"), *count = arg(r, "count"),
                           *page = arg(r, "page");
    struct str_view id;
    m->count = (uint32_t)(limit->given ? limit->n : count->given ? count->n : list_count);
    TRY(cursor_read(r, "next_file", &id));
    bool by_cursor = limit->given || id.len > 0;
    if (!by_cursor)
        m->page = page->given ? (uint32_t)page->n : 1;
    if (id.len == 0)
        return ERR_OK;
    struct str_view created = sv_cut(&id, ':');
    bool is = sv_to_u64(created, &m->behind.created_us) && m->behind.created_us != 0 &&
              file_id_parse(id, &m->behind.id);
    return is ? ERR_OK : ERR_INVALID_CURSOR;
}

static void on_list(struct request *r, const struct cell *c)
{
    const struct media_list *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->json.len + 256);
    json_key(&r->j, "files");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->json));
    json_arr_end(&r->j);
    if (m->page > 0)
        paging_write(r, m->count, m->total, m->page);
    write_next(r, &m->next);
    r->body.failed |= m->json.failed;
    answer_end(r);
}

void files_list(struct request *r)
{
    const struct arg_value *from = arg(r, "ts_from"), *to = arg(r, "ts_to");
    struct media_list *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM : read_types(arg(r, "types")->s, &m->types);
    if (err == ERR_OK)
        err = read_page(r, m);
    r->base_url = file_base_url(r);
    if (err != ERR_OK || r->base_url.p == NULL) {
        answer_error(r, err != ERR_OK ? err : ERR_NOMEM);
        return;
    }
    m->viewer = req_viewer(r);
    m->uid = arg(r, "user")->n;
    m->cid = arg(r, "channel")->n;
    m->from_us = from->given ? from->n : 0;
    m->to_us = to->given ? to->n : UINT64_MAX;
    m->base_url = r->base_url;
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->json, &r->arena, 0);
    r->work = m;
    req_send(r, r->a->conf.media, MEDIA_LIST, ID_NONE, m, on_list);
}
