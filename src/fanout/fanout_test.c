/* The actor alone: a net of memory, edges whose other ends the test holds, a directory of three
 * tokens. */
#include <stdio.h>
#include <stdlib.h>

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
    bool acked_with_open_socket;
};

static struct world w;

static struct sock *sock_of(conn_id c)
{
    struct sock *s = &w.socks[slab_index(c)];
    CHECK(s->id == c);
    return s;
}

static void fake_send(void *net, conn_id c, const struct iovec *v, unsigned n)
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

static void fake_pause(void *net, conn_id c)
{
    (void)net;
    sock_of(c)->paused = 1;
}

static void fake_resume(void *net, conn_id c)
{
    (void)net;
    sock_of(c)->paused = 0;
}

static void fake_close(void *net, conn_id c, enum net_close_how how)
{
    (void)net;
    sock_of(c)->closed++;
    sock_of(c)->how = how;
}

static const struct net_port_ops fake_net = {
    .send = fake_send, .pause = fake_pause, .resume = fake_resume, .close = fake_close};

static void wire_edge(unsigned i, struct edge *e, actor_id to, enum ring_class class, uint32_t size)
{
    CHECK_EQ(edge_init(e, FANOUT, to, class, size), ERR_OK);
    outbox_wire(&w.out, e);
    w.edges[i] = e;
}

static void publish(void)
{
    for (uint32_t i = 0; i < w.out.dirty_len; i++)
        edge_publish(w.out.dirty[i]);
    w.out.dirty_len = 0;
}

static void end_turn(void)
{
    fanout_actor_ops.end_turn(w.f, &w.t);
    publish();
}

static void begin(void (*tune)(struct conf *))
{
    memset(&w, 0, sizeof w);
    memset(token_revoked, 0, sizeof token_revoked);
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
                             .net = {&fake_net, NULL},
                             .conf = &w.conf};
    CHECK_EQ(fanout_new(&w.f, &fc), ERR_OK);
}

static bool pop(struct edge *e, struct cell *out)
{
    struct cell *run;
    if (edge_peek(e, 1, &run) == 0)
        return false;
    *out = *run;
    edge_consume(e, 1);
    return true;
}

static void frames_come_home(void)
{
    struct cell c;
    while (pop(&w.ans_chan, &c)) {
        CHECK_EQ(c.type, FRAME_HOME);
        frame_give(&w.frames, c.u.p);
    }
}

static void close_now(unsigned slot, enum err why)
{
    struct sock *s = &w.socks[slot];
    conn_id id = s->id;
    fanout_net_ops.on_close(w.f, id, why, &w.t);
    s->id = 0;
    s->iov_len = 0;
    end_turn();
}

static void end(void)
{
    for (unsigned i = 0; i < sockets_max; i++) {
        if (w.socks[i].id != 0)
            close_now(i, ERR_CLOSED);
    }
    frames_come_home();
    CHECK_EQ(w.frames.out, 0);
    CHECK_EQ(w.f->queued_bytes, 0);
    CHECK_EQ(w.f->pieces.used + w.f->uses.used + w.f->queues.used + w.f->droppeds.used, 0);
    CHECK_EQ(slab_used(&w.f->conns), 0);
    fanout_free(w.f);
    frame_slab_deinit(&w.frames);
    for (unsigned i = 0; i < ARRAY_LEN(w.edges); i++)
        edge_deinit(w.edges[i]);
}

static void advance(uint64_t ms)
{
    for (; ms > 0; ms -= MIN(ms, 100u)) {
        w.t.mono_us += MIN(ms, 100u) * 1000;
        wheel_advance(&w.wheel, w.t.mono_us, &w.t);
        end_turn();
    }
}

static void give(actor_id from, enum ring_class class, const struct cell *c)
{
    fanout_actor_ops.on_cells(w.f, from, class, c, 1, &w.t);
}

/* ---- tickets and sockets ---- */

static enum err issue(uint64_t tag, char ticket[ticket_text_len])
{
    struct fan_ticket m = {.team = 7, .uid = 100 + tag, .token_tag = tag};
    struct cell c = {.type = FAN_TICKET, .u.p = &m}, answer;
    give(ACCEPTOR, CLASS_REQUEST, &c);
    end_turn();
    CHECK(pop(&w.ans_acceptor, &answer));
    memcpy(ticket, m.ticket, ticket_text_len);
    return (enum err)answer.err;
}

static void adopt(unsigned slot, const char ticket[ticket_text_len])
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

