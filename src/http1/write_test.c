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
