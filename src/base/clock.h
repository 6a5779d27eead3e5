/* clock.h - the two clocks. Actors never call these: the loop reads them once per turn and passes
 * the values in. Thread: any. */
#ifndef PARLEY_BASE_CLOCK_H
#define PARLEY_BASE_CLOCK_H

#include "base/compiler.h"

uint64_t clock_mono_us(void); /* CLOCK_MONOTONIC: deadlines, timers, stages */
uint64_t
clock_wall_us(void); /* CLOCK_REALTIME, us since 1970: only for struct wall_clock and logs */

/* Wall time that never jumps: monotonic time plus an offset that follows the system clock by at
 * most 1 ms per second. A step of more than 60 s is not followed (stepped is set; restart or SIGHUP
 * takes it over). Owned by one loop. */
struct wall_clock {
    int64_t offset_us;
    uint64_t last_mono_us;
    bool stepped;
};
void wall_clock_init(struct wall_clock *c, uint64_t mono_us, uint64_t wall_us);
/* Takes both clocks' present values, returns the slewed wall time, us since 1970. */
uint64_t wall_clock_read(struct wall_clock *c, uint64_t mono_us, uint64_t wall_us);

#endif
