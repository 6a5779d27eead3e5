#include "dir/name.h"

#include "test.h"

TEST(channel_names)
{
    static char long_name[80 * 4 + 2];
    for (size_t i = 0; i < 81; i++)
        memcpy(long_name + i * 4, "\xf0\x9f\x8e\x89", i < 80 ? 4 : 1);
    static const struct {
        struct str_view name;
        enum err err;
    } rows[] = {{{"general", 7}, ERR_OK},
                {{"a-b_c-1", 7}, ERR_OK},
                {{"\xc3\xa4", 2}, ERR_OK},
                {{"", 0}, ERR_INVALID_NAME_REQUIRED},
                {{"-_-", 3}, ERR_INVALID_NAME_PUNCTUATION},
                {{"General", 7}, ERR_INVALID_NAME_SPECIALS},
                {{"a b", 3}, ERR_INVALID_NAME_SPECIALS},
                {{"a.b", 3}, ERR_INVALID_NAME_SPECIALS},
                {{"a\0b", 3}, ERR_INVALID_NAME_SPECIALS},
                {{"#a", 2}, ERR_INVALID_NAME_SPECIALS},
                {{long_name, 320}, ERR_OK}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_EQ(name_check_channel(rows[i].name), rows[i].err);
    long_name[320] = 'a';
    CHECK_EQ(name_check_channel((struct str_view){long_name, 321}), ERR_INVALID_NAME_MAXLENGTH);
}

TEST(user_names_and_domains)
{
    static const char *const good[] = {"ada", "a.b-c_1", "7"}, *const bad[] = {"",    "A",
                                                                               "a b", ".-_",
                                                                               "a@b", "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        CHECK_EQ(name_check_user(sv_from(good[i])), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(name_check_user(sv_from(bad[i])), ERR_INVALID_NAME);
    CHECK_EQ(name_check_user((struct str_view){"a\0", 2}), ERR_INVALID_NAME);
    CHECK_EQ(name_check_domain(SV("demo-1")), ERR_OK);
    static const char *const no_domains[] = {"", "-a", "a-", "a.b", "A", "a_b"};
    for (size_t i = 0; i < ARRAY_LEN(no_domains); i++)
        CHECK_EQ(name_check_domain(sv_from(no_domains[i])), ERR_INVALID_NAME);
    char label[64];
    memset(label, 'x', sizeof label);
    CHECK_EQ(name_check_domain((struct str_view){label, 63}), ERR_OK);
    CHECK_EQ(name_check_domain((struct str_view){label, 64}), ERR_INVALID_NAME);
}
