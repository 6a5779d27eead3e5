/* follow.c - what a thread is to who reads it: followed or not, read how far, how much of it is
 * unread. Unread are replies of others behind the last one read, as far as unread_rows_max rows. */
#include "base/mutant.h"
#include "chan/follow.h"
#include "chan/message_json.h"
#include "chan/thread.h"
#include "hist/internal.h"

enum { unread_rows_max = 1000 };

struct unread {
    uint64_t uid;
    uint32_t rows, replies;
    uint64_t *broadcast; /* ts; whether they are there still their rows in the channel say */
    uint32_t broadcast_len;
    enum err err;
};

static bool on_reply(void *ctx, struct str_view key, struct str_view value)
{
    struct unread *u = ctx;
    struct row_message row;
    u->err = row_message_decode(&row, key, value);
    if (u->err != ERR_OK || u->rows++ == unread_rows_max)
        return false;
    if (MUTANT(OWN_REPLIES_UNREAD, row.uid == u->uid, false) || (row.flags & MSG_DELETED) != 0)
        return true;
    if ((row.flags & MSG_BROADCAST) != 0)
        u->broadcast[u->broadcast_len++] = key_reply_ts(key);
    else
        u->replies++;
    return true;
}

static enum err count_unread(struct hist *h, uint64_t cid, uint64_t thread_ts_us, uint64_t uid,
                             uint64_t read_us, uint64_t *unread)
{
    struct unread u = {.uid = uid};
    struct key from, to;
    u.broadcast = arena_alloc(&h->scratch, unread_rows_max * sizeof *u.broadcast);
    if (u.broadcast == NULL)
        return ERR_NOMEM;
    key_reply(&from, cid, thread_ts_us, read_us + 1);
    key_replies(&to, cid, thread_ts_us);
    key_prefix_end(&to);
    TRY(view_scan(&h->view, CF_MSG, key_view(&from), key_view(&to), on_reply, &u));
    TRY(u.err);
    *unread = u.replies;
    for (uint32_t i = 0; i < u.broadcast_len; i++) {
        struct row_message row;
        bool found;
        TRY(hist_read_message(h, cid, u.broadcast[i], &row, &found));
        *unread += found && (row.flags & MSG_DELETED) == 0;
    }
    return ERR_OK;
}

enum err hist_follow(struct hist *h, uint64_t uid, uint64_t cid, const struct row_message *parent,
                     struct follow_view *out, bool *shown)
{
    struct row_follow row = follow_without_row(parent, uid);
    struct thread t;
    struct str_view value;
    struct key k;
    TRY(thread_read(&t, parent->thread));
    key_follow(&k, cid, parent->ts_us, uid);
    TRY(view_get1(&h->view, CF_IDX, &k, &h->scratch, &value));
    if (value.p != NULL)
        TRY(row_follow_decode(&row, key_view(&k), value));
    *shown = value.p != NULL || t.replies > 0;
    *out = (struct follow_view){.active = row.active, .read_us = row.read_us};
    if (!row.active || t.latest_us <= row.read_us)
        return ERR_OK;
    return count_unread(h, cid, parent->ts_us, uid, row.read_us, &out->unread);
}
