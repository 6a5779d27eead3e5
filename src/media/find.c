/* find.c - queries of files, one after the other, each in steps that are short, since bytes of
 * others wait meanwhile: its lists are read, what stands in all of them is looked at as it is
 * stored now and judged by rights, words and the rest, and a page of it is shown. */
#include <stdlib.h>

#include "media/file_json.h"
#include "media/find.h"

enum { step_files_max = 16 }; /* with the words of each, a few MiB at worst */

struct hit {
    struct candidate file;
    uint32_t score;
};

struct finding {
    struct media_search *q;
    struct lists lists;
    struct words_query words;
    struct candidate *candidates; /* NULL: the lists are not read yet */
    uint32_t candidates_len, judged;
    struct hit *hits;
    uint32_t hits_len;
    uint32_t shown, show_end; /* of the page; as indices of hits */
    bool sorted;
};

bool find_push(struct media *m, const struct cell *c, actor_id from)
{
    if (m->finds_len == finds_max)
        return false;
    uint32_t at = (m->finds_at + m->finds_len++) % finds_max;
    m->finds[at] = (struct find_job){.request = *c, .from = from};
    return true;
}

static enum err begin(struct media *m, struct media_search *q)
{
    struct arena *a = &m->find_arena;
    struct finding *f = arena_zalloc(a, sizeof *f);
    q->len = q->total = q->rows = 0;
    q->more = false;
    if (f == NULL)
        return ERR_NOMEM;
    f->q = q;
    m->finding = f;
    TRY(words_query_init(&f->words, &q->match, a));
    return lists_begin(&f->lists, m, q, a);
}

/* ---- the lists ---- */

static enum err read_lists(struct media *m, struct finding *f)
{
    bool done;
    struct arena *a = &m->find_arena;
    TRY(lists_step(&f->lists, m, f->q, a, &done));
    f->q->rows = f->lists.rows;
    if (!done)
        return ERR_OK;
    TRY(lists_common(&f->lists, a, &f->candidates, &f->candidates_len, &f->q->more));
    f->hits = arena_alloc(a, (f->candidates_len + 1) * sizeof *f->hits);
    if (f->candidates == NULL) /* none */
        f->candidates = arena_alloc(a, sizeof *f->candidates);
    return f->hits == NULL || f->candidates == NULL ? ERR_NOMEM : ERR_OK;
}

/* ---- what stands in all of them ---- */

static bool is_one_of(const struct row_file *row, const struct str_view *kinds, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct str_view kind = kind_named(kinds[i]);
        if (kind.p != NULL && file_is_kind(row, kind))
            return true;
    }
    return false;
}

/* Of the places where the viewer may see it: others are not hinted at. */
static enum err suits_places(struct media *m, const struct media_search *q,
                             const struct row_file *row, bool *suits)
{
    bool seen[row_file_shares_max], in = q->in_len == 0, not_in = false, direct = false;
    *suits = true;
    if (in && q->not_in_len == 0 && !q->direct && !q->not_direct)
        return ERR_OK;
    TRY(file_shares_seen(m, &q->viewer, row, seen));
    for (uint32_t i = 0; i < row->shares_len; i++) {
        const struct row_share *s = &row->shares[i];
        if (!seen[i])
            continue;
        in |= has_id(q->in, q->in_len, s->cid);
        not_in |= has_id(q->not_in, q->not_in_len, s->cid);
        direct |= s->kind == CHANNEL_IM || s->kind == CHANNEL_MPIM;
    }
    *suits = in && !not_in && (direct || !q->direct) && !(direct && q->not_direct);
    return ERR_OK;
}

static enum err suits(struct media *m, const struct media_search *q, const struct view_get *got,
                      struct row_file *row, bool *is)
{
    *is = false;
    if (got->value.p == NULL)
        return ERR_OK;
    TRY(file_decode(m, got->key, got->value, row));
    bool wanted = (row->flags & FILE_DELETED) == 0 &&
                  (q->from_len == 0 || has_id(q->from, q->from_len, row->uid)) &&
                  !has_id(q->not_from, q->not_from_len, row->uid) &&
                  (q->kinds_len == 0 || is_one_of(row, q->kinds, q->kinds_len)) &&
                  !is_one_of(row, q->not_kinds, q->not_kinds_len);
    if (!wanted)
        return ERR_OK;
    enum err err = file_may_see(m, &q->viewer, row);
    if (err != ERR_OK)
        return err == ERR_FILE_NOT_FOUND ? ERR_OK : err;
    return suits_places(m, q, row, is);
}

/* Those that suit otherwise; what is left are words. */
static enum err keep_suitable(struct media *m, const struct media_search *q,
                              struct candidate *files, uint32_t *len)
{
    struct key keys[step_files_max];
    struct view_get gets[step_files_max];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *len; i++) {
        key_file(&keys[i], &files[i].id);
        gets[i] = (struct view_get){.cf = CF_FILE, .key = key_view(&keys[i])};
    }
    TRY(view_multi_get(&m->conf.view, gets, *len, &m->scratch));
    for (uint32_t i = 0; i < *len; i++) {
        struct row_file row;
        bool is;
        enum err err = suits(m, q, &gets[i], &row, &is);
        TRY(media_pass_by(m, err));
        if (err == ERR_OK && is)
            files[kept++] = files[i];
    }
    *len = kept;
    return ERR_OK;
}

