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

/* What a message has beyond its body; each bit says that the member of row_message is there. */
enum message_flags {
    MSG_REPLY = 1,     /* thread_ts_us */
    MSG_BROADCAST = 2, /* a reply that the channel sees, too */
    MSG_DELETED = 4,   /* body is empty; the row stays, so that its key and its ts stay taken */
    MSG_SYSTEM = 8,    /* channel_join and the like: not unread to anybody; seq is the one before */
    MSG_EDITED = 16,   /* edited_us, edited_by */
    MSG_PINNED = 32,   /* pinned_us, pinned_by */
    MSG_THREAD = 64,   /* thread: it has had replies */
    MSG_REACTIONS = 128, /* reactions */
    MSG_METADATA = 256   /* metadata */
};

/* A message row. body is the JSON object as clients see it, from '{' on, without the closing brace:
 * {"type":"message","user":"U..","team":"T..","text":"..",...,"ts":"..". Of it [content_at,
 * content_at + content_len) is what an edit replaces: ,"text":"..","blocks":[..] and so on;
 * content_len 0: of a version that could not edit. Reads append what changes (chan/message_json.h),
 * then '}'. Version 2; version 1 ends behind body. */
struct row_message {
    uint64_t ts_us, seq, uid; /* seq of a reply that is not broadcast: 0 */
    uint16_t flags;
    struct str_view client_msg_id; /* may be empty */
    struct str_view body;
    uint32_t content_at, content_len;
    uint64_t thread_ts_us;
    uint64_t edited_us, edited_by, pinned_us, pinned_by;
    struct str_view thread;    /* packed, chan/thread.h */
    struct str_view reactions; /* packed, chan/reactions.h */
    struct str_view metadata;  /* a JSON object */
};

struct row_dedup {
    uint64_t ts_us, seq;
    struct str_view client_msg_id; /* the literal; compared, since key128 may be a hash */
};

static inline bool channel_is_direct(enum channel_kind kind)
{
    return kind == CHANNEL_IM || kind == CHANNEL_MPIM;
}

struct row_chan_info {
    uint64_t cid, team, creator;
    uint64_t created_s, updated_s;
    enum channel_kind kind;
    bool archived, general;
    /* Of direct conversations name is no name: it begins with '!', unique, for their order in
     * lists. */
    struct str_view name, topic, purpose;
    uint64_t topic_by, topic_set_s, purpose_by, purpose_set_s;
    uint64_t peer; /* CHANNEL_IM: the member beside creator, creator itself if alone; version 2 */
};

struct row_chan_head {
    uint64_t seq;        /* of the newest message; 0: none */
    uint64_t last_ts_us; /* of any message, replies too */
    uint32_t members_len;
    uint32_t pins; /* version 2; 0 before */
};

struct row_member { /* also the value of a membership seen from the user */
    uint64_t joined_us, inviter;
    enum channel_kind kind;
    /* Of a direct conversation, in the channel's row: its newest ts when this member put it out of
     * sight. 0: did not. */
    uint64_t closed_ts_us;
};

struct row_reacted { /* the message's reactions are in its own row */
    enum channel_kind kind;
};

struct row_follow { /* of a thread by a user */
    bool active;
    uint64_t since_us, read_us; /* read_us: ts of the newest message that was read */
};

struct row_cursor {
    uint64_t delivered_seq, delivered_ts_us, read_seq, read_ts_us;
};

struct row_team {
    uint64_t team, created_s, general_cid;
    struct str_view domain, name;
};

enum user_flags {
    USER_BOT = 1,
    USER_DELETED = 2,
    USER_ADMIN = 4,
    USER_OWNER = 8,
    USER_GUEST = 16, /* sees only conversations that it is in */
    USER_PRIMARY_OWNER = 32
};

