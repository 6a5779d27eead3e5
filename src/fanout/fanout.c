/* fanout.c - the actor: made, told, flushed. */
#include "fanout/fanout.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mutant.h"
#include "fanout/internal.h"

enum { arena_first_bytes = 4096, arenas_keep = 256, arenas_bytes_max = 128 << 20 };

static enum err init(struct fanout *f)
{
    const struct conf *conf = f->conf.conf;
    /* All credits, and as many as a chan's that wait for one. */
    uint64_t posts_max = (conf->ring_request_cells - 1) * f->conf.chans_len + posts_waiting_max(f);
    f->conns_max = (uint32_t)conf->ws_conns_max;
    f->wait_first = f->wait_last = slot_none;
    f->shed_turn_us = UINT64_MAX;
    f->watches.free = slot_none;
    gate_init(&f->gate, &f->conf.gate);
    subs_init(&f->subs);
    pool_init(&f->chunks, sizeof(struct chunk));
    pool_init(&f->uses, sizeof(struct frame_use));
    pool_init(&f->queues, sizeof(struct queue));
    pool_init(&f->hints, sizeof(struct hint));
    pool_init(&f->asks, sizeof(struct ask));
    pool_init(&f->sub_pool, sizeof(struct sub_req) + sizeof(((struct chan_sub *)0)->chans[0]));
    arena_pool_init(&f->arenas, arena_first_bytes, arenas_keep, arenas_bytes_max);
    arena_pool_init(&f->scratch_pool, 65536, 1, UINT64_MAX);
    TRY(arena_init(&f->scratch, &f->scratch_pool, scratch_max));
    TRY(conns_init(f));
    TRY(tickets_init(&f->tickets, (uint32_t)conf->ws_tickets_max));
    TRY(slab_init(&f->posts, (uint32_t)posts_max, sizeof(struct post_req)));
    f->stamps = calloc(f->conf.chans_len, sizeof *f->stamps);
    if (f->stamps == NULL)
        return ERR_NOMEM;
    TRY(replay_init(&f->replay, conf->ws_replay_bytes));
    /* Also when the clock was set back since. */
    f->replay.gap_us = MUTANT(REPLAY_BEFORE_RESTART, f->conf.ts_high_us, 0u);
    return json_reader_new(&f->json);
}

enum err fanout_new(struct fanout **out, const struct fanout_conf *c)
{
    struct fanout *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ERR_NOMEM;
    f->conf = *c;
    enum err err = init(f);
    if (err != ERR_OK) {
        fanout_free(f);
        return err;
    }
    *out = f;
    return ERR_OK;
}

/* After the loops have ended: what chan and hist still hold of ours is never read again. */
static void free_lent(struct fanout *f)
{
    for (uint32_t i = 0; i < f->posts.cap; i++) {
        uint64_t handle;
        struct post_req *r = slab_at(&f->posts, i, &handle);
        if (r != NULL)
            arena_deinit(&r->arena);
    }
    for (struct ask *a = f->asks_first; a != NULL; a = a->all_next)
        arena_deinit(&a->arena);
    for (uint32_t i = 0; i < f->conns.cap; i++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, i, &handle);
        if (c == NULL)
            continue;
        if (c->q != NULL)
            queue_free_own(f, c->q);
        ws_decoder_deinit(&c->ws);
        free(c->subs);
        free(c->watched);
        free(c->held);
    }
}

void fanout_free(struct fanout *f)
{
    if (f == NULL)
        return;
    if (f->posts.slots != NULL)
        free_lent(f);
    json_reader_free(f->json);
    subs_deinit(&f->subs);
    replay_deinit(&f->replay);
    presence_free(f);
    queues_deinit(f);
    if (f->scratch.first != NULL)
        arena_deinit(&f->scratch);
    arena_pool_deinit(&f->scratch_pool);
    arena_pool_deinit(&f->arenas);
    pool_deinit(&f->chunks);
    pool_deinit(&f->uses);
    pool_deinit(&f->queues);
    pool_deinit(&f->hints);
    pool_deinit(&f->asks);
    pool_deinit(&f->sub_pool);
    slab_deinit(&f->posts);
    tickets_deinit(&f->tickets);
    conns_deinit(f);
    free(f->stamps);
    free(f);
}

/* ---- turns ---- */

static void on_revoke(struct fanout *f, actor_id from, const struct cell *cell)
{
    ASSERT(cell->type == DIR_REVOKE);
    tickets_revoke(&f->tickets, cell->u.u[0], cell->u.u[1]);
    conns_revoke(f, cell->u.u[0], cell->u.u[1]);
    f->acks_to = from;
    f->acks_owed++; /* at the end of the turn, when the closes are with net */
}

static void acknowledge(struct fanout *f)
{
    while (f->acks_owed > 0) {
        struct cell *c = outbox_control(f->turn->out, f->acks_to);
        if (c == NULL)
            return; /* busy(): next turn */
        c->type = DIR_REVOKED;
        f->acks_owed--;
    }
}

static void on_answer(struct fanout *f, actor_id from, const struct cell *cell)
{
    if (from == f->conf.hist)
        on_memberships(f, cell);
    else
        on_posted(f, cell);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct fanout *f = self;
    f->turn = t;
    for (uint32_t i = 0; i < n; i++) {
        switch (class) {
        case CLASS_CONTROL:
            on_revoke(f, from, &cells[i]);
            break;
        case CLASS_REQUEST:
            on_ticket(f, from, &cells[i]);
            break;
        case CLASS_ANSWER:
            on_answer(f, from, &cells[i]);
            break;
        case CLASS_EVENT:
            on_event_cell(f, &cells[i]);
            break;
        case CLASS_COUNT:
            break;
        }
    }
}

static void end_turn(void *self, struct turn *t)
{
    struct fanout *f = self;
    f->turn = t;
    replay_turn(f);
    ask_pump(f);
    rtm_resume(f);
    queue_flush_all(f);
    acknowledge(f);
    sweep_arm(f);
    dir_read_end(f->conf.dir);
}

static bool busy(const void *self)
{
    const struct fanout *f = self;
    return f->acks_owed > 0;
}

static bool drain(void *self, struct turn *t)
{
    struct fanout *f = self;
    f->turn = t;
    return sweep_drain(f);
}

const struct actor_ops fanout_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
