/* member.c - join, leave, invite, and who made a channel. Source: Slack conversations.join, .leave,
 * .invite. The channel's member row and the user's membership row belong to different vshards, but
 * to one store, so one batch is atomic for both sides and no intent is needed between them. */
#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { member_value_max = 48, cursor_value_max = 64, event_max = 512 };

/* ---- rows ---- */

static size_t change_rows_room(void)
{
    return 2 * row_room(member_value_max) + row_room(cursor_value_max) + row_room(head_value_max) +
           system_room(0);
}

/* Of one change, with the events that it makes. */
static size_t change_hang_room(void)
{
    return 4 * (sizeof(struct effect) + 16);
}

static void put_join(struct chan_shard *s, struct chan_batch *cb, const struct chan *c,
                     uint64_t uid, uint64_t inviter, uint64_t read_us)
{
    struct key k;
    struct row_member row = {
        .joined_us = s->turn->wall_us, .inviter = inviter, .kind = c->info.kind};
    /* What was said before is not unread for who comes now. */
    struct row_cursor cursor = {.delivered_seq = c->head.seq,
                                .delivered_ts_us = read_us,
                                .read_seq = c->head.seq,
                                .read_ts_us = read_us};
    key_chan_member(&k, c->cid, uid);
    row_member_encode(commit_put(cb, CF_CHAN, &k, member_value_max), &k, &row);
    batch_put_end(&cb->b);
    key_membership(&k, uid, c->cid);
    row_member_encode(commit_put(cb, CF_USER, &k, member_value_max), &k, &row);
    batch_put_end(&cb->b);
    key_chan_cursor(&k, c->cid, uid);
    row_cursor_encode(commit_put(cb, CF_CHAN, &k, cursor_value_max), &k, &cursor);
    batch_put_end(&cb->b);
}

static void put_leave(struct chan_batch *cb, const struct chan *c, uint64_t uid)
{
    struct key k;
    key_chan_member(&k, c->cid, uid);
    batch_delete(&cb->b, CF_CHAN, &k);
    key_membership(&k, uid, c->cid);
    batch_delete(&cb->b, CF_USER, &k);
    key_chan_cursor(&k, c->cid, uid);
    if (MUTANT(LEAVER_KEEPS_CURSOR, true, false))
        batch_delete(&cb->b, CF_CHAN, &k);
}

/* ---- events ---- */

struct change {
    struct chan *c;
    uint64_t uid, inviter;
    bool silent;
};

static struct frame *member_frame(struct chan_shard *s, const struct change *x, const char *type)
{
    char text[event_max];
    struct buf b;
    const struct chan *c = x->c;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_kv_id(&j, "user", ID_USER, x->uid);
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_str(&j, "channel_type", c->info.kind == CHANNEL_PUBLIC ? SV("C") : SV("G"));
    json_kv_id(&j, "team", ID_TEAM, c->info.team);
    if (x->inviter != ID_NONE)
        json_kv_id(&j, "inviter", ID_USER, x->inviter);
    json_kv_ts(&j, "event_ts", s->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    return emit_frame(s, c->cid, buf_view(&b));
}

static const char *const joined_types[] = {[CHANNEL_PUBLIC] = "channel_joined",
                                           [CHANNEL_PRIVATE] = "group_joined",
                                           [CHANNEL_IM] = "im_created",
                                           [CHANNEL_MPIM] = "mpim_joined"};

/* The channel as its new member sees it. */
static struct frame *joined_frame(struct chan_shard *s, const struct chan *c, uint64_t uid)
{
    struct buf b;
    struct channel_view v = {
        .viewer = uid, .is_member = true, .with_num_members = true, .num_members = c->members.len};
    buf_init(&b, &s->scratch, 1024);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(joined_types[c->info.kind]));
    json_key(&j, "channel");
    channel_json(&j, &c->info, &v);
    json_kv_ts(&j, "event_ts", s->turn->wall_us);
    json_obj_end(&j);
    return b.failed ? NULL : emit_frame(s, ID_NONE, buf_view(&b));
}

