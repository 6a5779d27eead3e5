/* group.c - changes of files: gathered, decided, committed together, answered. One group at a time;
 * a change that concerns a file or a content which the group concerns already begins the next one.
 *
 * A commit that fails leaves it open whether log has its rows after all: should they turn up when
 * log opens the store again, the process ends and the next one serves them (store/log.h). So the
 * bytes that such a group placed stay until log has said that it commits again; then they go. */
#include <stdlib.h>

#include "media/internal.h"

enum { ops_min = 64, probe_us = 1000000 };

/* ---- what the group is about ---- */

static uint64_t hash_of(const void *p, size_t n)
{
    uint64_t hash = n;
    for (size_t at = 0; at < n; at += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, (const char *)p + at, MIN(n - at, sizeof word));
        hash = mix64(hash ^ word);
    }
    return hash;
}

static bool is_claimed(const struct media *m, uint64_t claim)
{
    for (uint32_t i = 0; i < m->claims_len; i++) {
        if (m->claims[i] == claim)
            return true;
    }
    return false;
}

static void claim(struct media *m, uint64_t what)
{
    ASSERT(m->claims_len < group_claims_max);
    m->claims[m->claims_len++] = what;
}

bool group_claims_blob(const struct media *m, const uint8_t sha256[sha256_bytes])
{
    return is_claimed(m, hash_of(sha256, sha256_bytes));
}

bool group_claim_blob(struct media *m, const uint8_t sha256[sha256_bytes])
{
    if (group_claims_blob(m, sha256))
        return false;
    claim(m, hash_of(sha256, sha256_bytes));
    return true;
}

void group_claim_file(struct media *m, const struct file_id *id)
{
    claim(m, hash_of(id->text, file_id_len));
}

/* ---- its changes ---- */

bool group_push(struct media *m, const struct media_op *op)
{
    if (m->ops_len == m->ops_cap) {
        uint32_t cap = MAX((uint32_t)ops_min, m->ops_cap * 2);
        struct media_op *more = realloc(m->ops, cap * sizeof *more);
        if (more == NULL)
            return false;
        m->ops = more;
        m->ops_cap = cap;
    }
    m->ops[m->ops_len++] = *op;
    return true;
}

static bool decide(struct media *m, struct media_op *op)
{
    switch (op->request.type) {
    case MEDIA_RESERVE:
        decide_reserve(m, op);
        return true;
    case MEDIA_BEGIN:
        decide_begin(m, op);
        return true;
    case MEDIA_FINISH:
        return decide_finish(m, op);
    case MEDIA_SHARE:
        decide_share(m, op);
        return true;
    case MEDIA_PUBLIC:
        decide_public(m, op);
        return true;
    case MEDIA_DELETE:
        return decide_delete(m, op);
    case MEDIA_FORGET:
        decide_forget(m, op);
        return true;
    case MEDIA_REINDEX:
        decide_reindex(m, op);
        return true;
    case MEDIA_INDEX_STEP:
        return decide_index_step(m, op);
    default: /* about a stream that was finishing, and has ended by now */
        op->err = ERR_UNKNOWN_STREAM;
        return true;
    }
}

/* False: it waits for the end of the group, or for the next turn. */
static bool join_group(struct media *m, struct media_op *op)
{
    bool of_file = op->id.text[0] != '\0';
    uint64_t file = hash_of(op->id.text, file_id_len);
    if (m->group_len == group_ops_max || m->batch.bytes >= group_bytes_max ||
        (of_file && is_claimed(m, file)))
        return false;
    bool decided = decide(m, op);
    arena_reset(&m->scratch);
    if (decided && of_file)
        group_claim_file(m, &op->id);
    return decided;
}

/* ---- its end ---- */

static void remove_blob(struct media *m, const uint8_t sha256[sha256_bytes])
{
    if (media_count(m, blob_remove(&m->blobs, sha256)) == ERR_OK)
        metric_add(m->turn->metrics, METRIC_BLOBS_REMOVED, 1);
}

