/* sweep.c - what happens without a message: heartbeats, stuck readers, idle channels, the drain.
 * One timer; each tick looks at 1/25 of the hot slots, so a million sockets are pinged without a
 * timer of their own. */
#include "base/log.h"
#include "fanout/internal.h"

/* Two thirds: a pong comes an instant after its ping, so the next visit always finds it old enough;
 * a socket that talks by itself is left alone. */
static bool heard_lately(const struct fanout *f, const struct hot *h)
{
    uint32_t now_ms = (uint32_t)(f->turn->mono_us / 1000);
    return now_ms - h->heard_ms < f->conf.conf->ws_ping_ms / 3 * 2;
}

static void visit(struct fanout *f, struct hot *h)
{
    enum { unanswered_max = 2 };
    if (heard_lately(f, h)) {
        h->pings = 0;
        return;
    }
    struct fan_conn *c = conn_find(f, h->conn);
    if (c->state > FAN_OPEN)
        return;
    if (h->pings >= unanswered_max) {
        metric_add(f->turn->metrics, METRIC_WS_DEAD_CLOSED, 1);
        log_debug("socket_dead", "\"uid\":%llu", (unsigned long long)c->uid);
        conn_reset(f, c);
        return;
    }
    if (queue_bytes(c) > 0 || c->paused)
        return; /* not idle: a reader that is stuck is found by its send */
    h->pings++;
    conn_ping(f, c);
}

static uint64_t tick_us(const struct fanout *f)
{
    const struct conf *c = f->conf.conf;
    uint64_t ms = MIN(c->ws_ping_ms / sweep_parts, c->ws_stuck_ms / 4);
    return MAX(ms * 1000, (uint64_t)WHEEL_TICK_US);
}

static void sweep_hot(struct fanout *f)
{
    uint64_t parts = MAX(1u, f->conf.conf->ws_ping_ms * 1000 / tick_us(f));
    uint32_t n = (uint32_t)((f->conns.cap + parts - 1) / parts);
    for (uint32_t i = 0; i < n; i++) {
        struct hot *h = &f->hot[f->sweep_at];
        f->sweep_at = (f->sweep_at + 1) % f->conns.cap;
        if (h->conn != SLAB_NONE)
            visit(f, h);
    }
}

static void reset_stuck(struct fanout *f)
{
    uint64_t stuck_us = f->conf.conf->ws_stuck_ms * 1000;
    if (f->turn->mono_us < stuck_us)
        return;
    for (struct fan_conn *c; (c = queue_stuck(f, f->turn->mono_us - stuck_us)) != NULL;) {
        metric_add(f->turn->metrics, METRIC_WS_SLOW_CLOSED, 1);
        log_debug("socket_stuck", "\"uid\":%llu,\"queued_bytes\":%u", (unsigned long long)c->uid,
                  queue_bytes(c));
        conn_reset(f, c);
    }
}

static void on_tick(struct timer *t, void *ctx)
{
    struct fanout *f = (struct fanout *)(void *)((char *)t - offsetof(struct fanout, tick));
    f->turn = ctx;
    f->retry_unsure = false;
    sweep_hot(f);
    reset_stuck(f);
    subs_tell_idle(f);
    presence_sweep(f);
}

/* A fanout without sockets and channels sleeps. */
void sweep_arm(struct fanout *f)
{
    if (timer_armed(&f->tick) || (slab_used(&f->conns) == 0 && f->subs.used == 0))
        return;
    f->tick.fire = on_tick;
    wheel_arm(f->turn->wheel, &f->tick, f->turn->mono_us + tick_us(f));
}

/* ---- drain ---- */

/* The fanouts have from 40 to 80 % of the drain (server/wiring.c) when the acceptors took all of
 * theirs: goodbyes are spread over 20 %, what is left is cut at 35 %. */
enum { spread_percent = 20, cut_percent = 35 };

static void say_goodbye(struct fanout *f, struct fan_conn *c)
{
    queue_drop_events(f, c, false);
    queue_text(f, c, false, SV("{\"type\":\"goodbye\"}"));
    conn_end(f, c, WS_STATUS_GOING_AWAY, SV("restarting"));
}

bool sweep_drain(struct fanout *f)
{
    if (!f->draining) {
        f->draining = true;
        f->drain_us = f->turn->mono_us;
    }
    uint64_t window_us = f->conf.conf->server_drain_ms * 10;
    uint64_t took_us = f->turn->mono_us - f->drain_us;
    uint64_t spread_us = window_us * spread_percent, cut_us = window_us * cut_percent;
    uint64_t until = (uint64_t)f->conns.cap * MIN(took_us, spread_us) / spread_us;
    for (uint32_t i = 0; i < f->conns.cap && slab_used(&f->conns) > 0; i++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, i, &handle);
        if (c == NULL)
            continue;
        if (took_us >= cut_us)
            conn_reset(f, c);
        else if (i < until && c->state <= FAN_OPEN &&
                 (c->requests_out == 0 || took_us >= spread_us))
            say_goodbye(f, c);
    }
    return slab_used(&f->conns) == 0 && slab_used(&f->posts) == 0 && f->asks_out == 0;
}
