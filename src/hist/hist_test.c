/* Reads of what a store holds: paging at every edge, rights, unread counts, lists, cold channels.
 */
#include "hist/hist.h"

#include "hist/hist_msg.h"
#include "json/read.h"
#include "store/batch.h"
#include "store/store.h"
#include "test.h"
#include "rig.h"
#include "scratch.h"

enum { TEAM = 7, ADA = 100, BOB = 101, BOT = 102 };
enum { OPEN = 1, SECRET = 2, FOREIGN = 3, LONE = 4 };

struct fix {
    struct scratch scratch;
    struct store *store;
    struct hist *hist;
    struct rig rig;
    struct recorder asker;
    struct arena_pool pool;
    struct arena arena;
    struct batch batch;
};

static struct fix f;

static void put_channel(uint64_t cid, uint64_t team, enum channel_kind kind, const char *name,
                        uint64_t seq, uint64_t last_ts_us)
{
    struct key k;
    key_chan_info(&k, cid);
    row_chan_info_encode(
        batch_put_begin(&f.batch, CF_CHAN, &k), &k,
        &(struct row_chan_info){
            .cid = cid, .team = team, .creator = ADA, .kind = kind, .name = sv_from(name)});
    batch_put_end(&f.batch);
    key_chan_head(&k, cid);
    row_chan_head_encode(
        batch_put_begin(&f.batch, CF_CHAN, &k), &k,
        &(struct row_chan_head){.seq = seq, .last_ts_us = last_ts_us, .members_len = 1});
    batch_put_end(&f.batch);
    key_channel_name(&k, team, sv_from(name));
    row_channel_name_encode(batch_put_begin(&f.batch, CF_DIR, &k), &k,
                            &(struct row_channel_name){.cid = cid, .kind = kind});
    batch_put_end(&f.batch);
}

static void put_member(uint64_t cid, uint64_t uid, enum channel_kind kind)
{
    struct key k;
    const struct row_member m = {.joined_us = 1, .kind = kind};
    key_chan_member(&k, cid, uid);
    row_member_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k, &m);
    batch_put_end(&f.batch);
    key_membership(&k, uid, cid);
    row_member_encode(batch_put_begin(&f.batch, CF_USER, &k), &k, &m);
    batch_put_end(&f.batch);
}

static void put_message(uint64_t cid, uint64_t ts_us, uint64_t seq, uint64_t uid)
{
    struct key k;
    char body[64];
    int n = snprintf(body, sizeof body, "{\"n\":%llu", (unsigned long long)ts_us);
    key_msg(&k, cid, ts_us);
    row_message_encode(
        batch_put_begin(&f.batch, CF_MSG, &k), &k,
        &(struct row_message){.ts_us = ts_us, .seq = seq, .uid = uid, .body = {body, (size_t)n}});
    batch_put_end(&f.batch);
}

static void put_long_message(uint64_t cid, uint64_t ts_us, size_t bytes)
{
    struct key k;
    char *body = malloc(bytes);
    CHECK(body != NULL);
    memset(body, 'x', bytes);
    key_msg(&k, cid, ts_us);
    row_message_encode(
        batch_put_begin(&f.batch, CF_MSG, &k), &k,
        &(struct row_message){.ts_us = ts_us, .seq = ts_us, .uid = ADA, .body = {body, bytes}});
    batch_put_end(&f.batch);
    free(body);
}

static void write_rows(void)
{
    struct arena a = f.batch.arena;
    CHECK(!f.batch.failed);
    CHECK_EQ(store_write_sync(f.store, &f.batch), ERR_OK);
    arena_reset(&a);
    f.batch = (struct batch){.arena = a};
}

