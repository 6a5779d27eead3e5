#include "base/slab.h"

#include <string.h>

#include "base/pages.h"

enum err slab_init(struct slab *s, uint32_t cap, size_t slot_bytes)
{
    slot_bytes = (slot_bytes + 15) & ~(size_t)15;
    *s = (struct slab){.cap = cap, .slot_bytes = slot_bytes};
    s->slots = pages_take(cap, slot_bytes);
    s->gens = pages_take(cap, sizeof *s->gens);
    s->back = pages_take(cap, sizeof *s->back);
    if (s->slots != NULL && s->gens != NULL && s->back != NULL)
        return ERR_OK;
    slab_deinit(s);
    return ERR_NOMEM;
}

void slab_deinit(struct slab *s)
{
    pages_give(s->slots, s->cap, s->slot_bytes);
    pages_give(s->gens, s->cap, sizeof *s->gens);
    pages_give(s->back, s->cap, sizeof *s->back);
    memset(s, 0, sizeof *s);
}

void *slab_take(struct slab *s, uint64_t *handle)
{
    if (s->back_len == 0 && s->fresh == s->cap)
        return NULL;
    uint32_t i = s->back_len > 0 ? s->back[--s->back_len] : s->fresh++;
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
    s->back[s->back_len++] = i;
}

void *slab_at(const struct slab *s, uint32_t index, uint64_t *handle)
{
    if (index >= s->cap || (s->gens[index] & 1) == 0)
        return NULL;
    *handle = (uint64_t)s->gens[index] << 32 | index;
    return s->slots + (size_t)index * s->slot_bytes;
}
