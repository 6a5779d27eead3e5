/* media/test_rig.h - media on a real store and a real disk, with a log that can be told to fail or
 * to wait, a disk that can fail (test_faults.h), and a clock that is moved by hand. Only for
 * *_test.c. */
#ifndef PARLEY_MEDIA_TEST_RIG_H
#define PARLEY_MEDIA_TEST_RIG_H

#include "media/internal.h"

#include <stdio.h>

#include "store/store.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

#include "media/test_disk.h"
#include "media/test_faults.h"

enum { TEAM = 7, ADA = 100, BOB = 101, EVE = 102 }; /* Eve is in no conversation */
enum { OPEN = 1, SECRET = 2, DIRECT = 3, FOREIGN = 4 };
enum { ID_ASKER, ID_MEDIA, ID_LOG, ID_OTHER };

/* In front of the log: passes batches on, keeps them, or answers them with an error. */
struct valve {
    struct log *log;
    enum err fails;
    bool holds;
    struct cell held[8];
    uint32_t held_len;
};

static void valve_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                        uint32_t n, struct turn *t)
{
    struct valve *v = self;
    for (uint32_t i = 0; i < n; i++) {
        if (v->holds)
            v->held[v->held_len++] = cells[i];
        else if (v->fails == ERR_OK)
            log_actor_ops.on_cells(v->log, from, class, &cells[i], 1, t);
        else
            outbox_answer(t->out, from, &cells[i])->err = v->fails;
    }
}

static void valve_end(void *self, struct turn *t)
{
    struct valve *v = self;
    for (uint32_t i = 0; !v->holds && i < v->held_len; i++)
        valve_cells(v, ID_MEDIA, CLASS_REQUEST, &v->held[i], 1, t);
    v->held_len = v->holds ? v->held_len : 0;
    log_actor_ops.end_turn(v->log, t);
}
static const struct actor_ops valve_ops = {.on_cells = valve_cells, .end_turn = valve_end};

struct fix {
    struct scratch scratch;
    struct store *store;
    struct view view;
    struct valve valve;
    struct media_conf conf;
    struct media *media;
    struct rig rig;
    struct recorder asker, other;
    struct arena_pool pool;
    struct arena arena;
    struct batch batch;
    uint64_t passed_us; /* of the clocks, beyond the machine's */
    struct loop_seam seam;
};
static struct fix f;

static uint64_t seam_mono(void *ctx)
{
    (void)ctx;
    return clock_mono_us() + f.passed_us;
}
static uint64_t seam_wall(void *ctx)
{
    (void)ctx;
    return clock_wall_us() + f.passed_us;
}
static uint32_t seam_cells(void *ctx, struct edge *e)
{
    (void)ctx, (void)e;
    return turn_cells_max;
}

/* ---- who is where ---- */

static inline void put_channel(uint64_t cid, uint64_t team, enum channel_kind kind)
{
    struct key k;
    key_chan_info(&k, cid);
    row_chan_info_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k,
                         &(struct row_chan_info){.cid = cid, .team = team, .kind = kind});
    batch_put_end(&f.batch);
}

static inline void put_member(uint64_t cid, uint64_t uid)
{
    struct key k;
    key_chan_member(&k, cid, uid);
    row_member_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k, &(struct row_member){0});
    batch_put_end(&f.batch);
}

/* chan's row of a message: uid posted it under this key. */
static inline void put_posted(uint64_t cid, uint64_t uid, struct str_view key, uint64_t ts_us)
{
    struct key k;
    uint8_t key128[key128_bytes];
    key128_of(key128, key);
    key_dedup(&k, cid, uid, key128);
    row_dedup_encode(batch_put_begin(&f.batch, CF_IDX, &k), &k,
                     &(struct row_dedup){.ts_us = ts_us, .client_msg_id = key});
    batch_put_end(&f.batch);
}

static inline void write_rows(void)
{
    struct arena a = f.batch.arena;
    CHECK_EQ(store_write_sync(f.store, &f.batch), ERR_OK);
    arena_reset(&a);
    f.batch = (struct batch){.arena = a};
}

/* ---- the process ---- */

static inline void start(void)
{
    f.asker.len = f.other.len = 0;
    f.valve = (struct valve){.log = f.valve.log};
    CHECK_EQ(media_new(&f.media, &f.conf), ERR_OK);
    rig_init(&f.rig);
    f.seam =
        (struct loop_seam){.mono_us = seam_mono, .wall_us = seam_wall, .cells_max = seam_cells};
    f.rig.loop.seam = &f.seam;
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &media_actor_ops, f.media);
    rig_add(&f.rig, &valve_ops, &f.valve);
    rig_add(&f.rig, &recorder_ops, &f.other);
    rig_wire_requests(&f.rig, ID_ASKER, ID_MEDIA, 128);
    rig_wire_requests(&f.rig, ID_OTHER, ID_MEDIA, 16);
    rig_wire_requests(&f.rig, ID_MEDIA, ID_LOG, 8);
    rig_turns(&f.rig, 1);
}

