#include "api/transfer.h"

#include <stdlib.h>

#include "api/internal.h"

enum {
    spare_max = 8, /* chunks that are kept when nothing is under way */
    transfer_arena_max = 65536
};

/* ---- chunks ---- */

static bool chunk_take(struct acceptor *a, struct chunk *c)
{
    struct transfers *all = &a->transfers;
    if (c->p != NULL)
        return true;
    if (all->spare != NULL) {
        c->p = all->spare;
        memcpy(&all->spare, c->p, sizeof all->spare);
        all->spare_len--;
        return true;
    }
    c->p = malloc(media_chunk_bytes);
    if (c->p == NULL)
        return false;
    metric_set(a->t->metrics, METRIC_TRANSFER_CHUNKS, ++all->chunks_len);
    return true;
}

static void chunk_give(struct acceptor *a, struct chunk *c)
{
    struct transfers *all = &a->transfers;
    ASSERT(!c->lent);
    if (c->p == NULL)
        return;
    if (all->spare_len < spare_max) {
        memcpy(c->p, &all->spare, sizeof all->spare);
        all->spare = c->p;
        all->spare_len++;
    } else {
        free(c->p);
        metric_set(a->t->metrics, METRIC_TRANSFER_CHUNKS, --all->chunks_len);
    }
    c->p = NULL;
    c->len = 0;
}

/* ---- all of them ---- */

enum err transfers_init(struct acceptor *a)
{
    struct transfers *all = &a->transfers;
    all->waiting_last = &all->waiting;
    return slab_init(&all->slots, (uint32_t)a->conf.conf->files_transfers_max,
                     sizeof(struct transfer));
}

void transfers_deinit(struct acceptor *a)
{
    struct transfers *all = &a->transfers;
    for (uint32_t i = 0; i < all->slots.cap; i++) {
        uint64_t handle;
        struct transfer *t = slab_at(&all->slots, i, &handle);
        if (t == NULL)
            continue;
        free(t->chunks[0].p);
        free(t->chunks[1].p);
        arena_deinit(&t->arena);
    }
    while (all->spare != NULL) {
        void *p = all->spare;
        memcpy(&all->spare, p, sizeof all->spare);
        free(p);
    }
    slab_deinit(&all->slots);
}

/* Whoever is slow on purpose is slow with those like him only: of all transfers one user has half,
 * and so have uploads by a file's own secret together; forms whose sender is not known yet a
 * quarter, and so have public links. */
static bool is_alike(const struct request *o, const struct request *r)
{
    if (o->known != r->known)
        return false;
    return r->known ? o->who.uid == r->who.uid : o->route == r->route;
}

static bool has_place(const struct request *r)
{
    const struct slab *slots = &r->a->transfers.slots;
    uint32_t share = r->known || r->route == ROUTE_UPLOAD ? 2 : 4;
    uint32_t alike = 0, most = MAX(slots->cap / share, 1u);
    for (uint32_t i = 0; i < slots->cap; i++) {
        uint64_t handle;
        const struct transfer *t = slab_at(slots, i, &handle);
        alike += t != NULL && t->r != NULL && is_alike(t->r, r);
    }
    return alike < most;
}

enum err transfer_new(struct request *r, bool up, transfer_told *told)
{
    struct acceptor *a = r->a;
    uint64_t handle;
    ASSERT(r->transfer == NULL);
    struct transfer *t = has_place(r) ? slab_take(&a->transfers.slots, &handle) : NULL;
    if (t == NULL) {
        metric_add(a->t->metrics, METRIC_TRANSFERS_REFUSED, 1);
        return ERR_SERVICE_UNAVAILABLE;
    }
    if (arena_init(&t->arena, &a->pool, transfer_arena_max) != ERR_OK) {
        slab_give(&a->transfers.slots, handle);
        return ERR_NOMEM;
    }
    t->a = a;
    t->r = r;
    t->handle = handle;
    t->up = up;
    t->told = told;
    r->transfer = t;
    metric_set(a->t->metrics, METRIC_TRANSFERS_OPEN, slab_used(&a->transfers.slots));
    return ERR_OK;
}

static void release(struct transfer *t)
{
    struct acceptor *a = t->a;
    ASSERT(!t->waiting);
    chunk_give(a, &t->chunks[0]);
    chunk_give(a, &t->chunks[1]);
    arena_deinit(&t->arena);
    slab_give(&a->transfers.slots, t->handle);
    metric_set(a->t->metrics, METRIC_TRANSFERS_OPEN, slab_used(&a->transfers.slots));
}

/* ---- to media ---- */

