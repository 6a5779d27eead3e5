/* What is known of a file: where it is shared, who may see it, lists, public links, its end. */
#include "media/test_rig.h"

static struct str_view own_json(const struct file_id *id)
{
    struct str_view json;
    CHECK_EQ(info_as(ADA, id, &json), ERR_OK);
    return json;
}

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

static struct media_list query(uint64_t viewer_uid);
static void check_list(struct media_list q, const char *want);

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

/* ---- the foreign, the unseen, the absent ---- */

TEST(the_foreign_and_the_unseen_are_as_absent)
{
    fix_init();
    struct file_id unseen = upload(ADA, "x", "text"), foreign = unseen, absent = unseen;
    struct media_reserve r = {.team = TEAM + 1,
                              .uid = 900,
                              .name = SV("x"),
                              .title = SV(""),
                              .alt_text = SV(""),
                              .snippet_type = SV(""),
                              .length = UINT64_MAX};
    CHECK_EQ(call(MEDIA_RESERVE, &r), ERR_OK);
    foreign = r.id;
    CHECK_EQ(send(&foreign, "text", 4), ERR_OK);
    struct media_share s = share_of(&foreign, FOREIGN, CHANNEL_PUBLIC, TS_NONE);
    s.team = TEAM + 1;
    s.uid = 900;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    share(&unseen, SECRET, CHANNEL_PRIVATE, 1);
    absent.text[5] = absent.text[5] == 'Z' ? 'Y' : 'Z';
    const struct file_id ids[] = {unseen, foreign, absent};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct str_view json;
        struct media_public p = {.team = TEAM, .uid = EVE, .id = ids[i]};
        buf_init(&p.json, &f.arena, 0);
        CHECK_EQ(read_as(EVE, &ids[i], ""), ERR_FILE_NOT_FOUND);
        CHECK_EQ(info_as(EVE, &ids[i], &json), ERR_FILE_NOT_FOUND);
        CHECK_EQ(json.len, 0);
        CHECK_EQ(delete_as(EVE, &ids[i]), ERR_FILE_NOT_FOUND);
        CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_FILE_NOT_FOUND);
    }
    struct media_open m;
    struct hist_viewer operator_ = {.team = TEAM, .uid = EVE, .is_admin = true};
    CHECK_EQ(open_as(&operator_, &foreign, &m), ERR_FILE_NOT_FOUND);
    /* An admin of this workspace deletes this workspace's. */
    struct media_delete d = {
        .team = TEAM, .uid = EVE, .is_admin = true, .id = foreign, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_FILE_NOT_FOUND);
    d.id = unseen;
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_OK);
    CHECK_EQ(read_as(EVE, &unseen, ""), ERR_FILE_NOT_FOUND);
    CHECK_EQ(read_as(BOB, &unseen, ""), ERR_FILE_DELETED);
    fix_deinit();
}

/* ---- delete ---- */

TEST(a_deletion_tells_which_messages_show_the_file)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    share(&id, OPEN, CHANNEL_PUBLIC, 11);
    share(&id, SECRET, CHANNEL_PRIVATE, 12);
    struct media_share pending = share_of(&id, OPEN, CHANNEL_PUBLIC, TS_NONE);
    CHECK_EQ(call(MEDIA_SHARE, &pending), ERR_OK);
    CHECK_EQ(delete_as(BOB, &id), ERR_CANT_DELETE_FILE);
    struct media_delete d = {
        .team = TEAM, .uid = EVE, .is_guest = true, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_FILE_NOT_FOUND);
    d = (struct media_delete){.team = TEAM, .uid = ADA, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_OK);
    CHECK_EQ(d.shares_len, 2);
    CHECK(d.shares[0].cid == OPEN && d.shares[0].ts_us == 11);
    CHECK(d.shares[1].cid == SECRET && d.shares[1].ts_us == 12);
    CHECK_EQ(read_as(BOB, &id, ""), ERR_FILE_DELETED);
    CHECK_EQ(read_as(EVE, &id, ""), ERR_FILE_DELETED); /* it was public */
    struct row_file row;
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK(row.name.len == 0 && row.title.len == 0 && row.secret.len == 0);
    /* Once more, after being cut off: the same messages. Others learn nothing. */
    d = (struct media_delete){.team = TEAM, .uid = ADA, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_FILE_DELETED);
    CHECK(d.owner == ADA && d.shares_len == 2 && d.shares[1].ts_us == 12);
    d = (struct media_delete){.team = TEAM, .uid = BOB, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_FILE_DELETED);
    CHECK_EQ(d.shares_len, 0);
    fix_deinit();
}

