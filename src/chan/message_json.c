#include "chan/message_json.h"

#include "base/id.h"
#include "chan/channel_json.h"
#include "chan/reactions.h"
#include "chan/thread.h"

enum {
    changed = MSG_DELETED | MSG_EDITED | MSG_PINNED | MSG_THREAD | MSG_REACTIONS,
    changes_bytes_max = 768, /* all but reactions and metadata */
    reaction_user_bytes = 24 /* in JSON, of a packed byte at most */
};

size_t message_json_max(const struct row_message *m)
{
    return m->body.len + changes_bytes_max + m->reactions.len * reaction_user_bytes +
           m->metadata.len + 16;
}

static uint32_t replies_of(const struct row_message *m)
{
    struct thread t;
    return (m->flags & MSG_THREAD) != 0 && thread_read(&t, m->thread) == ERR_OK ? t.replies : 0;
}

bool message_is_shown(const struct row_message *m)
{
    return (m->flags & MSG_DELETED) == 0 || replies_of(m) > 0;
}

static void put_edited(struct json_out *j, const struct row_message *m)
{
    json_key(j, "edited");
    json_obj(j);
    json_kv_id(j, "user", ID_USER, m->edited_by);
    json_kv_ts(j, "ts", m->edited_us);
    json_obj_end(j);
}

static void put_thread(struct json_out *j, const struct row_message *m)
{
    struct thread t;
    uint64_t uids[thread_users_shown];
    if (thread_read(&t, m->thread) != ERR_OK || t.replies == 0)
        return;
    json_kv_ts(j, "thread_ts", m->ts_us);
    json_kv_u64(j, "reply_count", t.replies);
    json_kv_u64(j, "reply_users_count", t.users);
    json_kv_ts(j, "latest_reply", t.latest_us);
    json_key(j, "reply_users");
    json_arr(j);
    uint32_t n = thread_users(&t, uids, thread_users_shown);
    for (uint32_t i = 0; i < n; i++)
        json_id(j, ID_USER, uids[i]);
    json_arr_end(j);
    json_kv_bool(j, "is_locked", false);
}

static void put_pinned(struct json_out *j, const struct row_message *m, uint64_t cid)
{
    json_key(j, "pinned_to");
    json_arr(j);
    json_id(j, ID_CHANNEL, cid);
    json_arr_end(j);
    json_key(j, "pinned_info");
    json_obj(j);
    json_kv_id(j, "channel", ID_CHANNEL, cid);
    json_kv_id(j, "pinned_by", ID_USER, m->pinned_by);
    json_kv_u64(j, "pinned_ts", m->pinned_us / 1000000);
    json_obj_end(j);
}

static void put_reactions(struct json_out *j, const struct row_message *m)
{
    if ((m->flags & MSG_REACTIONS) == 0 || m->reactions.len == 0)
        return;
    json_key(j, "reactions");
    reactions_json(j, m->reactions);
}

static void put_tombstone(struct buf *b, const struct row_message *m)
{
    struct json_out j = json_out_on(b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("message"));
    json_kv_str(&j, "subtype", SV("tombstone"));
    json_kv_str(&j, "text", SV("This message was deleted."));
    json_kv_str(&j, "user", SV("USLACKBOT"));
    json_kv_bool(&j, "hidden", true);
    put_thread(&j, m);
    json_kv_ts(&j, "ts", m->ts_us);
    json_obj_end(&j);
}

void message_json(struct buf *b, const struct row_message *m, uint64_t cid, bool with_metadata)
{
    if ((m->flags & MSG_DELETED) != 0) {
        put_tombstone(b, m);
        return;
    }
    buf_put_sv(b, m->body);
    if ((m->flags & changed) != 0 || (with_metadata && (m->flags & MSG_METADATA) != 0)) {
        struct json_out j = {.b = b, .comma = true};
        if ((m->flags & MSG_EDITED) != 0)
            put_edited(&j, m);
        if ((m->flags & MSG_THREAD) != 0)
            put_thread(&j, m);
        put_reactions(&j, m);
        if ((m->flags & MSG_PINNED) != 0)
            put_pinned(&j, m, cid);
        if (with_metadata && (m->flags & MSG_METADATA) != 0) {
            json_key(&j, "metadata");
            json_raw(&j, m->metadata);
        }
    }
    buf_putc(b, '}');
}

void message_json_followed(struct buf *b, const struct row_message *m, uint64_t cid,
                           bool with_metadata, const struct follow_view *v)
{
    message_json(b, m, cid, with_metadata);
    if (b->failed)
        return;
    b->len--; /* its closing brace */
    struct json_out j = {.b = b, .comma = true};
    json_kv_bool(&j, "subscribed", v->active);
    if (v->active) {
        json_kv_ts(&j, "last_read", v->read_us);
        json_kv_u64(&j, "unread_count", v->unread);
    }
    json_obj_end(&j);
}

void message_json_reactions(struct buf *b, const struct row_message *m)
{
    struct json_out j = {.b = b, .comma = true};
    put_reactions(&j, m);
}
