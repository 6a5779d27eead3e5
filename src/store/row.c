#include "store/row.h"

#include "base/id.h"
#include "store/row_code.h"

enum { message_version = 2, head_version = 2, info_version = 2, user_version = 2 };

/* ---- records ---- */

void row_message_encode(struct buf *b, const struct key *k, const struct row_message *m)
{
    struct writer w = begin_as(b, k, message_version);
    put_v(&w, m->ts_us);
    put_v(&w, m->seq);
    put_v(&w, m->uid);
    put_v(&w, m->flags);
    put_s(&w, m->client_msg_id);
    put_s(&w, m->body);
    put_v(&w, m->content_at);
    put_v(&w, m->content_len);
    if ((m->flags & MSG_REPLY) != 0)
        put_v(&w, m->thread_ts_us);
    if ((m->flags & MSG_EDITED) != 0) {
        put_v(&w, m->edited_us);
        put_v(&w, m->edited_by);
    }
    if ((m->flags & MSG_PINNED) != 0) {
        put_v(&w, m->pinned_us);
        put_v(&w, m->pinned_by);
    }
    if ((m->flags & MSG_THREAD) != 0)
        put_s(&w, m->thread);
    if ((m->flags & MSG_REACTIONS) != 0)
        put_s(&w, m->reactions);
    if ((m->flags & MSG_METADATA) != 0)
        put_s(&w, m->metadata);
    end(&w);
}

static void get_more(struct reader *r, struct row_message *m)
{
    m->content_at = (uint32_t)get_v(r);
    m->content_len = (uint32_t)get_v(r);
    r->ok &= m->content_at <= m->body.len && m->content_len <= m->body.len - m->content_at;
    if ((m->flags & MSG_REPLY) != 0)
        m->thread_ts_us = get_v(r);
    if ((m->flags & MSG_EDITED) != 0) {
        m->edited_us = get_v(r);
        m->edited_by = get_v(r);
    }
    if ((m->flags & MSG_PINNED) != 0) {
        m->pinned_us = get_v(r);
        m->pinned_by = get_v(r);
    }
    if ((m->flags & MSG_THREAD) != 0)
        m->thread = get_s(r);
    if ((m->flags & MSG_REACTIONS) != 0)
        m->reactions = get_s(r);
    if ((m->flags & MSG_METADATA) != 0)
        m->metadata = get_s(r);
}

enum err row_message_decode(struct row_message *m, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, message_version));
    *m = (struct row_message){0};
    m->ts_us = get_v(&r);
    m->seq = get_v(&r);
    m->uid = get_v(&r);
    m->flags = (uint16_t)get_v(&r);
    m->client_msg_id = get_s(&r);
    m->body = get_s(&r);
    if (value.p[0] == 1)
        m->flags = 0; /* none was given a meaning then */
    else
        get_more(&r, m);
    return close_record(&r);
}

void row_dedup_encode(struct buf *b, const struct key *k, const struct row_dedup *d)
{
    struct writer w = begin(b, k);
    put_v(&w, d->ts_us);
    put_v(&w, d->seq);
    put_s(&w, d->client_msg_id);
    end(&w);
}

enum err row_dedup_decode(struct row_dedup *d, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    d->ts_us = get_v(&r);
    d->seq = get_v(&r);
    d->client_msg_id = get_s(&r);
    return close_record(&r);
}

enum { INFO_ARCHIVED = 1, INFO_GENERAL = 2 };

void row_chan_info_encode(struct buf *b, const struct key *k, const struct row_chan_info *i)
{
    struct writer w = begin_as(b, k, info_version);
    put_v(&w, i->cid);
    put_v(&w, i->team);
    put_v(&w, i->creator);
    put_v(&w, i->created_s);
    put_v(&w, i->updated_s);
    put_v(&w, i->kind);
    put_v(&w, (i->archived ? INFO_ARCHIVED : 0u) | (i->general ? INFO_GENERAL : 0u));
    put_s(&w, i->name);
    put_s(&w, i->topic);
    put_s(&w, i->purpose);
    put_v(&w, i->topic_by);
    put_v(&w, i->topic_set_s);
    put_v(&w, i->purpose_by);
    put_v(&w, i->purpose_set_s);
    put_v(&w, i->peer);
    end(&w);
}

enum err row_chan_info_decode(struct row_chan_info *i, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, info_version));
    i->cid = get_v(&r);
    i->team = get_v(&r);
    i->creator = get_v(&r);
    i->created_s = get_v(&r);
    i->updated_s = get_v(&r);
    i->kind = get_channel_kind(&r);
    uint64_t flags = get_v(&r);
    i->archived = (flags & INFO_ARCHIVED) != 0;
    i->general = (flags & INFO_GENERAL) != 0;
    i->name = get_s(&r);
    i->topic = get_s(&r);
    i->purpose = get_s(&r);
    i->topic_by = get_v(&r);
    i->topic_set_s = get_v(&r);
    i->purpose_by = get_v(&r);
    i->purpose_set_s = get_v(&r);
    i->peer = value.p[0] == 1 ? ID_NONE : get_v(&r);
    return close_record(&r);
}

