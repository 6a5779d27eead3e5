/* stream.c - bytes up and down. Whoever opened a stream ends it; nothing here is timed. */
#include <unistd.h>

#include "media/internal.h"

struct stream *stream_find(const struct media *m, uint64_t handle, actor_id from)
{
    struct stream *s = slab_find(&m->streams, handle);
    return s != NULL && s->from == from ? s : NULL;
}

struct stream *stream_take(struct media *m, uint64_t *handle)
{
    struct stream *s = slab_take(&m->streams, handle);
    if (s != NULL)
        s->fd = s->bytes.fd = -1;
    return s;
}

/* The file waits for its bytes again, unless it has them now. */
static void release_file(struct media *m, const struct stream *s)
{
    struct reserved *r = s->up ? reserved_find(m, &s->id) : NULL;
    if (r != NULL)
        r->streaming = false;
}

void stream_end(struct media *m, uint64_t handle)
{
    struct stream *s = slab_find(&m->streams, handle);
    release_file(m, s);
    blob_drop(&m->blobs, &s->bytes);
    if (s->fd >= 0)
        close(s->fd);
    slab_give(&m->streams, handle);
}

void stream_end_all(struct media *m, bool leave)
{
    uint64_t handle;
    for (uint32_t i = 0; i < m->streams.cap; i++) {
        struct stream *s = slab_at(&m->streams, i, &handle);
        if (s == NULL)
            continue;
        if (leave)
            blob_leave(&s->bytes);
        stream_end(m, handle);
    }
}

/* ---- up ---- */

uint64_t stream_cap(const struct media *m, const struct type *t)
{
    return (t->flags & TYPE_MEDIA) != 0 ? m->conf.media_bytes_max : m->conf.document_bytes_max;
}

/* Up to the lesser cap it does not matter what it is. Past it, what has arrived tells: the bytes
 * that decide are among the first. */
static enum err check_length(struct media *m, struct stream *s)
{
    if (s->bytes.length > s->expected)
        return ERR_FILE_UPLOAD_SIZE_RESTRICTED;
    if (s->bytes.length > s->cap && !s->judged) {
        size_t len = blob_head(&s->bytes, m->head, sniff_bytes_max);
        s->cap = stream_cap(m, sniff((struct str_view){(const char *)m->head, len}, true, SV_NONE));
        s->judged = true;
    }
    return s->bytes.length > s->cap ? ERR_FILE_UPLOAD_SIZE_RESTRICTED : ERR_OK;
}

static enum err write_bytes(struct media *m, struct stream *s, const struct media_write *w)
{
    ASSERT(w->len <= media_chunk_bytes);
    TRY(blob_write(&s->bytes, w->p, w->len));
    metric_add(m->turn->metrics, METRIC_FILE_BYTES_IN, w->len);
    return check_length(m, s);
}

static bool on_write(struct media *m, const struct media_write *w, actor_id from, enum err *err)
{
    struct stream *s = stream_find(m, w->stream, from);
    if (s != NULL && s->finishing)
        return false;
    *err = s == NULL || !s->up ? ERR_UNKNOWN_STREAM : write_bytes(m, s, w);
    if (s != NULL && s->up && *err != ERR_OK)
        stream_end(m, w->stream);
    return true;
}

/* From here on nothing may change its bytes: what comes behind waits for the end, too. */
static bool on_finish(struct media *m, const struct media_finish *f, actor_id from, enum err *err)
{
    struct stream *s = stream_find(m, f->stream, from);
    if (s == NULL || !s->up) {
        *err = ERR_UNKNOWN_STREAM;
        return true;
    }
    s->finishing = true;
    return false;
}

static bool on_abort(struct media *m, const struct media_abort *a, actor_id from, enum err *err)
{
    struct stream *s = stream_find(m, a->stream, from);
    if (s != NULL && s->finishing)
        return false;
    *err = s == NULL || !s->up ? ERR_UNKNOWN_STREAM : ERR_OK;
    if (*err == ERR_OK)
        stream_end(m, a->stream);
    if (a->forget.text[0] != '\0') {
        reserved_forget(m, &a->forget);
        *err = ERR_OK;
    }
    return true;
}

/* ---- down ---- */

static enum err copy_out(struct media_open *o, const struct row_file *row)
{
    char hex[sha256_hex_len + 1];
    sha256_hex(hex, row->sha256);
    o->length = row->length;
    o->is_image = (row->flags & FILE_IMAGE) != 0;
    o->name = arena_dup(o->arena, row->name);
    o->mimetype = arena_dup(o->arena, row->mimetype);
    o->hash = arena_dup(o->arena, (struct str_view){hex, sha256_hex_len});
    return o->name.p == NULL || o->mimetype.p == NULL || o->hash.p == NULL ? ERR_NOMEM : ERR_OK;
}

/* The link is known to whom it was given; guessing it is guessing the id and the secret. */
static enum err see_by_secret(struct media *m, const struct media_open *o, struct row_file *row)
{
    TRY(file_read(m, &o->id, row));
    bool same = sv_eq_constant_time(o->secret, row->secret);
    return row->secret.len > 0 && same ? ERR_OK : ERR_FILE_NOT_FOUND;
}

enum err stream_open_down(struct media *m, struct media_open *o, actor_id from)
{
    struct row_file row;
    TRY(o->viewer.uid == ID_NONE ? see_by_secret(m, o, &row)
                                 : file_see(m, &o->viewer, &o->id, &row));
    TRY(copy_out(o, &row));
    struct stream *s = stream_take(m, &o->stream);
    if (s == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    s->from = from;
    s->id = o->id;
    s->length = row.length;
    enum err err = blob_open(&m->blobs, row.sha256, row.length, &s->fd);
    if (err != ERR_OK)
        stream_end(m, o->stream);
    return err;
}

static enum err on_read(struct media *m, const struct media_read *r, actor_id from)
{
    const struct stream *s = stream_find(m, r->stream, from);
    if (s == NULL || s->up)
        return ERR_UNKNOWN_STREAM;
    ASSERT(r->len <= media_chunk_bytes && r->offset <= s->length &&
           r->len <= s->length - r->offset);
    TRY(blob_read(s->fd, r->offset, r->p, r->len));
    metric_add(m->turn->metrics, METRIC_FILE_BYTES_OUT, r->len);
    return ERR_OK;
}

static enum err on_close(struct media *m, const struct media_close *c, actor_id from)
{
    const struct stream *s = stream_find(m, c->stream, from);
    if (s == NULL || s->up)
        return ERR_UNKNOWN_STREAM;
    stream_end(m, c->stream);
    return ERR_OK;
}

bool stream_request(struct media *m, const struct cell *c, actor_id from, enum err *err)
{
    switch (c->type) {
    case MEDIA_WRITE:
        return on_write(m, c->u.p, from, err);
    case MEDIA_FINISH:
        return on_finish(m, c->u.p, from, err);
    case MEDIA_ABORT:
        return on_abort(m, c->u.p, from, err);
    case MEDIA_READ:
        *err = on_read(m, c->u.p, from);
        return true;
    default:
        *err = on_close(m, c->u.p, from);
        return true;
    }
}
