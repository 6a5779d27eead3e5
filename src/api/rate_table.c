#include "api/rate_table.h"

uint64_t *rate_table_word(struct rate_table *t, struct rand_src *rand, const uint64_t key[2])
{
    if (t->seed == 0)
        t->seed = rand_u64(rand) | 1;
    /* Odd: of keys with the same first half no two meet before they are mixed. */
    uint64_t set = mix64(t->seed ^ key[0] ^ key[1] * 0x9e3779b97f4a7c15u) % rate_sets;
    struct rate_entry *ways = &t->entries[set * rate_ways], *least = ways;
    for (uint32_t i = 0; i < rate_ways; i++) {
        if (ways[i].key[0] == key[0] && ways[i].key[1] == key[1])
            return &ways[i].rate;
        if (ways[i].rate < least->rate)
            least = &ways[i];
    }
    *least = (struct rate_entry){.key = {key[0], key[1]}};
    return &least->rate;
}
