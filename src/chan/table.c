/* table.c - the channels in memory.
 *
 * Eviction: the least recently used of the channels that nothing pins, those with interest of
 * fanouts last. Interest lives only here and is forgotten with the channel; nothing happens in a
 * channel that is not in memory, and when it is loaded again every fanout is taken to be interested
 * until it says CHAN_IDLE. (Telling the fanouts to ask again instead loads the channel at once,
 * which evicts another one: with more channels listened to than fit, that never ends.) */
#include <stdlib.h>

#include "base/pages.h"
#include "base/slab.h"
#include "chan/internal.h"

enum err table_init(struct chan_shard *s)
{
    /* A cold channel holds a slot while it is read; each has a request that is parked. */
    uint64_t cap = (uint64_t)s->conf.channels_max + s->conf.parked_max + 1;
    uint32_t buckets = 16;
    while (buckets < cap && buckets < 1u << 30)
        buckets *= 2;
    list_init(&s->lru_plain);
    list_init(&s->lru_interest);
    s->buckets = pages_take(buckets, sizeof(struct chan *));
    s->buckets_len = buckets;
    s->slab = calloc(1, sizeof *s->slab);
    if (s->buckets == NULL || s->slab == NULL)
        return ERR_NOMEM;
    return slab_init(s->slab, (uint32_t)cap, sizeof(struct chan));
}

static void free_content(struct chan *c)
{
    free(c->text);
    c->text = NULL;
    member_set_free(&c->members);
}

void table_deinit(struct chan_shard *s)
{
    for (uint32_t i = 0; s->buckets != NULL && i < s->buckets_len; i++) {
        for (struct chan *c = s->buckets[i]; c != NULL; c = c->next)
            free_content(c);
    }
    if (s->slab != NULL)
        slab_deinit(s->slab);
    free(s->slab);
    pages_give(s->buckets, s->buckets_len, sizeof(struct chan *));
}

static struct chan **bucket_of(const struct chan_shard *s, uint64_t cid)
{
    return &s->buckets[(uint32_t)mix64(cid) & (s->buckets_len - 1)];
}

void table_prefetch(const struct chan_shard *s, uint64_t cid)
{
    __builtin_prefetch(bucket_of(s, cid));
}

struct chan *table_find(const struct chan_shard *s, uint64_t cid)
{
    struct chan *c = *bucket_of(s, cid);
    while (c != NULL && c->cid != cid)
        c = c->next;
    return c;
}

struct chan *table_add(struct chan_shard *s, uint64_t cid)
{
    uint64_t handle;
    struct chan *c = slab_take(s->slab, &handle);
    if (c == NULL)
        return NULL;
    struct chan **bucket = bucket_of(s, cid);
    c->cid = cid;
    c->handle = handle;
    c->next = *bucket;
    *bucket = c;
    return c;
}

void table_remove(struct chan_shard *s, struct chan *c)
{
    ASSERT(c->batch == NULL && c->first == NULL && (c->gap_owed | c->revalidate_owed) == 0);
    emit_last_news(s, c);
    table_forget(c);
    s->evicted_us = s->turn->wall_us;
    if (c->counted) {
        s->resident--;
        metric_add(s->turn->metrics, METRIC_CHANS_LOADED, (uint64_t)-1);
    }
    list_del(&c->lru);
    list_del(&c->ready);
    list_del(&c->waiting);
    list_del(&c->owed);
    struct chan **at = bucket_of(s, c->cid);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    slab_give(s->slab, c->handle);
}

void table_forget(struct chan *c)
{
    c->state = CHAN_COLD;
    c->batch = c->member_batch = NULL;
    free_content(c);
}

void table_drop_if_empty(struct chan_shard *s, struct chan *c)
{
    if (c->state == CHAN_COLD && c->first == NULL &&
        (c->interest | c->gap_owed | c->revalidate_owed) == 0)
        table_remove(s, c);
    else
        table_place(s, c);
}

static bool pinned(const struct chan *c)
{
    return c->state == CHAN_LOADING || c->batch != NULL || c->first != NULL ||
           (c->gap_owed | c->revalidate_owed) != 0;
}

void table_place(struct chan_shard *s, struct chan *c)
{
    list_del(&c->lru);
    if (!pinned(c))
        list_add_tail(c->interest != 0 ? &s->lru_interest : &s->lru_plain, &c->lru);
}

static void evict(struct chan_shard *s, struct chan *c)
{
    metric_add(s->turn->metrics, METRIC_CHAN_EVICTIONS, 1);
    table_remove(s, c);
}

bool table_make_room(struct chan_shard *s)
{
    while (s->resident >= s->conf.channels_max) {
        struct link *list = list_empty(&s->lru_plain) ? &s->lru_interest : &s->lru_plain;
        if (list_empty(list))
            return false;
        evict(s, CONTAINER(list->next, struct chan, lru));
    }
    return true;
}
