/* replay.c - the latest events of each channel, for sockets that come back. One ring of bytes holds
 * them as they came, so that keeping one is one copy; each leads to the one before it of its
 * channel, and a place that was written over is known by its number. */
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"
#include "fanout/internal.h"

enum {
    kept_align = 8,
    frames_max = 32,          /* of a channel to a socket; more: a hint */
    socket_bytes_max = 131072 /* queued on a socket with them; more: a hint */
};

struct kept {         /* the frame's bytes follow */
    uint64_t prev;    /* of the channel: its place + 1; 0: none since whole_since_us */
    uint64_t prev_us; /* when that came: it may be written over */
    uint64_t at_us;
    uint64_t except; /* user whom it is not meant for, or ID_NONE */
    uint64_t len;
};

enum err replay_init(struct replay *r, uint64_t bytes)
{
    r->bytes = bytes / kept_align * kept_align;
    if (r->bytes == 0)
        return ERR_OK;
    r->ring = malloc(r->bytes);
    return r->ring == NULL ? ERR_NOMEM : ERR_OK;
}

void replay_deinit(struct replay *r)
{
    free(r->ring);
}

/* ---- in ---- */

static void forget_channel(const struct fanout *f, struct sub_chan *h)
{
    h->kept = 0;
    h->whole_since_us = f->turn->wall_us;
}

void replay_gap(struct fanout *f, uint64_t cid)
{
    uint32_t i = cid == ID_NONE ? slot_none : subs_find(&f->subs, cid);
    if (MUTANT(REPLAY_GAP_FORGOTTEN, false, true))
        return;
    if (cid == ID_NONE) {
        f->replay.gap_us = MAX(f->replay.gap_us, f->turn->wall_us);
    } else if (i != slot_none) {
        forget_channel(f, &f->subs.chans[i]);
        f->subs.chans[i].gap_us = MAX(f->subs.chans[i].gap_us, f->turn->wall_us);
    }
}

/* The clock was set back: a time up to where it stood may be one before that or one behind it, and
 * which of them a socket names nobody can say. As if all were lost. */
void replay_turn(struct fanout *f)
{
    struct replay *r = &f->replay;
    if (f->turn->wall_us < r->turn_us)
        r->gap_us = MAX(r->gap_us, r->turn_us);
    r->turn_us = f->turn->wall_us;
}

static uint8_t *make_room(struct replay *r, uint64_t need)
{
    uint64_t at = r->head % r->bytes;
    if (at + need > r->bytes) { /* never cut in two */
        r->head += r->bytes - at;
        at = 0;
    }
    return r->ring + at;
}

void replay_keep(struct fanout *f, struct sub_chan *h, const struct frame *frame, uint64_t except)
{
    struct replay *r = &f->replay;
    struct str_view wire = frame_wire(frame);
    uint64_t need = sizeof(struct kept) + (wire.len + kept_align - 1) / kept_align * kept_align;
    if (need > r->bytes || frame->takes_back) {
        if (MUTANT(TAKEN_BACK_IS_REPLAYED, true, need > r->bytes))
            MUTANT(TAKEN_BACK_WITHIN_MARGIN, forget_channel(f, h),
                   (void)(h->whole_since_us = f->turn->wall_us - missed_margin_us));
        return;
    }
    uint8_t *p = make_room(r, need);
    struct kept k = {.prev = h->kept,
                     .prev_us = h->kept_us,
                     .at_us = f->turn->wall_us,
                     .except = except,
                     .len = wire.len};
    memcpy(p, &k, sizeof k);
    memcpy(p + sizeof k, wire.p, wire.len);
    h->kept = r->head + 1;
    h->kept_us = k.at_us;
    r->head += need;
}

/* ---- out ---- */

struct found {
    struct str_view wire[frames_max]; /* newest first */
    uint32_t len;
    uint64_t bytes;
};

static bool is_there(const struct replay *r, uint64_t place)
{
    return MUTANT(REPLAY_WRITTEN_OVER, place + r->bytes >= r->head, true);
}

/* All that came after from_us. False: some of it is not here any more. */
static bool find(const struct fanout *f, const struct sub_chan *h, uint64_t from_us, uint64_t uid,
                 struct found *out)
{
    const struct replay *r = &f->replay;
    out->len = 0;
    out->bytes = 0;
    struct kept k;
    for (uint64_t next = h->kept, at_us = h->kept_us; next != 0 && at_us >= from_us;
         next = k.prev, at_us = k.prev_us) {
        if (!is_there(r, next - 1))
            return false;
        const uint8_t *p = r->ring + (next - 1) % r->bytes;
        memcpy(&k, p, sizeof k);
        if (k.except == uid)
            continue;
        if (out->len == frames_max)
            return false;
        out->wire[out->len++] = (struct str_view){(const char *)p + sizeof k, k.len};
        out->bytes += k.len;
    }
    return true;
}

static uint64_t from_us(const struct fan_conn *c)
{
    return c->since_us -
           MIN(c->since_us, MUTANT(REPLAY_WITHOUT_MARGIN, (uint64_t)missed_margin_us, 0u));
}

bool replay_lost(const struct fanout *f, const struct fan_conn *c, uint64_t cid)
{
    uint32_t i = subs_find(&f->subs, cid);
    uint64_t gap_us = i == slot_none ? 0 : f->subs.chans[i].gap_us;
    return c->resumes && MAX(gap_us, f->replay.gap_us) >= from_us(c);
}

bool replay_channel(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    uint32_t i = subs_find(&f->subs, cid);
    struct found found;
    if (f->replay.bytes == 0 || i == slot_none || replay_lost(f, c, cid))
        return false;
    const struct sub_chan *h = &f->subs.chans[i];
    if (from_us(c) < h->whole_since_us ||
        !find(f, h, MUTANT(REPLAY_FROM_LONG_AGO, from_us(c), 0u), c->uid, &found) ||
        queue_bytes(c) + found.bytes > socket_bytes_max ||
        f->queued_bytes + found.bytes > f->conf.conf->ws_queue_total_bytes / 2)
        return false;
    for (uint32_t k = found.len; k > 0; k--) {
        if (!queue_own(f, c, false, NULL, 0,
                       found.wire[MUTANT(REPLAY_NEWEST_FIRST, k - 1, found.len - k)]))
            return true; /* it is being closed */
    }
    metric_add(f->turn->metrics, METRIC_EVENTS_REPLAYED, found.len);
    return true;
}
