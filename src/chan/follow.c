/* follow.c - who follows a thread, and how far they have read in it: a row for each user and
 * thread. Who replies follows; so does the author (chan/follow.h); others as they say. Source:
 * subscriptions.thread.*, thread_subscribed and the like, which Slack's own clients use and its
 * documents do not name. */
#include "chan/follow.h"

#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/internal.h"
#include "chan/message_json.h"
#include "chan/thread.h"

enum { follow_value_max = 48, event_bytes = 384 };

size_t follow_room(void)
{
    return row_room(follow_value_max);
}

enum err follow_look(struct chan_shard *s, const struct chan *c, const struct row_message *parent,
                     uint64_t uid, struct row_follow *out, bool *has_row)
{
    const struct pending_row *p =
        MUTANT(STALE_FOLLOW, pending_find(s, c->cid, parent->ts_us, uid), NULL);
    struct str_view value;
    struct key k;
    key_follow(&k, c->cid, parent->ts_us, uid);
    if (p != NULL)
        value = p->row->value;
    else if (view_get1(&s->conf.view, CF_IDX, &k, &s->scratch, &value) != ERR_OK)
        return ERR_STORAGE_UNAVAILABLE;
    *has_row = value.p != NULL;
    *out = follow_without_row(parent, uid);
    if (!*has_row)
        return ERR_OK;
    /* A row that cannot be read says nothing: the retry may succeed. */
    return row_follow_decode(out, key_view(&k), value) == ERR_OK ? ERR_OK : ERR_STORAGE_UNAVAILABLE;
}

static void put(struct chan_shard *s, const struct chan *c, uint64_t thread_ts_us, uint64_t uid,
                const struct row_follow *row)
{
    struct key k;
    key_follow(&k, c->cid, thread_ts_us, uid);
    row_follow_encode(commit_put(s->open, CF_IDX, &k, follow_value_max), &k, row);
    batch_put_end(&s->open->b);
    pending_add(s, c->cid, thread_ts_us, uid, s->open->b.last);
}

/* To all sockets of the user. */
static void tell(struct chan_shard *s, struct chan *c, const char *type, uint64_t thread_ts_us,
                 uint64_t uid, const struct row_follow *row)
{
    struct buf b;
    struct effect *e = commit_effect(s, c, EFFECT_HINT);
    buf_init(&b, &s->scratch, event_bytes);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_key(&j, "subscription");
    json_obj(&j);
    json_kv_str(&j, "type", SV("thread"));
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_ts(&j, "thread_ts", thread_ts_us);
    json_kv_u64(&j, "date_create", row->since_us / 1000000);
    json_kv_bool(&j, "active", row->active);
    json_kv_ts(&j, "last_read", row->read_us);
    json_obj_end(&j);
    e->uid = MUTANT(FOLLOW_TOLD_TO_TEAM, uid, ID_NONE);
    e->frame = change_frame(s, c, &j);
}

/* ---- by replying ---- */

enum err follow_reply_look(struct chan_shard *s, const struct chan *c,
                           const struct row_message *parent, uint64_t uid, struct follow_reply *out)
{
    struct row_follow author;
    struct thread t;
    bool has_row = false;
    *out = (struct follow_reply){0};
    TRY(follow_look(s, c, parent, uid, &out->was, &has_row));
    if (thread_read(&t, parent->thread) != ERR_OK)
        return ERR_STORAGE_UNAVAILABLE;
    if (t.replies > 0)
        return ERR_OK;
    if (uid != parent->uid)
        TRY(follow_look(s, c, parent, parent->uid, &author, &has_row));
    out->tell_author = !has_row && member_set_has(&c->members, parent->uid);
    return ERR_OK;
}

void follow_reply_put(struct chan_shard *s, struct chan *c, const struct row_message *parent,
                      uint64_t uid, uint64_t ts_us, const struct follow_reply *f)
{
    struct row_follow row = f->was;
    if (MUTANT(REPLIER_DOES_NOT_FOLLOW, !row.active, false)) {
        row = (struct row_follow){.active = true, .since_us = s->turn->wall_us, .read_us = ts_us};
        put(s, c, parent->ts_us, uid, &row);
        tell(s, c, "thread_subscribed", parent->ts_us, uid, &row);
    }
    if (f->tell_author) {
        row = follow_without_row(parent, parent->uid);
        tell(s, c, "thread_subscribed", parent->ts_us, parent->uid, &row);
    }
}

/* ---- by saying so ---- */

static const char *type_of(enum change_kind kind)
{
    return kind == CHANGE_FOLLOW     ? "thread_subscribed"
           : kind == CHANGE_UNFOLLOW ? "thread_unsubscribed"
                                     : "thread_marked";
}

/* How far somebody has read: from the first message to the newest reply, and never back. */
static uint64_t read_to(uint64_t read_us, const struct row_follow *was, uint64_t first_us,
                        uint64_t newest_us)
{
    uint64_t to_us = MIN(MAX(read_us, first_us), newest_us);
    return MUTANT(THREAD_READ_BACK, was->active, false) ? MAX(was->read_us, to_us) : to_us;
}

/* What is so already, or would mark a thread that is not followed, stays. */
static struct row_follow changed(const struct chan_shard *s, const struct chan_change *m,
                                 const struct row_follow *was, uint64_t newest_us)
{
    struct row_follow now = *was;
    if (m->kind == CHANGE_UNFOLLOW) {
        now.active = MUTANT(UNFOLLOW_FORGOTTEN, false, was->active);
        return now;
    }
    if (m->kind == CHANGE_THREAD_MARK && !was->active)
        return now;
    if (!was->active)
        now = (struct row_follow){
            .active = true, .since_us = MUTANT(FOLLOWS_SINCE_FIRST, s->turn->wall_us, m->ts_us)};
    /* What was said before somebody follows is not unread. */
    uint64_t all_us = MUTANT(FOLLOWED_UNREAD, newest_us, m->ts_us);
    uint64_t read_us = m->read_us != 0 ? m->read_us : was->active ? was->read_us : all_us;
    now.read_us = read_to(read_us, was, m->ts_us, newest_us);
    return now;
}

enum err follow_change(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                       uint16_t *flags)
{
    struct message at;
    struct thread t;
    struct row_follow was;
    bool has_row;
    TRY(message_look(s, c->cid, m->ts_us, &at));
    if (!at.found || (at.row.flags & MSG_REPLY) != 0 || !message_is_shown(&at.row))
        return ERR_THREAD_NOT_FOUND;
    TRY(thread_read(&t, at.row.thread));
    TRY(follow_look(s, c, &at.row, m->uid, &was, &has_row));
    struct row_follow now = changed(s, m, &was, MAX(m->ts_us, t.latest_us));
    if (now.active == was.active && now.read_us == was.read_us) {
        *flags = CHAN_F_DUPLICATE;
        return ERR_OK;
    }
    if (commit_room(s, follow_room() + row_room(head_value_max),
                    sizeof(struct effect) + 16 + pending_row_bytes) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    put(s, c, m->ts_us, m->uid, &now);
    commit_head(s, c);
    tell(s, c, type_of(m->kind), m->ts_us, m->uid, &now);
    return MUTANT(UNFOLLOWED_AND_REFUSED, ERR_OK, now.active ? ERR_OK : ERR_SERVICE_UNAVAILABLE);
}
