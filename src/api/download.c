/* download.c - GET and HEAD of a file, by the paths that its object names (media/file_json.h) and
 * by its id alone: /files-pri/T..-F../NAME, /files-pri/T..-F../download/NAME, /files/U../F../NAME,
 * /files/F../NAME    for whoever may see it, by the token in the header; /files-pub/T..-F..-SECRET,
 * /files-pub/F..-SECRET/NAME    for whoever has the link. The id says which file it is; names,
 * users and teams are for people. Sources: RFC 9110 13, 14; RFC 6266. */
#include "api/internal.h"

#include "http1/range.h"

enum { fields_max = 2048, hash_hex_len = 64 };

struct download {
    int status;
    uint64_t offset, len; /* of the body */
    enum http_range range;
    char etag[hash_hex_len + 2]; /* with its quotes */
    size_t etag_len;
};

/* ---- path ---- */

/* F.., F..-SECRET, and both behind T..- */
static bool read_name(struct str_view text, struct file_id *id, struct str_view *secret)
{
    struct str_view first = sv_cut(&text, '-');
    if (sv_starts(first, SV("T")))
        first = sv_cut(&text, '-');
    *secret = text.p == NULL ? SV("") : text;
    return file_id_parse(first, id);
}

static struct str_view segment(struct str_view *rest)
{
    return rest->p == NULL ? SV("") : sv_cut(rest, '/');
}

static bool read_path(const struct request *r, struct file_id *id, struct str_view *secret)
{
    struct str_view rest = r->http.path;
    segment(&rest); /* in front of the first slash */
    segment(&rest);
    struct str_view name = segment(&rest);
    if (r->route == ROUTE_FILE && sv_starts(name, SV("U")))
        name = segment(&rest);
    return read_name(name, id, secret) && (secret->len > 0) == (r->route == ROUTE_PUBLIC);
}

/* ---- what is wanted of it ---- */

static struct str_view field(const struct request *r, const char *name)
{
    return http_field(&r->http, sv_from(name));
}

static bool wants_download(const struct request *r)
{
    struct str_view rest = r->http.query, path = r->http.path;
    if (memmem(path.p, path.len, "/download/", 10) != NULL)
        return true;
    while (rest.p != NULL) {
        if (sv_eq(sv_cut(&rest, '&'), SV("download=1")))
            return true;
    }
    return false;
}

/* RFC 9110 13.2.2, in its order. There are no dates: a file never changes. */
static void judge(const struct request *r, const struct media_open *m, struct download *d)
{
    struct str_view etag = {d->etag, d->etag_len}, match = field(r, "If-Match"),
                    none = field(r, "If-None-Match"), if_range = field(r, "If-Range"),
                    range = field(r, "Range");
    d->status = 200;
    d->len = m->length;
    if (match.p != NULL && !http_has_etag(match, etag, false)) {
        d->status = 412;
    } else if (none.p != NULL && http_has_etag(none, etag, true)) {
        d->status = 304;
    } else if (r->http.method == HTTP_GET && (if_range.p == NULL || sv_eq(if_range, etag))) {
        d->range = http_range(range, m->length, &d->offset, &d->len);
        d->status = d->range == HTTP_RANGE_PART ? 206 : d->range == HTTP_RANGE_NONE ? 416 : 200;
    }
}

/* ---- head ---- */

static void put_range(struct buf *b, const struct download *d, uint64_t length)
{
    unsigned long long whole = length, first = d->offset;
    if (d->status == 416)
        buf_printf(b, "Content-Range: bytes */%llu\r\n", whole);
    else if (d->status == 206)
        buf_printf(b, "Content-Range: bytes %llu-%llu/%llu\r\n", first, first + d->len - 1, whole);
}

