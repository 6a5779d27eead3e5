/* commit.c - batches: rows for log, and what hangs on them until they are durable. */
#include <stdlib.h>

#include "base/mutant.h"
#include "base/probe.h"
#include "chan/internal.h"
#include "store/log.h"

/* The first blocks hold what a turn of some hundred posts takes, so that the heap is asked only by
 * rare giants. Memory that a batch has never used is never touched; the batch used last is used
 * next. */
enum { batch_first_bytes = 512 << 10, hang_first_bytes = 128 << 10, ts_high_value_max = 32 };

enum err commit_init(struct chan_shard *s)
{
    arena_pool_init(&s->batch_pool, batch_first_bytes, batches_max, UINT64_MAX);
    arena_pool_init(&s->hang_pool, hang_first_bytes, batches_max, UINT64_MAX);
    s->batches = calloc(batches_max, sizeof *s->batches);
    if (s->batches == NULL)
        return ERR_NOMEM;
    for (uint32_t i = batches_max; i > 0; i--) {
        struct chan_batch *cb = &s->batches[i - 1];
        /* batch_bytes_max and the requesters' credits bound them. */
        TRY(arena_init(&cb->b.arena, &s->batch_pool, UINT64_MAX));
        TRY(arena_init(&cb->hang, &s->hang_pool, UINT64_MAX));
        cb->next = s->free_batches;
        s->free_batches = cb;
    }
    return ERR_OK;
}

static void give_frames(struct chan_shard *s, struct chan_batch *cb)
{
    for (struct effect *e = cb->first; e != NULL; e = e->next) {
        if (e->frame != NULL)
            frame_give(&s->frames, e->frame);
    }
}

void commit_deinit(struct chan_shard *s)
{
    for (uint32_t i = 0; s->batches != NULL && i < batches_max; i++) {
        give_frames(s, &s->batches[i]);
        arena_deinit(&s->batches[i].b.arena);
        arena_deinit(&s->batches[i].hang);
    }
    arena_pool_deinit(&s->batch_pool);
    arena_pool_deinit(&s->hang_pool);
    free(s->batches);
}

/* ---- building ---- */

struct buf *commit_put(struct chan_batch *cb, enum cf cf, const struct key *k, size_t value_max)
{
    struct buf *v = batch_put_begin(&cb->b, cf, k);
    (void)buf_reserve(v, value_max); /* one piece; a failure sticks in the buf */
    return v;
}

/* The newest row's bytes, which lie in a piece of `max` bytes of the batch's arena, written anew.
 */
static struct buf rewrite(const struct row *r, size_t max)
{
    struct buf b;
    buf_init_fixed(&b, (char *)(uintptr_t)r->value.p, max);
    return b;
}

static void rewritten(struct chan_batch *cb, struct row *r, const struct buf *b)
{
    ASSERT(!b->failed);
    cb->b.bytes += b->len - r->value.len;
    r->value.len = b->len;
}

static struct chan_batch *open_batch(struct chan_shard *s)
{
    struct chan_batch *cb = s->free_batches;
    if (cb == NULL || !arena_reserve(&cb->b.arena, row_room(ts_high_value_max)))
        return NULL;
    struct key k;
    s->free_batches = cb->next;
    cb->next = NULL;
    cb->b.number = UINT64_MAX; /* newer than all that are with log */
    key_meta(&k, SV("ts_high"), s->conf.index);
    row_u64_encode(commit_put(cb, CF_META, &k, ts_high_value_max), &k, s->last_ts_us);
    batch_put_end(&cb->b);
    cb->ts_high_row = cb->b.last;
    s->open = cb;
    return cb;
}

static bool is_full(const struct chan_shard *s, const struct chan_batch *cb, size_t more)
{
    /* Whatever is larger than a batch may be goes alone: only ts_high is in it. */
    return cb->b.rows_len > 1 && cb->b.bytes + more > s->conf.batch_bytes_max;
}

struct chan_batch *commit_room(struct chan_shard *s, size_t rows_bytes, size_t hang_bytes)
{
    if (s->open != NULL && is_full(s, s->open, rows_bytes))
        commit_send(s);
    struct chan_batch *cb = s->open != NULL ? s->open : open_batch(s);
    if (cb == NULL || is_full(s, cb, rows_bytes) || !arena_reserve(&cb->b.arena, rows_bytes) ||
        !arena_reserve(&cb->hang, hang_bytes))
        return NULL;
    return cb;
}

