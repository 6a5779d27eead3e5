/* The tail alone: order, versions, borders, and readers beside the writer. */
#include "store/tail.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

enum { room = 64 << 20 };

struct fix {
    struct tail *t;
    struct arena_pool pool;
    struct batch b;
    uint64_t number;
};

static void begin(struct fix *f)
{
    struct arena a = f->b.arena;
    arena_reset(&a);
    f->b = (struct batch){.arena = a};
}

static void fix_init(struct fix *f)
{
    *f = (struct fix){.t = tail_new(17, room, 0)};
    CHECK(f->t != NULL);
    arena_pool_init(&f->pool, 4096, 4, UINT64_MAX);
    CHECK_EQ(arena_init(&f->b.arena, &f->pool, UINT64_MAX), ERR_OK);
    begin(f);
}

static void fix_deinit(struct fix *f)
{
    arena_deinit(&f->b.arena);
    arena_pool_deinit(&f->pool);
    tail_free(f->t);
}

static void commit(struct fix *f)
{
    uint32_t rows, checked;
    size_t bytes = record_bytes(&f->b, &rows);
    uint8_t *p = tail_reserve(f->t, bytes, rows);
    CHECK(p != NULL);
    record_write(p, ++f->number, &f->b);
    CHECK(record_check(f->number, (struct str_view){(char *)p, bytes}, &checked));
    CHECK_EQ(checked, rows);
    tail_add(f->t, f->number, bytes);
    begin(f);
}

static struct key text_key(const char *s)
{
    struct key k = {.len = (uint16_t)strlen(s)};
    memcpy(k.b, s, k.len);
    return k;
}

static void put(struct fix *f, enum cf cf, const char *key, const char *value)
{
    struct key k = text_key(key);
    batch_put(&f->b, cf, &k, sv_from(value));
}

static void del(struct fix *f, enum cf cf, const char *key)
{
    struct key k = text_key(key);
    batch_delete(&f->b, cf, &k);
}

static const char *get(struct fix *f, enum cf cf, const char *key, uint64_t number)
{
    static char out[64];
    struct str_view k = sv_from(key);
    const struct tail_row *r = tail_find(f->t, tail_hash(f->t, cf, k), cf, k, number);
    if (r == NULL)
        return "none";
    if (r->deleted)
        return "deleted";
    snprintf(out, sizeof out, "%.*s", (int)r->value_len, r->value);
    return out;
}

/* "key=value key- ..." of from <= key < to. */
static const char *range(struct fix *f, enum cf cf, const char *from, const char *to,
                         uint64_t number)
{
    static char out[1024];
    struct tail_cursor c;
    size_t len = 0;
    out[0] = '\0';
    CHECK_EQ(tail_seek(&c, f->t, cf, sv_from(from), sv_from(to), number), ERR_OK);
    for (; c.valid; tail_next(&c)) {
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s%s%.*s", len > 0 ? " " : "",
                                (int)c.key.len, c.key.p, c.deleted ? "-" : "=", (int)c.value.len,
                                c.deleted ? "" : c.value.p);
    }
    tail_cursor_deinit(&c);
    return out;
}

TEST(the_newest_version_wins_and_older_ones_stay_for_older_readers)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(tail_newest(f.t), 0);
    CHECK_STR(get(&f, CF_META, "a", UINT64_MAX), "none");
    put(&f, CF_META, "a", "1");
    put(&f, CF_META, "b", "1");
    put(&f, CF_META, "a", "2"); /* twice in one commit: the last one */
    commit(&f);
    del(&f, CF_META, "a");
    put(&f, CF_DIR, "a", "other"); /* another family's key */
    commit(&f);
    put(&f, CF_META, "a", "");
    commit(&f);
    CHECK_EQ(tail_newest(f.t), 3);
    CHECK_EQ(tail_keys(f.t), 3);
    CHECK_STR(get(&f, CF_META, "a", 0), "none");
    CHECK_STR(get(&f, CF_META, "a", 1), "2");
    CHECK_STR(get(&f, CF_META, "a", 2), "deleted");
    CHECK_STR(get(&f, CF_META, "a", 3), "");
    CHECK_STR(get(&f, CF_META, "b", 3), "1");
    CHECK_STR(get(&f, CF_META, "c", 3), "none");
    CHECK_STR(get(&f, CF_DIR, "a", 1), "none");
    CHECK_STR(get(&f, CF_DIR, "a", 2), "other");
    fix_deinit(&f);
}

