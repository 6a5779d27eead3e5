/* info.c - members change the channel itself: topic, purpose, archive; each leaves a message
 * in it. Source: Slack conversations.setTopic,
 * .setPurpose, .archive, .unarchive and the
 * message subtypes channel_topic and so on. */
#include <stdio.h>
#include <stdlib.h>

#include "chan/channel_json.h"
#include "chan/internal.h"

enum {
    info_fixed_bytes = 256,
    name_value_max = 32,
    message_fixed_bytes = 512,
    escaped_per_byte = 6
};

/* ---- a message of the channel's own ---- */

struct system {
    const char *subtype; /* behind "channel_" or "group_" */
    const char *what;    /* behind "<@U1> " */
    const char *member;  /* of the JSON object, beside the text; NULL: none */
    struct str_view value;
};

static void put_subtype(struct json_out *j, const struct chan *c, const char *subtype)
{
    char text[32];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    buf_printf(&b, "%s_%s", c->info.kind == CHANNEL_PUBLIC ? "channel" : "group", subtype);
    json_kv_str(j, "subtype", buf_view(&b));
}

/* "<@U1> set the channel topic: x" */
static void put_text(struct chan_shard *s, struct json_out *j, const struct system *m, uint64_t uid)
{
    char id[id_text_max];
    struct buf b;
    buf_init(&b, &s->scratch, 64 + m->value.len);
    buf_printf(&b, "<@%.*s> %s", (int)id_format(id, ID_USER, uid), id, m->what);
    if (m->member != NULL) {
        buf_put(&b, ": ", 2);
        buf_put_sv(&b, m->value);
    }
    json_kv_str(j, "text", buf_view(&b));
    j->b->failed |= b.failed;
}

/* Takes no number: it is unread to nobody. */
static void post_system(struct chan_shard *s, struct chan *c, const struct system *m, uint64_t uid)
{
    struct key k;
    struct buf b;
    uint64_t ts_us = post_next_ts(s, c);
    s->last_ts_us = c->head.last_ts_us = ts_us;
    buf_init(&b, &s->scratch, message_fixed_bytes + 2 * escaped_per_byte * m->value.len);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("message"));
    put_subtype(&j, c, m->subtype);
    json_kv_id(&j, "user", ID_USER, uid);
    json_kv_id(&j, "team", ID_TEAM, c->info.team);
    put_text(s, &j, m, uid);
    if (m->member != NULL)
        json_kv_str(&j, m->member, m->value);
    json_kv_ts(&j, "ts", ts_us);
    if (b.failed) /* the change itself stands */
        return;
    struct row_message row = {
        .ts_us = ts_us, .seq = c->head.seq, .uid = uid, .flags = MSG_SYSTEM, .body = buf_view(&b)};
    key_msg(&k, c->cid, ts_us);
    row_message_encode(commit_put(s->open, CF_MSG, &k, message_fixed_bytes + row.body.len), &k,
                       &row);
    batch_put_end(&s->open->b);
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_str(&j, "channel_type", sv_from(channel_type_of(c->info.kind)));
    json_kv_ts(&j, "event_ts", ts_us);
    json_obj_end(&j);
    struct effect *e = commit_effect(s, c, EFFECT_POSTED);
    e->ts_us = ts_us;
    e->to = c->interest;
    e->frame = e->to == 0 || b.failed ? NULL : emit_frame(s, c->cid, buf_view(&b));
    if (e->frame != NULL)
        e->frame->ts_us = ts_us;
}

/* ---- the row ---- */

static size_t info_value_max(const struct row_chan_info *i)
{
    return info_fixed_bytes + i->name.len + i->topic.len + i->purpose.len;
}

static void put_info(struct chan_shard *s, const struct chan *c)
{
    struct key k;
    key_chan_info(&k, c->cid);
    row_chan_info_encode(commit_put(s->open, CF_CHAN, &k, info_value_max(&c->info)), &k, &c->info);
    batch_put_end(&s->open->b);
}

static void put_name(struct chan_shard *s, const struct chan *c)
{
    struct key k;
    key_channel_name(&k, c->info.team, c->info.name);
    struct row_channel_name row = {
        .cid = c->cid, .kind = c->info.kind, .archived = c->info.archived};
    row_channel_name_encode(commit_put(s->open, CF_DIR, &k, name_value_max), &k, &row);
    batch_put_end(&s->open->b);
}

/* The strings of a channel lie in one piece of memory. */
static bool set_texts(struct chan *c, struct str_view name, struct str_view topic,
                      struct str_view purpose)
{
    char *text = malloc(name.len + topic.len + purpose.len + 1), *at = text;
    struct str_view *all[] = {&name, &topic, &purpose};
    if (text == NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->len > 0)
            memcpy(at, all[i]->p, all[i]->len);
        all[i]->p = at;
        at += all[i]->len;
    }
    free(c->text);
    c->text = text;
    c->info.name = name;
    c->info.topic = topic;
    c->info.purpose = purpose;
    return true;
}

/* ---- events ---- */

