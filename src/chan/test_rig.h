/* chan/test_rig.h - the production actor between an acceptor, two fanouts, a log and a hist that
 * the test plays: it says when a batch is durable, when a load returns and who reads its ring. */
#ifndef PARLEY_CHAN_TEST_RIG_H
#define PARLEY_CHAN_TEST_RIG_H

#include <stdio.h>
#include <stdlib.h>

#include "chan/internal.h"
#include "fanout/fanout_msg.h"
#include "store/log.h"
#include "test.h"

enum { ACC, CHAN, LOG, HIST, FAN, FAN2, RIG_ACTORS };
enum { rig_queue_max = 4096, rig_rows_max = 8192, rig_text_max = 1024 };
enum { TEAM = 7, ALICE = 101, BOB = 102, CAROL = 103 };

struct rig_row {
    enum cf cf;
    struct str_view key, value;
};

struct rig_event {
    struct cell cell;
    char text[rig_text_max]; /* of the frame */
};

struct rig {
    struct chan_conf conf;
    struct chan_shard *s;
    struct outbox out;
    struct edge edges[8];
    uint32_t edges_len;
    struct turn t;
    struct wheel wheel;
    struct metrics metrics;
    struct arena_pool pool;
    struct arena arena; /* of requests and stored values */
    struct rig_row rows[rig_rows_max];
    uint32_t rows_len;
    struct cell answers[rig_queue_max];
    uint32_t answers_len;
    struct rig_event events[2][rig_queue_max];
    uint32_t events_len[2];
    bool deaf[2]; /* the fanout does not read its ring */
    struct cell log[rig_queue_max], hist[rig_queue_max];
    uint32_t log_len, hist_len;
    uint64_t req;
    enum err read_err;
    bool disk_full;
};

#define UNUSED __attribute__((unused))

/* ---- store ---- */

static struct rig_row *rig_find(struct rig *r, enum cf cf, struct str_view key)
{
    for (uint32_t i = 0; i < r->rows_len; i++) {
        if (r->rows[i].cf == cf && sv_eq(r->rows[i].key, key))
            return &r->rows[i];
    }
    return NULL;
}

static void rig_put(struct rig *r, enum cf cf, struct str_view key, struct str_view value)
{
    struct rig_row *row = rig_find(r, cf, key);
    if (row == NULL) {
        CHECK(r->rows_len < rig_rows_max);
        row = &r->rows[r->rows_len++];
        *row = (struct rig_row){.cf = cf, .key = arena_dup(&r->arena, key)};
    }
    row->value = arena_dup(&r->arena, value);
}

static void rig_apply(struct rig *r, const struct batch *b)
{
    for (const struct row *row = b->first; row != NULL; row = row->next) {
        if (row->op == ROW_PUT) {
            rig_put(r, (enum cf)row->cf, row->key, row->value);
            continue;
        }
        struct rig_row *old = rig_find(r, (enum cf)row->cf, row->key);
        if (old != NULL)
            *old = r->rows[--r->rows_len];
    }
}

static enum err rig_multi_get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    struct rig *r = self;
    (void)a;
    for (uint32_t i = 0; i < n; i++) {
        const struct rig_row *row = rig_find(r, gets[i].cf, gets[i].key);
        gets[i].value = row == NULL ? SV_NONE : row->value;
    }
    return r->read_err;
}

static const struct view_ops rig_view_ops = {.multi_get = rig_multi_get};

UNUSED static uint32_t rig_rows(struct rig *r, enum cf cf)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->rows_len; i++)
        n += r->rows[i].cf == cf;
    return n;
}

static int rig_cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void rig_load(struct rig *r, struct hist_load *m)
{
    struct key k;
    key_chan_info(&k, m->cid);
    const struct rig_row *row = rig_find(r, CF_CHAN, key_view(&k));
    m->found = row != NULL;
    if (row == NULL)
        return;
    CHECK_EQ(row_chan_info_decode(&m->info, key_view(&k), row->value), ERR_OK);
    key_chan_head(&k, m->cid);
    row = rig_find(r, CF_CHAN, key_view(&k));
    CHECK(row != NULL);
    CHECK_EQ(row_chan_head_decode(&m->head, key_view(&k), row->value), ERR_OK);
    key_chan_members(&k, m->cid);
    m->members = arena_alloc(m->arena, (r->rows_len + 1) * sizeof *m->members);
    for (uint32_t i = 0; i < r->rows_len; i++) {
        struct str_view key = r->rows[i].key;
        if (r->rows[i].cf == CF_CHAN && key.len == k.len + 8u && sv_starts(key, key_view(&k)))
            m->members[m->members_len++] = key_chan_member_uid(key);
    }
    qsort(m->members, m->members_len, sizeof *m->members, rig_cmp_u64);
    CHECK_EQ(m->members_len, m->head.members_len); /* always written together */
}

