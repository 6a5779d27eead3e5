#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/internal.h"

struct net_conn *conn_new(struct net *n, uint32_t slot, struct actor *a,
                          const struct net_owner *owner)
{
    uint64_t handle;
    struct net_conn *c = slab_take(&n->conns, &handle);
    if (c == NULL)
        return NULL;
    c->handle = handle;
    c->slot = slot;
    c->actor = a;
    c->owner = owner;
    c->state = CONN_ACCEPTED;
    metric_set(&n->loop->metrics, METRIC_CONNS_OPEN, slab_used(&n->conns));
    return c;
}

void conn_defer(struct net *n, struct net_conn *c)
{
    if (c->deferred)
        return;
    c->deferred = true;
    c->deferred_next = NULL;
    if (n->deferred_last != NULL)
        n->deferred_last->deferred_next = c;
    else
        n->deferred_first = c;
    n->deferred_last = c;
}

/* ---- timer: handshake, then write progress, at last linger ---- */

static bool is_writing(const struct net_conn *c)
{
    return c->state >= CONN_OPEN && c->send != NULL;
}

static uint64_t patience_us(const struct net *n)
{
    return (uint64_t)n->conf.write_timeout_ms * 1000;
}

static void progressed(struct net *n, struct net_conn *c)
{
    c->progress_us = n->loop->turn.mono_us;
    c->unread = unread_unknown;
}

/* Of what the kernel holds a good part must leave before it takes more, so that a slow reader's
 * progress shows there long before. Source: Linux, SOCKET_URING_OP_SIOCOUTQ. */
static void ask_unread(struct net *n, struct net_conn *c)
{
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, (int)c->slot, NULL, 0, 0);
    sqe->cmd_op = 1; /* SOCKET_URING_OP_SIOCOUTQ */
    net_socket_sqe(sqe, c, OP_UNREAD);
}

static void cut_off(struct net *n, struct net_conn *c)
{
    if (c->state == CONN_CLOSING) {
        c->how = NET_CLOSE_RESET;
        conn_defer(n, c);
    } else {
        conn_close(n, c, ERR_IO, NET_CLOSE_RESET);
    }
}

void conn_on_unread(struct net *n, struct net_conn *c, int res)
{
    uint64_t now_us = n->loop->turn.mono_us;
    if (!is_writing(c) || timer_armed(&c->timer)) {
        if (c->state == CONN_CLOSING || c->state == CONN_HANDOVER)
            conn_defer(n, c); /* waited for this */
        return;
    }
    uint32_t unread = res < 0 ? 0 : (uint32_t)res; /* a Unix socket does not say */
    if (c->unread == unread_unknown || (uint64_t)unread + progress_bytes_min <= c->unread) {
        c->progress_us = now_us;
        c->unread = unread;
    } else if (now_us >= c->progress_us + patience_us(n)) {
        cut_off(n, c);
        return;
    }
    wheel_arm(&n->wheel, &c->timer, now_us + patience_us(n) / 2);
}

/* Armed by the first of many sends, and left armed when they are done: it looks, when it fires,
 * how long the last progress is ago. So a send costs no visit to the wheel. */
static void on_timer(struct timer *t, void *ctx)
{
    struct net *n = ctx;
    struct net_conn *c = (struct net_conn *)(void *)((char *)t - offsetof(struct net_conn, timer));
    uint64_t ask_us = c->progress_us + patience_us(n) / 2;
    if (is_writing(c)) {
        if (ask_us > n->loop->turn.mono_us)
            wheel_arm(&n->wheel, t, ask_us);
        else
            ask_unread(n, c);
    } else if (c->state == CONN_CLOSING) {
        cut_off(n, c); /* lingered long enough */
    } else if (c->state == CONN_HANDSHAKE) {
        metric_add(&n->loop->metrics, METRIC_TLS_FAILED, 1);
        cut_off(n, c);
    }
}

static void arm_timer(struct net *n, struct net_conn *c, uint32_t ms)
{
    c->timer.fire = on_timer;
    wheel_arm(&n->wheel, &c->timer, n->loop->turn.mono_us + (uint64_t)ms * 1000);
}

/* ---- opening ---- */

static void give_send(struct net *n, struct net_conn *c)
{
    c->send->next = n->sends;
    n->sends = c->send;
    c->send = NULL;
}