TEST(ranges_cross_prefixes_and_end_where_they_should)
{
    struct fix f;
    fix_init(&f);
    put(&f, CF_MSG, "channel--2b", "1"); /* ten bytes of prefix, then the rest */
    put(&f, CF_MSG, "channel--1z", "2");
    put(&f, CF_MSG, "channel--2a", "3"); /* in front */
    put(&f, CF_MSG, "channel--2d", "4"); /* behind */
    put(&f, CF_MSG, "channel--2c", "5"); /* between */
    put(&f, CF_MSG, "channel--3", "6");  /* nothing but a prefix */
    put(&f, CF_MSG, "short", "7");
    commit(&f);
    put(&f, CF_MSG, "channel--2bb", "8");
    del(&f, CF_MSG, "channel--2c");
    commit(&f);
    CHECK_STR(range(&f, CF_MSG, "channel--2", "channel--3", 1),
              "channel--2a=3 channel--2b=1 channel--2c=5 channel--2d=4");
    CHECK_STR(range(&f, CF_MSG, "channel--2", "channel--3", 2),
              "channel--2a=3 channel--2b=1 channel--2bb=8 channel--2c- channel--2d=4");
    CHECK_STR(range(&f, CF_MSG, "channel--2b", "channel--2c", 2), "channel--2b=1 channel--2bb=8");
    CHECK_STR(range(&f, CF_MSG, "channel--2e", "channel--2f", 2), "");
    CHECK_STR(range(&f, CF_MSG, "channel--1zz", "channel--2b", 2), "channel--2a=3");
    CHECK_STR(range(&f, CF_MSG, "channel--2d", "z", 2), "channel--2d=4 channel--3=6 short=7");
    CHECK_STR(range(&f, CF_MSG, "", "channel--2b", 2), "channel--1z=2 channel--2a=3");
    CHECK_STR(range(&f, CF_MSG, "channel", "channel--", 2), "");
    CHECK_STR(range(&f, CF_MSG, "a", "z", 0), "");
    CHECK_STR(range(&f, CF_CHAN, "a", "z", 2), "");
    fix_deinit(&f);
}

TEST(a_family_that_is_not_held_in_order_is_sorted)
{
    struct fix f;
    fix_init(&f);
    put(&f, CF_IDX, "c", "1");
    put(&f, CF_IDX, "a", "2");
    put(&f, CF_META, "bb", "other");
    commit(&f);
    put(&f, CF_IDX, "b", "3");
    commit(&f);
    CHECK_STR(range(&f, CF_IDX, "", "z", 1), "a=2 c=1");
    CHECK_STR(range(&f, CF_IDX, "", "z", 2), "a=2 b=3 c=1");
    CHECK_STR(range(&f, CF_IDX, "aa", "c", 2), "b=3");
    fix_deinit(&f);
}

TEST(sorting_goes_by_the_whole_key)
{
    static const char *const keys[] = {/* in order */ "",
                                       "\x01",
                                       "a",
                                       "aa",
                                       "zzzzzzzz",
                                       "zzzzzzzzzzzzzzzzzzzzzzzz", /* 24 */
                                       "zzzzzzzzzzzzzzzzzzzzzzzza",
                                       "zzzzzzzzzzzzzzzzzzzzzzzzb",
                                       "zzzzzzzzzzzzzzzzzzzzzzzzba",
                                       "\xff"};
    static const int order[] = {7, 2, 9, 0, 5, 8, 1, 6, 3, 4};
    struct fix f;
    struct tail_cursor c;
    fix_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        put(&f, CF_IDX, keys[order[i]], "");
    commit(&f);
    CHECK_EQ(tail_seek(&c, f.t, CF_IDX, SV(""), SV_NONE, 1), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        CHECK(c.valid && sv_eq(c.key, sv_from(keys[i])));
        tail_next(&c);
    }
    CHECK(!c.valid);
    tail_cursor_deinit(&c);
    fix_deinit(&f);
}

TEST(nothing_of_its_first_life_is_left_after_a_reset)
{
    struct fix f;
    struct key k;
    fix_init(&f);
    for (uint64_t i = 1; i < 2000; i++) { /* its table grows */
        key_msg(&k, i % 50 + 1, i);
        batch_put(&f.b, CF_MSG, &k, SV("old"));
        put(&f, CF_IDX, "key", "old");
        commit(&f);
    }
    uint64_t full = tail_bytes(f.t);
    tail_reset(f.t);
    CHECK_EQ(tail_newest(f.t), 0);
    CHECK_EQ(tail_keys(f.t), 0);
    CHECK(tail_bytes(f.t) < full);
    CHECK_STR(range(&f, CF_IDX, "", "z", UINT64_MAX), "");
    key_msg(&k, 4, 3);
    CHECK(tail_find(f.t, tail_hash(f.t, CF_MSG, key_view(&k)), CF_MSG, key_view(&k), UINT64_MAX) ==
          NULL);
    put(&f, CF_MSG, "channel--1b", "new");
    put(&f, CF_IDX, "key2", "new");
    commit(&f);
    CHECK_STR(range(&f, CF_MSG, "", "z", UINT64_MAX), "channel--1b=new");
    CHECK_STR(range(&f, CF_IDX, "", "z", UINT64_MAX), "key2=new");
    CHECK_EQ(tail_keys(f.t), 2);
    fix_deinit(&f);
}

