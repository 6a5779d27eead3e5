/* upload.c - from the wish to upload to a stored file. */
#include "media/internal.h"

static uint64_t cap_max(const struct media *m)
{
    return MAX(m->conf.media_bytes_max, m->conf.document_bytes_max);
}

static bool is_over(const struct media *m, uint64_t length)
{
    return length != UINT64_MAX && length > cap_max(m);
}

static bool disk_is_full(const struct media *m)
{
    return m->conf.disk_full != NULL && m->conf.disk_full(m->conf.disk);
}

/* ---- reserve ---- */

static void put_reserved(struct media *m, const struct file_id *id, const struct row_file *row)
{
    struct key k;
    key_file_reserved(&k, id);
    row_file_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, row);
    batch_put_end(&m->batch);
}

static enum err reserve(struct media *m, struct media_reserve *r)
{
    uint8_t random[file_id_random_bytes];
    struct row_file row = {.team = r->team,
                           .uid = r->uid,
                           .created_us = m->turn->wall_us,
                           .length = r->length,
                           .name = r->name,
                           .title = r->title,
                           .alt_text = r->alt_text,
                           .snippet_type = r->snippet_type};
    if (is_over(m, r->length))
        return ERR_FILE_UPLOAD_SIZE_RESTRICTED;
    if (disk_is_full(m))
        return ERR_DISK_FULL;
    TRY(reserved_check(m, r->uid));
    rand_bytes(m->turn->rand, random, sizeof random);
    file_id_make(&r->id, random);
    reserved_add(m, &r->id, r->uid, row.created_us)->undurable = true;
    put_reserved(m, &r->id, &row);
    return ERR_OK;
}

void decide_reserve(struct media *m, struct media_op *op)
{
    struct media_reserve *r = op->request.u.p;
    op->err = reserve(m, r);
    op->writes = op->err == ERR_OK;
    if (op->writes)
        op->id = r->id;
}

/* ---- begin ---- */

static enum err read_reserved(struct media *m, const struct file_id *id, struct row_file *row)
{
    struct key k;
    struct str_view value;
    key_file_reserved(&k, id);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    return value.p == NULL ? ERR_FILE_NOT_FOUND : row_file_decode(row, key_view(&k), value);
}

static enum err begin(struct media *m, struct media_begin *b, actor_id from)
{
    struct row_file row;
    struct reserved *r = reserved_find(m, &b->id);
    if (r == NULL || r->streaming || r->undurable)
        return ERR_FILE_NOT_FOUND;
    TRY(read_reserved(m, &b->id, &row));
    bool other = row.length != UINT64_MAX && b->declared != UINT64_MAX && row.length != b->declared;
    if (other || is_over(m, b->declared))
        return ERR_FILE_UPLOAD_SIZE_RESTRICTED;
    if (disk_is_full(m))
        return ERR_DISK_FULL;
    struct stream *s = stream_take(m, &b->stream);
    if (s == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    s->from = from;
    s->up = true;
    s->id = b->id;
    s->expected = MIN(row.length, b->declared);
    s->cap = MIN(m->conf.media_bytes_max, m->conf.document_bytes_max);
    enum err err = blob_begin(&m->blobs, &s->bytes);
    if (err != ERR_OK)
        stream_end(m, b->stream);
    else
        r->streaming = true;
    return err;
}

void decide_begin(struct media *m, struct media_op *op)
{
    op->err = begin(m, op->request.u.p, op->from);
}

/* ---- finish ---- */

static void describe(struct media *m, const struct stream *s, struct row_file *row)
{
    m->head_len = blob_head(&s->bytes, m->head, sniff_bytes_max);
    struct str_view head = {(const char *)m->head, m->head_len};
    const struct type *t = sniff(head, head.len < s->bytes.length, row->name);
    const struct type *snippet = type_find(row->snippet_type);
    bool is_text = (t->flags & TYPE_TEXT) != 0;
    if (is_text && row->snippet_type.len > 0) {
        row->flags |= FILE_SNIPPET;
        t = snippet != NULL && (snippet->flags & TYPE_TEXT) != 0 ? snippet : t;
    }
    row->flags |= (t->flags & TYPE_SHOWN) != 0 ? FILE_IMAGE : 0u;
    row->filetype = t->filetype;
    row->mimetype = t->mimetype;
    if ((t->flags & TYPE_MEDIA) != 0)
        (void)image_size(head, &row->width, &row->height);
    row->length = s->bytes.length;
}

/* False: others' bytes go on first. */
static bool sync_once(struct media *m, struct stream *s, enum err *err)
{
    if (s->synced)
        return true;
    if (m->syncs_left == 0)
        return false;
    m->syncs_left--;
    *err = blob_sync(&s->bytes, s->sha256);
    s->synced = *err == ERR_OK;
    return true;
}

/* Equal content is there already, unless somebody has damaged it: then this mends it. */
static enum err place(struct media *m, struct stream *s, struct media_op *op)
{
    struct key k;
    struct str_view value;
    struct row_blob blob = {.length = s->bytes.length};
    key_blob(&k, s->sha256);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    if (value.p != NULL)
        TRY(row_blob_decode(&blob, key_view(&k), value));
    if (blob.files == 0 || !blob_is_there(&m->blobs, s->sha256, s->bytes.length)) {
        if (m->in_doubt)
            return ERR_SERVICE_UNAVAILABLE; /* log could not take the row */
        TRY(blob_place(&m->blobs, &s->bytes, s->sha256));
        metric_add(m->turn->metrics, METRIC_BLOBS_PLACED, 1);
        op->placed = blob.files == 0;
        memcpy(op->sha256, s->sha256, sha256_bytes);
    }
    blob.files++;
    row_blob_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, &blob);
    batch_put_end(&m->batch);
    return ERR_OK;
}

