/* reserved.c - files that wait for their bytes. Few, and short-lived: a list in order of creation.
 */
#include "base/log.h"
#include "media/internal.h"

enum { look_us_max = 60000000 }; /* the wall clock is followed in between */

struct loading {
    struct media *m;
    enum err err;
};

static uint32_t place_of(const struct media *m, uint64_t created_us)
{
    uint32_t at = m->reserved_len;
    while (at > 0 && m->reserved[at - 1].created_us > created_us)
        at--;
    return at;
}

struct reserved *reserved_add(struct media *m, const struct file_id *id, uint64_t uid,
                              uint64_t created_us)
{
    ASSERT(m->reserved_len < m->conf.reserved_max);
    uint32_t at = place_of(m, created_us);
    memmove(&m->reserved[at + 1], &m->reserved[at], (m->reserved_len - at) * sizeof *m->reserved);
    m->reserved[at] = (struct reserved){.id = *id, .uid = uid, .created_us = created_us};
    m->reserved_len++;
    return &m->reserved[at];
}

/* One damaged row is one upload that its client makes again. Its id may be said: it opens nothing
 * any more. */
static bool pass_over(struct loading *l, const struct file_id *id)
{
    if (l->err != ERR_CORRUPT)
        return false;
    log_error("reserved_file_corrupt", "\"file\":\"%.*s\"", file_id_len, id->text);
    l->m->reserved_corrupt++;
    l->err = ERR_OK;
    return true;
}

/* More than the setting allows, since it was lowered: the row is as good as forgotten. */
static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct loading *l = ctx;
    struct row_file row;
    struct file_id id;
    key_file_id(key, &id);
    l->err = row_file_decode(&row, key, value);
    if (l->err != ERR_OK)
        return pass_over(l, &id);
    if (l->m->reserved_len == l->m->conf.reserved_max) {
        log_warn("reserved_files_over_max", "\"max\":%u", l->m->conf.reserved_max);
        return false;
    }
    reserved_add(l->m, &id, row.uid, row.created_us);
    return true;
}

enum err reserved_load(struct media *m)
{
    struct key k;
    struct loading l = {.m = m};
    key_files_reserved(&k);
    TRY(view_scan_prefix(&m->conf.view, CF_FILE, &k, on_row, &l));
    return l.err;
}

enum err reserved_check(const struct media *m, uint64_t uid)
{
    uint32_t own = 0;
    for (uint32_t i = 0; i < m->reserved_len; i++)
        own += m->reserved[i].uid == uid;
    if (own >= m->conf.reserved_user_max)
        return ERR_TOO_MANY_UPLOADS;
    return m->reserved_len >= m->conf.reserved_max ? ERR_SERVICE_UNAVAILABLE : ERR_OK;
}

struct reserved *reserved_find(const struct media *m, const struct file_id *id)
{
    for (uint32_t i = 0; i < m->reserved_len; i++) {
        if (memcmp(m->reserved[i].id.text, id->text, file_id_len) == 0)
            return &m->reserved[i];
    }
    return NULL;
}

void reserved_remove(struct media *m, struct reserved *r)
{
    m->reserved_len--;
    memmove(r, r + 1, (size_t)(&m->reserved[m->reserved_len] - r) * sizeof *r);
}

/* ---- those that are forgotten ---- */

static void forget(struct media *m, struct reserved *r)
{
    struct media_op op = {.request = {.type = MEDIA_FORGET}, .from = ACTOR_NONE, .id = r->id};
    if (!r->streaming && !r->forgetting && !r->undurable)
        r->forgetting = group_push(m, &op);
}

void reserved_forget(struct media *m, const struct file_id *id)
{
    struct reserved *r = reserved_find(m, id);
    if (r != NULL)
        forget(m, r);
}

static uint64_t due_us(const struct media *m, const struct reserved *r)
{
    return r->created_us + m->conf.upload_timeout_ms * 1000;
}

static void forget_due(struct media *m)
{
    for (uint32_t i = 0; i < m->reserved_len; i++) {
        struct reserved *r = &m->reserved[i];
        if (due_us(m, r) > m->turn->wall_us)
            return;
        forget(m, r);
    }
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct media *m =
        (struct media *)(void *)((char *)timer - offsetof(struct media, forget_timer));
    m->turn = ctx;
    if (!m->draining)
        forget_due(m);
}

/* The oldest one's time. If it is streaming, or could not be forgotten, it is looked at again after
 * a while. */
void reserved_watch(struct media *m)
{
    if (m->reserved_len == 0 || m->draining || timer_armed(&m->forget_timer))
        return;
    uint64_t now_us = m->turn->wall_us, at_us = due_us(m, &m->reserved[0]);
    uint64_t wait_us = at_us > now_us ? at_us - now_us : (uint64_t)look_us_max;
    m->forget_timer.fire = on_timer;
    wheel_arm(m->turn->wheel, &m->forget_timer,
              m->turn->mono_us + MIN(wait_us, (uint64_t)look_us_max));
}
