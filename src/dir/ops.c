/* ops.c - what each request to the directory means: decide (rows), then publish (tables, events).
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/id.h"
#include "base/mutant.h"
#include "dir/internal.h"
#include "dir/name.h"
#include "dir/presence.h"
#include "fanout/fanout_msg.h"

enum { id_epoch_s = 1577836800, id_random_bits = 20 }; /* 2020-01-01 */

/* Rising, so that lists of ids only ever grow at the end; the low bits keep two servers apart. */
uint64_t dir_next_id(struct dir *d)
{
    uint64_t now_s = MAX(d->turn->wall_us / 1000000, (uint64_t)id_epoch_s) - id_epoch_s;
    uint64_t random = rand_u64(d->turn->rand) & ((1u << id_random_bits) - 1);
    d->last_id = MAX(now_s << id_random_bits | random, d->last_id + 1 + (random & 7));
    return d->last_id;
}

uint64_t dir_now_s(const struct dir *d)
{
    return d->turn->wall_us / 1000000;
}

/* ---- names that a group takes ---- */

static uint64_t claim_of(char kind, uint64_t owner, struct str_view name)
{
    return XXH3_64bits_withSeed(name.p, name.len, mix64(owner) + (uint64_t)kind);
}

/* At most three a request. */
static uint32_t claims_of(const struct dir_op *op, uint64_t out[3])
{
    const struct cell *c = &op->request;
    switch ((enum dir_msg)c->type) {
    case DIR_TEAM_ADD: {
        const struct dir_team_add *m = c->u.p;
        out[0] = claim_of('d', 0, m->domain);
        return 1;
    }
    case DIR_USER_ADD: {
        const struct dir_user_add *m = c->u.p;
        out[0] = claim_of('l', m->team, m->name);
        out[1] = claim_of('l', m->team, m->email);
        return m->email.len > 0 ? 2 : 1;
    }
    case DIR_CHANNEL_CREATE: {
        const struct dir_channel_create *m = c->u.p;
        out[0] = claim_of('c', m->team, m->name);
        return 1;
    }
    case DIR_RENAME: {
        const struct dir_rename *m = c->u.p;
        out[0] = claim_of('c', m->change.team, m->change.text);
        return 1;
    }
    case DIR_PRESENCE: {
        const struct dir_presence_set *m = c->u.p;
        out[0] = claim_of('a', m->uid, SV_NONE);
        return 1;
    }
    case DIR_TELL:
        return 0;
    case DIR_USER_DISABLE: {
        const struct dir_user_disable *m = c->u.p;
        out[0] = claim_of('u', m->uid, SV_NONE);
        return 1;
    }
    case DIR_TOKEN_ISSUE: {
        const struct dir_token_issue *m = c->u.p;
        out[0] = claim_of('u', m->uid, SV_NONE);
        return 1;
    }
    case DIR_TOKEN_REVOKE: {
        const struct dir_token_revoke *m = c->u.p;
        out[0] = claim_of('t', 0, m->token);
        return 1;
    }
    case DIR_DIRECT_OPEN:
        out[0] = direct_claim(c->u.p);
        return MUTANT(DIRECT_TWICE, 1, 0);
    case DIR_USER_CHANGE: {
        const struct dir_user_change *m = c->u.p;
        out[0] = claim_of('u', m->uid, SV_NONE);
        out[1] = claim_of('l', m->team, m->email);
        return m->email.len > 0 ? 2 : 1;
    }
    case DIR_PASSWORD_SET: {
        const struct dir_password_set *m = c->u.p;
        out[0] = claim_of('u', m->uid, SV_NONE);
        return 1;
    }
    case DIR_DOCUMENT: {
        const struct dir_document *m = c->u.p;
        out[0] = mix64(m->owner) + mix64(m->kind);
        return 1;
    }
    case DIR_SCHEDULE:
    case DIR_UNSCHEDULE:
    case DIR_POSTED:
        out[0] = schedule_claim(op);
        return 1;
    case DIR_REVOKE:
    case DIR_REVOKED:
        break;
    }
    ASSERT(false);
    return 0;
}

bool dir_op_collides(struct dir *d, const struct dir_op *op)
{
    uint64_t claims[3];
    uint32_t n = claims_of(op, claims);
    for (uint32_t i = 0; i < n; i++) {
        if (rename_holds(d, op, claims[i]))
            return true;
        for (uint32_t k = 0; k < d->claims_len; k++) {
            if (MUTANT(NAME_TAKEN_TWICE, d->claims[k] == claims[i], false))
                return true;
        }
    }
    ASSERT(d->claims_len + n <= claims_max);
    for (uint32_t i = 0; i < n; i++)
        d->claims[d->claims_len++] = claims[i];
    return false;
}

