/* api/test_media.h - media as the acceptor sees it, with its files in memory: it answers when the
 * test says so, one cell or all, and reads and writes what it is lent only then. Only for *_test.c.
 */
#ifndef PARLEY_API_TEST_MEDIA_H
#define PARLEY_API_TEST_MEDIA_H

#include "api/internal.h"
#include "api/test_world.h"

enum { fake_files_max = 16, fake_streams_max = 64 };
enum fake_state { FAKE_NONE, FAKE_RESERVED, FAKE_STORED, FAKE_DELETED };

struct fake_file {
    struct file_id id;
    enum fake_state state;
    uint64_t owner, announced;
    char name[300], title[300], secret[16];
    uint8_t *bytes;
    size_t len;
    bool streaming, is_image;
    const char *mimetype;
    struct {
        uint64_t cid, ts_us;
    } shares[8];
    uint32_t shares_len;
};

struct fake_stream {
    struct fake_file *file; /* NULL: closed */
    bool up;
    uint8_t *bytes;
    size_t len;
};

static struct fake_media {
    struct fake_file files[fake_files_max];
    struct fake_stream streams[fake_streams_max];
    uint64_t bytes_max;  /* of one file */
    enum err read_error; /* of the next READ */
    enum err begin_error, finish_error;
    uint32_t seen[MEDIA_REINDEX + 1];
} fake;

static void fake_reset(void)
{
    for (int i = 0; i < fake_files_max; i++)
        free(fake.files[i].bytes);
    for (int i = 0; i < fake_streams_max; i++)
        free(fake.streams[i].bytes);
    memset(&fake, 0, sizeof fake);
    fake.bytes_max = 100 << 20;
}

/* F0...0n */
static struct fake_file *fake_put(int n, enum fake_state state)
{
    struct fake_file *f = &fake.files[n];
    memcpy(f->id.text, "F00000000000000000000", file_id_len);
    f->id.text[file_id_len - 1] = (char)('0' + n);
    f->state = state;
    f->owner = ADA;
    f->announced = UINT64_MAX;
    f->mimetype = "application/octet-stream";
    return f;
}

#define FILE_1 "F00000000000000000001"

static __attribute__((unused)) struct fake_file *fake_store(int n, const char *name, size_t len)
{
    struct fake_file *f = fake_put(n, FAKE_STORED);
    snprintf(f->name, sizeof f->name, "%s", name);
    f->bytes = malloc(len + 1);
    f->len = len;
    for (size_t i = 0; i < len; i++)
        f->bytes[i] = (uint8_t)(i * 7 + i / 251);
    return f;
}

static struct fake_file *fake_find(struct file_id id)
{
    for (int i = 0; i < fake_files_max; i++) {
        struct fake_file *f = &fake.files[i];
        if (f->state != FAKE_NONE && memcmp(f->id.text, id.text, file_id_len) == 0)
            return f;
    }
    return NULL;
}

static enum err fake_stream_new(struct fake_file *f, bool up, uint64_t *handle)
{
    for (uint64_t i = 0; i < fake_streams_max; i++) {
        if (fake.streams[i].file == NULL) {
            fake.streams[i] = (struct fake_stream){.file = f, .up = up};
            *handle = i + 1000;
            return ERR_OK;
        }
    }
    return ERR_SERVICE_UNAVAILABLE;
}

static struct fake_stream *fake_stream(uint64_t handle)
{
    struct fake_stream *s = handle >= 1000 ? &fake.streams[handle - 1000] : NULL;
    return s == NULL || s->file == NULL ? NULL : s;
}

static uint32_t __attribute__((unused)) fake_open(void)
{
    uint32_t n = 0;
    for (int i = 0; i < fake_streams_max; i++)
        n += fake.streams[i].file != NULL;
    return n;
}

static enum err fake_close(struct fake_stream *s, enum err err)
{
    s->file->streaming = false;
    free(s->bytes);
    *s = (struct fake_stream){0};
    return err;
}

static enum err fake_reserve(struct media_reserve *m)
{
    int n = 1;
    while (fake.files[n].state != FAKE_NONE)
        n++;
    struct fake_file *f = fake_put(n, FAKE_RESERVED);
    f->owner = m->uid;
    f->announced = m->length;
    snprintf(f->name, sizeof f->name, "%.*s", SV_ARG(m->name));
    snprintf(f->title, sizeof f->title, "%.*s", SV_ARG(m->title));
    m->id = f->id;
    return ERR_OK;
}

static enum err fake_begin(struct media_begin *m)
{
    struct fake_file *f = fake_find(m->id);
    if (fake.begin_error != ERR_OK)
        return fake.begin_error;
    if (f == NULL || f->state != FAKE_RESERVED || f->streaming)
        return ERR_FILE_NOT_FOUND;
    if (m->declared != UINT64_MAX && m->declared > fake.bytes_max)
        return ERR_FILE_UPLOAD_SIZE_RESTRICTED;
    f->streaming = true;
    return fake_stream_new(f, true, &m->stream);
}

