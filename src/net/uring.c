#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "net/internal.h"

/* ---- making ---- */

enum { sq_entries = 1024, sq_entries_plain = 64, cq_factor = 16, table_reserve = 1024 };

/* A registered table may hold no more files than RLIMIT_NOFILE. */
static uint32_t clamp_conns(uint32_t wanted)
{
    struct rlimit rl;
    if (wanted == 0 || getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return wanted;
    uint64_t room = rl.rlim_max > table_reserve ? rl.rlim_max - table_reserve : 1;
    if (wanted <= room)
        return wanted;
    log_warn("connections_clamped", "\"wanted\":%u,\"given\":%llu,\"limit\":\"RLIMIT_NOFILE\"",
             wanted, (unsigned long long)room);
    return (uint32_t)room;
}

enum err net_new(struct net **out, struct loop *l, const struct net_conf *c)
{
    struct net *n = calloc(1, sizeof *n);
    if (n == NULL)
        return ERR_NOMEM;
    n->loop = l;
    n->conf = *c;
    n->conf.conns_max = clamp_conns(c->conns_max);
    n->ring_fd = -1;
    pthread_mutex_init(&n->coming_lock, NULL);
    n->event_fd = eventfd(0, EFD_CLOEXEC);
    wheel_init(&n->wheel, clock_mono_us());
    bool ok = n->event_fd >= 0;
    if (ok && c->conns_max > 0) {
        ok = slab_init(&n->conns, n->conf.conns_max, sizeof(struct net_conn)) == ERR_OK;
        n->plain = malloc(tls_plain_bytes);
        n->record = malloc(tls_record_bytes);
        ok = ok && n->plain != NULL && n->record != NULL;
    }
    *out = n;
    if (!ok) {
        net_free(n);
        *out = NULL;
    }
    return ok ? ERR_OK : ERR_NOMEM;
}

static void make_buffers(struct net *n)
{
    size_t ring_bytes = buffers_len * sizeof(struct io_uring_buf);
    void *ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    void *bufs = mmap(NULL, (size_t)buffers_len * buffer_bytes, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    ASSERT(ring != MAP_FAILED && bufs != MAP_FAILED);
    n->buf_ring = ring;
    n->buffers = bufs;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)ring, .ring_entries = buffers_len, .bgid = buffer_group};
    int rc = io_uring_register_buf_ring(&n->ring, &reg, 0);
    ASSERT(rc == 0); /* net_probe has tried it */
    io_uring_buf_ring_init(n->buf_ring);
    for (unsigned i = 0; i < buffers_len; i++)
        io_uring_buf_ring_add(n->buf_ring, n->buffers + (size_t)i * buffer_bytes,
                              buffer_bytes - buffer_padding, (unsigned short)i,
                              io_uring_buf_ring_mask(buffers_len), (int)i);
    io_uring_buf_ring_advance(n->buf_ring, buffers_len);
}

static void arm_event_fd(struct net *n)
{
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_read(sqe, n->event_fd, &n->event_value, sizeof n->event_value, 0);
    io_uring_sqe_set_data64(sqe, net_user_data(OP_EVENTFD, 0));
}

/* In the loop's own thread: SINGLE_ISSUER ties the ring to it. */
static void make_ring(struct net *n)
{
    bool sockets = n->conf.conns_max > 0;
    unsigned entries = sockets ? sq_entries : sq_entries_plain;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = entries * cq_factor};
    int rc = io_uring_queue_init_params(entries, &n->ring, &params);
    if (rc != 0) {
        log_error("io_uring", "\"problem\":%s", log_str(sv_from(strerror(-rc))));
        ASSERT(rc == 0); /* net_probe has tried it: no ring, no loop */
    }
    if (sockets) {
        rc = io_uring_register_files_sparse(&n->ring, n->conf.conns_max);
        ASSERT(rc == 0);
        make_buffers(n);
    }
    n->ring_ready = true;
    __atomic_store_n(&n->ring_fd, n->ring.ring_fd, __ATOMIC_RELEASE);
    arm_event_fd(n);
    listen_arm(n);
}

void net_free(struct net *n)
{
    if (n == NULL)
        return;
    if (n->ring_ready)
        io_uring_queue_exit(
            &n->ring); /* cancels what is in flight; direct descriptors close with it */
    for (uint32_t i = 0; n->conns.slots != NULL && i < n->conns.cap; i++) {
        uint64_t handle;
        struct net_conn *c = slab_at(&n->conns, i, &handle);
        if (c == NULL)
            continue;
        if (c->tls != NULL)
            tls_conn_free(c->tls);
        if (c->adopt != NULL && !c->adopt_sent)
            net_adopt_free(c->adopt);
        free(c->held);
        free(c->send);
    }
    slab_deinit(&n->conns);
    while (n->coming != NULL) {
        struct net_adopt *a = n->coming;
        n->coming = a->next;
        net_adopt_free(a);
    }
    pthread_mutex_destroy(&n->coming_lock);
    while (n->sends != NULL) {
        struct send_op *s = n->sends;
        n->sends = s->next;
        free(s);
    }
    if (n->buf_ring != NULL) {
        munmap(n->buf_ring, buffers_len * sizeof(struct io_uring_buf));
        munmap(n->buffers, (size_t)buffers_len * buffer_bytes);
    }
    if (n->event_fd >= 0)
        close(n->event_fd);
    wires_free(n);
    free(n->plain);
    free(n->record);
    free(n);
}