void conn_on_peername(struct net *n, struct net_conn *c, int res)
{
    if (c->state == CONN_CLOSING) {
        give_send(n, c);
        conn_defer(n, c);
        return;
    }
    if (res < 0) /* a Unix socket has no such name: unknown is fine there */
        memset(&c->send->peer, 0, sizeof c->send->peer);
    if (!n->listeners[c->listener].tls) {
        conn_open(n, c);
        return;
    }
    if (tls_conn_new(n, c) != ERR_OK) {
        give_send(n, c);
        conn_close(n, c, ERR_NOMEM, NET_CLOSE_RESET);
        return;
    }
    c->state = CONN_HANDSHAKE;
    c->counted_handshake = true;
    n->handshakes++;
    arm_timer(n, c, n->conf.handshake_timeout_ms);
    conn_arm_recv(n, c);
}

static void end_handshake(struct net *n, struct net_conn *c)
{
    if (!c->counted_handshake)
        return;
    c->counted_handshake = false;
    n->handshakes--;
    listen_arm(n);
}

void conn_open(struct net *n, struct net_conn *c)
{
    struct net_peer peer = {.addr = c->send->peer, .tls = c->tls != NULL, .listener = c->listener};
    wheel_disarm(&n->wheel, &c->timer);
    give_send(n, c);
    end_handshake(n, c);
    c->state = CONN_OPEN;
    c->owner->ops->on_open(c->owner->self, c->handle, &peer, net_turn(n, c->actor));
    if (c->state == CONN_OPEN && !c->paused)
        conn_arm_recv(n, c);
}

/* ---- receiving ---- */

void conn_arm_recv(struct net *n, struct net_conn *c)
{
    if (c->ended && c->state == CONN_OPEN)
        return;
    if (c->recv_armed)
        return; /* a cancel is on its way: its last completion arms it anew */
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_recv_multishot(sqe, (int)c->slot, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
    net_socket_sqe(sqe, c, OP_RECV);
    c->recv_armed = true;
    c->recv_cancelled = false;
}

static void cancel(struct net *n, struct net_conn *c, enum op op)
{
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_cancel64(sqe, net_user_data(op, c->handle), 0);
    io_uring_sqe_set_data64(sqe, net_user_data(OP_NONE, 0));
}

void conn_cancel_recv(struct net *n, struct net_conn *c)
{
    if (!c->recv_armed || c->recv_cancelled)
        return;
    c->recv_cancelled = true;
    cancel(n, c, OP_RECV);
}

static bool hold(uint8_t **to, uint32_t *to_len, const uint8_t *p, size_t len)
{
    uint8_t *more = realloc(*to, *to_len + len + buffer_padding);
    if (more == NULL)
        return false;
    memcpy(more + *to_len, p, len);
    *to = more;
    *to_len += (uint32_t)len;
    return true;
}

void conn_deliver(struct net *n, struct net_conn *c, uint8_t *p, size_t len)
{
    c->owner->ops->on_data(c->owner->self, c->handle, p, len, net_turn(n, c->actor));
}

static void on_bytes(struct net *n, struct net_conn *c, uint8_t *p, size_t len)
{
    metric_add(&n->loop->metrics, METRIC_BYTES_IN, len);
    if (c->state == CONN_HANDOVER) {
        if (!hold(&c->adopt->late, &c->adopt->late_len, p, len))
            conn_close(n, c, ERR_NOMEM, NET_CLOSE_RESET);
    } else if (c->state == CONN_CLOSING) {
        c->linger_bytes += (uint32_t)len;
        if (c->linger_bytes > linger_bytes_max)
            c->how = NET_CLOSE_RESET;
    } else if (c->ended) {
        return; /* behind a close_notify */
    } else if (c->paused || c->held_len > 0) {
        if (!hold(&c->held, &c->held_len, p, len))
            conn_close(n, c, ERR_NOMEM, NET_CLOSE_RESET);
    } else if (c->tls != NULL) {
        tls_input(n, c, p, len);
    } else {
        conn_deliver(n, c, p, len);
    }
}

static void give_buffer(struct net *n, uint16_t id)
{
    io_uring_buf_ring_add(n->buf_ring, n->buffers + (size_t)id * buffer_bytes,
                          buffer_bytes - buffer_padding, id, io_uring_buf_ring_mask(buffers_len),
                          0);
    io_uring_buf_ring_advance(n->buf_ring, 1);
}

/* While bytes are held the end waits: the receive that is armed behind them finds it again. */
bool conn_tell_end(struct net *n, struct net_conn *c)
{
    if (c->owner->ops->on_end == NULL || c->state != CONN_OPEN)
        return false;
    if (c->ended || c->paused || c->held_len > 0)
        return true;
    c->ended = true;
    c->owner->ops->on_end(c->owner->self, c->handle, net_turn(n, c->actor));
    return true;
}

/* Under TLS a FIN alone may be anybody's, so it ends the connection. */
static bool end_is_true(const struct net_conn *c)
{
    return c->tls == NULL || c->ended || c->paused || c->held_len > 0;
}

void conn_on_recv(struct net *n, struct net_conn *c, int res, uint32_t flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0)
        c->recv_armed = false;
    if (res > 0) {
        uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        on_bytes(n, c, n->buffers + (size_t)id * buffer_bytes, (size_t)res);
        give_buffer(n, id);
    }
    if (c->state == CONN_HANDOVER) {
        if (!c->recv_armed)
            conn_hand_over(n, c);
        return;
    }
    if (c->state == CONN_CLOSING) {
        if (c->shut && res <= 0 && res != -ENOBUFS)
            c->how = NET_CLOSE_RESET; /* the peer has closed too: nothing to linger for */
        conn_defer(n, c);
        return;
    }
    if (res == -ENOBUFS) {
        conn_defer(n, c); /* armed again once this turn's buffers are back */
    } else if (res == 0 && end_is_true(c) && conn_tell_end(n, c)) {
        return;
    } else if (res == 0 || (res < 0 && res != -ECANCELED)) {
        conn_close(n, c, res == 0 ? ERR_CLOSED : ERR_IO, NET_CLOSE_RESET);
    } else if (!c->recv_armed && !c->paused) {
        conn_arm_recv(n, c);
    }
}