UNUSED static void rig_channel(struct rig *r, uint64_t cid, enum channel_kind kind, bool general,
                               const uint64_t *members, uint32_t n)
{
    struct batch b = {.arena = r->arena};
    struct key k;
    struct row_chan_info info = {
        .cid = cid, .team = TEAM, .kind = kind, .general = general, .name = SV("room")};
    struct row_chan_head head = {.members_len = n};
    struct row_member member = {.joined_us = 1, .kind = kind};
    key_chan_info(&k, cid);
    row_chan_info_encode(batch_put_begin(&b, CF_CHAN, &k), &k, &info);
    batch_put_end(&b);
    key_chan_head(&k, cid);
    row_chan_head_encode(batch_put_begin(&b, CF_CHAN, &k), &k, &head);
    batch_put_end(&b);
    for (uint32_t i = 0; i < n; i++) {
        key_chan_member(&k, cid, members[i]);
        row_member_encode(batch_put_begin(&b, CF_CHAN, &k), &k, &member);
        batch_put_end(&b);
    }
    r->arena = b.arena;
    rig_apply(r, &b);
}

/* ---- rings ---- */

static void rig_edge(struct rig *r, actor_id dst, enum ring_class class, uint32_t size)
{
    struct edge *e = &r->edges[r->edges_len++];
    CHECK_EQ(edge_init(e, CHAN, dst, class, size), ERR_OK);
    outbox_wire(&r->out, e);
}

static bool rig_disk_full(const struct log *l)
{
    return ((const struct rig *)(const void *)l)->disk_full;
}

static void rig_start(struct rig *r)
{
    CHECK_EQ(chan_shard_new(&r->s, &r->conf), ERR_OK);
}

static const actor_id rig_fanouts[2] = {FAN, FAN2};

/* credits: of log and hist; event_cells: room for events beside sub_reserve. */
static struct rig *rig_new(uint32_t credits, uint32_t event_cells)
{
    struct rig *r = calloc(1, sizeof *r);
    r->out.self = CHAN;
    rig_edge(r, LOG, CLASS_REQUEST, credits + 1);
    rig_edge(r, HIST, CLASS_REQUEST, credits + 1);
    rig_edge(r, ACC, CLASS_ANSWER, 4096);
    rig_edge(r, FAN, CLASS_ANSWER, 4096);
    rig_edge(r, FAN, CLASS_EVENT, event_cells * 2);
    rig_edge(r, FAN2, CLASS_EVENT, event_cells * 2);
    wheel_init(&r->wheel, 0);
    r->t = (struct turn){.mono_us = 1000000,
                         .wall_us = 1500000000000000,
                         .out = &r->out,
                         .wheel = &r->wheel,
                         .metrics = &r->metrics};
    arena_pool_init(&r->pool, 1 << 20, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&r->arena, &r->pool, UINT64_MAX), ERR_OK);
    r->conf = (struct chan_conf){.self = CHAN,
                                 .log = LOG,
                                 .hist = HIST,
                                 .index = 1,
                                 .count = 3,
                                 .fanouts = rig_fanouts,
                                 .fanouts_len = 2,
                                 .channels_max = 64,
                                 .members_max = 1000,
                                 .pins_max = 3,
                                 .parked_max = 64,
                                 .frames_max = 1024,
                                 .batch_bytes_max = 1 << 20,
                                 .sub_reserve = event_cells - 1,
                                 .epoch = 1,
                                 .view = {.ops = &rig_view_ops, .self = r},
                                 .disk_full = rig_disk_full,
                                 .disk = (const struct log *)(const void *)r};
    return r;
}

static void rig_in(struct rig *r, actor_id from, enum ring_class class, const struct cell *cell)
{
    chan_actor_ops.on_cells(r->s, from, class, cell, 1, &r->t);
}

static void rig_on_event(struct rig *r, uint32_t fan, const struct cell *cell)
{
    CHECK(r->events_len[fan] < rig_queue_max);
    struct rig_event *ev = &r->events[fan][r->events_len[fan]++];
    *ev = (struct rig_event){.cell = *cell};
    if (cell->type != FAN_EVENT)
        return;
    struct frame *f = (struct frame *)(uintptr_t)cell->u.u[0];
    CHECK(f->refs > 0);
    snprintf(ev->text, sizeof ev->text, "%.*s", (int)f->body_len, (const char *)f->body);
    if (frame_drop(f)) {
        struct cell home = {.type = FRAME_HOME, .u.p = f};
        rig_in(r, rig_fanouts[fan], CLASS_ANSWER, &home);
    }
}

