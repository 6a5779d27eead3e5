/* Requests by their content: heads and each method's answer. */
#include "api/internal.h"
#include "api/test_world.h"

#include <unistd.h>

static uint32_t count_of(const char *text, const char *part)
{
    uint32_t n = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        n++;
    return n;
}

/* ---- heads ---- */

TEST(answers_carry_ids_traces_and_scopes)
{
    struct world *w = start();
    ask(w, 0, "GET /api/auth.test",
        BEARER(
            ADA_TOKEN) "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        NULL);
    SAID(0, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-");
    NOT_SAID(0, "b7ad6b7169203331");
    SAID(0, "X-Request-Id: ");
    SAID(0, "X-OAuth-Scopes: chat:write,channels:read");
    SAID(0, "Cache-Control: private, no-store");
    SAID(0, "X-Content-Type-Options: nosniff");
    SAID(0, "Access-Control-Allow-Origin: *");
    SAID(0, "Date: Tue, 14 Nov 2023 22:13:20 GMT");
    SAID(0, "\"url\":\"http://chat.test/\"");
    ask(w, 0, "GET /api/auth.test", BEARER(BOT_TOKEN) "traceparent: 00-0-0-0\r\n", NULL);
    SAID(0, "\"bot_id\":\"B9D\"");
    SAID(0, "traceparent: 00-");
    world_free(w);
}

TEST(only_configured_proxies_are_believed)
{
    for (int trusted = 0; trusted < 2; trusted++) {
        struct world *w = world_new();
        strcpy(w->conf.server_trusted_proxies, trusted ? "::1, 10.0.0.0/24" : "10.0.1.0/24,::/128");
        world_start(w);
        open_conn(w, 0);
        ask(w, 0, "GET /api/auth.test", BEARER(ADA_TOKEN) "X-Forwarded-Proto: https\r\n", NULL);
        SAID(0, trusted ? "\"url\":\"https://chat.test/\"" : "\"url\":\"http://chat.test/\"");
        world_free(w);
    }
}

/* ---- methods ---- */

TEST(a_known_key_is_answered_with_what_is_stored)
{
    struct world *w = start();
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"channel\":\"general\",\"text\":\"again\",\"client_msg_id\":\"k\"}");
    struct cell c = take(w, A_CHAN);
    post_of(&c)->ts_us = 7000000;
    reply(w, A_CHAN, c, ERR_OK, CHAN_F_DUPLICATE);
    c = take(w, A_HIST);
    struct hist_message *m = c.u.p;
    CHECK_EQ(c.type, HIST_MESSAGE);
    CHECK_EQ(m->ts_us, 7000000);
    buf_put(&m->out, "{\"text\":\"first\"}", 16);
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"ts\":\"0000000007.000000\",\"message\":{\"text\":\"first\"}}");
    world_free(w);
}

/* An error that the method's row does not say goes out as it is; the log says so once a method. */
TEST(an_error_of_no_row_is_logged_once_a_method)
{
    static const char *const posts[] = {"POST /api/chat.delete", "POST /api/chat.delete",
                                        "POST /api/pins.add"};
    static const enum err errs[] = {ERR_NO_PIN, ERR_NO_REACTION, ERR_NO_PIN};
    char log[4096];
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    struct world *w = start();
    log_start(ends[1]);
    for (size_t i = 0; i < ARRAY_LEN(posts); i++) {
        ask(w, 0, posts[i], BEARER(ADA_TOKEN) JSON_TYPE,
            "{\"channel\":\"CR9\",\"ts\":\"0000000001.000000\",\"timestamp\":\"0000000001."
            "000000\"}");
        reply(w, A_CHAN, take(w, A_CHAN), errs[i], 0);
        SAID(0, i == 1 ? "\"error\":\"no_reaction\"" : "\"error\":\"no_pin\"");
    }
    /* What the row says, or its arguments, or every row. */
    static const enum err said_errs[] = {ERR_CANT_DELETE_MESSAGE, ERR_MESSAGE_NOT_FOUND, ERR_FULL};
    for (size_t i = 0; i < ARRAY_LEN(said_errs); i++) {
        ask(w, 0, posts[0], BEARER(ADA_TOKEN) JSON_TYPE,
            "{\"channel\":\"CR9\",\"ts\":\"0000000001.000000\"}");
        reply(w, A_CHAN, take(w, A_CHAN), said_errs[i], 0);
    }
    log_stop();
    close(ends[1]);
    ssize_t n = read(ends[0], log, sizeof log - 1);
    close(ends[0]);
    CHECK(n > 0);
    log[n] = '\0';
    CHECK_EQ(count_of(log, "\"event\":\"undocumented_error\""), 2);
    CHECK_EQ(count_of(log, "\"method\":\"chat.delete\",\"error\":\"no_pin\""), 1);
    CHECK_EQ(count_of(log, "\"method\":\"pins.add\",\"error\":\"no_pin\""), 1);
    world_free(w);
}

