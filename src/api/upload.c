/* upload.c - POST /upload/F...: the bytes of a reserved file. Its id is the capability: no token is
 * looked at. Raw bytes whatever the Content-Type says, unless it is multipart/form-data: then those
 * of the first part with a filename, or of the only part. Media says first whether they are
 * welcome; before that not one is taken. Source: slack-api reference, Files. */
#include "api/parts.h"

struct upload {
    bool is_form;
    struct parts parts;
    bool found;     /* a part with a filename has begun */
    bool tentative; /* the first part has none: it is the file if no other comes */
    bool several;
};

/* ---- bytes ---- */

static enum err on_part(struct request *r, struct parts *p)
{
    struct upload *u = r->work;
    bool has_name = p->m.part.filename.p != NULL;
    if (u->found)
        return ERR_OK;
    if (has_name) {
        u->found = p->in_file = true;
        return !u->tentative || transfer_rewind(r->transfer) ? ERR_OK : ERR_INVALID_FORM_DATA;
    }
    u->several = u->tentative;
    p->in_file = !u->tentative;
    u->tentative = true;
    return ERR_OK;
}

static size_t take(void *ctx, const uint8_t *p, size_t n)
{
    struct request *r = ctx;
    struct upload *u = r->work;
    size_t took = n;
    if (r->refused != ERR_OK)
        return n;
    if (u->is_form) {
        took = parts_take(r, &u->parts, p, n);
    } else {
        enum err err = transfer_put(r->transfer, p, n, &took);
        if (err != ERR_OK)
            upload_refuse_here(r, err);
    }
    upload_earn_time(r, took);
    return took;
}

/* ---- what media says ---- */

static void stored(struct request *r)
{
    struct buf b;
    buf_init_fixed(&b, r->error_p, error_body_max); /* no error comes any more */
    buf_printf(&b, "OK - %llu", (unsigned long long)r->transfer->m.finish.length);
    metric_add(r->a->t->metrics, METRIC_UPLOADS, 1);
    transfer_leave(r);
    r->state = REQ_RUNNING;
    answer_text(r, ERR_OK, buf_view(&b));
}

static void told(struct request *r, uint16_t type, enum err err)
{
    if (err != ERR_OK) {
        upload_failed(r, err);
    } else if (type == MEDIA_BEGIN) {
        r->transfer->shut = false;
        r->wants_100 = r->http.expect_continue && r->fed == 0 && r->state == REQ_BODY;
    } else if (type == MEDIA_FINISH) {
        stored(r);
    }
    hconn_mark(r->conn); /* there is room again, or an answer */
}

/* ---- the request ---- */

static bool file_of_path(struct str_view path, struct file_id *id)
{
    const size_t prefix = strlen("/upload/");
    return file_id_parse((struct str_view){path.p + prefix, path.len - prefix}, id);
}

enum err upload_begin(struct request *r)
{
    struct file_id id;
    struct upload *u = arena_zalloc(&r->arena, sizeof *u);
    if (u == NULL)
        return ERR_NOMEM;
    if (!file_of_path(r->http.path, &id))
        return ERR_FILE_NOT_FOUND;
    u->parts.on_part = on_part;
    u->is_form = is_form(r);
    if (u->is_form)
        TRY(parts_init(r, &u->parts));
    TRY(transfer_new(r, true, told));
    r->work = u;
    http_parser_stream(r->parser, UINT64_MAX, take, r);
    bool known = !u->is_form && !r->http.chunked;
    r->transfer->shut = true;
    r->transfer->m.begin =
        (struct media_begin){.id = id, .declared = known ? r->http.content_length : UINT64_MAX};
    transfer_ask(r->transfer, MEDIA_BEGIN);
    return ERR_OK;
}

static enum err judge_parts(const struct upload *u)
{
    if (!u->is_form)
        return ERR_OK;
    TRY(multipart_end(&u->parts.m));
    return u->found || (u->tentative && !u->several) ? ERR_OK : ERR_INVALID_FORM_DATA;
}

void upload_whole(struct request *r)
{
    enum err err = judge_parts(r->work);
    if (err != ERR_OK) {
        transfer_leave(r);
        answer_error(r, err);
        return;
    }
    r->state = REQ_TRANSFER;
    transfer_finish(r->transfer);
}
