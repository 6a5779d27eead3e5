#include "ring/mailbox.h"

#include <stdlib.h>
#include <string.h>

#ifndef __x86_64__
#error                                                                                             \
    "ck 0.7.1's barriers are too weak on weakly ordered CPUs: x86-64 only (docs/architecture.md, Rings)"
#endif

enum err edge_init(struct edge *e, actor_id src, actor_id dst, enum ring_class class, uint32_t size)
{
    ASSERT(size >= 2 && (size & (size - 1)) == 0);
    struct cell *cells = aligned_alloc(CACHE_LINE, (size_t)size * sizeof *cells);
    if (cells == NULL)
        return ERR_NOMEM;
    memset(cells, 0, (size_t)size * sizeof *cells); /* touched at start: no page fault later */
    *e = (struct edge){.src = src, .dst = dst, .class = class, .cap = size - 1, .cells = cells};
    ck_ring_init(&e->ring, size);
    return ERR_OK;
}

void edge_deinit(struct edge *e)
{
    free(e->cells);
    e->cells = NULL;
}

static uint32_t edge_used(const struct edge *e)
{
    uint32_t head = ck_pr_load_uint(&e->ring.c_head);
    return e->ring.p_tail + e->staged - head;
}

uint32_t edge_room(const struct edge *e)
{
    return e->cap - edge_used(e);
}

struct cell *edge_stage(struct edge *e)
{
    uint32_t used = edge_used(e);
    if (used == e->cap) {
        edge_count_full(e);
        return NULL;
    }
    if (used + 1 > e->high_water)
        __atomic_store_n(&e->high_water, used + 1, __ATOMIC_RELAXED);
    TSAN_ACQUIRE(&e->cells); /* pairs with edge_consume: the slot is ours again */
    struct cell *c = &e->cells[(e->ring.p_tail + e->staged) & e->ring.mask];
    e->staged++;
    memset(c, 0, sizeof *c);
    return c;
}

bool edge_publish(struct edge *e)
{
    if (e->staged == 0)
        return false;
    TSAN_RELEASE(&e->ring);
    ck_pr_fence_store(); /* the cells before the tail; pairs with edge_peek */
    ck_pr_store_uint(&e->ring.p_tail, e->ring.p_tail + e->staged);
    e->staged = 0;
    return true;
}

uint32_t edge_peek(struct edge *e, uint32_t max, struct cell **run)
{
    uint32_t head = e->ring.c_head;
    uint32_t tail = ck_pr_load_uint(&e->ring.p_tail);
    uint32_t n = tail - head;
    if (n == 0)
        return 0;
    ck_pr_fence_load();
    TSAN_ACQUIRE(&e->ring);
    uint32_t at = head & e->ring.mask;
    uint32_t to_wrap = e->ring.size - at;
    *run = &e->cells[at];
    return MIN(MIN(n, to_wrap), max);
}

void edge_consume(struct edge *e, uint32_t n)
{
    TSAN_RELEASE(&e->cells);
    ck_pr_fence_memory(); /* our reads before the producer may overwrite; pairs with edge_stage */
    ck_pr_store_uint(&e->ring.c_head, e->ring.c_head + n);
}

bool edge_empty(const struct edge *e)
{
    return ck_pr_load_uint(&e->ring.p_tail) == e->ring.c_head;
}
