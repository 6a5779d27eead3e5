/* chat.c - messages that are sent: posted, shown to one, edited, deleted. Each is encoded once,
 * here; chan stores and fans out these very bytes. */
#include "api/content.h"
#include "api/handlers.h"
#include "api/link.h"

#include "chan/channel_json.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "hist/hist_msg.h"

enum { client_msg_id_max = 255, before_tries_max = 3 };

static void refuse_or(struct request *r, enum err err)
{
    if (err != ERR_OK)
        answer_error(r, err);
}

/* With the letter that the client knows it by. */
static void put_channel(struct request *r, uint64_t cid)
{
    json_kv_id(&r->j, "channel", arg(r, "channel")->s.p[0] == ID_IM ? ID_IM : ID_CHANNEL, cid);
}

/* ---- posting ---- */

struct post_work {
    uint64_t cid;
    enum id_kind letter;           /* of its id */
    struct dir_direct_open direct; /* "channel" names a user: the conversation with that one */
    struct chan_post post;
    req_then *then;
    struct hist_message first; /* a known key: what was stored then */
};

static void put_channel_ts(struct request *r, const struct post_work *w, size_t message_bytes)
{
    answer_begin_sized(r, message_bytes + content_answer_bytes);
    json_kv_id(&r->j, "channel", w->letter, w->cid);
    json_kv_ts(&r->j, "ts", w->post.ts_us);
    json_key(&r->j, "message");
}

static void put_posted(struct request *r, const struct post_work *w)
{
    put_channel_ts(r, w, w->post.members.len);
    json_obj(&r->j);
    json_raw(&r->j, w->post.members);
    if (w->post.thread_ts_us != 0)
        json_kv_ts(&r->j, "thread_ts", w->post.thread_ts_us);
    json_kv_ts(&r->j, "ts", w->post.ts_us);
    json_obj_end(&r->j);
    answer_end(r);
}

/* Deleted meanwhile: it was posted once, and is not posted again. */
static void on_first(struct request *r, const struct cell *c)
{
    const struct post_work *w = r->work;
    if (c->err == ERR_MESSAGE_NOT_FOUND) {
        put_posted(r, w);
        return;
    }
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
    if (c->err != ERR_OK)
        answer_error(r, (enum err)c->err);
    else if ((c->flags & CHAN_F_DUPLICATE) != 0)
        read_first(r, w);
    else
        put_posted(r, w);
}

static enum err read_channel(const struct request *r, struct post_work *w);

static enum err read_key(const struct request *r, struct post_json *p)
{
    const struct arg_value *id = arg(r, "client_msg_id");
    if (!id->given)
        return ERR_OK;
    p->client_msg_id = id->s;
    return id->s.len == 0 || id->s.len > client_msg_id_max ? ERR_INVALID_CLIENT_MSG_ID : ERR_OK;
}

static bool is_empty(const struct post_json *p)
{
    return p->text.len == 0 && p->blocks.len == 0 && p->attachments.len == 0;
}

static enum err read_thread(const struct request *r, struct chan_post *post)
{
    const struct arg_value *ts = arg(r, "thread_ts");
    post->thread_ts_us = ts->given ? ts->n : 0;
    return ts->given && ts->n == 0 ? ERR_CANNOT_REPLY_TO_MESSAGE : ERR_OK;
}

static enum err prepare_post(struct request *r, struct post_work *w)
{
    struct post_json p = {0};
    TRY(read_channel(r, w));
    TRY(content_read(r, &p));
    TRY(content_metadata(r, &w->post.metadata));
    TRY(read_key(r, &p));
    TRY(read_thread(r, &w->post));
    if (is_empty(&p))
        return ERR_NO_TEXT;
    w->post.broadcast = w->post.thread_ts_us != 0 && arg(r, "reply_broadcast")->n != 0;
    const struct arg_value *mrkdwn = arg(r, "mrkdwn");
    p.plain = mrkdwn->given && mrkdwn->n == 0;
    content_sender(r, &p);
    return content_encode(r, &p, &w->post);
}

static enum err prepare_me(struct request *r, struct post_work *w)
{
    struct post_json p = {.team = r->who.team,
                          .uid = r->who.uid,
                          .subtype = SV("me_message"),
                          .text = arg(r, "text")->s};
    TRY(read_channel(r, w));
    TRY(read_key(r, &p));
    if (p.text.len == 0)
        return ERR_NO_TEXT;
    if (content_too_long(r, p.text))
        return ERR_MSG_TOO_LONG;
    return content_encode(r, &p, &w->post);
}

