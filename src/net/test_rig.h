/* net/test_rig.h - connections over the real ring on loopback: two loops in threads of their own,
 * blocking clients here. The first byte that a client sends tells the owner what to do. Only for
 * *_test.c. */
#ifndef PARLEY_NET_TEST_RIG_H
#define PARLEY_NET_TEST_RIG_H

#include "net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"
#include "scratch.h"

enum { big_bytes = 8 << 20, conns_tracked = 1024 };

struct owner {
    struct actor actor;
    struct net_port port;
    struct net_owner as_owner;
    actor_id other; /* where 'H' goes */
    struct conn {
        uint8_t *out;     /* being sent */
        uint8_t next[64]; /* said while that is under way */
        size_t next_len;
        bool closing;
    } conns[conns_tracked];
    struct timer timer;
    conn_id paused;
    uint64_t paused_us;
    uint32_t data_while_paused; /* atomic, as all that tests read */
    uint32_t pauses, opened, closed, adopted, sent_err;
    uint32_t close_err[ERR_COUNT];
};

static inline void add(uint32_t *p)
{
    __atomic_fetch_add(p, 1, __ATOMIC_RELAXED);
}

static inline uint32_t value(uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline struct conn *conn_at(struct owner *o, conn_id c)
{
    return &o->conns[(uint32_t)c % conns_tracked];
}

static inline void say(struct owner *o, conn_id c, const void *p, size_t n)
{
    struct conn *k = conn_at(o, c);
    if (k->out != NULL) {
        ASSERT(k->next_len + n <= sizeof k->next);
        memcpy(k->next + k->next_len, p, n);
        k->next_len += n;
        return;
    }
    k->out = malloc(n);
    memcpy(k->out, p, n);
    /* In pieces, as an answer's head and body are. */
    struct iovec v[3] = {{k->out, n / 3}, {k->out + n / 3, 0}, {k->out + n / 3, n - n / 3}};
    net_send(&o->port, c, v, 3);
}

static inline void on_open(void *self, conn_id c, const struct net_peer *peer, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    ASSERT(peer->addr.ss_family == AF_INET); /* not CHECK: cmocka's is for the test's thread */
    *conn_at(o, c) = (struct conn){0};
    add(&o->opened);
}

static inline void on_timer(struct timer *timer, void *ctx)
{
    struct owner *o = (struct owner *)(void *)((char *)timer - offsetof(struct owner, timer));
    (void)ctx;
    conn_id c = o->paused;
    o->paused = CONN_NONE;
    net_resume(&o->port, c);
}

static inline void hand_over(struct owner *o, conn_id c, const uint8_t *p, size_t n)
{
    struct net_adopt *a = calloc(1, sizeof *a);
    a->leftover = malloc(n + 1);
    memcpy(a->leftover, p, n);
    a->leftover_len = (uint32_t)n;
    a->owner_data = strdup("ticket");
    a->free_owner_data = free;
    net_handover(&o->port, c, o->other, a);
}

static inline void on_data(void *self, conn_id c, uint8_t *p, size_t n, struct turn *t)
{
    struct owner *o = self;
    if (c == o->paused)
        add(&o->data_while_paused);
    for (size_t i = 0; i < 64; i++) /* readable behind the data */
        __asm__ volatile("" ::"r"(p[n + i]));
    switch (p[0]) {
    case 'P':
        o->paused = c;
        add(&o->pauses);
        net_pause(&o->port, c);
        o->timer.fire = on_timer;
        wheel_arm(t->wheel, &o->timer, t->mono_us + 100000);
        break;
    case 'F':
        say(o, c, "bye", 3);
        conn_at(o, c)->closing = true;
        net_close(&o->port, c, NET_CLOSE_FLUSH);
        break;
    case 'R':
        net_close(&o->port, c, NET_CLOSE_RESET);
        break;
    case 'H':
        hand_over(o, c, p + 1, n - 1);
        break;
    case 'B':
    case 'W': { /* and closed behind it */
        uint8_t *big = malloc(big_bytes);
        for (size_t i = 0; i < big_bytes; i++)
            big[i] = (uint8_t)(i * 7 >> 3);
        say(o, c, big, big_bytes);
        free(big);
        conn_at(o, c)->closing = p[0] == 'W';
        if (p[0] == 'W')
            net_close(&o->port, c, NET_CLOSE_FLUSH);
        break;
    }
    default:
        for (size_t i = 0; i < n; i++)
            p[i]++; /* writable */
        say(o, c, p, n);
        break;
    }
}

static inline void on_sent(void *self, conn_id c, enum err err, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    ASSERT(!conn_at(o, c)->closing); /* nothing comes after net_close but on_close */
    if (err != ERR_OK)
        add(&o->sent_err);
    struct conn *k = conn_at(o, c);
    free(k->out);
    k->out = NULL;
    size_t n = k->next_len;
    k->next_len = 0;
    if (err == ERR_OK && n > 0)
        say(o, c, k->next, n);
}

static inline void on_close(void *self, conn_id c, enum err why, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    free(conn_at(o, c)->out);
    conn_at(o, c)->out = NULL;
    add(&o->closed);
    add(&o->close_err[why]);
}

static inline void on_adopt(void *self, conn_id c, struct net_adopt *a, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    char text[300];
    *conn_at(o, c) = (struct conn){0};
    int n = snprintf(text, sizeof text, "%s:%.*s", (char *)a->owner_data, (int)a->leftover_len,
                     (const char *)a->leftover);
    net_adopt_free(a);
    add(&o->adopted);
    say(o, c, text, (size_t)n);
}

static const struct net_owner_ops owner_ops = {.on_open = on_open,
                                               .on_data = on_data,
                                               .on_sent = on_sent,
                                               .on_adopt = on_adopt,
                                               .on_close = on_close};

static inline void no_cells(void *self, actor_id from, enum ring_class class,
                            const struct cell *cells, uint32_t n, struct turn *t)
{
    (void)self, (void)from, (void)class, (void)cells, (void)n, (void)t;
}
static const struct actor_ops actor_ops = {.on_cells = no_cells};

struct fix {
    struct scratch scratch;
    struct loop loops[2], *peers[2];
    struct net *nets[2];
    struct owner owners[2];
    struct net_tls *tls;
    pthread_t threads[2];
    int fds[2];
    uint16_t port, tls_port;
};

static struct fix f;
static actor_id handover_to = 1;

static inline void *run(void *l)
{
    loop_run(l);
    return NULL;
}

static inline void make_certificate(char *cert, char *key, size_t n)
{
    char command[1200];
    snprintf(cert, n, "%s/cert.pem", f.scratch.conf.server_data);
    snprintf(key, n, "%s/key.pem", f.scratch.conf.server_data);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
             "/CN=localhost -keyout %s -out %s 2>/dev/null",
             key, cert);
    CHECK_EQ(system(command), 0);
}

