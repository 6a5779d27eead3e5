/* dedup.c - the client's keys. A key is (channel, sender, literal). Its row lies under 16 bytes
 * that are the literal's UUID or hash; two literals may meet there (a UUID can be made to equal
 * another's hash), so the literal is compared, and the second one goes to the next place. */
#include "base/mutant.h"
#include "chan/internal.h"
#include "chan/posted.h"

void dedup_gather(struct chan_shard *s, struct op *op, uint64_t cid)
{
    const struct chan_post *m = op->request.u.p;
    op->dedup = NULL;
    if (m->client_msg_id.len == 0)
        return;
    struct key *k = &s->keys[s->gets_len];
    struct view_get *g = &s->gets[s->gets_len++];
    key_dedup(k, cid, m->uid, m->key128);
    *g = (struct view_get){.cf = CF_IDX, .key = key_view(k)};
    op->dedup = g;
}

/* An answer must not be guessed: when the store cannot be read, no key of this turn is known. */
void dedup_read(struct chan_shard *s)
{
    s->dedup_err = s->gets_len == 0
                       ? ERR_OK
                       : view_multi_get(&s->conf.view, s->gets, s->gets_len, &s->scratch);
}

static uint32_t bucket_of(uint64_t cid, uint64_t uid, const uint8_t slot[key128_bytes])
{
    uint64_t a, b;
    memcpy(&a, slot, sizeof a);
    memcpy(&b, slot + sizeof a, sizeof b);
    return (uint32_t)mix64(cid ^ mix64(uid ^ mix64(a ^ mix64(b)))) & (pending_buckets - 1);
}

static struct pending_key *find_pending(const struct chan_shard *s, uint64_t cid, uint64_t uid,
                                        const uint8_t slot[key128_bytes])
{
    struct pending_key *k = s->pending[bucket_of(cid, uid, slot)];
    while (k != NULL &&
           (k->cid != cid || k->uid != uid || memcmp(k->slot, slot, key128_bytes) != 0))
        k = k->next;
    return k;
}

void dedup_add(struct chan_shard *s, struct pending_key *k)
{
    struct pending_key **bucket = &s->pending[bucket_of(k->cid, k->uid, k->slot)];
    k->next = *bucket;
    k->link = bucket;
    if (k->next != NULL)
        k->next->link = &k->next;
    *bucket = k;
    k->batch_next = k->batch->keys;
    k->batch->keys = k;
}

void dedup_forget(struct chan_batch *cb)
{
    for (struct pending_key *k = cb->keys; k != NULL; k = k->batch_next) {
        *k->link = k->next;
        if (k->next != NULL)
            k->next->link = k->link;
    }
    cb->keys = NULL;
}

/* The stored row of a place; the first one was read for the whole turn, the others are as good as
 * never needed. */
static enum err read_place(struct chan_shard *s, const struct view_get *got, const struct key *k,
                           uint32_t probe, struct str_view *value)
{
    TRY(s->dedup_err);
    if (probe > 0)
        return view_get1(&s->conf.view, CF_IDX, k, &s->scratch, value);
    *value = got->value;
    return ERR_OK;
}

static enum err look(struct chan_shard *s, const struct op *op, uint64_t cid, struct dedup *out)
{
    const struct chan_post *m = op->request.u.p;
    memcpy(out->slot, m->key128, key128_bytes);
    for (uint32_t probe = 0; probe < dedup_probes_max; probe++, out->slot[key128_bytes - 1]++) {
        struct key k;
        struct str_view value;
        struct row_dedup row;
        const struct pending_key *p =
            MUTANT(SKIP_PENDING_KEY, find_pending(s, cid, m->uid, out->slot), NULL);
        if (p != NULL) {
            if (!sv_eq(p->client_msg_id, m->client_msg_id))
                continue;
            out->found = DEDUP_PENDING;
            out->ts_us = p->ts_us;
            out->batch = p->batch;
            return ERR_OK;
        }
        key_dedup(&k, cid, m->uid, out->slot);
        TRY(read_place(s, op->dedup, &k, probe, &value));
        if (MUTANT(SKIP_STORED_KEY, value.p == NULL, true)) {
            out->found = DEDUP_NEW;
            return ERR_OK;
        }
        TRY(row_dedup_decode(&row, key_view(&k), value));
        if (!sv_eq(row.client_msg_id, m->client_msg_id))
            continue;
        out->found = DEDUP_STORED;
        out->ts_us = row.ts_us;
        return ERR_OK;
    }
    return ERR_INVALID_CLIENT_MSG_ID; /* made to collide, again and again */
}

void dedup_look(struct chan_shard *s, const struct op *op, uint64_t cid, struct dedup *out)
{
    *out = (struct dedup){0};
    enum err err = look(s, op, cid, out);
    if (err == ERR_OK)
        return;
    out->found = DEDUP_FAILED;
    /* A row that cannot be read says nothing about the message: the retry may succeed. */
    out->err = err == ERR_INVALID_CLIENT_MSG_ID ? err : ERR_STORAGE_UNAVAILABLE;
}
