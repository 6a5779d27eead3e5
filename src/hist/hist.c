#include "base/mutant.h"
#include "chan/message_json.h"
#include "hist/hist.h"

#include <stdlib.h>

#include "chan/channel_json.h"
#include "hist/internal.h"

enum { turn_reads_max = 8 };

enum err hist_new(struct hist **out, const struct view *v, const struct conf *c)
{
    struct hist *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ERR_NOMEM;
    h->view = *v;
    arena_pool_init(&h->pool, 65536, 1, UINT64_MAX);
    if (arena_init(&h->scratch, &h->pool, UINT64_MAX) != ERR_OK ||
        recent_new(&h->recent, c->hist_recent_bytes) != ERR_OK ||
        seer_init(&h->seer, v, &h->scratch) != ERR_OK) {
        hist_free(h);
        return ERR_NOMEM;
    }
    *out = h;
    return ERR_OK;
}

void hist_free(struct hist *h)
{
    if (h == NULL)
        return;
    arena_deinit(&h->scratch);
    arena_pool_deinit(&h->pool);
    recent_free(h->recent);
    seer_deinit(&h->seer);
    free(h->queue);
    free(h);
}

/* ---- messages ---- */

struct page {
    struct hist_history *m;
    enum err err;
    uint64_t last_us;
    uint32_t hidden; /* deleted ones that were passed by */
};

enum {
    hidden_rows_max = 10000, /* then the page ends, and the reader goes on by its cursor */
    reserve_rows_max = 128,  /* room is made at once for so many rows as long as the first one */
    reserve_bytes_max = 1 << 17,
    reserve_extra_bytes = 64 /* since others are longer; and for the answer's end */
};

static void put_in_list(struct page *p, const struct row_message *row)
{
    struct hist_history *m = p->m;
    if (m->messages > 0)
        buf_putc(&m->out, ',');
    else
        (void)buf_reserve(&m->out, MIN((row->body.len + reserve_extra_bytes) *
                                           (MIN(m->limit, (uint32_t)reserve_rows_max) + 1),
                                       (size_t)reserve_bytes_max));
    message_json(&m->out, row, m->cid, m->metadata);
    m->messages++;
}

static bool end_page(struct page *p, uint64_t next_us)
{
    p->m->has_more = true;
    p->m->next_us = next_us;
    return false;
}

static bool on_message(void *ctx, struct str_view key, struct str_view value)
{
    struct page *p = ctx;
    struct row_message row;
    p->err = row_message_decode(&row, key, value);
    if (p->err != ERR_OK)
        return false;
    if (MUTANT(DELETED_IS_SHOWN, !message_is_shown(&row), false)) {
        p->last_us = row.ts_us;
        return ++p->hidden < hidden_rows_max || end_page(p, p->last_us);
    }
    bool whole = p->m->messages > 0 && p->m->out.len + row.body.len > hist_page_bytes_max;
    if (p->m->messages == p->m->limit || whole)
        return end_page(p, p->last_us);
    put_in_list(p, &row);
    p->last_us = row.ts_us;
    return !p->m->out.failed;
}

static struct ts_span span_of(const struct hist_history *m)
{
    uint64_t shift = m->inclusive ? 0 : 1;
    return (struct ts_span){
        .newest_us = m->latest_us == 0 ? UINT64_MAX : m->latest_us - shift,
        .oldest_us =
            m->oldest_us == 0 ? 0 : m->oldest_us + MUTANT(HISTORY_OLDEST_INCLUDED, shift, 0)};
}

static enum err read_pins(struct hist *h, struct hist_history *m)
{
    struct row_chan_head head;
    TRY(hist_head(h, m->cid, &head));
    m->pins = (int32_t)head.pins;
    recent_note_pins(h->recent, m->cid, m->pins);
    return ERR_OK;
}

/* The bounds become keys, newest first: from is the newest ts allowed, to the first key behind the
 * oldest. */