static void sent(unsigned slot)
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

static void read_all(unsigned slot)
{
    while (w.socks[slot].iov_len > 0)
        sent(slot);
}

static void answer_hist(const uint64_t *cids, uint32_t n)
{
    struct cell c;
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

static void answer_sub(bool member, uint64_t last_ts_us)
{
    struct cell c;
    CHECK(pop(&w.req_chan, &c));
    CHECK_EQ(c.type, CHAN_SUB);
    struct chan_sub *s = c.u.p;
    for (uint64_t i = 0; i < s->n; i++) {
        s->chans[i].member = member;
        s->chans[i].last_ts_us = last_ts_us;
    }
    c.type = FAN_SUB_OK;
    c.flags = CELL_F_ANSWER;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
}

/* A socket of tag's user that has read its 101 and hello. */
static void open_socket(unsigned slot, uint64_t tag, const uint64_t *cids, uint32_t n)
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
static bool frame(unsigned slot, uint8_t *opcode, struct str_view *payload)
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

static void check_frame(unsigned slot, uint8_t opcode, const char *text)
{
    uint8_t got;
    struct str_view payload;
    CHECK(frame(slot, &got, &payload));
    CHECK_EQ(got, opcode);
    if (payload.len != strlen(text) || memcmp(payload.p, text, payload.len) != 0)
        fail_msg("got %.*s, expected %s", SV_ARG(payload), text);
}

static void check_no_frame(unsigned slot)
{
    CHECK_EQ(w.socks[slot].read, w.socks[slot].wire_len);
}

static void check_close(unsigned slot, uint16_t status)
{
    uint8_t got;
    struct str_view payload;
    CHECK(frame(slot, &got, &payload));
    CHECK_EQ(got, WS_CLOSE);
    CHECK(payload.len >= 2);
    CHECK_EQ((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1], status);
    check_no_frame(slot);
}

static void head_is(unsigned slot, const char *start)
{
    struct sock *s = &w.socks[slot];
    CHECK(s->wire_len >= strlen(start) && memcmp(s->wire, start, strlen(start)) == 0);
    const char *end_of_head = memmem(s->wire, s->wire_len, "\r\n\r\n", 4);
    CHECK(end_of_head != NULL);
    s->read = (size_t)(end_of_head + 4 - s->wire);
}

static void client(unsigned slot, enum ws_opcode opcode, const char *text)
{
    uint8_t bytes[20000 + 64];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t len = strlen(text), n = ws_encode_client_header(bytes, opcode, true, len, mask);
    memcpy(bytes + n, text, len);
    ws_mask(bytes + n, len, mask, 0);
    fanout_net_ops.on_data(w.f, w.socks[slot].id, bytes, n + len, &w.t);
}

/* ---- events ---- */

static struct frame *make_frame(const char *body, uint64_t cid)
{
    struct frame *f = frame_take(&w.frames, (uint32_t)strlen(body));
    CHECK(f != NULL);
    memcpy(f->body, body, strlen(body));
    f->cid = cid;
    frame_release(f, 1);
    return f;
}

static void event(uint64_t cid, const char *body, uint64_t except, uint64_t flags)
{
    struct cell c = {.type = FAN_EVENT, .cid = cid};
    c.u.u[0] = (uintptr_t)make_frame(body, cid);
    c.u.u[3] = except;
    c.u.u[4] = flags;
    give(CHAN, CLASS_EVENT, &c);
}

static void tell(enum fan_msg type, actor_id from, uint64_t cid, uint64_t uid)
{
    struct cell c = {.type = (uint16_t)type, .cid = cid};
    c.u.u[0] = uid;
    give(from, CLASS_EVENT, &c);
    end_turn();
}

static const uint64_t C1[] = {11}, C12[] = {11, 12};

/* ---- tickets ---- */

TEST(a_ticket_opens_one_socket_once)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK_EQ(fan_ticket_index(ticket), 3);
    CHECK_MEM(ticket, "03", 2);
    adopt(0, ticket);
    read_all(0);
    head_is(0, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Request-Id: r-1\r\n\r\n");
    adopt(1, ticket);
    CHECK_EQ(w.socks[1].closed, 1);
    CHECK_EQ(w.socks[1].how, NET_CLOSE_FLUSH);
    sent(1);
    head_is(1, "HTTP/1.1 403 Forbidden\r\n");
    CHECK(memmem(w.socks[1].wire, w.socks[1].wire_len,
                 "{\"ok\":false,\"error\":\"invalid_ticket\"}", 37) != NULL);
    CHECK_EQ(w.metrics.values[METRIC_TICKETS_REFUSED], 1);
    answer_hist(NULL, 0);
    end();
}

TEST(a_ticket_ends_with_its_time_and_makes_room)
{
    char ticket[ticket_text_len], other[ticket_text_len];
    begin(NULL);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK_EQ(issue(1, other), ERR_FULL);
    advance(29900);
    CHECK_EQ(issue(1, other), ERR_FULL);
    advance(200);
    adopt(0, ticket);
    sent(0);
    head_is(0, "HTTP/1.1 403 ");
    CHECK_EQ(issue(1, other), ERR_OK);
    other[20] = other[20] == '0' ? '1' : '0';
    adopt(1, other);
    sent(1);
    head_is(1, "HTTP/1.1 403 ");
    end();
}

TEST(a_malformed_ticket_names_no_fanout)
{
    CHECK_EQ(fan_ticket_index("0G0123456789abcdef0123456789abcdef"), actors_max);
    CHECK_EQ(fan_ticket_index("ff0123456789abcdef0123456789abcdeF"), actors_max);
    CHECK_EQ(fan_ticket_index("ff0123456789abcdef0123456789abcdef"), 255);
}

static void revoke(uint64_t tag, uint64_t uid)
{
    struct cell c = {.type = DIR_REVOKE};
    if (tag != 0)
        token_revoked[tag - 1] = true;
    c.u.u[0] = tag;
    c.u.u[1] = uid;
    give(DIR, CLASS_CONTROL, &c);
    end_turn();
}

TEST(a_revocation_ends_tickets_and_sockets_before_it_is_acknowledged)
{
    char ticket[ticket_text_len];
    struct cell c;
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    CHECK(!pop(&w.ctl_dir, &c));
    revoke(1, 101);
    CHECK_EQ(w.socks[0].closed, 1); /* by the same turn that acknowledges */
    CHECK(pop(&w.ctl_dir, &c));
    CHECK_EQ(c.type, DIR_REVOKED);
    CHECK(!pop(&w.ctl_dir, &c));
    sent(0);
    check_close(0, WS_STATUS_POLICY);
    CHECK_EQ(w.socks[1].closed, 0);
    token_revoked[0] = false; /* so that only the table can refuse */
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 403 ");
    event(11, "{}", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    end();
}

TEST(a_token_revoked_on_the_way_is_refused_at_adoption)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(2, ticket), ERR_OK);
    token_revoked[1] = true;
    adopt(0, ticket);
    sent(0);
    head_is(0, "HTTP/1.1 403 ");
    end();
}

