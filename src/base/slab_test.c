#include "base/slab.h"

#include "test.h"

TEST(a_stale_handle_finds_nothing)
{
    struct slab s;
    uint64_t h, again;
    CHECK_EQ(slab_init(&s, 1, 24), ERR_OK);
    char *p = slab_take(&s, &h);
    CHECK(p != NULL && slab_find(&s, h) == p);
    memset(p, 'x', 24);
    slab_give(&s, h);
    CHECK(slab_find(&s, h) == NULL);
    CHECK(slab_find(&s, h + (1ull << 32)) == NULL); /* the free slot's own generation */
    CHECK(slab_take(&s, &again) == p);
    CHECK(again != h);
    CHECK(slab_find(&s, h) == NULL);
    CHECK(slab_find(&s, again) == p);
    for (int i = 0; i < 24; i++)
        CHECK_EQ(p[i], 0); /* the last tenant's bytes are gone */
    CHECK(slab_find(&s, SLAB_NONE) == NULL);
    CHECK(slab_find(&s, 0) == NULL);
    CHECK(slab_find(&s, again + 1) == NULL);            /* index past the end */
    CHECK(slab_find(&s, again + (1ull << 32)) == NULL); /* a generation to come */
    slab_deinit(&s);
}

TEST(the_cap_refuses)
{
    struct slab s;
    uint64_t h[3], seen;
    CHECK_EQ(slab_init(&s, 2, 1), ERR_OK);
    CHECK(slab_take(&s, &h[0]) != NULL);
    CHECK(slab_take(&s, &h[1]) != NULL);
    CHECK(slab_take(&s, &h[2]) == NULL);
    CHECK_EQ(slab_used(&s), 2);
    CHECK_EQ(slab_index(h[0]), 0);
    slab_give(&s, h[0]);
    CHECK_EQ(slab_used(&s), 1);
    CHECK(slab_at(&s, 0, &seen) == NULL);
    CHECK(slab_at(&s, 1, &seen) != NULL);
    CHECK(seen == h[1]);
    CHECK(slab_at(&s, 2, &seen) == NULL);
    CHECK(slab_take(&s, &h[2]) != NULL);
    slab_deinit(&s);
}