static void put_stored(struct media *m, const struct file_id *id, const struct row_file *row)
{
    struct key k;
    key_file_reserved(&k, id);
    batch_delete(&m->batch, CF_FILE, &k);
    file_put(m, id, row);
    file_put_listed(m, FILES_OF_TEAM, row->team, id, row);
    file_put_listed(m, FILES_OF_USER, row->uid, id, row);
}

/* What needs no room in the group. The length is known to be under every cap but that of what it
 * is. */
static enum err judge(struct media *m, const struct stream *s, struct row_file *row)
{
    if (s->expected != UINT64_MAX && s->bytes.length != s->expected)
        return ERR_FILE_UPLOAD_SIZE_RESTRICTED;
    TRY(read_reserved(m, &s->id, row));
    describe(m, s, row);
    uint64_t cap = stream_cap(m, type_find(row->filetype));
    return row->length > cap ? ERR_FILE_UPLOAD_SIZE_RESTRICTED : ERR_OK;
}

/* The first bytes were read just now, to tell what it is. */
static enum err make_words(struct media *m, const struct row_file *row, struct file_words *w)
{
    struct str_view head = {(const char *)m->head, m->head_len};
    return index_stored(m, row, head, w);
}

bool decide_finish(struct media *m, struct media_op *op)
{
    struct media_finish *f = op->request.u.p;
    struct stream *s = stream_find(m, f->stream, op->from);
    struct row_file row = {0};
    struct file_words words;
    if (s == NULL) { /* asked twice */
        op->err = ERR_UNKNOWN_STREAM;
        return true;
    }
    op->err = judge(m, s, &row);
    if (op->err == ERR_OK && !sync_once(m, s, &op->err))
        return false;
    memcpy(row.sha256, s->sha256, sha256_bytes);
    if (op->err == ERR_OK && !group_claim_blob(m, s->sha256))
        return false;
    if (op->err == ERR_OK)
        op->err = make_words(m, &row, &words);
    if (op->err == ERR_OK)
        op->err = place(m, s, op);
    op->writes = op->err == ERR_OK;
    if (op->writes) {
        put_stored(m, &s->id, &row);
        index_write(m, &s->id, &row, &words);
    }
    f->length = row.length;
    blob_drop(&m->blobs, &s->bytes); /* placed, or not wanted */
    return true;
}

/* ---- forget ---- */

void decide_forget(struct media *m, struct media_op *op)
{
    struct key k;
    const struct reserved *r = reserved_find(m, &op->id);
    if (r == NULL || r->streaming) /* its bytes have come meanwhile */
        return;
    key_file_reserved(&k, &op->id);
    batch_delete(&m->batch, CF_FILE, &k);
    op->writes = true;
}

/* ---- the end of a change ---- */

void upload_ended(struct media *m, struct media_op *op, bool durable)
{
    struct reserved *r = op->id.text[0] == '\0' ? NULL : reserved_find(m, &op->id);
    switch (op->request.type) {
    case MEDIA_RESERVE:
        if (r != NULL)
            r->undurable = false;
        if (r != NULL && !durable)
            reserved_remove(m, r);
        break;
    case MEDIA_FINISH: {
        const struct media_finish *f = op->request.u.p;
        if (stream_find(m, f->stream, op->from) != NULL)
            stream_end(m, f->stream);
        if (durable && r != NULL) {
            reserved_remove(m, r);
            metric_add(m->turn->metrics, METRIC_FILES_STORED, 1);
        }
        break;
    }
    case MEDIA_FORGET:
        if (r != NULL && durable && op->writes)
            reserved_remove(m, r);
        else if (r != NULL)
            r->forgetting = false;
        break;
    default:
        break;
    }
}
