/* login.h - passwords: the actor that hashes and compares them. A hash takes some 60 ms of a core
 * and 19 MiB, so it has a loop of its own, does one at a time, and nothing else waits for it: those
 * who ask bound how many they have out.
 * Thread: its loop. Blocks in the hash and in reads of the store.
 * Source: RFC 9106 (Argon2id), OWASP's password storage cheat sheet (19 MiB, 2 passes, 1 lane). */
#ifndef PARLEY_LOGIN_LOGIN_H
#define PARLEY_LOGIN_LOGIN_H

#include "base/str_view.h"
#include "ring/loop.h"
#include "store/view.h"

enum { password_bytes_min = 8, password_bytes_max = 1024 };

/* Requests. u.p is a struct below in the requester's arena, lent until the answer. */
enum login_msg {
    LOGIN_CHECK = 1, /* struct login_check */
    LOGIN_HASH       /* struct login_hash */
};

/* Who is unknown or has no password costs the same time as who has one. Errors:
 * ERR_INVALID_CREDENTIALS, and those of the store. */
struct login_check {
    uint64_t uid; /* ID_NONE: nobody */
    struct str_view password;
};

struct login_hash {
    struct str_view password;
    char hash[64]; /* out: as it is stored (row_password) */
    uint32_t len;  /* out */
};

struct login;
MUST_USE enum err login_new(struct login **out, const struct view *v);
void login_free(struct login *l);              /* NULL is fine */
extern const struct actor_ops login_actor_ops; /* self: struct login * */

#endif
