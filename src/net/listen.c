#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/internal.h"

/* The kernel caps the backlog at net.core.somaxconn, 4096 by default. */
enum { backlog = 4096, user_timeout_ms = 30000, accept_retry_us = 100000, listen_retry_us = 10000 };

/* Splits "127.0.0.1:80", "[::1]:80" or ":80". */
static bool split(const char *text, char host[256], const char **port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= 256)
        return false;
    size_t n = (size_t)(colon - text);
    const char *from = text;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        from++;
        n -= 2;
    }
    memcpy(host, from, n);
    host[n] = '\0';
    *port = colon + 1;
    return true;
}

/* -1: *error says why. */
static int open_listener(const struct addrinfo *ai, int *error)
{
    int one = 1, timeout = user_timeout_ms;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* Accepted sockets inherit both: a direct descriptor has no number to set them on. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    *error = errno;
    close(fd);
    return -1;
}

/* The sockets of a ring outlive its process: the kernel frees them a moment after the process was
 * reaped (after half of all kills, for 1 to 100 ms), and who is started again at once meets
 * them. */
static int wait_for_listener(const struct addrinfo *ai, const char *addr_port, int *error)
{
    uint64_t until_us = clock_mono_us() + net_listen_wait_max_ms * 1000;
    int fd = open_listener(ai, error);
    if (fd < 0 && *error == EADDRINUSE)
        log_info("listen_waits", "\"address\":%s,\"problem\":\"in use\",\"wait_max_ms\":%d",
                 log_str(sv_from(addr_port)), net_listen_wait_max_ms);
    while (fd < 0 && *error == EADDRINUSE && clock_mono_us() < until_us) {
        usleep(listen_retry_us);
        fd = open_listener(ai, error);
    }
    return fd;
}

enum err net_listen_socket(const char *addr_port, int *fd, uint16_t *port, char *msg,
                           size_t msg_len)
{
    char host[256];
    const char *port_text;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    uint64_t wanted; /* getaddrinfo takes 99999 for 34463 */
    if (!split(addr_port, host, &port_text) || !sv_to_u64(sv_from(port_text), &wanted) ||
        wanted > UINT16_MAX) {
        snprintf(msg, msg_len, "\"%s\" is not ADDR:PORT", addr_port);
        return ERR_BAD_CONF;
    }
    int rc = getaddrinfo(host[0] == '\0' ? NULL : host, port_text, &hints, &list);
    if (rc != 0) {
        snprintf(msg, msg_len, "\"%s\": %s", addr_port, gai_strerror(rc));
        return ERR_BAD_CONF;
    }
    int error = 0;
    *fd = wait_for_listener(list, addr_port, &error);
    freeaddrinfo(list);
    if (*fd < 0) {
        snprintf(msg, msg_len, "cannot listen on %s: %s", addr_port, strerror(error));
        return ERR_BAD_CONF;
    }
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    getsockname(*fd, (struct sockaddr *)&bound, &len);
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return ERR_OK;
}

/* liburing 2.3 adds one to the index that asks for any free slot, and so asks for a plain
 * descriptor. */
static void prep_accept_one(struct io_uring_sqe *sqe, int fd)
{
    io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK);
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

/* SO_PEERNAME refuses a length that is more than the name's own. */
static socklen_t name_bytes(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 ? len : 0;
}

enum err net_listen(struct net *n, int fd, bool tls, struct actor *actor,
                    const struct net_owner *owner)
{
    if (n->listeners_len == listeners_max)
        return ERR_FULL;
    n->listeners[n->listeners_len++] = (struct listener){
        .fd = fd, .tls = tls, .actor = actor, .owner = owner, .name_bytes = name_bytes(fd)};
    return ERR_OK;
}

static uint32_t room(const struct net *n, const struct listener *l)
{
    uint32_t free_slots = slab_room(&n->conns);
    if (l->tls) {
        uint32_t handshakes =
            n->conf.handshakes_max > n->handshakes ? n->conf.handshakes_max - n->handshakes : 0;
        return MIN(free_slots, handshakes);
    }
    return free_slots;
}

