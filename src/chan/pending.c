/* pending.c - rows that are decided and not durable yet: messages that were changed, and who
 * follows their threads. What a step begins with is the newest decision, of a batch on its way if
 * there is one, else what is stored. */
#include "chan/internal.h"

static struct pending_row **bucket_of(struct chan_shard *s, uint64_t cid, uint64_t ts_us,
                                      uint64_t uid)
{
    return &s->pending_rows[mix64(cid ^ mix64(ts_us ^ mix64(uid))) & (pending_row_buckets - 1)];
}

struct pending_row *pending_find(struct chan_shard *s, uint64_t cid, uint64_t ts_us, uint64_t uid)
{
    struct pending_row *p = *bucket_of(s, cid, ts_us, uid);
    while (p != NULL && (p->cid != cid || p->ts_us != ts_us || p->uid != uid))
        p = p->next;
    return p;
}

static void unlink_pending(struct pending_row *p)
{
    *p->link = p->next;
    if (p->next != NULL)
        p->next->link = p->link;
}

void pending_forget(struct chan_batch *cb)
{
    for (struct pending_row *p = cb->rows; p != NULL; p = p->batch_next) {
        if (p->link != NULL)
            unlink_pending(p);
    }
    cb->rows = NULL;
}

void pending_add(struct chan_shard *s, uint64_t cid, uint64_t ts_us, uint64_t uid, struct row *row)
{
    struct pending_row *old = pending_find(s, cid, ts_us, uid);
    struct pending_row **bucket = bucket_of(s, cid, ts_us, uid);
    struct pending_row *p = arena_zalloc(&s->open->hang, sizeof *p);
    ASSERT(p != NULL); /* commit_room */
    if (old != NULL) {
        unlink_pending(old);
        old->link = NULL;
    }
    *p = (struct pending_row){.cid = cid,
                              .ts_us = ts_us,
                              .uid = uid,
                              .row = row,
                              .batch = s->open,
                              .next = *bucket,
                              .link = bucket};
    if (p->next != NULL)
        p->next->link = &p->next;
    *bucket = p;
    p->batch_next = s->open->rows;
    s->open->rows = p;
}
