#include "server/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "fanout/fanout.h"
#include "server/wiring.h"

uint32_t topology_credits(const struct conf *c)
{
    return (uint32_t)c->ring_request_cells - 1;
}

static uint16_t from_cores(uint64_t configured, long cores, long per)
{
    if (configured > 0)
        return (uint16_t)configured;
    return (uint16_t)MAX(1, cores / per);
}

static enum err add_actors(struct topology *t, const struct conf *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    t->len[ACTOR_ACCEPTOR] = from_cores(c->threads_acceptors, cores, 4);
    t->len[ACTOR_CHAN] = from_cores(c->threads_chans, cores, 8);
    t->len[ACTOR_LOG] = 1;
    t->len[ACTOR_HIST] = from_cores(c->threads_hists, cores, 8);
    t->len[ACTOR_FANOUT] = from_cores(c->threads_fanouts, cores, 4);
    t->len[ACTOR_DIR] = 1;
    t->len[ACTOR_ADMIN] = 1;
    t->len[ACTOR_SEARCH] = 1;
    t->len[ACTOR_LOGIN] = 1;
    t->len[ACTOR_MEDIA] = 1;
    uint32_t total = 0;
    for (int k = 0; k < ACTOR_KINDS; k++)
        total += t->len[k];
    if (total > actors_max || total > server_loops_max)
        return ERR_BAD_CONF;
    for (int k = 0; k < ACTOR_KINDS; k++) {
        t->first[k] = t->actors_len;
        for (uint16_t i = 0; i < t->len[k]; i++) {
            actor_id id = t->actors_len++;
            t->ids[id] = id;
            t->actors[id] = (struct actor){.id = id, .kind = (enum actor_kind)k, .index = i};
            snprintf(t->actors[id].name, sizeof t->actors[id].name, "%s%u",
                     wiring_kind_name((enum actor_kind)k), (unsigned)i);
        }
    }
    return ERR_OK;
}

/* Every actor has a loop of its own, but for admin, which sits with dir, and chans when they sit
 * with acceptors. */
static enum err add_loops(struct topology *t, const struct conf *c)
{
    for (actor_id id = 0; id < t->actors_len; id++) {
        struct actor *a = &t->actors[id];
        struct loop *l = NULL;
        if (a->kind == ACTOR_ADMIN)
            l = topology_actor(t, ACTOR_DIR, 0)->loop;
        else if (a->kind == ACTOR_CHAN && c->threads_acceptor_with_chan)
            l = topology_actor(t, ACTOR_ACCEPTOR, a->index % t->len[ACTOR_ACCEPTOR])->loop;
        if (l == NULL) {
            l = &t->loops[t->loops_len];
            TRY(loop_init(l, t->loops_len, a->name));
            t->loops_len++;
            l->peers = t->loop_of;
        }
        loop_add(l, a);
        t->loop_of[id] = l;
    }
    return ERR_OK;
}

static enum err add_nets(struct topology *t, const struct conf *c, struct net_tls *tls)
{
    for (uint32_t i = 0; i < t->loops_len; i++) {
        struct loop *l = &t->loops[i];
        struct net_conf nc = {.handshakes_max = (uint32_t)c->http_handshakes_max,
                              .handshake_timeout_ms = (uint32_t)c->tls_handshake_timeout_ms,
                              .write_timeout_ms = (uint32_t)c->http_write_timeout_ms,
                              .tls = tls};
        for (uint32_t a = 0; a < l->actors_len; a++) {
            if (l->actors[a]->kind == ACTOR_ACCEPTOR) {
                nc.conns_max += (uint32_t)c->http_conns_max;
            } else if (l->actors[a]->kind == ACTOR_FANOUT) {
                nc.conns_max += (uint32_t)c->ws_conns_max + fan_refusals_max;
                nc.write_timeout_ms = (uint32_t)c->ws_stuck_ms;
            } else if (l->actors[a]->kind == ACTOR_ADMIN) {
                nc.conns_max += 64;
            }
        }
        TRY(net_new(&t->nets[i], l, &nc));
        l->driver_ops = &net_driver_ops;
        l->driver = t->nets[i];
        for (uint32_t a = 0; a < l->actors_len; a++)
            t->net_of[l->actors[a]->id] = t->nets[i];
    }
    for (uint32_t i = 0; i < t->loops_len; i++)
        net_set_peers(t->nets[i], t->net_of);
    return ERR_OK;
}

static enum err add_edge(struct topology *t, actor_id from, actor_id to, enum ring_class class,
                         uint32_t size)
{
    ASSERT(t->edges_len < t->edges_cap);
    struct edge *e = &t->edges[t->edges_len];
    TRY(edge_init(e, from, to, class, size));
    t->edges_len++;
    outbox_wire(&t->actors[from].outbox, e);
    return ERR_OK;
}

