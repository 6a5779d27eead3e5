#include "json/read.h"

#include <stdlib.h>

#include "base/rand.h"
#include "json/write.h"
#include "test.h"

struct fix {
    struct arena_pool pool;
    struct arena a;
    struct json_reader *r;
};

static void fix_init(struct fix *f)
{
    arena_pool_init(&f->pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&f->a, &f->pool, 8 << 20), ERR_OK);
    CHECK_EQ(json_reader_new(&f->r), ERR_OK);
}

static void fix_deinit(struct fix *f)
{
    json_reader_free(f->r);
    arena_deinit(&f->a);
    arena_pool_deinit(&f->pool);
}

static enum err read_text(struct fix *f, struct str_view text, struct json_member **m, uint32_t *n)
{
    return json_read_object(f->r, &f->a, arena_dup(&f->a, text), m, n);
}

TEST(members_of_every_type)
{
    struct fix f;
    struct json_member *m;
    uint32_t n;
    fix_init(&f);
    CHECK_EQ(read_text(&f,
                       SV(" { \"a\" : \"x\\n\\u00e9\\ud83c\\udf89\\/\" "
                          ",\"b\":-12,\"c\":1.50,\"d\":true,\"e\":null,"
                          "\"f\":[1,{\"]\":\"\\\"}\"}],\"g\":{ \"h\":2 }} "),
                       &m, &n),
             ERR_OK);
    CHECK_EQ(n, 7);
    CHECK_SV(json_find(m, n, SV("a"))->s, "x\n\xc3\xa9\xf0\x9f\x8e\x89/");
    CHECK_EQ(json_find(m, n, SV("b"))->i, -12);
    CHECK_EQ(json_find(m, n, SV("c"))->type, JSON_DOUBLE);
    CHECK_SV(json_find(m, n, SV("c"))->s, "1.50");
    CHECK(json_find(m, n, SV("d"))->b);
    CHECK_EQ(json_find(m, n, SV("e"))->type, JSON_NULL);
    CHECK_SV(json_find(m, n, SV("f"))->s, "[1,{\"]\":\"\\\"}\"}]");
    CHECK_EQ(json_find(m, n, SV("g"))->type, JSON_OBJECT);
    CHECK(json_find(m, n, SV("z")) == NULL);
    fix_deinit(&f);
}

TEST(what_is_not_one_clean_object_is_refused)
{
    static const struct {
        struct str_view text;
        enum err err;
    } cases[] = {
        {SV(""), ERR_INVALID_JSON},
        {SV("[1]"), ERR_JSON_NOT_OBJECT},
        {SV("\"x\""), ERR_JSON_NOT_OBJECT},
        {SV("{} {}"), ERR_INVALID_JSON},
        {SV("{}x"), ERR_INVALID_JSON},
        {SV("{\"a\":1,\"a\":2}"), ERR_INVALID_JSON},
        {SV("{\"a\":{\"b\":1,\"b\":1}}"), ERR_INVALID_JSON},
        {SV("{\"a\":1,\"\\u0061\":2}"), ERR_INVALID_JSON},
        {SV("{\"a\":NaN}"), ERR_INVALID_JSON},
        {SV("{\"a\":Infinity}"), ERR_INVALID_JSON},
        {SV("{\"a\":01}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\\ud800\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\\ud800x\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\\udc00\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\\u0000\"}"), ERR_INVALID_JSON},
        {SV("{\"\\u0000\":1}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\0\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\n\"}"), ERR_INVALID_JSON},
        {SV("\xef\xbb\xbf{}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\xff\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\xed\xa0\x80\"}"), ERR_INVALID_JSON},
        {SV("{\"a\":\"\xc0\x80\"}"), ERR_INVALID_JSON},
        {SV("{a:1}"), ERR_INVALID_JSON},
        {SV("{\"a\":1,}"), ERR_INVALID_JSON},
        {SV("{'a':1}"), ERR_INVALID_JSON},
        {SV("{\"a\":1"), ERR_INVALID_JSON},
        {SV("{\"a\":tru}"), ERR_INVALID_JSON},
        {SV("{\"a\":/**/1}"), ERR_INVALID_JSON},
    };
    struct fix f;
    struct json_member *m;
    uint32_t n;
    fix_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (read_text(&f, cases[i].text, &m, &n) != cases[i].err)
            fail_msg("case %zu: %.*s", i, SV_ARG(cases[i].text));
    }
    fix_deinit(&f);
}