/* A failed write leaves its record and nothing else; the room is used again. */
TEST(what_was_reserved_and_not_added_is_not_there)
{
    struct fix f;
    uint32_t rows;
    fix_init(&f);
    put(&f, CF_MSG, "channel--1a", "lost");
    size_t bytes = record_bytes(&f.b, &rows);
    uint8_t *p = tail_reserve(f.t, bytes, rows);
    memset(p, 0xff, tail_room(bytes, rows)); /* as if more had been there */
    begin(&f);
    CHECK_EQ(tail_newest(f.t), 0);
    CHECK_STR(range(&f, CF_MSG, "a", "z", UINT64_MAX), "");
    put(&f, CF_MSG, "channel--1b", "1");
    put(&f, CF_MSG, "channel--2a", "2");
    commit(&f);
    CHECK_STR(range(&f, CF_MSG, "a", "z", 1), "channel--1b=1 channel--2a=2");
    CHECK(tail_reserve(f.t, room, 1) == NULL);
    CHECK(tail_reserve(f.t, 100, room / 100) == NULL);
    fix_deinit(&f);
}

TEST(records_that_are_damaged_are_seen)
{
    struct fix f;
    uint32_t rows, bits = 0;
    uint8_t record[256];
    fix_init(&f);
    put(&f, CF_MSG, "channel--1a", "value");
    del(&f, CF_IDX, "key");
    size_t bytes = record_bytes(&f.b, &rows);
    CHECK(bytes <= sizeof record);
    record_write(record, 7, &f.b);
    struct str_view whole = {(char *)record, bytes};
    CHECK(record_check(7, whole, &rows));
    CHECK(!record_check(8, whole, &rows)); /* another commit's */
    for (size_t n = 0; n < bytes; n++)
        CHECK(!record_check(7, (struct str_view){(char *)record, n}, &rows));
    for (; bits < bytes * 8; bits++) {
        record[bits / 8] ^= (uint8_t)(1u << bits % 8);
        CHECK(!record_check(7, whole, &rows));
        record[bits / 8] ^= (uint8_t)(1u << bits % 8);
    }
    fix_deinit(&f);
}

TEST(many_keys_in_any_order)
{
    enum { channels = 50, each = 400 };
    static bool there[channels][each];
    struct fix f;
    struct rand_src r;
    struct key k;
    fix_init(&f);
    rand_init_seeded(&r, 5);
    memset(there, 0, sizeof there);
    for (int i = 0; i < channels * each / 2; i++) {
        uint64_t c = rand_below(&r, channels), m = rand_below(&r, each);
        there[c][m] = true;
        key_msg(&k, c + 1, m + 1);
        batch_put(&f.b, CF_MSG, &k, key_view(&k));
        if (i % 7 == 0)
            commit(&f);
    }
    commit(&f);
    for (uint64_t c = 0; c < channels; c++) {
        struct tail_cursor cur;
        struct key from, to;
        key_msg_prefix(&from, c + 1);
        to = from;
        key_prefix_end(&to);
        CHECK_EQ(tail_seek(&cur, f.t, CF_MSG, key_view(&from), key_view(&to), UINT64_MAX), ERR_OK);
        for (uint64_t m = each; m-- > 0;) { /* newest first */
            key_msg(&k, c + 1, m + 1);
            const struct tail_row *row =
                tail_find(f.t, tail_hash(f.t, CF_MSG, key_view(&k)), CF_MSG, key_view(&k), 1 << 30);
            CHECK_EQ(row != NULL, there[c][m]);
            if (!there[c][m])
                continue;
            CHECK(cur.valid && sv_eq(cur.key, key_view(&k)) && sv_eq(cur.value, key_view(&k)));
            tail_next(&cur);
        }
        CHECK(!cur.valid);
        tail_cursor_deinit(&cur);
    }
    fix_deinit(&f);
}

/* Readers beside the writer: each sees a commit whole or not at all. Every commit sets all keys of
 * both families to its number, and adds a new one in front. */
