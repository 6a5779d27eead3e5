/* link_names and parse: who is asked for what, and what is stored. */
#include "api/internal.h"
#include "api/test_world.h"
#include "hist/hist_msg.h"

enum { SECRET = 901, HIDDEN = 902 };

static struct world *begin(uint64_t text_max)
{
    struct world *w = world_new();
    w->conf.api_text_max = text_max;
    world_start(w);
    open_conn(w, 0);
    struct tables *t = &w->dir->tables;
    CHECK_EQ(tables_put_name(t, TABLE_CHANNELS, TEAM, SV("secret"), SECRET, CHANNEL_PRIVATE),
             ERR_OK);
    CHECK_EQ(tables_put_name(t, TABLE_CHANNELS, TEAM, SV("hidden"), HIDDEN, CHANNEL_PRIVATE),
             ERR_OK);
    CHECK_EQ(tables_put_name(t, TABLE_LOGINS, TEAM, SV("bob"), BOB, 0), ERR_OK);
    return w;
}

static void post(struct world *w, const char *body)
{
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
}

/* The next post's text, as JSON; it is answered. */
static void check_text(struct world *w, const char *want)
{
    struct str_view wanted = sv_from(want);
    struct cell c = take(w, A_CHAN);
    const struct chan_post *p = post_of(&c);
    struct str_view content = {p->members.p + p->content_at, p->members.len - p->content_at};
    if (!sv_eq(content, wanted))
        print_error("stored: %.*s\nwanted: %.*s\n", SV_ARG(content), SV_ARG(wanted));
    CHECK(sv_eq(content, wanted));
    posted(w, c, 1000000);
    SAID(0, POSTED);
    SAID(0, want);
}

TEST(users_and_public_channels_are_found_in_place)
{
    struct world *w = begin(1000);
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"channel\":\"general\",\"text\":\"@bob #general\"}", ",\"text\":\"@bob #general\""},
        {"{\"channel\":\"general\",\"text\":\"@bob\",\"link_names\":false}", ",\"text\":\"@bob\""},
        {"{\"channel\":\"general\",\"text\":\"@bob\",\"parse\":\"none\"}", ",\"text\":\"@bob\""},
        {"{\"channel\":\"general\",\"text\":\"@bob\",\"parse\":\"\"}", ",\"text\":\"@bob\""},
        {"{\"channel\":\"general\",\"text\":\"@Bob & #general\",\"link_names\":1}",
         ",\"text\":\"<@U6A> &amp; <#CR9|general>\""},
        {"{\"channel\":\"general\",\"text\":\"@bob https://x\",\"link_names\":\"1\","
         "\"parse\":\"none\"}",
         ",\"text\":\"<@U6A> https://x\""},
        {"{\"channel\":\"general\",\"text\":\"@bob https://x?a=1&b=2\",\"parse\":\"full\"}",
         ",\"text\":\"<@U6A> <https://x?a=1&amp;b=2>\""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        post(w, rows[i].body);
        CHECK(!asked(w, A_HIST));
        check_text(w, rows[i].want);
    }
    world_free(w);
}

/* The absent is asked for, too: who waits for the answer learns nothing from how long it takes. */
TEST(of_other_channels_hist_is_asked_once)
{
    struct world *w = begin(1000);
    post(w, "{\"channel\":\"general\",\"link_names\":true,"
            "\"text\":\"#secret #hidden #absent #general\"}");
    CHECK(!asked(w, A_CHAN));
    struct cell c = take(w, A_HIST);
    CHECK_EQ(c.type, HIST_SEES);
    struct hist_sees *m = c.u.p;
    CHECK_EQ(m->len, 3);
    CHECK(m->cids[0] == SECRET && m->cids[1] == HIDDEN && m->cids[2] == ID_NONE);
    CHECK(m->viewer.uid == ADA && m->viewer.team == TEAM && !m->viewer.is_admin);
    m->seen[0] = true;
    reply(w, A_HIST, c, ERR_OK, 0);
    CHECK(!asked(w, A_HIST));
    check_text(w, ",\"text\":\"<#CW5|secret> #hidden #absent <#CR9|general>\"");
    post(w, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"#secret\"}");
    reply(w, A_HIST, take(w, A_HIST), ERR_STORAGE_UNAVAILABLE, 0);
    SAID(0, "\"error\":\"storage_unavailable\"");
    CHECK(!asked(w, A_CHAN));
    world_free(w);
}