static void fix_init(void)
{
    struct view v;
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    arena_pool_init(&f.pool, 16384, 2, UINT64_MAX);
    CHECK_EQ(arena_init(&f.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(arena_init(&f.batch.arena, &f.pool, 16 << 20), ERR_OK);
    CHECK_EQ(store_open(&f.store, &f.scratch.conf), ERR_OK);
    CHECK_EQ(store_view(f.store, &v), ERR_OK);
    CHECK_EQ(hist_new(&f.hist, &v, &f.scratch.conf), ERR_OK);
    rig_init(&f.rig);
    rig_add(&f.rig, &recorder_ops, &f.asker);
    rig_add(&f.rig, &hist_actor_ops, f.hist);
    rig_wire_requests(&f.rig, 0, 1, 16);
    put_channel(OPEN, TEAM, CHANNEL_PUBLIC, "open", 10, 100);
    put_channel(SECRET, TEAM, CHANNEL_PRIVATE, "secret", 0, 0);
    put_channel(FOREIGN, TEAM + 1, CHANNEL_PUBLIC, "foreign", 0, 0);
    put_channel(LONE, TEAM, CHANNEL_PUBLIC, "lone", 0, 0);
    put_member(OPEN, ADA, CHANNEL_PUBLIC);
    put_member(SECRET, ADA, CHANNEL_PRIVATE);
    put_message(SECRET, 50, 1, ADA);
    for (uint64_t i = 1; i <= 10; i++)
        put_message(OPEN, i * 10, i, i % 2 == 0 ? ADA : BOB);
    write_rows();
}

static void fix_deinit(void)
{
    rig_deinit(&f.rig);
    hist_free(f.hist);
    store_close(f.store);
    arena_deinit(&f.arena);
    arena_deinit(&f.batch.arena);
    arena_pool_deinit(&f.pool);
    scratch_deinit(&f.scratch);
}

static enum err call(enum hist_msg type, void *m)
{
    f.asker.len = 0;
    CHECK(rig_ask(&f.rig, 0, 1, (uint16_t)type, 0, m));
    rig_turns(&f.rig, 3);
    CHECK_EQ(f.asker.len, 1);
    return (enum err)f.asker.cells[0].err;
}

static struct hist_history page(uint64_t oldest, uint64_t latest, bool inclusive, uint32_t limit)
{
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA},
                             .cid = OPEN,
                             .oldest_us = oldest,
                             .latest_us = latest,
                             .inclusive = inclusive,
                             .limit = limit};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    return m;
}

/* "100 90 80" */
static void check_page(const struct hist_history *m, const char *want)
{
    char got[256] = "";
    struct buf b;
    buf_init_fixed(&b, got, sizeof got - 1);
    struct str_view rest = buf_view(&m->out);
    while (rest.len > 0) {
        sv_cut(&rest, ':');
        struct str_view n = sv_cut(&rest, '}');
        buf_printf(&b, b.len > 0 ? " %.*s" : "%.*s", SV_ARG(n));
        sv_cut(&rest, ',');
    }
    CHECK_STR(got, want);
}

TEST(history_bounds)
{
    fix_init();
    static const struct {
        uint64_t oldest, latest;
        bool inclusive;
        const char *want;
    } rows[] = {{0, 0, false, "100 90 80 70 60 50 40 30 20 10"},
                {0, 100, false, "90 80 70 60 50 40 30 20 10"},
                {0, 100, true, "100 90 80 70 60 50 40 30 20 10"},
                {90, 0, false, "100"},
                {90, 0, true, "100 90"},
                {30, 60, false, "50 40"},
                {30, 60, true, "60 50 40 30"},
                {31, 59, true, "50 40"},
                {50, 50, true, "50"},
                {50, 50, false, ""},
                {60, 50, true, ""},
                {49, 51, false, "50"},
                {100, 0, false, ""},
                {0, 10, false, ""},
                {0, 1, false, ""},
                {9999999999999999u, 0, true, ""},
                {0, 9999999999999999u, false, "100 90 80 70 60 50 40 30 20 10"}};
    for (int from_memory = 0; from_memory < 2; from_memory++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct hist_history m = page(rows[i].oldest, rows[i].latest, rows[i].inclusive, 100);
            check_page(&m, rows[i].want);
            CHECK(!m.has_more);
        }
    }
    fix_deinit();
}

