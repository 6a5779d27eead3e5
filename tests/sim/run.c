#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mutant.h"
#include "world.h"

enum {
    answered_within_us = 120000000, /* of the end of all faults */
    settle_us = 4000000,
    rest_max_s = 10,
    quiet_us = 40000000, /* longer than every timer that gives something back */
    steps_per_op_max = 6000,
    steps_max = 3000000
};

static void step(struct world *w, uint64_t steps_bound, const char *what)
{
    if (w->steps > steps_bound)
        violation(w, "answered_in_bound", "%s: no end after %llu steps", what,
                  (unsigned long long)w->steps);
    if (!world_step(w))
        violation(w, "answered_in_bound", "%s: nothing will ever happen again", what);
}

/* The first client that still waits; plan.clients: none. */
static uint32_t first_waiting(const struct world *w)
{
    uint32_t i = 0;
    while (i < w->plan.clients && client_idle(&w->clients[i]))
        i++;
    return i;
}

static bool all_idle(const struct world *w)
{
    return first_waiting(w) == w->plan.clients && w->up && w->operator_.out == 0;
}

_Noreturn static void too_late(struct world *w)
{
    uint32_t i = first_waiting(w);
    const struct client *cl = &w->clients[i % w->plan.clients];
    violation(w, "answered_in_bound",
              "%d s after the faults client %u of %u still waits: %u and %u requests, %u retries, "
              "%u RTM messages, %u probes; the operator: %u",
              answered_within_us / 1000000, i, w->plan.clients, cl->http.pipe_len,
              cl->extra.pipe_len, cl->retries_len, cl->ws.rtm_len, cl->probes, w->operator_.out);
}

static void heal(struct world *w)
{
    w->faults_on = false;
    w->healed_us = w->now_us;
    w->store.no_space_until_us = w->store.read_errors_until_us = 0;
    for (uint32_t i = 0; i < w->plan.clients; i++)
        w->clients[i].deaf_until_us = 0;
    for (uint32_t i = 0; i < w->loops_len; i++) {
        if (w->up && w->loops[i] != w->actors[w->log_actor].loop)
            w->blocked_until_us[i] = MIN(w->blocked_until_us[i], w->now_us);
    }
}

static void run_for(struct world *w, uint64_t us, const char *what)
{
    uint64_t until = w->now_us + us, bound = w->steps + steps_max;
    while (w->now_us < until && world_step(w)) {
        if (w->steps > bound)
            violation(w, "comes_to_rest", "%s: still busy", what);
    }
    w->now_us = MAX(w->now_us, until);
}

static void run(struct world *w)
{
    world_boot(w);
    operator_populate(&w->operator_);
    w->populated = true;
    w->faults_on = true;
    uint64_t bound = w->steps + w->plan.ops * steps_per_op_max + steps_max;
    while (w->ops_issued < w->plan.ops) {
        step(w, bound, "under faults");
        operator_change_password(&w->operator_);
    }
    heal(w);
    uint64_t deadline = w->now_us + answered_within_us;
    while (!all_idle(w)) {
        step(w, bound + steps_max, "after the faults");
        if (w->now_us > deadline)
            too_late(w);
    }
    run_for(w, settle_us, "settling");
    /* A scheduled message may come at any time: one that did just now has not been heard yet. */
    for (uint64_t s = 0, pos = 0; s < rest_max_s && pos != w->oracle.pos; s++) {
        pos = w->oracle.pos;
        run_for(w, 1000000, "settling");
    }
    clients_check_revoked(w);
    for (uint32_t i = 0; i < w->plan.clients; i++)
        socket_check_converged(&w->clients[i]);
    clients_hang_up(w);
    run_for(w, quiet_us, "without clients");
    /* What a late one has set going comes to rest, too. */
    for (uint32_t s = 0; s < rest_max_s && w->up && !world_rests(w); s++)
        run_for(w, 1000000, "coming to rest");
    if (!w->up)
        return;
    index_check_converged(w);
    keep_check(w);
    oracle_check_scheduled(w, world_wall_us(w) / 1000000);
    world_check_resources(w);
}

static void child(uint64_t seed, const struct run_opts *o, bool loud, struct result *r)
{
    struct world *w = calloc(1, sizeof *w);
    struct plan p;
    ASSERT(w != NULL);
    if (!loud && !o->trace) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0)
            dup2(null, STDERR_FILENO);
    }
    log_set_level(LOG_ERROR);
