/* api/method.h - the table of API methods, grown from method.def: what each takes, who may call it,
 * which function answers it. The router, the argument checks and docs/api.md all read it.
 * Thread: constant. */
#ifndef PARLEY_API_METHOD_H
#define PARLEY_API_METHOD_H

#include "base/err.h"

enum scope_bit {
#define SCOPE(code, name) SCOPE_BIT_##code,
#include "api/scope.def"
#undef SCOPE
    SCOPE_COUNT
};

/* A method's scopes: any one of them is enough. */
#define SCOPE_NONE     0u
#define SCOPE_OF(code) (UINT64_C(1) << SCOPE_BIT_##code)
#define SCOPE_READ                                                                                 \
    (SCOPE_OF(CHANNELS_READ) | SCOPE_OF(GROUPS_READ) | SCOPE_OF(IM_READ) | SCOPE_OF(MPIM_READ))
#define SCOPE_WRITE                                                                                \
    (SCOPE_OF(CHANNELS_WRITE) | SCOPE_OF(GROUPS_WRITE) | SCOPE_OF(IM_WRITE) | SCOPE_OF(MPIM_WRITE))
#define SCOPE_HISTORY                                                                              \
    (SCOPE_OF(CHANNELS_HISTORY) | SCOPE_OF(GROUPS_HISTORY) | SCOPE_OF(IM_HISTORY) |                \
     SCOPE_OF(MPIM_HISTORY))
#define SCOPE_POST  SCOPE_OF(CHAT_WRITE)
#define SCOPE_USERS SCOPE_OF(USERS_READ)
#define SCOPE_TEAM  SCOPE_OF(TEAM_READ)
#define SCOPE_RTM   SCOPE_OF(RTM_STREAM)

enum {                 /* who may call; bits of 1 << enum token_kind */
       WHO_ANYONE = 0, /* no token is looked at */
       WHO_USER = 1,
       WHO_BOT = 2,
       WHO_APP = 4,
       WHO_NO_GUESTS = 8, /* user_is_restricted */
       WHO_MEMBER = WHO_USER | WHO_BOT,
       WHO_FULL = WHO_MEMBER | WHO_NO_GUESTS,
       WHO_TOKEN = WHO_MEMBER | WHO_APP
};

/* What any method may answer, whoever calls: framing, body and arguments, load and faults. The last
 * line is what a client sees as service_unavailable, storage_unavailable or internal_error. */
#define ERRORS_COMMON                                                                              \
    ERR_BAD_REQUEST, ERR_URI_TOO_LONG, ERR_HTTP_VERSION, ERR_METHOD_NOT_ALLOWED,                   \
        ERR_HEADERS_TOO_LARGE, ERR_BODY_TOO_LARGE, ERR_EXPECTATION_FAILED, ERR_UNSUPPORTED_CODING, \
        ERR_REQUEST_TIMEOUT, ERR_INVALID_POST_TYPE, ERR_INVALID_CHARSET, ERR_INVALID_JSON,         \
        ERR_JSON_NOT_OBJECT, ERR_INVALID_FORM_DATA, ERR_INVALID_ARGUMENTS, ERR_RATELIMITED,        \
        ERR_SERVICE_UNAVAILABLE, ERR_STORAGE_UNAVAILABLE, ERR_DISK_FULL, ERR_DEADLINE,             \
        ERR_INTERNAL_ERROR, ERR_NOMEM, ERR_FULL, ERR_CHANGED, ERR_UNKNOWN_STREAM,                  \
        ERR_BEFORE_NEEDED, ERR_IO, ERR_CORRUPT
/* And those that want a token, beside what their `who` and scopes say. */
#define ERRORS_TOKEN ERR_NOT_AUTHED, ERR_INVALID_AUTH, ERR_ACCOUNT_INACTIVE, ERR_TOKEN_REVOKED

/* Slack's tiers: 1, 20, 50 and 100 calls a minute and method, times [api] rate_factor; special:
 * [api] rate_posts_per_s. */
enum tier { TIER_1, TIER_2, TIER_3, TIER_4, TIER_SPECIAL, TIER_COUNT };

enum arg_type {
#define ARG_TYPE(code, name) ARG_##code,
#include "api/arg_type.def"
#undef ARG_TYPE
};
const char *arg_type_name(enum arg_type t);

struct arg_spec {
    const char *name; /* NULL ends the list */
    enum arg_type type;
    enum err missing; /* ERR_OK: the argument is optional */
    enum err bad;     /* answered when the value does not fit the type */
    uint32_t max;     /* ARG_INT, ARG_OBJECTS, ARG_LIST as an array */
    const char *what;
};
enum { method_args_max = 24, method_errors_max = 16 };

struct request;
typedef void method_fn(struct request *r);

struct method {
    struct str_view name;
    method_fn *run;
    uint64_t scopes;
    uint32_t who;
    enum tier tier;
    const char *what;
    const char *status;                 /* what of Slack's is left out; "": nothing */
    enum err errors[method_errors_max]; /* of its own; ERR_OK: no more */
    const struct arg_spec *args;
};

extern const struct method methods[];
extern const uint32_t methods_len;

/* The table by name: open addressing, at most half full. */
enum { method_slots = 512 };
struct method_index {
    uint16_t at[method_slots]; /* 1 + index in methods; 0: empty */
};
void method_index_init(struct method_index *x);
const struct method *method_find(const struct method_index *x, struct str_view name); /* or NULL */

const char *scope_name(enum scope_bit s);

/* Where a row says that its method may answer e, which is not ERR_OK. */
enum error_source { ERROR_OF_NONE, ERROR_OF_ALL, ERROR_OF_TOKEN, ERROR_OF_METHOD };
enum error_source method_error(const struct method *m, enum err e);

#endif
