/* oracle_wishes.c - requests, and what was stored because of them. What only its user can have
 * asked for (a deed: a row of who follows a thread, a reaction that comes or goes) needs a request
 * of its own: one that was under way when it was stored, and was not refused. Which request it was
 * nobody says; it is enough that some way is left to give each deed one.
 *
 * A request is under way until it is answered, whatever the answer; until the process ends; or,
 * when its client gave it up, until it would have been refused for its age. */
#include "grow.h"
#include "world.h"

/* The server's own deadline is 15 s; the rest is for disks and threads that stand still. */
enum { lost_max_us = 60000000 };

/* ---- requests ---- */

uint32_t oracle_wish(struct world *w, struct wish wish)
{
    struct oracle *o = &w->oracle;
    wish.sent_pos = o->pos;
    wish.sent_us = world_wall_us(w);
    wish.until_pos = UINT64_MAX;
    GROW(o->wishes, o->wishes_len, o->wishes_cap);
    o->wishes[o->wishes_len++] = wish;
    return o->wishes_len;
}

void oracle_wish_lost(struct world *w, uint32_t id)
{
    w->oracle.wishes[id - 1].lost_us = w->now_us;
}

void oracle_wishes_end(struct oracle *o)
{
    for (; o->wishes_ended < o->wishes_len; o->wishes_ended++) {
        struct wish *a = &o->wishes[o->wishes_ended];
        a->until_pos = MIN(a->until_pos, o->pos);
    }
}

void oracle_wishes_expire(struct world *w)
{
    struct oracle *o = &w->oracle;
    for (uint32_t i = o->wishes_ended; i < o->wishes_len; i++) {
        struct wish *a = &o->wishes[i];
        if (a->lost_us != 0 && w->now_us > a->lost_us + lost_max_us)
            a->until_pos = MIN(a->until_pos, o->pos);
        if (i == o->wishes_ended && a->until_pos != UINT64_MAX)
            o->wishes_ended++;
    }
}

static bool fits(const struct wish *a, uint64_t pos)
{
    return a->sent_pos < pos && pos <= a->until_pos;
}

bool oracle_under_way(const struct oracle *o, uint32_t number, enum wish_kind kind, uint64_t what,
                      uint64_t pos)
{
    for (uint32_t i = 0; i < o->wishes_len; i++) {
        const struct wish *a = &o->wishes[i];
        if (a->number == number && a->kind == kind && a->what == what && fits(a, pos))
            return true;
    }
    return false;
}

/* ---- deeds ---- */

struct deed oracle_deed_at(const struct oracle *o, uint64_t pos)
{
    return (struct deed){.pos = pos, .first = o->candidates_len};
}

void oracle_deed_may_be(struct oracle *o, struct deed *d, uint32_t id)
{
    if (!fits(&o->wishes[id - 1], d->pos))
        return;
    ASSERT(d->first + d->len == o->candidates_len);
    GROW(o->candidates, o->candidates_len, o->candidates_cap);
    o->candidates[o->candidates_len++] = id;
    d->len++;
}

/* Gives the deed a request; if it must be one of another deed, then that gets another. Each request
 * is looked at once a round. */
static bool give(struct oracle *o, uint32_t deed)
{
    const struct deed *d = &o->deeds[deed - 1];
    for (uint32_t i = 0; i < d->len; i++) {
        struct wish *a = &o->wishes[o->candidates[d->first + i] - 1];
        if (!fits(a, d->pos) || a->round == o->round)
            continue;
        a->round = o->round;
        if (a->deed == 0 || give(o, a->deed)) {
            a->deed = deed;
            return true;
        }
    }
    return false;
}

static bool explain(struct oracle *o, uint32_t deed)
{
    o->round++;
    return give(o, deed);
}

bool oracle_deed(struct oracle *o, const struct deed *d)
{
    GROW(o->deeds, o->deeds_len, o->deeds_cap);
    o->deeds[o->deeds_len++] = *d;
    return explain(o, o->deeds_len);
}

void oracle_deeds_forget(struct oracle *o, uint32_t len)
{
    for (uint32_t i = 0; i < o->wishes_len; i++) {
        if (o->wishes[i].deed > len)
            o->wishes[i].deed = 0;
    }
    o->deeds_len = len;
    o->candidates_len = len == 0 ? 0 : o->deeds[len - 1].first + o->deeds[len - 1].len;
}

void oracle_wish_ends(struct world *w, uint32_t id, uint64_t pos)
{
    struct oracle *o = &w->oracle;
    struct wish *a = &o->wishes[id - 1];
    uint32_t deed = a->deed;
    a->until_pos = MIN(a->until_pos, pos);
    if (deed == 0 || fits(a, o->deeds[deed - 1].pos))
        return;
    a->deed = 0;
    if (!explain(o, deed))
        violation(w, pos == 0 ? "refused_is_not_stored" : "asked_for_once",
                  "user %u's request about message #%u was %s, and what it asks for was stored at "
                  "position %llu: nobody else asked",
                  (unsigned)a->user, a->number, pos == 0 ? "refused" : "done before",
                  (unsigned long long)o->deeds[deed - 1].pos);
}
