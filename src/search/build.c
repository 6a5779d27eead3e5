/* build.c - a word's list holds numbers of messages, in the order in which they were read. When all
 * is written the messages are put in order of time once; a long list comes into that order by a bit
 * for each message, which costs less than sorting it. */
#include "search/build.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

#include "search/tokens.h"

enum {
    text_postings_max = 8192,
    list_first = 4,
    messages_first = 1024,
    short_list = 16, /* sorted by itself */
    arena_first = 1 << 20
};

struct word {
    struct word *next; /* of the bucket */
    struct word *all;  /* of everything */
    uint64_t team, hash;
    uint32_t *messages;
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
    struct posting *messages; /* as they were read */
    uint32_t messages_len, messages_cap;
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

/* A longer one in place of a list that is full. */
static void *grown(struct build *b, const void *p, uint32_t len, uint32_t *cap, uint32_t first,
                   size_t each)
{
    uint32_t more = *cap == 0 ? first : *cap * 2;
    void *to = arena_alloc(&b->arena, more * each);
    if (to == NULL)
        return NULL;
    if (len > 0)
        memcpy(to, p, len * each);
    *cap = more;
    return to;
}

/* Its words come one after the other. */
static bool number_of(struct build *b, struct posting where, uint32_t *out)
{
    uint32_t n = b->messages_len;
    if (n == 0 || b->messages[n - 1].ts_us != where.ts_us || b->messages[n - 1].cid != where.cid) {
        if (n == b->messages_cap) {
            struct posting *more =
                grown(b, b->messages, n, &b->messages_cap, messages_first, sizeof *more);
            if (more == NULL)
                return false;
            b->messages = more;
        }
        b->messages[n] = where;
        b->messages_len = ++n;
    }
    *out = n - 1;
    return true;
}

static bool add_posting(struct build *b, struct word *w, struct posting where)
{
    uint32_t message;
    if (!number_of(b, where, &message))
        return false;
    if (w->len > 0 && w->messages[w->len - 1] == message)
        return true; /* the word stands in this text twice */
    if (w->len == w->cap) {
        uint32_t *more = grown(b, w->messages, w->len, &w->cap, list_first, sizeof *more);
        if (more == NULL)
            return false;
        w->messages = more;
    }
    w->messages[w->len++] = message;
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

struct place {
    uint64_t ts_us;
    uint32_t message;
};

struct order {            /* of all messages, newest first */
    struct posting *at;   /* by place */
    uint32_t *place_of;   /* by number */
    uint64_t *bits;       /* a bit per place, 0 between two words */
    struct posting *list; /* of one word: all messages at most */
};

static int newest_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->ts_us < y->ts_us) - (x->ts_us > y->ts_us);
}

static bool put_in_order(struct build *b, struct order *o)
{
    uint32_t n = b->messages_len;
    struct place *places = arena_alloc(&b->arena, n * sizeof *places);
    *o = (struct order){.at = arena_alloc(&b->arena, n * sizeof *o->at),
                        .place_of = arena_alloc(&b->arena, n * sizeof *o->place_of),
                        .bits = arena_zalloc(&b->arena, (n + 63) / 64 * sizeof *o->bits),
                        .list = arena_alloc(&b->arena, n * sizeof *o->list)};
    if (places == NULL || o->at == NULL || o->place_of == NULL || o->bits == NULL ||
        o->list == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++)
        places[i] = (struct place){b->messages[i].ts_us, i};
    qsort(places, n, sizeof *places, newest_first);
    for (uint32_t i = 0; i < n; i++) {
        o->at[i] = b->messages[places[i].message];
        o->place_of[places[i].message] = i;
    }
    return true;
}

static void order_short(const struct order *o, const struct word *w)
{
    uint32_t places[short_list];
    for (uint32_t i = 0; i < w->len; i++) {
        uint32_t place = o->place_of[w->messages[i]], k = i;
        for (; k > 0 && places[k - 1] > place; k--)
            places[k] = places[k - 1];
        places[k] = place;
    }
    for (uint32_t i = 0; i < w->len; i++)
        o->list[i] = o->at[places[i]];
}

static void order_long(const struct order *o, const struct word *w)
{
    uint32_t n = 0, low = UINT32_MAX, high = 0;
    for (uint32_t i = 0; i < w->len; i++) {
        uint32_t place = o->place_of[w->messages[i]];
        o->bits[place / 64] |= (uint64_t)1 << place % 64;
        low = MIN(low, place / 64);
        high = MAX(high, place / 64);
    }
    for (uint32_t i = low; i <= high; i++) {
        for (uint64_t left = o->bits[i]; left != 0; left &= left - 1)
            o->list[n++] = o->at[i * 64 + (uint32_t)__builtin_ctzll(left)];
        o->bits[i] = 0;
    }
    ASSERT(n == w->len);
}

static void write_word(const struct order *o, struct batch *batch, const struct word *w)
{
    if (w->len <= short_list)
        order_short(o, w);
    else
        order_long(o, w);
    for (uint32_t at = 0, n; at < w->len; at += n) {
        struct key k;
        n = MIN(w->len - at, (uint32_t)postings_max);
        key_posting(&k, w->team, (struct str_view){w->text, w->bytes}, o->list[at].ts_us);
        postings_encode(batch_put_begin(batch, CF_FTS, &k), &k, o->list + at, n);
        batch_put_end(batch);
    }
}

bool build_write(struct build *b, struct batch *batch)
{
    struct order o;
    bool ok = build_is_empty(b) || put_in_order(b, &o);
    for (struct word *w = ok ? b->first : NULL; w != NULL; w = w->all)
        write_word(&o, batch, w);
    build_clear(b);
    return ok;
}

void build_clear(struct build *b)
{
    memset(b->buckets, 0, b->buckets_len * sizeof *b->buckets);
    b->first = NULL;
    b->messages = NULL;
    b->messages_len = b->messages_cap = 0;
    b->postings = 0;
    arena_reset(&b->arena);
}
