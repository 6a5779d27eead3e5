#include "store/key.h"

#include <openssl/sha.h>

#include "base/mutant.h"

static inline void put(struct key *k, const void *p, size_t n)
{
    ASSERT(k->len + n <= key_max);
    if (n > 0)
        memcpy(k->b + k->len, p, n);
    k->len = (uint16_t)(k->len + n);
}

static void put_u8(struct key *k, uint8_t v)
{
    put(k, &v, 1);
}

static void put_u64(struct key *k, uint64_t v)
{
    uint64_t big_endian = __builtin_bswap64(v); /* x86-64 is little-endian */
    put(k, &big_endian, sizeof big_endian);
}

static uint64_t get_u64(struct str_view key, size_t at)
{
    uint64_t v = 0;
    ASSERT(key.len >= at + 8);
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (uint8_t)key.p[at + i];
    return v;
}

/* vs and the owner's id: the ten bytes that the prefix filters cover. */
static void begin_owner(struct key *k, uint64_t owner)
{
    uint16_t vs = vshard_of(owner);
    k->len = 0;
    put_u8(k, (uint8_t)(vs >> 8));
    put_u8(k, (uint8_t)vs);
    put_u64(k, owner);
}

static void begin_letter(struct key *k, char letter)
{
    k->len = 0;
    put_u8(k, (uint8_t)letter);
}

enum { owner_bytes = 10, pointer_mark = 2 };

uint64_t key_owner(struct str_view key)
{
    return get_u64(key, owner_bytes - 8);
}

void key_msg_prefix(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 0);
}

void key_msg(struct key *k, uint64_t cid, uint64_t ts_us)
{
    key_msg_prefix(k, cid);
    put_u64(k, ~ts_us);
}

uint64_t key_msg_ts(struct str_view key)
{
    return ~get_u64(key, owner_bytes + 1);
}

/* ---- replies ---- */

void key_replies(struct key *k, uint64_t cid, uint64_t thread_ts_us)
{
    begin_owner(k, cid);
    put_u8(k, 1);
    put_u64(k, thread_ts_us);
}

void key_reply(struct key *k, uint64_t cid, uint64_t thread_ts_us, uint64_t ts_us)
{
    key_replies(k, cid, thread_ts_us);
    put_u64(k, ts_us);
}

uint64_t key_reply_ts(struct str_view key)
{
    return get_u64(key, owner_bytes + 1 + 8);
}

void key_pointer(struct key *k, uint64_t cid, uint64_t ts_us)
{
    begin_owner(k, cid);
    put_u8(k, pointer_mark);
    put_u64(k, ts_us);
}

bool key_is_pointer(struct str_view key)
{
    return key.p[owner_bytes] == pointer_mark;
}

uint64_t key_pointer_ts(struct str_view key)
{
    return get_u64(key, owner_bytes + 1);
}

/* ---- idx ---- */

void key_pins(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 'p');
}

void key_pin(struct key *k, uint64_t cid, uint64_t ts_us)
{
    key_pins(k, cid);
    put_u64(k, ts_us);
}

uint64_t key_pin_ts(struct str_view key)
{
    return get_u64(key, owner_bytes + 1);
}

void key_follow(struct key *k, uint64_t cid, uint64_t thread_ts_us, uint64_t uid)
{
    begin_owner(k, cid);
    put_u8(k, 't');
    put_u64(k, thread_ts_us);
    put_u64(k, uid);
}

void key_dedup(struct key *k, uint64_t cid, uint64_t uid, const uint8_t key128[key128_bytes])
{
    begin_owner(k, cid);
    put_u8(k, 'd');
    put_u64(k, MUTANT(KEY_OF_OTHER_SENDER, uid, 0));
    put(k, key128, key128_bytes);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Lower-case hyphenated form only: another spelling is another key, and hashes to its own place. */
static bool parse_uuid(struct str_view s, uint8_t out[16])
{
    size_t n = 0;
    if (s.len != 36)
        return false;
    for (size_t i = 0; i < 36;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s.p[i++] != '-')
                return false;
            continue;
        }
        int high = hex_value(s.p[i]), low = hex_value(s.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[n++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return true;
}

void key128_of(uint8_t out[key128_bytes], struct str_view client_msg_id)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (parse_uuid(client_msg_id, out))
        return;
    SHA256((const uint8_t *)client_msg_id.p, client_msg_id.len, digest);
    memcpy(out, digest, key128_bytes);
}

void key_chan_info(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 'i');
}

