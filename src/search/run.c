/* run.c - one query. Each condition (a word, the words that begin so, one of the senders, one of
 * the channels, a mark) is a list of messages from the index, newest first; what stands in all
 * lists is looked at as it is stored now, and judged by rights, text and the rest. Lists are
 * bounded: of a word that is everywhere only the newest postings are read, and what is older than
 * those is judged by its text alone. */
#include <stdlib.h>

#include "base/mutant.h"
#include "chan/message_json.h"
#include "chan/reactions.h"
#include "search/internal.h"
#include "search/order.h"

/* ---- rows ---- */

enum { rows_max = 64 };

static enum err get_all(struct search *s, struct view_get *gets, uint32_t n, struct arena *a)
{
    return n == 0 ? ERR_OK : view_multi_get(&s->conf.view, gets, n, a);
}

static enum err take_row(struct row_at *at, const struct view_get *g)
{
    if (g->value.p == NULL)
        return ERR_OK;
    TRY(row_message_decode(&at->row, g->key, g->value));
    at->found = MUTANT(DELETED_IS_FOUND, (at->row.flags & MSG_DELETED) == 0, true);
    return ERR_OK;
}

/* Of rows[of[0..n)], which are no roots, what their pointers lead to. */
static enum err read_replies(struct search *s, struct row_at *rows, const uint32_t *of, uint32_t n,
                             struct arena *a)
{
    struct key keys[rows_max];
    struct view_get gets[rows_max];
    uint32_t found[rows_max], found_len = 0;
    for (uint32_t i = 0; i < n; i++) {
        key_pointer(&keys[i], rows[of[i]].cid, rows[of[i]].ts_us);
        gets[i] = (struct view_get){.cf = CF_MSG, .key = key_view(&keys[i])};
    }
    TRY(get_all(s, gets, n, a));
    for (uint32_t i = 0; i < n; i++) {
        const struct row_at *at = &rows[of[i]];
        uint64_t thread_us;
        if (gets[i].value.p == NULL)
            continue;
        TRY(row_u64_decode(&thread_us, gets[i].key, gets[i].value));
        key_reply(&keys[found_len], at->cid, thread_us, at->ts_us);
        found[found_len++] = of[i];
    }
    for (uint32_t i = 0; i < found_len; i++)
        gets[i] = (struct view_get){.cf = CF_MSG, .key = key_view(&keys[i])};
    TRY(get_all(s, gets, found_len, a));
    for (uint32_t i = 0; i < found_len; i++)
        TRY(take_row(&rows[found[i]], &gets[i]));
    return ERR_OK;
}

/* Most messages are roots: pointers are only asked for of the others. */
static enum err read_some(struct search *s, struct row_at *rows, uint32_t n, struct arena *a)
{
    struct key keys[rows_max];
    struct view_get gets[rows_max];
    uint32_t others[rows_max], others_len = 0;
    for (uint32_t i = 0; i < n; i++) {
        key_msg(&keys[i], rows[i].cid, rows[i].ts_us);
        gets[i] = (struct view_get){.cf = CF_MSG, .key = key_view(&keys[i])};
    }
    TRY(get_all(s, gets, n, a));
    for (uint32_t i = 0; i < n; i++) {
        TRY(take_row(&rows[i], &gets[i]));
        if (gets[i].value.p == NULL)
            others[others_len++] = i;
    }
    return read_replies(s, rows, others, others_len, a);
}

enum err read_rows(struct search *s, struct row_at *rows, uint32_t n, struct arena *a)
{
    for (uint32_t i = 0; i < n; i += rows_max)
        TRY(read_some(s, rows + i, MIN(n - i, (uint32_t)rows_max), a));
    return ERR_OK;
}

/* ---- conditions ---- */

struct list { /* newest first, once each */
    struct posting *p;
    uint32_t len, cap;
    uint64_t cut_us; /* older ones were not read; 0: all were */
};

