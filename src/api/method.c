#include "api/method.h"

#include "api/handlers.h"

#define ARG(n, t, m, b, mx, w)                                                                     \
    {                                                                                              \
        .name = (n), .type = ARG_##t, .missing = ERR_##m, .bad = ERR_##b, .max = (mx), .what = (w) \
    }
#define ARG_NONE                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }
#define METHOD(n, f, s, w, c, d, ...)                                                              \
    {.name = {(n), sizeof(n) - 1},                                                                 \
     .run = (f),                                                                                   \
     .scopes = (s),                                                                                \
     .who = (w),                                                                                   \
     .rate = (c),                                                                                  \
     .what = (d),                                                                                  \
     .args = (const struct arg_spec[]){__VA_ARGS__, {0}}},

const struct method methods[] = {
#include "api/method.def"
};
const uint32_t methods_len = ARRAY_LEN(methods);

const struct method *method_find(struct str_view name)
{
    for (uint32_t i = 0; i < methods_len; i++) {
        if (sv_eq(methods[i].name, name))
            return &methods[i];
    }
    return NULL;
}

const char *arg_type_name(enum arg_type t)
{
    static const char *const names[] = {[ARG_TEXT] = "string",
                                        [ARG_BOOL] = "boolean",
                                        [ARG_INT] = "integer",
                                        [ARG_TS] = "ts",
                                        [ARG_CHANNEL] = "conversation id",
                                        [ARG_CHANNEL_NAME] = "conversation id or name",
                                        [ARG_USER] = "user id",
                                        [ARG_USERS] = "user ids",
                                        [ARG_OBJECT] = "object",
                                        [ARG_OBJECTS] = "array of objects",
                                        [ARG_CURSOR] = "cursor",
                                        [ARG_ANY] = "any"};
    return names[t];
}

const char *scope_name(enum scope_bit s)
{
    static const char *const names[] = {
#define SCOPE(code, name) name,
#include "api/scope.def"
#undef SCOPE
    };
    return names[s];
}
