/* floor_http - the least a server can do with a POST: io_uring, direct descriptors, a fixed 200 to
 * each request, hardly any parsing. Driven by parley-bench's own client, as parleyd is, so that
 * the two figures differ by the server only.
 * Threads: main is the client; the responder owns the server's ring. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "http_client.h"

enum {
    conns_max = 4096,
    buffers = 1024, /* a power of two */
    buffer_bytes = 4096,
    buffer_group = 1,
    accept_tag = UINT32_MAX,
    send_tag = UINT32_MAX - 1,
    answer_bytes = 320 /* as long as parleyd's to chat.postMessage */
};
enum { N_CONNS, N_BYTES };

static struct floor_number numbers[] = {
    [N_CONNS] = {"conns", 64, 1, conns_max, "keep-alive connections, one request at a time each"},
    [N_BYTES] = {"bytes", 174, 1, 3000, "bytes of a request's body"}};

/* ---- the responder ---- */

struct responder {
    struct io_uring ring;
    struct io_uring_buf_ring *buf_ring;
    uint8_t *buffer;
    int listener;
    bool stop;                 /* atomic */
    uint64_t cpu_ns, answered; /* atomic: read by main at the load's two ends */
    char answer[1024];
    unsigned answer_len;
    pthread_t thread;
    pthread_barrier_t ready; /* both: the ring is armed */
};

static struct io_uring_sqe *get_sqe(struct responder *r)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&r->ring)) == NULL)
        io_uring_submit(&r->ring);
    return sqe;
}

static void make_ring(struct responder *r)
{
    struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
                                         IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
                                .cq_entries = conns_max * 4};
    int rc = io_uring_queue_init_params(conns_max, &r->ring, &p);
    if (rc < 0 || (rc = io_uring_register_files_sparse(&r->ring, conns_max)) < 0)
        floor_die("floor_http: io_uring", -rc);
    struct io_uring_buf_reg reg = {.ring_entries = buffers, .bgid = buffer_group};
    r->buf_ring = aligned_alloc(4096, buffers * sizeof(struct io_uring_buf));
    r->buffer = aligned_alloc(4096, (size_t)buffers * buffer_bytes);
    ASSERT(r->buf_ring != NULL && r->buffer != NULL);
    reg.ring_addr = (uintptr_t)r->buf_ring;
    if ((rc = io_uring_register_buf_ring(&r->ring, &reg, 0)) < 0)
        floor_die("floor_http: buffer ring", -rc);
    io_uring_buf_ring_init(r->buf_ring);
    for (uint16_t i = 0; i < buffers; i++)
        io_uring_buf_ring_add(r->buf_ring, r->buffer + (size_t)i * buffer_bytes, buffer_bytes, i,
                              io_uring_buf_ring_mask(buffers), i);
    io_uring_buf_ring_advance(r->buf_ring, buffers);
}

static void arm_accept(struct responder *r)
{
    struct io_uring_sqe *sqe = get_sqe(r);
    io_uring_prep_multishot_accept_direct(sqe, r->listener, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, accept_tag);
}

static void arm_recv(struct responder *r, uint32_t conn)
{
    struct io_uring_sqe *sqe = get_sqe(r);
    io_uring_prep_recv_multishot(sqe, (int)conn, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
    io_uring_sqe_set_data64(sqe, conn);
}

static void on_recv(struct responder *r, const struct io_uring_cqe *cqe, uint32_t conn)
{
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        uint8_t *p = r->buffer + (size_t)id * buffer_bytes;
        /* The client writes a request at once, and the next one after the answer. */
        if (cqe->res > 5 && memcmp(p, "POST ", 5) == 0 && p[cqe->res - 1] == '}') {
            struct io_uring_sqe *sqe = get_sqe(r);
            io_uring_prep_send(sqe, (int)conn, r->answer, r->answer_len, MSG_NOSIGNAL);
            sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
            io_uring_sqe_set_data64(sqe, send_tag);
            __atomic_store_n(&r->answered, r->answered + 1, __ATOMIC_RELAXED);
        }
        io_uring_buf_ring_add(r->buf_ring, p, buffer_bytes, id, io_uring_buf_ring_mask(buffers), 0);
        io_uring_buf_ring_advance(r->buf_ring, 1);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE) && (cqe->res > 0 || cqe->res == -ENOBUFS))
        arm_recv(r, conn);
}

