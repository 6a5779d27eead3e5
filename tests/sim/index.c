/* index.c - some seconds after a message the index has it. */
#include "store/row.h"
#include "world.h"

static struct str_view stored(const struct world *w, enum cf cf, const struct key *k)
{
    const struct sorted_node *n = sorted_get(&w->store.cfs[cf], key_view(k));
    return n == NULL ? SV_NONE : n->value;
}

enum { late_us = 5000000 };

void index_check_converged(struct world *w)
{
    /* Scheduled messages may come at any time. */
    uint64_t since_us = world_wall_us(w) - late_us;
    for (uint32_t i = 0; i < w->oracle.chans_len; i++) {
        const struct ochan *c = &w->oracle.chans[i];
        struct row_chan_head head = {0};
        uint64_t indexed_us = 0;
        struct key kh, ki;
        key_chan_head(&kh, c->cid);
        key_indexed(&ki, c->cid);
        struct str_view h = stored(w, CF_CHAN, &kh), k = stored(w, CF_FTS, &ki);
        if ((h.p != NULL && row_chan_head_decode(&head, key_view(&kh), h) != ERR_OK) ||
            (k.p != NULL && row_u64_decode(&indexed_us, key_view(&ki), k) != ERR_OK))
            violation(w, "rows_whole", "a head or an index row of %s cannot be read", c->name);
        if (head.last_ts_us > indexed_us && head.last_ts_us < since_us)
            violation(w, "index_converges", "%s has messages up to %llu, its index up to %llu",
                      c->name, (unsigned long long)head.last_ts_us, (unsigned long long)indexed_us);
    }
}