static struct json_out info_event(struct chan_shard *s, const struct chan *c, struct buf *b,
                                  const char *what)
{
    char type[32];
    snprintf(type, sizeof type, "%s_%s", c->info.kind == CHANNEL_PUBLIC ? "channel" : "group",
             what);
    buf_init(b, &s->scratch, 512 + escaped_per_byte * c->info.name.len);
    struct json_out j = json_out_on(b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    return j;
}

/* A public channel is its team's to know, another its members'. */
static void tell(struct chan_shard *s, struct chan *c, struct json_out *j)
{
    json_kv_ts(j, "event_ts", s->turn->wall_us);
    json_obj_end(j);
    bool team = c->info.kind == CHANNEL_PUBLIC;
    struct effect *e = commit_effect(s, c, team ? EFFECT_HINT : EFFECT_CHANNEL_EVENT);
    e->to = team ? s->fanouts : c->interest;
    e->uid = ID_NONE;
    e->frame = e->to == 0 || j->b->failed ? NULL : emit_frame(s, ID_NONE, buf_view(j->b));
}

static void tell_archived(struct chan_shard *s, struct chan *c, uint64_t uid, bool archived)
{
    struct buf b;
    struct json_out j = info_event(s, c, &b, archived ? "archive" : "unarchive");
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_id(&j, "user", ID_USER, uid);
    tell(s, c, &j);
}

/* ---- changes ---- */

static bool is_direct(const struct chan *c)
{
    return c->info.kind == CHANNEL_IM || c->info.kind == CHANNEL_MPIM;
}

static enum err may_change(const struct chan_shard *s, const struct chan *c,
                           const struct chan_info_change *m)
{
    bool member = member_set_has(&c->members, m->uid);
    bool archives = m->kind == INFO_ARCHIVE || m->kind == INFO_UNARCHIVE;
    if (m->deadline_us != 0 && s->turn->mono_us > m->deadline_us)
        return ERR_DEADLINE;
    bool open = c->info.kind == CHANNEL_PUBLIC && !m->guest;
    if (c->info.team != m->team || (!member && !open))
        return ERR_CHANNEL_NOT_FOUND;
    if (is_direct(c) && archives)
        return ERR_WRONG_CHANNEL_TYPE;
    if (!member && !(m->admin && archives) && m->kind != INFO_UNARCHIVE)
        return ERR_NOT_IN_CHANNEL;
    if (c->info.archived && !archives)
        return ERR_IS_ARCHIVED;
    return s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk) ? ERR_DISK_FULL : ERR_OK;
}

static struct chan_batch *make_room(struct chan_shard *s, const struct chan *c, size_t text)
{
    size_t rows = row_room(info_value_max(&c->info) + text) + row_room(name_value_max) +
                  row_room(head_value_max) +
                  row_room(2 * message_fixed_bytes + 2 * escaped_per_byte * text);
    return commit_room(s, rows, 3 * (sizeof(struct effect) + 16));
}

static enum err set_text(struct chan_shard *s, struct chan *c, const struct chan_info_change *m)
{
    bool topic = m->kind == INFO_TOPIC;
    struct row_chan_info *i = &c->info;
    if (sv_eq(m->text, topic ? i->topic : i->purpose))
        return ERR_OK;
    if (make_room(s, c, m->text.len) == NULL ||
        !set_texts(c, i->name, topic ? m->text : i->topic, topic ? i->purpose : m->text))
        return ERR_SERVICE_UNAVAILABLE;
    *(topic ? &i->topic_by : &i->purpose_by) = m->uid;
    *(topic ? &i->topic_set_s : &i->purpose_set_s) = s->turn->wall_us / 1000000;
    post_system(
        s, c,
        &(struct system){.subtype = topic ? "topic" : "purpose",
                         .what = topic ? "set the channel topic" : "set the channel purpose",
                         .member = topic ? "topic" : "purpose",
                         .value = topic ? i->topic : i->purpose},
        m->uid);
    return ERR_OK;
}

static enum err set_archived(struct chan_shard *s, struct chan *c, const struct chan_info_change *m)
{
    bool archived = m->kind == INFO_ARCHIVE;
    if (c->info.archived == archived)
        return archived ? ERR_ALREADY_ARCHIVED : ERR_NOT_ARCHIVED;
    if (c->info.general)
        return ERR_CANT_ARCHIVE_GENERAL;
    if (make_room(s, c, 0) == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    c->info.archived = archived;
    put_name(s, c);
    post_system(
        s, c,
        &(struct system){.subtype = archived ? "archive" : "unarchive",
                         .what = archived ? "archived the channel" : "un-archived the channel"},
        m->uid);
    tell_archived(s, c, m->uid, archived);
    return ERR_OK;
}

static enum err fill(struct chan_info_change *m, const struct chan *c)
{
    m->info = c->info;
    m->head = c->head;
    m->info.name = arena_dup(m->arena, c->info.name);
    m->info.topic = arena_dup(m->arena, c->info.topic);
    m->info.purpose = arena_dup(m->arena, c->info.purpose);
    return m->info.name.p == NULL || m->info.topic.p == NULL || m->info.purpose.p == NULL
               ? ERR_NOMEM
               : ERR_OK;
}

static enum err change(struct chan_shard *s, struct chan *c, struct chan_info_change *m)
{
    uint64_t last_ts_us = c->head.last_ts_us;
    TRY(may_change(s, c, m));
    switch (m->kind) {
    case INFO_TOPIC:
    case INFO_PURPOSE:
        TRY(set_text(s, c, m));
        break;
    case INFO_ARCHIVE:
    case INFO_UNARCHIVE:
        TRY(set_archived(s, c, m));
        break;
    }
    if (c->head.last_ts_us != last_ts_us) {
        c->info.updated_s = s->turn->wall_us / 1000000;
        put_info(s, c);
        commit_head(s, c);
    }
    return fill(m, c);
}

void info_step(struct chan_shard *s, struct chan *c, struct op *op)
{
    enum err err = change(s, c, op->request.u.p);
    op_answer_after(s, op, c, err);
}
