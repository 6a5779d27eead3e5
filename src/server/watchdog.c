#include "server/watchdog.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
    frames_max = 24,
    frames_own = 2, /* the handler's, and the kernel's way into it */
    patience_ms = 100,
    where_bytes = 1536 /* a log line takes 2 KiB */
};

/* ---- a stack, asked for by a signal ---- */

enum { STACK_NONE, STACK_WANTED, STACK_TAKING, STACK_TAKEN };

/* At file scope since a signal handler gets nothing from anybody. A handler that comes late finds
 * that nobody wants its stack, or that another thread's is wanted. */
static struct {
    uint32_t state;     /* atomic */
    uint32_t thread_id; /* atomic: whose */
    int len;
    void *frames[frames_max];
} stack;

static bool step(uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&stack.state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void on_signal(int sig)
{
    int error = errno;
    (void)sig;
    bool ours = __atomic_load_n(&stack.thread_id, __ATOMIC_RELAXED) == (uint32_t)gettid();
    if (ours && step(STACK_WANTED, STACK_TAKING)) {
        stack.len = backtrace(stack.frames, frames_max);
        __atomic_store_n(&stack.state, STACK_TAKEN, __ATOMIC_RELEASE);
    }
    errno = error;
}

static void install(void)
{
    void *frame;
    (void)backtrace(&frame, 1); /* the first call loads what it needs; not in a handler */
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &a, NULL);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static bool take_stack(pthread_t thread, uint32_t thread_id)
{
    __atomic_store_n(&stack.thread_id, thread_id, __ATOMIC_RELAXED);
    __atomic_store_n(&stack.state, STACK_WANTED, __ATOMIC_RELEASE);
    if (pthread_kill(thread, SIGUSR2) == 0) {
        for (int ms = 0; ms < patience_ms; ms++) {
            if (__atomic_load_n(&stack.state, __ATOMIC_ACQUIRE) == STACK_TAKEN)
                return true;
            sleep_ms(1);
        }
    }
    if (step(STACK_WANTED, STACK_NONE))
        return false;
    while (__atomic_load_n(&stack.state, __ATOMIC_ACQUIRE) != STACK_TAKEN)
        sleep_ms(1); /* it is being taken: a matter of microseconds of its CPU time */
    return true;
}

/* "parleyd+0x1c2f3", as addr2line wants it. */
static void put_frame(struct buf *b, void *address)
{
    Dl_info i;
    if (dladdr(address, &i) == 0 || i.dli_fname == NULL) {
        buf_printf(b, "\"%p\"", address);
        return;
    }
    const char *slash = strrchr(i.dli_fname, '/');
    buf_printf(b, "\"%s+0x%llx\"", slash == NULL ? i.dli_fname : slash + 1,
               (unsigned long long)((char *)address - (char *)i.dli_fbase));
}

static void put_stack(struct buf *b)
{
    buf_printf(b, ",\"stack\":[");
    for (int i = frames_own; i < stack.len; i++) {
        if (i > frames_own)
            buf_putc(b, ',');
        put_frame(b, stack.frames[i]);
    }
    buf_putc(b, ']');
}

/* ---- what a thread is doing ---- */

enum { DOES_UNKNOWN = -2, DOES_COMPUTE = -1 }; /* else: the number of a system call */

/* Source: proc(5), /proc/PID/syscall: "running", or the number and its arguments; -1: blocked, but
 * in no call. */
static long what_it_does(uint32_t thread_id)
{
    char path[64], text[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%u/syscall", thread_id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return DOES_UNKNOWN;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return DOES_UNKNOWN;
    if (strncmp(text, "running", 7) == 0)
        return DOES_COMPUTE;
    long number = strtol(text, NULL, 10);
    return number < 0 ? DOES_UNKNOWN : number;
}

static void put_where(struct buf *b, const struct topology *t, uint32_t i)
{
    uint32_t thread_id = __atomic_load_n(&t->loops[i].thread_id, __ATOMIC_RELAXED);
    long does = what_it_does(thread_id);
    if (does == DOES_COMPUTE)
        buf_printf(b, "\"does\":\"computes\"");
    else if (does == DOES_UNKNOWN)
        buf_printf(b, "\"does\":\"unknown\"");
    else
        buf_printf(b, "\"does\":\"system call %ld\"", does);
    if ((does == DOES_COMPUTE || does == SYS_futex) && take_stack(t->threads[i], thread_id))
        put_stack(b);
}

/* ---- looking ---- */

struct seen {
    uint64_t turns;
    uint64_t since_us; /* steady clock: first look at that number */
    uint32_t looks;
};

struct watchdog {
    const struct topology *t;
    uint32_t tick_ms;
    struct seen seen[server_loops_max];
    pthread_t thread;
    pthread_mutex_t lock; /* of stop */
    pthread_cond_t wake;
    bool stop;
};

static void report(const struct watchdog *w, uint32_t i, uint64_t now_us)
{
    char text[where_bytes];
    struct buf b;
    buf_init_fixed(&b, text, sizeof text - 1);
    put_where(&b, w->t, i);
    if (b.failed) { /* longer names than fit */
        b.len = 0;
        b.failed = false;
        buf_printf(&b, "\"does\":\"a deep stack\"");
    }
    text[b.len] = '\0';
    log_warn("loop_stuck", "\"loop\":\"%s\",\"ms\":%llu,%s", w->t->loops[i].name,
             (unsigned long long)((now_us - w->seen[i].since_us) / 1000), text);
}

static void look(struct watchdog *w, uint32_t i, uint64_t now_us)
{
    const struct loop *l = &w->t->loops[i];
    struct seen *s = &w->seen[i];
    uint64_t turns = __atomic_load_n(&l->metrics.values[METRIC_LOOP_TURNS], __ATOMIC_RELAXED);
    bool sleeps = __atomic_load_n(&l->sleeping, __ATOMIC_RELAXED) != 0;
    if (turns == s->turns && !sleeps) {
        if (++s->looks == watchdog_looks)
            report(w, i, now_us);
        return;
    }
    if (s->looks >= watchdog_looks)
        log_warn("loop_moves", "\"loop\":\"%s\",\"ms\":%llu", l->name,
                 (unsigned long long)((now_us - s->since_us) / 1000));
    *s = (struct seen){.turns = turns, .since_us = now_us};
}

/* False: it shall end. */
static bool wait_tick(struct watchdog *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + w->tick_ms * UINT64_C(1000000);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (!w->stop && rc == 0)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return !stop;
}

static void *watch(void *arg)
{
    struct watchdog *w = arg;
    log_thread_name("watchdog");
    while (wait_tick(w)) {
        uint64_t now_us = clock_mono_us();
        for (uint32_t i = 0; i < w->t->threads_len; i++)
            look(w, i, now_us);
    }
    return NULL;
}

/* ---- life ---- */

static void init_wake(struct watchdog *w)
{
    pthread_condattr_t a;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &a);
    pthread_condattr_destroy(&a);
}

static void deinit(struct watchdog *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

enum err watchdog_new(struct watchdog **out, const struct topology *t, uint32_t tick_ms)
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_NOMEM;
    w->t = t;
    w->tick_ms = tick_ms;
    init_wake(w);
    install();
    uint64_t now_us = clock_mono_us();
    for (uint32_t i = 0; i < server_loops_max; i++)
        w->seen[i].since_us = now_us;
    if (pthread_create(&w->thread, NULL, watch, w) != 0) {
        deinit(w);
        return ERR_NOMEM;
    }
    *out = w;
    return ERR_OK;
}

void watchdog_free(struct watchdog *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    deinit(w);
}
