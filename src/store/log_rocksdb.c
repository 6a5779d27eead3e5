#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "store/internal.h"
#include "store/log.h"

enum { space_check_us = 1000000, reopen_wait_us_max = 2000000 };

struct queued {
    struct cell request;
    actor_id from;
};

struct log {
    struct store *store;
    uint64_t bytes_max;
    uint32_t requests_max;
    uint64_t free_min_percent;
    struct queued *queue; /* in order of arrival; room for every credit of every decider */
    uint32_t queue_len, queue_cap;
    uint64_t failed_epoch[log_parts_max]; /* batches of the part up to this epoch are refused */
    bool stopped; /* a write failed: nothing is written until the store is open again */
    enum err stopped_err;
    uint64_t looked_us;                 /* when space was looked at, and a way back tried */
    uint64_t reopen_us, reopen_wait_us; /* after a reopening that failed: not before, and longer */
    uint32_t disk_full;                 /* atomic */
    struct timer timer; /* while writes are refused up front no batch comes that would look again */
    struct timer age;   /* of a tail that does not fill */
    struct wheel *wheel; /* where both are armed */
    uint64_t tail_age_us;
};

enum err log_new(struct log **out, struct store *s, const struct conf *c)
{
    struct log *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_NOMEM;
    l->store = s;
    l->bytes_max = c->store_batch_bytes_max;
    l->requests_max = (uint32_t)c->store_batch_requests_max;
    l->free_min_percent = c->store_disk_free_min_percent;
    l->tail_age_us = c->store_tail_age_s * 1000000;
    l->queue_cap = (uint32_t)c->ring_request_cells * log_parts_max;
    l->queue = calloc(l->queue_cap, sizeof *l->queue);
    if (l->queue == NULL) {
        log_free(l);
        return ERR_NOMEM;
    }
    *out = l;
    return ERR_OK;
}

void log_free(struct log *l)
{
    if (l == NULL)
        return;
    if (l->wheel != NULL) {
        wheel_disarm(l->wheel, &l->timer);
        wheel_disarm(l->wheel, &l->age);
    }
    free(l->queue);
    free(l);
}

bool log_disk_full(const struct log *l)
{
    return __atomic_load_n(&l->disk_full, __ATOMIC_RELAXED) != 0;
}

static void look_at_space(struct log *l)
{
    struct statvfs v;
    if (statvfs(l->store->path, &v) != 0)
        return;
    bool full = v.f_bavail * 100 < l->free_min_percent * v.f_blocks;
    if (full != log_disk_full(l))
        log_warn(full ? "disk_full" : "disk_space_back",
                 "\"free_percent\":%llu,\"min_percent\":%llu",
                 (unsigned long long)(v.f_blocks == 0 ? 0 : v.f_bavail * 100 / v.f_blocks),
                 (unsigned long long)l->free_min_percent);
    __atomic_store_n(&l->disk_full, full, __ATOMIC_RELAXED);
}

static void reopen(struct log *l, uint64_t now_us)
{
    if (!store_probe(l->store))
        return;
    if (store_reopen(l->store) != ERR_OK) {
        l->reopen_wait_us =
            MIN(MAX(l->reopen_wait_us * 2, (uint64_t)space_check_us), (uint64_t)reopen_wait_us_max);
        l->reopen_us = now_us + l->reopen_wait_us;
        return;
    }
    l->reopen_wait_us = 0;
    l->stopped = false;
    log_info("writes_resumed", NULL);
}

/* Refusing fast while stopped; a way back is tried at most once a second, and not while there is
 * too little space for it. */
static bool may_write(struct log *l, uint64_t now_us)
{
    if (!l->stopped && __atomic_load_n(&l->store->background_failed, __ATOMIC_ACQUIRE) != 0) {
        l->stopped = true; /* a flush or compaction failed: no need to lose a batch to learn it */
        l->stopped_err = ERR_STORAGE_UNAVAILABLE;
        l->looked_us = 0;
    }
    if (now_us - l->looked_us >= space_check_us) {
        l->looked_us = now_us;
        look_at_space(l);
        if (l->stopped && !log_disk_full(l) && now_us >= l->reopen_us)
            reopen(l, now_us);
    }
    return !l->stopped;
}

static void on_timer(struct timer *timer, void *ctx);

static void watch_space(struct log *l, struct turn *t)
{
    bool watch = l->stopped || log_disk_full(l);
    if (!watch || timer_armed(&l->timer))
        return;
    l->timer.fire = on_timer;
    l->wheel = t->wheel;
    wheel_arm(t->wheel, &l->timer, t->mono_us + space_check_us);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct log *l = (struct log *)(void *)((char *)timer - offsetof(struct log, timer));
    struct turn *t = ctx;
    (void)may_write(l, t->mono_us);
    watch_space(l, t);
}

static void on_age(struct timer *timer, void *ctx)
{
    struct log *l = (struct log *)(void *)((char *)timer - offsetof(struct log, age));
    (void)ctx;
    if (!l->stopped && store_freeze(l->store) != ERR_OK)
        log_warn("tail_kept", NULL); /* no memory for another: it grows on */
}