/* Its message is on the way, and nobody knows the ts yet. */
TEST(a_deletion_while_the_message_is_posted_learns_of_it_afterwards)
{
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    struct media_share before = share_of(&id, OPEN, CHANNEL_PUBLIC, TS_NONE),
                       after = share_of(&id, OPEN, CHANNEL_PUBLIC, 11), foreign = after;
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    foreign.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &foreign), ERR_FILE_NOT_FOUND);
    f.valve.fails = ERR_DISK_FULL;
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_DISK_FULL);
    f.valve.fails = ERR_OK;
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_FILE_DELETED);
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_FILE_DELETED); /* once is enough */
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_FILE_NOT_FOUND);
    crash();
    struct media_delete d = {.team = TEAM, .uid = ADA, .id = id, .arena = &f.arena};
    CHECK_EQ(call(MEDIA_DELETE, &d), ERR_FILE_DELETED);
    CHECK_EQ(d.shares_len, 1);
    CHECK(d.shares[0].cid == OPEN && d.shares[0].ts_us == 11);
    CHECK_EQ(read_as(EVE, &id, ""), ERR_FILE_DELETED);
    fix_deinit();
}

/* ---- public links ---- */

static enum err open_by(const struct file_id *id, struct str_view secret)
{
    struct media_open m = {.id = *id, .secret = secret, .arena = &f.arena};
    enum err err = call(MEDIA_OPEN, &m);
    if (err == ERR_OK)
        CHECK_EQ(call(MEDIA_CLOSE, &(struct media_close){m.stream}), ERR_OK);
    return err;
}

static struct media_public public_of(const struct file_id *id, bool revoke)
{
    struct media_public p = {
        .team = TEAM, .uid = ADA, .id = *id, .revoke = revoke, .base_url = SV("http://x")};
    buf_init(&p.json, &f.arena, 0);
    return p;
}

TEST(a_public_link_opens_until_it_is_taken_back)
{
    struct row_file row;
    char first[64];
    fix_init();
    struct file_id id = upload(ADA, "x", "text");
    CHECK_EQ(open_by(&id, SV("")), ERR_FILE_NOT_FOUND);
    struct media_public p = public_of(&id, false);
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_OK);
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK_EQ(row.secret.len, 16);
    memcpy(first, row.secret.p, 16);
    struct str_view secret = {first, 16};
    CHECK(says(buf_view(&p.json), "\"public_url_shared\":true"));
    CHECK(says(buf_view(&p.json), "\"permalink_public\":\"http://x/files-pub/T7-F"));
    CHECK_EQ(open_by(&id, secret), ERR_OK);
    CHECK_EQ(open_by(&id, SV("0123456789ABCDEF")), ERR_FILE_NOT_FOUND);
    CHECK_EQ(open_by(&id, (struct str_view){first, 15}), ERR_FILE_NOT_FOUND);
    CHECK_EQ(open_by(&id, SV("")), ERR_FILE_NOT_FOUND);
    p = public_of(&id, false); /* again: the same one */
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_OK);
    CHECK_EQ(open_by(&id, secret), ERR_OK);
    p = public_of(&id, true);
    p.uid = BOB;
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_FILE_NOT_FOUND);
    p.is_admin = true;
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_OK);
    CHECK(!says(buf_view(&p.json), "permalink_public"));
    CHECK_EQ(open_by(&id, secret), ERR_FILE_NOT_FOUND);
    CHECK_EQ(open_by(&id, SV("")), ERR_FILE_NOT_FOUND);
    p = public_of(&id, false); /* another one */
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_OK);
    CHECK_EQ(open_by(&id, secret), ERR_FILE_NOT_FOUND);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    CHECK_EQ(open_by(&id, SV("")), ERR_FILE_NOT_FOUND);
    p = public_of(&id, false);
    CHECK_EQ(call(MEDIA_PUBLIC, &p), ERR_FILE_NOT_FOUND);
    fix_deinit();
}