static void port_pause(void *net, conn_id id)
{
    struct net *n = net;
    struct net_conn *c = slab_find(&n->conns, id);
    if (c == NULL || c->paused || c->state != CONN_OPEN)
        return;
    c->paused = true;
    conn_cancel_recv(n, c);
}

static void port_resume(void *net, conn_id id)
{
    struct net *n = net;
    struct net_conn *c = slab_find(&n->conns, id);
    if (c == NULL || !c->paused || c->state != CONN_OPEN)
        return;
    c->paused = false;
    conn_defer(n, c); /* what was held is delivered outside of this call */
}

void conn_deliver_held(struct net *n, struct net_conn *c)
{
    uint8_t *p = c->held;
    uint32_t len = c->held_len;
    c->held = NULL;
    c->held_len = 0;
    if (len > 0 && c->tls != NULL)
        tls_input(n, c, p, len);
    else if (len > 0)
        conn_deliver(n, c, p, len);
    free(p);
}

/* ---- sending ---- */

void conn_send_bytes(struct net *n, struct net_conn *c, const void *p, size_t len)
{
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_send(sqe, (int)c->slot, p, len, MSG_NOSIGNAL);
    net_socket_sqe(sqe, c, OP_SEND);
    c->sending = true;
}

static void send_plain(struct net *n, struct net_conn *c)
{
    struct send_op *s = c->send;
    if (s->len - s->at == 1) {
        conn_send_bytes(n, c, s->iov[s->at].iov_base, s->iov[s->at].iov_len);
        return;
    }
    s->msg = (struct msghdr){.msg_iov = s->iov + s->at, .msg_iovlen = s->len - s->at};
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_sendmsg(sqe, (int)c->slot, &s->msg, MSG_NOSIGNAL);
    net_socket_sqe(sqe, c, OP_SEND);
    c->sending = true;
}

static void port_send(void *net, conn_id id, const struct iovec *v, unsigned len)
{
    struct net *n = net;
    struct net_conn *c = slab_find(&n->conns, id);
    ASSERT(len > 0 && len <= net_iov_max);
    if (c == NULL || c->state != CONN_OPEN)
        return; /* on_close is on its way */
    ASSERT(c->send == NULL);
    struct send_op *s = n->sends;
    if (s != NULL)
        n->sends = s->next;
    else if ((s = malloc(sizeof *s)) ==
             NULL) { /* grows to the most sends ever under way, then only recycles */
        conn_close(n, c, ERR_NOMEM, NET_CLOSE_RESET);
        return;
    }
    s->len = len;
    s->at = 0;
    memcpy(s->iov, v, len * sizeof *v);
    c->send = s;
    progressed(n, c);
    if (!timer_armed(&c->timer))
        arm_timer(n, c, n->conf.write_timeout_ms / 2);
    if (c->tls != NULL) {
        if (!c->sending && !tls_send_more(n, c))
            conn_close(n, c, ERR_IO, NET_CLOSE_RESET);
    } else {
        send_plain(n, c);
    }
}

