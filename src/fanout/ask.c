/* ask.c - from a user's memberships to subscriptions: hist lists them, chan confirms each. A socket
 * asks when it opens and again after a gap that may have swallowed memberships; a channel whose
 * subscribers became unsure asks for each of them. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mutant.h"
#include "chan/chan.h"
#include "fanout/internal.h"

/* ---- memberships ---- */

void ask_memberships(struct fanout *f, struct fan_conn *c)
{
    if (c->waiting || c->state > FAN_OPEN)
        return;
    c->waiting = true;
    c->wait_next = slot_none;
    c->wait_prev = f->wait_last;
    if (f->wait_last != slot_none)
        conn_at(f, f->wait_last)->wait_next = slab_index(c->self);
    else
        f->wait_first = slab_index(c->self);
    f->wait_last = slab_index(c->self);
}

void ask_anew(struct fanout *f, struct fan_conn *c)
{
    queue_owe(f, c, ID_NONE);
    ask_memberships(f, c);
}

void ask_leave_line(struct fanout *f, struct fan_conn *c)
{
    if (!c->waiting)
        return;
    c->waiting = false;
    if (c->wait_prev != slot_none)
        conn_at(f, c->wait_prev)->wait_next = c->wait_next;
    else
        f->wait_first = c->wait_next;
    if (c->wait_next != slot_none)
        conn_at(f, c->wait_next)->wait_prev = c->wait_prev;
    else
        f->wait_last = c->wait_prev;
}

static void free_ask(struct fanout *f, struct ask *a)
{
    if (a->all_prev != NULL)
        a->all_prev->all_next = a->all_next;
    else
        f->asks_first = a->all_next;
    if (a->all_next != NULL)
        a->all_next->all_prev = a->all_prev;
    arena_deinit(&a->arena);
    pool_give(&f->asks, a);
    f->asks_out--;
}

/* False: a bound is reached; the line waits. */
static bool begin(struct fanout *f, struct fan_conn *c)
{
    if (f->asks_out >= asks_max || f->turn->out->credits[f->conf.hist] == 0)
        return false;
    struct ask *a = pool_take(&f->asks);
    if (a == NULL)
        return false;
    *a = (struct ask){0};
    if (arena_init(&a->arena, &f->arenas, ask_arena_max) != ERR_OK) {
        pool_give(&f->asks, a);
        return false;
    }
    f->asks_out++;
    a->all_next = f->asks_first;
    if (a->all_next != NULL)
        a->all_next->all_prev = a;
    f->asks_first = a;
    a->conn = c->self;
    a->memberships = (struct hist_memberships){
        .uid = c->uid, .max = (uint32_t)f->conf.conf->ws_subscriptions_max, .arena = &a->arena};
    struct cell *cell = outbox_request(f->turn->out, f->conf.hist);
    cell->type = HIST_MEMBERSHIPS;
    cell->req = (uintptr_t)a;
    cell->u.p = &a->memberships;
    c->ask = a;
    return true;
}

static void pump_line(struct fanout *f)
{
    while (f->wait_first != slot_none) {
        struct fan_conn *c = conn_at(f, f->wait_first);
        /* One whose answer is still out asks again only behind it. */
        if (c->state <= FAN_OPEN && (c->ask != NULL || !begin(f, c)))
            return;
        ask_leave_line(f, c);
    }
}

/* ---- CHAN_SUB ---- */

/* A few credits stay for messages: a storm of connects must not silence those who are in. */
static bool may_sub(const struct fanout *f, uint16_t chan)
{
    actor_id to = f->conf.chans[chan];
    uint32_t credits = f->turn->out->credits[to];
    return credits > f->turn->out->edges[CLASS_REQUEST][to]->cap / 8;
}

static void send_sub(struct fanout *f, struct sub_req *r)
{
    struct cell *cell = outbox_request(f->turn->out, f->conf.chans[r->chan]);
    ASSERT(cell != NULL); /* may_sub */
    cell->type = CHAN_SUB;
    cell->req = (uintptr_t)r;
    cell->u.p = &r->sub;
}

