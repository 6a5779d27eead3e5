/* sim/world.h - the whole server and its clients on one thread in virtual time. The actors are the
 * daemon's, wired by server/wiring.c and driven by ring/loop.c; what lies around them (store,
 * network, clocks, clients) is the simulator's. */
#ifndef PARLEY_SIM_WORLD_H
#define PARLEY_SIM_WORLD_H

#include <setjmp.h>
#include "api/acceptor.h"
#include "chan/chan.h"
#include "client.h"
#include "dir/dir.h"
#include "fanout/fanout.h"
#include "hist/hist.h"
#include "login/login.h"
#include "net.h"
#include "operator.h"
#include "oracle.h"
#include "plan.h"
#include "search/search.h"
#include "store.h"
#include "trace.h"

enum { world_loops_max = 24, sign_ins_max = 3 };

struct world {
    struct plan plan;
    uint64_t now_us; /* the steady clock */
    int64_t wall_offset_us;
    uint64_t clock_stepped_us; /* when that last changed; 0: never */
    struct rng sched, fault;
    bool up;            /* the process runs */
    bool populated;     /* clients may come */
    bool faults_on;     /* phase one */
    uint64_t healed_us; /* when the faults ended */
    bool waited;        /* the last step was the passing of time */
    bool ending;        /* the process must end after this step */
    const char *ending_why;
    uint64_t up_again_us; /* when it is started again */
    uint64_t steps, crashes, drains, incarnation;

    /* the process; rebuilt after each crash */
    struct loop *loops[world_loops_max];
    struct loop *loop_of[actors_max];
    struct sim_port *port_of_loop[world_loops_max];
    uint64_t blocked_until_us[world_loops_max];
    bool turned[world_loops_max]; /* has had its first turn, which needs no reason */
    uint32_t loops_len;
    struct actor *actors;
    actor_id actors_len;
    actor_id first[ACTOR_KINDS];
    uint16_t len[ACTOR_KINDS];
    actor_id ids[actors_max];
    struct edge *edges;
    uint32_t edges_len, edges_cap;
    struct edge **inbound;
    struct loop_seam seam;
    struct dir *dir;
    struct dir_reader *readers[world_loops_max];
    struct chan_shard *chans[8];
    struct hist *hists[8];
    struct fanout *fanouts[8];
    struct gate_views *views;
    struct acceptor *acceptors[8];
    struct search *search;
    struct login *login;
    uint64_t hashed_us; /* when it is done with the hash that it is at; 0: with none */
    struct sim_log *log;
    actor_id log_actor;
    /* drain: stage under way, or -1 */
    int drain_stage;
    uint64_t drain_started_us;

    struct sim_store store;
    struct sim_net net;
    struct operator operator_;
    struct oracle oracle;
    struct client clients[plan_clients_max];
    uint64_t ops_issued, ops_done;
    uint32_t sign_ins; /* that were begun */
    struct trace trace;
};

extern const uint8_t world_secret[32]; /* keys the hashes of tokens */

/* Ends the run: what is wrong, by name, and the messages that led there. Does not return. */
_Noreturn void violation(struct world *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

void world_init(struct world *w, const struct plan *p);
void world_deinit(struct world *w);
void world_boot(struct world *w);
/* kill -9 now. */
void world_crash(struct world *w, const char *why);
/* The process ends by itself once the present turn is over. */
void world_process_ends(struct world *w, const char *why);
/* The thread of this actor sleeps in a system call until then. */
void world_block(struct world *w, actor_id a, uint64_t until_us);
/* One event: a turn of a loop, a client's move, or time passes. False: nothing will ever happen
 * again. */
bool world_step(struct world *w);
void world_wake_client(struct world *w, uint32_t client);
static inline struct actor *world_actor(struct world *w, enum actor_kind kind, uint16_t index)
{
    return &w->actors[w->first[kind] + index];
}
/* Everything that was lent or taken is back. Called when nothing is under way. */
bool world_rests(struct world *w);
void world_check_resources(struct world *w);
/* The newest time that one of the server's loops has seen: its own clock, not the world's. */
uint64_t world_wall_us(const struct world *w);
/* index.c: nothing that is stored is missing in the index. */
void index_check_converged(struct world *w);
/* No queue, pool or table holds more than it may; looked at now and then. */
void world_check_bounds(struct world *w);

#endif
