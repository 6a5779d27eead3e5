/* net/internal.h - shared by the files of net/ only.
 *
 * Life of a connection: accept -> (TLS handshake) -> open -> closing -> gone; or adopted -> open;
 * or open -> handover -> gone. user_data of every operation is op (8 bits) | generation (24 bits) |
 * slab index (32 bits), never a descriptor: a stale completion finds no connection and is dropped.
 * A slab slot is given back only when `inflight` is 0. */
#ifndef PARLEY_NET_INTERNAL_H
#define PARLEY_NET_INTERNAL_H

#include <liburing.h>
#include <pthread.h>
#include "base/slab.h"
#include "net/net.h"

enum op {
    OP_NONE, /* completion is of no interest: cancels */
    OP_BELL,
    OP_EVENTFD,
    OP_ACCEPT,
    OP_PEERNAME,
    OP_RECV,
    OP_SEND,
    OP_UNREAD,
    OP_SHUTDOWN,
    OP_CLOSE,
    OP_HANDOVER, /* at the sender */
    OP_ADOPT     /* at the receiver; the other bits are the pointer to struct net_adopt */
};

enum {
    listeners_max = 4,
    buffers_len = 1024, /* a power of two */
    buffer_bytes = 4096,
    buffer_padding = 64, /* readable behind every on_data */
    buffer_group = 0,
    linger_ms = 1000, /* an answer sent before a close may still be read by a client that is still
                         sending */
    linger_bytes_max = 1 << 20,
    accept_near_limit = 64,   /* so close to the limit connections are accepted one by one */
    tls_record_bytes = 16384, /* RFC 8446 5.1: of plaintext */
    tls_chunk_bytes = 65536,  /* plaintext encrypted per send */
    wire_classes = 5,
    unread_unknown = UINT32_MAX,
    progress_bytes_min = 16384, /* that a slow reader must take for it to count as one */
    wire_spare_max = 4 << 20    /* bytes of free ciphertext buffers that a loop keeps */
};

/* Ciphertext on its way out. Only a connection that has some holds one. */
struct wire {
    struct wire *next;
    uint32_t size_class, len, at;
    uint8_t b[];
};

enum conn_state { CONN_ACCEPTED, CONN_HANDSHAKE, CONN_OPEN, CONN_HANDOVER, CONN_CLOSING };

/* What a send needs while it is under way; recycled through net.sends. */
struct send_op {
    struct send_op *next;
    struct msghdr msg;
    struct iovec iov[net_iov_max];
    unsigned len, at;             /* pieces, and the first that is not wholly taken */
    struct sockaddr_storage peer; /* OP_PEERNAME writes here before the first send */
};

struct net_conn {
    uint64_t handle;
    const struct net_owner *owner;
    struct actor *actor;
    struct send_op *send; /* NULL: no send of the owner's under way */
    struct tls_conn *tls; /* NULL: plain */
    uint8_t *held;        /* bytes that came while paused (ciphertext under TLS); heap */
    uint32_t held_len;
    uint32_t slot; /* direct descriptor */
    struct net_adopt
        *adopt; /* CONN_HANDOVER: where it goes; adopt_sent: it is on the other net's list */
    actor_id adopt_to;
    uint32_t unread; /* bytes that the peer had not taken at the last progress that the kernel told
                        of, or unread_unknown */
    struct net_conn *deferred_next;
    struct timer timer;   /* handshake, write progress or linger */
    uint64_t progress_us; /* the send under way began, or some of it was taken, here or there */
    uint32_t linger_bytes;
    uint16_t inflight; /* operations whose last completion has not come */
    uint8_t state;     /* enum conn_state */
    uint8_t listener;
    uint8_t why; /* enum err of on_close */
    uint8_t how; /* enum net_close_how */
    bool recv_armed, recv_cancelled, send_cancelled, paused, sending, deferred, detached, closed,
        notified, shut, counted_handshake, adopt_sent,
        ended; /* ended: the owner knows that nothing more comes */
};

struct listener {
    int fd;
    bool tls, armed, multishot;
    struct actor *actor;
    const struct net_owner *owner;
    uint32_t name_bytes; /* of its peers' addresses */
};

