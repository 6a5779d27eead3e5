/* list.c - files.list: newest first along the rows of one list, some rows a turn, since bytes of
 * others wait meanwhile. By pages all that match are counted, as far as media_list_rows_max rows.
 */
#include "media/file_json.h"
#include "media/internal.h"

enum { step_rows_max = 64 };

/* Some rows of the list that pass by what the list's row says. */
struct page {
    const struct media_list *q;
    struct list_job *job;
    struct file_id ids[step_rows_max];
    uint32_t ids_len, rows;
    bool open; /* of some the file must be asked */
    enum err err;
};

bool list_push(struct media *m, const struct cell *c, actor_id from)
{
    if (m->lists_len == lists_max)
        return false;
    uint32_t at = (m->lists_at + m->lists_len++) % lists_max;
    m->lists[at] = (struct list_job){.request = *c, .from = from};
    return true;
}

/* ---- which list, and from where to where ---- */

/* Newer ones than are asked for were never before it. */
static void go_behind(struct list_job *job, enum file_list list, uint64_t owner,
                      const struct file_at *behind)
{
    struct key k;
    if (behind->created_us == 0)
        return;
    key_file_listed(&k, list, owner, behind->created_us, &behind->id);
    k.b[k.len++] = 0; /* the first key behind it */
    if (sv_cmp(key_view(&k), key_view(&job->at)) > 0)
        job->at = k;
}

static enum err begin(struct media *m, struct list_job *job, struct media_list *q)
{
    enum file_list list = FILES_OF_TEAM;
    uint64_t owner = q->viewer.team;
    q->len = q->total = 0;
    q->next = (struct file_at){0};
    job->begun = true;
    if (q->cid != ID_NONE) {
        TRY(seer_may_read(&m->seer, &q->viewer, q->cid));
        list = FILES_IN_CHANNEL;
        owner = q->cid;
        job->all_seen = true;
    } else if (q->uid != ID_NONE) {
        list = FILES_OF_USER;
        owner = q->uid;
        job->all_seen = q->uid == q->viewer.uid;
    }
    key_files_listed(&job->at, list, owner, q->to_us);
    go_behind(job, list, owner, &q->behind);
    key_files_listed(&job->end, list, owner, q->from_us);
    key_prefix_end(&job->end);
    return ERR_OK;
}

static bool matches(const struct media_list *q, const struct row_file_listed *row)
{
    if (q->uid != ID_NONE && row->uid != q->uid)
        return false;
    return q->types == MEDIA_ALL || (row->types & q->types) != 0;
}

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct page *p = ctx;
    struct row_file_listed row;
    p->err = row_file_listed_decode(&row, key, value);
    if (p->err != ERR_OK)
        return false;
    p->rows++;
    p->job->rows++;
    memcpy(p->job->at.b, key.p, key.len);
    p->job->at.b[key.len] = 0; /* the first key behind it */
    p->job->at.len = (uint16_t)(key.len + 1);
    if (matches(p->q, &row)) {
        key_file_id(key, &p->ids[p->ids_len++]);
        p->open |= row.open;
    }
    return p->rows < step_rows_max && p->job->rows < media_list_rows_max;
}

/* ---- what of it is shown ---- */

static bool is_on_page(const struct media_list *q, uint64_t n)
{
    if (q->page == 0)
        return n < q->count;
    uint64_t first = (uint64_t)(q->page - 1) * q->count;
    return n >= first && n < first + q->count;
}

/* By cursor, and one more is known. */
static bool is_full(const struct media_list *q)
{
    return q->page == 0 && q->total > q->count;
}

static enum err show(struct media *m, struct media_list *q, const struct file_id *id,
                     const struct row_file *row)
{
    bool seen[row_file_shares_max];
    TRY(file_shares_seen(m, &q->viewer, row, seen));
    q->next = (struct file_at){row->created_us, *id};
    if (q->len++ > 0)
        buf_putc(&q->json, ',');
    file_json(&q->json, id, row, q->base_url, seen);
    return q->json.failed ? ERR_NOMEM : ERR_OK;
}

/* A file that was deleted since its row of the list was read is none any more. */
static enum err judge_one(struct media *m, const struct list_job *job, struct media_list *q,
                          const struct file_id *id, const struct view_get *got)
{
    struct row_file row;
    if (got->value.p == NULL)
        return ERR_OK;
    TRY(file_decode(m, got->key, got->value, &row));
    if ((row.flags & FILE_DELETED) != 0 || (q->cid != ID_NONE && !file_is_in(&row, q->cid)))
        return ERR_OK;
    if (!job->all_seen) {
        enum err err = file_may_see(m, &q->viewer, &row);
        if (err != ERR_OK)
            return err == ERR_FILE_NOT_FOUND ? ERR_OK : err;
    }
    return is_on_page(q, q->total++) ? show(m, q, id, &row) : ERR_OK;
}

static enum err judge(struct media *m, const struct list_job *job, struct media_list *q,
                      const struct file_id *id, const struct view_get *got)
{
    return media_pass_by(m, judge_one(m, job, q, id, got));
}

static enum err judge_all(struct media *m, const struct page *p, struct media_list *q)
{
    struct key keys[step_rows_max];
    struct view_get gets[step_rows_max];
    for (uint32_t i = 0; i < p->ids_len; i++) {
        key_file(&keys[i], &p->ids[i]);
        gets[i] = (struct view_get){.cf = CF_FILE, .key = key_view(&keys[i])};
    }
    TRY(view_multi_get(&m->conf.view, gets, p->ids_len, &m->scratch));
    for (uint32_t i = 0; i < p->ids_len && !is_full(q); i++)
        TRY(judge(m, p->job, q, &p->ids[i], &gets[i]));
    return ERR_OK;
}

/* Whose rows need not be read: all of them are counted, none is shown. */
static bool only_counts(const struct page *p, const struct media_list *q)
{
    if (q->page == 0 || !p->job->all_seen || p->open)
        return false;
    uint64_t first = (uint64_t)(q->page - 1) * q->count, behind = first + q->count;
    return q->total + (uint64_t)p->ids_len <= first || q->total >= behind;
}

static enum err step(struct media *m, struct list_job *job, struct media_list *q, bool *done)
{
    struct page p = {.q = q, .job = job};
    if (!job->begun)
        TRY(begin(m, job, q));
    TRY(view_scan(&m->conf.view, CF_FILE, key_view(&job->at), key_view(&job->end), on_row, &p));
    TRY(p.err);
    job->whole = p.rows < step_rows_max && job->rows < media_list_rows_max;
    if (only_counts(&p, q))
        q->total += p.ids_len;
    else if (p.ids_len > 0)
        TRY(judge_all(m, &p, q));
    *done = job->whole || job->rows >= media_list_rows_max || is_full(q);
    return ERR_OK;
}

/* What is next is told where something is, or where it was not looked for. */
static void end(const struct list_job *job, struct media_list *q)
{
    uint64_t shown_to = q->page == 0 ? q->count : (uint64_t)q->page * q->count;
    if (job->whole && q->total <= shown_to)
        q->next = (struct file_at){0};
}

void list_step(struct media *m)
{
    if (m->lists_len == 0)
        return;
    struct list_job *job = &m->lists[m->lists_at];
    bool done = false;
    enum err err = step(m, job, job->request.u.p, &done);
    arena_reset(&m->scratch);
    if (err == ERR_OK && !done)
        return;
    end(job, job->request.u.p);
    media_answer(m, &job->request, job->from, err);
    m->lists_at = (m->lists_at + 1) % lists_max;
    m->lists_len--;
}
