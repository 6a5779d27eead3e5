/* api/transfer.h - the bytes of one file on their way between a connection and media, 256 KiB at a
 * time. A transfer has at most two chunks: while media writes or reads one, the client fills or
 * takes the other. So memory is the same whatever the file's length, and whoever is slow, disk or
 * client, is waited for by the other.
 *
 * A request has a transfer; the transfer outlives it: chunks that media has come home with its
 * answers, also when the client has left. All that is lent to media lies in the transfer.
 * Thread: the acceptor's. */
#ifndef PARLEY_API_TRANSFER_H
#define PARLEY_API_TRANSFER_H

#include <sys/uio.h>
#include "base/arena.h"
#include "base/slab.h"
#include "media/media_msg.h"

struct acceptor;
struct request;

/* What media has answered, cell by cell. After an error the transfer is none of the request's any
 * more. */
typedef void transfer_told(struct request *r, uint16_t type, enum err err);

struct chunk {
    uint8_t *p; /* media_chunk_bytes of the acceptor's; NULL: none is needed */
    uint32_t len;
    bool lent; /* media has it */
    union {
        struct media_write write;
        struct media_read read;
    } m;
};

struct transfer {
    struct acceptor *a;
    struct request *r; /* NULL: nobody waits for it any more */
    uint64_t handle;
    transfer_told *told;
    uint32_t out;  /* cells that media has not answered */
    uint16_t want; /* what is to be asked next, in m; 0: nothing */
    bool asked;    /* m is lent */
    bool up;       /* an upload */
    bool open;     /* media has a stream for it */
    bool shut;     /* up: not one byte is taken */
    bool whole;    /* up: all bytes are here */
    bool written;  /* up: media has got bytes */
    bool busy;     /* told() is being called: not yet to be freed */
    uint64_t stream;
    struct chunk chunks[2];
    unsigned next;           /* chunk that media gets next */
    unsigned home;           /* that comes home next */
    unsigned at;             /* that is filled, or sent */
    uint64_t offset, end;    /* down: next to be asked for, and where it stops */
    struct arena arena;      /* what OPEN and RESERVE lend */
    struct file_id reserved; /* by this request, for itself; text[0] 0: none */
    union {
        struct media_abort abort;
        struct media_close close;
    } last;
    union {
        struct media_reserve reserve;
        struct media_begin begin;
        struct media_finish finish;
        struct media_open open;
    } m;
    bool waiting; /* for a credit */
    struct transfer *wait_next;
};

struct transfers {
    struct slab slots;
    struct transfer *waiting, **waiting_last; /* for a credit, in order */
    bool resuming;                            /* the first of them, with a credit that came */
    void *spare;                              /* chunks, single linked */
    uint32_t spare_len, chunks_len;           /* chunks_len: of all */
};

MUST_USE enum err transfers_init(struct acceptor *a);
void transfers_deinit(struct acceptor *a);
void transfers_resume(struct acceptor *a); /* those that wait for a credit */
void transfer_on_answer(struct acceptor *a, const struct cell *c);

/* Errors: ERR_SERVICE_UNAVAILABLE (files.transfers_max are under way, or this caller's share of
 * them), ERR_NOMEM. */
MUST_USE enum err transfer_new(struct request *r, bool up, transfer_told *told);
/* The request has no more to do with it, whatever it is at. None: nothing. */
void transfer_leave(struct request *r);
/* Asks what the caller has filled in m: RESERVE, BEGIN or OPEN; told() follows. */
void transfer_ask(struct transfer *t, uint16_t type);

/* Up. How many of the bytes were taken; fewer: not now. ERR_NOMEM: no chunk is to be had. */
MUST_USE enum err transfer_put(struct transfer *t, const void *p, size_t n, size_t *took);
bool transfer_full(const struct transfer *t);
/* Forgets the bytes so far. False: media has some of them. */
MUST_USE bool transfer_rewind(struct transfer *t);
/* No byte follows: MEDIA_FINISH once media has them all, then told(). */
void transfer_finish(struct transfer *t);

/* Down, len bytes from offset: told(MEDIA_READ) once the first are here. */
void transfer_read(struct transfer *t, uint64_t offset, uint64_t len);
/* What is to be sent next; len 0: not here yet. */
struct iovec transfer_piece(const struct transfer *t);
/* It is sent. True: that was the last. */
bool transfer_sent(struct transfer *t);

#endif
