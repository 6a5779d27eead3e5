#include "api/slow.h"

#include <stdlib.h>

const char *stage_name(enum stage s)
{
    static const char *const names[STAGE_COUNT] = {
#define STAGE(code, name, what) name,
#include "api/stage.def"
#undef STAGE
    };
    return names[s];
}

/* The next free place, one that is too old, or the least slow one. */
static uint32_t place_for(const struct slow_table *t, uint64_t now_us)
{
    uint32_t least = 0;
    if (t->len < slow_entries_max)
        return t->len;
    for (uint32_t i = 0; i < t->len; i++) {
        if (t->until_us[i] <= now_us)
            return i;
        if (t->entries[i].own_us < t->entries[least].own_us)
            least = i;
    }
    return least;
}

static void find_bounds(struct slow_table *t)
{
    t->least_us = UINT32_MAX;
    t->expires_us = UINT64_MAX;
    for (uint32_t i = 0; i < t->len; i++) {
        t->least_us = MIN(t->least_us, t->entries[i].own_us);
        t->expires_us = MIN(t->expires_us, t->until_us[i]);
    }
}

struct slow_entry *slow_offer(struct slow_table *t, uint32_t own_us, uint64_t now_us)
{
    if (LIKELY(t->len == slow_entries_max && own_us <= t->least_us && now_us < t->expires_us))
        return NULL;
    uint32_t i = place_for(t, now_us);
    if (i == t->len)
        t->len++;
    t->entries[i] = (struct slow_entry){.own_us = own_us};
    t->until_us[i] = now_us + UINT64_C(1000000) * slow_window_s;
    find_bounds(t);
    return &t->entries[i];
}

static int slower_first(const void *a, const void *b)
{
    uint32_t x = ((const struct slow_entry *)a)->own_us, y = ((const struct slow_entry *)b)->own_us;
    return (x < y) - (x > y);
}

void slow_sort(struct slow_entry *entries, uint32_t len)
{
    qsort(entries, len, sizeof *entries, slower_first);
}

uint32_t slow_read(const struct slow_table *t, uint64_t now_us,
                   struct slow_entry out[slow_entries_max])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->len; i++) {
        if (t->until_us[i] > now_us)
            out[n++] = t->entries[i];
    }
    slow_sort(out, n);
    return n;
}
