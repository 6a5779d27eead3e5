#include "server_proc.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- by thread ---- */

static bool read_text(int pid, int tid, const char *file, char *out, size_t max)
{
    char path[96];
    if (tid == 0)
        snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    else
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, tid, file);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(out, 1, max - 1, f);
    fclose(f);
    out[n] = '\0';
    return n > 0;
}

static uint64_t field_after(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    return p != NULL ? strtoull(p + strlen(name), NULL, 10) : 0;
}

static uint32_t role_of(struct server_proc *s, int tid)
{
    char name[64] = "";
    if (!read_text(s->pid, tid, "comm", name, sizeof name))
        snprintf(name, sizeof name, "?");
    size_t n = strcspn(name, "\n");
    while (n > 1 && isdigit((unsigned char)name[n - 1]))
        n--;
    n = MIN(n, (size_t)server_role_name_max - 1);
    name[n] = '\0';
    for (uint32_t i = 0; i < s->roles_len; i++) {
        if (strcmp(s->roles[i].name, name) == 0 || i + 1 == server_roles_max)
            return i;
    }
    s->roles[s->roles_len] = (struct server_role){0};
    memcpy(s->roles[s->roles_len].name, name, n);
    return s->roles_len++;
}

static struct server_thread *thread_of(struct server_proc *s, int tid)
{
    for (uint32_t i = 0; i < s->threads_len; i++) {
        if (s->threads[i].tid == tid)
            return &s->threads[i];
    }
    if (s->threads_len == server_threads_max)
        return NULL;
    /* What it used before it was first seen counts: it began since the last sample. */
    s->threads[s->threads_len] = (struct server_thread){.tid = tid, .role = role_of(s, tid)};
    return &s->threads[s->threads_len++];
}

static void sample_thread(struct server_proc *s, int tid)
{
    char text[4096];
    struct server_thread *t = thread_of(s, tid);
    if (t == NULL || !read_text(s->pid, tid, "schedstat", text, sizeof text))
        return;
    uint64_t cpu_ns = strtoull(text, NULL, 10);
    uint64_t waits = read_text(s->pid, tid, "status", text, sizeof text)
                         ? field_after(text, "\nvoluntary_ctxt_switches:")
                         : t->waits_last;
    t->seen = true;
    s->roles[t->role].cpu_ns += cpu_ns - MIN(cpu_ns, t->cpu_ns_last);
    s->roles[t->role].waits += waits - MIN(waits, t->waits_last);
    t->cpu_ns_last = cpu_ns;
    t->waits_last = waits;
}

static void sample_threads(struct server_proc *s)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", s->pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        int tid = atoi(e->d_name);
        if (tid > 0)
            sample_thread(s, tid);
    }
    closedir(d);
    for (uint32_t i = 0; i < s->threads_len;) { /* a number may come back as another thread */
        if (s->threads[i].seen)
            s->threads[i++].seen = false;
        else
            s->threads[i] = s->threads[--s->threads_len];
    }
}

static void sample_written(struct server_proc *s)
{
    char text[1024];
    if (!read_text(s->pid, 0, "io", text, sizeof text))
        return;
    uint64_t written = field_after(text, "\nwrite_bytes:");
    s->written_bytes += written - MIN(written, s->written_last);
    s->written_last = written;
}

void server_proc_start(struct server_proc *s)
{
    server_proc_sample(s);
    s->cpu_us = s->written_bytes = 0;
    for (uint32_t i = 0; i < s->roles_len; i++)
        s->roles[i].cpu_ns = s->roles[i].waits = 0;
}

void server_proc_sample(struct server_proc *s)
{
    uint64_t ticks, tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    if (s->pid == 0)
        return;
    if (read_ticks(s->pid, &ticks) && ticks >= s->ticks_last) {
        s->cpu_us += (ticks - s->ticks_last) * tick_us;
        s->ticks_last = ticks;
        sample_threads(s);
        sample_written(s);
        return;
    }
    int pid = read_pid(s->pid_path);
    if (pid == 0 || pid == s->pid || !read_ticks(pid, &ticks))
        return;
    s->pid = pid;
    s->restarts++;
    s->cpu_us += ticks * tick_us;
    s->ticks_last = ticks;
    s->threads_len = 0;
    s->written_last = 0;
    sample_threads(s);
    sample_written(s);
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
