/* The store and its log on a disk that breaks: each fault is injected below RocksDB by faultfs. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "store/internal.h"
#include "store/log.h"
#include "store/row.h"
#include "test.h"

enum { decider = 0, logger = 1, row_bytes = 200, wait_ms_max = 5000 };

/* A mounted faultfs, a store on it, its log, and a decider that asks it. */
struct bench {
    char dir[64], below[80], at[80];
    pid_t fs;
    struct conf conf;
    struct store *store;
    struct log *log;
    struct outbox outbox;
    struct edge answers;
    struct wheel wheel;
    struct metrics metrics;
    struct arena_pool pool;
    uint64_t mono_us, epoch;
};

/* ---- the file system ---- */

static void need(bool ok, const char *what)
{
    if (!ok)
        fail_msg("%s: %s", what, strerror(errno));
}

static void mount_fs(struct bench *b)
{
    int out[2];
    char line[16] = "";
    if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0)
        fail_msg("this test needs root and /dev/fuse, to put a faulty file system below the store");
    snprintf(b->dir, sizeof b->dir, "/tmp/parley-faults-XXXXXX");
    need(mkdtemp(b->dir) != NULL, "mkdtemp");
    snprintf(b->below, sizeof b->below, "%s/below", b->dir);
    snprintf(b->at, sizeof b->at, "%s/at", b->dir);
    need(mkdir(b->below, 0700) == 0 && mkdir(b->at, 0700) == 0 && pipe(out) == 0, "mkdir");
    b->fs = fork();
    if (b->fs == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execl(FAULTFS, FAULTFS, b->below, b->at, NULL);
        _exit(127);
    }
    close(out[1]);
    need(read(out[0], line, sizeof line) > 0 && strncmp(line, "ready", 5) == 0, "faultfs");
    close(out[0]);
}

static void unmount_fs(struct bench *b)
{
    char command[128];
    kill(b->fs, SIGTERM);
    waitpid(b->fs, NULL, 0);
    umount2(b->at, MNT_DETACH);
    snprintf(command, sizeof command, "rm -rf %s", b->dir);
    need(system(command) == 0, command);
}

static void tell(const struct bench *b, const char *line)
{
    char path[96];
    snprintf(path, sizeof path, "%s/.faultfs", b->at);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    need(fd >= 0, path);
    need(write(fd, line, strlen(line)) == (ssize_t)strlen(line), line);
    close(fd);
}

/* ---- the store ---- */

static void open_store(struct bench *b)
{
    conf_defaults(&b->conf);
    snprintf(b->conf.server_data, sizeof b->conf.server_data, "%s", b->at);
    CHECK_EQ(store_open(&b->store, &b->conf), ERR_OK);
    CHECK_EQ(log_new(&b->log, b->store, &b->conf), ERR_OK);
}

static void close_store(struct bench *b)
{
    log_free(b->log);
    store_close(b->store);
}

static void set_up_closed(struct bench *b)
{
    *b = (struct bench){.mono_us = 10000000, .epoch = 1};
    mount_fs(b);
    b->outbox.self = logger;
    CHECK_EQ(edge_init(&b->answers, logger, decider, CLASS_ANSWER, 64), ERR_OK);
    outbox_wire(&b->outbox, &b->answers);
    wheel_init(&b->wheel, b->mono_us);
    arena_pool_init(&b->pool, 4096, 0, UINT64_MAX);
}

static void set_up(struct bench *b)
{
    set_up_closed(b);
    open_store(b);
}

static void tear_down(struct bench *b)
{
    close_store(b);
    edge_deinit(&b->answers);
    arena_pool_deinit(&b->pool);
    unmount_fs(b);
}

static struct turn turn_of(struct bench *b)
{
    return (struct turn){
        .mono_us = b->mono_us, .out = &b->outbox, .wheel = &b->wheel, .metrics = &b->metrics};
}

static void user_key(struct key *k, uint64_t n)
{
    key_user(k, 1000 + n);
}

/* A row of `bytes`, another in a second column family, as one batch; the log's answer. */
static enum err append_bytes(struct bench *b, uint64_t n, size_t bytes)
{
    static char text[1 << 20];
    struct batch batch = {.epoch = b->epoch, .number = n, .requests = 1};
    struct key k;
    struct cell cell = {.type = LOG_APPEND, .req = n, .u.p = &batch}, *answer;
    struct turn t = turn_of(b);
    memset(text, 'x', bytes);
    CHECK_EQ(arena_init(&batch.arena, &b->pool, UINT64_MAX), ERR_OK);
    user_key(&k, n);
    batch_put(&batch, CF_USER, &k, (struct str_view){text, bytes});
    key_meta(&k, SV("ts_high"), 0);
    row_u64_encode(batch_put_begin(&batch, CF_META, &k), &k, n);
    batch_put_end(&batch);
    log_actor_ops.on_cells(b->log, decider, CLASS_REQUEST, &cell, 1, &t);
    log_actor_ops.end_turn(b->log, &t);
    b->outbox.dirty_len = 0;
    CHECK(edge_publish(&b->answers));
    CHECK_EQ(edge_peek(&b->answers, 8, &answer), 1);
    enum err err = (enum err)answer->err;
    CHECK_EQ(answer->req, n);
    CHECK_EQ(batch.err, err);
    edge_consume(&b->answers, 1);
    arena_deinit(&batch.arena);
    if (err != ERR_OK)
        b->epoch++; /* as a decider does, once it has read again */
    return err;
}

