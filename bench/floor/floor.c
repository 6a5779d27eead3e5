#include "floor.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str_view.h"

enum { exit_usage = 2, fixed_options = 4 };

_Noreturn void floor_die(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t floor_thread_cpu_ns(void)
{
    return cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t floor_process_cpu_ns(void)
{
    return cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
}

double floor_us(uint64_t ns, uint64_t units)
{
    return units > 0 ? (double)ns / 1e3 / (double)units : 0;
}

static void help(const struct floor *f, const char *what)
{
    printf("%s - %s\n\n  --seconds S         how long, 1..%d (%llu)\n"
           "  --dir DIR           where files go (%s)\n  --json              one JSON object\n",
           f->name, what, floor_seconds_max, (unsigned long long)f->seconds, f->dir);
    for (uint32_t i = 0; i < f->numbers_len; i++)
        printf("  --%-9s N       %s (%llu)\n", f->numbers[i].name, f->numbers[i].why,
               (unsigned long long)f->numbers[i].value);
}

static void number(const struct floor *f, const struct floor_number *n, const char *text,
                   uint64_t *out)
{
    if (sv_to_u64(sv_from(text), out) && *out >= n->min && *out <= n->max)
        return;
    fprintf(stderr, "%s: --%s \"%s\" is not a number from %llu to %llu\n", f->name, n->name, text,
            (unsigned long long)n->min, (unsigned long long)n->max);
    exit(exit_usage);
}

void floor_begin(struct floor *f, int argc, char **argv, const char *what,
                 struct floor_number *numbers, uint32_t numbers_len)
{
    const char *slash = strrchr(argv[0], '/');
    const struct floor_number seconds = {"seconds", 5, 1, floor_seconds_max, ""};
    struct option options[fixed_options + floor_numbers_max + 1] = {
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, 'j'},
        {"seconds", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'}};
    *f = (struct floor){.name = slash != NULL ? slash + 1 : argv[0],
                        .dir = ".",
                        .seconds = seconds.value,
                        .numbers = numbers,
                        .numbers_len = numbers_len};
    ASSERT(numbers_len <= floor_numbers_max);
    for (uint32_t i = 0; i < numbers_len; i++)
        options[fixed_options + i] =
            (struct option){numbers[i].name, required_argument, NULL, 1000 + (int)i};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            help(f, what);
            exit(0);
        } else if (c == 'j') {
            f->json = true;
        } else if (c == 's') {
            number(f, &seconds, optarg, &f->seconds);
        } else if (c == 'd') {
            f->dir = optarg;
        } else if (c >= 1000) {
            number(f, &numbers[c - 1000], optarg, &numbers[c - 1000].value);
        } else {
            exit(exit_usage);
        }
    }
    if (optind != argc) {
        fprintf(stderr, "%s: \"%s\" is no option\n", f->name, argv[optind]);
        exit(exit_usage);
    }
    report_text(&f->report, "floor", f->name);
}

int floor_end(struct floor *f)
{
    report_print(&f->report, f->json);
    return f->report.problems == 0 ? 0 : 1;
}
