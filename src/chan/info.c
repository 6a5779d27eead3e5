/* info.c - members change the channel itself: name, topic, purpose, archive; each leaves a message
 * in it. Source: Slack conversations.rename, .setTopic, .setPurpose, .archive, .unarchive. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mutant.h"
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { info_fixed_bytes = 256, name_value_max = 32, escaped_per_byte = 6 };

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
static struct effect *tell(struct chan_shard *s, struct chan *c, struct json_out *j)
{
    json_kv_ts(j, "event_ts", s->turn->wall_us);
    json_obj_end(j);
    bool team = MUTANT(ARCHIVE_TOLD_TO_TEAM, c->info.kind == CHANNEL_PUBLIC, true);
    struct effect *e = commit_effect(s, c, team ? EFFECT_HINT : EFFECT_CHANNEL_EVENT);
    e->to = team ? s->fanouts : c->interest;
    e->uid = ID_NONE;
    e->frame = e->to == 0 || j->b->failed ? NULL : emit_frame(s, ID_NONE, buf_view(j->b));
    return e;
}

static void tell_renamed(struct chan_shard *s, struct chan *c)
{
    struct buf b;
    struct json_out j = info_event(s, c, &b, "rename");
    json_key(&j, "channel");
    json_obj(&j);
    json_kv_id(&j, "id", channel_letter(c->info.kind), c->cid);
    json_kv_str(&j, "name", c->info.name);
    json_kv_str(&j, "name_normalized", c->info.name);
    json_kv_u64(&j, "created", c->info.created_s);
    json_obj_end(&j);
    tell(s, c, &j);
}

static void tell_archived(struct chan_shard *s, struct chan *c, uint64_t uid, bool archived)
{
    struct buf b;
    struct json_out j = info_event(s, c, &b, archived ? "archive" : "unarchive");
    json_kv_id(&j, "channel", channel_letter(c->info.kind), c->cid);
    json_kv_id(&j, "user", ID_USER, uid);
    struct effect *e = tell(s, c, &j);
    if (MUTANT(UNARCHIVE_BEFORE_SYNC, false, !archived && e->kind == EFFECT_HINT))
        emit_hint(s, e), e->frame = NULL;
}

/* ---- changes ---- */

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
    if (channel_is_direct(c->info.kind) && (archives || m->kind == INFO_NAME))
        return ERR_WRONG_CHANNEL_TYPE;
    if (!member && !(m->admin && archives) && m->kind != INFO_UNARCHIVE)
        return ERR_NOT_IN_CHANNEL;
    if (c->info.archived && !archives)
        return ERR_IS_ARCHIVED;
    return s->conf.disk_full != NULL && s->conf.disk_full(s->conf.disk) ? ERR_DISK_FULL : ERR_OK;
}

static struct chan_batch *make_room(struct chan_shard *s, const struct chan *c, size_t text)
{
    size_t rows = row_room(info_value_max(&c->info) + text) + 2 * row_room(name_value_max) +
                  row_room(head_value_max) + system_room(text);
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
    system_post(s, c,
                &(struct system_message){.subtype = topic ? "topic" : "purpose",
                                         .what = topic ? "set the channel topic"
                                                       : "set the channel purpose",
                                         .member = topic ? "topic" : "purpose",
                                         .value = topic ? i->topic : i->purpose,
                                         .uid = m->uid});
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
    if (MUTANT(ARCHIVE_UNLISTED, true, false))
        put_name(s, c);
    system_post(s, c,
                &(struct system_message){.subtype = archived ? "archive" : "unarchive",
                                         .what = archived ? "archived the channel"
                                                          : "un-archived the channel",
                                         .uid = m->uid});
    tell_archived(s, c, m->uid, archived);
    return ERR_OK;
}

/* Dir keeps the new name for it meanwhile. One batch: at any time the channel has one name, and the
 * name one channel. */
static enum err rename_channel(struct chan_shard *s, struct chan *c, struct chan_info_change *m)
{
    struct key k;
    struct str_view old = arena_dup(m->arena, c->info.name);
    if (!m->admin && c->info.creator != m->uid)
        return ERR_NOT_AUTHORIZED;
    if (old.p == NULL)
        return ERR_NOMEM;
    m->old_name = old;
    if (sv_eq(m->text, old))
        return ERR_OK;
    if (make_room(s, c, m->text.len + old.len) == NULL ||
        !set_texts(c, m->text, c->info.topic, c->info.purpose))
        return ERR_SERVICE_UNAVAILABLE;
    key_channel_name(&k, c->info.team, old);
    batch_delete(&s->open->b, CF_DIR, &k);
    put_name(s, c);
    system_post(s, c,
                &(struct system_message){.subtype = "name",
                                         .what = "has renamed the channel",
                                         .member = "name",
                                         .value = c->info.name,
                                         .old_name = old,
                                         .uid = m->uid});
    tell_renamed(s, c);
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
    /* What is decided must be answered: room for fill is made before. */
    if (!arena_reserve(m->arena, 2 * (c->info.name.len + m->text.len) + c->info.topic.len +
                                     c->info.purpose.len + 128))
        return ERR_NOMEM;
    switch (m->kind) {
    case INFO_TOPIC:
    case INFO_PURPOSE:
        TRY(set_text(s, c, m));
        break;
    case INFO_ARCHIVE:
    case INFO_UNARCHIVE:
        TRY(set_archived(s, c, m));
        break;
    case INFO_NAME:
        TRY(rename_channel(s, c, m));
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
    op_answer_after(s, op, MUTANT(ARCHIVE_BEFORE_SYNC, c, NULL), err);
}
