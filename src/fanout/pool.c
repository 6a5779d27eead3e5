#include <stdlib.h>
#include <string.h>

#include "fanout/internal.h"

enum { block_objects = 128 };

struct pool_block {
    struct pool_block *next;
    _Alignas(CACHE_LINE) uint8_t objects[];
};

void pool_init(struct pool *p, size_t object_bytes)
{
    *p = (struct pool){.object_bytes = (object_bytes + 15) & ~(size_t)15};
}

void pool_deinit(struct pool *p)
{
    while (p->blocks != NULL) {
        struct pool_block *b = p->blocks;
        p->blocks = b->next;
        free(b);
    }
    p->free = NULL;
}

static bool grow(struct pool *p)
{
    size_t bytes = sizeof(struct pool_block) + block_objects * p->object_bytes;
    struct pool_block *b = aligned_alloc(CACHE_LINE, (bytes + 63) & ~(size_t)63);
    if (b == NULL)
        return false;
    b->next = p->blocks;
    p->blocks = b;
    for (size_t i = block_objects; i-- > 0;) {
        void *object = b->objects + i * p->object_bytes;
        memcpy(object, &p->free, sizeof p->free);
        p->free = object;
    }
    return true;
}

void *pool_take(struct pool *p)
{
    if (p->free == NULL && !grow(p))
        return NULL;
    void *object = p->free;
    memcpy(&p->free, object, sizeof p->free);
    p->used++;
    return object;
}

void pool_give(struct pool *p, void *object)
{
    ASSERT(p->used > 0);
    p->used--;
    memcpy(object, &p->free, sizeof p->free);
    p->free = object;
}
