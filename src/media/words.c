#include "media/words.h"

#include "base/varint.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

enum {
    slots = 2 * words_max, /* a power of two */
    first_cap = 64,
    label_gap = 2,   /* between two texts of the label */
    label_weight = 4 /* a word of the title says more than one of the content */
};

/* ---- gathering ---- */

enum err words_init(struct words *w, struct arena *a)
{
    *w = (struct words){.a = a, .places_len = 1};
    w->slots = arena_zalloc(a, slots * sizeof *w->slots);
    return w->slots == NULL ? ERR_NOMEM : ERR_OK;
}

/* A longer one in place of an array that is full. */
static void *grown(struct words *w, const void *p, uint32_t len, uint32_t *cap, size_t each)
{
    uint32_t more = MAX(*cap * 2, (uint32_t)first_cap);
    void *to = arena_alloc(w->a, more * each);
    if (to == NULL)
        return NULL;
    if (len > 0)
        memcpy(to, p, len * each);
    *cap = more;
    return to;
}

static bool push_word(struct words *w, struct str_view text)
{
    if (w->len == w->cap) {
        struct word *more = grown(w, w->p, w->len, &w->cap, sizeof *more);
        if (more == NULL)
            return false;
        w->p = more;
    }
    w->p[w->len++] = (struct word){.text = text};
    return true;
}

/* NULL: there are enough words, or no memory. copy: the text does not live as long as w. */
static struct word *find(struct words *w, struct str_view text, bool copy)
{
    uint32_t i = (uint32_t)XXH3_64bits(text.p, text.len) & (slots - 1);
    for (; w->slots[i] != 0; i = (i + 1) & (slots - 1)) {
        if (sv_eq(w->p[w->slots[i] - 1].text, text))
            return &w->p[w->slots[i] - 1];
    }
    if (w->len == words_max)
        return NULL;
    if (copy)
        text = arena_dup(w->a, text);
    if (text.p == NULL || !push_word(w, text)) {
        w->failed = true;
        return NULL;
    }
    w->slots[i] = (uint16_t)w->len;
    return &w->p[w->len - 1];
}

static void add_place(struct words *w, struct word *word, uint32_t at)
{
    if (w->places_len >= w->places_cap) {
        uint32_t kept = w->places_cap == 0 ? 0 : w->places_len;
        struct place *more = grown(w, w->places, kept, &w->places_cap, sizeof *more);
        if (more == NULL) {
            w->failed = true;
            return;
        }
        w->places = more;
    }
    w->places[w->places_len] = (struct place){.at = at};
    if (word->first == 0)
        word->first = w->places_len;
    else
        w->places[word->last].next = w->places_len;
    word->last = w->places_len++;
}

struct adding {
    struct words *w;
    uint32_t base, end; /* of its places */
    uint32_t last;
};

static bool on_token(void *ctx, const struct token *t)
{
    struct adding *x = ctx;
    if (x->base + t->at >= x->end)
        return false;
    x->last = x->base + t->at;
    struct word *word = find(x->w, t->word, true);
    if (word != NULL)
        add_place(x->w, word, x->last);
    return !x->w->failed;
}

void words_add_label(struct words *w, struct str_view text)
{
    struct adding x = {.w = w, .base = w->at, .end = label_places, .last = w->at};
    if (text.len == 0)
        return;
    tokens_each(text, on_token, &x);
    w->at = x.last + label_gap;
}

void words_add_content(struct words *w, struct str_view text)
{
    struct adding x = {.w = w, .base = label_places, .end = label_places + content_places};
    tokens_each(text, on_token, &x);
}

void words_add_mark(struct words *w, struct str_view mark)
{
    (void)find(w, mark, true);
}

enum err words_add_packed_content(struct words *w, struct str_view packed)
{
    struct words_reader r = words_read(packed);
    struct packed_word p;
    uint32_t at;
    while (words_next(&r, &p)) {
        struct word *word = NULL;
        while (words_place(&r, &p, &at)) {
            if (at < label_places || w->failed)
                continue;
            if (word == NULL)
                word = find(w, p.text, false);
            if (word != NULL)
                add_place(w, word, at);
        }
    }
    return r.corrupt ? ERR_CORRUPT : ERR_OK;
}