static inline void fix_init(uint32_t conns_max, uint32_t write_timeout_ms, bool tls)
{
    char msg[300] = "";
    memset(&f, 0, sizeof f);
    scratch_init(&f.scratch);
    CHECK_EQ(net_probe(msg, sizeof msg), ERR_OK);
    if (tls) {
        char cert[300], key[300];
        make_certificate(cert, key, sizeof cert);
        CHECK_EQ(net_tls_new(&f.tls, cert, key, msg, sizeof msg), ERR_OK);
    }
    struct net_conf c = {.conns_max = conns_max,
                         .handshakes_max = 16,
                         .handshake_timeout_ms = 1500,
                         .write_timeout_ms = write_timeout_ms,
                         .tls = f.tls};
    for (uint16_t i = 0; i < 2; i++) {
        struct owner *o = &f.owners[i];
        CHECK_EQ(loop_init(&f.loops[i], i, i == 0 ? "acceptor" : "fanout"), ERR_OK);
        CHECK_EQ(net_new(&f.nets[i], &f.loops[i], &c), ERR_OK);
        f.loops[i].driver_ops = &net_driver_ops;
        f.loops[i].driver = f.nets[i];
        f.peers[i] = &f.loops[i];
        f.loops[i].peers = f.peers;
        o->actor = (struct actor){.ops = &actor_ops, .self = o, .id = i};
        loop_add(&f.loops[i], &o->actor);
        o->port = net_port_of(f.nets[i]);
        o->as_owner = (struct net_owner){&owner_ops, o};
        o->other = handover_to;
        o->paused = CONN_NONE;
        net_adopts_to(f.nets[i], &o->actor, &o->as_owner);
        net_set_peers(f.nets[i], f.nets);
    }
    CHECK_EQ(net_listen_socket("127.0.0.1:0", &f.fds[0], &f.port, msg, sizeof msg), ERR_OK);
    CHECK_EQ(net_listen(f.nets[0], f.fds[0], false, &f.owners[0].actor, &f.owners[0].as_owner),
             ERR_OK);
    if (tls) {
        CHECK_EQ(net_listen_socket("127.0.0.1:0", &f.fds[1], &f.tls_port, msg, sizeof msg), ERR_OK);
        CHECK_EQ(net_listen(f.nets[0], f.fds[1], true, &f.owners[0].actor, &f.owners[0].as_owner),
                 ERR_OK);
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&f.threads[i], NULL, run, &f.loops[i]), 0);
    for (int i = 0; i < 2; i++) {
        while (__atomic_load_n(&f.nets[i]->ring_fd, __ATOMIC_ACQUIRE) < 0)
            usleep(1000); /* a ring that is not there yet takes no handover */
    }
}

static inline void fix_deinit(void)
{
    for (int i = 0; i < 2; i++) {
        loop_stop(&f.loops[i]);
        net_wake(f.nets[i]);
        pthread_join(f.threads[i], NULL);
    }
    for (int i = 0; i < 2; i++) {
        net_free(f.nets[i]);
        for (int k = 0; k < conns_tracked; k++)
            free(f.owners[i].conns[k].out);
        if (f.fds[i] != 0)
            close(f.fds[i]);
    }
    net_tls_free(f.tls);
    scratch_deinit(&f.scratch);
}

/* ---- clients ---- */

static inline int dial(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void tell(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* A ring that this thread has once had may still interrupt it. */
static inline ssize_t take(int fd, void *p, size_t n)
{
    ssize_t r;
    while ((r = recv(fd, p, n, 0)) < 0 && errno == EINTR)
        continue;
    return r;
}

static inline void expect(int fd, const char *text)
{
    char got[512] = "";
    size_t n = strlen(text), have = 0;
    while (have < n) {
        ssize_t r = take(fd, got + have, n - have);
        CHECK(r > 0);
        have += (size_t)r;
    }
    CHECK_STR(got, text);
}

/* 0: an orderly end; ECONNRESET: a reset */
static inline int end_of(int fd)
{
    char c;
    ssize_t r = take(fd, &c, 1);
    CHECK(r <= 0);
    return r == 0 ? 0 : errno;
}

static inline bool within(uint32_t *p, uint32_t want)
{
    for (int i = 0; i < 500 && value(p) != want; i++)
        usleep(10000);
    return value(p) == want;
}

#endif
