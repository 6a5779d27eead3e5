/* change.c - what happens to a message that is there: edit, deletion, reactions, pins; and how far
 * a member has read. Source: Slack chat.update, chat.delete, reactions.add, pins.add,
 * conversations.mark and the events of slack-api section 6. */
#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/internal.h"
#include "chan/message_json.h"
#include "chan/reactions.h"
#include "chan/thread.h"

enum { event_fixed_bytes = 512, pin_value_max = 16, cursor_value_max = 64, edited_value_max = 16 };

/* ---- events ---- */

struct json_out event_begin(struct chan_shard *s, const struct chan *c, struct buf *b,
                            const char *type, size_t bytes)
{
    buf_init(b, &s->scratch, event_fixed_bytes + bytes);
    struct json_out j = json_out_on(b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_str(&j, "channel_type", sv_from(channel_type_of(c->info.kind)));
    return j;
}

struct frame *change_frame(struct chan_shard *s, const struct chan *c, struct json_out *j)
{
    json_kv_ts(j, "event_ts", s->turn->wall_us);
    json_obj_end(j);
    return j->b->failed ? NULL : emit_frame(s, c->cid, buf_view(j->b));
}

struct effect *event_end(struct chan_shard *s, struct chan *c, struct json_out *j)
{
    struct effect *e = commit_effect(s, c, EFFECT_CHANNEL_EVENT);
    e->to = c->interest;
    e->frame = e->to == 0 ? NULL : change_frame(s, c, j);
    return e;
}

static void put_message(struct json_out *j, const char *name, const struct row_message *m,
                        uint64_t cid)
{
    json_key(j, name);
    message_json(j->b, m, cid, true);
    j->comma = true;
}

/* {"type":"message","subtype":..,"hidden":true,...: the ts is the event's own. */
static struct json_out hidden_begin(struct chan_shard *s, const struct chan *c, struct buf *b,
                                    const char *subtype, size_t bytes)
{
    struct json_out j = event_begin(s, c, b, "message", bytes);
    json_kv_str(&j, "subtype", sv_from(subtype));
    json_kv_bool(&j, "hidden", true);
    json_kv_ts(&j, "ts", s->turn->wall_us);
    return j;
}

void change_tell_parent(struct chan_shard *s, struct chan *c, const struct row_message *m)
{
    struct buf b;
    struct json_out j = hidden_begin(s, c, &b, "message_replied", message_json_max(m));
    put_message(&j, "message", m, c->cid);
    event_end(s, c, &j);
}

/* Who was there has heard what the message said before; who comes later must not. */
static struct effect *end_taking_back(struct chan_shard *s, struct chan *c, struct json_out *j)
{
    struct effect *e = event_end(s, c, j);
    if (e->frame != NULL)
        e->frame->takes_back = true;
    return e;
}

void change_tell(struct chan_shard *s, struct chan *c, const struct row_message *now,
                 const struct row_message *before)
{
    struct buf b;
    struct json_out j =
        hidden_begin(s, c, &b, "message_changed", message_json_max(now) + message_json_max(before));
    put_message(&j, "message", now, c->cid);
    put_message(&j, "previous_message", before, c->cid);
    end_taking_back(s, c, &j)->edited = true;
}

static void tell_deleted(struct chan_shard *s, struct chan *c, const struct row_message *before)
{
    struct buf b;
    struct json_out j = hidden_begin(s, c, &b, "message_deleted", message_json_max(before));
    json_kv_ts(&j, "deleted_ts", before->ts_us);
    put_message(&j, "previous_message", before, c->cid);
    end_taking_back(s, c, &j);
}

static void put_item(struct json_out *j, const struct chan *c, uint64_t ts_us)
{
    json_key(j, "item");
    json_obj(j);
    json_kv_str(j, "type", SV("message"));
    json_kv_id(j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_ts(j, "ts", ts_us);
    json_obj_end(j);
}

static void tell_reaction(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                          const struct row_message *row, const char *type)
{
    struct buf b;
    struct json_out j = event_begin(s, c, &b, type, m->name.len);
    json_kv_id(&j, "user", ID_USER, m->uid);
    json_kv_str(&j, "reaction", m->name);
    json_kv_id(&j, "item_user", ID_USER, row->uid);
    put_item(&j, c, row->ts_us);
    event_end(s, c, &j);
}

static void tell_pin(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                     const struct row_message *row, const char *type)
{
    struct buf b;
    struct json_out j = event_begin(s, c, &b, type, message_json_max(row));
    json_kv_id(&j, "user", ID_USER, m->uid);
    json_kv_id(&j, "channel_id", channel_letter(c->info.kind), c->cid);
    json_kv_u64(&j, "pin_count", c->head.pins);
    json_kv_bool(&j, "has_pins", c->head.pins > 0);
    json_key(&j, "item");
    json_obj(&j);
    json_kv_str(&j, "type", SV("message"));
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_u64(&j, "created", s->turn->wall_us / 1000000);
    json_kv_id(&j, "created_by", ID_USER, m->uid);
    put_message(&j, "message", row, c->cid);
    json_obj_end(&j);
    event_end(s, c, &j);
}

/* ---- rows ---- */

static void put_pin(struct chan_shard *s, const struct chan *c, const struct row_message *row)
{
    struct key k;
    key_pin(&k, c->cid, row->ts_us);
    if ((row->flags & MSG_PINNED) == 0) {
        batch_delete(&s->open->b, CF_IDX, &k);
        return;
    }
    row_u64_encode(commit_put(s->open, CF_IDX, &k, pin_value_max), &k, row->pinned_us);
    batch_put_end(&s->open->b);
}

/* The index reads it again. */
static void put_edited(struct chan_shard *s, const struct chan *c, uint64_t ts_us)
{
    struct key k;
    key_edited(&k, c->cid, ts_us);
    row_u64_encode(commit_put(s->open, CF_FTS, &k, edited_value_max), &k, 1);
    batch_put_end(&s->open->b);
}

/* For two rewritten messages, three small rows beside them and the head, and the events of both. */
static struct chan_batch *make_room(struct chan_shard *s, size_t messages)
{
    size_t rows = messages + 4 * row_room(head_value_max);
    return commit_room(s, rows, 3 * (sizeof(struct effect) + 16) + 2 * pending_row_bytes);
}

/* ---- edits ---- */

/* What an edit replaces, taken apart: our own bytes, in the order that post_json_content wrote. */
struct content {
    struct str_view text, blocks, attachments, files; /* values; p NULL: not there */
};

size_t change_value_len(struct str_view s)
{
    size_t i = 0, depth = 0;
    bool quoted = false;
    for (; i < s.len; i++) {
        char ch = s.p[i];
        if (quoted) {
            i += ch == '\\';
            quoted = ch != '"';
        } else if (ch == '"') {
            quoted = true;
        } else if (ch == '[' || ch == '{') {
            depth++;
        } else if (ch == ']' || ch == '}') {
            depth--;
        }
        if (!quoted && depth == 0)
            return i + 1;
    }
    return s.len;
}

static struct content take_apart(const struct row_message *row)
{
    struct content c = {0};
    const struct {
        struct str_view key;
        struct str_view *value;
    } parts[] = {{SV(",\"text\":"), &c.text},
                 {SV(",\"blocks\":"), &c.blocks},
                 {SV(",\"attachments\":"), &c.attachments},
                 {SV(",\"files\":"), &c.files}};
    struct str_view rest = {row->body.p + row->content_at, row->content_len};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!sv_starts(rest, parts[i].key))
            continue;
        rest = (struct str_view){rest.p + parts[i].key.len, rest.len - parts[i].key.len};
        *parts[i].value = (struct str_view){rest.p, change_value_len(rest)};
        rest = (struct str_view){rest.p + parts[i].value->len, rest.len - parts[i].value->len};
    }
    return c;
}