void commit_head(struct chan_shard *s, struct chan *c)
{
    struct key k;
    key_chan_head(&k, c->cid);
    c->changed = true;
    if (c->batch != s->open) {
        row_chan_head_encode(commit_put(s->open, CF_CHAN, &k, head_value_max), &k, &c->head);
        batch_put_end(&s->open->b);
        c->batch = s->open;
        c->head_row = s->open->b.last;
        return;
    }
    struct buf b = rewrite(c->head_row, head_value_max);
    row_chan_head_encode(&b, &k, &c->head);
    rewritten(s->open, c->head_row, &b);
}

void commit_members(struct chan_shard *s, struct chan *c)
{
    c->head.members_len =
        MUTANT(MEMBERS_MISCOUNTED, c->members.len, MAX(c->head.members_len, c->members.len));
    commit_head(s, c);
    c->member_batch = s->open;
}

void commit_hang(struct chan_shard *s, struct chan_batch *cb, struct effect *e)
{
    struct effect **end = cb->last == NULL ? &cb->first : &cb->last->next;
    struct effect **at =
        MUTANT(CHANGES_TOLD_BACKWARDS, end, e->kind == EFFECT_CHANNEL_EVENT ? &cb->first : end);
    e->next = *at;
    *at = e;
    if (e->next == NULL)
        cb->last = e;
    if (cb == s->open && e->kind == EFFECT_ANSWER)
        cb->b.requests++;
}

struct effect *commit_effect(struct chan_shard *s, struct chan *c, enum effect_kind kind)
{
    struct effect *e = arena_zalloc(&s->open->hang, sizeof *e);
    ASSERT(e != NULL); /* commit_room */
    e->kind = kind;
    e->c = c;
    commit_hang(s, s->open, e);
    return e;
}

/* The last free batch is kept: a sync outlasts many turns, and what comes meanwhile needs a place.
 */
void commit_send(struct chan_shard *s)
{
    struct chan_batch *cb = s->open;
    bool may = cb != NULL && s->free_batches != NULL;
    struct cell *cell = may ? outbox_request(s->turn->out, s->conf.log) : NULL;
    if (cell == NULL)
        return;
    struct key k;
    struct buf b = rewrite(cb->ts_high_row, ts_high_value_max);
    key_meta(&k, SV("ts_high"), s->conf.index);
    row_u64_encode(&b, &k, MAX(s->last_ts_us, s->turn->wall_us)); /* an event_ts is the clock's */
    rewritten(cb, cb->ts_high_row, &b);
    ASSERT(!cb->b.failed); /* room was made before each row */
    cb->b.epoch = s->epoch;
    cb->b.number = ++s->number;
    cb->b.part = s->conf.index;
    cb->b.sent_us = s->turn->mono_us;
    PROBE(batched, cb->b.part, cb->b.number, cb->b.requests, cb->b.sent_us);
    cell->type = LOG_APPEND;
    cell->u.p = &cb->b;
    if (s->flight_last == NULL)
        s->flight_first = cb;
    else
        s->flight_last->next = cb;
    s->flight_last = cb;
    s->open = NULL;
}

static void recycle(struct chan_shard *s, struct chan_batch *cb)
{
    struct arena rows = cb->b.arena, hang = cb->hang;
    arena_reset(&rows);
    arena_reset(&hang);
    *cb = (struct chan_batch){.b.arena = rows, .hang = hang, .next = s->free_batches};
    s->free_batches = cb;
}

/* ---- durable ---- */

static void unpin(struct chan_shard *s, struct chan_batch *cb)
{
    for (struct effect *e = cb->first; e != NULL; e = e->next) {
        struct chan *c = e->c;
        if (c == NULL)
            continue;
        if (c->member_batch == cb)
            c->member_batch = NULL;
        if (c->batch == cb) {
            c->batch = NULL;
            table_place(s, c);
        }
    }
}

static void stamp(const struct op *op, const struct chan_batch *cb)
{
    if (op->request.type != CHAN_POST)
        return;
    struct chan_post *m = op->request.u.p;
    m->batched_us = cb->b.sent_us;
    m->durable_us = cb->b.durable_us;
}

