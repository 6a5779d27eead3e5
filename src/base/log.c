#include "base/log.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { line_max = 2048, ring_bytes = 1 << 18, rings_max = 128, str_max = 200 };

/* One per thread that logs: the thread writes at head, the writer thread reads at tail. Lines are
 * whole or absent. */
struct log_ring {
    uint32_t head __attribute__((aligned(CACHE_LINE)));
    uint64_t dropped;
    uint32_t tail __attribute__((aligned(CACHE_LINE)));
    char bytes[ring_bytes];
};

static struct {
    enum log_level min;
    int fd;
    uint32_t running;   /* atomic */
    uint32_t sleeping;  /* atomic, a futex: the writer thread waits while it is 1 */
    uint32_t rings_len; /* atomic; rings are never taken back */
    struct log_ring *rings[rings_max];
    pthread_t writer;
} logger = {.min = LOG_INFO, .fd = STDERR_FILENO};

static __thread struct log_ring *own_ring;
static __thread char own_name[16] = "main";

void log_set_level(enum log_level min)
{
    __atomic_store_n(&logger.min, min, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return level >= __atomic_load_n(&logger.min, __ATOMIC_RELAXED);
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool log_level_parse(struct str_view s, enum log_level *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++) {
        if (sv_eq(s, sv_from(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_thread_name(const char *name)
{
    snprintf(own_name, sizeof own_name, "%s", name);
    prctl(PR_SET_NAME, own_name);
}

const char *log_str(struct str_view s)
{
    static __thread char bufs[4][str_max * 6 + 8];
    static __thread unsigned next;
    char *out = bufs[next++ % 4], *p = out;
    *p++ = '"';
    for (size_t i = 0; i < MIN(s.len, (size_t)str_max); i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = (char)c;
        } else if (c < 0x20 ||
                   c >= 0x7f) { /* bytes, not code points: a log must not depend on valid input */
            p += sprintf(p, "\\u%04x", c);
        } else {
            *p++ = (char)c;
        }
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(logger.fd, p, n);
        if (w <= 0)
            return; /* nowhere to complain to */
        p += w;
        n -= (size_t)w;
    }
}

static struct log_ring *ring_of_thread(void)
{
    if (own_ring != NULL)
        return own_ring;
    struct log_ring *r = aligned_alloc(CACHE_LINE, sizeof *r);
    if (r == NULL)
        return NULL;
    r->head = r->tail = 0;
    r->dropped = 0;
    uint32_t i = __atomic_fetch_add(&logger.rings_len, 1, __ATOMIC_ACQ_REL);
    if (i >= rings_max) {
        __atomic_fetch_sub(&logger.rings_len, 1, __ATOMIC_ACQ_REL);
        free(r);
        return NULL;
    }
    __atomic_store_n(&logger.rings[i], r, __ATOMIC_RELEASE);
    own_ring = r;
    return r;
}

static void ring_put(struct log_ring *r, const char *line, uint32_t n)
{
    uint32_t head = r->head, tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
    if (ring_bytes - (head - tail) < n) {
        r->dropped++;
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        r->bytes[(head + i) % ring_bytes] = line[i];
    __atomic_store_n(&r->head, head + n, __ATOMIC_RELEASE);
}

static bool ring_drain(struct log_ring *r)
{
    uint32_t tail = r->tail, head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    if (head == tail)
        return false;
    uint32_t at = tail % ring_bytes, n = head - tail;
    uint32_t first = MIN(n, ring_bytes - at);
    write_all(r->bytes + at, first);
    write_all(r->bytes, n - first);
    __atomic_store_n(&r->tail, head, __ATOMIC_RELEASE);
    return true;
}

static bool drain_rings(void)
{
    bool any = false;
    uint32_t n = MIN(__atomic_load_n(&logger.rings_len, __ATOMIC_ACQUIRE), (uint32_t)rings_max);
    for (uint32_t i = 0; i < n; i++) {
        struct log_ring *r = __atomic_load_n(&logger.rings[i], __ATOMIC_ACQUIRE);
        if (r != NULL)
            any |= ring_drain(r);
    }
    return any;
}

/* The fence pairs with the one in writer_sleep(): either we see that it sleeps, or it sees what was
 * stored before: a ring, a line, the end. */
static void writer_wake(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&logger.sleeping, __ATOMIC_RELAXED) != 0 &&
        __atomic_exchange_n(&logger.sleeping, 0, __ATOMIC_RELAXED) != 0)
        syscall(SYS_futex, &logger.sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Until something was logged or the end has come; at once when that is so already. */
static void writer_sleep(void)
{
    __atomic_store_n(&logger.sleeping, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with writer_wake() */
    if (!drain_rings() && __atomic_load_n(&logger.running, __ATOMIC_ACQUIRE) != 0)
        syscall(SYS_futex, &logger.sleeping, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    __atomic_store_n(&logger.sleeping, 0, __ATOMIC_RELAXED);
}

static void *writer_main(void *arg)
{
    (void)arg;
    prctl(PR_SET_NAME, "logger");
    while (__atomic_load_n(&logger.running, __ATOMIC_ACQUIRE) != 0) {
        if (!drain_rings())
            writer_sleep();
    }
    drain_rings();
    return NULL;
}

void log_start(int fd)
{
    logger.fd = fd;
    __atomic_store_n(&logger.running, 1, __ATOMIC_RELEASE);
    if (pthread_create(&logger.writer, NULL, writer_main, NULL) != 0)
        __atomic_store_n(&logger.running, 0, __ATOMIC_RELEASE);
}

void log_stop(void)
{
    if (__atomic_exchange_n(&logger.running, 0, __ATOMIC_ACQ_REL) == 0)
        return;
    writer_wake();
    pthread_join(logger.writer, NULL);
}

static size_t format_time(char *out, size_t n)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t len = strftime(out, n, "%Y-%m-%dT%H:%M:%S", &tm);
    return len + (size_t)snprintf(out + len, n - len, ".%06ldZ", ts.tv_nsec / 1000);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char line[line_max + 8], when[40];
    struct log_ring *ring =
        __atomic_load_n(&logger.running, __ATOMIC_ACQUIRE) != 0 ? ring_of_thread() : NULL;
    format_time(when, sizeof when);
    int n = snprintf(line, line_max,
                     "{\"time\":\"%s\",\"level\":\"%s\",\"thread\":\"%s\",\"event\":\"%s\"", when,
                     level_names[level], own_name, event);
    if (ring != NULL && ring->dropped > 0) {
        n += snprintf(line + n, (size_t)(line_max - n), ",\"lines_dropped\":%llu",
                      (unsigned long long)ring->dropped);
        ring->dropped = 0;
    }
    if (fmt != NULL) {
        va_list args;
        line[n++] = ',';
        va_start(args, fmt);
        int more = vsnprintf(line + n, (size_t)(line_max - n), fmt, args);
        va_end(args);
        n += MIN(more, line_max - n - 1);
    }
    line[n++] = '}';
    line[n++] = '\n';
    if (ring == NULL) {
        write_all(line, (size_t)n);
        return;
    }
    ring_put(ring, line, (uint32_t)n);
    writer_wake();
}