struct run {
    struct search *s;
    struct search_messages *m;
    struct arena *a; /* s->scratch */
    struct list *lists;
    uint32_t lists_len;
    uint32_t rows, source_max; /* of all, and of one word: a wide one leaves others their share */
};

struct loading {
    struct run *r;
    struct list *l;
    uint32_t rows;
    uint64_t newest_us, oldest_us; /* of what is wanted; both inclusive */
    bool one_word;                 /* rows come newest first, all of one word */
    bool failed, full;
    enum err err;
};

static bool on_posting(void *ctx, const struct posting *p)
{
    struct loading *x = ctx;
    struct list *l = x->l;
    if (p->ts_us < x->oldest_us)
        return false;
    if (p->ts_us > x->newest_us)
        return true;
    if (l->len == query_postings_max) {
        x->full = true;
        return false;
    }
    if (l->len == l->cap) {
        uint32_t cap = l->cap == 0 ? 256 : l->cap * 2;
        struct posting *more = arena_alloc(x->r->a, cap * sizeof *more);
        if (more == NULL) {
            x->failed = true;
            return false;
        }
        if (l->len > 0)
            memcpy(more, l->p, l->len * sizeof *more);
        l->p = more;
        l->cap = cap;
    }
    l->p[l->len++] = *p;
    return true;
}

/* Rows of one word come newest first, by the newest posting of each. When no more may be read, all
 * that is newer than the row's newest is known. */
static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct loading *x = ctx;
    uint64_t newest_us = x->one_word ? key_posting_ts(key) : UINT64_MAX - 1;
    if (newest_us < x->oldest_us)
        return false;
    x->full = x->rows == x->r->source_max;
    if (!x->full) {
        x->rows++;
        x->r->rows++;
        x->err = postings_decode(key, value, on_posting, x);
    }
    if (x->full)
        x->l->cut_us = MAX(x->l->cut_us, newest_us + 1);
    return x->err == ERR_OK && !x->failed && !x->full;
}

static enum err load_word(struct run *r, struct list *l, struct str_view word, bool prefix)
{
    const struct search_messages *m = r->m;
    struct loading x = {.r = r,
                        .l = l,
                        .newest_us = m->before_us == 0 ? UINT64_MAX : m->before_us - 1,
                        .oldest_us = m->after_us,
                        .one_word = !prefix};
    struct key from, to;
    if (prefix)
        key_postings_begin(&from, m->team, word);
    else
        key_postings(&from, m->team, word);
    to = from;
    key_prefix_end(&to);
    TRY(view_scan(&r->s->conf.view, CF_FTS, key_view(&from), key_view(&to), on_row, &x));
    return x.failed ? ERR_NOMEM : x.err;
}

static struct list *new_list(struct run *r)
{
    struct list *l = &r->lists[r->lists_len++];
    *l = (struct list){0};
    return l;
}

static enum err load_terms(struct run *r)
{
    for (uint32_t i = 0; i < r->m->match.terms_len; i++) {
        const struct match_term *t = &r->m->match.terms[i];
        for (uint32_t k = 0; k < t->len && !t->negated; k++) {
            struct list *l = new_list(r);
            TRY(load_word(r, l, t->words[k].word, t->words[k].prefix));
            TRY(postings_order(l->p, &l->len, r->a));
        }
    }
    return ERR_OK;
}

static enum err load_marks(struct run *r)
{
    const struct search_messages *m = r->m;
    static const struct {
        uint32_t has, is;
        char mark;
    } marks[] = {{HAS_LINK, 0, MARK_LINK}, {HAS_FILE, 0, MARK_FILE}};
    char text[mark_max];
    if (m->from_len > 0) {
        struct list *l = new_list(r);
        for (uint32_t i = 0; i < m->from_len; i++)
            TRY(load_word(r, l, mark_from(text, m->from[i]), false));
        TRY(postings_order(l->p, &l->len, r->a));
    }
    if (m->in_len > 0) {
        struct list *l = new_list(r);
        for (uint32_t i = 0; i < m->in_len; i++)
            TRY(load_word(r, l, mark_in(text, m->in[i]), false));
        TRY(postings_order(l->p, &l->len, r->a));
    }
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if ((m->has & marks[i].has) == 0)
            continue;
        struct list *l = new_list(r);
        TRY(load_word(r, l, mark_plain(text, marks[i].mark), false));
        TRY(postings_order(l->p, &l->len, r->a));
    }
    return ERR_OK;
}

