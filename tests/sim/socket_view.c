/* socket_view.c - what a socket knows of its channels: what it has heard, and what it fetches
 * because it was told to. A change that is in neither is lost. */
#include <stdlib.h>

#include "world.h"

struct heard {              /* of one message */
    uint64_t text_pos;      /* the row of its newest text, or of its deletion */
    uint64_t *reaction_pos; /* by bit: the row of its last change; NULL: of none */
    uint64_t stale_pos;     /* what it was shown had been taken back by this row; 0: it had not */
    uint32_t stale_covers;  /* the channel's covers then */
};

/* Channels past ws.subscriptions_max are not pushed: which they are it cannot know. A join may be
 * heard of before the leave that made room for it: they come from different chans. */
static bool partial(const struct client *cl)
{
    return cl->ws.partial ||
           cl->w->oracle.users[cl->user].channels_peak + 2 > cl->w->plan.conf.ws_subscriptions_max;
}

/* Out of the channel at any time since: what it missed it fetches when it is in again. */
static bool was_out(const struct client *cl, const struct ochan *c, uint64_t since_pos)
{
    return oracle_was(c, cl->user, false, since_pos, cl->w->oracle.pos);
}

static struct sub *sub_of(struct client *cl, const struct ochan *c)
{
    return &cl->ws.subs[c - cl->w->oracle.chans];
}

static struct heard *heard_of(struct client *cl, uint32_t number)
{
    struct socket *s = &cl->ws;
    if (number >= s->heard_len) {
        uint32_t len = number * 2 + 64;
        s->heard = realloc(s->heard, len * sizeof *s->heard);
        ASSERT(s->heard != NULL);
        memset(s->heard + s->heard_len, 0, (len - s->heard_len) * sizeof *s->heard);
        s->heard_len = len;
    }
    return &s->heard[number];
}

void view_begin(struct client *cl)
{
    struct socket *s = &cl->ws;
    memset(s->subs, 0, sizeof s->subs);
    for (uint32_t i = 0; i < s->heard_len; i++)
        free(s->heard[i].reaction_pos);
    free(s->heard);
    s->heard = NULL;
    s->heard_len = 0;
}

/* It reads anew where it is in; of a channel that it did not know also who else is. */
void view_resume(struct client *cl, uint64_t pos)
{
    const struct oracle *o = &cl->w->oracle;
    for (uint32_t i = 0; i < oracle_channels_max; i++) {
        struct sub *sub = &cl->ws.subs[i];
        sub->last_ts_us = 0;
        sub->left = false;
        if (!oracle_was(&o->chans[i], cl->user, true, 0, sub->members_pos))
            sub->members_pos = pos;
    }
}

/* ---- what it fetches ---- */

void view_cover(struct client *cl, const struct ochan *c, uint64_t pos, uint64_t members_pos)
{
    struct sub *sub = sub_of(cl, c);
    sub->covered_pos = MAX(sub->covered_pos, pos);
    sub->members_pos = MAX(sub->members_pos, members_pos);
    sub->covers++;
    sub->left = false; /* that it is in again may be what it was not told */
}

void view_cover_all(struct client *cl, uint64_t pos, uint64_t members_pos)
{
    for (uint32_t i = 0; i < oracle_channels_max; i++)
        view_cover(cl, &cl->w->oracle.chans[i], pos, members_pos);
}

/* ---- messages ---- */

/* Moves *next over what it has been told to fetch and what was not for it: not a member then, or
 * not any more by now. */
static void skip_covered(struct client *cl, const struct ochan *c, const struct numbers *l,
                         uint32_t *next, uint64_t now)
{
    const struct oracle *o = &cl->w->oracle;
    while (*next < l->len) {
        uint64_t pos = o->msgs[l->all[*next]].pos;
        if (pos > sub_of(cl, c)->covered_pos && !oracle_was(c, cl->user, false, pos, now))
            return;
        ++*next;
    }
}

/* What came to the fanout from a second before last_ts on: not long before that it was stored, but
 * for faults that hold up what is told. */
static void check_again(const struct client *cl, const struct ochan *c, uint32_t number)
{
    enum { margin_us = 1000000, on_its_way_us = 2000000 };
    static const uint32_t slow =
        1u << FAULT_CLOCK | 1u << FAULT_STALL | 1u << FAULT_FREEZE | 1u << FAULT_DELAY;
    const struct world *w = cl->w;
    const struct socket *s = &cl->ws;
    bool judged = s->resuming && (w->plan.faults & slow) == 0;
    if (judged && w->oracle.msgs[number].stored_us + margin_us + on_its_way_us < s->last_ts_us)
        violation(cl->w, "events_in_order",
                  "client %u (user %u) goes on from %llu and is shown the older message #%u of %s "
                  "once more",
                  (unsigned)cl->index, (unsigned)cl->user, (unsigned long long)s->last_ts_us,
                  number, c->name);
}

