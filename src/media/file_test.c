/* What becomes of a file beside its sharing: its end, public links, and who must not know of it. */
#include "media/test_rig.h"

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
