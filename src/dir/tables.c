#include "dir/name.h"
#include "dir/presence.h"
#include "dir/tables.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

/* ---- memory of the tables ----
 * ck_hs hands its allocator no context, so each block carries its own epoch entry, and the thread
 * that writes says on entry whose epoch it is. */

static _Thread_local ck_epoch_record_t *writing;

struct block {
    ck_epoch_entry_t epoch;
    _Alignas(16) char data[];
};

static void *block_malloc(size_t n)
{
    struct block *b = malloc(sizeof *b + n);
    return b == NULL ? NULL : b->data;
}

static void block_reclaim(ck_epoch_entry_t *e)
{
    free((char *)e - offsetof(struct block, epoch));
}

static void block_free(void *p, size_t n, bool defer)
{
    (void)n;
    struct block *b = (struct block *)(void *)((char *)p - offsetof(struct block, data));
    if (defer)
        ck_epoch_call(writing, &b->epoch, block_reclaim);
    else
        free(b);
}

static struct ck_malloc allocator = {.malloc = block_malloc, .free = block_free};

/* ---- hashing and comparing; a probe is an entry on the stack with only its key filled in ---- */

static unsigned long hash_u64(uint64_t v)
{
    return (unsigned long)mix64(v);
}

static unsigned long hash_text(uint64_t team, struct str_view name)
{
    return (unsigned long)XXH3_64bits_withSeed(name.p, name.len, team);
}

/* ck calls the comparison before get() could say that the entry was handed over. */
static void handed_over(const void *a, const void *b)
{
    TSAN_ACQUIRE(a);
    TSAN_ACQUIRE(b);
}

static unsigned long hash_team(const void *p, unsigned long seed)
{
    (void)seed;
    return hash_u64(((const struct team_entry *)p)->row.team);
}
static bool same_team(const void *a, const void *b)
{
    handed_over(a, b);
    return ((const struct team_entry *)a)->row.team == ((const struct team_entry *)b)->row.team;
}
static unsigned long hash_domain(const void *p, unsigned long seed)
{
    (void)seed;
    return hash_text(0, ((const struct team_entry *)p)->row.domain);
}
static bool same_domain(const void *a, const void *b)
{
    handed_over(a, b);
    return sv_eq(((const struct team_entry *)a)->row.domain,
                 ((const struct team_entry *)b)->row.domain);
}
static unsigned long hash_user(const void *p, unsigned long seed)
{
    (void)seed;
    return hash_u64(((const struct user_entry *)p)->row.uid);
}
static bool same_user(const void *a, const void *b)
{
    handed_over(a, b);
    return ((const struct user_entry *)a)->row.uid == ((const struct user_entry *)b)->row.uid;
}
/* The tag is the beginning of a keyed hash: nobody outside can choose it. */
static unsigned long hash_token(const void *p, unsigned long seed)
{
    (void)seed;
    return (unsigned long)((const struct token_entry *)p)->principal.token_tag;
}
static bool same_token(const void *a, const void *b)
{
    handed_over(a, b);
    return ((const struct token_entry *)a)->principal.token_tag ==
           ((const struct token_entry *)b)->principal.token_tag;
}
static unsigned long hash_name(const void *p, unsigned long seed)
{
    const struct name_entry *e = p;
    (void)seed;
    return hash_text(e->team, e->name);
}
static bool same_name(const void *a, const void *b)
{
    const struct name_entry *x = a, *y = b;
    handed_over(a, b);
    return x->team == y->team && sv_eq(x->name, y->name);
}

static const struct {
    ck_hs_hash_cb_t *hash;
    ck_hs_compare_cb_t *same;
} kinds[TABLE_COUNT] = {
    [TABLE_TEAMS] = {hash_team, same_team},    [TABLE_DOMAINS] = {hash_domain, same_domain},
    [TABLE_USERS] = {hash_user, same_user},    [TABLE_TOKENS] = {hash_token, same_token},
    [TABLE_CHANNELS] = {hash_name, same_name}, [TABLE_LOGINS] = {hash_name, same_name},
    [TABLE_DIRECTS] = {hash_name, same_name},  [TABLE_SHOWN] = {hash_name, same_name},
};

enum { initial_entries = 64 };

