#include "api/internal.h"

#include <stdlib.h>

#include "api/acceptor_msg.h"
#include "dir/dir_msg.h"

static void write_scopes_all(struct acceptor *a)
{
    struct buf b;
    buf_init_fixed(&b, a->scopes_all, sizeof a->scopes_all - 1);
    for (int s = 0; s < SCOPE_COUNT; s++)
        buf_printf(&b, "%s%s", s == 0 ? "" : ",", scope_name((enum scope_bit)s));
    ASSERT(!b.failed);
    a->scopes_all[b.len] = '\0';
}

static void set_tiers(struct acceptor *a, const struct conf *conf)
{
    static const uint32_t per_min[] = {[TIER_1] = 1, [TIER_2] = 20, [TIER_3] = 50, [TIER_4] = 100};
    for (size_t i = 0; i < ARRAY_LEN(per_min); i++)
        a->tiers[i] = rate_per_min(per_min[i] * conf->api_rate_factor);
    a->tiers[TIER_SPECIAL] = rate_per_s(conf->api_rate_posts_per_s);
}

static enum err init(struct acceptor *a, const struct acceptor_conf *c)
{
    const struct conf *conf = c->conf;
    uint64_t requests = conf->http_arenas_bytes_max / arena_first_bytes;
    requests = MIN(requests, conf->http_conns_max * (conf->http_pipeline_max + 1));
    a->conf = *c;
    a->turn = 1;
    a->limits = (struct http_limits){.request_line_max = (uint32_t)conf->http_request_line_max,
                                     .head_max = (uint32_t)conf->http_head_max,
                                     .fields_max = (uint32_t)conf->http_fields_max,
                                     .body_max = conf->http_body_max};
    arena_pool_init(&a->pool, arena_first_bytes, arena_keep_max, conf->http_arenas_bytes_max);
    a->conns_cap = (uint32_t)conf->http_conns_max;
    a->conns = calloc(a->conns_cap, sizeof *a->conns);
    if (a->conns == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < a->conns_cap; i++)
        a->conns[i].id = CONN_NONE;
    gate_init(&a->gate, &c->gate);
    write_scopes_all(a);
    set_tiers(a, conf);
    method_index_init(&a->methods);
    TRY(proxies_parse(a, conf->server_trusted_proxies));
    TRY(transfers_init(a));
    TRY(slab_init(&a->requests, (uint32_t)requests, sizeof(struct request)));
    return json_reader_new(&a->json);
}

enum err acceptor_new(struct acceptor **out, const struct acceptor_conf *c)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    enum err err = init(a, c);
    if (err != ERR_OK) {
        acceptor_free(a);
        return err;
    }
    *out = a;
    return ERR_OK;
}

void acceptor_free(struct acceptor *a)
{
    if (a == NULL)
        return;
    transfers_deinit(a);
    for (uint32_t i = 0; i < a->requests.cap; i++) {
        uint64_t handle;
        struct request *r = slab_at(&a->requests, i, &handle);
        if (r == NULL)
            continue;
        r->transfer = NULL; /* gone with the others */
        req_free(r);
    }
    for (uint32_t i = 0; a->conns != NULL && i < a->conns_cap; i++)
        free(a->conns[i].held);
    slab_deinit(&a->requests);
    handles_deinit(&a->handles);
    json_reader_free(a->json);
    arena_pool_deinit(&a->pool);
    free(a->conns);
    free(a);
}

/* ---- turns ---- */

static void on_revoke(struct acceptor *a, const struct cell *c)
{
    park_revoke(a);
    struct cell *ack = outbox_control(a->t->out, a->conf.dir);
    ASSERT(ack != NULL); /* dir has one revocation out at a time */
    ack->type = DIR_REVOKED;
    ack->u.u[0] = c->u.u[0];
    ack->u.u[1] = c->u.u[1];
}

static void on_slow(struct acceptor *a, actor_id from, const struct cell *c)
{
    struct acceptor_slow *m = c->u.p;
    m->len = slow_read(&a->slow, a->t->mono_us, m->entries);
    struct cell *answer = outbox_answer(a->t->out, from, c);
    answer->err = ERR_OK;
    answer->u.p = m;
}

static void on_answer(struct acceptor *a, actor_id from, const struct cell *c)
{
    if (from == a->conf.media && c->cid != ID_NONE)
        transfer_on_answer(a, c);
    else
        req_on_answer(a, c);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct acceptor *a = self;
    a->t = t;
    for (uint32_t i = 0; i < n; i++) {
        if (class == CLASS_ANSWER) {
            on_answer(a, from, &cells[i]);
        } else if (class == CLASS_REQUEST) {
            ASSERT(cells[i].type == ACCEPTOR_SLOW);
            on_slow(a, from, &cells[i]);
        } else {
            ASSERT(class == CLASS_CONTROL && cells[i].type == DIR_REVOKE);
            on_revoke(a, &cells[i]);
        }
    }
}

static void end_turn(void *self, struct turn *t)
{
    struct acceptor *a = self;
    a->t = t;
    park_resume(a);
    transfers_resume(a);
    users_step(a);
    /* A step may mark its own connection again, each time with something less to do. */
    while (a->dirty != NULL) {
        struct hconn *c = a->dirty;
        a->dirty = c->dirty_next;
        c->dirty = false;
        hconn_step(c);
    }
    req_free_abandoned(a);
    dir_read_end(a->conf.dir_reader);
    a->turn++;
}

static bool busy(const void *self)
{
    return ((const struct acceptor *)self)->listing != NULL;
}

static bool drain(void *self, struct turn *t)
{
    struct acceptor *a = self;
    a->t = t;
    if (!a->draining) {
        a->conf.net.ops->accept_pause(a->conf.net.net);
        a->drain_late_us = t->mono_us + a->conf.conf->server_drain_ms * 1000 / drain_patience_part;
    }
    a->draining = true;
    for (uint32_t i = 0; i < a->conns_cap && a->conns_len > 0; i++)
        hconn_drain(&a->conns[i], t->mono_us >= a->drain_late_us);
    return a->conns_len == 0 && slab_used(&a->requests) == 0 && slab_used(&a->transfers.slots) == 0;
}

const struct actor_ops acceptor_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .busy = busy, .drain = drain};
