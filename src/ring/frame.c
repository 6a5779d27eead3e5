#include "ring/frame.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t class_bytes[frame_classes] = {256, 1024, 4096, 16384, frame_body_max};

void frame_slab_init(struct frame_slab *s, actor_id home, uint32_t out_max)
{
    *s = (struct frame_slab){.home = home, .out_max = out_max};
}

void frame_slab_deinit(struct frame_slab *s)
{
    while (s->newest != NULL) {
        struct frame *f = s->newest;
        s->newest = f->older;
        free(f);
    }
}

static struct frame *make(struct frame_slab *s, uint8_t class)
{
    struct frame *f = malloc(sizeof *f + class_bytes[class]);
    if (f == NULL)
        return NULL;
    f->older = s->newest;
    s->newest = f;
    return f;
}

struct frame *frame_take(struct frame_slab *s, uint32_t body_len)
{
    if (s->out == s->out_max || body_len > frame_body_max)
        return NULL;
    uint8_t class = 0;
    while (class_bytes[class] < body_len)
        class ++;
    struct frame *f = s->free[class];
    if (f != NULL)
        s->free[class] = f->next;
    else
        f = make(s, class); /* the slab grows to its high water, then only recycles */
    if (f == NULL)
        return NULL;
    s->out++;
    struct frame *older = f->older;
    memset(f, 0, sizeof *f);
    f->older = older;
    f->size_class = class;
    f->body_len = body_len;
    f->home = s->home;
    return f;
}

void frame_give(struct frame_slab *s, struct frame *f)
{
    ASSERT(f->home == s->home && s->out > 0);
    TSAN_ACQUIRE(&f->refs);
    s->out--;
    f->next = s->free[f->size_class];
    s->free[f->size_class] = f;
}

/* RFC 6455 5.2: FIN, text, unmasked, minimal length. Room in front: the header ends where the body
 * begins. */
static uint8_t write_header(uint8_t *body, uint32_t len)
{
    uint8_t n = len < 126 ? 2 : len < 65536 ? 4 : 10;
    uint8_t *h = body - n;
    h[0] = 0x81;
    if (n == 2) {
        h[1] = (uint8_t)len;
    } else if (n == 4) {
        h[1] = 126;
        h[2] = (uint8_t)(len >> 8);
        h[3] = (uint8_t)len;
    } else {
        h[1] = 127;
        for (int i = 0; i < 8; i++)
            h[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    }
    return n;
}

void frame_release(struct frame *f, uint32_t n)
{
    f->header_len = write_header(f->body, f->body_len);
    __atomic_store_n(&f->refs, n, __ATOMIC_RELAXED); /* published by the ring's release */
}

bool frame_drop(struct frame *f)
{
    return __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) == 0;
}
