#include "server/admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/slab.h"
#include "http1/write.h"
#include "server/admin_call.h"
#include "server/topology.h"

enum {
    conns_max = 64,
    listener_control = 0,     /* the order of net_listen in server.c */
    call_bytes_max = 64 << 20 /* a list of everything */
};

struct admin_conn {
    conn_id net;
    uint64_t handle;
    uint16_t listener;
    bool net_open, calling, sending, close_after;
    struct arena arena; /* of the present request */
    bool has_arena;
    struct http_request request;
    struct admin_call call;
    struct buf head; /* of the answer under way */
    struct http_parser *parser;
    struct admin *admin;
    struct timer idle; /* from when it may send a request to when it must have */
};

struct admin {
    struct admin_conf conf;
    struct arena_pool pool;
    struct slab conns;
    struct json_reader *json;
    struct http_limits limits;
    struct wheel *wheel; /* the actor's */
    uint32_t ready;      /* atomic */
};

const struct admin_conf *admin_conf_of(const struct admin *a)
{
    return &a->conf;
}

enum err admin_new(struct admin **out, const struct admin_conf *c)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    a->conf = *c;
    a->limits = (struct http_limits){
        .request_line_max = 4096, .head_max = 16384, .fields_max = 64, .body_max = 1 << 20};
    arena_pool_init(&a->pool, 16384, 8, (uint64_t)conns_max * call_bytes_max);
    if (slab_init(&a->conns, conns_max, sizeof(struct admin_conn)) != ERR_OK ||
        json_reader_new(&a->json) != ERR_OK) {
        admin_free(a);
        return ERR_NOMEM;
    }
    *out = a;
    return ERR_OK;
}

static void conn_release(struct admin *a, struct admin_conn *c)
{
    if (c->has_arena)
        arena_deinit(&c->arena);
    wheel_disarm(a->wheel, &c->idle);
    free(c->parser);
    slab_give(&a->conns, c->handle);
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    for (uint32_t i = 0; a->conns.slots != NULL && i < conns_max; i++) {
        uint64_t handle;
        struct admin_conn *c = slab_at(&a->conns, i, &handle);
        if (c != NULL)
            conn_release(a, c);
    }
    slab_deinit(&a->conns);
    json_reader_free(a->json);
    arena_pool_deinit(&a->pool);
    free(a);
}

void admin_set_ready(struct admin *a, bool ready)
{
    __atomic_store_n(&a->ready, ready, __ATOMIC_RELEASE);
}

/* ---- answers ---- */

static void send_answer(struct admin_conn *c, struct admin *a, int status, const char *type,
                        struct str_view body)
{
    buf_init(&c->head, &c->arena, 512);
    http_write_status(&c->head, status);
    http_write_field(&c->head, "Content-Type", sv_from(type));
    http_write_field_u64(&c->head, "Content-Length", body.len);
    if (!c->request.keep_alive || c->close_after) {
        c->close_after = true;
        http_write_field(&c->head, "Connection", SV("close"));
    }
    http_write_end(&c->head);
    bool head_only = c->request.method == HTTP_HEAD;
    struct iovec v[2] = {{c->head.p, c->head.len}, {(void *)(uintptr_t)body.p, body.len}};
    c->sending = true;
    net_send(&a->conf.net, c->net, v, body.len > 0 && !head_only ? 2 : 1);
}

static void answer_error(struct admin_conn *c, struct admin *a, enum err err)
{
    struct buf body;
    buf_init(&body, &c->arena, 128);
    buf_printf(&body, "{\"ok\":false,\"error\":\"%s\"}\n", err_slack(err));
    send_answer(c, a, err_http(err), "application/json", buf_view(&body));
}

void admin_ok(struct admin_call *c)
{
    json_obj(&c->j);
    json_kv_bool(&c->j, "ok", true);
}

void admin_done(struct admin_call *c)
{
    json_obj_end(&c->j);
    c->answered = true;
    if (c->out.failed)
        admin_fail(c, ERR_NOMEM, "the answer is too large");
}

void admin_fail(struct admin_call *c, enum err err, const char *detail)
{
    c->out.len = 0;
    c->out.failed = false;
    c->j = json_out_on(&c->out);
    c->err = err;
    json_obj(&c->j);
    json_kv_bool(&c->j, "ok", false);
    json_kv_str(&c->j, "error", sv_from(err_slack(err)));
    json_kv_str(&c->j, "detail", sv_from(detail != NULL ? detail : err_meaning(err)));
    json_obj_end(&c->j);
    c->answered = true;
}

