/* Where a file is shared: who may see it there, what a crash leaves, how often, and whose it is. */
#include "media/test_rig.h"

/* ---- share ---- */

TEST(whoever_reads_the_conversation_has_the_file)
{
    struct str_view json;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    s.title = SV("A title");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK(says(buf_view(&s.json), "\"title\":\"A title\""));
    CHECK(says(buf_view(&s.json), "\"groups\":[\"C2\"]"));
    CHECK(says(buf_view(&s.json), "\"shares\":{\"private\":{\"C2\":[]}}"));
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND); /* before the message is there */
    put_posted(SECRET, ADA, s.key, 1500000000000001);
    write_rows();
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK); /* before media is told of its ts */
    CHECK_EQ(read_as(EVE, &id, ""), ERR_FILE_NOT_FOUND);
    s = share_of(&id, SECRET, CHANNEL_PRIVATE, 1500000000000001);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(info_as(BOB, &id, &json), ERR_OK);
    CHECK(says(json, "\"title\":\"A title\"")); /* as it was */
    CHECK(says(json, "\"shares\":{\"private\":{\"C2\":[{\"ts\":\"1500000000.000001\""));
    share(&id, OPEN, CHANNEL_PUBLIC, 1500000000000002);
    CHECK_EQ(read_as(EVE, &id, "text"), ERR_OK);
    crash();
    CHECK_EQ(read_as(EVE, &id, "text"), ERR_OK);
    fix_deinit();
}

/* Guests see public conversations only as members, bots only read where they are. */
TEST(guests_and_bots_see_what_they_read)
{
    struct media_open m;
    struct hist_viewer guest = {.team = TEAM, .uid = BOB, .is_guest = true},
                       bot = {.team = TEAM, .uid = BOB, .is_bot = true},
                       operator_ = {.team = TEAM, .uid = EVE, .is_admin = true};
    fix_init();
    struct file_id open = upload(ADA, "x", "a"), secret = upload(ADA, "y", "b");
    CHECK_EQ(open_as(&operator_, &secret, &m), ERR_OK);
    share(&open, OPEN, CHANNEL_PUBLIC, 1);
    share(&secret, SECRET, CHANNEL_PRIVATE, 2);
    CHECK_EQ(open_as(&guest, &open, &m), ERR_FILE_NOT_FOUND);
    CHECK_EQ(open_as(&bot, &open, &m), ERR_FILE_NOT_FOUND);
    CHECK_EQ(open_as(&guest, &secret, &m), ERR_OK);
    CHECK_EQ(open_as(&bot, &secret, &m), ERR_OK);
    put_member(OPEN, BOB);
    write_rows();
    CHECK_EQ(open_as(&guest, &open, &m), ERR_OK);
    CHECK_EQ(open_as(&bot, &open, &m), ERR_OK);
    fix_deinit();
}

/* The object goes into a message: it does not tell its readers where else the file is. */
TEST(no_reader_learns_of_a_conversation_that_is_not_theirs)
{
    struct str_view json;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    share(&id, SECRET, CHANNEL_PRIVATE, 1000001);
    share(&id, DIRECT, CHANNEL_IM, 1000002);
    struct media_share s = share_of(&id, OPEN, CHANNEL_PUBLIC, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    json = buf_view(&s.json);
    CHECK(says(json, "\"channels\":[\"C1\"],\"groups\":[],\"ims\":[]"));
    CHECK(!says(json, "\"C2\"") && !says(json, "\"D3\"") && !says(json, "private\":{"));
    share(&id, OPEN, CHANNEL_PUBLIC, 1000003);
    CHECK_EQ(info_as(EVE, &id, &json), ERR_OK);
    CHECK(says(json, "\"channels\":[\"C1\"],\"groups\":[],\"ims\":[]"));
    CHECK(!says(json, "\"C2\"") && !says(json, "\"D3\"") && !says(json, "private\":{"));
    json = own_json(&id);
    CHECK(says(json, "\"channels\":[\"C1\"],\"groups\":[\"C2\"],\"ims\":[\"D3\"]"));
    CHECK(says(json, "\"is_public\":true"));
    fix_deinit();
}

TEST(a_refused_message_takes_its_share_back)
{
    struct row_file row;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    s.undo = true;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK_EQ(row.shares_len, 0);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK); /* there is none: nothing */
    /* Of two only one: the other's message is there. */
    share(&id, SECRET, CHANNEL_PRIVATE, 5);
    s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    s.undo = true;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    fix_deinit();
}

/* ---- what a crash leaves ---- */

