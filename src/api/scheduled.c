/* scheduled.c - chat.scheduleMessage, chat.deleteScheduledMessage, chat.scheduledMessages.list.
 * What can be judged now is judged now; what the channel takes is judged again at the time. */
#include "api/content.h"
#include "api/handlers.h"
#include "api/link.h"
#include "chan/chan_msg.h"
#include "chan/channel_json.h"
#include "dir/dir_msg.h"
#include "hist/hist_msg.h"

/* ---- schedule ---- */

struct scheduling {
    struct hist_info info;
    struct chan_post post;
    struct dir_schedule schedule;
};

static void on_scheduled(struct request *r, const struct cell *c)
{
    const struct scheduling *s = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, s->post.members.len + content_answer_bytes);
    json_kv_id(&r->j, "channel", channel_letter(s->info.kind), s->schedule.row.cid);
    json_kv_id(&r->j, "scheduled_message_id", ID_SCHEDULED, s->schedule.row.id);
    json_kv_u64(&r->j, "post_at", s->schedule.row.post_s);
    json_key(&r->j, "message");
    json_obj(&r->j);
    json_raw(&r->j, s->post.members);
    json_obj_end(&r->j);
    answer_end(r);
}

static void on_channel(struct request *r, const struct cell *c)
{
    struct scheduling *s = r->work;
    enum err err = (enum err)c->err;
    if (err == ERR_OK && !s->info.member)
        err = ERR_NOT_IN_CHANNEL;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    s->schedule.row.kind = s->info.kind;
    req_send(r, r->a->conf.dir, DIR_SCHEDULE, ID_NONE, &s->schedule, on_scheduled);
}

static enum err prepare(struct request *r, struct scheduling *s)
{
    struct post_json p = {0};
    const struct arg_value *thread = arg(r, "thread_ts");
    TRY(content_channel(r, &s->info.cid));
    TRY(content_read(r, &p));
    TRY(content_metadata(r, &s->post.metadata));
    if (p.text.len == 0 && p.blocks.len == 0 && p.attachments.len == 0)
        return ERR_NO_TEXT;
    if (thread->given && thread->n == 0)
        return ERR_CANNOT_REPLY_TO_MESSAGE;
    content_sender(r, &p);
    TRY(content_encode(r, &p, &s->post));
    s->schedule.row =
        (struct row_scheduled){.team = r->who.team,
                               .uid = r->who.uid,
                               .cid = s->info.cid,
                               .post_s = arg(r, "post_at")->n,
                               .thread_ts_us = thread->given ? thread->n : 0,
                               .broadcast = thread->given && arg(r, "reply_broadcast")->n != 0,
                               .content_at = s->post.content_at,
                               .members = s->post.members,
                               .metadata = s->post.metadata.p != NULL ? s->post.metadata : SV(""),
                               .text = p.text};
    return ERR_OK;
}

static void schedule(struct request *r)
{
    struct scheduling *s = arena_zalloc(&r->arena, sizeof *s);
    enum err err = s == NULL ? ERR_NOMEM : prepare(r, s);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    s->info.viewer = req_viewer(r);
    buf_init(&s->info.out, &r->arena, 0);
    r->work = s;
    req_send(r, req_hist(r), HIST_INFO, s->info.cid, &s->info, on_channel);
}

void chat_schedule_message(struct request *r)
{
    link_text(r, schedule);
}

/* ---- delete ---- */

void chat_delete_scheduled_message(struct request *r)
{
    struct dir_unschedule *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK)
        *m = (struct dir_unschedule){
            .team = r->who.team, .uid = r->who.uid, .cid = arg(r, "channel")->n};
    if (err == ERR_OK && !id_parse(arg(r, "scheduled_message_id")->s, ID_SCHEDULED, &m->id))
        err = ERR_INVALID_SCHEDULED_ID;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    req_send(r, r->a->conf.dir, DIR_UNSCHEDULE, ID_NONE, m, answer_done);
}

/* ---- list ---- */

enum { page_default = 100 };

static void on_list(struct request *r, const struct cell *c)
{
    const struct hist_scheduled *m = r->work;
    char next[id_text_max];
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->out.len + 128);
    json_key(&r->j, "scheduled_messages");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->out));
    json_arr_end(&r->j);
    size_t len = m->next_id != 0 ? id_format(next, ID_SCHEDULED, m->next_id) : 0;
    cursor_write(r, "scheduled", (struct str_view){next, len});
    answer_end(r);
}

void chat_scheduled_messages_list(struct request *r)
{
    struct hist_scheduled *m = arena_zalloc(&r->arena, sizeof *m);
    const struct arg_value *limit = arg(r, "limit"), *channel = arg(r, "channel"),
                           *oldest = arg(r, "oldest"), *latest = arg(r, "latest");
    struct str_view after;
    enum err err = m == NULL ? ERR_NOMEM : cursor_read(r, "scheduled", &after);
    if (err == ERR_OK) {
        *m = (struct hist_scheduled){.team = r->who.team,
                                     .uid = r->who.uid,
                                     .cid = channel->given ? channel->n : ID_NONE,
                                     .oldest_s = oldest->given ? oldest->n / 1000000 : 0,
                                     .latest_s = latest->given ? latest->n / 1000000 : UINT64_MAX,
                                     .limit = (uint32_t)(limit->given ? limit->n : page_default)};
        if (after.len > 0 && !id_parse(after, ID_SCHEDULED, &m->after_id))
            err = ERR_INVALID_CURSOR;
    }
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->out, &r->arena, 0);
    r->work = m;
    req_send(r, req_hist(r), HIST_SCHEDULED, ID_NONE, m, on_list);
}
