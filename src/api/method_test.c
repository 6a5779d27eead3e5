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