/* ---- rows ---- */

static void put_token_row(struct dir *d, const uint8_t hash[32], const struct row_token *row)
{
    struct key k;
    key_token(&k, hash);
    row_token_encode(batch_put_begin(&d->batch, CF_DIR, &k), &k, row);
    batch_put_end(&d->batch);
}

void dir_put_u64(struct dir *d, const struct key *k, uint64_t v)
{
    row_u64_encode(batch_put_begin(&d->batch, CF_DIR, k), k, v);
    batch_put_end(&d->batch);
}

static void put_team_row(struct dir *d, const struct row_team *row)
{
    struct key k;
    key_team(&k, row->team);
    row_team_encode(batch_put_begin(&d->batch, CF_DIR, &k), &k, row);
    batch_put_end(&d->batch);
}

/* ---- workspaces ---- */

static enum err decide_team_add(struct dir *d, struct dir_team_add *m)
{
    struct key k;
    TRY(name_check_domain(m->domain));
    if (tables_domain(&d->tables, m->domain) != NULL)
        return ERR_EXISTS;
    m->team = dir_next_id(d);
    put_team_row(
        d, &(struct row_team){
               .team = m->team, .created_s = dir_now_s(d), .domain = m->domain, .name = m->name});
    key_domain(&k, m->domain);
    dir_put_u64(d, &k, m->team);
    return ERR_OK;
}

static enum err publish_team_add(struct dir *d, const struct dir_team_add *m)
{
    return tables_put_team(&d->tables, &(struct row_team){.team = m->team,
                                                          .created_s = dir_now_s(d),
                                                          .domain = m->domain,
                                                          .name = m->name});
}

/* ---- tokens ---- */

static enum err decide_token_issue(struct dir *d, struct dir_token_issue *m, struct dir_op *op)
{
    const struct user_entry *e = tables_user(&d->tables, m->uid);
    uint64_t tag;
    if (e == NULL || e->row.team != m->team || (e->row.flags & USER_DELETED) != 0)
        return ERR_USER_NOT_FOUND;
    if (d->tables.tokens_len + d->group_len >= d->tables.tokens_max)
        return ERR_FULL;
    do {
        token_make(m->token, m->kind, m->team, m->uid, dir_now_s(d), d->turn->rand);
        token_hash(&d->tables.hasher, sv_from(m->token), op->hash);
        memcpy(&tag, op->hash, sizeof tag);
    } while (tag == 0 || tables_token(&d->tables, tag) != NULL); /* a tag names one token */
    op->token = (struct row_token){.team = m->team,
                                   .uid = m->uid,
                                   .created_s = dir_now_s(d),
                                   .kind = m->kind,
                                   .scopes = m->scopes};
    put_token_row(d, op->hash, &op->token);
    return ERR_OK;
}

static enum err decide_token_revoke(struct dir *d, const struct dir_token_revoke *m,
                                    struct dir_op *op)
{
    uint64_t tag;
    if (m->token.len == 0 || m->token.len >= token_text_max)
        return ERR_INVALID_AUTH;
    token_hash(&d->tables.hasher, m->token, op->hash);
    memcpy(&tag, op->hash, sizeof tag);
    const struct token_entry *e = tables_token(&d->tables, tag);
    if (e == NULL || memcmp(e->hash, op->hash, sizeof e->hash) != 0)
        return ERR_INVALID_AUTH;
    if (m->team != ID_NONE && m->team != e->principal.team)
        return ERR_INVALID_AUTH;
    op->token = (struct row_token){.team = e->principal.team,
                                   .uid = e->principal.uid,
                                   .created_s = e->created_s,
                                   .revoked_s = dir_now_s(d),
                                   .kind = e->principal.kind,
                                   .scopes = e->principal.scopes};
    put_token_row(d, op->hash, &op->token); /* again too: the first time is of no interest */
    return ERR_OK;
}

static enum err publish_token_revoke(struct dir *d, struct dir_op *op)
{
    memcpy(&op->revoke_tag, op->hash, sizeof op->revoke_tag);
    struct token_entry *e = tables_token(&d->tables, op->revoke_tag);
    __atomic_store_n(&e->state, MUTANT(REVOKED_TOKEN_SERVED, TOKEN_REVOKED, TOKEN_VALID),
                     __ATOMIC_RELEASE); /* pairs with judge */
    op->revokes = true;
    return ERR_OK;
}