bool send_advance(struct send_op *s, size_t taken)
{
    while (s->at < s->len && taken >= s->iov[s->at].iov_len)
        taken -= s->iov[s->at++].iov_len;
    if (s->at == s->len)
        return true;
    s->iov[s->at].iov_base = (char *)s->iov[s->at].iov_base + taken;
    s->iov[s->at].iov_len -= taken;
    return false;
}

static void sent_all(struct net *n, struct net_conn *c)
{
    give_send(n, c);
    c->owner->ops->on_sent(c->owner->self, c->handle, ERR_OK, net_turn(n, c->actor));
}

static bool transient(int res)
{
    return res == -EAGAIN || res == -EINTR;
}

void conn_on_send(struct net *n, struct net_conn *c, int res)
{
    c->sending = false;
    if (res > 0)
        metric_add(&n->loop->metrics, METRIC_BYTES_OUT, (uint64_t)res);
    if (c->state == CONN_CLOSING && c->how == NET_CLOSE_RESET) {
        conn_defer(n, c);
        return;
    }
    if (res < 0 && !transient(res)) {
        if (c->state == CONN_CLOSING)
            c->how = NET_CLOSE_RESET;
        else
            conn_close(n, c, ERR_IO, NET_CLOSE_RESET);
        conn_defer(n, c);
        return;
    }
    if (res > 0)
        progressed(n, c);
    bool done;
    if (c->tls != NULL) {
        if (tls_flush(n, c, (size_t)MAX(res, 0)) || c->state == CONN_HANDSHAKE)
            return;
        done = c->send != NULL && !tls_send_more(n, c);
    } else {
        done = c->send != NULL && send_advance(c->send, (size_t)MAX(res, 0));
        if (c->send != NULL && !done)
            send_plain(n, c);
    }
    if (c->state == CONN_CLOSING) {
        if (done)
            give_send(n, c);
        conn_defer(n, c);
    } else if (done) {
        sent_all(n, c);
    } else if (c->state == CONN_HANDOVER) {
        conn_hand_over(n, c);
    }
}

/* ---- closing ----
 * 1. The send under way ends (or is cancelled). 2. on_close: the owner is done. 3. FLUSH:
 * close_notify, shutdown, and a short linger, so that a peer that is still sending can read the
 * answer instead of a reset. 4. receive ends. 5. close. Each completion defers the connection, and
 * the deferred run takes the next step that is possible. */

void conn_close(struct net *n, struct net_conn *c, enum err why, enum net_close_how how)
{
    if (c->state == CONN_CLOSING)
        return;
    if (c->adopt != NULL) { /* its owner has let go of it already */
        ASSERT(!c->adopt_sent);
        net_adopt_free(c->adopt);
        c->adopt = NULL;
        c->detached = true;
    }
    if (c->state == CONN_ACCEPTED || c->state == CONN_HANDSHAKE)
        c->detached = true; /* never shown to an owner */
    if (c->state == CONN_HANDSHAKE && c->send != NULL)
        give_send(n, c); /* it only kept the peer's name */
    end_handshake(n, c);
    c->state = CONN_CLOSING;
    c->why = (uint8_t)why;
    c->how = (uint8_t)how;
    if (how == NET_CLOSE_RESET)
        wheel_disarm(&n->wheel, &c->timer);
    else if (c->send == NULL)
        arm_timer(n, c, linger_ms); /* else the send's patience goes on */
    free(c->held);
    c->held = NULL;
    c->held_len = 0;
    conn_defer(n, c);
}

static void port_close(void *net, conn_id id, enum net_close_how how)
{
    struct net *n = net;
    struct net_conn *c = slab_find(&n->conns, id);
    if (c != NULL && c->state != CONN_HANDOVER) /* its owner has let go of it */
        conn_close(n, c, ERR_OK, how);
}

static void shut_down(struct net *n, struct net_conn *c)
{
    if (c->tls != NULL && !c->notified) {
        c->notified = true;
        tls_close_notify(n, c);
    }
    arm_timer(n, c, linger_ms);
    if (c->sending)
        return; /* the alert leaves first; its completion comes back here */
    c->shut = true;
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_shutdown(sqe, (int)c->slot, SHUT_WR);
    net_socket_sqe(sqe, c, OP_SHUTDOWN);
}

void conn_on_shutdown(struct net *n, struct net_conn *c)
{
    conn_defer(n, c);
}

static const struct linger reset_linger = {.l_onoff = 1, .l_linger = 0};