bool group_doubts_blob(const struct media *m, const uint8_t sha256[sha256_bytes])
{
    for (uint32_t i = 0; i < m->doubtful_len; i++) {
        if (memcmp(m->doubtful[i], sha256, sha256_bytes) == 0)
            return true;
    }
    return false;
}

static void doubt_blob(struct media *m, const uint8_t sha256[sha256_bytes])
{
    ASSERT(m->doubtful_len < group_ops_max); /* none is placed while there is a doubt */
    memcpy(m->doubtful[m->doubtful_len++], sha256, sha256_bytes);
}

static void end_op(struct media *m, struct media_op *op, enum err err)
{
    if (op->writes && err != ERR_OK)
        op->err = err; /* what wrote nothing rests on nothing that could fail */
    upload_ended(m, op, op->err == ERR_OK);
    index_ended(m, op, op->err == ERR_OK);
    if (op->err == ERR_OK && op->unreferenced)
        remove_blob(m, op->sha256);
    else if (op->err != ERR_OK && op->placed && m->in_doubt)
        doubt_blob(m, op->sha256);
    else if (op->err != ERR_OK && op->placed)
        remove_blob(m, op->sha256);
    if (op->from != ACTOR_NONE)
        media_answer(m, &op->request, op->from, op->err);
}

static void end_group(struct media *m, enum err err)
{
    for (uint32_t i = 0; i < m->group_len; i++)
        end_op(m, &m->ops[i], err);
    m->ops_len -= m->group_len;
    memmove(m->ops, m->ops + m->group_len, m->ops_len * sizeof *m->ops);
    m->group_len = 0;
    m->claims_len = 0;
    struct arena arena = m->batch.arena;
    arena_reset(&arena);
    m->batch = (struct batch){.arena = arena};
}

static void end_doubt(struct media *m)
{
    m->in_doubt = false;
    for (uint32_t i = 0; i < m->doubtful_len; i++)
        remove_blob(m, m->doubtful[i]);
    m->doubtful_len = 0;
}

void group_committed(struct media *m, enum err err)
{
    m->committing = false;
    if (err == ERR_OK) {
        end_doubt(m);
    } else {
        m->epoch++;
        m->in_doubt = true;
    }
    end_group(m, err);
}

/* ---- its way ---- */

static void send_batch(struct media *m)
{
    struct cell *c = outbox_request(m->turn->out, m->conf.log);
    ASSERT(c != NULL); /* one batch is out at a time */
    m->batch.part = log_part_media;
    m->batch.epoch = m->epoch;
    m->batch.number = ++m->number;
    m->batch.sent_us = m->turn->mono_us;
    c->type = LOG_APPEND;
    c->u.p = &m->batch;
    m->committing = true;
}

static void on_probe(struct timer *timer, void *ctx)
{
    struct media *m = (struct media *)(void *)((char *)timer - offsetof(struct media, probe_timer));
    m->turn = ctx;
    if (m->in_doubt && !m->committing && m->group_len == 0 && !m->draining)
        send_batch(m);
}

/* A batch without rows costs nothing and is answered as any other would be. */
static void watch_doubt(struct media *m)
{
    if (!m->in_doubt || m->draining || timer_armed(&m->probe_timer))
        return;
    m->probe_timer.fire = on_probe;
    wheel_arm(m->turn->wheel, &m->probe_timer, m->turn->mono_us + probe_us);
}

static void gather(struct media *m)
{
    while (m->group_len < m->ops_len && join_group(m, &m->ops[m->group_len]))
        m->batch.requests += m->ops[m->group_len++].writes;
}

void group_step(struct media *m)
{
    while (!m->committing && m->ops_len > 0) {
        gather(m);
        if (m->group_len == 0)
            break; /* enough was synced in this turn */
        if (m->batch.failed)
            end_group(m, ERR_NOMEM);
        else if (m->batch.rows_len == 0)
            end_group(m, ERR_OK);
        else
            send_batch(m);
    }
    watch_doubt(m);
}
