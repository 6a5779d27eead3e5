/* Connections over the real ring on loopback: two loops in threads of their own, blocking clients
 * here. The first byte that a client sends tells the owner what to do. */
#include "net/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
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

static void add(uint32_t *p)
{
    __atomic_fetch_add(p, 1, __ATOMIC_RELAXED);
}

static uint32_t value(uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static struct conn *conn_at(struct owner *o, conn_id c)
{
    return &o->conns[(uint32_t)c % conns_tracked];
}

static void say(struct owner *o, conn_id c, const void *p, size_t n)
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

static void on_open(void *self, conn_id c, const struct net_peer *peer, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    ASSERT(peer->addr.ss_family == AF_INET); /* not CHECK: cmocka's is for the test's thread */
    *conn_at(o, c) = (struct conn){0};
    add(&o->opened);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct owner *o = (struct owner *)(void *)((char *)timer - offsetof(struct owner, timer));
    (void)ctx;
    conn_id c = o->paused;
    o->paused = CONN_NONE;
    net_resume(&o->port, c);
}

static void hand_over(struct owner *o, conn_id c, const uint8_t *p, size_t n)
{
    struct net_adopt *a = calloc(1, sizeof *a);
    a->leftover = malloc(n + 1);
    memcpy(a->leftover, p, n);
    a->leftover_len = (uint32_t)n;
    a->owner_data = strdup("ticket");
    a->free_owner_data = free;
    net_handover(&o->port, c, o->other, a);
}

static void on_data(void *self, conn_id c, uint8_t *p, size_t n, struct turn *t)
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

static void on_sent(void *self, conn_id c, enum err err, struct turn *t)
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

static void on_close(void *self, conn_id c, enum err why, struct turn *t)
{
    struct owner *o = self;
    (void)t;
    free(conn_at(o, c)->out);
    conn_at(o, c)->out = NULL;
    add(&o->closed);
    add(&o->close_err[why]);
}

static void on_adopt(void *self, conn_id c, struct net_adopt *a, struct turn *t)
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

static void no_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
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

static void *run(void *l)
{
    loop_run(l);
    return NULL;
}

static void make_certificate(char *cert, char *key, size_t n)
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

static void fix_init(uint32_t conns_max, uint32_t write_timeout_ms, bool tls)
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

static void fix_deinit(void)
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

static int dial(uint16_t port)
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

static void tell(int fd, const char *text)
{
    CHECK_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* A ring that this thread has once had may still interrupt it. */
static ssize_t take(int fd, void *p, size_t n)
{
    ssize_t r;
    while ((r = recv(fd, p, n, 0)) < 0 && errno == EINTR)
        continue;
    return r;
}

static void expect(int fd, const char *text)
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
static int end_of(int fd)
{
    char c;
    ssize_t r = take(fd, &c, 1);
    CHECK(r <= 0);
    return r == 0 ? 0 : errno;
}

static bool within(uint32_t *p, uint32_t want)
{
    for (int i = 0; i < 500 && value(p) != want; i++)
        usleep(10000);
    return value(p) == want;
}

TEST(echo_and_ends_of_every_kind)
{
    fix_init(16, 20000, false);
    int a = dial(f.port), b = dial(f.port), c = dial(f.port);
    tell(a, "aello");
    expect(a, "bfmmp");
    tell(b, "Fx");
    expect(b, "bye");
    CHECK_EQ(end_of(b), 0);
    tell(c, "R");
    CHECK_EQ(end_of(c), ECONNRESET);
    tell(a, "again");
    expect(a, "bhbjo");
    close(a);
    CHECK(within(&f.owners[0].closed, 3));
    CHECK_EQ(value(&f.owners[0].opened), 3);
    CHECK_EQ(value(&f.owners[0].close_err[ERR_OK]), 2);
    CHECK_EQ(value(&f.owners[0].close_err[ERR_CLOSED]), 1);
    close(b);
    close(c);
    fix_deinit();
}

/* An answer that is sent before a close can be read by a client that is still sending. */
TEST(a_flushed_answer_outlives_what_the_client_still_sends)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    static char junk[300000];
    memset(junk, 'F', sizeof junk);
    CHECK_EQ(send(a, junk, sizeof junk, MSG_NOSIGNAL), (ssize_t)sizeof junk);
    usleep(50000);
    expect(a, "bye");
    close(a);
    fix_deinit();
}

TEST(a_paused_connection_is_not_read_and_loses_nothing)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "P");
    CHECK(within(&f.owners[0].pauses, 1));
    tell(a, "x1");
    usleep(20000);
    tell(a, "23");
    expect(a, "y234");
    CHECK_EQ(value(&f.owners[0].data_while_paused), 0);
    close(a);
    fix_deinit();
}

