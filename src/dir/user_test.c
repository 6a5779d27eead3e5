/* Users, and the tokens that speak for them. */
#include "dir/internal.h"
#include "dir/test_rig.h"

TEST(tokens_work_are_revoked_and_die_with_their_user)
{
    struct principal p = {0};
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_token_issue a = issue(TOKEN_USER), b = issue(TOKEN_BOT);
    CHECK_EQ(look_up(a.token, &p), ERR_OK);
    CHECK(p.team == f.team && p.uid == f.uid && p.kind == TOKEN_USER && p.scopes == 5);
    char other[token_text_max];
    strcpy(other, a.token);
    other[strlen(other) - 1] ^= 1; /* extended, cut, changed */
    CHECK_EQ(look_up(other, &p), ERR_INVALID_AUTH);
    other[strlen(other) - 1] = '\0';
    CHECK_EQ(look_up(other, &p), ERR_INVALID_AUTH);
    strcpy(other, a.token);
    strcat(other, "0");
    CHECK_EQ(look_up(other, &p), ERR_INVALID_AUTH);
    CHECK_EQ(look_up("", &p), ERR_INVALID_AUTH);
    struct dir_token_revoke r = {.token = SV("xoxp-1-2-3-none")};
    CHECK_EQ(call(DIR_TOKEN_REVOKE, &r), ERR_INVALID_AUTH);
    r.token = sv_from(a.token);
    r.team = f.team + 1;
    CHECK_EQ(call(DIR_TOKEN_REVOKE, &r), ERR_INVALID_AUTH);
    CHECK_EQ(look_up(a.token, &p), ERR_OK);
    r.team = f.team;
    CHECK_EQ(call(DIR_TOKEN_REVOKE, &r), ERR_OK);
    CHECK_EQ(look_up(a.token, &p), ERR_TOKEN_REVOKED);
    r.team = ID_NONE;
    CHECK_EQ(call(DIR_TOKEN_REVOKE, &r), ERR_OK); /* again is fine */
    CHECK_EQ(look_up(b.token, &p), ERR_OK);
    struct dir_user_disable d = {.team = f.team + 1, .uid = f.uid};
    CHECK_EQ(call(DIR_USER_DISABLE, &d), ERR_USER_NOT_FOUND);
    d.team = f.team;
    CHECK_EQ(call(DIR_USER_DISABLE, &d), ERR_OK);
    CHECK_EQ(look_up(b.token, &p), ERR_ACCOUNT_INACTIVE);
    CHECK_EQ(look_up(a.token, &p), ERR_TOKEN_REVOKED);
    struct dir_token_issue m = {.team = f.team, .uid = f.uid, .kind = TOKEN_USER};
    CHECK_EQ(call(DIR_TOKEN_ISSUE, &m), ERR_USER_NOT_FOUND);
    stop();
    start(true, 64); /* a restart: the same */
    CHECK_EQ(look_up(a.token, &p), ERR_TOKEN_REVOKED);
    CHECK_EQ(look_up(b.token, &p), ERR_ACCOUNT_INACTIVE);
    stop();
    fix_deinit();
}

static void keep_revocations(struct recorder *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->len; i++) {
        if (r->cells[i].type == DIR_REVOKE)
            r->cells[n++] = r->cells[i];
    }
    r->len = n;
}

/* A revocation is answered only when everyone has dropped what hangs on the token. */
TEST(a_revocation_waits_for_everyone)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_token_issue a = issue(TOKEN_USER), b = issue(TOKEN_USER), c = issue(TOKEN_USER);
    struct dir_token_revoke ra = {.token = sv_from(a.token)}, rb = {.token = sv_from(b.token)};
    struct dir_user_disable d = {.team = f.team, .uid = f.uid};
    struct principal p = {0};
    f.asker.len = 0;
    f.fanout.slow = true;
    ask(DIR_TOKEN_REVOKE, &ra);
    ask(DIR_TOKEN_REVOKE, &rb);
    ask(DIR_USER_DISABLE, &d);
    rig_turns(&f.rig, 20);
    CHECK_EQ(f.asker.len, 0);
    CHECK_EQ(look_up(a.token, &p), ERR_TOKEN_REVOKED); /* new requests see it already */
    CHECK_EQ(look_up(c.token, &p), ERR_ACCOUNT_INACTIVE);
    CHECK_EQ(f.fanout.owed, 1); /* one at a time: no control ring can be full */
    CHECK(!dir_actor_ops.drain(f.dir, NULL));
    f.fanout.slow = false;
    rig_turns(&f.rig, 40);
    CHECK_EQ(f.asker.len, 3);
    CHECK(strstr(f.fanout.events, "\"type\":\"user_change\"") != NULL);
    keep_revocations(&f.fanout.seen);
    CHECK_EQ(f.fanout.seen.len, 3);
    CHECK_EQ(f.acceptor.seen.len, 3);
    CHECK(f.fanout.seen.cells[0].u.u[0] != 0);
    CHECK_EQ(f.fanout.seen.cells[2].u.u[0], 0);
    CHECK(f.fanout.seen.cells[2].u.u[1] == f.uid);
    CHECK(dir_actor_ops.drain(f.dir, NULL));
    stop();
    fix_deinit();
}