static enum err append(struct bench *b, uint64_t n)
{
    return append_bytes(b, n, row_bytes);
}

static bool is_stored(struct bench *b, uint64_t n)
{
    struct view v;
    struct arena a;
    struct key k;
    struct str_view value;
    CHECK_EQ(store_view(b->store, &v), ERR_OK);
    CHECK_EQ(arena_init(&a, &b->pool, UINT64_MAX), ERR_OK);
    user_key(&k, n);
    CHECK_EQ(view_get1(&v, CF_USER, &k, &a, &value), ERR_OK);
    bool there = value.p != NULL;
    arena_deinit(&a);
    return there;
}

/* Time passes, the log's timer fires: it looks at the disk again. */
static void second(struct bench *b)
{
    b->mono_us += 1100000;
    struct turn t = turn_of(b);
    wheel_advance(&b->wheel, b->mono_us, &t);
}

/* What a process that dies now leaves behind, opened by another. */
static bool opens_after_a_crash(struct bench *b, uint64_t rows_from, uint64_t rows_to)
{
    struct bench after = *b;
    char command[512];
    snprintf(command, sizeof command, "rm -rf %s/copy && mkdir %s/copy && cp -r %s/store %s/copy",
             b->dir, b->dir, b->below, b->dir);
    need(system(command) == 0, command);
    snprintf(after.conf.server_data, sizeof after.conf.server_data, "%s/copy", b->dir);
    if (store_open(&after.store, &after.conf) != ERR_OK)
        return false;
    for (uint64_t n = rows_from; n < rows_to; n++)
        CHECK(is_stored(&after, n));
    store_close(after.store);
    return true;
}

/* In a process of its own, since it ends: writes a row, then another under the rules, and looks at
 * the disk again. */
static int status_after(struct bench *b, const char *rules, bool at_once)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        open_store(b);
        if (append(b, 1) != ERR_OK)
            _exit(1);
        tell(b, rules);
        if (append(b, 2) == ERR_OK)
            _exit(2);
        if (at_once)
            _exit(3); /* answered, be it with an error */
        second(b);
        _exit(0); /* lives on: wrong */
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The last one: the record was whole on disk, and yet the write failed and could not be cut off.
 * The first test, and its children before all else: ThreadSanitizer wants no threads, RocksDB's
 * included, before a fork. */
TEST(unknown_state_of_the_disk_ends_the_process)
{
    static const char *const faults[] = {
        "rule fsync eio match=*.log\n", "rule fsync enospc match=*.log\n",
        "rule write eio late times=1 match=*.log\nrule truncate eio\nrule fallocate eio\n"};
    static struct bench b[ARRAY_LEN(faults)];
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        set_up_closed(&b[i]);
        CHECK_EQ(status_after(&b[i], faults[i], strstr(faults[i], "fsync") != NULL), 70);
    }
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        tell(&b[i], "clear\n");
        open_store(&b[i]);
        CHECK(is_stored(&b[i], 1)); /* what was acknowledged is there */
        CHECK_EQ(append(&b[i], 3), ERR_OK);
        tear_down(&b[i]);
    }
}

/* Writes fail as `expected` while the rule stands, nothing of it shows, reads go on; then the way
 * back is found within two looks, and a crash at any of these moments loses nothing. */
