/* queue.c - what waits for each socket: by reference, one send under way, everything that gathered
 * meanwhile in the next.
 *
 * Bounds of one socket: from ws.queue_soft_bytes typing is dropped and the socket is not read; past
 * ws.queue_hard_bytes events are dropped. From its first dropped event on a channel is silent until
 * no more than ws.queue_soft_bytes are queued (not: until nothing is, or a socket that is never
 * quite idle would never hear of it again); then one refetch hint names the channels (past
 * dropped_max: all), and events flow again behind it. So a client sees each channel in order, or is
 * told to ask. Bounds of all: past ws.queue_total_bytes the largest queues lose their events, also
 * against a hint. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mutant.h"
#include "fanout/internal.h"

enum { shed_log_us = 1000000 };

/* ---- frames and own bytes ---- */

struct frame_use *use_take(struct fanout *f, struct frame *frame)
{
    struct frame_use *use = pool_take(&f->uses);
    if (use == NULL)
        return NULL;
    use->frame = frame;
    use->uses = 1;
    return use;
}

void use_drop(struct fanout *f, struct frame_use *use)
{
    if (--use->uses > 0)
        return;
    if (frame_drop(use->frame) && MUTANT(FRAME_NOT_SENT_HOME, true, false))
        outbox_frame_home(f->turn->out, use->frame);
    pool_give(&f->uses, use);
}

static const uint32_t own_bytes[own_classes] = {144, 1024, 4096, 24576, own_bytes_max};

static struct own *own_take(struct fanout *f, size_t len)
{
    uint32_t class = 0;
    ASSERT(len <= own_bytes_max);
    while (own_bytes[class] < len)
        class ++;
    struct own *o = f->own_free[class];
    if (o != NULL)
        f->own_free[class] = o->next;
    else if ((o = malloc(sizeof *o + own_bytes[class])) == NULL)
        return NULL;
    o->size_class = class;
    o->len = (uint32_t)len;
    return o;
}

static void own_give(struct fanout *f, struct own *o)
{
    o->next = f->own_free[o->size_class];
    f->own_free[o->size_class] = o;
}

/* ---- pieces ---- */

static bool is_own(piece p)
{
    return (p & 1) != 0;
}

static struct own *own_of(piece p)
{
    return (struct own *)(p & ~(piece)1);
}

static struct frame *frame_of(piece p)
{
    return ((const struct frame_use *)p)->frame;
}

static struct str_view wire_of(piece p)
{
    if (is_own(p))
        return (struct str_view){(const char *)own_of(p)->b, own_of(p)->len};
    return frame_wire(frame_of(p));
}

static void piece_drop(struct fanout *f, piece p)
{
    if (is_own(p))
        own_give(f, own_of(p));
    else
        use_drop(f, (struct frame_use *)p);
}

static void count_out(struct fanout *f, struct queue *q, size_t bytes)
{
    q->bytes -= (uint32_t)bytes;
    f->queued_bytes -= bytes;
}

static void list_give(struct fanout *f, struct piece_list *l, uint32_t n)
{
    for (; n > 0; n--)
        piece_drop(f, pieces_take(&f->chunks, l));
}

/* ---- queues come and go ---- */

static struct queue *queue_of(struct fanout *f, struct fan_conn *c)
{
    if (c->q != NULL)
        return c->q;
    struct queue *q = pool_take(&f->queues);
    if (q == NULL)
        return NULL;
    *q = (struct queue){.conn = c->self, .next = f->queues_first};
    if (q->next != NULL)
        q->next->prev = q;
    f->queues_first = q;
    return c->q = q;
}

static void unlink_flight(struct fanout *f, struct queue *q)
{
    if (q->flight_prev != NULL)
        q->flight_prev->flight_next = q->flight_next;
    else
        f->flight_first = q->flight_next;
    if (q->flight_next != NULL)
        q->flight_next->flight_prev = q->flight_prev;
    else
        f->flight_last = q->flight_prev;
    q->flight_prev = q->flight_next = NULL;
}

