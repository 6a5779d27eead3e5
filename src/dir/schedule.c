/* schedule.c - messages that are posted later. A row has all of it; memory has when. At its time
 * dir posts it to its chan like any requester, with a key that no client can send, and deletes the
 * row once chan has answered: whatever happens in between, the same post is made again after the
 * next start, and chan knows the key. So it is posted once. The key is made of what is posted,
 * where and when: a request that is made again, by an SDK that got no answer, is the same message.
 * Source: Slack chat.scheduleMessage. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mutant.h"
#include "chan/chan.h"
#include "chan/chan_msg.h"
#include "dir/internal.h"

enum {
    schedule_max = 100000,
    schedule_user_max = 1000,
    schedule_days_max = 120,
    firing_max = 32,
    again_s = 2,
    look_max_us = 60000000, /* the wall clock is followed in between */
    key_bytes = 2 + 2 * key128_bytes
};

struct firing {
    struct firing *next;
    bool cancelled; /* taken back meanwhile: posted now, or not at all */
    struct due due;
    struct chan_post post;
    struct arena arena;
    char key[key_bytes + 1];
    enum err err; /* why it was not posted */
};

/* ---- which one it is ---- */

static void identify(uint8_t out[key128_bytes], const struct row_scheduled *r)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t head[] = {r->team,         r->uid,       r->cid,        r->post_s,
                       r->thread_ts_us, r->broadcast, r->content_at, r->members.len};
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, head, sizeof head);
    SHA256_Update(&c, r->members.p, r->members.len);
    SHA256_Update(&c, r->metadata.p, r->metadata.len);
    SHA256_Final(digest, &c);
    memcpy(out, digest, key128_bytes);
}

static struct due due_of(const struct row_scheduled *r)
{
    uint8_t key[key128_bytes];
    struct due due = {
        .post_s = r->post_s, .id = r->id, .team = r->team, .uid = r->uid, .cid = r->cid};
    identify(key, r);
    memcpy(&due.same, key, sizeof due.same);
    return due;
}

/* ---- the heap ---- */

static void swap(struct due *a, struct due *b)
{
    struct due t = *a;
    *a = *b;
    *b = t;
}