TEST(all_tokens_of_a_user)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    revoke(0, 102);
    CHECK_EQ(w.socks[0].closed, 0);
    CHECK_EQ(w.socks[1].closed, 1);
    end();
}

static void two_sockets(struct conf *c)
{
    c->ws_conns_max = 2;
}

TEST(a_full_table_says_so)
{
    char ticket[ticket_text_len];
    begin(two_sockets);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 1, NULL, 0);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 503 ");
    CHECK(memmem(w.socks[2].wire, w.socks[2].wire_len, "Retry-After: ", 13) != NULL);
    close_now(2, ERR_OK);
    close_now(0, ERR_CLOSED);
    open_socket(0, 1, NULL, 0); /* recovered */
    end();
}

/* ---- hello ---- */

TEST(hello_is_first_and_follows_the_last_subscription)
{
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(1, 2, C12, 2);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    event(11, "early", 0, 0); /* not confirmed yet: not for this socket */
    answer_hist(C12, 2);
    check_no_frame(0);
    tell(FAN_JOINED, CHAN, 12, 101); /* chan was quicker for this one */
    event(12, "held", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    answer_sub(true, 5);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"hello\"}");
    check_frame(0, WS_TEXT, "held");
    check_no_frame(0);
    end();
}

static void one_subscription(struct conf *c)
{
    c->ws_subscriptions_max = 2;
}

TEST(hello_says_that_channels_were_left_out)
{
    char ticket[ticket_text_len];
    struct cell c;
    begin(one_subscription);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    CHECK(pop(&w.req_hist, &c));
    struct hist_memberships *m = c.u.p;
    CHECK_EQ(m->max, 2);
    m->more = true;
    outbox_credit_back(&w.out, HIST);
    give(HIST, CLASS_ANSWER, &c);
    end_turn();
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    check_frame(0, WS_TEXT, "{\"type\":\"hello\",\"channels_left_out\":true}");
    end();
}

