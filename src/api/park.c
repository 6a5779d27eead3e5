/* park.c - requests on their way to other actors: each needs a credit, and waits for one here;
 * sockets that come back, and channels that everybody writes to, wait for more than that.
 *
 * Credits are shared by all channels of an actor. So that one channel, with whatever many requests,
 * does not take them all, it may have no more under way than crowd_share times what is left: a lone
 * crowd stops at 8/9 of the credits, two at 8/17 each, and some are always left for whoever has
 * nothing under way. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
 * packet switches", 1998.) Past that its requests wait in a line of their own, which may take 7/8
 * of http.parked_max. */
#include "base/probe.h"
#include "api/internal.h"

enum { crowd_share = 8 };

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

/* ---- parking: first come, first served for each destination, and for each channel ---- */

static struct crowd *crowd_of(const struct request *r)
{
    return r->out.cid == ID_NONE ? NULL : &r->a->crowds[vshard_of(r->out.cid)];
}

/* Who has nothing under way is no crowd, so that no share is ever zero. */
static bool over_share(const struct request *r, const struct crowd *k)
{
    return k->out > 0 && k->out >= (uint64_t)crowd_share * r->a->t->out->credits[r->out.dst];
}

static struct park *park_of(const struct request *r)
{
    struct acceptor *a = r->a;
    return r->out.crowded ? &a->crowded[r->out.dst] : &a->parked[r->out.dst];
}

static bool send_now(struct request *r)
{
    struct cell *c = outbox_request(r->a->t->out, r->out.dst);
    if (c == NULL)
        return false;
    c->type = r->out.type;
    c->cid = r->out.cid;
    c->req = r->handle;
    c->u.p = r->out.p;
    r->state = REQ_OUT;
    struct crowd *k = crowd_of(r);
    if (k != NULL)
        k->out++;
    if ((r->passed >> STAGE_QUEUED & 1) == 0) /* a second question is part of the answer */
        stage_mark(r, STAGE_QUEUED);
    PROBE(queued, r->handle, r->out.dst, r->a->t->mono_us, r->out.type);
    return true;
}

static void park_deadline(struct timer *timer, void *ctx)
{
    struct request *r = (struct request *)((char *)timer - offsetof(struct request, timer));
    r->a->t = ctx;
    park_leave(r);
    answer_error(r, ERR_DEADLINE);
}

static void park_put(struct request *r)
{
    struct acceptor *a = r->a;
    struct park *p = park_of(r);
    if (p->first == NULL)
        p->last = &p->first;
    r->park_next = NULL;
    r->park_link = p->last;
    *p->last = r;
    p->last = &r->park_next;
    r->state = REQ_PARKED;
    a->parked_len++;
    a->held_len += r->out.paced;
    if (r->out.crowded) {
        a->crowded_len++;
        crowd_of(r)->waits++;
    }
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
    *r->park_link = r->park_next;
    if (r->park_next != NULL)
        r->park_next->park_link = r->park_link;
    else
        park_of(r)->last = r->park_link;
    wheel_disarm(a->t->wheel, &r->timer);
    a->parked_len--;
    a->held_len -= r->out.paced;
    if (r->out.crowded) {
        a->crowded_len--;
        crowd_of(r)->waits--;
        r->out.crowded = false;
    }
    r->state = REQ_RUNNING;
    if (r->conn != NULL) {
        r->conn->parked--;
        hconn_mark(r->conn);
    }
}

static bool no_room_to_park(const struct request *r)
{
    const struct acceptor *a = r->a;
    const struct conf *conf = a->conf.conf;
    uint64_t max = conf->http_parked_max;
    if (r->out.paced)
        return a->held_len >= conf->ws_connects_held_max;
    if (r->out.crowded && a->crowded_len >= max - max / crowd_share)
        return true;
    return a->parked_len - a->held_len >= max;
}

static void send_or_park(struct request *r)
{
    struct acceptor *a = r->a;
    const struct crowd *k = crowd_of(r);
    r->out.crowded = k != NULL && (k->waits > 0 || over_share(r, k));
    if (!r->out.crowded && park_of(r)->first == NULL && in_turn(r) && send_now(r)) {
        use_turn(r);
        return;
    }
    if (!r->goes_on && no_room_to_park(r)) {
        r->out.crowded = false;
        metric_add(a->t->metrics, METRIC_RING_STALLS, 1);
        answer_error(r, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    if (r->out.paced)
        metric_add(a->t->metrics, METRIC_CONNECTS_HELD, 1);
    park_put(r);
}

void park_answered(const struct request *r)
{
    struct crowd *k = crowd_of(r);
    if (k != NULL)
        k->out--;
}

void req_send(struct request *r, actor_id dst, uint16_t type, uint64_t cid, void *p, req_then *then)
{
    r->then = then;
    r->out.dst = dst;
    r->out.type = type;
    r->out.paced = false;
    r->out.cid = cid;
    r->out.p = p;
    send_or_park(r);
}

void req_send_paced(struct request *r, actor_id dst, uint16_t type, void *p, req_then *then)
{
    r->then = then;
    r->out.dst = dst;
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

/* The first of a crowd whose share is free. At most http.parked_max are looked at. */
static struct request *first_of_crowds(struct acceptor *a, uint32_t dst)
{
    struct request *r = a->crowded[dst].first;
    while (r != NULL && over_share(r, crowd_of(r)))
        r = r->park_next;
    return r;
}

/* Crowds and the others take turns, so that neither waits for the end of the other. */
static struct request *next_parked(struct acceptor *a, uint32_t dst, bool crowds_first)
{
    struct request *other = a->parked[dst].first;
    struct request *r = crowds_first || other == NULL ? first_of_crowds(a, dst) : other;
    return r != NULL ? r : other;
}

void park_resume(struct acceptor *a)
{
    for (uint32_t dst = 0; dst < actors_max && a->parked_len > 0; dst++) {
        bool crowds_first = false;
        struct request *r;
        while (a->t->out->credits[dst] > 0 && (r = next_parked(a, dst, crowds_first)) != NULL &&
               in_turn(r)) {
            crowds_first = !crowds_first;
            park_leave(r);
            enum err err = still_good(r);
            if (err != ERR_OK) {
                answer_error(r, err);
            } else {
                bool sent = send_now(r);
                ASSERT(sent);
                use_turn(r);
            }
        }
    }
    if (a->held_len > 0 && a->connect_due_us > a->t->mono_us && !timer_armed(&a->connect_timer)) {
        a->connect_timer.fire = on_connect_due;
        wheel_arm(a->t->wheel, &a->connect_timer, a->connect_due_us);
    }
}

static void revoke_in(struct park *p)
{
    for (struct request *r = p->first; r != NULL;) {
        struct request *next = r->park_next;
        enum err err = r->known && !r->goes_on ? auth_again(r) : ERR_OK;
        if (err != ERR_OK) {
            park_leave(r);
            answer_error(r, err);
        }
        r = next;
    }
}

/* A token was revoked: whoever waits with it is told now, before the revocation is acknowledged. */
void park_revoke(struct acceptor *a)
{
    for (uint32_t dst = 0; dst < actors_max && a->parked_len > 0; dst++) {
        revoke_in(&a->parked[dst]);
        revoke_in(&a->crowded[dst]);
    }
}