/* Of a file whose words are damaged none is known. */
static enum err match_file(struct media *m, struct words_query *words, const struct view_get *got,
                           bool *found, uint32_t *score)
{
    struct row_file_words row = {0};
    enum err err =
        got->value.p == NULL ? ERR_OK : row_file_words_decode(&row, got->key, got->value);
    if (err == ERR_OK)
        err = words_match(words, row.packed, found, score);
    if (err != ERR_CORRUPT)
        return err;
    TRY(media_pass_by(m, err));
    return words_match(words, SV_NONE, found, score);
}

static enum err match_words(struct media *m, struct finding *f, const struct candidate *files,
                            uint32_t len)
{
    struct key keys[step_files_max];
    struct view_get gets[step_files_max];
    for (uint32_t i = 0; i < len; i++) {
        key_file_words(&keys[i], &files[i].id);
        gets[i] = (struct view_get){.cf = CF_FILE, .key = key_view(&keys[i])};
    }
    TRY(view_multi_get(&m->conf.view, gets, len, &m->scratch));
    for (uint32_t i = 0; i < len; i++) {
        struct hit hit = {.file = files[i]};
        bool found;
        TRY(match_file(m, &f->words, &gets[i], &found, &hit.score));
        if (found)
            f->hits[f->hits_len++] = hit;
    }
    return ERR_OK;
}

static enum err judge_some(struct media *m, struct finding *f)
{
    struct candidate files[step_files_max];
    uint32_t len = MIN(f->candidates_len - f->judged, (uint32_t)step_files_max);
    memcpy(files, f->candidates + f->judged, len * sizeof *files);
    f->judged += len;
    TRY(keep_suitable(m, f->q, files, &len));
    return len == 0 ? ERR_OK : match_words(m, f, files, len);
}

/* ---- the page ---- */

static int better_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    int by_score = (x->score < y->score) - (x->score > y->score);
    return by_score != 0 ? by_score : candidate_order(&x->file, &y->file);
}

static void sort(struct finding *f)
{
    const struct media_search *q = f->q;
    if (q->by_score && f->hits_len > 0)
        qsort(f->hits, f->hits_len, sizeof *f->hits, better_first);
    for (uint32_t i = 0; q->ascending && i < f->hits_len / 2; i++) {
        struct hit h = f->hits[i];
        f->hits[i] = f->hits[f->hits_len - 1 - i];
        f->hits[f->hits_len - 1 - i] = h;
    }
    f->q->total = f->hits_len;
    f->shown = MIN((q->page - 1) * q->count, f->hits_len);
    f->show_end = MIN(f->shown + q->count, f->hits_len);
    f->sorted = true;
}

static enum err mark_title(struct media *m, const struct media_search *q, struct row_file *row)
{
    struct str_view title = row->title.len > 0 ? row->title : row->name;
    struct buf marked;
    buf_init(&marked, &m->scratch, title.len + 64);
    match_highlight(&q->match, title, &m->scratch, &marked);
    row->title = buf_view(&marked);
    return marked.failed ? ERR_NOMEM : ERR_OK;
}

/* What was deleted, or taken from the viewer, a moment ago is left out. */
static enum err show(struct media *m, struct media_search *q, const struct hit *h)
{
    struct row_file row;
    bool seen[row_file_shares_max];
    enum err err = file_see(m, &q->viewer, &h->file.id, &row);
    if (err == ERR_OK)
        err = file_shares_seen(m, &q->viewer, &row, seen);
    if (err == ERR_FILE_NOT_FOUND || err == ERR_FILE_DELETED)
        return ERR_OK;
    if (err != ERR_OK)
        return media_pass_by(m, err);
    if (q->highlight)
        TRY(mark_title(m, q, &row));
    if (q->len++ > 0)
        buf_putc(&q->json, ',');
    file_json(&q->json, &h->file.id, &row, q->base_url, seen);
    if (q->json.failed)
        return ERR_NOMEM;
    q->json.len--; /* the brace: an object of a search tells its score, too */
    buf_printf(&q->json, ",\"score\":%u}", h->score);
    return q->json.failed ? ERR_NOMEM : ERR_OK;
}

static enum err show_some(struct media *m, struct finding *f)
{
    for (uint32_t i = 0; i < step_files_max && f->shown < f->show_end; i++)
        TRY(show(m, f->q, &f->hits[f->shown++]));
    return ERR_OK;
}

/* ---- steps ---- */

static enum err step(struct media *m, struct media_search *q, bool *done)
{
    *done = false;
    if (m->finding == NULL)
        return begin(m, q);
    struct finding *f = m->finding;
    if (f->candidates == NULL)
        return read_lists(m, f);
    if (f->judged < f->candidates_len)
        return judge_some(m, f);
    if (!f->sorted)
        sort(f);
    TRY(show_some(m, f));
    *done = f->shown == f->show_end;
    return ERR_OK;
}

void find_step(struct media *m)
{
    if (m->finds_len == 0)
        return;
    struct find_job *job = &m->finds[m->finds_at];
    struct media_search *q = job->request.u.p;
    bool done, late = q->deadline_us != 0 && m->turn->mono_us > q->deadline_us;
    enum err err = late ? ERR_DEADLINE : step(m, q, &done);
    arena_reset(&m->scratch);
    if (err == ERR_OK && !done)
        return;
    metric_add(m->turn->metrics, METRIC_FILE_SEARCHES, 1);
    metric_add(m->turn->metrics, METRIC_FILE_SEARCH_ROWS_READ, q->rows);
    media_answer(m, &job->request, job->from, err);
    arena_reset(&m->find_arena);
    m->finding = NULL;
    m->finds_at = (m->finds_at + 1) % finds_max;
    m->finds_len--;
}