static void send_post(struct request *r, req_then *then)
{
    struct post_work *w = r->work;
    r->post = &w->post;
    req_send(r, req_chan(r, w->cid), CHAN_POST, w->cid, &w->post, then);
}

static void on_direct(struct request *r, const struct cell *c)
{
    struct post_work *w = r->work;
    if (c->err != ERR_OK) {
        answer_error(r, c->err == ERR_USER_NOT_FOUND ? ERR_CHANNEL_NOT_FOUND : (enum err)c->err);
        return;
    }
    w->cid = w->direct.cid;
    w->letter = channel_letter(w->direct.kind);
    send_post(r, w->then);
}

/* An id, a name, or a user: with that one the caller speaks directly. */
static enum err read_channel(const struct request *r, struct post_work *w)
{
    struct str_view name = arg(r, "channel")->s;
    uint64_t uid;
    w->letter = name.len > 0 && name.p[0] == ID_IM ? ID_IM : ID_CHANNEL;
    if (!id_parse(name, ID_USER, &uid))
        return content_channel(r, &w->cid);
    w->direct.uids[w->direct.len++] = r->who.uid;
    if (uid != r->who.uid)
        w->direct.uids[w->direct.len++] = uid;
    return ERR_OK;
}

typedef enum err prepare_fn(struct request *r, struct post_work *w);

static void post(struct request *r, prepare_fn *prepare, req_then *then)
{
    struct post_work *w = arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : prepare(r, w);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = w;
    if (w->direct.len > 0) {
        w->then = then;
        direct_open(r, &w->direct, on_direct);
        return;
    }
    send_post(r, then);
}

static void post_message(struct request *r)
{
    post(r, prepare_post, on_posted);
}

void chat_post_message(struct request *r)
{
    link_text(r, post_message);
}

void chat_me_message(struct request *r)
{
    post(r, prepare_me, on_posted);
}

/* ---- for one to see ---- */

static void on_shown(struct request *r, const struct cell *c)
{
    const struct post_work *w = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    json_kv_ts(&r->j, "message_ts", w->post.ts_us);
    answer_end(r);
}

static enum err prepare_ephemeral(struct request *r, struct post_work *w)
{
    struct post_json p = {0};
    TRY(read_channel(r, w));
    TRY(content_read(r, &p));
    TRY(content_metadata(r, &w->post.metadata));
    TRY(read_thread(r, &w->post));
    if (is_empty(&p))
        return ERR_NO_TEXT;
    content_sender(r, &p);
    w->post.ephemeral_to = arg(r, "user")->n;
    return content_encode(r, &p, &w->post);
}

static void post_ephemeral(struct request *r)
{
    post(r, prepare_ephemeral, on_shown);
}

void chat_post_ephemeral(struct request *r)
{
    link_text(r, post_ephemeral);
}

/* ---- editing, deleting ---- */

struct change_work {
    uint64_t cid;
    struct chan_change change;
    struct hist_reply_before before;
    unsigned tries;
};

static struct change_work *change_new(struct request *r, enum change_kind kind)
{
    struct change_work *w = arena_zalloc(&r->arena, sizeof *w);
    if (w == NULL)
        return NULL;
    w->cid = arg(r, "channel")->n;
    w->change = (struct chan_change){.kind = kind,
                                     .team = r->who.team,
                                     .uid = r->who.uid,
                                     .admin = req_is_admin(r),
                                     .guest = req_is_guest(r),
                                     .ts_us = arg(r, "ts")->n,
                                     .deadline_us = r->deadline_us,
                                     .arena = &r->arena};
    r->work = w;
    return w;
}

static void put_changed(struct request *r, const struct change_work *w)
{
    put_channel(r, w->cid);
    json_kv_ts(&r->j, "ts", w->change.ts_us);
}

static void on_updated(struct request *r, const struct cell *c)
{
    const struct change_work *w = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, 2 * w->change.message.len + content_answer_bytes);
    put_changed(r, w);
    json_key(&r->j, "text");
    if (w->change.text.p != NULL)
        json_raw(&r->j, w->change.text);
    else
        json_str(&r->j, SV(""));
    json_key(&r->j, "message");
    json_raw(&r->j, w->change.message);
    answer_end(r);
}

/* An array that was given and is empty takes away what was there. */
static struct str_view array_given(const struct request *r, const char *name)
{
    const struct arg_value *v = arg(r, name);
    if (v->given)
        return v->s;
    const struct json_value *raw = args_find(r, sv_from(name));
    bool empty =
        raw != NULL && (raw->type == JSON_ARRAY || raw->type == JSON_STRING) && raw->s.len > 0;
    return empty ? SV("") : SV_NONE;
}

