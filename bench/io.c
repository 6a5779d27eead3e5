#include "io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "secure.h"

/* The low bits of user_data say which operation of the stream is done. */
enum op { OP_CONNECT, OP_RECV, OP_SEND, OP_CANCEL, OP_SHUTDOWN, op_mask = 7 };

volatile sig_atomic_t io_stop;

static void on_signal(int sig)
{
    (void)sig;
    io_stop = 1;
}

/* ---- the ring ---- */

static bool make_ring(struct io *io)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                         IORING_SETUP_DEFER_TASKRUN,
                                .cq_entries = io_cq_entries};
    int rc = io_uring_queue_init_params(io_sq_entries, &io->ring, &p);
    if (rc < 0) { /* before Linux 6.1 */
        p = (struct io_uring_params){.flags = IORING_SETUP_CQSIZE, .cq_entries = io_cq_entries};
        rc = io_uring_queue_init_params(io_sq_entries, &io->ring, &p);
    }
    if (rc < 0)
        fprintf(stderr, "parley-bench: io_uring: %s\n", strerror(-rc));
    return rc >= 0;
}

static void give_buffer(struct io *io, uint16_t id, int offset)
{
    io_uring_buf_ring_add(io->buf_ring, io->buffers + (size_t)id * io_buffer_bytes, io_buffer_bytes,
                          id, io_uring_buf_ring_mask(io_buffers), offset);
}

static void *map_pages(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    ASSERT(p != MAP_FAILED);
    return p;
}

static bool make_buffers(struct io *io)
{
    io->buf_ring = map_pages(io_buffers * sizeof(struct io_uring_buf));
    io->buffers = map_pages((size_t)io_buffers * io_buffer_bytes);
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)io->buf_ring, .ring_entries = io_buffers, .bgid = io_buffer_group};
    int rc = io_uring_register_buf_ring(&io->ring, &reg, 0);
    if (rc < 0) {
        fprintf(stderr, "parley-bench: io_uring buffer ring: %s\n", strerror(-rc));
        return false;
    }
    io_uring_buf_ring_init(io->buf_ring);
    for (uint16_t i = 0; i < io_buffers; i++)
        give_buffer(io, i, i);
    io_uring_buf_ring_advance(io->buf_ring, io_buffers);
    return true;
}

bool io_init(struct io *io)
{
    *io = (struct io){.now_us = clock_mono_us()};
    if (!make_ring(io) || !make_buffers(io))
        return false;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return true;
}

bool io_make_table(struct io *io, uint32_t len)
{
    int rc = io_uring_register_files_sparse(&io->ring, len);
    if (rc < 0) {
        fprintf(stderr, "parley-bench: a table of %u files: %s\n", len, strerror(-rc));
        return false;
    }
    io->slots = calloc(len, sizeof *io->slots);
    ASSERT(io->slots != NULL);
    while (io->slots_len < len) {
        io->slots[io->slots_len] = len - 1 - io->slots_len;
        io->slots_len++;
    }
    return true;
}

void io_deinit(struct io *io)
{
    free(io->slots);
    io_uring_queue_exit(&io->ring);
    munmap(io->buf_ring, io_buffers * sizeof(struct io_uring_buf));
    munmap(io->buffers, (size_t)io_buffers * io_buffer_bytes);
    free(io->heap);
}

static struct io_uring_sqe *get_sqe(struct io *io, struct stream *s, enum op op)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&io->ring)) == NULL)
        io_uring_submit(&io->ring);
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)s | op);
    s->ops_pending++;
    return sqe;
}

/* After prep, which clears user_data. */
static void tag(struct io_uring_sqe *sqe, struct stream *s, enum op op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)s | op);
    if (s->in_table && op != OP_CANCEL)
        sqe->flags |= IOSQE_FIXED_FILE;
}

/* ---- timers: a binary heap ---- */

static void heap_set(struct io *io, uint32_t slot, struct io_timer *t)
{
    io->heap[slot] = t;
    t->slot = slot;
}

