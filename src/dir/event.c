/* event.c - what dir tells sockets: a new channel, and that something was lost. */
#include "chan/channel_json.h"
#include "dir/internal.h"
#include "fanout/fanout_msg.h"

enum scope { SCOPE_TEAM, SCOPE_USER };

static void owe(struct dir *d, uint16_t fanout)
{
    d->gap_owed |= 1ull << fanout;
}

/* One frame to every fanout; a fanout whose ring is full is owed a gap. */
static void emit(struct dir *d, struct str_view body, enum scope scope, uint64_t id)
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
            owe(d, i);
            continue;
        }
        c->type = FAN_EVENT;
        c->cid = ID_NONE;
        c->u.u[0] = (uintptr_t)f;
        c->u.u[1] = scope == SCOPE_USER ? id : ID_NONE;
        c->u.u[2] = scope == SCOPE_TEAM ? id : ID_NONE;
        sent++;
    }
    if (f != NULL && sent > 0)
        frame_release(f, sent);
    else if (f != NULL)
        frame_give(&d->frames, f);
}

static void emit_json(struct dir *d, const char *type, const struct row_chan_info *info,
                      const struct channel_view *v, enum scope scope, uint64_t id)
{
    struct buf b;
    buf_init(&b, &d->batch.arena, 1024);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_key(&j, "channel");
    channel_json(&j, info, v);
    json_kv_ts(&j, "event_ts", d->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    emit(d, buf_view(&b), scope, id);
}

void dir_emit_created(struct dir *d, const struct dir_channel_create *m,
                      const struct row_chan_head *head)
{
    struct channel_view own = {
        .is_member = true, .with_num_members = true, .num_members = head->members_len};
    struct channel_view others = {0};
    for (uint16_t i = 0; i < d->conf.fanouts_len; i++) {
        struct cell *c = outbox_event(d->turn->out, d->conf.fanouts[i], 0);
        if (c == NULL) {
            owe(d, i);
            continue;
        }
        c->type = FAN_JOINED;
        c->cid = m->info.cid;
        c->u.u[0] = m->creator;
        c->u.u[1] = m->team;
    }
    if (!m->is_private)
        emit_json(d, "channel_created", &m->info, &others, SCOPE_TEAM, m->team);
    emit_json(d, m->is_private ? "group_joined" : "channel_joined", &m->info, &own, SCOPE_USER,
              m->creator);
}

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