struct cell *admin_request(struct admin_call *c, actor_id dst, uint16_t type, void *p,
                           struct turn *t)
{
    struct cell *cell = outbox_request(t->out, dst);
    if (cell == NULL) {
        admin_fail(c, ERR_SERVICE_UNAVAILABLE, "the server is busy; try again");
        return NULL;
    }
    cell->type = type;
    cell->req = c->handle;
    cell->u.p = p;
    return cell;
}

static void finish_if_answered(struct admin *a, struct admin_conn *c)
{
    if (!c->call.answered)
        return;
    c->calling = false;
    if (!c->net_open) { /* the tool has left meanwhile */
        conn_release(a, c);
        return;
    }
    buf_putc(&c->call.out, '\n');
    send_answer(c, a, err_http(c->call.err), "application/json", buf_view(&c->call.out));
}

/* ---- requests ---- */

static void run_command(struct admin *a, struct admin_conn *c, struct str_view name, struct turn *t)
{
    struct admin_call *call = &c->call;
    *call = (struct admin_call){.admin = a, .handle = c->handle, .arena = &c->arena};
    buf_init(&call->out, &c->arena, 1024);
    call->j = json_out_on(&call->out);
    call->command = admin_command_find(name);
    c->calling = true;
    struct str_view body = c->request.body.len == 0 ? SV("{}") : c->request.body;
    if (call->command == NULL)
        admin_fail(call, ERR_UNKNOWN_METHOD, "no such command; parleyctl --help lists them");
    else if (json_read_object(a->json, &c->arena, body, &call->args, &call->args_len) != ERR_OK)
        admin_fail(call, ERR_INVALID_JSON, NULL);
    else
        call->command->run(call, NULL, t);
    finish_if_answered(a, c);
}

/* Gauges that are read when they are asked for. Absent while the store is opened anew. */
static void render_store(const struct admin *a, struct buf *body)
{
    struct store_debt d;
    if (!store_debt(a->conf.store, &d))
        return;
    const struct {
        const char *name, *what;
        uint64_t value;
    } gauges[] = {
        {"store_level0_files", "files that are not merged yet, all families", d.level0_files},
        {"store_level0_files_most", "the same of the family that has most", d.level0_files_most},
        {"store_pending_compaction_bytes", "bytes that merging has still to read, as estimated",
         d.pending_compaction_bytes},
        {"store_memtable_bytes", "memory of the log of commits", d.memtable_bytes},
        {"store_wal_bytes", "the log of commits on disk", d.wal_bytes},
        {"store_file_bytes", "sorted files", d.file_bytes},
    };
    for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
        buf_printf(body, "# HELP parley_%s %s\n# TYPE parley_%s gauge\nparley_%s %llu\n",
                   gauges[i].name, gauges[i].what, gauges[i].name, gauges[i].name,
                   (unsigned long long)gauges[i].value);
}

static void serve_metrics(struct admin *a, struct admin_conn *c)
{
    const struct topology *t = a->conf.topology;
    const struct metrics *all[server_loops_max];
    struct buf body;
    for (uint32_t i = 0; i < t->loops_len; i++)
        all[i] = &t->loops[i].metrics;
    buf_init(&body, &c->arena, 16384);
    metrics_render(all, t->loops_len, &body);
    buf_printf(&body,
               "# HELP parley_disk_full 1 while writes are refused for want of disk space\n"
               "# TYPE parley_disk_full gauge\nparley_disk_full %d\n",
               log_disk_full(a->conf.log) ? 1 : 0);
    render_store(a, &body);
    buf_printf(&body, "# HELP parley_ring_full_total cells that found their ring full\n"
                      "# TYPE parley_ring_full_total counter\n"
                      "# HELP parley_ring_high_water most cells seen in a ring\n# TYPE "
                      "parley_ring_high_water gauge\n");
    static const char *const classes[CLASS_COUNT] = {"control", "request", "answer", "event"};
    for (uint32_t i = 0; i < t->edges_len; i++) {
        const struct edge *e = &t->edges[i];
        const char *from = t->actors[e->src].name, *to = t->actors[e->dst].name;
        uint64_t full = __atomic_load_n(&e->full, __ATOMIC_RELAXED);
        uint32_t high = __atomic_load_n(&e->high_water, __ATOMIC_RELAXED);
        buf_printf(&body, "parley_ring_full_total{from=\"%s\",to=\"%s\",class=\"%s\"} %llu\n", from,
                   to, classes[e->class], (unsigned long long)full);
        buf_printf(&body, "parley_ring_high_water{from=\"%s\",to=\"%s\",class=\"%s\"} %u\n", from,
                   to, classes[e->class], high);
    }
    if (body.failed)
        answer_error(c, a, ERR_NOMEM);
    else
        send_answer(c, a, 200, "text/plain; version=0.0.4", buf_view(&body));
}