struct net {
    struct loop *loop;
    struct net_conf conf;
    struct io_uring ring;
    bool ring_ready;
    int ring_fd;  /* atomic; -1 until the loop's thread has made the ring */
    int event_fd; /* bells from threads without a ring, and before the ring exists */
    uint64_t event_value;
    struct slab conns;
    uint32_t handshakes;
    struct listener listeners[listeners_max];
    uint32_t listeners_len;
    bool accept_paused;
    struct timer accept_retry; /* after accept failed for want of descriptors */
    struct {
        struct actor *actor;
        const struct net_owner *owner;
    } adopters[loop_actors_max];
    uint32_t adopters_len;
    struct net *const *peers; /* by actor id */
    /* On their way to this ring: a loop may stop with the news of a handover unread at either end,
     * so that whoever has it is written here and not in the completions. */
    pthread_mutex_t coming_lock;
    struct net_adopt *coming; /* under the lock: other loops put theirs in */
    struct io_uring_buf_ring *buf_ring;
    uint8_t *buffers;
    struct send_op *sends; /* free */
    struct net_conn *deferred_first, *deferred_last;
    struct wheel wheel;
    uint8_t *plain;  /* scratch of decryption, tls_plain_bytes */
    uint8_t *record; /* pieces of a send on their way into one record, tls_record_bytes */
    struct wire *wires[wire_classes]; /* free */
    size_t wires_bytes;               /* of them */
};

enum { tls_plain_bytes = tls_record_bytes + buffer_padding };

/* uring.c */
struct io_uring_sqe *net_sqe(struct net *n); /* never NULL: submits when the queue is full */
static inline uint64_t net_user_data(enum op op, uint64_t handle)
{
    return (uint64_t)op << 56 | (handle >> 32 & 0xffffff) << 32 | (uint32_t)handle;
}
struct net_conn *net_conn_of(struct net *n, uint64_t user_data);
struct turn *net_turn(struct net *n, struct actor *a);
void net_socket_sqe(struct io_uring_sqe *sqe, struct net_conn *c,
                    enum op op); /* fixed file, user_data, inflight++ */

/* listen.c */
void listen_arm(struct net *n);
void listen_on_accept(struct net *n, uint64_t user_data, int res, uint32_t flags);

/* conn.c */
struct net_conn *conn_new(struct net *n, uint32_t slot, struct actor *a,
                          const struct net_owner *owner);
void conn_on_peername(struct net *n, struct net_conn *c, int res);
void conn_on_recv(struct net *n, struct net_conn *c, int res, uint32_t flags);
void conn_on_send(struct net *n, struct net_conn *c, int res);
void conn_on_unread(struct net *n, struct net_conn *c, int res);
void conn_on_shutdown(struct net *n, struct net_conn *c);
void conn_on_close(struct net *n, struct net_conn *c);
void conn_arm_recv(struct net *n, struct net_conn *c);
void conn_open(struct net *n, struct net_conn *c); /* ready for the owner */
void conn_deliver(struct net *n, struct net_conn *c, uint8_t *p,
                  size_t len); /* plaintext to the owner */
/* The peer sends no more. True: the owner was told, or will be once it has what is held for it. */
bool conn_tell_end(struct net *n, struct net_conn *c);
/* Begins the end. From inside a completion or a call of the owner. */
void conn_close(struct net *n, struct net_conn *c, enum err why, enum net_close_how how);
void conn_send_bytes(struct net *n, struct net_conn *c, const void *p,
                     size_t len); /* raw, one piece */
/* Moves over what was taken; true when all was. */
bool send_advance(struct send_op *s, size_t taken);
/* A descriptor for which there is no connection. */
void conn_close_slot(struct net *n, uint32_t slot);
void conn_defer(struct net *n, struct net_conn *c); /* its next step comes with the deferred */
void conn_run_deferred(struct net *n);
void conn_cancel_recv(struct net *n, struct net_conn *c);
void conn_deliver_held(struct net *n, struct net_conn *c); /* what came while it was paused */
extern const struct net_port_ops conn_port_ops;

/* handover.c */
void conn_port_handover(void *net, conn_id id, actor_id to, struct net_adopt *a);
/* The next step of a connection in CONN_HANDOVER. */
void conn_hand_over(struct net *n, struct net_conn *c);
void conn_on_handover(struct net *n, struct net_conn *c, int res);
void conn_on_adopt(struct net *n, struct net_adopt *a, int res);

/* wire.c */
/* Room for n more bytes behind *w, which may be NULL and may move; false: past the largest class,
 * or no memory. */
bool wire_reserve(struct net *n, struct wire **w, size_t more);
void wire_give(struct net *n, struct wire *w); /* NULL is fine */
void wires_free(struct net *n);

/* tls.c */
MUST_USE enum err tls_conn_new(struct net *n, struct net_conn *c);
void tls_conn_free(struct tls_conn *t);
/* Ciphertext in; handshakes and delivers. What cannot be taken now (paused) is kept in c->held. */
void tls_input(struct net *n, struct net_conn *c, uint8_t *p, size_t len);
/* Encrypts as much of the owner's send as one chunk takes and begins to send it. False: all of it
 * is done. */
bool tls_send_more(struct net *n, struct net_conn *c);
/* `sent` bytes of ciphertext have left; true: there is more, its send has begun. */
bool tls_flush(struct net *n, struct net_conn *c, size_t sent);
void tls_close_notify(struct net *n, struct net_conn *c);

#endif
