/* fake_world.h - for this room's tests. The actor alone: a net of memory, edges whose other ends
 * the test holds, a directory of three tokens. */
#ifndef PARLEY_FANOUT_FAKE_WORLD_H
#define PARLEY_FANOUT_FAKE_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "dir/presence.h"
#include "fanout/internal.h"
#include "test.h"

enum { ACCEPTOR, FANOUT, CHAN, HIST, DIR, actors_len };
enum { sockets_max = 8, wire_max = 1 << 20 };

/* ---- the directory: tokens 1..3 of users 101..103 ---- */

static struct principal tokens[3];
static bool token_revoked[3];

enum err dir_token_by_tag(struct dir_reader *r, uint64_t tag, struct principal **out)
{
    (void)r;
    if (tag < 1 || tag > 3)
        return ERR_INVALID_AUTH;
    *out = &tokens[tag - 1];
    return token_revoked[tag - 1] ? ERR_TOKEN_REVOKED : ERR_OK;
}

const struct row_user *dir_user(struct dir_reader *r, uint64_t team, uint64_t uid)
{
    (void)r, (void)team, (void)uid;
    return NULL;
}

/* Of users 101 to 103 and 201 to 999 of team 7. */
static struct presence presences[1000];

struct presence *dir_presence(struct dir_reader *r, uint64_t team, uint64_t uid)
{
    (void)r;
    bool is = team == 7 && ((uid > 100 && uid <= 103) || uid > 200) && uid < 1000;
    return is ? &presences[uid] : NULL;
}

void dir_read_end(struct dir_reader *r)
{
    (void)r;
}

/* ---- the world ---- */

struct sock {
    conn_id id;
    struct iovec iov[net_iov_max];
    unsigned iov_len; /* of the send under way; 0: none */
    unsigned sends, paused, closed;
    enum net_close_how how;
    char wire[wire_max]; /* what was sent whole */
    size_t wire_len, read;
};

struct world {
    struct fanout *f;
    struct outbox out;
    struct edge req_chan, req_hist, ans_acceptor, ans_chan, ans_dir, ev_chan, ctl_dir;
    struct edge *edges[7];
    struct turn t;
    struct wheel wheel;
    struct rand_src rand;
    struct metrics metrics;
    struct conf conf;
    actor_id chan;
    struct frame_slab frames;
    struct sock socks[sockets_max];
    uint32_t gens;
    uint64_t stamp; /* of grants of interest */
    bool acked_with_open_socket;
};

static struct world w;

static inline struct sock *sock_of(conn_id c)
{
    struct sock *s = &w.socks[slab_index(c)];
    CHECK(s->id == c);
    return s;
}

static inline void fake_send(void *net, conn_id c, const struct iovec *v, unsigned n)
{
    (void)net;
    struct sock *s = sock_of(c);
    CHECK_EQ(s->iov_len, 0);
    CHECK(!s->closed);
    CHECK(n > 0 && n <= net_iov_max);
    memcpy(s->iov, v, n * sizeof *v);
    s->iov_len = n;
    s->sends++;
}

static inline void fake_pause(void *net, conn_id c)
{
    (void)net;
    sock_of(c)->paused = 1;
}

static inline void fake_resume(void *net, conn_id c)
{
    (void)net;
    sock_of(c)->paused = 0;
}

static inline void fake_close(void *net, conn_id c, enum net_close_how how)
{
    (void)net;
    sock_of(c)->closed++;
    sock_of(c)->how = how;
}

static const struct net_port_ops fake_net = {
    .send = fake_send, .pause = fake_pause, .resume = fake_resume, .close = fake_close};

static inline void wire_edge(unsigned i, struct edge *e, actor_id to, enum ring_class class,
                             uint32_t size)
{
    CHECK_EQ(edge_init(e, FANOUT, to, class, size), ERR_OK);
    outbox_wire(&w.out, e);
    w.edges[i] = e;
}

static inline void publish(void)
{
    for (uint32_t i = 0; i < w.out.dirty_len; i++)
        edge_publish(w.out.dirty[i]);
    w.out.dirty_len = 0;
}

static inline void end_turn(void)
{
    fanout_actor_ops.end_turn(w.f, &w.t);
    publish();
}