TEST(history_pages_meet_without_gap_or_overlap)
{
    fix_init();
    for (uint32_t limit = 1; limit <= 11; limit++) {
        uint64_t latest = 0, want = 100;
        for (int pages = 0;; pages++) {
            struct hist_history m = page(0, latest, false, limit);
            CHECK_EQ(m.messages, MIN(limit, want / 10));
            want -= 10 * m.messages;
            CHECK_EQ(m.has_more, want > 0); /* never a promise of an empty page */
            if (!m.has_more)
                break;
            CHECK_EQ(m.next_us, want + 10);
            latest = m.next_us;
        }
        CHECK_EQ(want, 0);
    }
    /* More at the oldest edge is not more within the bounds. */
    struct hist_history m = page(80, 0, false, 2);
    check_page(&m, "100 90");
    CHECK(!m.has_more);
    fix_deinit();
}

/* Long messages: the page ends at its bytes, a message over them comes alone, none is lost. */
TEST(pages_of_long_messages_end_early)
{
    static const size_t bytes[] = {1000, 3 << 20, 600000, 400000, 400000, 10};
    static const uint32_t pages[] = {3, 1, 1, 1}; /* newest first */
    uint64_t latest = 0, want = 1006;
    fix_init();
    for (uint64_t i = 0; i < ARRAY_LEN(bytes); i++)
        put_long_message(OPEN, 1001 + i, bytes[i]);
    write_rows();
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        arena_reset(&f.arena);
        struct hist_history m = page(1000, latest, false, 100);
        CHECK_EQ(m.messages, pages[i]);
        want -= m.messages;
        CHECK_EQ(m.has_more, i + 1 < ARRAY_LEN(pages));
        if (m.has_more)
            CHECK_EQ(m.next_us, want + 1);
        latest = m.next_us;
    }
    CHECK_EQ(want, 1000);
    fix_deinit();
}

TEST(absent_foreign_and_private_are_one_answer)
{
    fix_init();
    static const uint64_t hidden[] = {SECRET, FOREIGN, 999};
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        struct hist_viewer bob = {.team = TEAM, .uid = BOB};
        struct hist_history h = {.viewer = bob, .cid = hidden[i], .limit = 10};
        struct hist_message g = {.viewer = bob, .cid = hidden[i], .ts_us = 50};
        struct hist_info n = {.viewer = bob, .cid = hidden[i]};
        struct hist_members m = {.viewer = bob, .cid = hidden[i], .limit = 10, .arena = &f.arena};
        buf_init(&h.out, &f.arena, 0);
        buf_init(&g.out, &f.arena, 0);
        buf_init(&n.out, &f.arena, 0);
        CHECK_EQ(call(HIST_HISTORY, &h), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_MESSAGE, &g), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_INFO, &n), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(call(HIST_MEMBERS, &m), ERR_CHANNEL_NOT_FOUND);
        CHECK_EQ(h.out.len + g.out.len + n.out.len + m.len, 0);
    }
    struct hist_history h = {.viewer = {.team = TEAM, .uid = BOB}, .cid = OPEN, .limit = 1};
    buf_init(&h.out, &f.arena, 0);
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_OK); /* a person reads public channels from outside */
    h.viewer = (struct hist_viewer){.team = TEAM, .uid = BOT, .is_bot = true};
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_NOT_IN_CHANNEL);
    h.viewer = (struct hist_viewer){.team = TEAM, .uid = BOB, .is_admin = true};
    h.cid = SECRET;
    CHECK_EQ(call(HIST_HISTORY, &h), ERR_OK);
    struct hist_message g = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .ts_us = 50};
    buf_init(&g.out, &f.arena, 0);
    CHECK_EQ(call(HIST_MESSAGE, &g), ERR_OK);
    CHECK_SV(buf_view(&g.out), "{\"n\":50}");
    g.ts_us = 51;
    CHECK_EQ(call(HIST_MESSAGE, &g), ERR_MESSAGE_NOT_FOUND);
    fix_deinit();
}