static enum err prepare_update(struct request *r, struct change_work *w)
{
    struct post_json p = {0};
    struct buf text;
    TRY(content_read(r, &p));
    TRY(content_metadata(r, &w->change.metadata));
    if (arg(r, "file_ids")->given && arg(r, "file_ids")->s.len > 0)
        return ERR_UNABLE_TO_SHARE_FILES;
    w->change.broadcast = arg(r, "reply_broadcast")->n != 0;
    w->change.blocks = array_given(r, "blocks");
    w->change.attachments = array_given(r, "attachments");
    bool has_text = arg(r, "text")->given || arg(r, "markdown_text")->given;
    if (!has_text && w->change.blocks.p == NULL && w->change.attachments.p == NULL)
        return ERR_NO_TEXT;
    if (has_text && is_empty(&p) && w->change.blocks.p == NULL && w->change.attachments.p == NULL)
        return ERR_NO_TEXT;
    if (!has_text)
        return ERR_OK;
    buf_init(&text, &r->arena, p.text.len + 16);
    struct json_out j = json_out_on(&text);
    post_json_text(&j, &r->arena, p.text);
    w->change.text = buf_view(&text);
    return text.failed ? ERR_NOMEM : ERR_OK;
}

static void update(struct request *r)
{
    struct change_work *w = change_new(r, CHANGE_UPDATE);
    enum err err = w == NULL ? ERR_NOMEM : prepare_update(r, w);
    if (err == ERR_OK)
        req_send(r, req_chan(r, w->cid), CHAN_CHANGE, w->cid, &w->change, on_updated);
    refuse_or(r, err);
}

void chat_update(struct request *r)
{
    link_text(r, update);
}

static void on_deleted(struct request *r, const struct cell *c);

static void send_delete(struct request *r)
{
    struct change_work *w = r->work;
    req_send(r, req_chan(r, w->cid), CHAN_CHANGE, w->cid, &w->change, on_deleted);
}

static void on_before(struct request *r, const struct cell *c)
{
    struct change_work *w = r->work;
    if (answer_refused(r, c))
        return;
    w->change.before_known = true;
    w->change.before_ts_us = w->before.before_ts_us;
    send_delete(r);
}

/* The newest reply of a thread: chan must know which one is the newest then, and hist finds it. */
static void on_deleted(struct request *r, const struct cell *c)
{
    struct change_work *w = r->work;
    if (c->err == ERR_BEFORE_NEEDED && w->tries++ < before_tries_max) {
        w->before = (struct hist_reply_before){
            .cid = w->cid, .thread_ts_us = w->change.thread_ts_us, .ts_us = w->change.ts_us};
        req_send(r, req_hist(r), HIST_REPLY_BEFORE, w->cid, &w->before, on_before);
        return;
    }
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    put_changed(r, w);
    answer_end(r);
}

void chat_delete(struct request *r)
{
    if (change_new(r, CHANGE_DELETE) == NULL)
        answer_error(r, ERR_NOMEM);
    else
        send_delete(r);
}

/* ---- permalinks ---- */

void permalink_path(struct buf *out, enum id_kind letter, uint64_t cid, uint64_t ts_us,
                    uint64_t thread_ts_us)
{
    char id[id_text_max], ts[ts_text_len], thread[ts_text_len];
    size_t id_len = id_format(id, letter, cid);
    ts_format(ts, ts_us);
    buf_printf(out, "archives/%.*s/p%.10s%.6s", (int)id_len, id, ts, ts + 11);
    if (thread_ts_us == TS_NONE)
        return;
    ts_format(thread, thread_ts_us);
    buf_printf(out, "?thread_ts=%.*s&cid=%.*s", (int)ts_text_len, thread, (int)id_len, id);
}

static void on_message(struct request *r, const struct cell *c)
{
    const struct hist_message *m = r->work;
    struct buf url;
    if (answer_refused(r, c))
        return;
    buf_init(&url, &r->arena, 128);
    answer_url(r, &url, false);
    permalink_path(&url, arg(r, "channel")->s.p[0] == ID_IM ? ID_IM : ID_CHANNEL, m->cid, m->ts_us,
                   m->thread_ts_us);
    answer_begin(r);
    put_channel(r, m->cid);
    json_kv_str(&r->j, "permalink", buf_view(&url));
    r->body.failed |= url.failed;
    answer_end(r);
}

void chat_get_permalink(struct request *r)
{
    struct hist_message *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct hist_message){
        .viewer = req_viewer(r), .cid = arg(r, "channel")->n, .ts_us = arg(r, "message_ts")->n};
    buf_init(&m->out, &r->arena, 0);
    r->work = m;
    req_send(r, req_hist(r), HIST_MESSAGE, m->cid, m, on_message);
}
