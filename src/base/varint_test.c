#include "base/varint.h"

#include "test.h"

TEST(numbers_come_back_and_what_is_cut_does_not)
{
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    static const size_t lens[] = {1, 1, 1, 2, 2, 3, 5, varint_bytes_max};
    char text[varint_bytes_max];
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct buf b;
        buf_init_fixed(&b, text, sizeof text);
        varint_put(&b, values[i]);
        CHECK_EQ(b.len, lens[i]);
        struct str_view whole = buf_view(&b), cut = {text, b.len - 1};
        uint64_t v = 5;
        CHECK(!varint_get(&cut, &v));
        CHECK_EQ(v, 5);
        CHECK(varint_get(&whole, &v));
        CHECK(v == values[i]);
        CHECK_EQ(whole.len, 0);
    }
}

TEST(a_number_that_never_ends_is_none)
{
    struct str_view s = SV("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    uint64_t v;
    CHECK(!varint_get(&s, &v));
}
