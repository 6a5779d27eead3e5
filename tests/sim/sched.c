/* sched.c - what happens next: a turn of some loop, a move of some client, a fault, or the passing
 * of time. */
#include "server/wiring.h"
#include "world.h"

enum {
    delicate_weight = 24,
    step_max_us = 50,
    tick_steps = 256,
    drain_poll_us = 5000,
    turn_while_draining_us = 10000
};

void world_wake_client(struct world *w, uint32_t client)
{
    w->clients[client].woken = true;
}

static void trace_fault(struct world *w, const char *what, uint64_t x)
{
    trace_add(&w->trace,
              (struct trace_entry){.at_us = w->now_us, .what = what, .kind = TRACE_WORLD, .x = x});
}

/* ---- faults ---- */

/* While everybody waits for a sync few steps are taken, but that is when much is undecided. */
static bool strikes(struct world *w, enum fault f, uint64_t one_in)
{
    const uint32_t worth = 1u << FAULT_CRASH | 1u << FAULT_CUT | 1u << FAULT_DRAIN;
    bool delicate = w->waited && w->log->committing && (worth >> f & 1) != 0;
    return plan_has(&w->plan, f) &&
           rng_one_in(&w->fault, delicate ? one_in / delicate_weight : one_in);
}

/* Half of the time a socket with messages under way, where there is one: that is when it matters.
 */
static struct sim_conn *what_to_cut(struct world *w)
{
    uint32_t from = (uint32_t)rng_below(&w->fault, w->plan.clients);
    for (uint32_t i = 0; i < w->plan.clients && rng_one_in(&w->fault, 2); i++) {
        const struct client *cl = &w->clients[(from + i) % w->plan.clients];
        if (cl->ws.conn != NULL && cl->ws.rtm_len > 0)
            return cl->ws.conn;
    }
    from = (uint32_t)rng_below(&w->fault, sim_conns_max);
    for (uint32_t i = 0; i < sim_conns_max; i++) {
        struct sim_conn *c = &w->net.conns[(from + i) % sim_conns_max];
        if (c->state == SIM_OPEN && !c->down_reset)
            return c;
    }
    return NULL;
}

static void cut_something(struct world *w)
{
    struct sim_conn *c = what_to_cut(w);
    if (c == NULL || c->state != SIM_OPEN || c->down_reset)
        return;
    trace_fault(w, "a connection is cut", c->slot);
    sim_cut(&w->net, c);
}

static void step_clock(struct world *w)
{
    static const int64_t most_us[] = {1000, 1000000, 50000000, 7200000000, 864000000000};
    int64_t most = most_us[rng_below(&w->fault, ARRAY_LEN(most_us))];
    int64_t by = (int64_t)rng_below(&w->fault, (uint64_t)most * 2) - most;
    w->wall_offset_us += by;
    trace_fault(w, by < 0 ? "the clock steps back" : "the clock steps forward",
                (uint64_t)(by < 0 ? -by : by));
    w->clock_stepped_us = w->now_us;
    /* Whoever mends a clock restarts what runs: a large step is not followed before. */
    if (by < -2000000 && plan_has(&w->plan, FAULT_CRASH) && rng_one_in(&w->fault, 3))
        world_process_ends(w, "restarted with its clock");
}

static void maybe_fault(struct world *w)
{
    if (strikes(w, FAULT_CRASH, w->plan.crash_steps))
        world_process_ends(w, "killed");
    if (strikes(w, FAULT_NO_SPACE, 25000)) {
        w->store.no_space_until_us = w->now_us + rng_skewed(&w->fault, 1000, 20000000);
        trace_fault(w, "no space", w->store.no_space_until_us);
    }
    if (strikes(w, FAULT_READ_ERROR, 25000))
        w->store.read_errors_until_us = w->now_us + rng_skewed(&w->fault, 100, 300000);
    if (strikes(w, FAULT_CUT, 800))
        cut_something(w);
    if (strikes(w, FAULT_CLOCK, 4000))
        step_clock(w);
    if (strikes(w, FAULT_FREEZE, 2500)) {
        uint32_t i = (uint32_t)rng_below(&w->fault, w->loops_len);
        if (w->blocked_until_us[i] <= w->now_us)
            w->blocked_until_us[i] = w->now_us + rng_skewed(&w->fault, 100, 3000000);
        trace_fault(w, "a thread is frozen", i);
    }
    if (strikes(w, FAULT_SLOW_READER, 1300)) {
        struct client *cl = &w->clients[rng_below(&w->fault, w->plan.clients)];
        cl->deaf_until_us = w->now_us + rng_skewed(&w->fault, 1000, 90000000);
        trace_fault(w, "a client stops reading", cl->index);
    }
    if (strikes(w, FAULT_REVOKE, 8000) && w->drain_stage < 0) {
        uint32_t t = (uint32_t)rng_below(&w->fault, w->operator_.tokens_len);
        if (w->operator_.tokens[t].state == SIM_TOKEN_VALID) {
            trace_fault(w, "a token is revoked", t);
            operator_revoke(&w->operator_, t);
        }
    }
    if (strikes(w, FAULT_DRAIN, w->plan.crash_steps) && w->drain_stage < 0 &&
        w->operator_.out == 0) {
        trace_fault(w, "SIGTERM", 0);
        w->drain_started_us = w->now_us;
        w->drain_stage = 0;
        w->drains++;
    }
}

