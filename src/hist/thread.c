/* thread.c - what is read of a message beside the channel's pages: itself, its thread, the reply
 * before another, pins. */
#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/message_json.h"
#include "hist/internal.h"

enum { pins_read_max = 128 };

/* ---- one message ---- */

static enum err decode(struct row_message *row, bool *found, const struct key *k,
                       struct str_view value)
{
    *found = value.p != NULL;
    return *found ? row_message_decode(row, key_view(k), value) : ERR_OK;
}

static enum err read_root(struct hist *h, uint64_t cid, uint64_t ts_us, struct row_message *row,
                          bool *found)
{
    struct key k;
    struct str_view value;
    key_msg(&k, cid, ts_us);
    TRY(view_get1(&h->view, CF_MSG, &k, &h->scratch, &value));
    return decode(row, found, &k, value);
}

/* A reply that the channel does not see lies in its thread, which its ts points to. */
enum err hist_read_message(struct hist *h, uint64_t cid, uint64_t ts_us, struct row_message *row,
                           bool *found)
{
    struct key k;
    struct str_view value;
    uint64_t thread_ts_us;
    TRY(read_root(h, cid, ts_us, row, found));
    if (*found)
        return ERR_OK;
    key_pointer(&k, cid, ts_us);
    TRY(view_get1(&h->view, CF_MSG, &k, &h->scratch, &value));
    if (value.p == NULL)
        return ERR_OK;
    TRY(row_u64_decode(&thread_ts_us, key_view(&k), value));
    key_reply(&k, cid, thread_ts_us, ts_us);
    TRY(view_get1(&h->view, CF_MSG, &k, &h->scratch, &value));
    return decode(row, found, &k, value);
}