TEST(a_socket_whose_channels_cannot_be_read_is_told_to_try_later)
{
    char ticket[ticket_text_len];
    struct cell c;
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    CHECK(pop(&w.req_hist, &c));
    c.err = ERR_STORAGE_UNAVAILABLE;
    outbox_credit_back(&w.out, HIST);
    give(HIST, CLASS_ANSWER, &c);
    end_turn();
    read_all(0);
    head_is(0, "HTTP/1.1 101 ");
    check_close(0, WS_STATUS_TRY_LATER);
    end();
}

TEST(a_socket_that_dies_while_it_asks_leaves_nothing)
{
    char ticket[ticket_text_len];
    begin(NULL);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    adopt(0, ticket);
    answer_hist(C12, 2);
    close_now(0, ERR_CLOSED);
    answer_sub(true, 0);
    CHECK_EQ(w.f->asks_out, 0);
    CHECK_EQ(w.f->subs.used, 2); /* chan's interest is taken back in a while */
    end();
}

/* ---- delivery ---- */

TEST(events_reach_members_but_who_is_left_out)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    open_socket(2, 3, C12 + 1, 1);
    event(11, "a", 101, 0);
    event(12, "b", 0, 0);
    end_turn();
    read_all(1);
    read_all(2);
    check_no_frame(0);
    check_frame(1, WS_TEXT, "a");
    check_frame(2, WS_TEXT, "b");
    frames_come_home();
    CHECK_EQ(w.frames.out, 0);
    struct cell c = {.type = FAN_EVENT};
    c.u.u[0] = (uintptr_t)make_frame("user", 0);
    c.u.u[1] = 102;
    give(CHAN, CLASS_EVENT, &c);
    c.u.u[0] = (uintptr_t)make_frame("team", 0);
    c.u.u[1] = 0;
    c.u.u[2] = 7;
    c.u.u[3] = 103;
    give(CHAN, CLASS_EVENT, &c);
    end_turn();
    for (unsigned i = 0; i < 3; i++)
        read_all(i);
    check_frame(0, WS_TEXT, "team");
    check_frame(1, WS_TEXT, "user");
    check_frame(1, WS_TEXT, "team");
    check_no_frame(2);
    end();
}

TEST(what_gathers_behind_a_send_goes_in_the_next)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    event(11, "0", 0, 0);
    end_turn();
    for (int i = 0; i < 30; i++) {
        event(11, "x", 0, 0);
        end_turn();
    }
    CHECK_EQ(w.socks[0].sends, 1);
    sent(0);
    CHECK_EQ(w.socks[0].sends, 2);
    CHECK_EQ(w.socks[0].iov_len, 30);
    sent(0);
    CHECK_EQ(w.socks[0].sends, 2);
    CHECK(conn_by_net(w.f, w.socks[0].id)->q == NULL); /* nothing is kept for an idle socket */
    end();
}

TEST(one_event_of_many_in_a_turn_is_one_send_a_socket)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    for (int i = 0; i < 10; i++)
        event(11, "x", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].sends, 1);
    CHECK_EQ(w.socks[0].iov_len, 10);
    CHECK_EQ(w.socks[1].sends, 1);
    end();
}

TEST(a_frame_comes_home_once_also_when_its_sockets_die)
{
    struct cell c;
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    event(11, "in flight", 0, 0);
    end_turn();
    event(11, "queued", 0, 0);
    end_turn();
    CHECK(!pop(&w.ans_chan, &c));
    close_now(0, ERR_IO);
    CHECK(!pop(&w.ans_chan, &c));
    read_all(1);
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    CHECK(!pop(&w.ans_chan, &c));
    event(99, "for nobody", 0, 0);
    end_turn();
    CHECK(pop(&w.ans_chan, &c));
    frame_give(&w.frames, c.u.p);
    end();
}

static void small_queues(struct conf *c)
{
    c->ws_queue_soft_bytes = 1024;
    c->ws_queue_hard_bytes = 2048;
}

static const char *big(void)
{
    static char text[501];
    memset(text, 'x', 500);
    return text;
}

