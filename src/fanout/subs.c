/* subs.c - which sockets hear a channel. A channel keeps the slots of its subscribers in ascending
 * order, a socket keeps the numbers of its channels: 4 bytes each way, and both ends are left
 * exactly when either goes, so no slot's next owner can inherit anything. */
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"
#include "chan/chan.h"
#include "fanout/internal.h"

void subs_init(struct subs *s)
{
    *s = (struct subs){.free = slot_none,
                       .idle_first = slot_none,
                       .idle_last = slot_none,
                       .asking_first = slot_none,
                       .asking_last = slot_none};
}

void subs_deinit(struct subs *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        free(s->chans[i].slots);
        free(s->chans[i].unsure);
    }
    free(s->chans);
    free(s->hash);
}

/* ---- the table: open addressing, removal shifts back ---- */

static uint32_t place_of(const struct subs *s, uint64_t cid)
{
    uint32_t at = (uint32_t)mix64(cid) & (s->hash_len - 1);
    while (s->hash[at] != 0 && s->chans[s->hash[at] - 1].cid != cid)
        at = (at + 1) & (s->hash_len - 1);
    return at;
}

uint32_t subs_find(const struct subs *s, uint64_t cid)
{
    if (s->hash_len == 0)
        return slot_none;
    return s->hash[place_of(s, cid)] - 1; /* 0 - 1 is slot_none */
}

static bool rehash(struct subs *s, uint32_t len)
{
    uint32_t *old = s->hash, old_len = s->hash_len;
    uint32_t *hash = calloc(len, sizeof *hash);
    if (hash == NULL)
        return false;
    s->hash = hash;
    s->hash_len = len;
    for (uint32_t i = 0; i < old_len; i++) {
        if (old[i] != 0)
            hash[place_of(s, s->chans[old[i] - 1].cid)] = old[i];
    }
    free(old);
    return true;
}

static bool grow(struct subs *s)
{
    uint32_t cap = MAX(64u, s->cap * 2);
    if (s->cap >= channels_max)
        return false;
    struct sub_chan *more = realloc(s->chans, cap * sizeof *more);
    if (more == NULL)
        return false;
    s->chans = more;
    s->cap = cap;
    return true;
}

/* May move s->chans. */
static uint32_t get(struct fanout *f, uint64_t cid)
{
    struct subs *s = &f->subs;
    uint32_t i = subs_find(s, cid);
    if (i != slot_none)
        return i;
    if (s->used * 2 >= s->hash_len && !rehash(s, MAX(128u, s->hash_len * 2)))
        return slot_none;
    i = s->free;
    if (i != slot_none)
        s->free = s->chans[i].unsure_next;
    else if (s->len < s->cap || grow(s))
        i = s->len++;
    else
        return slot_none;
    s->chans[i] = (struct sub_chan){.cid = cid,
                                    .live = true,
                                    .whole_since_us = f->turn->wall_us,
                                    .idle_prev = slot_none,
                                    .idle_next = slot_none,
                                    .unsure_next = slot_none};
    s->hash[place_of(s, cid)] = i + 1;
    s->used++;
    return i;
}

static void forget(struct subs *s, uint32_t i)
{
    uint32_t mask = s->hash_len - 1, hole = place_of(s, s->chans[i].cid);
    for (uint32_t at = (hole + 1) & mask; s->hash[at] != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)mix64(s->chans[s->hash[at] - 1].cid) & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* it sits between its home and the hole: it may not move before its home */
        s->hash[hole] = s->hash[at];
        hole = at;
    }
    s->hash[hole] = 0;
    free(s->chans[i].slots);
    free(s->chans[i].unsure);
    s->chans[i] = (struct sub_chan){.unsure_next = s->free};
    s->free = i;
    s->used--;
}

/* ---- idle channels, oldest first ---- */

