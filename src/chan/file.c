/* file.c - what a channel hears of the files that its messages show, and what those messages show
 * of one that is gone. Source: Slack file_shared, file_deleted and the like; slack-api reference,
 * Files. */
#include "chan/channel_json.h"
#include "chan/internal.h"

enum { event_bytes = 256 };

static struct json_out begin(struct chan_shard *s, const struct chan *c, struct buf *b,
                             struct str_view type, uint64_t uid, struct str_view id)
{
    buf_init(b, &s->scratch, event_bytes);
    struct json_out j = json_out_on(b);
    json_obj(&j);
    json_kv_str(&j, "type", type);
    json_kv_str(&j, "file_id", id);
    json_kv_id(&j, "user_id", ID_USER, uid);
    json_key(&j, "file");
    json_obj(&j);
    json_kv_str(&j, "id", id);
    json_obj_end(&j);
    json_kv_id(&j, "channel_id", channel_letter(c->info.kind), c->cid);
    return j;
}

void file_tell_shared(struct chan_shard *s, struct chan *c, uint64_t uid, const struct file_id *id)
{
    struct buf b;
    struct json_out j = begin(s, c, &b, SV("file_shared"), uid, file_id_view(id));
    event_end(s, c, &j);
}

/* Nothing is stored; but it is not heard before what stands in front of it. */
enum err file_tell(struct chan_shard *s, struct chan *c, const struct chan_change *m)
{
    struct buf b;
    struct json_out j = begin(s, c, &b, m->text, m->uid, m->name);
    if (c->interest == 0)
        return ERR_OK;
    if (c->batch == NULL) {
        emit_channel(s, c, change_frame(s, c, &j), c->interest);
        return ERR_OK;
    }
    struct effect *e = arena_zalloc(&c->batch->hang, sizeof *e);
    if (e == NULL)
        return ERR_SERVICE_UNAVAILABLE;
    *e = (struct effect){.kind = EFFECT_CHANNEL_EVENT, .c = c, .to = c->interest};
    e->frame = change_frame(s, c, &j);
    commit_hang(s, c->batch, e);
    return ERR_OK;
}

/* ---- tombstones ---- */

/* Objects are made by media, which writes the id first. */
static bool is_of(struct str_view object, struct str_view id)
{
    struct str_view key = SV("{\"id\":\"");
    return sv_starts(object, key) && object.len > key.len + id.len &&
           memcmp(object.p + key.len, id.p, id.len) == 0 && object.p[key.len + id.len] == '"';
}

static struct str_view find_object(struct str_view files, struct str_view id)
{
    size_t at = 1; /* behind the bracket */
    while (at < files.len) {
        struct str_view rest = {files.p + at, files.len - at};
        size_t len = change_value_len(rest);
        if (is_of((struct str_view){rest.p, len}, id))
            return (struct str_view){rest.p, len};
        at += len + 1;
    }
    return SV_NONE;
}

enum err file_gone(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                   const struct row_message *row)
{
    static const char tombstone[] = "\",\"mode\":\"tombstone\"}";
    struct row_message now = *row;
    struct str_view object = find_object(change_files(row), m->name);
    struct buf b, event;
    if (object.p == NULL)
        return ERR_MESSAGE_NOT_FOUND;
    if (object.len == strlen("{\"id\":\"") + m->name.len + sizeof tombstone - 1)
        return ERR_OK; /* told again */
    size_t at = (size_t)(object.p - row->body.p), behind = at + object.len;
    buf_init(&b, &s->scratch, row->body.len + m->name.len + 64);
    buf_put(&b, row->body.p, at);
    buf_put_sv(&b, SV("{\"id\":\""));
    buf_put_sv(&b, m->name);
    buf_put(&b, tombstone, sizeof tombstone - 1);
    buf_put(&b, row->body.p + behind, row->body.len - behind);
    if (b.failed)
        return ERR_NOMEM;
    now.body = buf_view(&b);
    now.content_len = (uint32_t)(row->content_len + b.len - row->body.len);
    TRY(change_rewrite(s, c, &now));
    commit_head(s, c);
    change_tell(s, c, &now, row);
    struct json_out j = begin(s, c, &event, SV("file_deleted"), m->uid, m->name);
    event_end(s, c, &j);
    return ERR_OK;
}