void net_adopts_to(struct net *n, struct actor *actor, const struct net_owner *owner)
{
    ASSERT(n->adopters_len < loop_actors_max);
    n->adopters[n->adopters_len].actor = actor;
    n->adopters[n->adopters_len++].owner = owner;
}

void net_set_peers(struct net *n, struct net *const *by_actor)
{
    n->peers = by_actor;
}

struct net_port net_port_of(struct net *n)
{
    return (struct net_port){&conn_port_ops, n};
}

size_t net_conn_bytes(void)
{
    return sizeof(struct net_conn);
}

/* ---- submission ---- */

struct io_uring_sqe *net_sqe(struct net *n)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&n->ring)) == NULL) {
        int rc = io_uring_submit(&n->ring);
        ASSERT(rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
        if (rc == -EBUSY || rc == -EAGAIN)
            io_uring_get_events(&n->ring); /* completions must be flushed before more is taken */
    }
    return sqe;
}

struct net_conn *net_conn_of(struct net *n, uint64_t user_data)
{
    uint32_t index = (uint32_t)user_data;
    uint64_t handle;
    struct net_conn *c = slab_at(&n->conns, index, &handle);
    bool live = c != NULL && (handle >> 32 & 0xffffff) == (user_data >> 32 & 0xffffff);
    return live ? c : NULL;
}

struct turn *net_turn(struct net *n, struct actor *a)
{
    return loop_turn_of(n->loop, a);
}

void net_socket_sqe(struct io_uring_sqe *sqe, struct net_conn *c, enum op op)
{
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, net_user_data(op, c->handle));
    c->inflight++;
}

/* ---- the loop's driver ---- */

static void on_completion(struct net *n, const struct io_uring_cqe *cqe)
{
    enum op op = (enum op)(cqe->user_data >> 56);
    if (op == OP_NONE || op == OP_BELL)
        return;
    if (op == OP_EVENTFD) {
        arm_event_fd(n);
        return;
    }
    if (op == OP_ACCEPT) {
        listen_on_accept(n, cqe->user_data, cqe->res, cqe->flags);
        return;
    }
    if (op == OP_ADOPT) {
        conn_on_adopt(n, (struct net_adopt *)(uintptr_t)(cqe->user_data & 0xffffffffffffff),
                      cqe->res);
        return;
    }
    struct net_conn *c = net_conn_of(n, cqe->user_data);
    if (c == NULL)
        return;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        ASSERT(c->inflight > 0);
        c->inflight--;
    }
    if (op == OP_RECV)
        conn_on_recv(n, c, cqe->res, cqe->flags);
    else if (op == OP_SEND)
        conn_on_send(n, c, cqe->res);
    else if (op == OP_PEERNAME)
        conn_on_peername(n, c, cqe->res);
    else if (op == OP_UNREAD)
        conn_on_unread(n, c, cqe->res);
    else if (op == OP_SHUTDOWN)
        conn_on_shutdown(n, c);
    else if (op == OP_CLOSE)
        conn_on_close(n, c);
    else if (op == OP_HANDOVER)
        conn_on_handover(n, c, cqe->res);
}

static void driver_dispatch(void *driver)
{
    struct net *n = driver;
    if (!n->ring_ready)
        return;
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&n->ring, head, cqe)
    {
        on_completion(n, cqe);
        seen++;
    }
    io_uring_cq_advance(&n->ring, seen);
    wheel_advance(&n->wheel, n->loop->turn.mono_us, n);
    conn_run_deferred(n);
    metric_set(&n->loop->metrics, METRIC_CQ_OVERFLOWS, *n->ring.cq.koverflow);
}