void row_chan_head_encode(struct buf *b, const struct key *k, const struct row_chan_head *h)
{
    struct writer w = begin_as(b, k, head_version);
    put_v(&w, h->seq);
    put_v(&w, h->last_ts_us);
    put_v(&w, h->members_len);
    put_v(&w, h->pins);
    end(&w);
}

enum err row_chan_head_decode(struct row_chan_head *h, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, head_version));
    h->seq = get_v(&r);
    h->last_ts_us = get_v(&r);
    h->members_len = (uint32_t)get_v(&r);
    h->pins = value.p[0] == 1 ? 0 : (uint32_t)get_v(&r);
    return close_record(&r);
}

void row_member_encode(struct buf *b, const struct key *k, const struct row_member *m)
{
    struct writer w = begin(b, k);
    put_v(&w, m->joined_us);
    put_v(&w, m->inviter);
    put_v(&w, m->kind);
    if (m->closed_ts_us != 0)
        put_v(&w, m->closed_ts_us);
    end(&w);
}

enum err row_member_decode(struct row_member *m, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    m->joined_us = get_v(&r);
    m->inviter = get_v(&r);
    m->kind = get_channel_kind(&r);
    m->closed_ts_us = r.p < r.end ? get_v(&r) : 0;
    return close_record(&r);
}

void row_reacted_encode(struct buf *b, const struct key *k, const struct row_reacted *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->kind);
    end(&w);
}

enum err row_reacted_decode(struct row_reacted *r, struct str_view key, struct str_view value)
{
    struct reader in;
    TRY(open_record(&in, key, value));
    r->kind = get_channel_kind(&in);
    return close_record(&in);
}

/* A whole one has no key: it is the number 1 that the first stores of schema 3 have there. */
void row_relist_encode(struct buf *b, const struct key *k, const struct row_relist *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->whole);
    if (!r->whole)
        put_s(&w, r->at);
    end(&w);
}

enum err row_relist_decode(struct row_relist *r, struct str_view key, struct str_view value)
{
    struct reader in;
    TRY(open_record(&in, key, value));
    r->whole = get_enum(&in, 1) != 0;
    r->at = r->whole ? SV_NONE : get_s(&in);
    in.ok &= r->at.len <= key_max;
    return close_record(&in);
}

void row_follow_encode(struct buf *b, const struct key *k, const struct row_follow *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->active);
    put_v(&w, r->since_us);
    put_v(&w, r->read_us);
    end(&w);
}

enum err row_follow_decode(struct row_follow *r, struct str_view key, struct str_view value)
{
    struct reader in;
    TRY(open_record(&in, key, value));
    r->active = get_v(&in) != 0;
    r->since_us = get_v(&in);
    r->read_us = get_v(&in);
    return close_record(&in);
}

void row_cursor_encode(struct buf *b, const struct key *k, const struct row_cursor *c)
{
    struct writer w = begin(b, k);
    put_v(&w, c->delivered_seq);
    put_v(&w, c->delivered_ts_us);
    put_v(&w, c->read_seq);
    put_v(&w, c->read_ts_us);
    end(&w);
}

enum err row_cursor_decode(struct row_cursor *c, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    c->delivered_seq = get_v(&r);
    c->delivered_ts_us = get_v(&r);
    c->read_seq = get_v(&r);
    c->read_ts_us = get_v(&r);
    return close_record(&r);
}

void row_team_encode(struct buf *b, const struct key *k, const struct row_team *t)
{
    struct writer w = begin(b, k);
    put_v(&w, t->team);
    put_v(&w, t->created_s);
    put_v(&w, t->general_cid);
    put_s(&w, t->domain);
    put_s(&w, t->name);
    end(&w);
}

enum err row_team_decode(struct row_team *t, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    t->team = get_v(&r);
    t->created_s = get_v(&r);
    t->general_cid = get_v(&r);
    t->domain = get_s(&r);
    t->name = get_s(&r);
    return close_record(&r);
}

void row_user_encode(struct buf *b, const struct key *k, const struct row_user *u)
{
    struct writer w = begin_as(b, k, user_version);
    put_v(&w, u->uid);
    put_v(&w, u->team);
    put_v(&w, u->bot_id);
    put_v(&w, u->app_id);
    put_v(&w, u->created_s);
    put_v(&w, u->updated_s);
    put_v(&w, u->flags);
    put_s(&w, u->name);
    put_s(&w, u->real_name);
    put_s(&w, u->display_name);
    put_s(&w, u->email);
    put_s(&w, u->title);
    put_s(&w, u->tz);
    put_s(&w, u->phone);
    put_s(&w, u->status_text);
    put_s(&w, u->status_emoji);
    put_v(&w, u->status_expiration_s);
    end(&w);
}

