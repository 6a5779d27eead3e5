/* floor.h - what the floors share: options, CPU clocks, the report. A floor is the least a machine
 * asks for one kind of work, measured without a chat server around it; parley-bench's figures are
 * read beside it. Each program ends by itself. Thread: main, unless said. */
#ifndef PARLEY_BENCH_FLOOR_H
#define PARLEY_BENCH_FLOOR_H

#include "report.h"

enum { floor_seconds_max = 600, floor_numbers_max = 8 };

struct floor_number {
    const char *name; /* of the option, without dashes */
    uint64_t value, min, max;
    const char *why;
};

struct floor {
    const char *name, *dir; /* dir: where files go; a real disk */
    uint64_t seconds;
    bool json;
    struct floor_number *numbers;
    uint32_t numbers_len;
    struct report report;
};

/* Reads the options; prints help or what is wrong, and then ends the process. */
void floor_begin(struct floor *f, int argc, char **argv, const char *what,
                 struct floor_number *numbers, uint32_t numbers_len);
int floor_end(struct floor *f); /* prints; the exit status */
/* A failed call: said on standard error, then exit 1. */
_Noreturn void floor_die(const char *what, int error);

uint64_t floor_thread_cpu_ns(void);  /* of the calling thread */
uint64_t floor_process_cpu_ns(void); /* of all threads */
double floor_us(uint64_t ns, uint64_t units);

#endif
