/* deliver.c - events in: to a channel's subscribers, a user's sockets, a team's. */
#include "base/log.h"
#include "base/mutant.h"
#include "chan/chan.h"
#include "fanout/internal.h"

static void owe_channel(struct fanout *f, uint64_t cid)
{
    uint32_t i = subs_find(&f->subs, cid);
    const struct sub_chan *h = i == slot_none ? NULL : &f->subs.chans[i];
    for (uint32_t k = 0; h != NULL && k < h->len; k++)
        queue_owe(f, conn_at(f, h->slots[k]), cid);
}

/* As of now: a guest may have become a member since it came. */
static bool is_guest(struct fanout *f, const struct fan_conn *c)
{
    struct principal *p;
    return dir_token_by_tag(f->conf.dir, c->token_tag, &p) == ERR_OK &&
           (__atomic_load_n(&p->user_flags, __ATOMIC_RELAXED) & USER_GUEST) != 0;
}

static void hand(struct fanout *f, struct fan_conn *c, const struct cell *cell,
                 struct frame_use *use)
{
    bool typing = (cell->u.u[4] & FAN_TYPING) != 0;
    if (use != NULL)
        queue_event(f, c, use, typing);
    else if (!typing) /* nobody fetches typing again */
        queue_owe(f, c, cell->cid);
    if (MUTANT(CHANGE_TOLD_TWICE, false, use != NULL && use->frame->takes_back))
        queue_event(f, c, use, typing);
}

/* Use is NULL if there was no memory for it: as if the ring had been full. */
static void deliver(struct fanout *f, const struct cell *cell, struct frame_use *use)
{
    uint64_t uid = cell->u.u[1], team = cell->u.u[2], except = cell->u.u[3];
    bool guests = (cell->u.u[4] & FAN_NO_GUESTS) == 0;
    if (cell->cid != ID_NONE) {
        uint32_t i = subs_find(&f->subs, cell->cid);
        struct sub_chan *h = i == slot_none ? NULL : &f->subs.chans[i];
        if (h != NULL && f->replay.bytes > 0 && (cell->u.u[4] & FAN_TYPING) == 0)
            replay_keep(f, h, cell->u.p, except);
        if (h == NULL || h->len == 0) {
            subs_watch_idle(f, cell->cid);
            return;
        }
        for (uint32_t k = 0; k < h->len; k++) {
            struct fan_conn *c = conn_at(f, h->slots[k]);
            if (c->uid != except)
                hand(f, c, cell, use);
        }
    } else if (uid != ID_NONE) {
        for (struct fan_conn *c = NULL; (c = conn_of_user(f, uid, c)) != NULL;)
            hand(f, c, cell, use);
    } else {
        for (struct fan_conn *c = NULL; (c = conn_of_team(f, team, c)) != NULL;) {
            if (c->uid != except && (guests || !is_guest(f, c)))
                hand(f, c, cell, use);
        }
    }
}

static void on_event(struct fanout *f, const struct cell *cell)
{
    struct frame *frame = cell->u.p;
    struct frame_use *use = use_take(f, frame);
    deliver(f, cell, use);
    if (use != NULL)
        use_drop(f, use);
    else if (frame_drop(frame))
        outbox_frame_home(f->turn->out, frame);
}

static void on_joined(struct fanout *f, const struct cell *cell)
{
    uint16_t chan = chan_of(cell->cid, f->conf.chans_len);
    f->stamps[chan] = MAX(f->stamps[chan], cell->u.u[2]);
    for (struct fan_conn *c = NULL; (c = conn_of_user(f, cell->u.u[0], c)) != NULL;) {
        if (subs_add(f, c, cell->cid))
            continue;
        log_debug("channel_left_out", "\"subscriptions\":%u", c->subs_len);
        if (!subs_full(f, c))
            ask_anew(f, c); /* no memory for it */
    }
    if (conn_of_user(f, cell->u.u[0], NULL) == NULL)
        subs_watch_idle(f, cell->cid);
}

static void on_left(struct fanout *f, const struct cell *cell)
{
    for (struct fan_conn *c = NULL; (c = conn_of_user(f, cell->u.u[0], c)) != NULL;)
        subs_remove(f, c, MUTANT(LEAVER_STAYS_SUBSCRIBED, cell->cid, ID_NONE));
}

static void on_gap(struct fanout *f, const struct cell *cell)
{
    replay_gap(f, cell->cid);
    if (cell->cid != ID_NONE) {
        owe_channel(f, cell->cid);
        return;
    }
    for (uint32_t i = 0; i < f->conns.cap; i++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, i, &handle);
        if (c == NULL || c->state > FAN_OPEN)
            continue;
        ask_anew(f, c);
    }
}

void on_event_cell(struct fanout *f, const struct cell *cell)
{
    if ((cell->flags & CELL_F_ANSWER) != 0 || cell->type == FAN_SUB_OK) {
        on_sub_ok(f, cell);
        return;
    }
    switch ((enum fan_msg)cell->type) {
    case FAN_EVENT:
        on_event(f, cell);
        return;
    case FAN_JOINED:
        on_joined(f, cell);
        return;
    case FAN_LEFT:
        on_left(f, cell);
        return;
    case FAN_GAP:
        on_gap(f, cell);
        return;
    case FAN_REVALIDATE:
        replay_gap(f, cell->cid);
        subs_unsure_all(f, cell->cid); /* what is queued already was meant for members */
        return;
    case FAN_SUB_OK:
    case FAN_TICKET:
        break;
    }
    assert_failed("an event this room knows", __FILE__, __LINE__);
}
