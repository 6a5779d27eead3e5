#include "crowd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"

static void become_helper(struct crowd *c, uint32_t part, const int say[2], const int hold[2])
{
    for (uint32_t i = 0; i < part - 1; i++)
        close(c->from[i]);
    close(say[0]);
    close(hold[1]);
    *c = (struct crowd){.part = part, .say = say[1], .hold = hold[0]};
}

bool crowd_fork(struct crowd *c, uint32_t len, uint64_t *sockets)
{
    int hold[2], say[2];
    uint64_t all = *sockets;
    ASSERT(len <= crowd_max);
    if (pipe(hold) != 0) {
        fprintf(stderr, "parley-bench: pipe: %s\n", strerror(errno));
        return false;
    }
    for (uint32_t i = 0; i < len; i++) {
        pid_t pid = pipe(say) == 0 ? fork() : -1;
        if (pid < 0) {
            fprintf(stderr, "parley-bench: fork: %s\n", strerror(errno));
            return false;
        }
        if (pid == 0) {
            *sockets = all * (i + 1) / len - all * i / len;
            become_helper(c, i + 1, say, hold);
            return true;
        }
        close(say[1]);
        c->pids[i] = pid;
        c->from[i] = say[0];
        c->len = i + 1;
    }
    close(hold[0]);
    c->hold = hold[1];
    return true;
}

bool crowd_over(const struct crowd *c)
{
    struct pollfd p = {.fd = c->hold};
    return poll(&p, 1, 0) > 0; /* POLLHUP */
}

void crowd_say(const struct crowd *c, const struct crowd_word *w)
{
    ssize_t n = write(c->say, w, sizeof *w); /* less than PIPE_BUF: whole or not at all */
    (void)n;                                 /* without a leader nobody listens */
}

static bool hear_one(int fd, struct crowd_word *w)
{
    ssize_t n;
    while ((n = read(fd, w, sizeof *w)) < 0 && errno == EINTR) {
        if (io_stop)
            return false;
    }
    return n == (ssize_t)sizeof *w;
}

bool crowd_hear(const struct crowd *c, struct crowd_word *sum)
{
    *sum = (struct crowd_word){0};
    for (uint32_t i = 0; i < c->len; i++) {
        struct crowd_word w;
        if (!hear_one(c->from[i], &w))
            return false;
        sum->ready += w.ready;
        sum->missing += w.missing;
        sum->losses += w.losses;
        sum->pings += w.pings;
    }
    return true;
}

void crowd_end(struct crowd *c)
{
    close(c->hold);
    c->hold = -1;
}

bool crowd_wait(struct crowd *c)
{
    bool ok = true;
    for (uint32_t i = 0; i < c->len; i++) {
        int status = 0;
        while (waitpid(c->pids[i], &status, 0) < 0 && errno == EINTR)
            continue;
        ok = ok && status == 0;
    }
    return ok;
}
