#include "api/share.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "api/content.h"
#include "hist/hist_msg.h"
#include "media/blob.h"

enum share_step {
    STEP_LOOK,    /* each channel: is the caller there, and what kind is it */
    STEP_BEFORE,  /* each file: whoever is in the channel may have it */
    STEP_POST,    /* the channel's message */
    STEP_AFTER,   /* each file: by that message */
    STEP_UNDO,    /* each file: the message was refused */
    STEP_CREATED, /* each file: its owner hears of it */
    STEP_PUBLIC,  /* each file: whoever may see public channels hears of it */
    STEP_SHOW,    /* each file, for the answer */
    STEP_DONE
};

enum { event_max = 256, object_bytes = 2048 };

static void go_on(struct request *r);

/* ---- channels ---- */

enum err share_add_channel(struct share *s, uint64_t cid)
{
    for (uint32_t i = 0; i < s->channels_len; i++) {
        if (s->channels[i].cid == cid)
            return ERR_OK;
    }
    if (s->channels_len == share_channels_max)
        return ERR_CHANNELS_LIMIT_EXCEEDED;
    s->channels[s->channels_len++].cid = cid;
    return ERR_OK;
}

enum err share_add_channels(struct request *r, struct share *s, struct str_view list)
{
    while (list.len > 0) {
        struct str_view name = sv_trim(sv_cut(&list, ','));
        enum channel_kind kind;
        uint64_t cid;
        if (name.len > 0 && name.p[0] == '#')
            name = (struct str_view){name.p + 1, name.len - 1};
        if (name.len == 0)
            return ERR_INVALID_CHANNEL;
        if (!id_parse_channel(name, &cid) &&
            !dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, &cid, &kind))
            return ERR_CHANNEL_NOT_FOUND;
        TRY(share_add_channel(s, cid));
    }
    return ERR_OK;
}

/* ---- words ---- */

struct str_view file_base_url(struct request *r)
{
    struct buf b;
    buf_init(&b, &r->arena, 128);
    answer_url(r, &b, false);
    return b.failed ? SV_NONE : (struct str_view){b.p, b.len - 1}; /* paths begin with a slash */
}