/* ---- channels ---- */

static void put_channel_rows(struct dir *d, const struct row_chan_info *info, struct dir_op *op)
{
    struct batch *b = &d->batch;
    struct key k;
    key_channel_name(&k, info->team, info->name);
    row_channel_name_encode(batch_put_begin(b, CF_DIR, &k), &k,
                            &(struct row_channel_name){.cid = info->cid, .kind = info->kind});
    batch_put_end(b);
    key_chan_info(&k, info->cid);
    row_chan_info_encode(batch_put_begin(b, CF_CHAN, &k), &k, info);
    batch_put_end(b);
    key_chan_head(&k, info->cid);
    row_chan_head_encode(batch_put_begin(b, CF_CHAN, &k), &k,
                         &(struct row_chan_head){.members_len = 1});
    batch_put_end(b);
    op->member = (struct row_member){.joined_us = d->turn->wall_us, .kind = info->kind};
    key_chan_member(&k, info->cid, info->creator);
    row_member_encode(batch_put_begin(b, CF_CHAN, &k), &k, &op->member);
    batch_put_end(b);
    key_chan_cursor(&k, info->cid, info->creator);
    row_cursor_encode(batch_put_begin(b, CF_CHAN, &k), &k, &(struct row_cursor){0});
    batch_put_end(b);
    key_membership(&k, info->creator, info->cid);
    row_member_encode(batch_put_begin(b, CF_USER, &k), &k, &op->member);
    batch_put_end(b);
}

static enum err decide_channel_create(struct dir *d, struct dir_channel_create *m,
                                      struct dir_op *op)
{
    const struct user_entry *creator = tables_user(&d->tables, m->creator);
    const struct team_entry *team = tables_team(&d->tables, m->team);
    TRY(name_check_channel(m->name));
    if (creator == NULL || team == NULL || creator->row.team != m->team)
        return ERR_USER_NOT_FOUND;
    if (tables_name(&d->tables, TABLE_CHANNELS, m->team, m->name) != NULL)
        return ERR_NAME_TAKEN;
    struct str_view name = arena_dup(m->arena, m->name);
    if (name.p == NULL)
        return ERR_NOMEM;
    m->info = (struct row_chan_info){.cid = dir_next_id(d),
                                     .team = m->team,
                                     .creator = m->creator,
                                     .created_s = dir_now_s(d),
                                     .updated_s = dir_now_s(d),
                                     .kind = m->is_private ? CHANNEL_PRIVATE : CHANNEL_PUBLIC,
                                     .general = m->is_general,
                                     .name = name};
    put_channel_rows(d, &m->info, op);
    if (m->is_general) {
        struct row_team row = team->row;
        row.general_cid = m->info.cid;
        put_team_row(d, &row);
    }
    return ERR_OK;
}

static enum err publish_channel_create(struct dir *d, const struct dir_channel_create *m)
{
    TRY(tables_put_name(&d->tables, TABLE_CHANNELS, m->team, m->info.name, m->info.cid,
                        m->info.kind));
    if (m->is_general) {
        struct row_team row = tables_team(&d->tables, m->team)->row;
        row.general_cid = m->info.cid;
        TRY(tables_put_team(&d->tables, &row));
    }
    return ERR_OK;
}

/* ---- presence ---- */

static enum err decide_presence(struct dir *d, const struct dir_presence_set *m)
{
    const struct user_entry *e = tables_user(&d->tables, m->uid);
    return e == NULL || e->row.team != m->team ? ERR_USER_NOT_FOUND : ERR_OK;
}

static void publish_presence(struct dir *d, const struct dir_presence_set *m)
{
    char text[96];
    struct buf b;
    __atomic_store_n(&tables_user(&d->tables, m->uid)->presence->away, m->away, __ATOMIC_RELAXED);
    buf_init_fixed(&b, text, sizeof text);
    buf_printf(&b, "{\"type\":\"manual_presence_change\",\"presence\":\"%s\"}",
               m->away ? "away" : "active");
    dir_emit(d, m->uid, m->team, FAN_TYPING, buf_view(&b));
}

/* ---- events of others ---- */

static void publish_told(struct dir *d, const struct dir_tell *m)
{
    ASSERT(m->event.len <= dir_tell_max);
    dir_emit(d, m->uid, m->team, m->no_guests ? FAN_NO_GUESTS : 0, m->event);
}

/* ---- all ---- */

/* Taking rights away must work on a full disk, as long as the disk takes it; a direct conversation
 * that is there is found. */