/* ---- lists ---- */

static struct media_list query(uint64_t viewer_uid)
{
    return (struct media_list){.viewer = viewer(viewer_uid),
                               .to_us = UINT64_MAX,
                               .types = MEDIA_ALL,
                               .page = 1,
                               .count = 100,
                               .base_url = SV("http://x")};
}

/* The names of what is listed, newest first; '|' and how many there are in all. */
static void check_list(struct media_list q, const char *want)
{
    char got[256] = "";
    size_t len = 0;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    uint32_t n = 0;
    struct str_view json = buf_view(&q.json);
    for (const char *at = json.p;
         json.len > 0 && (at = memmem(at, (size_t)(json.p + json.len - at), "\"name\":\"", 8));) {
        at += 8;
        got[len++] = *at;
        n++;
    }
    snprintf(got + len, sizeof got - len, "|%u", q.total);
    CHECK_STR(got, want);
    CHECK_EQ(n, q.len);
}

TEST(lists_are_newest_first_and_show_what_is_seen)
{
    fix_init();
    struct file_id a = upload(ADA, "a", "1"), b = upload(ADA, "b", "2"), c = upload(BOB, "c", "3");
    upload(BOB, "d", "4");
    share(&a, OPEN, CHANNEL_PUBLIC, 1);
    share(&b, SECRET, CHANNEL_PRIVATE, 2);
    share(&b, SECRET, CHANNEL_PRIVATE, 3);
    reserve(ADA, "e");
    check_list(query(ADA), "ba|2");
    check_list(query(BOB), "dcba|4");
    check_list(query(EVE), "a|1");
    struct media_list q = query(EVE);
    q.uid = ADA;
    check_list(q, "a|1");
    q = query(ADA);
    q.uid = ADA;
    check_list(q, "ba|2");
    q.uid = BOB;
    check_list(q, "|0");
    q = query(BOB);
    q.cid = SECRET;
    check_list(q, "b|1");
    q.uid = BOB;
    check_list(q, "|0");
    q = query(EVE);
    q.cid = SECRET;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_CHANNEL_NOT_FOUND);
    q.viewer.team = TEAM + 1;
    q.cid = ID_NONE;
    check_list(q, "|0");
    /* Deleted, or not in the conversation any more. */
    CHECK_EQ(delete_as(ADA, &b), ERR_OK);
    check_list(query(BOB), "dca|3");
    q = query(BOB);
    q.cid = SECRET;
    check_list(q, "|0");
    q.page = 2; /* nor is it counted */
    check_list(q, "|0");
    q.page = 1;
    struct media_share s = share_of(&c, DIRECT, CHANNEL_IM, TS_NONE);
    s.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    q.cid = DIRECT;
    check_list(q, "|0"); /* its message is on the way */
    s.undo = true;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check_list(q, "|0");
    s.undo = false;
    s.ts_us = 4;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check_list(q, "c|1");
    crash();
    check_list(query(BOB), "dca|3");
    fix_deinit();
}

