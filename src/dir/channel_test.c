/* Channels: how they come to be known, and another name for one. */
#include "dir/test_rig.h"

/* A directory with a team and a user, who is about to make a channel. */
static struct dir_channel_create begin_with(struct str_view name)
{
    fix_init();
    start(true, 64);
    add_team_and_user();
    return (struct dir_channel_create){
        .team = f.team, .creator = f.uid, .name = name, .arena = &f.arena};
}

/* channel_created goes to the team, nothing of a private channel; the creator is told by the
 * channel's chan; a full ring is told as a gap when there is room again. */
TEST(events_of_new_channels_and_gaps)
{
    fix_init();
    start(true, 4);
    add_team_and_user();
    struct dir_channel_create c = {
        .team = f.team, .creator = f.uid, .name = SV("open"), .arena = &f.arena};
    CHECK_EQ(f.fanout.seen.len, 1); /* team_join */
    f.fanout.seen.len = 0;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
    CHECK_EQ(f.fanout.seen.len, 1);
    CHECK(f.fanout.seen.cells[0].u.u[2] == f.team);
    CHECK(strstr(f.fanout.events, "\"type\":\"channel_created\"") != NULL);
    CHECK_EQ(f.chan.seen.len, 1);
    CHECK_EQ(f.chan.seen.cells[0].type, CHAN_CREATED);
    CHECK(f.chan.seen.cells[0].cid == c.info.cid);
    CHECK(f.chan.seen.cells[0].u.u[0] == f.uid);
    f.fanout.seen.len = 0;
    f.fanout.events[0] = '\0';
    c.name = SV("hidden");
    c.is_private = true;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &c), ERR_OK);
    CHECK_EQ(f.fanout.seen.len, 0);
    CHECK_EQ(f.chan.seen.len, 2);
    c.is_private = false;
    enum { many = 6 }; /* more than the event ring holds, more than chan has credits */
    struct dir_channel_create made[many];
    static const char *const names[many] = {"c1", "c2", "c3", "c4", "c5", "c6"};
    for (int i = 0; i < many; i++) {
        made[i] = c;
        made[i].name = sv_from(names[i]);
        ask(DIR_CHANNEL_CREATE, &made[i]);
    }
    f.asker.len = 0;
    rig_turns(&f.rig, 20);
    CHECK_EQ(f.asker.len, many);
    CHECK_EQ(f.chan.seen.len, 2 + many);
    bool gap = false;
    for (uint32_t i = 0; i < f.fanout.seen.len; i++)
        gap |= f.fanout.seen.cells[i].type == FAN_GAP;
    CHECK(gap);
    stop();
    fix_deinit();
}

/* The answer waits until the creator has been told; who could not be told asks for everything. */
TEST(a_new_channel_is_answered_behind_its_chan)
{
    struct dir_channel_create a = begin_with(SV("a"));
    struct dir_channel_create b = a;
    b.name = SV("b");
    f.chan.slow = true;
    f.asker.len = 0;
    ask(DIR_CHANNEL_CREATE, &a);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 0);
    CHECK_EQ(f.chan.seen.len, 1);
    CHECK(!dir_actor_ops.drain(f.dir, NULL));
    struct dir_user_add u = {.team = f.team, .name = SV("bob")}; /* waits for nobody */
    ask(DIR_USER_ADD, &u);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 1);
    f.chan.slow = false;
    rig_turns(&f.rig, 4);
    CHECK_EQ(f.asker.len, 2);
    CHECK(f.asker.cells[1].u.p == &a);
    CHECK_EQ(f.asker.cells[1].type, DIR_CHANNEL_CREATE);
    CHECK(dir_actor_ops.drain(f.dir, NULL));
    f.fanout.seen.len = 0;
    f.chan.err = ERR_SERVICE_UNAVAILABLE;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &b), ERR_OK); /* it is stored and named */
    CHECK_EQ(f.fanout.seen.len, 2);
    CHECK_EQ(f.fanout.seen.cells[1].type, FAN_GAP);
    CHECK_EQ(f.fanout.seen.cells[1].cid, ID_NONE);
    stop();
    fix_deinit();
}

static bool named(struct str_view name, uint64_t want)
{
    uint64_t cid;
    enum channel_kind kind;
    bool is = dir_channel_by_name(f.reader, f.team, name, &cid, &kind) && cid == want;
    dir_read_end(f.reader);
    return is;
}

/* Chan decides; until it has, nobody else gets the name, and nobody is refused it either. */
TEST(a_name_that_a_rename_wants_is_kept_until_chan_has_answered)
{
    struct dir_channel_create a = begin_with(SV("old"));
    struct dir_channel_create b = a;
    b.name = SV("wanted");
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &a), ERR_OK);
    struct dir_rename m = {.cid = a.info.cid,
                           .change = {.kind = INFO_NAME, .team = f.team, .text = SV("wanted")}};
    f.chan.slow = true;
    f.asker.len = 0;
    ask(DIR_RENAME, &m);
    ask(DIR_CHANNEL_CREATE, &b);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 0);
    CHECK_EQ(f.chan.seen.cells[f.chan.seen.len - 1].type, CHAN_INFO);
    CHECK(named(SV("old"), a.info.cid) && !named(SV("wanted"), a.info.cid));
    CHECK(!dir_actor_ops.drain(f.dir, NULL));
    f.chan.slow = false;
    f.chan.err = ERR_NOT_AUTHORIZED;
    rig_turns(&f.rig, 1);
    f.chan.err = ERR_OK;
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 2);
    CHECK(f.asker.cells[0].u.p == &m && f.asker.cells[0].err == ERR_NOT_AUTHORIZED);
    CHECK(f.asker.cells[1].u.p == &b && f.asker.cells[1].err == ERR_OK);
    CHECK_EQ(call(DIR_RENAME, &m), ERR_NAME_TAKEN);
    m.change.text = SV("Not a name");
    CHECK_EQ(call(DIR_RENAME, &m), ERR_INVALID_NAME_SPECIALS);
    m.change.text = SV("new");
    m.change.old_name = SV("old"); /* as chan fills it in */
    m.change.info = a.info;
    m.change.info.name = SV("new");
    CHECK_EQ(call(DIR_RENAME, &m), ERR_OK);
    CHECK(named(SV("new"), a.info.cid) && !named(SV("old"), a.info.cid));
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &a), ERR_OK); /* the old name is free */
    stop();
    fix_deinit();
}

/* Chan may have made the rename durable, and told of it, before dir hears of that. */
TEST(a_name_that_a_rename_gives_up_is_refused_to_nobody_meanwhile)
{
    struct dir_channel_create a = begin_with(SV("old"));
    struct dir_channel_create b = a;
    CHECK_EQ(call(DIR_CHANNEL_CREATE, &a), ERR_OK);
    struct dir_rename m = {.cid = a.info.cid,
                           .change = {.kind = INFO_NAME,
                                      .team = f.team,
                                      .text = SV("new"),
                                      .old_name = SV("old"),
                                      .info = a.info}};
    m.change.info.name = SV("new");
    f.chan.slow = true;
    f.asker.len = 0;
    ask(DIR_RENAME, &m);
    rig_turns(&f.rig, 2);
    ask(DIR_CHANNEL_CREATE, &b);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 0);
    f.chan.slow = false;
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 2);
    CHECK(f.asker.cells[0].err == ERR_OK && f.asker.cells[1].err == ERR_OK);
    CHECK(named(SV("new"), a.info.cid) && named(SV("old"), b.info.cid));
    stop();
    fix_deinit();
}
