#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *code, *slack, *meaning;
    int http;
    enum err_retry retry;
} errors[ERR_COUNT] = {
#define ERR(code, slack, http, retry, meaning) [ERR_##code] = {#code, slack, meaning, http, retry},
#include "base/err.def"
#undef ERR
};

const char *err_slack(enum err e)
{
    return e < ERR_COUNT ? errors[e].slack : errors[ERR_INTERNAL_ERROR].slack;
}

int err_http(enum err e)
{
    return e < ERR_COUNT ? errors[e].http : 500;
}

enum err_retry err_retry(enum err e)
{
    return e < ERR_COUNT ? errors[e].retry : RETRY_NO;
}

const char *err_meaning(enum err e)
{
    return e < ERR_COUNT ? errors[e].meaning : "";
}

const char *err_code_name(enum err e)
{
    return e < ERR_COUNT ? errors[e].code : "?";
}

_Noreturn void assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr,
            "{\"level\":\"error\",\"event\":\"assert_failed\",\"what\":\"%s\",\"at\":\"%s:%d\"}\n",
            what, file, line);
    abort();
}
