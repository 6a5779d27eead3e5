/* find_lists.c - each condition of a query (a word, the words that begin so, one of the owners, one
 * of the conversations, one of the kinds) as a list of files, read from the rows of the index, some
 * a turn. A condition that is too wide is known only back to a time; what is older is judged by the
 * file itself, if another condition leads to it. */
#include <stdlib.h>

#include "media/find.h"

enum { step_rows_max = 1024, step_sources_max = 16, first_cap = 64 };

/* ---- conditions ---- */

static uint32_t sources_max(const struct media_search *q)
{
    uint32_t n = q->from_len + q->in_len + q->kinds_len + 1; /* the team's */
    for (uint32_t i = 0; i < q->match.terms_len; i++)
        n += q->match.terms[i].len;
    return n;
}

static void add(struct lists *l, struct source s)
{
    s.list = l->len;
    l->sources[l->sources_len++] = s;
}

static void end_list(struct lists *l)
{
    uint32_t n = 0;
    for (uint32_t i = l->sources_len; i > 0 && l->sources[i - 1].list == l->len; i--)
        n++;
    bool prefix = n == 1 && l->sources[l->sources_len - 1].kind == FROM_WORDS_BEGINNING;
    l->p[l->len++].mixed = n > 1 || prefix;
}

static void add_words(struct lists *l, const struct match *m)
{
    for (uint32_t i = 0; i < m->terms_len; i++) {
        const struct match_term *t = &m->terms[i];
        for (uint32_t k = 0; k < t->len && !t->negated; k++) {
            const struct match_word *w = &t->words[k];
            add(l, (struct source){.kind = w->prefix ? FROM_WORDS_BEGINNING : FROM_WORD,
                                   .word = w->word});
            end_list(l);
        }
    }
}

static void add_owners(struct lists *l, enum file_list files, const uint64_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        add(l, (struct source){.kind = FROM_FILES_OF, .files = files, .owner = ids[i]});
    if (n > 0)
        end_list(l);
}

static enum err add_kinds(struct lists *l, const struct media_search *q, struct arena *a)
{
    char mark[kind_mark_max];
    uint32_t before = l->sources_len;
    for (uint32_t i = 0; i < q->kinds_len; i++) {
        struct str_view kind = kind_named(q->kinds[i]);
        if (kind.p == NULL)
            continue;
        struct str_view word = arena_dup(a, index_kind_mark(mark, kind));
        if (word.p == NULL)
            return ERR_NOMEM;
        add(l, (struct source){.kind = FROM_WORD, .word = word});
    }
    if (l->sources_len > before)
        end_list(l);
    l->nothing |= q->kinds_len > 0 && l->sources_len == before;
    return ERR_OK;
}

/* That a file is in a conversation is told only to who may read there. */
static enum err keep_readable(struct media *m, const struct media_search *q, uint64_t *cids,
                              uint32_t *len)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *len; i++) {
        enum err err = seer_may_read(&m->seer, &q->viewer, cids[i]);
        if (err == ERR_OK)
            cids[kept++] = cids[i];
        else if (err != ERR_CHANNEL_NOT_FOUND && err != ERR_NOT_IN_CHANNEL)
            return err;
    }
    *len = kept;
    return ERR_OK;
}

/* What only a time bounds, or only what must not be, is looked for among all files of the team. */
enum err lists_begin(struct lists *l, struct media *m, struct media_search *q, struct arena *a)
{
    uint32_t n = sources_max(q);
    bool wants_place = q->in_len > 0;
    *l = (struct lists){.sources = arena_alloc(a, n * sizeof *l->sources),
                        .p = arena_zalloc(a, n * sizeof *l->p)};
    if (l->sources == NULL || l->p == NULL)
        return ERR_NOMEM;
    TRY(keep_readable(m, q, q->in, &q->in_len));
    TRY(keep_readable(m, q, q->not_in, &q->not_in_len));
    l->nothing = wants_place && q->in_len == 0;
    add_words(l, &q->match);
    add_owners(l, FILES_OF_USER, q->from, q->from_len);
    add_owners(l, FILES_IN_CHANNEL, q->in, q->in_len);
    TRY(add_kinds(l, q, a));
    if (l->len == 0 && !l->nothing)
        add_owners(l, FILES_OF_TEAM, &q->viewer.team, 1);
    l->source_max =
        MIN((uint32_t)find_source_max, (uint32_t)find_rows_max / MAX(l->sources_len, 1u));
    return ERR_OK;
}

/* ---- their rows ---- */

struct loading {
    struct lists *lists;
    struct list *l;
    const struct media_search *q;
    struct arena *a;
    uint32_t rows; /* of this step */
    bool one_word; /* newest first */
    bool paused, full;
    enum err err;
};

static bool may_be_wanted(const struct media_search *q, uint64_t created_us,
                          const struct row_file_listed *row)
{
    return created_us >= q->after_us && (q->before_us == 0 || created_us < q->before_us) &&
           (q->from_len == 0 || has_id(q->from, q->from_len, row->uid)) &&
           !has_id(q->not_from, q->not_from_len, row->uid);
}

