/* store/key.h - the only place that lays out keys. Big-endian, so that order of bytes is order of
 * numbers; `~` marks an inverted number, newest first. vs: virtual shard of a channel or user, 2
 * bytes.
 *
 *   msg   vs cid 00 ~ts                 message of the channel: a root, or a broadcast reply
 *         vs cid 01 thread_ts ts        reply; of a broadcast one a mark only (no body)
 *         vs cid 02 ts                  reply that is not broadcast: ts -> thread_ts
 *   idx   vs cid 'd' uid key128         client_msg_id -> ts, seq, and the literal key
 *         vs cid 'p' ts                 pinned message -> when it was pinned
 *         vs cid 't' thread_ts uid      whether a user follows a thread, how far it is read
 *   chan  vs cid 'i'                    info: name, topic, kind, creator, flags
 *         vs cid 'h'                    head: seq, last ts, number of members
 *         vs cid 'm' uid                member
 *         vs cid 'c' uid                cursor: delivered and read
 *   user  vs uid 'p'                    profile
 *         vs uid 'M' cid                membership, seen from the user
 *         vs owner 'B' kind             document of a user, a channel or a team (row_document)
 *         vs uid 'R' ~ts cid            message that has a reaction of the user's
 *   dir   'T' team                      team
 *         'd' domain                    domain -> team
 *         't' hash32                    token
 *         'p' uid                       password of a user, hashed
 *         'n' team name                 channel name -> cid, kind
 *         'u' team uid                  user of a team (empty value)
 *         'e' team email                login -> uid
 *         's' team uid id               scheduled message
 *         '2' team hash16               members of a direct conversation -> cid, kind
 *   fts   vs team 'w' word 00 ~ts       postings of a word; ts of the newest message in them
 *         vs cid 'k'                    messages up to this ts are in the index
 *         'E' cid ts                    an edited message that the index has not seen
 *   file  'F' id20                      file: stored or deleted; the key is its id
 *         'R' id20                      file that is reserved and has no bytes yet
 *         'B' sha256                    how many files have these bytes
 *         vs owner 't'|'u'|'c' ~created id20
 *                                       lists of stored files: of a team, of a user, in a channel
 *         vs team 'w' word 00 ~created id20
 *                                       files with this word; the value as in the lists
 *         'W' id20                      the words of a file, and where they stand
 *         'I'                           how far the words of all files have been made anew
 *   meta  "schema" "store_id" "ts_high" chan-index  "epoch" part
 *         "reactions_listed"          how far an upgrade has read the messages
 */
#ifndef PARLEY_STORE_KEY_H
#define PARLEY_STORE_KEY_H

#include "base/compiler.h"
#include "base/id.h"
#include "base/rand.h"
#include "base/str_view.h"

enum cf {
#define CF(id, name, prefix, scanned, what) CF_##id,
#include "store/cf.def"
#undef CF
    CF_COUNT
};

/* key_name_bytes_max: 80 characters of four bytes, the longest channel name. key_max holds it
 * behind its team, with a byte to continue paging. */
enum { key_max = 336, key_name_bytes_max = 320, vshards = 1024, key128_bytes = 16 };

static inline uint16_t vshard_of(uint64_t cid_or_uid)
{
    return (uint16_t)(mix64(cid_or_uid) >> 54);
}

struct key {
    uint16_t len;
    uint8_t b[key_max];
};
static inline struct str_view key_view(const struct key *k)
{
    return (struct str_view){(const char *)k->b, k->len};
}

