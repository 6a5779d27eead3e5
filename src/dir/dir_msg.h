/* dir/dir_msg.h - requests to the dir actor. u.p is a struct below in the requester's arena, lent
 * until the answer; dir fills its out members. Each answers after its rows are durable and
 * published. */
#ifndef PARLEY_DIR_MSG_H
#define PARLEY_DIR_MSG_H

#include "chan/chan_msg.h"
#include "ring/cell.h"
#include "store/row.h"

enum dir_msg {
    DIR_TEAM_ADD = 1,
    DIR_USER_ADD,
    DIR_USER_DISABLE,
    DIR_TOKEN_ISSUE,
    DIR_TOKEN_REVOKE,
    DIR_CHANNEL_CREATE,
    DIR_RENAME,       /* struct dir_rename */
    DIR_PRESENCE,     /* struct dir_presence_set */
    DIR_DIRECT_OPEN,  /* struct dir_direct_open */
    DIR_USER_CHANGE,  /* struct dir_user_change */
    DIR_PASSWORD_SET, /* struct dir_password_set */
    DIR_DOCUMENT,     /* struct dir_document */
    DIR_SCHEDULE,     /* struct dir_schedule */
    DIR_UNSCHEDULE,   /* struct dir_unschedule */
    DIR_TELL,         /* struct dir_tell */
    DIR_POSTED,       /* dir's own: a scheduled message was posted, or cannot be */
    /* control, dir -> acceptors and fanouts: u.u[0] token tag (0: every token of u.u[1] uid). The
     * receiver drops what hangs on it (tickets, sockets, cached principals), then answers with
     * DIR_REVOKED on its own control edge; dir answers the caller after all have. */
    DIR_REVOKE,
    DIR_REVOKED
};

/* Errors: ERR_EXISTS (domain taken), ERR_INVALID_NAME. */
struct dir_team_add {
    struct str_view domain, name;
    uint64_t team; /* out */
};

/* Errors: ERR_TEAM_NOT_FOUND, ERR_EXISTS (email or name taken), ERR_INVALID_NAME. */
struct dir_user_add {
    uint64_t team;
    struct str_view name, real_name, email;
    uint32_t flags;               /* enum user_flags; USER_BOT makes bot_id and app_id too */
    uint64_t uid, bot_id, app_id; /* out */
};

struct dir_user_disable { /* all tokens of the user stop working; ERR_USER_NOT_FOUND */
    uint64_t team, uid;
};

enum { token_text_max = 128 };

/* xoxp- / xoxb- / xapp-digits-digits-digits-hex; at least 128 random bits. Errors:
 * ERR_USER_NOT_FOUND, ERR_FULL. */
struct dir_token_issue {
    uint64_t team, uid;
    enum token_kind kind;
    uint64_t scopes;
    char token[token_text_max]; /* out, NUL behind it: the only time it is seen */
};

/* ERR_INVALID_AUTH when unknown or another team's; revoked already: ok. */
struct dir_token_revoke {
    struct str_view token;
    uint64_t team; /* ID_NONE: of any */
};

/* dir's own, in a request whose channel is being announced by its chan: whom to answer, and whom to
 * tell (ID_NONE: all members). */
struct dir_told {
    uint64_t req, cid, uid;
    void *p; /* the request */
    uint16_t type, from;
    struct dir_told *next;
};

/* Reserves the name, writes name, info, head, the creator as member and its membership in one
 * batch: whole or absent. Emits channel_created (team, public only); then the channel's chan loads
 * it and tells the creator's sockets (CHAN_CREATED), and only then comes the answer. Errors:
 * ERR_NAME_TAKEN, ERR_INVALID_NAME*, ERR_USER_NOT_FOUND. */
struct dir_channel_create {
    uint64_t team, creator;
    struct str_view name;
    bool is_private, is_general;
    struct row_chan_info info; /* out; strings in the arena */
    struct arena *arena;       /* in: where to put them */
    struct dir_told told;
};

