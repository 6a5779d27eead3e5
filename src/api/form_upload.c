/* form_upload.c - files.upload, the old way: file, arguments and perhaps the token in one form, in
 * any order. Whose file it is must be known before media is asked: once the first chunk is full, or
 * the form is whole. So a client that sends its token behind a longer file is refused, and nobody
 * else's bytes are kept. A text may come as the argument `content` instead.
 * Source: Slack files.upload; slack-api reference, files. */
#include "api/files.h"
#include "api/handlers.h"
#include "api/parts.h"
#include "http1/form.h"

enum { fields_max = 64 };

struct form_upload {
    struct parts parts;
    struct buf value;         /* of the present field */
    bool found;               /* a part with a filename has begun */
    bool asked;               /* media was, for a file of this caller's */
    struct str_view filename; /* of that part */
    struct str_view rest;     /* of content, not yet in a chunk */
    struct share share;
};

/* ---- bytes ---- */

static enum err on_part(struct request *r, struct parts *p)
{
    struct form_upload *u = r->work;
    bool is_file = p->m.part.filename.p != NULL;
    p->in_file = is_file && !u->found;
    if (p->in_file)
        u->filename = p->m.part.filename;
    u->found |= is_file;
    buf_init(&u->value, &r->arena, 0);
    return ERR_OK;
}

static enum err on_field(struct request *r, struct parts *p, struct str_view data)
{
    struct form_upload *u = r->work;
    if (p->m.part.filename.p != NULL)
        return ERR_OK; /* a second file */
    buf_put_sv(&u->value, data);
    return u->value.failed ? ERR_NOMEM : ERR_OK;
}

static enum err on_end(struct request *r, struct parts *p)
{
    struct form_upload *u = r->work;
    struct str_view value = u->value.len > 0 ? buf_view(&u->value) : SV("");
    if (p->m.part.filename.p != NULL)
        return ERR_OK;
    if (!form_is_text(value))
        return ERR_INVALID_FORM_DATA;
    if (r->args_len - r->query_args_len == fields_max)
        return ERR_POST_CONTENTS_TOO_LARGE;
    r->args[r->args_len++] =
        (struct json_member){.name = p->m.part.name, .value = {.type = JSON_STRING, .s = value}};
    return ERR_OK;
}

static uint64_t in_chunks(const struct transfer *t)
{
    return (uint64_t)t->chunks[0].len + t->chunks[1].len;
}

static struct str_view text_arg(const struct request *r, const char *name)
{
    const struct json_value *v = args_find(r, sv_from(name));
    return v == NULL || v->type != JSON_STRING ? SV("") : v->s;
}

/* By what has come of the arguments. length: UINT64_MAX while it is not known. */
static enum err ask_media(struct request *r, struct form_upload *u, uint64_t length)
{
    struct transfer *t = r->transfer;
    struct str_view name = text_arg(r, "filename"), type = text_arg(r, "filetype");
    if (name.len == 0)
        name = u->filename.len > 0 ? u->filename : SV("untitled");
    if (files_text_is_over(name, filename_max))
        return ERR_INVALID_ARGUMENTS;
    t->m.reserve = (struct media_reserve){.team = r->who.team, .uid = r->who.uid, .length = length};
    t->m.reserve.name = arena_dup(&t->arena, name);
    if (!u->found) /* a text is a snippet */
        t->m.reserve.snippet_type = arena_dup(&t->arena, type.len > 0 ? type : SV("text"));
    if (t->m.reserve.name.p == NULL || (!u->found && t->m.reserve.snippet_type.p == NULL))
        return ERR_NOMEM;
    u->asked = true;
    transfer_ask(t, MEDIA_RESERVE);
    return ERR_OK;
}

static size_t take(void *ctx, const uint8_t *p, size_t n)
{
    struct request *r = ctx;
    struct form_upload *u = r->work;
    if (r->refused != ERR_OK)
        return n;
    size_t took = parts_take(r, &u->parts, p, n);
    upload_earn_time(r, took);
    if (r->refused != ERR_OK || u->asked || in_chunks(r->transfer) < media_chunk_bytes)
        return took;
    enum err err = req_authorise(r);
    if (err == ERR_OK)
        err = ask_media(r, u, UINT64_MAX);
    if (err != ERR_OK)
        upload_refuse_here(r, err);
    return took;
}

/* ---- what media says ---- */