static uint64_t member_number(const struct buf *b, const char *name)
{
    struct json_reader *r;
    struct json_member *m;
    uint32_t n;
    CHECK_EQ(json_reader_new(&r), ERR_OK);
    CHECK_EQ(json_read_object(r, &f.arena, buf_view(b), &m, &n), ERR_OK);
    struct json_value *v = json_find(m, n, sv_from(name));
    CHECK(v != NULL && v->type == JSON_INT);
    json_reader_free(r);
    return (uint64_t)v->i;
}

static void put_cursor(uint64_t uid, uint64_t read_seq)
{
    struct key k;
    key_chan_cursor(&k, OPEN, uid);
    row_cursor_encode(batch_put_begin(&f.batch, CF_CHAN, &k), &k,
                      &(struct row_cursor){.read_seq = read_seq, .read_ts_us = read_seq * 10});
    batch_put_end(&f.batch);
    write_rows();
}

TEST(unread_counts_leave_out_the_readers_own)
{
    fix_init();
    static const struct {
        uint64_t read, unread;
    } rows[] = {{0, 5}, {1, 4}, {2, 4}, {9, 0}, {8, 1}, {10, 0}, {99, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) { /* ADA's own are the even ones */
        struct hist_info m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN};
        put_cursor(ADA, rows[i].read);
        buf_init(&m.out, &f.arena, 0);
        CHECK_EQ(call(HIST_INFO, &m), ERR_OK);
        CHECK_EQ(member_number(&m.out, "unread_count"), rows[i].unread);
    }
    fix_deinit();
}

TEST(members_page_by_page)
{
    fix_init();
    for (uint64_t uid = 200; uid < 210; uid++)
        put_member(OPEN, uid, CHANNEL_PUBLIC);
    write_rows();
    uint64_t after = 0, last = 0;
    uint32_t total = 0;
    do {
        struct hist_members m = {.viewer = {.team = TEAM, .uid = ADA},
                                 .cid = OPEN,
                                 .after_uid = after,
                                 .limit = 4,
                                 .arena = &f.arena};
        CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
        for (uint32_t i = 0; i < m.len; i++) {
            CHECK(m.uids[i] > last);
            last = m.uids[i];
        }
        total += m.len;
        after = m.next_uid;
    } while (after != 0);
    CHECK_EQ(total, 11);
    struct hist_members m = {.viewer = {.team = TEAM, .uid = ADA},
                             .cid = OPEN,
                             .after_uid = UINT64_MAX, /* a forged cursor */
                             .limit = 4,
                             .arena = &f.arena};
    CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
    CHECK_EQ(m.len, 0);
    m.limit = 0;
    m.after_uid = 0;
    CHECK_EQ(call(HIST_MEMBERS, &m), ERR_OK);
    CHECK_EQ(m.len, 0);
    struct hist_memberships s = {.uid = ADA, .max = 1, .arena = &f.arena};
    CHECK_EQ(call(HIST_MEMBERSHIPS, &s), ERR_OK);
    CHECK_EQ(s.len, 1);
    CHECK(s.more);
    s.max = 2;
    CHECK_EQ(call(HIST_MEMBERSHIPS, &s), ERR_OK);
    CHECK(s.len == 2 && !s.more && s.cids[0] == OPEN && s.cids[1] == SECRET);
    fix_deinit();
}

