#include "api/method.h"

#include "test.h"

TEST(each_method_is_found_by_its_name_and_nothing_else)
{
    struct method_index x;
    method_index_init(&x);
    for (uint32_t i = 0; i < methods_len; i++)
        CHECK(method_find(&x, methods[i].name) == &methods[i]);
    static const char *const others[] = {"",
                                         "a",
                                         "api.tes",
                                         "api.testt",
                                         "chat.postmessage",
                                         "conversations.history ",
                                         "conversations.hist\xc3\xb6ry"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        CHECK(method_find(&x, sv_from(others[i])) == NULL);
}

/* A name that is not there is looked for until an empty slot. */
TEST(an_absent_name_ends_at_an_empty_slot)
{
    struct method_index x;
    method_index_init(&x);
    uint32_t longest = 0, run = 0;
    for (uint32_t i = 0; i < 2 * method_slots; i++) {
        run = x.at[i % method_slots] == 0 ? 0 : run + 1;
        longest = MAX(longest, run);
    }
    CHECK(longest < 16);
}

static const struct method *named(const char *name)
{
    for (uint32_t i = 0; i < methods_len; i++) {
        if (sv_eq(methods[i].name, sv_from(name)))
            return &methods[i];
    }
    return NULL;
}

TEST(what_is_absent_is_not_in_the_table)
{
    static const char *const absent[] = {
#define ABSENT(name, why) name,
#include "api/absent.def"
#undef ABSENT
    };
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        CHECK(named(absent[i]) == NULL);
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(absent[i], absent[k]) != 0);
    }
}

TEST(a_row_says_its_errors_and_those_of_its_arguments_token_and_callers)
{
    const struct method *react = named("reactions.add"), *test = named("api.test"),
                        *create = named("conversations.create"),
                        *leave = named("conversations.leave"), *whose = named("auth.test"),
                        *post = named("chat.postMessage");
    CHECK_EQ(method_error(react, ERR_ALREADY_REACTED), ERROR_OF_METHOD);
    CHECK_EQ(method_error(react, ERR_NO_ITEM), ERROR_OF_METHOD);       /* missing */
    CHECK_EQ(method_error(react, ERR_BAD_TIMESTAMP), ERROR_OF_METHOD); /* does not fit */
    CHECK_EQ(method_error(react, ERR_NO_REACTION), ERROR_OF_NONE);
    CHECK_EQ(method_error(react, ERR_DISK_FULL), ERROR_OF_ALL);
    CHECK_EQ(method_error(react, ERR_TOKEN_REVOKED), ERROR_OF_TOKEN);
    CHECK_EQ(method_error(test, ERR_TOKEN_REVOKED), ERROR_OF_NONE);
    CHECK_EQ(method_error(react, ERR_MISSING_SCOPE), ERROR_OF_TOKEN);
    CHECK_EQ(method_error(whose, ERR_MISSING_SCOPE), ERROR_OF_NONE);
    CHECK_EQ(method_error(react, ERR_NOT_ALLOWED_TOKEN_TYPE), ERROR_OF_TOKEN);
    CHECK_EQ(method_error(whose, ERR_NOT_ALLOWED_TOKEN_TYPE), ERROR_OF_NONE);
    CHECK_EQ(method_error(create, ERR_USER_IS_RESTRICTED), ERROR_OF_METHOD);
    CHECK_EQ(method_error(leave, ERR_USER_IS_RESTRICTED), ERROR_OF_NONE);
    CHECK_EQ(method_error(post, ERR_METADATA_TOO_LARGE), ERROR_OF_METHOD);
    CHECK_EQ(method_error(react, ERR_METADATA_TOO_LARGE), ERROR_OF_NONE);
}

/* Said twice, one of both would be forgotten when the other changes. */
TEST(no_row_repeats_what_is_said_elsewhere)
{
    for (uint32_t i = 0; i < methods_len; i++) {
        struct method rest = methods[i];
        memset(rest.errors, 0, sizeof rest.errors);
        for (uint32_t k = 0; k < method_errors_max && methods[i].errors[k] != ERR_OK; k++) {
            enum err e = methods[i].errors[k];
            if (method_error(&rest, e) != ERROR_OF_NONE)
                fail_msg("%s repeats %s", methods[i].name.p, err_slack(e));
            rest.errors[k] = e;
        }
    }
}
