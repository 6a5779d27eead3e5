/* The watchdog: what is stuck is told once, with where; what sleeps or moves is not. */
#include "server/watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "test.h"

enum { tick_ms = 20 };

/* One loop whose thread the test plays, and the log as a file. */
struct stage {
    struct topology t;
    struct watchdog *w;
    FILE *log;
    char text[65536];
    pthread_mutex_t lock; /* held by the test: the thread waits for it */
    uint32_t over;        /* atomic */
};

static struct stage *up(void)
{
    struct stage *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->log = tmpfile();
    CHECK(s->log != NULL);
    log_set_level(LOG_INFO);
    log_start(fileno(s->log));
    CHECK_EQ(loop_init(&s->t.loops[0], 0, "chan0"), ERR_OK);
    s->t.loops_len = 1;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void begin(struct stage *s, void *(*thread)(void *))
{
    CHECK_EQ(pthread_create(&s->t.threads[0], NULL, thread, s), 0);
    s->t.threads_len = 1;
    while (__atomic_load_n(&s->t.loops[0].thread_id, __ATOMIC_RELAXED) == 0)
        usleep(1000);
    CHECK_EQ(watchdog_new(&s->w, &s->t, tick_ms), ERR_OK);
}

static unsigned count(struct stage *s, const char *what)
{
    size_t n = 0;
    rewind(s->log);
    n = fread(s->text, 1, sizeof s->text - 1, s->log);
    s->text[n] = '\0';
    unsigned hits = 0;
    for (const char *p = s->text; (p = strstr(p, what)) != NULL; p++)
        hits++;
    return hits;
}

static void wait_for(struct stage *s, const char *what)
{
    for (int ms = 0; ms < 20000 && count(s, what) == 0; ms += 10)
        usleep(10000);
    CHECK_EQ(count(s, what), 1);
}

static void down(struct stage *s)
{
    watchdog_free(s->w); /* it may look at a thread that has ended, not at one that is joined */
    pthread_join(s->t.threads[0], NULL);
    log_stop();
    log_set_level(LOG_ERROR);
    fclose(s->log);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void enter(struct stage *s)
{
    __atomic_store_n(&s->t.loops[0].thread_id, (uint32_t)gettid(), __ATOMIC_RELAXED);
}

static void end_turn(struct stage *s)
{
    metric_add(&s->t.loops[0].metrics, METRIC_LOOP_TURNS, 1);
}

static void *wait_for_lock(void *arg)
{
    struct stage *s = arg;
    enter(s);
    pthread_mutex_lock(&s->lock);
    pthread_mutex_unlock(&s->lock);
    end_turn(s);
    usleep(5 * tick_ms * 1000);
    return NULL;
}

TEST(a_loop_that_waits_for_a_lock_is_told_with_its_stack)
{
    struct stage *s = up();
    pthread_mutex_lock(&s->lock);
    begin(s, wait_for_lock);
    wait_for(s, "\"event\":\"loop_stuck\",\"loop\":\"chan0\"");
    char call[64];
    snprintf(call, sizeof call, "\"does\":\"system call %d\"", SYS_futex);
    CHECK_EQ(count(s, call), 1);
#ifndef PARLEY_SANITIZED /* theirs run the handler when the call has ended */
    CHECK_EQ(count(s, "\"stack\":[\""), 1);
    CHECK(count(s, "server_watchdog_test+0x") >= 1); /* wait_for_lock is on it */
#endif
    usleep(10 * tick_ms * 1000);
    CHECK_EQ(count(s, "loop_stuck"), 1); /* said once */
    CHECK_EQ(count(s, "loop_moves"), 0);
    pthread_mutex_unlock(&s->lock);
    wait_for(s, "\"event\":\"loop_moves\",\"loop\":\"chan0\"");
    down(s);
}

static void *spin(void *arg)
{
    struct stage *s = arg;
    enter(s);
    while (__atomic_load_n(&s->over, __ATOMIC_RELAXED) == 0)
        ;
    return NULL;
}

TEST(a_loop_that_computes_is_told_with_its_stack)
{
    struct stage *s = up();
    begin(s, spin);
    wait_for(s, "loop_stuck");
    CHECK_EQ(count(s, "\"does\":\"computes\""), 1);
#ifndef PARLEY_SANITIZED
    CHECK(count(s, "server_watchdog_test+0x") >= 1);
#endif
    __atomic_store_n(&s->over, 1, __ATOMIC_RELAXED);
    down(s);
}

static void *block(void *arg)
{
    struct stage *s = arg;
    enter(s);
    struct timespec t = {.tv_nsec = 45 * tick_ms * 1000000L};
    CHECK_EQ(nanosleep(&t, NULL), 0); /* EINTR had it been disturbed */
    return NULL;
}

TEST(a_system_call_is_named_and_not_disturbed)
{
    struct stage *s = up();
    begin(s, block);
    wait_for(s, "loop_stuck");
    CHECK_EQ(count(s, "\"does\":\"system call "), 1);
    CHECK_EQ(count(s, "stack"), 0);
    down(s);
}

static void *live(void *arg)
{
    struct stage *s = arg;
    struct loop *l = &s->t.loops[0];
    enter(s);
    for (int i = 0; i < 6 * watchdog_looks; i++) { /* slow turns, but turns */
        usleep(tick_ms * 500);
        end_turn(s);
    }
    __atomic_store_n(&l->sleeping, 1, __ATOMIC_RELAXED);
    usleep(3 * watchdog_looks * tick_ms * 1000);
    __atomic_store_n(&s->over, 1, __ATOMIC_RELAXED);
    return NULL;
}

TEST(who_moves_or_sleeps_is_not_stuck)
{
    struct stage *s = up();
    begin(s, live);
    while (__atomic_load_n(&s->over, __ATOMIC_RELAXED) == 0)
        usleep(tick_ms * 1000);
    CHECK_EQ(count(s, "loop_"), 0);
    down(s);
}
