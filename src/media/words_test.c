/* The words of a file: gathered, packed, read again, asked. */
#include "media/words.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

struct fix {
    struct arena_pool pool;
    struct arena a;
};

static void fix_init(struct fix *f)
{
    arena_pool_init(&f->pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&f->a, &f->pool, UINT64_MAX), ERR_OK);
}

static void fix_deinit(struct fix *f)
{
    arena_deinit(&f->a);
    arena_pool_deinit(&f->pool);
}

static struct str_view packed(struct fix *f, struct words *w)
{
    struct buf b;
    words_sort(w);
    buf_init(&b, &f->a, 0);
    words_pack(w, &b);
    CHECK(!w->failed && !b.failed);
    return buf_view(&b);
}

static struct str_view words_of(struct fix *f, const char *title, const char *name,
                                struct str_view content)
{
    struct words w;
    CHECK_EQ(words_init(&w, &f->a), ERR_OK);
    words_add_label(&w, sv_from(title));
    words_add_label(&w, sv_from(name));
    words_add_content(&w, content);
    return packed(f, &w);
}

static uint32_t ask(struct fix *f, struct str_view value, const char *text)
{
    struct query q;
    struct match m;
    struct words_query wq;
    bool found;
    uint32_t score;
    CHECK_EQ(query_parse(&q, QUERY_FILES, sv_from(text), 1764072000, 0), ERR_OK);
    CHECK_EQ(match_compile(&m, &q, &f->a), ERR_OK);
    CHECK_EQ(words_query_init(&wq, &m, &f->a), ERR_OK);
    CHECK_EQ(words_match(&wq, value, &found, &score), ERR_OK);
    return found ? MAX(score, 1u) : 0;
}

TEST(words_phrases_and_what_must_not_be_there)
{
    struct fix f;
    fix_init(&f);
    struct str_view v = words_of(&f, "Über uns", "ueber-uns_v2.txt",
                                 SV("The quick brown fox, the lazy dog. 日本語のテスト"));
    static const char *const yes[] = {"uber",
                                      "ÜBER UNS",
                                      "quick",
                                      "\"quick brown\"",
                                      "\"the lazy dog\"",
                                      "qui*",
                                      "日本",
                                      "本語の",
                                      "ueber-uns_v2.txt",
                                      "v2.txt",
                                      "quick -slow",
                                      "fox uber",
                                      "\"the lazy\" the",
                                      "語",
                                      "-\"lazy quick\""};
    static const char *const no[] = {
        "qui",         "\"brown quick\"", "quick slow",         "quick -fox", "-qui* quick",
        "日語",        "\"uns ueber\"",   "\"fox the dog\"",    "z*",         "\"dog uber\"",
        "\"txt the\"", "txt.v2",          "quick -\"the lazy\""};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (ask(&f, v, yes[i]) == 0)
            fail_msg("not found: %s", yes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        if (ask(&f, v, no[i]) != 0)
            fail_msg("found: %s", no[i]);
    }
    CHECK_EQ(ask(&f, SV(""), "x"), 0);
    CHECK(ask(&f, SV(""), "-x") != 0);
    fix_deinit(&f);
}

TEST(a_title_says_more_than_a_content)
{
    struct fix f;
    fix_init(&f);
    struct str_view title = words_of(&f, "budget", "a.txt", SV("one two three four")),
                    once = words_of(&f, "other", "a.txt", SV("one two three budget")),
                    twice = words_of(&f, "other", "a.txt", SV("one budget three budget"));
    uint32_t t = ask(&f, title, "budget"), o = ask(&f, once, "budget"),
             w = ask(&f, twice, "budget");
    CHECK(t > w && w > o && o > 0);
    fix_deinit(&f);
}

/* A phrase may lie across any border of the words of bits in which places are kept. */
TEST(phrases_at_every_place)
{
    struct fix f;
    static char text[4096];
    fix_init(&f);
    for (uint32_t at = 0; at < 200; at++) {
        size_t n = 0;
        for (uint32_t i = 0; i < at; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "weed ");
        n += (size_t)snprintf(text + n, sizeof text - n, "a b c weed");
        struct str_view v = words_of(&f, "t", "n", (struct str_view){text, n});
        CHECK(ask(&f, v, "\"a b c\"") != 0);
        CHECK_EQ(ask(&f, v, "\"a c\""), 0);
        CHECK_EQ(ask(&f, v, "\"b b\""), 0);
        arena_reset(&f.a);
    }
    fix_deinit(&f);
}