static struct frame *left_frame(struct chan_shard *s, const struct change *x)
{
    char text[event_max];
    struct buf b;
    const struct chan *c = x->c;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", c->info.kind == CHANNEL_PUBLIC ? SV("channel_left") : SV("group_left"));
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_id(&j, "actor_id", ID_USER, x->uid);
    json_kv_ts(&j, "event_ts", s->turn->wall_us);
    json_obj_end(&j);
    ASSERT(!b.failed);
    return emit_frame(s, ID_NONE, buf_view(&b));
}

static void hang_channel_event(struct chan_shard *s, const struct change *x, const char *type)
{
    struct effect *e = commit_effect(s, x->c, EFFECT_CHANNEL_EVENT);
    e->to = x->c->interest;
    e->frame = e->to == 0 ? NULL : member_frame(s, x, type);
}

static void hang_user_event(struct chan_shard *s, const struct change *x, bool leaving)
{
    struct effect *e = commit_effect(s, x->c, EFFECT_USER_EVENT);
    e->uid = x->uid;
    e->leaving = leaving;
    e->frame = leaving ? left_frame(s, x) : joined_frame(s, x->c, x->uid);
}

/* Silent or not, the user's open sockets must learn that they get this channel's events from now
 * on. */
static void hang_joined(struct chan_shard *s, const struct change *x)
{
    x->c->interest |= s->fanouts;
    commit_effect(s, x->c, EFFECT_JOINED)->uid = x->uid;
    if (x->silent)
        return;
    hang_user_event(s, x, false);
    hang_channel_event(s, x, "member_joined_channel");
}

static void hang_left(struct chan_shard *s, const struct change *x)
{
    if (!x->silent) {
        hang_channel_event(s, x, "member_left_channel");
        hang_user_event(s, x, true);
    }
    commit_effect(s, x->c, EFFECT_LEFT)->uid = x->uid;
}

/* ---- join, leave, invite ---- */

static bool late(const struct chan_shard *s, const struct chan_member_change *m)
{
    return m->deadline_us != 0 && s->turn->mono_us > m->deadline_us;
}

static bool disk_full(const struct chan_shard *s)
{
    return s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk);
}

/* Absent, foreign, and private but for members: all alike. */
static enum err may_see(const struct chan *c, const struct chan_member_change *m, bool member)
{
    bool visible = member || m->by_admin || (c->info.kind == CHANNEL_PUBLIC && !m->guest);
    return c->info.team == m->team && visible ? ERR_OK : ERR_CHANNEL_NOT_FOUND;
}

/* The answer's copy of the channel; nothing has been changed yet when there is no room for it. */
static enum err fill_info(struct chan_member_change *m, const struct chan *c)
{
    m->info = c->info;
    m->head = c->head;
    if (m->arena == NULL)
        return ERR_OK;
    m->info.name = arena_dup(m->arena, c->info.name);
    m->info.topic = arena_dup(m->arena, c->info.topic);
    m->info.purpose = arena_dup(m->arena, c->info.purpose);
    return m->info.name.p == NULL || m->info.topic.p == NULL || m->info.purpose.p == NULL
               ? ERR_NOMEM
               : ERR_OK;
}

static void say(struct chan_shard *s, const struct change *x, const char *subtype, const char *what)
{
    if (!x->silent)
        system_post(s, x->c,
                    &(struct system_message){
                        .subtype = subtype, .what = what, .uid = x->uid, .inviter = x->inviter});
}

/* Who comes hears that it came, and has read it. */
static void add_member(struct chan_shard *s, const struct change *x)
{
    member_set_add(&x->c->members, x->uid);
    put_join(s, s->open, x->c, x->uid, x->inviter,
             x->silent ? x->c->head.last_ts_us : post_next_ts(s, x->c));
    hang_joined(s, x);
    say(s, x, "join", "has joined the channel");
    commit_members(s, x->c);
}