static int by_text(const void *a, const void *b)
{
    return sv_cmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

void words_sort(struct words *w)
{
    if (w->len > 0)
        qsort(w->p, w->len, sizeof *w->p, by_text);
}

/* ---- packing ---- */

static void pack(const struct words *w, const struct word *word, struct buf *out)
{
    uint32_t n = 0, last = 0;
    ASSERT(word->text.len <= token_bytes_max);
    buf_putc(out, (char)word->text.len);
    buf_put_sv(out, word->text);
    for (uint32_t i = word->first; i != 0; i = w->places[i].next)
        n++;
    varint_put(out, n);
    for (uint32_t i = word->first; i != 0; i = w->places[i].next) {
        varint_put(out, w->places[i].at - last);
        last = w->places[i].at;
    }
}

void words_pack(const struct words *w, struct buf *out)
{
    for (uint32_t i = 0; i < w->len; i++)
        pack(w, &w->p[i], out);
}

/* ---- reading ---- */

struct words_reader words_read(struct str_view packed)
{
    const uint8_t *p = (const uint8_t *)packed.p;
    return (struct words_reader){.p = p, .end = packed.len == 0 ? p : p + packed.len};
}

static uint32_t get_v(struct words_reader *r)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 28 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        v |= (uint32_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    r->corrupt = true;
    return 0;
}

bool words_next(struct words_reader *r, struct packed_word *w)
{
    if (r->corrupt || r->p == r->end)
        return false;
    size_t len = *r->p++;
    r->corrupt = len > (size_t)(r->end - r->p) || len > token_bytes_max;
    if (r->corrupt)
        return false;
    *w = (struct packed_word){.text = {(const char *)r->p, len}};
    r->p += len;
    w->places_len = get_v(r);
    return !r->corrupt;
}

bool words_place(struct words_reader *r, struct packed_word *w, uint32_t *at)
{
    if (w->places_len == 0 || r->corrupt)
        return false;
    w->at += get_v(r);
    w->places_len--;
    r->corrupt |= w->at >= label_places + content_places;
    *at = w->at;
    return !r->corrupt;
}

void words_skip(struct words_reader *r, struct packed_word *w)
{
    for (uint32_t at; words_place(r, w, &at);)
        ;
}

/* ---- asking ---- */

/* A bit per place: a phrase is there where the bits of its words, each moved back by its place in
 * the phrase, are all set. */
enum {
    bits_len = (label_places + content_places) / 64,
    label_bits_len = label_places / 64,
    bits_bytes = bits_len * sizeof(uint64_t)
};
_Static_assert(label_places % 64 == 0 && content_places % 64 == 0, "whole words of bits");

struct wanted {
    const struct match_word *word;
    uint64_t *bits;
};

static bool is_same(const struct match_word *a, const struct match_word *b)
{
    return a->prefix == b->prefix && sv_eq(a->word, b->word);
}

static bool want(struct words_query *q, const struct match_word *word, struct arena *a,
                 uint32_t *of)
{
    for (*of = 0; *of < q->wanted_len; ++*of) {
        if (is_same(q->wanted[*of].word, word))
            return true;
    }
    struct wanted *w = &q->wanted[q->wanted_len++];
    *w = (struct wanted){.word = word, .bits = arena_alloc(a, bits_bytes)};
    return w->bits != NULL;
}

static int by_word(const void *a, const void *b)
{
    const struct wanted *const *x = a, *const *y = b;
    return sv_cmp((*x)->word->word, (*y)->word->word);
}

static enum err sort_wanted(struct words_query *q, struct arena *a)
{
    q->sorted = arena_alloc(a, (q->wanted_len + 1) * sizeof *q->sorted);
    if (q->sorted == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < q->wanted_len; i++)
        q->sorted[i] = &q->wanted[i];
    qsort(q->sorted, q->wanted_len, sizeof *q->sorted, by_word);
    return ERR_OK;
}

enum err words_query_init(struct words_query *q, const struct match *m, struct arena *a)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->terms_len; i++)
        n += m->terms[i].len;
    *q = (struct words_query){.match = m,
                              .wanted = arena_alloc(a, (n + 1) * sizeof *q->wanted),
                              .of = arena_alloc(a, (n + 1) * sizeof *q->of),
                              .term = arena_alloc(a, bits_bytes)};
    if (q->wanted == NULL || q->of == NULL || q->term == NULL)
        return ERR_NOMEM;
    uint32_t *of = q->of;
    for (uint32_t i = 0; i < m->terms_len; i++) {
        for (uint32_t k = 0; k < m->terms[i].len; k++) {
            if (!want(q, &m->terms[i].words[k], a, of++))
                return ERR_NOMEM;
        }
    }
    return sort_wanted(q, a);
}