static void link_flight(struct fanout *f, struct queue *q)
{
    q->flight_prev = f->flight_last;
    if (q->flight_prev != NULL)
        q->flight_prev->flight_next = q;
    else
        f->flight_first = q;
    f->flight_last = q;
}

void queue_dirty(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = queue_of(f, c);
    if (q == NULL || q->dirty)
        return;
    q->dirty = true;
    q->dirty_prev = NULL;
    q->dirty_next = f->dirty;
    if (q->dirty_next != NULL)
        q->dirty_next->dirty_prev = q;
    f->dirty = q;
}

static void leave_dirty(struct fanout *f, struct queue *q)
{
    if (!q->dirty)
        return;
    q->dirty = false;
    if (q->dirty_prev != NULL)
        q->dirty_prev->dirty_next = q->dirty_next;
    else
        f->dirty = q->dirty_next;
    if (q->dirty_next != NULL)
        q->dirty_next->dirty_prev = q->dirty_prev;
}

void queue_free(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = c->q;
    if (q == NULL)
        return;
    leave_dirty(f, q);
    if (q->flight_bytes > 0)
        unlink_flight(f, q);
    f->queued_bytes -= q->bytes;
    list_give(f, &q->urgent, q->urgent.len);
    list_give(f, &q->normal, q->normal.len);
    if (q->owed != NULL)
        pool_give(&f->hints, q->owed);
    if (q->prev != NULL)
        q->prev->next = q->next;
    else
        f->queues_first = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    pool_give(&f->queues, q);
    c->q = NULL;
}

void queue_free_own(struct fanout *f, struct queue *q)
{
    struct piece_list *lists[] = {&q->urgent, &q->normal};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct piece_at at = pieces_first(lists[i]);
        for (uint32_t k = 0; k < lists[i]->len; k++) {
            piece p = *pieces_next(&at);
            if (is_own(p))
                own_give(f, own_of(p));
        }
    }
}

void queues_deinit(struct fanout *f)
{
    for (unsigned i = 0; i < own_classes; i++) {
        while (f->own_free[i] != NULL) {
            struct own *o = f->own_free[i];
            f->own_free[i] = o->next;
            free(o);
        }
    }
}

/* ---- hints ---- */

static bool hint_has(const struct hint *h, uint64_t cid)
{
    if (h->all)
        return true;
    for (uint32_t i = 0; i < h->len; i++) {
        if (h->cids[i] == cid)
            return true;
    }
    return false;
}

void hint_add(struct hint *h, uint64_t cid)
{
    if (hint_has(h, cid))
        return;
    if (cid == ID_NONE || h->len == dropped_max)
        h->all = true;
    else
        h->cids[h->len++] = cid;
}

void queue_owe(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    if (c->state > FAN_OPEN)
        return;
    queue_dirty(f, c); /* a short queue may have its hint at the end of the turn */
    struct queue *q = c->q;
    if (q != NULL && q->owed == NULL && (q->owed = pool_take(&f->hints)) != NULL) {
        q->owed->len = 0;
        q->owed->all = false;
    }
    if (q == NULL || q->owed == NULL) { /* not even memory for that: a new connection fetches all */
        conn_reset(f, c);
        return;
    }
    hint_add(q->owed, cid);
}

void queue_hint(struct fanout *f, struct fan_conn *c, bool urgent, const struct hint *h)
{
    char text[64 + dropped_max * (id_text_max + 3)];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("refetch"));
    json_key(&j, "channels");
    json_arr(&j);
    for (uint32_t i = 0; i < h->len && !h->all; i++)
        json_id(&j, ID_CHANNEL, h->cids[i]);
    json_arr_end(&j);
    json_kv_bool(&j, "all", h->all);
    json_obj_end(&j);
    ASSERT(!b.failed);
    queue_text(f, c, urgent, buf_view(&b));
}

static void pay_hint(struct fanout *f, struct fan_conn *c)
{
    struct hint *h = c->q->owed;
    c->q->owed = NULL;
    queue_hint(f, c, false, h);
    pool_give(&f->hints, h);
}

