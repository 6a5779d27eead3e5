#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "report.h"
#include "server/wiring.h"

enum {
    start_mono_us = 1000000000,
    trace_shown = 120,
    restart_min_us = 1000,
    restart_max_us = 3000000,
    turn_max_us = 60,
    hash_us = 60000
};

const uint8_t world_secret[32] = "the simulator's secret";

/* ---- violations ---- */

_Noreturn void violation(struct world *w, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    report_violation(w, name, text);
}

static const char *actor_name(void *ctx, actor_id id)
{
    const struct world *w = ctx;
    return w->actors == NULL || id >= w->actors_len ? "?" : w->actors[id].name;
}

static enum actor_kind actor_kind(void *ctx, actor_id id)
{
    const struct world *w = ctx;
    return w->actors == NULL || id >= w->actors_len ? ACTOR_KINDS : w->actors[id].kind;
}

static void trace_world(struct world *w, const char *what, uint64_t x, uint64_t y)
{
    trace_add(&w->trace,
              (struct trace_entry){
                  .at_us = w->now_us, .what = what, .kind = TRACE_WORLD, .x = x, .y = y});
}

/* ---- the seam: time, and which cells have arrived ---- */

static uint64_t seam_mono(void *ctx)
{
    struct world *w = ctx;
    return w->now_us;
}

static uint64_t seam_wall(void *ctx)
{
    const struct world *w = ctx;
    return (uint64_t)((int64_t)w->now_us + w->wall_offset_us);
}

uint64_t world_wall_us(const struct world *w)
{
    uint64_t us = 0;
    for (uint32_t i = 0; i < w->loops_len; i++)
        us = MAX(us, w->loops[i]->turn.wall_us);
    return us;
}

static void trace_cells(struct world *w, const struct edge *e, const struct cell *run, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        trace_add(&w->trace, (struct trace_entry){.at_us = w->now_us,
                                                  .kind = TRACE_CELL,
                                                  .a = e->src,
                                                  .b = e->dst,
                                                  .n = (uint32_t)e->class << 28 | run[i].type,
                                                  .x = run[i].cid,
                                                  .y = (uint64_t)run[i].err << 48 |
                                                       (run[i].req & 0xffffffffffffu)});
}

/* The thread sleeps for as long as a hash takes, then answers one request. */
static uint32_t hashes_max(struct world *w, actor_id login)
{
    if (w->hashed_us == 0)
        w->hashed_us = w->now_us + hash_us;
    if (w->now_us < w->hashed_us) {
        world_block(w, login, w->hashed_us);
        return 0;
    }
    w->hashed_us = 0;
    return 1;
}

static uint32_t seam_cells_max(void *ctx, struct edge *e)
{
    struct world *w = ctx;
    struct cell *run;
    uint32_t max = turn_cells_max;
    if (edge_empty(e))
        return max;
    if (w->actors[e->dst].kind == ACTOR_LOGIN)
        max = hashes_max(w, e->dst);
    else if (plan_has(&w->plan, FAULT_DELAY) && rng_one_in(&w->sched, 3))
        max = (uint32_t)rng_below(&w->sched, 4); /* none of them: not seen in this turn */
    /* The whole turn's worth may wrap around the ring: traced as two runs. */
    uint32_t n = edge_peek(e, max, &run);
    trace_cells(w, e, run, n);
    uint32_t more = e->ring.p_tail - e->ring.c_head - n;
    if (n > 0 && n < max && more > 0)
        trace_cells(w, e, e->cells, MIN(more, max - n));
    return max;
}

/* ---- building the process ---- */

static void add_actors(struct world *w)
{
    const struct conf *c = &w->plan.conf;
    const uint64_t len[ACTOR_KINDS] = {[ACTOR_ACCEPTOR] = c->threads_acceptors,
                                       [ACTOR_CHAN] = c->threads_chans,
                                       [ACTOR_LOG] = 1,
                                       [ACTOR_HIST] = c->threads_hists,
                                       [ACTOR_FANOUT] = c->threads_fanouts,
                                       [ACTOR_DIR] = 1,
                                       [ACTOR_SEARCH] = 1,
                                       [ACTOR_LOGIN] = w->plan.passwords > 0,
                                       [ACTOR_ADMIN] = 1};
    w->actors = calloc(world_loops_max, sizeof *w->actors);
    ASSERT(w->actors != NULL);
    w->actors_len = 0;
    for (int k = 0; k < ACTOR_KINDS; k++) {
        w->first[k] = w->actors_len;
        w->len[k] = (uint16_t)len[k];
        for (uint16_t i = 0; i < w->len[k]; i++) {
            actor_id id = w->actors_len++;
            struct actor *a = &w->actors[id];
            w->ids[id] = id;
            *a = (struct actor){.id = id, .kind = (enum actor_kind)k, .index = i};
            snprintf(a->name, sizeof a->name, "%s%u", wiring_kind_name((enum actor_kind)k),
                     (unsigned)i);
        }
    }
}

