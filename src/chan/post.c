/* post.c - a message: to a channel, into a thread, or for one user to see. Source: Slack
 * chat.postMessage, chat.postEphemeral. */
#include <stdlib.h>

#include "base/mutant.h"
#include "base/probe.h"
#include "chan/channel_json.h"
#include "chan/internal.h"
#include "chan/message_json.h"
#include "chan/thread.h"

enum { tail_max = 320, message_fixed_bytes = 96, dedup_fixed_bytes = 64, pointer_value_max = 16 };

uint64_t post_next_ts(const struct chan_shard *s, const struct chan *c)
{
    uint64_t least = MAX(s->last_ts_us, c->head.last_ts_us) + 1;
    uint64_t ts_us = MUTANT(TS_FROM_CLOCK, MAX(s->turn->wall_us, least), s->turn->wall_us);
    return ts_us + ((s->conf.index - ts_us) & (s->ts_mod - 1));
}

static enum err may_post(const struct chan_shard *s, const struct chan *c,
                         const struct chan_post *m)
{
    if (c->info.team != m->team)
        return ERR_CHANNEL_NOT_FOUND;
    if (!member_set_has(&c->members, m->uid))
        return c->info.kind == CHANNEL_PUBLIC ? ERR_NOT_IN_CHANNEL : ERR_CHANNEL_NOT_FOUND;
    if (MUTANT(ARCHIVED_TAKES_POSTS, c->info.archived, false))
        return ERR_IS_ARCHIVED;
    if (m->ephemeral_to != ID_NONE)
        return member_set_has(&c->members, m->ephemeral_to) ? ERR_OK : ERR_USER_NOT_IN_CHANNEL;
    return s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk) ? ERR_DISK_FULL : ERR_OK;
}

/* True: the key is known (or cannot be looked up), and op is answered. */
static bool answer_known(struct chan_shard *s, struct chan *c, struct op *op, struct dedup *d)
{
    dedup_look(s, op, c->cid, d);
    op->ts_us = d->ts_us;
    switch (d->found) {
    case DEDUP_NEW:
        return false;
    case DEDUP_FAILED:
        op_answer(s, op, d->err);
        return true;
    case DEDUP_STORED: /* rests on a durable row, whatever else is on the way */
        op->flags = CHAN_F_DUPLICATE;
        op_answer(s, op, ERR_OK);
        return true;
    case DEDUP_PENDING:
        op->flags = CHAN_F_DUPLICATE;
        op->err = ERR_OK;
        op->e.kind = EFFECT_ANSWER;
        op->e.c = c;
        commit_hang(s, d->batch, &op->e);
        return true;
    }
    return false;
}

/* What follows the members: first the row's end, then what the event has in addition. */
struct tail {
    char text[tail_max];
    size_t row_len, len;
};

/* Of a reply: what it answers to, and that one's thread with one reply more. */
struct parent { /* not set for what is no reply */
    struct message m;
    struct str_view thread; /* packed anew */
    struct follow_reply follow;
};

/* Errors: ERR_CANNOT_REPLY_TO_MESSAGE, ERR_STORAGE_UNAVAILABLE. */
static enum err look_at_parent(struct chan_shard *s, const struct chan *c,
                               const struct chan_post *m, struct parent *p)
{
    if (m->thread_ts_us == 0)
        return ERR_OK;
    TRY(message_look(s, c->cid, m->thread_ts_us, &p->m));
    if (!p->m.found || (p->m.row.flags & MSG_REPLY) != 0 || !message_is_shown(&p->m.row))
        return ERR_CANNOT_REPLY_TO_MESSAGE;
    if (m->ephemeral_to != ID_NONE)
        return ERR_OK;
    return follow_reply_look(s, c, &p->m.row, m->uid, &p->follow);
}