TEST(history_pages_by_its_cursor)
{
    struct world *w = start();
    ask(w, 0, "GET /api/conversations.history?channel=CR9&inclusive=1&latest=9.000000",
        BEARER(ADA_TOKEN), NULL);
    struct cell c = take(w, A_HIST);
    struct hist_history *m = c.u.p;
    CHECK_EQ(m->limit, 100);
    CHECK_EQ(m->latest_us, 9000000);
    CHECK(m->inclusive);
    buf_put(&m->out, "{\"ts\":\"a\"},{\"ts\":\"b\"}", 21);
    m->has_more = true;
    m->next_us = 5000000;
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"messages\":[{\"ts\":\"a\"},{\"ts\":\"b\"}],\"has_more\":true");
    SAID(0, "\"next_cursor\":\"bmV4dF90czo1MDAwMDAw\"");
    ask(w, 0, "GET /api/conversations.history?channel=CR9&inclusive=1&cursor=bmV4dF90czo1MDAwMDAw",
        BEARER(BOT_TOKEN), NULL);
    c = take(w, A_HIST);
    m = c.u.p;
    CHECK_EQ(m->latest_us, 4999999);
    CHECK(m->viewer.is_bot);
    reply(w, A_HIST, c, ERR_OK, 0);
    SAID(0, "\"messages\":[],\"has_more\":false");
    SAID(0, "\"next_cursor\":\"\"");
    world_free(w);
}

/* A message that cannot be read is not one that is gone: the list is refused, not shortened. */
TEST(stars_are_listed_whole_or_not_at_all)
{
    static const enum err errs[] = {ERR_MESSAGE_NOT_FOUND, ERR_CHANNEL_NOT_FOUND, ERR_IO};
    for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
        struct world *w = start();
        ask(w, 0, "GET /api/stars.list", BEARER(ADA_TOKEN), NULL);
        struct cell c = take(w, A_HIST);
        CHECK_EQ(c.type, HIST_DOCUMENT);
        ((struct hist_document *)c.u.p)->text = SV(
            "[{\"type\":\"message\",\"channel\":\"CR9\",\"ts\":\"7.000000\",\"date_create\":1}]");
        reply(w, A_HIST, c, ERR_OK, 0);
        c = take(w, A_HIST);
        CHECK_EQ(c.type, HIST_MESSAGE);
        reply(w, A_HIST, c, errs[i], 0);
        SAID(0, errs[i] == ERR_IO ? "\"error\":\"storage_unavailable\"" : "\"items\":[],");
        world_free(w);
    }
}

