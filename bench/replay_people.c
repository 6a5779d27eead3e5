/* The trace's users: tokens, made by parleyctl where the population has too few, and memberships.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay.h"

extern char **environ;

/* Standard output of a program that ends; false: it could not run or ended badly. */
static bool run_tool(char *const *argv, bool quiet, char *out, size_t max)
{
    int fds[2], status = 1;
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fds[1], STDOUT_FILENO);
    if (quiet)
        posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n;
         rc == 0 && len < max - 1 && (n = read(fds[0], out + len, max - 1 - len)) != 0;) {
        if (n < 0 && errno != EINTR)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    out[len] = '\0';
    close(fds[0]);
    if (rc != 0) {
        fprintf(stderr, "parley-bench: cannot run %s: %s\n", argv[0], strerror(rc));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *make_user(struct plan *p, const char *name)
{
    struct bench *b = p->bench;
    char out[4096];
    char *common[] = {(char *)b->opt.ctl,           "--data",
                      (char *)b->opt.data_dir,      "--workspace",
                      (char *)b->population.domain, "--json"};
    char *add[] = {common[0], common[1], common[2], common[3],    common[4],
                   common[5], "user",    "add",     (char *)name, NULL};
    char *issue[] = {common[0], common[1], common[2], common[3],    common[4],
                     common[5], "token",   "issue",   (char *)name, NULL};
    struct json_value token;
    /* A replay before this one may have made the user: then only the token is new. */
    (void)run_tool(add, true, out, sizeof out);
    if (!run_tool(issue, false, out, sizeof out))
        return NULL;
    arena_reset(&b->scratch);
    if (!object_member(b, sv_from(out), "token", &token) || token.type != JSON_STRING)
        return NULL;
    return bench_text(b, token.s);
}

static bool give_tokens(struct plan *p)
{
    struct bench *b = p->bench;
    uint32_t have = b->population.tokens_len;
    p->authors_len = b->opt.ctl != NULL ? p->names_len : MIN(p->names_len, have);
    p->authors = bench_zalloc(b, p->authors_len * sizeof *p->authors);
    p->author_of = bench_zalloc(b, p->names_len * sizeof *p->author_of);
    for (uint32_t i = 0; i < p->names_len; i++) {
        /* Not onto the replay user, who stays in every channel. */
        p->author_of[i] = i < p->authors_len   ? i
                          : p->authors_len > 1 ? 1 + i % (p->authors_len - 1)
                                               : 0;
        if (i >= p->authors_len)
            continue;
        p->authors[i].name = p->names[i];
        char name[32];
        snprintf(name, sizeof name, "%.*s", SV_ARG(p->names[i]));
        for (char *c = name; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
        p->authors[i].token = i < have ? b->population.tokens[i] : make_user(p, name);
        if (p->authors[i].token == NULL) {
            fprintf(stderr, "parley-bench: no token for %s\n", name);
            return false;
        }
        if (i >= have && i % 64 == 0)
            fprintf(stderr, "users made: %u of %u\n", i - have, p->names_len - have);
        if (io_stop)
            return false;
    }
    return true;
}

/* Follows the trace: who posts or leaves without having come is a member from the start; who posts
 * after leaving comes back first. Steps are chained per channel here. */
static void plan_memberships(struct plan *p)
{
    enum { UNKNOWN, IN, OUT };
    struct step *trace = p->steps;
    uint32_t trace_len = p->steps_len;
    size_t cells = (size_t)p->channels_len * p->authors_len;
    uint8_t *state = calloc(cells, 1);
    p->setup = bench_zalloc(p->bench, cells);
    /* At most one extra step for each of the trace's. */
    p->steps = calloc((size_t)trace_len * 2, sizeof *p->steps);
    ASSERT(state != NULL && p->steps != NULL);
    p->steps_len = 0;
    for (uint32_t i = 0; i < trace_len; i++) {
        struct step s = trace[i];
        s.author = p->author_of[s.author];
        size_t cell = (size_t)s.channel * p->authors_len + s.author;
        struct step both[2] = {s, s};
        both[0].kind = STEP_JOIN;
        both[0].extra = true;
        bool first = s.kind == STEP_POST && state[cell] == OUT;
        if (s.kind != STEP_JOIN && state[cell] == UNKNOWN)
            p->setup[cell] = 1;
        state[cell] = s.kind == STEP_LEAVE ? OUT : IN;
        for (int k = first ? 0 : 1; k < 2; k++) {
            struct trace_channel *c = &p->channels[s.channel];
            uint32_t at = p->steps_len++;
            p->steps[at] = both[k];
            p->steps[at].next = UINT32_MAX;
            if (c->last != UINT32_MAX)
                p->steps[c->last].next = at;
            else
                c->first = at;
            c->last = at;
        }
    }
    for (uint32_t c = 0; c < p->channels_len; c++) /* who makes the channels is in them */
        p->setup[(size_t)c * p->authors_len + replay_user] = 1;
    free(trace);
    free(state);
}

bool plan_people(struct plan *p)
{
    if (!give_tokens(p))
        return false;
    plan_memberships(p);
    return true;
}
