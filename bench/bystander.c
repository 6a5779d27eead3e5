#include "bystander.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "load.h"

enum { poll_us = 5000, longest_s = 600 };

/* Each is written by one side only; a step follows on the one before it. */
enum phase { PHASE_SET_UP, PHASE_CALM, PHASE_STORM, PHASE_END };

static struct shared {
    int phase; /* of the one that forked */
    bool ready;
    pid_t parent;
    struct bystander_figures figures; /* there when the process has ended */
} * shared;
static pid_t pid;

bool bystander_fork(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("parley-bench: mmap");
        return false;
    }
    shared->parent = getpid();
    if ((pid = fork()) >= 0)
        return true;
    perror("parley-bench: fork");
    return false;
}

bool bystander_part(void)
{
    return shared != NULL && pid == 0;
}

static int phase(void)
{
    return __atomic_load_n(&shared->phase, __ATOMIC_ACQUIRE);
}

static void enter(int next)
{
    __atomic_store_n(&shared->phase, next, __ATOMIC_RELEASE);
}

/* ---- the bystander ---- */

static bool own_channel(struct bench *b, const char *token, struct ledger *l)
{
    char name[64];
    struct reply reply;
    struct json_value id;
    snprintf(name, sizeof name, "bystander-%llx", (unsigned long long)clock_wall_us());
    if (!api_call(b, token, "conversations.create", API_ARGS("name", name), &reply) ||
        !object_member(b, json_find(reply.members, reply.len, SV("channel"))->s, "id", &id)) {
        fprintf(stderr, "parley-bench: conversations.create: %.*s\n", SV_ARG(reply.error));
        return false;
    }
    l->channels = bench_zalloc(b, sizeof *l->channels);
    l->channels[0] = bench_text(b, id.s);
    l->channels_len = 1;
    return true;
}

static void wait_for(struct bench *b, int wanted)
{
    while (phase() < wanted && !io_stop && getppid() == shared->parent)
        io_step(&b->io, b->io.now_us + poll_us);
}

bool bystander_run(struct bench *b)
{
    struct ledger ledger;
    struct load load;
    struct bystander_figures *out = &shared->figures;
    const char **token = &b->population.tokens[b->population.tokens_len - 1];
    ledger_init(&ledger, b, clock_wall_us() + (uint64_t)getpid());
    if (!own_channel(b, *token, &ledger))
        return false;
    ledger.channel_tokens = token;
    load_init(&load, b, &ledger);
    load.lanes = bench_zalloc(b, sizeof *load.lanes);
    load.lanes_len = 1;
    load.lanes[0] = (struct lane){*token, 0};
    __atomic_store_n(&shared->ready, true, __ATOMIC_RELEASE);
    wait_for(b, PHASE_CALM);
    load.poster.answer_us = &out->calm_answer_us;
    load_begin(&load, longest_s);
    wait_for(b, PHASE_STORM);
    out->calm_us = load.poster.latency_us;
    load.poster.latency_us = (struct hist_log){0};
    load.poster.answer_us = &out->storm_answer_us;
    wait_for(b, PHASE_END);
    load_end(&load);
    out->storm_us = load.poster.latency_us;
    out->acknowledged = load.poster.acked;
    ledger_audit_history(&ledger, NULL);
    poster_report_counts(&load.poster);
    if (load.poster.in_flight > 0)
        report_problem(&b->report, "%llu posts were not answered",
                       (unsigned long long)load.poster.in_flight);
    out->problems = b->report.problems;
    snprintf(out->first, sizeof out->first, "%s", b->report.samples[0]);
    return out->problems == 0;
}

/* ---- the one that forked it ---- */

bool bystander_begin(void)
{
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE)) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return false;
        usleep(poll_us);
    }
    enter(PHASE_CALM);
    return true;
}

void bystander_storm(void)
{
    enter(PHASE_STORM);
}

bool bystander_end(struct bystander_figures *out)
{
    int status = 0;
    enter(PHASE_END);
    bool ok = waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    *out = shared->figures;
    return ok;
}
