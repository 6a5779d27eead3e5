#include "chan/reactions.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/mutant.h"
#include "base/varint.h"

/* Packed: for each emoji its name's length and bytes, number of users, users. */

struct emoji {
    struct str_view name, users; /* users: packed */
    uint32_t users_len;
    bool has_uid; /* the one that was asked for */
};

/* The next emoji; *s goes behind it. */
static bool next_emoji(struct str_view *s, uint64_t uid, struct emoji *e)
{
    uint64_t n, u;
    if (!varint_get(s, &n) || n == 0 || n > s->len)
        return false;
    *e = (struct emoji){.name = {s->p, (size_t)n}};
    s->p += n;
    s->len -= n;
    if (!varint_get(s, &n) || n == 0 || n > reactions_users_max)
        return false;
    e->users_len = (uint32_t)n;
    e->users.p = s->p;
    for (uint32_t i = 0; i < e->users_len; i++) {
        if (!varint_get(s, &u))
            return false;
        e->has_uid |= u == uid;
    }
    e->users.len = (size_t)(s->p - e->users.p);
    return true;
}

static void put_name(struct buf *b, struct str_view name, uint32_t users)
{
    varint_put(b, name.len);
    buf_put_sv(b, name);
    varint_put(b, users);
}

static void put_users_without(struct buf *b, const struct emoji *e, uint64_t uid)
{
    struct str_view users = e->users;
    for (uint64_t u; varint_get(&users, &u);) {
        if (u != uid)
            varint_put(b, u);
    }
}

enum err reactions_add(struct str_view packed, struct str_view name, uint64_t uid, struct arena *a,
                       struct str_view *out)
{
    struct buf b;
    uint32_t emoji = 0, own = 0;
    bool known = false;
    buf_init(&b, a, packed.len + name.len + 32);
    while (packed.len > 0) {
        struct emoji e;
        if (!next_emoji(&packed, uid, &e))
            return ERR_CORRUPT;
        bool this_one = sv_eq(e.name, name);
        if (this_one && e.has_uid)
            return ERR_ALREADY_REACTED;
        if (this_one && e.users_len == reactions_users_max)
            return ERR_TOO_MANY_REACTIONS;
        put_name(&b, e.name, e.users_len + this_one);
        buf_put_sv(&b, e.users);
        if (this_one)
            varint_put(&b, uid);
        known |= this_one;
        own += e.has_uid;
        emoji++;
    }
    if (own >= reactions_of_user_max)
        return ERR_TOO_MANY_REACTIONS;
    if (!known && emoji >= reactions_emoji_max)
        return ERR_TOO_MANY_EMOJI;
    if (!known) {
        put_name(&b, name, 1);
        varint_put(&b, uid);
    }
    *out = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

enum err reactions_remove(struct str_view packed, struct str_view name, uint64_t uid,
                          struct arena *a, struct str_view *out)
{
    struct buf b;
    bool found = false;
    buf_init(&b, a, packed.len + 1);
    while (packed.len > 0) {
        struct emoji e;
        if (!next_emoji(&packed, uid, &e))
            return ERR_CORRUPT;
        bool this_one = e.has_uid && sv_eq(e.name, name);
        found |= this_one;
        if (this_one && MUTANT(UNREACT_TAKES_ALL, e.users_len == 1, true))
            continue;
        put_name(&b, e.name, e.users_len - this_one);
        if (this_one)
            put_users_without(&b, &e, uid);
        else
            buf_put_sv(&b, e.users);
    }
    *out = buf_view(&b);
    return MUTANT(UNREACT_TWICE, !found, false) ? ERR_NO_REACTION : b.failed ? ERR_NOMEM : ERR_OK;
}

bool reactions_have(struct str_view packed, struct str_view name)
{
    struct emoji e;
    while (packed.len > 0 && next_emoji(&packed, ID_NONE, &e)) {
        if (sv_eq(e.name, name))
            return true;
    }
    return false;
}

uint32_t reactions_of(struct str_view packed, uint64_t uid)
{
    struct emoji e;
    uint32_t n = 0;
    while (packed.len > 0 && next_emoji(&packed, uid, &e))
        n += e.has_uid;
    return n;
}

static int by_uid(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint32_t reactions_users(struct str_view packed, uint64_t *uids, uint32_t max)
{
    struct emoji e;
    uint32_t n = 0, kept = 0;
    while (packed.len > 0 && n < max && next_emoji(&packed, ID_NONE, &e)) {
        while (n < max && e.users.len > 0 && varint_get(&e.users, &uids[n]))
            n++;
    }
    if (n > 0)
        qsort(uids, n, sizeof *uids, by_uid);
    for (uint32_t i = 0; i < n; i++) {
        if (kept == 0 || uids[kept - 1] != uids[i])
            uids[kept++] = uids[i];
    }
    return kept;
}

void reactions_json(struct json_out *j, struct str_view packed)
{
    struct emoji e;
    json_arr(j);
    while (packed.len > 0 && next_emoji(&packed, ID_NONE, &e)) {
        json_obj(j);
        json_kv_str(j, "name", e.name);
        json_key(j, "users");
        json_arr(j);
        for (uint64_t u; varint_get(&e.users, &u);)
            json_id(j, ID_USER, u);
        json_arr_end(j);
        json_kv_u64(j, "count", e.users_len);
        json_obj_end(j);
    }
    json_arr_end(j);
}
