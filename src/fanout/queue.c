/* queue.c - what waits for each socket: by reference, one send under way, everything that gathered
 * meanwhile in the next.
 *
 * Bounds of one socket: from ws.queue_soft_bytes typing is dropped and the socket is not read; past
 * ws.queue_hard_bytes events are dropped. From its first dropped event on a channel is silent until
 * the queue is drained; then one refetch hint names the channels (past dropped_max: all), and
 * events flow again behind it. So a client sees each channel in order, or is told to ask. Bounds of
 * all: past ws.queue_total_bytes the largest queues lose their events, also against a hint. */
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

static uint32_t piece_len(const struct piece *p)
{
    return p->use != NULL ? (uint32_t)frame_wire(p->use->frame).len : p->own->len;
}

static void append(struct piece_list *l, struct piece *p)
{
    p->next = NULL;
    if (l->tail != NULL)
        l->tail->next = p;
    else
        l->head = p;
    l->tail = p;
    l->len++;
}

static struct piece *take_first(struct piece_list *l)
{
    struct piece *p = l->head;
    l->head = p->next;
    if (l->head == NULL)
        l->tail = NULL;
    l->len--;
    return p;
}

static void piece_give(struct fanout *f, struct queue *q, struct piece *p)
{
    uint32_t len = piece_len(p);
    q->bytes -= len;
    f->queued_bytes -= len;
    if (p->use != NULL)
        use_drop(f, p->use);
    else
        own_give(f, p->own);
    pool_give(&f->pieces, p);
}

static void list_give(struct fanout *f, struct queue *q, struct piece_list *l)
{
    while (l->head != NULL)
        piece_give(f, q, take_first(l));
}

/* ---- queues come and go ---- */