static void read_big(int fd)
{
    static uint8_t buf[65536];
    for (size_t at = 0; at < big_bytes;) {
        ssize_t r = take(fd, buf, sizeof buf);
        CHECK(r > 0);
        for (ssize_t i = 0; i < r; i++, at++)
            CHECK(buf[i] == (uint8_t)(at * 7 >> 3));
    }
}

TEST(large_sends_arrive_whole)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "B");
    usleep(100000); /* the socket's buffer fills: short sends */
    read_big(a);
    tell(a, "still");
    expect(a, "tujmm");
    close(a);
    fix_deinit();
}

TEST(a_reader_that_takes_nothing_is_cut_off)
{
    fix_init(16, 200, false);
    int a = dial(f.port), b = dial(f.port);
    tell(a, "B");
    CHECK(within(&f.owners[0].closed, 1));
    CHECK_EQ(value(&f.owners[0].close_err[ERR_IO]), 1);
    CHECK_EQ(value(&f.owners[0].sent_err), 1); /* its memory came back before the end */
    tell(b, "ok");
    expect(b, "pl"); /* the neighbour is unharmed */
    close(a);
    close(b);
    fix_deinit();
}

/* The last answer before a close has the same patience, and no more. */
TEST(a_reader_that_takes_nothing_before_a_close_is_cut_off)
{
    fix_init(16, 200, false);
    int a = dial(f.port);
    tell(a, "W");
    CHECK(within(&f.owners[0].closed, 1));
    CHECK_EQ(value(&f.owners[0].close_err[ERR_OK]), 1);
    close(a);
    fix_deinit();
}

TEST(a_slow_reader_gets_all_before_a_close)
{
    enum { step = 256 << 10 };
    static uint8_t buf[step];
    fix_init(16, 400, false);
    int a = dial(f.port);
    tell(a, "W");
    size_t at = 0;
    for (ssize_t r = 1; r > 0; at += (size_t)r) {
        usleep(50000); /* in all four times the patience of the writer */
        r = recv(a, buf, sizeof buf, MSG_WAITALL);
        CHECK(r >= 0);
    }
    CHECK_EQ(at, big_bytes);
    close(a);
    fix_deinit();
}

TEST(handover_takes_leftovers_and_late_bytes)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "Hleft");
    expect(a, "ticket:left");
    tell(a, "xlate");
    expect(a, "ymbuf");
    CHECK_EQ(value(&f.owners[1].adopted), 1);
    CHECK_EQ(value(&f.owners[0].closed), 0); /* the old owner let go of it */
    tell(a, "F");
    expect(a, "bye");
    CHECK_EQ(end_of(a), 0);
    CHECK(within(&f.owners[1].closed, 1));
    close(a);
    /* Bytes that arrive while it moves, and a peer that leaves while it moves. */
    for (int i = 0; i < 50; i++) {
        a = dial(f.port);
        tell(a, "H");
        if (i % 2 == 0) {
            tell(a, "x");
            expect(a, "ticket:");
            /* The x may have been the leftover's, or late and echoed. */
            char c;
            CHECK_EQ(take(a, &c, 1), 1);
            CHECK(c == 'x' || c == 'y');
        }
        close(a);
    }
    CHECK(within(&f.owners[1].closed, 51));
    fix_deinit();
}

TEST(handover_within_a_loop)
{
    handover_to = 0;
    fix_init(16, 20000, false);
    handover_to = 1;
    int a = dial(f.port);
    tell(a, "Hx");
    expect(a, "ticket:x");
    tell(a, "a");
    expect(a, "b");
    close(a);
    CHECK(within(&f.owners[0].closed, 1));
    fix_deinit();
}

TEST(past_the_limit_connections_wait_in_the_backlog)
{
    fix_init(2, 20000, false);
    int a = dial(f.port), b = dial(f.port), c = dial(f.port);
    tell(a, "a");
    tell(b, "a");
    tell(c, "a");
    expect(a, "b");
    expect(b, "b");
    struct pollfd p = {.fd = c, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 100), 0);
    CHECK_EQ(value(&f.owners[0].opened), 2);
    close(a);
    expect(c, "b");
    close(b);
    close(c);
    CHECK(within(&f.owners[0].closed, 3));
    fix_deinit();
}

/* Slots are freed by the kernel before their connections here: crowds at the limit must not find
 * the table at odds with the slab. */
TEST(crowds_come_and_go_at_the_limit)
{
    enum { crowd = 200, limit = 80 };
    fix_init(limit, 20000, false);
    static int fds[crowd];
    for (int round = 0; round < 15; round++) {
        for (int i = 0; i < crowd; i++) {
            fds[i] = dial(f.port);
            (void)send(fds[i], i % 3 == 0 ? "R" : i % 3 == 1 ? "F" : "a", 1, MSG_NOSIGNAL);
        }
        for (int i = 0; i < crowd; i++)
            close(fds[i]);
    }
    for (int i = 0; i < 300; i++) { /* whatever is left of the backlog drains, then all is well */
        usleep(10000);
        if (value(&f.owners[0].opened) == value(&f.owners[0].closed))
            break;
    }
    int a = dial(f.port);
    tell(a, "a");
    expect(a, "b");
    close(a);
    fix_deinit();
}

