#include "store/stage.h"

#include <stdlib.h>

/* The index over a commit of small rows takes more than its rows: a bound for mapped, not for
 * resident memory. */
enum { index_factor = 16 };

enum err stages_init(struct stages *s, uint64_t seed, uint64_t bytes_max, uint64_t commit_bytes_max)
{
    *s = (struct stages){.seed = seed,
                         .bytes_max = bytes_max,
                         .room_bytes = bytes_max + index_factor * commit_bytes_max};
    pthread_mutex_init(&s->lock, NULL);
    s->current = calloc(1, sizeof *s->current);
    if (s->current == NULL)
        return ERR_NOMEM;
    s->active = s->current->active = tail_new(seed, s->room_bytes, 0);
    return s->active == NULL ? ERR_NOMEM : ERR_OK;
}

/* ---- what was replaced ---- */

static bool is_pinned(const struct stages *s, const struct stage *stage)
{
    for (const struct stage_reader *r = s->readers; r != NULL; r = r->next) {
        for (int i = 0; i < stage_nested_max; i++) {
            if (__atomic_load_n(&r->pinned[i], __ATOMIC_SEQ_CST) == stage) /* pairs with unpin */
                return true;
        }
    }
    return false;
}

/* A tail that was frozen because it was full will have a successor soon; one that was frozen for
 * its age goes. */
static void recycle(struct stages *s, struct tail *t)
{
    bool busy = tail_bytes(t) >= s->bytes_max && tail_room_max(t) == s->room_bytes;
    if (!busy || s->spare != NULL) {
        tail_free(t);
        return;
    }
    tail_reset(t);
    if (tail_bytes(t) > s->bytes_max / 2) { /* its table would fill a small tail */
        tail_free(t);
        return;
    }
    s->spare = t;
}

static struct tail *take_spare(struct stages *s, size_t room_bytes)
{
    pthread_mutex_lock(&s->lock);
    struct tail *t = s->spare;
    if (t != NULL && tail_room_max(t) >= room_bytes)
        s->spare = NULL;
    else
        t = NULL;
    pthread_mutex_unlock(&s->lock);
    return t;
}

static void drop_tail(struct stages *s, struct tail *t)
{
    struct stage *now = s->current;
    bool held = now != NULL && (now->active == t || now->frozen == t);
    for (const struct stage *old = s->retired; old != NULL; old = old->next)
        held |= old->active == t || old->frozen == t;
    if (!held)
        recycle(s, t);
}

static void reclaim(struct stages *s)
{
    for (struct stage **link = &s->retired, *old; (old = *link) != NULL;) {
        if (is_pinned(s, old)) {
            link = &old->next;
            continue;
        }
        *link = old->next;
        drop_tail(s, old->active);
        if (old->frozen != NULL)
            drop_tail(s, old->frozen);
        free(old);
    }
}

void stages_deinit(struct stages *s)
{
    struct stage_reader *next;
    if (s->current != NULL) {
        s->current->next = s->retired;
        s->retired = s->current;
        s->current = NULL;
        reclaim(s);
        ASSERT(s->retired == NULL); /* all views are idle */
    }
    tail_free(s->spare);
    for (struct stage_reader *r = s->readers; r != NULL; r = next) {
        next = r->next;
        free(r);
    }
    pthread_mutex_destroy(&s->lock);
}

/* ---- readers ---- */

enum err stage_reader_new(struct stages *s, void *owner, struct stage_reader **out)
{
    struct stage_reader *r = aligned_alloc(CACHE_LINE, sizeof *r);
    if (r == NULL)
        return ERR_NOMEM;
    pthread_mutex_lock(&s->lock);
    bool room = s->readers_len < stage_readers_max;
    if (room) {
        *r = (struct stage_reader){.stages = s, .owner = owner, .next = s->readers};
        s->readers = r;
        s->readers_len++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!room) {
        free(r);
        return ERR_NOMEM;
    }
    *out = r;
    return ERR_OK;
}

const struct stage *stage_pin(struct stage_reader *r)
{
    ASSERT(r->depth < stage_nested_max);
    const struct stage *now = __atomic_load_n(&r->stages->current, __ATOMIC_SEQ_CST), *seen;
    do { /* who replaces it now either sees the pin, or is seen */
        seen = now;
        __atomic_store_n(&r->pinned[r->depth], seen, __ATOMIC_SEQ_CST);
        now = __atomic_load_n(&r->stages->current, __ATOMIC_SEQ_CST);
    } while (now != seen);
    r->depth++;
    return seen;
}

void stage_unpin(struct stage_reader *r)
{
    r->depth--;
    __atomic_store_n(&r->pinned[r->depth], NULL, __ATOMIC_RELEASE); /* pairs with is_pinned */
}

/* ---- writer and ingest ---- */

static enum err replace(struct stages *s, struct tail *active, struct tail *frozen,
                        uint64_t in_files)
{
    struct stage *next = calloc(1, sizeof *next);
    if (next == NULL)
        return ERR_NOMEM;
    *next = (struct stage){.active = active, .frozen = frozen, .in_files = in_files};
    pthread_mutex_lock(&s->lock);
    struct stage *old = s->current;
    __atomic_store_n(&s->current, next, __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->frozen, frozen, __ATOMIC_RELEASE);
    old->next = s->retired;
    s->retired = old;
    reclaim(s);
    pthread_mutex_unlock(&s->lock);
    return ERR_OK;
}

enum err stage_freeze(struct stages *s, size_t room_bytes)
{
    struct tail *full = s->active;
    ASSERT(stage_frozen(s) == NULL);
    struct tail *t = take_spare(s, room_bytes);
    if (t == NULL)
        t = tail_new(s->seed, MAX(s->room_bytes, room_bytes), tail_keys(full));
    if (t == NULL)
        return ERR_NOMEM;
    enum err err = replace(s, t, full, s->current->in_files);
    if (err != ERR_OK)
        tail_free(t);
    else
        s->active = t;
    return err;
}

enum err stage_ingested(struct stages *s)
{
    uint64_t newest = tail_newest(s->frozen); /* a freeze waits until then; 0: it was empty */
    return replace(s, s->active, NULL, MAX(newest, s->current->in_files));
}
