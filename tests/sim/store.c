#include "store.h"

#include <stdlib.h>

#include "world.h"

enum { space_check_us = 1000000, settle_batches = 97, owner_bytes = 10 };

/* ---- reads ---- */

static bool read_fails(struct sim_store *s)
{
    return s->w->now_us < s->read_errors_until_us && rng_one_in(&s->rng, 3);
}

static enum err multi_get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    struct sim_store *s = self;
    if (read_fails(s))
        return ERR_IO;
    for (uint32_t i = 0; i < n; i++) {
        const struct sorted_node *node = sorted_get(&s->cfs[gets[i].cf], gets[i].key);
        gets[i].value = node == NULL ? SV_NONE : arena_dup(a, node->value);
        if (node != NULL && gets[i].value.p == NULL)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

static enum err scan(void *self, enum cf cf, struct str_view from, struct str_view to,
                     view_row_fn *fn, void *ctx, uint64_t *moment)
{
    struct sim_store *s = self;
    if (read_fails(s))
        return ERR_IO;
    *moment = s->batches;
    for (const struct sorted_node *n = sorted_seek(&s->cfs[cf], from);
         n != NULL && sv_cmp(n->key, to) < 0; n = n->next[0]) {
        if (!fn(ctx, n->key, n->value))
            break;
    }
    return ERR_OK;
}

/* ---- what was written since ---- */

static struct str_view owner_of(struct str_view key)
{
    return (struct str_view){key.p, MIN(key.len, (size_t)owner_bytes)};
}

static uint64_t number_in(const struct sorted *s, struct str_view key)
{
    const struct sorted_node *n = sorted_get(s, key);
    uint64_t number = 0;
    if (n != NULL)
        memcpy(&number, n->value.p, sizeof number);
    return number;
}

static void number_put(struct sorted *s, struct str_view key, uint64_t number)
{
    sorted_put(s, key, (struct str_view){(const char *)&number, sizeof number});
}

static uint64_t moment(void *self)
{
    return ((const struct sim_store *)self)->batches;
}

static bool touched(void *self, const struct view_get *keys, uint32_t n, uint64_t since)
{
    const struct sim_store *s = self;
    bool yes = s->settled > since;
    for (uint32_t i = 0; i < n && !yes; i++)
        yes = number_in(&s->written[keys[i].cf], keys[i].key) > since;
    return yes;
}

static bool front(void *self, enum cf cf, struct str_view key, uint64_t since, view_row_fn *fn,
                  void *ctx, uint64_t *as_of)
{
    const struct sim_store *s = self;
    struct str_view owner = owner_of(key);
    ASSERT(cf == CF_MSG);
    if (s->settled > since || number_in(&s->disturbed, owner) > since)
        return false;
    *as_of = s->batches;
    for (const struct sorted_node *n = sorted_seek(&s->cfs[cf], owner);
         n != NULL && sv_starts(n->key, owner); n = n->next[0]) {
        if (number_in(&s->written[cf], n->key) <= since || !fn(ctx, n->key, n->value))
            break;
    }
    return true;
}

/* Before the row is applied. */
static void note_change(struct sim_store *s, const struct row *r, uint64_t number)
{
    struct str_view owner = owner_of(r->key);
    number_put(&s->written[r->cf], r->key, number);
    if (r->cf != CF_MSG)
        return;
    const struct sorted_node *first = sorted_seek(&s->cfs[CF_MSG], owner);
    bool before_all =
        first == NULL || !sv_starts(first->key, owner) || sv_cmp(r->key, first->key) < 0;
    if (r->op != ROW_PUT || !before_all)
        number_put(&s->disturbed, owner, number);
}

/* As if all had gone from memory into files. */
static void settle(struct sim_store *s)
{
    s->settled = s->batches;
    sorted_deinit(&s->disturbed);
    for (int i = 0; i < CF_COUNT; i++)
        sorted_deinit(&s->written[i]);
}

static const struct view_ops view_ops = {multi_get, scan, moment, touched, front};

struct view sim_view(struct sim_store *s)
{
    return (struct view){&view_ops, s};
}

/* ---- writes ---- */

static void apply(struct sim_store *s, const struct batch *b)
{
    for (const struct row *r = b->first; r != NULL; r = r->next) {
        note_change(s, r, s->batches + 1);
        if (r->op == ROW_PUT)
            sorted_put(&s->cfs[r->cf], r->key, r->value);
        else
            sorted_delete(&s->cfs[r->cf], r->key);
    }
    s->batches++;
    if (s->batches % settle_batches == 0)
        settle(s);
    oracle_on_batch(s->w, b);
}

/* What comes first: how long the sync takes and how it ends. */
static void begin_commit(struct sim_log *l, struct turn *t)
{
    struct world *w = l->w;
    struct sim_store *s = &w->store;
    l->committing = true;
    l->end = COMMIT_OK;
    uint64_t us = rng_skewed(&s->rng, 0, w->plan.sync_us * 2);
    if (w->faults_on && plan_has(&w->plan, FAULT_STALL) && rng_one_in(&s->rng, 400))
        us = rng_range(&s->rng, 100000, 10000000);
    l->done_us = t->mono_us + us;
    if (t->mono_us < s->no_space_until_us)
        l->end = COMMIT_NO_SPACE;
    else if (w->faults_on && plan_has(&w->plan, FAULT_IO_ERROR) && rng_one_in(&s->rng, 300))
        l->end = COMMIT_IO_ERROR;
    else if (w->faults_on && plan_has(&w->plan, FAULT_SYNC_ERROR) && rng_one_in(&s->rng, 1500))
        l->end = COMMIT_SYNC_ERROR;
}

static void refuse(struct sim_log *l, struct batch *b, enum err err)
{
    b->err = err;
    l->failed_epoch[b->part] = MAX(l->failed_epoch[b->part], b->epoch);
}

static bool may_write(struct sim_log *l, uint64_t now_us)
{
    if (now_us - l->looked_us >= space_check_us) {
        l->looked_us = now_us;
        l->disk_full = now_us < l->w->store.no_space_until_us;
        if (l->stopped && !l->disk_full)
            l->stopped = false;
    }
    return !l->stopped;
}

static void on_timer(struct timer *timer, void *ctx);

static void watch_space(struct sim_log *l, struct turn *t)
{
    if ((!l->stopped && !l->disk_full) || timer_armed(&l->timer))
        return;
    l->timer.fire = on_timer;
    wheel_arm(t->wheel, &l->timer, t->mono_us + space_check_us);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct sim_log *l = (struct sim_log *)(void *)((char *)timer - offsetof(struct sim_log, timer));
    struct turn *t = ctx;
    (void)may_write(l, t->mono_us);
    watch_space(l, t);
}

/* [from, *to) is one commit, as large as the settings allow; judged before anything is written. */
static uint32_t group(struct sim_log *l, uint32_t from, bool open)
{
    uint64_t bytes = 0;
    uint32_t requests = 0, to;
    for (to = from; to < l->len; to++) {
        struct batch *b = l->queue[to].u.p;
        if (to > from && (bytes + b->bytes > l->w->plan.conf.store_batch_bytes_max ||
                          requests + b->requests > l->w->plan.conf.store_batch_requests_max))
            break;
        b->err = ERR_OK;
        if (!open)
            refuse(l, b, l->stopped_err);
        else if (b->epoch <= l->failed_epoch[b->part])
            b->err = ERR_STORAGE_UNAVAILABLE;
        bytes += b->bytes;
        requests += b->requests;
    }
    return to;
}

static void end_commit(struct sim_log *l, struct turn *t)
{
    struct sim_store *s = &l->w->store;
    bool open = may_write(l, t->mono_us);
    l->committing = false;
    if (l->end == COMMIT_SYNC_ERROR && open) {
        world_process_ends(l->w, "sync failed");
        return; /* the queue is still there: what of it is on the disk is settled by the crash */
    }
    for (uint32_t from = 0, to; from < l->len; from = to) {
        to = group(l, from, open);
        enum err err = l->end == COMMIT_NO_SPACE   ? ERR_DISK_FULL
                       : l->end == COMMIT_IO_ERROR ? ERR_STORAGE_UNAVAILABLE
                                                   : ERR_OK;
        if (open && err != ERR_OK) {
            open = false;
            l->stopped = true;
            l->stopped_err = err;
            l->looked_us = t->mono_us;
            l->disk_full = err == ERR_DISK_FULL;
            for (uint32_t i = from; i < to; i++)
                refuse(l, l->queue[i].u.p, err);
        }
        for (uint32_t i = from; i < to; i++) {
            struct batch *b = l->queue[i].u.p;
            if (b->err == ERR_OK)
                apply(s, b);
            b->durable_us = t->mono_us;
            struct cell *c = outbox_answer(t->out, l->from[i], &l->queue[i]);
            c->err = b->err;
            c->u.p = b;
        }
    }
    s->commits++;
    trace_add(&l->w->trace, (struct trace_entry){.at_us = t->mono_us,
                                                 .what = open ? "commit" : "commit refused",
                                                 .kind = TRACE_STORE,
                                                 .x = l->len,
                                                 .y = l->w->oracle.pos});
    l->len = 0;
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct sim_log *l = self;
    (void)t;
    ASSERT(class == CLASS_REQUEST);
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(l->len < l->cap && cells[i].type == LOG_APPEND);
        l->from[l->len] = from;
        l->queue[l->len++] = cells[i];
    }
}