static struct queue *queue_of(struct fanout *f, struct fan_conn *c)
{
    if (c->q != NULL)
        return c->q;
    struct queue *q = pool_take(&f->queues);
    if (q == NULL)
        return NULL;
    q->conn = c->self;
    q->next = f->queues_first;
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
    if (q->flight.len > 0)
        unlink_flight(f, q);
    list_give(f, q, &q->urgent);
    list_give(f, q, &q->normal);
    list_give(f, q, &q->flight);
    if (q->dropped != NULL)
        pool_give(&f->droppeds, q->dropped);
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
    struct piece_list *lists[] = {&q->urgent, &q->normal, &q->flight};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (struct piece *p = lists[i]->head; p != NULL; p = p->next) {
            if (p->own != NULL)
                own_give(f, p->own);
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

static bool owes(const struct queue *q, uint64_t cid)
{
    if (q->owed_all)
        return true;
    for (unsigned i = 0; i < q->dropped_len; i++) {
        if (q->dropped[i] == cid)
            return true;
    }
    return false;
}

void queue_owe(struct fanout *f, struct fan_conn *c, uint64_t cid)
{
    if (c->state > FAN_OPEN)
        return;
    queue_dirty(f, c); /* an empty queue is drained already: the hint goes at the end of the turn */
    struct queue *q = c->q;
    if (q == NULL) { /* not even memory for that: a new connection fetches everything */
        conn_reset(f, c);
        return;
    }
    if (owes(q, cid))
        return;
    if (q->dropped == NULL)
        q->dropped = pool_take(&f->droppeds);
    if (cid == ID_NONE || q->dropped == NULL || q->dropped_len == dropped_max)
        q->owed_all = true;
    else
        q->dropped[q->dropped_len++] = cid;
}

static bool owes_any(const struct queue *q)
{
    return q->owed_all || q->dropped_len > 0;
}

static void put_hint(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = c->q;
    char text[64 + dropped_max * (id_text_max + 3)];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("refetch"));
    json_key(&j, "channels");
    json_arr(&j);
    for (unsigned i = 0; i < q->dropped_len && !q->owed_all; i++)
        json_id(&j, ID_CHANNEL, q->dropped[i]);
    json_arr_end(&j);
    json_kv_bool(&j, "all", q->owed_all);
    json_obj_end(&j);
    ASSERT(!b.failed);
    if (q->dropped != NULL)
        pool_give(&f->droppeds, q->dropped);
    q->dropped = NULL;
    q->dropped_len = 0;
    q->owed_all = false;
    queue_text(f, c, false, buf_view(&b));
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
                (c->q != NULL && owes_any(c->q) && owes(c->q, use->frame->cid));
    struct piece *p = full ? NULL : pool_take(&f->pieces);
    struct queue *q = p == NULL ? NULL : queue_of(f, c);
    if (q == NULL) {
        if (p != NULL)
            pool_give(&f->pieces, p);
        if (!typing)
            drop_event(f, c, use->frame->cid);
        return;
    }
    p->use = use;
    use->uses++;
    q->bytes += len;
    f->queued_bytes += len;
    append(&q->normal, p);
    metric_add(f->turn->metrics, METRIC_EVENTS_SENT, 1);
    queue_dirty(f, c);
}

bool queue_own(struct fanout *f, struct fan_conn *c, bool urgent, const void *head, size_t head_len,
               struct str_view body)
{
    if (c->state == FAN_GONE)
        return false;
    struct piece *p = pool_take(&f->pieces);
    struct own *o = p == NULL ? NULL : own_take(f, head_len + body.len);
    struct queue *q = o == NULL ? NULL : queue_of(f, c);
    if (q == NULL) {
        if (o != NULL)
            own_give(f, o);
        if (p != NULL)
            pool_give(&f->pieces, p);
        conn_reset(f, c);
        return false;
    }
    if (head_len > 0)
        memcpy(o->b, head, head_len);
    if (body.len > 0)
        memcpy(o->b + head_len, body.p, body.len);
    p->own = o;
    q->bytes += o->len;
    f->queued_bytes += o->len;
    append(urgent ? &q->urgent : &q->normal, p);
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
    struct piece_list all = q->normal;
    q->normal = (struct piece_list){0};
    while (all.head != NULL) {
        struct piece *p = take_first(&all);
        if (p->use == NULL) {
            append(&q->normal, p);
            continue;
        }
        uint64_t cid = p->use->frame->cid;
        piece_give(f, q, p);
        if (owe)
            drop_event(f, c, cid);
    }
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

static void gather(struct queue *q, struct piece_list *from, struct iovec *iov, unsigned *n,
                   size_t *bytes)
{
    while (from->head != NULL && *n < net_iov_max) {
        struct piece *p = from->head;
        size_t len = piece_len(p);
        if (*n > 0 && *bytes + len > send_bytes_max)
            return;
        if (p->use != NULL) {
            struct str_view wire = frame_wire(p->use->frame);
            iov[*n].iov_base = (void *)(uintptr_t)wire.p;
        } else {
            iov[*n].iov_base = p->own->b;
        }
        iov[(*n)++].iov_len = len;
        *bytes += len;
        append(&q->flight, take_first(from));
    }
}

static void flush(struct fanout *f, struct fan_conn *c)
{
    struct queue *q = c->q;
    struct iovec iov[net_iov_max];
    unsigned n = 0;
    size_t bytes = 0;
    if (c->state == FAN_GONE || q->flight.len > 0)
        return;
    if (c->state == FAN_OPEN && q->bytes == 0 && owes_any(q))
        put_hint(f, c);
    if (c->state == FAN_GONE)
        return;
    gather(q, &q->urgent, iov, &n, &bytes);
    if (c->state != FAN_OPENING && q->urgent.len == 0)
        gather(q, &q->normal, iov, &n, &bytes);
    if (n > 0) {
        q->sent_us = f->turn->mono_us;
        link_flight(f, q);
        metric_add(f->turn->metrics, METRIC_WS_SENDS, 1);
        net_send(&f->conf.net, c->net, iov, n);
    }
    if (c->state == FAN_CLOSING && q->urgent.len == 0 && q->normal.len == 0) {
        c->state = FAN_GONE; /* what was just sent still leaves */
        net_close(&f->conf.net, c->net, NET_CLOSE_FLUSH);
    } else if (n == 0 && q->bytes == 0 && !owes_any(q)) {
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
    ASSERT(q != NULL && q->flight.len > 0);
    unlink_flight(f, q);
    list_give(f, q, &q->flight);
    queue_dirty(f, c); /* the rest, the hint, or the queue itself goes at the end of the turn */
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
