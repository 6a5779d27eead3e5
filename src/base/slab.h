/* slab.h - fixed-size slots with generations, for connections, requests and timers.
 * A handle is slot and generation: a stale handle finds nothing, never another's slot.
 * All memory is taken at init; the kernel gives a page when its first slot is used, and slots are
 * used from the lowest on, so a slab costs what it has held at once. Thread: one owner. */
#ifndef PARLEY_BASE_SLAB_H
#define PARLEY_BASE_SLAB_H

#include "base/compiler.h"
#include "base/err.h"

struct slab {
    uint8_t *slots;
    uint32_t *gens;           /* odd: in use */
    uint32_t *back;           /* stack of slots that were given back */
    uint32_t back_len, fresh; /* from fresh on none was ever used */
    uint32_t cap;
    size_t slot_bytes;
};

#define SLAB_NONE UINT64_MAX

MUST_USE enum err slab_init(struct slab *s, uint32_t cap, size_t slot_bytes);
void slab_deinit(struct slab *s);

/* A cleared slot, or NULL when all are in use. *handle = gen << 32 | index. */
void *slab_take(struct slab *s, uint64_t *handle);
void slab_give(struct slab *s, uint64_t handle);        /* asserts that the handle is live */
void *slab_find(const struct slab *s, uint64_t handle); /* NULL when stale */
static inline uint32_t slab_used(const struct slab *s)
{
    return s->fresh - s->back_len;
}
static inline uint32_t slab_room(const struct slab *s)
{
    return s->cap - slab_used(s);
}
static inline uint32_t slab_index(uint64_t handle)
{
    return (uint32_t)handle;
}
/* For sweeps: the slot at index when it is in use, with its handle; else NULL. */
void *slab_at(const struct slab *s, uint32_t index, uint64_t *handle);

#endif
