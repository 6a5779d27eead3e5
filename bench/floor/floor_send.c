/* floor_send - raw sends to many sockets: one event to each of N connections, all of a round in
 * one io_uring submit, at 1, 4 and 16 events in a send. The least that a delivery asks for.
 * Threads: main sends; a reader empties the other ends, so that no buffer fills. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    sockets_max = 8192, /* two descriptors each */
    events_max = 64,
    event_bytes_max = 4096,
    reader_bytes = 65536,
    files_reserve = 64,
    reader_wait_ms = 100
};
enum { N_SOCKETS, N_BYTES, N_RATE };

static struct floor_number numbers[] = {
    [N_SOCKETS] = {"sockets", 1000, 1, sockets_max, "connections"},
    [N_BYTES] = {"bytes", 154, 1, event_bytes_max, "bytes of one event"},
    [N_RATE] = {"rate", 0, 0, 100000, "rounds a second; 0: one after the other"}};

static const struct point {
    uint32_t events;
    const char *send, *event, *rate, *us;
} points[] = {
#define POINT(n)                                                                                   \
    {                                                                                              \
        n, "cpu_us_per_send_" #n, "cpu_us_per_event_" #n, "events_per_s_" #n, "round_us_" #n       \
    }
    POINT(1), POINT(4), POINT(16)};

struct sender {
    struct io_uring ring;
    uint32_t sockets;
    uint8_t data[events_max * event_bytes_max];
};

struct reader {
    int epoll;
    bool stop; /* atomic */
    pthread_t thread;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    static uint8_t sink[reader_bytes];
    struct epoll_event events[256];
    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        int n = epoll_wait(r->epoll, events, (int)ARRAY_LEN(events), reader_wait_ms);
        for (int i = 0; i < n; i++) {
            if (read(events[i].data.fd, sink, sizeof sink) < 0 && errno != EAGAIN)
                floor_die("floor_send: read", errno);
        }
    }
    return NULL;
}

static int listen_any(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof *at) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)at, &len) != 0)
        floor_die("floor_send: listen", errno);
    return fd;
}

/* Connection i's sending end becomes registered file i, as a server's direct descriptors are. */
static void connect_all(struct sender *s, struct reader *r)
{
    struct sockaddr_in at;
    int listener = listen_any(&at), one = 1;
    int *files = calloc(s->sockets, sizeof *files);
    ASSERT(files != NULL);
    for (uint32_t i = 0; i < s->sockets; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (client < 0 ||
            (connect(client, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS))
            floor_die("floor_send: connect", errno);
        files[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct epoll_event e = {.events = EPOLLIN, .data.fd = client};
        if (files[i] < 0 || setsockopt(files[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
            epoll_ctl(r->epoll, EPOLL_CTL_ADD, client, &e) != 0)
            floor_die("floor_send: accept", errno);
    }
    int rc = io_uring_register_files(&s->ring, files, s->sockets);
    if (rc < 0)
        floor_die("floor_send: registering files", -rc);
    free(files);
    close(listener);
}

/* One send to each socket; a short one is finished before the round counts as done. */
static void send_round(struct sender *s, size_t bytes)
{
    uint32_t left = s->sockets;
    for (uint32_t i = 0; i < s->sockets; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
        io_uring_prep_send(sqe, (int)i, s->data, bytes, MSG_NOSIGNAL | MSG_WAITALL);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    while (left > 0) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;
        int rc = io_uring_submit_and_wait(&s->ring, left);
        if (rc < 0 && rc != -EINTR)
            floor_die("floor_send: submit", -rc);
        io_uring_for_each_cqe(&s->ring, head, cqe)
        {
            if (cqe->res != (int)bytes)
                floor_die("floor_send: send", cqe->res < 0 ? -cqe->res : EIO);
            n++;
        }
        io_uring_cq_advance(&s->ring, n);
        left -= n;
    }
}

static void wait_until(uint64_t at_us)
{
    struct timespec t = {.tv_sec = (time_t)(at_us / 1000000),
                         .tv_nsec = (long)(at_us % 1000000 * 1000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void measure(struct sender *s, struct report *r, const struct point *p, struct hist_log *us,
                    uint64_t length_us)
{
    size_t bytes = p->events * numbers[N_BYTES].value;
    uint64_t began_us = clock_mono_us(), now_us = began_us, rounds = 0, cpu_ns = 0;
    while (now_us < began_us + length_us) {
        uint64_t from_us = now_us;
        if (numbers[N_RATE].value > 0) { /* latency counts from the intended time */
            from_us = began_us + rounds * 1000000 / numbers[N_RATE].value;
            wait_until(from_us);
        }
        uint64_t from_ns = floor_thread_cpu_ns();
        send_round(s, bytes);
        cpu_ns += floor_thread_cpu_ns() - from_ns;
        now_us = clock_mono_us();
        hist_log_add(us, now_us - from_us);
        rounds++;
    }
    uint64_t sends = rounds * s->sockets;
    report_real(r, p->send, floor_us(cpu_ns, sends));
    report_real(r, p->event, floor_us(cpu_ns, sends * p->events));
    report_real(r, p->rate, (double)(sends * p->events) * 1e6 / (double)(now_us - began_us));
    report_hist(r, p->us, us);
}

static void make_ring(struct sender *s)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct rlimit files = {.rlim_cur = 0};
    uint32_t entries = 64;
    while (entries < s->sockets)
        entries *= 2;
    int rc = io_uring_queue_init_params(entries, &s->ring, &params);
    if (rc < 0)
        floor_die("floor_send: io_uring", -rc);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = MIN(files.rlim_max, (rlim_t)s->sockets * 2 + files_reserve);
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    static struct floor f;
    static struct sender s;
    static struct hist_log us[ARRAY_LEN(points)];
    struct reader r = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    floor_begin(&f, argc, argv, "raw batched sends to many sockets", numbers, ARRAY_LEN(numbers));
    s.sockets = (uint32_t)numbers[N_SOCKETS].value;
    memset(s.data, 'e', sizeof s.data);
    make_ring(&s);
    connect_all(&s, &r);
    int rc = pthread_create(&r.thread, NULL, read_all, &r);
    if (rc != 0)
        floor_die("floor_send: thread", rc);
    report_u64(&f.report, "sockets", s.sockets);
    report_u64(&f.report, "event_size", numbers[N_BYTES].value);
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        measure(&s, &f.report, &points[i], &us[i], f.seconds * 1000000 / ARRAY_LEN(points));
    __atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
    pthread_join(r.thread, NULL);
    return floor_end(&f);
}