static void close_descriptor(struct net *n, struct net_conn *c)
{
    c->closed = true;
    wheel_disarm(&n->wheel, &c->timer);
    if (c->why != ERR_CLOSED &&
        !c->shut) { /* a reset, so that the kernel keeps nothing for a peer that reads nothing */
        struct io_uring_sqe *sqe = net_sqe(n);
        io_uring_prep_rw(IORING_OP_URING_CMD, sqe, (int)c->slot, NULL, 0, 0);
        sqe->cmd_op = 3; /* SOCKET_URING_OP_SETSOCKOPT */
        sqe->addr = (uint64_t)SO_LINGER << 32 | SOL_SOCKET;
        sqe->file_index = sizeof reset_linger;
        sqe->addr3 = (uintptr_t)&reset_linger;
        sqe->flags |= IOSQE_IO_HARDLINK | IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, net_user_data(OP_NONE, 0));
    }
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_close_direct(sqe, c->slot);
    io_uring_sqe_set_data64(sqe, net_user_data(OP_CLOSE, c->handle));
    c->inflight++;
}

void conn_close_slot(struct net *n, uint32_t slot)
{
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_close_direct(sqe, slot);
    io_uring_sqe_set_data64(sqe, net_user_data(OP_NONE, 0));
}

static void release(struct net *n, struct net_conn *c)
{
    if (c->tls != NULL)
        tls_conn_free(c->tls);
    free(c->held);
    if (c->send != NULL)
        give_send(n, c);
    slab_give(&n->conns, c->handle);
    metric_set(&n->loop->metrics, METRIC_CONNS_OPEN, slab_used(&n->conns));
    listen_arm(n);
}

/* At once, not with the deferred: the kernel has given the descriptor's number back already, and
 * the next completion may bring a new connection that needs this slot. Nothing else is in flight.
 */
void conn_on_close(struct net *n, struct net_conn *c)
{
    ASSERT(c->closed && c->inflight == 0 && !c->deferred);
    release(n, c);
}

/* The next step of a closing connection. */
static void step_close(struct net *n, struct net_conn *c)
{
    if (c->closed)
        return;
    if (c->sending && c->how == NET_CLOSE_RESET && !c->send_cancelled) {
        c->send_cancelled = true; /* a peer that reads nothing would keep it for ever */
        cancel(n, c, OP_SEND);
    }
    if (c->sending || (c->send != NULL && c->how == NET_CLOSE_FLUSH))
        return;
    bool unsent = c->send != NULL && c->why != ERR_OK; /* the owner has not called net_close */
    if (c->send != NULL)
        give_send(n, c);
    if (!c->detached) {
        c->detached = true;
        if (unsent)
            c->owner->ops->on_sent(c->owner->self, c->handle, (enum err)c->why,
                                   net_turn(n, c->actor));
        c->owner->ops->on_close(c->owner->self, c->handle, (enum err)c->why, net_turn(n, c->actor));
    }
    if (c->how == NET_CLOSE_FLUSH) {
        if (!c->shut)
            shut_down(n, c);
        if (c->how == NET_CLOSE_FLUSH) {
            if (!c->recv_armed)
                conn_arm_recv(n,
                              c); /* to see the peer's end, and to throw away what it still sends */
            return;
        }
    }
    conn_cancel_recv(n, c);
    if (c->inflight == 0 && !c->recv_armed)
        close_descriptor(n, c);
}

/* ---- deferred ---- */

void conn_run_deferred(struct net *n)
{
    /* Those that are deferred meanwhile wait for the next turn, so this ends. */
    struct net_conn *c = n->deferred_first;
    n->deferred_first = n->deferred_last = NULL;
    while (c != NULL) {
        struct net_conn *next = c->deferred_next;
        c->deferred = false;
        if (c->state == CONN_CLOSING) {
            step_close(n, c);
        } else if (c->state == CONN_HANDOVER) {
            conn_hand_over(n, c);
        } else if (c->state == CONN_HANDSHAKE) {
            conn_arm_recv(n, c);
        } else if (c->state == CONN_OPEN && !c->paused) {
            conn_deliver_held(n, c);
            if (c->state == CONN_OPEN && !c->paused)
                conn_arm_recv(n, c);
        }
        c = next;
    }
}

static void port_accept_pause(void *net)
{
    struct net *n = net;
    n->accept_paused = true;
    listen_arm(n);
}

static void port_accept_resume(void *net)
{
    struct net *n = net;
    n->accept_paused = false;
    listen_arm(n);
}

const struct net_port_ops conn_port_ops = {.send = port_send,
                                           .pause = port_pause,
                                           .resume = port_resume,
                                           .close = port_close,
                                           .handover = conn_port_handover,
                                           .accept_pause = port_accept_pause,
                                           .accept_resume = port_accept_resume};