static void check_failure_and_recovery(struct bench *b, const char *rules, enum err expected,
                                       size_t bytes)
{
    CHECK_EQ(append(b, 1), ERR_OK);
    CHECK_EQ(append(b, 2), ERR_OK);
    tell(b, rules);
    CHECK_EQ(append_bytes(b, 3, bytes), expected);
    CHECK(append(b, 4) != ERR_OK);
    CHECK(!is_stored(b, 3) && !is_stored(b, 4));
    CHECK(is_stored(b, 1) && is_stored(b, 2));
    CHECK(opens_after_a_crash(b, 1, 3));
    for (int i = 0; i < 3; i++) { /* looks for a way back, and finds none */
        second(b);
        CHECK(append(b, 5) != ERR_OK);
        CHECK(is_stored(b, 1) && is_stored(b, 2));
    }
    CHECK(opens_after_a_crash(b, 1, 3));
    tell(b, "clear\n");
    second(b);
    CHECK_EQ(append(b, 6), ERR_OK);
    CHECK(is_stored(b, 1) && is_stored(b, 2) && is_stored(b, 6));
    CHECK(!is_stored(b, 3) && !is_stored(b, 4) && !is_stored(b, 5));
    CHECK(opens_after_a_crash(b, 1, 3));
    CHECK_EQ(append(b, 7), ERR_OK);
    close_store(b);
    open_store(b);
    CHECK(is_stored(b, 1) && is_stored(b, 2) && is_stored(b, 6) && is_stored(b, 7));
    CHECK(!is_stored(b, 3) && !is_stored(b, 4) && !is_stored(b, 5));
    CHECK_EQ(append(b, 8), ERR_OK);
}

static void try_failure(const char *rules, enum err expected, size_t bytes)
{
    struct bench b;
    set_up(&b);
    check_failure_and_recovery(&b, rules, expected, bytes);
    tear_down(&b);
}

TEST(disk_full)
{
    try_failure("full on\n", ERR_DISK_FULL, row_bytes);
}

TEST(disk_full_in_the_middle_of_a_record)
{
    try_failure("rule write short=100 times=1 match=*.log\nfull on\n", ERR_DISK_FULL, row_bytes);
}

TEST(disk_full_in_the_middle_of_a_record_of_many_blocks)
{
    try_failure("rule write short=200000 times=1 match=*.log\n"
                "rule write enospc match=*.log\nrule create enospc\n",
                ERR_DISK_FULL, 900000);
}

TEST(write_error)
{
    try_failure("rule write eio\n", ERR_STORAGE_UNAVAILABLE, row_bytes);
}

TEST(write_error_in_the_middle_of_a_record)
{
    try_failure("rule write short=100 times=1 match=*.log\nrule write eio\n",
                ERR_STORAGE_UNAVAILABLE, row_bytes);
}

/* The very first write to a log that is still empty, with nothing in memory either. */
TEST(first_write_after_a_start_fails)
{
    struct bench b;
    set_up(&b);
    tell(&b, "rule write enospc match=*.log times=1\n");
    CHECK_EQ(append(&b, 1), ERR_DISK_FULL);
    second(&b);
    CHECK_EQ(append(&b, 2), ERR_OK);
    tell(&b, "rule write eio match=*.log times=1\n");
    CHECK_EQ(append(&b, 3), ERR_STORAGE_UNAVAILABLE);
    second(&b);
    tell(&b, "rule write eio match=*.log times=1\n");
    CHECK_EQ(append(&b, 4), ERR_STORAGE_UNAVAILABLE);
    second(&b);
    CHECK_EQ(append(&b, 5), ERR_OK);
    CHECK(is_stored(&b, 2) && is_stored(&b, 5));
    CHECK(!is_stored(&b, 1) && !is_stored(&b, 3) && !is_stored(&b, 4));
    tear_down(&b);
}

/* What memtables become cannot be written, while their rows lie in the log all the same. Reads go
 * on, also from a store that can be opened for reading only. */
static void try_background_failure_with(const char *rule, uint64_t memtable_bytes,
                                        uint64_t tail_bytes)
{
    enum { tries_max = 64 };
    struct bench b;
    bool stored[tries_max] = {0};
    uint64_t n = 0, ok = 0;
    set_up_closed(&b);
    conf_defaults(&b.conf);
    snprintf(b.conf.server_data, sizeof b.conf.server_data, "%s", b.at);
    b.conf.store_memtable_bytes = memtable_bytes;
    b.conf.store_tail_bytes = tail_bytes;
    CHECK_EQ(store_open(&b.store, &b.conf), ERR_OK);
    CHECK_EQ(log_new(&b.log, b.store, &b.conf), ERR_OK);
    tell(&b, rule);
    while (n < tries_max && ok == n) {
        stored[n] = append_bytes(&b, n, 8000) == ERR_OK;
        ok += stored[n++];
        usleep(20000);
    }
    CHECK(ok > 0 && ok < tries_max);
    second(&b);
    CHECK(append(&b, tries_max) != ERR_OK);
    for (uint64_t i = 0; i < n; i++)
        CHECK_EQ(is_stored(&b, i), stored[i]);
    tell(&b, "clear\n");
    for (int i = 0; i < 3; i++) /* it failed before: the next try comes a little later */
        second(&b);
    CHECK_EQ(append(&b, tries_max + 1), ERR_OK);
    for (uint64_t i = 0; i < n; i++)
        CHECK_EQ(is_stored(&b, i), stored[i]);
    CHECK_EQ(store_settle(b.store),
             ERR_OK); /* its files do not come and go while they are copied */
    CHECK(opens_after_a_crash(&b, 0, ok));
    tear_down(&b);
}