static void release(struct chan_shard *s, const struct chan_batch *cb, struct effect *e)
{
    switch (e->kind) {
    case EFFECT_ANSWER: {
        struct op *op = CONTAINER(e, struct op, e);
        stamp(op, cb);
        op_answer(s, op, op->err);
        return;
    }
    case EFFECT_CREATED:
        created_tell(s, e);
        op_answer(s, CONTAINER(e, struct op, e), ERR_OK);
        return;
    case EFFECT_POSTED:
        e->c->durable_ts_us = MAX(e->c->durable_ts_us, e->ts_us);
        metric_add(s->turn->metrics, METRIC_POSTS, 1);
        emit_search(s, e->c, false);
        if (MUTANT(REPLY_NOT_TOLD, true, !e->edited))
            emit_channel(s, e->c, e->frame, e->to);
        return;
    case EFFECT_CHANNEL_EVENT:
        if (e->edited)
            emit_search(s, e->c, true);
        if (MUTANT(MEMBER_EVENT_LOST, true, false))
            emit_channel(s, e->c, e->frame, e->to);
        return;
    case EFFECT_HINT:
        emit_hint(s, e);
        return;
    case EFFECT_USER_EVENT:
        emit_user(s, e);
        return;
    case EFFECT_JOINED:
    case EFFECT_LEFT:
        emit_member(s, e);
        return;
    }
}

static void on_durable(struct chan_shard *s, struct chan_batch *cb)
{
    ASSERT(cb->b.epoch == s->epoch); /* log fails every batch that a failed one came before */
    dedup_forget(cb);
    pending_forget(cb);
    unpin(s, cb); /* nothing is evicted before the last effect is out */
    for (struct effect *e = cb->first, *next; e != NULL; e = next) {
        next = e->next;
        release(s, cb, e);
    }
}

/* ---- failed ---- */

static void forget(struct chan_batch *cb, struct link *touched)
{
    dedup_forget(cb);
    pending_forget(cb);
    for (struct effect *e = cb->first; e != NULL; e = e->next) {
        struct chan *c = e->c;
        if (c == NULL || c->batch == NULL)
            continue;
        if (MUTANT(FAILED_BATCH_KEEPS_HEADS, true,
                   (c->batch = c->member_batch = NULL, c->first != NULL)))
            table_forget(c);
        list_del(&c->ready);
        list_add_tail(touched, &c->waiting);
    }
}

/* Nothing of it is stored, and nobody was told: each is answered with the error. The channels are
 * gone already and not looked at. */
static void fail(struct chan_shard *s, struct chan_batch *cb, enum err err)
{
    give_frames(s, cb);
    for (struct effect *e = cb->first, *next; e != NULL; e = next) {
        next = e->next;
        if (e->kind != EFFECT_ANSWER && e->kind != EFFECT_CREATED)
            continue;
        stamp(CONTAINER(e, struct op, e), cb);
        op_answer(s, CONTAINER(e, struct op, e), err);
    }
}

/* The first failure of an epoch: whatever was decided since rests on heads that do not exist. What
 * is with log comes back failed; the open batch never goes there. */
static void end_epoch(struct chan_shard *s, struct chan_batch *failed, enum err err)
{
    struct link touched;
    list_init(&touched);
    s->epoch += MUTANT(EPOCH_NOT_RAISED, 1, 0);
    forget(failed, &touched);
    for (struct chan_batch *cb = s->flight_first; cb != NULL; cb = cb->next)
        forget(cb, &touched);
    if (s->open != NULL)
        forget(s->open, &touched);
    while (!list_empty(&touched)) {
        struct chan *c = CONTAINER(touched.next, struct chan, waiting);
        list_del(&c->waiting);
        s->parked += c->ops_len;
        if (c->first != NULL)
            load_begin(s, c);
        else
            table_drop_if_empty(s, c);
    }
    if (s->open != NULL) {
        struct chan_batch *open = s->open;
        s->open = NULL;
        fail(s, open, err);
        recycle(s, open);
    }
}

void commit_done(struct chan_shard *s, const struct cell *answer)
{
    struct chan_batch *cb = CONTAINER(answer->u.p, struct chan_batch, b);
    ASSERT(cb == s->flight_first); /* log answers in order */
    s->flight_first = cb->next;
    if (s->flight_first == NULL)
        s->flight_last = NULL;
    if (answer->err == ERR_OK) {
        on_durable(s, cb);
    } else {
        if (cb->b.epoch == s->epoch)
            end_epoch(s, cb, (enum err)answer->err);
        fail(s, cb, (enum err)answer->err);
    }
    recycle(s, cb);
}
