/* server/watchdog.h - notices a loop that does not come out of one turn, and logs it with where it
 * is: `loop_stuck`, and `loop_moves` once it goes on. A loop that sleeps for want of work is not
 * stuck. The loops pay nothing: it reads the counter of turns that they keep anyway.
 *
 * A loop that computes, or waits for a lock, is asked for its stack by a signal (SIGUSR2). One that
 * is in any other system call is not disturbed and the call's number is logged instead: some file
 * systems end a sync with EINTR, after which the process would have to end too. Thread: its own. */
#ifndef PARLEY_SERVER_WATCHDOG_H
#define PARLEY_SERVER_WATCHDOG_H

#include "server/topology.h"

/* A loop that was seen in one turn at so many looks behind each other is stuck. Looks are counted,
 * not time: a process that was stopped, or a machine that slept, is no news. */
enum { watchdog_tick_ms = 250, watchdog_looks = 4 };

struct watchdog;
/* Borrows t, whose threads run, until watchdog_free. One at a time in a process. Errors: ERR_NOMEM.
 */
MUST_USE enum err watchdog_new(struct watchdog **out, const struct topology *t, uint32_t tick_ms);
void watchdog_free(struct watchdog *w); /* joins its thread; NULL is fine */

#endif
