/* park.c - requests on their way to other actors: what cannot be sent at once (ring/gate.h) waits
 * here, until its deadline; sockets that come back wait for their turn as well. */
#include "base/probe.h"
#include "api/internal.h"

/* ---- pacing: sockets that come back all at once do so at a rate ----
 *
 * A ticket is what every socket begins with. Whatever follows it (the upgrade, the hand-over, the
 * subscriptions, a page of history) comes at this pace too, and posts find the cores free. */

static bool in_turn(const struct request *r)
{
    return !r->out.paced || r->a->connect_due_us <= r->a->t->mono_us;
}

static void use_turn(const struct request *r)
{
    struct acceptor *a = r->a;
    const struct conf *conf = a->conf.conf;
    uint64_t each_us = 1000000 / conf->ws_connects_per_s;
    uint64_t saved_us = (conf->ws_connects_burst - 1) * each_us;
    if (!r->out.paced)
        return;
    if (a->connect_due_us + saved_us < a->t->mono_us)
        a->connect_due_us = a->t->mono_us - saved_us;
    a->connect_due_us += each_us;
}

/* The turn that it causes ends with park_resume. */
static void on_connect_due(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx;
}

/* ---- parking ---- */

static struct request *of_item(struct gate_item *i)
{
    return (struct request *)((char *)i - offsetof(struct request, out.gate));
}

static void send_now(struct request *r)
{
    struct cell *c = outbox_request(r->a->t->out, r->out.gate.dst);
    ASSERT(c != NULL);
    c->type = r->out.type;
    c->cid = r->out.cid;
    c->req = r->handle;
    c->u.p = r->out.p;
    r->state = REQ_OUT;
    gate_sent(&r->out.gate);
    if ((r->passed >> STAGE_QUEUED & 1) == 0) /* a second question is part of the answer */
        stage_mark(r, STAGE_QUEUED);
    PROBE(queued, r->handle, r->out.gate.dst, r->a->t->mono_us, r->out.type);
}

static void park_deadline(struct timer *timer, void *ctx)
{
    struct request *r = (struct request *)((char *)timer - offsetof(struct request, timer));
    r->a->t = ctx;
    park_leave(r);
    answer_error(r, ERR_DEADLINE);
}

/* There is a turn then, also when nothing else happens. */
static void arm_connect(struct acceptor *a)
{
    if (a->held_len > 0 && a->connect_due_us > a->t->mono_us && !timer_armed(&a->connect_timer)) {
        a->connect_timer.fire = on_connect_due;
        wheel_arm(a->t->wheel, &a->connect_timer, a->connect_due_us);
    }
}

static void park_put(struct request *r)
{
    struct acceptor *a = r->a;
    gate_put(&a->gate, &r->out.gate);
    r->state = REQ_PARKED;
    a->held_len += r->out.paced;
    arm_connect(a);
    if (r->conn != NULL) {
        r->conn->parked++;
        hconn_mark(r->conn);
    }
    if (r->goes_on)
        return;
    r->timer.fire = park_deadline;
    wheel_arm(a->t->wheel, &r->timer, r->deadline_us);
}

void park_leave(struct request *r)
{
    struct acceptor *a = r->a;
    if (r->state != REQ_PARKED)
        return;
    gate_leave(&a->gate, &r->out.gate);
    wheel_disarm(a->t->wheel, &r->timer);
    a->held_len -= r->out.paced;
    r->state = REQ_RUNNING;
    if (r->conn != NULL) {
        r->conn->parked--;
        hconn_mark(r->conn);
    }
}

static bool has_room(const struct request *r)
{
    const struct acceptor *a = r->a;
    const struct conf *conf = a->conf.conf;
    uint32_t max = (uint32_t)conf->http_parked_max, waiting = a->gate.waiting - a->held_len;
    if (r->goes_on)
        return true;
    if (r->out.paced)
        return a->held_len < conf->ws_connects_held_max;
    return gate_has_room(&r->out.gate, max - MIN(max, waiting));
}

static void send_or_park(struct request *r)
{
    struct acceptor *a = r->a;
    struct gate_item *i = &r->out.gate;
    bool turn = !r->out.paced || (a->held_len == 0 && in_turn(r));
    if (gate_open(&a->gate, i, a->t->out->credits[i->dst]) && turn) {
        use_turn(r);
        send_now(r);
        return;
    }
    if (!has_room(r)) {
        metric_add(a->t->metrics, METRIC_RING_STALLS, 1);
        answer_error(r, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    if (r->out.paced)
        metric_add(a->t->metrics, METRIC_CONNECTS_HELD, 1);
    park_put(r);
}

static bool is_chan(const struct acceptor *a, actor_id dst)
{
    return dst >= a->conf.chans[0] && dst < a->conf.chans[0] + a->conf.chans_len;
}

void req_send(struct request *r, actor_id dst, uint16_t type, uint64_t cid, void *p, req_then *then)
{
    r->then = then;
    gate_aim(&r->a->gate, &r->out.gate, dst, cid, r->known ? r->who.team : ID_NONE,
             is_chan(r->a, dst));
    r->out.type = type;
    r->out.paced = false;
    r->out.cid = cid;
    r->out.p = p;
    send_or_park(r);
}

void req_send_paced(struct request *r, actor_id dst, uint16_t type, void *p, req_then *then)
{
    r->then = then;
    gate_aim(&r->a->gate, &r->out.gate, dst, ID_NONE, ID_NONE,
             false); /* a pace of its own is enough */
    r->out.type = type;
    r->out.paced = true;
    r->out.cid = ID_NONE;
    r->out.p = p;
    send_or_park(r);
}

/* It waited over turns: its token and its time are judged again. */
static enum err still_good(struct request *r)
{
    if (r->goes_on)
        return ERR_OK;
    if (r->deadline_us <= r->a->t->mono_us)
        return ERR_DEADLINE;
    return r->known ? auth_again(r) : ERR_OK;
}

void park_resume(struct acceptor *a)
{
    struct gate *g = &a->gate;
    const uint32_t *credits = a->t->out->credits;
    gate_turn(g, a->t->mono_us);
    /* By turns who is first: the pace of connects is one for all fanouts. */
    for (uint32_t n = 0; n < actors_max && g->waiting > 0; n++) {
        actor_id dst = (actor_id)((a->turn + n) % actors_max);
        struct gate_item *i;
        gate_scan(g, dst);
        while ((i = gate_next(g, dst, credits[dst])) != NULL && in_turn(of_item(i))) {
            struct request *r = of_item(i);
            park_leave(r);
            enum err err = still_good(r);
            if (err != ERR_OK) {
                answer_error(r, err);
            } else {
                use_turn(r);
                send_now(r);
            }
        }
    }
    arm_connect(a);
}

static void revoke_in(struct gate_line *line)
{
    for (struct gate_item *i = line->first; i != NULL;) {
        struct gate_item *next = i->next;
        struct request *r = of_item(i);
        enum err err = r->known && !r->goes_on ? auth_again(r) : ERR_OK;
        if (err != ERR_OK) {
            park_leave(r);
            answer_error(r, err);
        }
        i = next;
    }
}

/* A token was revoked: whoever waits with it is told now, before the revocation is acknowledged. */
void park_revoke(struct acceptor *a)
{
    for (uint32_t dst = 0; dst < actors_max && a->gate.waiting > 0; dst++)
        revoke_in(&a->gate.lines[dst]);
}