static struct hist_list list(uint64_t uid, uint32_t types, uint32_t limit, struct str_view after)
{
    struct hist_list m = {.viewer = {.team = TEAM, .uid = uid},
                          .types = types,
                          .limit = limit,
                          .after = after,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    return m;
}

TEST(lists_show_what_may_be_seen)
{
    fix_init();
    struct hist_list m = list(ADA, 15, 100, SV_NONE);
    CHECK_EQ(m.len, 3);
    CHECK_EQ(m.next.len, 0);
    m = list(BOB, 15, 100, SV_NONE);
    CHECK_EQ(m.len, 2);
    CHECK(memmem(m.out.p, m.out.len, "secret", 6) == NULL);
    m = list(ADA, hist_types_private, 100, SV_NONE);
    CHECK_EQ(m.len, 1);
    m = list(BOB, hist_types_private, 100, SV_NONE);
    CHECK_EQ(m.len, 0);
    m.members_only = true;
    m.types = 15;
    m.viewer.uid = ADA;
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, 2);
    /* "lone", "open", then only what BOB may not see: no cursor that would betray it. */
    m = list(BOB, 15, 2, SV_NONE);
    CHECK_EQ(m.len, 2);
    CHECK_EQ(m.next.len, 0);
    m = list(ADA, 15, 2, SV_NONE);
    CHECK_SV(m.next, "open");
    m = list(ADA, 15, 2, m.next);
    CHECK_EQ(m.len, 1);
    CHECK_EQ(m.next.len, 0);
    static char forged[400];
    memset(forged, 'x', sizeof forged);
    m.after = (struct str_view){forged, sizeof forged};
    CHECK_EQ(call(HIST_LIST, &m), ERR_INVALID_CURSOR);
    fix_deinit();
}

TEST(long_lists_page_by_page_meet)
{
    fix_init();
    static char names[300][16];
    for (uint64_t i = 0; i < 300; i++) { /* every third is private and not ADA's */
        snprintf(names[i], sizeof names[i], "c%03d", (int)i);
        put_channel(1000 + i, TEAM, i % 3 == 0 ? CHANNEL_PRIVATE : CHANNEL_PUBLIC, names[i], 0, 0);
    }
    write_rows();
    static const uint32_t limits[] = {1, 7, 100, 127, 128, 129, 203, UINT32_MAX};
    for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
        struct str_view after = SV_NONE;
        uint32_t total = 0, pages = 0;
        do {
            struct hist_list m = list(ADA, 15, limits[l], after);
            CHECK(m.len > 0 && m.len <= limits[l]);
            total += m.len;
            after = m.next;
            CHECK(++pages < 1000);
        } while (after.len > 0);
        CHECK_EQ(total, 200 + 3);
        arena_reset(&f.arena);
    }
    fix_deinit();
}

/* A view that counts the rows that a scan hands out and the keys that are looked up. */
struct counted {
    struct view v;
    view_row_fn *fn;
    void *ctx;
    uint32_t rows, gets, scans;
};

static bool count_row(void *ctx, struct str_view key, struct str_view value)
{
    struct counted *c = ctx;
    c->rows++;
    return c->fn(c->ctx, key, value);
}

static enum err counted_scan(void *self, enum cf cf, struct str_view from, struct str_view to,
                             view_row_fn *fn, void *ctx, uint64_t *moment)
{
    struct counted *c = self;
    c->scans++;
    c->fn = fn;
    c->ctx = ctx;
    return c->v.ops->scan(c->v.self, cf, from, to, count_row, c, moment);
}

static enum err counted_get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    struct counted *c = self;
    c->gets += n;
    return view_multi_get(&c->v, gets, n, a);
}

static uint64_t counted_moment(void *self)
{
    const struct counted *c = self;
    return view_moment(&c->v);
}

static bool counted_touched(void *self, const struct view_get *keys, uint32_t n, uint64_t since)
{
    const struct counted *c = self;
    return view_touched(&c->v, keys, n, since);
}

static bool counted_front(void *self, enum cf cf, struct str_view key, uint64_t since,
                          view_row_fn *fn, void *ctx, uint64_t *moment)
{
    const struct counted *c = self;
    return c->v.ops->front(c->v.self, cf, key, since, fn, ctx, moment);
}

static struct counted counted;

/* From here on hist reads through it. */
static void count_reads(void)
{
    static const struct view_ops ops = {.multi_get = counted_get,
                                        .scan = counted_scan,
                                        .moment = counted_moment,
                                        .touched = counted_touched,
                                        .front = counted_front};
    counted = (struct counted){0};
    CHECK_EQ(store_view(f.store, &counted.v), ERR_OK);
    hist_free(f.hist);
    CHECK_EQ(hist_new(&f.hist, &(struct view){&ops, &counted}, &f.scratch.conf), ERR_OK);
    f.rig.actors[1].self = f.hist;
}