static struct sub_req *new_req(struct ask *a, const struct fan_conn *c, uint16_t chan)
{
    struct sub_req *r = arena_zalloc(&a->arena, sizeof *r + sub_batch_max * sizeof r->sub.chans[0]);
    if (r == NULL)
        return NULL;
    r->ask = a;
    r->chan = chan;
    r->sub.team = c->team;
    r->sub.uid = c->uid;
    r->sub.conn = c->self;
    r->next = a->unsent;
    a->unsent = r;
    return r;
}

/* All of the memberships that are not subscribed yet, batched by chan. */
static bool batch(struct fanout *f, struct ask *a, struct fan_conn *c)
{
    const struct hist_memberships *m = &a->memberships;
    for (uint16_t chan = 0; chan < f->conf.chans_len; chan++) {
        struct sub_req *r = NULL;
        for (uint32_t i = 0; i < m->len; i++) {
            if (chan_of(m->cids[i], f->conf.chans_len) != chan || subs_has(f, c, m->cids[i]))
                continue;
            if ((r == NULL || r->sub.n == sub_batch_max) && (r = new_req(a, c, chan)) == NULL)
                return false;
            r->sub.chans[r->sub.n++].cid = m->cids[i];
        }
    }
    return true;
}

static void finish(struct fanout *f, struct ask *a)
{
    struct fan_conn *c = conn_find(f, a->conn);
    if (c != NULL)
        c->ask = NULL;
    if (c != NULL && c->state <= FAN_OPEN) {
        if (a->failed) /* without its channels a socket is of no use: the client connects anew */
            conn_end(f, c, WS_STATUS_TRY_LATER, SV("try again"));
        else if (c->state == FAN_OPENING)
            conn_ready(f, c, &a->missed);
    }
    free_ask(f, a);
}

static void finish_if_whole(struct fanout *f, struct ask *a)
{
    if (a->out == 0 && a->unsent == NULL && !a->queued)
        finish(f, a);
}

static void queue_ask(struct fanout *f, struct ask *a)
{
    a->queued = true;
    a->next = NULL;
    if (f->asks_unsent_last != NULL)
        f->asks_unsent_last->next = a;
    else
        f->asks_unsent = a;
    f->asks_unsent_last = a;
}