static enum err append(struct loading *x, struct str_view key, uint64_t created_us)
{
    struct list *l = x->l;
    if (l->len == l->cap) {
        uint32_t cap = MAX(l->cap * 2, (uint32_t)first_cap);
        struct candidate *more = arena_alloc(x->a, cap * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        if (l->len > 0)
            memcpy(more, l->p, l->len * sizeof *more);
        l->p = more;
        l->cap = cap;
    }
    l->p[l->len].created_us = created_us;
    key_file_id(key, &l->p[l->len++].id);
    return ERR_OK;
}

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct loading *x = ctx;
    struct row_file_listed row;
    uint64_t created_us = key_file_created_us(key);
    x->full = x->lists->source_rows == x->lists->source_max;
    x->paused = !x->full && x->rows == step_rows_max;
    if (x->full)
        x->l->cut_us = MAX(x->l->cut_us, x->one_word ? created_us + 1 : UINT64_MAX);
    if (x->full || x->paused)
        return false;
    x->rows++;
    x->lists->source_rows++;
    x->lists->rows++;
    struct key *from = &x->lists->from;
    memcpy(from->b, key.p, key.len);
    from->b[key.len] = 0; /* the first key behind it */
    from->len = (uint16_t)(key.len + 1);
    x->err = row_file_listed_decode(&row, key, value);
    if (x->err == ERR_OK && may_be_wanted(x->q, created_us, &row))
        x->err = append(x, key, created_us);
    return x->err == ERR_OK;
}

/* Newest first, within the time that is asked for. */
static void begin_source(struct lists *l, const struct source *s, const struct media_search *q)
{
    uint64_t newest_us = q->before_us == 0 ? UINT64_MAX : q->before_us - 1, team = q->viewer.team;
    l->begun = true;
    l->source_rows = 0;
    switch (s->kind) {
    case FROM_WORD:
        key_file_postings(&l->from, team, s->word, newest_us);
        key_file_postings(&l->to, team, s->word, q->after_us);
        break;
    case FROM_WORDS_BEGINNING:
        key_file_postings_begin(&l->from, team, s->word);
        l->to = l->from;
        break;
    case FROM_FILES_OF:
        key_files_listed(&l->from, s->files, s->owner, newest_us);
        key_files_listed(&l->to, s->files, s->owner, q->after_us);
        break;
    }
    key_prefix_end(&l->to);
}

static void finish_list(struct list *l)
{
    uint32_t kept = 0;
    if (!l->mixed || l->len == 0)
        return;
    qsort(l->p, l->len, sizeof *l->p, candidate_order);
    for (uint32_t i = 0; i < l->len; i++) {
        if (kept == 0 || candidate_order(&l->p[kept - 1], &l->p[i]) != 0)
            l->p[kept++] = l->p[i];
    }
    l->len = kept;
}

enum err lists_step(struct lists *l, struct media *m, const struct media_search *q, struct arena *a,
                    bool *done)
{
    struct loading x = {.lists = l, .q = q, .a = a};
    for (uint32_t i = 0; i < step_sources_max && l->at < l->sources_len && !x.paused; i++) {
        const struct source *s = &l->sources[l->at];
        x.l = &l->p[s->list];
        x.one_word = s->kind != FROM_WORDS_BEGINNING;
        if (!l->begun)
            begin_source(l, s, q);
        TRY(view_scan(&m->conf.view, CF_FILE, key_view(&l->from), key_view(&l->to), on_row, &x));
        TRY(x.err);
        if (x.paused)
            break;
        l->begun = false;
        l->at++;
        if (l->at == l->sources_len || l->sources[l->at].list != s->list)
            finish_list(x.l);
    }
    *done = l->at == l->sources_len;
    return ERR_OK;
}

/* ---- what stands in all of them ---- */

int candidate_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int by_time = (x->created_us < y->created_us) - (x->created_us > y->created_us);
    return by_time != 0 ? by_time : memcmp(x->id.text, y->id.text, file_id_len);
}

static bool is_better_base(const struct list *l, const struct list *than)
{
    if (l->cut_us != than->cut_us)
        return l->cut_us < than->cut_us;
    return l->cut_us == 0 ? l->len < than->len : l->len > than->len;
}

/* The list that is known to be whole and is shortest; else the one that reaches back furthest, and
 * of those that are known back to the same time the one that offers most. */
static const struct list *base_of(const struct lists *l)
{
    const struct list *base = &l->p[0];
    for (uint32_t i = 1; i < l->len; i++) {
        if (is_better_base(&l->p[i], base))
            base = &l->p[i];
    }
    return base;
}

static bool is_in_all(const struct lists *l, const struct candidate *c)
{
    for (uint32_t i = 0; i < l->len; i++) {
        const struct list *in = &l->p[i];
        if (c->created_us < in->cut_us)
            continue; /* not known: the file will tell */
        if (in->len == 0 || bsearch(c, in->p, in->len, sizeof *c, candidate_order) == NULL)
            return false;
    }
    return true;
}

enum err lists_common(const struct lists *l, struct arena *a, struct candidate **out, uint32_t *len,
                      bool *more)
{
    *len = 0;
    if (l->nothing)
        return ERR_OK;
    const struct list *base = base_of(l);
    *out = arena_alloc(a, (MIN(base->len, (uint32_t)find_checks_max) + 1) * sizeof **out);
    if (*out == NULL)
        return ERR_NOMEM;
    *more = base->cut_us != 0;
    for (uint32_t i = 0; i < base->len; i++) {
        if (!is_in_all(l, &base->p[i]))
            continue;
        if (*len == find_checks_max) {
            *more = true;
            break;
        }
        (*out)[(*len)++] = base->p[i];
    }
    return ERR_OK;
}
