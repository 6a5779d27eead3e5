/* socket.c - a client's WebSocket: RFC 6455 by its own hand. */
#include <stdio.h>
#include <stdlib.h>

#include "text.h"
#include "world.h"

enum { retry_min_us = 1000, retry_max_us = 2000000 };

static const char key_and_accept[2][32] = {"dGhlIHNhbXBsZSBub25jZQ==",
                                           "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}; /* RFC 6455 1.3 */

/* ---- life ---- */

void socket_want(struct client *cl)
{
    cl->ws.state = SOCKET_ASKED;
    struct op op = {.kind = OP_CONNECT, .resumes = !rng_one_in(&cl->rng, 3)};
    op.oldest_us = op.resumes ? cl->ws.last_ts_us : 0;
    client_retry(cl, &op);
}

static void put_upgrade(struct client *cl, struct sim_conn *c, const char *ticket)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: sim.example\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n",
                     ticket, key_and_accept[0]);
    sim_write(&cl->w->net, c, head, (size_t)n);
}

/* ---- the same ticket once more ---- */

static void send_thief(struct client *cl)
{
    struct socket *s = &cl->ws;
    if (s->thief != NULL || (s->thief = sim_connect(&cl->w->net, cl->index)) == NULL)
        return;
    s->thief_in.at = s->thief_in.len = 0;
    put_upgrade(cl, s->thief, s->ticket);
}

static void count_use(struct client *cl)
{
    if (++cl->ws.ticket_uses > 1)
        violation(cl->w, "one_socket_per_ticket", "client %u: a ticket opened two sockets",
                  (unsigned)cl->index);
}

static void drop_thief(struct client *cl)
{
    if (cl->ws.thief != NULL)
        sim_hang_up(&cl->w->net, cl->ws.thief, false);
    cl->ws.thief = NULL;
}

static void read_thief(struct client *cl)
{
    struct socket *s = &cl->ws;
    if (s->thief == NULL)
        return;
    struct str_view v = sim_read(&cl->w->net, s->thief, 65536);
    bytes_put(&s->thief_in, v.p, v.len);
    if (s->thief_in.len >= 13) {
        if (memcmp(s->thief_in.p, "HTTP/1.1 101 ", 13) == 0)
            count_use(cl);
        drop_thief(cl);
    } else if (sim_ended(s->thief)) {
        drop_thief(cl);
    }
}

static void begin_anew(struct client *cl)
{
    cl->ws.partial = false;
    cl->ws.last_ts_us = 0;
    view_begin(cl);
}

void socket_connect(struct client *cl, const char *ticket, const struct op *op, uint64_t known_pos)
{
    struct socket *s = &cl->ws;
    if (s->conn != NULL)
        socket_drop(cl, false);
    s->conn = sim_connect(&cl->w->net, cl->index);
    s->state = s->conn == NULL ? SOCKET_NONE : SOCKET_UPGRADING;
    s->retry_us = cl->w->now_us + retry_max_us;
    if (s->conn == NULL)
        return;
    snprintf(s->ticket, sizeof s->ticket, "%.60s", ticket);
    s->token = op->token;
    s->resumes = op->resumes;
    s->resuming = false;
    s->newest_ts_us = 0;
    s->known_pos = known_pos;
    s->opened_us = cl->w->now_us;
    s->in.at = s->in.len = 0;
    s->rtm_len = 0;
    s->sockets++;
    if (op->oldest_us == 0)
        begin_anew(cl);
    drop_thief(cl);
    s->ticket_uses = 0;
    put_upgrade(cl, s->conn, s->ticket);
    if (rng_one_in(&cl->rng, 8)) /* two at once */
        send_thief(cl);
    cl->woken = true;
}