/* Replies are counted by themselves. */
void view_message(struct client *cl, const struct ochan *c, uint32_t number)
{
    const struct omsg *m = &cl->w->oracle.msgs[number];
    const struct numbers *l = m->thread == 0 ? &c->roots : &c->replies;
    struct sub *sub = sub_of(cl, c);
    uint32_t *next = m->thread == 0 ? &sub->next : &sub->next_reply;
    /* Of what is told again: it may have left and come back since, and fetches then. */
    skip_covered(cl, c, l, next, cl->ws.resuming ? cl->w->oracle.pos : m->pos);
    if (m->ordinal > *next && !partial(cl))
        violation(cl->w, "gaps_are_announced",
                  "client %u (user %u): message #%u of %s, but #%u before it is missing and no "
                  "refetch came",
                  (unsigned)cl->index, (unsigned)cl->user, number, c->name, l->all[*next]);
    if (m->ordinal < *next)
        check_again(cl, c, number);
    *next = MAX(*next, m->ordinal + 1);
}

/* Promised: what a socket is shown after hello, again or for the first time, may have been edited
 * or deleted since it was posted: before its rtm.connect, before its hello, or just now. Then the
 * change, or a hint to fetch the channel, comes behind it, never only before it: who takes each
 * event for the truth ends with the truth. (Who came later than the change is not shown the text at
 * all: socket_events.c.) */
void view_shown(struct client *cl, const struct ochan *c, uint32_t number, uint64_t until_pos,
                uint64_t pos)
{
    struct heard *h = heard_of(cl, number);
    h->stale_pos = until_pos <= pos ? until_pos : 0;
    h->stale_covers = sub_of(cl, c)->covers;
    if (h->stale_pos != 0)
        h->text_pos = 0; /* what it heard of that before is overruled */
}

static void check_shown(struct client *cl, const struct ochan *c, uint32_t number)
{
    const struct heard *h = heard_of(cl, number);
    if (h->stale_pos != 0 && h->text_pos < h->stale_pos &&
        h->stale_covers == sub_of(cl, c)->covers && !was_out(cl, c, h->stale_pos))
        violation(
            cl->w, "taken_back_is_told",
            "client %u (user %u) is shown what #%u of %s said, and then nothing of its change",
            (unsigned)cl->index, (unsigned)cl->user, number, c->name);
}

/* ---- changes ---- */

/* Which row the event tells of is not to be seen: the newest that it can mean. */
void view_text(struct client *cl, uint32_t number, uint32_t version, uint64_t pos)
{
    const struct omsg *m = &cl->w->oracle.msgs[number];
    struct heard *h = heard_of(cl, number);
    for (uint32_t i = 0; i < m->rows_len; i++) {
        if (m->rows[i].version == version && m->rows[i].pos <= pos)
            h->text_pos = MAX(h->text_pos, m->rows[i].pos);
    }
}

void view_deleted(struct client *cl, uint32_t number)
{
    heard_of(cl, number)->text_pos = cl->w->oracle.msgs[number].deleted_pos;
}

void view_reaction(struct client *cl, uint32_t number, uint32_t bit, uint64_t pos)
{
    struct heard *h = heard_of(cl, number);
    if (h->reaction_pos == NULL)
        h->reaction_pos = calloc(64, sizeof *h->reaction_pos);
    ASSERT(h->reaction_pos != NULL);
    h->reaction_pos[bit] = MAX(h->reaction_pos[bit], pos);
}

void view_pins(struct client *cl, const struct ochan *c, uint64_t pos)
{
    struct sub *sub = sub_of(cl, c);
    sub->pins_pos = MAX(sub->pins_pos, pos);
}

void view_member(struct client *cl, const struct ochan *c, uint8_t u, bool joined, uint64_t pos)
{
    struct sub *sub = sub_of(cl, c);
    const struct levels *l = &c->membership[u];
    for (uint32_t i = 0; i < l->len && l->all[i].pos <= pos; i++) {
        if (l->all[i].n == joined)
            sub->heard_pos[u] = MAX(sub->heard_pos[u], l->all[i].pos);
    }
}

/* ---- at the end ---- */

/* A change that became stored at pos. */
static bool is_lost(struct client *cl, const struct ochan *c, uint64_t pos, uint64_t heard_pos)
{
    return pos > MAX(sub_of(cl, c)->members_pos, heard_pos) && !was_out(cl, c, pos);
}

