/* sim/operator.h - the operator's actor, in the place of server/admin: asks dir and chan for teams,
 * users, tokens, channels and revocations by the same messages as the daemon's. */
#ifndef PARLEY_SIM_OPERATOR_H
#define PARLEY_SIM_OPERATOR_H

#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "login/login.h"
#include "plan.h"
#include "ring/loop.h"

struct world;

enum {
    operator_asks_max = 256,
    operator_tokens_max = 512,
    operator_teams_max = 2,
    operator_passwords_max = 2
};

struct ask {
    bool used, sent;
    uint16_t type;
    enum actor_kind to;
    uint32_t subject; /* user, token, channel or password it is about */
    uint64_t cid;
    struct arena arena;
    char text[128];
    uint64_t users[plan_users_max];
    union {
        struct dir_team_add team;
        struct dir_user_add user;
        struct dir_token_issue issue;
        struct dir_token_revoke revoke;
        struct dir_channel_create create;
        struct chan_member_change change;
        struct login_hash hash;
        struct dir_password_set password;
    } m;
};

enum sim_token_state { SIM_TOKEN_VALID, SIM_TOKEN_REVOKING, SIM_TOKEN_REVOKED };

struct sim_token {
    char text[token_text_max];
    uint8_t user;
    enum sim_token_state state;
};

struct operator
{
    struct world *w;
    struct ask asks[operator_asks_max];
    struct arena_pool pool;
    uint64_t teams[operator_teams_max];
    uint32_t teams_len;
    struct sim_token tokens[operator_tokens_max];
    uint32_t tokens_len;
    struct login_hash hashes[operator_passwords_max]; /* of the passwords 1, 2... of plan.signer */
    uint32_t passwords_len;                           /* asked for */
    uint32_t out;                                     /* asks under way */
    uint32_t failed;                                  /* answers other than ok */
    bool poked;                                       /* has something to send */
};

extern const struct actor_ops operator_ops; /* self: struct operator * */

void operator_init(struct operator* o, struct world *w);
void operator_deinit(struct operator* o);
/* What was under way is lost; its outcome is unknown. */
void operator_crash(struct operator* o);
/* Teams, users, tokens and channels of the plan; steps the world until they are there. */
void operator_populate(struct operator* o);
void operator_revoke(struct operator* o, uint32_t token);
void operator_issue(struct operator* o, uint8_t user);
/* One that was issued; operator_tokens_max: no room for it. */
uint32_t operator_add_token(struct operator* o, struct str_view text, uint8_t user);
/* Where the plan has two passwords the signer gets the second one in the middle of the run. */
void operator_change_password(struct operator* o);
/* "password-N"; 0 is nobody's. */
struct str_view operator_password(uint32_t number, char out[24]);
/* Which of them a hash is of; 0: of none. */
uint32_t operator_password_of(const struct operator* o, struct str_view hash);
/* A valid token of the user; operator_tokens_max: none now. */
uint32_t operator_token_of(const struct operator* o, uint8_t user);

#endif
