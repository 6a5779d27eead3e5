/* schedule.c - messages that are posted later. A row has all of it; memory has when. At its time
 * dir posts it to its chan like any requester, with a key that no client can send, and deletes the
 * row once chan has answered: whatever happens in between, the same post is made again after the
 * next start, and chan knows the key. So it is posted once. The key is made of what is posted,
 * where and when: a request that is made again, by an SDK that got no answer, is the same message.
 * Source: Slack chat.scheduleMessage. */
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/hex.h"
#include "base/mutant.h"
#include "chan/chan.h"
#include "chan/chan_msg.h"
#include "dir/internal.h"

enum {
    schedule_max = 100000,
    schedule_user_max = 1000,
    schedule_days_max = 120,
    firing_max = 32, /* one of each chan where those are more */
    again_s = 2,
    look_max_us = 60000000, /* the wall clock is followed in between */
    key_bytes = 2 + 2 * key128_bytes
};

struct firing {
    struct firing *next;
    bool cancelled; /* taken back meanwhile: posted now, or not at all */
    struct due *due;
    struct chan_post post;
    struct arena arena;
    char key[key_bytes];
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

/* ---- lines: by time ---- */

static struct line *line_of(struct dir *d, uint64_t cid)
{
    return &d->schedule.lines[chan_of(cid, d->conf.chans_len)];
}

static void set(struct line *l, uint32_t i, struct due *due)
{
    l->heap[i] = due;
    due->at = i;
}

static void swap(struct line *l, uint32_t i, uint32_t j)
{
    struct due *t = l->heap[i];
    set(l, i, l->heap[j]);
    set(l, j, t);
}

static void sift_up(struct line *l, uint32_t i)
{
    for (; i > 0 && l->heap[i]->post_s < l->heap[(i - 1) / 2]->post_s; i = (i - 1) / 2)
        swap(l, i, (i - 1) / 2);
}

static void sift_down(struct line *l, uint32_t i)
{
    for (uint32_t child; (child = 2 * i + 1) < l->len; i = child) {
        child += child + 1 < l->len && l->heap[child + 1]->post_s < l->heap[child]->post_s;
        if (l->heap[i]->post_s <= l->heap[child]->post_s)
            return;
        swap(l, i, child);
    }
}

/* With room for those that are being posted: they may stand in line again. */
static enum err reserve_line(struct line *l)
{
    if (l->len + l->firing < l->cap)
        return ERR_OK;
    uint32_t cap = l->cap == 0 ? 64 : l->cap * 2;
    struct due **more = realloc(l->heap, cap * sizeof(struct due *));
    if (more == NULL)
        return ERR_NOMEM;
    l->heap = more;
    l->cap = cap;
    return ERR_OK;
}

/* ---- lists: by user, who has schedule_user_max at most ---- */

static struct due **users_at(const struct schedule *s, uint64_t uid)
{
    return &s->users[mix64(uid) & (s->users_cap - 1)];
}

static void link_due(struct due **at, struct due *due)
{
    due->next = *at;
    due->link = at;
    if (due->next != NULL)
        due->next->link = &due->next;
    *at = due;
}

static void unlink_due(struct due *due)
{
    *due->link = due->next;
    if (due->next != NULL)
        due->next->link = due->link;
}

/* As many lists as there are messages, so that strangers share few. */
static enum err reserve_users(struct dir *d)
{
    struct schedule *s = &d->schedule;
    uint32_t cap = s->users_cap == 0 ? 64 : s->users_cap * 2;
    if (s->len + s->firing < s->users_cap)
        return ERR_OK;
    struct due **lists = calloc(cap, sizeof(struct due *));
    if (lists == NULL)
        return ERR_NOMEM;
    free(s->users);
    s->users = lists;
    s->users_cap = cap;
    for (uint32_t l = 0; l < d->conf.chans_len; l++) {
        for (uint32_t i = 0; i < s->lines[l].len; i++)
            link_due(users_at(s, s->lines[l].heap[i]->uid), s->lines[l].heap[i]);
    }
    return ERR_OK;
}

/* ---- both ---- */

/* There is room: it was there before, or add made some. */
static void stand(struct dir *d, struct due *due)
{
    struct line *l = line_of(d, due->cid);
    set(l, l->len++, due);
    sift_up(l, due->at);
    link_due(users_at(&d->schedule, due->uid), due);
    d->schedule.len++;
}

static enum err add(struct dir *d, const struct due *due)
{
    TRY(reserve_line(line_of(d, due->cid)));
    TRY(reserve_users(d));
    struct due *own = malloc(sizeof *own);
    if (own == NULL)
        return ERR_NOMEM;
    *own = *due;
    stand(d, own);
    return ERR_OK;
}

/* Out of the line; it is the caller's now. */
static void take(struct dir *d, struct due *due)
{
    struct line *l = line_of(d, due->cid);
    uint32_t i = due->at;
    unlink_due(due);
    d->schedule.len--;
    l->len--;
    if (i == l->len)
        return;
    set(l, i, l->heap[l->len]);
    sift_up(l, i);
    sift_down(l, i);
}

static struct due *find_same(const struct schedule *s, const struct due *due)
{
    struct due *x = s->len == 0 ? NULL : *users_at(s, due->uid);
    while (x != NULL && (x->same != due->same || x->uid != due->uid))
        x = x->next;
    return x;
}

static struct due *find(const struct schedule *s, const struct dir_unschedule *m)
{
    struct due *x = s->len == 0 ? NULL : *users_at(s, m->uid);
    while (x != NULL &&
           (x->id != m->id || x->uid != m->uid || x->team != m->team || x->cid != m->cid))
        x = x->next;
    return x;
}

/* ---- start ---- */

enum err schedule_init(struct dir *d)
{
    d->schedule.lines = calloc(MAX(1u, d->conf.chans_len), sizeof *d->schedule.lines);
    return d->schedule.lines == NULL ? ERR_NOMEM : ERR_OK;
}

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
        l->err = add(l->d, &due);
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
    struct schedule *s = &d->schedule;
    for (uint32_t l = 0; s->lines != NULL && l < d->conf.chans_len; l++) {
        while (s->lines[l].len > 0)
            free(s->lines[l].heap[--s->lines[l].len]);
        free(s->lines[l].heap);
    }
    while (s->firings != NULL) {
        struct firing *f = s->firings;
        s->firings = f->next;
        arena_deinit(&f->arena);
        free(f->due);
        free(f);
    }
    free(s->lines);
    free(s->users);
}

