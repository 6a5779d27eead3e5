/* test_rig.h - the directory among recorders: a log of wishes (it answers when told, well or badly)
 * or the real one, an acceptor and a fanout that acknowledge revocations and keep events, a chan
 * that answers. */
#ifndef PARLEY_DIR_TEST_RIG_H
#define PARLEY_DIR_TEST_RIG_H

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

/* Answers CHAN_CREATED and CHAN_POST, unless told to wait. */
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

enum { ID_DIR, ID_LOG, ID_ASKER, ID_ACC, ID_FAN, ID_CHAN, ID_CHAN2 };
static const actor_id acceptors[] = {ID_ACC}, fanouts[] = {ID_FAN}, chans[] = {ID_CHAN, ID_CHAN2};

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
    struct chan_peer chan, chan2;
    uint16_t chans_len; /* 1, unless set before the start */
    struct arena_pool pool;
    struct arena arena;
    struct view view;
    uint64_t team, uid;
};

static struct fix f;

static inline void start(bool real_log, uint32_t event_cells)
{
    struct dir_conf c = {.self = ID_DIR,
                         .log = ID_LOG,
                         .acceptors = acceptors,
                         .fanouts = fanouts,
                         .acceptors_len = 1,
                         .fanouts_len = 1,
                         .chans = chans,
                         .chans_len = f.chans_len,
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
    memset(&f.chan2, 0, sizeof f.chan2);
    memset(&f.wishes, 0, sizeof f.wishes);
    rig_init(&f.rig);
    rig_add(&f.rig, &dir_actor_ops, f.dir);
    rig_add(&f.rig, real_log ? &log_actor_ops : &wish_ops,
            real_log ? (void *)f.log : (void *)&f.wishes);
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &peer_ops, &f.acceptor);
    rig_add(&f.rig, &peer_ops, &f.fanout);
    rig_add(&f.rig, &chan_ops, &f.chan);
    rig_add(&f.rig, &chan_ops, &f.chan2);
    rig_wire_requests(&f.rig, ID_DIR, ID_CHAN, 4);
    rig_wire_requests(&f.rig, ID_DIR, ID_CHAN2, 4);
    rig_wire_requests(&f.rig, ID_DIR, ID_LOG, 8);
    rig_wire_requests(&f.rig, ID_ASKER, ID_DIR, 512);
    rig_wire(&f.rig, ID_DIR, ID_ACC, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_ACC, ID_DIR, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_DIR, ID_FAN, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_FAN, ID_DIR, CLASS_CONTROL, 4);
    rig_wire(&f.rig, ID_DIR, ID_FAN, CLASS_EVENT, event_cells);
    rig_wire(&f.rig, ID_FAN, ID_DIR, CLASS_ANSWER, 32);
}

static inline void stop(void)
{
    rig_turns(&f.rig, 4);
    rig_deinit(&f.rig);
    dir_read_end(f.reader);
    dir_free(f.dir);
    dir_reader_free(f.reader);
    log_free(f.log);
    store_close(f.store);
}

static inline void fix_init(void)
{
    memset(&f, 0, sizeof f);
    f.chans_len = 1;
    scratch_init(&f.scratch);
    arena_pool_init(&f.pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 1 << 20), ERR_OK);
}

static inline void fix_deinit(void)
{
    arena_deinit(&f.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static inline void ask(enum dir_msg type, void *m)
{
    CHECK(rig_ask(&f.rig, ID_ASKER, ID_DIR, (uint16_t)type, 0, m));
}

/* Asks and takes the one answer. */
static inline enum err call(enum dir_msg type, void *m)
{
    f.asker.len = 0;
    ask(type, m);
    rig_turns(&f.rig, 10);
    CHECK_EQ(f.asker.len, 1);
    CHECK(f.asker.cells[0].u.p == m);
    return (enum err)f.asker.cells[0].err;
}

static inline void add_team_and_user(void)
{
    struct dir_team_add t = {.domain = SV("demo"), .name = SV("Demo")};
    CHECK_EQ(call(DIR_TEAM_ADD, &t), ERR_OK);
    f.team = t.team;
    struct dir_user_add u = {.team = f.team, .name = SV("ada"), .email = SV("ada@example.com")};
    CHECK_EQ(call(DIR_USER_ADD, &u), ERR_OK);
    f.uid = u.uid;
}

static inline enum err look_up(const char *token, struct principal *out)
{
    struct principal *p;
    enum err err = dir_token(f.reader, sv_from(token), &p);
    if (err == ERR_OK)
        *out = *p;
    dir_read_end(f.reader);
    return err;
}

static inline struct dir_token_issue issue(enum token_kind kind)
{
    struct dir_token_issue m = {.team = f.team, .uid = f.uid, .kind = kind, .scopes = 5};
    CHECK_EQ(call(DIR_TOKEN_ISSUE, &m), ERR_OK);
    return m;
}

#endif