enum { keys = 8, commits = 3000 };

struct shared {
    struct fix f;
    uint32_t stop;
};

static uint64_t number_in(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void check_range(const struct tail *t, enum cf cf, uint64_t n)
{
    struct tail_cursor c;
    uint64_t len = 0, same = 0;
    if (tail_seek(&c, t, cf, SV(""), SV_NONE, n) != ERR_OK)
        abort();
    for (; c.valid; tail_next(&c), len++)
        same += number_in(c.value.p) == n;
    tail_cursor_deinit(&c);
    if (n > 0 && (len != keys + n || same != keys + 1)) /* cmocka's checks are of one thread */
        abort();
}

static void *read_all(void *arg)
{
    struct shared *s = arg;
    const struct tail *t = s->f.t;
    while (__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) == 0) {
        struct key k;
        uint64_t n = tail_newest(t);
        check_range(t, n % 16 == 1 ? CF_IDX : CF_MSG, n);
        for (uint64_t i = 0; i < keys && n > 0; i++) {
            key_msg(&k, 1, i + 1);
            const struct tail_row *row =
                tail_find(t, tail_hash(t, CF_IDX, key_view(&k)), CF_IDX, key_view(&k), n);
            if (row == NULL || number_in(row->value) != n)
                abort();
        }
    }
    return NULL;
}

/* "key key ..." of what came in front; "?" if something else was done. */
static const char *came(struct fix *f, const char *key, uint64_t since, uint64_t number)
{
    static char out[256];
    struct tail_cursor c;
    size_t len = 0;
    out[0] = '\0';
    if (!tail_front(&c, f->t, CF_MSG, sv_from(key), since, number))
        return "?";
    for (; c.valid; tail_next(&c))
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%.*s", len > 0 ? " " : "",
                                (int)c.key.len - 10, c.key.p + 10);
    return out;
}

TEST(what_came_in_front_is_told_apart_from_other_changes)
{
    struct fix f;
    fix_init(&f);
    CHECK_STR(came(&f, "channel--1", 0, UINT64_MAX), "");
    put(&f, CF_MSG, "channel--1m", "1");
    put(&f, CF_MSG, "channel--2m", "1");
    commit(&f);
    put(&f, CF_MSG, "channel--1k", "2");
    put(&f, CF_MSG, "channel--1l", "2"); /* not in front of k */
    commit(&f);
    CHECK_STR(came(&f, "channel--1", 1, UINT64_MAX), "?");
    CHECK_STR(came(&f, "channel--1", 2, UINT64_MAX), "");
    CHECK_STR(came(&f, "channel--2", 0, UINT64_MAX), "m");
    CHECK_STR(came(&f, "channel--3", 0, UINT64_MAX), "");
    put(&f, CF_MSG, "channel--1j", "3");
    put(&f, CF_MSG, "channel--1i", "3");
    commit(&f);
    put(&f, CF_MSG, "channel--1h", "4");
    commit(&f);
    CHECK_STR(came(&f, "channel--1-any", 2, UINT64_MAX), "h i j");
    CHECK_STR(came(&f, "channel--1", 3, UINT64_MAX), "h");
    CHECK_STR(came(&f, "channel--1", 2, 3), "i j"); /* as of then */
    CHECK_STR(came(&f, "channel--2", 1, UINT64_MAX), "");
    put(&f, CF_MSG, "channel--2m", "5"); /* a new version */
    del(&f, CF_MSG, "channel--1a");      /* a deletion in front */
    commit(&f);
    CHECK_STR(came(&f, "channel--2", 4, UINT64_MAX), "?");
    CHECK_STR(came(&f, "channel--1", 4, UINT64_MAX), "?");
    CHECK_STR(came(&f, "channel--1", 5, UINT64_MAX), "");
    fix_deinit(&f);
}

TEST(readers_see_whole_commits_only)
{
    static struct shared s;
    pthread_t readers[2];
    struct key k;
    fix_init(&s.f);
    s.stop = 0;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&readers[i], NULL, read_all, &s), 0);
    for (uint64_t n = 1; n <= commits; n++) {
        struct str_view value = {(char *)&n, sizeof n};
        for (uint64_t i = 0; i <= keys; i++) {
            key_msg(&k, 1, i < keys ? i + 1 : keys + n);
            batch_put(&s.f.b, CF_MSG, &k, value);
            batch_put(&s.f.b, CF_IDX, &k, value);
        }
        commit(&s.f);
    }
    __atomic_store_n(&s.stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    fix_deinit(&s.f);
}
