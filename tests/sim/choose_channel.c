/* choose_channel.c - what a client does about a channel itself: who is in it, whether it is open,
 * what is pinned in it; and which direct conversations it wants. */
#include "world.h"

enum { directs_max = 24, set_ops = 64 };

/* ---- direct conversations ---- */

static uint32_t count_directs(const struct oracle *o)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->chans_len; i++)
        n += oracle_is_direct(&o->chans[i]);
    return n;
}

static uint32_t one_of(struct client *cl, uint32_t users)
{
    uint32_t u = (uint32_t)rng_below(&cl->rng, plan_users_max);
    while (users != 0 && (users >> u & 1) == 0)
        u = (u + 1) % plan_users_max;
    return users == 0 ? 0 : 1u << u;
}

/* Three users have much to say to each other for a while, so that several ask for one conversation
 * at once; others want one of them. Now and then somebody of another workspace is among them. */
static uint32_t some_set(struct client *cl)
{
    const struct world *w = cl->w;
    uint64_t h = mix64(w->plan.seed * 7919 + w->ops_issued / set_ops);
    uint32_t busy = 0, own = 1u << cl->user, team = 0;
    for (uint32_t i = 0; i < 3; i++)
        busy |= 1u << (h >> (i * 8) & 255) % w->plan.users;
    for (uint32_t u = 0; u < w->oracle.users_len; u++)
        team |= (uint32_t)(w->oracle.users[u].team == w->oracle.users[cl->user].team) << u;
    if (!rng_one_in(&cl->rng, 20))
        busy &= team;
    if (rng_one_in(&cl->rng, 3) && (busy & own) != 0)
        return busy;
    return one_of(cl, rng_one_in(&cl->rng, 8) ? team : busy & ~own) | own;
}

static bool choose_open(struct client *cl, struct op *op)
{
    const struct oracle *o = &cl->w->oracle;
    *op = (struct op){.kind = OP_OPEN, .users = some_set(cl)};
    for (uint32_t i = 0; i < o->chans_len; i++) {
        if (oracle_is_direct(&o->chans[i]) && o->chans[i].members == op->users)
            return true;
    }
    return count_directs(o) < directs_max;
}

/* Mostly one of its own. */
static bool choose_close(struct client *cl, struct op *op, const struct ochan *c)
{
    const struct oracle *o = &cl->w->oracle;
    uint32_t from = (uint32_t)rng_below(&cl->rng, o->chans_len);
    for (uint32_t i = 0; i < o->chans_len && !rng_one_in(&cl->rng, 16); i++) {
        const struct ochan *d = &o->chans[(from + i) % o->chans_len];
        if (oracle_is_direct(d) && (d->members >> cl->user & 1) != 0)
            c = d;
    }
    *op = (struct op){.kind = OP_CLOSE, .cid = c->cid};
    return true;
}

/* ---- pins ---- */

static bool choose_pin(struct client *cl, struct op *op, const struct ochan *c)
{
    uint64_t k = rng_below(&cl->rng, 6);
    if (k == 0) {
        *op = (struct op){.kind = OP_PINS, .cid = c->cid};
        return true;
    }
    *op = (struct op){.kind = k == 1 ? OP_UNPIN : OP_PIN, .cid = c->cid};
    op->number = rng_one_in(&cl->rng, 2) ? choose_reply(cl, c) : choose_message(cl, c);
    return op->number != 0;
}

/* ---- all ---- */

/* Mostly what changes something. */
static enum op_kind some_archiving(struct client *cl, const struct ochan *c)
{
    bool archived = levels_at(&c->archived, cl->w->oracle.pos) != 0;
    return archived != rng_one_in(&cl->rng, 8) ? OP_UNARCHIVE : OP_ARCHIVE;
}

bool choose_channel_op(struct client *cl, struct op *op, const struct ochan *c)
{
    uint64_t k = rng_below(&cl->rng, 16);
    if (k < 2) {
        *op = (struct op){.kind = some_archiving(cl, c), .cid = c->cid};
        return true;
    }
    if (k < 4) {
        *op = (struct op){.kind = OP_KICK,
                          .cid = c->cid,
                          .other = (uint8_t)rng_below(&cl->rng, cl->w->plan.users)};
        return true;
    }
    if (k < 7) {
        *op = (struct op){.kind = OP_INFO, .cid = c->cid};
        return true;
    }
    if (k < 9)
        return choose_close(cl, op, c);
    return k < 12 ? choose_open(cl, op) : choose_pin(cl, op, c);
}
