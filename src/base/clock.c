#include "base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

enum { step_max_s = 60, slew_us_per_s = 1000 };

void wall_clock_init(struct wall_clock *c, uint64_t mono_us, uint64_t wall_us)
{
    *c = (struct wall_clock){.offset_us = (int64_t)(wall_us - mono_us), .last_mono_us = mono_us};
}

uint64_t wall_clock_read(struct wall_clock *c, uint64_t mono_us, uint64_t wall_us)
{
    int64_t error_us = (int64_t)(wall_us - mono_us) - c->offset_us;
    int64_t limit_us = (int64_t)((mono_us - c->last_mono_us) * slew_us_per_s / 1000000);
    if (error_us > step_max_s * 1000000LL || error_us < -step_max_s * 1000000LL) {
        c->stepped = true;
        c->last_mono_us = mono_us;
    } else if (limit_us > 0) { /* time too short to move is kept for the next call */
        c->offset_us += MAX(-limit_us, MIN(limit_us, error_us));
        c->last_mono_us = mono_us;
        c->stepped = false;
    }
    return (uint64_t)((int64_t)mono_us + c->offset_us);
}
