/* dir/tables.h - the directory in memory: ck_hs tables with one writer (dir) and many readers.
 * Entries are immutable once put, but for the words marked atomic; an entry that is replaced is
 * freed when every reader has left the epoch section it may have seen it in.
 * Thread: tables_put_*, tables_poll and the private look-ups: the dir's, or before the threads run.
 */
#ifndef PARLEY_DIR_TABLES_H
#define PARLEY_DIR_TABLES_H

#include <ck_epoch.h>
#include <ck_hs.h>
#include "dir/read.h"
#include "dir/token.h"

enum token_state { TOKEN_VALID, TOKEN_REVOKED, TOKEN_INACTIVE };

struct team_users { /* grows by replacement; ascending, since ids rise */
    ck_epoch_entry_t epoch;
    uint32_t len; /* atomic */
    uint32_t cap;
    uint64_t uids[];
};

struct team_entry {
    ck_epoch_entry_t epoch;
    struct row_team row;      /* strings behind the entry */
    struct team_users *users; /* atomic pointer */
};

struct token_entry {
    ck_epoch_entry_t epoch;
    uint8_t hash[32];
    struct principal principal;
    uint32_t state; /* atomic, enum token_state */
    uint64_t created_s;
    struct token_entry *next_of_user; /* private to the writer */
};

struct user_entry {
    ck_epoch_entry_t epoch;
    struct row_user row;        /* strings behind the entry */
    struct token_entry *tokens; /* private to the writer */
    struct presence *presence;  /* the same in all entries of the user; freed with the tables */
};

struct name_entry { /* a channel's name, a user's name, e-mail address or display name in a team */
    ck_epoch_entry_t epoch;
    uint64_t team, id;
    uint32_t sharers; /* TABLE_SHOWN: users of that name; id is the XOR of theirs */
    enum channel_kind kind;
    struct str_view name;
};

enum table {
    TABLE_TEAMS,    /* struct team_entry by team */
    TABLE_DOMAINS,  /* struct team_entry by domain; the same entries */
    TABLE_USERS,    /* struct user_entry by uid */
    TABLE_TOKENS,   /* struct token_entry by tag */
    TABLE_CHANNELS, /* struct name_entry */
    TABLE_DIRECTS,  /* struct name_entry: hash of the members -> direct conversation */
    TABLE_LOGINS,   /* struct name_entry: user names and e-mail addresses */
    TABLE_SHOWN,    /* struct name_entry: display names, folded, of users that are not deleted */
    TABLE_COUNT
};

struct tables {
    ck_hs_t hs[TABLE_COUNT];
    ck_epoch_t epoch;
    ck_epoch_record_t *writer; /* never freed before the process ends, as ck asks */
    struct token_hasher hasher;
    uint32_t tokens_len, tokens_max;
    uint64_t *teams; /* ids, ascending; atomic pointer, replaced when it grows */
    uint32_t teams_len, teams_cap;
};

MUST_USE enum err tables_init(struct tables *t, const uint8_t secret[32], uint32_t tokens_max);
void tables_deinit(struct tables *t); /* no reader is left */
void tables_poll(struct tables *t);   /* frees what no reader can see any more */

/* Each copies the row with its strings; a user's enters its display name, too. Errors: ERR_NOMEM.
 */
MUST_USE enum err tables_put_team(struct tables *t, const struct row_team *row);
MUST_USE enum err tables_put_user(struct tables *t, const struct row_user *row);
MUST_USE enum err tables_put_token(struct tables *t, const uint8_t hash[32],
                                   const struct row_token *row);
MUST_USE enum err tables_put_name(struct tables *t, enum table table, uint64_t team,
                                  struct str_view name, uint64_t id, enum channel_kind kind);

void tables_drop_name(struct tables *t, enum table table, uint64_t team, struct str_view name);

/* The writer's own look-ups, outside of any epoch section. */
struct team_entry *tables_team(struct tables *t, uint64_t team);
struct team_entry *tables_domain(struct tables *t, struct str_view domain);
struct user_entry *tables_user(struct tables *t, uint64_t uid);
struct token_entry *tables_token(struct tables *t, uint64_t tag);
struct name_entry *tables_name(struct tables *t, enum table table, uint64_t team,
                               struct str_view name);

#endif