TEST(a_slow_reader_loses_typing_then_events_and_is_told_once)
{
    begin(small_queues);
    open_socket(0, 1, C12, 2);
    open_socket(1, 2, C12, 2);
    for (int i = 0; i < 3; i++) {
        event(11, big(), 0, 0);
        end_turn();
        read_all(1);
    }
    event(11, "typing", 0, FAN_TYPING); /* over the soft bound of socket 0 only */
    event(11, big(), 0, 0);
    event(11, big(), 0, 0); /* over the hard bound */
    event(12, big(), 0, 0);
    event(11, "small", 0, 0); /* would fit, but its channel has lost one before it */
    event(12, "late", 0, 0);
    end_turn();
    CHECK_EQ(w.metrics.values[METRIC_EVENTS_DROPPED], 4);
    read_all(1);
    for (int i = 0; i < 3; i++)
        check_frame(1, WS_TEXT, big());
    check_frame(1, WS_TEXT, "typing"); /* the neighbour is unharmed */
    for (int i = 0; i < 3; i++)
        check_frame(1, WS_TEXT, big());
    check_frame(1, WS_TEXT, "small");
    check_frame(1, WS_TEXT, "late");
    read_all(0);
    for (int i = 0; i < 4; i++)
        check_frame(0, WS_TEXT, big());
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\",\"CC\"],\"all\":false}");
    check_no_frame(0);
    event(11, "again", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "again");
    end();
}

static void tiny_total(struct conf *c)
{
    c->ws_queue_total_bytes = 8192;
}

TEST(past_the_total_the_largest_queue_sheds)
{
    begin(tiny_total);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C12, 2);
    open_socket(2, 2, C12 + 1, 1);
    event(12, "first", 0, 0);
    event(11, "first", 0, 0);
    end_turn();
    read_all(1); /* socket 1 and 2 read, 0 does not */
    read_all(2);
    event(12, "kept", 0, 0);
    end_turn();
    event(12, "kept too", 0, 0);
    end_turn();
    for (int i = 0; i < 9; i++) {
        event(11, big(), 0, 0);
        w.t.mono_us++;
    }
    while (w.socks[1].iov_len > 0)
        sent(1);
    for (int i = 0; i < 10; i++) {
        event(11, big(), 0, 0);
        end_turn();
        w.t.mono_us++;
        read_all(1);
    }
    CHECK(w.f->queued_bytes <= 8192);
    CHECK(w.metrics.values[METRIC_EVENTS_DROPPED] > 0);
    read_all(0);
    read_all(2);
    check_frame(0, WS_TEXT, "first");
    check_frame(2, WS_TEXT, "first");
    check_frame(2, WS_TEXT, "kept");
    check_frame(2, WS_TEXT, "kept too"); /* small: untouched */
    check_no_frame(2);
    uint8_t opcode;
    struct str_view payload = SV_NONE;
    while (frame(0, &opcode, &payload))
        continue;
    CHECK_SV(payload, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    end();
}

TEST(a_socket_that_takes_nothing_is_reset)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    event(11, "x", 0, 0);
    end_turn();
    advance(29000);
    CHECK_EQ(w.socks[0].closed, 0);
    advance(2500);
    CHECK_EQ(w.socks[0].closed, 1);
    CHECK_EQ(w.socks[0].how, NET_CLOSE_RESET);
    CHECK_EQ(w.metrics.values[METRIC_WS_SLOW_CLOSED], 1);
    end();
}

/* ---- memberships that change ---- */

TEST(joined_and_left)
{
    struct cell c;
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    tell(FAN_JOINED, CHAN, 11, 101);
    event(11, "in", 0, 0);
    tell(FAN_LEFT, CHAN, 11, 101);
    event(11, "out", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "in");
    check_no_frame(0);
    advance(29000);
    CHECK(!pop(&w.ev_chan, &c));
    advance(2100);
    CHECK(pop(&w.ev_chan, &c));
    CHECK_EQ(c.type, CHAN_IDLE);
    CHECK_EQ(c.cid, 11);
    CHECK_EQ(c.u.u[0], 0);
    CHECK_EQ(w.f->subs.used, 0);
    end();
}

TEST(a_new_channel_is_confirmed_by_its_chan)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    tell(FAN_JOINED, DIR, 11, 101);
    event(11, "unconfirmed", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    answer_sub(true, 0);
    event(11, "heard", 0, 0);
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT, "heard");
    check_no_frame(0);
    tell(FAN_JOINED, DIR, 12, 101);
    answer_sub(true, 77); /* somebody was quicker: what it said is asked for */
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CC\"],\"all\":false}");
    end();
}