TEST(a_change_is_stored_seen_and_told_and_the_address_moves)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_user_add bob = {.team = f.team, .name = SV("bob"), .email = SV("bob@x.y")};
    struct dir_user_change m = {.team = f.team,
                                .uid = f.uid,
                                .email = SV("new@x.y"),
                                .status_text = SV("away"),
                                .status_emoji = SV(":tea:"),
                                .set_status_expiration = true,
                                .status_expiration_s = 77,
                                .set_flags = USER_GUEST};
    struct dir_token_issue t = issue(TOKEN_USER);
    struct principal p = {0};
    CHECK_EQ(call(DIR_USER_ADD, &bob), ERR_OK);
    f.fanout.events[0] = '\0';
    CHECK_EQ(call(DIR_USER_CHANGE, &m), ERR_OK);
    for (int round = 0; round < 2; round++) { /* as published, and as loaded */
        const struct row_user *u = dir_user_by_email(f.reader, f.team, SV("new@x.y"));
        CHECK(u != NULL && u->uid == f.uid);
        CHECK_SV(u->status_text, "away");
        CHECK_SV(u->status_emoji, ":tea:");
        CHECK_EQ(u->status_expiration_s, 77);
        CHECK_EQ(look_up(t.token, &p), ERR_OK);
        CHECK((p.user_flags & USER_GUEST) != 0);
        CHECK(dir_user_by_email(f.reader, f.team + 1, SV("new@x.y")) == NULL);
        CHECK(dir_user_by_email(f.reader, f.team, SV("bob")) == NULL); /* a name */
        dir_read_end(f.reader);
        if (round == 0) {
            CHECK(strstr(f.fanout.events, "\"type\":\"user_change\"") != NULL);
            CHECK(strstr(f.fanout.events, "\"type\":\"user_status_changed\"") != NULL);
            CHECK(strstr(f.fanout.events, "new@x.y") == NULL);
            stop();
            start(true, 64);
        }
    }
    m = (struct dir_user_change){.team = f.team, .uid = f.uid, .email = SV("bob@x.y")};
    CHECK_EQ(call(DIR_USER_CHANGE, &m), ERR_EXISTS);
    m.email = SV("no address");
    CHECK_EQ(call(DIR_USER_CHANGE, &m), ERR_INVALID_ARGUMENTS);
    m.team++;
    CHECK_EQ(call(DIR_USER_CHANGE, &m), ERR_USER_NOT_FOUND);
    stop();
    fix_deinit();
}

TEST(a_bot_is_found_by_its_id_and_nothing_else)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_user_add bot = {.team = f.team, .name = SV("parrot"), .flags = USER_BOT};
    struct dir_user_add last = {.team = f.team, .name = SV("zoe")};
    CHECK_EQ(call(DIR_USER_ADD, &bot), ERR_OK);
    CHECK_EQ(call(DIR_USER_ADD, &last), ERR_OK);
    const struct row_user *u = dir_user_by_bot(f.reader, f.team, bot.bot_id);
    CHECK(u != NULL && u->uid == bot.uid);
    CHECK(dir_user_by_bot(f.reader, f.team, bot.app_id) == NULL);
    CHECK(dir_user_by_bot(f.reader, f.team, bot.uid) == NULL);
    CHECK(dir_user_by_bot(f.reader, f.team, 0) == NULL);
    CHECK(dir_user_by_bot(f.reader, f.team + 1, bot.bot_id) == NULL);
    dir_read_end(f.reader);
    stop();
    fix_deinit();
}

