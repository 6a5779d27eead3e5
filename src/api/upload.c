/* upload.c - POST /upload/F...: the bytes of a reserved file. Its id is the capability: no token is
 * looked at. Raw bytes whatever the Content-Type says, unless it is multipart/form-data: then those
 * of the first part with a filename, or of the only part. Media says first whether they are
 * welcome; before that not one is taken. Source: slack-api reference, Files. */
#include "api/internal.h"

#include "http1/form.h"
#include "http1/multipart.h"

struct upload {
    bool is_multipart;
    struct multipart m;
    bool in_file;   /* the bytes of the present part are the file's */
    bool found;     /* a part with a filename has begun */
    bool tentative; /* the first part has none: it is the file if no other comes */
    bool several;
};

/* ---- bytes ---- */

static void refuse_here(struct request *r, enum err err)
{
    r->refused = err; /* the parser goes on with the rest of the body */
    transfer_leave(r);
}

/* Each byte earns its share of a second, but nobody earns more than the time that a body may stand
 * still. */
static void earn_time(struct request *r, size_t bytes)
{
    const struct conf *conf = r->a->conf.conf;
    uint64_t due_us = r->read_due_us + bytes * 1000000 / conf->files_rate_min_bytes_per_s;
    r->read_due_us = MIN(due_us, r->a->t->mono_us + conf->http_body_timeout_ms * 1000);
}

static void on_part(struct request *r, struct upload *u)
{
    bool has_name = u->m.part.filename.p != NULL;
    u->in_file = false;
    if (u->found)
        return;
    if (has_name) {
        u->found = u->in_file = true;
        if (u->tentative && !transfer_rewind(r->transfer))
            refuse_here(r, ERR_INVALID_FORM_DATA);
    } else if (u->tentative) {
        u->several = true;
    } else {
        u->tentative = u->in_file = true;
    }
}

/* Never more than one chunk takes: what is fed is not known to be content before. */
static size_t room(const struct request *r)
{
    const struct transfer *t = r->transfer;
    return transfer_full(t) ? 0 : media_chunk_bytes - t->chunks[t->at].len;
}

static size_t take_parts(struct request *r, struct upload *u, const uint8_t *p, size_t n)
{
    size_t at = 0;
    for (;;) {
        size_t used, took, most = u->in_file ? room(r) : SIZE_MAX;
        struct str_view data;
        enum err err = ERR_OK;
        if (most == 0)
            return at;
        enum multipart_step step = multipart_feed(&u->m, p + at, n - at, most, &used, &data);
        at += used;
        if (step == MULTIPART_MORE)
            return at;
        if (step == MULTIPART_FAILED)
            err = multipart_end(&u->m);
        else if (step == MULTIPART_PART)
            on_part(r, u);
        else if (step == MULTIPART_PART_END)
            u->in_file = false;
        else if (u->in_file)
            err = transfer_put(r->transfer, data.p, data.len, &took);
        if (err != ERR_OK)
            refuse_here(r, err);
        if (r->refused != ERR_OK)
            return n;
    }
}

static size_t take(void *ctx, const uint8_t *p, size_t n)
{
    struct request *r = ctx;
    struct upload *u = r->work;
    size_t took = n;
    if (r->refused != ERR_OK)
        return n;
    if (u->is_multipart) {
        took = take_parts(r, u, p, n);
    } else {
        enum err err = transfer_put(r->transfer, p, n, &took);
        if (err != ERR_OK)
            refuse_here(r, err);
    }
    earn_time(r, took);
    return took;
}

/* ---- what media says ---- */

static void failed(struct request *r, enum err err)
{
    if (r->state != REQ_TRANSFER) {
        req_refuse(r, err);
        return;
    }
    r->state = REQ_RUNNING;
    answer_error(r, err);
}

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
        failed(r, err);
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
    struct str_view type = r->fields.content_type;
    if (u == NULL)
        return ERR_NOMEM;
    if (!file_of_path(r->http.path, &id))
        return ERR_FILE_NOT_FOUND;
    u->is_multipart = type.p != NULL && sv_eq_nocase(media_type(type), SV("multipart/form-data"));
    if (u->is_multipart)
        TRY(multipart_init(&u->m, &r->arena, type));
    TRY(transfer_new(r, true, told));
    r->work = u;
    http_parser_stream(r->parser, UINT64_MAX, take, r);
    bool known = !u->is_multipart && !r->http.chunked;
    r->transfer->shut = true;
    r->transfer->m.begin =
        (struct media_begin){.id = id, .declared = known ? r->http.content_length : UINT64_MAX};
    transfer_ask(r->transfer, MEDIA_BEGIN);
    return ERR_OK;
}

static enum err judge_parts(const struct upload *u)
{
    if (!u->is_multipart)
        return ERR_OK;
    TRY(multipart_end(&u->m));
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
