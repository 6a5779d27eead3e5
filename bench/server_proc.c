#include "server_proc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_pid(const char *path)
{
    int pid = 0;
    FILE *f = path[0] != '\0' ? fopen(path, "re") : NULL;
    if (f == NULL)
        return 0;
    if (fscanf(f, "%d", &pid) != 1 || pid < 0)
        pid = 0;
    fclose(f);
    return pid;
}

/* utime + stime, fields 14 and 15; field 2 may hold spaces, so count from its last parenthesis. */
static bool read_ticks(int pid, uint64_t *ticks)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char *p = strrchr(text, ')');
    unsigned long long user, system;
    char state;
    if (p == NULL ||
        sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state, &user,
               &system) != 3 ||
        state == 'Z')
        return false;
    *ticks = user + system;
    return true;
}

void server_proc_init(struct server_proc *s, uint64_t pid, const char *data_dir)
{
    *s = (struct server_proc){.pid = (int)pid};
    if (data_dir != NULL)
        snprintf(s->pid_path, sizeof s->pid_path, "%s/parleyd.pid", data_dir);
    if (s->pid == 0)
        s->pid = read_pid(s->pid_path);
    if (s->pid != 0 && !read_ticks(s->pid, &s->ticks_last))
        s->pid = 0;
}

void server_proc_start(struct server_proc *s)
{
    server_proc_sample(s);
    s->cpu_us = 0;
}

void server_proc_sample(struct server_proc *s)
{
    uint64_t ticks, tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    if (s->pid == 0)
        return;
    if (read_ticks(s->pid, &ticks) && ticks >= s->ticks_last) {
        s->cpu_us += (ticks - s->ticks_last) * tick_us;
        s->ticks_last = ticks;
        return;
    }
    int pid = read_pid(s->pid_path);
    if (pid == 0 || pid == s->pid || !read_ticks(pid, &ticks))
        return;
    s->pid = pid;
    s->restarts++;
    s->cpu_us += ticks * tick_us;
    s->ticks_last = ticks;
}

uint64_t server_proc_rss(const struct server_proc *s)
{
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", s->pid);
    FILE *f = s->pid != 0 ? fopen(path, "re") : NULL;
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