/* Both pages of what Bob sees in SECRET: what is shown, and what is only counted. */
static void check_in_secret(const char *want, const char *counted)
{
    struct media_list q = query(BOB);
    q.cid = SECRET;
    check_list(q, want);
    q.page = 2;
    check_list(q, counted);
}

static uint32_t shares_of(const struct file_id *id)
{
    struct row_file row;
    CHECK_EQ(file_read(f.media, id, &row), ERR_OK);
    return row.shares_len;
}

/* The client was not answered, and nothing was posted: nobody but its owner has the file. */
TEST(a_share_without_a_message_is_none)
{
    struct str_view json;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share before = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    /* Not this message: another sender's, in another place, under another key. */
    put_posted(SECRET, BOB, before.key, 1000001);
    put_posted(OPEN, ADA, before.key, 1000002);
    put_posted(SECRET, ADA, SV("files:2"), 1000003);
    write_rows();
    crash();
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(info_as(BOB, &id, &json), ERR_FILE_NOT_FOUND);
    check_list(query(BOB), "|0");
    check_in_secret("|0", "|0");
    json = own_json(&id);
    CHECK(says(json, "\"channels\":[],\"groups\":[],\"ims\":[],\"shares\":{}"));
    struct media_public p = {.team = TEAM, .uid = ADA, .id = id, .base_url = SV("http://x")};
    buf_init(&p.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_OK);
    CHECK(says(buf_view(&p.json), "\"shares\":{}"));
    /* The same call again: one message, one share, whatever was left of the first. */
    before = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    put_posted(SECRET, ADA, before.key, 1000004);
    write_rows();
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    struct media_share after = share_of(&id, SECRET, CHANNEL_PRIVATE, 1000004);
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_OK);
    CHECK_EQ(shares_of(&id), 1);
    check_in_secret("x|1", "|1");
    CHECK(says(own_json(&id), "\"shares\":{\"private\":{\"C2\":[{\"ts\":\"0000000001.000004\","
                              "\"team_id\":\"T7\"}]}}"));
    fix_deinit();
}

/* It was posted, and media was not told. */
TEST(a_message_without_a_ts_shares)
{
    struct str_view json;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share before = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    put_posted(SECRET, ADA, before.key, 1000001);
    write_rows();
    crash();
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    CHECK_EQ(read_as(EVE, &id, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(info_as(BOB, &id, &json), ERR_OK);
    CHECK(says(json, "\"shares\":{\"private\":{\"C2\":[{\"ts\":\"0000000001.000001\""));
    check_in_secret("x|1", "|1");
    check_list(query(BOB), "x|1");
    /* The same call again posts nothing, and shares once. */
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    struct media_share after = share_of(&id, SECRET, CHANNEL_PRIVATE, 1000001);
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_OK);
    CHECK_EQ(shares_of(&id), 1);
    /* Another one is cut off in the same way; the deletion tells of both. */
    before.key = SV("files:2");
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    put_posted(SECRET, ADA, before.key, 1000002);
    write_rows();
    crash();
    struct media_delete d = {.team = TEAM, .uid = ADA, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_OK);
    CHECK_EQ(d.shares_len, 2);
    CHECK(d.shares[0].ts_us == 1000001 && d.shares[1].ts_us == 1000002);
    check_in_secret("|0", "|0");
    fix_deinit();
}

/* Two clients make one call: one of them is refused behind the other's message, or before it. */
TEST(an_undo_takes_only_its_own)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE), undo = s;
    undo.undo = true;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(call(MEDIA_SHARE, &undo), ERR_OK);
    CHECK_EQ(shares_of(&id), 1);
    s.key = SV("files:2"); /* nor that of another call */
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    put_posted(SECRET, ADA, undo.key, 1000001);
    write_rows();
    CHECK_EQ(call(MEDIA_SHARE, &undo), ERR_OK);
    CHECK_EQ(shares_of(&id), 2);
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    undo.key = s.key;
    CHECK_EQ(call(MEDIA_SHARE, &undo), ERR_OK);
    CHECK_EQ(shares_of(&id), 1);
    fix_deinit();
}

/* ---- how often, and whose ---- */