enum err tables_init(struct tables *t, const uint8_t secret[32], uint32_t tokens_max)
{
    memset(t, 0, sizeof *t);
    ck_epoch_init(&t->epoch);
    t->writer = aligned_alloc(CACHE_LINE, sizeof *t->writer);
    if (t->writer == NULL)
        return ERR_NOMEM;
    ck_epoch_register(&t->epoch, t->writer, NULL);
    token_hasher_init(&t->hasher, secret);
    t->tokens_max = tokens_max;
    for (int i = 0; i < TABLE_COUNT; i++) {
        if (!ck_hs_init(&t->hs[i], CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, kinds[i].hash,
                        kinds[i].same, &allocator, initial_entries, 0))
            return ERR_NOMEM;
    }
    return ERR_OK;
}

void tables_deinit(struct tables *t)
{
    if (t->writer == NULL)
        return;
    for (int i = 0; i < TABLE_COUNT; i++) {
        ck_hs_iterator_t it = CK_HS_ITERATOR_INITIALIZER;
        void *entry;
        if (t->hs[i].map == NULL)
            continue;
        while (i != TABLE_DOMAINS && ck_hs_next(&t->hs[i], &it, &entry)) {
            if (i == TABLE_TEAMS)
                free(((struct team_entry *)entry)->users);
            if (i == TABLE_USERS)
                free(((struct user_entry *)entry)->presence);
            free(entry);
        }
        ck_hs_destroy(&t->hs[i]);
    }
    ck_epoch_barrier(t->writer);
    if (t->teams != NULL)
        block_free(t->teams, 0, false);
    free(t->writer);
    t->writer = NULL;
}

void tables_poll(struct tables *t)
{
    TSAN_ACQUIRE(&t->epoch); /* pairs with dir_read_end: what readers did there is over */
    ck_epoch_poll(t->writer);
}

static void put(struct tables *t, enum table table, void *entry)
{
    void *previous;
    writing = t->writer;
    TSAN_RELEASE(entry);
    bool ok = ck_hs_set(&t->hs[table], CK_HS_HASH(&t->hs[table], kinds[table].hash, entry), entry,
                        &previous);
    ASSERT(ok); /* only an empty heap refuses; the rows are durable, so going on would lie */
}

static void *get(struct tables *t, enum table table, const void *probe)
{
    void *entry =
        ck_hs_get(&t->hs[table], CK_HS_HASH(&t->hs[table], kinds[table].hash, probe), probe);
    if (entry != NULL)
        TSAN_ACQUIRE(entry);
    return entry;
}

/* The epoch entry is the first member of each. */
static void reclaim_entry(ck_epoch_entry_t *e)
{
    free(e);
}

/* Copies s to *at and moves *at behind it. */
static struct str_view copy_text(char **at, struct str_view s)
{
    struct str_view copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return copy;
}

/* ---- teams ---- */

static enum err add_team_id(struct tables *t, uint64_t team)
{
    if (t->teams_len == t->teams_cap) {
        uint32_t cap = t->teams_cap == 0 ? 16 : t->teams_cap * 2;
        uint64_t *p = block_malloc(cap * sizeof *p);
        if (p == NULL)
            return ERR_NOMEM;
        if (t->teams_len > 0)
            memcpy(p, t->teams, t->teams_len * sizeof *p);
        uint64_t *old = t->teams;
        __atomic_store_n(&t->teams, p, __ATOMIC_RELEASE); /* pairs with dir_teams */
        t->teams_cap = cap;
        writing = t->writer;
        if (old != NULL)
            block_free(old, 0, true);
    }
    ASSERT(t->teams_len == 0 || t->teams[t->teams_len - 1] < team);
    t->teams[t->teams_len] = team;
    __atomic_store_n(&t->teams_len, t->teams_len + 1, __ATOMIC_RELEASE); /* pairs with dir_teams */
    return ERR_OK;
}

enum err tables_put_team(struct tables *t, const struct row_team *row)
{
    struct team_entry *old = tables_team(t, row->team);
    struct team_entry *e = malloc(sizeof *e + row->domain.len + row->name.len);
    if (e == NULL)
        return ERR_NOMEM;
    memset(e, 0, sizeof *e);
    char *text = (char *)(e + 1);
    e->row = *row;
    e->row.domain = copy_text(&text, row->domain);
    e->row.name = copy_text(&text, row->name);
    e->users = old != NULL ? old->users : NULL;
    if (old == NULL && add_team_id(t, row->team) != ERR_OK) {
        free(e);
        return ERR_NOMEM;
    }
    put(t, TABLE_TEAMS, e);
    put(t, TABLE_DOMAINS, e);
    if (old != NULL)
        ck_epoch_call(t->writer, &old->epoch, reclaim_entry);
    return ERR_OK;
}