void socket_drop(struct client *cl, bool reset)
{
    struct socket *s = &cl->ws;
    drop_thief(cl);
    if (s->conn != NULL)
        sim_hang_up(&cl->w->net, s->conn, reset);
    s->conn = NULL;
    s->state = SOCKET_NONE;
    s->retry_us = cl->w->now_us +
                  (rng_one_in(&cl->rng, 2) ? 0 : rng_skewed(&cl->rng, retry_min_us, retry_max_us));
    for (uint32_t i = 0; i < s->rtm_len; i++) {
        /* The same key, now over HTTP. */
        const struct omsg *m = &cl->w->oracle.msgs[s->rtm[i].number];
        struct op op = {.kind = OP_POST, .number = s->rtm[i].number, .cid = m->cid};
        if (m->keyed)
            client_retry(cl, &op);
    }
    s->rtm_len = 0;
}

/* ---- frames out ---- */

static void send_frame(struct client *cl, uint8_t opcode, const void *payload, size_t len)
{
    uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
    size_t n = 2;
    struct bytes out = {0};
    if (len < 126) {
        head[1] = (uint8_t)(0x80 | len);
    } else {
        head[1] = 0x80 | 126;
        head[n++] = (uint8_t)(len >> 8);
        head[n++] = (uint8_t)len;
    }
    uint64_t mask = rng_u64(&cl->rng);
    memcpy(head + n, &mask, 4);
    bytes_put(&out, head, n + 4);
    bytes_put(&out, payload, len);
    for (size_t i = 0; i < len; i++)
        out.p[n + 4 + i] ^= head[n + i % 4];
    sim_write(&cl->w->net, cl->ws.conn, out.p, out.len);
    free(out.p);
}

static void put_id(struct bytes *b, char letter, uint64_t id)
{
    char text[js_id_max];
    js_format_id(text, letter, id);
    put_json_string(b, sv_from(text));
}

static void put_channel(struct client *cl, struct bytes *b, uint64_t cid)
{
    put_id(b, oracle_chan(&cl->w->oracle, cid)->kind == CHANNEL_IM ? 'D' : 'C', cid);
}

static void put(struct bytes *b, const char *s)
{
    bytes_put(b, s, strlen(s));
}

bool socket_post(struct client *cl, uint32_t number)
{
    struct socket *s = &cl->ws;
    char text[oracle_text_max], key[256], id[32];
    if (s->state != SOCKET_LIVE || s->rtm_len == client_rtm_max)
        return false;
    struct omsg *m = &cl->w->oracle.msgs[number];
    struct bytes b = {0};
    snprintf(id, sizeof id, "{\"id\":%u,", ++s->next_id);
    put(&b, id);
    put(&b, "\"type\":\"message\",\"channel\":");
    put_channel(cl, &b, m->cid);
    put(&b, ",\"text\":");
    put_json_string(&b, oracle_text(number, text));
    if (m->keyed) {
        put(&b, ",\"client_msg_id\":");
        put_json_string(&b, oracle_key(m, key));
    }
    put(&b, "}");
    m->sent = true;
    s->rtm[s->rtm_len].number = number;
    s->rtm[s->rtm_len].id = s->next_id;
    s->rtm[s->rtm_len++].sent_pos = cl->w->oracle.pos;
    trace_add(&cl->w->trace, (struct trace_entry){.at_us = cl->w->now_us,
                                                  .what = "RTM message",
                                                  .kind = TRACE_CLIENT,
                                                  .a = cl->index,
                                                  .n = number,
                                                  .x = m->cid});
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
    return true;
}

void socket_watch_users(struct client *cl)
{
    const struct oracle *o = &cl->w->oracle;
    struct bytes b = {0};
    put(&b, "{\"type\":\"presence_sub\",\"ids\":[\"\"");
    for (uint32_t u = 0; u < o->users_len; u++) {
        put(&b, ",");
        put_id(&b, 'U', o->users[u].uid);
    }
    put(&b, "]}");
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
}

