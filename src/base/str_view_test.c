#include "base/str_view.h"

#include "test.h"

TEST(cut_tells_an_empty_rest_from_no_rest)
{
    struct str_view rest = SV("a=b=");
    struct str_view a = sv_cut(&rest, '='), b = sv_cut(&rest, '=');
    CHECK_SV(a, "a");
    CHECK_SV(b, "b");
    CHECK(rest.p != NULL && rest.len == 0);
    struct str_view last = sv_cut(&rest, '=');
    CHECK_SV(last, "");
    CHECK(rest.p == NULL);
    last = sv_cut(&rest, '=');
    CHECK_SV(last, "");
    CHECK(rest.p == NULL);
}

TEST(u64_takes_digits_only_and_knows_its_range)
{
    static const struct str_view refused[] = {
        {"", 0},    {"-1", 2},   {"+1", 2},  {" 1", 2},
        {"1 ", 2},  {"0x1", 3},  {"1.0", 3}, {"18446744073709551616", 20},
        {"1\0", 2}, {"\xb2", 1}, {NULL, 0},  {"99999999999999999999", 20}};
    uint64_t v = 7;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        CHECK(!sv_to_u64(refused[i], &v));
    CHECK_EQ(v, 7); /* untouched by a refusal */
    CHECK(sv_to_u64(SV("18446744073709551615"), &v));
    CHECK(v == UINT64_MAX);
    CHECK(sv_to_u64(SV("0007"), &v));
    CHECK_EQ(v, 7);
}

TEST(order_is_bytewise_then_by_length)
{
    CHECK(sv_cmp(SV("a"), SV("b")) < 0);
    CHECK(sv_cmp(SV("ab"), SV("a")) > 0);
    CHECK(sv_cmp(SV("\xff"), SV("a")) > 0);
    CHECK_EQ(sv_cmp(SV(""), SV_NONE), 0);
}

TEST(case_is_folded_for_ascii_letters_alone)
{
    CHECK(sv_eq_nocase(SV("Content-TYPE"), SV("content-type")));
    CHECK(!sv_eq_nocase(SV("@[`{"), SV("`{@["))); /* one bit from each other, no letters */
    CHECK(!sv_eq_nocase(SV("\xc3\x84"), SV("\xc3\xa4")));
    CHECK(!sv_eq_nocase(SV("a"), SV("ab")));
}

TEST(trim_takes_blanks_and_tabs_only)
{
    CHECK_SV(sv_trim(SV(" \t a b\t ")), "a b");
    CHECK_SV(sv_trim(SV(" \t ")), "");
    CHECK_SV(sv_trim(SV("\va\r")), "\va\r");
}

TEST(constant_time_equality_is_equality)
{
    CHECK(sv_eq_constant_time(SV("token"), SV("token")));
    CHECK(!sv_eq_constant_time(SV("token"), SV("tokem")));
    CHECK(!sv_eq_constant_time(SV("token"), SV("toke")));
    CHECK(!sv_eq_constant_time(SV("Aoken"), SV("token")));
    CHECK(sv_eq_constant_time(SV(""), SV_NONE));
}
