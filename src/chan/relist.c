/* relist.c - reactions that were stored before users had lists of them. Once, at the first start
 * with this version: nobody changes reactions meanwhile, so what is read is what is written. Cut
 * off, it goes on behind the last part that was written; the same row may be written twice. A
 * damaged message is in no list, and no reason not to start: who reads it is told. */
#include "base/clock.h"
#include "base/log.h"
#include "chan/chan.h"
#include "chan/reactions.h"
#include "store/batch.h"
#include "store/row.h"

enum {
    scratch_bytes = 1 << 20,
    part_rows_max = 4096,        /* rows of one batch; then those of one more message at most */
    part_bytes_max = 4 << 20,    /* of keys and users that are held meanwhile */
    part_messages_max = 1 << 20, /* read between two batches: a scan pins what it reads */
    owner_end = 0xff,            /* no virtual shard's number begins so */
    progress_us = 5000000,       /* between two lines of the log */
    damaged_named_max = 100      /* lines of the log; behind them they are only counted */
};

struct reacted { /* a message with reactions */
    uint64_t cid, ts_us;
    uint64_t *uids;
    uint32_t len;
    struct reacted *next;
};

struct walk {
    const struct view *view;
    struct batch batch; /* its arena holds what one scan has found, too */
    struct key from;
    struct reacted *first, **last;
    uint32_t rows, messages;
    bool more; /* the part is full */
    uint64_t rows_all, messages_all, damaged_all;
    uint64_t begun_us, said_us;
    struct row_chan_info info; /* of the channel before */
    bool known;                /* that one has a row, and it can be read */
    enum err err;
};

/* ---- messages ---- */

static void pass_by(struct walk *w, uint64_t cid, uint64_t ts_us)
{
    char id[id_text_max], ts[ts_text_len];
    if (w->damaged_all++ >= damaged_named_max)
        return;
    size_t len = id_format(id, ID_CHANNEL, cid); /* whatever its kind: that may be what is lost */
    ts_format(ts, ts_us);
    log_warn("reactions_not_listed", "\"channel\":\"%.*s\",\"ts\":\"%.*s\"", (int)len, id,
             (int)ts_text_len, ts);
}

static uint64_t ts_of(struct str_view key)
{
    struct key root;
    key_msg(&root, 0, 0);
    return key.len == root.len ? key_msg_ts(key) : key_reply_ts(key);
}

static void remember(struct walk *w, struct str_view key, const struct row_message *row)
{
    uint32_t max = (uint32_t)row->reactions.len;
    struct reacted *m = arena_zalloc(&w->batch.arena, sizeof *m);
    uint64_t *uids = arena_alloc(&w->batch.arena, max * sizeof *uids);
    if (m == NULL || uids == NULL) {
        w->err = ERR_NOMEM;
        return;
    }
    *m = (struct reacted){.cid = key_owner(key), .ts_us = row->ts_us, .uids = uids};
    m->len = reactions_users(row->reactions, uids, max);
    *w->last = m;
    w->last = &m->next;
    w->rows += m->len;
}

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct walk *w = ctx;
    struct row_message row;
    w->more = w->rows >= part_rows_max || w->messages >= part_messages_max ||
              w->batch.arena.bytes >= part_bytes_max;
    if (w->more) {
        memcpy(w->from.b, key.p, key.len);
        w->from.len = (uint16_t)key.len;
        return false;
    }
    w->messages++;
    if (key_is_pointer(key))
        return true;
    w->err = row_message_decode(&row, key, value);
    if (w->err == ERR_CORRUPT) {
        pass_by(w, key_owner(key), ts_of(key));
        w->err = ERR_OK;
    } else if (w->err == ERR_OK && row.reactions.len > 0) {
        remember(w, key, &row);
    }
    return w->err == ERR_OK;
}

/* ---- rows ---- */

static enum err look_at_channel(struct walk *w, uint64_t cid)
{
    struct key k;
    struct str_view value;
    if (w->info.cid == cid)
        return ERR_OK;
    key_chan_info(&k, cid);
    TRY(view_get1(w->view, CF_CHAN, &k, &w->batch.arena, &value));
    enum err err =
        value.p == NULL ? ERR_CORRUPT : row_chan_info_decode(&w->info, key_view(&k), value);
    w->known = err == ERR_OK;
    w->info.cid = cid;
    return err == ERR_CORRUPT ? ERR_OK : err;
}