/* ---- in ---- */

static void drop_event(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    metric_add(f->turn->metrics, METRIC_EVENTS_DROPPED, 1);
    if (MUTANT(HINT_FORGOTTEN, true, false))
        queue_owe(f, c, cid);
}

static void shed(struct fanout *f);

void queue_event(struct fanout *f, struct fan_conn *c, struct frame_use *use, bool typing)
{
    const struct conf *conf = f->conf.conf;
    uint32_t len = (uint32_t)frame_wire(use->frame).len;
    if (c->state > FAN_OPEN)
        return;
    if (typing && queue_bytes(c) >= conf->ws_queue_soft_bytes)
        return; /* nobody fetches it again */
    if (f->queued_bytes + len > conf->ws_queue_total_bytes)
        shed(f);
    bool full = queue_bytes(c) + len > MAX(conf->ws_queue_hard_bytes, len) ||
                f->queued_bytes + len > conf->ws_queue_total_bytes ||
                (c->q != NULL && c->q->owed != NULL &&
                 (c->resumes || hint_has(c->q->owed, use->frame->cid)));
    struct queue *q = full ? NULL : queue_of(f, c);
    if (q == NULL ||
        !pieces_add(
            &f->chunks,
            MUTANT(TAKING_BACK_OVERTAKES, &q->normal,
                   use->frame->takes_back && c->state == FAN_OPEN ? &q->urgent : &q->normal),
            (piece)use)) {
        if (!typing)
            drop_event(f, c, use->frame->cid);
        return;
    }
    use->uses++;
    q->bytes += len;
    f->queued_bytes += len;
    metric_add(f->turn->metrics, METRIC_EVENTS_SENT, 1);
    queue_dirty(f, c);
}

bool queue_own(struct fanout *f, struct fan_conn *c, bool urgent, const void *head, size_t head_len,
               struct str_view body)
{
    if (c->state == FAN_GONE)
        return false;
    struct own *o = own_take(f, head_len + body.len);
    struct queue *q = o == NULL ? NULL : queue_of(f, c);
    if (q == NULL || !pieces_add(&f->chunks, urgent ? &q->urgent : &q->normal, (piece)o | 1)) {
        if (o != NULL)
            own_give(f, o);
        conn_reset(f, c);
        return false;
    }
    if (head_len > 0)
        memcpy(o->b, head, head_len);
    if (body.len > 0)
        memcpy(o->b + head_len, body.p, body.len);
    q->bytes += o->len;
    f->queued_bytes += o->len;
    queue_dirty(f, c);
    return true;
}

bool queue_text(struct fanout *f, struct fan_conn *c, bool urgent, struct str_view json)
{
    uint8_t head[ws_header_max];
    size_t n = ws_encode_header(head, WS_TEXT, json.len);
    return queue_own(f, c, urgent, head, n, json);
}

void queue_drop_events(struct fanout *f, struct fan_conn *c, bool owe)
{
    struct queue *q = c->q;
    if (q == NULL)
        return;
    struct piece_list *l = &q->normal;
    struct piece_at from = pieces_first(l), to = from;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->len; i++) {
        piece p = *pieces_next(&from);
        bool stays =
            is_own(p) && (owe || MUTANT(REPLAY_WITHOUT_HELLO, c->state != FAN_OPENING, true));
        if (i < l->sent || stays) {
            *pieces_next(&to) = p;
            kept++;
            continue;
        }
        uint64_t cid = owe ? frame_of(p)->cid : ID_NONE;
        count_out(f, q, wire_of(p).len);
        piece_drop(f, p);
        if (owe)
            drop_event(f, c, cid);
    }
    pieces_cut(&f->chunks, l, to, kept);
}

/* ---- shedding ---- */

/* The largest queues, by powers of two, until a quarter of the bound is free. At most once a turn:
 * what is with net already cannot be taken back. */