static enum err add_edges(struct topology *t, const struct conf *c)
{
    t->edges_cap = (uint32_t)t->actors_len * t->actors_len * CLASS_COUNT;
    t->edges = aligned_alloc(CACHE_LINE, (size_t)t->edges_cap * sizeof *t->edges);
    t->inbound = calloc(t->edges_cap, sizeof *t->inbound);
    if (t->edges == NULL || t->inbound == NULL)
        return ERR_NOMEM;
    for (actor_id from = 0; from < t->actors_len; from++) {
        for (actor_id to = 0; to < t->actors_len; to++) {
            for (int class = 0; class < CLASS_COUNT; class ++) {
                uint32_t size = wiring_edge_size(c, t->actors[from].kind, t->actors[to].kind,
                                                 (enum ring_class) class);
                if (size > 0)
                    TRY(add_edge(t, from, to, (enum ring_class) class, size));
            }
        }
    }
    uint32_t at = 0;
    for (actor_id to = 0; to < t->actors_len; to++) {
        struct actor *a = &t->actors[to];
        a->in = &t->inbound[at];
        for (int class = 0; class < CLASS_COUNT; class ++) { /* control first */
            for (uint32_t i = 0; i < t->edges_len; i++) {
                if (t->edges[i].dst == to && t->edges[i].class == (enum ring_class) class)
                    a->in[a->in_len++] = &t->edges[i];
            }
            if (class == CLASS_CONTROL)
                a->in_control_len = a->in_len;
        }
        at += a->in_len;
    }
    return ERR_OK;
}

enum err topology_init(struct topology *t, const struct conf *c, struct net_tls *tls)
{
    TRY(add_actors(t, c));
    TRY(add_loops(t, c));
    TRY(add_nets(t, c, tls));
    return add_edges(t, c);
}

void topology_deinit(struct topology *t)
{
    for (uint32_t i = 0; i < t->edges_len; i++)
        edge_deinit(&t->edges[i]);
    for (uint32_t i = 0; i < t->loops_len; i++) {
        net_free(t->nets[i]);
        loop_deinit(&t->loops[i]);
    }
    free(t->edges);
    free(t->inbound);
}

void topology_log_map(const struct topology *t, const struct conf *c)
{
    for (uint32_t i = 0; i < t->loops_len; i++) {
        const struct loop *l = &t->loops[i];
        char names[256] = "";
        size_t len = 0;
        for (uint32_t a = 0; a < l->actors_len && len < sizeof names; a++)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", a == 0 ? "" : " ",
                                    l->actors[a]->name);
        log_info("loop", "\"name\":\"%s\",\"actors\":\"%s\"", l->name, names);
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->edges_len; i++)
        bytes += ((uint64_t)t->edges[i].cap + 1) * sizeof(struct cell);
    log_info(
        "rings",
        "\"rings\":%u,\"bytes\":%llu,\"request_cells\":%llu,\"event_cells\":%llu,\"frames\":%llu",
        t->edges_len, (unsigned long long)bytes, (unsigned long long)c->ring_request_cells,
        (unsigned long long)c->ring_event_cells, (unsigned long long)c->ring_frames);
}

/* What computes off the message path yields the cores to it: words for the index, passwords. */
static bool yields(const struct loop *l)
{
    enum actor_kind kind = l->actors[0]->kind;
    return kind == ACTOR_SEARCH || kind == ACTOR_LOGIN;
}

/* Of this thread, on Linux. That needs no right; but a filter of system calls may refuse it. */
static void yield_cores(struct topology *t)
{
    enum { yielding_nice = 5 };
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), yielding_nice) == 0)
        return;
    int error = errno;
    if (!__atomic_exchange_n(&t->nice_refused, true, __ATOMIC_RELAXED)) /* orders nothing */
        log_warn("nice_refused", "\"nice\":%d,\"problem\":%s", yielding_nice,
                 log_str(sv_from(strerror(error))));
}

static void *loop_main(void *arg)
{
    const struct topology_start *start = arg;
    struct loop *l = start->loop;
    if (yields(l))
        yield_cores(start->t);
    __atomic_store_n(&l->thread_id, (uint32_t)gettid(), __ATOMIC_RELAXED);
    loop_run(l);
    return NULL;
}

enum err topology_start(struct topology *t)
{
    for (; t->threads_len < t->loops_len; t->threads_len++) {
        struct topology_start *start = &t->starts[t->threads_len];
        *start = (struct topology_start){t, &t->loops[t->threads_len]};
        if (pthread_create(&t->threads[t->threads_len], NULL, loop_main, start) != 0)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

void topology_wake_all(struct topology *t)
{
    for (uint32_t i = 0; i < t->loops_len; i++)
        net_wake(t->nets[i]);
}

void topology_stop(struct topology *t)
{
    for (uint32_t i = 0; i < t->loops_len; i++)
        loop_stop(&t->loops[i]);
    topology_wake_all(t);
    for (uint32_t i = 0; i < t->threads_len; i++)
        pthread_join(t->threads[i], NULL);
    t->threads_len = 0;
}