static void serve_health(struct admin *a, struct admin_conn *c)
{
    bool live = sv_eq(c->request.path, SV("/health/live"));
    bool ready = __atomic_load_n(&a->ready, __ATOMIC_ACQUIRE) != 0;
    if (live || ready)
        send_answer(c, a, 200, "application/json", SV("{\"ok\":true}\n"));
    else
        answer_error(c, a, ERR_SERVICE_UNAVAILABLE);
}

static void serve(struct admin *a, struct admin_conn *c, struct turn *t)
{
    const struct http_request *r = &c->request;
    if (c->listener == listener_control && sv_starts(r->path, SV("/v1/"))) {
        if (r->method != HTTP_POST)
            answer_error(c, a, ERR_METHOD_NOT_ALLOWED);
        else
            run_command(a, c, (struct str_view){r->path.p + 4, r->path.len - 4}, t);
        return;
    }
    bool known = sv_eq(r->path, SV("/metrics")) || sv_eq(r->path, SV("/health/live")) ||
                 sv_eq(r->path, SV("/health/ready"));
    if (!known)
        answer_error(c, a, ERR_NOT_FOUND);
    else if (r->method != HTTP_GET && r->method != HTTP_HEAD)
        answer_error(c, a, ERR_METHOD_NOT_ALLOWED);
    else if (sv_eq(r->path, SV("/metrics")))
        serve_metrics(a, c);
    else
        serve_health(a, c);
}

/* ---- connections ---- */

static void arm_idle(struct admin *a, struct admin_conn *c, const struct turn *t)
{
    wheel_arm(a->wheel, &c->idle, t->mono_us + a->conf.conf->http_idle_timeout_ms * 1000);
}

/* Who says nothing gives its place to others: there are few. */
static void on_idle(struct timer *timer, void *ctx)
{
    struct admin_conn *c =
        (struct admin_conn *)(void *)((char *)timer - offsetof(struct admin_conn, idle));
    if (c->calling || c->sending)
        arm_idle(c->admin, c, ctx);
    else
        net_close(&c->admin->conf.net, c->net, NET_CLOSE_FLUSH);
}

static void next_request(struct admin *a, struct admin_conn *c, const struct turn *t)
{
    arm_idle(a, c, t);
    if (c->has_arena)
        arena_deinit(&c->arena);
    c->has_arena = arena_init(&c->arena, &a->pool, call_bytes_max) == ERR_OK;
    if (c->has_arena)
        http_parser_begin(c->parser, &c->arena, &c->request);
    else
        net_close(&a->conf.net, c->net, NET_CLOSE_RESET);
}

static void on_open(void *self, conn_id net, const struct net_peer *peer, struct turn *t)
{
    struct admin *a = self;
    uint64_t handle;
    struct admin_conn *c = slab_take(&a->conns, &handle);
    if (c == NULL) {
        net_close(&a->conf.net, net, NET_CLOSE_RESET);
        return;
    }
    c->net = net;
    c->handle = handle;
    c->listener = peer->listener;
    c->net_open = true;
    c->admin = a;
    c->idle.fire = on_idle;
    a->wheel = t->wheel;
    c->parser = calloc(1, http_parser_bytes());
    if (c->parser == NULL) {
        net_close(&a->conf.net, net, NET_CLOSE_RESET);
        return;
    }
    http_parser_init(c->parser, &a->limits);
    next_request(a, c, t);
}

static struct admin_conn *conn_find(struct admin *a, conn_id net)
{
    for (uint32_t i = 0; i < conns_max; i++) {
        uint64_t handle;
        struct admin_conn *c = slab_at(&a->conns, i, &handle);
        if (c != NULL && c->net_open && c->net == net)
            return c;
    }
    return NULL;
}

static void on_data(void *self, conn_id net, uint8_t *p, size_t n, struct turn *t)
{
    struct admin *a = self;
    struct admin_conn *c = conn_find(a, net);
    if (c == NULL)
        return;
    if (c->calling || c->sending ||
        !c->has_arena) { /* one request at a time: nobody who knows this socket pipelines */
        net_close(&a->conf.net, net, NET_CLOSE_RESET);
        return;
    }
    enum http_step step = HTTP_MORE;
    while (n > 0 && (step == HTTP_MORE || step == HTTP_HEAD_DONE)) {
        size_t used = 0;
        enum err why = ERR_OK;
        step = http_parser_feed(c->parser, p, n, &used, &why);
        p += used;
        n -= used;
        if (step == HTTP_HEAD_DONE && n == 0) /* no body, or one that is declared too large */
            step = http_parser_feed(c->parser, p, 0, &used, &why);
        if (step == HTTP_FAILED) {
            c->close_after = true;
            answer_error(c, a, why);
            return;
        }
    }
    if (step == HTTP_DONE)
        serve(a, c, t);
}