static void end_turn(void *self, struct turn *t)
{
    struct sim_log *l = self;
    if (l->len > 0 && !l->committing)
        begin_commit(l, t);
    if (l->committing && t->mono_us >= l->done_us)
        end_commit(l, t);
    else if (l->committing)
        world_block(l->w, l->w->log_actor, l->done_us);
    watch_space(l, t);
}

static bool busy(const void *self)
{
    return ((const struct sim_log *)self)->committing;
}

const struct actor_ops sim_log_ops = {.on_cells = on_cells, .end_turn = end_turn, .busy = busy};

bool sim_disk_full(const struct log *l)
{
    return ((const struct sim_log *)(const void *)l)->disk_full;
}

/* ---- life ---- */

void sim_store_init(struct sim_store *s, struct world *w, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->w = w;
    s->rng = rng_make(seed, 20);
    sorted_init(&s->disturbed);
    for (int i = 0; i < CF_COUNT; i++) {
        sorted_init(&s->cfs[i]);
        sorted_init(&s->written[i]);
    }
}

void sim_store_deinit(struct sim_store *s)
{
    settle(s);
    for (int i = 0; i < CF_COUNT; i++)
        sorted_deinit(&s->cfs[i]);
}

struct sim_log *sim_log_new(struct world *w)
{
    struct sim_log *l = calloc(1, sizeof *l);
    ASSERT(l != NULL);
    l->w = w;
    l->cap = (uint32_t)w->plan.conf.ring_request_cells * (w->len[ACTOR_CHAN] + 2u);
    l->queue = calloc(l->cap, sizeof *l->queue);
    l->from = calloc(l->cap, sizeof *l->from);
    ASSERT(l->queue != NULL && l->from != NULL);
    return l;
}

void sim_log_free(struct sim_log *l)
{
    if (l == NULL)
        return;
    free(l->queue);
    free(l->from);
    free(l);
}

void sim_log_crash(struct sim_log *l)
{
    struct sim_store *s = &l->w->store;
    if (l->len == 0 || l->stopped || l->end == COMMIT_NO_SPACE || l->end == COMMIT_IO_ERROR)
        return;
    uint32_t to = group(l, 0, true);
    uint32_t keep = (uint32_t)rng_below(&s->rng, to + 1ull);
    for (uint32_t i = 0; i < keep; i++) {
        struct batch *b = l->queue[i].u.p;
        if (b->err == ERR_OK)
            apply(s, b);
    }
    trace_add(&l->w->trace, (struct trace_entry){.at_us = l->w->now_us,
                                                 .what = "crash keeps of the unreported batches",
                                                 .kind = TRACE_STORE,
                                                 .x = keep,
                                                 .y = to});
}
