/* io.h - the load generator's one loop: TCP streams and timers over one io_uring.
 * Thread: main; every callback runs inside io_step(). */
#ifndef PARLEY_BENCH_IO_H
#define PARLEY_BENCH_IO_H

#include <liburing.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/compiler.h"

enum {
    io_sq_entries = 4096,
    io_cq_entries = 32768,
    io_buffers = 1024, /* a power of two */
    io_buffer_bytes = 16384,
    io_buffer_group = 1
};

/* The caller owns the node; fire() may arm it again. */
struct io_timer {
    uint64_t at_us; /* steady clock */
    uint32_t slot;  /* in the heap, from 1; 0: not armed */
    void (*fire)(struct io_timer *t);
};

struct io {
    struct io_uring ring;
    struct io_uring_buf_ring *buf_ring;
    uint8_t *buffers;
    struct io_timer **heap; /* [1..heap_len] */
    uint32_t heap_len, heap_cap;
    uint64_t now_us; /* steady clock, of this step */
    /* Registered files, beside the process's own: as many again, but only a ring can use them. */
    uint32_t *slots; /* stack of free ones; NULL: no table */
    uint32_t slots_len;
    /* Connections come from this address and the next ones in turn; 0: the kernel's choice. One
     * has 28,000 ports to one server, those that closed in the last minute included. */
    struct in_addr source;
    uint32_t sources, source_next;
};

/* Set by SIGINT and SIGTERM: loops end, the report is written. A second signal kills. */
extern volatile sig_atomic_t io_stop;

bool io_init(struct io *io); /* false: said on standard error */
/* Room for len streams with in_table set; false: said on standard error. */
bool io_make_table(struct io *io, uint32_t len);
void io_deinit(struct io *io);
/* Waits for something to do, until wait_until_us at most, and does it. */
void io_step(struct io *io, uint64_t wait_until_us);
/* Steps until *left is 0, the time is up or a signal came. True: *left is 0. */
bool io_run_until_zero(struct io *io, const uint64_t *left, uint64_t until_us);
void io_timer_arm(struct io *io, struct io_timer *t, uint64_t at_us); /* armed already: moved */
void io_timer_disarm(struct io *io, struct io_timer *t);

struct stream;
struct stream_ops {
    void (*opened)(struct stream *s);
    void (*data)(struct stream *s, uint8_t *p, size_t n); /* p is writable and lives for the call */
    void (*closed)(struct stream *s, int error); /* after the last use; it may be connected again */
};

struct stream_out {
    uint8_t *p;
    size_t len, cap;
};

struct stream {
    struct io *io;
    const struct stream_ops *ops;
    int fd;        /* -1: closed */
    bool in_table; /* fd is a slot of the ring's table; set between init and connect */
    int error;
    uint32_t ops_pending;
    bool connected; /* or failed to */
    bool opened, closing;
    bool sending;
    uint8_t sending_slot; /* of out: in the kernel's hands; the other one is filled */
    struct stream_out out[2];
    size_t sent;
    struct secure *secure; /* NULL: plain */
    struct sockaddr_storage address;
};

void stream_init(struct stream *s, struct io *io, const struct stream_ops *ops);
void stream_deinit(struct stream *s); /* only when closed */
/* tls: opened() comes behind the handshake. False: no socket to be had; closed() is not called. */
bool stream_connect(struct stream *s, const struct sockaddr_storage *to, bool tls);
void stream_write(struct stream *s, const void *p, size_t n);
/* Both leave in one send. */
void stream_write_pair(struct stream *s, const void *p, size_t n, const void *q, size_t m);
/* closed() follows once the kernel has let go. */
void stream_close(struct stream *s);

#endif