uint64_t key_owner(struct str_view key); /* of a key that begins with vs and an owner */
void key_msg(struct key *k, uint64_t cid, uint64_t ts_us);
void key_msg_prefix(struct key *k, uint64_t cid); /* vs cid 00 */
uint64_t key_msg_ts(struct str_view key);         /* of a full msg key */
void key_reply(struct key *k, uint64_t cid, uint64_t thread_ts_us, uint64_t ts_us);
void key_replies(struct key *k, uint64_t cid, uint64_t thread_ts_us); /* prefix */
uint64_t key_reply_ts(struct str_view key);
void key_pointer(struct key *k, uint64_t cid, uint64_t ts_us);
uint64_t key_pointer_ts(struct str_view key);
bool key_is_pointer(struct str_view key); /* of a full msg key */
void key_pin(struct key *k, uint64_t cid, uint64_t ts_us);
void key_pins(struct key *k, uint64_t cid); /* prefix */
uint64_t key_pin_ts(struct str_view key);
void key_follow(struct key *k, uint64_t cid, uint64_t thread_ts_us, uint64_t uid);
void key_dedup(struct key *k, uint64_t cid, uint64_t uid, const uint8_t key128[key128_bytes]);
/* A UUID's 16 bytes, else the first 16 bytes of SHA-256 of the literal. Stable for ever. */
void key128_of(uint8_t out[key128_bytes], struct str_view client_msg_id);
void key_chan_info(struct key *k, uint64_t cid);
void key_chan_head(struct key *k, uint64_t cid);
void key_chan_member(struct key *k, uint64_t cid, uint64_t uid);
void key_chan_members(struct key *k, uint64_t cid); /* prefix */
uint64_t key_chan_member_uid(struct str_view key);
void key_chan_cursor(struct key *k, uint64_t cid, uint64_t uid);
void key_user(struct key *k, uint64_t uid);
void key_membership(struct key *k, uint64_t uid, uint64_t cid);
void key_memberships(struct key *k, uint64_t uid); /* prefix */
uint64_t key_membership_cid(struct str_view key);
void key_reacted(struct key *k, uint64_t uid, uint64_t ts_us, uint64_t cid);
void key_reacted_from(struct key *k, uint64_t uid, uint64_t ts_us); /* of ts_us or older */
void key_reacted_all(struct key *k, uint64_t uid);                  /* prefix */
void key_reacted_parts(struct str_view key, uint64_t *ts_us, uint64_t *cid);
void key_document(struct key *k, uint64_t owner, uint8_t kind);
void key_team(struct key *k, uint64_t team);
void key_teams(struct key *k); /* prefix */
void key_domain(struct key *k, struct str_view domain);
void key_password(struct key *k, uint64_t uid);
void key_token(struct key *k, const uint8_t hash[32]);
void key_tokens(struct key *k); /* prefix */
void key_channel_name(struct key *k, uint64_t team, struct str_view name);
void key_channel_names(struct key *k, uint64_t team); /* prefix */
struct str_view key_channel_name_of(struct str_view key);
void key_team_user(struct key *k, uint64_t team, uint64_t uid);
void key_team_users(struct key *k, uint64_t team); /* prefix */
uint64_t key_team_user_uid(struct str_view key);
void key_scheduled(struct key *k, uint64_t team, uint64_t uid, uint64_t id);
void key_scheduled_of(struct key *k, uint64_t team, uint64_t uid); /* prefix */
void key_scheduled_all(struct key *k);                             /* prefix */
void key_email(struct key *k, uint64_t team, struct str_view email);
void key_posting(struct key *k, uint64_t team, struct str_view word, uint64_t ts_us);
/* Of one word, or of all words that begin so. */
void key_postings(struct key *k, uint64_t team, struct str_view word);
void key_postings_begin(struct key *k, uint64_t team, struct str_view prefix);
struct str_view key_posting_word(struct str_view key);
uint64_t key_posting_ts(struct str_view key); /* of its newest */
void key_indexed(struct key *k, uint64_t cid);
void key_edited(struct key *k, uint64_t cid, uint64_t ts_us);
void key_edited_all(struct key *k); /* prefix */
void key_edited_parts(struct str_view key, uint64_t *cid, uint64_t *ts_us);
void key_file(struct key *k, const struct file_id *id);
void key_file_reserved(struct key *k, const struct file_id *id);
void key_files_reserved(struct key *k); /* prefix */
enum file_list { FILES_OF_TEAM = 't', FILES_OF_USER = 'u', FILES_IN_CHANNEL = 'c' };
/* owner: team, user or channel. */
void key_file_listed(struct key *k, enum file_list list, uint64_t owner, uint64_t created_us,
                     const struct file_id *id);
void key_files_listed(struct key *k, enum file_list list, uint64_t owner,
                      uint64_t created_us); /* prefix */
/* A file with a word; all of one word, or of all words that begin so. */
void key_file_posting(struct key *k, uint64_t team, struct str_view word, uint64_t created_us,
                      const struct file_id *id);
void key_file_postings(struct key *k, uint64_t team, struct str_view word,
                       uint64_t created_us);                                        /* prefix */
void key_file_postings_begin(struct key *k, uint64_t team, struct str_view prefix); /* prefix */
/* Of a key of a list or of a word. */
uint64_t key_file_created_us(struct str_view key);
void key_file_words(struct key *k, const struct file_id *id);
void key_files_indexed(struct key *k);
void key_files(struct key *k);                              /* prefix: every file */
void key_file_id(struct str_view key, struct file_id *out); /* of any of these keys */
void key_blob(struct key *k, const uint8_t sha256[32]);
/* uids ascending, each once: one or two of an im, 3 to 9 of an mpim. */
void key_directs(struct key *k, uint64_t team); /* prefix */
void key_direct(struct key *k, uint64_t team, const uint64_t *uids, uint32_t n);
void key_meta(struct key *k, struct str_view name, uint32_t index);
/* The first key behind every key with this prefix. */
void key_prefix_end(struct key *k);

#endif
