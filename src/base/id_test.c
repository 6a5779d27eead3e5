#include "base/id.h"

#include "base/rand.h"
#include "test.h"

TEST(ids_come_back)
{
    struct rand_src r;
    rand_init_seeded(&r, 3);
    for (int i = 0; i < 20000; i++) {
        uint64_t id = rand_u64(&r) >> (i % 64), back = 0;
        char text[id_text_max];
        if (id == 0)
            continue;
        size_t n = id_format(text, ID_USER, id);
        CHECK(n >= 2 && n <= id_text_max);
        CHECK(id_parse((struct str_view){text, n}, ID_USER, &back));
        CHECK(back == id);
        CHECK(!id_parse((struct str_view){text, n}, ID_TEAM, &back));
        CHECK(!id_parse_channel((struct str_view){text, n}, &back));
    }
}

TEST(one_spelling_per_id)
{
    static const char *const refused[] = {"",
                                          "U",
                                          "U0",
                                          "U01",
                                          "u1",
                                          "Ua",
                                          "UI",
                                          "UL",
                                          "UO",
                                          "UU",
                                          "U1 ",
                                          " U1",
                                          "U-1",
                                          "UG0000000000000",
                                          "UZZZZZZZZZZZZZ",
                                          "U1_",
                                          "C1U",
                                          "U1\x80",
                                          "U11111111111111"};
    uint64_t id = 7;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        CHECK(!id_parse(sv_from(refused[i]), ID_USER, &id));
    CHECK_EQ(id, 7);
    CHECK(id_parse(SV("UFZZZZZZZZZZZZ"), ID_USER, &id));
    CHECK(id == UINT64_MAX);
    CHECK(!id_parse(SV("UG000000000000"), ID_USER, &id)); /* 2^64 */
    CHECK(id_parse_channel(SV("C1"), &id) && id_parse_channel(SV("G1"), &id) &&
          id_parse_channel(SV("D1"), &id));
    CHECK(!id_parse_channel(SV("U1"), &id));
}

TEST(ts_comes_back_and_sorts_as_text)
{
    struct rand_src r;
    char before[ts_text_len] = "0000000000.000000";
    uint64_t ts = 0, back;
    rand_init_seeded(&r, 4);
    for (int i = 0; i < 20000; i++) {
        char text[ts_text_len];
        ts += 1 + rand_below(&r, 499999999999u);
        if (ts >= 10000000000000000u)
            break;
        ts_format(text, ts);
        CHECK(ts_parse((struct str_view){text, ts_text_len}, &back));
        CHECK(back == ts);
        CHECK(memcmp(before, text, ts_text_len) < 0);
        memcpy(before, text, ts_text_len);
    }
    char text[ts_text_len];
    ts_format(text, 1517436010000936u);
    CHECK_MEM(text, "1517436010.000936", ts_text_len);
    ts_format(text, 9999999999999999u);
    CHECK_MEM(text, "9999999999.999999", ts_text_len);
}

TEST(ts_in_the_shapes_that_clients_send)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"0", 0},
                {"1517436010", 1517436010000000u},
                {"1517436010.5", 1517436010500000u},
                {"1517436010.000936", 1517436010000936u},
                {"1.000001", 1000001},
                {"9999999999", 9999999999000000u}};
    static const char *const refused[] = {
        "",          ".",  ".5", "1.",   "-1",  "1.2.3", "1e9",  "12345678901",
        "1.0000001", " 1", "1 ", "1.-1", "now", "1,5",   "+1.0", "1.00000a"};
    uint64_t ts = 7;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        CHECK(!ts_parse(sv_from(refused[i]), &ts));
    CHECK(!ts_parse((struct str_view){"1\0.5", 4}, &ts));
    CHECK_EQ(ts, 7);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CHECK(ts_parse(sv_from(good[i].text), &ts));
        CHECK(ts == good[i].us);
    }
}

TEST(file_ids_carry_a_hundred_bits)
{
    uint8_t random[file_id_random_bytes] = {0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54,
                                            0xb6, 0x35, 0xcf, 0x84, 0x65, 0x30};
    struct file_id id, back;
    file_id_make(&id, random);
    CHECK_MEM(id.text, "F0123456789ABCDEFGHJK", file_id_len);
    memset(random, 0xff, sizeof random);
    file_id_make(&id, random);
    CHECK_MEM(id.text, "FZZZZZZZZZZZZZZZZZZZZ", file_id_len);
    CHECK(file_id_parse(file_id_view(&id), &back));
    CHECK_MEM(back.text, id.text, file_id_len);
    for (int i = 0; i < 100; i++) { /* each of the bits is in it */
        struct file_id other;
        random[i / 8] = (uint8_t)(random[i / 8] ^ 0x80 >> i % 8);
        file_id_make(&other, random);
        CHECK(memcmp(other.text, id.text, file_id_len) != 0);
        random[i / 8] = 0xff;
    }
    static const char *const refused[] = {"",
                                          "F",
                                          "F0123456789ABCDEFGHJ",
                                          "F0123456789ABCDEFGHJKM",
                                          "C0123456789ABCDEFGHJK",
                                          "F0123456789abcdefghjk",
                                          "F0123456789ABCDEFGHJL",
                                          "F0123456789ABCDEFGHJ/",
                                          "F../../../../../../.."};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        CHECK(!file_id_parse(sv_from(refused[i]), &back));
}
