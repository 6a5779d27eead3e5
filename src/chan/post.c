/* post.c - a message. Source: Slack chat.postMessage. */
#include <stdlib.h>

#include "base/mutant.h"
#include "base/probe.h"
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { tail_max = 192, message_fixed_bytes = 64, dedup_fixed_bytes = 64 };

/* Rises whatever the clock does, and no other chan can give the same. */
static uint64_t next_ts(const struct chan_shard *s, const struct chan *c)
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
    if (c->info.archived)
        return ERR_IS_ARCHIVED;
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

static void make_tail(struct tail *t, const struct chan *c, uint64_t ts_us)
{
    struct buf b;
    buf_init_fixed(&b, t->text, sizeof t->text);
    struct json_out j = {.b = &b, .comma = true};
    json_kv_ts(&j, "ts", ts_us);
    t->row_len = b.len;
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

static void write_body(char *p, struct str_view members, const char *tail, size_t tail_len)
{
    *p++ = '{';
    memcpy(p, members.p, members.len);
    memcpy(p + members.len, tail, tail_len);
}

/* One encoding: the row's body is the beginning of the event's, so it lies in the frame when there
 * is one. */
static struct str_view make_body(struct chan_shard *s, struct effect *e, const struct chan_post *m,
                                 const struct tail *t)
{
    struct str_view event = {NULL, 1 + m->members.len + t->len};
    e->frame = e->to == 0 ? NULL : emit_frame(s, e->c->cid, event);
    char *p = e->frame != NULL ? (char *)e->frame->body : s->body;
    if (e->frame != NULL)
        e->frame->ts_us = e->ts_us;
    write_body(p, m->members, t->text, e->frame != NULL ? t->len : t->row_len);
    return (struct str_view){p, 1 + m->members.len + t->row_len};
}

static void put_message(struct chan_batch *cb, const struct chan *c, const struct chan_post *m,
                        uint64_t ts_us, struct str_view body)
{
    struct key k;
    struct row_message row = {.ts_us = ts_us,
                              .seq = c->head.seq,
                              .uid = m->uid,
                              .client_msg_id = m->client_msg_id,
                              .body = body};
    key_msg(&k, c->cid, ts_us);
    size_t max = message_fixed_bytes + m->client_msg_id.len + body.len;
    row_message_encode(commit_put(cb, CF_MSG, &k, max), &k, &row);
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

static size_t rows_room(const struct chan_post *m)
{
    return row_room(message_fixed_bytes + m->client_msg_id.len + 1 + m->members.len + tail_max) +
           row_room(dedup_fixed_bytes + m->client_msg_id.len) + row_room(head_value_max);
}

static void store(struct chan_shard *s, struct chan *c, struct op *op, struct chan_batch *cb,
                  const struct dedup *d)
{
    const struct chan_post *m = op->request.u.p;
    struct tail tail;
    op->ts_us = next_ts(s, c);
    s->last_ts_us = op->ts_us;
    c->head.seq++;
    c->head.last_ts_us = op->ts_us;
    make_tail(&tail, c, op->ts_us);
    struct effect *e = commit_effect(s, c, EFFECT_POSTED);
    e->ts_us = op->ts_us;
    e->to = c->interest;
    put_message(cb, c, m, op->ts_us, make_body(s, e, m, &tail));
    if (MUTANT(FAN_OUT_BEFORE_COMMIT, false, true))
        emit_channel(s, c, e->frame, e->to), e->frame = NULL, e->to = 0;
    if (m->client_msg_id.len > 0)
        put_key(s, cb, c, m, op->ts_us, d);
    commit_head(s, c);
    op_answer_after(s, op, MUTANT(ANSWER_BEFORE_SYNC, c, NULL), ERR_OK);
}

void post_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    const struct chan_post *m = op->request.u.p;
    struct dedup d;
    op->stepped_us = s->turn->mono_us;
    PROBE(stepped, op->request.req, op->from, op->stepped_us, c->cid);
    if (m->client_msg_id.len > 0 && answer_known(s, c, op, &d))
        return;
    if (m->deadline_us != 0 && s->turn->mono_us > m->deadline_us) {
        op_answer(s, op, ERR_DEADLINE);
        return;
    }
    enum err err = may_post(s, c, m);
    if (err != ERR_OK) {
        op_answer_after(s, op, MUTANT(REFUSAL_NOT_HELD, c, NULL), err);
        return;
    }
    struct chan_batch *cb =
        commit_room(s, rows_room(m), sizeof(struct effect) + sizeof(struct pending_key) + 32);
    if (cb == NULL || !body_reserve(s, 1 + m->members.len + tail_max)) {
        op_answer(s, op, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    store(s, c, op, cb, &d);
}
