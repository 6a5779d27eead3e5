/* event.c - what dir tells sockets: a new channel, and that something was lost. */
#include "chan/chan.h"
#include "chan/chan_msg.h"
#include "chan/channel_json.h"
#include "dir/internal.h"
#include "dir/user_json.h"
#include "fanout/fanout_msg.h"

static void owe(struct dir *d, uint16_t fanout)
{
    d->gap_owed |= 1ull << fanout;
}

/* One frame to every fanout; a fanout whose ring is full is owed a gap, but for what nobody
 * fetches. */
void dir_emit(struct dir *d, uint64_t uid, uint64_t team, uint32_t flags, struct str_view body)
{
    uint32_t sent = 0;
    struct frame *f = frame_take(&d->frames, (uint32_t)body.len);
    if (f == NULL)
        metric_add(d->turn->metrics, METRIC_FRAMES_EXHAUSTED, 1);
    else
        memcpy(f->body, body.p, body.len);
    for (uint16_t i = 0; i < d->conf.fanouts_len; i++) {
        struct cell *c = f == NULL ? NULL : outbox_event(d->turn->out, d->conf.fanouts[i], 0);
        if (c == NULL) {
            if ((flags & FAN_TYPING) == 0)
                owe(d, i);
            continue;
        }
        c->type = FAN_EVENT;
        c->cid = ID_NONE;
        c->u.u[0] = (uintptr_t)f;
        c->u.u[1] = uid;
        c->u.u[2] = team;
        c->u.u[4] = flags;
        sent++;
    }
    if (f != NULL && sent > 0)
        frame_release(f, sent);
    else if (f != NULL)
        frame_give(&d->frames, f);
}

static void emit_json(struct dir *d, const char *type, const struct row_chan_info *info)
{
    struct buf b;
    struct channel_view others = {0};
    buf_init(&b, &d->batch.arena, 1024);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_key(&j, "channel");
    channel_json(&j, info, &others);
    json_kv_ts(&j, "event_ts", d->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    dir_emit(d, ID_NONE, info->team, FAN_NO_GUESTS, buf_view(&b));
}

/* Without the e-mail address: who may not read addresses gets the event, too. */
void dir_tell_user(struct dir *d, const char *type, uint64_t uid)
{
    const struct row_user *u = &tables_user(&d->tables, uid)->row;
    const uint64_t now_s = dir_now_s(d);
    struct user_view v = {.now_s = now_s};
    struct buf b;
    if (d->conf.public_url != NULL)
        v.base_url = sv_from(d->conf.public_url);
    buf_init(&b, &d->batch.arena, 2048);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_key(&j, "user");
    user_json(&j, u, &v);
    json_kv_u64(&j, "cache_ts", now_s);
    json_kv_ts(&j, "event_ts", d->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    dir_emit(d, ID_NONE, u->team, 0, buf_view(&b));
}

/* ---- a new channel ---- */

static void tell(struct dir *d, const struct dir_op *op, struct dir_told *told, uint64_t cid,
                 uint64_t uid)
{
    *told = (struct dir_told){.req = op->request.req,
                              .cid = cid,
                              .uid = uid,
                              .p = op->request.u.p,
                              .type = op->request.type,
                              .from = op->from};
    if (d->untold_last == NULL)
        d->untold_first = told;
    else
        d->untold_last->next = told;
    d->untold_last = told;
}

void dir_tell_created(struct dir *d, const struct dir_op *op)
{
    if (op->request.type == DIR_DIRECT_OPEN) {
        struct dir_direct_open *m = op->request.u.p;
        tell(d, op, &m->told, m->cid, ID_NONE);
        return;
    }
    struct dir_channel_create *m = op->request.u.p;
    if (!m->is_private)
        emit_json(d, "channel_created", &m->info);
    tell(d, op, &m->told, m->info.cid, m->creator);
}

/* In order, so that one busy chan delays the others: creations are rare. */
void dir_tell_untold(struct dir *d)
{
    while (d->untold_first != NULL) {
        struct dir_told *told = d->untold_first;
        actor_id chan = d->conf.chans[chan_of(told->cid, d->conf.chans_len)];
        struct cell *c = outbox_request(d->turn->out, chan);
        if (c == NULL)
            return; /* the answer that brings a credit brings the turn that goes on */
        c->type = CHAN_CREATED;
        c->req = (uintptr_t)told;
        c->cid = told->cid;
        c->u.u[0] = told->uid;
        d->telling_len++;
        d->untold_first = told->next;
        if (d->untold_first == NULL)
            d->untold_last = NULL;
    }
}

/* The channel is there whether its members' sockets were told or not; if not, they are told to ask
 * for everything. */
void dir_told(struct dir *d, const struct cell *answer)
{
    const struct dir_told *told = (const struct dir_told *)(uintptr_t)answer->req;
    for (uint16_t i = 0; i < d->conf.fanouts_len && answer->err != ERR_OK; i++)
        owe(d, i);
    d->telling_len--;
    struct cell request = {.type = told->type, .req = told->req};
    struct cell *c = outbox_answer(d->turn->out, told->from, &request);
    c->err = ERR_OK;
    c->u.p = told->p;
}

/* ---- gaps ---- */

void dir_emit_owed(struct dir *d)
{
    for (uint16_t i = 0; i < d->conf.fanouts_len && d->gap_owed != 0; i++) {
        struct cell *c =
            (d->gap_owed >> i & 1) == 0 ? NULL : outbox_event(d->turn->out, d->conf.fanouts[i], 0);
        if (c == NULL)
            continue;
        c->type = FAN_GAP;
        c->cid = ID_NONE;
        d->gap_owed &= ~(1ull << i);
    }
}
