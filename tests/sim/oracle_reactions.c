/* oracle_reactions.c - which reactions messages have: told by their rows, and held against what was
 * asked for. A row is written once a batch: what was given and taken back in the same one is in
 * none. */
#include "base/varint.h"
#include "grow.h"
#include "world.h"

/* ---- what was asked for ---- */

static struct deed deed_of(struct oracle *o, uint32_t n, uint32_t bit, bool add, uint64_t pos)
{
    struct deed d = oracle_deed_at(o, pos);
    enum wish_kind kind = add ? WISH_REACT : WISH_UNREACT;
    for (uint32_t id = 1; id <= o->wishes_len; id++) {
        const struct wish *a = &o->wishes[id - 1];
        if (a->number == n && a->kind == kind && a->what == bit)
            oracle_deed_may_be(o, &d, id);
    }
    return d;
}

bool oracle_reaction_is_hidden(struct oracle *o, uint32_t n, uint32_t bit, bool add, uint64_t pos)
{
    uint32_t len = o->deeds_len;
    struct deed this = deed_of(o, n, bit, add, pos), other = deed_of(o, n, bit, !add, pos);
    bool is = oracle_deed(o, &this) && (pos == o->msgs[n].deleted_pos || oracle_deed(o, &other));
    oracle_deeds_forget(o, len);
    return is;
}

/* ---- rows ---- */

/* Of each emoji its name, how many gave it, and who (chan/reactions.c). */
static uint64_t mask_of(struct world *w, struct str_view packed)
{
    uint64_t mask = 0, len = 0, users = 0, uid = 0;
    while (packed.len > 0) {
        bool whole = varint_get(&packed, &len) && len <= packed.len;
        uint32_t emoji = whole ? oracle_emoji((struct str_view){packed.p, len}) : oracle_emoji_max;
        if (emoji == oracle_emoji_max)
            violation(w, "rows_whole", "a reaction that nobody gives");
        packed.p += len;
        packed.len -= len;
        whole = varint_get(&packed, &users) && users > 0;
        for (; whole && users > 0; users--) {
            whole = varint_get(&packed, &uid);
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

static void check_asked(struct world *w, uint32_t n, uint32_t bit, bool add)
{
    struct deed d = deed_of(&w->oracle, n, bit, add, w->oracle.pos);
    if (!oracle_deed(&w->oracle, &d))
        violation(w, "changes_kept", "message #%u %s a reaction of user %u, and nobody asked", n,
                  add ? "gets" : "loses", bit % plan_users_max);
}

void oracle_on_reactions(struct world *w, const struct ochan *c, uint32_t n, struct str_view packed)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = &o->msgs[n];
    uint64_t before = levels_at(&m->reactions, o->pos), now = mask_of(w, packed);
    for (uint64_t changed = before ^ now; changed != 0; changed &= changed - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(changed);
        check_asked(w, n, bit, (now >> bit & 1) != 0);
        oracle_check_quiet(w, c, "somebody reacts, or takes it back");
    }
    levels_set(&m->reactions, o->pos, now);
    m->reacted = 0;
    for (uint8_t u = 0; u < plan_users_max; u++)
        m->reacted |= (uint32_t)((now & oracle_reactions_of(u)) != 0) << u;
    m->lists_touched = true;
}

/* ---- look-ups ---- */

/* Whether the i-th level is where it came, or went. */
static bool becomes(const struct omsg *m, uint32_t i, uint32_t bit, bool there)
{
    const struct levels *l = &m->reactions;
    uint64_t before = i == 0 ? 0 : l->all[i - 1].n;
    bool is = (l->all[i].n >> bit & 1) != 0, was = (before >> bit & 1) != 0;
    return is != was && is == there && l->all[i].pos != m->deleted_pos;
}

uint64_t oracle_reaction_became(const struct omsg *m, uint32_t bit, bool there, uint64_t pos)
{
    const struct levels *l = &m->reactions;
    uint32_t i = l->len;
    while (i > 0 && (l->all[i - 1].pos > pos || !becomes(m, i - 1, bit, there)))
        i--;
    return i == 0 ? 0 : l->all[i - 1].pos;
}

uint64_t oracle_reaction_next(const struct omsg *m, uint32_t bit, bool there, uint64_t after,
                              uint64_t to)
{
    const struct levels *l = &m->reactions;
    uint32_t i = 0;
    while (i < l->len && (l->all[i].pos <= after || !becomes(m, i, bit, there)))
        i++;
    return i < l->len && l->all[i].pos <= to ? l->all[i].pos : 0;
}