struct str_view change_files(const struct row_message *row)
{
    return take_apart(row).files;
}

static void put_part(struct json_out *j, const char *name, struct str_view value)
{
    if (value.len == 0)
        return;
    json_key(j, name);
    json_raw(j, value);
}

static struct str_view either(struct str_view now, struct str_view before)
{
    return now.p != NULL ? now : before;
}

static enum err make_content(struct chan_shard *s, const struct row_message *row,
                             const struct chan_change *m, struct str_view *out)
{
    struct content c = take_apart(row);
    struct buf b;
    buf_init(&b, &s->scratch,
             row->content_len + m->text.len + m->blocks.len + m->attachments.len + 64);
    struct json_out j = {.b = &b, .comma = true};
    put_part(&j, "text", either(m->text, c.text));
    put_part(&j, "blocks", either(m->blocks, c.blocks));
    put_part(&j, "attachments", either(m->attachments, c.attachments));
    put_part(&j, "files", c.files);
    *out = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static bool same_content(const struct row_message *row, const struct chan_change *m,
                         struct str_view content)
{
    struct str_view old = {row->body.p + row->content_at, row->content_len};
    return sv_eq(old, content) && (m->metadata.p == NULL || sv_eq(m->metadata, row->metadata));
}

static enum err with_content(struct chan_shard *s, const struct row_message *row,
                             const struct chan_change *m, struct str_view content,
                             struct row_message *out)
{
    size_t behind = row->content_at + row->content_len;
    struct buf body;
    buf_init(&body, &s->scratch, row->body.len + content.len);
    buf_put(&body, row->body.p, row->content_at);
    buf_put_sv(&body, content);
    buf_put(&body, row->body.p + behind, row->body.len - behind);
    *out = *row;
    out->body = buf_view(&body);
    out->content_len = (uint32_t)content.len;
    out->flags |= MSG_EDITED;
    out->edited_us = s->turn->wall_us;
    out->edited_by = m->uid;
    if (m->metadata.p != NULL) {
        out->metadata = m->metadata;
        out->flags = (uint16_t)(m->metadata.len > 0 ? out->flags | MSG_METADATA
                                                    : out->flags & ~MSG_METADATA);
    }
    return body.failed ? ERR_NOMEM : ERR_OK;
}

static enum err show_message(struct chan_change *m, const struct row_message *row, uint64_t cid)
{
    struct buf b;
    buf_init(&b, m->arena, message_json_max(row));
    message_json(&b, row, cid, true);
    m->message = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static enum err update(struct chan_shard *s, struct chan *c, struct chan_change *m,
                       const struct row_message *row, uint16_t *flags)
{
    struct row_message now;
    struct str_view content;
    if (row->uid != m->uid || (row->flags & MSG_SYSTEM) != 0 || row->content_len == 0)
        return ERR_CANT_UPDATE_MESSAGE;
    if (m->broadcast && (row->flags & MSG_BROADCAST) == 0)
        return ERR_CANT_BROADCAST_MESSAGE;
    TRY(make_content(s, row, m, &content));
    if (same_content(row, m, content)) {
        *flags = CHAN_F_DUPLICATE;
        return show_message(m, row, c->cid);
    }
    TRY(with_content(s, row, m, content, &now));
    TRY(show_message(m, &now, c->cid));
    if (make_room(s, message_room(&now)) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    message_put(s, c->cid, &now);
    put_edited(s, c, now.ts_us);
    commit_head(s, c);
    if (MUTANT(EDIT_NOT_TOLD, true, false) &&
        MUTANT(EDIT_TOLD_LATE, true, (row->flags & MSG_EDITED) != 0))
        change_tell(s, c, MUTANT(EDIT_TOLD_LATE, &now, row), row);
    return ERR_OK;
}

/* ---- deletion ---- */

/* A reply is taken out of its parent's thread. The newest one: the parent's latest_reply becomes
 * the one before, if that is still there. */
static enum err shorten_thread(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                               const struct row_message *row, struct message *parent)
{
    struct thread t;
    struct message before;
    TRY(message_look(s, c->cid, row->thread_ts_us, parent));
    if (!parent->found)
        return ERR_STORAGE_UNAVAILABLE;
    TRY(thread_read(&t, parent->row.thread));
    uint64_t latest_us = t.latest_us;
    if (latest_us == row->ts_us) {
        if (!m->before_known)
            return ERR_BEFORE_NEEDED;
        latest_us = m->before_ts_us;
        if (latest_us != 0) {
            TRY(message_look(s, c->cid, latest_us, &before));
            if (!before.found || (before.row.flags & MSG_DELETED) != 0)
                return ERR_BEFORE_NEEDED; /* deleted meanwhile */
        }
    }
    return thread_remove(parent->row.thread, row->uid, latest_us, &s->scratch, &parent->row.thread);
}

static struct row_message tombstone(const struct row_message *row)
{
    return (struct row_message){
        .ts_us = row->ts_us,
        .seq = row->seq,
        .uid = row->uid,
        .flags = (uint16_t)(MSG_DELETED | (row->flags & (MSG_REPLY | MSG_BROADCAST | MSG_THREAD))),
        .client_msg_id = row->client_msg_id,
        .thread_ts_us = row->thread_ts_us,
        .thread = row->thread};
}

static enum err delete_message(struct chan_shard *s, struct chan *c, struct chan_change *m,
                               const struct row_message *row)
{
    struct message parent = {0};
    struct row_message gone = tombstone(row);
    if (row->uid != m->uid && !m->admin)
        return ERR_CANT_DELETE_MESSAGE;
    m->thread_ts_us = row->thread_ts_us;
    if ((row->flags & MSG_REPLY) != 0) {
        enum err err = shorten_thread(s, c, m, row, &parent);
        if (err != ERR_OK)
            return err == ERR_CORRUPT ? ERR_STORAGE_UNAVAILABLE : err;
    }
    size_t room = message_room(&gone) + reacted_gone_room(row) +
                  (parent.found ? message_room(&parent.row) : 0);
    if (make_room(s, room) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    message_put(s, c->cid, &gone);
    reacted_gone(s, c, row);
    if (MUTANT(DELETED_STAYS_PINNED, (row->flags & MSG_PINNED) != 0, false)) {
        c->head.pins -= c->head.pins > 0;
        put_pin(s, c, &gone);
    }
    commit_head(s, c);
    if (MUTANT(DELETION_NOT_TOLD, true, false))
        tell_deleted(s, c, row);
    if (MUTANT(DELETED_REPLY_COUNTS, parent.found, false)) {
        message_put(s, c->cid, &parent.row);
        change_tell_parent(s, c, &parent.row);
    }
    return ERR_OK;
}

/* ---- reactions, pins ---- */

enum err change_rewrite(struct chan_shard *s, struct chan *c, const struct row_message *now)
{
    if (make_room(s, message_room(now)) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    message_put(s, c->cid, now);
    return ERR_OK;
}

static enum err react(struct chan_shard *s, struct chan *c, struct chan_change *m,
                      const struct row_message *row)
{
    struct row_message now = *row;
    bool add = m->kind == CHANGE_REACT;
    if (add)
        TRY(reactions_add(row->reactions, m->name, m->uid, &s->scratch, &now.reactions));
    else
        TRY(reactions_remove(row->reactions, m->name, m->uid, &s->scratch, &now.reactions));
    now.flags =
        (uint16_t)(now.reactions.len > 0 ? now.flags | MSG_REACTIONS : now.flags & ~MSG_REACTIONS);
    TRY(change_rewrite(s, c, &now));
    reacted_put(s, c, row, &now, m->uid);
    commit_head(s, c);
    if (MUTANT(REACTION_NOT_TOLD, true, false) && MUTANT(UNREACT_NOT_TOLD, true, add))
        tell_reaction(s, c, m, row, add ? "reaction_added" : "reaction_removed");
    return MUTANT(REACTED_AND_REFUSED, ERR_OK, add ? ERR_SERVICE_UNAVAILABLE : ERR_OK);
}

static enum err pin(struct chan_shard *s, struct chan *c, struct chan_change *m,
                    const struct row_message *row)
{
    struct row_message now = *row;
    bool add = m->kind == CHANGE_PIN, is = (row->flags & MSG_PINNED) != 0;
    if (add && is)
        return ERR_ALREADY_PINNED;
    if (!add && !is)
        return ERR_NO_PIN;
    if (add && c->head.pins >= s->conf.pins_max + MUTANT(ONE_PIN_TOO_MANY, 0u, 1u))
        return ERR_TOO_MANY_PINS;
    now.flags ^= MSG_PINNED;
    now.pinned_us = s->turn->wall_us;
    now.pinned_by = m->uid;
    TRY(change_rewrite(s, c, &now));
    c->head.pins += add ? 1 : MUTANT(UNPIN_MISCOUNTED, -1u, 0u);
    put_pin(s, c, &now);
    commit_head(s, c);
    if (MUTANT(PIN_NOT_TOLD, true, add))
        tell_pin(s, c, m, &now, add ? "pin_added" : "pin_removed");
    return ERR_OK;
}

/* ---- how far a member has read ---- */

static const char *marked_type(enum channel_kind kind)
{
    static const char *const names[] = {[CHANNEL_PUBLIC] = "channel_marked",
                                        [CHANNEL_PRIVATE] = "group_marked",
                                        [CHANNEL_IM] = "im_marked",
                                        [CHANNEL_MPIM] = "mpim_marked"};
    return names[kind];
}

static void tell_marked(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                        uint64_t seq)
{
    struct buf b;
    struct effect *e = commit_effect(s, c, EFFECT_HINT);
    struct json_out j = event_begin(s, c, &b, marked_type(c->info.kind), 0);
    json_kv_ts(&j, "ts", m->ts_us);
    json_kv_u64(&j, "unread_count", c->head.seq - seq);
    json_kv_u64(&j, "unread_count_display", c->head.seq - seq);
    e->uid = MUTANT(MARK_TOLD_TO_TEAM, m->uid, ID_NONE);
    e->frame = change_frame(s, c, &j);
}

static enum err seq_at(struct chan_shard *s, const struct chan *c, const struct chan_change *m,
                       uint64_t *seq)
{
    struct message at;
    *seq = m->before_known ? MIN(m->before_seq, c->head.seq) : c->head.seq;
    if (MUTANT(MARK_READS_ALL, m->before_known || m->ts_us >= c->head.last_ts_us, true))
        return ERR_OK;
    TRY(message_look(s, c->cid, m->ts_us, &at));
    if (!at.found || (at.row.flags & (MSG_REPLY | MSG_BROADCAST)) == MSG_REPLY)
        return ERR_BEFORE_NEEDED;
    *seq = at.row.seq;
    return ERR_OK;
}

static enum err mark(struct chan_shard *s, struct chan *c, struct chan_change *m)
{
    struct key k;
    uint64_t seq;
    TRY(seq_at(s, c, m, &seq));
    struct chan_batch *cb = make_room(s, row_room(cursor_value_max));
    if (cb == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    struct row_cursor row = {
        .delivered_seq = seq, .delivered_ts_us = m->ts_us, .read_seq = seq, .read_ts_us = m->ts_us};
    key_chan_cursor(&k, c->cid, m->uid);
    row_cursor_encode(commit_put(cb, CF_CHAN, &k, cursor_value_max), &k, &row);
    batch_put_end(&cb->b);
    commit_head(s, c);
    tell_marked(s, c, m, seq);
    return ERR_OK;
}

/* ---- all ---- */

/* What nobody else sees. */
static bool is_own_mark(enum change_kind kind)
{
    return kind == CHANGE_MARK || kind == CHANGE_FOLLOW || kind == CHANGE_UNFOLLOW ||
           kind == CHANGE_THREAD_MARK;
}

static enum err may_change(const struct chan_shard *s, const struct chan *c,
                           const struct chan_change *m)
{
    bool member = member_set_has(&c->members, m->uid);
    if (m->deadline_us != 0 && s->turn->mono_us > m->deadline_us)
        return ERR_DEADLINE;
    bool open = c->info.kind == CHANNEL_PUBLIC && !m->guest;
    if (m->kind == CHANGE_FILE_GONE || m->kind == CHANGE_FILE_TELL)
        return c->info.team == m->team ? ERR_OK : ERR_CHANNEL_NOT_FOUND;
    if (c->info.team != m->team || (!member && !open))
        return ERR_CHANNEL_NOT_FOUND;
    if (!member && m->kind != CHANGE_REACT && m->kind != CHANGE_UNREACT &&
        MUTANT(FOLLOW_BY_STRANGERS, true, m->kind != CHANGE_FOLLOW))
        return ERR_NOT_IN_CHANNEL;
    if (MUTANT(ARCHIVED_TAKES_CHANGES, c->info.archived, false) && !is_own_mark(m->kind))
        return ERR_IS_ARCHIVED;
    return s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk) ? ERR_DISK_FULL : ERR_OK;
}

static enum err change(struct chan_shard *s, struct chan *c, struct chan_change *m, uint16_t *flags)
{
    struct message at;
    TRY(may_change(s, c, m));
    if (m->kind == CHANGE_MARK)
        return mark(s, c, m);
    if (is_own_mark(m->kind))
        return follow_change(s, c, m, flags);
    if (m->kind == CHANGE_FILE_TELL)
        return file_tell(s, c, m);
    TRY(message_look(s, c->cid, m->ts_us, &at));
    if (!at.found || MUTANT(DELETED_MAY_CHANGE, (at.row.flags & MSG_DELETED) != 0, false))
        return ERR_MESSAGE_NOT_FOUND;
    m->owner = at.row.uid;
    switch (m->kind) {
    case CHANGE_UPDATE:
        return update(s, c, m, &at.row, flags);
    case CHANGE_DELETE:
        return delete_message(s, c, m, &at.row);
    case CHANGE_REACT:
    case CHANGE_UNREACT:
        return react(s, c, m, &at.row);
    case CHANGE_PIN:
    case CHANGE_UNPIN:
        return pin(s, c, m, &at.row);
    case CHANGE_FILE_GONE:
        return file_gone(s, c, m, &at.row);
    case CHANGE_MARK:
    case CHANGE_FOLLOW:
    case CHANGE_UNFOLLOW:
    case CHANGE_THREAD_MARK:
    case CHANGE_FILE_TELL:
        break;
    }
    return ERR_INTERNAL_ERROR;
}

void change_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = change(s, c, op->request.u.p, &op->flags);
    op_answer_after(s, op, c, err == ERR_CORRUPT ? ERR_STORAGE_UNAVAILABLE : err);
}