TEST(after_revalidate_nobody_hears_until_confirmed)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    open_socket(2, 3, NULL, 0); /* its join was lost */
    tell(FAN_REVALIDATE, CHAN, 11, 0);
    event(11, "secret", 0, 0);
    end_turn();
    CHECK_EQ(w.socks[0].iov_len + w.socks[1].iov_len, 0);
    answer_sub(true, 1);
    answer_sub(false, 1);
    answer_sub(true, 1);
    event(11, "open", 0, 0);
    end_turn();
    for (unsigned i = 0; i < 3; i++)
        read_all(i);
    for (unsigned i = 0; i < 3; i += 2) {
        check_frame(i, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
        check_frame(i, WS_TEXT, "open");
    }
    check_no_frame(1);
    CHECK_EQ(conn_by_net(w.f, w.socks[1].id)->subs_len, 0);
    end();
}

TEST(a_gap_is_told_to_each_subscriber)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, NULL, 0);
    tell(FAN_GAP, CHAN, 11, 0);
    read_all(0);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[\"CB\"],\"all\":false}");
    CHECK_EQ(w.socks[1].iov_len, 0);
    tell(FAN_GAP, DIR, 0, 0);
    read_all(0);
    read_all(1);
    check_frame(0, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    check_frame(1, WS_TEXT, "{\"type\":\"refetch\",\"channels\":[],\"all\":true}");
    answer_hist(C1, 1); /* subscribed already: nothing to ask */
    answer_hist(C12 + 1, 1);
    answer_sub(true, 0);
    event(12, "new", 0, 0);
    end_turn();
    read_all(1);
    check_frame(1, WS_TEXT, "new");
    check_no_frame(1);
    end();
}

/* ---- frames from clients ---- */

TEST(pings_of_both_kinds)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    client(0, WS_PING, "payload");
    client(0, WS_TEXT, "{\"id\":3,\"type\":\"ping\",\"time\":12.50,\"s\":\"a\\\"b\",\"o\":{}}");
    client(0, WS_TEXT, "{ \"kind\": \"ping\" }");
    client(0, WS_TEXT, "{\"type\":\"presence_sub\",\"ids\":[\"U1\"]}");
    client(0, WS_TEXT, "[1");
    end_turn();
    read_all(0);
    check_frame(0, WS_PONG, "payload");
    check_frame(0, WS_TEXT, "{\"type\":\"pong\",\"reply_to\":3,\"time\":12.50,\"s\":\"a\\\"b\"}");
    check_frame(0, WS_TEXT, "{\"type\":\"error\",\"error\":{\"code\":2,\"msg\":\"invalid JSON\"}}");
    check_no_frame(0);
    CHECK_EQ(w.socks[0].closed, 0);
    end();
}

static void post_answer(enum err err, uint64_t ts_us)
{
    struct cell c;
    CHECK(pop(&w.req_chan, &c));
    CHECK_EQ(c.type, CHAN_POST);
    ((struct chan_post *)c.u.p)->ts_us = ts_us;
    c.err = err;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_ANSWER, &c);
    end_turn();
}

TEST(a_message_is_answered_when_chan_answers)
{
    struct cell *c;
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT,
           "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"a & b\","
           "\"client_msg_id\":\"k1\"}");
    end_turn();
    CHECK_EQ(w.socks[0].iov_len, 0);
    CHECK_EQ(edge_peek(&w.req_chan, 1, &c), 1);
    const struct chan_post *p = c->u.p;
    CHECK_EQ(c->cid, 11);
    CHECK_EQ(p->uid, 101);
    CHECK_SV(p->client_msg_id, "k1");
    CHECK_SV(p->members, "\"type\":\"message\",\"user\":\"U35\",\"team\":\"T7\",\"text\":\"a &amp; "
                         "b\",\"client_msg_id\":\"k1\"");
    post_answer(ERR_OK, 1700000000000001);
    read_all(0);
    check_frame(0, WS_TEXT,
                "{\"ok\":true,\"reply_to\":9,\"ts\":\"1700000000.000001\",\"text\":\"a &amp; b\"}");
    client(0, WS_TEXT, "{\"id\":10,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    post_answer(ERR_NOT_IN_CHANNEL, 0);
    read_all(0);
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":10,\"error\":{\"code\":403,\"msg\":\"not_in_channel\"}}");
    CHECK_EQ(slab_used(&w.f->posts), 0);
    CHECK_EQ(w.f->arenas.bytes_used, 0);
    end();
}