static bool is_word(const struct match_word *m, struct str_view word)
{
    return m->prefix ? sv_starts(word, m->word) : sv_eq(word, m->word);
}

/* Both are copies: who wants the same word reads its places again. */
static void set_bits(uint64_t *bits, struct words_reader r, struct packed_word w)
{
    for (uint32_t at; words_place(&r, &w, &at);)
        bits[at / 64] |= (uint64_t)1 << at % 64;
}

/* Both are in order, and the file's word is not before the one that was looked for before it. Those
 * of the query that stand in front of it and do not match will not match any more: the beginning of
 * a word stands in front of all that begin so. */
static void find_word(const struct words_query *q, uint32_t *first, struct words_reader r,
                      struct packed_word w)
{
    for (uint32_t i = *first; i < q->wanted_len; i++) {
        const struct wanted *x = q->sorted[i];
        if (is_word(x->word, w.text))
            set_bits(x->bits, r, w);
        else if (sv_cmp(x->word->word, w.text) > 0)
            return;
        else
            *first += i == *first;
    }
}

static enum err find_all(const struct words_query *q, struct str_view packed, uint32_t *places)
{
    struct words_reader r = words_read(packed);
    struct packed_word w;
    uint32_t first = 0;
    for (uint32_t i = 0; i < q->wanted_len; i++)
        memset(q->wanted[i].bits, 0, bits_bytes);
    while (words_next(&r, &w)) {
        *places += w.places_len;
        find_word(q, &first, r, w);
        words_skip(&r, &w);
    }
    return r.corrupt ? ERR_CORRUPT : ERR_OK;
}

static void and_moved(uint64_t *to, const uint64_t *from, uint32_t by)
{
    uint32_t whole = by / 64, rest = by % 64;
    for (uint32_t i = 0; i < bits_len; i++) {
        uint64_t low = i + whole < bits_len ? from[i + whole] : 0;
        uint64_t high = i + whole + 1 < bits_len ? from[i + whole + 1] : 0;
        to[i] &= rest == 0 ? low : low >> rest | high << (64 - rest);
    }
}

/* How often the term stands there, by weight. */
static uint32_t count_term(const struct words_query *q, const struct match_term *t,
                           const uint32_t *of)
{
    uint32_t n = 0;
    memset(q->term, 0xff, bits_bytes);
    for (uint32_t k = 0; k < t->len; k++)
        and_moved(q->term, q->wanted[of[k]].bits, t->words[k].at);
    for (uint32_t i = 0; i < bits_len; i++)
        n += (uint32_t)__builtin_popcountll(q->term[i]) * (i < label_bits_len ? label_weight : 1);
    return n;
}

enum err words_match(struct words_query *q, struct str_view packed, bool *found, uint32_t *score)
{
    const struct match *m = q->match;
    const uint32_t *of = q->of;
    uint32_t places = 0;
    uint64_t sum = 0;
    TRY(find_all(q, packed, &places));
    *found = true;
    for (uint32_t i = 0; i < m->terms_len; i++) {
        const struct match_term *t = &m->terms[i];
        uint32_t n = count_term(q, t, of);
        *found &= (n == 0) == t->negated;
        sum += (uint64_t)n * t->len;
        of += t->len;
    }
    *score = (uint32_t)(MIN(sum, (uint64_t)16) * 1000 + sum * 1000 / (places + 1));
    return ERR_OK;
}
