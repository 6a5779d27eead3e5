#include <stdlib.h>

#include "chan/internal.h"
#include "fanout/fanout_msg.h"
#include "store/log.h"

enum { op_chunk_len = 256, scratch_first_bytes = 65536 };

struct op_chunk {
    struct op_chunk *next;
    struct op ops[op_chunk_len];
};

/* ---- life ---- */

static uint64_t pow2_at_least(uint64_t n)
{
    uint64_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static enum err init(struct chan_shard *s)
{
    const struct chan_conf *c = &s->conf;
    ASSERT(c->fanouts_len <= fanouts_max && c->index < c->count);
    memset(s->fanout_index, fanouts_max, sizeof s->fanout_index);
    for (uint16_t i = 0; i < c->fanouts_len; i++) {
        s->fanout_index[c->fanouts[i]] = (uint8_t)i;
        s->fanouts |= 1ull << i;
    }
    s->ts_mod = pow2_at_least(c->count);
    s->last_ts_us = c->ts_high_us;
    s->epoch = c->epoch;
    list_init(&s->ready);
    list_init(&s->owed);
    list_init(&s->news);
    frame_slab_init(&s->frames, c->self, c->frames_max);
    arena_pool_init(&s->scratch_pool, scratch_first_bytes, 1, UINT64_MAX);
    TRY(arena_init(&s->scratch, &s->scratch_pool, UINT64_MAX));
    s->gets = calloc(turn_steps_max, sizeof *s->gets);
    s->keys = calloc(turn_steps_max, sizeof *s->keys);
    if (s->gets == NULL || s->keys == NULL)
        return ERR_NOMEM;
    TRY(table_init(s));
    TRY(load_init(s));
    return commit_init(s);
}

enum err chan_shard_new(struct chan_shard **out, const struct chan_conf *c)
{
    struct chan_shard *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->conf = *c;
    enum err err = init(s);
    if (err != ERR_OK) {
        chan_shard_free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void chan_shard_free(struct chan_shard *s)
{
    if (s == NULL)
        return;
    commit_deinit(s); /* gives frames back */
    load_deinit(s);
    table_deinit(s);
    arena_deinit(&s->scratch);
    arena_pool_deinit(&s->scratch_pool);
    frame_slab_deinit(&s->frames);
    while (s->chunks != NULL) {
        struct op_chunk *next = s->chunks->next;
        free(s->chunks);
        s->chunks = next;
    }
    free(s->gets);
    free(s->keys);
    free(s->body);
    free(s);
}

/* ---- requests ---- */

/* Grows to the high water of what the requesters' credits allow, then only recycles. */
static struct op *op_take(struct chan_shard *s)
{
    if (s->free_ops == NULL) {
        struct op_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        chunk->next = s->chunks;
        s->chunks = chunk;
        for (uint32_t i = 0; i < op_chunk_len; i++) {
            chunk->ops[i].next = s->free_ops;
            s->free_ops = &chunk->ops[i];
        }
    }
    struct op *op = s->free_ops;
    s->free_ops = op->next;
    *op = (struct op){0};
    return op;
}

static void op_give(struct chan_shard *s, struct op *op)
{
    op->next = s->free_ops;
    s->free_ops = op;
}

void op_answer(struct chan_shard *s, struct op *op, enum err err)
{
    if (op->request.type == CHAN_SUB) {
        sub_answer(s, op, err);
    } else {
        struct cell *c = outbox_answer(s->turn->out, op->from, &op->request);
        c->err = err;
        c->flags = op->flags;
        c->u.p = op->request.u.p;
        if (op->request.type == CHAN_POST) {
            struct chan_post *m = op->request.u.p;
            m->stepped_us = op->stepped_us;
            if (err == ERR_OK)
                m->ts_us = op->ts_us;
        }
        if ((op->flags & CHAN_F_DUPLICATE) != 0 && err == ERR_OK)
            metric_add(s->turn->metrics, METRIC_POSTS_DUPLICATE, 1);
    }
    s->requests--;
    op_give(s, op);
}

void op_answer_after(struct chan_shard *s, struct op *op, struct chan *c, enum err err)
{
    if (c == NULL || c->batch == NULL) {
        op_answer(s, op, err);
        return;
    }
    op->err = err;
    op->e.kind = EFFECT_ANSWER;
    op->e.c = c;
    commit_hang(s, c->batch, &op->e);
}

enum err op_queue(struct chan_shard *s, struct op *op, uint64_t cid)
{
    struct chan *c = table_find(s, cid);
    bool cold = c == NULL || c->state != CHAN_READY;
    if (cold && s->parked >= s->conf.parked_max)
        return ERR_SERVICE_UNAVAILABLE;
    if (c == NULL && (c = table_add(s, cid)) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    op->next = NULL;
    if (c->last == NULL)
        c->first = op;
    else
        c->last->next = op;
    c->last = op;
    c->ops_len++;
    table_place(s, c);
    if (cold)
        s->parked++;
    if (c->state == CHAN_COLD)
        load_begin(s, c);
    else if (c->state == CHAN_READY && c->ready.next == NULL)
        list_add_tail(&s->ready, &c->ready);
    return ERR_OK;
}

static struct op *pop(struct chan *c)
{
    struct op *op = c->first;
    c->first = op->next;
    if (c->first == NULL)
        c->last = NULL;
    c->ops_len--;
    op->next = NULL;
    return op;
}

static bool is_request(const struct op *op)
{
    return op->request.type != CHAN_IDLE && op->request.type != CHAN_TYPING;
}

static void route(struct chan_shard *s)
{
    while (s->new_first != NULL) {
        struct op *op = s->new_first;
        s->new_first = op->next;
        op->next = NULL;
        if (op->request.type == CHAN_SUB) {
            if (s->subs_last == NULL)
                s->subs_first = op;
            else
                s->subs_last->next = op;
            s->subs_last = op;
        } else if (is_request(op)) {
            enum err err = op_queue(s, op, op->request.cid);
            if (err != ERR_OK)
                op_answer(s, op, err);
        } else {
            if (op->request.type == CHAN_IDLE)
                on_idle(s, op->from, &op->request);
            else
                on_typing(s, &op->request);
            op_give(s, op);
        }
    }
    s->new_last = NULL;
}

/* Each looks at as many channels as its user has; when everybody connects anew, posts go on in
 * between. */
static void step_subs(struct chan_shard *s)
{
    for (uint64_t channels = 0; s->subs_first != NULL && channels < turn_sub_channels_max;) {
        struct op *op = s->subs_first;
        s->subs_first = op->next;
        if (s->subs_first == NULL)
            s->subs_last = NULL;
        channels += ((const struct chan_sub *)op->request.u.p)->n;
        sub_step(s, op);
    }
}

/* ---- steps ---- */

static void step(struct chan_shard *s, struct chan *c, struct op *op)
{
    switch ((enum chan_msg)op->request.type) {
    case CHAN_POST:
        post_step(s, c, op);
        return;
    case CHAN_JOIN:
        join_step(s, c, op);
        return;
    case CHAN_LEAVE:
        leave_step(s, c, op);
        return;
    case CHAN_INVITE:
        invite_step(s, c, op);
        return;
    case CHAN_CREATED:
        created_step(s, c, op);
        return;
    case CHAN_SUB:
        sub_step(s, op);
        return;
    case CHAN_CHANGE:
        change_step(s, c, op);
        return;
    case CHAN_INFO:
        info_step(s, c, op);
        return;
    case CHAN_SHOW:
        show_step(s, c, op);
        return;
    case CHAN_IDLE:
    case CHAN_TYPING:
        break;
    }
    ASSERT(false);
}

static uint32_t steps_of(const struct chan *c)
{
    return MIN(c->ops_len, (uint32_t)chan_steps_max);
}

/* What the step of a post will touch first: the requester's core wrote the one, and nobody has
 * looked at the other for as long as the channel was quiet. */
static void expect_post(struct chan *c, const struct chan_post *m)
{
    enum { lines = 4 };
    for (size_t i = 0; i < lines * CACHE_LINE && i < m->members.len; i += CACHE_LINE)
        __builtin_prefetch(m->members.p + i);
    member_set_prefetch(&c->members, m->uid);
}

/* The dedup rows of every post that will be stepped now, in one read. Returns how many channels
 * take part: the first ones of the list. */
static uint32_t gather(struct chan_shard *s)
{
    uint32_t channels = 0, steps = 0;
    s->gets_len = 0;
    for (struct link *l = s->ready.next; l != &s->ready; l = l->next) {
        struct chan *c = CONTAINER(l, struct chan, ready);
        if (steps + steps_of(c) > turn_steps_max)
            break;
        struct op *op = c->first;
        for (uint32_t i = 0; i < steps_of(c); i++, op = op->next) {
            if (op->request.type != CHAN_POST)
                continue;
            expect_post(c, op->request.u.p);
            dedup_gather(s, op, c->cid);
        }
        steps += steps_of(c);
        channels++;
    }
    dedup_read(s);
    return channels;
}

/* No channel can leave the state it is in while the turn's steps run: batches end and loads arrive
 * in on_cells only, and what has requests is pinned. */
static void step_channels(struct chan_shard *s)
{
    for (uint32_t channels = gather(s); channels > 0; channels--) {
        struct chan *c = CONTAINER(s->ready.next, struct chan, ready);
        list_del(&c->ready);
        for (uint32_t n = steps_of(c); n > 0; n--)
            step(s, c, pop(c));
        if (c->first != NULL)
            list_add_tail(&s->ready, &c->ready);
        table_place(s, c);
    }
}

/* ---- actor ---- */

static void take(struct chan_shard *s, actor_id from, enum ring_class class,
                 const struct cell *cell)
{
    struct op *op = op_take(s);
    if (op == NULL) { /* an empty heap: what needs no answer is lost, as it may be */
        struct op refused = {.request = *cell, .from = from};
        if (class == CLASS_REQUEST && cell->type == CHAN_SUB)
            sub_answer(s, &refused, ERR_SERVICE_UNAVAILABLE);
        else if (class == CLASS_REQUEST)
            outbox_answer(s->turn->out, from, cell)->err = ERR_SERVICE_UNAVAILABLE;
        return;
    }
    op->request = *cell;
    op->from = from;
    s->requests += class == CLASS_REQUEST;
    if (s->new_last == NULL)
        s->new_first = op;
    else
        s->new_last->next = op;
    s->new_last = op;
}

/* The requester's core wrote what a post is about. Its first look is at the end of the turn: by
 * then all of the turn's are here. */
static void expect_request(const struct chan_shard *s, const struct cell *cell)
{
    if (cell->type != CHAN_POST)
        return;
    const char *post = cell->u.p;
    __builtin_prefetch(post);
    __builtin_prefetch(post + sizeof(struct chan_post) - 1);
    table_prefetch(s, cell->cid);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct chan_shard *s = self;
    s->turn = t;
    for (uint32_t i = 0; i < n && class == CLASS_REQUEST; i++)
        expect_request(s, &cells[i]);
    for (uint32_t i = 0; i < n; i++) {
        if (class != CLASS_ANSWER)
            take(s, from, class, &cells[i]);
        else if (cells[i].type == FRAME_HOME)
            frame_give(&s->frames, cells[i].u.p);
        else if (from == s->conf.log)
            commit_done(s, &cells[i]);
        else
            load_done(s, &cells[i]);
    }
}

static void on_retry(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx; /* the turn that follows pays */
}

static void on_news(struct timer *timer, void *ctx)
{
    (void)ctx;
    CONTAINER(timer, struct chan_shard, news_timer)->news_due = true;
}

static void tell_news(struct chan_shard *s)
{
    if (s->news_due)
        emit_news(s);
    bool full = s->news_due && !list_empty(&s->news);
    s->news_due = false;
    if (list_empty(&s->news) || timer_armed(&s->news_timer))
        return;
    s->news_timer.fire = on_news;
    wheel_arm(s->turn->wheel, &s->news_timer,
              s->turn->mono_us +
                  (full ? (uint64_t)WHEEL_TICK_US : s->conf.news_delay_ms * 1000ull));
}

static void end_turn(void *self, struct turn *t)
{
    struct chan_shard *s = self;
    s->turn = t;
    emit_owed(s);
    tell_news(s);
    route(s);
    step_subs(s);
    step_channels(s);
    load_next(s);
    commit_send(s);
    arena_reset(&s->scratch);
    bool owes = !list_empty(&s->owed) || s->all_owed != 0 || s->search_owed;
    if (owes && !timer_armed(&s->retry)) {
        /* A fanout rings nobody when it has made room. */
        s->retry.fire = on_retry;
        wheel_arm(t->wheel, &s->retry, t->mono_us + WHEEL_TICK_US);
    }
}

static bool busy(const void *self)
{
    const struct chan_shard *s = self;
    return !list_empty(&s->ready) || s->subs_first != NULL;
}

static bool drain(void *self, struct turn *t)
{
    (void)t;
    const struct chan_shard *s = self;
    return s->requests == 0 && s->new_first == NULL && s->open == NULL && s->flight_first == NULL;
}

const struct actor_ops chan_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