TEST(a_message_that_cannot_be_is_told_why)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"message\",\"channel\":\"CB\"}");
    client(0, WS_TEXT, "{\"id\":2,\"type\":\"message\",\"channel\":\"B\",\"text\":\"x\"}");
    client(0, WS_TEXT,
           "{\"id\":3,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\","
           "\"client_msg_id\":\"\"}");
    client(0, WS_TEXT, "{\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    read_all(0);
    check_frame(0, WS_TEXT,
                "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":2,\"msg\":\"message text is "
                "missing\"}}");
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":2,\"error\":{\"code\":404,\"msg\":\"channel_not_found\"}}");
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":3,\"error\":{\"code\":400,\"msg\":\"invalid_client_msg_id\"}}");
    check_frame(0, WS_TEXT,
                "{\"type\":\"error\",\"error\":{\"code\":2,\"msg\":\"message id is missing\"}}");
    token_revoked[0] = true;
    client(0, WS_TEXT, "{\"id\":4,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    read_all(0);
    check_close(0, WS_STATUS_POLICY);
    end();
}

static void one_a_second(struct conf *c)
{
    c->api_rate_posts_per_s = 1;
    c->ring_request_cells = 2; /* one credit */
}

TEST(rates_and_credits_bound_messages)
{
    begin(one_a_second);
    open_socket(0, 1, C1, 1);
    for (int i = 0; i < 3; i++)
        client(0, WS_TEXT, "{\"id\":1,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    read_all(0);
    check_frame(
        0, WS_TEXT,
        "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":503,\"msg\":\"service_unavailable\"}}");
    check_frame(0, WS_TEXT,
                "{\"ok\":false,\"reply_to\":1,\"error\":{\"code\":-1,\"msg\":\"slow down, too many "
                "messages...\"}}");
    post_answer(ERR_OK, 1700000000000001);
    end();
}

static void two_requests(struct conf *c)
{
    c->ws_requests_max = 2;
}

TEST(past_requests_max_the_socket_is_not_read)
{
    uint8_t bytes[1024];
    static const uint8_t mask[4] = {9, 9, 9, 9};
    size_t n = 0;
    begin(two_requests);
    open_socket(0, 1, C1, 1);
    for (int i = 1; i <= 5; i++) {
        char text[128];
        int len = snprintf(text, sizeof text,
                           "{\"id\":%d,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}", i);
        size_t h = ws_encode_client_header(bytes + n, WS_TEXT, true, (size_t)len, mask);
        memcpy(bytes + n + h, text, (size_t)len);
        ws_mask(bytes + n + h, (size_t)len, mask, 0);
        n += h + (size_t)len;
    }
    fanout_net_ops.on_data(w.f, w.socks[0].id, bytes, n, &w.t);
    end_turn();
    CHECK(w.socks[0].paused);
    CHECK_EQ(w.f->turn->out->requests_out, 2);
    for (int i = 1; i <= 5; i++) {
        CHECK(i > 4 || w.socks[0].paused || i == 4);
        post_answer(ERR_OK, 1700000000000000 + (uint64_t)i);
    }
    CHECK(!w.socks[0].paused);
    CHECK(conn_by_net(w.f, w.socks[0].id)->held == NULL);
    read_all(0);
    for (int i = 1; i <= 5; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 "{\"ok\":true,\"reply_to\":%d,\"ts\":\"1700000000.00000%d\",\"text\":\"x\"}", i,
                 i);
        check_frame(0, WS_TEXT, text);
    }
    end();
}

TEST(an_answer_for_a_socket_that_is_gone_frees_its_arena)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    close_now(0, ERR_CLOSED);
    CHECK_EQ(slab_used(&w.f->posts), 1);
    open_socket(0, 2, NULL, 0); /* in the same slot */
    post_answer(ERR_OK, 1);
    CHECK_EQ(slab_used(&w.f->posts), 0);
    CHECK_EQ(w.socks[0].iov_len, 0);
    CHECK_EQ(conn_by_net(w.f, w.socks[0].id)->requests_out, 0);
    end();
}

TEST(unread_pongs_stop_the_reading)
{
    begin(small_queues);
    open_socket(0, 1, NULL, 0);
    for (int i = 0; i < 100 && !w.socks[0].paused; i++)
        client(0, WS_PING, "01234567890123456789012345678901234567890123456789");
    end_turn();
    CHECK(w.socks[0].paused);
    CHECK(queue_bytes(conn_by_net(w.f, w.socks[0].id)) <= 1024 + 52);
    read_all(0);
    CHECK(!w.socks[0].paused);
    end();
}