static enum err history(struct hist *h, struct hist_history *m)
{
    struct key from, to;
    struct page page = {.m = m};
    m->messages = 0;
    m->has_more = false;
    TRY(seer_may_read(&h->seer, &m->viewer, m->cid));
    struct ts_span span = span_of(m);
    if (span.newest_us < span.oldest_us)
        return ERR_OK;
    m->pins = recent_pins_unknown;
    if (!m->metadata && recent_answer(h->recent, &h->view, m, span)) {
        if (m->pins == recent_pins_unknown)
            TRY(read_pins(h, m));
        return m->out.failed ? ERR_NOMEM : ERR_OK;
    }
    TRY(read_pins(h, m));
    key_msg(&from, m->cid, span.newest_us);
    key_msg(&to, m->cid, span.oldest_us);
    key_prefix_end(&to);
    TRY(view_scan(&h->view, CF_MSG, key_view(&from), key_view(&to), on_message, &page));
    TRY(page.err);
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* ---- members ---- */

struct uids {
    uint64_t *p;
    uint32_t len, max;
    uint64_t next;
    bool more;
};

static bool on_member(void *ctx, struct str_view key, struct str_view value)
{
    (void)value;
    struct uids *u = ctx;
    if (u->len == u->max) {
        u->more = true;
        return false;
    }
    u->p[u->len++] = key_chan_member_uid(key);
    return true;
}

static enum err members(struct hist *h, struct hist_members *m)
{
    bool member;
    struct key from, end;
    TRY(seer_may_see(&h->seer, &m->viewer, m->cid, &member));
    struct uids u = {.p = arena_alloc(m->arena, (m->limit + 1ull) * sizeof *u.p), .max = m->limit};
    if (u.p == NULL)
        return ERR_NOMEM;
    key_chan_member(&from, m->cid, m->after_uid + (m->after_uid < UINT64_MAX));
    key_chan_members(&end, m->cid);
    key_prefix_end(&end);
    TRY(view_scan(&h->view, CF_CHAN, key_view(&from), key_view(&end), on_member, &u));
    m->uids = u.p;
    m->len = u.len;
    m->next_uid = u.more && u.len > 0 ? u.p[u.len - 1] : 0;
    return ERR_OK;
}

static bool on_membership(void *ctx, struct str_view key, struct str_view value)
{
    (void)value;
    struct uids *u = ctx;
    if (u->len == u->max) {
        u->more = true;
        return false;
    }
    u->p[u->len++] = key_membership_cid(key);
    return true;
}

static enum err memberships(struct hist *h, struct hist_memberships *m)
{
    struct key prefix;
    struct uids u = {.p = arena_alloc(m->arena, (m->max + 1ull) * sizeof *u.p), .max = m->max};
    if (u.p == NULL)
        return ERR_NOMEM;
    key_memberships(&prefix, m->uid);
    TRY(view_scan_prefix(&h->view, CF_USER, &prefix, on_membership, &u));
    m->cids = u.p;
    m->len = u.len;
    m->more = u.more;
    return ERR_OK;
}

static enum err document(struct hist *h, struct hist_document *m)
{
    struct key k;
    struct str_view value;
    struct row_document row = {0};
    key_document(&k, m->owner, (uint8_t)m->kind);
    TRY(view_get1(&h->view, CF_USER, &k, &h->scratch, &value));
    if (value.p != NULL)
        TRY(row_document_decode(&row, key_view(&k), value));
    m->revision = row.revision;
    m->text = (struct str_view){0};
    if (row.text.len == 0 || row.revision == m->known)
        return ERR_OK;
    m->text = arena_dup(m->arena, row.text);
    return m->text.p == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err sees(struct hist *h, struct hist_sees *m)
{
    for (uint32_t i = 0; i < m->len; i++) {
        bool member;
        enum err err = seer_may_see(&h->seer, &m->viewer, m->cids[i], &member);
        if (err != ERR_OK && err != ERR_CHANNEL_NOT_FOUND)
            return err;
        m->seen[i] = err == ERR_OK;
    }
    return ERR_OK;
}

/* ---- scheduled messages ---- */

struct scheduled_page {
    struct hist_scheduled *m;
    uint64_t last_id;
    enum err err;
};

static bool on_scheduled(void *ctx, struct str_view key, struct str_view value)
{
    struct scheduled_page *p = ctx;
    struct hist_scheduled *m = p->m;
    struct row_scheduled row;
    p->err = row_scheduled_decode(&row, key, value);
    if (p->err != ERR_OK)
        return false;
    if ((m->cid != ID_NONE && row.cid != m->cid) || row.post_s < m->oldest_s ||
        row.post_s > m->latest_s)
        return true;
    if (m->len == m->limit || (m->len > 0 && m->out.len > hist_page_bytes_max)) {
        m->next_id = p->last_id;
        return false;
    }
    struct json_out j = {.b = &m->out, .comma = m->len > 0};
    json_obj(&j);
    json_kv_id(&j, "id", ID_SCHEDULED, row.id);
    json_kv_id(&j, "channel_id", channel_letter(row.kind), row.cid);
    json_kv_u64(&j, "post_at", row.post_s);
    json_kv_u64(&j, "date_created", row.created_s);
    json_kv_str(&j, "text", row.text);
    json_obj_end(&j);
    m->len++;
    p->last_id = row.id;
    return !m->out.failed;
}

static enum err scheduled(struct hist *h, struct hist_scheduled *m)
{
    struct scheduled_page p = {.m = m};
    struct key from, end;
    key_scheduled(&from, m->team, m->uid, m->after_id + 1);
    key_scheduled_of(&end, m->team, m->uid);
    key_prefix_end(&end);
    TRY(view_scan(&h->view, CF_DIR, key_view(&from), key_view(&end), on_scheduled, &p));
    TRY(p.err);
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* ---- a cold channel ---- */

static enum err dup_text(struct arena *a, struct str_view *s)
{
    *s = arena_dup(a, *s);
    return s->p == NULL ? ERR_NOMEM : ERR_OK;
}

struct growing {
    struct arena *a;
    uint64_t *p;
    uint32_t len, cap, max;
    bool failed;
};

static bool on_loaded_member(void *ctx, struct str_view key, struct str_view value)
{
    (void)value;
    struct growing *g = ctx;
    if (g->len == g->max) {
        g->failed = true;
        return false;
    }
    if (g->len == g->cap) {
        uint32_t cap = g->cap == 0 ? 64 : g->cap * 2;
        uint64_t *more = arena_alloc(g->a, cap * sizeof *more);
        if (more == NULL) {
            g->failed = true;
            return false;
        }
        if (g->len > 0)
            memcpy(more, g->p, g->len * sizeof *more);
        g->p = more;
        g->cap = cap;
    }
    g->p[g->len++] = key_chan_member_uid(key);
    return true;
}

static enum err load(struct hist *h, struct hist_load *m)
{
    struct key ki, kh, km;
    key_chan_info(&ki, m->cid);
    key_chan_head(&kh, m->cid);
    struct view_get gets[2] = {{.cf = CF_CHAN, .key = key_view(&ki)},
                               {.cf = CF_CHAN, .key = key_view(&kh)}};
    m->found = false;
    TRY(view_multi_get(&h->view, gets, 2, m->arena));
    if (gets[0].value.p == NULL)
        return ERR_OK;
    TRY(row_chan_info_decode(&m->info, gets[0].key, gets[0].value));
    if (gets[1].value.p == NULL)
        return ERR_CORRUPT; /* written together, always */
    TRY(row_chan_head_decode(&m->head, gets[1].key, gets[1].value));
    TRY(dup_text(m->arena, &m->info.name));
    TRY(dup_text(m->arena, &m->info.topic));
    TRY(dup_text(m->arena, &m->info.purpose));
    struct growing g = {.a = m->arena, .max = m->members_max};
    key_chan_members(&km, m->cid);
    TRY(view_scan_prefix(&h->view, CF_CHAN, &km, on_loaded_member, &g));
    if (g.failed)
        return ERR_NOMEM;
    m->members = g.p;
    m->members_len = g.len;
    m->found = true;
    return ERR_OK;
}

/* ---- actor ---- */

static enum err serve(struct hist *h, const struct cell *c)
{
    switch ((enum hist_msg)c->type) {
    case HIST_HISTORY:
        return history(h, c->u.p);
    case HIST_MESSAGE:
        return hist_one(h, c->u.p);
    case HIST_INFO:
        return hist_info(h, c->u.p);
    case HIST_MEMBERS:
        return members(h, c->u.p);
    case HIST_LIST:
        return hist_list(h, c->u.p);
    case HIST_MEMBERSHIPS:
        return memberships(h, c->u.p);
    case HIST_LOAD:
        return load(h, c->u.p);
    case HIST_REPLIES:
        return hist_replies(h, c->u.p);
    case HIST_REPLY_BEFORE:
        return hist_reply_before(h, c->u.p);
    case HIST_SEQ_AT:
        return hist_seq_at(h, c->u.p);
    case HIST_PINS:
        return hist_pins(h, c->u.p);
    case HIST_DOCUMENT:
        return document(h, c->u.p);
    case HIST_SCHEDULED:
        return scheduled(h, c->u.p);
    case HIST_REACTED:
        return hist_reacted(h, c->u.p);
    case HIST_SEES:
        return sees(h, c->u.p);
    }
    ASSERT(false);
    return ERR_INTERNAL_ERROR;
}

static void serve_one(struct hist *h, const struct cell *c, actor_id from, struct turn *t)
{
    enum err err = serve(h, c);
    struct cell *answer = outbox_answer(t->out, from, c);
    answer->err = err;
    answer->u.p = c->u.p;
    arena_reset(&h->scratch);
    metric_add(t->metrics, METRIC_HIST_READS, 1);
}

static void tell_metrics(struct hist *h, struct metrics *m)
{
    const struct recent_count *now = recent_counts(h->recent);
    metric_add(m, METRIC_HIST_RECENT_HITS, now->hits - h->told.hits);
    metric_add(m, METRIC_HIST_RECENT_FILLS, now->fills - h->told.fills);
    metric_add(m, METRIC_HIST_RECENT_EVICTIONS, now->evictions - h->told.evictions);
    metric_add(m, METRIC_HIST_RECENT_BYTES, now->bytes - h->told.bytes); /* may wrap: a gauge */
    metric_add(m, METRIC_HIST_DAMAGED, h->damaged);
    h->told = *now;
    h->damaged = 0;
}

/* Grows to the high water of what the credits allow. False: an empty heap. */
static bool push(struct hist *h, const struct cell *c, actor_id from)
{
    if (h->queue_len == h->queue_cap && h->queue_at > 0) {
        h->queue_len -= h->queue_at;
        memmove(h->queue, h->queue + h->queue_at, h->queue_len * sizeof *h->queue);
        h->queue_at = 0;
    }
    if (h->queue_len == h->queue_cap) {
        uint32_t cap = MAX(64u, h->queue_cap * 2);
        struct waiting *more = realloc(h->queue, cap * sizeof *more);
        if (more == NULL)
            return false;
        h->queue = more;
        h->queue_cap = cap;
    }
    h->queue[h->queue_len++] = (struct waiting){*c, from};
    return true;
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct hist *h = self;
    ASSERT(class == CLASS_REQUEST);
    for (uint32_t i = 0; i < n; i++) {
        if (!push(h, &cells[i], from))
            serve_one(h, &cells[i], from, t);
    }
}

/* Answers leave at the end of the turn: with all that has come in one turn, each would wait for the
 * slowest list behind it. */
static void end_turn(void *self, struct turn *t)
{
    struct hist *h = self;
    for (uint32_t n = 0; n < turn_reads_max && h->queue_at < h->queue_len; n++) {
        struct waiting w = h->queue[h->queue_at++];
        serve_one(h, &w.request, w.from, t);
    }
    if (h->queue_at == h->queue_len)
        h->queue_at = h->queue_len = 0;
    tell_metrics(h, t->metrics);
}

static bool busy(const void *self)
{
    return ((const struct hist *)self)->queue_len > 0;
}

static bool drain(void *self, struct turn *t)
{
    (void)t;
    return !busy(self);
}

const struct actor_ops hist_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