static void shed(struct fanout *f)
{
    uint64_t by_size[33] = {0};
    if (f->shed_turn_us == f->turn->mono_us)
        return;
    f->shed_turn_us = f->turn->mono_us;
    for (struct queue *q = f->queues_first; q != NULL; q = q->next)
        by_size[q->bytes == 0 ? 0 : 32 - __builtin_clz(q->bytes)] += q->bytes;
    uint64_t goal = f->conf.conf->ws_queue_total_bytes / 4 * 3, left = f->queued_bytes;
    unsigned from = 33;
    while (from > 1 && left > goal) {
        from--;
        left -= MIN(left, by_size[from]);
    }
    if (f->turn->mono_us - f->shed_logged_us > shed_log_us) {
        f->shed_logged_us = f->turn->mono_us;
        log_warn("queues_shed", "\"queued_bytes\":%llu,\"from_bytes\":%llu",
                 (unsigned long long)f->queued_bytes, 1ull << (from - 1));
    }
    for (struct queue *q = f->queues_first; q != NULL; q = q->next) {
        if (q->bytes > 0 && 32 - (unsigned)__builtin_clz(q->bytes) >= from) {
            struct fan_conn *c = conn_find(f, q->conn);
            queue_drop_events(f, c, true);
        }
    }
}

/* ---- out ---- */

struct gathered {
    struct iovec iov[net_iov_max];
    unsigned n;
    size_t bytes;
};

/* True: all of the list. */
static bool gather(struct piece_list *l, struct gathered *g)
{
    struct piece_at at = pieces_first(l);
    for (; l->sent < l->len; l->sent++) {
        struct str_view wire = wire_of(*pieces_next(&at));
        if (g->n == net_iov_max || (g->n > 0 && g->bytes + wire.len > send_bytes_max))
            return false;
        g->iov[g->n++] = (struct iovec){(void *)(uintptr_t)wire.p, wire.len};
        g->bytes += wire.len;
    }
    return true;
}

static void flush(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = c->q;
    struct gathered g;
    g.n = 0;
    g.bytes = 0;
    if (c->state == FAN_GONE || q->flight_bytes > 0)
        return;
    if (c->state == FAN_OPEN && q->owed != NULL && q->bytes <= f->conf.conf->ws_queue_soft_bytes)
        pay_hint(f, c);
    if (c->state == FAN_GONE)
        return;
    bool all = gather(&q->urgent, &g) && c->state != FAN_OPENING && gather(&q->normal, &g);
    if (g.n > 0) {
        q->flight_bytes = (uint32_t)g.bytes;
        q->sent_us = f->turn->mono_us;
        link_flight(f, q);
        metric_add(f->turn->metrics, METRIC_WS_SENDS, 1);
        net_send(&f->conf.net, c->net, g.iov, g.n);
    }
    if (c->state == FAN_CLOSING && all) {
        c->state = FAN_GONE; /* what was just sent still leaves */
        net_close(&f->conf.net, c->net, NET_CLOSE_FLUSH);
    } else if (q->bytes == 0 && q->owed == NULL) {
        queue_free(f, c);
    }
}

void queue_flush_all(struct fanout *f)
{
    while (f->dirty != NULL) {
        struct queue *q = f->dirty;
        leave_dirty(f, q);
        flush(f, conn_find(f, q->conn));
    }
}

void queue_sent(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = c->q;
    ASSERT(q != NULL && q->flight_bytes > 0);
    unlink_flight(f, q);
    count_out(f, q, q->flight_bytes);
    q->flight_bytes = 0;
    list_give(f, &q->urgent, q->urgent.sent);
    list_give(f, &q->normal, q->normal.sent);
    if (q->bytes == 0 && q->owed == NULL && c->state <= FAN_OPEN)
        queue_free(f, c);
    else
        queue_dirty(f, c); /* the rest, the hint or the close follows at the end of the turn */
}

struct fan_conn *queue_stuck(struct fanout *f, uint64_t then_us)
{
    struct queue *q = f->flight_first;
    while (q != NULL && q->sent_us <= then_us) {
        struct fan_conn *c = conn_find(f, q->conn);
        if (c->state != FAN_GONE)
            return c;
        q = q->flight_next;
    }
    return NULL;
}
