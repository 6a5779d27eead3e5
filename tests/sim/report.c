#include "report.h"

#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "world.h"

enum { trace_shown = 150, stuck_s = 10, stuck_ops = 200 };

static struct result *result;
static struct world *world;
static bool loud_mode;

void report_sum(struct world *w)
{
    result->ops = w->ops_done;
    result->steps = w->steps;
    result->crashes = w->crashes;
    result->drains = w->drains;
    result->hash = w->trace.hash;
    result->virtual_us = w->now_us;
    result->events = result->hints = 0;
    for (uint32_t i = 0; i < w->plan.clients; i++) {
        result->events += w->clients[i].ws.events;
        result->hints += w->clients[i].ws.hints;
    }
}

_Noreturn void report_violation(struct world *w, const char *name, const char *text)
{
    result->violated = true;
    snprintf(result->name, sizeof result->name, "%s", name);
    snprintf(result->text, sizeof result->text, "%s", text);
    report_sum(w);
    if (loud_mode) {
        trace_print(&w->trace, trace_shown);
        fprintf(stderr, "VIOLATED %s: %s\n", name, text);
    }
    _exit(1);
}

/* Production code stopped itself, or ran away. The trace is what matters; the state is as it was.
 */
static void on_signal(int sig)
{
    report_violation(world,
                     sig == SIGABRT   ? "assertion"
                     : sig == SIGPROF ? "stuck"
                                      : "memory",
                     sig == SIGABRT   ? "an assertion failed (its text is on standard error)"
                     : sig == SIGPROF ? "a step does not end"
                                      : "a bad memory access");
}

void report_begin(struct result *r, struct world *w, bool loud)
{
    result = r;
    world = w;
    loud_mode = loud;
    signal(SIGABRT, on_signal);
    signal(SIGPROF, on_signal);
#ifndef PARLEY_SANITIZED
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
#endif
    /* Of processor time; a run takes a hundredth of it. */
    long limit_s = (long)(stuck_s + w->plan.ops / stuck_ops);
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = limit_s}, NULL);
}