TEST(an_event_of_others_is_told)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_tell m = {.uid = f.uid, .team = f.team, .event = SV("{\"type\":\"file_created\"}")};
    f.fanout.events[0] = '\0';
    CHECK_EQ(call(DIR_TELL, &m), ERR_OK);
    CHECK(strstr(f.fanout.events, "{\"type\":\"file_created\"}") != NULL);
    CHECK_EQ(f.fanout.seen.cells[f.fanout.seen.len - 1].u.u[1], f.uid);
    stop();
    fix_deinit();
}

static void show_as(uint64_t uid, const char *name)
{
    struct dir_user_change m = {.team = f.team, .uid = uid, .display_name = sv_from(name)};
    CHECK_EQ(call(DIR_USER_CHANGE, &m), ERR_OK);
}

static const uint64_t several = UINT64_MAX;

static uint64_t meant(const char *name)
{
    bool shared;
    const struct row_user *u = dir_user_meant(f.reader, f.team, sv_from(name), &shared);
    uint64_t uid = u != NULL ? u->uid : shared ? several : ID_NONE;
    CHECK(u == NULL || !shared);
    dir_read_end(f.reader);
    return uid;
}

/* By name, else by a display name that is one user's alone, whoever of them has it at last. */
TEST(a_name_means_one_user_or_nobody)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_user_add bob = {.team = f.team, .name = SV("bob")},
                        eve = {.team = f.team, .name = SV("eve")};
    CHECK_EQ(call(DIR_USER_ADD, &bob), ERR_OK);
    CHECK_EQ(call(DIR_USER_ADD, &eve), ERR_OK);
    CHECK_EQ(meant("ada"), f.uid);
    CHECK_EQ(meant("ADA"), f.uid);
    CHECK_EQ(meant("ada@example.com"), ID_NONE);
    CHECK_EQ(meant("nobody"), ID_NONE);
    CHECK_EQ(meant(""), ID_NONE);
    show_as(f.uid, "Countess L\xc3\xb6velace");
    CHECK_EQ(meant("countess l\xc3\xb6velace"), f.uid);
    show_as(bob.uid, "COUNTESS l\xc3\xb6velace");
    show_as(eve.uid, "Countess L\xc3\xb6velace");
    CHECK_EQ(meant("Countess L\xc3\xb6velace"), several);
    show_as(eve.uid, "bob"); /* a user's name goes before another's display name */
    CHECK_EQ(meant("bob"), bob.uid);
    CHECK_EQ(meant("Countess L\xc3\xb6velace"), several); /* two still have it */
    show_as(f.uid, "");
    CHECK_EQ(meant("Countess L\xc3\xb6velace"), bob.uid);
    stop();
    start(true, 64); /* a restart: the same */
    CHECK_EQ(meant("Countess L\xc3\xb6velace"), bob.uid);
    struct dir_user_disable d = {.team = f.team, .uid = bob.uid};
    CHECK_EQ(call(DIR_USER_DISABLE, &d), ERR_OK);
    CHECK_EQ(meant("Countess L\xc3\xb6velace"), ID_NONE);
    CHECK_EQ(meant("bob"), eve.uid);
    bool shared;
    CHECK(dir_user_meant(f.reader, f.team + 1, SV("ada"), &shared) == NULL && !shared);
    dir_read_end(f.reader);
    stop();
    fix_deinit();
}

/* What several share is kept as the XOR of their ids, which may be somebody's id. */
TEST(a_shared_name_does_not_mean_a_third)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct row_user u = {.uid = UINT64_C(1) << 62, .team = f.team, .name = SV("x")};
    static const uint64_t low[] = {1, 2, 4, 7};
    for (size_t i = 0; i < ARRAY_LEN(low); i++) {
        u.uid = UINT64_C(1) << 62 | low[i];
        u.display_name = i < 3 ? SV("Trio") : SV("Dora");
        CHECK_EQ(tables_put_user(&f.dir->tables, &u), ERR_OK);
        CHECK_EQ(meant("trio"), i == 0 ? u.uid : several);
    }
    CHECK_EQ(meant("dora"), u.uid);
    stop();
    fix_deinit();
}
