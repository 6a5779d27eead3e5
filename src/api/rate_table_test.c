#include "api/rate_table.h"

#include <stdlib.h>

#include "test.h"

TEST(a_key_keeps_its_word_and_the_least_debtor_makes_room)
{
    struct rate_table *t = calloc(1, sizeof *t);
    struct rand_src rand;
    uint64_t key[2] = {7, 8}, other[2] = {7, 9};
    CHECK(t != NULL);
    rand_init_seeded(&rand, 1);
    *rate_table_word(t, &rand, key) = UINT64_MAX;
    CHECK_EQ(*rate_table_word(t, &rand, other), 0);
    for (uint64_t i = 0; i < 16 * rate_sets; i++) { /* every set is full of who owes less */
        uint64_t more[2] = {i, 1000};
        *rate_table_word(t, &rand, more) = i + 1;
    }
    CHECK_EQ(*rate_table_word(t, &rand, key), UINT64_MAX);
    free(t);
}
