#include "ws_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "ws/frame.h"

enum {
    asking_max = 128,
    connect_patience_us = 20 * 1000 * 1000,
    frame_max = 1024 * 1024, /* longer than any event */
    spans_max = 4096,
    hints_max = 1u << 20
};

/* The key needs no secret: one for all. RFC 6455 1.3 has this very example. */
static const char ws_key[] = "dGhlIHNhbXBsZSBub25jZQ==";

static void ask(struct ws_client *ws);

/* ---- what the audit will want to know ---- */

static void span_begin(struct ws_client *ws)
{
    if (ws->spans_len == ws->spans_cap) {
        ws->spans_cap = MAX(4u, ws->spans_cap * 2);
        ASSERT(ws->spans_cap <= spans_max);
        ws->spans = realloc(ws->spans, ws->spans_cap * sizeof *ws->spans);
        ASSERT(ws->spans != NULL);
    }
    ws->spans[ws->spans_len++] = (struct ws_span){.hello_us = ws->stream.io->now_us};
}

static void hint_add(struct ws_client *ws, struct str_view channel)
{
    if (ws->hints_len == ws->hints_cap) {
        ws->hints_cap = MAX(16u, ws->hints_cap * 2);
        ASSERT(ws->hints_cap <= hints_max);
        ws->hints = realloc(ws->hints, ws->hints_cap * sizeof *ws->hints);
        ASSERT(ws->hints != NULL);
    }
    struct ws_hint *h = &ws->hints[ws->hints_len++];
    *h = (struct ws_hint){.at_us = ws->stream.io->now_us};
    memcpy(h->channel, channel.p, MIN(channel.len, sizeof h->channel - 1));
}

/* ---- frames ---- */

static void send_frame(struct ws_client *ws, enum ws_opcode opcode, const uint8_t *p, size_t n)
{
    uint8_t out[14 + ws_control_max];
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    ASSERT(n <= ws_control_max);
    size_t head = ws_encode_client_header(out, opcode, true, n, mask);
    if (n > 0)
        memcpy(out + head, p, n);
    ws_mask(out + head, n, mask, 0);
    stream_write(&ws->stream, out, head + n);
}