/* An image may be shown where it is; nothing may be run. */
static struct str_view fields_of(struct request *r, const struct media_open *m,
                                 const struct download *d)
{
    struct buf b;
    bool shown = m->is_image && !wants_download(r);
    buf_init(&b, &r->arena, fields_max);
    if (d->status == 200 || d->status == 206) {
        http_write_field(&b, "Content-Type", m->mimetype);
        http_write_disposition(&b, shown, m->name);
    }
    if (d->status != 412 && d->status != 416)
        http_write_field(&b, "ETag", (struct str_view){d->etag, d->etag_len});
    put_range(&b, d, m->length);
    buf_printf(&b,
               "Accept-Ranges: bytes\r\nCache-Control: private, max-age=3600\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "Content-Security-Policy: sandbox; default-src 'none'\r\n"
               "Cross-Origin-Resource-Policy: %s\r\n",
               r->route == ROUTE_PUBLIC ? "cross-origin" : "same-origin");
    return b.failed ? SV_NONE : buf_view(&b);
}

static void answer(struct request *r)
{
    const struct media_open *m = &r->transfer->m.open;
    const struct download *d = r->work;
    struct str_view fields = fields_of(r, m, d);
    bool has_body = d->status == 200 || d->status == 206;
    r->state = REQ_RUNNING;
    if (fields.p == NULL) {
        transfer_leave(r);
        answer_error(r, ERR_NOMEM);
        return;
    }
    metric_add(r->a->t->metrics, METRIC_DOWNLOADS, has_body);
    answer_stream(r, d->status, fields, has_body ? d->len : 0);
    if (has_body && d->len > 0 && r->http.method == HTTP_GET)
        r->state = REQ_FILE;
    else
        transfer_leave(r);
}

/* ---- what media says ---- */

static void failed(struct request *r, uint16_t type, enum err err)
{
    if (r->state == REQ_FILE) { /* its head promised more */
        hconn_reset(r->conn);
        return;
    }
    r->state = REQ_RUNNING;
    /* One that was there is none: who may not see it cannot tell. */
    if (type == MEDIA_OPEN && err == ERR_FILE_DELETED)
        err = ERR_FILE_NOT_FOUND;
    answer_error(r, err);
}

static void opened(struct request *r)
{
    const struct media_open *m = &r->transfer->m.open;
    struct download *d = r->work;
    ASSERT(m->hash.len <= hash_hex_len);
    d->etag[0] = '"';
    memcpy(d->etag + 1, m->hash.p, m->hash.len);
    d->etag[1 + m->hash.len] = '"';
    d->etag_len = m->hash.len + 2;
    judge(r, m, d);
    bool has_body = (d->status == 200 || d->status == 206) && d->len > 0;
    if (has_body && r->http.method == HTTP_GET)
        transfer_read(r->transfer, d->offset, d->len); /* a disk that fails is told by the status */
    else
        answer(r);
}

static void told(struct request *r, uint16_t type, enum err err)
{
    struct hconn *c = r->conn;
    if (err != ERR_OK)
        failed(r, type, err);
    else if (type == MEDIA_OPEN)
        opened(r);
    else if (type == MEDIA_READ && r->state == REQ_TRANSFER)
        answer(r);
    hconn_mark(c);
}

/* ---- the request ---- */

static enum err start(struct request *r)
{
    struct media_open open = {.viewer = {.uid = ID_NONE}};
    struct str_view secret;
    struct download *d = arena_zalloc(&r->arena, sizeof *d);
    if (d == NULL)
        return ERR_NOMEM;
    if (r->route == ROUTE_FILE) {
        TRY(auth_again(r));
        open.viewer = req_viewer(r);
    }
    if (!read_path(r, &open.id, &secret))
        return ERR_FILE_NOT_FOUND;
    TRY(transfer_new(r, false, told));
    struct transfer *t = r->transfer;
    r->work = d;
    open.arena = &t->arena;
    open.secret = arena_dup(&t->arena, secret);
    t->m.open = open;
    if (open.secret.p == NULL) {
        transfer_leave(r);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void download_start(struct request *r)
{
    enum err err = start(r);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->state = REQ_TRANSFER;
    transfer_ask(r->transfer, MEDIA_OPEN);
}