static void try_background_failure(const char *rule)
{
    struct conf c;
    conf_defaults(&c);
    try_background_failure_with(rule, 65536, c.store_tail_bytes);
}

TEST(table_that_cannot_be_written)
{
    try_background_failure("rule write eio match=*.sst\n");
}

TEST(no_space_for_a_table)
{
    try_background_failure("rule create enospc match=*.sst\n");
}

TEST(manifest_that_cannot_be_written)
{
    try_background_failure("rule write eio match=*MANIFEST*\n");
}

TEST(no_space_for_a_new_log)
{
    try_background_failure("rule create enospc match=*.log\n");
}

/* The same on the way from a tail to files: writing them, giving them to RocksDB, its record of it.
 */
TEST(tail_that_cannot_become_files)
{
    static const char *const rules[] = {
        "rule write eio match=*ingest-*\n", "rule create enospc match=*ingest-*\n",
        "rule create enospc match=*/0*.sst\n", "rule write eio match=*MANIFEST*\n"};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        try_background_failure_with(rules[i], 1 << 24, 65536);
}

TEST(little_space_is_seen_before_a_write_and_again_when_it_is_back)
{
    struct bench b;
    set_up(&b);
    tell(&b, "free 4\n");
    CHECK_EQ(append(&b, 1), ERR_OK); /* deciders refuse up front; what was decided is written */
    CHECK(log_disk_full(b.log));
    tell(&b, "free 6\n");
    second(&b);
    CHECK(!log_disk_full(b.log));
    tear_down(&b);
}

/* ---- damage ---- */

static void path_of(const struct bench *b, const char *pattern, char *out, size_t size)
{
    char full[160];
    glob_t g;
    snprintf(full, sizeof full, "%s/store/%s", b->below, pattern);
    CHECK_EQ(glob(full, 0, NULL, &g), 0);
    snprintf(out, size, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
}

static void flip(const char *path, off_t from_begin)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    need(fd >= 0 && pread(fd, &byte, 1, from_begin) == 1, path);
    byte ^= 0x10;
    need(pwrite(fd, &byte, 1, from_begin) == 1, path);
    close(fd);
}

TEST(log_cut_within_its_last_record_is_recovered)
{
    struct bench b;
    char path[256];
    struct stat st;
    set_up(&b);
    for (uint64_t n = 1; n <= 3; n++)
        CHECK_EQ(append(&b, n), ERR_OK);
    close_store(&b);
    path_of(&b, "*.log", path, sizeof path);
    need(stat(path, &st) == 0 && truncate(path, st.st_size - 50) == 0, path);
    open_store(&b);
    CHECK(is_stored(&b, 1) && is_stored(&b, 2) && !is_stored(&b, 3));
    CHECK_EQ(append(&b, 4), ERR_OK);
    tear_down(&b);
}

TEST(flipped_bit_in_the_log_refuses_to_open)
{
    struct bench b;
    char path[256];
    set_up(&b);
    for (uint64_t n = 1; n <= 3; n++)
        CHECK_EQ(append(&b, n), ERR_OK);
    close_store(&b);
    path_of(&b, "*.log", path, sizeof path);
    flip(path, 100);
    CHECK_EQ(store_open(&b.store, &b.conf), ERR_IO);
    flip(path, 100);
    open_store(&b);
    CHECK(is_stored(&b, 3));
    tear_down(&b);
}

/* A row in a file: the block's checksum speaks up; never a wrong value, never "absent". */
TEST(flipped_bit_in_a_table_is_an_error_of_the_read)
{
    struct bench b;
    char pattern[256];
    glob_t g;
    struct view v;
    struct arena a;
    struct key k;
    struct str_view value;
    set_up(&b);
    for (uint64_t n = 1; n <= 3; n++)
        CHECK_EQ(append(&b, n), ERR_OK);
    close_store(&b);
    open_store(&b); /* recovery makes tables of the log */
    close_store(&b);
    open_store(&b);
    snprintf(pattern, sizeof pattern, "%s/store/*.sst", b.below);
    CHECK_EQ(glob(pattern, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++)
        flip(g.gl_pathv[i], 20);
    globfree(&g);
    CHECK_EQ(store_view(b.store, &v), ERR_OK);
    CHECK_EQ(arena_init(&a, &b.pool, UINT64_MAX), ERR_OK);
    user_key(&k, 1);
    CHECK_EQ(view_get1(&v, CF_USER, &k, &a, &value), ERR_CORRUPT);
    arena_deinit(&a);
    tear_down(&b);
}
