/* ticket.c - single-use passes to a socket: issued here, consumed here, once. */
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"
#include "base/hex.h"
#include "fanout/internal.h"

enum err tickets_init(struct tickets *t, uint32_t max)
{
    TRY(slab_init(&t->slots, max, sizeof(struct ticket)));
    t->buckets_len = 2;
    while (t->buckets_len < max)
        t->buckets_len *= 2;
    t->buckets = malloc(t->buckets_len * sizeof *t->buckets);
    if (t->buckets == NULL)
        return ERR_NOMEM;
    memset(t->buckets, 0xff, t->buckets_len * sizeof *t->buckets);
    t->oldest = t->newest = slot_none;
    return ERR_OK;
}

void tickets_deinit(struct tickets *t)
{
    free(t->buckets);
    slab_deinit(&t->slots);
}

static struct ticket *ticket_at(const struct tickets *t, uint32_t slot)
{
    uint64_t handle;
    return slab_at(&t->slots, slot, &handle);
}

static uint32_t *bucket_of(struct tickets *t, const uint64_t random[2])
{
    return &t->buckets[random[0] & (t->buckets_len - 1)];
}

static void unlink_ticket(struct tickets *t, struct ticket *k)
{
    uint32_t slot = slab_index(k->self);
    uint32_t *at = bucket_of(t, k->random);
    while (*at != slot)
        at = &ticket_at(t, *at)->bucket_next;
    *at = k->bucket_next;
    if (k->older != slot_none)
        ticket_at(t, k->older)->newer = k->newer;
    else
        t->oldest = k->newer;
    if (k->newer != slot_none)
        ticket_at(t, k->newer)->older = k->older;
    else
        t->newest = k->older;
    slab_give(&t->slots, k->self);
}

static void purge(struct tickets *t, uint64_t now_us)
{
    while (t->oldest != slot_none && ticket_at(t, t->oldest)->expires_us <= now_us)
        unlink_ticket(t, ticket_at(t, t->oldest));
}

static struct ticket *issue(struct tickets *t, struct rand_src *rand)
{
    uint64_t handle;
    struct ticket *k = slab_take(&t->slots, &handle);
    if (k == NULL)
        return NULL;
    uint32_t slot = slab_index(handle);
    k->self = handle;
    rand_bytes(rand, k->random, sizeof k->random);
    k->bucket_next = *bucket_of(t, k->random);
    *bucket_of(t, k->random) = slot;
    k->newer = slot_none;
    k->older = t->newest;
    if (t->newest != slot_none)
        ticket_at(t, t->newest)->newer = slot;
    else
        t->oldest = slot;
    t->newest = slot;
    return k;
}

/* ---- text ---- */

static void write_hex(char *out, uint64_t v, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        out[i] = hex_digit(v >> (4 * (digits - 1 - i)));
}

static bool read_hex(const char *p, unsigned digits, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < digits; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

static bool parse(const char text[ticket_text_len], uint64_t *index, uint64_t random[2])
{
    return read_hex(text, 2, index) && read_hex(text + 2, 16, &random[0]) &&
           read_hex(text + 18, 16, &random[1]);
}

uint16_t fan_ticket_index(const char ticket[ticket_text_len])
{
    uint64_t index, random[2];
    return parse(ticket, &index, random) ? (uint16_t)index : (uint16_t)actors_max;
}

/* ---- messages ---- */

void on_ticket(struct fanout *f, actor_id from, const struct cell *cell)
{
    struct fan_ticket *m = cell->u.p;
    struct turn *turn = f->turn;
    purge(&f->tickets, turn->mono_us);
    struct ticket *k = f->draining ? NULL : issue(&f->tickets, turn->rand);
    struct cell *answer = outbox_answer(turn->out, from, cell);
    if (k == NULL) {
        answer->err = f->draining ? ERR_SERVICE_UNAVAILABLE : ERR_FULL;
        return;
    }
    k->team = m->team;
    k->uid = m->uid;
    k->token_tag = m->token_tag;
    k->since_us = m->since_us;
    k->resumes = m->resumes;
    k->batch_presence = m->batch_presence;
    k->expires_us = turn->mono_us + f->conf.conf->ws_ticket_ms * 1000;
    write_hex(m->ticket, f->conf.index, 2);
    write_hex(m->ticket + 2, k->random[0], 16);
    write_hex(m->ticket + 18, k->random[1], 16);
    metric_add(turn->metrics, METRIC_TICKETS_ISSUED, 1);
}

/* True: it was live, and is no more. The bucket's place tells a guesser nothing that the other 112
 * bits would not still hide; the rest is compared in constant time. */
bool ticket_take(struct fanout *f, const char text[ticket_text_len], struct ticket *out)
{
    struct tickets *t = &f->tickets;
    uint64_t index, random[2];
    purge(t, f->turn->mono_us);
    if (!parse(text, &index, random) || index != f->conf.index)
        return false;
    struct str_view want = {(const char *)random, sizeof random};
    for (uint32_t slot = *bucket_of(t, random); slot != slot_none;) {
        struct ticket *k = ticket_at(t, slot);
        slot = k->bucket_next;
        if (!sv_eq_constant_time(want, (struct str_view){(const char *)k->random, sizeof random}))
            continue;
        *out = *k;
        if (MUTANT(TICKET_TWICE, true, false))
            unlink_ticket(t, k);
        return true;
    }
    return false;
}

void tickets_revoke(struct tickets *t, uint64_t tag, uint64_t uid)
{
    for (uint32_t slot = t->oldest; slot != slot_none;) {
        struct ticket *k = ticket_at(t, slot);
        slot = k->newer;
        if (tag != 0 ? k->token_tag == tag : k->uid == uid)
            unlink_ticket(t, k);
    }
}