static struct loop *add_loop(struct world *w, const char *name)
{
    struct loop *l = calloc(1, sizeof *l);
    ASSERT(l != NULL && w->loops_len < world_loops_max);
    enum err err = loop_init(l, w->loops_len, name);
    ASSERT(err == ERR_OK);
    l->seam = &w->seam;
    l->turn.mono_us = w->now_us;
    l->turn.wall_us = seam_wall(w);
    wall_clock_init(&l->wall, w->now_us, l->turn.wall_us);
    rand_init_seeded(&l->rand, mix64(w->plan.seed * 1000003 + w->incarnation * 131 + w->loops_len));
    l->peers = w->loop_of;
    l->driver_ops = &sim_driver_ops;
    w->blocked_until_us[w->loops_len] = 0;
    w->turned[w->loops_len] = false;
    w->loops[w->loops_len++] = l;
    return l;
}

static void add_loops(struct world *w)
{
    for (actor_id id = 0; id < w->actors_len; id++) {
        struct actor *a = &w->actors[id];
        struct loop *l = NULL;
        if (a->kind == ACTOR_ADMIN)
            l = world_actor(w, ACTOR_DIR, 0)->loop;
        else if (a->kind == ACTOR_CHAN && w->plan.conf.threads_acceptor_with_chan)
            l = world_actor(w, ACTOR_ACCEPTOR, a->index % w->len[ACTOR_ACCEPTOR])->loop;
        if (l == NULL)
            l = add_loop(w, a->name);
        loop_add(l, a);
        w->loop_of[id] = l;
    }
    w->net.ports = calloc(w->loops_len, sizeof *w->net.ports);
    ASSERT(w->net.ports != NULL);
    w->net.ports_len = w->loops_len;
    for (uint32_t i = 0; i < w->loops_len; i++) {
        struct sim_port *p = &w->net.ports[i];
        *p = (struct sim_port){.w = w,
                               .loop = w->loops[i],
                               .write_timeout_ms = (uint32_t)w->plan.conf.http_write_timeout_ms};
        w->loops[i]->driver = p;
    }
}

static void add_edges(struct world *w)
{
    w->edges_cap = (uint32_t)w->actors_len * w->actors_len * CLASS_COUNT;
    w->edges = aligned_alloc(CACHE_LINE, (size_t)w->edges_cap * sizeof *w->edges);
    w->inbound = calloc(w->edges_cap, sizeof *w->inbound);
    ASSERT(w->edges != NULL && w->inbound != NULL);
    w->edges_len = 0;
    for (actor_id from = 0; from < w->actors_len; from++) {
        for (actor_id to = 0; to < w->actors_len; to++) {
            for (int class = 0; class < CLASS_COUNT; class ++) {
                uint32_t size = wiring_edge_size(&w->plan.conf, w->actors[from].kind,
                                                 w->actors[to].kind, (enum ring_class) class);
                if (size == 0)
                    continue;
                struct edge *e = &w->edges[w->edges_len++];
                enum err err = edge_init(e, from, to, (enum ring_class) class, size);
                ASSERT(err == ERR_OK);
                outbox_wire(&w->actors[from].outbox, e);
            }
        }
    }
    uint32_t at = 0;
    for (actor_id to = 0; to < w->actors_len; to++) {
        struct actor *a = &w->actors[to];
        a->in = &w->inbound[at];
        for (int class = 0; class < CLASS_COUNT; class ++) {
            for (uint32_t i = 0; i < w->edges_len; i++) {
                if (w->edges[i].dst == to && w->edges[i].class == (enum ring_class) class)
                    a->in[a->in_len++] = &w->edges[i];
            }
            if (class == CLASS_CONTROL)
                a->in_control_len = a->in_len;
        }
        at += a->in_len;
    }
}