static void on_sent(void *self, conn_id net, enum err err, struct turn *t)
{
    struct admin *a = self;
    struct admin_conn *c = conn_find(a, net);
    if (c == NULL)
        return;
    c->sending = false;
    if (err != ERR_OK)
        return;
    if (c->close_after)
        net_close(&a->conf.net, net, NET_CLOSE_FLUSH);
    else
        next_request(a, c, t);
}

static void on_close(void *self, conn_id net, enum err why, struct turn *t)
{
    (void)why, (void)t;
    struct admin *a = self;
    struct admin_conn *c = conn_find(a, net);
    if (c == NULL)
        return;
    c->net_open = false;
    if (!c->calling) /* else its arena is lent out: released with the answer */
        conn_release(a, c);
}

static void on_adopt(void *self, conn_id net, struct net_adopt *adopt, struct turn *t)
{
    (void)self, (void)net, (void)t;
    net_adopt_free(adopt); /* nobody hands connections to admin */
    ASSERT(false);
}

const struct net_owner_ops admin_net_ops = {.on_open = on_open,
                                            .on_data = on_data,
                                            .on_sent = on_sent,
                                            .on_adopt = on_adopt,
                                            .on_close = on_close};

/* ---- actor ---- */

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    (void)from;
    struct admin *a = self;
    ASSERT(class == CLASS_ANSWER);
    for (uint32_t i = 0; i < n; i++) {
        struct admin_conn *c = slab_find(&a->conns, cells[i].req);
        ASSERT(c != NULL && c->calling); /* a connection with a call under way keeps its slot */
        c->call.command->run(&c->call, &cells[i], t);
        finish_if_answered(a, c);
    }
}

static void end_turn(void *self, struct turn *t)
{
    (void)t;
    struct admin *a = self;
    dir_read_end(a->conf.dir_reader);
}

static bool drain(void *self, struct turn *t)
{
    (void)t;
    const struct admin *a = self;
    for (uint32_t i = 0; i < conns_max; i++) {
        uint64_t handle;
        const struct admin_conn *c = slab_at(&a->conns, i, &handle);
        if (c != NULL && c->calling)
            return false;
    }
    return true;
}

const struct actor_ops admin_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .drain = drain};

void admin_status_members(struct admin_call *c)
{
    const struct admin_conf *conf = &c->admin->conf;
    const struct topology *t = conf->topology;
    uint64_t sum[METRIC_COUNT] = {0};
    for (uint32_t i = 0; i < t->loops_len; i++) {
        for (int m = 0; m < METRIC_COUNT; m++)
            sum[m] += __atomic_load_n(&t->loops[i].metrics.values[m], __ATOMIC_RELAXED);
    }
    json_kv_str(&c->j, "version", SV(PARLEY_VERSION));
    json_kv_bool(&c->j, "ready", __atomic_load_n(&c->admin->ready, __ATOMIC_ACQUIRE) != 0);
    json_kv_bool(&c->j, "disk_full", log_disk_full(conf->log));
    json_kv_str(&c->j, "listen", sv_from(conf->conf->server_listen));
    json_kv_str(&c->j, "tls_listen", sv_from(conf->conf->server_tls_listen));
    json_kv_u64(&c->j, "http_port", conf->plain_port);
    json_kv_u64(&c->j, "https_port", conf->tls_port);
    json_kv_str(&c->j, "public_url", sv_from(conf->conf->server_public_url));
    json_kv_u64(&c->j, "connections", sum[METRIC_CONNS_OPEN]);
    json_kv_u64(&c->j, "websockets", sum[METRIC_WS_OPEN]);
    json_kv_u64(&c->j, "posts", sum[METRIC_POSTS]);
    json_kv_u64(&c->j, "channels_loaded", sum[METRIC_CHANS_LOADED]);
    json_kv_u64(&c->j, "commits", sum[METRIC_LOG_BATCHES]);
    json_key(&c->j, "loops");
    json_arr(&c->j);
    for (uint32_t i = 0; i < t->loops_len; i++) {
        json_obj(&c->j);
        json_kv_str(&c->j, "name", sv_from(t->loops[i].name));
        json_key(&c->j, "actors");
        json_arr(&c->j);
        for (uint32_t k = 0; k < t->loops[i].actors_len; k++)
            json_str(&c->j, sv_from(t->loops[i].actors[k]->name));
        json_arr_end(&c->j);
        json_obj_end(&c->j);
    }
    json_arr_end(&c->j);
}
