#include "search/match.h"

/* ---- terms ---- */

struct compiling {
    struct arena *a;
    struct match_term *term;
    struct match_word last; /* `rest` of an unspaced run: counts only if it is all there is of it */
    uint32_t cap, words;    /* words: of the terms before, too */
    bool after_pair, too_many, failed;
};

static bool push_word(struct compiling *c, struct match_word w)
{
    struct match_term *t = c->term;
    if (t->len == c->cap) {
        uint32_t cap = c->cap == 0 ? 4 : c->cap * 2;
        struct match_word *more = arena_alloc(c->a, cap * sizeof *more);
        if (more == NULL)
            return false;
        if (t->len > 0)
            memcpy(more, t->words, t->len * sizeof *more);
        t->words = more;
        c->cap = cap;
    }
    w.word = arena_dup(c->a, w.word);
    t->words[t->len++] = w;
    return w.word.p != NULL;
}

/* The last character of a run stands in a pair already, unless it is the whole run. */
static bool on_query_token(void *ctx, const struct token *t)
{
    struct compiling *c = ctx;
    bool skip = t->rest && c->after_pair;
    c->after_pair = t->pair;
    if (skip)
        return true;
    c->too_many = c->words++ == match_words_max;
    c->failed = !c->too_many && !push_word(c, (struct match_word){t->word, t->rest, t->at});
    return !c->too_many && !c->failed;
}

enum err match_compile(struct match *m, const struct query *q, struct arena *a)
{
    uint32_t words = 0;
    *m = (struct match){.terms = arena_zalloc(a, (q->terms_len + 1) * sizeof *m->terms)};
    if (m->terms == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < q->terms_len; i++) {
        struct match_term *t = &m->terms[m->terms_len];
        struct compiling c = {.a = a, .term = t, .words = words};
        *t = (struct match_term){.negated = q->terms[i].negated};
        tokens_each(q->terms[i].text, on_query_token, &c);
        if (c.too_many || c.failed)
            return c.too_many ? ERR_INVALID_ARGUMENTS : ERR_NOMEM;
        words = c.words;
        if (t->len == 0)
            continue;
        t->words[t->len - 1].prefix |= q->terms[i].prefix;
        m->terms_len++;
    }
    return ERR_OK;
}

/* ---- the words of a text ---- */

struct text_word {
    struct str_view word, source;
};

struct words {
    struct arena *a;
    struct text_word *p;
    uint32_t len, cap;
    bool failed;
};

static bool on_text_token(void *ctx, const struct token *t)
{
    struct words *w = ctx;
    if (w->len == w->cap) {
        uint32_t cap = w->cap == 0 ? 64 : w->cap * 2;
        struct text_word *more = arena_alloc(w->a, cap * sizeof *more);
        if (more == NULL) {
            w->failed = true;
            return false;
        }
        if (w->len > 0)
            memcpy(more, w->p, w->len * sizeof *more);
        w->p = more;
        w->cap = cap;
    }
    struct str_view word = arena_dup(w->a, t->word);
    w->failed = word.p == NULL;
    w->p[w->len++] = (struct text_word){word, t->source};
    return !w->failed;
}

static bool is_word(const struct match_word *m, struct str_view word)
{
    return m->prefix ? sv_starts(word, m->word) : sv_eq(word, m->word);
}

static bool stands_at(const struct match_term *t, const struct words *w, uint32_t i)
{
    for (uint32_t k = 0; k < t->len; k++) {
        uint64_t at = (uint64_t)i + t->words[k].at;
        if (at >= w->len || !is_word(&t->words[k], w->p[at].word))
            return false;
    }
    return true;
}

static uint32_t count_term(const struct match_term *t, const struct words *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->len; i++)
        n += stands_at(t, w, i);
    return n;
}

bool match_text(const struct match *m, struct str_view text, struct arena *scratch, uint32_t *score)
{
    struct words w = {.a = scratch};
    uint64_t found = 0;
    tokens_each(text, on_text_token, &w);
    for (uint32_t i = 0; i < m->terms_len; i++) {
        uint32_t n = count_term(&m->terms[i], &w);
        if (w.failed || (n == 0) != m->terms[i].negated)
            return false;
        found += n * m->terms[i].len;
    }
    *score = (uint32_t)(MIN(found, (uint64_t)16) * 1000 + found * 1000 / (w.len + 1));
    return !w.failed;
}

/* ---- marks ---- */

static void mark_term(const struct match_term *t, const struct words *w, bool *marked)
{
    for (uint32_t i = 0; i < w->len && !t->negated; i++) {
        if (!stands_at(t, w, i))
            continue;
        for (uint32_t k = 0; k < t->len; k++)
            marked[i + t->words[k].at] = true;
    }
}

void match_highlight(const struct match *m, struct str_view text, struct arena *scratch,
                     struct buf *out)
{
    static const char begin[] = "\xee\x80\x80", end[] = "\xee\x80\x81";
    struct words w = {.a = scratch};
    tokens_each(text, on_text_token, &w);
    bool *marked = arena_zalloc(scratch, w.len + 1u);
    if (w.failed || marked == NULL) {
        buf_put_sv(out, text);
        return;
    }
    for (uint32_t i = 0; i < m->terms_len; i++)
        mark_term(&m->terms[i], &w, marked);
    size_t at = 0;
    for (uint32_t i = 0; i < w.len; i++) {
        size_t from = (size_t)(w.p[i].source.p - text.p), to = from + w.p[i].source.len;
        if (!marked[i] || to <= at)
            continue;
        /* Pairs overlap: what they cover together is one piece. */
        from = MAX(from, at);
        for (; i + 1 < w.len && marked[i + 1] && w.p[i + 1].source.p < text.p + to; i++)
            to = MAX(to, (size_t)(w.p[i + 1].source.p - text.p) + w.p[i + 1].source.len);
        buf_put(out, text.p + at, from - at);
        buf_put(out, begin, 3);
        buf_put(out, text.p + from, to - from);
        buf_put(out, end, 3);
        at = to;
    }
    buf_put(out, text.p + at, text.len - at);
}
