/* emit.c - what chan tells the fanouts. An event ring may be full: then the fanout is owed a gap
 * for the channel (or a revalidation, when a change of members was lost), and hears it before
 * anything else about that channel. Debts are bits in the channel, which they pin. */
#include "base/mutant.h"
#include "chan/internal.h"
#include "fanout/fanout_msg.h"
#include "search/search_msg.h"

const char *channel_type_of(enum channel_kind kind)
{
    static const char *const names[] = {[CHANNEL_PUBLIC] = "channel",
                                        [CHANNEL_PRIVATE] = "group",
                                        [CHANNEL_IM] = "im",
                                        [CHANNEL_MPIM] = "mpim"};
    return names[kind];
}

/* FAN_SUB_OK needs its room whatever else is said. */
static struct cell *event_to(struct chan_shard *s, uint32_t fanout)
{
    return outbox_event(s->turn->out, s->conf.fanouts[fanout], s->conf.sub_reserve);
}

static void owe(struct chan_shard *s, struct chan *c, uint32_t fanout, bool revalidate)
{
    uint64_t bit = 1ull << fanout;
    metric_add(s->turn->metrics, METRIC_EVENTS_DROPPED, 1);
    if (revalidate)
        c->revalidate_owed |= bit;
    else
        c->gap_owed |= MUTANT(MISSED_GAP_MARK, bit, 0);
    if (c->owed.next == NULL && MUTANT(MISSED_GAP_MARK, true, revalidate))
        list_add_tail(&s->owed, &c->owed);
    table_place(s, c);
}

/* True when the fanout is owed nothing (any more). */
static bool pay(struct chan_shard *s, struct chan *c, uint32_t fanout)
{
    uint64_t bit = 1ull << fanout;
    if (LIKELY(((c->gap_owed | c->revalidate_owed) & bit) == 0))
        return true;
    struct cell *cell = event_to(s, fanout);
    if (cell == NULL)
        return false;
    /* A revalidation brings the hint that a gap would bring. */
    cell->type = (c->revalidate_owed & bit) != 0 ? FAN_REVALIDATE : FAN_GAP;
    cell->cid = c->cid;
    c->gap_owed &= ~bit;
    c->revalidate_owed &= ~bit;
    if ((c->gap_owed | c->revalidate_owed) == 0) {
        list_del(&c->owed);
        table_place(s, c);
    }
    return true;
}

static struct cell *channel_cell(struct chan_shard *s, struct chan *c, uint32_t fanout)
{
    return pay(s, c, fanout) ? event_to(s, fanout) : NULL;
}

struct frame *emit_frame(struct chan_shard *s, uint64_t cid, struct str_view body)
{
    struct frame *f = body.len > frame_body_max ? NULL : frame_take(&s->frames, (uint32_t)body.len);
    if (f == NULL) {
        if (body.len <= frame_body_max)
            metric_add(s->turn->metrics, METRIC_FRAMES_EXHAUSTED, 1);
        return NULL;
    }
    f->cid = cid;
    if (body.p != NULL)
        memcpy(f->body, body.p, body.len);
    return f;
}

static void finish_frame(struct chan_shard *s, struct frame *f, uint32_t sent)
{
    if (f != NULL && sent > 0)
        frame_release(f, sent);
    else if (f != NULL)
        frame_give(&s->frames, f);
}

void emit_channel(struct chan_shard *s, struct chan *c, struct frame *f, uint64_t to)
{
    uint32_t sent = 0;
    uint64_t late = c->interest & ~to;
    c->durable_us = s->turn->wall_us;
    for (to &= c->interest; to != 0; to &= to - 1) {
        uint32_t fanout = (uint32_t)__builtin_ctzll(to);
        struct cell *cell = f == NULL ? NULL : channel_cell(s, c, fanout);
        if (cell == NULL) {
            owe(s, c, fanout, false);
            (void)pay(s, c, fanout); /* for want of a frame only: the ring may have room */
            continue;
        }
        cell->type = FAN_EVENT;
        cell->cid = c->cid;
        cell->u.u[0] = (uintptr_t)f;
        cell->u.u[3] = ID_NONE;
        sent++;
    }
    finish_frame(s, f, sent);
    /* Interest that came back since it was decided: of that the frame, if there is one, knows
     * nothing. */
    for (; late != 0; late &= late - 1) {
        uint32_t fanout = (uint32_t)__builtin_ctzll(late);
        owe(s, c, fanout, false);
        (void)pay(s, c, fanout);
    }
}

void emit_typing(struct chan_shard *s, const struct chan *c, struct str_view body, uint64_t uid)
{
    uint64_t to = c->interest & ~(c->gap_owed | c->revalidate_owed);
    struct frame *f = to == 0 ? NULL : emit_frame(s, c->cid, body);
    uint32_t sent = 0;
    for (; f != NULL && to != 0; to &= to - 1) {
        struct cell *cell = event_to(s, (uint32_t)__builtin_ctzll(to));
        if (cell == NULL)
            continue;
        cell->type = FAN_EVENT;
        cell->cid = c->cid;
        cell->u.u[0] = (uintptr_t)f;
        cell->u.u[3] = uid;
        cell->u.u[4] = FAN_TYPING;
        sent++;
    }
    finish_frame(s, f, sent);
}