static void rig_on_cell(struct rig *r, const struct edge *e, const struct cell *cell)
{
    if (e->class == CLASS_EVENT)
        rig_on_event(r, e->dst - FAN, cell);
    else if (e->class == CLASS_ANSWER)
        r->answers[r->answers_len++ % rig_queue_max] = *cell;
    else if (e->dst == LOG)
        r->log[r->log_len++] = *cell;
    else
        r->hist[r->hist_len++] = *cell;
}

static void rig_read(struct rig *r)
{
    for (uint32_t i = 0; i < r->edges_len; i++) {
        struct edge *e = &r->edges[i];
        struct cell *run;
        edge_publish(e);
        if (e->class == CLASS_EVENT && r->deaf[e->dst - FAN])
            continue;
        for (uint32_t n; (n = edge_peek(e, UINT32_MAX, &run)) > 0; edge_consume(e, n)) {
            for (uint32_t k = 0; k < n; k++)
                rig_on_cell(r, e, &run[k]);
        }
    }
    r->out.dirty_len = 0;
}

static void rig_turn(struct rig *r)
{
    r->t.mono_us += 10;
    r->t.wall_us += 10;
    chan_actor_ops.end_turn(r->s, &r->t);
    rig_read(r);
}

static struct cell rig_pop(struct cell *queue, uint32_t *len)
{
    CHECK(*len > 0);
    struct cell c = queue[0];
    memmove(queue, queue + 1, --*len * sizeof *queue);
    return c;
}

/* The oldest batch that log has is answered. */
static void rig_log_done(struct rig *r, enum err err)
{
    struct cell c = rig_pop(r->log, &r->log_len);
    if (err == ERR_OK)
        rig_apply(r, c.u.p);
    ((struct batch *)c.u.p)->durable_us = r->t.mono_us;
    c.err = err;
    outbox_credit_back(&r->out, LOG);
    rig_in(r, LOG, CLASS_ANSWER, &c);
    rig_turn(r);
}

static void rig_hist_done(struct rig *r, enum err err)
{
    struct cell c = rig_pop(r->hist, &r->hist_len);
    if (err == ERR_OK)
        rig_load(r, c.u.p);
    c.err = err;
    outbox_credit_back(&r->out, HIST);
    rig_in(r, HIST, CLASS_ANSWER, &c);
    rig_turn(r);
}

/* Until nothing is left to do. */
static void rig_settle(struct rig *r)
{
    rig_turn(r);
    for (;;) {
        if (r->hist_len > 0)
            rig_hist_done(r, ERR_OK);
        else if (r->log_len > 0)
            rig_log_done(r, ERR_OK);
        else if (chan_actor_ops.busy(r->s))
            rig_turn(r);
        else
            return;
    }
}

/* Only what lies in the store comes back. */
UNUSED static void rig_restart(struct rig *r)
{
    struct key k;
    key_meta(&k, SV("ts_high"), r->conf.index);
    const struct rig_row *row = rig_find(r, CF_META, key_view(&k));
    if (row != NULL)
        CHECK_EQ(row_u64_decode(&r->conf.ts_high_us, key_view(&k), row->value), ERR_OK);
    chan_shard_free(r->s);
    r->log_len = r->hist_len = 0;
    while (r->out.requests_out > 0)
        outbox_credit_back(&r->out, r->out.credits[LOG] < r->edges[0].cap ? LOG : HIST);
    rig_start(r);
}

/* Everything has come home: what is true after every test. */
static void rig_free(struct rig *r)
{
    r->deaf[0] = r->deaf[1] = false;
    rig_read(r);
    rig_settle(r);
    r->t.mono_us += 10 * WHEEL_TICK_US;
    wheel_advance(&r->wheel, r->t.mono_us, &r->t);
    rig_settle(r);
    CHECK(chan_actor_ops.drain(r->s, &r->t));
    CHECK_EQ(r->s->frames.out, 0);
    CHECK_EQ(r->s->parked, 0);
    CHECK_EQ(r->out.requests_out, 0);
    CHECK(list_empty(&r->s->owed));
    chan_shard_free(r->s);
    for (uint32_t i = 0; i < r->edges_len; i++)
        edge_deinit(&r->edges[i]);
    arena_deinit(&r->arena);
    arena_pool_deinit(&r->pool);
    free(r);
}