static void leave_idle(struct subs *s, uint32_t i)
{
    struct sub_chan *h = &s->chans[i];
    if (!h->idle)
        return;
    h->idle = false;
    if (h->idle_prev != slot_none)
        s->chans[h->idle_prev].idle_next = h->idle_next;
    else
        s->idle_first = h->idle_next;
    if (h->idle_next != slot_none)
        s->chans[h->idle_next].idle_prev = h->idle_prev;
    else
        s->idle_last = h->idle_prev;
}

static void link_idle(struct subs *s, uint32_t prev, uint32_t i, uint32_t next)
{
    struct sub_chan *h = &s->chans[i];
    h->idle = true;
    h->idle_prev = prev;
    h->idle_next = next;
    *(prev != slot_none ? &s->chans[prev].idle_next : &s->idle_first) = i;
    *(next != slot_none ? &s->chans[next].idle_prev : &s->idle_last) = i;
}

static void enter_idle(struct fanout *f, uint32_t i)
{
    struct subs *s = &f->subs;
    struct sub_chan *h = &s->chans[i];
    if (h->idle || h->len > 0 || h->unsure_len > 0)
        return;
    link_idle(s, s->idle_last, i, slot_none);
    h->idle_since_us = f->turn->mono_us;
    free(h->slots);
    free(h->unsure);
    h->slots = h->unsure = NULL;
    h->cap = h->unsure_cap = 0;
}

/* Chan takes a channel that it loads to be listened to everywhere. Where nobody does, and nobody
 * has just left who may be back at once, there is nothing to wait for. */
void subs_watch_idle(struct fanout *f, uint64_t cid)
{
    struct subs *s = &f->subs;
    if (subs_find(s, cid) != slot_none)
        return;
    uint32_t i = get(f, cid);
    if (i == slot_none)
        return;
    link_idle(s, slot_none, i, s->idle_first); /* it has been idle since the beginning of time */
}

void subs_tell_idle(struct fanout *f)
{
    struct subs *s = &f->subs;
    while (s->idle_first != slot_none) {
        uint32_t i = s->idle_first;
        struct sub_chan *h = &s->chans[i];
        if (f->turn->mono_us - h->idle_since_us < idle_us || h->asking || h->out > 0)
            return;
        uint16_t chan = chan_of(h->cid, f->conf.chans_len);
        struct cell *c = outbox_event(f->turn->out, f->conf.chans[chan], 0);
        if (c == NULL)
            return; /* the next sweep tries again */
        c->type = CHAN_IDLE;
        c->cid = h->cid;
        c->u.u[0] = f->stamps[chan];
        leave_idle(s, i);
        forget(s, i);
    }
}

/* ---- ascending slots ---- */

static uint32_t lower_bound(const uint32_t *p, uint32_t len, uint32_t slot)
{
    uint32_t lo = 0, hi = len;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p[mid] < slot)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool contains(const uint32_t *p, uint32_t len, uint32_t slot)
{
    uint32_t at = lower_bound(p, len, slot);
    return at < len && p[at] == slot;
}

static bool reserve(uint32_t **p, uint32_t *cap, uint32_t want)
{
    if (want <= *cap)
        return true;
    uint32_t more = MAX(want, *cap + *cap / 2 + 4);
    uint32_t *q = realloc(*p, more * sizeof *q);
    if (q == NULL)
        return false;
    *p = q;
    *cap = more;
    return true;
}

static bool insert(uint32_t **p, uint32_t *len, uint32_t *cap, uint32_t slot)
{
    if (!reserve(p, cap, *len + 1))
        return false;
    uint32_t at = lower_bound(*p, *len, slot);
    memmove(*p + at + 1, *p + at, (*len - at) * sizeof **p);
    (*p)[at] = slot;
    (*len)++;
    return true;
}

static bool take_out(uint32_t *p, uint32_t *len, uint32_t slot)
{
    uint32_t at = lower_bound(p, *len, slot);
    if (at == *len || p[at] != slot)
        return false;
    memmove(p + at, p + at + 1, (*len - at - 1) * sizeof *p);
    (*len)--;
    return true;
}

/* ---- subscribing ---- */

