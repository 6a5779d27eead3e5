/* main.c - parleyd: options, signals, start, stop. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "server/options.h"
#include "server/server.h"

static struct conf conf;
static struct server server; /* large: rings' tables live in it */

/* Until a signal asks to end. A second TERM or INT while draining ends the process at once: always
 * safe. */
static void serve(const sigset_t *signals)
{
    for (;;) {
        int sig;
        if (sigwait(signals, &sig) != 0)
            continue;
        if (sig == SIGHUP) {
            server_reload(&server);
        } else {
            log_info("stopping", "\"signal\":\"%s\"", sig == SIGTERM ? "TERM" : "INT");
            return;
        }
    }
}

int main(int argc, char **argv)
{
    enum options_verdict verdict = options_parse(&conf, argc, argv);
    if (verdict != OPTIONS_RUN)
        return verdict == OPTIONS_DONE ? 0 : 2;

    /* Blocked before any thread exists, so that only sigwait takes them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    log_set_level((enum log_level)conf.log_level);
    log_start(STDERR_FILENO);
    log_thread_name("main");
    if (server_start(&server, &conf) != ERR_OK) {
        log_error("start_failed", NULL);
        log_stop();
        return 1;
    }
    serve(&signals);
    sigset_t again;
    sigemptyset(&again);
    sigaddset(&again, SIGTERM);
    sigaddset(&again, SIGINT);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &again, NULL);
    bool whole = server_stop(&server);
    log_info("stopped", "\"whole\":%s", whole ? "true" : "false");
    log_stop();
    return whole ? 0 : 1;
}