static uint32_t sources_of(const struct search_messages *m)
{
    uint32_t n = m->from_len + m->in_len + ((m->has & HAS_LINK) != 0) + ((m->has & HAS_FILE) != 0);
    for (uint32_t i = 0; i < m->match.terms_len; i++)
        n += m->match.terms[i].negated ? 0 : m->match.terms[i].len;
    return n;
}

/* ---- what stands in all lists ---- */

static bool is_better_base(const struct list *l, const struct list *than)
{
    if (l->cut_us != than->cut_us)
        return l->cut_us < than->cut_us;
    return l->cut_us == 0 ? l->len < than->len : l->len > than->len;
}

/* The list that is known to be whole and is shortest; else the one that reaches back furthest, and
 * of those that are known back to the same time the one that offers most. */
static const struct list *base_of(const struct run *r)
{
    const struct list *base = &r->lists[0];
    for (uint32_t i = 1; i < r->lists_len; i++) {
        if (is_better_base(&r->lists[i], base))
            base = &r->lists[i];
    }
    return base;
}

static bool is_in(const struct list *l, uint64_t ts_us)
{
    uint32_t low = 0, high = l->len;
    if (ts_us < l->cut_us)
        return true; /* not known: the text will tell */
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (l->p[mid].ts_us > ts_us)
            low = mid + 1;
        else
            high = mid;
    }
    return low < l->len && l->p[low].ts_us == ts_us;
}

static bool is_in_all(const struct run *r, uint64_t ts_us)
{
    for (uint32_t i = 0; i < r->lists_len; i++) {
        if (!is_in(&r->lists[i], ts_us))
            return false;
    }
    return true;
}

/* ---- who may see ---- */

struct place { /* a channel, as the viewer sees it */
    uint64_t cid;
    bool visible;
    enum channel_kind kind;
    struct str_view name;
};

struct places {
    struct place *p;
    uint32_t len, cap;
};

static enum err look(struct run *r, uint64_t cid, struct place *out)
{
    struct key ki, km;
    struct row_chan_info info;
    key_chan_info(&ki, cid);
    key_chan_member(&km, cid, r->m->uid);
    struct view_get gets[] = {{.cf = CF_CHAN, .key = key_view(&ki)},
                              {.cf = CF_CHAN, .key = key_view(&km)}};
    *out = (struct place){.cid = cid};
    TRY(get_all(r->s, gets, ARRAY_LEN(gets), r->a));
    if (gets[0].value.p == NULL)
        return ERR_OK;
    TRY(row_chan_info_decode(&info, gets[0].key, gets[0].value));
    out->kind = info.kind;
    out->name = info.name;
    out->visible =
        info.team == r->m->team &&
        MUTANT(SEARCH_FOR_STRANGERS,
               gets[1].value.p != NULL || (info.kind == CHANNEL_PUBLIC && !r->m->guest), true);
    return ERR_OK;
}

static enum err place_of(struct run *r, struct places *all, uint64_t cid, const struct place **out)
{
    for (uint32_t i = all->len; i > 0; i--) {
        if (all->p[i - 1].cid == cid) {
            *out = &all->p[i - 1];
            return ERR_OK;
        }
    }
    if (all->len == all->cap) {
        uint32_t cap = all->cap == 0 ? 16 : all->cap * 2;
        struct place *more = arena_alloc(r->a, cap * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        if (all->len > 0)
            memcpy(more, all->p, all->len * sizeof *more);
        all->p = more;
        all->cap = cap;
    }
    TRY(look(r, cid, &all->p[all->len]));
    *out = &all->p[all->len++];
    return ERR_OK;
}

/* A channel that the viewer may not see costs what one costs that is not there. */
static enum err keep_visible(struct run *r, struct places *places, uint64_t *cids, uint32_t *len)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *len; i++) {
        const struct place *place;
        TRY(place_of(r, places, cids[i], &place));
        if (place->visible)
            cids[kept++] = cids[i];
    }
    *len = kept;
    return ERR_OK;
}