/* A post that is made again has the ts that it had. */
TEST(a_message_shares_once)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    share(&id, OPEN, CHANNEL_PUBLIC, 1000001);
    share(&id, OPEN, CHANNEL_PUBLIC, 1000001);
    struct row_file row;
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK_EQ(row.shares_len, 1);
    share(&id, OPEN, CHANNEL_PUBLIC, 1000002);
    CHECK(says(own_json(&id), "\"C1\":[{\"ts\":\"0000000001.000001\",\"team_id\":\"T7\"},"
                              "{\"ts\":\"0000000001.000002\",\"team_id\":\"T7\"}]"));
    for (uint64_t i = 3; i <= file_shares_max; i++)
        share(&id, OPEN, CHANNEL_PUBLIC, i);
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FULL);
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    fix_deinit();
}

/* The last place was taken by a call that was cut off: made again, it ends. */
TEST(what_is_full_of_it_takes_it_again)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    for (uint64_t i = 1; i < file_shares_max; i++)
        share(&id, OPEN, CHANNEL_PUBLIC, i);
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE), other = s;
    other.key = SV("files:2");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    crash();
    CHECK_EQ(call(MEDIA_SHARE, &other), ERR_FULL);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    s.ts_us = 1000001;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(shares_of(&id), file_shares_max);
    check_in_secret("x|1", "|1");
    fix_deinit();
}

/* Of a share that version 1 left without a ts nothing more is known: it counts, as it did then. */
TEST(a_share_without_ts_and_key_is_believed)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    s.key = SV("");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK_EQ(read_as(BOB, &id, "text"), ERR_OK);
    CHECK_EQ(read_as(EVE, &id, ""), ERR_FILE_NOT_FOUND);
    check_in_secret("x|1", "|1");
    share(&id, SECRET, CHANNEL_PRIVATE, 1000001);
    CHECK_EQ(shares_of(&id), 1);
    fix_deinit();
}

TEST(only_the_owner_shares_and_only_what_is_stored)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text"), waits = reserve(ADA, "y"), absent = id;
    absent.text[5] = absent.text[5] == 'Z' ? 'Y' : 'Z';
    struct media_share s = share_of(&id, OPEN, CHANNEL_PUBLIC, TS_NONE);
    s.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FILE_NOT_FOUND);
    s.uid = ADA;
    s.team = TEAM + 1;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FILE_NOT_FOUND);
    s = share_of(&waits, OPEN, CHANNEL_PUBLIC, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FILE_NOT_FOUND);
    s = share_of(&absent, OPEN, CHANNEL_PUBLIC, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FILE_NOT_FOUND);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    s = share_of(&id, OPEN, CHANNEL_PUBLIC, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_FILE_NOT_FOUND);
    /* Nowhere: only its title. */
    id = upload(ADA, "x", "text");
    s = share_of(&id, ID_NONE, CHANNEL_PUBLIC, TS_NONE);
    s.title = SV("T");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    CHECK(says(own_json(&id), "\"title\":\"T\""));
    CHECK(says(own_json(&id), "\"shares\":{}"));
    fix_deinit();
}

/* Each is decided on what the one before made durable. */
TEST(changes_of_one_file_do_not_lose_each_other)
{
    enum { changes = 6 };
    struct media_share s[changes];
    struct row_file row;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    f.asker.len = 0;
    for (uint64_t i = 0; i < changes; i++) {
        s[i] = share_of(&id, i % 2 == 0 ? OPEN : SECRET, CHANNEL_PUBLIC, i + 1);
        ask(MEDIA_SHARE, &s[i]);
    }
    rig_turns(&f.rig, 40);
    CHECK_EQ(f.asker.len, changes);
    for (uint64_t i = 0; i < changes; i++) {
        CHECK(f.asker.cells[i].u.p == &s[i]);
        CHECK_EQ(f.asker.cells[i].err, ERR_OK);
    }
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK_EQ(row.shares_len, changes);
    fix_deinit();
}

/* What is answered with an error is not done. */
TEST(a_change_that_cannot_be_shown_is_none)
{
    char tiny[8];
    struct row_file row;
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    s.title = SV("T");
    buf_init_fixed(&s.json, tiny, sizeof tiny);
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_NOMEM);
    struct media_public p = {.team = TEAM, .uid = ADA, .id = id, .base_url = SV("http://x")};
    buf_init_fixed(&p.json, tiny, sizeof tiny);
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_NOMEM);
    rig_turns(&f.rig, 10);
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK(row.shares_len == 0 && row.title.len == 0 && row.secret.len == 0);
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    fix_deinit();
}

TEST(a_share_that_is_not_durable_is_none)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share s = share_of(&id, SECRET, CHANNEL_PRIVATE, TS_NONE);
    f.valve.fails = ERR_DISK_FULL;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_DISK_FULL);
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_NOT_FOUND);
    fix_deinit();
}
