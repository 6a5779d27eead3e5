#include "search/search.h"

#include <stdlib.h>

#include "search/internal.h"
#include "store/log.h"

enum { scratch_first_bytes = 1 << 20, batch_first_bytes = 1 << 20, retry_us = 500000 };

enum err search_new(struct search **out, const struct search_conf *c)
{
    struct search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->conf = *c;
    s->epoch = 1;
    arena_pool_init(&s->pool, scratch_first_bytes, 1, UINT64_MAX);
    arena_pool_init(&s->batch_pool, batch_first_bytes, 1, UINT64_MAX);
    s->queries = calloc(c->queue_max, sizeof *s->queries);
    if (s->queries == NULL || arena_init(&s->scratch, &s->pool, UINT64_MAX) != ERR_OK ||
        arena_init(&s->some, &s->pool, UINT64_MAX) != ERR_OK ||
        arena_init(&s->batch.arena, &s->batch_pool, UINT64_MAX) != ERR_OK ||
        json_reader_new(&s->json) != ERR_OK || build_new(&s->build, c->batch_words) != ERR_OK ||
        dirty_init(&s->dirty, c->dirty_max) != ERR_OK || known_init(&s->known) != ERR_OK) {
        search_free(s);
        return ERR_NOMEM;
    }
    s->behind = c->enabled; /* what was durable and not indexed when the process ended */
    *out = s;
    return ERR_OK;
}

void search_free(struct search *s)
{
    if (s == NULL)
        return;
    arena_deinit(&s->scratch);
    arena_deinit(&s->some);
    arena_deinit(&s->batch.arena);
    arena_pool_deinit(&s->pool);
    arena_pool_deinit(&s->batch_pool);
    json_reader_free(s->json);
    build_free(s->build);
    dirty_deinit(&s->dirty);
    free(s->known);
    free(s->queries);
    free(s);
}

/* ---- queries ---- */

static void answer(struct search *s, const struct cell *request, actor_id to, enum err err)
{
    struct cell *c = outbox_answer(s->turn->out, to, request);
    c->err = err;
    c->u.p = request->u.p;
    s->asked--;
}

static void on_request(struct search *s, const struct cell *c, actor_id from)
{
    s->asked++;
    if (!s->conf.enabled) {
        answer(s, c, from, ERR_NOT_ENABLED);
        return;
    }
    if (s->queries_len == s->conf.queue_max) {
        answer(s, c, from, ERR_SERVICE_UNAVAILABLE);
        return;
    }
    uint32_t at = (s->queries_at + s->queries_len++) % s->conf.queue_max;
    s->queries[at].request = *c;
    s->queries[at].from = from;
}

/* One a turn: what is durable goes on being indexed between two. */
static void serve(struct search *s)
{
    if (s->queries_len == 0)
        return;
    struct cell c = s->queries[s->queries_at].request;
    actor_id from = s->queries[s->queries_at].from;
    s->queries_at = (s->queries_at + 1) % s->conf.queue_max;
    s->queries_len--;
    enum err err = ERR_OK;
    if (c.type == SEARCH_REBUILD) {
        index_rebuild(s);
    } else {
        struct search_messages *m = c.u.p;
        err = run_messages(s, m);
        metric_add(s->turn->metrics, METRIC_SEARCH_QUERIES, 1);
        metric_add(s->turn->metrics, METRIC_SEARCH_ROWS_READ, m->rows);
    }
    arena_reset(&s->scratch);
    arena_reset(&s->some);
    answer(s, &c, from, err);
}

/* ---- actor ---- */

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct search *s = self;
    s->turn = t;
    for (uint32_t i = 0; i < n; i++) {
        if (class == CLASS_REQUEST) {
            on_request(s, &cells[i], from);
        } else if (class == CLASS_ANSWER) {
            index_done(s, (enum err)cells[i].err);
        } else if (s->conf.enabled) {
            s->edits |= cells[i].u.u[0] != 0;
            s->behind |= cells[i].cid == ID_NONE || !dirty_add(&s->dirty, cells[i].cid);
        }
    }
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct search *s = (struct search *)(void *)((char *)timer - offsetof(struct search, timer));
    (void)ctx;
    s->due = true;
    if (s->behind) {
        s->behind = false;
        if (s->rebuild_owed)
            index_rebuild(s);
        else
            index_compare_all(s);
        s->rebuild_owed = false;
    }
}

static bool wants_timer(const struct search *s)
{
    return !s->due && (s->behind || s->edits || s->dirty.len > 0);
}

static void end_turn(void *self, struct turn *t)
{
    struct search *s = self;
    s->turn = t;
    serve(s);
    index_step(s);
    if (wants_timer(s) && !timer_armed(&s->timer)) {
        s->timer.fire = on_timer;
        wheel_arm(t->wheel, &s->timer,
                  t->mono_us +
                      MAX(s->conf.delay_ms * 1000ull, s->behind ? (uint64_t)retry_us : 0u));
    }
}

static bool busy(const void *self)
{
    const struct search *s = self;
    return s->queries_len > 0 || index_is_busy(s);
}

/* What is not indexed is found again at the next start. */
static bool drain(void *self, struct turn *t)
{
    (void)t;
    struct search *s = self;
    s->draining = true;
    return s->asked == 0 && !s->committing;
}

const struct actor_ops search_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