static void make_tail(struct tail *t, const struct chan *c, const struct chan_post *m,
                      const struct parent *p, uint64_t ts_us)
{
    struct buf b;
    buf_init_fixed(&b, t->text, sizeof t->text);
    struct json_out j = {.b = &b, .comma = true};
    if (m->thread_ts_us != 0) {
        if (m->broadcast)
            json_kv_str(&j, "subtype", SV("thread_broadcast"));
        json_kv_ts(&j, "thread_ts", m->thread_ts_us);
        json_kv_id(&j, "parent_user_id", ID_USER, p->m.row.uid);
    }
    json_kv_ts(&j, "ts", ts_us);
    t->row_len = b.len;
    if (m->files_len > 0 && !m->broadcast) /* history has it without */
        json_kv_str(&j, "subtype", SV("file_share"));
    if (m->ephemeral_to != ID_NONE)
        json_kv_bool(&j, "is_ephemeral", true);
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_str(&j, "channel_type", sv_from(channel_type_of(c->info.kind)));
    json_kv_ts(&j, "event_ts", ts_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    t->len = b.len;
}

static bool body_reserve(struct chan_shard *s, size_t n)
{
    if (s->body_cap >= n)
        return true;
    size_t cap = MAX(n, MAX(s->body_cap * 2, (size_t)4096));
    char *p = realloc(s->body, cap);
    if (p == NULL)
        return false;
    s->body = p;
    s->body_cap = cap;
    return true;
}

static const char metadata_name[] = ",\"metadata\":";

static size_t metadata_bytes(const struct chan_post *m)
{
    return m->metadata.len == 0 ? 0 : sizeof metadata_name - 1 + m->metadata.len;
}

static char *put(char *p, const void *from, size_t n)
{
    if (n > 0)
        memcpy(p, from, n);
    return p + n;
}

/* The row's body, and what the event has behind it. */
static void write_body(char *p, const struct chan_post *m, const struct tail *t, bool event)
{
    *p++ = '{';
    p = put(p, m->members.p, m->members.len);
    p = put(p, t->text, t->row_len);
    if (!event)
        return;
    if (m->metadata.len > 0) {
        p = put(p, metadata_name, sizeof metadata_name - 1);
        p = put(p, m->metadata.p, m->metadata.len);
    }
    put(p, t->text + t->row_len, t->len - t->row_len);
}

static struct frame *event_frame(struct chan_shard *s, uint64_t cid, const struct chan_post *m,
                                 const struct tail *t)
{
    struct str_view event = {NULL, 1 + m->members.len + metadata_bytes(m) + t->len};
    return emit_frame(s, cid, event);
}

/* One encoding: the row's body is the beginning of the event's, so it lies in the frame when there
 * is one. */
static struct str_view make_body(struct chan_shard *s, struct effect *e, const struct chan_post *m,
                                 const struct tail *t)
{
    e->frame = e->to == 0 ? NULL : event_frame(s, e->c->cid, m, t);
    char *p = e->frame != NULL ? (char *)e->frame->body : s->body;
    write_body(p, m, t, e->frame != NULL);
    return (struct str_view){p, 1 + m->members.len + t->row_len};
}

static struct row_message row_of(const struct chan *c, const struct chan_post *m, uint64_t ts_us,
                                 struct str_view body)
{
    bool reply = m->thread_ts_us != 0, in_channel = !reply || m->broadcast;
    return (struct row_message){.ts_us = ts_us,
                                .seq = in_channel ? c->head.seq : 0,
                                .uid = m->uid,
                                .flags = (uint16_t)((reply ? MSG_REPLY : 0) |
                                                    (reply && m->broadcast ? MSG_BROADCAST : 0) |
                                                    (m->metadata.len > 0 ? MSG_METADATA : 0)),
                                .client_msg_id = m->client_msg_id,
                                .body = body,
                                .content_at = m->content_at + 1, /* behind the brace */
                                .content_len = (uint32_t)m->members.len - m->content_at,
                                .thread_ts_us = m->thread_ts_us,
                                .metadata = m->metadata};
}

static void put_row(struct chan_batch *cb, const struct key *k, const struct row_message *row)
{
    size_t max = message_fixed_bytes + row->client_msg_id.len + row->body.len + row->metadata.len;
    row_message_encode(commit_put(cb, CF_MSG, k, max), k, row);
    batch_put_end(&cb->b);
}

/* A reply lies in its thread, with a pointer from its ts; one that is broadcast lies in the
 * channel, with a mark in its thread. */
static void put_message(struct chan_batch *cb, const struct chan *c, const struct chan_post *m,
                        uint64_t ts_us, struct str_view body)
{
    struct key k;
    struct row_message row = row_of(c, m, ts_us, body);
    if (m->thread_ts_us == 0 || m->broadcast) {
        key_msg(&k, c->cid, ts_us);
        put_row(cb, &k, &row);
    }
    if (m->thread_ts_us == 0)
        return;
    key_reply(&k, c->cid, m->thread_ts_us, ts_us);
    if (m->broadcast) {
        struct row_message mark = {.ts_us = ts_us,
                                   .uid = m->uid,
                                   .flags = MSG_REPLY | MSG_BROADCAST,
                                   .thread_ts_us = m->thread_ts_us};
        put_row(cb, &k, &mark);
        return;
    }
    put_row(cb, &k, &row);
    key_pointer(&k, c->cid, ts_us);
    row_u64_encode(commit_put(cb, CF_MSG, &k, pointer_value_max), &k, m->thread_ts_us);
    batch_put_end(&cb->b);
}

static void put_key(struct chan_shard *s, struct chan_batch *cb, const struct chan *c,
                    const struct chan_post *m, uint64_t ts_us, const struct dedup *d)
{
    struct key k;
    struct row_dedup row = {.ts_us = ts_us, .seq = c->head.seq, .client_msg_id = m->client_msg_id};
    key_dedup(&k, c->cid, m->uid, d->slot);
    row_dedup_encode(commit_put(cb, CF_IDX, &k, dedup_fixed_bytes + m->client_msg_id.len), &k,
                     &row);
    batch_put_end(&cb->b);
    struct pending_key *p = arena_zalloc(&cb->hang, sizeof *p);
    ASSERT(p != NULL); /* commit_room */
    p->cid = c->cid;
    p->uid = m->uid;
    p->ts_us = ts_us;
    memcpy(p->slot, d->slot, key128_bytes);
    p->client_msg_id = m->client_msg_id;
    p->batch = cb;
    dedup_add(s, p);
}

static size_t rows_room(const struct chan_post *m, const struct parent *p)
{
    size_t row = row_room(message_fixed_bytes + m->client_msg_id.len + 1 + m->members.len +
                          m->metadata.len + tail_max);
    size_t bytes =
        row + row_room(dedup_fixed_bytes + m->client_msg_id.len) + row_room(head_value_max);
    if (m->thread_ts_us != 0)
        bytes += row_room(message_fixed_bytes) + row_room(pointer_value_max) +
                 message_room(&p->m.row) + follow_room();
    return bytes;
}

static size_t hang_room(const struct chan_post *m)
{
    size_t bytes = sizeof(struct effect) + sizeof(struct pending_key) + 32 +
                   m->files_len * (sizeof(struct effect) + 16);
    return m->thread_ts_us == 0 ? bytes
                                : bytes + 3 * (sizeof(struct effect) + 16) + 2 * pending_row_bytes;
}

/* The parent with one reply more, in the reply's batch, and those who look at it are told; then
 * those who follow it from now on. */
static void count_reply(struct chan_shard *s, struct chan *c, const struct chan_post *m,
                        const struct parent *p, uint64_t ts_us)
{
    struct row_message row = p->m.row;
    row.flags |= MSG_THREAD;
    row.thread = p->thread;
    message_put(s, c->cid, &row);
    change_tell_parent(s, c, &row);
    follow_reply_put(s, c, &row, m->uid, ts_us, &p->follow);
}

static void store(struct chan_shard *s, struct chan *c, struct op *op, struct chan_batch *cb,
                  const struct dedup *d, const struct parent *p, uint64_t ts_us)
{
    const struct chan_post *m = op->request.u.p;
    struct tail tail;
    op->ts_us = ts_us;
    s->last_ts_us = ts_us;
    c->head.seq += m->thread_ts_us == 0 || m->broadcast;
    c->head.last_ts_us = ts_us;
    make_tail(&tail, c, m, p, ts_us);
    struct effect *e = commit_effect(s, c, EFFECT_POSTED);
    e->ts_us = ts_us;
    e->to = c->interest;
    e->edited = MUTANT(REPLY_NOT_TOLD, false, m->thread_ts_us != 0);
    put_message(cb, c, m, ts_us, make_body(s, e, m, &tail));
    if (MUTANT(FAN_OUT_BEFORE_COMMIT, false, true))
        emit_channel(s, c, e->frame, e->to), e->frame = NULL, e->to = 0;
    if (m->client_msg_id.len > 0)
        put_key(s, cb, c, m, ts_us, d);
    commit_head(s, c);
    for (uint32_t i = 0; i < m->files_len; i++)
        file_tell_shared(s, c, m->uid, &m->files[i]);
    if (m->thread_ts_us != 0)
        count_reply(s, c, m, p, ts_us);
    op_answer_after(s, op, MUTANT(ANSWER_BEFORE_SYNC, c, NULL), ERR_OK);
}

/* Nothing is stored; but it must not be seen before what stands in front of it. */
static void show(struct chan_shard *s, struct chan *c, struct op *op, const struct parent *p)
{
    const struct chan_post *m = op->request.u.p;
    struct tail tail;
    struct effect now = {.kind = EFFECT_HINT, .c = c}, *e = &now;
    if (c->batch != NULL) {
        e = arena_zalloc(&c->batch->hang, sizeof *e);
        if (e == NULL) {
            op_answer(s, op, ERR_SERVICE_UNAVAILABLE);
            return;
        }
        *e = now;
    }
    op->ts_us = post_next_ts(s, c);
    s->last_ts_us = op->ts_us;
    make_tail(&tail, c, m, p, op->ts_us);
    e->uid = m->ephemeral_to;
    e->frame = event_frame(s, c->cid, m, &tail);
    if (e->frame != NULL)
        write_body((char *)e->frame->body, m, &tail, true);
    if (c->batch != NULL)
        commit_hang(s, c->batch, e);
    else
        emit_hint(s, e);
    op_answer_after(s, op, c, ERR_OK);
}

void post_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    const struct chan_post *m = op->request.u.p;
    struct dedup d;
    struct parent p;
    op->stepped_us = s->turn->mono_us;
    PROBE(stepped, op->request.req, op->from, op->stepped_us, c->cid);
    if (m->client_msg_id.len > 0 && answer_known(s, c, op, &d))
        return;
    if (m->deadline_us != 0 && s->turn->mono_us > m->deadline_us) {
        op_answer(s, op, ERR_DEADLINE);
        return;
    }
    enum err err = may_post(s, c, m);
    if (err == ERR_OK)
        err = look_at_parent(s, c, m, &p);
    if (err != ERR_OK) {
        op_answer_after(s, op, MUTANT(REFUSAL_NOT_HELD, c, NULL), err);
        return;
    }
    if (m->ephemeral_to != ID_NONE) {
        show(s, c, op, &p);
        return;
    }
    uint64_t ts_us = post_next_ts(s, c);
    if (m->thread_ts_us != 0)
        err = thread_add(p.m.row.thread, m->uid, ts_us, &s->scratch, &p.thread);
    if (err != ERR_OK) {
        op_answer(s, op, err == ERR_FULL ? ERR_CANNOT_REPLY_TO_MESSAGE : ERR_SERVICE_UNAVAILABLE);
        return;
    }
    if (m->thread_ts_us != 0)
        p.m.row.thread = p.thread; /* its room is counted */
    struct chan_batch *cb = commit_room(s, rows_room(m, &p), hang_room(m));
    if (cb == NULL || !body_reserve(s, 1 + m->members.len + tail_max)) {
        op_answer(s, op, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    store(s, c, op, cb, &d, &p, ts_us);
}