/* Phrases longer than a word of bits, and the last place of all. */
TEST(long_phrases_and_the_last_place)
{
    struct fix f;
    static char text[2 * content_places + 64], query[256] = "\"";
    fix_init(&f);
    size_t n = 0;
    for (uint32_t i = 0; i < content_places - 1; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%c ", 'a' + (int)(i % 3));
    n += (size_t)snprintf(text + n, sizeof text - n, "z y");
    struct str_view v = words_of(&f, "t", "n", (struct str_view){text, n});
    CHECK(ask(&f, v, "z") != 0);
    CHECK_EQ(ask(&f, v, "y"), 0); /* one too many */
    for (int i = 0; i < 100; i++)
        strcat(query, i % 3 == 0 ? "a " : i % 3 == 1 ? "b " : "c ");
    CHECK(ask(&f, v, strcat(query, "b\"")) != 0);
    query[strlen(query) - 2] = 'c';
    CHECK_EQ(ask(&f, v, query), 0);
    fix_deinit(&f);
}

/* Words and beginnings of the query among those of the file, in whatever order they are asked. */
TEST(many_words_and_beginnings_at_once)
{
    struct fix f;
    fix_init(&f);
    struct str_view v =
        words_of(&f, "aa ab abc abd b", "bc", SV("cab cb zz \xc3\xa4 \xe6\x97\xa5\xe6\x9c\xac"));
    CHECK(ask(&f, v, "zz b* abd a* ab* aa abc* cb bc") != 0);
    CHECK(ask(&f, v, "ab ab* abc abc* \"abc abd\"") != 0);
    CHECK(ask(&f, v, "a* \xe6\x97\xa5 zz -abcd* -d -cba") != 0);
    CHECK_EQ(ask(&f, v, "a* ac* zz"), 0);
    CHECK_EQ(ask(&f, v, "a* ab -abc* zz"), 0);
    CHECK_EQ(ask(&f, v, "a* ab abcd zz"), 0);
    CHECK_EQ(ask(&f, v, "a* zzz"), 0);
    /* A beginning is still looked for when words behind it are done with. */
    CHECK(ask(&f, words_of(&f, "ab abc", "n", SV("x abd")), "x-a* ab") != 0);
    fix_deinit(&f);
}

TEST(a_new_title_leaves_the_content)
{
    struct fix f;
    struct words w;
    fix_init(&f);
    struct str_view v = words_of(&f, "old title", "n.txt", SV("the old content, title and all"));
    CHECK_EQ(words_init(&w, &f.a), ERR_OK);
    words_add_label(&w, SV("new"));
    words_add_label(&w, SV("n.txt"));
    CHECK_EQ(words_add_packed_content(&w, v), ERR_OK);
    struct str_view again = packed(&f, &w),
                    want = words_of(&f, "new", "n.txt", SV("the old content, title and all"));
    CHECK_EQ(again.len, want.len);
    CHECK_MEM(again.p, want.p, want.len);
    CHECK(ask(&f, again, "new") != 0 && ask(&f, again, "\"old content\"") != 0);
    CHECK_EQ(ask(&f, again, "\"old title\""), 0);
    fix_deinit(&f);
}

TEST(words_and_places_are_bounded)
{
    enum { texts = 200000 };
    struct fix f;
    char *text = malloc(texts * 8);
    size_t n = 0;
    CHECK(text != NULL);
    fix_init(&f);
    for (int i = 0; i < texts / 8; i++) /* all different */
        n += (size_t)snprintf(text + n, 8, "w%d ", i);
    struct words w;
    CHECK_EQ(words_init(&w, &f.a), ERR_OK);
    words_add_label(&w, (struct str_view){text, n});
    CHECK_EQ(w.len, label_places);
    words_add_content(&w, (struct str_view){text, n});
    CHECK_EQ(w.len, words_max);
    words_add_mark(&w, SV("\1one more"));
    CHECK_EQ(w.len, words_max);
    struct str_view v = packed(&f, &w);
    CHECK(v.len < words_max * 8 + content_places * 4);
    CHECK(ask(&f, v, "w4000") != 0);
    CHECK_EQ(ask(&f, v, "w4100"), 0);
    free(text);
    fix_deinit(&f);
}

/* What a value says it has is not believed: nothing outside of it is touched. */
TEST(damaged_values_are_corrupt_or_harmless)
{
    struct fix f;
    fix_init(&f);
    struct query q;
    struct match m;
    struct words_query wq;
    bool found;
    uint32_t score, corrupt = 0;
    CHECK_EQ(query_parse(&q, QUERY_FILES, SV("quick br* \"the dog\""), 1764072000, 0), ERR_OK);
    CHECK_EQ(match_compile(&m, &q, &f.a), ERR_OK);
    CHECK_EQ(words_query_init(&wq, &m, &f.a), ERR_OK);
    struct str_view v = words_of(&f, "the quick", "brown", SV("the dog the dog bright"));
    for (size_t i = 0; i < v.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            char *copy = malloc(v.len); /* for the sanitizer: not a byte behind it */
            memcpy(copy, v.p, v.len);
            copy[i] = (char)(copy[i] ^ 1 << bit);
            corrupt +=
                words_match(&wq, (struct str_view){copy, v.len}, &found, &score) == ERR_CORRUPT;
            free(copy);
        }
    }
    CHECK(corrupt > 0);
    for (size_t cut = 1; cut < v.len; cut++) {
        char *copy = malloc(cut);
        memcpy(copy, v.p, cut);
        (void)!words_match(&wq, (struct str_view){copy, cut}, &found, &score);
        free(copy);
    }
    fix_deinit(&f);
}
