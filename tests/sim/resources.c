/* resources.c - after the last answer nothing may be missing: credits, frames, arenas. */
#include "resources.h"

#include "world.h"

struct lack { /* who lacks what; what NULL: nobody lacks anything */
    const char *invariant;
    const struct actor *a;
    const char *what;
    uint64_t n;
};

static struct lack lack_of_rings(struct world *w)
{
    for (uint32_t i = 0; i < w->edges_len; i++) {
        const struct edge *e = &w->edges[i];
        const struct actor *a = &w->actors[e->src];
        if (!edge_empty(e) || e->staged != 0)
            return (struct lack){"comes_to_rest", a, "a ring from here is not empty, cells",
                                 e->staged};
        if (e->class == CLASS_REQUEST && a->outbox.credits[e->dst] != e->cap)
            return (struct lack){"resources_return", a, "credits are missing",
                                 e->cap - a->outbox.credits[e->dst]};
    }
    return (struct lack){0};
}

static bool lacks(struct lack *out, const struct actor *a, uint64_t missing, const char *what)
{
    if (missing == 0 && a->outbox.requests_out == 0)
        return false;
    *out = missing != 0 ? (struct lack){"resources_return", a, what, missing}
                        : (struct lack){"resources_return", a, "answers are missing",
                                        a->outbox.requests_out};
    return true;
}

static struct lack lack_of(struct world *w)
{
    const char *what = "";
    struct lack l = lack_of_rings(w);
    uint64_t n;
    if (l.what != NULL)
        return l;
    for (uint16_t i = 0; i < w->len[ACTOR_ACCEPTOR]; i++) {
        n = acceptor_missing(w->acceptors[i], &what);
        if (lacks(&l, world_actor(w, ACTOR_ACCEPTOR, i), n, what))
            return l;
    }
    for (uint16_t i = 0; i < w->len[ACTOR_CHAN]; i++) {
        n = chan_missing(w->chans[i], &what);
        if (lacks(&l, world_actor(w, ACTOR_CHAN, i), n, what))
            return l;
    }
    for (uint16_t i = 0; i < w->len[ACTOR_FANOUT]; i++) {
        n = fanout_missing(w->fanouts[i], &what);
        if (lacks(&l, world_actor(w, ACTOR_FANOUT, i), n, what))
            return l;
    }
    n = search_missing(w->search, &what);
    if (lacks(&l, world_actor(w, ACTOR_SEARCH, 0), n, what))
        return l;
    n = dir_missing(w->dir, &what);
    (void)lacks(&l, world_actor(w, ACTOR_DIR, 0), n, what);
    return l;
}

bool world_rests(struct world *w)
{
    return lack_of(w).what == NULL;
}

void world_check_resources(struct world *w)
{
    struct lack l = lack_of(w);
    if (l.what != NULL)
        violation(w, l.invariant, "%s: %s (%llu)", l.a->name, l.what, (unsigned long long)l.n);
    for (uint32_t i = 0; i < w->edges_len; i++) {
        const struct edge *e = &w->edges[i];
        if (e->high_water > e->cap)
            violation(w, "bounds_hold", "a ring from %s held %u of %u cells",
                      w->actors[e->src].name, e->high_water, e->cap);
    }
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