/* ---- requests ---- */

static uint64_t rig_request(struct rig *r, actor_id from, enum chan_msg type, uint64_t cid, void *p)
{
    struct cell c = {.type = (uint16_t)type, .req = ++r->req, .cid = cid, .u.p = p};
    rig_in(r, from, CLASS_REQUEST, &c);
    return c.req;
}

/* key NULL: none. */
static struct chan_post *rig_post_as(struct rig *r, uint64_t uid, const char *key)
{
    struct chan_post *m = arena_zalloc(&r->arena, sizeof *m);
    m->team = TEAM;
    m->uid = uid;
    m->client_msg_id = key == NULL ? SV_NONE : arena_dup(&r->arena, sv_from(key));
    if (key != NULL)
        key128_of(m->key128, m->client_msg_id);
    m->members = SV("\"type\":\"message\",\"text\":\"hi\"");
    return m;
}

UNUSED static struct chan_post *rig_post(struct rig *r, uint64_t cid, uint64_t uid, const char *key)
{
    struct chan_post *m = rig_post_as(r, uid, key);
    rig_request(r, ACC, CHAN_POST, cid, m);
    return m;
}

UNUSED static struct chan_member_change *rig_change(struct rig *r, enum chan_msg type, uint64_t cid,
                                                    uint64_t uid, const uint64_t *users, uint32_t n)
{
    struct chan_member_change *m = arena_zalloc(&r->arena, sizeof *m);
    m->team = TEAM;
    m->uid = uid;
    m->users = users;
    m->users_len = n;
    m->arena = &r->arena;
    rig_request(r, ACC, type, cid, m);
    return m;
}

UNUSED static struct chan_sub *rig_sub(struct rig *r, actor_id fan, uint64_t uid,
                                       const uint64_t *cids, uint32_t n)
{
    struct chan_sub *m = arena_zalloc(&r->arena, sizeof *m + n * sizeof m->chans[0]);
    m->team = TEAM;
    m->uid = uid;
    m->n = n;
    for (uint32_t i = 0; i < n; i++)
        m->chans[i].cid = cids[i];
    rig_request(r, fan, CHAN_SUB, 0, m);
    return m;
}

/* The answer to the payload p; it must be there once. */
UNUSED static const struct cell *rig_answer(struct rig *r, const void *p)
{
    const struct cell *found = NULL;
    for (uint32_t i = 0; i < r->answers_len; i++) {
        if (r->answers[i].u.p != p)
            continue;
        CHECK(found == NULL);
        found = &r->answers[i];
    }
    return found;
}

UNUSED static bool rig_ok(struct rig *r, const void *p)
{
    const struct cell *c = rig_answer(r, p);
    return c != NULL && c->err == ERR_OK;
}

UNUSED static enum err rig_err(struct rig *r, const void *p)
{
    const struct cell *c = rig_answer(r, p);
    CHECK(c != NULL);
    return (enum err)c->err;
}

UNUSED static const struct rig_event *rig_event(struct rig *r, uint32_t fan, uint32_t i)
{
    CHECK(i < r->events_len[fan]);
    return &r->events[fan][i];
}

UNUSED static uint32_t rig_events(struct rig *r, uint32_t fan, enum fan_msg type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->events_len[fan]; i++)
        n += r->events[fan][i].cell.type == type;
    return n;
}

UNUSED static bool rig_says(const struct rig_event *ev, const char *part)
{
    return strstr(ev->text, part) != NULL;
}

/* A rig with the public channel 1 of alice and bob, loaded, alice listening at FAN. */
/* A channel that comes into memory is taken to be listened to everywhere: this fanout says no. */
UNUSED static void rig_idle(struct rig *r, actor_id fan, uint64_t cid)
{
    struct cell c = {.type = CHAN_IDLE, .cid = cid, .u.u = {UINT64_MAX}};
    rig_in(r, fan, CLASS_EVENT, &c);
    rig_turn(r);
}

/* Channel 1, listened to by the first fanout only. */
UNUSED static struct rig *rig_room(uint32_t credits, uint32_t event_cells)
{
    struct rig *r = rig_new(credits, event_cells);
    rig_start(r);
    rig_channel(r, 1, CHANNEL_PUBLIC, false, (uint64_t[]){ALICE, BOB}, 2);
    rig_sub(r, FAN, ALICE, (uint64_t[]){1}, 1);
    rig_settle(r);
    rig_idle(r, FAN2, 1);
    CHECK_EQ(r->events_len[0], 1);
    r->events_len[0] = 0;
    return r;
}

#endif