/* Another name for a channel: checked and kept free by dir, which asks the channel's chan. Errors:
 * ERR_INVALID_NAME*, ERR_NAME_TAKEN, and those of struct chan_info_change. */
struct dir_rename {
    uint64_t cid;
    struct chan_info_change change; /* INFO_NAME, text: the name */
    /* dir's own until the answer */
    struct cell request;
    actor_id from;
    bool asked;
    uint64_t claim;
    struct dir_rename *next;
};

/* An event for the sockets of one user, or of a whole team: nothing is stored. Who sends it knows
 * that what it tells of is durable. */
enum { dir_tell_max = 1024 };
struct dir_tell {
    uint64_t uid; /* ID_NONE: of all of team */
    uint64_t team;
    bool no_guests;        /* of a team's */
    struct str_view event; /* {...}, at most dir_tell_max bytes */
};

/* What a user says of being there. In memory only. Tells the user's sockets. Errors:
 * ERR_USER_NOT_FOUND. */
struct dir_presence_set {
    uint64_t team, uid;
    bool away;
};

/* The direct conversation of these members, made if it is not there: one row per set, whatever the
 * order and however many ask at once. 1 member (oneself) or 2: im; 3 to 9: mpim. A new one is
 * announced to all of its members as DIR_CHANNEL_CREATE's is to the creator. Errors:
 * ERR_USER_NOT_FOUND, ERR_USER_DISABLED. */
enum { direct_members_max = 9 };
struct dir_direct_open {
    uint64_t team, creator;
    uint64_t uids[direct_members_max]; /* the creator among them; any order, no doubles */
    uint32_t len;
    bool find_only; /* ERR_CHANNEL_NOT_FOUND instead of making it */
    /* out */
    bool made;
    uint64_t cid;
    enum channel_kind kind;
    struct arena *arena; /* in */
    /* dir's own while chan tells the members */
    struct dir_told told;
};

/* Changes of a user's row; p NULL: as it is. Tells the team (user_change and the like). Errors:
 * ERR_USER_NOT_FOUND, ERR_EXISTS (the e-mail address is another's), ERR_INVALID_ARGUMENTS (is
 * none). */
struct dir_user_change {
    uint64_t team, uid;
    struct str_view real_name, display_name, email, title, tz, phone, status_text, status_emoji;
    bool set_status_expiration;
    uint64_t status_expiration_s;
    uint32_t set_flags, clear_flags; /* USER_ADMIN, USER_OWNER, USER_GUEST... */
};

/* Puts, replaces or takes away what an owner keeps of one kind. It was made of the revision that it
 * names (HIST_DOCUMENT; 0: there was none); another one is stored: ERR_CHANGED, read again. Errors:
 * ERR_FULL (over document_bytes_max). */
struct dir_document {
    uint64_t owner;
    enum document_kind kind;
    uint64_t revision;
    struct str_view text; /* JSON; empty: none any more */
    /* Told once it is durable: each of to_user, {..}, to the sockets of uid, in order, and to_team,
     * unless it is empty, to those of team. */
    uint64_t uid, team;
    const struct str_view *to_user;
    uint32_t to_user_len;
    struct str_view to_team;
};

/* A message to be posted at row.post_s. One that waits already, the same to the byte, for the same
 * time and place, is answered with its id: it is a request that was made again. Whether the channel
 * takes it is for chan to say then; if it does not, the message is dropped and that is logged.
 * Errors: ERR_TIME_IN_PAST, ERR_TIME_TOO_FAR, ERR_TOO_MANY_SCHEDULED. */
struct dir_schedule {
    struct row_scheduled row; /* id and created_s: out */
    bool known;               /* dir's */
};

/* ERR_INVALID_SCHEDULED_ID: not one of this user's in this channel, or it is being posted. */
struct dir_unschedule {
    uint64_t team, uid, cid, id;
};

struct dir_password_set { /* ERR_USER_NOT_FOUND */
    uint64_t team, uid;
    struct str_view hash; /* as login makes it; empty: takes the password away */
};

#endif
