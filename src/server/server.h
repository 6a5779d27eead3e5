/* server/server.h - the daemon put together: opens the store, makes every actor, starts and ends
 * the loops. The one place that knows every room. Thread: main. */
#ifndef PARLEY_SERVER_SERVER_H
#define PARLEY_SERVER_SERVER_H

#include "api/acceptor.h"
#include "base/conf.h"
#include "chan/chan.h"
#include "dir/dir.h"
#include "fanout/fanout.h"
#include "hist/hist.h"
#include "media/media.h"
#include "server/admin.h"
#include "server/topology.h"
#include "server/watchdog.h"
#include "store/log.h"

struct server {
    const struct conf *conf;
    struct topology topology;
    uint8_t secret[32];  /* server/secret.h */
    struct net_tls *tls; /* NULL: no TLS */
    struct store *store;
    struct log *log;
    struct dir *dir;
    struct admin *admin;
    struct watchdog *watchdog;
    struct acceptor *acceptors[server_loops_max];
    struct chan_shard *chans[server_loops_max];
    struct hist *hists[server_loops_max];
    struct search *search;
    struct fanout *fanouts[server_loops_max];
    struct gate_views *views; /* one for each acceptor, then one for each fanout */
    struct login *login;
    struct media *media;
    struct dir_reader *readers[server_loops_max]; /* by loop */
    int plain_fd, tls_fd, admin_fd, control_fd;   /* listening sockets; -1: none */
    uint16_t plain_port, tls_port, admin_port;
};

/* Everything up to the running threads, in zeroed memory: most of it is tables of loops that a
 * small machine does not have, and is never written. On error says why in the log and leaves
 * nothing behind. */
MUST_USE enum err server_start(struct server *s, const struct conf *c);
/* Drains within [server] drain_ms, stops the loops, closes the store. True: everything was finished
 * in time. */
bool server_stop(struct server *s);
/* SIGHUP: certificates. */
void server_reload(struct server *s);

#endif
