/* view_rocksdb.c - reads of the second form of the store: the tails first, then RocksDB. What both
 * stages hold is seen as of one moment; see stage.h. */
#include "base/log.h"
#include "store/internal.h"
#include "store/merge.h"

/* The tails of a pinned stage, newest first, and how much of the active one is seen. */
struct seen {
    const struct tail *tails[2];
    uint64_t numbers[2];
    uint32_t len;
    uint64_t moment; /* the newest commit that is seen */
};

static struct seen look_at(const struct stage *stage)
{
    struct seen seen = {.tails = {stage->active, stage->frozen},
                        .numbers = {tail_newest(stage->active), UINT64_MAX},
                        .len = stage->frozen == NULL ? 1 : 2,
                        .moment = stage->in_files};
    for (uint32_t i = 0; i < seen.len; i++) /* an empty tail's number is 0 */
        seen.moment = MAX(seen.moment, MIN(seen.numbers[i], tail_newest(seen.tails[i])));
    return seen;
}

/* ---- points ---- */

enum { multi_get_max = 256 };

/* The keys of one family that no tail has. */
struct missing {
    struct view_get *gets[multi_get_max];
    uint32_t len;
};

static enum err copy_out(struct arena *a, const char *p, size_t n, struct str_view *out)
{
    *out = arena_dup(a, (struct str_view){p, n});
    return out->p == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err take_value(rocksdb_pinnableslice_t *v, struct arena *a, struct str_view *out)
{
    size_t n;
    const char *p = rocksdb_pinnableslice_value(v, &n);
    enum err err = copy_out(a, p, n, out);
    rocksdb_pinnableslice_destroy(v);
    return err;
}

static enum err get_one(struct store *s, struct view_get *g, struct arena *a)
{
    char *error = NULL;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned_cf(s->db, s->read, s->cfs[g->cf], g->key.p, g->key.len, &error);
    if (error != NULL)
        return store_complain("store_read_failed", s, error);
    return v == NULL ? ERR_OK : take_value(v, a, &g->value);
}

/* RocksDB looks through filters and blocks for many keys at once, and a key that is absent costs no
 * allocation. */
static enum err get_some(struct store *s, const struct missing *m, struct arena *a)
{
    const char *keys[multi_get_max];
    size_t key_lens[multi_get_max];
    rocksdb_pinnableslice_t *values[multi_get_max];
    char *errors[multi_get_max];
    enum err err = ERR_OK;
    if (m->len == 0)
        return ERR_OK;
    if (m->len == 1)
        return get_one(s, m->gets[0], a);
    for (uint32_t i = 0; i < m->len; i++) {
        keys[i] = m->gets[i]->key.p;
        key_lens[i] = m->gets[i]->key.len;
    }
    rocksdb_batched_multi_get_cf(s->db, s->read, s->cfs[m->gets[0]->cf], m->len, keys, key_lens,
                                 values, errors, false);
    for (uint32_t i = 0; i < m->len; i++) {
        if (errors[i] != NULL)
            err = store_complain("store_read_failed", s, errors[i]);
        if (values[i] == NULL)
            continue;
        enum err copied = take_value(values[i], a, &m->gets[i]->value);
        err = err == ERR_OK ? copied : err;
    }
    return err;
}

/* False: RocksDB has to be asked. */
static bool get_from_tails(const struct seen *seen, struct view_get *g, struct arena *a,
                           enum err *err)
{
    uint64_t hash = tail_hash(seen->tails[0], g->cf, g->key);
    for (uint32_t i = 0; i < seen->len; i++) {
        const struct tail_row *row =
            tail_find(seen->tails[i], hash, g->cf, g->key, seen->numbers[i]);
        if (row == NULL)
            continue;
        if (!row->deleted)
            *err = copy_out(a, row->value, row->value_len, &g->value);
        return true;
    }
    return false;
}

/* How many of the first ones are of one family, and fit into one call. */
static uint32_t run_of(const struct view_get *gets, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && i < multi_get_max && gets[i].cf == gets[0].cf)
        i++;
    return i;
}

static enum err get_all(struct store *s, const struct seen *seen, struct view_get *gets, uint32_t n,
                        struct arena *a)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0, end; i < n && err == ERR_OK; i = end) {
        struct missing m = {.len = 0};
        for (end = i + run_of(gets + i, n - i); i < end && err == ERR_OK; i++) {
            gets[i].value = SV_NONE;
            if (!get_from_tails(seen, &gets[i], a, &err))
                m.gets[m.len++] = &gets[i];
        }
        if (err == ERR_OK)
            err = get_some(s, &m, a);
    }
    return err;
}

static enum err multi_get(struct stage_reader *r, struct view_get *gets, uint32_t n,
                          struct arena *a)
{
    struct store *s = r->owner;
    enum err err;
    bool current;
    if (s->db == NULL)
        return ERR_IO;
    do {
        struct seen seen = look_at(stage_pin(r));
        err = get_all(s, &seen, gets, n, a);
        current = stage_is_current(r);
        stage_unpin(r);
    } while (err == ERR_OK && !current);
    return err;
}

static enum err view_multi_get_rocksdb(void *self, struct view_get *gets, uint32_t n,
                                       struct arena *a)
{
    struct stage_reader *r = self;
    struct store *s = r->owner;
    pthread_rwlock_rdlock(&s->opened);
    TSAN_ACQUIRE(s); /* of rows that log or ingest wrote */
    enum err err = multi_get(r, gets, n, a);
    pthread_rwlock_unlock(&s->opened);
    return err;
}