static struct str_view nested(struct fix *f, unsigned depth)
{
    struct buf b;
    buf_init(&b, &f->a, 1024);
    for (unsigned i = 0; i < depth; i++)
        buf_put(&b, "{\"a\":", 5);
    buf_putc(&b, '1');
    for (unsigned i = 0; i < depth; i++)
        buf_putc(&b, '}');
    return buf_view(&b);
}

TEST(depth_is_bounded)
{
    struct fix f;
    struct json_member *m;
    uint32_t n;
    fix_init(&f);
    CHECK_EQ(read_text(&f, nested(&f, json_depth_max), &m, &n), ERR_OK);
    CHECK_EQ(read_text(&f, nested(&f, json_depth_max + 1), &m, &n), ERR_INVALID_JSON);
    CHECK_EQ(read_text(&f, nested(&f, 100000), &m, &n), ERR_INVALID_JSON);
    fix_deinit(&f);
}

TEST(many_names_in_linear_time_and_duplicates_found)
{
    struct fix f;
    enum json_type type;
    fix_init(&f);
    for (int duplicate = 0; duplicate < 2; duplicate++) {
        struct buf b;
        buf_init(&b, &f.a, 1 << 20);
        buf_putc(&b, '{');
        for (int i = 0; i < 50000; i++)
            buf_printf(&b, "\"k%d\":0,", i);
        buf_printf(&b, "\"%s\":0}", duplicate ? "k77" : "last");
        CHECK_EQ(json_check(f.r, buf_view(&b), &type), duplicate ? ERR_INVALID_JSON : ERR_OK);
    }
    fix_deinit(&f);
}

TEST(arrays_and_checks)
{
    struct fix f;
    struct json_member *m;
    uint32_t n;
    enum json_type type;
    fix_init(&f);
    CHECK_EQ(json_read_array(f.r, &f.a, SV("[ ]"), &m, &n), ERR_OK);
    CHECK_EQ(n, 0);
    CHECK_EQ(json_read_array(f.r, &f.a, SV("[1,\"b\",{}]"), &m, &n), ERR_OK);
    CHECK_EQ(n, 3);
    CHECK_SV(m[1].value.s, "b");
    CHECK_EQ(json_read_array(f.r, &f.a, SV("{}"), &m, &n), ERR_INVALID_JSON);
    CHECK_EQ(json_check(f.r, SV("[{}]"), &type), ERR_OK);
    CHECK_EQ(type, JSON_ARRAY);
    CHECK_EQ(json_check(f.r, SV("null"), &type), ERR_OK);
    CHECK_EQ(type, JSON_NULL);
    CHECK_EQ(json_check(f.r, SV_NONE, &type), ERR_INVALID_JSON);
    fix_deinit(&f);
}