/* What media and its requests knew is gone; what the log has is there. */
static inline void crash(void)
{
    rig_deinit(&f.rig);
    media_free(f.media);
    faults = (struct faults){0};
    start();
}

static inline void fix_init(void)
{
    memset(&f, 0, sizeof f);
    faults = (struct faults){0};
    scratch_init(&f.scratch);
    log_set_level(LOG_ERROR + 1);
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(arena_init(&f.batch.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &f.view), ERR_OK);
    CHECK_EQ(log_new(&f.valve.log, f.store, &f.scratch.conf), ERR_OK);
    media_conf_from(&f.conf, &f.scratch.conf);
    f.conf.view = f.view;
    f.conf.self = ID_MEDIA;
    f.conf.log = ID_LOG;
    put_channel(OPEN, TEAM, CHANNEL_PUBLIC);
    put_channel(SECRET, TEAM, CHANNEL_PRIVATE);
    put_channel(DIRECT, TEAM, CHANNEL_IM);
    put_channel(FOREIGN, TEAM + 1, CHANNEL_PUBLIC);
    put_member(OPEN, ADA);
    put_member(SECRET, ADA);
    put_member(SECRET, BOB);
    put_member(DIRECT, ADA);
    put_member(DIRECT, BOB);
    write_rows();
    start();
}