static void sift_up(struct schedule *s, uint32_t i)
{
    for (; i > 0 && s->heap[i].post_s < s->heap[(i - 1) / 2].post_s; i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}

static void sift_down(struct schedule *s, uint32_t i)
{
    for (uint32_t child; (child = 2 * i + 1) < s->len; i = child) {
        child += child + 1 < s->len && s->heap[child + 1].post_s < s->heap[child].post_s;
        if (s->heap[i].post_s <= s->heap[child].post_s)
            return;
        swap(&s->heap[i], &s->heap[child]);
    }
}

/* With room for those that are being posted: they may stand in line again. */
static enum err push(struct schedule *s, const struct due *due)
{
    if (s->len + s->firing >= s->cap) {
        uint32_t cap = s->cap == 0 ? 64 : s->cap * 2;
        struct due *more = realloc(s->heap, cap * sizeof *more);
        if (more == NULL)
            return ERR_NOMEM;
        s->heap = more;
        s->cap = cap;
    }
    s->heap[s->len++] = *due;
    sift_up(s, s->len - 1);
    return ERR_OK;
}

static void take(struct schedule *s, uint32_t i)
{
    s->heap[i] = s->heap[--s->len];
    if (i < s->len) {
        sift_up(s, i);
        sift_down(s, i);
    }
}

static uint32_t find_same(const struct schedule *s, const struct due *due)
{
    uint32_t i = 0;
    while (i < s->len && (s->heap[i].same != due->same || s->heap[i].uid != due->uid))
        i++;
    return i;
}

static uint32_t find(const struct schedule *s, const struct dir_unschedule *m)
{
    uint32_t i = 0;
    while (i < s->len && (s->heap[i].id != m->id || s->heap[i].uid != m->uid ||
                          s->heap[i].team != m->team || s->heap[i].cid != m->cid))
        i++;
    return i;
}

/* ---- start ---- */

struct loading {
    struct dir *d;
    enum err err;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct loading *l = ctx;
    struct row_scheduled row;
    struct due due;
    l->err = row_scheduled_decode(&row, key, value);
    if (l->err == ERR_OK) {
        due = due_of(&row);
        l->err = push(&l->d->schedule, &due);
    }
    l->d->last_id = MAX(l->d->last_id, row.id);
    return l->err == ERR_OK;
}

enum err schedule_load(struct dir *d, const struct view *v)
{
    struct loading l = {.d = d};
    struct key k;
    key_scheduled_all(&k);
    if (MUTANT(SCHEDULE_NOT_LOADED, true, false))
        TRY(view_scan_prefix(v, CF_DIR, &k, on_row, &l));
    return l.err;
}

void schedule_free(struct dir *d)
{
    free(d->schedule.heap);
}

/* ---- requests ---- */

uint64_t schedule_claim(const struct dir_op *op)
{
    const struct dir_unschedule *u = op->request.u.p;
    const struct dir_schedule *s = op->request.u.p;
    const struct firing *f = op->request.u.p;
    if (op->request.type == DIR_SCHEDULE)
        return due_of(&s->row).same;
    return mix64(op->request.type == DIR_UNSCHEDULE ? u->id : f->due.id);
}

static enum err check_room(const struct schedule *s, uint64_t uid)
{
    uint32_t own = 0;
    for (uint32_t i = 0; i < s->len; i++)
        own += s->heap[i].uid == uid;
    return s->len + s->firing >= schedule_max || own >= schedule_user_max ? ERR_TOO_MANY_SCHEDULED
                                                                          : ERR_OK;
}

enum err schedule_decide(struct dir *d, struct dir_schedule *m)
{
    struct key k;
    uint64_t now_s = dir_now_s(d);
    if (m->row.post_s <= now_s)
        return ERR_TIME_IN_PAST;
    if (m->row.post_s > now_s + schedule_days_max * 86400ull)
        return ERR_TIME_TOO_FAR;
    struct due due = due_of(&m->row);
    uint32_t i = find_same(&d->schedule, &due);
    m->known = i < d->schedule.len && !d->schedule.heap[i].leaving;
    if (m->known) {
        m->row.id = d->schedule.heap[i].id;
        return ERR_OK;
    }
    TRY(check_room(&d->schedule, m->row.uid));
    m->row.id = dir_next_id(d);
    m->row.created_s = now_s;
    key_scheduled(&k, m->row.team, m->row.uid, m->row.id);
    row_scheduled_encode(batch_put_begin(&d->batch, CF_DIR, &k), &k, &m->row);
    batch_put_end(&d->batch);
    return ERR_OK;
}

enum err schedule_publish(struct dir *d, const struct dir_schedule *m)
{
    struct due due = due_of(&m->row);
    return m->known ? ERR_OK : push(&d->schedule, &due);
}

static void cancel_firing(struct dir *d, const struct dir_unschedule *m)
{
    for (struct firing *f = d->schedule.firings; f != NULL; f = f->next)
        f->cancelled |= f->due.id == m->id && f->due.uid == m->uid && f->due.cid == m->cid;
}

/* From here on it is not posted, unless the group fails. */
enum err unschedule_decide(struct dir *d, const struct dir_unschedule *m)
{
    struct key k;
    uint32_t i = find(&d->schedule, m);
    if (i == d->schedule.len) {
        cancel_firing(d, m);
        return ERR_INVALID_SCHEDULED_ID;
    }
    d->schedule.heap[i].leaving = true;
    key_scheduled(&k, m->team, m->uid, m->id);
    batch_delete(&d->batch, CF_DIR, &k);
    return ERR_OK;
}

void unschedule_publish(struct dir *d, const struct dir_unschedule *m)
{
    take(&d->schedule, find(&d->schedule, m));
}

void schedule_group_failed(struct dir *d)
{
    for (uint32_t i = 0; i < d->schedule.len; i++)
        d->schedule.heap[i].leaving = false;
}

/* ---- posting ---- */

/* Begins with a byte that no argument has. */
static void make_key(struct firing *f, const struct row_scheduled *row)
{
    uint8_t key[key128_bytes];
    identify(key, row);
    f->key[0] = '\0';
    f->key[1] = 'Q';
    for (uint32_t i = 0; i < key128_bytes; i++)
        snprintf(f->key + 2 + 2 * (size_t)i, 3, "%02x", key[i]);
    f->post.client_msg_id = (struct str_view){f->key, key_bytes};
    key128_of(f->post.key128, f->post.client_msg_id);
}

static enum err read_row(struct dir *d, struct firing *f)
{
    struct key k;
    struct str_view value;
    struct row_scheduled row;
    key_scheduled(&k, f->due.team, f->due.uid, f->due.id);
    TRY(view_get1(&d->conf.view, CF_DIR, &k, &f->arena, &value));
    if (value.p == NULL)
        return ERR_CORRUPT;
    TRY(row_scheduled_decode(&row, key_view(&k), value));
    f->post = (struct chan_post){.team = row.team,
                                 .uid = row.uid,
                                 .members = row.members,
                                 .content_at = row.content_at,
                                 .metadata = row.metadata,
                                 .thread_ts_us = row.thread_ts_us,
                                 .broadcast = row.broadcast};
    make_key(f, &row);
    return ERR_OK;
}

static void firing_free(struct dir *d, struct firing *f)
{
    struct firing **at = &d->schedule.firings;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    arena_deinit(&f->arena);
    free(f);
    d->schedule.firing--;
}

/* It stands in line again. */
static void stand_again(struct dir *d, struct firing *f, uint64_t post_s)
{
    struct due due = f->due;
    due.post_s = post_s;
    firing_free(d, f);
    enum err err = push(&d->schedule, &due);
    ASSERT(err == ERR_OK);
}

/* Not now. */
static void later(struct dir *d, struct firing *f)
{
    stand_again(d, f, dir_now_s(d) + again_s);
}

/* Its row goes with a group of its own kind. */
static void finish(struct dir *d, struct firing *f, enum err err)
{
    f->err = err;
    if (err != ERR_OK)
        log_info("scheduled_message_dropped", "\"error\":\"%s\"", err_slack(err));
    dir_push(d, &(struct dir_op){.request = {.type = DIR_POSTED, .u.p = f}, .from = actors_max});
}

static bool is_disabled(struct dir *d, uint64_t uid)
{
    const struct user_entry *e = tables_user(&d->tables, uid);
    return e == NULL || (e->row.flags & USER_DELETED) != 0;
}

/* False: no credit. */
static bool fire(struct dir *d, struct firing *f)
{
    if (is_disabled(d, f->due.uid)) {
        finish(d, f, ERR_ACCOUNT_INACTIVE);
        return true;
    }
    enum err err = read_row(d, f);
    if (err != ERR_OK) {
        log_error("scheduled_message_unreadable", "\"error\":\"%s\"", err_code_name(err));
        later(d, f);
        return true;
    }
    struct cell *c =
        outbox_request(d->turn->out, d->conf.chans[chan_of(f->due.cid, d->conf.chans_len)]);
    if (c == NULL)
        return false;
    c->type = CHAN_POST;
    c->req = (uintptr_t)f;
    c->cid = f->due.cid;
    c->u.p = &f->post;
    return true;
}

static bool is_due(struct dir *d)
{
    const struct schedule *s = &d->schedule;
    return s->len > 0 && s->heap[0].post_s <= dir_now_s(d) + MUTANT(SCHEDULE_EARLY, 0, 1) &&
           !s->heap[0].leaving && s->firing < firing_max && !s->ended;
}

static void on_time(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx; /* the turn that follows looks */
}

static void arm(struct dir *d)
{
    struct schedule *s = &d->schedule;
    uint64_t now_us = d->turn->wall_us, due_us;
    if (s->len == 0 || s->ended || MUTANT(SCHEDULE_TIMER_STAYS, false, timer_armed(&s->timer)))
        return; /* else armed anew: an earlier one may have come */
    due_us = s->heap[0].post_s * 1000000;
    uint64_t wait_us = due_us > now_us ? due_us - now_us : WHEEL_TICK_US;
    s->timer.fire = on_time;
    wheel_arm(d->turn->wheel, &s->timer, d->turn->mono_us + MIN(wait_us, (uint64_t)look_max_us));
}

void schedule_run(struct dir *d)
{
    while (is_due(d)) {
        struct firing *f = calloc(1, sizeof *f);
        if (f == NULL || arena_init(&f->arena, &d->pool, UINT64_MAX) != ERR_OK) {
            free(f);
            break; /* the timer brings another turn */
        }
        f->due = d->schedule.heap[0];
        f->next = d->schedule.firings;
        d->schedule.firings = f;
        take(&d->schedule, 0);
        d->schedule.firing++;
        if (!fire(d, f)) {
            stand_again(d, f, f->due.post_s);
            break; /* the answer that brings the credit, or the timer, brings another turn */
        }
    }
    arm(d);
}

/* What may be otherwise a little later. */
static bool is_transient(enum err err)
{
    return err != ERR_OK && err_http(err) >= 500;
}

void schedule_answered(struct dir *d, const struct cell *answer)
{
    struct firing *f = (struct firing *)(uintptr_t)answer->req;
    if (is_transient((enum err)answer->err) && !f->cancelled)
        later(d, f);
    else
        finish(d, f, (enum err)answer->err);
}

void posted_decide(struct dir *d, const struct firing *f)
{
    struct key k;
    key_scheduled(&k, f->due.team, f->due.uid, f->due.id);
    batch_delete(&d->batch, CF_DIR, &k);
}

/* The row could not be deleted: posted again, which chan knows, and deleted then. */
void posted_done(struct dir *d, struct firing *f, enum err err)
{
    if (err != ERR_OK)
        later(d, f);
    else
        firing_free(d, f);
}
