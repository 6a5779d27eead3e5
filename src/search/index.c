/* index.c - keeps the index up with the store. A channel's messages with ts in (how far it is
 * indexed, its head] are read newest first, then its replies; their words gather in memory until
 * the batch is full or nothing is left, and the batch has with the postings how far the channels
 * are indexed now. Should it fail, or the process end, the same is read again: postings may stand
 * twice, which readers see through. */
#include "base/mutant.h"
#include "search/internal.h"
#include "store/log.h"

/* ---- one message ---- */

static bool add_mark(struct search *s, uint64_t team, struct posting where, struct str_view mark)
{
    return build_add_word(s->build, team, where, mark);
}

static enum err add_message(struct search *s, uint64_t team, uint64_t cid,
                            const struct row_message *row)
{
    struct message_text text;
    struct posting where = {row->ts_us, cid};
    char mark[mark_max];
    if ((row->flags & (MSG_DELETED | MSG_SYSTEM)) != 0)
        return ERR_OK;
    TRY(message_text(s->json, &s->scratch, row->body, &text));
    bool ok =
        build_add(s->build, team, where, text.text) &&
        add_mark(s, team, where, mark_from(mark, row->uid)) &&
        add_mark(s, team, where, mark_in(mark, cid)) &&
        (!text.has_link || add_mark(s, team, where, mark_plain(mark, MARK_LINK))) &&
        (!text.has_file || add_mark(s, team, where, mark_plain(mark, MARK_FILE))) &&
        ((row->flags & MSG_REPLY) == 0 || add_mark(s, team, where, mark_plain(mark, MARK_REPLY)));
    return ok ? ERR_OK : ERR_NOMEM;
}

/* ---- a channel's messages ---- */

struct reading {
    struct search *s;
    enum err err;
};

static bool has_room(const struct search *s)
{
    return s->rows < index_rows_max && !build_is_full(s->build);
}

static bool on_message(void *ctx, struct str_view key, struct str_view value)
{
    struct reading *r = ctx;
    struct job *j = &r->s->job;
    struct row_message row;
    if (!has_room(r->s))
        return false;
    r->err = row_message_decode(&row, key, value);
    if (r->err == ERR_OK)
        r->err = add_message(r->s, j->team, j->cid, &row);
    j->left_us = key_msg_ts(key);
    r->s->rows++;
    return r->err == ERR_OK;
}

static enum err read_messages(struct search *s)
{
    struct job *j = &s->job;
    struct reading r = {.s = s};
    struct key from, to;
    key_msg(&from, j->cid, j->left_us - 1);
    key_msg(&to, j->cid, j->from_us);
    TRY(view_scan(&s->conf.view, CF_MSG, key_view(&from), key_view(&to), on_message, &r));
    TRY(r.err);
    if (has_room(s))
        j->left_us = 0;
    return ERR_OK;
}

/* ---- only what is new of it, without a question to the files ---- */

static bool on_new(void *ctx, struct str_view key, struct str_view value)
{
    struct reading *r = ctx;
    struct job *j = &r->s->job;
    uint64_t ts_us = key_msg_ts(key);
    if (ts_us <= j->from_us) /* it came while what was before it was read */
        return true;
    j->to_us = MAX(j->to_us, ts_us);
    bool more = on_message(ctx, key, value);
    if (!more && r->err == ERR_OK) /* no room: read_messages goes on below it */
        j->left_us = MIN(j->left_us, ts_us + 1);
    return more;
}

/* True: the job is what came since the channel was read last, read already but for what had no
 * room. False: memory does not tell, or more happened than messages coming. */
static bool take_new(struct search *s, uint64_t cid, enum err *err)
{
    struct job *j = &s->job;
    const struct known *k = known_at(s->known, cid);
    struct reading r = {.s = s};
    struct key prefix;
    if (k->cid != cid)
        return false;
    *j = (struct job){.cid = cid,
                      .team = k->team,
                      .from_us = k->indexed_us,
                      .to_us = k->indexed_us,
                      .left_us = UINT64_MAX};
    key_msg_prefix(&prefix, cid);
    bool known = s->conf.view.ops->front(s->conf.view.self, CF_MSG, key_view(&prefix), k->moment,
                                         on_new, &r, &j->moment);
    *err = r.err;
    if (!known || r.err != ERR_OK) {
        j->cid = ID_NONE;
        return false;
    }
    if (has_room(s))
        j->left_us = 0;
    j->replies_us = j->to_us;
    return true;
}

/* ---- its replies ---- */

struct pointers {
    struct row_at *rows;
    uint32_t len;
};