static void pump_ask(struct fanout *f, struct ask *a)
{
    struct sub_req **at = &a->unsent;
    if (conn_find(f, a->conn) == NULL)
        a->unsent = NULL; /* nobody waits for it any more */
    while (*at != NULL) {
        struct sub_req *r = *at;
        if (!may_sub(f, r->chan)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        a->out++;
        send_sub(f, r);
    }
}

static void pump_asks(struct fanout *f)
{
    struct ask *a = f->asks_unsent;
    f->asks_unsent = f->asks_unsent_last = NULL;
    while (a != NULL) {
        struct ask *next = a->next;
        a->queued = false;
        pump_ask(f, a);
        if (a->unsent != NULL)
            queue_ask(f, a);
        else
            finish_if_whole(f, a);
        a = next;
    }
}

void on_memberships(struct fanout *f, const struct cell *cell)
{
    struct ask *a = (struct ask *)(uintptr_t)cell->req;
    struct fan_conn *c = conn_find(f, a->conn);
    arena_charge(&a->arena);
    if (cell->err != ERR_OK) {
        log_warn("memberships_failed", "\"error\":\"%s\"", err_code_name((enum err)cell->err));
        a->failed = true;
    } else if (c != NULL) {
        c->left_out = a->memberships.more;
        a->failed = !subs_reserve(c, a->memberships.len) || !batch(f, a, c);
    }
    queue_ask(f, a);
}

/* ---- answers ---- */

static void free_req(struct fanout *f, struct sub_req *r)
{
    if (r->ask == NULL) {
        pool_give(&f->sub_pool, r);
        return;
    }
    r->ask->out--;
    finish_if_whole(f, r->ask);
}

/* One unsure socket of one channel. Chan takes so many at a time: who is refused asks again behind
 * one that was not, or by the next sweep, so that one refusal does not cost all others a second. No
 * more rounds than there are unsure sockets: each is confirmed once. */
static void on_unsure(struct fanout *f, struct fan_conn *c, const struct sub_req *r, enum err err)
{
    if (err != ERR_OK) {
        f->retry_unsure = true;
    } else if (subs_confirm(f, c, r->sub.chans[0].cid, r->sub.chans[0].member)) {
        f->retry_unsure = false;
    }
}

/* Chan's clock and the acceptor's are slewed apart, so the margin. */
static bool has_missed(const struct fanout *f, const struct fan_conn *c, const struct sub_req *r,
                       uint64_t k)
{
    if (r->sub.chans[k].last_ts_us == 0)
        return false;
    return MUTANT(MISSED_BEFORE_HELLO, r->sub.chans[k].durable_us + missed_margin_us >= c->since_us,
                  false) ||
           replay_lost(f, c, r->sub.chans[k].cid);
}

/* A membership of a socket that asked. Before hello, what became visible in the channel since the
 * client asked for its ticket, or after what it names as the last that it heard, is missed. After
 * hello (it asks again when joins were lost on the way) the channel may be new to it, and its
 * events have passed it by since the hint for everything. */
static void take_membership(struct fanout *f, struct fan_conn *c, const struct sub_req *r,
                            uint64_t k)
{
    uint64_t cid = r->sub.chans[k].cid;
    if (!r->sub.chans[k].member || subs_confirm(f, c, cid, true) || subs_has(f, c, cid))
        return;
    if (!subs_add(f, c, cid))
        r->ask->failed |= !subs_full(f, c); /* no memory: the client connects anew */
    else if (c->state == FAN_OPEN)
        queue_owe(f, c, cid);
    else if (has_missed(f, c, r, k) && !(c->resumes && replay_channel(f, c, cid)))
        hint_add(&r->ask->missed, cid);
}

void on_sub_ok(struct fanout *f, const struct cell *cell)
{
    struct sub_req *r = (struct sub_req *)(uintptr_t)cell->req;
    struct fan_conn *c = conn_find(f, r->sub.conn);
    bool alive = c != NULL && c->state <= FAN_OPEN;
    f->stamps[r->chan] = MAX(f->stamps[r->chan], r->sub.stamp);
    if (r->ask == NULL)
        subs_answered(f, r->sub.chans[0].cid, alive && cell->err != ERR_OK);
    if (alive && r->ask == NULL) {
        on_unsure(f, c, r, (enum err)cell->err);
    } else if (cell->err != ERR_OK && r->ask != NULL) {
        log_warn("subscribe_failed", "\"error\":\"%s\"", err_code_name((enum err)cell->err));
        r->ask->failed = true;
    } else if (alive && r->ask != NULL) {
        for (uint64_t i = 0; i < r->sub.n; i++)
            take_membership(f, c, r, i);
    }
    for (uint64_t i = 0; i < r->sub.n && !alive; i++) {
        if (r->sub.chans[i].member)
            subs_watch_idle(f, r->sub.chans[i].cid);
    }
    free_req(f, r);
}

/* ---- unsure subscribers ---- */

static void pump_unsure(struct fanout *f)
{
    uint32_t i, slot;
    if (f->retry_unsure)
        return;
    while (subs_next_unsure(f, &i, &slot)) {
        struct sub_chan *h = &f->subs.chans[i];
        uint16_t chan = chan_of(h->cid, f->conf.chans_len);
        struct sub_req *r = may_sub(f, chan) ? pool_take(&f->sub_pool) : NULL;
        if (r == NULL)
            return; /* an answer brings a credit */
        const struct fan_conn *c = conn_at(f, slot);
        memset(r, 0, f->sub_pool.object_bytes);
        r->chan = chan;
        r->sub.team = c->team;
        r->sub.uid = c->uid;
        r->sub.n = 1;
        r->sub.conn = c->self;
        r->sub.chans[0].cid = h->cid;
        subs_asked(f, i, slot);
        send_sub(f, r);
    }
}

void ask_pump(struct fanout *f)
{
    if (!f->draining)
        pump_line(f);
    pump_asks(f);
    if (!f->draining)
        pump_unsure(f);
}