static void wait_for_credit(struct transfer *t)
{
    struct transfers *all = &t->a->transfers;
    if (t->waiting)
        return;
    t->waiting = true;
    t->wait_next = NULL;
    *all->waiting_last = t;
    all->waiting_last = &t->wait_next;
}

static bool send_cell(struct transfer *t, uint16_t type, void *m)
{
    struct acceptor *a = t->a;
    bool first = a->transfers.resuming || a->transfers.waiting == NULL;
    struct cell *c = first ? outbox_request(a->t->out, a->conf.media) : NULL;
    if (c == NULL) {
        wait_for_credit(t);
        return false;
    }
    c->type = type;
    c->req = t->handle;
    c->cid = t->handle; /* tells its answer from those to requests, whose handles look the same */
    c->u.p = m;
    t->out++;
    return true;
}

static bool send_asked(struct transfer *t)
{
    if (t->want == 0)
        return true;
    if (!send_cell(t, t->want, &t->m))
        return false;
    t->want = 0;
    t->asked = true;
    return true;
}

static bool send_chunk(struct transfer *t, uint16_t type)
{
    struct chunk *c = &t->chunks[t->next];
    if (!send_cell(t, type, &c->m))
        return false;
    c->lent = true;
    t->next ^= 1;
    return true;
}

static void push_up(struct transfer *t)
{
    for (;;) {
        struct chunk *c = &t->chunks[t->next];
        if (c->lent || c->len == 0 || (c->len < media_chunk_bytes && !t->whole))
            break;
        c->m.write = (struct media_write){.stream = t->stream, .p = c->p, .len = c->len};
        if (!send_chunk(t, MEDIA_WRITE))
            return;
        t->written = true;
    }
    if (t->whole && t->chunks[0].len == 0 && t->chunks[1].len == 0) {
        t->m.finish = (struct media_finish){.stream = t->stream};
        t->want = MEDIA_FINISH;
        send_asked(t);
    }
}

static enum err push_down(struct transfer *t)
{
    while (t->offset < t->end && t->chunks[t->next].len == 0) {
        struct chunk *c = &t->chunks[t->next];
        if (!chunk_take(t->a, c))
            return ERR_NOMEM;
        uint32_t len = (uint32_t)MIN(t->end - t->offset, (uint64_t)media_chunk_bytes);
        c->m.read =
            (struct media_read){.stream = t->stream, .offset = t->offset, .p = c->p, .len = len};
        if (!send_chunk(t, MEDIA_READ))
            return ERR_OK;
        c->len = len;
        t->offset += len;
    }
    return ERR_OK;
}

/* After an error the transfer is none of the request's. */
static void tell(struct transfer *t, uint16_t type, enum err err)
{
    struct request *r = t->r;
    if (r == NULL)
        return;
    if (err != ERR_OK) {
        r->transfer = NULL;
        t->r = NULL;
    }
    bool busy = t->busy;
    t->busy = true;
    t->told(r, type, err);
    t->busy = busy;
}

/* Media need not keep what nobody wants any more: the file of a download is closed while its last
 * bytes are sent. */
static bool must_close(const struct transfer *t)
{
    bool read =
        !t->up && t->end > 0 && t->offset == t->end && !t->chunks[0].lent && !t->chunks[1].lent;
    return t->open && !t->asked && (t->r == NULL || read);
}

/* Nobody else knows of the place that was reserved for its bytes. */
static bool must_forget(const struct transfer *t)
{
    return t->reserved.text[0] != '\0' && !t->asked && t->r == NULL;
}

static void close_down(struct transfer *t)
{
    if (!must_close(t))
        return;
    t->last.close = (struct media_close){.stream = t->stream};
    t->open = !send_cell(t, MEDIA_CLOSE, &t->last.close);
}

static void abort_up(struct transfer *t)
{
    if (!must_close(t) && !must_forget(t))
        return;
    t->last.abort = (struct media_abort){.stream = t->open ? t->stream : 0, .forget = t->reserved};
    if (!send_cell(t, MEDIA_ABORT, &t->last.abort))
        return;
    t->open = false;
    t->reserved.text[0] = '\0';
}

static void push_end(struct transfer *t)
{
    if (t->up)
        abort_up(t);
    else
        close_down(t);
    bool is_owed = t->out > 0 || t->open || t->reserved.text[0] != '\0' || t->waiting;
    if (t->r == NULL && !is_owed && !t->busy)
        release(t);
}

/* Sends what may be sent, the end too. t may be gone afterwards. */
static void push(struct transfer *t)
{
    enum err err = ERR_OK;
    if (t->r == NULL)
        t->want = 0;
    if (t->r != NULL && send_asked(t) && t->open && !t->asked) {
        if (t->up)
            push_up(t);
        else
            err = push_down(t);
    }
    if (err != ERR_OK)
        tell(t, MEDIA_READ, err);
    push_end(t);
}

