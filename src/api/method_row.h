/* api/method_row.h - the macros that make a struct method of each row of api/method.def. Included
 * by whoever includes the rows, at most once; METHOD_RUN(f) is his: the row's function, or NULL
 * where it is not linked. */
#ifndef PARLEY_API_METHOD_ROW_H
#define PARLEY_API_METHOD_ROW_H

#define ARG(n, t, m, b, mx, w)                                                                     \
    {                                                                                              \
        .name = (n), .type = ARG_##t, .missing = ERR_##m, .bad = ERR_##b, .max = (mx), .what = (w) \
    }
#define ARG_NONE                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }
#define ERRORS(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define ERRORS_NONE                                                                                \
    {                                                                                              \
        ERR_OK                                                                                     \
    }
#define METHOD(n, f, s, w, c, d, l, e, ...)                                                        \
    {.name = {(n), sizeof(n) - 1},                                                                 \
     .run = METHOD_RUN(f),                                                                         \
     .scopes = (s),                                                                                \
     .who = (w),                                                                                   \
     .tier = (c),                                                                                  \
     .what = (d),                                                                                  \
     .status = (l),                                                                                \
     .errors = e,                                                                                  \
     .args = (const struct arg_spec[]){__VA_ARGS__, {0}}},

#endif
