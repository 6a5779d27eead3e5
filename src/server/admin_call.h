/* server/admin_call.h - one command under way on the control socket, between admin.c (HTTP) and
 * admin_commands.c. */
#ifndef PARLEY_SERVER_ADMIN_CALL_H
#define PARLEY_SERVER_ADMIN_CALL_H

#include "api/acceptor_msg.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "hist/hist_msg.h"
#include "login/login.h"
#include "http1/parse.h"
#include "json/read.h"
#include "json/write.h"
#include "server/admin.h"

struct admin_call {
    struct admin *admin;
    uint64_t handle; /* of the connection: the req of every request sent for it */
    struct arena *arena;
    struct json_member *args;
    uint32_t args_len;
    int step; /* of the command's own progress */
    const struct admin_command *command;
    uint64_t team, uid; /* resolved from the arguments */
    uint64_t *users;    /* channel.join: who, and how far it has come */
    uint32_t users_len, users_done;
    struct slow_entry *slow; /* slow: what the acceptors have told so far */
    uint32_t slow_len;
    union {
        struct dir_team_add team_add;
        struct dir_user_add user_add;
        struct dir_user_disable user_disable;
        struct dir_user_change user_change;
        struct {
            struct login_hash hash;
            struct dir_password_set set;
        } password;
        struct dir_token_issue token_issue;
        struct dir_token_revoke token_revoke;
        struct dir_channel_create channel_create;
        struct hist_list list;
        struct acceptor_slow slow;
    } u;
    struct chan_member_change change;
    struct buf out;    /* the JSON answer */
    struct json_out j; /* on out */
    bool answered;
    enum err err;
};

/* answer NULL: the call begins. Else: the answer to the request it sent last. Sends one request or
 * answers. */
typedef void admin_command_fn(struct admin_call *c, const struct cell *answer, struct turn *t);

struct admin_command {
    const char *name; /* "user.add" */
    admin_command_fn *run;
    const char *args; /* for the error text: what it takes */
};

const struct admin_command *admin_command_find(struct str_view name); /* NULL: none */

/* For commands. */
const struct admin_conf *admin_conf_of(const struct admin *a);
/* A request for this call, its req filled in; NULL: no credit, the call has been answered 503. */
struct cell *admin_request(struct admin_call *c, actor_id dst, uint16_t type, void *p,
                           struct turn *t);
/* {"ok":true, ...: members follow through c->j; then admin_done. */
void admin_ok(struct admin_call *c);
void admin_done(struct admin_call *c);
/* {"ok":false,"error":...,"detail":...} */
void admin_fail(struct admin_call *c, enum err err, const char *detail);
void admin_status_members(struct admin_call *c); /* of status: loops, rings, gauges */

admin_command_fn admin_slow; /* admin_slow.c */

#endif