static bool on_pointer(void *ctx, struct str_view key, struct str_view value)
{
    struct pointers *p = ctx;
    (void)value;
    p->rows[p->len].ts_us = key_pointer_ts(key);
    return ++p->len < index_rows_max;
}

static enum err read_replies(struct search *s)
{
    struct job *j = &s->job;
    struct pointers p = {.rows = arena_zalloc(&s->scratch, index_rows_max * sizeof *p.rows)};
    struct key from, to;
    if (p.rows == NULL)
        return ERR_NOMEM;
    key_pointer(&from, j->cid, j->replies_us + 1);
    key_pointer(&to, j->cid, j->to_us + 1);
    TRY(view_scan(&s->conf.view, CF_MSG, key_view(&from), key_view(&to), on_pointer, &p));
    for (uint32_t i = 0; i < p.len; i++)
        p.rows[i].cid = j->cid;
    TRY(read_rows(s, p.rows, p.len, &s->scratch));
    for (uint32_t i = 0; i < p.len; i++) {
        if (p.rows[i].found)
            TRY(add_message(s, j->team, j->cid, &p.rows[i].row));
    }
    j->replies_us = p.len < index_rows_max ? j->to_us : p.rows[p.len - 1].ts_us;
    return ERR_OK;
}

/* ---- the next channel ---- */

static enum err next_channel(struct search *s)
{
    struct job *j = &s->job;
    uint64_t cid;
    while (j->cid == ID_NONE && dirty_take(&s->dirty, &cid)) {
        struct key k[3];
        struct row_chan_info info;
        struct row_chan_head head;
        enum err err = ERR_OK;
        if (take_new(s, cid, &err) || err != ERR_OK)
            return err;
        uint64_t moment = view_moment(&s->conf.view);
        key_chan_info(&k[0], cid);
        key_chan_head(&k[1], cid);
        key_indexed(&k[2], cid);
        struct view_get gets[] = {{.cf = CF_CHAN, .key = key_view(&k[0])},
                                  {.cf = CF_CHAN, .key = key_view(&k[1])},
                                  {.cf = CF_FTS, .key = key_view(&k[2])}};
        uint64_t indexed_us = 0;
        TRY(view_multi_get(&s->conf.view, gets, ARRAY_LEN(gets), &s->scratch));
        if (gets[0].value.p == NULL || gets[1].value.p == NULL)
            continue;
        TRY(row_chan_info_decode(&info, gets[0].key, gets[0].value));
        TRY(row_chan_head_decode(&head, gets[1].key, gets[1].value));
        if (gets[2].value.p != NULL)
            TRY(row_u64_decode(&indexed_us, gets[2].key, gets[2].value));
        if (head.last_ts_us <= indexed_us)
            continue;
        *j = (struct job){.cid = cid,
                          .team = info.team,
                          .from_us = indexed_us,
                          .to_us = head.last_ts_us,
                          .left_us = head.last_ts_us + 1,
                          .replies_us = indexed_us,
                          .moment = moment};
    }
    return ERR_OK;
}

/* Of one that had nothing new no row says so. */
static void finish_channel(struct search *s)
{
    struct job *j = &s->job;
    struct key k;
    *known_at(s->known, j->cid) =
        (struct known){.cid = j->cid, .team = j->team, .indexed_us = j->to_us, .moment = j->moment};
    if (j->to_us == j->from_us) {
        j->cid = ID_NONE;
        return;
    }
    key_indexed(&k, j->cid);
    row_u64_encode(batch_put_begin(&s->batch, CF_FTS, &k), &k, j->to_us);
    batch_put_end(&s->batch);
    s->finished[s->finished_len++] = j->cid;
    j->cid = ID_NONE;
}

static enum err step_channel(struct search *s)
{
    struct job *j = &s->job;
    if (j->left_us > 0)
        TRY(read_messages(s));
    else if (j->replies_us < j->to_us)
        TRY(read_replies(s));
    if (j->left_us == 0 && j->replies_us >= j->to_us)
        finish_channel(s);
    return ERR_OK;
}

/* ---- edited messages ---- */

static bool on_edited(void *ctx, struct str_view key, struct str_view value)
{
    struct pointers *p = ctx;
    (void)value;
    key_edited_parts(key, &p->rows[p->len].cid, &p->rows[p->len].ts_us);
    return ++p->len < index_rows_max;
}

