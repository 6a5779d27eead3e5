/* oracle_follows.c - who follows which thread, and has read how far in it: told by a row for each
 * decision, and held against what was said and asked for. The author of a thread follows it without
 * a row (chan/follow.h). */
#include "grow.h"
#include "world.h"

enum { follow_cid_at = 2, follow_ts_at = 11, follow_uid_at = 19 };

/* ---- look-ups ---- */

static struct follow without_row(const struct omsg *m, uint8_t user)
{
    return (struct follow){
        .user = user, .active = user == m->user, .read_us = m->ts_us, .since_us = m->ts_us};
}

struct follow oracle_follow_at(const struct omsg *m, uint8_t user, uint64_t pos)
{
    for (uint32_t i = m->follows_len; i > 0; i--) {
        const struct follow *f = &m->follows[i - 1];
        if (f->user == user && f->pos <= pos)
            return *f;
    }
    return without_row(m, user);
}

bool oracle_follow_next(const struct omsg *m, uint8_t user, uint64_t to, struct follow *f)
{
    for (uint32_t i = 0; i < m->follows_len; i++) {
        const struct follow *next = &m->follows[i];
        if (next->user == user && next->pos > f->pos && next->pos <= to) {
            *f = *next;
            return true;
        }
    }
    return false;
}

uint32_t oracle_unread_replies(const struct oracle *o, uint32_t n, uint8_t user, uint64_t read_us,
                               uint64_t pos, uint64_t gone_pos)
{
    uint32_t unread = 0;
    for (uint32_t i = 1; i <= o->msgs_len; i++) {
        const struct omsg *m = &o->msgs[i];
        bool gone = m->deleted_pos != 0 && m->deleted_pos <= gone_pos;
        unread += m->thread == n && m->ts_us > read_us && m->pos <= pos && !gone && m->user != user;
    }
    return unread;
}

/* ---- what was asked for ---- */

/* The ts of the thread's first message, or of a reply that was stored. */
static bool is_in_thread(struct oracle *o, uint32_t n, uint64_t ts_us)
{
    const struct omsg *reply = oracle_by_ts(o, o->msgs[n].cid, ts_us);
    return ts_us == o->msgs[n].ts_us || (reply != NULL && reply->thread == n);
}

/* It may have been the newest one, or the first message, at some time in this batch. */
static bool was_newest(struct oracle *o, uint32_t n, uint64_t ts_us)
{
    const struct omsg *m = &o->msgs[n];
    return is_in_thread(o, n, ts_us) &&
           (ts_us >= m->newest_before_us || m->reply_gone_pos > o->batch_pos);
}

/* To what is named, between the first message and the newest reply; nothing named: to what it was
 * or, for somebody new, to that reply. */
static bool leads_to(struct oracle *o, const struct wish *a, const struct follow *was,
                     const struct follow *now)
{
    const struct omsg *m = &o->msgs[a->number];
    if (a->kind == WISH_UNFOLLOW)
        return was->active && !now->active && now->read_us == was->read_us;
    if (!now->active || (a->kind == WISH_MARK && !was->active))
        return false;
    if (a->what == 0)
        return !was->active && was_newest(o, a->number, now->read_us);
    uint64_t to_us = MAX(a->what, m->ts_us);
    return (now->read_us == to_us && to_us <= MAX(m->ts_us, m->newest_reply_us)) ||
           (now->read_us < to_us && was_newest(o, a->number, now->read_us));
}

/* By a request of its own. */
static bool was_asked(struct oracle *o, uint32_t n, const struct follow *was,
                      const struct follow *now)
{
    struct deed d = oracle_deed_at(o, o->pos);
    for (uint32_t id = 1; id <= o->wishes_len; id++) {
        const struct wish *a = &o->wishes[id - 1];
        if (a->number == n && a->kind <= WISH_MARK && a->user == now->user &&
            leads_to(o, a, was, now))
            oracle_deed_may_be(o, &d, id);
    }
    return oracle_deed(o, &d);
}

/* A reply of this batch, by somebody who did not follow: read up to there. */
static bool has_replied(struct oracle *o, uint32_t n, const struct follow *was,
                        const struct follow *now)
{
    const struct omsg *m = oracle_by_ts(o, o->msgs[n].cid, now->read_us);
    return !was->active && now->active && m != NULL && m->thread == n && m->user == now->user &&
           m->pos > o->batch_pos;
}

