/* The directory among recorders: a log of wishes (it answers when told, well or badly) or the real
 * one, an acceptor and a fanout that acknowledge revocations and keep events. */
#include "dir/dir.h"

#include "base/id.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "fanout/fanout_msg.h"
#include "store/log.h"
#include "store/store.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

/* Holds batches until the test answers them. */
struct wish_log {
    struct cell held[16];
    actor_id from[16];
    uint32_t len;
};

static void wish_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                       uint32_t n, struct turn *t)
{
    struct wish_log *l = self;
    (void)class, (void)t;
    for (uint32_t i = 0; i < n; i++) {
        l->from[l->len] = from;
        l->held[l->len++] = cells[i];
    }
}
static const struct actor_ops wish_ops = {.on_cells = wish_cells};

/* Acknowledges revocations unless told to wait; gives frames back. */
struct peer {
    struct recorder seen;
    bool slow;
    uint32_t owed; /* acknowledgements */
    char events[4096];
};

static void peer_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                       uint32_t n, struct turn *t)
{
    struct peer *p = self;
    recorder_cells(&p->seen, from, class, cells, n, t);
    for (uint32_t i = 0; i < n; i++) {
        if (class == CLASS_CONTROL && cells[i].type == DIR_REVOKE)
            p->owed++;
        if (class == CLASS_EVENT && cells[i].type == FAN_EVENT) {
            struct frame *f = cells[i].u.p;
            size_t at = strlen(p->events);
            snprintf(p->events + at, sizeof p->events - at, "%.*s\n", (int)f->body_len, f->body);
            if (frame_drop(f))
                outbox_frame_home(t->out, f);
        }
    }
}

static void peer_end(void *self, struct turn *t)
{
    struct peer *p = self;
    for (; !p->slow && p->owed > 0; p->owed--)
        outbox_control(t->out, 0)->type = DIR_REVOKED;
}
static const struct actor_ops peer_ops = {.on_cells = peer_cells, .end_turn = peer_end};

/* Answers CHAN_CREATED, unless told to wait. */
struct chan_peer {
    struct recorder seen;
    bool slow;
    uint32_t answered;
    enum err err;
};

static void chan_end(void *self, struct turn *t)
{
    struct chan_peer *p = self;
    while (!p->slow && p->answered < p->seen.len)
        outbox_answer(t->out, 0, &p->seen.cells[p->answered++])->err = p->err;
}
static const struct actor_ops chan_ops = {.on_cells = recorder_cells, .end_turn = chan_end};

enum { ID_DIR, ID_LOG, ID_ASKER, ID_ACC, ID_FAN, ID_CHAN };
static const actor_id acceptors[] = {ID_ACC}, fanouts[] = {ID_FAN}, chans[] = {ID_CHAN};

struct fix {
    struct scratch scratch;
    struct store *store;
    struct log *log;
    struct wish_log wishes;
    struct dir *dir;
    struct dir_reader *reader;
    struct rig rig;
    struct recorder asker;
    struct peer acceptor, fanout;
    struct chan_peer chan;
    struct arena_pool pool;
    struct arena arena;
    struct view view;
    uint64_t team, uid;
};

static struct fix f;

static void start(bool real_log, uint32_t event_cells)
{
    struct dir_conf c = {.self = ID_DIR,
                         .log = ID_LOG,
                         .acceptors = acceptors,
                         .fanouts = fanouts,
                         .acceptors_len = 1,
                         .fanouts_len = 1,
                         .chans = chans,
                         .chans_len = 1,
                         .frames_max = 16,
                         .tokens_max = 64,
                         .secret = "secret"};
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &f.view), ERR_OK);
    c.view = f.view;
    CHECK_EQ(log_new(&f.log, f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(dir_new(&f.dir, &c), ERR_OK);
    CHECK_EQ(dir_load(f.dir, &f.view), ERR_OK);
    CHECK_EQ(dir_reader_new(&f.reader, f.dir), ERR_OK);
    memset(&f.asker, 0, sizeof f.asker);
    memset(&f.acceptor, 0, sizeof f.acceptor);
    memset(&f.fanout, 0, sizeof f.fanout);
    memset(&f.chan, 0, sizeof f.chan);
    memset(&f.wishes, 0, sizeof f.wishes);
    rig_init(&f.rig);
    rig_add(&f.rig, &dir_actor_ops, f.dir);
    rig_add(&f.rig, real_log ? &log_actor_ops : &wish_ops,
            real_log ? (void *)f.log : (void *)&f.wishes);
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &peer_ops, &f.acceptor);
    rig_add(&f.rig, &peer_ops, &f.fanout);
    rig_add(&f.rig, &chan_ops, &f.chan);
    rig_wire_requests(&f.rig, ID_DIR, ID_CHAN, 4);
    rig_wire_requests(&f.rig, ID_DIR, ID_LOG, 8);
    rig_wire_requests(&f.rig, ID_ASKER, ID_DIR, 512);
    rig_wire(&f.rig, ID_DIR, ID_ACC, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_ACC, ID_DIR, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_DIR, ID_FAN, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_FAN, ID_DIR, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_DIR, ID_FAN, CLASS_EVENT, event_cells);
    rig_wire(&f.rig, ID_FAN, ID_DIR, CLASS_ANSWER, 32);
}

static void stop(void)
{
    rig_turns(&f.rig, 4);
    rig_deinit(&f.rig);
    dir_read_end(f.reader);
    dir_free(f.dir);
    dir_reader_free(f.reader);
    log_free(f.log);
    store_close(f.store);
}

static void fix_init(void)
{
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    arena_pool_init(&f.pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 1 << 20), ERR_OK);
}

static void fix_deinit(void)
{
    arena_deinit(&f.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static void ask(enum dir_msg type, void *m)
{
    CHECK(rig_ask(&f.rig, ID_ASKER, ID_DIR, (uint16_t)type, 0, m));
}

/* Asks and takes the one answer. */
static enum err call(enum dir_msg type, void *m)
{
    f.asker.len = 0;
    ask(type, m);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 1);
    CHECK(f.asker.cells[0].u.p == m);
    return (enum err)f.asker.cells[0].err;
}

static void add_team_and_user(void)
{
    struct dir_team_add t = {.domain = SV("demo"), .name = SV("Demo")};
    CHECK_EQ(call(DIR_TEAM_ADD, &t), ERR_OK);
    f.team = t.team;
    struct dir_user_add u = {.team = f.team, .name = SV("ada"), .email = SV("ada@example.com")};
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_OK);
    f.uid = u.uid;
}

static enum err look_up(const char *token, struct principal *out)
{
    struct principal *p;
    enum err err = dir_token(f.reader, sv_from(token), &p);
    if (err == ERR_OK)
        *out = *p;
    dir_read_end(f.reader);
    return err;
}

static struct dir_token_issue issue(enum token_kind kind)
{
    struct dir_token_issue m = {.team = f.team, .uid = f.uid, .kind = kind, .scopes = 5};
    CHECK_EQ(call(DIR_TOKEN_ISSUE, &m), ERR_OK);
    return m;
}

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

TEST(tokens_work_are_revoked_and_die_with_their_user)
{
    struct principal p;
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
    struct principal p;
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
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_channel_create a = {
        .team = f.team, .creator = f.uid, .name = SV("a"), .arena = &f.arena};
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
    fix_init();
    start(true, 64);
    add_team_and_user();
    struct dir_channel_create a = {
        .team = f.team, .creator = f.uid, .name = SV("old"), .arena = &f.arena};
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

/* ---- users that change ---- */

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
    struct principal p;
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