/* ---- one message ---- */

static bool has_id(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* What a row says of has: and is:. */
static uint32_t has_of(const struct row_message *row, const struct message_text *text)
{
    return (text->has_link ? HAS_LINK : 0u) | (text->has_file ? HAS_FILE : 0u) |
           ((row->flags & MSG_REACTIONS) != 0 ? HAS_REACTION : 0u) |
           ((row->flags & MSG_PINNED) != 0 ? HAS_PIN : 0u);
}

static uint32_t is_of(const struct row_message *row, const struct place *place)
{
    bool dm = place->kind == CHANNEL_IM || place->kind == CHANNEL_MPIM;
    return ((row->flags & (MSG_REPLY | MSG_THREAD)) != 0 ? IS_THREAD : 0u) | (dm ? IS_DM : 0u);
}

static bool suits(const struct search_messages *m, const struct row_message *row,
                  const struct message_text *text, const struct place *place)
{
    uint32_t has = has_of(row, text), is = is_of(row, place);
    return (m->has & ~has) == 0 && (m->has_not & has) == 0 && (m->is & ~is) == 0 &&
           (m->is_not & is) == 0 && (m->from_len == 0 || has_id(m->from, m->from_len, row->uid)) &&
           !has_id(m->not_from, m->not_from_len, row->uid) &&
           (m->in_len == 0 || has_id(m->in, m->in_len, place->cid)) &&
           !has_id(m->not_in, m->not_in_len, place->cid) &&
           (m->has_emoji.len == 0 || reactions_have(row->reactions, m->has_emoji));
}

struct hit {
    struct posting where;
    uint32_t score;
};

static enum err judge(struct run *r, const struct row_at *at, const struct place *place,
                      bool *is_hit, uint32_t *score)
{
    struct message_text text;
    *is_hit = false;
    if (!at->found || !place->visible || (at->row.flags & MSG_SYSTEM) != 0)
        return ERR_OK;
    TRY(message_text(r->s->json, &r->s->some, at->row.body, &text));
    *is_hit = suits(r->m, &at->row, &text, place) &&
              match_text(&r->m->match, text.text, &r->s->some, score);
    return ERR_OK;
}

/* ---- all of it ---- */

struct hits {
    struct hit *p;
    uint32_t len;
};

static enum err judge_some(struct run *r, struct places *places, const struct posting *p,
                           uint32_t n, struct hits *hits)
{
    struct row_at rows[rows_max];
    arena_reset(&r->s->some);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct row_at){.cid = p[i].cid, .ts_us = p[i].ts_us};
    TRY(read_rows(r->s, rows, n, &r->s->some));
    for (uint32_t i = 0; i < n; i++) {
        const struct place *place;
        bool is_hit;
        uint32_t score = 0;
        TRY(place_of(r, places, p[i].cid, &place));
        TRY(judge(r, &rows[i], place, &is_hit, &score));
        if (is_hit)
            hits->p[hits->len++] = (struct hit){p[i], score};
    }
    return ERR_OK;
}

static enum err find_hits(struct run *r, struct places *places, struct hits *hits)
{
    const struct list *base = base_of(r);
    struct posting some[rows_max];
    uint32_t n = 0, checks = 0;
    hits->p = arena_alloc(r->a, (MIN(base->len, (uint32_t)query_checks_max) + 1) * sizeof *hits->p);
    if (hits->p == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < base->len; i++) {
        if (!is_in_all(r, base->p[i].ts_us))
            continue;
        if (checks++ == query_checks_max) {
            r->m->more = true;
            break;
        }
        some[n++] = base->p[i];
        if (n == rows_max) {
            TRY(judge_some(r, places, some, n, hits));
            n = 0;
        }
    }
    r->m->more |= base->cut_us != 0;
    return judge_some(r, places, some, n, hits);
}