/* ---- ranges ---- */

static rocksdb_readoptions_t *range_options(enum cf cf, struct str_view from, struct str_view to)
{
    size_t prefix = families[cf].prefix_bytes;
    bool one_prefix =
        prefix > 0 && from.len >= prefix && to.len >= prefix && memcmp(from.p, to.p, prefix) == 0;
    rocksdb_readoptions_t *ro = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(ro, to.p, to.len);
    if (one_prefix)
        rocksdb_readoptions_set_prefix_same_as_start(ro, 1);
    else
        rocksdb_readoptions_set_total_order_seek(ro, 1);
    return ro;
}

/* Pins a stage and opens an iterator that is not younger. */
static rocksdb_iterator_t *pin_and_iterate(struct stage_reader *r, enum cf cf,
                                           const rocksdb_readoptions_t *ro, struct seen *seen)
{
    struct store *s = r->owner;
    for (;;) {
        *seen = look_at(stage_pin(r));
        rocksdb_iterator_t *it = rocksdb_create_iterator_cf(s->db, ro, s->cfs[cf]);
        if (stage_is_current(r))
            return it;
        rocksdb_iter_destroy(it);
        stage_unpin(r);
    }
}

static enum err scan(struct stage_reader *r, enum cf cf, struct str_view from, struct str_view to,
                     view_row_fn *fn, void *ctx, uint64_t *moment)
{
    struct store *s = r->owner;
    struct seen seen;
    struct tail_cursor cursors[2] = {0};
    char *error = NULL;
    enum err err = ERR_OK;
    if (s->db == NULL)
        return ERR_IO;
    rocksdb_readoptions_t *ro = range_options(cf, from, to);
    rocksdb_iterator_t *it = pin_and_iterate(r, cf, ro, &seen);
    *moment = seen.moment;
    for (uint32_t i = 0; i < seen.len && err == ERR_OK; i++)
        err = tail_seek(&cursors[i], seen.tails[i], cf, from, to, seen.numbers[i]);
    if (err == ERR_OK) {
        rocksdb_iter_seek(it, from.p, from.len);
        merge_scan(cursors, seen.len, it, fn, ctx);
        rocksdb_iter_get_error(it, &error);
    }
    for (uint32_t i = 0; i < seen.len; i++)
        tail_cursor_deinit(&cursors[i]);
    stage_unpin(r);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(ro);
    return error == NULL ? err : store_complain("store_read_failed", s, error);
}

static enum err view_scan_rocksdb(void *self, enum cf cf, struct str_view from, struct str_view to,
                                  view_row_fn *fn, void *ctx, uint64_t *moment)
{
    struct stage_reader *r = self;
    struct store *s = r->owner;
    pthread_rwlock_rdlock(&s->opened);
    TSAN_ACQUIRE(s);
    enum err err = scan(r, cf, from, to, fn, ctx, moment);
    pthread_rwlock_unlock(&s->opened);
    return err;
}

/* ---- what was written since ---- */

/* Commits after the one up to which everything is in files are all in the pinned tails. */

static uint64_t view_moment_rocksdb(void *self)
{
    struct stage_reader *r = self;
    struct seen seen = look_at(stage_pin(r));
    stage_unpin(r);
    return seen.moment;
}

static bool touched(const struct seen *seen, const struct view_get *key, uint64_t since)
{
    uint64_t hash = tail_hash(seen->tails[0], key->cf, key->key);
    for (uint32_t i = 0; i < seen->len; i++) {
        const struct tail_row *row =
            tail_find(seen->tails[i], hash, key->cf, key->key, seen->numbers[i]);
        if (row != NULL)
            return row->number > since; /* the first tail that has it has the newest */
    }
    return false;
}

static bool view_touched_rocksdb(void *self, const struct view_get *keys, uint32_t n,
                                 uint64_t since)
{
    struct stage_reader *r = self;
    const struct stage *stage = stage_pin(r);
    struct seen seen = look_at(stage);
    bool yes = stage->in_files > since;
    for (uint32_t i = 0; i < n && !yes; i++)
        yes = touched(&seen, &keys[i], since);
    stage_unpin(r);
    return yes;
}

static bool view_front_rocksdb(void *self, enum cf cf, struct str_view key, uint64_t since,
                               view_row_fn *fn, void *ctx, uint64_t *moment)
{
    struct stage_reader *r = self;
    struct tail_cursor cursors[2];
    const struct stage *stage = stage_pin(r);
    struct seen seen = look_at(stage);
    bool known = stage->in_files <= since, more = true;
    for (uint32_t i = 0; i < seen.len && known; i++)
        known = tail_front(&cursors[i], seen.tails[i], cf, key, since, seen.numbers[i]);
    for (uint32_t i = 0; i < seen.len && known; i++) {
        for (struct tail_cursor *c = &cursors[i]; c->valid && more; tail_next(c))
            more = fn(ctx, c->key, c->value);
    }
    *moment = seen.moment;
    stage_unpin(r);
    return known;
}

enum err store_view(struct store *s, struct view *out)
{
    static const struct view_ops ops = {.multi_get = view_multi_get_rocksdb,
                                        .scan = view_scan_rocksdb,
                                        .moment = view_moment_rocksdb,
                                        .touched = view_touched_rocksdb,
                                        .front = view_front_rocksdb};
    struct stage_reader *r;
    TRY(stage_reader_new(&s->stages, s, &r));
    *out = (struct view){&ops, r};
    return ERR_OK;
}
