/* http_client.h - API calls over a fixed number of keep-alive connections, one call at a time on
 * each. A call that meets a lost connection, 429 or 5xx is sent again, same bytes, after
 * Retry-After (or 100 ms), until http_patience_us are over. Thread: main. */
#ifndef PARLEY_BENCH_HTTP_CLIENT_H
#define PARLEY_BENCH_HTTP_CLIENT_H

#include "base/str_view.h"
#include "io.h"

enum {
    http_patience_us = 60 * 1000 * 1000,
    http_answer_us =
        20 * 1000 * 1000, /* one try without an answer; then the connection is given up */
    http_retry_us = 100 * 1000,
    http_head_max = 32768,
    http_body_max = 64 * 1024 * 1024
};

struct http_answer {
    int status; /* 0: given up */
    struct str_view body;
};

/* The caller owns it, token and body until done(); then it may be used again. */
struct http_request {
    const char *method; /* "chat.postMessage" */
    const char *token;  /* NULL: none */
    struct str_view body;
    void (*done)(struct http_request *r, const struct http_answer *a);
    void *owner;
    /* kept by the pool */
    uint64_t first_written_us; /* first bytes of the first try that had a connection; 0: none had */
    uint64_t last_written_us;
    uint64_t give_up_us;
    uint32_t tries;
    struct io_timer timer; /* waits for the answer, or for the next try */
    struct http_pool *pool;
    struct http_conn *conn;
    struct http_request *next;
};

struct http_stats {
    uint64_t answers, lost, busy, server_errors, timeouts, given_up, malformed;
};

struct http_pool {
    struct io *io;
    struct sockaddr_storage address;
    char host[128]; /* host:port of the Host field */
    bool tls;
    struct http_conn **conns;
    uint32_t conns_len;
    struct http_conn *idle, *closed;    /* single linked */
    struct http_request *first, **last; /* waiting for a connection */
    uint64_t waiting;
    uint64_t opening; /* by http_pool_open */
    struct http_stats stats;
};

/* base_url: http://HOST[:PORT] or https://. False: said on standard error. */
bool http_pool_init(struct http_pool *p, struct io *io, const char *base_url, uint32_t conns);
/* All connections are made before there is anything to say, so that no load pays for handshakes.
 * What fails is tried again when it is needed. */
void http_pool_open(struct http_pool *p, uint64_t until_us);
void http_pool_deinit(struct http_pool *p); /* waits for its connections to close */
void http_send(struct http_pool *p, struct http_request *r);

/* "http://1.2.3.4:80/x", ws://, https:// or wss://: the address, whether it is TLS, and where the
 * path begins. host has host_max bytes. */
bool url_resolve(const char *url, struct sockaddr_storage *address, bool *tls, char *host,
                 size_t host_max, const char **path);

/* A field's value in a response head that ends with an empty line; p NULL: absent. */
struct str_view http_field(struct str_view head, struct str_view name);

#endif
