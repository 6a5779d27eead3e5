/* socket_view.c - what a socket knows of its channels: what it has heard, and what it fetches
 * because it was told to. A change that is in neither is lost. */
#include <stdlib.h>

#include "world.h"

struct heard_reaction {
    uint64_t pos; /* the newest row that an event of it can mean */
    struct told told;
};

struct heard {                        /* of one message */
    uint64_t text_pos;                /* the row of its newest text, or of its deletion */
    struct told text;                 /* .is: the version + 1 */
    struct told pinned;               /* .is: 1 + 1 or 0 + 1, as of the rest */
    struct heard_reaction *reactions; /* by bit; NULL: of none */
};

enum { version_deleted = oracle_edits_max + 1 };

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

static uint64_t newest(const struct levels *l)
{
    return l->len == 0 ? 0 : l->all[l->len - 1].pos;
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
        free(s->heard[i].reactions);
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
        sub->last_ts_us = sub->told_pos = sub->event_us = 0;
        sub->left = false;
        if (!oracle_was(&o->chans[i], cl->user, true, 0, sub->members_pos))
            sub->members_pos = pos;
    }
}

/* ---- order ---- */

/* Since this was told nothing of the channel was kept from the socket, as far as it can know. */
static bool stands(struct client *cl, const struct ochan *c, const struct told *t)
{
    return t->socket == cl->ws.sockets && t->covers == sub_of(cl, c)->covers && !partial(cl) &&
           !was_out(cl, c, t->pos);
}

/* What is told of a channel comes in the order in which it became stored, whatever it is. An event
 * does not say which row it tells of: one must be left behind what was told before. Rows of one
 * batch do not stand in the order of the changes that they tell of; what is the last of them the
 * end shows (check_told). What is so already does not become so: told twice in succession it is one
 * change, whichever row it may be. */
static void tell(struct client *cl, const struct ochan *c, struct told *t, uint32_t is,
                 uint64_t pos, const char *what, uint32_t of)
{
    struct sub *sub = sub_of(cl, c);
    if (pos == 0 || (t->is == is + 1 && stands(cl, c, t)))
        violation(cl->w, "events_in_order",
                  "client %u (user %u) is told in %s of %s %u what came before what it was told "
                  "last, or was told already",
                  (unsigned)cl->index, (unsigned)cl->user, c->name, what, of);
    ASSERT(pos > sub->told_pos); /* so that this does not fall either */
    sub->told_pos = oracle_batch_before(&cl->w->oracle, pos);
    *t = (struct told){.pos = pos, .socket = cl->ws.sockets, .covers = sub->covers, .is = is + 1};
}

/* The row behind which the next must be that tells of the same thing. */
static uint64_t told_behind(struct client *cl, const struct ochan *c, const struct told *t)
{
    uint64_t told_pos = sub_of(cl, c)->told_pos;
    return t->socket == cl->ws.sockets ? MAX(t->pos, told_pos) : told_pos;
}

/* One chan makes them all, and its clock does not go back. A posted message has its ts instead,
 * which may be ahead of the clock. */
void view_event(struct client *cl, const struct ochan *c, uint64_t event_us)
{
    struct sub *sub = sub_of(cl, c);
    if (event_us != 0 && event_us < sub->event_us)
        violation(cl->w, "events_in_order",
                  "client %u (user %u) hears of %s what was made at %llu, behind what was made at "
                  "%llu",
                  (unsigned)cl->index, (unsigned)cl->user, c->name, (unsigned long long)event_us,
                  (unsigned long long)sub->event_us);
    sub->event_us = MAX(sub->event_us, event_us);
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
void view_message(struct client *cl, const struct ochan *c, uint32_t number, uint32_t version)
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
    tell(cl, c, &heard_of(cl, number)->text, version, m->pos > sub->told_pos ? m->pos : 0,
         "message", number);
}

/* ---- changes ---- */

/* The first row that it can be: of that text, or of a later one of the same batch. */
static uint64_t first_text(const struct oracle *o, uint32_t number, uint32_t version,
                           uint64_t after, uint64_t to)
{
    const struct omsg *m = &o->msgs[number];
    for (uint32_t i = 0; i < m->rows_len; i++) {
        if (m->rows[i].pos > after && m->rows[i].pos <= to &&
            oracle_may_be_edit(o, number, i, version))
            return m->rows[i].pos;
    }
    return 0;
}

/* Which row the event tells of is not to be seen: the newest that it can mean. */
void view_text(struct client *cl, const struct ochan *c, uint32_t number, uint32_t version,
               uint64_t pos)
{
    const struct omsg *m = &cl->w->oracle.msgs[number];
    struct heard *h = heard_of(cl, number);
    for (uint32_t i = 0; i < m->rows_len; i++) {
        if (m->rows[i].version == version && m->rows[i].pos <= pos)
            h->text_pos = MAX(h->text_pos, m->rows[i].pos);
    }
    tell(cl, c, &h->text, version,
         first_text(&cl->w->oracle, number, version, sub_of(cl, c)->told_pos, pos),
         "the text of message", number);
}

void view_deleted(struct client *cl, const struct ochan *c, uint32_t number)
{
    struct heard *h = heard_of(cl, number);
    uint64_t pos = cl->w->oracle.msgs[number].deleted_pos;
    struct sub *sub = sub_of(cl, c);
    h->text_pos = pos;
    sub->pins_pos = MAX(sub->pins_pos, oracle_batch_end(&cl->w->oracle, pos)); /* not any more */
    tell(cl, c, &h->text, version_deleted, pos > sub->told_pos ? pos : 0, "the end of message",
         number);
}

