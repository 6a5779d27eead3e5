/* Names and URLs in texts: what becomes a mention, what stays. */
#include "api/mention.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

struct known {
    char mark;
    const char *name;
    struct mention m;
};

static const struct known known[] = {
    {'@', "ada", {MENTION_USER, 1}},
    {'@', "Ada Lovelace", {MENTION_USER, 2}},
    {'@', "Augusta Ada King", {MENTION_USER, 3}},
    {'@', "j\xc3\xb6rg.m\xc3\xbcller", {MENTION_USER, 4}},
    {'@', "\xe7\x8e\x8b\xe4\xbc\x9f", {MENTION_USER, 5}},
    {'@', "dash-", {MENTION_USER, 6}},
    {'@', "a\xcc\x88", {MENTION_USER, 7}}, /* a letter and its mark */
    {'@', "team", {MENTION_GROUP, 8}},
    {'@', "ada_", {MENTION_USER, 12}},
    {'@', "Https", {MENTION_USER, 13}},
    {'@', "ada https", {MENTION_USER, 14}},
    {'#', "general", {MENTION_CHANNEL, 9}},
    {'#', "party-\xf0\x9f\x8e\x89", {MENTION_CHANNEL, 10}},
    {'#', "ada two", {MENTION_CHANNEL, 11}}}; /* no channel has such a name */

static enum mention_found find(void *ctx, char mark, struct str_view name, struct mention *out)
{
    ++*(uint32_t *)ctx;
    if (sv_eq(name, SV("Ada King")))
        return MENTION_SEVERAL;
    CHECK(name.len > 0 && name.len <= mention_name_bytes_max);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].mark == mark && sv_eq(sv_from(known[i].name), name)) {
            *out = known[i].m;
            return MENTION_FOUND;
        }
    }
    return MENTION_NONE;
}

static struct arena_pool pool;
static struct arena arena;

static struct str_view linked(struct str_view text, bool urls)
{
    static uint32_t asked;
    struct mention_rules rules = {.find = find, .ctx = &asked, .urls = urls};
    struct buf out;
    buf_init(&out, &arena, 0);
    asked = 0;
    mention_link(&out, text, &rules);
    CHECK(!out.failed);
    /* Nobody is asked more than this, whatever the text is. */
    CHECK(asked <= mention_names_max * mention_asks_max);
    return buf_view(&out);
}

static void begin(void)
{
    arena_pool_init(&pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&arena, &pool, 16 << 20), ERR_OK);
}

static void end(void)
{
    arena_deinit(&arena);
    arena_pool_deinit(&pool);
}

static void check(const char *text, const char *want, bool urls)
{
    struct str_view got = linked(sv_from(text), urls);
    if (!sv_eq(got, sv_from(want)))
        fprintf(stderr, "of \"%s\": \"%.*s\", not \"%s\"\n", text, SV_ARG(got), want);
    CHECK(sv_eq(got, sv_from(want)));
}

struct row {
    const char *text, *want; /* NULL: as it is */
};

static void check_rows(const struct row *rows, size_t n, bool urls)
{
    begin();
    for (size_t i = 0; i < n; i++)
        check(rows[i].text, rows[i].want == NULL ? rows[i].text : rows[i].want, urls);
    end();
}

TEST(names_become_mentions)
{
    static const struct row rows[] = {
        {"", NULL},
        {"plain", NULL},
        {"@ada", "<@U1>"},
        {"hi @ada, and (@ada)!", "hi <@U1>, and (<@U1>)!"},
        {"@team @here @channel @everyone", "<!subteam^S8> <!here> <!channel> <!everyone>"},
        {"see #general", "see <#C9|general>"},
        {"#here @general #ada", NULL},
        {"@nobody @ #", NULL},
        {"*@ada* _@team_ ~@ada~", "*<@U1>* _<!subteam^S8>_ ~<@U1>~"},
        {"@ada's @ada:", "<@U1>'s <@U1>:"},
        {"@ada\n#general", "<@U1>\n<#C9|general>"},
        {"@j\xc3\xb6rg.m\xc3\xbcller!", "<@U4>!"},
        {"@\xe7\x8e\x8b\xe4\xbc\x9f\xef\xbc\x8c", "<@U5>\xef\xbc\x8c"}, /* a full-width comma */
        {"\xe3\x80\x8c@ada\xe3\x80\x8d", "\xe3\x80\x8c<@U1>\xe3\x80\x8d"},
        {"@a\xcc\x88", "<@U7>"},
        {"#party-\xf0\x9f\x8e\x89 \xf0\x9f\x8e\x89@ada",
         "<#CA|party-\xf0\x9f\x8e\x89> \xf0\x9f\x8e\x89<@U1>"}};
    check_rows(rows, ARRAY_LEN(rows), false);
}

TEST(a_name_is_as_long_as_one_is_found)
{
    static const struct row rows[] = {
        {"@Ada Lovelace said", "<@U2> said"},
        {"@Augusta Ada King, too", "<@U3>, too"},
        {"@ada Lovelace", "<@U1> Lovelace"},
        {"@Ada  Lovelace", NULL}, /* two spaces */
        {"#ada two", NULL},
        {"thanks @ada.", "thanks <@U1>."},
        {"@ada._-", "<@U1>._-"},
        {"@ada_ @ada_. @ada__", "<@UC> <@UC>. <@U1>__"},
        {"@dash-.", "<@U6>."},
        {"@Ada King @Ada King. @ada", "@Ada King @Ada King. <@U1>"}, /* two are called so */
        {"@ada. Thanks", "<@U1>. Thanks"},
        {"@ada-x @ada.x @adax", NULL},
        {"@dash-", "<@U6>"},
        {"@dash", NULL},
        {"@-ada", NULL}};
    check_rows(rows, ARRAY_LEN(rows), false);
}

