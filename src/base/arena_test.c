#include "base/arena.h"

#include "test.h"

enum { first_bytes = 1024 };

struct fix {
    struct arena_pool pool;
    struct arena a;
};

static void fix_init(struct fix *f, uint64_t pool_max, uint64_t arena_max)
{
    arena_pool_init(&f->pool, first_bytes, 2, pool_max);
    CHECK_EQ(arena_init(&f->a, &f->pool, arena_max), ERR_OK);
}

static void fix_deinit(struct fix *f)
{
    arena_deinit(&f->a);
    CHECK_EQ(f->pool.bytes_used, 0);
    arena_pool_deinit(&f->pool);
}

TEST(pieces_are_aligned_and_apart)
{
    struct fix f;
    fix_init(&f, UINT64_MAX, 1 << 20);
    char *last = NULL;
    for (size_t n = 0; n < 300; n++) {
        char *p = arena_alloc(&f.a, n);
        CHECK(p != NULL);
        CHECK_EQ((uintptr_t)p % 16, 0);
        memset(p, 0xa5, n);
        last = p;
    }
    CHECK_EQ((unsigned char)last[298], 0xa5);
    char *z = arena_zalloc(&f.a, 5000);
    for (size_t i = 0; i < 5000; i++)
        CHECK_EQ(z[i], 0);
    fix_deinit(&f);
}

/* The bound is used to the last byte and never passed. */
TEST(an_arena_ends_at_its_bound)
{
    struct fix f;
    fix_init(&f, UINT64_MAX, 4096);
    CHECK(arena_alloc(&f.a, 4096) == NULL);
    CHECK(arena_alloc(&f.a, 1024) != NULL);
    CHECK(arena_alloc(&f.a, 3072) != NULL);
    CHECK(arena_alloc(&f.a, 1) == NULL);
    CHECK_EQ(f.a.bytes, 4096);
    arena_reset(&f.a);
    CHECK(arena_alloc(&f.a, 3072) != NULL);
    fix_deinit(&f);
}

TEST(a_size_near_the_end_of_the_address_space_is_refused)
{
    struct fix f;
    fix_init(&f, UINT64_MAX, UINT64_MAX);
    CHECK(arena_alloc(&f.a, SIZE_MAX) == NULL);
    CHECK(arena_alloc(&f.a, SIZE_MAX - 15) == NULL);
    CHECK(arena_alloc(&f.a, SIZE_MAX - 64) == NULL);
    fix_deinit(&f);
}

TEST(the_pool_counts_what_is_charged_and_forgets_what_is_reset)
{
    struct fix f;
    struct arena second, third;
    fix_init(&f, 5 * first_bytes, 1 << 20);
    CHECK_EQ(arena_init(&second, &f.pool, 1 << 20), ERR_OK);
    CHECK(arena_alloc(&f.a, 4 * first_bytes) != NULL);
    CHECK_EQ(f.pool.bytes_used, 2 * first_bytes); /* a borrower's growth is not counted yet */
    CHECK(!arena_charge(&f.a));
    CHECK_EQ(f.pool.bytes_used, 6 * first_bytes);
    CHECK(!arena_charge(&f.a)); /* the same bytes are not charged twice */
    CHECK_EQ(f.pool.bytes_used, 6 * first_bytes);
    CHECK_EQ(arena_init(&third, &f.pool, 1 << 20), ERR_NOMEM);
    arena_reset(&f.a);
    CHECK_EQ(f.pool.bytes_used, 2 * first_bytes);
    CHECK_EQ(arena_init(&third, &f.pool, 1 << 20), ERR_OK);
    CHECK(arena_alloc(&third, 4 * first_bytes) != NULL); /* never charged: nothing to give back */
    arena_deinit(&third);
    arena_deinit(&second);
    CHECK_EQ(f.pool.free_len, 2);
    arena_deinit(&second); /* twice is harmless */
    fix_deinit(&f);
}

TEST(first_blocks_are_recycled_empty)
{
    struct fix f;
    fix_init(&f, UINT64_MAX, 1 << 20);
    void *p = arena_alloc(&f.a, 100);
    arena_deinit(&f.a);
    CHECK_EQ(f.pool.free_len, 1);
    CHECK_EQ(arena_init(&f.a, &f.pool, 1 << 20), ERR_OK);
    CHECK_EQ(f.pool.free_len, 0);
    CHECK(arena_alloc(&f.a, 100) == p);
    fix_deinit(&f);
}

TEST(dup_ends_with_nul)
{
    struct fix f;
    fix_init(&f, UINT64_MAX, 1 << 20);
    struct str_view s = arena_dup(&f.a, SV("abc"));
    CHECK_SV(s, "abc");
    CHECK_EQ(s.p[3], 0);
    CHECK_SV(arena_dup(&f.a, SV_NONE), "");
    CHECK(arena_dup(&f.a, (struct str_view){s.p, 2 << 20}).p == NULL);
    fix_deinit(&f);
}

TEST(a_buffer_grows_in_place_while_it_is_the_newest_piece)
{
    struct fix f;
    struct buf b;
    fix_init(&f, UINT64_MAX, 1 << 20);
    buf_init(&b, &f.a, 16);
    char *at = b.p;
    for (int i = 0; i < 400; i++)
        buf_putc(&b, (char)('a' + i % 26));
    CHECK(b.p == at);
    char *other = arena_alloc(&f.a, 16);
    memset(other, '!', 16);
    for (int i = 400; i < 20000; i++)
        buf_putc(&b, (char)('a' + i % 26));
    CHECK(b.p != at);
    for (int i = 0; i < 20000; i++)
        CHECK_EQ(b.p[i], 'a' + i % 26);
    CHECK_MEM(other, "!!!!!!!!!!!!!!!!", 16);
    CHECK(!b.failed);
    fix_deinit(&f);
}

/* Doubling would pass the bound where the exact size does not. */
TEST(a_buffer_near_the_bound_takes_what_is_left)
{
    struct fix f;
    struct buf b;
    fix_init(&f, UINT64_MAX, first_bytes + 3000);
    buf_init(&b, &f.a, first_bytes);
    memset(b.p, 'x', first_bytes);
    b.len = first_bytes;
    CHECK(buf_reserve(&b, 1900));
    CHECK_EQ(b.p[first_bytes - 1], 'x');
    buf_init(&b, &f.a, 4000);
    CHECK(b.failed);
    fix_deinit(&f);
}

TEST(a_fixed_buffer_fails_when_full_and_says_so_for_ever)
{
    char space[8];
    struct buf b;
    buf_init_fixed(&b, space, sizeof space);
    buf_put(&b, "1234567", 7);
    buf_put(&b, "89", 2);
    CHECK(b.failed);
    CHECK_EQ(b.len, 7);
    buf_putc(&b, '8');
    CHECK(b.failed);
    buf_init_fixed(&b, space, sizeof space);
    buf_printf(&b, "%d", 1234567); /* with room for its NUL */
    CHECK(!b.failed);
    CHECK_SV(buf_view(&b), "1234567");
    buf_printf(&b, "%d", 8);
    CHECK(b.failed);
}
