/* load.c - cold channels. hist reads what is durable; a channel is cold only while none of its rows
 * is on the way, so what it reads is the newest. */
#include <stdlib.h>

#include "base/mutant.h"
#include "chan/internal.h"

enum { load_first_bytes = 16384 };

enum err load_init(struct chan_shard *s)
{
    list_init(&s->loads_waiting);
    arena_pool_init(&s->load_pool, load_first_bytes, loads_max, UINT64_MAX);
    s->loads = calloc(loads_max, sizeof *s->loads);
    if (s->loads == NULL)
        return ERR_NOMEM;
    for (uint32_t i = loads_max; i > 0; i--) {
        struct chan_load *l = &s->loads[i - 1];
        TRY(arena_init(&l->arena, &s->load_pool, UINT64_MAX)); /* a channel's members bound it */
        l->next = s->free_loads;
        s->free_loads = l;
    }
    return ERR_OK;
}

void load_deinit(struct chan_shard *s)
{
    for (uint32_t i = 0; s->loads != NULL && i < loads_max; i++)
        arena_deinit(&s->loads[i].arena);
    arena_pool_deinit(&s->load_pool);
    free(s->loads);
}

void load_begin(struct chan_shard *s, struct chan *c)
{
    ASSERT(c->state == CHAN_COLD);
    c->state = CHAN_LOADING;
    table_place(s, c);
    list_add_tail(&s->loads_waiting, &c->waiting);
}

void load_next(struct chan_shard *s)
{
    while (!list_empty(&s->loads_waiting) && s->free_loads != NULL) {
        struct cell *cell = outbox_request(s->turn->out, s->conf.hist);
        if (cell == NULL)
            return; /* the answer that brings a credit brings the turn that goes on */
        struct chan *c = CONTAINER(s->loads_waiting.next, struct chan, waiting);
        struct chan_load *l = s->free_loads;
        list_del(&c->waiting);
        s->free_loads = l->next;
        l->c = c;
        /* More members than are allowed now may have been stored when more were allowed. */
        l->m = (struct hist_load){.cid = c->cid, .members_max = UINT32_MAX, .arena = &l->arena};
        cell->type = HIST_LOAD;
        cell->cid = c->cid;
        cell->u.p = &l->m;
        metric_add(s->turn->metrics, METRIC_CHAN_LOADS, 1);
    }
}

static struct str_view keep(char **at, struct str_view s)
{
    struct str_view kept = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.p, s.len);
    *at += s.len;
    return kept;
}

static enum err take_content(struct chan_shard *s, struct chan *c, const struct hist_load *m)
{
    if (!c->counted && !table_make_room(s))
        return ERR_SERVICE_UNAVAILABLE;
    c->text = malloc(m->info.name.len + m->info.topic.len + m->info.purpose.len + 1);
    if (c->text == NULL || member_set_reserve(&c->members, m->members_len) != ERR_OK) {
        table_forget(c);
        return ERR_NOMEM;
    }
    char *at = c->text;
    c->info = m->info;
    c->info.archived = MUTANT(ARCHIVE_NOT_LOADED, m->info.archived, false);
    c->info.name = keep(&at, m->info.name);
    c->info.topic = keep(&at, m->info.topic);
    c->info.purpose = keep(&at, m->info.purpose);
    c->head = m->head;
    c->durable_ts_us = m->head.last_ts_us;
    /* Its own, of before a failed batch, if it stayed in the table: 0 if not. */
    c->durable_us = MAX(c->durable_us, MAX(m->head.last_ts_us, s->evicted_us));
    for (uint32_t i = 0; i < m->members_len; i++)
        member_set_add(&c->members, m->members[i]);
    c->state = CHAN_READY;
    if (!c->counted) {
        c->counted = true;
        c->interest = MUTANT(INTEREST_FORGOTTEN, s->fanouts,
                             0); /* who listened before it was evicted is forgotten: see table.c */
        c->stamp = s->stamp;
        s->resident++;
        metric_add(s->turn->metrics, METRIC_CHANS_LOADED, 1);
    }
    return ERR_OK;
}

/* Nobody gets it: every request that waited is answered. */
static void refuse_waiting(struct chan_shard *s, struct chan *c, enum err err)
{
    struct op *op = c->first;
    c->first = c->last = NULL;
    c->ops_len = 0;
    c->state = CHAN_COLD;
    if (err == ERR_CHANNEL_NOT_FOUND && (c->gap_owed | c->revalidate_owed) == 0)
        c->interest = 0;
    table_drop_if_empty(s, c);
    while (op != NULL) {
        struct op *next = op->next;
        if (op->request.type == CHAN_SUB && err == ERR_CHANNEL_NOT_FOUND)
            sub_absent(s, op);
        else
            op_answer(s, op, err);
        op = next;
    }
}

void load_done(struct chan_shard *s, const struct cell *answer)
{
    struct chan_load *l = CONTAINER(answer->u.p, struct chan_load, m);
    struct chan *c = l->c;
    ASSERT(c->state == CHAN_LOADING && c->cid == answer->cid);
    enum err err = (enum err)answer->err;
    if (err == ERR_OK)
        err = l->m.found ? take_content(s, c, &l->m) : ERR_CHANNEL_NOT_FOUND;
    s->parked -= c->ops_len;
    if (err == ERR_OK) {
        ASSERT(c->first != NULL);
        list_add_tail(&s->ready, &c->ready);
    } else {
        refuse_waiting(s, c, err);
    }
    arena_reset(&l->arena);
    l->c = NULL;
    l->next = s->free_loads;
    s->free_loads = l;
}