static enum err join(struct chan_shard *s, struct chan *c, struct chan_member_change *m)
{
    bool member = member_set_has(&c->members, m->uid);
    if (late(s, m))
        return ERR_DEADLINE;
    TRY(may_see(c, m, member));
    m->already = member;
    if (member)
        return fill_info(m, c);
    if (m->uid == ID_NONE)
        return ERR_USER_NOT_FOUND;
    if (channel_is_direct(c->info.kind))
        return ERR_WRONG_CHANNEL_TYPE;
    if (c->info.archived)
        return ERR_IS_ARCHIVED;
    if (c->members.len >= s->conf.members_max)
        return ERR_TOO_MANY_MEMBERS;
    if (disk_full(s))
        return ERR_DISK_FULL;
    TRY(member_set_reserve(&c->members, 1));
    TRY(fill_info(m, c));
    if (commit_room(s, change_rows_room(), change_hang_room()) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    add_member(s, &(struct change){.c = c, .uid = m->uid, .silent = m->silent});
    m->head = c->head;
    return ERR_OK;
}

void join_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = join(s, c, op->request.u.p);
    op_answer_after(s, op, c, err);
}

static enum err may_kick(const struct chan *c, const struct chan_member_change *m)
{
    bool in = member_set_has(&c->members, m->kicker), public = c->info.kind == CHANNEL_PUBLIC;
    if (c->info.team != m->team || (!in && (!public || m->guest)))
        return ERR_CHANNEL_NOT_FOUND;
    if (!in)
        return ERR_NOT_IN_CHANNEL;
    if (m->kicker == m->uid)
        return ERR_CANT_KICK_SELF;
    if (channel_is_direct(c->info.kind))
        return ERR_WRONG_CHANNEL_TYPE;
    if (c->info.general)
        return ERR_CANT_KICK_FROM_GENERAL;
    if (!member_set_has(&c->members, m->uid))
        return ERR_NOT_IN_CHANNEL;
    bool may = !public || m->admin || c->info.creator == m->kicker;
    return MUTANT(KICK_BY_ANYBODY, may, true) ? ERR_OK : ERR_RESTRICTED_ACTION;
}

static enum err leave(struct chan_shard *s, struct chan *c, struct chan_member_change *m)
{
    bool member = member_set_has(&c->members, m->uid);
    if (late(s, m))
        return ERR_DEADLINE;
    if (m->kicker != ID_NONE)
        TRY(may_kick(c, m));
    else
        TRY(may_see(c, m, member));
    m->already = !member;
    if (channel_is_direct(c->info.kind))
        return ERR_WRONG_CHANNEL_TYPE;
    if (c->info.general)
        return ERR_CANT_LEAVE_GENERAL;
    if (!member)
        return fill_info(m, c);
    if (c->info.archived)
        return ERR_IS_ARCHIVED;
    if (c->info.kind == CHANNEL_PRIVATE && c->members.len == 1)
        return ERR_LAST_MEMBER;
    if (disk_full(s))
        return ERR_DISK_FULL;
    TRY(fill_info(m, c));
    struct chan_batch *cb = commit_room(s, change_rows_room(), change_hang_room());
    if (cb == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    struct change x = {.c = c, .uid = m->uid, .silent = m->silent};
    if (MUTANT(KICKED_MAY_POST, true, m->kicker == ID_NONE))
        member_set_del(&c->members, m->uid);
    put_leave(cb, c, m->uid);
    if (MUTANT(KICKED_HEARS_ON, true, m->kicker == ID_NONE))
        hang_left(s, &x);
    say(s, &x, "leave", "has left the channel");
    commit_members(s, c);
    m->head = c->head;
    return ERR_OK;
}

void leave_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = leave(s, c, op->request.u.p);
    op_answer_after(s, op, MUTANT(KICK_BEFORE_SYNC, c, NULL), err);
}

static enum err may_invite(const struct chan_shard *s, const struct chan *c,
                           const struct chan_member_change *m)
{
    bool member = member_set_has(&c->members, m->uid);
    TRY(may_see(c, m, member));
    if (!member && !m->by_admin)
        return ERR_NOT_IN_CHANNEL;
    if (channel_is_direct(c->info.kind))
        return ERR_WRONG_CHANNEL_TYPE;
    if (c->info.archived)
        return ERR_IS_ARCHIVED;
    return disk_full(s) ? ERR_DISK_FULL : ERR_OK;
}

