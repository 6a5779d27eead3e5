/* dir/read.h - the directory as other threads see it: teams, users, tokens, channel names. Written
 * by the dir actor alone, read in place by everyone under one ck_epoch section per turn. A pointer
 * from here must not outlive the turn: copy ids, not pointers. Only durable entries are here: dir
 * publishes after the log has answered. */
#ifndef PARLEY_DIR_READ_H
#define PARLEY_DIR_READ_H

#include "base/arena.h"
#include "base/err.h"
#include "store/row.h"

struct dir; /* the tables */

/* A reader: one per loop, shared by the loop's actors. The first look-up of a turn enters the epoch
 * section; each actor calls dir_read_end in its end_turn, so that the section never spans a sleep
 * and old memory can be freed. Ending what has not begun is nothing. */
struct dir_reader;
MUST_USE enum err dir_reader_new(struct dir_reader **out, struct dir *d);
void dir_reader_free(struct dir_reader *r); /* NULL is fine */
void dir_read_end(struct dir_reader *r);

/* Who calls: the outcome of a token look-up. Immutable but for the words marked
 * atomic. */
struct principal {
    uint64_t team, uid, bot_id, app_id, scopes;
    uint64_t token_tag; /* first 8 bytes of the token's hash: names the token in revocations */
    enum token_kind kind;
    uint32_t user_flags; /* atomic */
    uint64_t rate;       /* atomic word of rate.h, of what its sockets send */
};

/* Errors: ERR_INVALID_AUTH, ERR_TOKEN_REVOKED, ERR_ACCOUNT_INACTIVE. Costs one keyed hash and one
 * probe. */
MUST_USE enum err dir_token(struct dir_reader *r, struct str_view token, struct principal **out);
/* By tag, as of now; the same errors. For sockets and parked requests, which hold a tag. */
MUST_USE enum err dir_token_by_tag(struct dir_reader *r, uint64_t tag, struct principal **out);

const struct row_team *dir_team(struct dir_reader *r, uint64_t team); /* NULL: none */
const struct row_team *dir_team_by_domain(struct dir_reader *r, struct str_view domain);
/* NULL: none in this team. */
const struct row_user *dir_user(struct dir_reader *r, uint64_t team, uint64_t uid);
/* Lives as long as the tables: may outlive the turn. NULL: none in this team. */
struct presence *dir_presence(struct dir_reader *r, uint64_t team, uint64_t uid);
/* By e-mail address, as it is stored (name_fold_email); NULL: none in this team. */
const struct row_user *dir_user_by_email(struct dir_reader *r, uint64_t team,
                                         struct str_view email);
const struct row_user *dir_user_by_bot(struct dir_reader *r, uint64_t team, uint64_t bot_id);
/* name without '#'. False: none. Private names too: the caller must not tell a non-member. */
bool dir_channel_by_name(struct dir_reader *r, uint64_t team, struct str_view name, uint64_t *cid,
                         enum channel_kind *kind);

/* By name or e-mail address. */
bool dir_user_by_name(struct dir_reader *r, uint64_t team, struct str_view name, uint64_t *uid);

/* Whom a text means by a name: a user's name, else the display name of exactly one; ASCII letters
 * in either case. Deleted users are not meant. NULL: nobody; or several share it (*shared), which
 * means nobody rather than the wrong one. */
const struct row_user *dir_user_meant(struct dir_reader *r, uint64_t team, struct str_view name,
                                      bool *shared);

/* Ids ascending, those > after, at most n; returns how many. For paging and snapshots. */
uint32_t dir_users(struct dir_reader *r, uint64_t team, uint64_t after, uint64_t *uids, uint32_t n);
uint32_t dir_users_len(struct dir_reader *r, uint64_t team);
uint32_t dir_teams(struct dir_reader *r, uint64_t after, uint64_t *teams, uint32_t n);

#endif
