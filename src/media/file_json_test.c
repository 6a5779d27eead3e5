#include "media/file_json.h"

#include <stdio.h>

#include "test.h"

static const struct file_id id = {"F0123456789ABCDEFGHJK"};
static const bool all[row_file_shares_max] = {true, true, true, true, true, true};

static struct row_file plain(void)
{
    return (struct row_file){.team = 7,
                             .uid = 8,
                             .created_us = 1517436010000936,
                             .length = 11,
                             .name = SV("a.png"),
                             .title = SV("A \"title\""),
                             .mimetype = SV("image/png"),
                             .filetype = SV("png"),
                             .width = 640,
                             .height = 480};
}

static struct str_view json_of(const struct row_file *row, const bool *seen)
{
    static char text[16384];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    file_json(&b, &id, row, SV("https://x"), seen);
    CHECK(!b.failed);
    return buf_view(&b);
}

static bool says(struct str_view json, const char *part)
{
    return memmem(json.p, json.len, part, strlen(part)) != NULL;
}

TEST(the_object_is_what_clients_read)
{
    struct row_file row = plain();
    CHECK_SV(json_of(&row, all),
             "{\"id\":\"F0123456789ABCDEFGHJK\",\"created\":1517436010,\"timestamp\":1517436010,"
             "\"name\":\"a.png\",\"title\":\"A \\\"title\\\"\",\"mimetype\":\"image/png\","
             "\"filetype\":\"png\",\"pretty_type\":\"PNG\",\"editable\":false,\"size\":11,"
             "\"mode\":\"hosted\",\"original_w\":640,\"original_h\":480,\"user\":\"U8\","
             "\"user_team\":\"T7\",\"is_external\":false,\"external_type\":\"\",\"is_public\":"
             "false,\"public_url_shared\":false,\"display_as_bot\":false,\"username\":\"\","
             "\"url_private\":\"https://x/files-pri/T7-F0123456789ABCDEFGHJK/a.png\","
             "\"url_private_download\":"
             "\"https://x/files-pri/T7-F0123456789ABCDEFGHJK/download/a.png\","
             "\"permalink\":\"https://x/files/U8/F0123456789ABCDEFGHJK/a.png\",\"channels\":[],"
             "\"groups\":[],\"ims\":[],\"shares\":{},\"has_rich_preview\":false,"
             "\"file_access\":\"visible\"}");
}

TEST(what_there_may_be_besides)
{
    struct row_file row = plain();
    row.title = SV("");
    row.alt_text = SV("a picture");
    row.secret = SV("ABC");
    row.flags = FILE_SNIPPET;
    row.filetype = SV("of another version");
    struct str_view json = json_of(&row, all);
    CHECK(says(json, "\"title\":\"a.png\""));
    CHECK(says(json, "\"alt_txt\":\"a picture\""));
    CHECK(says(json, "\"mode\":\"snippet\"") && says(json, "\"editable\":true"));
    CHECK(says(json, "\"pretty_type\":\"of another version\""));
    CHECK(says(json, "\"public_url_shared\":true"));
    CHECK(says(json, "\"permalink_public\":"
                     "\"https://x/files-pub/T7-F0123456789ABCDEFGHJK-ABC\""));
}

/* Every kind of conversation where clients look for it; each conversation once, with all of its
 * messages; a message that is still being posted is none yet. */
