#include "server/drain.h"

#include <time.h>

#include "base/log.h"
#include "server/wiring.h"

enum { poll_ms = 5 };

static void begin(struct topology *t, enum actor_kind kind)
{
    for (uint16_t i = 0; i < t->len[kind]; i++)
        loop_drain(topology_actor(t, kind, i)->loop, kind);
}

static uint32_t undrained(struct topology *t, enum actor_kind kind)
{
    uint32_t n = 0;
    for (uint16_t i = 0; i < t->len[kind]; i++)
        n += !actor_drained(topology_actor(t, kind, i));
    return n;
}

static bool drain_stage(struct topology *t, const struct wiring_stage *s, uint64_t until_us)
{
    for (uint32_t k = 0; k < s->kinds_len; k++)
        begin(t, s->kinds[k]);
    topology_wake_all(t);
    for (;;) {
        uint32_t left = 0;
        for (uint32_t k = 0; k < s->kinds_len; k++)
            left += undrained(t, s->kinds[k]);
        if (left == 0)
            return true;
        if (clock_mono_us() >= until_us) {
            log_warn("drain_stage_late", "\"stage\":\"%s\",\"actors_left\":%u", s->name, left);
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = poll_ms * 1000000L}, NULL);
    }
}

bool drain_all(struct topology *t, uint64_t deadline_ms)
{
    uint64_t start_us = clock_mono_us();
    bool whole = true;
    for (const struct wiring_stage *s = wiring_stages; s < wiring_stages + wiring_stages_len; s++)
        whole &= drain_stage(t, s, start_us + deadline_ms * 1000 * s->until_percent / 100);
    log_info("drained", "\"whole\":%s,\"took_ms\":%llu", whole ? "true" : "false",
             (unsigned long long)((clock_mono_us() - start_us) / 1000));
    return whole;
}
