#include "base/slab.h"

#include <sys/mman.h>

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

/* Tables are sized for the worst: they may not cost it. Under AddressSanitizer they do. */
TEST(what_was_never_used_has_no_memory)
{
    enum { slots = 1 << 20, slot_bytes = 256 };
    struct slab s;
    uint64_t h, again;
    CHECK_EQ(slab_init(&s, slots, slot_bytes), ERR_OK);
    for (int i = 0; i < 100; i++)
        CHECK(slab_take(&s, &h) != NULL);
    slab_give(&s, h);
    CHECK(slab_take(&s, &again) != NULL);
    CHECK_EQ(slab_index(again), 99); /* the lowest are used again first */
#ifndef PARLEY_ASAN
    static unsigned char in_memory[slots * slot_bytes / 4096];
    uint32_t pages = 0;
    CHECK_EQ(mincore(s.slots, (size_t)slots * slot_bytes, in_memory), 0);
    for (size_t i = 0; i < sizeof in_memory; i++)
        pages += in_memory[i] & 1;
    CHECK_EQ(pages, (100 * slot_bytes + 4095) / 4096);
#endif
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