static void heap_up(struct io *io, uint32_t slot, struct io_timer *t)
{
    for (; slot > 1 && io->heap[slot / 2]->at_us > t->at_us; slot /= 2)
        heap_set(io, slot, io->heap[slot / 2]);
    heap_set(io, slot, t);
}

static void heap_down(struct io *io, uint32_t slot, struct io_timer *t)
{
    for (uint32_t child; (child = slot * 2) <= io->heap_len; slot = child) {
        if (child < io->heap_len && io->heap[child + 1]->at_us < io->heap[child]->at_us)
            child++;
        if (io->heap[child]->at_us >= t->at_us)
            break;
        heap_set(io, slot, io->heap[child]);
    }
    heap_set(io, slot, t);
}

void io_timer_disarm(struct io *io, struct io_timer *t)
{
    uint32_t slot = t->slot;
    if (slot == 0)
        return;
    t->slot = 0;
    struct io_timer *last = io->heap[io->heap_len--];
    if (last == t)
        return;
    if (slot > 1 && io->heap[slot / 2]->at_us > last->at_us)
        heap_up(io, slot, last);
    else
        heap_down(io, slot, last);
}

void io_timer_arm(struct io *io, struct io_timer *t, uint64_t at_us)
{
    io_timer_disarm(io, t);
    if (io->heap_len + 2 > io->heap_cap) {
        io->heap_cap = MAX(1024u, io->heap_cap * 2);
        io->heap = realloc(io->heap, io->heap_cap * sizeof *io->heap);
        ASSERT(io->heap != NULL);
    }
    t->at_us = at_us;
    heap_up(io, ++io->heap_len, t);
}

static void fire_timers(struct io *io)
{
    while (io->heap_len > 0 && io->heap[1]->at_us <= io->now_us) {
        struct io_timer *t = io->heap[1];
        io_timer_disarm(io, t);
        t->fire(t);
    }
}

/* ---- streams ---- */

void stream_init(struct stream *s, struct io *io, const struct stream_ops *ops)
{
    *s = (struct stream){.io = io, .ops = ops, .fd = -1};
}

static bool into_table(struct io *io, int *fd)
{
    if (io->slots_len == 0)
        return false;
    uint32_t slot = io->slots[io->slots_len - 1];
    if (io_uring_register_files_update(&io->ring, slot, fd, 1) != 1)
        return false;
    io->slots_len--;
    close(*fd);
    *fd = (int)slot;
    return true;
}

static void close_file(struct stream *s)
{
    int none = -1;
    if (s->fd >= 0 && s->in_table) {
        int rc = io_uring_register_files_update(&s->io->ring, (unsigned)s->fd, &none, 1);
        ASSERT(rc == 1);
        s->io->slots[s->io->slots_len++] = (uint32_t)s->fd;
    } else if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
}

void stream_deinit(struct stream *s)
{
    close_file(s);
    free(s->out[0].p);
    free(s->out[1].p);
    secure_free(s->secure);
    s->secure = NULL;
}

static bool bind_source(struct io *io, int fd, sa_family_t family)
{
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (io->sources == 0 || family != AF_INET)
        return true;
    from.sin_addr.s_addr = htonl(ntohl(io->source.s_addr) + io->source_next++ % io->sources);
    /* The port is chosen at connect(), when the other end is known. */
    return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) == 0 &&
           bind(fd, (const struct sockaddr *)&from, sizeof from) == 0;
}

static const struct secure_ops over_tls;

bool stream_connect(struct stream *s, const struct sockaddr_storage *to, bool tls)
{
    ASSERT(s->fd < 0 && s->ops_pending == 0);
    s->fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return false;
    if (!bind_source(s->io, s->fd, to->ss_family)) {
        close(s->fd);
        s->fd = -1;
        return false;
    }
    secure_free(s->secure);
    s->secure = tls ? secure_new(&over_tls, s) : NULL;
    int one = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (s->in_table && !into_table(s->io, &s->fd)) {
        close(s->fd);
        s->fd = -1;
        return false;
    }
    s->address = *to;
    s->error = 0;
    s->connected = s->opened = s->closing = s->sending = false;
    s->out[0].len = s->out[1].len = s->sent = 0;
    struct io_uring_sqe *sqe = get_sqe(s->io, s, OP_CONNECT);
    io_uring_prep_connect(sqe, s->fd, (struct sockaddr *)&s->address,
                          to->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                   : sizeof(struct sockaddr_in6));
    tag(sqe, s, OP_CONNECT);
    return true;
}

