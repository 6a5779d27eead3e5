#include "dir/dir.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mutant.h"
#include "chan/chan_msg.h"
#include "dir/internal.h"
#include "store/log.h"

enum {
    batch_first_bytes = 65536,
};

enum err dir_new(struct dir **out, const struct dir_conf *c)
{
    struct dir *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ERR_NOMEM;
    d->conf = *c;
    d->epoch = 1;
    arena_pool_init(&d->pool, batch_first_bytes, 1,
                    UINT64_MAX); /* one batch; group_ops_max bounds it */
    frame_slab_init(&d->frames, c->self, c->frames_max);
    if (tables_init(&d->tables, c->secret, c->tokens_max) != ERR_OK ||
        arena_init(&d->batch.arena, &d->pool, UINT64_MAX) != ERR_OK || schedule_init(d) != ERR_OK) {
        dir_free(d);
        return ERR_NOMEM;
    }
    *out = d;
    return ERR_OK;
}

void dir_free(struct dir *d)
{
    if (d == NULL)
        return;
    schedule_free(d);
    arena_deinit(&d->batch.arena);
    arena_pool_deinit(&d->pool);
    frame_slab_deinit(&d->frames);
    tables_deinit(&d->tables);
    free(d->ops);
    free(d->revoking);
    free(d);
}

/* ---- start: every row of the directory into the tables ---- */

enum { load_users_max = 256 };

struct load {
    struct dir *d;
    const struct view *v;
    uint64_t team;
    uint64_t uids[load_users_max]; /* read behind the scan: a scan's rows are not read through */
    uint32_t uids_len;
    uint32_t teams, users, tokens, names;
    enum err err;
};

static bool load_team(void *ctx, struct str_view key, struct str_view value)
{
    struct load *l = ctx;
    struct row_team row;
    l->err = row_team_decode(&row, key, value);
    if (l->err == ERR_OK)
        l->err = tables_put_team(&l->d->tables, &row);
    l->d->last_id = MAX(l->d->last_id, row.team);
    l->teams++;
    return l->err == ERR_OK;
}

static enum err load_one_user(struct load *l, uint64_t uid)
{
    struct key k;
    struct str_view value;
    struct row_user row;
    key_user(&k, uid);
    arena_reset(&l->d->batch.arena);
    TRY(view_get1(l->v, CF_USER, &k, &l->d->batch.arena, &value));
    if (value.p == NULL)
        return ERR_CORRUPT;
    TRY(row_user_decode(&row, key_view(&k), value));
    TRY(tables_put_user(&l->d->tables, &row));
    TRY(tables_put_name(&l->d->tables, TABLE_LOGINS, row.team, row.name, uid, 0));
    if (row.email.len > 0)
        TRY(tables_put_name(&l->d->tables, TABLE_LOGINS, row.team, row.email, uid, 0));
    l->d->last_id = MAX(l->d->last_id, MAX(row.uid, MAX(row.bot_id, row.app_id)));
    l->users++;
    return ERR_OK;
}

static bool take_uid(void *ctx, struct str_view key, struct str_view value)
{
    struct load *l = ctx;
    (void)value;
    l->uids[l->uids_len++] = key_team_user_uid(key);
    return l->uids_len < load_users_max;
}

/* A page of ids, then the profiles that they name. */
static enum err load_users(struct load *l)
{
    struct key from, end;
    uint64_t next = 0;
    key_team_users(&end, l->team);
    key_prefix_end(&end);
    do {
        l->uids_len = 0;
        key_team_user(&from, l->team, next);
        TRY(view_scan(l->v, CF_DIR, key_view(&from), key_view(&end), take_uid, l));
        for (uint32_t i = 0; i < l->uids_len; i++)
            TRY(load_one_user(l, l->uids[i]));
        next = l->uids_len > 0 ? l->uids[l->uids_len - 1] + 1 : 0;
    } while (l->uids_len == load_users_max);
    return ERR_OK;
}

static bool load_name(void *ctx, struct str_view key, struct str_view value)
{
    struct load *l = ctx;
    struct row_channel_name row;
    l->err = row_channel_name_decode(&row, key, value);
    if (l->err == ERR_OK)
        l->err = tables_put_name(&l->d->tables, TABLE_CHANNELS, l->team, key_channel_name_of(key),
                                 row.cid, row.kind);
    l->d->last_id = MAX(l->d->last_id, row.cid);
    l->names++;
    return l->err == ERR_OK;
}