enum err hist_one(struct hist *h, struct hist_message *m)
{
    struct row_message row;
    bool found;
    TRY(seer_may_read(&h->seer, &m->viewer, m->cid));
    TRY(hist_read_message(h, m->cid, m->ts_us, &row, &found));
    if (!found || (row.flags & MSG_DELETED) != 0)
        return ERR_MESSAGE_NOT_FOUND;
    m->uid = row.uid;
    m->thread_ts_us = row.thread_ts_us;
    message_json(&m->out, &row, m->cid, false);
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* ---- a thread ---- */

struct reply { /* as it was scanned */
    uint64_t ts_us;
    struct str_view key, value; /* copies; value.p NULL: it is broadcast and lies in the channel */
    bool live;
};

struct replies {
    struct hist *h;
    struct reply *p;
    uint32_t len, cap, max;
    size_t bytes; /* of values */
    bool keep;    /* values */
    bool full;
    enum err err;
};

static bool push(struct replies *r, struct reply one)
{
    if (r->len == r->cap) {
        uint32_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct reply *more = arena_alloc(&r->h->scratch, cap * sizeof *more);
        if (more == NULL) {
            r->err = ERR_NOMEM;
            return false;
        }
        if (r->len > 0)
            memcpy(more, r->p, r->len * sizeof *more);
        r->p = more;
        r->cap = cap;
    }
    r->p[r->len++] = one;
    return true;
}

static bool on_reply(void *ctx, struct str_view key, struct str_view value)
{
    struct replies *r = ctx;
    struct row_message row;
    r->err = row_message_decode(&row, key, value);
    if (r->err != ERR_OK)
        return false;
    bool mark = (row.flags & MSG_BROADCAST) != 0;
    struct reply one = {.ts_us = key_reply_ts(key), .live = (row.flags & MSG_DELETED) == 0};
    if (r->keep && !one.live)
        return true;
    if (r->len == r->max || (r->len > 0 && r->bytes + value.len > hist_page_bytes_max)) {
        r->full = true;
        return false;
    }
    if (r->keep && !mark) {
        one.key = arena_dup(&r->h->scratch, key);
        one.value = arena_dup(&r->h->scratch, value);
        if (one.key.p == NULL || one.value.p == NULL) {
            r->err = ERR_NOMEM;
            return false;
        }
        r->bytes += value.len;
    } else if (mark) {
        one.value = SV_NONE;
    }
    if (!r->keep && !mark)
        one.value = SV(""); /* not to be looked at in the channel */
    return push(r, one);
}

static enum err scan_replies(struct hist *h, uint64_t cid, uint64_t thread_ts_us, uint64_t from_us,
                             uint64_t to_us, struct replies *r)
{
    struct key from, to;
    if (from_us >= to_us)
        return ERR_OK;
    key_reply(&from, cid, thread_ts_us, from_us);
    key_reply(&to, cid, thread_ts_us, to_us);
    TRY(view_scan(&h->view, CF_MSG, key_view(&from), key_view(&to), on_reply, r));
    return r->err;
}

/* The message that the thread hangs on, whichever of its messages was named. */
static enum err read_parent(struct hist *h, const struct hist_replies *m, struct row_message *row)
{
    bool found;
    TRY(hist_read_message(h, m->cid, m->ts_us, row, &found));
    if (found && (row->flags & MSG_REPLY) != 0)
        TRY(read_root(h, m->cid, row->thread_ts_us, row, &found));
    return found && message_is_shown(row) ? ERR_OK : ERR_THREAD_NOT_FOUND;
}

static enum err put_parent(struct hist *h, struct hist_replies *m, const struct row_message *parent)
{
    struct follow_view v;
    bool shown;
    TRY(hist_follow(h, m->viewer.uid, m->cid, parent, &v, &shown));
    if (shown)
        message_json_followed(&m->out, parent, m->cid, m->metadata, &v);
    else
        message_json(&m->out, parent, m->cid, m->metadata);
    return ERR_OK;
}

static enum err put_reply(struct hist *h, struct hist_replies *m, const struct reply *one)
{
    struct row_message row;
    bool found = true;
    if (one->value.p == NULL)
        TRY(read_root(h, m->cid, one->ts_us, &row, &found));
    else
        TRY(row_message_decode(&row, one->key, one->value));
    if (!found || (row.flags & MSG_DELETED) != 0)
        return ERR_OK;
    buf_putc(&m->out, ',');
    message_json(&m->out, &row, m->cid, m->metadata);
    m->messages++;
    return ERR_OK;
}

static uint64_t from_of(const struct hist_replies *m)
{
    uint64_t oldest = m->oldest_us == 0 ? 0 : m->oldest_us + (m->inclusive ? 0 : 1);
    return MAX(oldest, m->after_us + 1);
}

static uint64_t to_of(const struct hist_replies *m)
{
    return m->latest_us == 0 ? UINT64_MAX : m->latest_us + (m->inclusive ? 1 : 0);
}

enum err hist_replies(struct hist *h, struct hist_replies *m)
{
    struct row_message parent;
    struct replies r = {.h = h, .max = m->limit, .keep = true};
    m->messages = 0;
    m->has_more = false;
    TRY(seer_may_read(&h->seer, &m->viewer, m->cid));
    TRY(read_parent(h, m, &parent));
    TRY(put_parent(h, m, &parent));
    m->messages = 1;
    TRY(scan_replies(h, m->cid, parent.ts_us, from_of(m), to_of(m), &r));
    for (uint32_t i = MUTANT(REPLY_CROWDED_OUT, 0u, r.len > 3); i < r.len; i++)
        TRY(put_reply(h, m, &r.p[i]));
    m->has_more = r.full;
    m->next_us = r.len > 0 ? r.p[r.len - 1].ts_us : 0;
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* Costs what the thread has: asked only when its newest reply is deleted. */
enum err hist_reply_before(struct hist *h, struct hist_reply_before *m)
{
    struct replies r = {.h = h, .max = UINT32_MAX};
    m->before_ts_us = 0;
    TRY(scan_replies(h, m->cid, m->thread_ts_us, 0, m->ts_us, &r));
    for (uint32_t i = r.len; i > 0 && m->before_ts_us == 0; i--) {
        const struct reply *one = &r.p[i - 1];
        struct row_message row;
        bool found = one->live;
        if (one->value.p == NULL) {
            TRY(read_root(h, m->cid, one->ts_us, &row, &found));
            found = found && (row.flags & MSG_DELETED) == 0;
        }
        if (found)
            m->before_ts_us = one->ts_us;
    }
    return ERR_OK;
}

static bool on_newest(void *ctx, struct str_view key, struct str_view value)
{
    struct row_message row;
    struct hist_seq_at *m = ctx;
    if (row_message_decode(&row, key, value) == ERR_OK)
        m->seq = row.seq;
    return false;
}

enum err hist_seq_at(struct hist *h, struct hist_seq_at *m)
{
    struct key from, to;
    m->seq = 0;
    key_msg(&from, m->cid, m->ts_us);
    key_msg_prefix(&to, m->cid);
    key_prefix_end(&to);
    return view_scan(&h->view, CF_MSG, key_view(&from), key_view(&to), on_newest, m);
}

/* ---- pins ---- */

struct pins {
    uint64_t ts_us[pins_read_max];
    uint32_t len;
};

static bool on_pin(void *ctx, struct str_view key, struct str_view value)
{
    struct pins *p = ctx;
    (void)value;
    p->ts_us[p->len++] = key_pin_ts(key);
    return p->len < pins_read_max;
}

static void put_pin(struct json_out *j, const struct row_message *row, uint64_t cid,
                    enum channel_kind kind)
{
    json_obj(j);
    json_kv_str(j, "type", SV("message"));
    json_kv_u64(j, "created", row->pinned_us / 1000000);
    json_kv_id(j, "created_by", ID_USER, row->pinned_by);
    json_kv_id(j, "channel", channel_letter(kind), cid);
    json_key(j, "message");
    message_json(j->b, row, cid, false);
    j->comma = true;
    json_obj_end(j);
}

/* Newest message first. */
enum err hist_pins(struct hist *h, struct hist_pins *m)
{
    struct key prefix;
    struct row_chan_info info;
    struct pins pins = {.len = 0};
    struct json_out j = json_out_on(&m->out);
    bool member;
    m->len = 0;
    TRY(seer_may_read(&h->seer, &m->viewer, m->cid)); /* they are shown with their text */
    TRY(seer_info(&h->seer, &m->viewer, m->cid, &info, &member));
    key_pins(&prefix, m->cid);
    TRY(view_scan_prefix(&h->view, CF_IDX, &prefix, on_pin, &pins));
    for (uint32_t i = pins.len; i > 0; i--) {
        struct row_message row;
        bool found;
        TRY(hist_read_message(h, m->cid, pins.ts_us[i - 1], &row, &found));
        if (!found || (row.flags & MSG_PINNED) == 0)
            continue;
        put_pin(&j, &row, m->cid, info.kind);
        m->len++;
    }
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}
