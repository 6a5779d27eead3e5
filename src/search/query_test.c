#include "search/query.h"

#include <stdio.h>

#include "search/match.h"
#include "test.h"

enum { NOW = 1764072000 }; /* Tuesday, 2025-11-25 12:00 UTC */
enum { DAY = 86400, TODAY = NOW - NOW % DAY };

static struct query parse(const char *text)
{
    struct query q;
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, sv_from(text), NOW, 0), ERR_OK);
    return q;
}

TEST(words_phrases_and_modifiers)
{
    struct query q = parse("from:@ada  in:#general \"exact words\" plain -not -\"not this\" pre* "
                           "-in:<#C1|two words> has:link has::tada: is:thread -is:saved");
    CHECK_EQ(q.from_len, 1);
    CHECK_SV(q.from[0].text, "@ada");
    CHECK_EQ(q.in_len, 2);
    CHECK_SV(q.in[0].text, "#general");
    CHECK(!q.in[0].negated && q.in[1].negated);
    CHECK_SV(q.in[1].text, "<#C1|two words>");
    CHECK_EQ(q.terms_len, 5);
    CHECK_SV(q.terms[0].text, "exact words");
    CHECK(q.terms[0].phrase && !q.terms[0].negated);
    CHECK_SV(q.terms[1].text, "plain");
    CHECK(q.terms[2].negated && !q.terms[2].phrase);
    CHECK(q.terms[3].negated && q.terms[3].phrase);
    CHECK_SV(q.terms[4].text, "pre");
    CHECK(q.terms[4].prefix);
    CHECK_EQ(q.has, HAS_LINK | HAS_REACTION);
    CHECK_SV(q.has_emoji, "tada");
    CHECK_EQ(q.is, IS_THREAD);
    CHECK_EQ(q.is_not, IS_SAVED);
}

/* To messages, which have none, it is a word. */
TEST(types_are_of_files)
{
    struct query q;
    CHECK_EQ(query_parse(&q, QUERY_FILES, SV("type:images -type:png plan"), NOW, 0), ERR_OK);
    CHECK_EQ(q.type_len, 2);
    CHECK_SV(q.type[0].text, "images");
    CHECK(!q.type[0].negated && q.type[1].negated);
    CHECK_EQ(q.terms_len, 1);
    q = parse("type:images");
    CHECK_EQ(q.type_len, 0);
    CHECK_SV(q.terms[0].text, "type:images");
    CHECK_EQ(query_parse(&q, QUERY_FILES,
                         SV("type:a type:b type:c type:d type:e type:f type:g type:h type:i"), NOW,
                         0),
             ERR_INVALID_ARGUMENTS);
}

TEST(what_is_no_modifier_is_a_word)
{
    struct query q = parse("http://x.example note:this from: before:whenever \"open - *");
    CHECK_EQ(q.terms_len, 7);
    CHECK_SV(q.terms[0].text, "http://x.example");
    CHECK_SV(q.terms[3].text, "before:whenever");
    CHECK_SV(q.terms[4].text, "\"open");
    CHECK(q.from_len == 0 && q.before_s == 0);
}

TEST(days_are_days_of_who_asks)
{
    static const struct {
        const char *text;
        uint64_t after, before;
    } rows[] = {{"on:2025-11-20", TODAY - 5 * DAY, TODAY - 4 * DAY},
                {"before:2025-11-20", 0, TODAY - 5 * DAY},
                {"after:2025-11-20", TODAY - 4 * DAY, 0},
                {"on:11/20/2025", TODAY - 5 * DAY, TODAY - 4 * DAY},
                {"after:yesterday", TODAY, 0},
                {"on:today", TODAY, TODAY + DAY},
                {"during:week", TODAY - DAY, TODAY + DAY},
                {"during:november", TODAY - 24 * DAY, TODAY + 6 * DAY},
                {"during:dec", 1733011200, 1735689600},
                {"during:1970", 0, 365 * DAY},
                {"on:2024-02-29", 1709164800, 1709251200},
                {"after:2025-11-01 before:2025-11-03 after:2025-10-01", TODAY - 23 * DAY,
                 TODAY - 22 * DAY}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct query q = parse(rows[i].text);
        if (q.after_s != rows[i].after || q.before_s != rows[i].before)
            fprintf(stderr, "%s: %llu %llu, not %llu %llu\n", rows[i].text,
                    (unsigned long long)q.after_s, (unsigned long long)q.before_s,
                    (unsigned long long)rows[i].after, (unsigned long long)rows[i].before);
        CHECK(q.after_s == rows[i].after && q.before_s == rows[i].before);
    }
    struct query q;
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, SV("on:2025-11-20"), NOW, -5 * 3600), ERR_OK);
    CHECK_EQ(q.after_s, TODAY - 5 * DAY + 5 * 3600);
    static const char *const bad[] = {"on:2025-02-29", "on:2025-13-01", "on:0000-00-00",
                                      "on:2025-1-1-1", "on:2025-",      "on:99999",
                                      "on:1969"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(parse(bad[i]).terms_len, 1);
}

