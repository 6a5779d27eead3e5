/* index.c - the words that files are found by (words.h), as rows: what is in a file, and a posting
 * for each of its words. They are in the same batch as the file's other rows: a file is found from
 * its first moment to its last, whatever ends the process.
 *
 * Should words come out differently one day (tokens_version), or files be there that have none yet,
 * all files' are made anew from the files themselves, some at a time behind everything else. */
#include <unistd.h>

#include "base/log.h"
#include "media/internal.h"
#include "media/words.h"

enum {
    step_files_max = 64,
    step_text_bytes_max = content_bytes_max, /* read, and one text more: others' bytes wait */
    step_bytes_max = 512 << 10,
    step_us = WHEEL_TICK_US,
    retry_us = 1000000,
    cut_within = 256
};

/* ---- the words of a file ---- */

/* Words that stand for something else than text begin with this byte, which no text has. */
struct str_view index_kind_mark(char out[kind_mark_max], struct str_view kind)
{
    out[0] = 1;
    ASSERT(kind.len < kind_mark_max);
    memcpy(out + 1, kind.p, kind.len);
    return (struct str_view){out, 1 + kind.len};
}

static void add_label(struct words *w, const struct row_file *row)
{
    const struct type *t = type_find(row->filetype);
    struct str_view kinds[file_kinds_max];
    char mark[kind_mark_max];
    words_add_label(w, row->title);
    words_add_label(w, row->name);
    words_add_label(w, row->filetype);
    words_add_label(w, t == NULL ? SV_NONE : t->pretty);
    words_add_label(w, row->alt_text);
    for (uint32_t i = 0, n = file_kinds(row, kinds); i < n; i++)
        words_add_mark(w, index_kind_mark(mark, kinds[i]));
}

static bool is_text(const struct row_file *row)
{
    const struct type *t = type_find(row->filetype);
    return t != NULL && (t->flags & TYPE_TEXT) != 0;
}

/* The last word may be cut in the middle: it would be another one. */
static struct str_view beginning(struct str_view text, uint64_t length)
{
    text.len = MIN(text.len, (size_t)content_bytes_max);
    if (text.len == length)
        return text;
    for (size_t back = 0; back < cut_within && back < text.len; back++) {
        char c = text.p[text.len - 1 - back];
        if (c == ' ' || c == '\n' || c == '\t')
            return (struct str_view){text.p, text.len - back};
    }
    return text;
}

/* None, if it cannot be read: the file is found by its label. */
static struct str_view read_content(struct media *m, const struct row_file *row)
{
    int fd;
    uint32_t len = (uint32_t)MIN(row->length, (uint64_t)content_bytes_max);
    if (!is_text(row) || blob_open(&m->blobs, row->sha256, row->length, &fd) != ERR_OK)
        return SV_NONE;
    bool read = blob_read(fd, 0, m->head, len) == ERR_OK;
    close(fd);
    return read ? (struct str_view){(const char *)m->head, len} : SV_NONE;
}

static enum err pack(struct media *m, struct words *w, struct str_view *out)
{
    struct buf b;
    words_sort(w);
    buf_init(&b, &m->scratch, 0);
    words_pack(w, &b);
    *out = buf_view(&b);
    return w->failed || b.failed ? ERR_NOMEM : ERR_OK;
}

static enum err make(struct media *m, const struct row_file *row, struct str_view content,
                     struct str_view *out)
{
    struct words w;
    TRY(words_init(&w, &m->scratch));
    add_label(&w, row);
    words_add_content(&w, beginning(content, row->length));
    return pack(m, &w, out);
}

/* ---- what is to become of them ---- */

/* A damaged row is as good as none: the postings that it led to are believed by nobody. */
static enum err read_before(struct media *m, const struct file_id *id, struct row_file_words *row)
{
    struct key k;
    struct str_view value;
    *row = (struct row_file_words){0};
    key_file_words(&k, id);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    if (value.p == NULL)
        return ERR_OK;
    enum err err = row_file_words_decode(row, key_view(&k), value);
    if (err != ERR_OK)
        *row = (struct row_file_words){0};
    return err == ERR_CORRUPT ? ERR_OK : err;
}

enum err index_stored(struct media *m, const struct row_file *row, struct str_view head,
                      struct file_words *w)
{
    *w = (struct file_words){.off = !m->conf.indexes};
    return w->off ? ERR_OK : make(m, row, is_text(row) ? head : SV_NONE, &w->after);
}

