/* show.c - a member puts a direct conversation out of sight, or back. It comes back by itself with
 * the next message, so nothing needs to be written then: it is out of sight as long as nothing is
 * newer than what was newest. Source: Slack conversations.close, .open; im_close, im_open. */
#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { member_value_max = 64 };

static void tell(struct chan_shard *s, struct chan *c, const struct chan_show *m)
{
    static const char *const types[2][2] = {{"im_close", "im_open"}, {"mpim_close", "mpim_open"}};
    char text[256];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(types[c->info.kind == CHANNEL_MPIM][m->open]));
    json_kv_id(&j, "user", ID_USER, m->uid);
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_ts(&j, "event_ts", s->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    struct effect *e = commit_effect(s, c, EFFECT_HINT);
    e->uid = MUTANT(SIGHT_TOLD_TO_TEAM, m->uid, ID_NONE);
    e->frame = emit_frame(s, ID_NONE, buf_view(&b));
    if (MUTANT(OPEN_BEFORE_SYNC, false, m->open))
        emit_hint(s, e), e->frame = NULL;
}

static enum err show(struct chan_shard *s, struct chan *c, struct chan_show *m)
{
    struct key k;
    struct str_view value;
    struct row_member row;
    if (m->deadline_us != 0 && s->turn->mono_us > m->deadline_us)
        return ERR_DEADLINE;
    if (c->info.team != m->team || !member_set_has(&c->members, m->uid))
        return ERR_CHANNEL_NOT_FOUND;
    if (!channel_is_direct(c->info.kind))
        return ERR_WRONG_CHANNEL_TYPE;
    if (s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk))
        return ERR_DISK_FULL;
    key_chan_member(&k, c->cid, m->uid);
    TRY(view_get1(&s->conf.view, CF_CHAN, &k, &s->scratch, &value));
    if (value.p == NULL)
        return ERR_CORRUPT; /* dir wrote it with the conversation, and nobody leaves one */
    TRY(row_member_decode(&row, key_view(&k), value));
    m->already = MUTANT(REOPEN_FORGOTTEN, row_is_closed(&row, &c->head), false) == !m->open;
    if (m->already && c->batch == NULL) /* else that row may be older than what was asked before */
        return ERR_OK;
    struct chan_batch *cb = commit_room(s, row_room(member_value_max) + row_room(head_value_max),
                                        2 * (sizeof(struct effect) + 16));
    if (cb == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    uint64_t newest_us = MUTANT(CLOSED_FOR_EVER, MAX(c->head.last_ts_us, 1u), UINT64_MAX);
    row.closed_ts_us = m->open ? 0 : newest_us;
    row_member_encode(commit_put(cb, CF_CHAN, &k, member_value_max), &k, &row);
    batch_put_end(&cb->b);
    commit_head(s, c);
    tell(s, c, m);
    return ERR_OK;
}

void show_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = show(s, c, op->request.u.p);
    op_answer_after(s, op, c, err == ERR_CORRUPT ? ERR_STORAGE_UNAVAILABLE : err);
}