/* Far from the limit one multishot accept serves all. Near it connections come one by one, so that
 * none is accepted that would have to be thrown away: the others wait in the kernel's backlog. */
void listen_arm(struct net *n)
{
    if (!n->ring_ready)
        return;
    for (uint32_t i = 0; i < n->listeners_len; i++) {
        struct listener *l = &n->listeners[i];
        uint32_t free_slots = room(n, l);
        uint64_t user_data = net_user_data(OP_ACCEPT, i);
        bool want = !n->accept_paused && free_slots > 0;
        bool multishot = free_slots > accept_near_limit;
        if (l->armed && (!want || (l->multishot && !multishot))) {
            struct io_uring_sqe *sqe = net_sqe(n);
            io_uring_prep_cancel64(sqe, user_data, 0);
            io_uring_sqe_set_data64(sqe, net_user_data(OP_NONE, 0));
        } else if (!l->armed && want) {
            struct io_uring_sqe *sqe = net_sqe(n);
            if (multishot) {
                io_uring_prep_multishot_accept_direct(sqe, l->fd, NULL, NULL, SOCK_NONBLOCK);
            } else {
                prep_accept_one(sqe, l->fd);
            }
            io_uring_sqe_set_data64(sqe, user_data);
            l->armed = true;
            l->multishot = multishot;
        }
    }
}

static void on_accept_retry(struct timer *t, void *ctx)
{
    (void)t;
    listen_arm(ctx);
}

/* The kernel frees a slot before its connection here has seen its last completion, and may give it
 * to a newcomer meanwhile. */
static void refuse(struct net *n, uint32_t slot)
{
    conn_close_slot(n, slot);
    metric_add(&n->loop->metrics, METRIC_CONNS_REFUSED, 1);
}

void listen_on_accept(struct net *n, uint64_t user_data, int res, uint32_t flags)
{
    struct listener *l = &n->listeners[(uint32_t)user_data];
    if ((flags & IORING_CQE_F_MORE) == 0)
        l->armed = false;
    if (res >= 0) {
        struct net_conn *c = conn_new(n, (uint32_t)res, l->actor, l->owner);
        if (c == NULL) {
            refuse(n, (uint32_t)res);
            listen_arm(n);
            return;
        }
        c->listener = (uint8_t)(l - n->listeners);
        metric_add(&n->loop->metrics, METRIC_CONNS_ACCEPTED, 1);
        /* Who is it? SO_PEERNAME answers for a direct descriptor too. */
        c->send = n->sends != NULL ? n->sends : malloc(sizeof *c->send);
        ASSERT(c->send != NULL);
        if (n->sends != NULL)
            n->sends = n->sends->next;
        memset(&c->send->peer, 0, sizeof c->send->peer);
        struct io_uring_sqe *sqe = net_sqe(n);
        io_uring_prep_rw(IORING_OP_URING_CMD, sqe, (int)c->slot, NULL, 0, 0);
        sqe->cmd_op = 2;                             /* SOCKET_URING_OP_GETSOCKOPT */
        sqe->addr = (uint64_t)28 << 32 | SOL_SOCKET; /* level, optname = SO_PEERNAME */
        sqe->file_index = l->name_bytes;             /* optlen */
        sqe->addr3 = (uintptr_t)&c->send->peer;      /* optval */
        net_socket_sqe(sqe, c, OP_PEERNAME);
    } else if (res != -ECANCELED && res != -EAGAIN && res != -ECONNABORTED && res != -EINTR) {
        metric_add(&n->loop->metrics, METRIC_CONNS_REFUSED, 1);
        log_warn("accept_failed", "\"problem\":%s", log_str(sv_from(strerror(-res))));
        if (!l->armed) { /* no descriptors or memory: taken up again later, not spun on */
            n->accept_retry.fire = on_accept_retry;
            wheel_arm(&n->wheel, &n->accept_retry, n->loop->turn.mono_us + accept_retry_us);
            return;
        }
    }
    listen_arm(n);
}