TEST(writing_escapes_and_places_commas)
{
    struct fix f;
    struct buf b;
    fix_init(&f);
    buf_init(&b, &f.a, 0);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "s", SV("a\"\\\n\x01/\xc3\xa9"));
    json_kv_u64(&j, "n", UINT64_MAX);
    json_key(&j, "a");
    json_arr(&j);
    json_i64(&j, -5);
    json_bool(&j, false);
    json_null(&j);
    json_obj(&j);
    json_obj_end(&j);
    json_arr_end(&j);
    json_raw(&j, SV("\"r\":1,\"q\":2"));
    json_raw(&j, SV_NONE);
    json_kv_ts(&j, "ts", 1517436010000936);
    json_kv_id(&j, "id", ID_CHANNEL, 33);
    json_obj_end(&j);
    CHECK_SV(buf_view(&b), "{\"s\":\"a\\\"\\\\\\n\\u0001/"
                           "\xc3\xa9\",\"n\":18446744073709551615,\"a\":[-5,false,null,{}],"
                           "\"r\":1,\"q\":2,\"ts\":\"1517436010.000936\",\"id\":\"C11\"}");
    fix_deinit(&f);
}

/* Numbers keep their text; an integer that does not fit 64 bits with sign is a double. */
TEST(numbers_at_their_edges)
{
    static const struct {
        struct str_view text;
        enum json_type type;
        int64_t i;
    } rows[] = {{{"0", 1}, JSON_INT, 0},
                {{"-0", 2}, JSON_INT, 0},
                {{"9223372036854775807", 19}, JSON_INT, INT64_MAX},
                {{"-9223372036854775807", 20}, JSON_INT, -INT64_MAX},
                {{"9223372036854775808", 19}, JSON_DOUBLE, 0},
                {{"18446744073709551615", 20}, JSON_DOUBLE, 0},
                {{"1e3", 3}, JSON_DOUBLE, 0},
                {{"1517436010.000936", 17}, JSON_DOUBLE, 0}};
    struct fix f;
    struct json_member *m;
    uint32_t n;
    fix_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        buf_init(&b, &f.a, 64);
        buf_printf(&b, "{\"n\":%.*s}", SV_ARG(rows[i].text));
        CHECK_EQ(json_read_object(f.r, &f.a, buf_view(&b), &m, &n), ERR_OK);
        CHECK_EQ(m[0].value.type, rows[i].type);
        CHECK(sv_eq(m[0].value.s, rows[i].text));
        if (rows[i].type == JSON_INT)
            CHECK(m[0].value.i == rows[i].i);
    }
    fix_deinit(&f);
}

/* What is written is read back to the byte, whatever the text, from a block of its exact size. */
TEST(text_comes_back_unchanged)
{
    struct fix f;
    struct rand_src r;
    fix_init(&f);
    rand_init_seeded(&r, 21);
    for (int round = 0; round < 3000; round++) {
        static const char *const pieces[] = {"a",
                                             "\"",
                                             "\\",
                                             "/",
                                             "\x01",
                                             "\x1f",
                                             "\x7f",
                                             "\xc3\xa4",
                                             "\xe2\x80\xa8",
                                             "\xf0\x9f\x8e\x89",
                                             "\n",
                                             "\t",
                                             "u0041",
                                             "<&>",
                                             "{}[]:,"};
        struct buf text, out;
        struct json_member *m;
        uint32_t n;
        buf_init(&text, &f.a, 16);
        for (uint64_t k = rand_below(&r, 40); k > 0; k--)
            buf_put_sv(&text, sv_from(pieces[rand_below(&r, ARRAY_LEN(pieces))]));
        buf_init(&out, &f.a, 16);
        struct json_out j = json_out_on(&out);
        json_obj(&j);
        json_kv_str(&j, "t", buf_view(&text));
        json_obj_end(&j);
        char *exact = malloc(out.len);
        memcpy(exact, out.p, out.len);
        CHECK_EQ(json_read_object(f.r, &f.a, (struct str_view){exact, out.len}, &m, &n), ERR_OK);
        CHECK(sv_eq(m[0].value.s, buf_view(&text)));
        for (size_t cut = 0; cut < out.len && round < 200; cut++) /* no prefix of it is whole */
            CHECK(json_read_object(f.r, &f.a, (struct str_view){exact, cut}, &m, &n) != ERR_OK);
        free(exact);
        arena_reset(&f.a);
    }
    fix_deinit(&f);
}