enum err file_event(struct request *r, struct dir_tell *m, const char *type,
                    const struct file_id *id, uint64_t uid)
{
    struct buf b;
    buf_init(&b, &r->arena, event_max);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_kv_str(&j, "file_id", file_id_view(id));
    json_kv_id(&j, "user_id", ID_USER, r->who.uid);
    json_key(&j, "file");
    json_obj(&j);
    json_kv_str(&j, "id", file_id_view(id));
    json_obj_end(&j);
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    *m = (struct dir_tell){
        .uid = uid, .team = r->who.team, .no_guests = uid == ID_NONE, .event = buf_view(&b)};
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static void put_object(struct share *s, struct str_view object)
{
    if (s->json.len > 0)
        buf_putc(&s->json, ',');
    buf_put_sv(&s->json, object);
}

/* ---- the message's key ---- */

static void hash_text(SHA256_CTX *ctx, struct str_view text)
{
    uint64_t len = text.len;
    SHA256_Update(ctx, &len, sizeof len);
    SHA256_Update(ctx, text.p, text.len);
}

/* Of what the message says and where. Not of titles: they change the files. It is ours, not the
 * client's: the message does not show it. */
static void make_key(struct share *s)
{
    char hex[sha256_hex_len + 1];
    uint8_t hash[sha256_bytes];
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    for (uint32_t i = 0; i < s->files_len; i++)
        hash_text(&ctx, file_id_view(&s->ids[i]));
    SHA256_Update(&ctx, &s->thread_ts_us, sizeof s->thread_ts_us);
    hash_text(&ctx, s->text);
    hash_text(&ctx, s->blocks);
    SHA256_Final(hash, &ctx);
    sha256_hex(hex, hash);
    snprintf(s->key, sizeof s->key, "files:%s", hex);
}

/* ---- asking ---- */

static void on_looked(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    if (answer_refused(r, c))
        return;
    if (!s->info.member) {
        answer_error(r,
                     s->info.kind == CHANNEL_PUBLIC ? ERR_NOT_IN_CHANNEL : ERR_CHANNEL_NOT_FOUND);
        return;
    }
    s->channels[s->channel++].kind = s->info.kind;
    go_on(r);
}

static void look(struct request *r, struct share *s)
{
    uint64_t cid = s->channels[s->channel].cid;
    s->info = (struct hist_info){.viewer = req_viewer(r), .cid = cid};
    buf_init(&s->info.out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_INFO, cid, &s->info, on_looked);
}

/* Those that media knows already are taken back, then the request is refused. */
static void fail(struct request *r, enum err err)
{
    struct share *s = r->work;
    s->err = err;
    s->step = STEP_UNDO;
    go_on(r);
}

/* If it fails, the file's deletion may be asked for again: media knows of the message. */
static void on_erased(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    (void)c;
    s->file++;
    go_on(r);
}

/* The file was deleted while the message was on its way, and whoever deleted it could not know that
 * the message would show it. */
static void erase(struct request *r, struct share *s)
{
    uint64_t cid = s->channels[s->channel].cid;
    s->erase = (struct chan_change){.kind = CHANGE_FILE_GONE,
                                    .team = r->who.team,
                                    .uid = r->who.uid,
                                    .ts_us = s->post.ts_us,
                                    .name = file_id_view(&s->ids[s->file]),
                                    .text = SV("file_deleted"),
                                    .arena = &r->arena};
    req_send(r, req_chan(r, cid), CHAN_CHANGE, cid, &s->erase, on_erased);
}

static void on_shared(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    enum err err = s->share.json.failed ? ERR_NOMEM : (enum err)c->err;
    if (s->step == STEP_UNDO) {
        go_on(r); /* what could not be undone is seen by nobody: it has no message */
        return;
    }
    if (s->step == STEP_AFTER) { /* it is posted, and media finds it by its key */
        s->err = s->err == ERR_OK ? err : s->err;
        if (err == ERR_FILE_DELETED) {
            erase(r, s);
            return;
        }
        s->file++;
        go_on(r);
        return;
    }
    if (err != ERR_OK) {
        fail(r, err);
        return;
    }
    put_object(s, buf_view(&s->share.json));
    s->file++;
    go_on(r);
}

static void share_one(struct request *r, struct share *s, uint32_t file, uint64_t ts_us)
{
    bool some = s->channels_len > 0;
    s->share = (struct media_share){.team = r->who.team,
                                    .uid = r->who.uid,
                                    .id = s->ids[file],
                                    .cid = some ? s->channels[s->channel].cid : ID_NONE,
                                    .kind = some ? s->channels[s->channel].kind : CHANNEL_PUBLIC,
                                    .key = sv_from(s->key),
                                    .ts_us = ts_us,
                                    .undo = s->step == STEP_UNDO,
                                    .base_url = r->base_url};
    if (s->step == STEP_BEFORE && s->channel == 0)
        s->share.title = s->titles[file];
    buf_init(&s->share.json, &r->arena, object_bytes);
    req_send(r, r->a->conf.media, MEDIA_SHARE, ID_NONE, &s->share, on_shared);
}

/* ---- the message ---- */

static void on_posted(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    if (c->err != ERR_OK) {
        fail(r, (enum err)c->err);
        return;
    }
    s->news |= (c->flags & CHAN_F_DUPLICATE) == 0;
    s->step = STEP_AFTER;
    s->file = 0;
    go_on(r);
}

static enum err make_post(struct request *r, struct share *s)
{
    struct post_json p = {.text = s->text, .blocks = s->blocks, .upload = true};
    struct buf files, members;
    buf_init(&files, &r->arena, s->json.len + 2);
    buf_putc(&files, '[');
    buf_put_sv(&files, buf_view(&s->json));
    buf_putc(&files, ']');
    p.files = buf_view(&files);
    content_self(r, &p);
    buf_init(&members, &r->arena, 512 + p.text.len + p.blocks.len + p.files.len);
    uint32_t content_at = post_json_members(&members, &p);
    s->post = (struct chan_post){.team = r->who.team,
                                 .uid = r->who.uid,
                                 .client_msg_id = sv_from(s->key),
                                 .members = buf_view(&members),
                                 .content_at = content_at,
                                 .thread_ts_us = s->thread_ts_us,
                                 .files = s->ids,
                                 .files_len = s->files_len,
                                 .deadline_us = r->deadline_us};
    if (s->json.failed || files.failed || members.failed)
        return ERR_NOMEM;
    key128_of(s->post.key128, s->post.client_msg_id);
    return ERR_OK;
}

static void post(struct request *r, struct share *s)
{
    uint64_t cid = s->channels[s->channel].cid;
    enum err err = make_post(r, s);
    if (err != ERR_OK)
        fail(r, err);
    else
        req_send(r, req_chan(r, cid), CHAN_POST, cid, &s->post, on_posted);
}

/* ---- telling, showing ---- */

/* An event that is lost is lost: the files are there. */
static void on_told(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    (void)c;
    s->file++;
    go_on(r);
}

static void tell(struct request *r, struct share *s, const char *type, uint64_t uid)
{
    if (file_event(r, &s->tell, type, &s->ids[s->file], uid) != ERR_OK)
        answer_error(r, ERR_NOMEM);
    else
        req_send(r, r->a->conf.dir, DIR_TELL, ID_NONE, &s->tell, on_told);
}

static void on_known(struct request *r, const struct cell *c)
{
    struct share *s = r->work;
    if (answer_refused(r, c))
        return;
    if (s->known.json.failed) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    put_object(s, buf_view(&s->known.json));
    s->file++;
    go_on(r);
}

static void show(struct request *r, struct share *s)
{
    s->known = (struct media_info){
        .viewer = req_viewer(r), .id = s->ids[s->file], .base_url = r->base_url};
    buf_init(&s->known.json, &r->arena, object_bytes);
    req_send(r, r->a->conf.media, MEDIA_INFO, ID_NONE, &s->known, on_known);
}

/* ---- step by step ---- */

static bool any_public(const struct share *s)
{
    for (uint32_t i = 0; i < s->channels_len; i++) {
        if (s->channels[i].kind == CHANNEL_PUBLIC)
            return true;
    }
    return false;
}

static void begin_channel(struct request *r, struct share *s, uint32_t channel)
{
    s->channel = channel;
    s->file = 0;
    s->step = STEP_BEFORE;
    buf_init(&s->json, &r->arena, object_bytes);
}

static void begin_end(struct request *r, struct share *s)
{
    s->file = 0;
    s->step = s->uploaded && (s->news || s->channels_len == 0) ? STEP_CREATED : STEP_PUBLIC;
    buf_init(&s->json, &r->arena, object_bytes);
}

/* The step is over: which one is next? */
static void next_step(struct request *r, struct share *s)
{
    switch ((enum share_step)s->step) {
    case STEP_LOOK:
        r->goes_on = true;
        begin_channel(r, s, 0);
        break;
    case STEP_BEFORE:
        if (s->channels_len == 0)
            begin_end(r, s);
        else
            s->step = STEP_POST;
        break;
    case STEP_AFTER:
        if (s->channel + 1 < s->channels_len)
            begin_channel(r, s, s->channel + 1);
        else
            begin_end(r, s);
        break;
    case STEP_CREATED:
        s->file = 0;
        s->step = STEP_PUBLIC;
        break;
    case STEP_PUBLIC:
        s->file = 0;
        s->step = STEP_SHOW;
        break;
    case STEP_SHOW:
        s->step = STEP_DONE;
        break;
    case STEP_POST:
    case STEP_UNDO:
    case STEP_DONE:
        ASSERT(false); /* they end by themselves */
    }
}

static bool is_over(const struct share *s)
{
    switch ((enum share_step)s->step) {
    case STEP_LOOK:
        return s->channel == s->channels_len;
    case STEP_PUBLIC:
        return !s->news || !any_public(s) || s->file == s->files_len;
    case STEP_BEFORE:
    case STEP_AFTER:
    case STEP_CREATED:
    case STEP_SHOW:
        return s->file == s->files_len;
    case STEP_POST:
    case STEP_UNDO:
    case STEP_DONE:
        break;
    }
    return false;
}

/* Of the present channel; without one there is nothing to undo. */
static void undo(struct request *r, struct share *s)
{
    if (s->file == 0 || s->channels_len == 0)
        answer_error(r, s->err);
    else
        share_one(r, s, --s->file, TS_NONE);
}

static void go_on(struct request *r)
{
    struct share *s = r->work;
    while (is_over(s))
        next_step(r, s);
    switch ((enum share_step)s->step) {
    case STEP_LOOK:
        look(r, s);
        return;
    case STEP_BEFORE:
        share_one(r, s, s->file, TS_NONE);
        return;
    case STEP_POST:
        post(r, s);
        return;
    case STEP_AFTER:
        share_one(r, s, s->file, s->post.ts_us);
        return;
    case STEP_UNDO:
        undo(r, s);
        return;
    case STEP_CREATED:
        tell(r, s, "file_created", r->who.uid);
        return;
    case STEP_PUBLIC:
        tell(r, s, "file_public", ID_NONE);
        return;
    case STEP_SHOW:
        show(r, s);
        return;
    case STEP_DONE:
        break;
    }
    if (s->err != ERR_OK || s->json.failed)
        answer_error(r, s->err != ERR_OK ? s->err : ERR_NOMEM);
    else
        s->then(r, buf_view(&s->json));
}

void share_begin(struct request *r, struct share *s)
{
    r->work = s;
    s->step = STEP_LOOK;
    make_key(s);
    r->base_url = file_base_url(r);
    if (r->base_url.p == NULL)
        answer_error(r, ERR_NOMEM);
    else
        go_on(r);
}
