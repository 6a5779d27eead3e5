/* server/topology.h - which actors there are, on which loops they run, and which rings join them.
 * Prints its map with all sizes at start. Thread: the main thread, before the loops run and after
 * they have ended. */
#ifndef PARLEY_SERVER_TOPOLOGY_H
#define PARLEY_SERVER_TOPOLOGY_H

#include "base/conf.h"
#include "net/net.h"
#include "ring/loop.h"

enum { server_loops_max = 64 };

struct topology;

struct topology_start { /* what a thread begins with */
    struct topology *t;
    struct loop *loop;
};

struct topology {
    struct loop loops[server_loops_max];
    struct net *nets[server_loops_max]; /* by loop */
    struct topology_start starts[server_loops_max];
    pthread_t threads[server_loops_max];
    bool nice_refused; /* atomic, by those threads: it has been logged */
    uint32_t loops_len, threads_len;

    struct actor actors[actors_max];
    actor_id actors_len;
    actor_id first[ACTOR_KINDS]; /* actors of a kind have consecutive ids */
    uint16_t len[ACTOR_KINDS];

    actor_id ids[actors_max]; /* ids[i] == i: a slice of it is the list of a kind */
    struct loop *loop_of[actors_max];
    struct net *net_of[actors_max];

    struct edge *edges; /* all of them */
    uint32_t edges_len, edges_cap;
    struct edge **inbound; /* slices of it are actor.in */
};

/* In zeroed memory. Decides numbers from the settings and the cores, makes loops, nets and rings;
 * the actors' `ops` and `self` are filled in by the caller afterwards. Errors: ERR_NOMEM,
 * ERR_BAD_CONF (too many actors). */
MUST_USE enum err topology_init(struct topology *t, const struct conf *c, struct net_tls *tls);
void topology_deinit(struct topology *t);

static inline struct actor *topology_actor(struct topology *t, enum actor_kind kind, uint16_t index)
{
    ASSERT(index < t->len[kind]);
    return &t->actors[t->first[kind] + index];
}
static inline const actor_id *topology_ids(const struct topology *t, enum actor_kind kind)
{
    return &t->ids[t->first[kind]];
}

/* Requests that one actor may have out at another: what a request ring holds. */
uint32_t topology_credits(const struct conf *c);

void topology_log_map(const struct topology *t, const struct conf *c);
MUST_USE enum err topology_start(struct topology *t); /* one thread a loop */
void topology_stop(struct topology *t);               /* stops and joins all threads */
void topology_wake_all(struct topology *t);           /* any thread */

#endif