TEST(joins_leaves_and_invitations_say_what_was_so_already)
{
    struct world *w = start();
    ask(w, 0, "POST /api/conversations.join", BEARER(ADA_TOKEN) FORM_TYPE, "channel=CR9");
    struct cell c = take(w, A_CHAN);
    struct chan_member_change *m = c.u.p;
    CHECK_EQ(c.type, CHAN_JOIN);
    m->already = true;
    m->info = (struct row_chan_info){.cid = CID, .team = TEAM, .name = SV("general")};
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"warning\":\"already_in_channel\"");
    SAID(0, "\"is_member\":true");
    ask(w, 0, "POST /api/conversations.leave", BEARER(ADA_TOKEN) FORM_TYPE, "channel=CR9");
    c = take(w, A_CHAN);
    m = c.u.p;
    m->already = true;
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"ok\":true,\"not_in_channel\":true}");
    ask(w, 0, "POST /api/conversations.invite", BEARER(ADA_TOKEN) JSON_TYPE,
        "{\"channel\":\"CR9\",\"users\":[\"U6A\",\"UZZZ\",\"U6B\",\"U6A\"],\"force\":true}");
    c = take(w, A_CHAN);
    m = c.u.p;
    CHECK_EQ(m->users_len, 2);
    CHECK_EQ(m->users[0], BOB);
    CHECK_EQ(m->users[1], BOT);
    m->user_errs[1] = ERR_ALREADY_IN_CHANNEL;
    m->info = (struct row_chan_info){.cid = CID, .team = TEAM, .name = SV("general")};
    reply(w, A_CHAN, c, ERR_OK, 0);
    SAID(0, "\"ok\":true,\"channel\":{");
    SAID(0, "\"errors\":[{\"user\":\"UZZZ\",\"ok\":false,\"error\":\"user_not_found\"},"
            "{\"user\":\"U6B\",\"ok\":false,\"error\":\"already_in_channel\"}]");
    world_free(w);
}

TEST(people_and_the_workspace)
{
    struct world *w = start();
    ask(w, 0, "GET /api/users.list?limit=2", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"name\":\"ada\"");
    SAID(0, "\"email\":\"a@x.y\"");
    SAID(0, "\"name\":\"bob\"");
    NOT_SAID(0, "parrot");
    SAID(0, "\"next_cursor\":\"dXNlcjoyMDI=\"");
    ask(w, 0, "GET /api/users.list?limit=2&cursor=dXNlcjoyMDI%3D", BEARER(ADA_TOKEN), NULL);
    SAID(0, "parrot");
    NOT_SAID(0, "\"name\":\"ada\"");
    SAID(0, "\"next_cursor\":\"\"");
    ask(w, 0, "GET /api/users.info?user=U6B", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"is_bot\":true");
    ask(w, 0, "GET /api/team.info", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"domain\":\"demo\"");
    world_free(w);
}

/* Slack's user objects have these, never empty; clients compute with them or fetch them. */
static void many_users(struct world *w)
{
    for (uint64_t uid = 1000; uid < 2000; uid++)
        CHECK_EQ(tables_put_user(&w->dir->tables,
                                 &(struct row_user){.uid = uid, .team = TEAM, .name = SV("x")}),
                 ERR_OK);
}

/* Nobody waits behind a workspace of thousands: each turn writes a part, of one list. */
TEST(a_long_list_of_users_takes_several_turns)
{
    struct world *w = world_new();
    world_start(w);
    many_users(w);
    for (conn_id c = 0; c < 4; c++)
        open_conn(w, c);
    ask(w, 0, "GET /api/users.list", BEARER(ADA_TOKEN), NULL);
    ask(w, 1, "GET /api/users.list?limit=500", BEARER(ADA_TOKEN), NULL);
    ask(w, 2, "GET /api/users.list", BEARER(ADA_TOKEN), NULL);
    CHECK(acceptor_actor_ops.busy(w->a));
    ask(w, 3, "GET /api/users.list?limit=2", BEARER(ADA_TOKEN), NULL);
    SAID(3, "\"members\":[{"); /* a short one is answered meanwhile */
    CHECK(!w->conns[0].sending && !w->conns[1].sending);
    leave(w, 2);
    for (int turns = 0; acceptor_actor_ops.busy(w->a); turns++) {
        CHECK(turns < 20);
        end_turn(w);
    }
    SAID(0, "\"next_cursor\":\"\"");
    SAID(0, "\"id\":\"U1JJ\""); /* 1999, the last one */
    CHECK_EQ(count_of(said(w, 0), "\"team_id\""), 1003);
    CHECK_EQ(count_of(said(w, 1), "\"team_id\""), 500);
    NOT_SAID(1, "\"next_cursor\":\"\"");
    sent(w, 0);
    sent(w, 1);
    sent(w, 3);
    CHECK_EQ(slab_used(&w->a->requests), 0);
    world_free(w);
}