struct team_entry *tables_team(struct tables *t, uint64_t team)
{
    struct team_entry probe = {.row = {.team = team}};
    return get(t, TABLE_TEAMS, &probe);
}

struct team_entry *tables_domain(struct tables *t, struct str_view domain)
{
    struct team_entry probe = {.row = {.domain = domain}};
    return get(t, TABLE_DOMAINS, &probe);
}

/* ---- users ---- */

static enum err add_team_user(struct tables *t, struct team_entry *team, uint64_t uid)
{
    struct team_users *u = team->users;
    if (u == NULL || u->len == u->cap) {
        uint32_t cap = u == NULL ? 16 : u->cap * 2;
        struct team_users *more = calloc(1, sizeof *more + cap * sizeof more->uids[0]);
        if (more == NULL)
            return ERR_NOMEM;
        more->cap = cap;
        if (u != NULL) {
            more->len = u->len;
            memcpy(more->uids, u->uids, u->len * sizeof u->uids[0]);
            ck_epoch_call(t->writer, &u->epoch, reclaim_entry);
        }
        __atomic_store_n(&team->users, more, __ATOMIC_RELEASE); /* pairs with dir_users */
        u = more;
    }
    ASSERT(u->len == 0 || u->uids[u->len - 1] < uid); /* ids rise, rows are loaded in order */
    u->uids[u->len] = uid;
    __atomic_store_n(&u->len, u->len + 1, __ATOMIC_RELEASE); /* pairs with dir_users */
    return ERR_OK;
}

static enum err put_name(struct tables *t, enum table table, const struct name_entry *probe);

/* Many may have one display name. The XOR of their ids is the id of the only one when the others
 * have gone, and needs no list of them. */
static enum err share_shown(struct tables *t, uint64_t team, struct str_view name, uint64_t uid,
                            bool add)
{
    const struct name_entry *old = tables_name(t, TABLE_SHOWN, team, name);
    struct name_entry next = {.team = team, .name = name, .id = uid, .sharers = 1};
    ASSERT(add || old != NULL);
    if (old != NULL) {
        next.id = old->id ^ uid;
        next.sharers = add ? old->sharers + 1 : old->sharers - 1;
    }
    if (next.sharers > 0)
        return put_name(t, TABLE_SHOWN, &next);
    tables_drop_name(t, TABLE_SHOWN, team, name);
    return ERR_OK;
}

static struct str_view shown_of(const struct row_user *row, char out[user_shown_bytes_max])
{
    return (row->flags & USER_DELETED) != 0 ? SV("") : name_fold_shown(row->display_name, out);
}

static enum err move_shown(struct tables *t, const struct row_user *was, const struct row_user *row)
{
    char was_text[user_shown_bytes_max], is_text[user_shown_bytes_max];
    struct str_view from = was == NULL ? SV("") : shown_of(was, was_text),
                    to = shown_of(row, is_text);
    if (sv_eq(from, to))
        return ERR_OK;
    if (to.len > 0)
        TRY(share_shown(t, row->team, to, row->uid, true));
    return from.len > 0 ? share_shown(t, row->team, from, row->uid, false) : ERR_OK;
}

