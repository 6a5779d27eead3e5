/* wire.c - buffers of ciphertext. A send keeps one until the kernel has taken all of it; then it is
 * kept for the next, so that a loop at work allocates none. */
#include <stdlib.h>
#include <string.h>

#include "net/internal.h"

/* An event or an answer, a handshake's flight, a full record, a full chunk with what its records
 * add and an alert behind it. */
static const uint32_t class_bytes[wire_classes] = {512, 2048, 6144, 17408, tls_chunk_bytes + 4096};

static struct wire *take(struct net *n, size_t bytes)
{
    uint32_t class = 0;
    while (class < wire_classes && class_bytes[class] < bytes)
        class ++;
    if (class == wire_classes)
        return NULL;
    struct wire *w = n->wires[class];
    if (w != NULL) {
        n->wires[class] = w->next;
        n->wires_bytes -= class_bytes[class];
    } else if ((w = malloc(sizeof *w + class_bytes[class])) == NULL) {
        return NULL;
    }
    w->size_class = class;
    w->len = w->at = 0;
    return w;
}

void wire_give(struct net *n, struct wire *w)
{
    if (w == NULL)
        return;
    if (n->wires_bytes + class_bytes[w->size_class] > wire_spare_max) {
        free(w); /* after a burst: idle connections keep nothing */
        return;
    }
    n->wires_bytes += class_bytes[w->size_class];
    w->next = n->wires[w->size_class];
    n->wires[w->size_class] = w;
}

bool wire_reserve(struct net *n, struct wire **w, size_t more)
{
    size_t len = *w == NULL ? 0 : (*w)->len;
    if (*w != NULL && class_bytes[(*w)->size_class] - len >= more)
        return true;
    struct wire *larger = take(n, len + more);
    if (larger == NULL)
        return false;
    if (len > 0)
        memcpy(larger->b, (*w)->b, len);
    larger->len = (uint32_t)len;
    wire_give(n, *w);
    *w = larger;
    return true;
}

void wires_free(struct net *n)
{
    for (unsigned i = 0; i < wire_classes; i++) {
        while (n->wires[i] != NULL) {
            struct wire *w = n->wires[i];
            n->wires[i] = w->next;
            free(w);
        }
    }
}
