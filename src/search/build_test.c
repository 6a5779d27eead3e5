#include "search/build.h"

#include "test.h"

enum { team = 7, channels = 5, each = 1700, messages = channels * each };

/* As the indexer reads: channel by channel, newest first, their times interleaved. */
static struct posting message_at(uint32_t i)
{
    uint32_t channel = i / each, nth = i % each;
    return (struct posting){1000000 + (uint64_t)(each - nth) * channels + channel, channel + 1};
}

/* What stands in which: all, hardly any, every other, or one channel's. */
static bool has_word(const char *word, uint32_t i)
{
    switch (word[0]) {
    case 'a':
        return true;
    case 'r':
        return i % 531 == 7;
    case 'c':
        return i / each == 3;
    case 'e':
    case 'o':
        return i % 2 == (word[0] == 'o');
    default:
        return i == 4242;
    }
}
static const char *const words[] = {"all", "rare", "channel", "even", "odd", "single"};

struct reading {
    struct posting got[messages];
    uint32_t len;
};

static bool take(void *ctx, const struct posting *p)
{
    struct reading *r = ctx;
    CHECK(r->len < messages);
    r->got[r->len++] = *p;
    return true;
}

/* The word's rows in the order of their keys, which is newest first. */
static void read_word(const struct batch *batch, const char *word, struct reading *r)
{
    uint64_t below_us = UINT64_MAX;
    r->len = 0;
    for (const struct row *next = NULL;; next = NULL) {
        for (const struct row *row = batch->first; row != NULL; row = row->next) {
            if (sv_eq(key_posting_word(row->key), sv_from(word)) &&
                key_posting_ts(row->key) < below_us &&
                (next == NULL || key_posting_ts(row->key) > key_posting_ts(next->key)))
                next = row;
        }
        if (next == NULL)
            return;
        below_us = key_posting_ts(next->key);
        CHECK_EQ(postings_decode(next->key, next->value, take, r), ERR_OK);
    }
}

static void add(struct build *b, uint32_t i)
{
    for (size_t k = 0; k < ARRAY_LEN(words); k++) {
        if (has_word(words[k], i)) {
            CHECK(build_add_word(b, team, message_at(i), sv_from(words[k])));
            CHECK(build_add_word(b, team, message_at(i), sv_from(words[k])));
        }
    }
}

static void check_word(const struct batch *batch, const char *word)
{
    static struct reading r;
    uint32_t want = 0;
    read_word(batch, word, &r);
    for (uint32_t i = 0; i < messages; i++)
        want += has_word(word, i);
    CHECK_EQ(r.len, want);
    for (uint32_t i = 0; i < r.len; i++) {
        uint64_t cid = r.got[i].cid, nth = each - (r.got[i].ts_us - 1000000) / channels;
        CHECK(i == 0 || r.got[i].ts_us < r.got[i - 1].ts_us);
        CHECK_EQ((r.got[i].ts_us - 1000000) % channels + 1, cid);
        CHECK(has_word(word, (uint32_t)((cid - 1) * each + nth)));
    }
}

TEST(lists_come_newest_first_whatever_the_order_of_reading)
{
    struct build *b;
    struct arena_pool pool;
    struct batch batch = {0};
    arena_pool_init(&pool, 1 << 16, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&batch.arena, &pool, UINT64_MAX), ERR_OK);
    CHECK_EQ(build_new(&b, 4 * messages), ERR_OK);
    for (int round = 0; round < 2; round++) { /* nothing of the first is left in the second */
        for (uint32_t i = 0; i < messages; i++)
            add(b, i);
        CHECK(!build_is_full(b) && !build_is_empty(b));
        CHECK(build_write(b, &batch));
        CHECK(build_is_empty(b) && !batch.failed);
        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            check_word(&batch, words[k]);
        struct arena arena = batch.arena;
        arena_reset(&arena);
        batch = (struct batch){.arena = arena};
    }
    CHECK(build_write(b, &batch)); /* nothing at all */
    CHECK_EQ(batch.rows_len, 0);
    build_free(b);
    arena_deinit(&batch.arena);
    arena_pool_deinit(&pool);
}
