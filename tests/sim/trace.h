/* sim/trace.h - the last messages of the run, kept in binary, printed when an invariant breaks; and
 * the running hash that tells whether two runs were the same. */
#ifndef PARLEY_SIM_TRACE_H
#define PARLEY_SIM_TRACE_H

#include "ring/cell.h"

enum trace_kind { TRACE_CELL, TRACE_NET, TRACE_CLIENT, TRACE_STORE, TRACE_WORLD };

enum { trace_entries_max = 4096 };

struct trace_entry {
    uint64_t at_us;
    const char *what; /* constant text */
    enum trace_kind kind;
    uint16_t a, b;
    uint32_t n;
    uint64_t x, y;
};

struct trace {
    struct trace_entry entries[trace_entries_max];
    uint64_t len; /* ever */
    uint64_t hash;
    bool live; /* print each entry as it comes */
    const char *(*actor_name)(void *ctx, actor_id id);
    enum actor_kind (*actor_kind)(void *ctx, actor_id id);
    void *ctx;
};

void trace_add(struct trace *t, struct trace_entry e);
/* The last n entries on standard error, oldest first. */
void trace_print(const struct trace *t, uint64_t n);

#endif