TEST(bounds)
{
    char text[query_bytes_max + 2];
    struct query q;
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, SV(" \t"), NOW, 0), ERR_NO_QUERY);
    memset(text, 'a', sizeof text);
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, (struct str_view){text, query_bytes_max}, NOW, 0),
             ERR_OK);
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, (struct str_view){text, query_bytes_max + 1}, NOW, 0),
             ERR_INVALID_ARGUMENTS);
    for (size_t i = 0; i < query_terms_max * 2; i++)
        text[i] = i % 2 == 0 ? 'a' : ' ';
    CHECK_EQ(query_parse(&q, QUERY_MESSAGES, (struct str_view){text, query_terms_max * 2}, NOW, 0),
             ERR_OK);
    text[query_terms_max * 2] = 'a';
    CHECK_EQ(
        query_parse(&q, QUERY_MESSAGES, (struct str_view){text, query_terms_max * 2 + 1}, NOW, 0),
        ERR_INVALID_ARGUMENTS);
}

/* ---- match ---- */

struct rig {
    struct arena_pool pool;
    struct arena a;
    struct match m;
};

static void compile(struct rig *r, const char *query)
{
    struct query q = parse(query);
    arena_pool_init(&r->pool, 65536, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&r->a, &r->pool, UINT64_MAX), ERR_OK);
    CHECK_EQ(match_compile(&r->m, &q, &r->a), ERR_OK);
}

static void release(struct rig *r)
{
    arena_deinit(&r->a);
    arena_pool_deinit(&r->pool);
}

static bool matches(const char *query, const char *text)
{
    struct rig r;
    uint32_t score;
    compile(&r, query);
    bool is = match_text(&r.m, sv_from(text), &r.a, &score);
    release(&r);
    return is;
}

TEST(a_text_has_every_term)
{
    CHECK(matches("hello", "Well, HELLO there"));
    CHECK(matches("hello there", "there, hello"));
    CHECK(!matches("hello here", "there, hello"));
    CHECK(!matches("\"hello there\"", "there, hello"));
    CHECK(matches("\"hello there\"", "oh hello, there"));
    CHECK(matches("foo-bar", "a foo bar b"));
    CHECK(!matches("foo-bar", "bar foo"));
    CHECK(matches("hel*", "hello"));
    CHECK(!matches("hel", "hello"));
    CHECK(!matches("hello -there", "hello there"));
    CHECK(matches("hello -\"you there\"", "hello there you"));
    CHECK(matches("-x", "y"));
    CHECK(matches("本語", "日本語"));
    CHECK(matches("語", "日本語"));
    CHECK(matches("日", "日本語"));
    CHECK(!matches("日語", "日本語"));
    CHECK(matches("\"日本語 text\"", "日本語 text"));
    CHECK(!matches("\"日本 text\"", "日本語 text"));
    CHECK(matches("👍", "ok 👍🏽"));
    CHECK(matches("...", "anything")); /* no word in it */
}

/* Wherever they stand; of scripts without spaces each pair of characters is a word. */
TEST(the_words_of_all_terms_are_bounded)
{
    static const char *const units[] = {"w ", "本"};
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        for (uint32_t over = 0; over < 2; over++) {
            struct rig r;
            struct query q;
            char text[query_bytes_max] = "one -\"";
            uint32_t n = match_words_max - 1 + over + (u == 1);
            compile(&r, "x");
            for (uint32_t i = 0; i < n; i++)
                strcat(text, units[u]);
            strcat(text, "\"");
            CHECK_EQ(query_parse(&q, QUERY_FILES, sv_from(text), 0, 0), ERR_OK);
            CHECK_EQ(match_compile(&r.m, &q, &r.a), over ? ERR_INVALID_ARGUMENTS : ERR_OK);
            release(&r);
        }
    }
}

static void check_marks(const char *query, const char *text, const char *want)
{
    struct rig r;
    struct buf out;
    char plain[512];
    size_t n = 0;
    compile(&r, query);
    buf_init(&out, &r.a, 64);
    match_highlight(&r.m, sv_from(text), &r.a, &out);
    for (size_t i = 0; i < out.len; i++) { /* brackets are easier to read */
        bool mark = out.len - i >= 3 && memcmp(out.p + i, "\xee\x80", 2) == 0;
        plain[n++] = !mark ? out.p[i] : out.p[i + 2] == '\x80' ? '[' : ']';
        i += mark ? 2 : 0;
    }
    plain[n] = '\0';
    if (strcmp(plain, want) != 0)
        fprintf(stderr, "%s in %s: %s, not %s\n", query, text, plain, want);
    CHECK(strcmp(plain, want) == 0);
    release(&r);
}

TEST(what_was_found_is_marked)
{
    check_marks("hello", "Well, HELLO there. hello", "Well, [HELLO] there. [hello]");
    check_marks("\"a b\"", "a b a c b", "[a] [b] a c b");
    check_marks("本語", "日本語だ", "日[本語]だ");
    check_marks("日本語", "日本語だ", "[日本語]だ");
    check_marks("arger", "viel Ärger!", "viel [Ärger]!");
    check_marks("-x y", "x y", "x [y]");
}