TEST(lists_are_filtered_by_type_and_time)
{
    fix_init();
    upload(ADA, "a", "text");
    pass_ms(10000);
    upload(ADA, "b", "GIF89a\1\1\1\1");
    uint64_t between_us = f.rig.loop.turn.wall_us;
    pass_ms(10000);
    upload(ADA, "c", "%PDF-1.4");
    upload(ADA, "d", "PK\3\4xxxx");
    struct media_reserve r = {.team = TEAM,
                              .uid = ADA,
                              .name = SV("e"),
                              .title = SV(""),
                              .alt_text = SV("what it is"),
                              .snippet_type = SV("python"),
                              .length = UINT64_MAX};
    CHECK_EQ(call(MEDIA_RESERVE, &r), ERR_OK);
    CHECK_EQ(send(&r.id, "print()", 7), ERR_OK);
    struct media_list q = query(ADA);
    check_list(q, "edcba|5");
    static const struct {
        uint32_t types;
        const char *want;
    } cases[] = {{MEDIA_IMAGES, "b|1"},
                 {MEDIA_PDFS, "c|1"},
                 {MEDIA_ZIPS, "d|1"},
                 {MEDIA_SNIPPETS, "e|1"},
                 {MEDIA_DOCS, "|0"},
                 {MEDIA_IMAGES | MEDIA_ZIPS, "db|2"},
                 {0, "|0"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        q.types = cases[i].types;
        check_list(q, cases[i].want);
    }
    q = query(ADA);
    q.from_us = between_us;
    check_list(q, "edc|3");
    q = query(ADA);
    q.to_us = between_us;
    check_list(q, "ba|2");
    struct row_file row;
    CHECK_EQ(file_read(f.media, &r.id, &row), ERR_OK);
    q.from_us = q.to_us = row.created_us; /* both included */
    check_list(q, "e|1");
    q.to_us = row.created_us - 1;
    q.from_us = row.created_us;
    check_list(q, "|0");
    struct str_view json = own_json(&r.id);
    CHECK(says(json, "\"mode\":\"snippet\"") && says(json, "\"filetype\":\"python\""));
    CHECK(says(json, "\"alt_txt\":\"what it is\""));
    fix_deinit();
}

/* More than a step of them, of which only every other one is seen. */
TEST(pages_are_cut_out_of_what_is_seen)
{
    enum { files = 150, page = 20 };
    char want[64], name[2] = "";
    fix_init();
    f.conf.reserved_user_max = files;
    crash();
    for (int i = 0; i < files; i++) {
        name[0] = (char)('a' + i / 2 % 26);
        struct file_id id = upload(ADA, name, i % 2 == 0 ? "seen" : "unseen");
        if (i % 2 == 0)
            share(&id, OPEN, CHANNEL_PUBLIC, (uint64_t)i + 1);
    }
    for (uint32_t p = 1; p <= 5; p++) {
        struct media_list q = query(EVE);
        size_t n = 0;
        q.page = p;
        q.count = page;
        for (uint32_t k = (p - 1) * page; k < MIN(p * page, (uint32_t)files / 2); k++)
            want[n++] = (char)('a' + (files / 2 - 1 - k) % 26);
        snprintf(want + n, sizeof want - n, "|%d", files / 2);
        check_list(q, want);
        q = query(ADA); /* her own: not looked at, only counted */
        q.uid = ADA;
        q.page = 3;
        q.count = 1;
        snprintf(want, sizeof want, "%c|%d", 'a' + (files / 2 - 2) % 26, files);
        check_list(q, want);
        q.viewer = viewer(EVE);
        q.cid = OPEN;
        q.page = 2;
        snprintf(want, sizeof want, "%c|%d", 'a' + (files / 2 - 2) % 26, files / 2);
        check_list(q, want);
    }
    fix_deinit();
}

/* All of a list by pages of n, each from where the one before ended. */
static void check_by_cursor(struct media_list q, uint32_t n, const char *want)
{
    char got[256] = "";
    size_t len = 0;
    q.page = 0;
    q.count = n;
    do {
        buf_init(&q.json, &f.arena, 0);
        CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
        CHECK(q.len <= n && len + q.len < sizeof got);
        struct str_view json = buf_view(&q.json);
        for (const char *at = json.p;
             json.len > 0 && (at = memmem(at, (size_t)(json.p + json.len - at), "\"name\":\"", 8));)
            got[len++] = *(at += 8);
        CHECK(q.len > 0 || q.next.created_us == 0);
        q.behind = q.next;
    } while (q.next.created_us != 0);
    CHECK_STR(got, want);
}

TEST(a_cursor_reaches_all_once)
{
    fix_init();
    struct file_id ids[9];
    for (int i = 0; i < 9; i++) {
        char name[] = {(char)('a' + i), 0};
        ids[i] = upload(ADA, name, "text");
    }
    for (int i = 0; i < 9; i += 2)
        share(&ids[i], OPEN, CHANNEL_PUBLIC, (uint64_t)i + 1);
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 8, 9, 10, 1000};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct media_list q = query(EVE);
        check_by_cursor(query(ADA), counts[i], "ihgfedcba");
        check_by_cursor(q, counts[i], "igeca"); /* of the hidden ones no page tells */
        q.cid = OPEN;
        check_by_cursor(q, counts[i], "igeca");
    }
    /* The file that a cursor stands at may go. */
    struct media_list q = query(EVE);
    q.page = 0;
    q.count = 2;
    check_list(q, "ig|3");
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    CHECK_EQ(delete_as(ADA, &ids[6]), ERR_OK);
    q.behind = q.next;
    check_by_cursor(q, 2, "eca");
    q = query(EVE); /* a page by number is gone on from as well */
    q.count = 2;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    q.behind = q.next;
    check_by_cursor(q, 2, "ca");
    fix_deinit();
}