static bool conn_has(const struct sub_chan *h, uint32_t slot)
{
    return contains(h->slots, h->len, slot) || contains(h->unsure, h->unsure_len, slot);
}

bool subs_has(const struct fanout *f, const struct fan_conn *c, uint64_t cid)
{
    uint32_t i = subs_find(&f->subs, cid);
    return i != slot_none &&
           contains(f->subs.chans[i].slots, f->subs.chans[i].len, slab_index(c->self));
}

bool subs_reserve(struct fan_conn *c, uint32_t len)
{
    if (len <= c->subs_cap)
        return true;
    uint32_t *p = realloc(c->subs, len * sizeof *p);
    if (p == NULL)
        return false;
    c->subs = p;
    c->subs_cap = len;
    return true;
}

/* Room in the socket's own list for one more channel. */
static bool reserve_conn(struct fanout *f, struct fan_conn *c)
{
    return !subs_full(f, c) && reserve(&c->subs, &c->subs_cap, c->subs_len + 1);
}

static void start_asking(struct subs *s, uint32_t i)
{
    struct sub_chan *h = &s->chans[i];
    h->asked = 0;
    if (h->asking)
        return;
    h->asking = true;
    h->unsure_next = slot_none;
    if (s->asking_last != slot_none)
        s->chans[s->asking_last].unsure_next = i;
    else
        s->asking_first = i;
    s->asking_last = i;
}

bool subs_add(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    uint32_t i = get(f, cid), slot = slab_index(c->self);
    if (i == slot_none)
        return false;
    struct sub_chan *h = &f->subs.chans[i];
    if (contains(h->slots, h->len, slot))
        return true;
    bool known = contains(h->unsure, h->unsure_len, slot);
    if (h->whole_since_us == UINT64_MAX)
        h->whole_since_us = f->turn->wall_us;
    c->left_out |= subs_full(f, c); /* a member's channel, and no room for it */
    if (!reserve_conn(f, c) || !insert(&h->slots, &h->len, &h->cap, slot)) {
        enter_idle(f, i); /* no memory: still unsure, if it was */
        return false;
    }
    if (known) {
        take_out(h->unsure, &h->unsure_len, slot);
        c->unsure_len--;
        /* Until now it got nothing of the channel, and what came before the loss may be missing
         * too. */
        if (MUTANT(UNCONFIRMED_GETS_NO_HINT, true, false))
            queue_owe(f, c, cid);
    } else {
        c->subs[c->subs_len++] = i;
    }
    leave_idle(&f->subs, i);
    return true;
}

static bool add_unsure(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    uint32_t i = get(f, cid), slot = slab_index(c->self);
    if (i == slot_none)
        return false;
    struct sub_chan *h = &f->subs.chans[i];
    if (conn_has(h, slot))
        return true;
    if (!reserve_conn(f, c) || !insert(&h->unsure, &h->unsure_len, &h->unsure_cap, slot)) {
        enter_idle(f, i);
        return false;
    }
    c->subs[c->subs_len++] = i;
    c->unsure_len++;
    leave_idle(&f->subs, i);
    start_asking(&f->subs, i);
    return true;
}

/* No memory to ask for each: whoever hears the channel loses it, and everybody asks for everything:
 * a lost join may be anybody's. */
static void ask_all_anew(struct fanout *f, uint64_t cid, uint32_t i)
{
    for (uint32_t slot = 0; slot < f->conns.cap; slot++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, slot, &handle);
        if (c == NULL || !c->indexed)
            continue;
        subs_remove(f, c, cid);
        ask_anew(f, c);
    }
    if (i != slot_none)
        enter_idle(f, i);
}

