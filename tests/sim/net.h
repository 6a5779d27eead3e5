/* sim/net.h - the network in memory: net_port on the server's side, byte streams on the clients'.
 * Bytes are split and joined at random, connections are cut at any byte, receive buffers fill up.
 * What net/port.h demands of the actors is checked here: one send at a time, no use of dead ids,
 * lent bytes that do not change while they are lent. */
#ifndef PARLEY_SIM_NET_H
#define PARLEY_SIM_NET_H

#include "base/slab.h"
#include "net/port.h"
#include "ring/loop.h"
#include "rng.h"

struct world;

enum { sim_conns_max = 256, sim_stamps_max = 512 };

struct bytes { /* a growing queue of bytes */
    uint8_t *p;
    size_t len, at, cap; /* [at, len) wait */
};
void bytes_put(struct bytes *b, const void *p, size_t n);
static inline size_t bytes_left(const struct bytes *b)
{
    return b->len - b->at;
}

static inline void bytes_drop(struct bytes *b)
{
    b->at = b->len = 0;
}

/* Up to this byte of the stream the server had said everything when the store was at pos. */
struct stamp {
    uint64_t until, pos;
};

enum conn_state {
    SIM_FREE,
    SIM_BACKLOG, /* connected, not yet accepted */
    SIM_OPEN,
    SIM_MOVING,  /* handed over, not yet adopted */
    SIM_CLOSING, /* the server's side ends; on_close is still to come */
    SIM_SHUT     /* the server's side is gone; the client may still read */
};

struct sim_conn {
    uint16_t slot;
    enum conn_state state;
    bool queued; /* in its port's list of those with something to do */
    /* server's side */
    struct sim_port *port;
    uint64_t handle; /* in the port's slab: the present owner's id of it */
    struct actor *actor;
    bool announced, paused;
    enum err why;
    enum net_close_how how;
    struct iovec iov[net_iov_max];
    unsigned iov_len, iov_at;
    size_t iov_off;
    uint64_t lent_hash;
    uint64_t deadline_us; /* of the send's progress */
    struct net_adopt *adopt;
    actor_id adopt_to;
    /* the wire */
    struct bytes up, down;
    bool up_fin, up_reset, down_fin, down_reset;
    bool end_told;      /* on_end was called */
    size_t receive_max; /* bytes that may wait for the client */
    uint64_t down_ever, read_ever;
    struct stamp stamps[sim_stamps_max];
    uint32_t stamps_from, stamps_len;
    /* client's side */
    bool client_open;
    uint32_t client; /* index; whom to wake */
};

struct sim_port { /* of one loop */
    struct world *w;
    struct loop *loop;
    struct actor *listener; /* the acceptor on this loop, or NULL */
    const struct net_owner_ops *listener_ops;
    struct {
        struct actor *actor;
        const struct net_owner_ops *ops;
    } adopters[4];
    uint32_t adopters_len;
    struct slab slots; /* conn ids are its handles; a slot holds the connection's number */
    uint32_t conns, conns_max;
    uint32_t write_timeout_ms;
    bool accept_paused;
    uint16_t queue[sim_conns_max];
    uint32_t queue_len;
};

struct sim_net {
    struct world *w;
    struct rng rng;
    struct sim_conn conns[sim_conns_max];
    uint32_t conns_top;     /* no slot from here on was ever used */
    struct sim_port *ports; /* by loop */
    uint32_t ports_len;
    uint64_t bytes_up, bytes_down;
};

void sim_port_start(struct sim_port *p); /* conns_max is known */
extern const struct net_port_ops sim_port_ops;
extern const struct loop_driver_ops sim_driver_ops; /* driver: struct sim_port * */

void sim_net_init(struct sim_net *n, struct world *w, uint64_t seed);
void sim_net_deinit(struct sim_net *n);
/* The process is gone: the server's side of every connection ends, clients see a reset. */
void sim_net_crash(struct sim_net *n);
/* When a send that makes no progress will be given up; UINT64_MAX: none. */
uint64_t sim_net_next_us(const struct sim_net *n);
/* Gives up what is due. */
void sim_net_tick(struct sim_net *n);

/* Clients. A connection is named by its slot until client_gone. */
struct sim_conn *sim_connect(struct sim_net *n, uint32_t client); /* NULL: refused or no slot */
void sim_write(struct sim_net *n, struct sim_conn *c, const void *p, size_t len);
/* Takes up to max waiting bytes; they stay valid until the next call. */
struct str_view sim_read(struct sim_net *n, struct sim_conn *c, size_t max);
bool sim_readable(const struct sim_conn *c); /* bytes wait, or the end does */
bool sim_ended(const struct sim_conn *c);    /* the server has closed and nothing waits */
/* The store's position when the server said the byte before `offset` of the stream. */
uint64_t sim_stamp(struct sim_conn *c, uint64_t offset);
/* Lost on the way, at any byte in both directions; both sides notice. */
void sim_cut(struct sim_net *n, struct sim_conn *c);
/* No more will be written; what the server says is still read. */
void sim_shut_down(struct sim_conn *c);
void sim_hang_up(struct sim_net *n, struct sim_conn *c, bool reset);

/* net.c, for net_wire.c: the connection has something to do for its port; its slot is free once
 * both sides have let go; who waits goes to an acceptor. */
void sim_enqueue(struct sim_conn *c);
void sim_free_if_done(struct sim_conn *c);
void sim_assign_backlog(struct sim_net *n);
void sim_give_slot(struct sim_conn *c);
void sim_free_adopt(struct sim_conn *c);
void sim_start_close(struct sim_conn *c, enum err why, enum net_close_how how);

#endif