static struct hist_list own_list(uint64_t uid, uint32_t limit, struct str_view after)
{
    struct hist_list m = {.viewer = {.team = TEAM, .uid = uid},
                          .members_only = true,
                          .types = 15,
                          .limit = limit,
                          .after = after,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    return m;
}

/* Everything, by pages of limit; the names must rise. */
static uint32_t own_total(uint64_t uid, uint32_t limit)
{
    struct str_view after = SV_NONE;
    uint32_t total = 0;
    do {
        struct hist_list m = own_list(uid, limit, after);
        CHECK(m.len > 0 && m.len <= limit);
        CHECK(m.next.len == 0 || sv_cmp(m.next, after) > 0);
        total += m.len;
        after = m.next;
    } while (after.len > 0);
    return total;
}

TEST(own_channels_cost_what_the_user_has_not_what_the_team_has)
{
    fix_init();
    static char name[16];
    for (uint64_t i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "c%04d", (int)((i * 7919) % 1500));
        put_channel(1000 + i, TEAM, CHANNEL_PUBLIC, name, 0, 0);
        if (i % 5 == 0)
            put_member(1000 + i, BOB, CHANNEL_PUBLIC);
        put_member(1000 + i, BOT, CHANNEL_PUBLIC); /* more than are sorted in memory */
        write_rows();
    }
    count_reads();
    struct hist_list m = own_list(ADA, 100, SV_NONE); /* "open" and "secret" */
    CHECK_EQ(m.len, 2);
    CHECK(counted.rows + counted.gets <= 16);
    m = own_list(ADA, 1, SV_NONE);
    CHECK_EQ(m.len, 1);
    CHECK_SV(m.next, "open");
    m = own_list(ADA, 1, m.next);
    CHECK_EQ(m.len, 1);
    CHECK_EQ(m.next.len, 0);
    CHECK_EQ(own_list(777, 100, SV_NONE).len, 0);
    static const uint32_t limits[] = {7, 127, 128, 129, UINT32_MAX};
    for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
        CHECK_EQ(own_total(BOB, limits[l]), 300);
        CHECK_EQ(own_total(BOT, limits[l]), 1500);
    }
    /* An operator that asks for its own channels gets those, and not all. */
    m.viewer = (struct hist_viewer){.team = TEAM, .uid = ADA, .is_admin = true};
    m.after = SV_NONE;
    m.limit = 100;
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, 2);
    fix_deinit();
}

/* A list of everything, for a user who has read nothing, reads a bounded number of messages. */
TEST(unread_counts_of_many_channels_are_bounded)
{
    enum { channels = 20, posts = 1000 };
    fix_init();
    static char name[16];
    for (uint64_t i = 0; i < channels; i++) {
        snprintf(name, sizeof name, "c%02d", (int)i);
        put_channel(1000 + i, TEAM, CHANNEL_PUBLIC, name, posts, posts);
        put_member(1000 + i, BOB, CHANNEL_PUBLIC);
        for (uint64_t p = 1; p <= posts; p++)
            put_message(1000 + i, p, p, BOB);
        write_rows();
    }
    count_reads();
    struct hist_list m = {.viewer = {.team = TEAM, .uid = BOB},
                          .with_unread = true,
                          .types = 15,
                          .limit = UINT32_MAX,
                          .arena = &f.arena};
    buf_init(&m.out, &f.arena, 0);
    CHECK_EQ(call(HIST_LIST, &m), ERR_OK);
    CHECK_EQ(m.len, channels + 2);
    CHECK(counted.rows < 17000);
    CHECK(memmem(m.out.p, m.out.len, "\"unread_count\":0", 16) != NULL);
    fix_deinit();
}

