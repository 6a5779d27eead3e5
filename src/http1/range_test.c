#include "http1/range.h"

#include "test.h"

TEST(ranges)
{
    static const struct {
        const char *value;
        uint64_t length;
        enum http_range range;
        uint64_t first, len;
    } rows[] = {
        {NULL, 10, HTTP_RANGE_WHOLE, 0, 0},
        {"", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
        {"bytes=0-9", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=2-", 10, HTTP_RANGE_PART, 2, 8},
        {"Bytes = 2-4 ", 10, HTTP_RANGE_PART, 2, 3},
        {"bytes=9-100", 10, HTTP_RANGE_PART, 9, 1},
        {"bytes=9-99999999999999999999", 10, HTTP_RANGE_PART, 9, 1},
        {"bytes=10-", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=99999999999999999999-", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-3", 10, HTTP_RANGE_PART, 7, 3},
        {"bytes=-30", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=-0", 10, HTTP_RANGE_NONE, 0, 0},
        {"bytes=-5", 0, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=5-4", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=1-2-3", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=--3", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes 1-2", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"items=1-2", 10, HTTP_RANGE_WHOLE, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t first = 0, len = 0;
        enum http_range got = http_range(sv_from(rows[i].value), rows[i].length, &first, &len);
        if (got != rows[i].range || first != rows[i].first || len != rows[i].len)
            print_error("row %zu\n", i);
        CHECK_EQ(got, rows[i].range);
        CHECK_EQ(first, rows[i].first);
        CHECK_EQ(len, rows[i].len);
    }
}

TEST(entity_tags)
{
    static const struct {
        const char *list;
        bool weak, strong;
    } rows[] = {{"\"ab\"", true, true},
                {"*", true, true},
                {" \"x\" ,\t\"ab\"", true, true},
                {"W/\"ab\"", true, false},
                {"\"x\", W/\"ab\"", true, false},
                {"w/\"ab\"", false, false},
                {"ab", false, false},
                {"\"a\"", false, false},
                {"\"abc\"", false, false},
                {"", false, false},
                {NULL, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_EQ(http_has_etag(sv_from(rows[i].list), SV("\"ab\""), true), rows[i].weak);
        CHECK_EQ(http_has_etag(sv_from(rows[i].list), SV("\"ab\""), false), rows[i].strong);
    }
}
