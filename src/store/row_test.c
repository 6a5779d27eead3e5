#include "store/row.h"

#include "store/crc32c.h"
#include "store/row_file.h"
#include "test.h"

/* One of each record: encode, decode, encode what came out: the same bytes. Then every bit of key
 * and value is flipped once, and every cut tried. */
struct codec {
    const char *name;
    void (*encode)(struct buf *b, const struct key *k, const void *row);
    enum err (*decode)(void *row, struct str_view key, struct str_view value);
    const void *row;
};

#define CODEC(kind)                                                                                \
    static void encode_##kind(struct buf *b, const struct key *k, const void *row)                 \
    {                                                                                              \
        row_##kind##_encode(b, k, row);                                                            \
    }                                                                                              \
    static enum err decode_##kind(void *row, struct str_view key, struct str_view value)           \
    {                                                                                              \
        return row_##kind##_decode(row, key, value);                                               \
    }
CODEC(message)
CODEC(dedup)
CODEC(chan_info)
CODEC(chan_head)
CODEC(member)
CODEC(cursor)
CODEC(reacted)
CODEC(relist)
CODEC(follow)
CODEC(team)
CODEC(user)
CODEC(token)
CODEC(document)
CODEC(scheduled)
CODEC(channel_name)
CODEC(file)
CODEC(file_listed)
CODEC(blob)
CODEC(file_words)
CODEC(files_indexed)
static void encode_u64(struct buf *b, const struct key *k, const void *row)
{
    row_u64_encode(b, k, *(const uint64_t *)row);
}
static enum err decode_u64(void *row, struct str_view key, struct str_view value)
{
    return row_u64_decode(row, key, value);
}

#define S(lit)                                                                                     \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }
static const struct row_message message = {.ts_us = 1517436010000936,
                                           .seq = 77,
                                           .uid = UINT64_MAX,
                                           .flags = 0x1ff,
                                           .client_msg_id = S("id"),
                                           .body = S("{\"type\":\"message\",\"text\":\"\xc3\xa4\""),
                                           .content_at = 17,
                                           .content_len = 12,
                                           .thread_ts_us = 5,
                                           .edited_us = 6,
                                           .edited_by = 7,
                                           .pinned_us = 8,
                                           .pinned_by = 9,
                                           .thread = S("\x01\x02"),
                                           .reactions = S("\x03"),
                                           .metadata = S("{}")};
static const struct row_message plain_message = {
    .ts_us = 1, .seq = 2, .uid = 3, .body = S("{\"text\":\"\""), .content_at = 1, .content_len = 9};
static const struct row_message empty_message = {.body = S("")};
static const struct row_dedup dedup = {.ts_us = 1, .seq = UINT64_MAX, .client_msg_id = S("x")};
static const struct row_chan_info info = {.cid = 1,
                                          .team = 2,
                                          .creator = 3,
                                          .created_s = 4,
                                          .updated_s = 5,
                                          .kind = CHANNEL_MPIM,
                                          .archived = true,
                                          .general = true,
                                          .name = S("general"),
                                          .topic = S(""),
                                          .purpose = S("p"),
                                          .topic_by = 6,
                                          .topic_set_s = 7,
                                          .purpose_by = 8,
                                          .purpose_set_s = 9,
                                          .peer = 10};
static const struct row_chan_head head = {
    .seq = 1u << 31, .last_ts_us = 9, .members_len = UINT32_MAX, .pins = 100};
static const struct row_member member = {
    .joined_us = 127, .inviter = 128, .kind = CHANNEL_IM, .closed_ts_us = 1700000000000001};
static const struct row_follow follow = {true, 1700000000000001, 1700000000000002};
static const struct row_reacted reacted = {CHANNEL_MPIM};
static const struct row_cursor cursor = {16383, 16384, 1ull << 56, 1ull << 63};
static const struct row_team team = {
    .team = 1, .created_s = 2, .general_cid = 3, .domain = S("d"), .name = S("n")};