/* Since when somebody follows is the daemon's clock when that was decided: not before the request
 * was written, or a reply's ts was taken from the same clock, and not later than now. Who follows
 * on, or leaves, changes nothing. Which of several requests it was is open: the first will do.
 * While clocks are set, those of the threads differ. */
static void check_since(struct world *w, uint32_t n, const struct follow *was,
                        const struct follow *now)
{
    enum { ahead_us = 1000000 }; /* a ts is of the clock or, of many at once, a little later */
    struct oracle *o = &w->oracle;
    uint64_t from_us = has_replied(o, n, was, now) ? now->read_us - ahead_us : UINT64_MAX;
    if (was->active || !now->active) {
        if (now->since_us != was->since_us)
            violation(w, "follows_kept", "user %u follows #%u anew, and never left it",
                      (unsigned)now->user, n);
        return;
    }
    for (uint32_t i = o->wishes_len; i > 0; i--) {
        const struct wish *a = &o->wishes[i - 1];
        if (a->number == n && a->user == now->user && a->kind == WISH_FOLLOW &&
            a->until_pos >= o->pos)
            from_us = MIN(from_us, a->sent_us);
    }
    if ((w->plan.faults & 1u << FAULT_CLOCK) == 0 &&
        (now->since_us < from_us || now->since_us > world_wall_us(w)))
        violation(w, "follows_kept", "user %u follows #%u since %llu, and then it did not",
                  (unsigned)now->user, n, (unsigned long long)now->since_us);
}

/* ---- rows ---- */

static void add(struct omsg *m, struct follow f)
{
    GROW(m->follows, m->follows_len, m->follows_cap);
    m->follows[m->follows_len++] = f;
    m->lists_touched = true;
}

void oracle_on_follow(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_follow row;
    const struct ochan *c = oracle_chan(o, oracle_be64(r->key, follow_cid_at));
    struct omsg *m = c == NULL ? NULL : oracle_by_ts(o, c->cid, oracle_be64(r->key, follow_ts_at));
    uint8_t u = oracle_user(o, oracle_be64(r->key, follow_uid_at));
    if (m == NULL || m->thread != 0 || u == plan_users_max)
        violation(w, "follows_kept", "somebody follows a thread that is not there");
    uint32_t n = (uint32_t)(m - o->msgs);
    if (r->op != ROW_PUT || row_follow_decode(&row, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "who follows message #%u cannot be read", n);
    struct follow was = oracle_follow_at(m, u, o->pos);
    struct follow now = {.pos = o->pos,
                         .user = u,
                         .active = row.active,
                         .read_us = row.read_us,
                         .since_us = row.since_us};
    if (was.active && now.active && now.read_us <= was.read_us)
        violation(w, "follows_kept", "user %u has read #%u up to %llu, and then up to %llu",
                  (unsigned)u, n, (unsigned long long)was.read_us, (unsigned long long)now.read_us);
    if (!has_replied(o, n, &was, &now) && !was_asked(o, n, &was, &now))
        violation(w, "follows_kept",
                  "user %u %s #%u (read up to %llu, before up to %llu): neither by a reply nor "
                  "because it asked",
                  (unsigned)u, now.active ? "follows" : "leaves", n,
                  (unsigned long long)now.read_us, (unsigned long long)was.read_us);
    check_since(w, n, &was, &now);
    if (!oracle_member_at(c, u, o->pos))
        violation(w, "members_only", "user %u follows #%u and is no member", (unsigned)u, n);
    add(m, now);
}

/* Who replies follows, until it says otherwise. */
void oracle_check_follows(struct world *w, uint32_t n)
{
    struct omsg *m = &w->oracle.msgs[n];
    for (uint8_t u = 0; u < plan_users_max; u++) {
        struct follow f = oracle_follow_at(m, u, w->oracle.pos);
        if (m->replied_pos[u] != 0 && !f.active && f.pos < m->replied_pos[u])
            violation(w, "follows_kept", "user %u has replied to #%u and does not follow it",
                      (unsigned)u, n);
    }
    m->newest_before_us = MAX(m->ts_us, m->latest_us);
}