static void check_messages(struct client *cl, const struct ochan *c, const struct numbers *l,
                           uint32_t *next)
{
    skip_covered(cl, c, l, next, cl->w->oracle.pos);
    if (*next < l->len)
        violation(cl->w, "view_converges",
                  "client %u (user %u) never saw message #%u of %s and was told to fetch nothing",
                  (unsigned)cl->index, (unsigned)cl->user, l->all[*next], c->name);
}

/* Of each one the last change: it came, or went. */
static void check_reactions(struct client *cl, const struct ochan *c, uint32_t number)
{
    const struct levels *l = &cl->w->oracle.msgs[number].reactions;
    const struct heard *h = heard_of(cl, number);
    uint64_t later = 0; /* bits that changed behind this one */
    for (uint32_t i = l->len; i > 0; i--) {
        uint64_t changed = (l->all[i - 1].n ^ (i == 1 ? 0 : l->all[i - 2].n)) & ~later;
        later |= changed;
        for (; changed != 0; changed &= changed - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(changed);
            if (is_lost(cl, c, l->all[i - 1].pos,
                        h->reaction_pos == NULL ? 0 : h->reaction_pos[bit]))
                violation(cl->w, "view_converges",
                          "client %u (user %u) never heard that user %u reacts to #%u in %s, or "
                          "does not any more, and was told to fetch nothing",
                          (unsigned)cl->index, (unsigned)cl->user, bit % plan_users_max, number,
                          c->name);
        }
    }
}

/* Of its text the newest change, and of reactions each one. */
static void check_changes(struct client *cl, const struct ochan *c, uint32_t number)
{
    const struct omsg *m = &cl->w->oracle.msgs[number];
    const struct heard *h = heard_of(cl, number);
    bool changed = m->rows_len > 1 || m->rows[0].version != 0;
    if (changed && is_lost(cl, c, m->rows[m->rows_len - 1].pos, h->text_pos))
        violation(cl->w, "view_converges",
                  "client %u (user %u) never heard of the last change of #%u in %s and was told to "
                  "fetch nothing",
                  (unsigned)cl->index, (unsigned)cl->user, number, c->name);
    if (m->deleted_pos == 0)
        check_reactions(cl, c, number);
}

/* It has heard of each one's last change, or has asked since. */
static void check_members(struct client *cl, const struct ochan *c)
{
    for (uint8_t u = 0; u < cl->w->oracle.users_len; u++) {
        const struct levels *l = &c->membership[u];
        if (u == cl->user || l->len == 0)
            continue;
        const struct level *last = &l->all[l->len - 1];
        if (is_lost(cl, c, last->pos, sub_of(cl, c)->heard_pos[u]))
            violation(cl->w, "view_converges",
                      "client %u (user %u) never heard that user %u %s %s and was told to fetch "
                      "nothing",
                      (unsigned)cl->index, (unsigned)cl->user, (unsigned)u,
                      last->n != 0 ? "joined" : "left", c->name);
    }
}

static void check_pins(struct client *cl, const struct ochan *c)
{
    uint64_t last_pos = c->pins.len == 0 ? 0 : c->pins.all[c->pins.len - 1].pos;
    if (is_lost(cl, c, last_pos, sub_of(cl, c)->pins_pos))
        violation(cl->w, "view_converges",
                  "client %u (user %u) never heard of the last pin of %s and was told to fetch "
                  "nothing",
                  (unsigned)cl->index, (unsigned)cl->user, c->name);
}

void socket_check_converged(struct client *cl)
{
    struct oracle *o = &cl->w->oracle;
    if (cl->ws.state != SOCKET_LIVE || partial(cl))
        return;
    if (cl->ws.resuming)
        violation(cl->w, "view_converges",
                  "client %u goes on from %llu and was never told up to "
                  "where",
                  (unsigned)cl->index, (unsigned long long)cl->ws.last_ts_us);
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        if (o->msgs[n].ts_us != 0)
            check_shown(cl, oracle_chan(o, o->msgs[n].cid), n);
    }
    for (uint32_t i = 0; i < o->chans_len; i++) {
        const struct ochan *c = &o->chans[i];
        check_messages(cl, c, &c->roots, &cl->ws.subs[i].next);
        check_messages(cl, c, &c->replies, &cl->ws.subs[i].next_reply);
        check_members(cl, c);
        check_pins(cl, c);
    }
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        if (o->msgs[n].ts_us != 0)
            check_changes(cl, oracle_chan(o, o->msgs[n].cid), n);
    }
}
