/* sweep.c - what happens without a message: heartbeats, stuck readers, idle channels, the drain.
 * One timer; each tick of the wheel looks at a few of the hot slots, so a million sockets are
 * pinged without a timer of their own, and never so many at once that a post would wait for them.
 */
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

/* The slot whose time it is: each has its own within ping_us. */
static uint32_t slot_at(const struct fanout *f, uint64_t at_us, uint64_t ping_us)
{
    return (uint32_t)(at_us % ping_us * f->conns.cap / ping_us);
}

static void sweep_hot(struct fanout *f)
{
    uint64_t ping_us = f->conf.conf->ws_ping_ms * 1000, now_us = f->turn->mono_us;
    uint32_t cap = f->conns.cap, at = slot_at(f, f->swept_us, ping_us);
    uint32_t n = (slot_at(f, now_us, ping_us) + cap - at) % cap;
    if (now_us - f->swept_us >= ping_us)
        n = cap;
    f->swept_us = now_us;
    for (; n > 0; n--, at = at + 1 < cap ? at + 1 : 0) {
        struct hot *h = &f->hot[at];
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

/* What looks at all there is, now and then. */
static uint64_t rest_us(const struct fanout *f)
{
    const struct conf *c = f->conf.conf;
    return MIN(c->ws_ping_ms / sweep_parts, c->ws_stuck_ms / 4) * 1000;
}

static void on_tick(struct timer *t, void *ctx)
{
    struct fanout *f = (struct fanout *)(void *)((char *)t - offsetof(struct fanout, tick));
    f->turn = ctx;
    sweep_hot(f);
    if (f->turn->mono_us < f->rest_due_us)
        return;
    f->rest_due_us = f->turn->mono_us + rest_us(f);
    f->retry_unsure = false;
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
    wheel_arm(f->turn->wheel, &f->tick, f->turn->mono_us + WHEEL_TICK_US);
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