/* The first row that it can be: where it came or went, or one that hides it. */
static uint64_t first_reaction(struct client *cl, uint32_t number, uint32_t bit, bool there,
                               uint64_t after, uint64_t hidden_after, uint64_t to)
{
    struct oracle *o = &cl->w->oracle;
    const struct omsg *m = &o->msgs[number];
    uint64_t pos = oracle_reaction_next(m, bit, there, after, to);
    for (uint32_t i = 0; i < m->written.len; i++) {
        uint64_t row_pos = m->written.all[i].pos;
        if (row_pos > to || (pos != 0 && row_pos >= pos))
            break;
        if (row_pos > hidden_after && oracle_reaction_is_hidden(o, number, bit, there, row_pos))
            return row_pos;
    }
    return pos;
}

void view_reaction(struct client *cl, const struct ochan *c, uint32_t number, uint32_t bit,
                   bool there, uint64_t heard_pos, uint64_t pos)
{
    struct heard *h = heard_of(cl, number);
    if (h->reactions == NULL)
        h->reactions = calloc(64, sizeof *h->reactions);
    ASSERT(h->reactions != NULL);
    struct heard_reaction *r = &h->reactions[bit];
    r->pos = MAX(r->pos, heard_pos);
    tell(cl, c, &r->told, there,
         first_reaction(cl, number, bit, there, told_behind(cl, c, &r->told),
                        sub_of(cl, c)->told_pos, pos),
         "a reaction to message", number);
}

void view_pin(struct client *cl, const struct ochan *c, uint32_t number, bool pinned,
              uint64_t heard_pos, uint64_t pos)
{
    struct sub *sub = sub_of(cl, c);
    struct told *t = &heard_of(cl, number)->pinned;
    sub->pins_pos = MAX(sub->pins_pos, heard_pos);
    tell(cl, c, t, pinned,
         levels_next(&cl->w->oracle.msgs[number].pinned, pinned, told_behind(cl, c, t), pos),
         "the pin of message", number);
}

void view_member(struct client *cl, const struct ochan *c, uint8_t u, bool joined, uint64_t pos)
{
    struct sub *sub = sub_of(cl, c);
    const struct levels *l = &c->membership[u];
    for (uint32_t i = 0; i < l->len && l->all[i].pos <= pos; i++) {
        if (l->all[i].n == joined)
            sub->heard_pos[u] = MAX(sub->heard_pos[u], l->all[i].pos);
    }
    struct told *t = &sub->told_members[u];
    tell(cl, c, t, joined, levels_next(l, joined, told_behind(cl, c, t), pos), "user", u);
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
            if (is_lost(cl, c, l->all[i - 1].pos, h->reactions == NULL ? 0 : h->reactions[bit].pos))
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
    if (is_lost(cl, c, newest(&c->pins), sub_of(cl, c)->pins_pos))
        violation(cl->w, "view_converges",
                  "client %u (user %u) never heard of the last pin of %s and was told to fetch "
                  "nothing",
                  (unsigned)cl->index, (unsigned)cl->user, c->name);
}

/* ---- what it believes at the end ---- */

/* Promised: who takes each event for the truth, and fetches when it is told to, ends with the
 * truth. What a socket is shown after hello, again or for the first time, may have been changed
 * since it was posted: before its rtm.connect, before its hello, or just now. Then the change, or a
 * hint, comes behind it, never only before it. (Who came later than the change is not shown the
 * text at all: socket_events.c.) changed_pos: when it became what it is. */
static void check_told(struct client *cl, const struct ochan *c, const struct told *t, uint32_t is,
                       uint64_t changed_pos, const char *what, uint32_t of)
{
    if (t->is != 0 && t->is != is + 1 && t->covers == sub_of(cl, c)->covers &&
        !was_out(cl, c, MAX(changed_pos, t->pos)))
        violation(cl->w, "taken_back_is_told",
                  "client %u (user %u) is told in %s of %s %u what it was (%u), and then nothing "
                  "of its change (%u)",
                  (unsigned)cl->index, (unsigned)cl->user, c->name, what, of, t->is - 1, is);
}

static void check_told_of(struct client *cl, const struct ochan *c, uint32_t number)
{
    const struct oracle *o = &cl->w->oracle;
    const struct omsg *m = &o->msgs[number];
    const struct heard *h = heard_of(cl, number);
    uint64_t mask = levels_at(&m->reactions, o->pos);
    check_told(cl, c, &h->text, m->rows[m->rows_len - 1].version, m->rows[m->rows_len - 1].pos,
               "message", number);
    if (m->deleted_pos != 0)
        return;
    check_told(cl, c, &h->pinned, m->says_pinned, newest(&m->pinned), "the pin of message", number);
    for (uint32_t bit = 0; bit < 64 && h->reactions != NULL; bit++) {
        bool is = (mask >> bit & 1) != 0;
        check_told(cl, c, &h->reactions[bit].told, is, oracle_reaction_became(m, bit, is, o->pos),
                   "a reaction to message", number);
    }
}

static void check_believed(struct client *cl)
{
    struct oracle *o = &cl->w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        if (o->msgs[n].ts_us != 0)
            check_told_of(cl, oracle_chan(o, o->msgs[n].cid), n);
    }
    for (uint32_t i = 0; i < o->chans_len; i++) {
        for (uint8_t u = 0; u < o->users_len; u++) {
            if (u != cl->user)
                check_told(cl, &o->chans[i], &cl->ws.subs[i].told_members[u],
                           o->chans[i].members >> u & 1, newest(&o->chans[i].membership[u]), "user",
                           u);
        }
    }
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
    check_believed(cl);
}