TEST(a_mention_stands_alone)
{
    static const struct row rows[] = {
        {"mail ada@ada now", NULL},        {"\xc3\xa9@ada", NULL},
        {"a\xcc\x88@ada", NULL},           {"5#general", NULL},
        {"@@ada ##general", NULL},         {"&#general /#general .@ada", NULL},
        {"&lt;@ada&gt;", "&lt;<@U1>&gt;"}, {"-@ada =@ada", "-<@U1> =@ada"}};
    check_rows(rows, ARRAY_LEN(rows), false);
}

TEST(tokens_code_and_urls_stay)
{
    static const struct row rows[] = {
        {"<@U7|@ada> <#C1|#general> <https://x/|to @ada>", NULL},
        {"a < @ada", "a < <@U1>"}, /* nothing closes it */
        {"<a @ada\n>", "<a <@U1>\n>"},
        {"<< @ada >", NULL},
        {"`@ada` @ada", "`@ada` <@U1>"},
        {"`@ada\n@ada`", "`<@U1>\n<@U1>`"}, /* not over the end of a line */
        {"```\n@ada `x` #general\n``` @ada", "```\n@ada `x` #general\n``` <@U1>"},
        {"``` @ada", "``` <@U1>"},
        {"https://x.com/@ada?q=@ada, @ada", "https://x.com/@ada?q=@ada, <@U1>"},
        {"HTTPS://x.com/@ada ftp://x/#general x.com/?q=@ada", NULL},
        {"http:// @ada ://@ada", "http:// <@U1> ://@ada"}};
    check_rows(rows, ARRAY_LEN(rows), false);
}

TEST(bare_urls_are_wrapped_on_demand)
{
    static const struct row rows[] = {
        {"https://x.com", "<https://x.com>"},
        {"see http://x.com/a?b=c&d=e.", "see <http://x.com/a?b=c&d=e>."},
        {"(https://x.com/a_(b)) @ada", "(<https://x.com/a_(b)>) <@U1>"},
        {"https://x.com/)).)", "<https://x.com/>)).)"},
        {"\"https://x.com\"", "\"<https://x.com>\""},
        {"https://x.com/\xc3\xbc\xe3\x80\x80y", "<https://x.com/\xc3\xbc>\xe3\x80\x80y"},
        {"<https://x.com> <https://x.com|x>", NULL},
        {"`https://x.com` ```https://x.com```", NULL},
        {"https:// https://... http://.", NULL},
        {"xhttps://x.com ftp://x.com \xc3\xa9http://x.com x.com", NULL},
        {"HTTP://x.com url=http://x.com", "<HTTP://x.com> url=<http://x.com>"},
        {"&lt;https://x.com&gt; http://x.com?a&amp;b;",
         "&lt;<https://x.com>&gt; <http://x.com?a&amp;b>;"},
        {"http://x.com?a&amp; @ada", "<http://x.com?a&amp;> <@U1>"},
        {"@Https://x.com @ada https://y.com", "<@UD>://x.com <@UE>://y.com"},
        {"https://x.com/@ada #general", "<https://x.com/@ada> <#C9|general>"}};
    check_rows(rows, ARRAY_LEN(rows), true);
}

/* A text of many names, then of many that nobody has: the rest stays. */
TEST(so_many_names_and_no_more)
{
    static const char *const names[] = {"@ada ", "@no.. no no "};
    static char text[65536], want[65536];
    begin();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        text[0] = want[0] = '\0';
        for (int k = 0; k < mention_names_max; k++) {
            strcat(text, names[i]);
            strcat(want, i == 0 ? "<@U1> " : names[i]);
        }
        strcat(text, "@ada #general https://x.com @here");
        strcat(want, "@ada #general <https://x.com> @here");
        check(text, want, true);
    }
    end();
}

TEST(a_name_has_its_limit)
{
    char text[1024] = "@";
    begin();
    memset(text + 1, 'x', mention_name_bytes_max + 1);
    strcpy(text + 2 + mention_name_bytes_max, " @ada");
    struct str_view got = linked(sv_from(text), false);
    CHECK_EQ(got.len, mention_name_bytes_max + 8);
    CHECK_MEM(got.p + got.len - 6, " <@U1>", 6);
    end();
}

/* Each of these would take the square of its length, were it read again from each mark. */
TEST(long_texts_take_linear_time)
{
    static const char *const pieces[] = {"<",   "`",        "@",   "@x ",     "#",     "``` ",
                                         "`\n", "@.-",      "h<",  "http://", "x",     "@x-",
                                         "(",   "http://)", "://", "-://",    "x://&", "://&lt;x"};
    size_t len = 1 << 20;
    char *text = malloc(len);
    CHECK(text != NULL);
    begin();
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = strlen(pieces[i]);
        for (size_t k = 0; k < len; k++)
            text[k] = pieces[i][k % n];
        struct str_view got = linked((struct str_view){text, len}, true);
        CHECK(got.len >= len);
        arena_reset(&arena);
    }
    free(text);
    end();
}
