/* err.h - every failure that a caller or client can meet, as a value.
 * err.def is the one table: code, Slack error string, HTTP status, whether a retry can help,
 * meaning. */
#ifndef PARLEY_BASE_ERR_H
#define PARLEY_BASE_ERR_H

#include "base/compiler.h"
#include "base/str_view.h"

enum err {
#define ERR(code, slack, http, retry, meaning) ERR_##code,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

enum err_retry {
    RETRY_NO,    /* the request itself is at fault */
    RETRY_LATER, /* the same request can succeed after Retry-After */
    RETRY_SAFE /* outcome unknown or refused before any effect: retry with the same client_msg_id */
};

const char *err_slack(enum err e); /* "channel_not_found" */
int err_http(enum err e);          /* 404 */
enum err_retry err_retry(enum err e);
const char *err_meaning(enum err e);   /* one sentence for docs and logs */
const char *err_code_name(enum err e); /* "CHANNEL_NOT_FOUND" */

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (UNLIKELY(try_err_ != ERR_OK))                                                          \
            return try_err_;                                                                       \
    } while (0)

#endif