static inline void fix_deinit(void)
{
    faults = (struct faults){0};
    rig_deinit(&f.rig);
    media_free(f.media);
    log_free(f.valve.log);
    store_close(f.store);
    arena_deinit(&f.arena);
    arena_deinit(&f.batch.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static inline void pass_ms(uint64_t ms)
{
    f.passed_us += ms * 1000;
    rig_turns(&f.rig, 4);
}

static inline void sweep(void)
{
    for (int i = 0; i < 2000 && !f.media->swept; i++)
        pass_ms(70);
    CHECK(f.media->swept);
}

/* What a start does behind everything else. */
static inline void index_all(void)
{
    for (int i = 0; i < 400 && !f.media->reindex.whole; i++)
        pass_ms(70);
    CHECK(f.media->reindex.whole);
}

#define DISK(blobs_, temporaries_) CHECK_DISK(f.scratch.conf.server_data, blobs_, temporaries_)

static inline uint64_t metric(enum metric id)
{
    return f.rig.loop.metrics.values[id];
}

/* ---- requests ---- */

static inline void ask(uint16_t type, void *m)
{
    CHECK(rig_ask(&f.rig, ID_ASKER, ID_MEDIA, type, 0, m));
}

static inline enum err answer_to(const void *m)
{
    for (uint32_t i = 0; i < f.asker.len; i++) {
        if (f.asker.cells[i].u.p == m)
            return (enum err)f.asker.cells[i].err;
    }
    fail_msg("no answer");
    return ERR_OK;
}

static inline enum err call(uint16_t type, void *m)
{
    f.asker.len = 0;
    ask(type, m);
    for (int i = 0; i < 400 && f.asker.len == 0; i++)
        rig_turns(&f.rig, 1);
    CHECK_EQ(f.asker.len, 1);
    return answer_to(m);
}

static inline struct hist_viewer viewer(uint64_t uid)
{
    return (struct hist_viewer){.team = TEAM, .uid = uid};
}

static inline enum err try_reserve(uint64_t uid, const char *name, uint64_t length,
                                   struct file_id *id)
{
    struct media_reserve m = {.team = TEAM,
                              .uid = uid,
                              .name = sv_from(name),
                              .title = SV(""),
                              .alt_text = SV(""),
                              .snippet_type = SV(""),
                              .length = length};
    enum err err = call(MEDIA_RESERVE, &m);
    *id = m.id;
    return err;
}

static inline struct file_id reserve(uint64_t uid, const char *name)
{
    struct file_id id;
    CHECK_EQ(try_reserve(uid, name, UINT64_MAX, &id), ERR_OK);
    return id;
}

static inline enum err try_begin(const struct file_id *id, uint64_t *stream)
{
    struct media_begin m = {.id = *id, .declared = UINT64_MAX};
    enum err err = call(MEDIA_BEGIN, &m);
    *stream = m.stream;
    return err;
}

static inline uint64_t begin(const struct file_id *id)
{
    uint64_t stream;
    CHECK_EQ(try_begin(id, &stream), ERR_OK);
    return stream;
}

static inline enum err write_bytes(uint64_t stream, const void *p, size_t n)
{
    enum err err = ERR_OK;
    for (size_t at = 0; err == ERR_OK && at < n; at += media_chunk_bytes) {
        struct media_write m = {.stream = stream,
                                .p = (const char *)p + at,
                                .len = (uint32_t)MIN(n - at, (size_t)media_chunk_bytes)};
        err = call(MEDIA_WRITE, &m);
    }
    return err;
}

static inline enum err finish(uint64_t stream)
{
    struct media_finish m = {.stream = stream};
    return call(MEDIA_FINISH, &m);
}

static inline enum err send(const struct file_id *id, const void *p, size_t n)
{
    uint64_t stream;
    enum err err = try_begin(id, &stream);
    if (err == ERR_OK)
        err = write_bytes(stream, p, n);
    return err == ERR_OK ? finish(stream) : err;
}

static inline struct file_id upload(uint64_t uid, const char *name, const char *text)
{
    struct file_id id = reserve(uid, name);
    CHECK_EQ(send(&id, text, strlen(text)), ERR_OK);
    return id;
}

static inline enum err open_as(const struct hist_viewer *v, const struct file_id *id,
                               struct media_open *m)
{
    *m = (struct media_open){.viewer = *v, .id = *id, .arena = &f.arena};
    return call(MEDIA_OPEN, m);
}

/* Reads all of it; what it holds must be text. */
static inline enum err read_as(uint64_t uid, const struct file_id *id, const char *text)
{
    struct media_open m;
    struct hist_viewer v = viewer(uid);
    char got[4096];
    enum err err = open_as(&v, id, &m);
    if (err != ERR_OK)
        return err;
    CHECK_EQ(m.length, strlen(text));
    struct media_read r = {.stream = m.stream, .p = got, .len = (uint32_t)m.length};
    CHECK_EQ(call(MEDIA_READ, &r), ERR_OK);
    CHECK_MEM(got, text, m.length);
    struct media_close c = {m.stream};
    CHECK_EQ(call(MEDIA_CLOSE, &c), ERR_OK);
    return ERR_OK;
}

static inline struct media_share share_of(const struct file_id *id, uint64_t cid,
                                          enum channel_kind kind, uint64_t ts_us)
{
    struct media_share m = {.team = TEAM,
                            .uid = ADA,
                            .id = *id,
                            .cid = cid,
                            .kind = kind,
                            .key = SV("files:1"),
                            .ts_us = ts_us,
                            .base_url = SV("http://x")};
    buf_init(&m.json, &f.arena, 0);
    return m;
}

static inline void share(const struct file_id *id, uint64_t cid, enum channel_kind kind,
                         uint64_t ts_us)
{
    struct media_share before = share_of(id, cid, kind, TS_NONE);
    struct media_share after = share_of(id, cid, kind, ts_us);
    CHECK_EQ(call(MEDIA_SHARE, &before), ERR_OK);
    CHECK_EQ(call(MEDIA_SHARE, &after), ERR_OK);
}

static inline enum err info_as(uint64_t uid, const struct file_id *id, struct str_view *json)
{
    struct media_info m = {.viewer = viewer(uid), .id = *id, .base_url = SV("http://x")};
    buf_init(&m.json, &f.arena, 0);
    enum err err = call(MEDIA_INFO, &m);
    *json = buf_view(&m.json);
    return err;
}

static inline enum err delete_as(uint64_t uid, const struct file_id *id)
{
    struct media_delete m = {.team = TEAM, .uid = uid, .id = *id, .arena = &f.arena};
    return call(MEDIA_DELETE, &m);
}

static inline bool says(struct str_view json, const char *part)
{
    return memmem(json.p, json.len, part, strlen(part)) != NULL;
}

static inline struct str_view own_json(const struct file_id *id)
{
    struct str_view json;
    CHECK_EQ(info_as(ADA, id, &json), ERR_OK);
    return json;
}

static inline struct media_list query(uint64_t viewer_uid)
{
    return (struct media_list){.viewer = viewer(viewer_uid),
                               .to_us = UINT64_MAX,
                               .types = MEDIA_ALL,
                               .page = 1,
                               .count = 100,
                               .base_url = SV("http://x")};
}

/* The names of what is listed, newest first; '|' and how many there are in all. */
static inline void check_list(struct media_list q, const char *want)
{
    char got[256] = "";
    size_t len = 0;
    buf_init(&q.json, &f.arena, 0);
    CHECK_EQ(call(MEDIA_LIST, &q), ERR_OK);
    uint32_t n = 0;
    struct str_view json = buf_view(&q.json);
    for (const char *at = json.p;
         json.len > 0 && (at = memmem(at, (size_t)(json.p + json.len - at), "\"name\":\"", 8));) {
        at += 8;
        got[len++] = *at;
        n++;
    }
    snprintf(got + len, sizeof got - len, "|%u", q.total);
    CHECK_STR(got, want);
    CHECK_EQ(n, q.len);
}

#endif