static inline void begin_behind(uint64_t ts_high_us, void (*tune)(struct conf *))
{
    memset(&w, 0, sizeof w);
    memset(token_revoked, 0, sizeof token_revoked);
    memset(presences, 0, sizeof presences);
    for (uint64_t i = 0; i < 3; i++)
        tokens[i] = (struct principal){.team = 7, .uid = 101 + i, .token_tag = i + 1};
    conf_defaults(&w.conf);
    w.conf.ws_conns_max = 4;
    w.conf.ws_tickets_max = 4;
    if (tune != NULL)
        tune(&w.conf);
    w.out.self = FANOUT;
    w.chan = CHAN;
    wire_edge(0, &w.req_chan, CHAN, CLASS_REQUEST, (uint32_t)w.conf.ring_request_cells);
    wire_edge(1, &w.req_hist, HIST, CLASS_REQUEST, 16);
    wire_edge(2, &w.ans_acceptor, ACCEPTOR, CLASS_ANSWER, 64);
    wire_edge(3, &w.ans_chan, CHAN, CLASS_ANSWER, 1024);
    wire_edge(4, &w.ans_dir, DIR, CLASS_ANSWER, 1024);
    wire_edge(5, &w.ev_chan, CHAN, CLASS_EVENT, 4);
    wire_edge(6, &w.ctl_dir, DIR, CLASS_CONTROL, 4);
    w.t = (struct turn){.mono_us = 1000000000,
                        .wall_us = 1700000000000000,
                        .out = &w.out,
                        .rand = &w.rand,
                        .wheel = &w.wheel,
                        .metrics = &w.metrics};
    rand_init_seeded(&w.rand, 1);
    wheel_init(&w.wheel, w.t.mono_us);
    frame_slab_init(&w.frames, CHAN, 1024);
    struct fanout_conf fc = {.self = FANOUT,
                             .index = 3,
                             .chans = &w.chan,
                             .chans_len = 1,
                             .hist = HIST,
                             .gate = {.team_window = (uint32_t)w.conf.api_workspace_window,
                                      .channel_window = (uint32_t)w.conf.api_channel_window},
                             .net = {&fake_net, NULL},
                             .ts_high_us = ts_high_us,
                             .conf = &w.conf};
    CHECK_EQ(fanout_new(&w.f, &fc), ERR_OK);
}

static inline void begin(void (*tune)(struct conf *))
{
    begin_behind(0, tune);
}

static inline bool pop(struct edge *e, struct cell *out)
{
    struct cell *run;
    if (edge_peek(e, 1, &run) == 0)
        return false;
    *out = *run;
    edge_consume(e, 1);
    return true;
}

static inline void frames_come_home(void)
{
    struct cell c = {0};
    while (pop(&w.ans_chan, &c)) {
        CHECK_EQ(c.type, FRAME_HOME);
        frame_give(&w.frames, c.u.p);
    }
}

static inline void close_now(unsigned slot, enum err why)
{
    struct sock *s = &w.socks[slot];
    conn_id id = s->id;
    fanout_net_ops.on_close(w.f, id, why, &w.t);
    s->id = 0;
    s->iov_len = 0;
    end_turn();
}

static inline void end(void)
{
    for (unsigned i = 0; i < sockets_max; i++) {
        if (w.socks[i].id != 0)
            close_now(i, ERR_CLOSED);
    }
    frames_come_home();
    CHECK_EQ(w.frames.out, 0);
    CHECK_EQ(w.f->queued_bytes, 0);
    CHECK_EQ(w.f->chunks.used + w.f->uses.used + w.f->queues.used + w.f->hints.used, 0);
    CHECK_EQ(slab_used(&w.f->conns), 0);
    fanout_free(w.f);
    frame_slab_deinit(&w.frames);
    for (unsigned i = 0; i < ARRAY_LEN(w.edges); i++)
        edge_deinit(w.edges[i]);
}

static inline void advance(uint64_t ms)
{
    for (; ms > 0; ms -= MIN(ms, 100u)) {
        w.t.mono_us += MIN(ms, 100u) * 1000;
        wheel_advance(&w.wheel, w.t.mono_us, &w.t);
        end_turn();
    }
}

static inline void give(actor_id from, enum ring_class class, const struct cell *c)
{
    fanout_actor_ops.on_cells(w.f, from, class, c, 1, &w.t);
}

