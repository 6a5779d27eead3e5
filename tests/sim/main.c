/* parley-sim - the server and its clients on one thread in virtual time, from a seed. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str_view.h"
#include "run.h"

static const char usage[] =
    "usage: parley-sim [options]\n"
    "  --seed N          one seed, with what it found\n"
    "  --seeds A..B      these seeds (default 1..50)\n"
    "  --minutes M       fresh seeds for that long; with --seed N from that one on\n"
    "  --ops N           client operations per seed (default 800)\n"
    "  --without F,...   faults left out\n"
    "  --trace           print every message\n"
    "  --minimise SEED   the shortest run of it that violates the same invariant\n"
#ifdef PARLEY_MUTANTS
    "  --mutants         plant each known bug in turn; each must be found\n"
    "  --mutant NAME     only this one\n"
#endif
    "Exit status 0: no invariant was violated. Faults:\n";

struct totals {
    uint64_t seeds, failed, ops, crashes, drains, events, hints, virtual_us, started_us;
};

static void print_usage(FILE *f)
{
    fputs(usage, f);
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        fprintf(f, "  %s", fault_name((enum fault)i));
    fputc('\n', f);
}

static uint32_t parse_faults(const char *text)
{
    uint32_t mask = 0;
    struct str_view rest = sv_from(text);
    while (rest.p != NULL && rest.len > 0) {
        struct str_view one = sv_cut(&rest, ',');
        uint32_t f = 0;
        while (f < FAULT_COUNT && !sv_eq(one, sv_from(fault_name((enum fault)f))))
            f++;
        if (f == FAULT_COUNT) {
            fprintf(stderr, "no fault is called \"%.*s\"\n", SV_ARG(one));
            exit(2);
        }
        mask |= 1u << f;
    }
    return mask;
}

static void one(uint64_t seed, const struct run_opts *o, struct totals *t)
{
    struct result r = run_seed(seed, o, false);
    t->seeds++;
    t->ops += r.ops;
    t->crashes += r.crashes;
    t->drains += r.drains;
    t->events += r.events;
    t->hints += r.hints;
    t->virtual_us += r.virtual_us;
    if (!r.violated)
        return;
    t->failed++;
    printf("seed %llu violates %s: %s\n", (unsigned long long)seed, r.name, r.text);
    fflush(stdout);
    (void)run_seed(seed, o, true); /* once more, with its messages */
}

/* Of one core, whoever else uses it: the time that the runs themselves took. */
static uint64_t core_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int sum(const struct totals *t)
{
    uint64_t us = MAX(clock_mono_us() - t->started_us, 1u);
    printf("simulated %llu seeds, %llu client operations (%llu a second of a core), %llu crashes, "
           "%llu drains, "
           "%llu events, %llu refetch hints, %llu s of virtual time in %llu s: %llu violations\n",
           (unsigned long long)t->seeds, (unsigned long long)t->ops,
           (unsigned long long)(t->ops * 1000000 / MAX(core_us(), 1u)),
           (unsigned long long)t->crashes, (unsigned long long)t->drains,
           (unsigned long long)t->events, (unsigned long long)t->hints,
           (unsigned long long)(t->virtual_us / 1000000), (unsigned long long)(us / 1000000),
           (unsigned long long)t->failed);
    return t->failed > 0;
}

static int one_seed(uint64_t seed, const struct run_opts *o)
{
    struct result r = run_seed(seed, o, true), again = r;
    if (!r.violated)
        again = run_seed(seed, o, false);
    printf("seed %llu: %llu operations, %llu steps, %llu crashes, %llu events, %llu hints, "
           "hash %016llx%s%s%s\n",
           (unsigned long long)seed, (unsigned long long)r.ops, (unsigned long long)r.steps,
           (unsigned long long)r.crashes, (unsigned long long)r.events, (unsigned long long)r.hints,
           (unsigned long long)r.hash, r.violated ? ", violates " : "", r.violated ? r.name : "",
           r.hash == again.hash ? "" : " - NOT THE SAME WHEN RUN AGAIN");
    return r.violated || r.hash != again.hash;
}

/* The same seed must give the same run, message by message; a few are run twice. */
static bool repeats(uint64_t seed, const struct run_opts *o)
{
    struct result a = run_seed(seed, o, false), b = run_seed(seed, o, false);
    if (a.hash == b.hash && a.steps == b.steps)
        return true;
    printf("seed %llu does not repeat itself\n", (unsigned long long)seed);
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'},     {"seeds", 1, NULL, 'S'},   {"minutes", 1, NULL, 'm'},
        {"ops", 1, NULL, 'o'},      {"without", 1, NULL, 'w'}, {"trace", 0, NULL, 't'},
        {"minimise", 1, NULL, 'M'}, {"mutants", 0, NULL, 'x'}, {"mutant", 1, NULL, 'X'},
        {"help", 0, NULL, 'h'},     {NULL, 0, NULL, 0}};
    struct run_opts o = {.ops = 800};
    struct totals t = {.started_us = clock_mono_us()};
    uint64_t seed = 0, minimise = 0, from = 1, to = 50;
    double minutes = 0;
    bool mutants = false;
    const char *mutant = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'S':
            if (sscanf(optarg, "%lu..%lu", &from, &to) != 2) {
                print_usage(stderr);
                return 2;
            }
            break;
        case 'm':
            minutes = strtod(optarg, NULL);
            break;
        case 'o':
            o.ops = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            o.without = parse_faults(optarg);
            break;
        case 't':
            o.trace = true;
            break;
        case 'M':
            minimise = strtoull(optarg, NULL, 10);
            break;
        case 'x':
            mutants = true;
            break;
        case 'X':
            mutants = true;
            mutant = optarg;
            break;
        case 'h':
            print_usage(stdout);
            return 0;
        default:
            print_usage(stderr);
            return 2;
        }
    }
#ifdef PARLEY_MUTANTS
    if (mutants)
        return run_mutants(&o, from, to - from + 1, mutant) ? 0 : 1;
#else
    if (mutants || mutant != NULL) {
        fprintf(stderr, "planted bugs are in parley-sim-mutants\n");
        return 2;
    }
#endif
    if (minimise != 0)
        return run_minimise(minimise, o);
    if (seed != 0 && minutes <= 0)
        return one_seed(seed, &o);
    if (minutes > 0) { /* fresh ones each time; the seed is printed when it matters */
        uint64_t until_us = t.started_us + (uint64_t)(minutes * 60e6);
        uint64_t fresh = (uint64_t)time(NULL) * 1000003 % 1000000000000 + (uint64_t)getpid();
        fresh = seed != 0 ? seed : fresh;
        while (clock_mono_us() < until_us)
            one(fresh++, &o, &t);
        return sum(&t);
    }
    for (uint64_t s = from; s <= to; s++)
        one(s, &o, &t);
    bool same = repeats(from, &o) && repeats(to, &o);
    return sum(&t) != 0 || !same;
}