static void on_refetch(struct ws_client *ws, struct json_member *m, uint32_t len)
{
    struct bench *b = ws->set->bench;
    struct json_value *all = json_find(m, len, SV("all"));
    struct json_value *list = json_find(m, len, SV("channels"));
    struct json_member *items;
    uint32_t n;
    ws->set->stats.hints++;
    if (all != NULL && all->type == JSON_BOOL && all->b) {
        hint_add(ws, SV(""));
        return;
    }
    if (list == NULL || json_read_array(b->json, &b->scratch, list->s, &items, &n) != ERR_OK) {
        report_problem(&b->report, "socket %u: refetch without channels", ws->index);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        hint_add(ws, items[i].value.s);
}

static void leave_asking(struct ws_client *ws)
{
    if (ws->counted_asking)
        ws->set->asking--;
    ws->counted_asking = false;
    while (ws->set->asking < ws->set->asking_max && ws->set->next_unasked < ws->set->len)
        ask(&ws->set->clients[ws->set->next_unasked++]);
}

static void on_hello(struct ws_client *ws)
{
    struct ws_set *s = ws->set;
    io_timer_disarm(ws->stream.io, &ws->timer);
    ws->state = WS_READY;
    s->stats.hellos++;
    s->ready++;
    if (!ws->was_ready)
        s->to_be_ready--;
    ws->was_ready = true;
    span_begin(ws);
    if (s->on_hello != NULL)
        s->on_hello(s->owner, ws);
    leave_asking(ws);
}

/* False: the first frame was no hello. */
static bool on_text(struct ws_client *ws, struct str_view text)
{
    struct bench *b = ws->set->bench;
    struct json_member *m;
    uint32_t len;
    /* Inside a JSON string the quotes would be escaped, so this is the member's name. */
    bool keyed = memmem(text.p, text.len, "\"client_msg_id\":\"", 17) != NULL;
    if (keyed && ws->state == WS_READY) {
        if (ws->set->on_message != NULL)
            ws->set->on_message(ws->set->owner, ws, text);
        return true;
    }
    arena_reset(&b->scratch);
    if (json_read_object(b->json, &b->scratch, text, &m, &len) != ERR_OK) {
        report_problem(&b->report, "socket %u: an event that is not a JSON object", ws->index);
        return true;
    }
    struct json_value *type = json_find(m, len, SV("type"));
    struct str_view name = type != NULL ? type->s : SV_NONE;
    if (ws->state == WS_WAITING_HELLO) {
        if (!sv_eq(name, SV("hello")))
            return false;
        on_hello(ws);
    } else if (sv_eq(name, SV("refetch"))) {
        on_refetch(ws, m, len);
    } else if (sv_eq(name, SV("goodbye"))) {
        ws->set->stats.goodbyes++;
    }
    return true;
}

static bool on_frame(struct ws_client *ws, uint8_t opcode, uint8_t *p, size_t n)
{
    struct ws_set *s = ws->set;
    s->stats.frames++;
    s->stats.frame_bytes += n;
    switch (opcode) {
    case WS_TEXT:
        return on_text(ws, (struct str_view){(char *)p, n});
    case WS_PING:
        s->stats.pings++;
        send_frame(ws, WS_PONG, p, n);
        return true;
    case WS_PONG:
        return true;
    case WS_CLOSE:
        send_frame(ws, WS_CLOSE, p, MIN(n, 2u));
        stream_close(&ws->stream);
        return true;
    default:
        return false; /* the server sends neither binary nor fragments */
    }
}

/* Takes whole frames; returns the bytes used, SIZE_MAX when they are not what a server may send. */
static size_t read_frames(struct ws_client *ws, uint8_t *p, size_t n)
{
    size_t pos = 0;
    while (n - pos >= 2 && !ws->stream.closing) {
        uint8_t *f = p + pos;
        uint64_t len = f[1] & 0x7f;
        size_t head = len == 126 ? 4 : len == 127 ? 10 : 2;
        if ((f[0] & 0xf0) != 0x80 || (f[1] & 0x80) != 0)
            return SIZE_MAX; /* not final, reserved bits, or masked */
        if ((f[0] & 8) != 0 && head != 2)
            return SIZE_MAX; /* RFC 6455 5.5: control frames are short */
        if (n - pos < head)
            break;
        if (head > 2) {
            len = 0;
            for (size_t i = 2; i < head; i++)
                len = len << 8 | f[i];
            if (len < (head == 4 ? 126u : 65536u) || len > frame_max)
                return SIZE_MAX;
        }
        if (n - pos - head < len)
            break;
        if (!on_frame(ws, f[0] & 15, f + head, (size_t)len))
            return SIZE_MAX;
        pos += head + (size_t)len;
    }
    return pos;
}

static size_t read_upgrade(struct ws_client *ws, uint8_t *p, size_t n)
{
    uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (end == NULL)
        return n > http_head_max ? SIZE_MAX : 0;
    struct str_view head = {(char *)p, (size_t)(end - p) + 4};
    struct str_view accept = http_field(head, SV("Sec-WebSocket-Accept"));
    if (!sv_starts(head, SV("HTTP/1.1 101 "))) {
        ws->set->stats.refused++;
        stream_close(&ws->stream);
        return n;
    }
    if (!sv_eq(accept, (struct str_view){ws->accept, sizeof ws->accept}))
        return SIZE_MAX;
    ws->state = WS_WAITING_HELLO;
    return head.len;
}

static size_t consume(struct ws_client *ws, uint8_t *p, size_t n)
{
    size_t used = 0;
    if (ws->state == WS_UPGRADING) {
        used = read_upgrade(ws, p, n);
        if (used == SIZE_MAX || ws->state == WS_UPGRADING)
            return used;
    }
    size_t more = read_frames(ws, p + used, n - used);
    return more == SIZE_MAX ? SIZE_MAX : used + more;
}

static void keep_part(struct ws_client *ws, const uint8_t *p, size_t n)
{
    if (n > ws->part_cap) {
        uint8_t *grown = malloc(MAX(n, (size_t)512));
        ASSERT(grown != NULL);
        memcpy(grown, p, n); /* p may lie in the old one */
        free(ws->part);
        ws->part = grown;
        ws->part_cap = MAX(n, (size_t)512);
    } else if (n > 0) {
        memmove(ws->part, p, n);
    }
    ws->part_len = n;
}

static void on_data(struct stream *st, uint8_t *p, size_t n)
{
    struct ws_client *ws = (struct ws_client *)st;
    if (ws->part_len > 0) {
        size_t had = ws->part_len;
        if (had + n > ws->part_cap) {
            ws->part_cap = MAX(had + n, ws->part_cap * 2);
            ws->part = realloc(ws->part, ws->part_cap);
            ASSERT(ws->part != NULL);
        }
        memcpy(ws->part + had, p, n);
        p = ws->part;
        n += had;
    }
    size_t used = consume(ws, p, n);
    if (used == SIZE_MAX) {
        ws->set->stats.malformed++;
        report_problem(&ws->set->bench->report, "socket %u: bytes a server may not send (%s)",
                       ws->index, ws->state == WS_READY ? "frame" : "upgrade or hello");
        ws->part_len = 0;
        stream_close(st);
        return;
    }
    keep_part(ws, p + used, st->closing ? 0 : n - used);
}

/* ---- connecting ---- */

static void on_opened(struct stream *st)
{
    struct ws_client *ws = (struct ws_client *)st;
    char head[1024];
    int n = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                     ws->path[0] != '\0' ? ws->path : "/", ws->host, ws_key);
    ws->state = WS_UPGRADING;
    stream_write(st, head, (size_t)n);
}

