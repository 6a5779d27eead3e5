#include "chan/thread.h"

#include "base/varint.h"

/* ---- threads ---- */

enum err thread_read(struct thread *t, struct str_view packed)
{
    uint64_t replies = 0, users = 0;
    *t = (struct thread){0};
    if (packed.len == 0)
        return ERR_OK;
    if (!varint_get(&packed, &replies) || !varint_get(&packed, &t->latest_us) ||
        !varint_get(&packed, &users) || replies > UINT32_MAX || users > thread_users_max ||
        users > replies)
        return ERR_CORRUPT;
    t->replies = (uint32_t)replies;
    t->users = (uint32_t)users;
    t->packed_users = packed;
    return ERR_OK;
}

struct user {
    uint64_t uid, replies;
};

static bool next_user(struct str_view *s, struct user *u)
{
    return varint_get(s, &u->uid) && varint_get(s, &u->replies);
}

/* Packs t anew with uid's count changed by one; who comes down to none leaves the list. */
static enum err pack(const struct thread *t, uint64_t uid, bool more, uint64_t latest_us,
                     struct arena *a, struct str_view *out)
{
    struct str_view users = t->packed_users;
    struct buf list, b;
    uint32_t kept = 0;
    bool known = false;
    buf_init(&list, a, t->packed_users.len + 2 * varint_bytes_max);
    for (uint32_t i = 0; i < t->users; i++) {
        struct user u;
        if (!next_user(&users, &u) || u.replies == 0)
            return ERR_CORRUPT;
        if (u.uid == uid) {
            known = true;
            u.replies = more ? u.replies + 1 : u.replies - 1;
        }
        if (u.replies == 0)
            continue;
        varint_put(&list, u.uid);
        varint_put(&list, u.replies);
        kept++;
    }
    if (!known && !more)
        return ERR_CORRUPT;
    if (!known) {
        if (kept == thread_users_max)
            return ERR_FULL;
        varint_put(&list, uid);
        varint_put(&list, 1);
        kept++;
    }
    buf_init(&b, a, list.len + 3 * varint_bytes_max);
    varint_put(&b, more ? t->replies + 1ull : t->replies - 1ull);
    varint_put(&b, latest_us);
    varint_put(&b, kept);
    buf_put_sv(&b, buf_view(&list));
    *out = buf_view(&b);
    return list.failed || b.failed ? ERR_NOMEM : ERR_OK;
}

enum err thread_add(struct str_view packed, uint64_t uid, uint64_t ts_us, struct arena *a,
                    struct str_view *out)
{
    struct thread t;
    TRY(thread_read(&t, packed));
    return pack(&t, uid, true, ts_us, a, out);
}

enum err thread_remove(struct str_view packed, uint64_t uid, uint64_t latest_us, struct arena *a,
                       struct str_view *out)
{
    struct thread t;
    TRY(thread_read(&t, packed));
    if (t.replies == 0)
        return ERR_CORRUPT;
    return pack(&t, uid, false, latest_us, a, out);
}

uint32_t thread_users(const struct thread *t, uint64_t *uids, uint32_t max)
{
    struct str_view users = t->packed_users;
    struct user u;
    uint32_t n = 0;
    while (n < t->users && n < max && next_user(&users, &u))
        uids[n++] = u.uid;
    return n;
}