#ifdef PARLEY_MUTANTS
    mutant_planted = (enum mutant)o->mutant;
#endif
    plan_make(&p, seed, o->ops, o->without);
    world_init(w, &p);
    w->trace.live = o->trace;
    report_begin(r, w, loud);
    run(w);
    report_sum(w);
    world_deinit(w);
    free(w);
    r->finished = true;
    _exit(0);
}

struct result run_seed(uint64_t seed, const struct run_opts *o, bool loud)
{
    struct result *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    fflush(stdout);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        child(seed, o, loud, shared);
    int status;
    while (waitpid(pid, &status, 0) < 0) {
    }
    struct result r = *shared;
    munmap(shared, sizeof *shared);
    if (!r.finished && !r.violated) { /* a sanitizer, or worse */
        r.violated = true;
        snprintf(r.name, sizeof r.name, "died");
        snprintf(r.text, sizeof r.text, "the run ended with status %d", status);
    }
    return r;
}

/* ---- smaller ---- */

static bool still(uint64_t seed, const struct run_opts *o, const char *name)
{
    struct result r = run_seed(seed, o, false);
    return r.violated && strcmp(r.name, name) == 0;
}

int run_minimise(uint64_t seed, struct run_opts o)
{
    struct result r = run_seed(seed, &o, false);
    if (!r.violated) {
        printf("seed %llu violates nothing\n", (unsigned long long)seed);
        return 0;
    }
    char name[sizeof r.name];
    snprintf(name, sizeof name, "%s", r.name);
    for (uint32_t f = 0; f < FAULT_COUNT; f++) {
        struct run_opts less = o;
        less.without |= 1u << f;
        if (still(seed, &less, name))
            o = less;
    }
    for (uint64_t cut = o.ops / 2; cut > 0; cut /= 2) {
        struct run_opts less = o;
        while (less.ops > cut) {
            less.ops -= cut;
            if (!still(seed, &less, name))
                break;
            o = less;
        }
    }
    (void)run_seed(seed, &o, true);
    printf("parley-sim --seed %llu --ops %llu", (unsigned long long)seed,
           (unsigned long long)o.ops);
    const char *sep = " --without ";
    for (uint32_t f = 0; f < FAULT_COUNT; f++) {
        if ((o.without >> f & 1) != 0) {
            printf("%s%s", sep, fault_name((enum fault)f));
            sep = ",";
        }
    }
    printf("\nviolates %s\n", name);
    return 1;
}

/* ---- planted bugs ---- */

#ifdef PARLEY_MUTANTS
enum mutant mutant_planted;

static bool is_one_of(struct str_view names, const char *name)
{
    while (names.len > 0) {
        if (sv_eq(sv_cut(&names, ','), sv_from(name)))
            return true;
    }
    return false;
}

bool run_mutants(const struct run_opts *o, uint64_t first_seed, uint64_t seeds_max,
                 const char *only)
{
    static const struct {
        const char *name, *by, *what;
    } all[] = {
#define MUTANT_DEF(name, by, what) {#name, by, what},
#include "mutants.def"
#undef MUTANT_DEF
    };
    bool every = true;
    printf("%-32s %-6s %-26s %-50s %s\n", "planted bug", "seeds", "found by", "expected", "what");
    for (size_t m = 0; m < ARRAY_LEN(all); m++) {
        struct run_opts with = *o;
        struct result r = {0}, other = {0};
        uint64_t n = 0;
        bool found = false;
        with.mutant = (int)m + 1;
        if (only != NULL && strcmp(only, all[m].name) != 0)
            continue;
        /* Found by luck of an unrelated check it is not found. */
        while (n < seeds_max && !found) {
            r = run_seed(first_seed + n++, &with, false);
            found = r.violated && is_one_of(sv_from(all[m].by), r.name);
            if (r.violated && !found)
                other = r;
        }
        /* What the seed violates without it is not what was planted. */
        bool own = found && !run_seed(first_seed + n - 1, o, false).violated;
        every &= own;
        printf("%-32s %-6llu %s%-26s %-50s %s\n", all[m].name, (unsigned long long)n,
               !found && other.violated ? "ONLY BY " : "",
               own              ? r.name
               : found          ? "NOTHING: VIOLATED ANYWAY"
               : other.violated ? other.name
                                : "NOT FOUND",
               all[m].by, all[m].what);
        fflush(stdout);
    }
    return every;
}
#endif