static void *respond(void *arg)
{
    struct responder *r = arg;
    make_ring(r);
    arm_accept(r);
    pthread_barrier_wait(&r->ready);
    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        struct __kernel_timespec wait = {.tv_nsec = 100000000};
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;
        io_uring_submit_and_wait_timeout(&r->ring, &cqe, 1, &wait, NULL);
        io_uring_for_each_cqe(&r->ring, head, cqe)
        {
            uint64_t tag = io_uring_cqe_get_data64(cqe);
            n++;
            if (tag == accept_tag) {
                if (cqe->res < 0)
                    floor_die("floor_http: accept", -cqe->res);
                arm_recv(r, (uint32_t)cqe->res);
            } else if (tag != send_tag) {
                on_recv(r, cqe, (uint32_t)tag);
            }
        }
        io_uring_cq_advance(&r->ring, n);
    }
    return NULL;
}

static void start(struct responder *r, struct sockaddr_in *at)
{
    char body[answer_bytes];
    socklen_t len = sizeof *at;
    memset(body, 'a', sizeof body);
    memcpy(body, "{\"ok\":true,\"x\":\"", 16);
    memcpy(body + sizeof body - 2, "\"}", 2);
    r->answer_len = (unsigned)snprintf(r->answer, sizeof r->answer,
                                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                       "Content-Length: %zu\r\n\r\n%.*s",
                                       sizeof body, (int)sizeof body, body);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->listener < 0 || bind(r->listener, (struct sockaddr *)at, sizeof *at) != 0 ||
        listen(r->listener, 1024) != 0 || getsockname(r->listener, (struct sockaddr *)at, &len))
        floor_die("floor_http: listen", errno);
    pthread_barrier_init(&r->ready, NULL, 2);
    int rc = pthread_create(&r->thread, NULL, respond, r);
    if (rc != 0)
        floor_die("floor_http: thread", rc);
    pthread_barrier_wait(&r->ready);
}

static uint64_t responder_cpu_ns(const struct responder *r)
{
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(r->thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
        floor_die("floor_http: the thread's clock", errno);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the client ---- */

struct client {
    struct io io;
    struct http_pool pool;
    uint64_t end_us, wrong;
    struct hist_log us;
    char body[4096];
};

static void on_answer(struct http_request *q, const struct http_answer *a)
{
    struct client *c = q->owner;
    hist_log_add(&c->us, c->io.now_us - q->first_written_us);
    c->wrong += a->status != 200 || a->body.len != answer_bytes;
    if (c->io.now_us < c->end_us && !io_stop)
        http_send(&c->pool, q);
}

static void ask_all(struct client *c, struct http_request *requests, uint32_t len)
{
    size_t bytes = MAX(numbers[N_BYTES].value, (uint64_t)2);
    memset(c->body, ' ', bytes);
    c->body[0] = '{';
    c->body[bytes - 1] = '}';
    for (uint32_t i = 0; i < len; i++) {
        requests[i] = (struct http_request){
            .method = "chat.postMessage",
            /* as long as parleyd's */
            .token = "xoxp-000000000000-000000000000-000000000000-00000000000000000000000000000000",
            .body = {c->body, bytes},
            .done = on_answer,
            .owner = c};
        http_send(&c->pool, &requests[i]);
    }
}

int main(int argc, char **argv)
{
    static struct floor f;
    static struct client c;
    static struct responder r;
    static struct http_request requests[conns_max];
    struct sockaddr_in at;
    char url[64];
    floor_begin(&f, argc, argv, "a fixed 200 to each POST on keep-alive connections", numbers,
                ARRAY_LEN(numbers));
    uint32_t conns = (uint32_t)numbers[N_CONNS].value;
    start(&r, &at);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    if (!io_init(&c.io) || !http_pool_init(&c.pool, &c.io, url, conns))
        return 1;
    uint64_t began_us = clock_mono_us(), cpu_ns = responder_cpu_ns(&r);
    c.end_us = began_us + f.seconds * 1000000;
    ask_all(&c, requests, conns);
    while (c.io.now_us < c.end_us && !io_stop)
        io_step(&c.io, c.end_us);
    uint64_t answered = __atomic_load_n(&r.answered, __ATOMIC_RELAXED);
    cpu_ns = responder_cpu_ns(&r) - cpu_ns;
    if (c.wrong + c.pool.stats.lost > 0)
        report_problem(&f.report, "%llu wrong answers, %llu lost connections",
                       (unsigned long long)c.wrong, (unsigned long long)c.pool.stats.lost);
    report_u64(&f.report, "conns", conns);
    report_real(&f.report, "server_cpu_us_per_request", floor_us(cpu_ns, answered));
    report_real(&f.report, "requests_per_s",
                (double)answered * 1e6 / (double)(c.io.now_us - began_us));
    report_hist(&f.report, "request_us", &c.us);
    __atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
    pthread_join(r.thread, NULL);
    return floor_end(&f);
}