struct row_user {
    uint64_t uid, team, bot_id, app_id; /* bot_id, app_id: ID_NONE unless a bot */
    uint64_t created_s, updated_s;
    uint32_t flags;
    struct str_view name, real_name, display_name, email, title, tz;
    struct str_view phone, status_text, status_emoji; /* from here on: version 2 */
    uint64_t status_expiration_s;                     /* 0: never */
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

/* How far the messages' reactions are in their users' lists (chan/relist.c). */
struct row_relist {
    bool whole;
    struct str_view at; /* unless whole: the key of the first message that is not read yet */
};

/* A message that is posted at post_s, with all that a post has (chan/chan_msg.h, chan_post). */
struct row_scheduled {
    uint64_t id, team, uid, cid, post_s, created_s;
    uint64_t thread_ts_us;
    bool broadcast;
    enum channel_kind kind; /* of cid: it never changes */
    uint32_t content_at;
    struct str_view members, metadata;
    struct str_view text; /* for lists */
};

/* What an owner keeps of one kind, whole: an array or object of JSON. The revision rises with each
 * change and tells who changes it whether somebody else has meanwhile. Stored: only ever add at the
 * end. */
enum document_kind {
    DOC_PREFS = 1,  /* of a user: {name: value} */
    DOC_DND,        /* of a user: {"snooze_from":s,"snooze_until":s} */
    DOC_STARS,      /* of a user: [item], newest first */
    DOC_BOOKMARKS,  /* of a channel: [bookmark] */
    DOC_USERGROUPS, /* of a team: [usergroup] */
    DOC_EMOJI,      /* of a team: [{"name","value"}] */
    DOC_REMINDERS   /* of a user: [reminder] */
};
enum { document_bytes_max = 1 << 20 };
struct row_document {
    uint64_t revision;
    struct str_view text;
};

/* Each encodes into b (record and checksum over key_view(k) and record). A missing room sticks in
 * b->failed. */
void row_message_encode(struct buf *b, const struct key *k, const struct row_message *r);
void row_dedup_encode(struct buf *b, const struct key *k, const struct row_dedup *r);
void row_chan_info_encode(struct buf *b, const struct key *k, const struct row_chan_info *r);
void row_chan_head_encode(struct buf *b, const struct key *k, const struct row_chan_head *r);
/* Out of sight of this member: nothing was said since. */
static inline bool row_is_closed(const struct row_member *m, const struct row_chan_head *h)
{
    return m->closed_ts_us != 0 && h->last_ts_us <= m->closed_ts_us;
}

void row_member_encode(struct buf *b, const struct key *k, const struct row_member *r);
void row_reacted_encode(struct buf *b, const struct key *k, const struct row_reacted *r);
void row_relist_encode(struct buf *b, const struct key *k, const struct row_relist *r);
void row_follow_encode(struct buf *b, const struct key *k, const struct row_follow *r);
void row_cursor_encode(struct buf *b, const struct key *k, const struct row_cursor *r);
void row_team_encode(struct buf *b, const struct key *k, const struct row_team *r);
void row_user_encode(struct buf *b, const struct key *k, const struct row_user *r);
void row_token_encode(struct buf *b, const struct key *k, const struct row_token *r);
void row_channel_name_encode(struct buf *b, const struct key *k, const struct row_channel_name *r);
void row_scheduled_encode(struct buf *b, const struct key *k, const struct row_scheduled *r);
void row_document_encode(struct buf *b, const struct key *k, const struct row_document *r);
/* An Argon2 hash with its salt and costs (login/login.h). */
void row_password_encode(struct buf *b, const struct key *k, struct str_view hash);
void row_u64_encode(struct buf *b, const struct key *k,
                    uint64_t v); /* domain -> team, email -> uid, pointers, pins, meta */

MUST_USE enum err row_message_decode(struct row_message *r, struct str_view key,
                                     struct str_view value);
MUST_USE enum err row_dedup_decode(struct row_dedup *r, struct str_view key, struct str_view value);
MUST_USE enum err row_chan_info_decode(struct row_chan_info *r, struct str_view key,
                                       struct str_view value);
MUST_USE enum err row_chan_head_decode(struct row_chan_head *r, struct str_view key,
                                       struct str_view value);
MUST_USE enum err row_member_decode(struct row_member *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_reacted_decode(struct row_reacted *r, struct str_view key,
                                     struct str_view value);
MUST_USE enum err row_relist_decode(struct row_relist *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_follow_decode(struct row_follow *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_cursor_decode(struct row_cursor *r, struct str_view key,
                                    struct str_view value);
MUST_USE enum err row_team_decode(struct row_team *r, struct str_view key, struct str_view value);
MUST_USE enum err row_user_decode(struct row_user *r, struct str_view key, struct str_view value);
MUST_USE enum err row_token_decode(struct row_token *r, struct str_view key, struct str_view value);
MUST_USE enum err row_channel_name_decode(struct row_channel_name *r, struct str_view key,
                                          struct str_view value);
MUST_USE enum err row_scheduled_decode(struct row_scheduled *r, struct str_view key,
                                       struct str_view value);
MUST_USE enum err row_document_decode(struct row_document *r, struct str_view key,
                                      struct str_view value);
MUST_USE enum err row_password_decode(struct str_view *hash, struct str_view key,
                                      struct str_view value);
MUST_USE enum err row_u64_decode(uint64_t *v, struct str_view key, struct str_view value);

#endif