static enum err put_rows(struct walk *w)
{
    for (const struct reacted *m = w->first; m != NULL; m = m->next) {
        TRY(look_at_channel(w, m->cid));
        if (!w->known) {
            pass_by(w, m->cid, m->ts_us);
            continue;
        }
        struct row_reacted row = {.kind = w->info.kind};
        for (uint32_t i = 0; i < m->len; i++) {
            struct key k;
            key_reacted(&k, m->uids[i], m->ts_us, m->cid);
            row_reacted_encode(batch_put_begin(&w->batch, CF_USER, &k), &k, &row);
            batch_put_end(&w->batch);
        }
        w->rows_all += m->len;
    }
    return ERR_OK;
}

static void put_mark(struct walk *w, const struct key *mark)
{
    struct row_relist row = {.whole = !w->more, .at = w->more ? key_view(&w->from) : SV_NONE};
    row_relist_encode(batch_put_begin(&w->batch, CF_META, mark), mark, &row);
    batch_put_end(&w->batch);
}

/* ---- parts ---- */

/* Rows are read to where the part is full, then written: a write may wait for a scan. */
static enum err part(struct walk *w, const struct key *mark, chan_write_fn *write, void *ctx)
{
    static const char end[] = {(char)owner_end};
    w->first = NULL;
    w->last = &w->first;
    w->rows = w->messages = 0;
    w->more = false;
    TRY(view_scan(w->view, CF_MSG, key_view(&w->from), (struct str_view){end, sizeof end}, on_row,
                  w));
    TRY(w->err);
    TRY(put_rows(w));
    put_mark(w, mark);
    w->messages_all += w->messages;
    return w->batch.failed ? ERR_NOMEM : write(ctx, &w->batch);
}

static void say(struct walk *w, const char *event, uint64_t now_us)
{
    log_info(event, "\"messages\":%llu,\"rows\":%llu,\"damaged\":%llu,\"took_ms\":%llu",
             (unsigned long long)w->messages_all, (unsigned long long)w->rows_all,
             (unsigned long long)w->damaged_all,
             (unsigned long long)((now_us - w->begun_us) / 1000));
    w->said_us = now_us;
}

static enum err all(struct walk *w, const struct key *mark, chan_write_fn *write, void *ctx)
{
    do {
        enum err err = part(w, mark, write, ctx);
        struct arena a = w->batch.arena;
        arena_reset(&a);
        w->batch = (struct batch){.arena = a};
        TRY(err);
        uint64_t now_us = clock_mono_us();
        if (w->more && now_us - w->said_us >= progress_us)
            say(w, "reactions_listing", now_us);
    } while (w->more);
    if (w->messages_all > 0)
        say(w, "reactions_listed", clock_mono_us());
    return ERR_OK;
}

/* A damaged mark is as good as none: all is read again. */
static enum err read_mark(struct walk *w, const struct key *mark, bool *done)
{
    struct str_view value;
    struct row_relist row = {0};
    TRY(view_get1(w->view, CF_META, mark, &w->batch.arena, &value));
    if (value.p == NULL || row_relist_decode(&row, key_view(mark), value) != ERR_OK)
        row = (struct row_relist){0};
    *done = row.whole;
    w->from = (struct key){.len = 1}; /* the least key */
    if (row.at.len > 0) {
        memcpy(w->from.b, row.at.p, row.at.len);
        w->from.len = (uint16_t)row.at.len;
    }
    return ERR_OK;
}

enum err chan_list_reactions(const struct view *v, chan_write_fn *write, void *ctx)
{
    struct arena_pool pool;
    struct walk w = {.view = v};
    struct key mark;
    bool done;
    w.begun_us = w.said_us = clock_mono_us();
    arena_pool_init(&pool, scratch_bytes, 1, UINT64_MAX);
    TRY(arena_init(&w.batch.arena, &pool, UINT64_MAX));
    key_meta(&mark, SV("reactions_listed"), 0);
    enum err err = read_mark(&w, &mark, &done);
    if (err == ERR_OK && !done)
        err = all(&w, &mark, write, ctx);
    if (err != ERR_OK)
        log_error("reactions_list_failed", "\"error\":\"%s\"", err_code_name(err));
    arena_deinit(&w.batch.arena);
    arena_pool_deinit(&pool);
    return err;
}
