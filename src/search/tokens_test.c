#include "search/tokens.h"

#include <stdio.h>

#include "base/rand.h"
#include "test.h"

struct seen {
    char text[2048];
    size_t len;
    uint32_t n, stop_after;
    struct str_view all;
};

static bool note(void *ctx, const struct token *t)
{
    struct seen *s = ctx;
    CHECK_EQ(t->at, s->n);
    CHECK(t->word.len > 0 && t->word.len <= token_bytes_max);
    CHECK(t->source.p >= s->all.p && t->source.p + t->source.len <= s->all.p + s->all.len);
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%s%.*s%s",
                               s->n == 0 ? "" : "|", SV_ARG(t->word), t->rest ? "~" : "");
    s->n++;
    return s->n != s->stop_after;
}

static void check(const char *text, const char *want)
{
    struct seen s = {.all = sv_from(text)};
    tokens_each(s.all, note, &s);
    if (strcmp(s.text, want) != 0)
        fprintf(stderr, "of \"%s\": \"%s\", not \"%s\"\n", text, s.text, want);
    CHECK(strcmp(s.text, want) == 0);
}

TEST(words_are_folded)
{
    check("", "");
    check(" ,.;-- ", "");
    check("Hello, World!", "hello|world");
    check("ÄRGER Straße Ärger", "arger|strasse|arger");
    check("A\xcc\x88rger", "arger"); /* decomposed */
    check("don't rock'n'roll 'quoted'", "dont|rocknroll|quoted");
    check("foo_bar foo-bar v1.2", "foo|bar|foo|bar|v1|2");
    check("ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ|σισυφοσ");
    check("Ёлка ёлка Елка", "елка|елка|елка");
    check("ﬁne ２０２４", "fine|2024"); /* compatibility forms */
    check("مُحَمَّد محمـــد", "محمد|محمد");
    check("한국어 한국", "한국어|한국");
    check("हिन्दी", "हनद"); /* vowel signs are marks: folded away on both sides */
}

TEST(scripts_without_spaces_give_pairs)
{
    check("漢", "漢~");
    check("漢字", "漢字|字~");
    check("日本語 text", "日本|本語|語~|text");
    check("abc漢字def", "abc|漢字|字~|def");
    check("カタｶﾅ", "カタ|タカ|カナ|ナ~");
}

TEST(emoji_are_words)
{
    check("ok 👍🏽 ❤️!", "ok|👍|❤");
    check("👨‍👩‍👧", "👨|👩|👧");
}

TEST(markup_is_looked_through)
{
    check("a &amp; b &lt;c&gt;", "a|b|c");
    check("<@U123> see <https://x.example/a?b=1|the page>",
          "u123|see|https|x|example|a|b|1|the|page");
}

TEST(long_words_are_known_by_their_beginning)
{
    char text[400], want[token_bytes_max + 1];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(want, 'a', sizeof want);
    want[token_chars_max] = '\0';
    check(text, want);
    for (size_t i = 0; i + 2 < sizeof text; i += 2) /* ﷲ: four letters each */
        memcpy(text + i, "\xd1\x8f", 2);
    struct seen s = {.all = {text, 398}};
    tokens_each(s.all, note, &s);
    CHECK_EQ(s.n, 1);
    CHECK_EQ(s.len, token_bytes_max);
}

TEST(it_stops_when_told)
{
    struct seen s = {.all = SV("a b 漢字 c"), .stop_after = 3};
    tokens_each(s.all, note, &s);
    CHECK_EQ(s.n, 3);
}

/* Any bytes: no crash, progress, and words in bounds (note checks them). */
TEST(broken_text_does_no_harm)
{
    struct rand_src r;
    rand_init_seeded(&r, 7);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t n = (size_t)rand_below(&r, sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = (char)rand_u64(&r);
        struct seen s = {.all = {text, n}};
        tokens_each(s.all, note, &s);
    }
}