static int better_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    int by_score = (x->score < y->score) - (x->score > y->score);
    int by_time = (x->where.ts_us < y->where.ts_us) - (x->where.ts_us > y->where.ts_us);
    return by_score != 0 ? by_score : by_time;
}

static void sort_hits(const struct search_messages *m, struct hits *hits)
{
    if (m->by_score && hits->len > 0)
        qsort(hits->p, hits->len, sizeof *hits->p, better_first);
    for (uint32_t i = 0; m->ascending && i < hits->len / 2; i++) {
        struct hit h = hits->p[i];
        hits->p[i] = hits->p[hits->len - 1 - i];
        hits->p[hits->len - 1 - i] = h;
    }
}

static enum err put_found(struct run *r, struct places *places, const struct hit *h,
                          struct search_found *out)
{
    struct row_at at = {.cid = h->where.cid, .ts_us = h->where.ts_us};
    struct message_text text;
    const struct place *place;
    struct buf b;
    arena_reset(&r->s->some);
    TRY(read_rows(r->s, &at, 1, &r->s->some));
    if (!at.found)
        return ERR_MESSAGE_NOT_FOUND; /* deleted a moment ago */
    TRY(place_of(r, places, at.cid, &place));
    TRY(message_text(r->s->json, &r->s->some, at.row.body, &text));
    buf_init(&b, r->m->arena, message_json_max(&at.row));
    message_json(&b, &at.row, at.cid, false);
    *out = (struct search_found){.cid = at.cid,
                                 .ts_us = at.ts_us,
                                 .uid = at.row.uid,
                                 .thread_ts_us = at.row.thread_ts_us,
                                 .score = h->score,
                                 .kind = place->kind,
                                 .channel = arena_dup(r->m->arena, place->name),
                                 .message = buf_view(&b)};
    struct buf marked;
    buf_init(&marked, r->m->arena, text.shown.len + 64);
    if (r->m->highlight)
        match_highlight(&r->m->match, text.shown, &r->s->some, &marked);
    else
        buf_put_sv(&marked, text.shown);
    out->text = buf_view(&marked);
    return b.failed || marked.failed || out->channel.p == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err put_page(struct run *r, struct places *places, const struct hits *hits)
{
    struct search_messages *m = r->m;
    uint32_t from = (m->page - 1) * m->count, to = MIN(hits->len, from + m->count);
    m->total = hits->len;
    m->found = arena_alloc(m->arena, m->count * sizeof *m->found + 1);
    if (m->found == NULL)
        return ERR_NOMEM;
    for (uint32_t i = from; i < to; i++) {
        enum err err = put_found(r, places, &hits->p[i], &m->found[m->len]);
        if (err == ERR_OK)
            m->len++;
        else if (err != ERR_MESSAGE_NOT_FOUND)
            return err;
    }
    return ERR_OK;
}

enum err run_messages(struct search *s, struct search_messages *m)
{
    struct run r = {.s = s, .m = m, .a = &s->scratch};
    struct places places = {0};
    struct hits hits = {0};
    m->found = NULL;
    m->len = m->total = m->rows = 0;
    m->more = false;
    bool wants_place = m->in_len > 0;
    TRY(keep_visible(&r, &places, m->in, &m->in_len));
    if (wants_place && m->in_len == 0)
        return ERR_OK;
    uint32_t sources = MAX(sources_of(m), 1u);
    r.lists = arena_alloc(r.a, sources * sizeof *r.lists);
    if (r.lists == NULL)
        return ERR_NOMEM;
    r.source_max = query_rows_max / sources;
    TRY(load_terms(&r));
    TRY(load_marks(&r));
    m->rows = r.rows;
    if (r.lists_len == 0)
        return ERR_OK; /* nothing that an index could know */
    TRY(find_hits(&r, &places, &hits));
    sort_hits(m, &hits);
    return put_page(&r, &places, &hits);
}