static void pump(struct request *r, struct form_upload *u)
{
    size_t took;
    enum err err = ERR_OK;
    if (r->state != REQ_TRANSFER) /* the form is still coming */
        return;
    if (u->rest.len > 0) {
        err = transfer_put(r->transfer, u->rest.p, u->rest.len, &took);
        u->rest = (struct str_view){u->rest.p + took, u->rest.len - took};
    }
    if (err != ERR_OK) {
        transfer_leave(r);
        upload_failed(r, err);
    } else if (u->rest.len == 0 && !r->transfer->whole) {
        transfer_finish(r->transfer);
    }
}

static void on_done(struct request *r, struct str_view file)
{
    answer_begin_sized(r, file.len + 64);
    json_key(&r->j, "file");
    json_raw(&r->j, file);
    answer_end(r);
}

static void stored(struct request *r, struct form_upload *u)
{
    metric_add(r->a->t->metrics, METRIC_UPLOADS, 1);
    transfer_leave(r);
    r->state = REQ_RUNNING;
    share_begin(r, &u->share);
}

static void told(struct request *r, uint16_t type, enum err err)
{
    struct form_upload *u = r->work;
    struct hconn *c = r->conn;
    if (err != ERR_OK) {
        upload_failed(r, err);
    } else if (type == MEDIA_RESERVE) {
        u->share.ids[0] = r->transfer->m.reserve.id;
        u->share.files_len = 1;
        r->transfer->m.begin = (struct media_begin){.id = u->share.ids[0], .declared = UINT64_MAX};
        transfer_ask(r->transfer, MEDIA_BEGIN);
    } else if (type == MEDIA_FINISH) {
        stored(r, u);
    } else {
        pump(r, u);
    }
    hconn_mark(c);
}

/* ---- the request ---- */

static enum err begin(struct request *r)
{
    struct form_upload *u = arena_zalloc(&r->arena, sizeof *u);
    if (u == NULL)
        return ERR_NOMEM;
    u->parts.on_part = on_part;
    u->parts.on_field = on_field;
    u->parts.on_end = on_end;
    r->work = u;
    return transfer_new(r, true, told);
}

/* The fields follow as they come. */
static enum err gather_query(struct request *r)
{
    struct form f = {0};
    TRY(form_parse_urlencoded(&f, &r->arena, r->http.query));
    r->args = arena_alloc(&r->arena, (f.len + fields_max) * sizeof *r->args);
    if (r->args == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < f.len; i++)
        r->args[r->args_len++] = (struct json_member){
            .name = f.params[i].name, .value = {.type = JSON_STRING, .s = f.params[i].value}};
    r->query_args_len = f.len;
    r->args_gathered = true;
    return ERR_OK;
}

static enum err begin_form(struct request *r)
{
    struct form_upload *u = r->work;
    TRY(parts_init(r, &u->parts));
    return gather_query(r);
}

enum err form_upload_begin(struct request *r)
{
    if (r->method->run != files_upload || !is_form(r) || !req_has_body(r))
        return ERR_OK;
    TRY(begin(r));
    enum err err = begin_form(r);
    if (err != ERR_OK)
        transfer_leave(r);
    else
        http_parser_stream(r->parser, UINT64_MAX, take, r);
    return err;
}

static enum err prepare(struct request *r)
{
    struct form_upload *u = r->work;
    const struct arg_value *content = arg(r, "content"), *title = arg(r, "title");
    struct share *s = &u->share;
    if (r->args_gathered)
        TRY(multipart_end(&u->parts.m));
    if (files_text_is_over(title->s, filename_max) ||
        files_text_is_over(arg(r, "filetype")->s, snippet_type_max))
        return ERR_INVALID_ARGUMENTS;
    if (!u->found && (!content->given || content->s.len == 0))
        return ERR_NO_FILE_DATA;
    if (!u->found)
        u->rest = content->s;
    TRY(share_add_channels(r, s, arg(r, "channels")->s));
    TRY(files_read_message(r, s));
    if (title->given && title->s.len > 0)
        s->titles[0] = title->s;
    s->uploaded = true;
    s->then = on_done;
    return ERR_OK;
}

void files_upload(struct request *r)
{
    enum err err = r->args_gathered ? ERR_OK : begin(r);
    if (err == ERR_OK)
        err = prepare(r);
    struct form_upload *u = r->work;
    if (err == ERR_OK && !u->asked)
        err = ask_media(r, u, in_chunks(r->transfer) + u->rest.len);
    if (err != ERR_OK) {
        transfer_leave(r);
        answer_error(r, err);
        return;
    }
    r->state = REQ_TRANSFER;
    pump(r, u);
    hconn_mark(r->conn);
}
