/* resources.c - after the last answer nothing may be missing: credits, frames, arenas. */
#include "resources.h"

#include "world.h"

static void check_rings(struct world *w)
{
    for (uint32_t i = 0; i < w->edges_len; i++) {
        const struct edge *e = &w->edges[i];
        const struct actor *a = &w->actors[e->src];
        if (!edge_empty(e) || e->staged != 0)
            violation(w, "comes_to_rest", "a ring from %s to %s is not empty", a->name,
                      w->actors[e->dst].name);
        if (e->class == CLASS_REQUEST && a->outbox.credits[e->dst] != e->cap)
            violation(w, "resources_return", "%s lacks %u credits for %s", a->name,
                      e->cap - a->outbox.credits[e->dst], w->actors[e->dst].name);
        if (e->high_water > e->cap)
            violation(w, "bounds_hold", "a ring from %s held %u of %u cells", a->name,
                      e->high_water, e->cap);
    }
}

static void check(struct world *w, const struct actor *a, uint64_t missing, const char **what)
{
    if (missing != 0)
        violation(w, "resources_return", "%s: %s (%llu)", a->name, *what,
                  (unsigned long long)missing);
    if (a->outbox.requests_out != 0)
        violation(w, "resources_return", "%s waits for %u answers", a->name,
                  a->outbox.requests_out);
}

void world_check_resources(struct world *w)
{
    const char *what = "";
    check_rings(w);
    for (uint16_t i = 0; i < w->len[ACTOR_ACCEPTOR]; i++)
        check(w, world_actor(w, ACTOR_ACCEPTOR, i), acceptor_missing(w->acceptors[i], &what),
              &what);
    for (uint16_t i = 0; i < w->len[ACTOR_CHAN]; i++)
        check(w, world_actor(w, ACTOR_CHAN, i), chan_missing(w->chans[i], &what), &what);
    for (uint16_t i = 0; i < w->len[ACTOR_FANOUT]; i++)
        check(w, world_actor(w, ACTOR_FANOUT, i), fanout_missing(w->fanouts[i], &what), &what);
    check(w, world_actor(w, ACTOR_SEARCH, 0), search_missing(w->search, &what), &what);
    check(w, world_actor(w, ACTOR_DIR, 0), dir_missing(w->dir, &what), &what);
}

static void bound(struct world *w, const struct actor *a, uint64_t over, const char **what)
{
    if (over != 0)
        violation(w, "bounds_hold", "%s: %llu %s", a->name, (unsigned long long)over, *what);
}

void world_check_bounds(struct world *w)
{
    const char *what = "";
    for (uint16_t i = 0; i < w->len[ACTOR_ACCEPTOR]; i++)
        bound(w, world_actor(w, ACTOR_ACCEPTOR, i), acceptor_over(w->acceptors[i], &what), &what);
    for (uint16_t i = 0; i < w->len[ACTOR_CHAN]; i++)
        bound(w, world_actor(w, ACTOR_CHAN, i), chan_over(w->chans[i], &what), &what);
    for (uint16_t i = 0; i < w->len[ACTOR_FANOUT]; i++)
        bound(w, world_actor(w, ACTOR_FANOUT, i), fanout_over(w->fanouts[i], &what), &what);
}
