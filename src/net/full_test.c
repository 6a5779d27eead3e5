/* A loop whose table of connections is full, and whose peers come and go in the same instant. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"
#include "test.h"

enum { conns_max = 100, first = 35, leaving = 10, rush = conns_max - first + leaving };

struct guests {
    struct net_port net;
    uint32_t opened, open, closed;
    conn_id ids[conns_max];
    uint64_t bytes;
    bool listens; /* keeps whoever talks */
};

static void on_open(void *self, conn_id c, const struct net_peer *peer, struct turn *t)
{
    (void)peer, (void)t;
    struct guests *g = self;
    g->ids[g->opened % conns_max] = c;
    g->opened++;
    g->open++;
}

static void on_data(void *self, conn_id c, uint8_t *p, size_t n, struct turn *t)
{
    (void)p, (void)t;
    struct guests *g = self;
    g->bytes += n;
    if (!g->listens)
        net_close(&g->net, c, NET_CLOSE_RESET);
}

static void on_sent(void *self, conn_id c, enum err err, struct turn *t)
{
    (void)self, (void)c, (void)err, (void)t;
}

static void on_adopt(void *self, conn_id c, struct net_adopt *a, struct turn *t)
{
    (void)self, (void)c, (void)t;
    net_adopt_free(a);
}

static void on_close(void *self, conn_id c, enum err why, struct turn *t)
{
    (void)c, (void)why, (void)t;
    struct guests *g = self;
    g->open--;
    g->closed++;
}

static const struct net_owner_ops ops = {.on_open = on_open,
                                         .on_data = on_data,
                                         .on_sent = on_sent,
                                         .on_adopt = on_adopt,
                                         .on_close = on_close};

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    (void)self, (void)from, (void)class, (void)cells, (void)n, (void)t;
}

static const struct actor_ops actor_ops = {.on_cells = on_cells};

static int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

struct rig {
    struct loop loop;
    struct net *net;
    struct guests guests;
    struct actor actor;
    struct net_owner owner;
    int listener;
    uint16_t port;
};

static void rig_init(struct rig *r, uint32_t table)
{
    struct net_conf conf = {.conns_max = table, .write_timeout_ms = 1000};
    char msg[256];
    *r = (struct rig){.actor = {.ops = &actor_ops}};
    r->owner = (struct net_owner){&ops, &r->guests};
    CHECK_EQ(net_listen_socket("127.0.0.1:0", &r->listener, &r->port, msg, sizeof msg), ERR_OK);
    CHECK_EQ(loop_init(&r->loop, 0, "test"), ERR_OK);
    loop_add(&r->loop, &r->actor);
    CHECK_EQ(net_new(&r->net, &r->loop, &conf), ERR_OK);
    r->loop.driver_ops = &net_driver_ops;
    r->loop.driver = r->net;
    r->guests.net = net_port_of(r->net);
    CHECK_EQ(net_listen(r->net, r->listener, false, &r->actor, &r->owner), ERR_OK);
}

static void rig_deinit(struct rig *r)
{
    net_free(r->net);
    loop_deinit(&r->loop);
    close(r->listener);
}

static void turns(struct rig *r, int n)
{
    for (int i = 0; i < n; i++) {
        loop_turn(&r->loop);
        net_driver_ops.wait(r->net, 1000);
    }
}

static void turns_until(struct rig *r, uint32_t open)
{
    for (int i = 0; i < 1000 && r->guests.open != open; i++)
        turns(r, 1);
    CHECK_EQ(r->guests.open, open);
}

/* The kernel gives a closed connection's descriptor away before its slot is ours again. The daemon
 * once took such a connection for a broken invariant and ended. */
TEST(a_rush_while_others_leave_at_the_limit)
{
    struct rig r;
    int clients[first + rush];
    rig_init(&r, conns_max);
    for (int i = 0; i < first; i++)
        clients[i] = dial(r.port);
    turns_until(&r, first);

    for (int i = 0; i < leaving; i++)
        close(clients[i]);
    for (loop_turn(&r.loop); r.guests.closed < leaving; loop_turn(&r.loop))
        net_driver_ops.wait(r.net, 1000);
    for (int i = 0; i < rush; i++) /* before the wait that closes their descriptors */
        clients[first + i] = dial(r.port);
    net_driver_ops.wait(r.net, 1000);
    turns_until(&r, conns_max);

    for (int i = leaving; i < first + rush; i++)
        close(clients[i]);
    turns_until(&r, 0);
    int again = dial(r.port); /* and it serves on */
    turns_until(&r, 1);
    close(again);
    rig_deinit(&r);
}

/* Near the limit connections are taken one by one, into the table too: a plain descriptor would be
 * taken for a slot. */
TEST(a_small_table_fills_and_the_rest_waits)
{
    enum { table = 4 };
    struct rig r;
    int clients[table + 1];
    rig_init(&r, table);
    for (int i = 0; i <= table; i++)
        clients[i] = dial(r.port);
    turns_until(&r, table);
    turns(&r, 20);
    CHECK_EQ(r.guests.closed, 0);
    CHECK_EQ(r.guests.open, table);

    close(clients[0]); /* room for the one that waits in the backlog */
    for (int i = 0; i < 1000 && r.guests.opened < table + 1; i++)
        turns(&r, 1);
    CHECK_EQ(r.guests.opened, table + 1);
    CHECK_EQ(r.guests.open, table);
    for (int i = 1; i <= table; i++)
        close(clients[i]);
    turns_until(&r, 0);
    rig_deinit(&r);
}

/* More waits when all are read again than there are buffers: who found none is read a turn later.
 */
TEST(those_who_found_no_buffer_are_read_too)
{
    enum { talkers = 90, words = 64 << 10 };
    static const uint8_t text[words];
    struct rig r;
    int clients[talkers];
    rig_init(&r, conns_max);
    r.guests.listens = true;
    for (int i = 0; i < talkers; i++)
        clients[i] = dial(r.port);
    turns_until(&r, talkers);
    for (int i = 0; i < talkers; i++)
        net_pause(&r.guests.net, r.guests.ids[i]);
    turns(&r, 10);
    for (int i = 0; i < talkers; i++)
        CHECK_EQ(send(clients[i], text, words, MSG_NOSIGNAL), words);
    for (int i = 0; i < talkers; i++)
        net_resume(&r.guests.net, r.guests.ids[i]);
    for (int i = 0; i < 1000 && r.guests.bytes < (uint64_t)talkers * words; i++)
        turns(&r, 1);
    CHECK_EQ(r.guests.bytes, (uint64_t)talkers * words);
    for (int i = 0; i < talkers; i++)
        close(clients[i]);
    turns_until(&r, 0);
    rig_deinit(&r);
}