enum err row_user_decode(struct row_user *u, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, user_version));
    *u = (struct row_user){0};
    u->uid = get_v(&r);
    u->team = get_v(&r);
    u->bot_id = get_v(&r);
    u->app_id = get_v(&r);
    u->created_s = get_v(&r);
    u->updated_s = get_v(&r);
    u->flags = (uint32_t)get_v(&r);
    u->name = get_s(&r);
    u->real_name = get_s(&r);
    u->display_name = get_s(&r);
    u->email = get_s(&r);
    u->title = get_s(&r);
    u->tz = get_s(&r);
    if (value.p[0] == user_version) {
        u->phone = get_s(&r);
        u->status_text = get_s(&r);
        u->status_emoji = get_s(&r);
        u->status_expiration_s = get_v(&r);
    }
    return close_record(&r);
}

void row_token_encode(struct buf *b, const struct key *k, const struct row_token *t)
{
    struct writer w = begin(b, k);
    put_v(&w, t->team);
    put_v(&w, t->uid);
    put_v(&w, t->created_s);
    put_v(&w, t->revoked_s);
    put_v(&w, t->kind);
    put_v(&w, t->scopes);
    end(&w);
}

enum err row_token_decode(struct row_token *t, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    t->team = get_v(&r);
    t->uid = get_v(&r);
    t->created_s = get_v(&r);
    t->revoked_s = get_v(&r);
    t->kind = (enum token_kind)get_enum(&r, TOKEN_APP);
    t->scopes = get_v(&r);
    return close_record(&r);
}

void row_channel_name_encode(struct buf *b, const struct key *k, const struct row_channel_name *n)
{
    struct writer w = begin(b, k);
    put_v(&w, n->cid);
    put_v(&w, n->kind);
    put_v(&w, n->archived);
    end(&w);
}

enum err row_channel_name_decode(struct row_channel_name *n, struct str_view key,
                                 struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    n->cid = get_v(&r);
    n->kind = get_channel_kind(&r);
    n->archived = get_v(&r) != 0;
    return close_record(&r);
}

void row_scheduled_encode(struct buf *b, const struct key *k, const struct row_scheduled *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->id);
    put_v(&w, r->team);
    put_v(&w, r->uid);
    put_v(&w, r->cid);
    put_v(&w, r->post_s);
    put_v(&w, r->created_s);
    put_v(&w, r->thread_ts_us);
    put_v(&w, (uint64_t)r->kind << 1 | r->broadcast);
    put_v(&w, r->content_at);
    put_s(&w, r->members);
    put_s(&w, r->metadata);
    put_s(&w, r->text);
    end(&w);
}

enum err row_scheduled_decode(struct row_scheduled *r, struct str_view key, struct str_view value)
{
    struct reader in;
    TRY(open_record(&in, key, value));
    r->id = get_v(&in);
    r->team = get_v(&in);
    r->uid = get_v(&in);
    r->cid = get_v(&in);
    r->post_s = get_v(&in);
    r->created_s = get_v(&in);
    r->thread_ts_us = get_v(&in);
    uint64_t how = get_v(&in), content_at = get_v(&in);
    r->members = get_s(&in);
    r->metadata = get_s(&in);
    r->text = get_s(&in);
    r->broadcast = (how & 1) != 0;
    r->kind = (enum channel_kind)(how >> 1);
    r->content_at = (uint32_t)content_at;
    if (how >> 1 > CHANNEL_MPIM || content_at > r->members.len)
        return ERR_CORRUPT;
    return close_record(&in);
}

void row_document_encode(struct buf *b, const struct key *k, const struct row_document *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->revision);
    put_s(&w, r->text);
    end(&w);
}

enum err row_document_decode(struct row_document *r, struct str_view key, struct str_view value)
{
    struct reader in;
    TRY(open_record(&in, key, value));
    r->revision = get_v(&in);
    r->text = get_s(&in);
    return close_record(&in);
}

void row_password_encode(struct buf *b, const struct key *k, struct str_view hash)
{
    struct writer w = begin(b, k);
    put_s(&w, hash);
    end(&w);
}

enum err row_password_decode(struct str_view *hash, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    *hash = get_s(&r);
    return close_record(&r);
}

void row_u64_encode(struct buf *b, const struct key *k, uint64_t v)
{
    struct writer w = begin(b, k);
    put_v(&w, v);
    end(&w);
}

enum err row_u64_decode(uint64_t *v, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    *v = get_v(&r);
    return close_record(&r);
}