/* Nobody knows which fanout holds the user's sockets. */
void emit_user(struct chan_shard *s, const struct effect *e)
{
    uint32_t sent = 0;
    for (uint64_t to = s->fanouts; to != 0; to &= to - 1) {
        uint32_t fanout = (uint32_t)__builtin_ctzll(to);
        struct cell *cell = e->frame == NULL ? NULL : event_to(s, fanout);
        if (cell != NULL) {
            cell->type = FAN_EVENT;
            cell->cid = ID_NONE;
            cell->u.u[0] = (uintptr_t)e->frame;
            cell->u.u[1] = e->uid;
            cell->u.u[3] = ID_NONE;
            sent++;
        } else if (e->leaving) { /* no member any more: no hint for the channel would reach it */
            metric_add(s->turn->metrics, METRIC_EVENTS_DROPPED, 1);
            s->all_owed |= 1ull << fanout;
        } else {
            owe(s, e->c, fanout, true);
        }
    }
    finish_frame(s, e->frame, sent);
}

void emit_hint(struct chan_shard *s, const struct effect *e)
{
    uint32_t sent = 0;
    for (uint64_t to = e->frame == NULL ? 0 : s->fanouts; to != 0; to &= to - 1) {
        struct cell *cell = event_to(s, (uint32_t)__builtin_ctzll(to));
        if (cell == NULL) {
            metric_add(s->turn->metrics, METRIC_EVENTS_DROPPED, 1);
            continue;
        }
        cell->type = FAN_EVENT;
        cell->cid = ID_NONE;
        cell->u.u[0] = (uintptr_t)e->frame;
        cell->u.u[1] = e->uid;
        cell->u.u[2] = e->c->info.team;
        cell->u.u[3] = ID_NONE;
        cell->u.u[4] = e->uid == ID_NONE ? FAN_NO_GUESTS : 0;
        sent++;
    }
    finish_frame(s, e->frame, sent);
}

void emit_member(struct chan_shard *s, const struct effect *e)
{
    struct chan *c = e->c;
    if (e->kind != EFFECT_LEFT) { /* stamps rise in the ring: it is the grant's when it goes out */
        c->interest |= s->fanouts;
        c->stamp = ++s->stamp;
    }
    for (uint64_t to = s->fanouts; to != 0; to &= to - 1) {
        uint32_t fanout = (uint32_t)__builtin_ctzll(to);
        struct cell *cell = channel_cell(s, c, fanout);
        if (cell == NULL) {
            owe(s, c, fanout, MUTANT(LOST_LEAVE_IS_A_GAP, true, false));
            continue;
        }
        cell->type = e->kind == EFFECT_LEFT ? FAN_LEFT : FAN_JOINED;
        cell->cid = c->cid;
        cell->u.u[0] = e->uid;
        cell->u.u[1] = c->info.team;
        cell->u.u[2] = c->stamp;
    }
}

/* False: no room. */
static bool tell_search(struct chan_shard *s, uint64_t cid, bool edited)
{
    struct cell *c = outbox_event(s->turn->out, s->conf.search, 0);
    if (c == NULL)
        return MUTANT(SEARCH_HINT_LOST, false, true);
    c->type = SEARCH_DIRTY;
    c->cid = cid;
    c->u.u[0] = edited;
    return true;
}

void emit_search(struct chan_shard *s, struct chan *c, bool edited)
{
    if (!s->conf.tells_search)
        return;
    c->news_edited |= edited;
    if (c->news.next == NULL)
        list_add_tail(&s->news, &c->news);
}

void emit_news(struct chan_shard *s)
{
    while (!list_empty(&s->news)) {
        struct chan *c = CONTAINER(s->news.next, struct chan, news);
        if (!tell_search(s, c->cid, c->news_edited))
            return;
        list_del(&c->news);
        c->news_edited = false;
    }
}

void emit_last_news(struct chan_shard *s, struct chan *c)
{
    if (c->news.next == NULL)
        return;
    list_del(&c->news);
    s->search_owed |= !tell_search(s, c->cid, c->news_edited);
    c->news_edited = false;
}

/* Which channels it was is not remembered: all are compared. */
static void pay_search(struct chan_shard *s)
{
    if (s->search_owed)
        s->search_owed = !tell_search(s, ID_NONE, true);
}

static void pay_all_owed(struct chan_shard *s)
{
    for (uint64_t to = s->all_owed; to != 0; to &= to - 1) {
        uint32_t fanout = (uint32_t)__builtin_ctzll(to);
        struct cell *cell = event_to(s, fanout);
        if (cell == NULL)
            continue;
        cell->type = FAN_GAP;
        cell->cid = ID_NONE;
        s->all_owed &= ~(1ull << fanout);
    }
}

/* Who could not be paid goes to the end: the next turn begins with those that this one did not
 * reach, so a fanout that reads nothing keeps no debt from the others. */
void emit_owed(struct chan_shard *s)
{
    uint64_t full = 0;
    const struct link *unpaid = NULL; /* the first one: there the round ends */
    pay_all_owed(s);
    pay_search(s);
    for (uint32_t n = 0; n < owed_pays_max && s->owed.next != unpaid && full != s->fanouts; n++) {
        if (list_empty(&s->owed))
            return;
        struct chan *c = CONTAINER(s->owed.next, struct chan, owed);
        uint64_t to = (c->gap_owed | c->revalidate_owed) & ~full;
        for (; to != 0; to &= to - 1) {
            uint32_t fanout = (uint32_t)__builtin_ctzll(to);
            if (!pay(s, c, fanout))
                full |= 1ull << fanout;
        }
        if (c->owed.next != NULL) {
            list_del(&c->owed);
            list_add_tail(&s->owed, &c->owed);
            unpaid = unpaid == NULL ? &c->owed : unpaid;
        }
        table_drop_if_empty(s, c);
    }
}