static bool load_direct(void *ctx, struct str_view key, struct str_view value)
{
    struct load *l = ctx;
    struct row_channel_name row;
    struct str_view set = {key.p + key.len - key128_bytes, key128_bytes};
    l->err = row_channel_name_decode(&row, key, value);
    if (MUTANT(DIRECTS_NOT_LOADED, l->err == ERR_OK, false))
        l->err = tables_put_name(&l->d->tables, TABLE_DIRECTS, l->team, set, row.cid, row.kind);
    l->d->last_id = MAX(l->d->last_id, row.cid);
    return l->err == ERR_OK;
}

static bool load_token(void *ctx, struct str_view key, struct str_view value)
{
    struct load *l = ctx;
    struct row_token row;
    l->err = row_token_decode(&row, key, value);
    if (l->err == ERR_OK)
        l->err = tables_put_token(&l->d->tables, (const uint8_t *)key.p + key.len - 32, &row);
    l->tokens++;
    return l->err == ERR_OK;
}

static enum err scan(struct load *l, const struct key *prefix, view_row_fn *fn)
{
    TRY(view_scan_prefix(l->v, CF_DIR, prefix, fn, l));
    return l->err;
}

static enum err load_all(struct load *l)
{
    struct key k;
    key_teams(&k);
    TRY(scan(l, &k, load_team));
    for (uint32_t i = 0; i < l->d->tables.teams_len; i++) {
        l->team = l->d->tables.teams[i];
        TRY(load_users(l));
        key_channel_names(&k, l->team);
        TRY(scan(l, &k, load_name));
        key_directs(&k, l->team);
        TRY(scan(l, &k, load_direct));
    }
    key_tokens(&k);
    TRY(scan(l, &k, load_token));
    return schedule_load(l->d, l->v);
}

enum err dir_load(struct dir *d, const struct view *v)
{
    struct load l = {.d = d, .v = v};
    enum err err = load_all(&l);
    arena_reset(&d->batch.arena);
    if (err == ERR_FULL)
        log_error("directory_full", "\"problem\":\"more tokens are stored than [dir] tokens_max "
                                    "allows; raise it\"");
    else if (err != ERR_OK)
        log_error("directory_unreadable", "\"error\":\"%s\"", err_code_name(err));
    else
        log_info("directory_loaded", "\"teams\":%u,\"users\":%u,\"channels\":%u,\"tokens\":%u",
                 l.teams, l.users, l.names, l.tokens);
    return err;
}

/* ---- answers ---- */

static void answer(struct dir *d, const struct dir_op *op, enum err err)
{
    if (op->request.type == DIR_POSTED) {
        posted_done(d, op->request.u.p, err);
        return;
    }
    struct cell *c = outbox_answer(d->turn->out, op->from, &op->request);
    c->err = err;
    c->u.p = op->request.u.p;
}

/* ---- revocations: one at a time, to everybody, and back ---- */

static void tell_revoked(struct dir *d, actor_id to, const struct dir_op *op)
{
    struct cell *c = outbox_control(d->turn->out, to);
    ASSERT(c != NULL); /* one is out at a time */
    c->type = DIR_REVOKE;
    c->u.u[0] = op->revoke_tag;
    c->u.u[1] = op->revoke_uid;
    d->acks_left++;
}

static void begin_revocation(struct dir *d)
{
    if (d->acks_left > 0 || d->revoking_len == 0)
        return;
    for (uint16_t i = 0; i < d->conf.acceptors_len; i++)
        tell_revoked(d, d->conf.acceptors[i], &d->revoking[0]);
    for (uint16_t i = 0; i < d->conf.fanouts_len; i++)
        tell_revoked(d, d->conf.fanouts[i], &d->revoking[0]);
}

static void on_revoked(struct dir *d)
{
    ASSERT(d->acks_left > 0 && d->revoking_len > 0);
    if (--d->acks_left > 0)
        return;
    answer(d, &d->revoking[0], ERR_OK);
    d->revoking_len--;
    memmove(d->revoking, d->revoking + 1, d->revoking_len * sizeof *d->revoking);
    begin_revocation(d);
}

/* ---- groups ---- */

/* Room for one more; what lies there is bounded by the requesters' credits. */
static void push(struct dir_op **list, uint32_t *len, uint32_t *cap, const struct dir_op *op)
{
    if (*len == *cap) {
        *cap = *cap == 0 ? 64 : *cap * 2;
        *list = realloc(*list, *cap * sizeof **list);
        ASSERT(*list != NULL);
    }
    (*list)[(*len)++] = *op;
}

void dir_push(struct dir *d, const struct dir_op *op)
{
    push(&d->ops, &d->ops_len, &d->ops_cap, op);
}

