/* A peer that has said its last word and waits for the answer: shutdown(SHUT_WR), as `nc -N` does.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"
#include "test.h"

struct host {
    struct net_port net;
    conn_id conn;
    char got[64];
    size_t got_len, got_at_end;
    unsigned ends, closes;
    bool pause;
    enum err why;
};

static void on_open(void *self, conn_id c, const struct net_peer *peer, struct turn *t)
{
    (void)peer, (void)t;
    struct host *h = self;
    h->conn = c;
    if (h->pause)
        net_pause(&h->net, c);
}

static void on_data(void *self, conn_id c, uint8_t *p, size_t n, struct turn *t)
{
    (void)c, (void)t;
    struct host *h = self;
    CHECK(h->ends == 0 && h->got_len + n < sizeof h->got);
    memcpy(h->got + h->got_len, p, n);
    h->got_len += n;
}

static void on_sent(void *self, conn_id c, enum err err, struct turn *t)
{
    (void)err, (void)t;
    struct host *h = self;
    net_close(&h->net, c, NET_CLOSE_FLUSH);
}

static void on_close(void *self, conn_id c, enum err why, struct turn *t)
{
    (void)c, (void)t;
    struct host *h = self;
    h->closes++;
    h->why = why;
}

static void on_end(void *self, conn_id c, struct turn *t)
{
    (void)c, (void)t;
    struct host *h = self;
    h->ends++;
    h->got_at_end = h->got_len;
}

static const struct net_owner_ops ops = {.on_open = on_open,
                                         .on_data = on_data,
                                         .on_sent = on_sent,
                                         .on_close = on_close,
                                         .on_end = on_end};
static const struct net_owner_ops endless_ops = {
    .on_open = on_open, .on_data = on_data, .on_sent = on_sent, .on_close = on_close};

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    (void)self, (void)from, (void)class, (void)cells, (void)n, (void)t;
}

static const struct actor_ops actor_ops = {.on_cells = on_cells};

struct rig {
    struct loop loop;
    struct net *net;
    struct host host;
    struct actor actor;
    struct net_owner owner;
    int listener, client;
};

static void turns(struct rig *r, int n)
{
    for (int i = 0; i < n; i++) {
        loop_turn(&r->loop);
        net_driver_ops.wait(r->net, 1000);
    }
}

/* A client that says hello and ends. */
static void rig_init(struct rig *r, const struct net_owner_ops *owner_ops, bool pause)
{
    struct net_conf conf = {.conns_max = 4, .write_timeout_ms = 1000};
    char msg[256];
    uint16_t port;
    *r = (struct rig){.actor = {.ops = &actor_ops}, .host = {.pause = pause, .conn = CONN_NONE}};
    r->owner = (struct net_owner){owner_ops, &r->host};
    CHECK_EQ(net_listen_socket("127.0.0.1:0", &r->listener, &port, msg, sizeof msg), ERR_OK);
    CHECK_EQ(loop_init(&r->loop, 0, "test"), ERR_OK);
    loop_add(&r->loop, &r->actor);
    CHECK_EQ(net_new(&r->net, &r->loop, &conf), ERR_OK);
    r->loop.driver_ops = &net_driver_ops;
    r->loop.driver = r->net;
    r->host.net = net_port_of(r->net);
    CHECK_EQ(net_listen(r->net, r->listener, false, &r->actor, &r->owner), ERR_OK);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    r->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(r->client, (struct sockaddr *)&to, sizeof to) == 0);
    for (int i = 0; i < 1000 && r->host.conn == CONN_NONE; i++)
        turns(r, 1);
    CHECK_EQ(send(r->client, "hello", 5, 0), 5);
    CHECK_EQ(shutdown(r->client, SHUT_WR), 0);
    turns(r, 20);
}

static void rig_deinit(struct rig *r)
{
    close(r->client);
    net_free(r->net);
    loop_deinit(&r->loop);
    close(r->listener);
}

/* The kernel closes in its own time. */
static ssize_t receive(struct rig *r, char *p, size_t n)
{
    ssize_t got = -1;
    for (int i = 0; i < 1000 && got < 0; i++) {
        got = recv(r->client, p, n, MSG_DONTWAIT);
        turns(r, 1);
    }
    return got;
}

static void answer_and_check(struct rig *r)
{
    static char answer[] = "answer";
    struct iovec v = {answer, 6};
    char text[64];
    net_send(&r->host.net, r->host.conn, &v, 1);
    for (int i = 0; i < 1000 && r->host.closes == 0; i++)
        turns(r, 1);
    CHECK_EQ(r->host.closes, 1);
    CHECK_EQ(r->host.why, ERR_OK);
    turns(r, 20);
    CHECK_EQ(receive(r, text, sizeof text), 6);
    CHECK_MEM(text, "answer", 6);
    CHECK_EQ(receive(r, text, sizeof text), 0); /* an end, not a reset */
    CHECK_EQ(r->host.ends, 1);
}

TEST(who_has_ended_is_still_answered)
{
    struct rig r;
    rig_init(&r, &ops, false);
    CHECK_EQ(r.host.got_len, 5);
    CHECK_EQ(r.host.ends, 1);
    CHECK_EQ(r.host.closes, 0);
    uint64_t before = r.loop.metrics.values[METRIC_LOOP_TURNS];
    uint64_t from_us = clock_mono_us();
    for (int i = 0; i < 5; i++) { /* the end is told once: the loop sleeps on */
        loop_turn(&r.loop);
        net_driver_ops.wait(r.net, 20000);
    }
    CHECK(clock_mono_us() - from_us > 50000);
    CHECK_EQ(r.loop.metrics.values[METRIC_LOOP_TURNS], before + 5);
    answer_and_check(&r);
    rig_deinit(&r);
}

TEST(the_end_comes_behind_what_was_held_back)
{
    struct rig r;
    rig_init(&r, &ops, true);
    CHECK_EQ(r.host.got_len, 0);
    CHECK_EQ(r.host.ends, 0);
    net_resume(&r.host.net, r.host.conn);
    turns(&r, 20);
    CHECK_EQ(r.host.ends, 1);
    CHECK_EQ(r.host.got_at_end, 5);
    answer_and_check(&r);
    rig_deinit(&r);
}

TEST(an_owner_without_on_end_sees_a_close)
{
    struct rig r;
    rig_init(&r, &endless_ops, false);
    CHECK_EQ(r.host.got_len, 5);
    CHECK_EQ(r.host.closes, 1);
    CHECK_EQ(r.host.why, ERR_CLOSED);
    rig_deinit(&r);
}