static const struct row_user user = {.uid = 1,
                                     .team = 2,
                                     .bot_id = 3,
                                     .app_id = 4,
                                     .created_s = 5,
                                     .updated_s = 6,
                                     .flags = USER_BOT | USER_OWNER,
                                     .name = S("a"),
                                     .real_name = S("b"),
                                     .display_name = S(""),
                                     .email = S("c@d"),
                                     .title = S("e"),
                                     .tz = S("UTC"),
                                     .phone = S("1"),
                                     .status_text = S("f"),
                                     .status_emoji = S(":g:"),
                                     .status_expiration_s = 7};
static const struct row_token token = {
    .team = 1, .uid = 2, .created_s = 3, .revoked_s = 4, .kind = TOKEN_APP, .scopes = UINT64_MAX};
static const struct row_channel_name name = {.cid = 5, .kind = CHANNEL_PRIVATE, .archived = true};
static const struct row_document document = {.revision = 300, .text = S("[{\"a\":1}]")};
static const struct row_scheduled scheduled = {.kind = CHANNEL_MPIM,
                                               .id = 1,
                                               .team = 2,
                                               .uid = 3,
                                               .cid = 4,
                                               .post_s = 5,
                                               .created_s = 6,
                                               .thread_ts_us = 7,
                                               .broadcast = true,
                                               .content_at = 2,
                                               .members = S("abc"),
                                               .metadata = S("{}"),
                                               .text = S("t")};
static const struct row_file file = {
    .team = 1,
    .uid = 2,
    .created_us = 1517436010000936,
    .flags = FILE_IMAGE,
    .length = UINT64_MAX,
    .name = S("a.png"),
    .title = S("\xc3\xa4"),
    .alt_text = S(""),
    .snippet_type = S("c"),
    .mimetype = S("image/png"),
    .filetype = S("png"),
    .width = 640,
    .height = UINT32_MAX,
    .secret = S("ABCD"),
    .sha256 = {1, 2, 3},
    .shares_len = 2,
    .shares = {{4, CHANNEL_IM, 5, S("")}, {6, CHANNEL_PUBLIC, 0, S("k")}}};
static const struct row_file_listed file_listed = {.uid = 300, .types = 31, .open = true};
static const struct row_file_words file_words = {.version = 1, .packed = S("\4word\1\0")};
static const struct row_files_indexed files_indexed = {
    .version = 1, .whole = true, .at = {"F0123456789ABCDEFGHJK"}};
static const struct row_blob blob = {.files = 1, .length = 1ull << 40};
static const struct row_relist relist_begun = {.at = S("key")}, relist_whole = {.whole = true};
static const uint64_t number = 0x8000000000000001u;

static const struct codec codecs[] = {
    {"message", encode_message, decode_message, &message},
    {"empty message", encode_message, decode_message, &empty_message},
    {"dedup", encode_dedup, decode_dedup, &dedup},
    {"info", encode_chan_info, decode_chan_info, &info},
    {"head", encode_chan_head, decode_chan_head, &head},
    {"member", encode_member, decode_member, &member},
    {"cursor", encode_cursor, decode_cursor, &cursor},
    {"team", encode_team, decode_team, &team},
    {"user", encode_user, decode_user, &user},
    {"token", encode_token, decode_token, &token},
    {"name", encode_channel_name, decode_channel_name, &name},
    {"u64", encode_u64, decode_u64, &number},
    {"scheduled", encode_scheduled, decode_scheduled, &scheduled},
    {"document", encode_document, decode_document, &document},
    {"file", encode_file, decode_file, &file},
    {"listed file", encode_file_listed, decode_file_listed, &file_listed},
    {"blob", encode_blob, decode_blob, &blob},
    {"reacted", encode_reacted, decode_reacted, &reacted},
    {"follow", encode_follow, decode_follow, &follow},
    {"words", encode_file_words, decode_file_words, &file_words},
    {"indexed files", encode_files_indexed, decode_files_indexed, &files_indexed},
    {"plain message", encode_message, decode_message, &plain_message},
    {"begun list of reactions", encode_relist, decode_relist, &relist_begun},
    {"whole list of reactions", encode_relist, decode_relist, &relist_whole},
};