/* ---- requests ---- */

uint64_t schedule_claim(const struct dir_op *op)
{
    const struct dir_unschedule *u = op->request.u.p;
    const struct dir_schedule *s = op->request.u.p;
    const struct firing *f = op->request.u.p;
    if (op->request.type == DIR_SCHEDULE)
        return due_of(&s->row).same;
    return mix64(op->request.type == DIR_UNSCHEDULE ? u->id : f->due->id);
}

static enum err check_room(const struct schedule *s, uint64_t uid)
{
    uint32_t own = 0;
    for (const struct due *x = s->len == 0 ? NULL : *users_at(s, uid); x != NULL; x = x->next)
        own += x->uid == uid;
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
    const struct due *same = find_same(&d->schedule, &due);
    m->known = same != NULL && !same->leaving;
    if (m->known) {
        m->row.id = same->id;
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
    return m->known ? ERR_OK : add(d, &due);
}

static void cancel_firing(struct dir *d, const struct dir_unschedule *m)
{
    for (struct firing *f = d->schedule.firings; f != NULL; f = f->next)
        f->cancelled |= f->due->id == m->id && f->due->uid == m->uid && f->due->cid == m->cid;
}

/* From here on it is not posted, unless the group fails. */
enum err unschedule_decide(struct dir *d, const struct dir_unschedule *m)
{
    struct key k;
    struct due *due = find(&d->schedule, m);
    if (due == NULL) {
        cancel_firing(d, m);
        return ERR_INVALID_SCHEDULED_ID;
    }
    due->leaving = true;
    key_scheduled(&k, m->team, m->uid, m->id);
    batch_delete(&d->batch, CF_DIR, &k);
    return ERR_OK;
}

void unschedule_publish(struct dir *d, const struct dir_unschedule *m)
{
    struct due *due = find(&d->schedule, m);
    take(d, due);
    free(due);
}

void unschedule_failed(struct dir *d, const struct dir_unschedule *m)
{
    find(&d->schedule, m)->leaving = false;
}

/* ---- posting ---- */

/* Begins with a byte that no argument has. */
static void make_key(struct firing *f, const struct row_scheduled *row)
{
    uint8_t key[key128_bytes];
    identify(key, row);
    f->key[0] = '\0';
    f->key[1] = 'Q';
    hex_write(f->key + 2, key, key128_bytes);
    f->post.client_msg_id = (struct str_view){f->key, key_bytes};
    key128_of(f->post.key128, f->post.client_msg_id);
}

static enum err read_row(struct dir *d, struct firing *f)
{
    struct key k;
    struct str_view value;
    struct row_scheduled row;
    key_scheduled(&k, f->due->team, f->due->uid, f->due->id);
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

/* But for its due. */
static void firing_free(struct dir *d, struct firing *f)
{
    struct firing **at = &d->schedule.firings;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    arena_deinit(&f->arena);
    line_of(d, f->due->cid)->firing--;
    d->schedule.firing--;
    free(f);
}

/* Not now: it stands in line again. */
static void later(struct dir *d, struct firing *f)
{
    struct due *due = f->due;
    due->post_s = dir_now_s(d) + again_s;
    firing_free(d, f);
    stand(d, due);
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

/* There is a credit. */
static void fire(struct dir *d, struct firing *f)
{
    if (is_disabled(d, f->due->uid)) {
        finish(d, f, ERR_ACCOUNT_INACTIVE);
        return;
    }
    enum err err = read_row(d, f);
    if (err != ERR_OK) {
        log_error("scheduled_message_unreadable", "\"error\":\"%s\"", err_code_name(err));
        later(d, f);
        return;
    }
    struct cell *c =
        outbox_request(d->turn->out, d->conf.chans[chan_of(f->due->cid, d->conf.chans_len)]);
    ASSERT(c != NULL);
    c->type = CHAN_POST;
    c->req = (uintptr_t)f;
    c->cid = f->due->cid;
    c->u.p = &f->post;
}

/* Each chan has its share of what is being posted: one that does not answer takes no other's. */
static bool is_due(struct dir *d, uint16_t chan)
{
    const struct line *l = &d->schedule.lines[chan];
    return l->len > 0 && l->heap[0]->post_s <= dir_now_s(d) + MUTANT(SCHEDULE_EARLY, 0, 1) &&
           !l->heap[0]->leaving && l->firing < MAX(1u, (uint32_t)firing_max / d->conf.chans_len) &&
           d->turn->out->credits[d->conf.chans[chan]] > 0;
}

static void on_time(struct timer *timer, void *ctx)
{
    (void)timer, (void)ctx; /* the turn that follows looks */
}

static void arm(struct dir *d)
{
    struct schedule *s = &d->schedule;
    uint64_t now_us = d->turn->wall_us, first_s = UINT64_MAX;
    if (s->len == 0 || s->ended || MUTANT(SCHEDULE_TIMER_STAYS, false, timer_armed(&s->timer)))
        return; /* else armed anew: an earlier one may have come */
    for (uint16_t i = 0; i < d->conf.chans_len; i++) {
        if (s->lines[i].len > 0)
            first_s = MIN(first_s, s->lines[i].heap[0]->post_s);
    }
    uint64_t due_us = first_s * 1000000;
    uint64_t wait_us = due_us > now_us ? due_us - now_us : WHEEL_TICK_US;
    s->timer.fire = on_time;
    wheel_arm(d->turn->wheel, &s->timer, d->turn->mono_us + MIN(wait_us, (uint64_t)look_max_us));
}

/* False: no memory; the timer brings another turn. */
static bool begin(struct dir *d, struct line *l)
{
    struct firing *f = calloc(1, sizeof *f);
    if (f == NULL || arena_init(&f->arena, &d->pool, UINT64_MAX) != ERR_OK) {
        free(f);
        return false;
    }
    f->due = l->heap[0];
    f->next = d->schedule.firings;
    d->schedule.firings = f;
    d->schedule.firing++;
    l->firing++;
    take(d, f->due);
    fire(d, f);
    return true;
}

/* Who finds no credit is looked at again in the turn that brings one, or at the timer's. */
void schedule_run(struct dir *d)
{
    struct schedule *s = &d->schedule;
    for (uint16_t i = 0; i < d->conf.chans_len && !s->ended; i++) {
        while (is_due(d, i) && begin(d, &s->lines[i]))
            ;
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
    key_scheduled(&k, f->due->team, f->due->uid, f->due->id);
    batch_delete(&d->batch, CF_DIR, &k);
}

/* The row could not be deleted: posted again, which chan knows, and deleted then. */
void posted_done(struct dir *d, struct firing *f, enum err err)
{
    if (err != ERR_OK) {
        later(d, f);
        return;
    }
    struct due *due = f->due;
    firing_free(d, f);
    free(due);
}