/* A slow list does not hold back the answers to those that came before it. */
TEST(a_turn_answers_a_few_and_the_rest_waits_its_turn)
{
    enum { asked = 15 };
    fix_init();
    struct hist_members m[asked];
    for (uint32_t i = 0; i < asked; i++) {
        m[i] = (struct hist_members){
            .viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .limit = 10, .arena = &f.arena};
        CHECK(rig_ask(&f.rig, 0, 1, HIST_MEMBERS, i, &m[i]));
    }
    rig_turns(&f.rig, 2);
    CHECK(hist_actor_ops.busy(f.hist));
    CHECK(!hist_actor_ops.drain(f.hist, NULL));
    rig_turns(&f.rig, 1);
    CHECK_EQ(f.asker.len, 8);
    rig_turns(&f.rig, 2);
    CHECK_EQ(f.asker.len, asked);
    for (uint32_t i = 0; i < asked; i++)
        CHECK_EQ(f.asker.cells[i].req, i);
    CHECK(!hist_actor_ops.busy(f.hist));
    fix_deinit();
}

TEST(cold_channels_load_whole_and_bounded)
{
    fix_init();
    struct hist_load m = {.cid = 999, .members_max = 100, .arena = &f.arena};
    CHECK_EQ(call(HIST_LOAD, &m), ERR_OK);
    CHECK(!m.found);
    for (uint64_t uid = 200; uid < 299; uid++)
        put_member(OPEN, uid, CHANNEL_PUBLIC);
    write_rows();
    m.cid = OPEN;
    CHECK_EQ(call(HIST_LOAD, &m), ERR_OK);
    CHECK(m.found);
    CHECK_SV(m.info.name, "open");
    CHECK_EQ(m.head.seq, 10);
    CHECK_EQ(m.members_len, 100);
    for (uint32_t i = 1; i < m.members_len; i++)
        CHECK(m.members[i] > m.members[i - 1]);
    m.members_max = 99;
    CHECK_EQ(call(HIST_LOAD, &m), ERR_NOMEM);
    CHECK(!m.found);
    fix_deinit();
}

/* A record that does not match its checksum is never a wrong answer. */
/* From the second read of a page on nothing is asked of the store, but of what was refused. */
TEST(a_page_that_is_read_again_comes_from_memory)
{
    fix_init();
    count_reads();
    for (int i = 0; i < 2; i++) {
        struct hist_history m = page(0, 0, false, 5);
        check_page(&m, "100 90 80 70 60");
    }
    uint32_t scans = counted.scans, gets = counted.gets;
    put_message(OPEN, 110, 11, ADA);
    write_rows();
    struct hist_history m = page(0, 0, false, 5);
    check_page(&m, "110 100 90 80 70");
    CHECK_EQ(counted.scans, scans);
    CHECK_EQ(counted.gets, gets);
    m.viewer.uid = BOB;
    m.cid = SECRET;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(call(HIST_HISTORY, &m), ERR_CHANNEL_NOT_FOUND);
    CHECK_EQ(counted.gets, gets + 6);
    fix_deinit();
}

/* A member who leaves a private channel reads no more of it, though its page is in memory. */
TEST(a_page_in_memory_does_not_outlive_a_right)
{
    struct key k;
    fix_init();
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = SECRET, .limit = 10};
    buf_init(&m.out, &f.arena, 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    key_chan_member(&k, SECRET, ADA);
    batch_delete(&f.batch, CF_CHAN, &k);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_CHANNEL_NOT_FOUND);
    put_member(SECRET, ADA, CHANNEL_PRIVATE);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_OK);
    fix_deinit();
}

TEST(a_damaged_row_fails_the_read)
{
    fix_init();
    struct key k, other;
    struct hist_history m = {.viewer = {.team = TEAM, .uid = ADA}, .cid = OPEN, .limit = 100};
    buf_init(&m.out, &f.arena, 0);
    key_msg(&k, OPEN, 50);
    key_msg(&other, OPEN, 51); /* another message's bytes under this key */
    row_message_encode(batch_put_begin(&f.batch, CF_MSG, &k), &other,
                       &(struct row_message){.ts_us = 51, .body = SV("{")});
    batch_put_end(&f.batch);
    write_rows();
    CHECK_EQ(call(HIST_HISTORY, &m), ERR_CORRUPT);
    fix_deinit();
}