void key_chan_head(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 'h');
}

void key_chan_members(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 'm');
}

void key_chan_member(struct key *k, uint64_t cid, uint64_t uid)
{
    key_chan_members(k, cid);
    put_u64(k, uid);
}

uint64_t key_chan_member_uid(struct str_view key)
{
    return get_u64(key, owner_bytes + 1);
}

void key_chan_cursor(struct key *k, uint64_t cid, uint64_t uid)
{
    begin_owner(k, cid);
    put_u8(k, 'c');
    put_u64(k, uid);
}

void key_user(struct key *k, uint64_t uid)
{
    begin_owner(k, uid);
    put_u8(k, 'p');
}

void key_memberships(struct key *k, uint64_t uid)
{
    begin_owner(k, uid);
    put_u8(k, 'M');
}

void key_membership(struct key *k, uint64_t uid, uint64_t cid)
{
    key_memberships(k, uid);
    put_u64(k, cid);
}

void key_document(struct key *k, uint64_t owner, uint8_t kind)
{
    begin_owner(k, owner);
    put_u8(k, 'B');
    put_u8(k, kind);
}

uint64_t key_membership_cid(struct str_view key)
{
    return get_u64(key, owner_bytes + 1);
}

void key_reacted_all(struct key *k, uint64_t uid)
{
    begin_owner(k, uid);
    put_u8(k, 'R');
}

void key_reacted_from(struct key *k, uint64_t uid, uint64_t ts_us)
{
    key_reacted_all(k, uid);
    put_u64(k, ~ts_us);
}

void key_reacted(struct key *k, uint64_t uid, uint64_t ts_us, uint64_t cid)
{
    key_reacted_from(k, uid, ts_us);
    put_u64(k, cid);
}

void key_reacted_parts(struct str_view key, uint64_t *ts_us, uint64_t *cid)
{
    *ts_us = ~get_u64(key, owner_bytes + 1);
    *cid = get_u64(key, owner_bytes + 1 + 8);
}

void key_teams(struct key *k)
{
    begin_letter(k, 'T');
}

void key_team(struct key *k, uint64_t team)
{
    key_teams(k);
    put_u64(k, team);
}

void key_domain(struct key *k, struct str_view domain)
{
    begin_letter(k, 'd');
    put(k, domain.p, domain.len);
}

void key_tokens(struct key *k)
{
    begin_letter(k, 't');
}

void key_token(struct key *k, const uint8_t hash[32])
{
    key_tokens(k);
    put(k, hash, 32);
}

void key_channel_names(struct key *k, uint64_t team)
{
    begin_letter(k, 'n');
    put_u64(k, team);
}

void key_channel_name(struct key *k, uint64_t team, struct str_view name)
{
    key_channel_names(k, team);
    put(k, name.p, name.len);
}

struct str_view key_channel_name_of(struct str_view key)
{
    ASSERT(key.len >= 9);
    return (struct str_view){key.p + 9, key.len - 9};
}

void key_team_users(struct key *k, uint64_t team)
{
    begin_letter(k, 'u');
    put_u64(k, team);
}

void key_team_user(struct key *k, uint64_t team, uint64_t uid)
{
    key_team_users(k, team);
    put_u64(k, uid);
}

uint64_t key_team_user_uid(struct str_view key)
{
    return get_u64(key, 9);
}

void key_password(struct key *k, uint64_t uid)
{
    begin_letter(k, 'p');
    put_u64(k, uid);
}

void key_scheduled_all(struct key *k)
{
    begin_letter(k, 's');
}

void key_scheduled_of(struct key *k, uint64_t team, uint64_t uid)
{
    key_scheduled_all(k);
    put_u64(k, team);
    put_u64(k, uid);
}

void key_scheduled(struct key *k, uint64_t team, uint64_t uid, uint64_t id)
{
    key_scheduled_of(k, team, uid);
    put_u64(k, id);
}

void key_email(struct key *k, uint64_t team, struct str_view email)
{
    begin_letter(k, 'e');
    put_u64(k, team);
    put(k, email.p, email.len);
}

/* ---- search ---- */

void key_postings_begin(struct key *k, uint64_t team, struct str_view prefix)
{
    begin_owner(k, team);
    put_u8(k, 'w');
    put(k, prefix.p, prefix.len);
}

void key_postings(struct key *k, uint64_t team, struct str_view word)
{
    key_postings_begin(k, team, word);
    put_u8(k, 0);
}

