#include "levels.h"

#include "grow.h"

void levels_set(struct levels *l, uint64_t pos, uint64_t n)
{
    if ((l->len == 0 ? 0 : l->all[l->len - 1].n) == n)
        return;
    GROW(l->all, l->len, l->cap);
    l->all[l->len++] = (struct level){pos, n};
}

void levels_free(struct levels *l)
{
    free(l->all);
}

uint64_t levels_at(const struct levels *l, uint64_t pos)
{
    uint32_t i = l->len;
    while (i > 0 && l->all[i - 1].pos > pos)
        i--;
    return i == 0 ? 0 : l->all[i - 1].n;
}

bool levels_within(const struct levels *l, uint64_t least, uint64_t most, uint64_t from,
                   uint64_t to)
{
    uint32_t i = l->len;
    for (; i > 0 && l->all[i - 1].pos > from; i--) {
        const struct level *one = &l->all[i - 1];
        if (one->pos <= to && one->n >= least && one->n <= most)
            return true;
    }
    uint64_t first = i == 0 ? 0 : l->all[i - 1].n;
    return first >= least && first <= most;
}

bool levels_became(const struct levels *l, uint64_t n, uint64_t from, uint64_t to)
{
    uint32_t i = l->len;
    while (i > 0 && l->all[i - 1].pos > from && (l->all[i - 1].pos > to || l->all[i - 1].n != n))
        i--;
    return i > 0 && l->all[i - 1].pos > from;
}

uint64_t levels_next(const struct levels *l, uint64_t n, uint64_t after, uint64_t to)
{
    uint32_t i = 0;
    while (i < l->len && (l->all[i].pos <= after || l->all[i].n != n))
        i++;
    return i < l->len && l->all[i].pos <= to ? l->all[i].pos : 0;
}

void levels_bits(const struct levels *l, uint64_t from, uint64_t to, uint64_t *always,
                 uint64_t *ever)
{
    *always = *ever = levels_at(l, from);
    for (uint32_t i = l->len; i > 0 && l->all[i - 1].pos > from; i--) {
        if (l->all[i - 1].pos > to)
            continue;
        *always &= l->all[i - 1].n;
        *ever |= l->all[i - 1].n;
    }
}