static enum err add_edited(struct search *s, const struct row_at *at)
{
    struct key k;
    struct str_view value;
    struct row_chan_info info;
    if (at->found) {
        key_chan_info(&k, at->cid);
        TRY(view_get1(&s->conf.view, CF_CHAN, &k, &s->scratch, &value));
        if (value.p == NULL)
            return ERR_CORRUPT;
        TRY(row_chan_info_decode(&info, key_view(&k), value));
        TRY(add_message(s, info.team, at->cid, &at->row));
    }
    key_edited(&k, at->cid, at->ts_us);
    batch_delete(&s->batch, CF_FTS, &k);
    return ERR_OK;
}

static enum err step_edits(struct search *s)
{
    struct pointers p = {.rows = arena_zalloc(&s->scratch, index_rows_max * sizeof *p.rows)};
    struct key prefix;
    if (p.rows == NULL)
        return ERR_NOMEM;
    key_edited_all(&prefix);
    TRY(view_scan_prefix(&s->conf.view, CF_FTS, &prefix, on_edited, &p));
    TRY(read_rows(s, p.rows, p.len, &s->scratch));
    for (uint32_t i = 0; i < p.len; i++)
        TRY(add_edited(s, &p.rows[i]));
    s->edits = p.len == index_rows_max;
    return ERR_OK;
}

/* ---- all channels ---- */

struct channels {
    uint64_t *cids; /* compare_channels */
    uint32_t len;
    struct key last;
    enum err err;
};

/* Names of channels lead to them, sets of members to direct conversations. */
static bool on_channel(void *ctx, struct str_view key, struct str_view value)
{
    struct channels *c = ctx;
    struct row_channel_name name = {0};
    if (key.p[0] == '2' || key.p[0] == 'n')
        c->err = row_channel_name_decode(&name, key, value);
    if (c->err != ERR_OK)
        return false;
    memcpy(c->last.b, key.p, key.len);
    c->last.len = (uint16_t)key.len;
    if (name.cid != ID_NONE)
        c->cids[c->len++] = name.cid;
    return c->len < compare_channels;
}

static enum err add_if_behind(struct search *s, const uint64_t *cids, uint32_t n)
{
    struct view_get *gets = arena_zalloc(&s->scratch, (n + 1) * 2 * sizeof *gets);
    struct key *keys = arena_alloc(&s->scratch, (n + 1) * 2 * sizeof *keys);
    if (gets == NULL || keys == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        key_chan_head(&keys[i], cids[i]);
        gets[i] = (struct view_get){.cf = CF_CHAN, .key = key_view(&keys[i])};
        key_indexed(&keys[n + i], cids[i]);
        gets[n + i] = (struct view_get){.cf = CF_FTS, .key = key_view(&keys[n + i])};
    }
    if (n > 0)
        TRY(view_multi_get(&s->conf.view, gets, 2 * n, &s->scratch));
    for (uint32_t i = 0; i < n; i++) {
        struct row_chan_head head = {0};
        uint64_t indexed_us = 0;
        if (gets[i].value.p != NULL)
            TRY(row_chan_head_decode(&head, gets[i].key, gets[i].value));
        if (gets[n + i].value.p != NULL)
            TRY(row_u64_decode(&indexed_us, gets[n + i].key, gets[n + i].value));
        if (head.last_ts_us > indexed_us)
            (void)dirty_add(&s->dirty, cids[i]); /* there is room: index_step looked */
    }
    return ERR_OK;
}

static enum err step_compare(struct search *s)
{
    struct channels c = {.cids = arena_alloc(&s->scratch, compare_channels * sizeof *c.cids)};
    struct key end = {.len = 1, .b = "o"}; /* behind 'n'; '2' stands before it */
    if (c.cids == NULL)
        return ERR_NOMEM;
    TRY(view_scan(&s->conf.view, CF_DIR, key_view(&s->compare_at), key_view(&end), on_channel, &c));
    TRY(c.err);
    TRY(add_if_behind(s, c.cids, c.len));
    s->comparing = c.len == compare_channels;
    s->compare_at = c.last;
    if (s->comparing)
        s->compare_at.b[s->compare_at.len++] = 0; /* the first key behind it */
    return ERR_OK;
}

void index_compare_all(struct search *s)
{
    s->comparing = true;
    s->edits = true;
    s->compare_at = (struct key){.len = 1, .b = "2"};
}

/* ---- a rebuild: everything is deleted, then found missing ---- */

void index_rebuild(struct search *s)
{
    known_forget(s->known);
    s->wipe_at = (struct key){.len = 1, .b = {0}};
}

struct wiping {
    struct search *s;
    uint32_t rows;
};

