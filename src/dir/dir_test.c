/* What holds for all requests: judged by what is durable, read while it is written, and there after
 * a restart. */
#include "dir/test_rig.h"

TEST(names_are_judged_and_taken_once)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_team_add t = {.domain = SV("demo"), .name = SV("Other")};
    CHECK_EQ(call(DIR_TEAM_ADD, &t), ERR_EXISTS);
    t.domain = SV("De mo");
    CHECK_EQ(call(DIR_TEAM_ADD, &t), ERR_INVALID_NAME);
    struct dir_user_add u = {.team = f.team, .name = SV("ada")};
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_EXISTS);
    u.name = SV("bob");
    u.email = SV("ada@example.com");
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_EXISTS);
    u.email = SV("bob");
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_INVALID_ARGUMENTS);
    u.email = SV_NONE;
    u.team++;
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_TEAM_NOT_FOUND);
    struct dir_channel_create c = {.team = f.team,
                                   .creator = f.uid,
                                   .name = SV("general"),
                                   .is_general = true,
                                   .arena = &f.arena};
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
    CHECK_SV(c.info.name, "general");
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_NAME_TAKEN);
    c.name = SV("General");
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_INVALID_NAME_SPECIALS);
    c.name = SV("x");
    c.creator++;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_USER_NOT_FOUND);
    /* The longest name there is. */
    static char long_name[320];
    for (size_t i = 0; i < 80; i++)
        memcpy(long_name + 4 * i, "\xf0\x9f\x8e\x89", 4);
    c.creator = f.uid;
    c.name = (struct str_view){long_name, sizeof long_name};
    c.is_general = false;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
    uint64_t cid;
    enum channel_kind kind;
    CHECK(dir_channel_by_name(f.reader, f.team, SV("general"), &cid, &kind));
    CHECK(!dir_channel_by_name(f.reader, f.team + 1, SV("general"), &cid, &kind));
    CHECK_EQ(dir_team(f.reader, f.team)->general_cid, cid);
    CHECK_EQ(dir_team_by_domain(f.reader, SV("demo"))->general_cid, cid);
    dir_read_end(f.reader);
    stop();
    fix_deinit();
}

/* Two ask for one name while it is being written: the second is judged by what became durable. */
TEST(a_claim_holds_until_the_log_has_answered)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    stop();
    start(false, 64);
    struct dir_channel_create a = {.team = f.team,
                                   .creator = f.uid,
                                   .name = SV("ops"),
                                   .arena = &f.arena},
                              b = a, c = a;
    c.name = SV("dev");
    ask(DIR_CHANNEL_CREATE, &a);
    ask(DIR_CHANNEL_CREATE, &b);
    ask(DIR_CHANNEL_CREATE, &c);
    rig_turns(&f.rig, 5);
    CHECK_EQ(f.wishes.len, 1);
    CHECK_EQ(f.asker.len, 0);
    uint64_t cid;
    enum channel_kind kind;
    CHECK(!dir_channel_by_name(f.reader, f.team, SV("ops"), &cid, &kind)); /* not durable yet */
    dir_read_end(f.reader);
    CHECK_EQ(f.fanout.seen.len, 0);
    struct batch *lost = f.wishes.held[0].u.p;
    uint64_t epoch = lost->epoch;
    struct cell *answer = outbox_answer(&f.rig.actors[ID_LOG].outbox, ID_DIR, &f.wishes.held[0]);
    answer->err = ERR_STORAGE_UNAVAILABLE;
    answer->u.p = lost;
    rig_turns(&f.rig, 5);
    CHECK_EQ(f.asker.len, 1);
    CHECK_EQ(f.asker.cells[0].err, ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(f.fanout.seen.len, 0); /* nobody saw it */
    CHECK_EQ(f.wishes.len, 2);      /* b and c, the name is free again */
    struct batch *next = f.wishes.held[1].u.p;
    CHECK(next->epoch > epoch);
    answer = outbox_answer(&f.rig.actors[ID_LOG].outbox, ID_DIR, &f.wishes.held[1]);
    answer->u.p = next;
    rig_turns(&f.rig, 5);
    CHECK_EQ(f.asker.len, 3);
    CHECK_EQ(f.asker.cells[1].err, ERR_OK);
    CHECK_EQ(f.asker.cells[2].err, ERR_OK);
    CHECK(dir_channel_by_name(f.reader, f.team, SV("ops"), &cid, &kind));
    CHECK(cid == b.info.cid);
    dir_read_end(f.reader);
    stop();
    fix_deinit();
}

