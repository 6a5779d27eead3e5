/* table.c - sockets by slot, by net's id, by user and by team. */
#include <stdlib.h>
#include <string.h>

#include "fanout/internal.h"

static enum err index_init(struct conn_index *x, uint32_t conns_max)
{
    x->len = 16;
    while (x->len < conns_max)
        x->len *= 2;
    x->heads = malloc(x->len * sizeof *x->heads);
    if (x->heads == NULL)
        return ERR_NOMEM;
    memset(x->heads, 0xff, x->len * sizeof *x->heads);
    return ERR_OK;
}

enum err conns_init(struct fanout *f)
{
    uint32_t slots = f->conns_max + fan_refusals_max;
    TRY(slab_init(&f->conns, slots, sizeof(struct fan_conn)));
    f->by_net_len = slots;
    f->by_net = malloc(slots * sizeof *f->by_net);
    f->hot = calloc(slots, sizeof *f->hot);
    if (f->by_net == NULL || f->hot == NULL)
        return ERR_NOMEM;
    memset(f->by_net, 0xff, slots * sizeof *f->by_net);
    for (uint32_t i = 0; i < slots; i++)
        f->hot[i].conn = SLAB_NONE;
    TRY(index_init(&f->users, slots));
    return index_init(&f->teams, slots);
}

void conns_deinit(struct fanout *f)
{
    free(f->by_net);
    free(f->hot);
    free(f->users.heads);
    free(f->teams.heads);
    slab_deinit(&f->conns);
}

/* net's slots are dense, but a loop that hosts more than this actor has more of them. */
static bool reserve_net(struct fanout *f, uint32_t slot)
{
    if (slot < f->by_net_len)
        return true;
    uint32_t len = MAX(slot + 1, f->by_net_len * 2);
    uint32_t *more = realloc(f->by_net, len * sizeof *more);
    if (more == NULL)
        return false;
    memset(more + f->by_net_len, 0xff, (len - f->by_net_len) * sizeof *more);
    f->by_net = more;
    f->by_net_len = len;
    return true;
}

struct fan_conn *conn_take(struct fanout *f, conn_id net)
{
    uint64_t handle;
    if (!reserve_net(f, slab_index(net)))
        return NULL;
    struct fan_conn *c = slab_take(&f->conns, &handle);
    if (c == NULL)
        return NULL;
    c->net = net;
    c->self = handle;
    c->wait_next = slot_none;
    f->by_net[slab_index(net)] = slab_index(handle);
    return c;
}

void conn_give(struct fanout *f, struct fan_conn *c)
{
    f->by_net[slab_index(c->net)] = slot_none;
    slab_give(&f->conns, c->self);
}

struct fan_conn *conn_by_net(struct fanout *f, conn_id net)
{
    uint32_t slot = slab_index(net) < f->by_net_len ? f->by_net[slab_index(net)] : slot_none;
    if (slot == slot_none)
        return NULL;
    struct fan_conn *c = conn_at(f, slot);
    return c->net == net ? c : NULL;
}

/* ---- chains ---- */

static uint32_t *head_of(struct conn_index *x, uint64_t number)
{
    return &x->heads[mix64(number) & (x->len - 1)];
}

void conn_index(struct fanout *f, struct fan_conn *c)
{
    uint32_t slot = slab_index(c->self);
    uint32_t *user = head_of(&f->users, c->uid), *team = head_of(&f->teams, c->team);
    c->user_prev = c->team_prev = slot_none;
    c->user_next = *user;
    c->team_next = *team;
    if (*user != slot_none)
        conn_at(f, *user)->user_prev = slot;
    if (*team != slot_none)
        conn_at(f, *team)->team_prev = slot;
    *user = *team = slot;
    c->indexed = true;
}

void conn_unindex(struct fanout *f, struct fan_conn *c)
{
    if (!c->indexed)
        return;
    c->indexed = false;
    if (c->user_prev != slot_none)
        conn_at(f, c->user_prev)->user_next = c->user_next;
    else
        *head_of(&f->users, c->uid) = c->user_next;
    if (c->user_next != slot_none)
        conn_at(f, c->user_next)->user_prev = c->user_prev;
    if (c->team_prev != slot_none)
        conn_at(f, c->team_prev)->team_next = c->team_next;
    else
        *head_of(&f->teams, c->team) = c->team_next;
    if (c->team_next != slot_none)
        conn_at(f, c->team_next)->team_prev = c->team_prev;
}

struct fan_conn *conn_of_user(struct fanout *f, uint64_t uid, struct fan_conn *after)
{
    uint32_t slot = after == NULL ? *head_of(&f->users, uid) : after->user_next;
    while (slot != slot_none && conn_at(f, slot)->uid != uid)
        slot = conn_at(f, slot)->user_next;
    return slot == slot_none ? NULL : conn_at(f, slot);
}

struct fan_conn *conn_of_team(struct fanout *f, uint64_t team, struct fan_conn *after)
{
    uint32_t slot = after == NULL ? *head_of(&f->teams, team) : after->team_next;
    while (slot != slot_none && conn_at(f, slot)->team != team)
        slot = conn_at(f, slot)->team_next;
    return slot == slot_none ? NULL : conn_at(f, slot);
}