/* What is left of edits is indexed with all the rest. */
static bool on_wipe(void *ctx, struct str_view key, struct str_view value)
{
    struct wiping *w = ctx;
    (void)value;
    if (w->rows == wipe_rows_max)
        return false;
    memcpy(w->s->wipe_at.b, key.p, key.len);
    w->s->wipe_at.len = (uint16_t)key.len;
    batch_delete(&w->s->batch, CF_FTS, &w->s->wipe_at);
    w->rows++;
    return true;
}

static enum err step_wipe(struct search *s)
{
    struct wiping w = {.s = s};
    struct key from = s->wipe_at, to = {.len = 8};
    memset(to.b, 0xff, to.len);
    TRY(view_scan(&s->conf.view, CF_FTS, key_view(&from), key_view(&to), on_wipe, &w));
    if (w.rows < wipe_rows_max) {
        s->wipe_at.len = 0;
        s->wiped = true;
    }
    return ERR_OK;
}

/* ---- batches ---- */

bool index_is_busy(const struct search *s)
{
    bool room = !s->committing && !s->draining;
    return room && (s->wipe_at.len > 0 || s->comparing ||
                    (s->due && (s->edits || s->job.cid != ID_NONE || s->dirty.len > 0)));
}

static bool may_compare(const struct search *s)
{
    return s->comparing && s->dirty.cap - s->dirty.len >= compare_channels;
}

static enum err gather(struct search *s)
{
    if (s->wipe_at.len > 0)
        return step_wipe(s);
    s->due |= s->comparing;
    if (may_compare(s))
        TRY(step_compare(s));
    if (s->edits && s->due)
        TRY(step_edits(s));
    if (s->job.cid == ID_NONE)
        TRY(next_channel(s));
    return s->job.cid == ID_NONE ? ERR_OK : step_channel(s);
}

static void send_batch(struct search *s)
{
    bool ok = build_write(s->build, &s->batch) && !s->batch.failed;
    struct cell *c = ok ? outbox_request(s->turn->out, s->conf.log) : NULL;
    if (c == NULL) { /* no memory: begin again, later */
        index_done(s, ERR_NOMEM);
        return;
    }
    s->batch.part = log_part_search;
    s->batch.epoch = s->epoch;
    s->batch.number = ++s->number;
    s->batch.sent_us = s->turn->mono_us;
    c->type = LOG_APPEND;
    c->u.p = &s->batch;
    s->committing = true;
}

static bool is_full(const struct search *s)
{
    return build_is_full(s->build) || s->finished_len + 1 >= finished_max ||
           s->batch.rows_len + index_rows_max >= finished_max;
}

/* There is another channel to read in this step. */
static bool goes_on(const struct search *s, uint32_t channels)
{
    return s->rows < index_rows_max / 2 && channels < index_channels_max && s->dirty.len > 0 &&
           s->job.cid == ID_NONE && !s->edits && !s->comparing && s->wipe_at.len == 0 &&
           !s->wiped && !is_full(s);
}

void index_step(struct search *s)
{
    if (!index_is_busy(s))
        return;
    enum err err;
    uint32_t channels = 0;
    s->rows = 0;
    do {
        err = gather(s);
        arena_reset(&s->scratch);
    } while (err == ERR_OK && goes_on(s, ++channels));
    if (err != ERR_OK) { /* log has told what it is; the disk is asked again after a while */
        index_done(s, err);
        return;
    }
    bool done = s->job.cid == ID_NONE && s->dirty.len == 0 && !s->edits && !s->comparing;
    s->due &= !done;
    if (is_full(s) || s->wipe_at.len > 0 || s->wiped || (done && s->batch.rows_len > 0))
        send_batch(s);
}

void index_done(struct search *s, enum err err)
{
    struct arena arena = s->batch.arena;
    arena_reset(&arena);
    s->batch = (struct batch){.arena = arena};
    s->committing = false;
    if (err != ERR_OK) {
        build_clear(s->build);
        if (MUTANT(SEARCH_FORGETS_FAILURE, true, false))
            known_forget(s->known);
        s->comparing = s->due = false;
        s->epoch++;
        s->job.cid = ID_NONE;
        s->behind = true; /* the timer has all compared again */
        s->rebuild_owed |= s->wiped || s->wipe_at.len > 0;
        s->wiped = false;
        s->wipe_at.len = 0;
    } else {
        metric_add(s->turn->metrics, METRIC_SEARCH_CHANNELS_INDEXED, s->finished_len);
        if (s->wiped)
            index_compare_all(s);
        s->wiped = false;
    }
    s->finished_len = 0;
}
