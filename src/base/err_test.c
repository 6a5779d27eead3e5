#include "base/err.h"

#include "test.h"

TEST(every_error_is_whole)
{
    for (unsigned e = 0; e < ERR_COUNT; e++) {
        int http = err_http((enum err)e);
        CHECK(http == 200 || (http >= 400 && http < 600));
        CHECK(err_slack((enum err)e) != NULL);
        CHECK(strlen(err_meaning((enum err)e)) > 0);
        CHECK(strlen(err_code_name((enum err)e)) > 0);
        if (http == 429 || http == 503) /* these carry Retry-After */
            CHECK(err_retry((enum err)e) != RETRY_NO);
    }
    CHECK_STR(err_slack(ERR_CHANNEL_NOT_FOUND), "channel_not_found");
    CHECK_STR(err_slack(ERR_COUNT), "internal_error");
}
