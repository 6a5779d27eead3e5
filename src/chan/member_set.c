#include <stdlib.h>

#include "chan/internal.h"

enum { set_first_cap = 16 };

void member_set_free(struct member_set *s)
{
    free(s->slots);
    *s = (struct member_set){0};
}

static uint32_t slot_of(const struct member_set *s, uint64_t uid)
{
    return (uint32_t)mix64(uid) & (s->cap - 1);
}

/* Of uid, or of the empty slot that ends its run. */
static uint32_t find(const struct member_set *s, uint64_t uid)
{
    uint32_t i = slot_of(s, uid);
    while (s->slots[i] != ID_NONE && s->slots[i] != uid)
        i = (i + 1) & (s->cap - 1);
    return i;
}

/* At most three quarters full. */
static bool fits(uint32_t cap, uint64_t len)
{
    return len * 4 <= (uint64_t)cap * 3;
}

enum err member_set_reserve(struct member_set *s, uint32_t more)
{
    uint64_t len = (uint64_t)s->len + more;
    if (s->cap > 0 && fits(s->cap, len))
        return ERR_OK;
    struct member_set grown = {.cap = s->cap == 0 ? set_first_cap : s->cap};
    while (!fits(grown.cap, len)) {
        if (grown.cap > UINT32_MAX / 2)
            return ERR_NOMEM;
        grown.cap *= 2;
    }
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (grown.slots == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < s->cap; i++) {
        if (s->slots[i] != ID_NONE)
            member_set_add(&grown, s->slots[i]);
    }
    free(s->slots);
    *s = grown;
    return ERR_OK;
}

void member_set_prefetch(const struct member_set *s, uint64_t uid)
{
    if (s->cap > 0)
        __builtin_prefetch(&s->slots[slot_of(s, uid)]);
}

bool member_set_has(const struct member_set *s, uint64_t uid)
{
    return uid != ID_NONE && s->cap > 0 && s->slots[find(s, uid)] == uid;
}

void member_set_add(struct member_set *s, uint64_t uid)
{
    uint32_t i = find(s, uid);
    ASSERT(uid != ID_NONE && s->slots[i] == ID_NONE);
    s->slots[i] = uid;
    s->len++;
}

/* Closes the hole by moving back what had been pushed past it: no tombstones, so a set that people
 * join and leave all day stays as fast as on its first. */
void member_set_del(struct member_set *s, uint64_t uid)
{
    uint32_t mask = s->cap - 1, hole = find(s, uid);
    ASSERT(s->slots[hole] == uid);
    for (uint32_t i = (hole + 1) & mask; s->slots[i] != ID_NONE; i = (i + 1) & mask) {
        uint32_t home = slot_of(s, s->slots[i]);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole */
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole] = ID_NONE;
    s->len--;
}