enum { row_max = 1024 };

static size_t encode(const struct codec *c, const struct key *k, const void *row, char *out)
{
    struct buf b;
    buf_init_fixed(&b, out, row_max);
    c->encode(&b, k, row);
    CHECK(!b.failed);
    return b.len;
}

TEST(every_record_comes_back)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        char first[row_max], second[row_max];
        _Alignas(16) char row[sizeof(struct row_file)]; /* the largest */
        struct key k;
        key_user(&k, 99);
        size_t n = encode(&codecs[i], &k, codecs[i].row, first);
        memset(row, 0xaa, sizeof row);
        CHECK_EQ(codecs[i].decode(row, key_view(&k), (struct str_view){first, n}), ERR_OK);
        CHECK_EQ(encode(&codecs[i], &k, row, second), n);
        CHECK_MEM(first, second, n);
    }
}

TEST(every_flipped_bit_and_every_cut_is_corrupt)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        char value[row_max];
        _Alignas(16) char row[sizeof(struct row_file)]; /* the largest */
        struct key k;
        key_user(&k, 99);
        size_t n = encode(&codecs[i], &k, codecs[i].row, value);
        for (size_t bit = 0; bit < n * 8; bit++) {
            value[bit / 8] = (char)(value[bit / 8] ^ 1 << bit % 8);
            CHECK_EQ(codecs[i].decode(row, key_view(&k), (struct str_view){value, n}), ERR_CORRUPT);
            value[bit / 8] = (char)(value[bit / 8] ^ 1 << bit % 8);
        }
        for (size_t bit = 0; bit < k.len * 8u; bit++) { /* a row under another's key */
            k.b[bit / 8] = (uint8_t)(k.b[bit / 8] ^ 1 << bit % 8);
            CHECK_EQ(codecs[i].decode(row, key_view(&k), (struct str_view){value, n}), ERR_CORRUPT);
            k.b[bit / 8] = (uint8_t)(k.b[bit / 8] ^ 1 << bit % 8);
        }
        for (size_t cut = 0; cut < n; cut++)
            CHECK_EQ(codecs[i].decode(row, key_view(&k), (struct str_view){value, cut}),
                     ERR_CORRUPT);
        CHECK_EQ(codecs[i].decode(row, key_view(&k), (struct str_view){value, n}), ERR_OK);
    }
}

/* A checksum proves the bytes, not their meaning: a kind that this version does not know is not
 * used as an index by anyone. */
TEST(unknown_kinds_are_corrupt)
{
    char value[row_max];
    struct key k;
    struct row_chan_info i = info;
    struct row_member m = member;
    struct row_token t = token;
    struct row_channel_name c = name;
    struct row_file f = file;
    struct row_reacted x = {CHANNEL_MPIM + 1};
    key_user(&k, 99);
    i.kind = m.kind = c.kind = CHANNEL_MPIM + 1;
    t.kind = TOKEN_APP + 1;
    f.shares[1].kind = CHANNEL_MPIM + 1;
    const struct {
        const struct codec *codec;
        void *row;
    } rows[] = {{&codecs[3], &i},  {&codecs[5], &m},  {&codecs[9], &t},
                {&codecs[10], &c}, {&codecs[14], &f}, {&codecs[17], &x}};
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        size_t n = encode(rows[r].codec, &k, rows[r].row, value);
        CHECK_EQ(rows[r].codec->decode(rows[r].row, key_view(&k), (struct str_view){value, n}),
                 ERR_CORRUPT);
    }
}

/* Stored rows depend on it: CRC-32C of key and record. */
TEST(the_bytes_are_what_they_were)
{
    char value[row_max];
    struct key k = {.len = 5, .b = "12345"};
    uint64_t six = '6';
    size_t n = encode(&codecs[11], &k, &six, value);
    CHECK_EQ(n, 6);
    CHECK_MEM(value, "\x01\x36", 2);
    uint32_t crc;
    memcpy(&crc, value + 2, 4);
    CHECK_EQ(crc, 0xda0acf2fu);
}

