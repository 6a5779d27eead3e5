/* oracle_reactions.c - which reactions messages have: told by their rows, and held against what was
 * asked for. A row is written once a batch: what was given and taken back in the same one is in
 * none. */
#include <stdlib.h>

#include "world.h"

/* ---- what was asked for ---- */

static struct wish *wish_of(struct oracle *o, uint32_t number, uint32_t bit, bool add)
{
    for (uint32_t i = o->wishes_len; i > 0; i--) {
        struct wish *a = &o->wishes[i - 1];
        if (a->number == number && a->bit == bit && a->add == add)
            return a;
    }
    if (o->wishes_len == o->wishes_cap) {
        o->wishes_cap = o->wishes_cap * 2 + 64;
        o->wishes = realloc(o->wishes, o->wishes_cap * sizeof *o->wishes);
        ASSERT(o->wishes != NULL);
    }
    struct wish *a = &o->wishes[o->wishes_len++];
    *a = (struct wish){.number = number, .bit = bit, .add = add};
    return a;
}

void oracle_reaction_sent(struct oracle *o, uint32_t number, uint32_t bit, bool add)
{
    wish_of(o, number, bit, add)->may_be++;
}

void oracle_reaction_refused(struct world *w, uint32_t number, uint32_t bit, bool add)
{
    struct wish *a = wish_of(&w->oracle, number, bit, add);
    if (a->may_be == 0)
        violation(w, "refusals_are_durable", "message #%u: what is refused was done", number);
    a->may_be--;
}

bool oracle_may_be_hidden(struct oracle *o, uint32_t number, uint32_t bit, bool add)
{
    return wish_of(o, number, bit, add)->may_be > 0 &&
           (wish_of(o, number, bit, !add)->may_be > 0 || o->msgs[number].deleted_pos != 0);
}

/* ---- rows ---- */

static bool get_number(struct str_view *s, uint64_t *out)
{
    unsigned shift = 0;
    *out = 0;
    for (bool more = true; more; shift += 7) {
        if (s->len == 0 || shift > 63)
            return false;
        more = (*s->p & 0x80) != 0;
        *out |= (uint64_t)(*s->p & 0x7f) << shift;
        s->p++;
        s->len--;
    }
    return true;
}

/* Of each emoji its name, how many gave it, and who (chan/reactions.c). */
static uint64_t mask_of(struct world *w, struct str_view packed)
{
    uint64_t mask = 0, len, users, uid;
    while (packed.len > 0) {
        bool whole = get_number(&packed, &len) && len <= packed.len;
        uint32_t emoji = whole ? oracle_emoji((struct str_view){packed.p, len}) : oracle_emoji_max;
        if (emoji == oracle_emoji_max)
            violation(w, "rows_whole", "a reaction that nobody gives");
        packed.p += len;
        packed.len -= len;
        whole = get_number(&packed, &users) && users > 0;
        for (; whole && users > 0; users--) {
            whole = get_number(&packed, &uid);
            uint8_t u = oracle_user(&w->oracle, uid);
            if (!whole || u == plan_users_max || (mask >> oracle_reaction(emoji, u) & 1) != 0)
                violation(w, "rows_whole", "a reaction of no user, or twice");
            mask |= 1ull << oracle_reaction(emoji, u);
        }
        if (!whole)
            violation(w, "rows_whole", "reactions that cannot be read were written");
    }
    return mask;
}

uint32_t oracle_emoji(struct str_view name)
{
    bool known =
        name.len == 2 && name.p[0] == 'r' && name.p[1] >= '0' && name.p[1] < '0' + oracle_emoji_max;
    return known ? (uint32_t)(name.p[1] - '0') : oracle_emoji_max;
}

uint64_t oracle_reactions_of(uint8_t user)
{
    uint64_t mask = 0;
    for (uint32_t emoji = 0; emoji < oracle_emoji_max; emoji++)
        mask |= 1ull << oracle_reaction(emoji, user);
    return mask;
}

/* One more that was asked for became true, whoever asked when: no request does so twice. */
static void count(struct world *w, uint32_t n, uint32_t bit, bool add)
{
    struct wish *a = wish_of(&w->oracle, n, bit, add);
    if (a->may_be == 0)
        violation(w, "changes_kept", "message #%u %s a reaction of user %u, and nobody asked", n,
                  add ? "gets" : "loses", bit % plan_users_max);
    a->may_be--;
}

void oracle_on_reactions(struct world *w, const struct ochan *c, uint32_t n, struct str_view packed)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = &o->msgs[n];
    uint64_t before = levels_at(&m->reactions, o->pos), now = mask_of(w, packed);
    for (uint64_t changed = before ^ now; changed != 0; changed &= changed - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(changed);
        count(w, n, bit, (now >> bit & 1) != 0);
        oracle_check_quiet(w, c, "somebody reacts, or takes it back");
    }
    levels_set(&m->reactions, o->pos, now);
    m->reacted = 0;
    for (uint8_t u = 0; u < plan_users_max; u++)
        m->reacted |= (uint32_t)((now & oracle_reactions_of(u)) != 0) << u;
    m->lists_touched = true;
}

/* ---- look-ups ---- */

uint64_t oracle_reaction_became(const struct omsg *m, uint32_t bit, bool there, uint64_t pos)
{
    const struct levels *l = &m->reactions;
    for (uint32_t i = l->len; i > 0; i--) {
        uint64_t before = i == 1 ? 0 : l->all[i - 2].n;
        bool is = (l->all[i - 1].n >> bit & 1) != 0, was = (before >> bit & 1) != 0;
        if (l->all[i - 1].pos <= pos && is != was && is == there)
            return l->all[i - 1].pos;
    }
    return 0;
}
