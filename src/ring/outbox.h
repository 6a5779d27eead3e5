/* ring/outbox.h - where an actor's step puts what it says to others. Purely memory: the loop
 * publishes it at the end of the turn and rings the bell of each loop that got something. Thread:
 * the actor's. */
#ifndef PARLEY_RING_OUTBOX_H
#define PARLEY_RING_OUTBOX_H

#include "ring/mailbox.h"

struct outbox {
    actor_id self;
    struct edge *edges[CLASS_COUNT][actors_max]; /* by destination; NULL: no such edge */
    uint32_t credits[actors_max];                /* requests that may still be sent to each actor */
    uint32_t requests_out; /* sent and not yet answered, over all destinations */
    struct edge *dirty[CLASS_COUNT * actors_max]; /* edges with staged cells */
    uint32_t dirty_len;
};

struct frame;

/* Wires one edge; called by the topology before the loops run. */
void outbox_wire(struct outbox *o, struct edge *e);

/* A request and its credit: NULL when no credit is left (park or refuse; nothing was taken). The
 * cell's req must be set so that the answer finds its way. */
struct cell *outbox_request(struct outbox *o, actor_id dst);
/* Called by the loop for every answer that arrives from src; an actor never calls it. */
void outbox_credit_back(struct outbox *o, actor_id src);
/* Copies type, req and cid from the request; asserts room. Fill err, flags and u. */
struct cell *outbox_answer(struct outbox *o, actor_id dst, const struct cell *request);
/* NULL: full; the caller records the gap. reserve: cells that must stay free behind it (0
 * normally). */
struct cell *outbox_event(struct outbox *o, actor_id dst, uint32_t reserve);
/* The answer to a request that must keep its place among events (CHAN_SUB): takes a cell that
 * outbox_event's reserve kept free; asserts room. */
struct cell *outbox_event_answer(struct outbox *o, actor_id dst, const struct cell *request);
/* Sends a frame home to its producer after frame_drop said it was the last reference; asserts room.
 */
void outbox_frame_home(struct outbox *o, struct frame *f);
/* NULL: full; the caller keeps it and tries next turn. */
struct cell *outbox_control(struct outbox *o, actor_id dst);

#endif