static void count_stages(struct log *l, struct turn *t)
{
    struct store *s = l->store;
    metric_set(t->metrics, METRIC_LOG_TAIL_BYTES, store_tail_bytes(s));
    metric_set(t->metrics, METRIC_LOG_INGESTS, __atomic_load_n(&s->ingest.runs, __ATOMIC_RELAXED));
    metric_set(t->metrics, METRIC_LOG_INGEST_WAITS, s->ingest.waits);
}

/* A failed commit has its time too: how long the disk took to say so. */
static void stamp(struct batch *first, uint64_t now_us)
{
    for (struct batch *b = first; b != NULL; b = b->next) {
        b->durable_us = now_us;
        PROBE(durable, b->part, b->number, b->requests, now_us);
    }
}

/* The first n of the queue that are not refused. */
static enum err commit(struct log *l, uint32_t n, struct turn *t)
{
    uint64_t started_us = clock_mono_us(), rows = 0, bytes = 0;
    uint32_t requests = 0;
    struct batch *first = NULL, **link = &first;
    for (uint32_t i = 0; i < n; i++) {
        struct batch *b = l->queue[i].request.u.p;
        if (b->err != ERR_OK)
            continue;
        *link = b;
        link = &b->next;
        rows += b->rows_len;
        bytes += b->bytes;
        requests += b->requests;
    }
    *link = NULL;
    if (rows == 0)
        return ERR_OK;
    enum err err = store_commit(l->store, first);
    TSAN_RELEASE(l->store); /* pairs with the readers in view_rocksdb.c */
    uint64_t ended_us = clock_mono_us();
    metric_hist(t->metrics, METRIC_HIST_COMMIT_US, ended_us - started_us);
    stamp(first, ended_us);
    count_stages(l, t);
    if (!timer_armed(&l->age)) {
        l->age.fire = on_age;
        l->wheel = t->wheel;
        wheel_arm(t->wheel, &l->age, t->mono_us + l->tail_age_us);
    }
    if (err != ERR_OK) {
        metric_add(t->metrics, METRIC_LOG_ERRORS, 1);
        return err;
    }
    metric_add(t->metrics, METRIC_LOG_BATCHES, 1);
    metric_add(t->metrics, METRIC_LOG_ROWS, rows);
    metric_add(t->metrics, METRIC_LOG_BYTES, bytes);
    metric_hist(t->metrics, METRIC_HIST_COMMIT_REQUESTS, requests);
    return ERR_OK;
}

/* What was decided on a head that a failed batch was to write must fail too. */
static void refuse(struct log *l, struct batch *b, enum err err)
{
    b->err = err;
    l->failed_epoch[b->part] = MAX(l->failed_epoch[b->part], b->epoch);
}

static void answer(struct log *l, uint32_t n, struct turn *t)
{
    for (uint32_t i = 0; i < n; i++) {
        struct batch *b = l->queue[i].request.u.p;
        struct cell *c = outbox_answer(t->out, l->queue[i].from, &l->queue[i].request);
        c->err = b->err;
        c->u.p = b;
    }
    l->queue_len -= n;
    memmove(l->queue, l->queue + n, l->queue_len * sizeof *l->queue);
}

/* How many of the queue go into one commit: one at least, whatever its size. */
static uint32_t group_of(const struct log *l)
{
    uint64_t bytes = 0;
    uint32_t n = 0, requests = 0;
    while (n < l->queue_len) {
        const struct batch *b = l->queue[n].request.u.p;
        bytes += b->bytes;
        requests += b->requests;
        if (n > 0 && (bytes > l->bytes_max || requests > l->requests_max))
            break;
        n++;
    }
    return n;
}

/* One commit a turn: answers leave at the end of the turn, and whom this commit made durable must
 * not wait for the next one too. */
static void write_queue(struct log *l, struct turn *t)
{
    bool open = may_write(l, t->mono_us);
    uint32_t n = open ? group_of(l) : l->queue_len;
    for (uint32_t i = 0; i < n; i++) {
        struct batch *b = l->queue[i].request.u.p;
        b->err = ERR_OK;
        if (!open)
            refuse(l, b, l->stopped_err);
        else if (b->epoch <= l->failed_epoch[b->part])
            b->err = ERR_STORAGE_UNAVAILABLE;
    }
    enum err err = open ? commit(l, n, t) : ERR_OK;
    if (err != ERR_OK) {
        l->stopped = true;
        l->stopped_err = err;
        l->looked_us = t->mono_us;
        look_at_space(l);
        for (uint32_t i = 0; i < n; i++)
            refuse(l, l->queue[i].request.u.p, err);
    }
    answer(l, n, t);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    (void)t;
    struct log *l = self;
    ASSERT(class == CLASS_REQUEST);
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(l->queue_len < l->queue_cap && cells[i].type == LOG_APPEND);
        l->queue[l->queue_len++] = (struct queued){cells[i], from};
    }
}

static void end_turn(void *self, struct turn *t)
{
    struct log *l = self;
    if (l->queue_len > 0)
        write_queue(l, t);
    watch_space(l, t);
}

static bool busy(const void *self)
{
    return ((const struct log *)self)->queue_len > 0;
}

/* A clean stop leaves files, so that the next start has nothing to read again. */
static bool drain(void *self, struct turn *t)
{
    struct log *l = self;
    (void)t;
    if (busy(self))
        return false;
    if (!l->stopped && store_settle(l->store) != ERR_OK)
        log_warn("tail_kept", NULL); /* it is in the log */
    return true;
}

const struct actor_ops log_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