static void driver_wait(void *driver, uint64_t timeout_us)
{
    struct net *n = driver;
    if (!n->ring_ready)
        make_ring(n);
    if (n->deferred_first != NULL)
        timeout_us = 0;
    uint64_t next_us = wheel_next_us(&n->wheel);
    uint64_t now_us = clock_mono_us();
    if (next_us != UINT64_MAX)
        timeout_us = MIN(timeout_us, next_us > now_us ? next_us - now_us : 0);
    int rc;
    if (timeout_us == 0) {
        rc = io_uring_submit_and_get_events(&n->ring);
    } else {
        struct __kernel_timespec ts = {.tv_sec = (long long)MIN(timeout_us / 1000000, 3600u),
                                       .tv_nsec = (long long)(timeout_us % 1000000 * 1000)};
        struct io_uring_cqe *cqe;
        rc = io_uring_submit_and_wait_timeout(&n->ring, &cqe, 1,
                                              timeout_us == UINT64_MAX ? NULL : &ts, NULL);
    }
    ASSERT(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
}

static void driver_ring(void *driver, void *other_driver)
{
    struct net *n = driver, *other = other_driver;
    int fd = __atomic_load_n(&other->ring_fd, __ATOMIC_ACQUIRE);
    if (fd < 0 || !n->ring_ready) {
        net_wake(other);
        return;
    }
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_msg_ring(sqe, fd, 0, net_user_data(OP_BELL, 0), 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, net_user_data(OP_NONE, 0));
}

const struct loop_driver_ops net_driver_ops = {
    .wait = driver_wait, .dispatch = driver_dispatch, .ring = driver_ring};

void net_wake(struct net *n)
{
    uint64_t one = 1;
    ssize_t rc = write(n->event_fd, &one, sizeof one);
    (void)rc; /* full means that a wake is pending already */
}

/* ---- probe ---- */

static const struct {
    int op;
    const char *name;
} needed_ops[] = {
    {IORING_OP_READ, "read"},
    {IORING_OP_ACCEPT, "accept"},
    {IORING_OP_RECV, "recv"},
    {IORING_OP_SEND, "send"},
    {IORING_OP_SENDMSG, "sendmsg"},
    {IORING_OP_ASYNC_CANCEL, "async_cancel"},
    {IORING_OP_SHUTDOWN, "shutdown"},
    {IORING_OP_CLOSE, "close"},
    {IORING_OP_MSG_RING, "msg_ring (Linux 5.18)"},
    {IORING_OP_URING_CMD, "uring_cmd (Linux 5.19)"},
};

static enum err probe_ops(struct io_uring *ring, char *msg, size_t msg_len)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    enum err err = probe == NULL ? ERR_BAD_CONF : ERR_OK;
    if (probe == NULL)
        snprintf(msg, msg_len, "io_uring cannot list its operations");
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(needed_ops); i++) {
        if (!io_uring_opcode_supported(probe, needed_ops[i].op)) {
            snprintf(msg, msg_len,
                     "this kernel's io_uring lacks the operation %s; Linux 6.7 or newer is needed",
                     needed_ops[i].name);
            err = ERR_BAD_CONF;
        }
    }
    io_uring_free_probe(probe);
    return err;
}

static enum err probe_buf_ring(struct io_uring *ring, char *msg, size_t msg_len)
{
    void *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)mem, .ring_entries = 8};
    int rc = mem == MAP_FAILED ? -ENOMEM : io_uring_register_buf_ring(ring, &reg, 0);
    if (rc == 0)
        io_uring_unregister_buf_ring(ring, 0);
    if (mem != MAP_FAILED)
        munmap(mem, 4096);
    if (rc == 0)
        return ERR_OK;
    snprintf(msg, msg_len, "this kernel's io_uring lacks provided buffer rings (Linux 5.19): %s",
             strerror(-rc));
    return ERR_BAD_CONF;
}

/* Options of a direct descriptor are read and set through the ring: a number for setsockopt(2) it
 * has not. */
static enum err probe_socket_commands(struct io_uring *ring, char *msg, size_t msg_len)
{
    int type = 0, rc = -ENOMEM, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
    sqe->cmd_op = 2; /* SOCKET_URING_OP_GETSOCKOPT */
    sqe->addr = (uint64_t)SO_TYPE << 32 | SOL_SOCKET;
    sqe->file_index = sizeof type;
    sqe->addr3 = (uintptr_t)&type;
    if (fd >= 0 && io_uring_submit_and_wait(ring, 1) >= 0 && io_uring_wait_cqe(ring, &cqe) == 0) {
        rc = cqe->res;
        io_uring_cqe_seen(ring, cqe);
    }
    if (fd >= 0)
        close(fd);
    if (rc >= 0 && type == SOCK_STREAM)
        return ERR_OK;
    snprintf(msg, msg_len, "this kernel's io_uring lacks socket commands (Linux 6.7): %s",
             strerror(-rc));
    return ERR_BAD_CONF;
}

enum err net_probe(char *msg, size_t msg_len)
{
    struct io_uring ring;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = 64};
    int rc = io_uring_queue_init_params(8, &ring, &params);
    if (rc != 0) {
        const char *hint = rc == -ENOSYS  ? "the kernel has no io_uring"
                           : rc == -EPERM ? "io_uring is disabled (sysctl kernel.io_uring_disabled "
                                            "must be 0) or filtered by seccomp"
                           : rc == -EINVAL
                               ? "DEFER_TASKRUN is missing: Linux 6.7 or newer is needed"
                               : strerror(-rc);
        snprintf(msg, msg_len, "io_uring cannot be set up: %s", hint);
        return ERR_BAD_CONF;
    }
    enum err err = probe_ops(&ring, msg, msg_len);
    if (err == ERR_OK)
        err = probe_buf_ring(&ring, msg, msg_len);
    if (err == ERR_OK)
        err = probe_socket_commands(&ring, msg, msg_len);
    if (err == ERR_OK && io_uring_register_files_sparse(&ring, 8) != 0) {
        snprintf(msg, msg_len, "this kernel's io_uring lacks sparse file tables (Linux 5.19)");
        err = ERR_BAD_CONF;
    }
    io_uring_queue_exit(&ring);
    return err;
}