static enum err may_be_invited(const struct chan_shard *s, const struct chan *c,
                               const struct chan_member_change *m, uint64_t uid)
{
    if (uid == m->uid && !m->by_admin)
        return ERR_CANT_INVITE_SELF;
    if (uid == ID_NONE)
        return ERR_USER_NOT_FOUND;
    if (member_set_has(&c->members, uid))
        return ERR_ALREADY_IN_CHANNEL;
    return c->members.len >= s->conf.members_max ? ERR_TOO_MANY_MEMBERS : ERR_OK;
}

static enum err invite(struct chan_shard *s, struct chan *c, struct chan_member_change *m)
{
    uint32_t n = m->users_len, already = 0;
    enum err err = ERR_OK;
    if (late(s, m))
        return ERR_DEADLINE;
    TRY(may_invite(s, c, m));
    if (n == 0)
        return ERR_NO_USER;
    if (n > invite_users_max)
        return ERR_INVALID_ARGUMENTS;
    if (m->user_errs == NULL && m->arena != NULL)
        m->user_errs = arena_zalloc(m->arena, n * sizeof *m->user_errs);
    if (m->user_errs == NULL)
        return ERR_NOMEM;
    TRY(member_set_reserve(&c->members, n));
    TRY(fill_info(m, c));
    if (commit_room(s, n * change_rows_room(), n * change_hang_room()) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    for (uint32_t i = 0; i < n; i++) {
        enum err one = may_be_invited(s, c, m, m->users[i]);
        m->user_errs[i] = one;
        already += one == ERR_ALREADY_IN_CHANNEL;
        if (one == ERR_TOO_MANY_MEMBERS)
            err = one;
        if (one == ERR_OK)
            add_member(s, &(struct change){.c = c,
                                           .uid = m->users[i],
                                           .inviter = m->by_admin ? ID_NONE : m->uid,
                                           .silent = m->silent});
    }
    m->already = already == n;
    m->head = c->head;
    return err;
}

void invite_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = invite(s, c, op->request.u.p);
    op_answer_after(s, op, c, err);
}

/* ---- who made a channel ---- */

void created_tell(struct chan_shard *s, const struct effect *e)
{
    if (MUTANT(CREATOR_HEARS_NOTHING, true, false))
        emit_member(s, e);
    emit_user(s, e);
    if (e->to != 0)
        emit_channel(s, e->c, NULL, e->to); /* a gap */
}

/* A direct conversation: each of its members made it. They are told one after the other; what one
 * of them said in it already hangs on batches, and is told before. */
static void tell_all(struct chan_shard *s, struct chan *c, struct op *op)
{
    for (uint32_t i = 0; i < c->members.cap; i++) {
        if (MUTANT(DIRECT_CREATOR_HEARS, c->members.slots[i] == ID_NONE,
                   c->members.slots[i] != c->info.creator))
            continue;
        struct effect e = {.kind = EFFECT_JOINED, .c = c, .uid = c->members.slots[i]};
        emit_member(s, &e);
        e.kind = EFFECT_USER_EVENT;
        e.frame = joined_frame(s, c, e.uid);
        emit_user(s, &e);
    }
    if (c->changed || c->head.seq > 0) /* somebody was quicker than this */
        emit_channel(s, c, NULL, s->fanouts);
    op_answer_after(s, op, c, ERR_OK);
}

/* Its rows are dir's. All that chan decided about the channel before hangs on batches, so what is
 * told here is told behind it. */
void created_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    uint64_t uid = op->request.u.u[0];
    if (uid == ID_NONE) {
        tell_all(s, c, op);
        return;
    }
    if (!member_set_has(&c->members, uid)) { /* found by its name and left already */
        op_answer_after(s, op, c, ERR_OK);
        return;
    }
    op->e.kind = EFFECT_CREATED;
    op->e.c = c;
    op->e.frame = joined_frame(s, c, uid);
    op->e.uid = uid;
    c->interest |= s->fanouts;
    if (c->changed || c->head.seq > 0 || c->members.len > 1)
        op->e.to = s->fanouts; /* others found it in a list and were quicker: that was not heard */
    if (c->batch != NULL) {
        commit_hang(s, c->batch, &op->e);
        return;
    }
    created_tell(s, &op->e);
    op_answer(s, op, ERR_OK);
}