/* ---- drain, as server/drain.c goes about it ---- */

static uint32_t undrained(struct world *w, enum actor_kind kind)
{
    uint32_t n = 0;
    for (uint16_t i = 0; i < w->len[kind]; i++) {
        struct actor *a = world_actor(w, kind, i);
        loop_drain(a->loop, kind);
        n += !actor_drained(a);
    }
    return n;
}

static bool nothing_slow(const struct world *w)
{
    const uint32_t slow = 1u << FAULT_STALL | 1u << FAULT_FREEZE | 1u << FAULT_NO_SPACE |
                          1u << FAULT_IO_ERROR | 1u << FAULT_SLOW_READER | 1u << FAULT_READ_ERROR;
    return (w->plan.faults & slow) == 0;
}

static void drain_on(struct world *w)
{
    const struct wiring_stage *s = &wiring_stages[w->drain_stage];
    uint32_t left = 0;
    for (uint32_t k = 0; k < s->kinds_len; k++)
        left += undrained(w, s->kinds[k]);
    bool late =
        w->now_us >= w->drain_started_us + w->plan.conf.server_drain_ms * 10ull * s->until_percent;
    if (late && left > 0 && nothing_slow(w))
        violation(w, "drain_ends", "the drain's stage \"%s\" is not over in time: %u actors left",
                  s->name, left);
    if (left > 0 && !late)
        return;
    if (++w->drain_stage < wiring_stages_len)
        return;
    if (nothing_slow(w) && w->log->len > 0)
        violation(w, "drain_ends", "drained with batches that are not written");
    world_process_ends(w, "drained");
}

/* ---- choosing ---- */

static bool loop_ready(struct world *w, uint32_t i, uint64_t *next_us)
{
    struct loop *l = w->loops[i];
    uint64_t idle = loop_idle_us(l, w->now_us);
    if (w->net.ports[i].queue_len > 0 || !w->turned[i])
        idle = 0;
    uint64_t due = idle == UINT64_MAX ? UINT64_MAX : w->now_us + idle;
    if (w->drain_stage >= 0 && idle > 0)
        due = MIN(due, l->turn.mono_us + turn_while_draining_us);
    due = MAX(due, w->blocked_until_us[i]);
    *next_us = MIN(*next_us, due);
    return due <= w->now_us;
}

static bool pass_time(struct world *w, uint64_t next_us)
{
    next_us = MIN(next_us, sim_net_next_us(&w->net));
    if (!w->up)
        next_us = MIN(next_us, w->up_again_us);
    if (w->drain_stage >= 0)
        next_us = MIN(next_us, w->now_us + drain_poll_us);
    if (next_us == UINT64_MAX)
        return false;
    /* Not always to the end: something may happen meanwhile. */
    if (w->up && w->log->committing && next_us > w->now_us + 1 && rng_one_in(&w->sched, 2))
        next_us = w->now_us + 1 + rng_below(&w->sched, next_us - w->now_us);
    w->now_us = MAX(next_us, w->now_us + 1);
    w->waited = true;
    sim_net_tick(&w->net);
    return true;
}

static void between_steps(struct world *w)
{
    w->steps++;
    if (w->up && w->ending)
        world_crash(w, w->ending_why);
    if (!w->up && w->now_us >= w->up_again_us && w->incarnation > 0)
        world_boot(w);
    if (w->up && w->drain_stage >= 0 && !w->ending && w->steps % 16 == 0)
        drain_on(w);
    if (w->up && w->faults_on)
        maybe_fault(w);
    if (w->steps % tick_steps == 0) {
        sim_net_tick(&w->net);
        if (w->up)
            world_check_bounds(w);
    }
}

bool world_step(struct world *w)
{
    uint16_t ready[world_loops_max + plan_clients_max];
    uint32_t n = 0, loops;
    uint64_t next_us = UINT64_MAX;
    between_steps(w);
    for (uint32_t i = 0; w->up && i < w->loops_len; i++) {
        if (loop_ready(w, i, &next_us))
            ready[n++] = (uint16_t)i;
    }
    loops = n;
    for (uint32_t i = 0; i < w->plan.clients && w->populated; i++) {
        const struct client *cl = &w->clients[i];
        uint64_t due = cl->woken ? w->now_us : cl->wake_us;
        next_us = MIN(next_us, due);
        if (due <= w->now_us)
            ready[n++] = (uint16_t)i;
    }
    if (n == 0)
        return pass_time(w, next_us);
    w->waited = false;
    uint32_t k = (uint32_t)rng_below(&w->sched, n);
    if (k < loops) {
        w->turned[ready[k]] = true;
        (void)loop_turn(w->loops[ready[k]]);
    } else {
        client_run(&w->clients[ready[k]]);
    }
    w->now_us += rng_below(&w->sched, step_max_us);
    return true;
}
