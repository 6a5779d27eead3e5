/* chat.c - chat.postMessage: the message is encoded once, here; chan stores and fans out these very
 * bytes. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "chan/post_json.h"
#include "hist/hist_msg.h"

enum { client_msg_id_max = 255 };

struct post_work {
    uint64_t cid;
    struct chan_post post;
    struct hist_message first; /* a known key: what was stored then */
};

enum { post_answer_bytes = 256 }; /* at most, around the members */

static void put_channel_ts(struct request *r, const struct post_work *w, size_t message_bytes)
{
    answer_begin_sized(r, message_bytes + post_answer_bytes);
    json_kv_id(&r->j, "channel", ID_CHANNEL, w->cid);
    json_kv_ts(&r->j, "ts", w->post.ts_us);
    json_key(&r->j, "message");
}

static void on_first(struct request *r, const struct cell *c)
{
    const struct post_work *w = r->work;
    if (c->err != ERR_OK || w->first.out.failed) {
        answer_error(r, c->err != ERR_OK ? (enum err)c->err : ERR_NOMEM);
        return;
    }
    put_channel_ts(r, w, w->first.out.len);
    json_raw(&r->j, buf_view(&w->first.out));
    answer_end(r);
}

/* chan has said that the key is the caller's own, so the row may be read, member still or not. */
static void read_first(struct request *r, struct post_work *w)
{
    w->first =
        (struct hist_message){.viewer = req_viewer(r), .cid = w->cid, .ts_us = w->post.ts_us};
    w->first.viewer.is_admin = true;
    buf_init(&w->first.out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_MESSAGE, w->cid, &w->first, on_first);
}

static void on_posted(struct request *r, const struct cell *c)
{
    struct post_work *w = r->work;
    if (c->err != ERR_OK) {
        answer_error(r, (enum err)c->err);
        return;
    }
    if ((c->flags & CHAN_F_DUPLICATE) != 0) {
        read_first(r, w);
        return;
    }
    put_channel_ts(r, w, w->post.members.len);
    json_obj(&r->j);
    json_raw(&r->j, w->post.members);
    json_kv_ts(&r->j, "ts", w->post.ts_us);
    json_obj_end(&r->j);
    answer_end(r);
}

/* A private channel's name leads to its id only inside: chan refuses who is no member with the same
 * answer as an absent one. */
static enum err find_channel(struct request *r, uint64_t *cid)
{
    struct str_view name = arg(r, "channel")->s;
    enum channel_kind kind;
    if (id_parse_channel(name, cid))
        return ERR_OK;
    if (name.len > 0 && name.p[0] == '#')
        name = (struct str_view){name.p + 1, name.len - 1};
    return dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, cid, &kind)
               ? ERR_OK
               : ERR_CHANNEL_NOT_FOUND;
}

static enum err check_content(struct request *r, struct post_json *p)
{
    const struct arg_value *id = arg(r, "client_msg_id"), *blocks = arg(r, "blocks"),
                           *attachments = arg(r, "attachments"), *text = arg(r, "text");
    p->text = text->given ? text->s : SV("");
    if (blocks->given)
        p->blocks = blocks->s;
    if (attachments->given)
        p->attachments = attachments->s;
    if (id->given) {
        if (id->s.len == 0 || id->s.len > client_msg_id_max)
            return ERR_INVALID_CLIENT_MSG_ID;
        p->client_msg_id = id->s;
    }
    if (arg(r, "thread_ts")->given && arg(r, "thread_ts")->s.len > 0)
        return ERR_CANNOT_REPLY_TO_MESSAGE; /* never stored as a root in silence */
    if (p->text.len == 0 && p->blocks.len == 0 && p->attachments.len == 0)
        return ERR_NO_TEXT;
    const uint64_t max = r->a->conf.conf->api_text_max;
    return p->text.len > max && utf8_count(p->text) > max ? ERR_MSG_TOO_LONG : ERR_OK;
}

static enum err encode(struct request *r, struct post_json *p, struct post_work *w)
{
    struct buf members;
    p->team = r->who.team;
    p->uid = r->who.uid;
    p->app_id = r->who.app_id;
    if (r->who.kind == TOKEN_BOT) {
        const struct row_user *user = dir_user(r->a->conf.dir_reader, r->who.team, r->who.uid);
        p->bot_id = r->who.bot_id;
        p->bot_name = user == NULL ? SV("") : user->name;
    }
    buf_init(&members, &r->arena,
             256 + p->text.len + p->blocks.len + p->attachments.len + p->client_msg_id.len);
    post_json_members(&members, p);
    /* Once it is stored nothing may fail any more, so the answer's room is taken now. */
    if (members.failed || !arena_reserve(&r->arena, members.len + post_answer_bytes))
        return ERR_NOMEM;
    w->post = (struct chan_post){.team = r->who.team,
                                 .uid = r->who.uid,
                                 .client_msg_id = p->client_msg_id,
                                 .members = buf_view(&members),
                                 .deadline_us = r->deadline_us};
    if (p->client_msg_id.len > 0)
        key128_of(w->post.key128, p->client_msg_id);
    return ERR_OK;
}

static enum err prepare(struct request *r, struct post_work *w)
{
    struct post_json p = {0};
    TRY(find_channel(r, &w->cid));
    TRY(check_content(r, &p));
    return encode(r, &p, w);
}

void chat_post_message(struct request *r)
{
    struct post_work *w = arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : prepare(r, w);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = w;
    r->post = &w->post;
    req_send(r, req_chan(r, w->cid), CHAN_POST, w->cid, &w->post, on_posted);
}
