/* system.c - what the channel itself says: who came and left, what it is called now. Source:
 * Slack's message subtypes channel_join, channel_topic and so on; group_ of a private one. */
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { message_fixed_bytes = 512, escaped_per_byte = 6 };

static void put_subtype(struct json_out *j, const struct chan *c, const char *subtype)
{
    char text[32];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    buf_printf(&b, "%s_%s", c->info.kind == CHANNEL_PUBLIC ? "channel" : "group", subtype);
    json_kv_str(j, "subtype", buf_view(&b));
}

/* "<@U1> set the channel topic: x" */
static void put_text(struct chan_shard *s, struct json_out *j, const struct system_message *m)
{
    char id[id_text_max];
    struct buf b;
    buf_init(&b, &s->scratch, 96 + m->old_name.len + m->value.len);
    buf_printf(&b, "<@%.*s> %s", (int)id_format(id, ID_USER, m->uid), id, m->what);
    if (m->old_name.p != NULL) {
        buf_printf(&b, " from \"%.*s\" to \"%.*s\"", SV_ARG(m->old_name), SV_ARG(m->value));
    } else if (m->member != NULL) {
        buf_put(&b, ": ", 2);
        buf_put_sv(&b, m->value);
    }
    json_kv_str(j, "text", buf_view(&b));
    j->b->failed |= b.failed;
}

static void put_members(struct chan_shard *s, const struct chan *c, struct json_out *j,
                        const struct system_message *m, uint64_t ts_us)
{
    json_obj(j);
    json_kv_str(j, "type", SV("message"));
    put_subtype(j, c, m->subtype);
    json_kv_id(j, "user", ID_USER, m->uid);
    json_kv_id(j, "team", ID_TEAM, c->info.team);
    put_text(s, j, m);
    if (m->inviter != ID_NONE)
        json_kv_id(j, "inviter", ID_USER, m->inviter);
    if (m->old_name.p != NULL)
        json_kv_str(j, "old_name", m->old_name);
    if (m->member != NULL)
        json_kv_str(j, m->member, m->value);
    json_kv_ts(j, "ts", ts_us);
}

size_t system_room(size_t text)
{
    return row_room(2 * message_fixed_bytes + 2 * escaped_per_byte * text);
}

void system_post(struct chan_shard *s, struct chan *c, const struct system_message *m)
{
    struct key k;
    struct buf b;
    uint64_t ts_us = post_next_ts(s, c);
    s->last_ts_us = c->head.last_ts_us = ts_us;
    buf_init(&b, &s->scratch,
             message_fixed_bytes + 2 * escaped_per_byte * (m->value.len + m->old_name.len));
    struct json_out j = json_out_on(&b);
    put_members(s, c, &j, m, ts_us);
    if (b.failed) /* the change itself stands */
        return;
    struct row_message row = {.ts_us = ts_us,
                              .seq = c->head.seq,
                              .uid = m->uid,
                              .flags = MSG_SYSTEM,
                              .body = buf_view(&b)};
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
}
