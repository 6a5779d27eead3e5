#include <stdlib.h>

#include "base/id.h"
#include "dir/internal.h"
#include "dir/name.h"

struct dir_reader {
    ck_epoch_record_t record; /* first: it needs a cache line of its own */
    struct tables *t;
    bool reading;
};

enum err dir_reader_new(struct dir_reader **out, struct dir *d)
{
    size_t bytes = (sizeof(struct dir_reader) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct dir_reader *r = aligned_alloc(CACHE_LINE, bytes);
    if (r == NULL)
        return ERR_NOMEM;
    memset(r, 0, sizeof *r);
    r->t = &d->tables;
    ck_epoch_register(&d->tables.epoch, &r->record, NULL);
    *out = r;
    return ERR_OK;
}

/* ck keeps the record in its list for ever, so all readers are freed together, after the last use
 * of the tables: server's release does so. */
void dir_reader_free(struct dir_reader *r)
{
    free(r);
}

static struct tables *enter(struct dir_reader *r)
{
    if (!r->reading) {
        ck_epoch_begin(&r->record, NULL);
        r->reading = true;
    }
    return r->t;
}

void dir_read_end(struct dir_reader *r)
{
    if (!r->reading)
        return;
    TSAN_RELEASE(&r->t->epoch); /* pairs with tables_poll */
    ck_epoch_end(&r->record, NULL);
    r->reading = false;
}

static enum err judge(struct token_entry *e, struct principal **out)
{
    switch ((enum token_state)__atomic_load_n(&e->state, __ATOMIC_ACQUIRE)) {
    case TOKEN_VALID:
        *out = &e->principal;
        return ERR_OK;
    case TOKEN_REVOKED:
        return ERR_TOKEN_REVOKED;
    case TOKEN_INACTIVE:
        return ERR_ACCOUNT_INACTIVE;
    }
    ASSERT(false);
    return ERR_INTERNAL_ERROR;
}

enum err dir_token(struct dir_reader *r, struct str_view token, struct principal **out)
{
    struct tables *t = enter(r);
    uint8_t hash[32];
    uint64_t tag;
    if (token.len == 0 || token.len >= token_text_max)
        return ERR_INVALID_AUTH;
    token_hash(&t->hasher, token, hash);
    memcpy(&tag, hash, sizeof tag);
    struct token_entry *e = tables_token(t, tag);
    if (e == NULL || !sv_eq_constant_time((struct str_view){(const char *)hash, sizeof hash},
                                          (struct str_view){(const char *)e->hash, sizeof e->hash}))
        return ERR_INVALID_AUTH;
    return judge(e, out);
}

enum err dir_token_by_tag(struct dir_reader *r, uint64_t tag, struct principal **out)
{
    struct token_entry *e = tables_token(enter(r), tag);
    return e == NULL ? ERR_INVALID_AUTH : judge(e, out);
}

const struct row_team *dir_team(struct dir_reader *r, uint64_t team)
{
    const struct team_entry *e = tables_team(enter(r), team);
    return e == NULL ? NULL : &e->row;
}

const struct row_team *dir_team_by_domain(struct dir_reader *r, struct str_view domain)
{
    const struct team_entry *e = tables_domain(enter(r), domain);
    return e == NULL ? NULL : &e->row;
}

const struct row_user *dir_user(struct dir_reader *r, uint64_t team, uint64_t uid)
{
    const struct user_entry *e = tables_user(enter(r), uid);
    return e == NULL || e->row.team != team ? NULL : &e->row;
}

struct presence *dir_presence(struct dir_reader *r, uint64_t team, uint64_t uid)
{
    const struct user_entry *e = tables_user(enter(r), uid);
    return e == NULL || e->row.team != team ? NULL : e->presence;
}

const struct row_user *dir_user_by_email(struct dir_reader *r, uint64_t team, struct str_view email)
{
    const struct name_entry *e = tables_name(enter(r), TABLE_LOGINS, team, email);
    const struct row_user *u = e == NULL ? NULL : dir_user(r, team, e->id);
    return u != NULL && sv_eq(u->email, email) ? u : NULL; /* else it is a name */
}

bool dir_channel_by_name(struct dir_reader *r, uint64_t team, struct str_view name, uint64_t *cid,
                         enum channel_kind *kind)
{
    const struct name_entry *e = tables_name(enter(r), TABLE_CHANNELS, team, name);
    if (e == NULL)
        return false;
    *cid = e->id;
    *kind = e->kind;
    return true;
}

bool dir_user_by_name(struct dir_reader *r, uint64_t team, struct str_view name, uint64_t *uid)
{
    const struct name_entry *e = tables_name(enter(r), TABLE_LOGINS, team, name);
    if (e == NULL)
        return false;
    *uid = e->id;
    return true;
}

const struct row_user *dir_user_meant(struct dir_reader *r, uint64_t team, struct str_view name,
                                      bool *shared)
{
    char text[user_shown_bytes_max];
    struct str_view folded = name_fold_shown(name, text);
    struct tables *t = enter(r);
    const struct name_entry *e = tables_name(t, TABLE_LOGINS, team, folded);
    const struct row_user *u = e == NULL ? NULL : dir_user(r, team, e->id);
    *shared = false;
    if (u != NULL && (u->flags & USER_DELETED) == 0 && sv_eq(u->name, folded)) /* no address */
        return u;
    e = tables_name(t, TABLE_SHOWN, team, folded);
    *shared = e != NULL && e->sharers > 1;
    return e == NULL || e->sharers != 1 ? NULL : dir_user(r, team, e->id);
}

/* Index of the first id behind `after`. */
static uint32_t above(const uint64_t *ids, uint32_t len, uint64_t after)
{
    uint32_t low = 0, high = len;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (ids[mid] <= after)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t copy_above(const uint64_t *ids, uint32_t len, uint64_t after, uint64_t *out,
                           uint32_t n)
{
    uint32_t from = above(ids, len, after);
    n = MIN(n, len - from);
    if (n > 0)
        memcpy(out, ids + from, n * sizeof *out);
    return n;
}

/* Pointer, then length: the list behind a newer pointer is at least as long. */
uint32_t dir_users(struct dir_reader *r, uint64_t team, uint64_t after, uint64_t *uids, uint32_t n)
{
    const struct team_entry *e = tables_team(enter(r), team);
    const struct team_users *u =
        e == NULL ? NULL : __atomic_load_n(&e->users, __ATOMIC_ACQUIRE); /* pairs: add_team_user */
    return u == NULL
               ? 0
               : copy_above(u->uids, __atomic_load_n(&u->len, __ATOMIC_ACQUIRE), after, uids, n);
}

/* Ids rise, and a bot's two are drawn one behind the other: its user is the last before it. */
const struct row_user *dir_user_by_bot(struct dir_reader *r, uint64_t team, uint64_t bot_id)
{
    const struct team_entry *e = tables_team(enter(r), team);
    const struct team_users *u = e == NULL ? NULL : __atomic_load_n(&e->users, __ATOMIC_ACQUIRE);
    uint32_t n = u == NULL ? 0 : above(u->uids, __atomic_load_n(&u->len, __ATOMIC_ACQUIRE), bot_id);
    const struct row_user *user = n == 0 ? NULL : dir_user(r, team, u->uids[n - 1]);
    return user != NULL && user->bot_id == bot_id && bot_id != ID_NONE ? user : NULL;
}

uint32_t dir_users_len(struct dir_reader *r, uint64_t team)
{
    const struct team_entry *e = tables_team(enter(r), team);
    const struct team_users *u = e == NULL ? NULL : __atomic_load_n(&e->users, __ATOMIC_ACQUIRE);
    return u == NULL ? 0 : __atomic_load_n(&u->len, __ATOMIC_ACQUIRE);
}

/* Length, then pointer: the list behind the pointer is at least that long. */
uint32_t dir_teams(struct dir_reader *r, uint64_t after, uint64_t *teams, uint32_t n)
{
    const struct tables *t = enter(r);
    uint32_t len = __atomic_load_n(&t->teams_len, __ATOMIC_ACQUIRE); /* pairs with add_team_id */
    return copy_above(__atomic_load_n(&t->teams, __ATOMIC_ACQUIRE), len, after, teams, n);
}