TEST(shares_stand_where_clients_look_for_them)
{
    struct row_file row = plain();
    static const struct row_share shares[] = {
        {1, CHANNEL_PUBLIC, 1000001, {0}}, {2, CHANNEL_PRIVATE, 1000002, {0}},
        {3, CHANNEL_IM, 1000003, {0}},     {4, CHANNEL_MPIM, 1000004, {0}},
        {1, CHANNEL_PUBLIC, 1000005, {0}}, {1, CHANNEL_PUBLIC, TS_NONE, {0}}};
    row.shares_len = ARRAY_LEN(shares);
    memcpy(row.shares, shares, sizeof shares);
    struct str_view json = json_of(&row, all);
    CHECK(says(json, "\"is_public\":true"));
    CHECK(says(json, "\"channels\":[\"C1\"],\"groups\":[\"C2\",\"G4\"],\"ims\":[\"D3\"],"
                     "\"shares\":{\"public\":{\"C1\":[{\"ts\":\"0000000001.000001\",\"team_id\":"
                     "\"T7\"},{\"ts\":\"0000000001.000005\",\"team_id\":\"T7\"}]},"
                     "\"private\":{\"C2\":[{\"ts\":\"0000000001.000002\",\"team_id\":\"T7\"}],"
                     "\"D3\":[{\"ts\":\"0000000001.000003\",\"team_id\":\"T7\"}],"
                     "\"G4\":[{\"ts\":\"0000000001.000004\",\"team_id\":\"T7\"}]}}"));
    bool later[row_file_shares_max] = {[4] = true}; /* it is not hidden behind one that is unseen */
    json = json_of(&row, later);
    CHECK(says(json, "\"channels\":[\"C1\"],\"groups\":[],\"ims\":[],"
                     "\"shares\":{\"public\":{\"C1\":[{\"ts\":\"0000000001.000005\","
                     "\"team_id\":\"T7\"}]}}"));
    bool some[row_file_shares_max] = {false, true};
    json = json_of(&row, some);
    CHECK(says(json, "\"is_public\":false"));
    CHECK(says(json, "\"channels\":[],\"groups\":[\"C2\"],\"ims\":[],"
                     "\"shares\":{\"private\":{\"C2\":[{\"ts\":\"0000000001.000002\","
                     "\"team_id\":\"T7\"}]}}"));
}

/* A name is a label: in an address it is made of harmless bytes, and leads nowhere. */
TEST(names_are_harmless_in_addresses)
{
    static const struct {
        const char *name, *want;
    } cases[] = {{"Hello World.TXT", "hello_world.txt"},
                 {"../../etc/passwd", "_._._etc_passwd"},
                 {"..", "_"},
                 {".", "_"},
                 {"", "file"},
                 {".htaccess", "_htaccess"},
                 {"a..b", "a._b"},
                 {"\xc3\xa4\xc3\xb6.png", "_.png"},
                 {"a\"><script>?#%2e", "a_script_2e"},
                 {"a\r\nb", "a_b"},
                 {"a-b_c", "a-b_c"},
                 {"x.", "x_"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[256];
        struct row_file row = plain();
        row.name = sv_from(cases[i].name);
        snprintf(url, sizeof url, "/F0123456789ABCDEFGHJK/%s\"", cases[i].want);
        if (!says(json_of(&row, all), url))
            fail_msg("%s: not %s in %.*s", cases[i].name, cases[i].want,
                     SV_ARG(json_of(&row, all)));
    }
    char long_name[400];
    struct row_file row = plain();
    memset(long_name, 'x', sizeof long_name);
    row.name = (struct str_view){long_name, sizeof long_name};
    struct str_view json = json_of(&row, all);
    const char *at = memmem(json.p, json.len, "/download/", 10);
    CHECK(at != NULL);
    CHECK_EQ(strcspn(at + 10, "\""), 80);
}

TEST(a_buffer_that_is_too_small_says_so)
{
    char text[16384];
    struct row_file row = plain();
    struct buf b;
    size_t whole = json_of(&row, all).len;
    for (size_t cap = 0; cap < whole; cap++) {
        buf_init_fixed(&b, text, cap);
        file_json(&b, &id, &row, SV("https://x"), all);
        CHECK(b.failed);
    }
    buf_init_fixed(&b, text, sizeof text);
    file_json_tombstone(&b, &id);
    CHECK_SV(buf_view(&b), "{\"id\":\"F0123456789ABCDEFGHJK\",\"mode\":\"tombstone\"}");
}