static void receive(struct stream *s)
{
    struct io_uring_sqe *sqe = get_sqe(s->io, s, OP_RECV);
    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = io_buffer_group;
    tag(sqe, s, OP_RECV);
}

static void transmit(struct stream *s)
{
    struct stream_out *out = &s->out[s->sending_slot];
    struct io_uring_sqe *sqe = get_sqe(s->io, s, OP_SEND);
    io_uring_prep_send(sqe, s->fd, out->p + s->sent, out->len - s->sent, MSG_NOSIGNAL);
    tag(sqe, s, OP_SEND);
    s->sending = true;
}

static void transmit_next(struct stream *s)
{
    uint8_t next = s->sending_slot ^ 1;
    s->out[s->sending_slot].len = 0;
    s->sent = 0;
    s->sending = false;
    if (s->out[next].len == 0)
        return;
    s->sending_slot = next;
    transmit(s);
}

static void gather(struct stream_out *out, const void *p, size_t n)
{
    if (out->len + n > out->cap) {
        out->cap = MAX(out->len + n, out->cap * 2);
        out->p = realloc(out->p, out->cap);
        ASSERT(out->p != NULL);
    }
    if (n > 0)
        memcpy(out->p + out->len, p, n);
    out->len += n;
}

static struct stream_out *filling(struct stream *s)
{
    return &s->out[s->sending ? s->sending_slot ^ 1 : s->sending_slot];
}

static void transmit_filled(struct stream *s)
{
    if (!s->sending && filling(s)->len > 0)
        transmit(s);
}

static void fail(struct stream *s, int error);

void stream_write_pair(struct stream *s, const void *p, size_t n, const void *q, size_t m)
{
    if (!s->opened || s->closing)
        return;
    if (s->secure != NULL) {
        if (!secure_write(s->secure, p, n) || !secure_write(s->secure, q, m))
            fail(s, EPROTO);
    } else {
        gather(filling(s), p, n);
        gather(filling(s), q, m);
    }
    transmit_filled(s);
}

void stream_write(struct stream *s, const void *p, size_t n)
{
    stream_write_pair(s, p, n, NULL, 0);
}

static void finish_when_idle(struct stream *s)
{
    if (!s->closing || s->ops_pending > 0 || s->fd < 0)
        return;
    close_file(s);
    s->ops->closed(s, s->error);
}

void stream_close(struct stream *s)
{
    if (s->fd < 0 || s->closing)
        return;
    s->closing = true;
    /* By its own number, which is a hash's key: by descriptor the kernel looks at all that is
     * pending, and 14,000 streams that end together take ten seconds. The shutdown ends what is
     * sent. */
    struct io_uring_sqe *sqe = get_sqe(s->io, s, OP_CANCEL);
    enum op pending = s->connected ? OP_RECV : OP_CONNECT;
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)s | pending, 0);
    tag(sqe, s, OP_CANCEL);
    if (!s->in_table) {
        shutdown(s->fd, SHUT_RDWR);
        return;
    }
    sqe = get_sqe(s->io, s, OP_SHUTDOWN);
    io_uring_prep_shutdown(sqe, s->fd, SHUT_RDWR);
    tag(sqe, s, OP_SHUTDOWN);
}

/* ---- TLS in between ---- */

static void send_ciphertext(void *self, const uint8_t *p, size_t n)
{
    struct stream *s = self;
    if (!s->closing)
        gather(filling(s), p, n);
}