/* Whoever's token is revoked meanwhile does not get the list. */
TEST(a_long_list_ends_with_its_token)
{
    struct world *w = world_new();
    world_start(w);
    many_users(w);
    open_conn(w, 0);
    ask(w, 0, "GET /api/users.list", BEARER(ADA_TOKEN), NULL);
    CHECK(acceptor_actor_ops.busy(w->a));
    uint8_t hash[32];
    uint64_t tag;
    token_hash(&w->dir->tables.hasher, SV(ADA_TOKEN), hash);
    memcpy(&tag, hash, sizeof tag);
    __atomic_store_n(&tables_token(&w->dir->tables, tag)->state, TOKEN_REVOKED, __ATOMIC_RELEASE);
    end_turn(w);
    SAID(0, "token_revoked");
    CHECK(!acceptor_actor_ops.busy(w->a));
    world_free(w);
}

TEST(users_have_a_time_zone_and_a_picture)
{
    struct world *w = start();
    char color[16], line[64];
    ask(w, 0, "GET /api/users.info?user=U69", BEARER(ADA_TOKEN), NULL);
    SAID(0, "\"tz\":\"UTC\",\"tz_label\":\"Coordinated Universal Time\",\"tz_offset\":0");
    const char *at = strstr(said(w, 0), "\"color\":\"");
    CHECK(at != NULL);
    snprintf(color, sizeof color, "%.6s", at + 9);
    snprintf(line, sizeof line, "\"avatar_hash\":\"%s\"", color);
    SAID(0, line);
    static const int sizes[] = {24, 32, 48, 72, 192, 512};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        snprintf(line, sizeof line, "\"image_%d\":\"http://chat.test/avatar/%s.png\"", sizes[i],
                 color);
        SAID(0, line);
    }
    ask(w, 0, "GET /avatar/0a64ff.png", "", NULL);
    SAID(0, "HTTP/1.1 200 ");
    SAID(0, "Content-Type: image/png\r\n");
    SAID(0, "Cache-Control: public");
    SAID(0, "Content-Length: 72\r\n");
    NOT_SAID(0, "no-store");
    NOT_SAID(0, "json");
    /* made by another encoder's rules: zlib.compress(b"\0\x0a\x64\xff", 0), zlib.crc32 */
    static const char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde"
        "\0\0\0\x0fIDAT"
        "\170\001\001\004\000\373\377\000\012\144\377\001\351\001\156\105\250\177\360"
        "\0\0\0\0IEND\xae"
        "B`\x82";
    CHECK_MEM(w->conns[0].out + w->conns[0].len - 72, png, sizeof png - 1);
    ask(w, 0, "HEAD /avatar/0a64ff.png", "", NULL);
    SAID(0, "Content-Length: 72\r\n");
    CHECK(strstr(said(w, 0), "\r\n\r\n")[4] == '\0');
    ask(w, 0, "GET /avatar/0A64FF.png", "", NULL);
    SAID(0, "HTTP/1.1 404 ");
    ask(w, 0, "GET /avatar/0a64ff.png/..", "", NULL);
    SAID(0, "HTTP/1.1 404 ");
    ask(w, 0, "POST /avatar/0a64ff.png", "", "");
    SAID(0, "HTTP/1.1 405 ");
    SAID(0, "Allow: GET, HEAD\r\n");
    world_free(w);
}

TEST(api_test_echoes_all_but_the_token)
{
    struct world *w = start();
    ask(w, 0, "POST /api/api.test?q=1", JSON_TYPE,
        "{\"foo\":\"b\\\"ar\",\"n\":[1,2],\"token\":\"secret\"}");
    SAID(0, "{\"ok\":true,\"args\":{\"q\":\"1\",\"foo\":\"b\\\"ar\",\"n\":[1,2]}}");
    ask(w, 0, "GET /api/api.test?error=my_error", "", NULL);
    SAID(0, "HTTP/1.1 200 ");
    SAID(0, "{\"ok\":false,\"error\":\"my_error\",\"args\":{\"error\":\"my_error\"}}");
    world_free(w);
}

