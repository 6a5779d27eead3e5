#include "store/key.h"

#include "test.h"

static int order(const struct key *a, const struct key *b)
{
    return sv_cmp(key_view(a), key_view(b));
}

TEST(bytes_order_as_numbers)
{
    struct rand_src r;
    rand_init_seeded(&r, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t a = rand_u64(&r) >> (i % 64), b = rand_u64(&r) >> (i % 63);
        uint64_t cid = rand_u64(&r);
        struct key x, y;
        int want = (a > b) - (a < b);
        key_msg(&x, cid, a);
        key_msg(&y, cid, b);
        CHECK_EQ((order(&y, &x) > 0) - (order(&y, &x) < 0), want); /* newest first */
        CHECK(key_msg_ts(key_view(&x)) == a);
        key_chan_member(&x, cid, a);
        key_chan_member(&y, cid, b);
        CHECK_EQ((order(&x, &y) > 0) - (order(&x, &y) < 0), want);
        CHECK(key_chan_member_uid(key_view(&y)) == b);
        key_membership(&x, cid, a);
        CHECK(key_membership_cid(key_view(&x)) == a);
        uint64_t ts_us, of;
        key_reacted(&x, cid, a, b);
        key_reacted(&y, cid, b, a);
        CHECK_EQ((order(&y, &x) > 0) - (order(&y, &x) < 0), want); /* newest first */
        key_reacted_parts(key_view(&x), &ts_us, &of);
        CHECK(ts_us == a && of == b && key_owner(key_view(&x)) == cid);
        key_team_user(&x, cid, a);
        key_team_user(&y, cid, b);
        CHECK_EQ((order(&x, &y) > 0) - (order(&x, &y) < 0), want);
        CHECK(key_team_user_uid(key_view(&x)) == a);
    }
}

static void check_inside(const struct key *prefix, const struct key *k, bool inside)
{
    struct key end = *prefix;
    key_prefix_end(&end);
    CHECK_EQ(order(k, prefix) >= 0 && order(k, &end) < 0, inside);
}

