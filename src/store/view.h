/* store/view.h - reads of durable rows. An interface, so that the simulator can stand behind it.
 * Blocking: chan calls only multi_get (batched point reads before a step), hist calls everything.
 * Thread: a view is used by one thread. */
#ifndef PARLEY_STORE_VIEW_H
#define PARLEY_STORE_VIEW_H

#include "base/arena.h"
#include "base/err.h"
#include "store/key.h"

struct view_get {
    enum cf cf;
    struct str_view key;
    struct str_view value; /* out; p NULL: absent */
};

/* false: stop. key and value are borrowed for the call. It must not read through a view: the scan
 * holds what such a read may wait for. */
typedef bool view_row_fn(void *ctx, struct str_view key, struct str_view value);

struct view_ops {
    /* Values are copied into the arena. Errors: ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
    enum err (*multi_get)(void *self, struct view_get *gets, uint32_t n, struct arena *a);
    /* Rows with from <= key < to in rising order, a consistent snapshot: as of *moment, which is
     * set before the first row. */
    enum err (*scan)(void *self, enum cf cf, struct str_view from, struct str_view to,
                     view_row_fn *fn, void *ctx, uint64_t *moment);

    /* For who keeps what was read. A moment is the number of a commit; they rise. These look into
     * memory only and cannot fail. */

    /* What is read from now on is as of this moment or a later one. */
    uint64_t (*moment)(void *self);
    /* Was one of these keys written after `since`? Also true when memory does not tell. */
    bool (*touched)(void *self, const struct view_get *keys, uint32_t n, uint64_t since);
    /* Rows that were put after `since`, up to *moment, in front of what memory has of the owner
     * that `key` belongs to; the newest commit's first. What is in files is not looked at: a row
     * that is not in front of that is for fn to notice. False: the owner's rows were changed in
     * another way too, or memory does not tell; read them anew. cf: CF_MSG. */
    bool (*front)(void *self, enum cf cf, struct str_view key, uint64_t since, view_row_fn *fn,
                  void *ctx, uint64_t *moment);
};

struct view {
    const struct view_ops *ops;
    void *self;
};

static inline enum err view_multi_get(const struct view *v, struct view_get *gets, uint32_t n,
                                      struct arena *a)
{
    return v->ops->multi_get(v->self, gets, n, a);
}
static inline enum err view_scan(const struct view *v, enum cf cf, struct str_view from,
                                 struct str_view to, view_row_fn *fn, void *ctx)
{
    uint64_t moment;
    return v->ops->scan(v->self, cf, from, to, fn, ctx, &moment);
}
static inline uint64_t view_moment(const struct view *v)
{
    return v->ops->moment(v->self);
}
static inline bool view_touched(const struct view *v, const struct view_get *keys, uint32_t n,
                                uint64_t since)
{
    return v->ops->touched(v->self, keys, n, since);
}
/* One key; value->p NULL: absent. */
MUST_USE enum err view_get1(const struct view *v, enum cf cf, const struct key *k, struct arena *a,
                            struct str_view *value);
/* Every row with the prefix. */
MUST_USE enum err view_scan_prefix(const struct view *v, enum cf cf, const struct key *prefix,
                                   view_row_fn *fn, void *ctx);

#endif