TEST(everything_is_there_after_a_restart)
{
    static struct dir_user_add users[40];
    static char names[40][16];
    fix_init();
    start(true, 64);
    add_team_and_user();
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "user%d", i);
        users[i] = (struct dir_user_add){
            .team = f.team, .name = sv_from(names[i]), .flags = i % 2 ? USER_BOT : 0};
        ask(DIR_USER_ADD, &users[i]);
    }
    rig_turns(&f.rig, 20);
    struct dir_channel_create c = {.team = f.team,
                                   .creator = f.uid,
                                   .name = SV("secret"),
                                   .is_private = true,
                                   .arena = &f.arena};
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
    struct dir_token_issue t = issue(TOKEN_USER);
    stop();
    start(true, 64);
    struct principal p;
    uint64_t uids[64], cid, last = 0;
    enum channel_kind kind;
    CHECK_EQ(look_up(t.token, &p), ERR_OK);
    CHECK_EQ(dir_users_len(f.reader, f.team), 41);
    uint32_t n, total = 0;
    while ((n = dir_users(f.reader, f.team, last, uids, 7)) > 0) { /* page by page, ascending */
        for (uint32_t i = 0; i < n; i++) {
            CHECK(uids[i] > last);
            last = uids[i];
            CHECK(dir_user(f.reader, f.team, last) != NULL);
            CHECK(dir_user(f.reader, f.team + 1, last) == NULL);
        }
        total += n;
    }
    CHECK_EQ(total, 41);
    CHECK(dir_user(f.reader, f.team, users[1].uid)->bot_id != ID_NONE);
    CHECK_EQ(dir_user(f.reader, f.team, users[2].uid)->bot_id, ID_NONE);
    CHECK(dir_channel_by_name(f.reader, f.team, SV("secret"), &cid, &kind));
    CHECK_EQ(kind, CHANNEL_PRIVATE);
    CHECK(cid == c.info.cid);
    CHECK_EQ(dir_teams(f.reader, 0, uids, 8), 1);
    dir_read_end(f.reader);
    struct dir_user_add u = {.team = f.team, .name = SV("user7")};
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_EXISTS);
    u.name = SV("new");
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_OK);
    CHECK(u.uid > c.info.cid); /* ids rise over restarts */
    stop();
    fix_deinit();
}

/* ---- readers while the writer writes ---- */

static uint32_t stop_reading;

static void *read_on(void *arg)
{
    struct dir_reader *r = arg;
    uint64_t seen = 0;
    while (__atomic_load_n(&stop_reading, __ATOMIC_ACQUIRE) == 0) {
        uint64_t uids[64];
        uint32_t n = dir_users(r, f.team, 0, uids, 64);
        for (uint32_t i = 0; i < n; i++) {
            const struct row_user *u = dir_user(r, f.team, uids[i]);
            ASSERT(u != NULL && u->uid == uids[i] && u->name.len > 0); /* listed: there, whole */
            seen += (uint8_t)u->name.p[0];
        }
        struct principal *p;
        ASSERT(dir_token(r, SV("xoxp-none"), &p) == ERR_INVALID_AUTH);
        const struct row_team *t = dir_team(r, f.team);
        ASSERT(t != NULL && sv_eq(t->domain, SV("demo")));
        dir_read_end(r);
    }
    return (void *)(uintptr_t)(seen & 1);
}

TEST(readers_see_whole_entries_while_they_change)
{
    static struct dir_user_add users[200];
    static char names[200][16];
    struct dir_reader *readers[2];
    pthread_t threads[2];
    fix_init();
    start(true, 64);
    add_team_and_user();
    __atomic_store_n(&stop_reading, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(dir_reader_new(&readers[i], f.dir), ERR_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, read_on, readers[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "u%d", i);
        users[i] = (struct dir_user_add){.team = f.team, .name = sv_from(names[i])};
        CHECK_EQ(call(DIR_USER_ADD, &users[i]), ERR_OK);
        if (i % 10 == 0) { /* entries are replaced too */
            struct dir_user_disable d = {.team = f.team, .uid = users[i].uid};
            CHECK_EQ(call(DIR_USER_DISABLE, &d), ERR_OK);
        }
        if (i % 50 == 0) {
            struct dir_channel_create c = {.team = f.team,
                                           .creator = f.uid,
                                           .name = sv_from(names[i]),
                                           .is_general = true,
                                           .arena = &f.arena};
            CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
        }
    }
    __atomic_store_n(&stop_reading, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    stop();
    for (int i = 0; i < 2; i++)
        dir_reader_free(readers[i]);
    fix_deinit();
}