void key_posting(struct key *k, uint64_t team, struct str_view word, uint64_t ts_us)
{
    key_postings(k, team, word);
    put_u64(k, ~ts_us);
}

struct str_view key_posting_word(struct str_view key)
{
    enum { around = owner_bytes + 1 + 1 + 8 };
    ASSERT(key.len > around);
    return (struct str_view){key.p + owner_bytes + 1, key.len - around};
}

uint64_t key_posting_ts(struct str_view key)
{
    return ~get_u64(key, key.len - 8);
}

void key_indexed(struct key *k, uint64_t cid)
{
    begin_owner(k, cid);
    put_u8(k, 'k');
}

void key_edited_all(struct key *k)
{
    begin_letter(k, 'E');
}

void key_edited(struct key *k, uint64_t cid, uint64_t ts_us)
{
    begin_letter(k, 'E');
    put_u64(k, cid);
    put_u64(k, ts_us);
}

void key_edited_parts(struct str_view key, uint64_t *cid, uint64_t *ts_us)
{
    *cid = get_u64(key, 1);
    *ts_us = get_u64(key, 1 + 8);
}

/* ---- files ---- */

void key_file(struct key *k, const struct file_id *id)
{
    k->len = 0;
    put(k, id->text, file_id_len);
}

void key_files_reserved(struct key *k)
{
    begin_letter(k, 'R');
}

void key_file_reserved(struct key *k, const struct file_id *id)
{
    key_files_reserved(k);
    put(k, id->text + 1, file_id_len - 1);
}

void key_files_listed(struct key *k, enum file_list list, uint64_t owner, uint64_t created_us)
{
    begin_owner(k, owner);
    put_u8(k, (uint8_t)list);
    put_u64(k, ~created_us);
}

void key_file_listed(struct key *k, enum file_list list, uint64_t owner, uint64_t created_us,
                     const struct file_id *id)
{
    key_files_listed(k, list, owner, created_us);
    put(k, id->text + 1, file_id_len - 1);
}

void key_file_postings_begin(struct key *k, uint64_t team, struct str_view prefix)
{
    begin_owner(k, team);
    put_u8(k, 'w');
    put(k, prefix.p, prefix.len);
}

void key_file_postings(struct key *k, uint64_t team, struct str_view word, uint64_t created_us)
{
    key_file_postings_begin(k, team, word);
    put_u8(k, 0);
    put_u64(k, ~created_us);
}

void key_file_posting(struct key *k, uint64_t team, struct str_view word, uint64_t created_us,
                      const struct file_id *id)
{
    key_file_postings(k, team, word, created_us);
    put(k, id->text + 1, file_id_len - 1);
}

uint64_t key_file_created_us(struct str_view key)
{
    return ~get_u64(key, key.len - (file_id_len - 1) - 8);
}

void key_file_words(struct key *k, const struct file_id *id)
{
    begin_letter(k, 'W');
    put(k, id->text + 1, file_id_len - 1);
}

void key_files_indexed(struct key *k)
{
    begin_letter(k, 'I');
}

void key_files(struct key *k)
{
    begin_letter(k, ID_FILE);
}

void key_file_id(struct str_view key, struct file_id *out)
{
    ASSERT(key.len >= file_id_len);
    out->text[0] = ID_FILE;
    memcpy(out->text + 1, key.p + key.len - (file_id_len - 1), file_id_len - 1);
}

void key_blob(struct key *k, const uint8_t sha256[32])
{
    begin_letter(k, 'B');
    put(k, sha256, 32);
}

void key_directs(struct key *k, uint64_t team)
{
    begin_letter(k, '2');
    put_u64(k, team);
}

void key_direct(struct key *k, uint64_t team, const uint64_t *uids, uint32_t n)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct key members = {0};
    ASSERT(n > 0 && n * 8 <= key_max);
    for (uint32_t i = 0; i < n; i++)
        put_u64(&members, uids[i]);
    SHA256(members.b, members.len, hash);
    key_directs(k, team);
    put(k, hash, key128_bytes);
}

void key_meta(struct key *k, struct str_view name, uint32_t index)
{
    k->len = 0;
    put(k, name.p, name.len);
    put_u8(k, 0);
    put_u64(k, index);
}

void key_prefix_end(struct key *k)
{
    while (k->len > 0 && k->b[k->len - 1] == 0xff)
        k->len--;
    ASSERT(k->len > 0);
    k->b[k->len - 1]++;
}
