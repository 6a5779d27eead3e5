#include "base/slab.h"

#include <stdlib.h>
#include <string.h>

enum err slab_init(struct slab *s, uint32_t cap, size_t slot_bytes)
{
    slot_bytes = (slot_bytes + 15) & ~(size_t)15;
    *s = (struct slab){.cap = cap, .slot_bytes = slot_bytes};
    s->slots = calloc(cap, slot_bytes);
    s->gens = calloc(cap, sizeof *s->gens);
    s->free = calloc(cap, sizeof *s->free);
    if (s->slots == NULL || s->gens == NULL || s->free == NULL) {
        slab_deinit(s);
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < cap; i++)
        s->free[i] = cap - 1 - i; /* low indices first */
    s->free_len = cap;
    return ERR_OK;
}

void slab_deinit(struct slab *s)
{
    free(s->slots);
    free(s->gens);
    free(s->free);
    memset(s, 0, sizeof *s);
}

void *slab_take(struct slab *s, uint64_t *handle)
{
    if (s->free_len == 0)
        return NULL;
    uint32_t i = s->free[--s->free_len];
    s->gens[i]++;
    *handle = (uint64_t)s->gens[i] << 32 | i;
    void *slot = s->slots + (size_t)i * s->slot_bytes;
    memset(slot, 0, s->slot_bytes);
    return slot;
}

void *slab_find(const struct slab *s, uint64_t handle)
{
    uint32_t i = slab_index(handle), gen = (uint32_t)(handle >> 32);
    if (i >= s->cap || s->gens[i] != gen || (gen & 1) == 0)
        return NULL;
    return s->slots + (size_t)i * s->slot_bytes;
}

void slab_give(struct slab *s, uint64_t handle)
{
    ASSERT(slab_find(s, handle) != NULL);
    uint32_t i = slab_index(handle);
    s->gens[i]++;
    s->free[s->free_len++] = i;
}

void *slab_at(const struct slab *s, uint32_t index, uint64_t *handle)
{
    if (index >= s->cap || (s->gens[index] & 1) == 0)
        return NULL;
    *handle = (uint64_t)s->gens[index] << 32 | index;
    return s->slots + (size_t)index * s->slot_bytes;
}
