/* sub.c - which fanout wants which channel: CHAN_SUB, CHAN_IDLE, and typing, which rests on it. */
#include "chan/channel_json.h"
#include "chan/internal.h"
#include "fanout/fanout_msg.h"

/* In chans[].last_ts_us while the request is under way: known not to exist. */
#define SUB_ABSENT UINT64_MAX

static struct chan *ready(const struct chan_shard *s, uint64_t cid)
{
    struct chan *c = table_find(s, cid);
    return c != NULL && c->state == CHAN_READY ? c : NULL;
}

static void tell_newest(struct chan_sub *m, uint64_t i, const struct chan *c)
{
    m->chans[i].last_ts_us = c->durable_ts_us;
    m->chans[i].durable_us = c->durable_us;
}

/* The present truth goes with the answer: events that became durable since are in the ring before
 * it. What an evicted channel had by then is forgotten: it is taken to be as new as may be. */
void sub_answer(struct chan_shard *s, struct op *op, enum err err)
{
    struct chan_sub *m = op->request.u.p;
    m->stamp = ++s->stamp; /* again: it may have waited for a batch, and stamps rise in the ring */
    for (uint64_t i = 0; i < m->n && err == ERR_OK; i++) {
        struct chan *c = ready(s, m->chans[i].cid);
        if (!m->chans[i].member)
            continue;
        if (c != NULL) {
            tell_newest(m, i, c);
            c->interest |= fanout_bit(s, op->from);
            c->stamp = m->stamp;
            table_place(s, c);
        } else
            m->chans[i].last_ts_us = m->chans[i].durable_us = s->evicted_us;
    }
    struct cell *cell = outbox_event_answer(s->turn->out, op->from, &op->request);
    cell->type = FAN_SUB_OK;
    cell->err = err;
    cell->u.p = m;
}

/* Membership of all channels at one instant, so that every join and leave decided before it is told
 * before the answer, and every later one behind it: the answer hangs on the newest batch that any
 * of the channels waits for. */
static void decide(struct chan_shard *s, struct op *op)
{
    struct chan_sub *m = op->request.u.p;
    struct chan_batch *newest = NULL;
    m->stamp = ++s->stamp;
    for (uint64_t i = 0; i < m->n; i++) {
        struct chan *c = ready(s, m->chans[i].cid);
        m->chans[i].member = c != NULL && m->chans[i].last_ts_us != SUB_ABSENT &&
                             c->info.team == m->team && member_set_has(&c->members, m->uid);
        m->chans[i].last_ts_us = 0;
        if (c != NULL && c->batch != NULL &&
            (newest == NULL || c->batch->b.number > newest->b.number))
            newest = c->batch;
        if (!m->chans[i].member)
            continue;
        tell_newest(m, i, c);
        c->interest |= fanout_bit(s, op->from);
        c->stamp = m->stamp;
        table_place(s, c);
    }
    if (newest == NULL) {
        op_answer(s, op, ERR_OK);
        return;
    }
    op->err = ERR_OK;
    op->e.kind = EFFECT_ANSWER;
    op->e.c = NULL;
    commit_hang(s, newest, &op->e);
}

/* First index from `at` on whose channel is not in memory and may exist. */
static uint64_t first_cold(const struct chan_shard *s, const struct chan_sub *m, uint64_t at)
{
    while (at < m->n &&
           (m->chans[at].last_ts_us == SUB_ABSENT || ready(s, m->chans[at].cid) != NULL))
        at++;
    return at;
}

void sub_step(struct chan_shard *s, struct op *op)
{
    struct chan_sub *m = op->request.u.p;
    if (op->at == 0 && op->restarts == 0) {
        for (uint64_t i = 0; i < m->n; i++)
            m->chans[i].last_ts_us = 0;
        op->restarts = 1;
    }
    op->at = first_cold(s, m, op->at);
    if (op->at == m->n) { /* those seen first may have been evicted by those seen last */
        op->at = first_cold(s, m, 0);
        if (op->at == m->n) {
            decide(s, op);
            return;
        }
        if (op->restarts++ > sub_restarts_max) {
            op_answer(s, op, ERR_SERVICE_UNAVAILABLE);
            return;
        }
    }
    enum err err = op_queue(s, op, m->chans[op->at].cid);
    if (err != ERR_OK)
        op_answer(s, op, err);
}

void sub_absent(struct chan_shard *s, struct op *op)
{
    struct chan_sub *m = op->request.u.p;
    m->chans[op->at].last_ts_us = SUB_ABSENT;
    sub_step(s, op);
}

void on_idle(struct chan_shard *s, actor_id from, const struct cell *cell)
{
    struct chan *c = table_find(s, cell->cid);
    if (c == NULL || cell->u.u[0] < c->stamp || c->member_batch != NULL)
        return; /* a younger grant is on its way to the fanout, or will be */
    c->interest &= ~fanout_bit(s, from);
    table_drop_if_empty(s, c);
}

/* Dropped when anything is short, and for a member who may not be one: it is not worth a wait. */
void on_typing(struct chan_shard *s, const struct cell *cell)
{
    uint64_t uid = cell->u.u[0];
    struct chan *c = ready(s, cell->cid);
    if (c == NULL || c->member_batch != NULL || c->info.team != cell->u.u[1] ||
        !member_set_has(&c->members, uid) || s->frames.out >= s->frames.out_max / 2)
        return;
    char text[128];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("user_typing"));
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_id(&j, "user", ID_USER, uid);
    json_obj_end(&j);
    ASSERT(!b.failed);
    emit_typing(s, c, buf_view(&b), uid);
}