/* What an older version wrote: the last four bytes become its checksum. */
static void seal(char *value, size_t n, const struct key *k)
{
    uint32_t crc = ~crc32c_add(crc32c_add(~0u, (const char *)k->b, k->len), value, n - 4);
    memcpy(value + n - 4, &crc, 4);
}

/* Of before messages could change: the body is the end of it. */
TEST(a_message_of_version_1_is_read)
{
    char value[] = "\x01\x05\x06\x07\x7f\x01k\x02{}....";
    struct key k = {.len = 5, .b = "12345"};
    struct str_view all = {value, sizeof value - 1};
    struct row_message row;
    seal(value, all.len, &k);
    CHECK_EQ(row_message_decode(&row, key_view(&k), all), ERR_OK);
    CHECK(row.ts_us == 5 && row.seq == 6 && row.uid == 7 && row.flags == 0);
    CHECK_SV(row.body, "{}");
    CHECK_EQ(row.content_len, 0);
}

/* Of before shares knew the keys of their messages. */
TEST(a_file_of_version_1_is_read)
{
    char value[] = "\x01\x01\x02\x03\x00\x04\x01x\x00\x00\x00\x00\x00\x00\x00\x00\x20"
                   "0123456789abcdef0123456789abcdef\x02\x05\x01\x00\x06\x00\x07....";
    struct str_view all = {value, sizeof value - 1};
    struct key k = {.len = 5, .b = "12345"};
    struct row_file row;
    struct row_file_listed listed;
    seal(value, all.len, &k);
    CHECK_EQ(row_file_decode(&row, key_view(&k), all), ERR_OK);
    CHECK(row.team == 1 && row.uid == 2 && row.length == 4 && row.shares_len == 2);
    CHECK(row.shares[0].cid == 5 && row.shares[0].ts_us == TS_NONE && row.shares[0].key.len == 0);
    CHECK(row.shares[1].cid == 6 && row.shares[1].ts_us == 7 && row.shares[1].key.len == 0);
    char short_value[] = "\x01\x09\x03....";
    all = (struct str_view){short_value, sizeof short_value - 1};
    seal(short_value, all.len, &k);
    CHECK_EQ(row_file_listed_decode(&listed, key_view(&k), all), ERR_OK);
    CHECK(listed.uid == 9 && listed.types == 3 && !listed.open);
}

/* Of before people had a status. */
TEST(a_user_of_version_1_is_read)
{
    char value[] = "\x01\x01\x02\x00\x00\x05\x06\x04\x01"
                   "a\x01"
                   "b\x00\x00\x00\x03UTC....";
    struct key k = {.len = 5, .b = "12345"};
    struct str_view all = {value, sizeof value - 1};
    struct row_user row;
    seal(value, all.len, &k);
    CHECK_EQ(row_user_decode(&row, key_view(&k), all), ERR_OK);
    CHECK(row.uid == 1 && row.team == 2 && row.flags == USER_ADMIN);
    CHECK_SV(row.tz, "UTC");
    CHECK(row.status_text.len == 0 && row.status_expiration_s == 0);
}

/* Nor does a checksum make room for more than there is. */
TEST(a_file_with_too_many_shares_is_corrupt)
{
    char value[4096];
    struct key k;
    struct buf b;
    static struct row_file f, back;
    f = file;
    key_user(&k, 99);
    f.shares_len = row_file_shares_max;
    buf_init_fixed(&b, value, sizeof value);
    row_file_encode(&b, &k, &f);
    CHECK_EQ(row_file_decode(&back, key_view(&k), buf_view(&b)), ERR_OK);
    CHECK_EQ(back.shares_len, row_file_shares_max);
    /* The number stands behind the hash, and is one byte. */
    char *len = memchr(value, row_file_shares_max, b.len);
    *len = row_file_shares_max + 1;
    size_t n = b.len - 4;
    memcpy(value + n, "\1\1\1", 3); /* the one too many */
    n += 3;
    seal(value, n + 4, &k);
    CHECK_EQ(row_file_decode(&back, key_view(&k), (struct str_view){value, n + 4}), ERR_CORRUPT);
}