static bool works_on_full_disk(const struct dir_op *op)
{
    return op->request.type == DIR_USER_DISABLE || op->request.type == DIR_TOKEN_REVOKE ||
           op->request.type == DIR_DIRECT_OPEN || op->request.type == DIR_POSTED ||
           op->request.type == DIR_UNSCHEDULE || !dir_op_writes(op);
}

bool dir_op_writes(const struct dir_op *op)
{
    return op->request.type != DIR_RENAME && op->request.type != DIR_PRESENCE &&
           op->request.type != DIR_TELL;
}

bool dir_op_makes_channel(const struct dir_op *op)
{
    const struct dir_direct_open *m = op->request.u.p;
    return op->request.type == DIR_CHANNEL_CREATE ||
           (op->request.type == DIR_DIRECT_OPEN && m->made);
}

enum err dir_op_decide(struct dir *d, struct dir_op *op)
{
    void *m = op->request.u.p;
    if (d->conf.disk_full != NULL && !works_on_full_disk(op) && d->conf.disk_full(d->conf.disk))
        return ERR_DISK_FULL;
    switch ((enum dir_msg)op->request.type) {
    case DIR_TEAM_ADD:
        return decide_team_add(d, m);
    case DIR_USER_ADD:
        return dir_user_decide_add(d, m, op);
    case DIR_USER_DISABLE:
        return dir_user_decide_disable(d, m, op);
    case DIR_TOKEN_ISSUE:
        return decide_token_issue(d, m, op);
    case DIR_TOKEN_REVOKE:
        return decide_token_revoke(d, m, op);
    case DIR_CHANNEL_CREATE:
        return decide_channel_create(d, m, op);
    case DIR_RENAME:
        return rename_decide(d, m);
    case DIR_PRESENCE:
        return decide_presence(d, m);
    case DIR_TELL:
        return ERR_OK;
    case DIR_DIRECT_OPEN:
        return direct_decide(d, m);
    case DIR_USER_CHANGE:
        return dir_user_decide_change(d, m, op);
    case DIR_PASSWORD_SET:
        return dir_user_decide_password(d, m);
    case DIR_DOCUMENT:
        return document_decide(d, m);
    case DIR_SCHEDULE:
        return schedule_decide(d, m);
    case DIR_UNSCHEDULE:
        return unschedule_decide(d, m);
    case DIR_POSTED:
        posted_decide(d, m);
        return ERR_OK;
    case DIR_REVOKE:
    case DIR_REVOKED:
        break;
    }
    ASSERT(false);
    return ERR_INTERNAL_ERROR;
}

static enum err publish(struct dir *d, struct dir_op *op)
{
    void *m = op->request.u.p;
    uint64_t claims[3];
    switch ((enum dir_msg)op->request.type) {
    case DIR_TEAM_ADD:
        return publish_team_add(d, m);
    case DIR_USER_ADD:
        return dir_user_publish_add(d, op);
    case DIR_USER_DISABLE:
        return dir_user_publish_disable(d, op);
    case DIR_TOKEN_ISSUE:
        return tables_put_token(&d->tables, op->hash, &op->token);
    case DIR_TOKEN_REVOKE:
        return publish_token_revoke(d, op);
    case DIR_CHANNEL_CREATE:
        return publish_channel_create(d, m);
    case DIR_PRESENCE:
        publish_presence(d, m);
        return ERR_OK;
    case DIR_TELL:
        publish_told(d, m);
        return ERR_OK;
    case DIR_RENAME:
        (void)claims_of(op, claims);
        rename_begin(d, op, claims[0]);
        return ERR_OK;
    case DIR_DIRECT_OPEN:
        return direct_publish(d, m);
    case DIR_USER_CHANGE:
        return dir_user_publish_change(d, op);
    case DIR_PASSWORD_SET:
        return ERR_OK; /* it is in no table */
    case DIR_DOCUMENT:
        document_publish(d, m);
        return ERR_OK;
    case DIR_SCHEDULE:
        return schedule_publish(d, m);
    case DIR_UNSCHEDULE:
        unschedule_publish(d, m);
        return ERR_OK;
    case DIR_POSTED: /* its answer is posted_done */
        return ERR_OK;
    case DIR_REVOKE:
    case DIR_REVOKED:
        break;
    }
    return ERR_INTERNAL_ERROR;
}

void dir_op_publish(struct dir *d, struct dir_op *op)
{
    enum err err = publish(d, op);
    ASSERT(err == ERR_OK); /* only an empty heap refuses; the rows are durable, so going on would
                              lie to every reader */
}