static void on_patience_over(struct io_timer *t)
{
    struct ws_client *ws = (struct ws_client *)((char *)t - offsetof(struct ws_client, timer));
    stream_close(&ws->stream);
}

static void on_ask_again(struct io_timer *t)
{
    ask((struct ws_client *)((char *)t - offsetof(struct ws_client, timer)));
}

/* Spread over 100 ms, so that sockets lost together do not come back as one burst. */
static void ask_later(struct ws_client *ws, uint64_t after_us)
{
    struct io *io = ws->stream.io;
    ws->state = WS_CLOSED;
    leave_asking(ws);
    if (!ws->wanted)
        return;
    ws->timer.fire = on_ask_again;
    io_timer_arm(io, &ws->timer, io->now_us + after_us + ws->index * 7919u % 100000u);
}

static void on_closed(struct stream *st, int error)
{
    struct ws_client *ws = (struct ws_client *)st;
    struct io *io = st->io;
    (void)error;
    io_timer_disarm(io, &ws->timer);
    if (ws->state == WS_READY) {
        ws->spans[ws->spans_len - 1].lost_us = io->now_us;
        ws->set->ready--;
        if (ws->wanted)
            ws->set->stats.losses++;
    }
    ws->part_len = 0;
    ask_later(ws, http_retry_us);
}

static const struct stream_ops ws_ops = {on_opened, on_data, on_closed};