TEST(of_a_guest_s_channels_hist_is_asked)
{
    struct world *w = begin(1000);
    const struct row_user ada = {.uid = ADA, .team = TEAM, .name = SV("ada"), .flags = USER_GUEST};
    CHECK_EQ(tables_put_user(&w->dir->tables, &ada), ERR_OK);
    post(w, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"#general\"}");
    struct cell c = take(w, A_HIST);
    const struct hist_sees *m = c.u.p;
    CHECK(m->len == 1 && m->cids[0] == CID && m->viewer.is_guest);
    reply(w, A_HIST, c, ERR_OK, 0);
    check_text(w, ",\"text\":\"#general\"");
    world_free(w);
}

/* What is no user's name may be a group's handle. */
TEST(of_groups_the_document_is_read)
{
    struct world *w = begin(1000);
    static const char groups[] = "[{\"id\":\"S1\",\"by\":\"U1\",\"handle\":\"sales\"},"
                                 "{\"id\":\"S2\",\"by\":\"U1\",\"handle\":\"old\",\"deleted\":5}]";
    post(w, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"@Sales @old @bob. #hidden\"}");
    reply(w, A_HIST, take(w, A_HIST), ERR_OK, 0);
    struct cell c = take(w, A_HIST);
    CHECK_EQ(c.type, HIST_DOCUMENT);
    struct hist_document *m = c.u.p;
    CHECK(m->owner == TEAM && m->kind == DOC_USERGROUPS);
    CHECK_EQ(m->known, 0);
    m->text = sv_from(groups);
    m->revision = 9;
    reply(w, A_HIST, c, ERR_OK, 0);
    check_text(w, ",\"text\":\"<!subteam^S1> @old <@U6A>. #hidden\"");
    for (uint64_t revision = 9; revision < 11; revision++) { /* it is known, then another one */
        post(w, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"@sales @news\"}");
        c = take(w, A_HIST);
        m = c.u.p;
        CHECK_EQ(m->known, 9);
        m->revision = revision;
        if (revision == 10)
            m->text = SV("[{\"id\":\"S3\",\"by\":\"U1\",\"handle\":\"news\"}]");
        reply(w, A_HIST, c, ERR_OK, 0);
        check_text(w, revision == 9 ? ",\"text\":\"<!subteam^S1> @news\""
                                    : ",\"text\":\"@sales <!subteam^S3>\"");
    }
    post(w, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"@nobody\"}");
    reply(w, A_HIST, take(w, A_HIST), ERR_OK, 0); /* there are no groups */
    check_text(w, ",\"text\":\"@nobody\"");
    world_free(w);
}

/* A name that would make it too long stays a name, so that a retry is never refused for what its
 * names mean by then. */
TEST(what_does_not_fit_is_refused)
{
    struct world *w = begin(100);
    post(w, "{\"channel\":\"general\",\"text\":\"x\",\"parse\":\"half\"}");
    SAID(0, "\"error\":\"invalid_arguments\"");
    char text[128], body[256];
    static const struct {
        int fill;
        bool fits, linked;
    } rows[] = {{94, true, true}, {95, true, false}, {96, true, false}, {97, false, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) { /* "@bob" is <@U6A>: two longer */
        memset(text, 'x', (size_t)rows[i].fill);
        strcpy(text + rows[i].fill - 1, " @bob");
        snprintf(body, sizeof body, "{\"channel\":\"general\",\"link_names\":true,\"text\":\"%s\"}",
                 text);
        post(w, body);
        CHECK_EQ(asked(w, A_CHAN), rows[i].fits);
        if (rows[i].fits) {
            posted(w, take(w, A_CHAN), 1000000);
            SAID(0, rows[i].linked ? " <@U6A>\"" : " @bob\"");
        } else {
            SAID(0, "\"error\":\"msg_too_long\"");
        }
    }
    world_free(w);
}