static enum err relabel(struct media *m, const struct row_file *row, struct str_view before,
                        struct str_view *out)
{
    struct words w;
    TRY(words_init(&w, &m->scratch));
    add_label(&w, row);
    TRY(words_add_packed_content(&w, before));
    return pack(m, &w, out);
}

enum err index_titled(struct media *m, const struct file_id *id, const struct row_file *row,
                      struct file_words *w)
{
    struct row_file_words before;
    *w = (struct file_words){.off = !m->conf.indexes};
    if (w->off)
        return ERR_OK;
    TRY(read_before(m, id, &before));
    w->before = before.packed;
    enum err err = before.packed.p == NULL || before.version != tokens_version
                       ? ERR_CORRUPT
                       : relabel(m, row, before.packed, &w->after);
    return err == ERR_CORRUPT ? make(m, row, read_content(m, row), &w->after) : err;
}

enum err index_deleted(struct media *m, const struct file_id *id, struct file_words *w)
{
    struct row_file_words before;
    *w = (struct file_words){0};
    TRY(read_before(m, id, &before));
    w->before = before.packed;
    return ERR_OK;
}

/* ---- rows ---- */

static void put_posting(struct media *m, struct str_view word, const struct file_id *id,
                        const struct row_file *row)
{
    struct key k;
    struct row_file_listed listed = {.uid = row->uid, .types = file_types(row)};
    key_file_posting(&k, row->team, word, row->created_us, id);
    row_file_listed_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, &listed);
    batch_put_end(&m->batch);
}

static void delete_posting(struct media *m, struct str_view word, const struct file_id *id,
                           const struct row_file *row)
{
    struct key k;
    key_file_posting(&k, row->team, word, row->created_us, id);
    batch_delete(&m->batch, CF_FILE, &k);
}

static bool next(struct words_reader *r, struct packed_word *w)
{
    words_skip(r, w);
    return words_next(r, w);
}

/* Both are in order: word by word, what stands in only one of them. */
static void put_changes(struct media *m, const struct file_id *id, const struct row_file *row,
                        const struct file_words *words)
{
    struct words_reader before = words_read(words->before), after = words_read(words->after);
    struct packed_word b = {0}, a = {0};
    bool has_b = next(&before, &b), has_a = next(&after, &a);
    while (has_b || has_a) {
        int order = !has_b ? 1 : !has_a ? -1 : sv_cmp(b.text, a.text);
        if (order < 0)
            delete_posting(m, b.text, id, row);
        else if (order > 0 || words->all)
            put_posting(m, a.text, id, row);
        if (order <= 0)
            has_b = next(&before, &b);
        if (order >= 0)
            has_a = next(&after, &a);
    }
}

void index_write(struct media *m, const struct file_id *id, const struct row_file *row,
                 const struct file_words *words)
{
    struct key k;
    if (words->off) { /* once it is on, all are looked at */
        key_files_indexed(&k);
        batch_delete(&m->batch, CF_FILE, &k);
        return;
    }
    put_changes(m, id, row, words);
    key_file_words(&k, id);
    if (words->after.len == 0) {
        batch_delete(&m->batch, CF_FILE, &k);
        return;
    }
    row_file_words_encode(
        batch_put_begin(&m->batch, CF_FILE, &k), &k,
        &(struct row_file_words){.version = tokens_version, .packed = words->after});
    batch_put_end(&m->batch);
}

/* ---- all files anew ---- */

enum err index_load(struct media *m)
{
    struct key k;
    struct str_view value;
    struct row_files_indexed row;
    key_files_indexed(&k);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    enum err err =
        value.p == NULL ? ERR_CORRUPT : row_files_indexed_decode(&row, key_view(&k), value);
    if (err == ERR_OK && row.version == tokens_version)
        m->reindex = (struct reindex){.at = row.at, .whole = row.whole};
    arena_reset(&m->scratch);
    return err == ERR_CORRUPT ? ERR_OK : err;
}

static void put_indexed(struct media *m, const struct file_id *at, bool whole)
{
    struct key k;
    const struct row_files_indexed row = {.version = tokens_version, .whole = whole, .at = *at};
    key_files_indexed(&k);
    row_files_indexed_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, &row);
    batch_put_end(&m->batch);
}

struct step {
    struct file_id ids[step_files_max];
    uint32_t len;
};

