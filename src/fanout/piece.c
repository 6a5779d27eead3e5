/* piece.c - lists of what waits for one socket: references in chunks of two cache lines, first in,
 * first out. The first `sent` of a list are with net; they stay in place until it is done. */
#include "fanout/internal.h"

bool pieces_add(struct pool *chunks, struct piece_list *l, piece p)
{
    if (l->tail == NULL || l->end == chunk_pieces) {
        struct chunk *c = pool_take(chunks);
        if (c == NULL)
            return false;
        c->next = NULL;
        if (l->tail != NULL)
            l->tail->next = c;
        else
            l->head = c;
        l->tail = c;
        l->end = 0;
    }
    l->tail->p[l->end++] = p;
    l->len++;
    return true;
}

piece pieces_take(struct pool *chunks, struct piece_list *l)
{
    struct chunk *c = l->head;
    piece p = c->p[l->first++];
    l->len--;
    if (l->sent > 0)
        l->sent--;
    if (l->len > 0 && l->first < chunk_pieces)
        return p;
    l->head = c->next; /* used up, or the last one of all */
    l->first = 0;
    if (l->head == NULL) {
        l->tail = NULL;
        l->end = 0;
    }
    pool_give(chunks, c);
    return p;
}

piece *pieces_next(struct piece_at *at)
{
    if (at->i == chunk_pieces)
        *at = (struct piece_at){at->chunk->next, 0};
    return &at->chunk->p[at->i++];
}

void pieces_cut(struct pool *chunks, struct piece_list *l, struct piece_at end, uint32_t len)
{
    struct chunk *c = len > 0 ? end.chunk->next : l->head;
    while (c != NULL) {
        struct chunk *next = c->next;
        pool_give(chunks, c);
        c = next;
    }
    if (len == 0) {
        *l = (struct piece_list){0};
        return;
    }
    end.chunk->next = NULL;
    l->tail = end.chunk;
    l->end = (uint8_t)end.i;
    l->len = len;
}
