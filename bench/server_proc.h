/* server_proc.h - what /proc says of the server: CPU time over restarts, whole and by thread name,
 * bytes written, resident bytes.
 * Thread: main. */
#ifndef PARLEY_BENCH_SERVER_PROC_H
#define PARLEY_BENCH_SERVER_PROC_H

#include "base/compiler.h"

enum { server_threads_max = 512, server_roles_max = 32, server_role_name_max = 16 };

/* Threads of one name; digits at its end are left out. */
struct server_role {
    char name[server_role_name_max];
    uint64_t cpu_ns, waits; /* since server_proc_start; waits: times it went to sleep */
};

struct server_thread {
    int tid;
    uint32_t role;
    uint64_t cpu_ns_last, waits_last;
    bool seen;
};

struct server_proc {
    char pid_path[4096]; /* read again when the process is gone; empty: none */
    int pid;             /* 0: not known */
    uint64_t ticks_last; /* of this process */
    uint64_t cpu_us;     /* since server_proc_start */
    uint32_t restarts;
    struct server_role roles[server_roles_max];
    uint32_t roles_len;
    struct server_thread threads[server_threads_max];
    uint32_t threads_len;
    uint64_t written_last, written_bytes; /* to the disk, since server_proc_start */
};

/* pid 0: from DATA/parleyd.pid; neither: nothing is measured. */
void server_proc_init(struct server_proc *s, uint64_t pid, const char *data_dir);
static inline bool server_proc_known(const struct server_proc *s)
{
    return s->pid != 0;
}
void server_proc_start(struct server_proc *s); /* cpu_us is 0 from here */
void server_proc_sample(
    struct server_proc *s); /* each second, so that little is lost with a crash */
uint64_t server_proc_rss(const struct server_proc *s);

#endif
