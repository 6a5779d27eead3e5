/* index.c - some seconds after the last message the index has everything. */
#include "store/row.h"
#include "world.h"

static struct str_view stored(const struct world *w, enum cf cf, const struct key *k)
{
    const struct sorted_node *n = sorted_get(&w->store.cfs[cf], key_view(k));
    return n == NULL ? SV_NONE : n->value;
}

void index_check_converged(struct world *w)
{
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
        if (head.last_ts_us > indexed_us)
            violation(w, "index_converges", "%s has messages up to %llu, its index up to %llu",
                      c->name, (unsigned long long)head.last_ts_us, (unsigned long long)indexed_us);
    }
}