/* Rows of the team's list whose files are not there. */
static void put_gone(uint32_t n, uint64_t newest_us)
{
    for (uint32_t i = 0; i < n; i++) {
        struct key k;
        char digits[file_id_len];
        struct file_id id = {"F"};
        snprintf(digits, sizeof digits, "%020u", i);
        memcpy(id.text + 1, digits, file_id_len - 1);
        key_file_listed(&k, FILES_OF_TEAM, TEAM, newest_us - i, &id);
        row_file_listed_encode(batch_put_begin(&f.batch, CF_FILE, &k), &k,
                               &(struct row_file_listed){.uid = ADA, .types = MEDIA_DOCS});
        batch_put_end(&f.batch);
        if (i % 1000 == 999)
            write_rows();
    }
    write_rows();
}

TEST(a_call_reads_so_many_rows_and_the_next_goes_on)
{
    fix_init();
    upload(ADA, "a", "text");
    pass_ms(1000);
    put_gone(6000, f.rig.loop.turn.wall_us - 100000);
    upload(ADA, "b", "text");
    pass_ms(1000);
    put_gone(6000, f.rig.loop.turn.wall_us - 100000);
    upload(ADA, "c", "text");
    check_list(query(ADA), "cb|2"); /* by pages the rest is not reached */
    struct media_list q = query(ADA);
    q.page = 0;
    q.count = 3;
    check_list(q, "cb|2");
    check_by_cursor(query(ADA), 3, "cba");
    fix_deinit();
}

/* They take turns, and bytes of others go on meanwhile; too many are refused. */
TEST(lists_wait_in_line)
{
    enum { more = lists_max + 3 };
    static struct media_list q[more];
    fix_init();
    upload(ADA, "a", "text");
    f.asker.len = 0;
    for (int i = 0; i < more; i++) {
        q[i] = query(ADA);
        buf_init(&q[i].json, &f.arena, 0);
        ask(MEDIA_LIST, &q[i]);
    }
    rig_turns(&f.rig, 2);
    CHECK(media_actor_ops.busy(f.media));
    rig_turns(&f.rig, more + 4);
    CHECK_EQ(f.asker.len, more);
    for (int i = 0; i < more; i++)
        CHECK_EQ(answer_to(&q[i]), i < lists_max ? ERR_OK : ERR_SERVICE_UNAVAILABLE);
    CHECK(!media_actor_ops.busy(f.media));
    fix_deinit();
}