static void secure_opened(void *self)
{
    struct stream *s = self;
    s->opened = true;
    s->ops->opened(s);
}

static void secure_data(void *self, uint8_t *p, size_t n)
{
    struct stream *s = self;
    s->ops->data(s, p, n);
}

static bool secure_live(void *self)
{
    const struct stream *s = self;
    return !s->closing;
}

static const struct secure_ops over_tls = {send_ciphertext, secure_opened, secure_data,
                                           secure_live};

static void fail(struct stream *s, int error)
{
    if (!s->closing)
        s->error = error;
    stream_close(s);
}

/* ---- completions ---- */

static void on_connect(struct stream *s, int res)
{
    s->connected = true;
    if (res < 0) {
        fail(s, -res);
    } else if (!s->closing && s->secure != NULL) {
        receive(s);
        secure_begin(s->secure);
        transmit_filled(s);
    } else if (!s->closing) {
        s->opened = true;
        receive(s);
        s->ops->opened(s);
    }
}

static void take(struct stream *s, uint8_t *p, size_t n)
{
    if (s->secure == NULL) {
        s->ops->data(s, p, n);
        return;
    }
    if (!secure_input(s->secure, p, n))
        fail(s, ECONNRESET);
    if (!s->closing)
        transmit_filled(s);
}

static void on_recv(struct stream *s, int res, unsigned flags)
{
    if (flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        if (res > 0 && !s->closing)
            take(s, s->io->buffers + (size_t)id * io_buffer_bytes, (size_t)res);
        give_buffer(s->io, id, 0);
        io_uring_buf_ring_advance(s->io->buf_ring, 1);
    }
    if (flags & IORING_CQE_F_MORE || s->closing)
        return;
    if (res > 0 || res == -ENOBUFS)
        receive(s);
    else
        fail(s, res == 0 ? ECONNRESET : -res);
}

static void on_send(struct stream *s, int res)
{
    if (s->closing)
        return;
    if (res < 0) {
        fail(s, -res);
        return;
    }
    s->sent += (size_t)res;
    if (s->sent < s->out[s->sending_slot].len)
        transmit(s);
    else
        transmit_next(s);
}

static void complete(struct io_uring_cqe *cqe)
{
    uint64_t data = io_uring_cqe_get_data64(cqe);
    struct stream *s = (struct stream *)(uintptr_t)(data & ~(uint64_t)op_mask);
    if (s == NULL)
        return;
    enum op op = (enum op)(data & op_mask);
    /* Counted down after the handler, so that it cannot see the stream finished under it. */
    if (op == OP_CONNECT)
        on_connect(s, cqe->res);
    else if (op == OP_RECV)
        on_recv(s, cqe->res, cqe->flags);
    else if (op == OP_SEND)
        on_send(s, cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        s->ops_pending--;
    finish_when_idle(s);
}

void io_step(struct io *io, uint64_t wait_until_us)
{
    struct io_uring_cqe *cqe;
    io->now_us = clock_mono_us();
    fire_timers(io);
    uint64_t until = io->heap_len > 0 ? MIN(wait_until_us, io->heap[1]->at_us) : wait_until_us;
    uint64_t wait_us = until > io->now_us ? until - io->now_us : 0;
    struct __kernel_timespec ts = {.tv_sec = (long long)(wait_us / 1000000),
                                   .tv_nsec = (long long)(wait_us % 1000000 * 1000)};
    io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &ts, NULL);
    unsigned head, n = 0;
    io->now_us = clock_mono_us();
    io_uring_for_each_cqe(&io->ring, head, cqe)
    {
        complete(cqe);
        n++;
    }
    io_uring_cq_advance(&io->ring, n);
}

bool io_run_until_zero(struct io *io, const uint64_t *left, uint64_t until_us)
{
    /* At least one step, also when until_us was counted from an old now_us: it renews that. */
    do {
        if (*left == 0 || io_stop)
            break;
        io_step(io, MIN(until_us, clock_mono_us() + 200000));
    } while (clock_mono_us() < until_us);
    return *left == 0;
}