TEST(tickets_come_from_the_fanout_that_has_room)
{
    struct world *w = start();
    ask(w, 0, "POST /api/rtm.connect", BEARER(ADA_TOKEN), "");
    actor_id first = asked(w, A_FAN) ? A_FAN : A_FAN2, second = A_FAN + A_FAN2 - first;
    reply(w, first, take(w, first), ERR_FULL, 0);
    struct cell c = take(w, second);
    struct fan_ticket *k = c.u.p;
    CHECK_EQ(k->uid, ADA);
    CHECK(k->token_tag != 0);
    memset(k->ticket, 'a', sizeof k->ticket);
    reply(w, second, c, ERR_OK, 0);
    SAID(0, "\"url\":\"ws://chat.test/rtm/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"");
    SAID(0, "\"self\":{\"id\":\"U69\",\"name\":\"ada\"}");
    SAID(0, "Deprecation: @");
    SAID(0, "Link: <");
    ask(w, 0, "POST /api/rtm.connect", BEARER(ADA_TOKEN), "");
    reply(w, first, take(w, first), ERR_FULL, 0);
    reply(w, second, take(w, second), ERR_FULL, 0);
    SAID(0, "HTTP/1.1 503 ");
    world_free(w);
}

/* The clock was set back: the socket goes on from nothing, not from now. */
TEST(a_last_ts_of_the_future_is_none)
{
    static const struct {
        const char *target;
        uint64_t since_us;
    } cases[] = {{"POST /api/rtm.connect?last_ts=1699999999.000001", 1699999999000001},
                 {"POST /api/rtm.connect?last_ts=1700000000.900000", 1700000000000000},
                 {"POST /api/rtm.connect?last_ts=1700000001.000001", 0},
                 {"POST /api/rtm.connect?last_ts=1800000000.000000", 0}};
    struct world *w = start();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(w, 0, cases[i].target, BEARER(ADA_TOKEN), "");
        actor_id fanout = asked(w, A_FAN) ? A_FAN : A_FAN2;
        struct cell c = take(w, fanout);
        const struct fan_ticket *k = c.u.p;
        CHECK(k->resumes);
        CHECK_EQ(k->since_us, cases[i].since_us);
        reply(w, fanout, c, ERR_FULL, 0);
        fanout = A_FAN + A_FAN2 - fanout;
        reply(w, fanout, take(w, fanout), ERR_FULL, 0);
    }
    world_free(w);
}

TEST(rtm_start_gives_the_snapshot_then_a_fresh_ticket)
{
    struct world *w = start();
    ask(w, 0, "POST /api/rtm.start", BEARER(ADA_TOKEN), "");
    struct cell c = take(w, A_HIST);
    struct hist_list *m = c.u.p;
    CHECK(m->with_unread && !m->members_only);
    buf_put(&m->out, "{\"name\":\"general\"}", 18);
    reply(w, A_HIST, c, ERR_OK, 0);
    actor_id fan = asked(w, A_FAN) ? A_FAN : A_FAN2;
    c = take(w, fan);
    memset(((struct fan_ticket *)c.u.p)->ticket, 'b', ticket_text_len);
    reply(w, fan, c, ERR_OK, 0);
    SAID(0, "\"users\":[{\"id\":\"U69\"");
    SAID(0, "\"channels\":[{\"name\":\"general\"}]");
    world_free(w);
}

TEST(a_channel_is_created_by_dir)
{
    struct world *w = start();
    ask(w, 0, "POST /api/conversations.create", BEARER(ADA_TOKEN) FORM_TYPE,
        "name=new&is_private=True");
    struct cell c = take(w, A_DIR);
    struct dir_channel_create *m = c.u.p;
    CHECK_SV(m->name, "new");
    CHECK(m->is_private);
    m->info = (struct row_chan_info){
        .cid = CID, .team = TEAM, .name = SV("new"), .kind = CHANNEL_PRIVATE};
    reply(w, A_DIR, c, ERR_OK, 0);
    SAID(0, "\"is_private\":true");
    SAID(0, "\"is_member\":true");
    ask(w, 0, "POST /api/conversations.create", BEARER(ADA_TOKEN) FORM_TYPE, "name=new");
    reply(w, A_DIR, take(w, A_DIR), ERR_NAME_TAKEN, 0);
    SAID(0, "\"error\":\"name_taken\"");
    world_free(w);
}
