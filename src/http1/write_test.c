#include "http1/write.h"

#include "base/err.h"
#include "test.h"

static char space[1024];

TEST(a_head)
{
    struct buf b;
    buf_init_fixed(&b, space, sizeof space);
    http_write_status(&b, 200);
    http_write_field(&b, "Content-Type", SV("application/json; charset=utf-8"));
    http_write_field_u64(&b, "Content-Length", 0);
    http_write_field_u64(&b, "X", UINT64_MAX);
    http_write_end(&b);
    CHECK_SV(buf_view(&b), "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
                           "Content-Length: 0\r\nX: 18446744073709551615\r\n\r\n");
}

/* One client wants three parts in every status line; every error's status has a reason. */
TEST(every_status_has_a_reason)
{
    for (unsigned e = 0; e < ERR_COUNT; e++)
        CHECK(strcmp(http_reason(err_http((enum err)e)), "Unknown") != 0);
    CHECK_STR(http_reason(101), "Switching Protocols");
    CHECK(strlen(http_reason(299)) > 0);
    struct buf b;
    buf_init_fixed(&b, space, sizeof space);
    http_write_status(&b, 429);
    CHECK_SV(buf_view(&b), "HTTP/1.1 429 Too Many Requests\r\n");
}

TEST(dates_follow_the_second)
{
    struct buf b;
    buf_init_fixed(&b, space, sizeof space);
    http_write_date(&b, 784111777999999u); /* RFC 9110 5.6.7 */
    http_write_date(&b, 784111777000000u);
    http_write_date(&b, 784111778000000u);
    CHECK_SV(buf_view(&b), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
}

TEST(names_of_files_are_labels)
{
    static const struct {
        const char *name, *want;
    } rows[] = {{"a b.txt", "inline; filename=\"a b.txt\""},
                {"", "inline; filename=\"file\""},
                {"../a\"b\\c\r\n.png",
                 "inline; filename=\".._a_b_c__.png\"; filename*=UTF-8''..%2Fa%22b%5Cc%0D%0A.png"},
                {"100%", "inline; filename=\"100_\"; filename*=UTF-8''100%25"},
                {"na\xc3\xafve \xf0\x9f\x98\x80",
                 "inline; filename=\"na_ve _\"; filename*=UTF-8''na%C3%AFve%20%F0%9F%98%80"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        buf_init_fixed(&b, space, sizeof space - 1);
        http_write_disposition(&b, true, sv_from(rows[i].name));
        space[b.len] = '\0';
        CHECK(strstr(space, rows[i].want) != NULL);
        CHECK_EQ(b.len, strlen("Content-Disposition: \r\n") + strlen(rows[i].want));
    }
    char longest[300];
    struct buf b;
    memset(longest, 'a', sizeof longest);
    memcpy(longest + http_filename_max - 1, "\xc3\xaf", 2); /* across the bound: left out */
    buf_init_fixed(&b, space, sizeof space);
    http_write_disposition(&b, false, (struct str_view){longest, sizeof longest});
    CHECK(!b.failed);
    CHECK_EQ(b.len,
             strlen("Content-Disposition: attachment; filename=\"\"\r\n") + http_filename_max - 1);
}