static void place(struct world *w, enum actor_kind kind, uint16_t index,
                  const struct actor_ops *ops, void *self)
{
    struct actor *a = world_actor(w, kind, index);
    a->ops = ops;
    a->self = self;
}

static struct sim_port *port_of(struct world *w, enum actor_kind kind, uint16_t index)
{
    return &w->net.ports[world_actor(w, kind, index)->loop->index];
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        enum err must_err = (call);                                                                \
        if (must_err != ERR_OK)                                                                    \
            violation(w, "starts_again", #call ": %s", err_code_name(must_err));                   \
    } while (0)

static void make_dir(struct world *w)
{
    struct dir_conf dc = {.self = w->first[ACTOR_DIR],
                          .log = w->first[ACTOR_LOG],
                          .acceptors = &w->ids[w->first[ACTOR_ACCEPTOR]],
                          .acceptors_len = w->len[ACTOR_ACCEPTOR],
                          .fanouts = &w->ids[w->first[ACTOR_FANOUT]],
                          .fanouts_len = w->len[ACTOR_FANOUT],
                          .chans = &w->ids[w->first[ACTOR_CHAN]],
                          .chans_len = w->len[ACTOR_CHAN],
                          .frames_max = (uint32_t)w->plan.conf.ring_frames,
                          .tokens_max = (uint32_t)w->plan.conf.dir_tokens_max};
    struct view v = sim_view(&w->store);
    memcpy(dc.secret, world_secret, sizeof dc.secret);
    dc.view = v;
    MUST(dir_new(&w->dir, &dc));
    MUST(dir_load(w->dir, &v));
    place(w, ACTOR_DIR, 0, &dir_actor_ops, w->dir);
    for (uint32_t i = 0; i < w->loops_len; i++)
        MUST(dir_reader_new(&w->readers[i], w->dir));
}

static void make_chans(struct world *w)
{
    const struct conf *c = &w->plan.conf;
    for (uint16_t i = 0; i < w->len[ACTOR_CHAN]; i++) {
        struct chan_conf cc = {.self = world_actor(w, ACTOR_CHAN, i)->id,
                               .log = w->first[ACTOR_LOG],
                               .hist = world_actor(w, ACTOR_HIST, i % w->len[ACTOR_HIST])->id,
                               .index = i,
                               .count = w->len[ACTOR_CHAN],
                               .fanouts = &w->ids[w->first[ACTOR_FANOUT]],
                               .fanouts_len = w->len[ACTOR_FANOUT],
                               .channels_max = (uint32_t)c->chan_channels_max,
                               .members_max = (uint32_t)c->chan_members_max,
                               .pins_max = w->plan.pins_max,
                               .parked_max = (uint32_t)c->chan_parked_max,
                               .frames_max = (uint32_t)c->ring_frames,
                               .batch_bytes_max = c->store_batch_bytes_max,
                               .sub_reserve = (uint32_t)c->ring_request_cells - 1,
                               .tells_search = true,
                               .news_delay_ms = (uint32_t)w->plan.conf.search_delay_ms / 2,
                               .search = w->first[ACTOR_SEARCH],
                               .epoch = 1,
                               .view = sim_view(&w->store),
                               .disk_full = sim_disk_full,
                               .disk = (const struct log *)(const void *)w->log};
        MUST(chan_ts_high(&cc.view, &cc.ts_high_us));
        MUST(chan_shard_new(&w->chans[i], &cc));
        place(w, ACTOR_CHAN, i, &chan_actor_ops, w->chans[i]);
    }
}

static void make_hists(struct world *w)
{
    struct view v = sim_view(&w->store);
    for (uint16_t i = 0; i < w->len[ACTOR_HIST]; i++) {
        MUST(hist_new(&w->hists[i], &v, &w->plan.conf));
        place(w, ACTOR_HIST, i, &hist_actor_ops, w->hists[i]);
    }
}

static void make_search(struct world *w)
{
    const struct conf *c = &w->plan.conf;
    struct search_conf sc = {.self = w->first[ACTOR_SEARCH],
                             .log = w->first[ACTOR_LOG],
                             .view = sim_view(&w->store),
                             .enabled = true,
                             .delay_ms = (uint32_t)c->search_delay_ms / 2,
                             .batch_words = (uint32_t)c->search_batch_words,
                             .queue_max = (uint32_t)c->search_queue_max,
                             .dirty_max = (uint32_t)c->search_dirty_max};
    MUST(search_new(&w->search, &sc));
    place(w, ACTOR_SEARCH, 0, &search_actor_ops, w->search);
}

/* Only where there are passwords: the others need not look at one more loop in each step. */
static void make_login(struct world *w)
{
    if (w->plan.passwords == 0)
        return;
    struct view v = sim_view(&w->store);
    MUST(login_new(&w->login, &v));
    place(w, ACTOR_LOGIN, 0, &login_actor_ops, w->login);
    w->hashed_us = 0;
}

static struct gate_conf gate_of(struct world *w, uint32_t self)
{
    const struct conf *c = &w->plan.conf;
    return (struct gate_conf){.team_window = (uint32_t)c->api_workspace_window,
                              .channel_window = (uint32_t)c->api_channel_window,
                              .views = w->views,
                              .self = self};
}

static void make_fanouts(struct world *w)
{
    const struct conf *c = &w->plan.conf;
    for (uint16_t i = 0; i < w->len[ACTOR_FANOUT]; i++) {
        struct actor *a = world_actor(w, ACTOR_FANOUT, i);
        struct sim_port *p = port_of(w, ACTOR_FANOUT, i);
        struct fanout_conf fc = {.self = a->id,
                                 .index = i,
                                 .chans = &w->ids[w->first[ACTOR_CHAN]],
                                 .chans_len = w->len[ACTOR_CHAN],
                                 .hist = world_actor(w, ACTOR_HIST, i % w->len[ACTOR_HIST])->id,
                                 .gate = gate_of(w, w->len[ACTOR_ACCEPTOR] + i),
                                 .net = {&sim_port_ops, p},
                                 .dir = w->readers[a->loop->index],
                                 .conf = c};
        struct view view = sim_view(&w->store);
        MUST(chan_ts_high(&view, &fc.ts_high_us));
        MUST(fanout_new(&w->fanouts[i], &fc));
        place(w, ACTOR_FANOUT, i, &fanout_actor_ops, w->fanouts[i]);
        p->adopters[p->adopters_len].actor = a;
        p->adopters[p->adopters_len++].ops = &fanout_net_ops;
        p->conns_max += (uint32_t)c->ws_conns_max + fan_refusals_max;
        p->write_timeout_ms = (uint32_t)c->ws_stuck_ms;
    }
}

static void make_acceptors(struct world *w)
{
    const struct conf *c = &w->plan.conf;
    for (uint16_t i = 0; i < w->len[ACTOR_ACCEPTOR]; i++) {
        struct actor *a = world_actor(w, ACTOR_ACCEPTOR, i);
        struct sim_port *p = port_of(w, ACTOR_ACCEPTOR, i);
        struct acceptor_conf ac = {.self = a->id,
                                   .index = i,
                                   .chans = &w->ids[w->first[ACTOR_CHAN]],
                                   .hists = &w->ids[w->first[ACTOR_HIST]],
                                   .fanouts = &w->ids[w->first[ACTOR_FANOUT]],
                                   .chans_len = w->len[ACTOR_CHAN],
                                   .hists_len = w->len[ACTOR_HIST],
                                   .fanouts_len = w->len[ACTOR_FANOUT],
                                   .dir = w->first[ACTOR_DIR],
                                   .search = w->first[ACTOR_SEARCH],
                                   .login = w->first[ACTOR_LOGIN],
                                   .gate = gate_of(w, i),
                                   .net = {&sim_port_ops, p},
                                   .dir_reader = w->readers[a->loop->index],
                                   .conf = c};
        MUST(acceptor_new(&w->acceptors[i], &ac));
        place(w, ACTOR_ACCEPTOR, i, &acceptor_actor_ops, w->acceptors[i]);
        p->listener = a;
        p->listener_ops = &acceptor_net_ops;
        p->conns_max += (uint32_t)c->http_conns_max;
    }
}

void world_boot(struct world *w)
{
    w->incarnation++;
    w->loops_len = 0;
    w->ending = false;
    w->store.read_errors_until_us =
        0; /* a start that cannot read says so and ends: no matter here */
    w->drain_stage = -1;
    w->seam = (struct loop_seam){seam_mono, seam_wall, seam_cells_max, w};
    add_actors(w);
    add_loops(w);
    add_edges(w);
    w->log = sim_log_new(w);
    w->log_actor = w->first[ACTOR_LOG];
    place(w, ACTOR_LOG, 0, &sim_log_ops, w->log);
    make_dir(w);
    make_chans(w);
    make_hists(w);
    make_search(w);
    make_login(w);
    w->views = gate_views_new(w->len[ACTOR_ACCEPTOR] + w->len[ACTOR_FANOUT]);
    ASSERT(w->views != NULL);
    make_fanouts(w);
    make_acceptors(w);
    place(w, ACTOR_ADMIN, 0, &operator_ops, &w->operator_);
    for (uint32_t i = 0; i < w->net.ports_len; i++)
        sim_port_start(&w->net.ports[i]);
    w->up = true;
    trace_world(w, "the process starts", w->incarnation, w->oracle.pos);
}

static void release(struct world *w)
{
    for (uint16_t i = 0; i < w->len[ACTOR_ACCEPTOR]; i++)
        acceptor_free(w->acceptors[i]);
    for (uint16_t i = 0; i < w->len[ACTOR_FANOUT]; i++)
        fanout_free(w->fanouts[i]);
    free(w->views);
    for (uint16_t i = 0; i < w->len[ACTOR_HIST]; i++)
        hist_free(w->hists[i]);
    for (uint16_t i = 0; i < w->len[ACTOR_CHAN]; i++)
        chan_shard_free(w->chans[i]);
    search_free(w->search);
    login_free(w->login);
    dir_free(w->dir);
    for (uint32_t i = 0; i < w->loops_len; i++) {
        dir_reader_free(w->readers[i]);
        loop_deinit(w->loops[i]);
        free(w->loops[i]);
    }
    sim_log_free(w->log);
    for (uint32_t i = 0; i < w->edges_len; i++)
        edge_deinit(&w->edges[i]);
    free(w->edges);
    free(w->inbound);
    free(w->actors);
    for (uint32_t i = 0; i < w->net.ports_len; i++)
        slab_deinit(&w->net.ports[i].slots);
    free(w->net.ports);
    w->net.ports = NULL;
    w->net.ports_len = 0;
    w->actors = NULL;
    w->loops_len = w->edges_len = 0;
}

void world_crash(struct world *w, const char *why)
{
    trace_world(w, why, w->crashes, w->steps);
    w->crashes++;
    sim_log_crash(w->log);
    oracle_wishes_end(&w->oracle);
    w->up = false;
    sim_net_crash(&w->net);
    operator_crash(&w->operator_);
    clients_on_crash(w);
    release(w);
    w->up_again_us = w->now_us + rng_range(&w->fault, restart_min_us, restart_max_us);
    plan_actors(&w->plan, &w->fault); /* the settings may have changed meanwhile */
}

void world_process_ends(struct world *w, const char *why)
{
    w->ending = true;
    w->ending_why = why;
}

void world_block(struct world *w, actor_id a, uint64_t until_us)
{
    w->blocked_until_us[w->actors[a].loop->index] = until_us;
}

void world_init(struct world *w, const struct plan *p)
{
    memset(w, 0, sizeof *w);
    w->plan = *p;
    w->now_us = start_mono_us;
    w->wall_offset_us = 1790000000000000;
    w->sched = rng_make(p->seed, 30);
    w->fault = rng_make(p->seed, 31);
    w->trace.actor_name = actor_name;
    w->trace.actor_kind = actor_kind;
    w->trace.ctx = w;
    oracle_init(&w->oracle);
    sim_store_init(&w->store, w, p->seed);
    sim_net_init(&w->net, w, p->seed);
    operator_init(&w->operator_, w);
    clients_init(w);
}

void world_deinit(struct world *w)
{
    if (w->up) {
        w->up = false;
        sim_net_crash(&w->net);
        operator_crash(&w->operator_);
        release(w);
    }
    clients_deinit(w);
    operator_deinit(&w->operator_);
    sim_net_deinit(&w->net);
    sim_store_deinit(&w->store);
    oracle_deinit(&w->oracle);
}
