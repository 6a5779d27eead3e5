#include "store/batch.h"

static struct row *add(struct batch *b, enum row_op op, enum cf cf, const struct key *k)
{
    struct row *r = arena_zalloc(&b->arena, sizeof *r);
    struct str_view key = r == NULL ? SV_NONE : arena_dup(&b->arena, key_view(k));
    if (key.p == NULL) {
        b->failed = true;
        return NULL;
    }
    r->op = (uint8_t)op;
    r->cf = (uint8_t)cf;
    r->key = key;
    if (b->last != NULL)
        b->last->next = r;
    else
        b->first = r;
    b->last = r;
    b->rows_len++;
    b->bytes += key.len;
    return r;
}

struct buf *batch_put_begin(struct batch *b, enum cf cf, const struct key *k)
{
    struct row *r = add(b, ROW_PUT, cf, k);
    buf_init(&b->building, &b->arena, 0);
    b->building.failed = r == NULL;
    return &b->building;
}

void batch_put_end(struct batch *b)
{
    b->failed |= b->building.failed;
    if (b->failed)
        return;
    b->last->value = buf_view(&b->building);
    b->bytes += b->building.len;
}

void batch_put(struct batch *b, enum cf cf, const struct key *k, struct str_view value)
{
    buf_put_sv(batch_put_begin(b, cf, k), value);
    batch_put_end(b);
}

void batch_delete(struct batch *b, enum cf cf, const struct key *k)
{
    (void)add(b, ROW_DELETE, cf, k);
}