/* A join may have been lost as well as a removal: who is not subscribed is asked for too. */
void subs_unsure_all(struct fanout *f, uint64_t cid)
{
    uint32_t i = get(f, cid);
    struct sub_chan *h = i == slot_none ? NULL : &f->subs.chans[i];
    if (h == NULL || !reserve(&h->unsure, &h->unsure_cap, slab_used(&f->conns))) {
        ask_all_anew(f, cid, i);
        return;
    }
    h->whole_since_us = UINT64_MAX; /* chan may not tell this fanout of it before somebody is in */
    for (uint32_t k = 0; k < h->len; k++) {
        insert(&h->unsure, &h->unsure_len, &h->unsure_cap, h->slots[k]);
        conn_at(f, h->slots[k])->unsure_len++;
    }
    h->len = 0;
    start_asking(&f->subs, i);
    for (uint32_t slot = 0; slot < f->conns.cap; slot++) {
        uint64_t handle;
        struct fan_conn *c = slab_at(&f->conns, slot, &handle);
        if (c != NULL && c->indexed && !add_unsure(f, c, cid) && !subs_full(f, c))
            ask_anew(f, c); /* no memory for its place in the line */
    }
    enter_idle(f, i);
}

static void leave_conn(struct fan_conn *c, uint32_t i)
{
    for (uint32_t k = 0; k < c->subs_len; k++) {
        if (c->subs[k] == i) {
            c->subs[k] = c->subs[--c->subs_len];
            return;
        }
    }
}

static void leave_chan(struct fanout *f, uint32_t i, uint32_t slot)
{
    struct sub_chan *h = &f->subs.chans[i];
    take_out(h->slots, &h->len, slot);
    if (take_out(h->unsure, &h->unsure_len, slot))
        conn_at(f, slot)->unsure_len--;
    enter_idle(f, i);
}

void subs_remove(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    uint32_t i = subs_find(&f->subs, cid);
    if (i == slot_none || !conn_has(&f->subs.chans[i], slab_index(c->self)))
        return;
    leave_conn(c, i);
    leave_chan(f, i, slab_index(c->self));
}

void subs_remove_all(struct fanout *f, struct fan_conn *c)
{
    for (uint32_t k = 0; k < c->subs_len; k++)
        leave_chan(f, c->subs[k], slab_index(c->self));
    free(c->subs);
    c->subs = NULL;
    c->subs_len = c->subs_cap = 0;
}

/* ---- those that wait for chan's word ---- */

bool subs_confirm(struct fanout *f, struct fan_conn *c, uint64_t cid, bool member)
{
    uint32_t i = subs_find(&f->subs, cid);
    if (i == slot_none)
        return false;
    struct sub_chan *h = &f->subs.chans[i];
    if (!contains(h->unsure, h->unsure_len, slab_index(c->self)))
        return false;
    if (!member) {
        subs_remove(f, c, cid);
    } else if (!subs_add(f, c, cid)) { /* its room went to others meanwhile, or no memory */
        if (!subs_full(f, c))
            ask_anew(f, c);
        subs_remove(f, c, cid);
        return false;
    }
    return true;
}

bool subs_next_unsure(struct fanout *f, uint32_t *chan, uint32_t *slot)
{
    struct subs *s = &f->subs;
    while (s->asking_first != slot_none) {
        struct sub_chan *h = &s->chans[s->asking_first];
        uint32_t at = lower_bound(h->unsure, h->unsure_len, h->asked);
        if (at < h->unsure_len) {
            *chan = s->asking_first;
            *slot = h->unsure[at];
            return true;
        }
        s->asking_first = h->unsure_next; /* all asked */
        if (s->asking_first == slot_none)
            s->asking_last = slot_none;
        h->asking = false;
        h->unsure_next = slot_none;
    }
    return false;
}

void subs_asked(struct fanout *f, uint32_t chan, uint32_t slot)
{
    f->subs.chans[chan].asked = slot + 1;
    f->subs.chans[chan].out++;
}

void subs_answered(struct fanout *f, uint64_t cid, bool refused)
{
    uint32_t i = subs_find(&f->subs, cid);
    ASSERT(i != slot_none && f->subs.chans[i].out > 0); /* subs_tell_idle keeps it as long */
    struct sub_chan *h = &f->subs.chans[i];
    h->again |= refused;
    if (--h->out > 0 || !h->again)
        return;
    h->again = false;
    if (h->unsure_len > 0)
        start_asking(&f->subs, i);
}