/* ---- TLS ---- */

static SSL *secure(int fd, SSL_CTX *ctx, SSL_SESSION *session)
{
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (session != NULL)
        SSL_set_session(ssl, session);
    int rc;
    errno = 0;
    while ((rc = SSL_connect(ssl)) < 0 && errno == EINTR)
        errno = 0;
    CHECK_EQ(rc, 1);
    return ssl;
}

static int ssl_take(SSL *ssl, void *p, size_t n)
{
    int r;
    errno = 0;
    while ((r = SSL_read(ssl, p, (int)n)) < 0 && errno == EINTR)
        errno = 0;
    return r;
}

static void ssl_expect(SSL *ssl, const char *text)
{
    char got[512] = "";
    size_t n = strlen(text), have = 0;
    while (have < n) {
        int r = ssl_take(ssl, got + have, n - have);
        CHECK(r > 0);
        have += (size_t)r;
    }
    CHECK_STR(got, text);
}

static void ssl_tell(SSL *ssl, const char *text)
{
    CHECK_EQ(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void tls_round(uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\x02h2\x08http/1.1", 12);
    kept = NULL;
    for (int round = 0; round < 2; round++) {
        int fd = dial(f.tls_port);
        SSL *ssl = secure(fd, ctx, kept);
        CHECK_EQ(SSL_session_reused(ssl), round);
        const uint8_t *alpn;
        unsigned alpn_len;
        SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
        CHECK_EQ(alpn_len, 8);
        ssl_tell(ssl, "aello");
        ssl_expect(ssl, "bfmmp");
        char got[8]; /* SSL_read gives no more than a record: three pieces were sent as one */
        ssl_tell(ssl, "abcdef");
        CHECK_EQ(ssl_take(ssl, got, sizeof got), 6);
        ssl_tell(ssl, "P");
        ssl_tell(ssl, "x1");
        ssl_expect(ssl, "y2");
        SSL_free(ssl);
        close(fd);
    }
    SSL_SESSION_free(kept);
    SSL_CTX_free(ctx);
}

TEST(tls_echo_resumption_and_pause)
{
    fix_init(16, 20000, true);
    tls_round(TLS1_2_VERSION);
    tls_round(TLS1_3_VERSION);
    CHECK_EQ(value(&f.owners[0].data_while_paused), 0);
    fix_deinit();
}

TEST(tls_handover_and_orderly_end)
{
    fix_init(16, 20000, true);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = dial(f.tls_port);
    SSL *ssl = secure(fd, ctx, NULL);
    ssl_tell(ssl, "Hleft");
    ssl_tell(ssl, "xlate"); /* a record of its own, ciphertext on its way while it moves */
    ssl_expect(ssl, "ticket:left");
    CHECK_EQ(value(&f.owners[1].adopted), 1);
    ssl_expect(ssl, "ymbuf");
    ssl_tell(ssl, "B");
    static uint8_t buf[65536];
    for (size_t at = 0; at < big_bytes;) {
        int r = ssl_take(ssl, buf, sizeof buf);
        CHECK(r > 0);
        for (int i = 0; i < r; i++, at++)
            CHECK(buf[i] == (uint8_t)(at * 7 >> 3));
    }
    ssl_tell(ssl, "F");
    ssl_expect(ssl, "bye");
    CHECK_EQ(ssl_take(ssl, buf, 1), 0);
    CHECK_EQ(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* close_notify, not a cut */
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 500), 1); /* and FIN at once behind it */
    CHECK_EQ(end_of(fd), 0);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    fix_deinit();
}

TEST(tls_refusals)
{
    fix_init(16, 20000, true);
    int fd = dial(f.tls_port);
    tell(fd, "GET / HTTP/1.1\r\n\r\n"); /* no TLS at all */
    char junk[256];
    while (take(fd, junk, sizeof junk) > 0)
        continue;
    close(fd);
    fd = dial(f.tls_port); /* says nothing: the handshake's time runs out */
    CHECK(end_of(fd) != EAGAIN);
    close(fd);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    fd = dial(f.tls_port);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    CHECK(SSL_connect(ssl) != 1);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\x02h2", 3); /* nothing that we speak */
    fd = dial(f.tls_port);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    CHECK(SSL_connect(ssl) != 1);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    CHECK_EQ(value(&f.owners[0].opened), 0);
    fix_deinit();
}
