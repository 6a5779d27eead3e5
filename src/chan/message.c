/* message.c - messages that are there and change. What a step begins with is the newest decision
 * about the message: of a batch on its way if there is one, else what is stored, which the step
 * reads by itself. A reply is found in two reads: by its ts the thread, then the row. */
#include "base/mutant.h"
#include "chan/internal.h"

enum { message_fixed_bytes = 160 };

/* ---- reads ---- */

static enum err decode(struct message *m, struct str_view key, struct str_view value)
{
    m->found = value.p != NULL;
    return m->found ? row_message_decode(&m->row, key, value) : ERR_OK;
}

static enum err read_reply(struct chan_shard *s, uint64_t cid, uint64_t ts_us,
                           const struct view_get *pointer, struct message *out)
{
    uint64_t thread_ts_us;
    struct key k;
    struct str_view value;
    TRY(row_u64_decode(&thread_ts_us, pointer->key, pointer->value));
    key_reply(&k, cid, thread_ts_us, ts_us);
    TRY(view_get1(&s->conf.view, CF_MSG, &k, &s->scratch, &value));
    return decode(out, key_view(&k), value);
}

static enum err read_stored(struct chan_shard *s, uint64_t cid, uint64_t ts_us, struct message *out)
{
    struct key root, pointer;
    key_msg(&root, cid, ts_us);
    key_pointer(&pointer, cid, ts_us);
    struct view_get gets[] = {{.cf = CF_MSG, .key = key_view(&root)},
                              {.cf = CF_MSG, .key = key_view(&pointer)}};
    TRY(view_multi_get(&s->conf.view, gets, ARRAY_LEN(gets), &s->scratch));
    if (gets[0].value.p != NULL || gets[1].value.p == NULL)
        return decode(out, gets[0].key, gets[0].value);
    return read_reply(s, cid, ts_us, &gets[1], out);
}

enum err message_look(struct chan_shard *s, uint64_t cid, uint64_t ts_us, struct message *out)
{
    const struct pending_row *p = MUTANT(STALE_MESSAGE, pending_find(s, cid, ts_us, ID_NONE), NULL);
    *out = (struct message){0};
    enum err err =
        p != NULL ? decode(out, p->row->key, p->row->value) : read_stored(s, cid, ts_us, out);
    /* A row that cannot be read says nothing about the message: the retry may succeed. */
    return err == ERR_OK ? ERR_OK : ERR_STORAGE_UNAVAILABLE;
}

/* ---- writes ---- */

static size_t value_max(const struct row_message *m)
{
    return message_fixed_bytes + m->client_msg_id.len + m->body.len + m->thread.len +
           m->reactions.len + m->metadata.len;
}

size_t message_room(const struct row_message *m)
{
    return row_room(value_max(m));
}

/* Roots and what the channel sees of replies lie among the channel's messages. */
static void key_of(struct key *k, uint64_t cid, const struct row_message *m)
{
    if ((m->flags & (MSG_REPLY | MSG_BROADCAST)) == MSG_REPLY)
        key_reply(k, cid, m->thread_ts_us, m->ts_us);
    else
        key_msg(k, cid, m->ts_us);
}

/* Of one batch the row is written once: a second change of it replaces the value. */
static void replace(struct chan_batch *cb, struct row *row, const struct key *k,
                    const struct row_message *m)
{
    struct buf b;
    buf_init(&b, &cb->b.arena, value_max(m));
    row_message_encode(&b, k, m);
    ASSERT(!b.failed); /* commit_room */
    cb->b.bytes += b.len - row->value.len;
    row->value = buf_view(&b);
}

void message_put(struct chan_shard *s, uint64_t cid, const struct row_message *m)
{
    struct chan_batch *cb = s->open;
    struct pending_row *p = pending_find(s, cid, m->ts_us, ID_NONE);
    struct key k;
    key_of(&k, cid, m);
    if (p != NULL && p->batch == cb) {
        replace(cb, p->row, &k, m);
        return;
    }
    row_message_encode(commit_put(cb, CF_MSG, &k, value_max(m)), &k, m);
    batch_put_end(&cb->b);
    pending_add(s, cid, m->ts_us, ID_NONE, cb->b.last);
}
