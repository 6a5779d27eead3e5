#include "media/media.h"

#include <stdlib.h>

#include "base/log.h"
#include "media/internal.h"

enum { scratch_first_bytes = 256 << 10, batch_first_bytes = 64 << 10 };

void media_conf_from(struct media_conf *m, const struct conf *c)
{
    *m = (struct media_conf){.data_directory = c->server_data,
                             .media_bytes_max = c->files_media_bytes_max,
                             .document_bytes_max = c->files_document_bytes_max,
                             .streams_max = (uint32_t)c->files_streams_max,
                             .reserved_max = (uint32_t)c->files_reserved_max,
                             .reserved_user_max = (uint32_t)c->files_reserved_user_max,
                             .upload_timeout_ms = c->files_upload_timeout_ms,
                             .indexes = c->search_enabled};
}

static enum err take_memory(struct media *m)
{
    const struct media_conf *c = &m->conf;
    m->head = malloc(sniff_bytes_max);
    m->reserved = calloc(c->reserved_max, sizeof *m->reserved);
    if (m->head == NULL || m->reserved == NULL)
        return ERR_NOMEM;
    TRY(slab_init(&m->streams, c->streams_max, sizeof(struct stream)));
    TRY(arena_init(&m->scratch, &m->pool, UINT64_MAX));
    TRY(arena_init(&m->batch.arena, &m->batch_pool, UINT64_MAX));
    TRY(arena_init(&m->find_arena, &m->pool, UINT64_MAX));
    return seer_init(&m->seer, &c->view, &m->scratch);
}

enum err media_new(struct media **out, const struct media_conf *c)
{
    struct media *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ERR_NOMEM;
    m->conf = *c;
    m->epoch = 1;
    arena_pool_init(&m->pool, scratch_first_bytes, 1, UINT64_MAX);
    arena_pool_init(&m->batch_pool, batch_first_bytes, 1, UINT64_MAX);
    enum err err = blobs_open(&m->blobs, c->data_directory);
    if (err == ERR_OK)
        err = take_memory(m);
    if (err == ERR_OK)
        err = reserved_load(m);
    if (err == ERR_OK)
        err = index_load(m);
    if (err != ERR_OK) {
        media_free(m);
        return err;
    }
    *out = m;
    return ERR_OK;
}

void media_free(struct media *m)
{
    if (m == NULL)
        return;
    stream_end_all(m, true);
    slab_deinit(&m->streams);
    blob_walk_end(&m->walk);
    blobs_close(&m->blobs);
    seer_deinit(&m->seer);
    arena_deinit(&m->scratch);
    arena_deinit(&m->batch.arena);
    arena_deinit(&m->find_arena);
    arena_pool_deinit(&m->pool);
    arena_pool_deinit(&m->batch_pool);
    free(m->head);
    free(m->reserved);
    free(m->ops);
    free(m);
}

enum err media_count(struct media *m, enum err err)
{
    if (err_http(err) >= 500)
        metric_add(m->turn->metrics, METRIC_FILE_ERRORS, 1);
    return err;
}

enum err media_pass_by(struct media *m, enum err err)
{
    return err == ERR_CORRUPT && media_count(m, err) == err ? ERR_OK : err;
}

void media_answer(struct media *m, const struct cell *request, actor_id to, enum err err)
{
    struct cell *c = outbox_answer(m->turn->out, to, request);
    c->err = media_count(m, err);
    c->u.p = request->u.p;
}

/* ---- requests ---- */

static const struct file_id *file_of(const struct media *m, const struct cell *c, actor_id from)
{
    switch (c->type) {
    case MEDIA_BEGIN:
        return &((const struct media_begin *)c->u.p)->id;
    case MEDIA_SHARE:
        return &((const struct media_share *)c->u.p)->id;
    case MEDIA_PUBLIC:
        return &((const struct media_public *)c->u.p)->id;
    case MEDIA_DELETE:
        return &((const struct media_delete *)c->u.p)->id;
    case MEDIA_FINISH: {
        const struct stream *s =
            stream_find(m, ((const struct media_finish *)c->u.p)->stream, from);
        return s == NULL ? NULL : &s->id;
    }
    default:
        return NULL;
    }
}

static void on_change(struct media *m, const struct cell *c, actor_id from)
{
    struct media_op op = {.request = *c, .from = from};
    const struct file_id *id = file_of(m, c, from);
    if (id != NULL)
        op.id = *id;
    if (group_push(m, &op))
        return;
    if (c->type == MEDIA_FINISH)
        stream_end(m, ((const struct media_finish *)c->u.p)->stream);
    media_answer(m, c, from, ERR_NOMEM);
}

static void on_request(struct media *m, const struct cell *c, actor_id from)
{
    enum err err = ERR_OK;
    switch ((enum media_msg)c->type) {
    case MEDIA_WRITE:
    case MEDIA_FINISH:
    case MEDIA_ABORT:
    case MEDIA_READ:
    case MEDIA_CLOSE:
        if (!stream_request(m, c, from, &err)) {
            on_change(m, c, from);
            return;
        }
        break;
    case MEDIA_OPEN:
        err = stream_open_down(m, c->u.p, from);
        break;
    case MEDIA_INFO:
        err = file_info(m, c->u.p);
        break;
    case MEDIA_LIST:
        if (list_push(m, c, from))
            return;
        err = ERR_SERVICE_UNAVAILABLE;
        break;
    case MEDIA_SEARCH:
        err = m->conf.indexes ? ERR_SERVICE_UNAVAILABLE : ERR_NOT_ENABLED;
        if (m->conf.indexes && find_push(m, c, from))
            return;
        break;
    case MEDIA_RESERVE:
    case MEDIA_BEGIN:
    case MEDIA_SHARE:
    case MEDIA_PUBLIC:
    case MEDIA_DELETE:
    case MEDIA_REINDEX:
        on_change(m, c, from);
        return;
    }
    arena_reset(&m->scratch);
    media_answer(m, c, from, err);
}

/* ---- actor ---- */

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct media *m = self;
    m->turn = t;
    for (uint32_t i = 0; i < n; i++) {
        if (class == CLASS_REQUEST)
            on_request(m, &cells[i], from);
        else
            group_committed(m, (enum err)cells[i].err);
    }
}

static void end_turn(void *self, struct turn *t)
{
    struct media *m = self;
    m->turn = t;
    m->syncs_left = turn_syncs_max;
    group_step(m);
    list_step(m);
    find_step(m);
    index_watch(m);
    reserved_watch(m);
    sweep_watch(m);
    metric_set(t->metrics, METRIC_FILE_STREAMS, slab_used(&m->streams));
    metric_set(t->metrics, METRIC_FILES_RESERVED, m->reserved_len);
    metric_set(t->metrics, METRIC_FILES_RESERVED_CORRUPT, m->reserved_corrupt);
}

static bool busy(const void *self)
{
    const struct media *m = self;
    return (m->ops_len > 0 && !m->committing) || m->lists_len > 0 || m->finds_len > 0;
}

/* Streams that are open now belong to requesters who have ended, or were late. */
static bool drain(void *self, struct turn *t)
{
    struct media *m = self;
    m->turn = t;
    m->draining = true;
    if (m->ops_len > 0 || m->committing || m->lists_len > 0 || m->finds_len > 0)
        return false;
    stream_end_all(m, false);
    return true;
}

const struct actor_ops media_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
