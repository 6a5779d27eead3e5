/* row.c - what a row of the table says without its function. parley-docgen links this file, too, so
 * that docs/api.md says what answer.c holds the methods to. */
#include "api/method.h"

const char *arg_type_name(enum arg_type t)
{
    static const char *const names[] = {
#define ARG_TYPE(code, name) name,
#include "api/arg_type.def"
#undef ARG_TYPE
    };
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

static bool lists(const enum err *list, size_t len, enum err e)
{
    for (size_t i = 0; i < len; i++) {
        if (list[i] == e)
            return true;
    }
    return false;
}

static bool is_of_token(const struct method *m, enum err e)
{
    static const enum err errors[] = {ERRORS_TOKEN};
    if (m->who == WHO_ANYONE)
        return false;
    if (e == ERR_MISSING_SCOPE)
        return m->scopes != SCOPE_NONE;
    if (e == ERR_NOT_ALLOWED_TOKEN_TYPE)
        return (m->who & WHO_TOKEN) != WHO_TOKEN;
    return lists(errors, ARRAY_LEN(errors), e);
}

static bool is_of_args(const struct method *m, enum err e)
{
    for (const struct arg_spec *a = m->args; a->name != NULL; a++) {
        if (a->missing == e || a->bad == e)
            return true;
        if (a->type == ARG_OBJECT && e == ERR_METADATA_TOO_LARGE)
            return true;
    }
    return false;
}

enum error_source method_error(const struct method *m, enum err e)
{
    static const enum err of_all[] = {ERRORS_COMMON};
    if (lists(of_all, ARRAY_LEN(of_all), e))
        return ERROR_OF_ALL;
    if (is_of_token(m, e))
        return ERROR_OF_TOKEN;
    if (lists(m->errors, ARRAY_LEN(m->errors), e) || is_of_args(m, e))
        return ERROR_OF_METHOD;
    return e == ERR_USER_IS_RESTRICTED && (m->who & WHO_NO_GUESTS) != 0 ? ERROR_OF_METHOD
                                                                        : ERROR_OF_NONE;
}