static void drop_group(struct dir *d)
{
    d->ops_len -= d->group_len;
    memmove(d->ops, d->ops + d->group_len, d->ops_len * sizeof *d->ops);
    d->group_len = 0;
    d->claims_len = 0;
    struct arena arena = d->batch.arena;
    arena_reset(&arena);
    d->batch = (struct batch){.arena = arena};
}

static void finish_group(struct dir *d, enum err err)
{
    for (uint32_t i = 0; i < d->group_len; i++) {
        struct dir_op *op = &d->ops[i];
        bool done = op->err == ERR_OK && err == ERR_OK;
        if (done)
            dir_op_publish(d, op);
        else if (op->err == ERR_OK && op->request.type == DIR_UNSCHEDULE)
            unschedule_failed(d, op->request.u.p);
        if (done && op->revokes)
            push(&d->revoking, &d->revoking_len, &d->revoking_cap, op);
        else if (done && op->request.type == DIR_RENAME)
            continue; /* answered when chan has answered */
        else if (done && dir_op_makes_channel(op))
            dir_tell_created(d, op);
        else
            answer(d, op, op->err != ERR_OK ? op->err : err);
    }
    drop_group(d);
    begin_revocation(d);
}

/* The group ends before a request that takes a name which the group has taken: its answer must rest
 * on what became durable. */
static void begin_group(struct dir *d)
{
    while (!d->committing && d->ops_len > 0) {
        uint32_t decided = 0;
        while (d->group_len < d->ops_len && d->group_len < group_ops_max) {
            struct dir_op *op = &d->ops[d->group_len];
            if (dir_op_collides(d, op))
                break;
            op->err = dir_op_decide(d, op);
            d->group_len++;
            decided += op->err == ERR_OK && dir_op_writes(op);
        }
        if (d->group_len == 0)
            return; /* the first waits for a rename, whose answer brings the turn that goes on */
        if (d->batch.failed) {
            finish_group(d, ERR_NOMEM);
        } else if (MUTANT(DIRECTORY_ANSWERS_AT_ONCE, decided == 0, true)) {
            finish_group(d, ERR_OK);
        } else {
            d->batch.part = log_part_dir;
            d->batch.epoch = d->epoch;
            d->batch.number = ++d->number;
            d->batch.sent_us = d->turn->mono_us;
            d->batch.requests = decided;
            struct cell *c = outbox_request(d->turn->out, d->conf.log);
            ASSERT(c != NULL); /* one batch is out at a time */
            c->type = LOG_APPEND;
            c->u.p = &d->batch;
            d->committing = true;
        }
    }
}

static void on_durable(struct dir *d, const struct cell *c)
{
    d->committing = false;
    if (c->err != ERR_OK)
        d->epoch++; /* nothing was published: the tables are still what is stored */
    finish_group(d, (enum err)c->err);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct dir *d = self;
    d->turn = t;
    for (uint32_t i = 0; i < n; i++) {
        if (class == CLASS_REQUEST) {
            struct dir_op op = {.request = cells[i], .from = from};
            push(&d->ops, &d->ops_len, &d->ops_cap, &op);
        } else if (class == CLASS_CONTROL) {
            ASSERT(cells[i].type == DIR_REVOKED);
            on_revoked(d);
        } else if (cells[i].type == FRAME_HOME) {
            frame_give(&d->frames, cells[i].u.p);
        } else if (from == d->conf.log) {
            on_durable(d, &cells[i]);
        } else if (cells[i].type == CHAN_POST) {
            schedule_answered(d, &cells[i]);
        } else if (cells[i].type == CHAN_INFO) {
            rename_answered(d, &cells[i]);
        } else {
            dir_told(d, &cells[i]);
        }
    }
}

/* The turn that follows tries again. */
static void on_retry(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx;
}

static void end_turn(void *self, struct turn *t)
{
    struct dir *d = self;
    d->turn = t;
    schedule_run(d);
    begin_group(d);
    rename_run(d);
    dir_tell_untold(d);
    dir_emit_owed(d);
    if (d->gap_owed != 0 && !timer_armed(&d->retry)) {
        /* A fanout rings nobody when it has made room. */
        d->retry.fire = on_retry;
        wheel_arm(t->wheel, &d->retry, t->mono_us + WHEEL_TICK_US);
    }
    tables_poll(&d->tables);
}

static bool drain(void *self, struct turn *t)
{
    struct dir *d = self;
    (void)t;
    d->schedule.ended = true;
    return d->schedule.firing == 0 && d->renames == NULL && d->ops_len == 0 &&
           d->revoking_len == 0 && d->untold_first == NULL && d->telling_len == 0;
}

const struct actor_ops dir_actor_ops = {.on_cells = on_cells, .end_turn = end_turn, .drain = drain};