void socket_typing(struct client *cl, uint64_t cid)
{
    char id[32];
    struct bytes b = {0};
    if (cl->ws.state != SOCKET_LIVE)
        return;
    snprintf(id, sizeof id, "{\"id\":%u,", ++cl->ws.next_id);
    put(&b, id);
    put(&b, "\"type\":\"typing\",\"channel\":");
    put_channel(cl, &b, cid);
    put(&b, "}");
    send_frame(cl, 1, b.p, b.len);
    free(b.p);
}

/* ---- bytes in ---- */

/* The 101 or a refusal; false: more must come. */
static bool read_upgrade(struct client *cl)
{
    struct socket *s = &cl->ws;
    const char *p = (const char *)s->in.p + s->in.at;
    size_t len = bytes_left(&s->in);
    const char *end = len == 0 ? NULL : memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    size_t head = (size_t)(end - p) + 4;
    if (len >= 13 && memcmp(p, "HTTP/1.1 101 ", 13) == 0) {
        if (memmem(p, head, key_and_accept[1], strlen(key_and_accept[1])) == NULL)
            violation(cl->w, "answers_whole", "a wrong Sec-WebSocket-Accept");
        s->in.at += head;
        s->state = SOCKET_OPEN;
        count_use(cl);
        if (rng_one_in(&cl->rng, 8))
            send_thief(cl);
        return true;
    }
    if (memcmp(p, "HTTP/1.1 ", 9) != 0)
        violation(cl->w, "answers_whole", "no answer to an upgrade: %.*s", (int)MIN(len, 100u), p);
    socket_drop(cl, false); /* used up, expired, revoked or no room: another one */
    return false;
}

static bool read_frame(struct client *cl)
{
    struct socket *s = &cl->ws;
    const uint8_t *p = s->in.p + s->in.at;
    size_t len = bytes_left(&s->in), head = 2;
    if (len < 2)
        return false;
    uint64_t n = p[1] & 127u;
    if (n == 126 && len >= 4) {
        n = (uint64_t)p[2] << 8 | p[3];
        head = 4;
    } else if (n == 127 && len >= 10) {
        n = 0;
        for (int i = 0; i < 8; i++)
            n = n << 8 | p[2 + i];
        head = 10;
    } else if (n >= 126) {
        return false;
    }
    uint8_t opcode = p[0] & 15u;
    if ((p[0] & 0xf0) != 0x80 || (p[1] & 0x80) != 0 ||
        (opcode != 1 && opcode != 8 && opcode != 9 && opcode != 10))
        violation(cl->w, "answers_whole", "a frame that no server may send: %02x %02x", p[0], p[1]);
    if (len < head + n)
        return false;
    struct str_view payload = {(const char *)p + head, (size_t)n};
    s->in.at += head + (size_t)n;
    uint64_t pos = sim_stamp(s->conn, s->conn->read_ever - bytes_left(&s->in));
    if (opcode == 1)
        socket_on_event(cl, payload, pos);
    else if (opcode == 9)
        send_frame(cl, 10, payload.p, payload.len);
    else if (opcode == 8)
        socket_drop(cl, false);
    return s->conn != NULL;
}

void socket_read(struct client *cl)
{
    struct world *w = cl->w;
    struct socket *s = &cl->ws;
    read_thief(cl);
    if (s->conn == NULL)
        return;
    if (w->now_us >= cl->deaf_until_us) {
        size_t max = rng_one_in(&cl->rng, 4) ? (size_t)rng_range(&cl->rng, 1, 600) : 65536;
        struct str_view v = sim_read(&w->net, s->conn, max);
        bytes_put(&s->in, v.p, v.len);
        if (s->state == SOCKET_UPGRADING && !read_upgrade(cl) && s->conn == NULL)
            return;
        while (s->conn != NULL && s->state != SOCKET_UPGRADING && read_frame(cl)) {
        }
    }
    if (s->conn == NULL)
        return;
    if (sim_ended(s->conn))
        socket_drop(cl, false);
    else if (sim_readable(s->conn) && w->now_us >= cl->deaf_until_us)
        cl->woken = true;
}