static enum err fake_write(const struct media_write *m)
{
    struct fake_stream *s = fake_stream(m->stream);
    CHECK(m->len > 0 && m->len <= media_chunk_bytes);
    if (s == NULL)
        return ERR_UNKNOWN_STREAM;
    CHECK(s->up);
    if (s->len + m->len > fake.bytes_max)
        return fake_close(s, ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    s->bytes = realloc(s->bytes, s->len + m->len);
    memcpy(s->bytes + s->len, m->p, m->len);
    s->len += m->len;
    return ERR_OK;
}

static enum err fake_finish(struct media_finish *m)
{
    struct fake_stream *s = fake_stream(m->stream);
    if (s == NULL)
        return ERR_UNKNOWN_STREAM;
    struct fake_file *f = s->file;
    if (f->announced != UINT64_MAX && f->announced != s->len)
        return fake_close(s, ERR_FILE_UPLOAD_SIZE_RESTRICTED);
    if (fake.finish_error != ERR_OK)
        return fake_close(s, fake.finish_error);
    f->state = FAKE_STORED;
    f->bytes = s->bytes;
    f->len = m->length = s->len;
    s->bytes = NULL;
    return fake_close(s, ERR_OK);
}

static enum err fake_open_file(struct media_open *m)
{
    static const char hash[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct fake_file *f = fake_find(m->id);
    if (f == NULL || f->state == FAKE_RESERVED)
        return ERR_FILE_NOT_FOUND;
    bool by_link = m->viewer.uid == ID_NONE;
    if (by_link ? f->secret[0] == '\0' || !sv_eq(m->secret, sv_from(f->secret))
                : f->owner != m->viewer.uid)
        return ERR_FILE_NOT_FOUND;
    if (f->state == FAKE_DELETED)
        return ERR_FILE_DELETED;
    m->length = f->len;
    m->is_image = f->is_image;
    m->name = arena_dup(m->arena, sv_from(f->name));
    m->mimetype = arena_dup(m->arena, sv_from(f->mimetype));
    m->hash = arena_dup(m->arena, sv_from(hash));
    return fake_stream_new(f, false, &m->stream);
}

static enum err fake_read(const struct media_read *m)
{
    struct fake_stream *s = fake_stream(m->stream);
    enum err err = fake.read_error;
    fake.read_error = ERR_OK;
    CHECK(s != NULL && !s->up && m->len > 0 && m->len <= media_chunk_bytes);
    CHECK(m->offset + m->len <= s->file->len);
    if (err == ERR_OK)
        memcpy(m->p, s->file->bytes + m->offset, m->len);
    return err;
}

static enum err fake_end(uint64_t handle, bool up)
{
    struct fake_stream *s = fake_stream(handle);
    CHECK(s != NULL && s->up == up);
    return fake_close(s, ERR_OK);
}

static enum err fake_abort(const struct media_abort *m)
{
    CHECK(m->stream != 0 || m->forget.text[0] != '\0');
    if (m->stream != 0)
        CHECK_EQ(fake_end(m->stream, true), ERR_OK);
    if (m->forget.text[0] != '\0') {
        struct fake_file *f = fake_find(m->forget);
        CHECK(f != NULL && f->state == FAKE_RESERVED && !f->streaming);
        f->state = FAKE_NONE;
    }
    return ERR_OK;
}

static enum err fake_known(struct world *w, const struct cell *c);

/* What it does and answers to one cell that was taken before. */
static void fake_answer(struct world *w, struct cell c)
{
    enum err err = ERR_OK;
    fake.seen[c.type]++;
    switch ((enum media_msg)c.type) {
    case MEDIA_RESERVE:
        err = fake_reserve(c.u.p);
        break;
    case MEDIA_BEGIN:
        err = fake_begin(c.u.p);
        break;
    case MEDIA_WRITE:
        err = fake_write(c.u.p);
        break;
    case MEDIA_FINISH:
        err = fake_finish(c.u.p);
        break;
    case MEDIA_OPEN:
        err = fake_open_file(c.u.p);
        break;
    case MEDIA_READ:
        err = fake_read(c.u.p);
        break;
    case MEDIA_ABORT:
        err = fake_abort(c.u.p);
        break;
    case MEDIA_CLOSE:
        err = fake_end(((struct media_close *)c.u.p)->stream, false);
        break;
    case MEDIA_SHARE:
    case MEDIA_INFO:
    case MEDIA_LIST:
    case MEDIA_PUBLIC:
    case MEDIA_DELETE:
    case MEDIA_SEARCH:
        err = fake_known(w, &c);
        break;
    case MEDIA_REINDEX: /* admin's */
        CHECK(false);
        break;
    }
    c.u.p = NULL; /* an answer says what it answers by its type and its place only */
    reply(w, A_MEDIA, c, err, 0);
}

/* Of those that keep rows; a test of the methods has its own. */
#ifndef FAKE_MEDIA_KNOWN
static enum err fake_known(struct world *w, const struct cell *c)
{
    (void)w, (void)c;
    CHECK(false);
    return ERR_OK;
}
#endif

static bool __attribute__((unused)) fake_step(struct world *w)
{
    if (!asked(w, A_MEDIA))
        return false;
    fake_answer(w, take(w, A_MEDIA));
    return true;
}

static void fake_run(struct world *w)
{
    while (fake_step(w))
        ;
}

/* Nothing is left of any transfer: no stream, no slot. */
static void __attribute__((unused)) fake_check_clean(struct world *w)
{
    fake_run(w);
    CHECK_EQ(fake_open(), 0);
    CHECK_EQ(slab_used(&w->a->transfers.slots), 0);
    CHECK_EQ(w->a->transfers.chunks_len, w->a->transfers.spare_len);
}

static __attribute__((unused)) struct world *start_with_media(void)
{
    fake_reset();
    return start();
}

#endif