void transfers_resume(struct acceptor *a)
{
    struct transfers *all = &a->transfers;
    while (all->waiting != NULL && a->t->out->credits[a->conf.media] > 0) {
        struct transfer *t = all->waiting;
        all->waiting = t->wait_next;
        if (all->waiting == NULL)
            all->waiting_last = &all->waiting;
        t->waiting = false;
        all->resuming = true;
        push(t);
        all->resuming = false;
    }
}

/* ---- from media ---- */

static void chunk_home(struct transfer *t, enum err err)
{
    struct chunk *c = &t->chunks[t->home];
    ASSERT(c->lent);
    c->lent = false;
    t->home ^= 1;
    if (t->up || err != ERR_OK)
        c->len = 0;
}

void transfer_on_answer(struct acceptor *a, const struct cell *c)
{
    struct transfer *t = slab_find(&a->transfers.slots, c->req);
    enum err err = (enum err)c->err;
    ASSERT(t != NULL && t->out > 0);
    t->out--;
    switch ((enum media_msg)c->type) {
    case MEDIA_WRITE:
        chunk_home(t, err);
        t->open = t->open && err == ERR_OK;
        break;
    case MEDIA_READ:
        chunk_home(t, err);
        break;
    case MEDIA_BEGIN:
        t->open = err == ERR_OK;
        t->stream = t->m.begin.stream;
        t->asked = false;
        break;
    case MEDIA_OPEN:
        t->open = err == ERR_OK;
        t->stream = t->m.open.stream;
        t->asked = false;
        break;
    case MEDIA_FINISH:
        t->open = t->asked = false;
        if (err == ERR_OK)
            t->reserved.text[0] = '\0';
        break;
    case MEDIA_RESERVE:
        t->asked = false;
        if (err == ERR_OK)
            t->reserved = t->m.reserve.id;
        break;
    case MEDIA_ABORT:
    case MEDIA_CLOSE:
        push_end(t);
        return;
    case MEDIA_SHARE:
    case MEDIA_INFO:
    case MEDIA_LIST:
    case MEDIA_PUBLIC:
    case MEDIA_DELETE:
    case MEDIA_SEARCH:
    case MEDIA_REINDEX:
        ASSERT(false); /* a request's, not a transfer's */
    }
    tell(t, c->type, err);
    push(t);
}

/* ---- for the request ---- */

void transfer_leave(struct request *r)
{
    struct transfer *t = r->transfer;
    if (t == NULL)
        return;
    r->transfer = NULL;
    t->r = NULL;
    push(t);
}

void transfer_ask(struct transfer *t, uint16_t type)
{
    ASSERT(!t->asked && t->want == 0);
    t->want = type;
    push(t);
}

bool transfer_full(const struct transfer *t)
{
    const struct chunk *c = &t->chunks[t->at];
    return t->shut || c->lent || c->len == media_chunk_bytes;
}

enum err transfer_put(struct transfer *t, const void *p, size_t n, size_t *took)
{
    *took = 0;
    while (*took < n && !transfer_full(t)) {
        struct chunk *c = &t->chunks[t->at];
        if (!chunk_take(t->a, c))
            return ERR_NOMEM;
        size_t some = MIN(n - *took, (size_t)media_chunk_bytes - c->len);
        memcpy(c->p + c->len, (const uint8_t *)p + *took, some);
        c->len += (uint32_t)some;
        *took += some;
        if (c->len == media_chunk_bytes) {
            t->at ^= 1;
            push(t);
        }
    }
    return ERR_OK;
}

bool transfer_rewind(struct transfer *t)
{
    if (t->written)
        return false;
    t->chunks[0].len = t->chunks[1].len = 0;
    t->at = t->next;
    return true;
}

void transfer_finish(struct transfer *t)
{
    t->whole = true;
    push(t);
}

void transfer_read(struct transfer *t, uint64_t offset, uint64_t len)
{
    ASSERT(t->open && len > 0);
    t->offset = offset;
    t->end = offset + len;
    push(t);
}

struct iovec transfer_piece(const struct transfer *t)
{
    const struct chunk *c = &t->chunks[t->at];
    return (struct iovec){c->p, c->lent ? 0 : c->len};
}

bool transfer_sent(struct transfer *t)
{
    struct chunk *c = &t->chunks[t->at];
    ASSERT(!c->lent && c->len > 0);
    c->len = 0;
    t->at ^= 1;
    if (t->offset == t->end)
        chunk_give(t->a, c);
    push(t);
    return t->offset == t->end && t->chunks[0].len == 0 && t->chunks[1].len == 0;
}
