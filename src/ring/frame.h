/* ring/frame.h - an event, encoded once, sent to every receiver from the same bytes.
 * The producing actor owns the slab; it fills a frame, then releases it: from then on it is
 * immutable. Each fanout that receives it holds one reference of the atomic count (and counts its
 * own uses beside it); the last fanout sends the frame home through its ANSWER ring to the producer
 * (FRAME_HOME cell), where frame_give recycles it. Layout: 16 bytes of room in front of the body
 * take the WebSocket header, so header and body are one run. */
#ifndef PARLEY_RING_FRAME_H
#define PARLEY_RING_FRAME_H

#include "ring/cell.h"
#include "base/str_view.h"

enum {
    frame_header_room = 16,
    frame_body_max = 65536,
    frame_classes = 5
}; /* 256 B, 1, 4, 16, 64 KiB */

/* The type of the cell that brings a frame home; u.p is the frame. Above every room's own types. */
enum { FRAME_HOME = 0xfff0 };

struct frame {
    uint32_t refs; /* atomic: fanouts that hold it */
    uint8_t size_class;
    uint8_t header_len; /* of the WebSocket header, right before body */
    uint32_t body_len;
    actor_id home;
    uint64_t cid;        /* channel of the event, or ID_NONE */
    bool takes_back;     /* something that was told before; it must not be told again */
    struct frame *next;  /* slab's free list */
    struct frame *older; /* every frame of the slab, at home or away */
    uint8_t room[frame_header_room];
    uint8_t body[];
};

static inline struct str_view frame_wire(const struct frame *f) /* header and body */
{
    return (struct str_view){(const char *)f->body - f->header_len,
                             (size_t)f->header_len + f->body_len};
}

struct frame_slab { /* owned by the producing actor */
    actor_id home;
    uint32_t out, out_max; /* frames away from home; past out_max none is given */
    struct frame *free[frame_classes];
    struct frame *newest; /* of all that were ever made */
};

void frame_slab_init(struct frame_slab *s, actor_id home, uint32_t out_max);
/* Frees those that are away too: nobody may hold one any more. */
void frame_slab_deinit(struct frame_slab *s);
/* Room for body_len bytes. NULL: at out_max, or body_len > frame_body_max: the event becomes a gap
 * or a refetch hint. */
struct frame *frame_take(struct frame_slab *s, uint32_t body_len);
void frame_give(struct frame_slab *s, struct frame *f); /* producer's thread */
/* Producer, before sending to n fanouts: writes the header of a text frame and sets refs = n. */
void frame_release(struct frame *f, uint32_t n);
/* Fanout: drops its reference. True: it was the last, send it home. */
bool frame_drop(struct frame *f);

#endif
