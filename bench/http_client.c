#include "http_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

struct http_conn {
    struct stream stream; /* first: the callbacks get it */
    struct http_pool *pool;
    struct http_conn *next; /* of the idle or closed list */
    struct http_request *request;
    uint8_t *in; /* the response so far */
    size_t in_len, in_cap;
    size_t head_len; /* 0: head not whole yet */
    int status;
    bool chunked, close_after;
    bool early;           /* connects without a request */
    uint64_t content_len; /* of the body; chunked: decoded so far */
    size_t chunk_pos;     /* behind the last whole chunk */
    uint64_t retry_after_us;
};

static void pump(struct http_pool *p);

/* ---- addresses ---- */

bool url_resolve(const char *url, struct sockaddr_storage *address, bool *tls, char *host,
                 size_t host_max, const char **path)
{
    const char *start = strstr(url, "://");
    *tls = strncmp(url, "https:", 6) == 0 || strncmp(url, "wss:", 4) == 0;
    if (start == NULL || (!*tls && strncmp(url, "http:", 5) != 0 && strncmp(url, "ws:", 3) != 0))
        return false;
    start += 3;
    size_t len = strcspn(start, "/?");
    if (len == 0 || len >= host_max || len >= 256)
        return false;
    memcpy(host, start, len);
    host[len] = '\0';
    *path = start + len;
    char name[256];
    snprintf(name, sizeof name, "%s", host);
    const char *port = *tls ? "443" : "80";
    char *colon = strrchr(name, ':');
    if (colon != NULL && strchr(colon, ']') == NULL) {
        *colon = '\0';
        port = colon + 1;
    }
    char *node = name;
    if (name[0] == '[') {
        node++;
        name[strlen(name) - 1] = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(node, port, &hints, &found) != 0)
        return false;
    *address = (struct sockaddr_storage){0};
    memcpy(address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

/* ---- a request's life ---- */

static void finish(struct http_request *r, const struct http_answer *a)
{
    io_timer_disarm(r->pool->io, &r->timer);
    if (a->status == 0)
        r->pool->stats.given_up++;
    else
        r->pool->stats.answers++;
    r->done(r, a);
}

static void enqueue(struct http_request *r)
{
    struct http_pool *p = r->pool;
    r->next = NULL;
    *p->last = r;
    p->last = &r->next;
    p->waiting++;
    pump(p);
}

static void on_retry_due(struct io_timer *t)
{
    enqueue((struct http_request *)((char *)t - offsetof(struct http_request, timer)));
}

static void try_again(struct http_request *r, uint64_t after_us)
{
    struct io *io = r->pool->io;
    r->conn = NULL;
    if (io->now_us + after_us >= r->give_up_us) {
        finish(r, &(struct http_answer){.status = 0});
        return;
    }
    r->timer.fire = on_retry_due;
    io_timer_arm(io, &r->timer, io->now_us + after_us);
}

static void on_no_answer(struct io_timer *t)
{
    struct http_request *r =
        (struct http_request *)((char *)t - offsetof(struct http_request, timer));
    r->pool->stats.timeouts++;
    stream_close(&r->conn->stream); /* on_closed sends it again */
}

static void write_request(struct http_conn *c)
{
    struct http_request *r = c->request;
    char head[1024];
    int n = snprintf(head, sizeof head,
                     "POST /api/%s HTTP/1.1\r\nHost: %s\r\n%s%s%s"
                     "Content-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                     r->method, r->pool->host, r->token != NULL ? "Authorization: Bearer " : "",
                     r->token != NULL ? r->token : "", r->token != NULL ? "\r\n" : "", r->body.len);
    ASSERT(n > 0 && (size_t)n < sizeof head);
    struct io *io = r->pool->io;
    r->last_written_us = io->now_us;
    if (r->first_written_us == 0)
        r->first_written_us = io->now_us;
    c->in_len = c->head_len = 0;
    /* One segment, as clients send it: two would wake the server twice for one request. */
    stream_write_pair(&c->stream, head, (size_t)n, r->body.p, r->body.len);
}

void http_send(struct http_pool *p, struct http_request *r)
{
    r->pool = p;
    r->first_written_us = r->last_written_us = 0;
    r->tries = 0;
    r->give_up_us = p->io->now_us + http_patience_us;
    r->conn = NULL;
    enqueue(r);
}

static void pump(struct http_pool *p)
{
    while (p->first != NULL && (p->idle != NULL || p->closed != NULL)) {
        struct http_conn **list = p->idle != NULL ? &p->idle : &p->closed;
        struct http_conn *c = *list;
        bool open = list == &p->idle;
        struct http_request *r = p->first;
        *list = c->next;
        p->first = r->next;
        if (p->first == NULL)
            p->last = &p->first;
        p->waiting--;
        c->request = r;
        r->conn = c;
        r->tries++;
        r->timer.fire = on_no_answer;
        io_timer_arm(p->io, &r->timer, p->io->now_us + http_answer_us);
        if (open) {
            write_request(c);
        } else if (!stream_connect(&c->stream, &p->address, p->tls)) {
            c->request = NULL;
            c->next = p->closed;
            p->closed = c;
            p->stats.lost++;
            io_timer_disarm(p->io, &r->timer);
            try_again(r, http_retry_us);
            return; /* out of descriptors: what waits goes on with the next answer */
        }
    }
}

/* ---- responses ---- */

struct str_view http_field(struct str_view head, struct str_view name)
{
    sv_cut(&head, '\n');
    while (head.len > 0) {
        struct str_view line = sv_cut(&head, '\n');
        struct str_view field = sv_cut(&line, ':');
        if (line.p != NULL && sv_eq_nocase(field, name)) {
            while (line.len > 0 && line.p[line.len - 1] == '\r')
                line.len--;
            return sv_trim(line);
        }
    }
    return SV_NONE;
}

enum parsed { PARSED_MORE, PARSED_WHOLE, PARSED_BAD };

static enum parsed parse_head(struct http_conn *c)
{
    uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (end == NULL)
        return c->in_len > http_head_max ? PARSED_BAD : PARSED_MORE;
    struct str_view head = {(char *)c->in, (size_t)(end - c->in) + 4};
    uint64_t status, seconds;
    if (head.len < 13 || memcmp(head.p, "HTTP/1.1 ", 9) != 0 ||
        !sv_to_u64((struct str_view){head.p + 9, 3}, &status) || status < 200)
        return PARSED_BAD;
    struct str_view length = http_field(head, SV("Content-Length"));
    struct str_view coding = http_field(head, SV("Transfer-Encoding"));
    c->chunked = sv_eq_nocase(coding, SV("chunked"));
    c->content_len = 0;
    if (c->chunked ? length.p != NULL : !sv_to_u64(length, &c->content_len))
        return PARSED_BAD;
    if (c->content_len > http_body_max)
        return PARSED_BAD;
    c->close_after = sv_eq_nocase(http_field(head, SV("Connection")), SV("close"));
    c->retry_after_us = 0;
    if (sv_to_u64(http_field(head, SV("Retry-After")), &seconds))
        c->retry_after_us = MIN(seconds, 60u) * 1000000;
    c->status = (int)status;
    c->head_len = c->chunk_pos = head.len;
    return PARSED_WHOLE;
}

/* Chunks are moved together behind the head as they become whole. */
static enum parsed parse_chunks(struct http_conn *c, size_t *used)
{
    for (;;) {
        uint8_t *line = c->in + c->chunk_pos;
        uint8_t *eol = memmem(line, c->in_len - c->chunk_pos, "\r\n", 2);
        if (eol == NULL)
            return c->in_len - c->chunk_pos > 64 ? PARSED_BAD : PARSED_MORE;
        char *end;
        unsigned long size = strtoul((char *)line, &end, 16); /* stops at \r at the latest */
        if (end == (char *)line || (*end != '\r' && *end != ';') ||
            c->content_len + size > http_body_max)
            return PARSED_BAD;
        size_t data = (size_t)(eol - c->in) + 2;
        if (c->in_len < data + size + 2)
            return PARSED_MORE;
        if (memcmp(c->in + data + size, "\r\n", 2) != 0)
            return PARSED_BAD; /* trailers too: the server sends none */
        memmove(c->in + c->head_len + c->content_len, c->in + data, size);
        c->content_len += size;
        c->chunk_pos = data + size + 2;
        if (size == 0) {
            *used = c->chunk_pos;
            return PARSED_WHOLE;
        }
    }
}

static enum parsed parse(struct http_conn *c, size_t *used)
{
    if (c->head_len == 0) {
        enum parsed head = parse_head(c);
        if (head != PARSED_WHOLE)
            return head;
    }
    if (c->chunked)
        return parse_chunks(c, used);
    *used = c->head_len + c->content_len;
    return c->in_len >= *used ? PARSED_WHOLE : PARSED_MORE;
}

static void answered(struct http_conn *c)
{
    struct http_pool *p = c->pool;
    struct http_request *r = c->request;
    struct http_answer a = {c->status, {(char *)c->in + c->head_len, (size_t)c->content_len}};
    c->request = NULL;
    io_timer_disarm(p->io, &r->timer);
    if (c->status == 429 || c->status >= 500) {
        if (c->status == 429 || c->status == 503)
            p->stats.busy++;
        else
            p->stats.server_errors++;
        try_again(r, c->retry_after_us > 0 ? c->retry_after_us : http_retry_us);
    } else {
        finish(r, &a);
    }
    /* Only now: the answer's text lies in the connection's buffer. */
    if (c->close_after) {
        stream_close(&c->stream);
    } else if (!c->stream.closing) {
        c->next = p->idle;
        p->idle = c;
        pump(p);
    }
}

static void on_opened(struct stream *s)
{
    struct http_conn *c = (struct http_conn *)s;
    if (c->request != NULL) {
        write_request(c);
    } else if (c->early) {
        c->early = false;
        c->pool->opening--;
        c->next = c->pool->idle;
        c->pool->idle = c;
        pump(c->pool);
    }
}

static void on_data(struct stream *s, uint8_t *p, size_t n)
{
    struct http_conn *c = (struct http_conn *)s;
    size_t used = 0;
    if (c->in_len + n + 1 > c->in_cap) {
        c->in_cap = MAX(c->in_len + n + 1, c->in_cap * 2);
        c->in = realloc(c->in, c->in_cap);
        ASSERT(c->in != NULL);
    }
    memcpy(c->in + c->in_len, p, n);
    c->in_len += n;
    c->in[c->in_len] = '\0';
    enum parsed parsed = c->request == NULL ? PARSED_BAD : parse(c, &used);
    if (parsed == PARSED_MORE)
        return;
    /* More bytes than one answer: nobody asked for them. */
    if (parsed == PARSED_BAD || used != c->in_len) {
        c->pool->stats.malformed++;
        stream_close(s);
        return;
    }
    answered(c);
}

static void unlink_conn(struct http_conn **list, struct http_conn *c)
{
    for (; *list != NULL; list = &(*list)->next) {
        if (*list == c) {
            *list = c->next;
            return;
        }
    }
}

static void on_closed(struct stream *s, int error)
{
    struct http_conn *c = (struct http_conn *)s;
    struct http_pool *p = c->pool;
    struct http_request *r = c->request;
    (void)error;
    if (c->early) {
        c->early = false;
        p->opening--;
    } else if (r == NULL) {
        unlink_conn(&p->idle, c);
    }
    c->request = NULL;
    c->in_len = 0;
    c->next = p->closed;
    p->closed = c;
    if (r != NULL) {
        p->stats.lost++;
        io_timer_disarm(p->io, &r->timer);
        try_again(r, http_retry_us);
    }
    pump(p);
}

static const struct stream_ops conn_ops = {on_opened, on_data, on_closed};

/* ---- the pool ---- */

bool http_pool_init(struct http_pool *p, struct io *io, const char *base_url, uint32_t conns)
{
    const char *path;
    *p = (struct http_pool){.io = io, .conns_len = conns};
    p->last = &p->first;
    if (!url_resolve(base_url, &p->address, &p->tls, p->host, sizeof p->host, &path)) {
        fprintf(stderr,
                "parley-bench: base_url \"%s\" is not http://HOST:PORT of a host that is known\n",
                base_url);
        return false;
    }
    p->conns = calloc(conns, sizeof(struct http_conn *));
    ASSERT(p->conns != NULL);
    for (uint32_t i = conns; i-- > 0;) {
        struct http_conn *c = p->conns[i] = calloc(1, sizeof *c);
        ASSERT(c != NULL);
        c->pool = p;
        stream_init(&c->stream, io, &conn_ops);
        c->next = p->closed;
        p->closed = c;
    }
    return true;
}

void http_pool_open(struct http_pool *p, uint64_t until_us)
{
    while (p->closed != NULL) {
        struct http_conn *c = p->closed;
        p->closed = c->next;
        c->early = true;
        p->opening++;
        if (!stream_connect(&c->stream, &p->address, p->tls)) {
            c->early = false;
            p->opening--;
            c->next = p->closed;
            p->closed = c;
            break;
        }
    }
    io_run_until_zero(p->io, &p->opening, until_us);
}

void http_pool_deinit(struct http_pool *p)
{
    for (uint32_t i = 0; i < p->conns_len; i++) {
        stream_deinit(&p->conns[i]->stream);
        free(p->conns[i]->in);
        free(p->conns[i]);
    }
    free(p->conns);
}
