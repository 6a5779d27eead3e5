/* net/net.h - one per loop: the io_uring, its connections (direct descriptors), listeners, TLS, and
 * the loop's driver. The only room that calls io_uring and BoringSSL's SSL. Thread: its loop, but
 * for net_new and net_listen at start. Rules of use: docs/architecture.md, "io_uring". */
#ifndef PARLEY_NET_NET_H
#define PARLEY_NET_NET_H

#include "base/conf.h"
#include "net/port.h"
#include "ring/loop.h"

struct net;
struct net_tls; /* certificate, key, session tickets: shared by all loops; reloaded by swapping */

/* What the kernel must have; msg names what is missing. Called once at start. */
MUST_USE enum err net_probe(char *msg, size_t msg_len);

struct net_conf {
    uint32_t conns_max;      /* slots of the descriptor table and of the connection slab; 0: a loop
                                without sockets */
    uint32_t handshakes_max; /* TLS handshakes under way */
    uint32_t handshake_timeout_ms, write_timeout_ms;
    struct net_tls *tls; /* NULL: no TLS listener */
};

/* Makes the slab and tables; the ring itself is made by the loop's own thread in its first turn
 * (SINGLE_ISSUER). */
MUST_USE enum err net_new(struct net **out, struct loop *l, const struct net_conf *c);
void net_free(struct net *n);
extern const struct loop_driver_ops net_driver_ops; /* driver: struct net * */

/* All of these before the loop runs. A listening socket is made once (net_listen_socket) and given
 * to each acceptor's net; connections that it accepts belong to owner (an actor on this loop).
 * An address that is taken is tried again for net_listen_wait_max_ms; then, and for every other
 * reason, ERR_BAD_CONF and msg for people. */
enum { net_listen_wait_max_ms = 5000 };
MUST_USE enum err net_listen_socket(const char *addr_port, int *fd, uint16_t *port, char *msg,
                                    size_t msg_len);
MUST_USE enum err net_listen(struct net *n, int fd, bool tls, struct actor *actor,
                             const struct net_owner *owner);
/* Adopted connections for this actor come to owner. */
void net_adopts_to(struct net *n, struct actor *actor, const struct net_owner *owner);
/* Where the actors' nets are, for handovers; nets by actor id. */
void net_set_peers(struct net *n, struct net *const *by_actor);

struct net_port net_port_of(struct net *n);

/* Wakes the loop from any thread without a ring (signals, log, admin):
 * IORING_REGISTER_SEND_MSG_RING or an eventfd. */
void net_wake(struct net *n);

MUST_USE enum err net_tls_new(struct net_tls **out, const char *cert_path, const char *key_path,
                              char *msg, size_t msg_len);
/* Reads both files again; on error the old pair stays. Any thread. */
MUST_USE enum err net_tls_reload(struct net_tls *t, char *msg, size_t msg_len);
void net_tls_free(struct net_tls *t);

/* bytes of user memory per connection, for status and docs */
size_t net_conn_bytes(void);

#endif