static bool on_file(void *ctx, struct str_view key, struct str_view value)
{
    struct step *s = ctx;
    (void)value;
    key_file_id(key, &s->ids[s->len++]);
    return s->len < step_files_max;
}

static enum err read_step(struct media *m, struct step *s)
{
    struct key from, to;
    key_files(&from);
    to = from;
    key_prefix_end(&to);
    if (m->reindex.at.text[0] != '\0') {
        key_file(&from, &m->reindex.at);
        from.b[from.len++] = 0; /* the first key behind it */
    }
    s->len = 0;
    return view_scan(&m->conf.view, CF_FILE, key_view(&from), key_view(&to), on_file, s);
}

/* A file whose row is damaged is left out: who asks for it is told. */
static enum err reindex_file(struct media *m, const struct file_id *id, size_t *text_bytes)
{
    struct row_file row;
    struct file_words w;
    enum err err = file_read(m, id, &row);
    if (err != ERR_OK)
        return media_count(m, err) == ERR_CORRUPT || err == ERR_FILE_NOT_FOUND ? ERR_OK : err;
    TRY(index_deleted(m, id, &w)); /* what there is of it */
    if ((row.flags & FILE_DELETED) == 0) {
        struct str_view content = read_content(m, &row);
        w.all = true;
        TRY(make(m, &row, content, &w.after));
        *text_bytes += content.len;
    }
    index_write(m, id, &row, &w);
    return ERR_OK;
}

/* Alone at the beginning of a group: no change of these files can be beside it. */
bool decide_index_step(struct media *m, struct media_op *op)
{
    struct step s;
    size_t text_bytes = 0;
    uint32_t done = 0;
    if (m->group_len > 0)
        return false;
    op->err = media_count(m, read_step(m, &s));
    while (op->err == ERR_OK && done < s.len && text_bytes < step_text_bytes_max &&
           m->batch.bytes < step_bytes_max) {
        group_claim_file(m, &s.ids[done]);
        op->err = reindex_file(m, &s.ids[done], &text_bytes);
        done += op->err == ERR_OK;
        arena_reset(&m->scratch);
    }
    if (op->err != ERR_OK && done == 0)
        return true;
    op->err = ERR_OK; /* the next step meets it again */
    op->writes = true;
    m->reindex.next_at = done > 0 ? s.ids[done - 1] : m->reindex.at;
    m->reindex.next_whole = done == s.len && s.len < step_files_max;
    m->reindex.next_files = done;
    put_indexed(m, &m->reindex.next_at, m->reindex.next_whole);
    return true;
}

void decide_reindex(struct media *m, struct media_op *op)
{
    const struct file_id from_the_first = {{0}};
    op->err = m->conf.indexes ? ERR_OK : ERR_NOT_ENABLED;
    op->writes = op->err == ERR_OK;
    if (op->writes)
        put_indexed(m, &from_the_first, false);
}

void index_ended(struct media *m, const struct media_op *op, bool durable)
{
    struct reindex *r = &m->reindex;
    if (op->request.type == MEDIA_REINDEX && durable) {
        *r = (struct reindex){.pushed = r->pushed};
        log_info("files_reindex", NULL);
    }
    if (op->request.type != MEDIA_INDEX_STEP)
        return;
    r->pushed = false;
    r->failed = !durable;
    if (!durable)
        return;
    r->at = r->next_at;
    r->whole = r->next_whole;
    metric_add(m->turn->metrics, METRIC_FILES_REINDEXED, r->next_files);
    if (r->whole)
        log_info("files_indexed", NULL);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct media *m = (struct media *)(void *)((char *)timer - offsetof(struct media, index_timer));
    const struct media_op op = {.request = {.type = MEDIA_INDEX_STEP}, .from = ACTOR_NONE};
    m->turn = ctx;
    if (!m->reindex.whole && !m->reindex.pushed && !m->draining)
        m->reindex.pushed = group_push(m, &op);
}

void index_watch(struct media *m)
{
    const struct reindex *r = &m->reindex;
    if (!m->conf.indexes || r->whole || r->pushed || m->draining || timer_armed(&m->index_timer))
        return;
    m->index_timer.fire = on_timer;
    wheel_arm(m->turn->wheel, &m->index_timer,
              m->turn->mono_us + (r->failed ? (uint64_t)retry_us : (uint64_t)step_us));
}