/* ---- tickets and sockets ---- */

static inline enum err issue_as(struct fan_ticket m, char ticket[ticket_text_len])
{
    struct cell c = {.type = FAN_TICKET, .u.p = &m}, answer = {0};
    give(ACCEPTOR, CLASS_REQUEST, &c);
    end_turn();
    CHECK(pop(&w.ans_acceptor, &answer));
    memcpy(ticket, m.ticket, ticket_text_len);
    return (enum err)answer.err;
}

static inline enum err issue(uint64_t tag, char ticket[ticket_text_len])
{
    return issue_as(
        (struct fan_ticket){.team = 7, .uid = 100 + tag, .token_tag = tag, .since_us = w.t.wall_us},
        ticket);
}

static inline void adopt(unsigned slot, const char ticket[ticket_text_len])
{
    struct net_adopt *a = calloc(1, sizeof *a);
    struct fan_upgrade *u = calloc(1, sizeof *u);
    memcpy(u->ticket, ticket, ticket_text_len);
    memcpy(u->accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
    snprintf(u->request_id, sizeof u->request_id, "r-1");
    a->owner_data = u;
    a->free_owner_data = free;
    struct sock *s = &w.socks[slot];
    memset(s, 0, sizeof *s);
    s->id = (uint64_t)++w.gens << 32 | slot;
    fanout_net_ops.on_adopt(w.f, s->id, a, &w.t);
    end_turn();
}

static inline void sent(unsigned slot)
{
    struct sock *s = &w.socks[slot];
    CHECK(s->iov_len > 0);
    for (unsigned i = 0; i < s->iov_len; i++) {
        CHECK(s->wire_len + s->iov[i].iov_len <= wire_max);
        memcpy(s->wire + s->wire_len, s->iov[i].iov_base, s->iov[i].iov_len);
        s->wire_len += s->iov[i].iov_len;
    }
    s->iov_len = 0;
    if (s->closed)
        return;
    fanout_net_ops.on_sent(w.f, s->id, ERR_OK, &w.t);
    end_turn();
}

static inline void read_all(unsigned slot)
{
    while (w.socks[slot].iov_len > 0)
        sent(slot);
}

static inline void answer_hist(const uint64_t *cids, uint32_t n)
{
    struct cell c = {0};
    CHECK(pop(&w.req_hist, &c));
    CHECK_EQ(c.type, HIST_MEMBERSHIPS);
    struct hist_memberships *m = c.u.p;
    m->cids = arena_alloc(m->arena, n * sizeof *cids + 1);
    if (n > 0)
        memcpy(m->cids, cids, n * sizeof *cids);
    m->len = n;
    outbox_credit_back(&w.out, HIST);
    give(HIST, CLASS_ANSWER, &c);
    end_turn();
}

static inline void answer_sub_as(enum err err, bool member, uint64_t last_ts_us)
{
    struct cell c = {0};
    CHECK(pop(&w.req_chan, &c));
    CHECK_EQ(c.type, CHAN_SUB);
    struct chan_sub *s = c.u.p;
    for (uint64_t i = 0; i < s->n; i++) {
        s->chans[i].member = member;
        s->chans[i].last_ts_us = s->chans[i].durable_us = last_ts_us;
    }
    c.type = FAN_SUB_OK;
    c.err = err;
    c.flags = CELL_F_ANSWER;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
}

static inline void answer_sub(bool member, uint64_t last_ts_us)
{
    answer_sub_as(ERR_OK, member, last_ts_us);
}

/* A socket of tag's user that has read its 101 and hello. */
static inline void open_socket(unsigned slot, uint64_t tag, const uint64_t *cids, uint32_t n)
{
    char ticket[ticket_text_len];
    CHECK_EQ(issue(tag, ticket), ERR_OK);
    adopt(slot, ticket);
    answer_hist(cids, n);
    if (n > 0)
        answer_sub(true, 0);
    read_all(slot);
    w.socks[slot].wire_len = 0;
    w.socks[slot].sends = 0;
}

/* The next frame that the socket has read: opcode, payload; false: none. */
static inline bool frame(unsigned slot, uint8_t *opcode, struct str_view *payload)
{
    struct sock *s = &w.socks[slot];
    const uint8_t *p = (const uint8_t *)s->wire + s->read;
    if (s->read >= s->wire_len)
        return false;
    size_t len = p[1], head = 2;
    if (len == 126) {
        len = (size_t)p[2] << 8 | p[3];
        head = 4;
    }
    *opcode = p[0] & 15;
    *payload = (struct str_view){(const char *)p + head, len};
    s->read += head + len;
    CHECK(s->read <= s->wire_len);
    return true;
}

static inline void check_frame(unsigned slot, uint8_t opcode, const char *text)
{
    uint8_t got;
    struct str_view payload = SV_NONE;
    CHECK(frame(slot, &got, &payload));
    CHECK_EQ(got, opcode);
    if (payload.len != strlen(text) || memcmp(payload.p, text, payload.len) != 0)
        fail_msg("got %.*s, expected %s", SV_ARG(payload), text);
}

static inline void check_no_frame(unsigned slot)
{
    CHECK_EQ(w.socks[slot].read, w.socks[slot].wire_len);
}

static inline void check_close(unsigned slot, uint16_t status)
{
    uint8_t got;
    struct str_view payload = SV_NONE;
    CHECK(frame(slot, &got, &payload));
    CHECK_EQ(got, WS_CLOSE);
    CHECK(payload.len >= 2);
    CHECK_EQ((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1], status);
    check_no_frame(slot);
}

static inline void head_is(unsigned slot, const char *start)
{
    struct sock *s = &w.socks[slot];
    CHECK(s->wire_len >= strlen(start) && memcmp(s->wire, start, strlen(start)) == 0);
    const char *end_of_head = memmem(s->wire, s->wire_len, "\r\n\r\n", 4);
    CHECK(end_of_head != NULL);
    s->read = (size_t)(end_of_head + 4 - s->wire);
}

static inline void client(unsigned slot, enum ws_opcode opcode, const char *text)
{
    uint8_t bytes[20000 + 64];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t len = strlen(text), n = ws_encode_client_header(bytes, opcode, true, len, mask);
    memcpy(bytes + n, text, len);
    ws_mask(bytes + n, len, mask, 0);
    fanout_net_ops.on_data(w.f, w.socks[slot].id, bytes, n + len, &w.t);
}

/* ---- events ---- */

static inline struct frame *make_frame(const char *body, uint64_t cid)
{
    struct frame *f = frame_take(&w.frames, (uint32_t)strlen(body));
    CHECK(f != NULL);
    memcpy(f->body, body, strlen(body));
    f->cid = cid;
    frame_release(f, 1);
    return f;
}

static inline void event(uint64_t cid, const char *body, uint64_t except, uint64_t flags)
{
    struct cell c = {.type = FAN_EVENT, .cid = cid};
    c.u.u[0] = (uintptr_t)make_frame(body, cid);
    c.u.u[3] = except;
    c.u.u[4] = flags;
    give(CHAN, CLASS_EVENT, &c);
}

static inline void tell(enum fan_msg type, actor_id from, uint64_t cid, uint64_t uid)
{
    struct cell c = {.type = (uint16_t)type, .cid = cid};
    c.u.u[0] = uid;
    if (type == FAN_JOINED)
        c.u.u[2] = ++w.stamp;
    give(from, CLASS_EVENT, &c);
    end_turn();
}

enum { cid1 = 11, cid2 = 12 }; /* "CB", "CC" */
#define C1  ((const uint64_t[]){cid1})
#define C2  ((const uint64_t[]){cid2})
#define C12 ((const uint64_t[]){cid1, cid2})

static inline void post_answer_as(enum err err, uint64_t ts_us, uint16_t flags)
{
    struct cell c = {0};
    CHECK(pop(&w.req_chan, &c));
    CHECK_EQ(c.type, CHAN_POST);
    ((struct chan_post *)c.u.p)->ts_us = ts_us;
    c.err = err;
    c.flags = flags;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_ANSWER, &c);
    end_turn();
}

static inline void post_answer(enum err err, uint64_t ts_us)
{
    post_answer_as(err, ts_us, 0);
}

static inline void small_queues(struct conf *c)
{
    c->ws_queue_soft_bytes = 1024;
    c->ws_queue_hard_bytes = 2048;
}

#endif
