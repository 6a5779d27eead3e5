#include <stdlib.h>

#include "base/rand.h"
#include "search/internal.h"

enum err dirty_init(struct dirty *d, uint32_t max)
{
    d->cap = max;
    d->set_cap = 64;
    while (d->set_cap < 2 * max)
        d->set_cap *= 2;
    d->queue = calloc(max, sizeof *d->queue);
    d->set = calloc(d->set_cap, sizeof *d->set);
    return d->queue == NULL || d->set == NULL ? ERR_NOMEM : ERR_OK;
}

void dirty_deinit(struct dirty *d)
{
    free(d->queue);
    free(d->set);
}

static uint32_t slot_of(const struct dirty *d, uint64_t cid)
{
    return (uint32_t)mix64(cid) & (d->set_cap - 1);
}

bool dirty_add(struct dirty *d, uint64_t cid)
{
    uint32_t i = slot_of(d, cid);
    for (; d->set[i] != ID_NONE; i = (i + 1) & (d->set_cap - 1)) {
        if (d->set[i] == cid)
            return true;
    }
    if (d->len == d->cap)
        return false;
    d->set[i] = cid;
    d->queue[(d->at + d->len++) % d->cap] = cid;
    return true;
}

/* Who stands behind the gap moves up, unless his own place lies behind it. */
static void set_remove(struct dirty *d, uint64_t cid)
{
    uint32_t mask = d->set_cap - 1, gap = slot_of(d, cid);
    while (d->set[gap] != cid)
        gap = (gap + 1) & mask;
    for (uint32_t i = (gap + 1) & mask; d->set[i] != ID_NONE; i = (i + 1) & mask) {
        if (((i - slot_of(d, d->set[i])) & mask) >= ((i - gap) & mask)) {
            d->set[gap] = d->set[i];
            gap = i;
        }
    }
    d->set[gap] = ID_NONE;
}

bool dirty_take(struct dirty *d, uint64_t *cid)
{
    if (d->len == 0)
        return false;
    *cid = d->queue[d->at];
    d->at = (d->at + 1) % d->cap;
    d->len--;
    set_remove(d, *cid);
    return true;
}
