/* net/port.h - what an actor sees of the network: events in, operations out. net/ implements it
 * over io_uring and BoringSSL; the simulator over memory. TLS is invisible here except in struct
 * net_peer. Thread: all calls and all events on the loop that owns the connection.
 *
 * Rules: one send per connection at a time (net_send while one is under way asserts); the bytes
 * sent are borrowed until on_sent. on_data lends its bytes for the call; the actor takes all of
 * them. After net_pause no on_data comes until net_resume (net keeps what had arrived). After
 * net_close comes on_close, once, later, and then the id is dead; no on_data or on_sent comes after
 * net_close returned, and what a send under way borrowed is free at on_close. */
#ifndef PARLEY_NET_PORT_H
#define PARLEY_NET_PORT_H

#include <netinet/in.h>
#include <sys/uio.h>
#include "base/compiler.h"
#include "base/err.h"
#include "base/str_view.h"
#include "ring/cell.h"

/* A slab handle (base/slab.h): slab_index() of it is dense, below the most connections that the
 * port's loop may have, so that an owner can keep a table beside it; the generation is above. */
typedef uint64_t conn_id;
#define CONN_NONE UINT64_MAX
enum { net_iov_max = 64 };

struct turn; /* ring/loop.h: time, randomness, outbox of this turn */

struct net_peer {
    struct sockaddr_storage addr;
    bool tls;
    uint16_t listener; /* index in the configuration of net */
};

/* A connection on its way from an acceptor to a fanout. Heap; made by the sender, freed by the
 * adopter. `leftover` are bytes that arrived behind the upgrade request, already decrypted. */
struct net_adopt {
    struct net_peer peer;
    void *tls; /* net's own, with what frees it */
    void (*free_tls)(void *tls);
    uint8_t *late; /* net's own: bytes (ciphertext) that came after the hand-over began; follow
                      through on_data */
    uint32_t late_len;
    actor_id to;             /* net's own: the adopter */
    struct net_adopt **link; /* net's own: of the list of what is on its way there */
    struct net_adopt *next;
    uint8_t *leftover; /* malloc, freed by net_adopt_free */
    uint32_t leftover_len;
    void *owner_data; /* the sender's word to the adopter, e.g. the ticket and the request's key;
                         malloc */
    void (*free_owner_data)(void *);
};
void net_adopt_free(struct net_adopt *a);

struct net_owner_ops {
    /* A new connection (for TLS: handshake done). */
    void (*on_open)(void *self, conn_id c, const struct net_peer *peer, struct turn *t);
    /* p is writable (a WebSocket unmasks in place) and has 64 readable bytes behind n. */
    void (*on_data)(void *self, conn_id c, uint8_t *p, size_t n, struct turn *t);
    /* The whole send is with the kernel; its memory is the actor's again. err: it failed, on_close
     * follows. */
    void (*on_sent)(void *self, conn_id c, enum err err, struct turn *t);
    /* A handed-over connection is here. The actor owns *a and frees it; leftover is NOT replayed
     * through on_data. */
    void (*on_adopt)(void *self, conn_id c, struct net_adopt *a, struct turn *t);
    /* The connection is gone: peer closed (ERR_CLOSED), failed (ERR_IO), or net_close was called
     * (ERR_OK). A send under way has had its on_sent before. The id is dead after this call. */
    void (*on_close)(void *self, conn_id c, enum err why, struct turn *t);
    /* The peer sends no more but may still read (its FIN, under TLS its close_notify), told once,
     * behind all its bytes: the owner finishes what is under way, then calls net_close. NULL: the
     * connection ends there, on_close follows. */
    void (*on_end)(void *self, conn_id c, struct turn *t);
};

struct net_owner { /* lives as long as the loop */
    const struct net_owner_ops *ops;
    void *self;
};

enum net_close_how {
    NET_CLOSE_FLUSH, /* after the send under way, TLS close_notify, FIN */
    NET_CLOSE_RESET  /* at once, SO_LINGER 0: the kernel keeps nothing */
};

struct net_port_ops {
    /* Sends all n pieces in order (n <= net_iov_max; the array itself is copied). Queued now,
     * submitted at turn end. */
    void (*send)(void *net, conn_id c, const struct iovec *v, unsigned n);
    void (*pause)(void *net, conn_id c);
    void (*resume)(void *net, conn_id c);
    void (*close)(void *net, conn_id c, enum net_close_how how);
    /* Moves the connection to the loop of actor `to`, where on_adopt is called. The id is dead here
     * when the call returns, without on_close. No send may be under way. *a is net's until
     * on_adopt. If it cannot be moved (destination's table full, peer gone), the connection is
     * closed and *a freed. */
    void (*handover)(void *net, conn_id c, actor_id to, struct net_adopt *a);
    /* Stop and restart taking new connections (drain, or a limit of the actor). */
    void (*accept_pause)(void *net);
    void (*accept_resume)(void *net);
};

struct net_port {
    const struct net_port_ops *ops;
    void *net;
};

static inline void net_send(const struct net_port *p, conn_id c, const struct iovec *v, unsigned n)
{
    p->ops->send(p->net, c, v, n);
}
static inline void net_pause(const struct net_port *p, conn_id c)
{
    p->ops->pause(p->net, c);
}
static inline void net_resume(const struct net_port *p, conn_id c)
{
    p->ops->resume(p->net, c);
}
static inline void net_close(const struct net_port *p, conn_id c, enum net_close_how how)
{
    p->ops->close(p->net, c, how);
}
static inline void net_handover(const struct net_port *p, conn_id c, actor_id to,
                                struct net_adopt *a)
{
    p->ops->handover(p->net, c, to, a);
}

#endif
