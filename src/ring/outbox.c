#include "ring/outbox.h"

#include "ring/frame.h"

void outbox_wire(struct outbox *o, struct edge *e)
{
    ASSERT(e->src == o->self && e->dst < actors_max);
    o->edges[e->class][e->dst] = e;
    if (e->class == CLASS_REQUEST)
        o->credits[e->dst] = e->cap;
}

static struct cell *stage(struct outbox *o, struct edge *e)
{
    struct cell *c = edge_stage(e);
    if (c != NULL && e->staged == 1)
        o->dirty[o->dirty_len++] = e;
    return c;
}

static struct edge *edge_to(const struct outbox *o, enum ring_class class, actor_id dst)
{
    ASSERT(dst < actors_max);
    struct edge *e = o->edges[class][dst];
    ASSERT(e != NULL); /* the topology lists every pair that may talk */
    return e;
}

struct cell *outbox_request(struct outbox *o, actor_id dst)
{
    struct edge *e = edge_to(o, CLASS_REQUEST, dst);
    if (o->credits[dst] == 0)
        return NULL;
    struct cell *c = stage(o, e);
    ASSERT(c != NULL); /* credits are the ring's capacity */
    o->credits[dst]--;
    o->requests_out++;
    return c;
}

void outbox_credit_back(struct outbox *o, actor_id src)
{
    struct edge *e = edge_to(o, CLASS_REQUEST, src);
    o->credits[src]++;
    ASSERT(o->credits[src] <= e->cap && o->requests_out > 0);
    o->requests_out--;
}

static void copy_address(struct cell *c, const struct cell *request)
{
    c->type = request->type;
    c->req = request->req;
    c->cid = request->cid;
}

struct cell *outbox_answer(struct outbox *o, actor_id dst, const struct cell *request)
{
    struct cell *c = stage(o, edge_to(o, CLASS_ANSWER, dst));
    ASSERT(c != NULL); /* as large as the requests that can be out */
    copy_address(c, request);
    return c;
}

struct cell *outbox_event(struct outbox *o, actor_id dst, uint32_t reserve)
{
    struct edge *e = edge_to(o, CLASS_EVENT, dst);
    if (edge_room(e) <= reserve) {
        edge_count_full(e);
        return NULL;
    }
    return stage(o, e);
}

struct cell *outbox_event_answer(struct outbox *o, actor_id dst, const struct cell *request)
{
    struct cell *c = stage(o, edge_to(o, CLASS_EVENT, dst));
    ASSERT(c != NULL); /* outbox_event's reserve kept it free */
    copy_address(c, request);
    c->flags = CELL_F_ANSWER;
    return c;
}

void outbox_frame_home(struct outbox *o, struct frame *f)
{
    struct cell *c = stage(o, edge_to(o, CLASS_ANSWER, f->home));
    ASSERT(c != NULL); /* as large as the frames that can be out */
    c->type = FRAME_HOME;
    c->u.p = f;
}

struct cell *outbox_control(struct outbox *o, actor_id dst)
{
    return stage(o, edge_to(o, CLASS_CONTROL, dst));
}
