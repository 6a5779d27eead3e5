/* log.c: every line is written, whole and in order, and nobody wakes up for nothing. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rand.h"
#include "test.h"

enum { threads_len = 4, thread_lines = 1000, read_ms_max = 20000, bursts = 5000, burst_max = 16 };

static int pipe_ends[2];

static void log_to_pipe(void)
{
    CHECK_EQ(pipe(pipe_ends), 0);
    log_start(pipe_ends[1]);
}

static void end_of_pipe(void)
{
    log_stop();
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* The next bytes that were written; 0: none came in time. */
static size_t written(char *out, size_t max)
{
    struct pollfd p = {.fd = pipe_ends[0], .events = POLLIN};
    if (poll(&p, 1, read_ms_max) != 1)
        return 0;
    ssize_t n = read(pipe_ends[0], out, max);
    return n < 0 ? 0 : (size_t)n;
}

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

/* Each burst is waited for alone: a wake-up that its last line misses is not made good by a later
 * one. In a burst the writer goes after sleep between any two lines. */
TEST(a_line_that_finds_the_writer_asleep_or_falling_asleep_is_written)
{
    char got[8192], want[32];
    struct rand_src rand;
    rand_init_seeded(&rand, 1);
    log_to_pipe();
    for (int i = 0; i < bursts; i++) {
        size_t len = 0;
        int last = 1 + (int)rand_below(&rand, burst_max);
        for (int k = 1; k <= last; k++)
            log_info("ping", "\"n\":\"%d.%d\"", i, k);
        snprintf(want, sizeof want, "\"n\":\"%d.%d\"}\n", i, last);
        do {
            size_t n = written(got + len, sizeof got - 1 - len);
            if (n == 0)
                fail_msg("the end of burst %d was never written", i);
            len += n;
            got[len] = '\0';
        } while (strstr(got, want) == NULL);
    }
    end_of_pipe();
}

static void *log_many(void *arg)
{
    struct rand_src rand;
    unsigned self = (unsigned)(uintptr_t)arg;
    rand_init_seeded(&rand, self);
    for (unsigned i = 0; i < thread_lines; i++) {
        log_info("many", "\"self\":%u,\"n\":%u", self, i);
        if (rand_below(&rand, 8) == 0)
            pause_us((unsigned)rand_below(&rand, 100));
    }
    return NULL;
}

/* All lines of a thread fit its ring, so none may be dropped. */
TEST(lines_of_many_threads_are_all_there_whole_and_in_order)
{
    static char line[4096];
    unsigned next[threads_len] = {0}, self, n;
    pthread_t threads[threads_len];
    FILE *f = tmpfile();
    CHECK(f != NULL);
    log_start(fileno(f));
    for (uintptr_t i = 0; i < threads_len; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, log_many, (void *)i), 0);
    for (unsigned i = 0; i < threads_len; i++)
        pthread_join(threads[i], NULL);
    log_stop();
    rewind(f);
    while (fgets(line, sizeof line, f) != NULL) {
        const char *at = strstr(line, "\"self\":");
        CHECK(at != NULL && line[0] == '{' && strstr(line, "}\n") != NULL);
        CHECK_EQ(sscanf(at, "\"self\":%u,\"n\":%u", &self, &n), 2);
        CHECK(self < threads_len);
        CHECK_EQ(n, next[self]);
        next[self]++;
    }
    for (unsigned i = 0; i < threads_len; i++)
        CHECK_EQ(next[i], thread_lines);
    fclose(f);
}

/* Of the thread called "logger"; -1: there is none. */
static long switches_of_writer(void)
{
    char path[300], text[64];
    long found = -1;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *d; found < 0 && (d = readdir(tasks)) != NULL;) {
        bool its = false;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", d->d_name);
        FILE *f = d->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (f != NULL && fgets(text, sizeof text, f) != NULL) {
            its |= strcmp(text, "Name:\tlogger\n") == 0;
            if (its)
                (void)sscanf(text, "voluntary_ctxt_switches: %ld", &found);
        }
        if (f != NULL)
            fclose(f);
    }
    closedir(tasks);
    return found;
}

TEST(an_idle_writer_sleeps_for_good)
{
    char got[4096];
    long before = 0, after = -1;
    log_to_pipe();
    log_info("one", NULL);
    CHECK(written(got, sizeof got) > 0);
    /* Nothing is logged: it falls asleep once, then stays so. */
    for (int tries = 0; tries < 50 && before != after; tries++) {
        before = switches_of_writer();
        CHECK(before >= 0);
        pause_us(300000);
        after = switches_of_writer();
        CHECK(after - before <= 1);
    }
    CHECK_EQ(after, before);
    log_info("two", NULL);
    CHECK(written(got, sizeof got) > 0);
    end_of_pipe();
}

TEST(what_is_queued_when_it_stops_is_written)
{
    char got[4096];
    for (int i = 0; i < 200; i++) {
        log_to_pipe();
        log_info("last", NULL);
        log_stop();
        CHECK(written(got, sizeof got) > 0);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
    }
}