static void on_ticket(struct http_request *r, const struct http_answer *a)
{
    struct ws_client *ws = r->owner;
    struct bench *b = ws->set->bench;
    struct sockaddr_storage address;
    struct reply reply;
    char url[600];
    const char *path;
    bool tls;
    reply_read(b, a, &reply);
    struct str_view given = reply_str(&reply, "url");
    snprintf(url, sizeof url, "%.*s", SV_ARG(given));
    if (!ws->wanted || !reply.ok || given.len >= sizeof ws->path ||
        !url_resolve(url, &address, &tls, ws->host, sizeof ws->host, &path)) {
        if (ws->set->stats.refused++ == 0 && ws->wanted)
            fprintf(stderr, "parley-bench: rtm.connect: %.*s %s\n", SV_ARG(reply.error), url);
        ask_later(ws, 1000000);
        return;
    }
    snprintf(ws->path, sizeof ws->path, "%s", path);
    ws->state = WS_CONNECTING;
    if (!stream_connect(&ws->stream, &address, tls)) {
        ask_later(ws, 1000000);
        return;
    }
    ws->timer.fire = on_patience_over;
    io_timer_arm(ws->stream.io, &ws->timer, ws->stream.io->now_us + connect_patience_us);
}

static void ask(struct ws_client *ws)
{
    struct bench *b = ws->set->bench;
    if (!ws->wanted)
        return;
    if (!ws->counted_asking)
        ws->set->asking++;
    ws->counted_asking = true;
    ws->state = WS_ASKING;
    ws->request = (struct http_request){.method = "rtm.connect",
                                        .token = ws->token,
                                        .body = SV("{}"),
                                        .done = on_ticket,
                                        .owner = ws};
    http_send(&b->http, &ws->request);
}

void ws_set_init(struct ws_set *s, struct bench *b, uint32_t len, const char *const *tokens,
                 uint32_t tokens_len)
{
    *s = (struct ws_set){.bench = b, .len = len, .asking_max = asking_max};
    s->clients = calloc(len, sizeof *s->clients);
    ASSERT(s->clients != NULL);
    for (uint32_t i = 0; i < len; i++) {
        struct ws_client *ws = &s->clients[i];
        stream_init(&ws->stream, &b->io, &ws_ops);
        ws->stream.in_table = b->io.slots != NULL;
        ws->set = s;
        ws->index = i;
        ws->token = tokens[(i + b->crowd.part * 131) % tokens_len];
        bool ok = ws_accept_key(sv_from(ws_key), ws->accept);
        ASSERT(ok);
    }
}

bool ws_set_connect(struct ws_set *s, uint64_t until_us)
{
    for (uint32_t i = 0; i < s->len; i++)
        s->clients[i].wanted = true;
    s->to_be_ready = s->len;
    while (s->asking < s->asking_max && s->next_unasked < s->len)
        ask(&s->clients[s->next_unasked++]);
    return io_run_until_zero(&s->bench->io, &s->to_be_ready, until_us);
}

void ws_say(struct ws_client *ws, struct str_view text)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t out[14 + ws_say_max];
    ASSERT(text.len <= ws_say_max);
    if (ws->state != WS_READY)
        return;
    size_t head = ws_encode_client_header(out, WS_TEXT, true, text.len, mask);
    memcpy(out + head, text.p, text.len);
    ws_mask(out + head, text.len, mask, 0);
    stream_write(&ws->stream, out, head + text.len);
}

void ws_cut(struct ws_client *ws)
{
    if (ws->state == WS_READY)
        stream_close(&ws->stream);
}

void ws_set_close(struct ws_set *s)
{
    for (uint32_t i = 0; i < s->len; i++) {
        struct ws_client *ws = &s->clients[i];
        ws->wanted = false;
        if (ws->state == WS_CLOSED)
            io_timer_disarm(&s->bench->io, &ws->timer);
        if (ws->state == WS_READY) {
            static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
            send_frame(ws, WS_CLOSE, normal, sizeof normal);
        }
        stream_close(&ws->stream);
    }
    uint64_t give_up_us = s->bench->io.now_us + 2000000;
    while (s->ready > 0 && s->bench->io.now_us < give_up_us)
        io_step(&s->bench->io, give_up_us);
}