enum err tables_put_user(struct tables *t, const struct row_user *row)
{
    struct user_entry *old = tables_user(t, row->uid);
    struct team_entry *team = tables_team(t, row->team);
    size_t text_len = row->name.len + row->real_name.len + row->display_name.len + row->email.len +
                      row->title.len + row->tz.len + row->phone.len + row->status_text.len +
                      row->status_emoji.len;
    struct user_entry *e = malloc(sizeof *e + text_len);
    struct presence *presence = old != NULL ? old->presence : calloc(1, sizeof *presence);
    if (e == NULL || presence == NULL) {
        free(e);
        if (old == NULL)
            free(presence);
        return ERR_NOMEM;
    }
    memset(e, 0, sizeof *e);
    char *text = (char *)(e + 1);
    e->presence = presence;
    e->row = *row;
    e->row.name = copy_text(&text, row->name);
    e->row.real_name = copy_text(&text, row->real_name);
    e->row.display_name = copy_text(&text, row->display_name);
    e->row.email = copy_text(&text, row->email);
    e->row.title = copy_text(&text, row->title);
    e->row.tz = copy_text(&text, row->tz);
    e->row.phone = copy_text(&text, row->phone);
    e->row.status_text = copy_text(&text, row->status_text);
    e->row.status_emoji = copy_text(&text, row->status_emoji);
    e->tokens = old != NULL ? old->tokens : NULL;
    ASSERT(team != NULL);
    for (struct token_entry *p = e->tokens; p != NULL; p = p->next_of_user)
        __atomic_store_n(&p->principal.user_flags, row->flags, __ATOMIC_RELAXED);
    put(t, TABLE_USERS, e); /* before its id is listed: who reads the list finds the user */
    if (old != NULL)
        ck_epoch_call(t->writer, &old->epoch, reclaim_entry); /* in tables_poll: not yet */
    TRY(move_shown(t, old != NULL ? &old->row : NULL, row));
    return old != NULL ? ERR_OK : add_team_user(t, team, row->uid);
}

struct user_entry *tables_user(struct tables *t, uint64_t uid)
{
    struct user_entry probe = {.row = {.uid = uid}};
    return get(t, TABLE_USERS, &probe);
}

/* ---- tokens ---- */

enum err tables_put_token(struct tables *t, const uint8_t hash[32], const struct row_token *row)
{
    struct user_entry *user = tables_user(t, row->uid);
    if (t->tokens_len == t->tokens_max)
        return ERR_FULL;
    if (user == NULL)
        return ERR_CORRUPT;
    struct token_entry *e = calloc(1, sizeof *e);
    if (e == NULL)
        return ERR_NOMEM;
    memcpy(e->hash, hash, sizeof e->hash);
    e->principal = (struct principal){.team = row->team,
                                      .uid = row->uid,
                                      .bot_id = user->row.bot_id,
                                      .app_id = user->row.app_id,
                                      .scopes = row->scopes,
                                      .kind = row->kind,
                                      .user_flags = user->row.flags};
    memcpy(&e->principal.token_tag, hash, sizeof e->principal.token_tag);
    e->created_s = row->created_s;
    e->state = row->revoked_s != 0                     ? TOKEN_REVOKED
               : (user->row.flags & USER_DELETED) != 0 ? TOKEN_INACTIVE
                                                       : TOKEN_VALID;
    e->next_of_user = user->tokens;
    user->tokens = e;
    put(t, TABLE_TOKENS, e);
    t->tokens_len++;
    return ERR_OK;
}

struct token_entry *tables_token(struct tables *t, uint64_t tag)
{
    struct token_entry probe = {.principal = {.token_tag = tag}};
    return get(t, TABLE_TOKENS, &probe);
}

/* ---- names ---- */

static enum err put_name(struct tables *t, enum table table, const struct name_entry *probe)
{
    struct name_entry *old = tables_name(t, table, probe->team, probe->name);
    struct name_entry *e = malloc(sizeof *e + probe->name.len);
    if (e == NULL)
        return ERR_NOMEM;
    *e = *probe;
    char *text = (char *)(e + 1);
    e->name = copy_text(&text, probe->name);
    put(t, table, e);
    if (old != NULL)
        ck_epoch_call(t->writer, &old->epoch, reclaim_entry);
    return ERR_OK;
}

enum err tables_put_name(struct tables *t, enum table table, uint64_t team, struct str_view name,
                         uint64_t id, enum channel_kind kind)
{
    const struct name_entry probe = {.team = team, .name = name, .id = id, .kind = kind};
    return put_name(t, table, &probe);
}

struct name_entry *tables_name(struct tables *t, enum table table, uint64_t team,
                               struct str_view name)
{
    struct name_entry probe = {.team = team, .name = name};
    return get(t, table, &probe);
}

void tables_drop_name(struct tables *t, enum table table, uint64_t team, struct str_view name)
{
    struct name_entry probe = {.team = team, .name = name};
    writing = t->writer;
    struct name_entry *e =
        ck_hs_remove(&t->hs[table], CK_HS_HASH(&t->hs[table], kinds[table].hash, &probe), &probe);
    if (e != NULL)
        ck_epoch_call(t->writer, &e->epoch, reclaim_entry);
}
