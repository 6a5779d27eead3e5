/* store/row.h - the values: every stored record, encoded and decoded here and nowhere else.
 * Each begins with a version byte and ends with a CRC-32C over key and value; decode checks both.
 * Readers accept older versions. Strings of a decoded record point into the value. Errors of
 * decode: ERR_CORRUPT. */
#ifndef PARLEY_STORE_ROW_H
#define PARLEY_STORE_ROW_H

#include "base/arena.h"
#include "base/err.h"
#include "store/key.h"

enum channel_kind { CHANNEL_PUBLIC, CHANNEL_PRIVATE, CHANNEL_IM, CHANNEL_MPIM };

/* A message row. body is the JSON object as clients see it, from '{' on, without the closing brace:
 * {"type":"message","user":"U..","team":"T..","text":"..",...,"ts":"..". Reads append what changes,
 * then '}'. */
struct row_message {
    uint64_t ts_us, seq, uid;
    uint16_t flags;
    struct str_view client_msg_id; /* may be empty */
    struct str_view body;
};

struct row_dedup {
    uint64_t ts_us, seq;
    struct str_view client_msg_id; /* the literal; compared, since key128 may be a hash */
};

struct row_chan_info {
    uint64_t cid, team, creator;
    uint64_t created_s, updated_s;
    enum channel_kind kind;
    bool archived, general;
    struct str_view name, topic, purpose;
    uint64_t topic_by, topic_set_s, purpose_by, purpose_set_s;
};

struct row_chan_head {
    uint64_t seq; /* of the newest message; 0: none */
    uint64_t last_ts_us;
    uint32_t members_len;
};

struct row_member { /* also the value of a membership seen from the user */
    uint64_t joined_us, inviter;
    enum channel_kind kind;
};

struct row_cursor {
    uint64_t delivered_seq, delivered_ts_us, read_seq, read_ts_us;
};

struct row_team {
    uint64_t team, created_s, general_cid;
    struct str_view domain, name;
};

enum user_flags { USER_BOT = 1, USER_DELETED = 2, USER_ADMIN = 4, USER_OWNER = 8 };

struct row_user {
    uint64_t uid, team, bot_id, app_id; /* bot_id, app_id: ID_NONE unless a bot */
    uint64_t created_s, updated_s;
    uint32_t flags;
    struct str_view name, real_name, display_name, email, title, tz;
};

enum token_kind { TOKEN_USER, TOKEN_BOT, TOKEN_APP };

struct row_token { /* the key is the keyed hash of the token's text, which is stored nowhere */
    uint64_t team, uid, created_s, revoked_s; /* revoked_s 0: valid */
    enum token_kind kind;
    uint64_t scopes; /* bits of api/scope.def; all ones: every scope of the kind */
};

struct row_channel_name {
    uint64_t cid;
    enum channel_kind kind;
    bool archived;
};

/* Each encodes into b (record and checksum over key_view(k) and record). A missing room sticks in
 * b->failed. */
void row_message_encode(struct buf *b, const struct key *k, const struct row_message *r);
void row_dedup_encode(struct buf *b, const struct key *k, const struct row_dedup *r);
void row_chan_info_encode(struct buf *b, const struct key *k, const struct row_chan_info *r);
void row_chan_head_encode(struct buf *b, const struct key *k, const struct row_chan_head *r);
void row_member_encode(struct buf *b, const struct key *k, const struct row_member *r);
void row_cursor_encode(struct buf *b, const struct key *k, const struct row_cursor *r);
void row_team_encode(struct buf *b, const struct key *k, const struct row_team *r);
void row_user_encode(struct buf *b, const struct key *k, const struct row_user *r);
void row_token_encode(struct buf *b, const struct key *k, const struct row_token *r);
void row_channel_name_encode(struct buf *b, const struct key *k, const struct row_channel_name *r);
void row_u64_encode(struct buf *b, const struct key *k,
                    uint64_t v); /* domain -> team, email -> uid, meta */

MUST_USE enum err row_message_decode(struct row_message *r, struct str_view key,
                                     struct str_view value);
MUST_USE enum err row_dedup_decode(struct row_dedup *r, struct str_view key, struct str_view value);
MUST_USE enum err row_chan_info_decode(struct row_chan_info *r, struct str_view key,
                                       struct str_view value);
MUST_USE enum err row_chan_head_decode(struct row_chan_head *r, struct str_view key,
                                       struct str_view value);
MUST_USE enum err row_member_decode(struct row_member *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_cursor_decode(struct row_cursor *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_team_decode(struct row_team *r, struct str_view key, struct str_view value);
MUST_USE enum err row_user_decode(struct row_user *r, struct str_view key, struct str_view value);
MUST_USE enum err row_token_decode(struct row_token *r, struct str_view key, struct str_view value);
MUST_USE enum err row_channel_name_decode(struct row_channel_name *r, struct str_view key,
                                          struct str_view value);
MUST_USE enum err row_u64_decode(uint64_t *v, struct str_view key, struct str_view value);

#endif
