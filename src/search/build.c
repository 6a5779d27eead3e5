#include "search/build.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "search/tokens.h"

enum { text_postings_max = 8192, list_first = 4, arena_first = 1 << 20 };

struct word {
    struct word *next; /* of the bucket */
    struct word *all;  /* of everything */
    uint64_t team, hash;
    struct posting *p;
    uint32_t len, cap;
    uint16_t bytes;
    char text[];
};

struct build {
    struct arena_pool pool;
    struct arena arena;
    struct word **buckets;
    uint32_t buckets_len; /* a power of two */
    struct word *first;
    uint32_t postings, postings_max;
};

enum err build_new(struct build **out, uint32_t postings)
{
    struct build *b = calloc(1, sizeof *b);
    if (b == NULL)
        return ERR_NOMEM;
    arena_pool_init(&b->pool, arena_first, 1, UINT64_MAX);
    b->postings_max = postings;
    b->buckets_len = 64;
    while (b->buckets_len < postings / 4)
        b->buckets_len *= 2;
    b->buckets = calloc(b->buckets_len, sizeof *b->buckets);
    if (b->buckets == NULL || arena_init(&b->arena, &b->pool, UINT64_MAX) != ERR_OK) {
        build_free(b);
        return ERR_NOMEM;
    }
    *out = b;
    return ERR_OK;
}

void build_free(struct build *b)
{
    if (b == NULL)
        return;
    arena_deinit(&b->arena);
    arena_pool_deinit(&b->pool);
    free(b->buckets);
    free(b);
}

bool build_is_full(const struct build *b)
{
    return b->postings >= b->postings_max;
}

bool build_is_empty(const struct build *b)
{
    return b->postings == 0;
}

/* ---- words ---- */

static struct word *find(struct build *b, uint64_t team, struct str_view word)
{
    uint64_t hash = XXH3_64bits_withSeed(word.p, word.len, team);
    struct word **bucket = &b->buckets[hash & (b->buckets_len - 1)];
    for (struct word *w = *bucket; w != NULL; w = w->next) {
        if (w->hash == hash && w->team == team && w->bytes == word.len &&
            memcmp(w->text, word.p, word.len) == 0)
            return w;
    }
    struct word *w = arena_alloc(&b->arena, sizeof *w + word.len);
    if (w == NULL)
        return NULL;
    *w = (struct word){
        .next = *bucket, .all = b->first, .team = team, .hash = hash, .bytes = (uint16_t)word.len};
    memcpy(w->text, word.p, word.len);
    *bucket = b->first = w;
    return w;
}

static bool add_posting(struct build *b, struct word *w, struct posting where)
{
    if (w->len > 0 && w->p[w->len - 1].ts_us == where.ts_us)
        return true; /* the word stands in this text twice */
    if (w->len == w->cap) {
        uint32_t cap = w->cap == 0 ? list_first : w->cap * 2;
        struct posting *more = arena_alloc(&b->arena, cap * sizeof *more);
        if (more == NULL)
            return false;
        if (w->len > 0)
            memcpy(more, w->p, w->len * sizeof *more);
        w->p = more;
        w->cap = cap;
    }
    w->p[w->len++] = where;
    b->postings++;
    return true;
}

bool build_add_word(struct build *b, uint64_t team, struct posting where, struct str_view word)
{
    struct word *w = find(b, team, word);
    return w != NULL && add_posting(b, w, where);
}

struct adding {
    struct build *b;
    uint64_t team;
    struct posting where;
    uint32_t left;
    bool failed;
};

static bool on_token(void *ctx, const struct token *t)
{
    struct adding *x = ctx;
    x->failed = !build_add_word(x->b, x->team, x->where, t->word);
    return !x->failed && --x->left > 0;
}

bool build_add(struct build *b, uint64_t team, struct posting where, struct str_view text)
{
    struct adding x = {.b = b, .team = team, .where = where, .left = text_postings_max};
    tokens_each(text, on_token, &x);
    return !x.failed;
}

/* ---- rows ---- */

static int newest_first(const void *a, const void *b)
{
    const struct posting *x = a, *y = b;
    return (x->ts_us < y->ts_us) - (x->ts_us > y->ts_us);
}

static void write_word(struct batch *batch, struct word *w)
{
    qsort(w->p, w->len, sizeof *w->p, newest_first);
    for (uint32_t at = 0, n; at < w->len; at += n) {
        struct key k;
        n = MIN(w->len - at, (uint32_t)postings_max);
        key_posting(&k, w->team, (struct str_view){w->text, w->bytes}, w->p[at].ts_us);
        postings_encode(batch_put_begin(batch, CF_FTS, &k), &k, w->p + at, n);
        batch_put_end(batch);
    }
}

void build_write(struct build *b, struct batch *batch)
{
    for (struct word *w = b->first; w != NULL; w = w->all)
        write_word(batch, w);
    build_clear(b);
}

void build_clear(struct build *b)
{
    memset(b->buckets, 0, b->buckets_len * sizeof *b->buckets);
    b->first = NULL;
    b->postings = 0;
    arena_reset(&b->arena);
}