TEST(typing_goes_to_the_chan_of_a_subscriber)
{
    struct cell c;
    begin(NULL);
    open_socket(0, 1, C1, 1);
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"typing\",\"channel\":\"CC\"}");
    client(0, WS_TEXT, "{\"id\":1,\"type\":\"typing\",\"channel\":\"CB\"}");
    end_turn();
    CHECK(pop(&w.ev_chan, &c));
    CHECK_EQ(c.type, CHAN_TYPING);
    CHECK_EQ(c.cid, 11);
    CHECK_EQ(c.u.u[0], 101);
    CHECK_EQ(c.u.u[1], 7);
    CHECK(!pop(&w.ev_chan, &c));
    end();
}

TEST(protocol_errors_end_the_socket_with_their_code)
{
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 1, C1, 1);
    open_socket(2, 1, C1, 1);
    client(0, WS_BINARY, "x");
    uint8_t unmasked[] = {0x81, 1, 'x'};
    fanout_net_ops.on_data(w.f, w.socks[1].id, unmasked, sizeof unmasked, &w.t);
    client(2, WS_CLOSE, "\x0f\xa0"); /* 4000 */
    event(11, "not any more", 0, 0);
    end_turn();
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(w.socks[i].closed, 1);
        CHECK_EQ(w.socks[i].how, NET_CLOSE_FLUSH);
        sent(i);
    }
    check_close(0, WS_STATUS_UNSUPPORTED);
    check_close(1, WS_STATUS_PROTOCOL);
    check_close(2, 4000);
    CHECK_EQ(w.metrics.values[METRIC_WS_PROTOCOL_ERRORS], 1);
    end();
}

/* ---- heartbeats ---- */

TEST(idle_sockets_are_pinged_and_dead_ones_closed)
{
    uint64_t pings = 0;
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    for (int s = 0; s < 110; s++) {
        advance(1000);
        read_all(0);
        if (w.socks[0].closed && w.socks[0].id != 0)
            close_now(0, ERR_OK);
        if (w.socks[1].iov_len > 0) {
            read_all(1);
            check_frame(1, WS_PING, "");
            client(1, WS_PONG, "");
            pings++;
        }
    }
    CHECK_EQ(w.socks[0].id, 0);
    CHECK_EQ(w.metrics.values[METRIC_WS_DEAD_CLOSED], 1);
    CHECK(pings >= 4 && pings <= 5);
    CHECK_EQ(w.socks[1].closed, 0);
    end();
}

/* ---- drain ---- */

TEST(a_drain_says_goodbye_and_waits_for_answers)
{
    char ticket[ticket_text_len];
    begin(NULL);
    open_socket(0, 1, C1, 1);
    open_socket(1, 2, C1, 1);
    CHECK_EQ(issue(1, ticket), ERR_OK);
    client(1, WS_TEXT, "{\"id\":9,\"type\":\"message\",\"channel\":\"CB\",\"text\":\"x\"}");
    end_turn();
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    CHECK_EQ(w.socks[0].closed, 0); /* not all at once */
    adopt(2, ticket);
    sent(2);
    head_is(2, "HTTP/1.1 503 ");
    close_now(2, ERR_OK);
    CHECK_EQ(issue(1, ticket), ERR_SERVICE_UNAVAILABLE);
    advance(1000);
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    CHECK_EQ(w.socks[0].closed, 1);
    sent(0);
    check_frame(0, WS_TEXT, "{\"type\":\"goodbye\"}");
    check_close(0, WS_STATUS_GOING_AWAY);
    close_now(0, ERR_OK);
    CHECK_EQ(w.socks[1].closed, 0); /* its message is not answered yet */
    post_answer(ERR_OK, 1700000000000001);
    CHECK(!fanout_actor_ops.drain(w.f, &w.t));
    end_turn();
    read_all(1);
    check_frame(1, WS_TEXT,
                "{\"ok\":true,\"reply_to\":9,\"ts\":\"1700000000.000001\",\"text\":\"x\"}");
    check_frame(1, WS_TEXT, "{\"type\":\"goodbye\"}");
    check_close(1, WS_STATUS_GOING_AWAY);
    close_now(1, ERR_OK);
    CHECK(fanout_actor_ops.drain(w.f, &w.t));
    end();
}

TEST(an_idle_socket_is_small)
{
    CHECK(sizeof(struct fan_conn) + sizeof(struct hot) + 50 * 8 <= 800);
}
