/* ring/mailbox.h - one single-producer single-consumer ring of cells per (producer actor, consumer
 * actor, class). Built on ck_ring's published layout with batch publishing: the producer stages
 * cells in place and publishes the tail once per turn. ck's MPSC ring is never used: a preempted
 * producer makes the others spin. ThreadSanitizer cannot see into ck's assembly; each hand-over is
 * marked (tests/tsan.supp lists the ring itself). */
#ifndef PARLEY_RING_MAILBOX_H
#define PARLEY_RING_MAILBOX_H

#include <ck_ring.h>
#include "ring/cell.h"

struct edge {
    /* read by both after start */
    actor_id src, dst;
    enum ring_class class;
    uint32_t cap; /* usable cells */
    struct cell *cells;
    /* owned by the producer; the gauges are atomic, since /metrics reads them */
    uint32_t staged;     /* written behind the tail, not yet published */
    uint32_t high_water; /* most cells ever seen in it, gauge */
    uint64_t full;       /* how often a cell found no room */
    ck_ring_t ring;      /* shared: head and tail on lines of their own */
};

/* size: a power of two; cap is size - 1 (ck_ring keeps one slot). */
MUST_USE enum err edge_init(struct edge *e, actor_id src, actor_id dst, enum ring_class class,
                            uint32_t size);
void edge_deinit(struct edge *e);

/* Producer: room for more cells now. */
uint32_t edge_room(const struct edge *e);
/* Producer: the next cell to fill, cleared; NULL when full. Unseen by the consumer until
 * edge_publish. */
struct cell *edge_stage(struct edge *e);
/* Producer: true when something was staged and is now visible. */
bool edge_publish(struct edge *e);
/* Consumer: a run of at most max cells in place; *run is valid until edge_consume. */
uint32_t edge_peek(struct edge *e, uint32_t max, struct cell **run);
void edge_consume(struct edge *e, uint32_t n);
bool edge_empty(const struct edge *e);
/* Producer: a cell found no room. */
static inline void edge_count_full(struct edge *e)
{
    __atomic_store_n(&e->full, e->full + 1, __ATOMIC_RELAXED);
}

#endif