TEST(a_prefix_holds_its_keys_and_no_neighbours)
{
    static const uint64_t ids[] = {1, 255, 256, 0xff00, UINT64_MAX - 1, UINT64_MAX};
    static const uint8_t hash[32] = {0xff, 0xff};
    static const struct file_id last_file = {"FZZZZZZZZZZZZZZZZZZZZ"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ids); j++) {
            struct key p, k;
            key_chan_members(&p, ids[i]);
            key_chan_member(&k, ids[i], ids[j]);
            check_inside(&p, &k, true);
            key_chan_cursor(&k, ids[i], ids[j]);
            check_inside(&p, &k, false);
            key_chan_info(&k, ids[i]);
            check_inside(&p, &k, false);
            key_chan_head(&k, ids[i]);
            check_inside(&p, &k, false);
            key_chan_member(&k, ids[j], 1);
            check_inside(&p, &k, i == j);
            key_msg_prefix(&p, ids[i]);
            key_msg(&k, ids[i], ids[j]);
            check_inside(&p, &k, true);
            key_msg(&k, ids[j], 0);
            check_inside(&p, &k, i == j);
            key_memberships(&p, ids[i]);
            key_user(&k, ids[i]);
            check_inside(&p, &k, false);
            key_reacted_all(&p, ids[i]);
            key_reacted(&k, ids[j], ids[i], ids[j]);
            check_inside(&p, &k, i == j);
            key_reacted_from(&p, ids[i], ids[j]);
            key_reacted(&k, ids[i], ids[j], ids[i]);
            check_inside(&p, &k, true);
            key_channel_names(&p, ids[i]);
            key_channel_name(&k, ids[i], SV("general"));
            check_inside(&p, &k, true);
            CHECK_SV(key_channel_name_of(key_view(&k)), "general");
            key_channel_name(&k, ids[j], SV("\xff\xff\xff"));
            check_inside(&p, &k, i == j);
            key_team_users(&p, ids[i]);
            key_team_user(&k, ids[j], ids[i]);
            check_inside(&p, &k, i == j);
            key_files_listed(&p, FILES_OF_USER, ids[i], ids[j]);
            key_file_listed(&k, FILES_OF_USER, ids[i], ids[j], &last_file);
            check_inside(&p, &k, true);
            CHECK(key_file_created_us(key_view(&k)) == ids[j]);
            key_file_listed(&k, FILES_OF_TEAM, ids[i], ids[j], &last_file);
            check_inside(&p, &k, false);
            key_file_listed(&k, FILES_OF_USER, ids[i], ids[j] - 1, &last_file);
            check_inside(&p, &k, false);
            key_file_postings(&p, ids[i], SV("word"), ids[j]);
            key_file_posting(&k, ids[i], SV("word"), ids[j], &last_file);
            check_inside(&p, &k, true);
            CHECK(key_file_created_us(key_view(&k)) == ids[j]);
            key_file_posting(&k, ids[i], SV("words"), ids[j], &last_file);
            check_inside(&p, &k, false);
            key_file_postings_begin(&p, ids[i], SV("word"));
            check_inside(&p, &k, true);
            key_file_posting(&k, ids[j], SV("words"), ids[j], &last_file);
            check_inside(&p, &k, i == j);
        }
    }
    struct key p, k;
    struct file_id id;
    key_files_reserved(&p);
    key_file_reserved(&k, &last_file);
    check_inside(&p, &k, true);
    key_file_id(key_view(&k), &id);
    CHECK_MEM(id.text, last_file.text, file_id_len);
    key_file(&k, &last_file);
    check_inside(&p, &k, false);
    key_file_id(key_view(&k), &id);
    CHECK_MEM(id.text, last_file.text, file_id_len);
    key_file_words(&p, &last_file);
    check_inside(&p, &k, false);
    key_files(&p);
    check_inside(&p, &k, true);
    key_file_words(&k, &last_file);
    check_inside(&p, &k, false);
    key_file_id(key_view(&k), &id);
    CHECK_MEM(id.text, last_file.text, file_id_len);
    key_files_indexed(&k);
    check_inside(&p, &k, false);
    key_blob(&k, hash);
    check_inside(&p, &k, false);
    key_tokens(&p);
    key_token(&k, hash);
    check_inside(&p, &k, true);
    key_teams(&k);
    check_inside(&p, &k, false);
}

TEST(the_first_ten_bytes_are_vshard_and_owner)
{
    struct key k;
    key_msg(&k, 0x0102030405060708u, 5);
    uint16_t vs = vshard_of(0x0102030405060708u);
    CHECK(vs < vshards);
    CHECK_EQ(k.b[0], vs >> 8);
    CHECK_EQ(k.b[1], vs & 255);
    CHECK_MEM(k.b + 2, "\1\2\3\4\5\6\7\10\0", 9);
    CHECK_EQ(k.len, 19);
}

/* The largest name that names of channels may have: 80 characters of four bytes; and one byte more,
 * as paging appends. */
TEST(the_largest_names_fit)
{
    char name[80 * 4];
    struct key k;
    memset(name, 'x', sizeof name);
    key_channel_name(&k, UINT64_MAX, (struct str_view){name, sizeof name});
    CHECK(k.len < key_max);
}

/* Stable for ever: stored rows lie under these. */
TEST(key128_is_what_it_was)
{
    uint8_t a[key128_bytes], b[key128_bytes];
    key128_of(a, SV("00112233-4455-6677-8899-aabbccddeeff"));
    CHECK_MEM(a, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    key128_of(b, SV("00112233-4455-6677-8899-AABBCCDDEEFF")); /* another literal, another key */
    CHECK(memcmp(a, b, 16) != 0);
    key128_of(b, SV("abc"));
    CHECK_MEM(b, "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23", 16);
    static const char *const others[] = {
        "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefff",
        "00112233x4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeegg",
        "001122334-455-6677-8899-aabbccddeeff"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        key128_of(b, sv_from(others[i]));
        CHECK(memcmp(a, b, 16) != 0);
    }
}
