#include "search/search.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "login/login.h"
#include "server/drain.h"
#include "server/notify.h"
#include "server/secret.h"

#define pid_name "parleyd.pid"

static enum err refuse(const char *event, const char *problem)
{
    log_error(event, "\"problem\":%s", log_str(sv_from(problem)));
    return ERR_BAD_CONF;
}

/* ---- listening sockets ---- */

static enum err open_listener(const char *addr, int *fd, uint16_t *port)
{
    char msg[256];
    *fd = -1;
    if (addr[0] == '\0')
        return ERR_OK;
    if (net_listen_socket(addr, fd, port, msg, sizeof msg) != ERR_OK)
        return refuse("listen_failed", msg);
    return ERR_OK;
}

/* The control socket: only the owner may talk to it. A stale one from a killed process is replaced;
 * the store's lock (taken before) says that no other process lives on this directory. */
static enum err open_control(const struct conf *c, int *fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/control.sock", c->server_data);
    if (len < 0 || (size_t)len >= sizeof addr.sun_path)
        return refuse("control_socket",
                      "the path of the data directory is too long for a Unix socket (100 bytes)");
    unlink(addr.sun_path);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t old = umask(0177);
    bool ok =
        *fd >= 0 && bind(*fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(*fd, 64) == 0;
    umask(old);
    return ok ? ERR_OK : refuse("control_socket", strerror(errno));
}

/* A number in a file of the data directory, for those who look for the process. False: errno. */
static bool write_number(const struct server *s, const char *name, unsigned n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", s->conf->server_data, name);
    FILE *f = fopen(path, "we");
    bool ok = f != NULL && fprintf(f, "%u\n", n) > 0;
    return f != NULL && fclose(f) == 0 && ok;
}

static enum err write_admin_port(const struct server *s)
{
    return write_number(s, "admin.port", s->admin_port)
               ? ERR_OK
               : refuse("admin_port_file", strerror(errno));
}

/* A full disk is no reason not to serve reads: without the file only tools know less. */
static void write_pid(const struct server *s)
{
    if (!write_number(s, pid_name, (unsigned)getpid()))
        log_warn("pid_file", "\"problem\":%s", log_str(sv_from(strerror(errno))));
}

/* While the store's lock is still ours: behind it the file may be another process's. */
static void remove_pid(const struct server *s)
{
    char path[512];
    snprintf(path, sizeof path, "%s/" pid_name, s->conf->server_data);
    unlink(path);
}

static enum err open_sockets(struct server *s)
{
    TRY(open_listener(s->conf->server_listen, &s->plain_fd, &s->plain_port));
    TRY(open_listener(s->conf->server_tls_listen, &s->tls_fd, &s->tls_port));
    TRY(open_listener(s->conf->server_admin_listen, &s->admin_fd, &s->admin_port));
    TRY(open_control(s->conf, &s->control_fd));
    return s->admin_fd >= 0 ? write_admin_port(s) : ERR_OK;
}

static enum err open_tls(struct server *s)
{
    char msg[256];
    if (s->conf->server_cert[0] == '\0')
        return ERR_OK;
    if (net_tls_new(&s->tls, s->conf->server_cert, s->conf->server_key, msg, sizeof msg) != ERR_OK)
        return refuse("tls", msg);
    return ERR_OK;
}

/* ---- actors ---- */

static void place(struct server *s, enum actor_kind kind, uint16_t index,
                  const struct actor_ops *ops, void *self)
{
    struct actor *a = topology_actor(&s->topology, kind, index);
    a->ops = ops;
    a->self = self;
}

static struct net_port port_of(struct server *s, enum actor_kind kind, uint16_t index)
{
    return net_port_of(s->topology.net_of[topology_actor(&s->topology, kind, index)->id]);
}

static struct dir_reader *reader_of(struct server *s, enum actor_kind kind, uint16_t index)
{
    return s->readers[topology_actor(&s->topology, kind, index)->loop->index];
}

static enum err write_rows(void *ctx, const struct batch *b)
{
    return store_write_sync(ctx, b);
}

/* What an older version has left for this one to do. */
static enum err upgrade(struct server *s)
{
    struct view v;
    TRY(store_view(s->store, &v));
    return chan_list_reactions(&v, write_rows, s->store);
}

static enum err make_dir(struct server *s)
{
    struct topology *t = &s->topology;
    struct dir_conf dc = {.self = t->first[ACTOR_DIR],
                          .log = t->first[ACTOR_LOG],
                          .acceptors = topology_ids(t, ACTOR_ACCEPTOR),
                          .acceptors_len = t->len[ACTOR_ACCEPTOR],
                          .fanouts = topology_ids(t, ACTOR_FANOUT),
                          .fanouts_len = t->len[ACTOR_FANOUT],
                          .chans = topology_ids(t, ACTOR_CHAN),
                          .chans_len = t->len[ACTOR_CHAN],
                          .frames_max = (uint32_t)s->conf->ring_frames,
                          .tokens_max = (uint32_t)s->conf->dir_tokens_max,
                          .disk_full = log_disk_full,
                          .disk = s->log,
                          .public_url = s->conf->server_public_url};
    struct view v;
    memcpy(dc.secret, s->secret, sizeof dc.secret);
    TRY(store_view(s->store, &v));
    dc.view = v;
    TRY(dir_new(&s->dir, &dc));
    TRY(dir_load(s->dir, &v));
    place(s, ACTOR_DIR, 0, &dir_actor_ops, s->dir);
    for (uint32_t i = 0; i < t->loops_len; i++)
        TRY(dir_reader_new(&s->readers[i], s->dir));
    return ERR_OK;
}

static enum err make_chans(struct server *s)
{
    struct topology *t = &s->topology;
    for (uint16_t i = 0; i < t->len[ACTOR_CHAN]; i++) {
        struct chan_conf cc = {.self = topology_actor(t, ACTOR_CHAN, i)->id,
                               .log = t->first[ACTOR_LOG],
                               .hist = topology_actor(t, ACTOR_HIST, i % t->len[ACTOR_HIST])->id,
                               .index = i,
                               .count = t->len[ACTOR_CHAN],
                               .fanouts = topology_ids(t, ACTOR_FANOUT),
                               .fanouts_len = t->len[ACTOR_FANOUT],
                               .channels_max = (uint32_t)s->conf->chan_channels_max,
                               .members_max = (uint32_t)s->conf->chan_members_max,
                               .pins_max = chan_pins_max,
                               .parked_max = (uint32_t)s->conf->chan_parked_max,
                               .frames_max = (uint32_t)s->conf->ring_frames,
                               .batch_bytes_max = s->conf->store_batch_bytes_max,
                               .sub_reserve = topology_credits(s->conf),
                               .tells_search = s->conf->search_enabled,
                               .news_delay_ms = (uint32_t)s->conf->search_delay_ms / 2,
                               .search = t->first[ACTOR_SEARCH],
                               .epoch = 1,
                               .disk_full = log_disk_full,
                               .disk = s->log};
        TRY(store_view(s->store, &cc.view));
        TRY(chan_ts_high(&cc.view, &cc.ts_high_us));
        TRY(chan_shard_new(&s->chans[i], &cc));
        place(s, ACTOR_CHAN, i, &chan_actor_ops, s->chans[i]);
    }
    return ERR_OK;
}

static enum err make_login(struct server *s)
{
    struct view v;
    TRY(store_view(s->store, &v));
    TRY(login_new(&s->login, &v));
    place(s, ACTOR_LOGIN, 0, &login_actor_ops, s->login);
    return ERR_OK;
}

static enum err make_hists(struct server *s)
{
    for (uint16_t i = 0; i < s->topology.len[ACTOR_HIST]; i++) {
        struct view v;
        TRY(store_view(s->store, &v));
        TRY(hist_new(&s->hists[i], &v, s->conf));
        place(s, ACTOR_HIST, i, &hist_actor_ops, s->hists[i]);
    }
    return ERR_OK;
}

static enum err make_search(struct server *s)
{
    struct search_conf sc = {.self = s->topology.first[ACTOR_SEARCH],
                             .log = s->topology.first[ACTOR_LOG],
                             .enabled = s->conf->search_enabled,
                             .delay_ms = (uint32_t)s->conf->search_delay_ms / 2,
                             .batch_words = (uint32_t)s->conf->search_batch_words,
                             .queue_max = (uint32_t)s->conf->search_queue_max,
                             .dirty_max = (uint32_t)s->conf->search_dirty_max};
    TRY(store_view(s->store, &sc.view));
    TRY(search_new(&s->search, &sc));
    place(s, ACTOR_SEARCH, 0, &search_actor_ops, s->search);
    return ERR_OK;
}

static enum err make_media(struct server *s)
{
    struct media_conf mc;
    media_conf_from(&mc, s->conf);
    mc.self = s->topology.first[ACTOR_MEDIA];
    mc.log = s->topology.first[ACTOR_LOG];
    mc.disk_full = log_disk_full;
    mc.disk = s->log;
    TRY(store_view(s->store, &mc.view));
    TRY(media_new(&s->media, &mc));
    place(s, ACTOR_MEDIA, 0, &media_actor_ops, s->media);
    return ERR_OK;
}

/* What HTTP may have under way for a channel or a workspace is divided among the acceptors; what
 * sockets may, among the fanouts; each has two at least. */
static struct gate_conf gate_of(struct server *s, enum actor_kind kind, uint16_t index)
{
    const struct topology *t = &s->topology;
    uint32_t team = (uint32_t)s->conf->api_workspace_window;
    uint32_t channel = (uint32_t)s->conf->api_channel_window;
    uint32_t first = kind == ACTOR_FANOUT ? t->len[ACTOR_ACCEPTOR] : 0;
    return (struct gate_conf){.team_window = MAX(team / t->len[kind], MIN(team, 2)),
                              .channel_window = MAX(channel / t->len[kind], MIN(channel, 2)),
                              .views = s->views,
                              .self = first + index};
}

static enum err make_fanouts(struct server *s)
{
    struct topology *t = &s->topology;
    struct view view;
    uint64_t ts_high_us;
    TRY(store_view(s->store, &view));
    TRY(chan_ts_high(&view, &ts_high_us));
    for (uint16_t i = 0; i < t->len[ACTOR_FANOUT]; i++) {
        struct actor *a = topology_actor(t, ACTOR_FANOUT, i);
        struct fanout_conf fc = {.self = a->id,
                                 .index = i,
                                 .chans = topology_ids(t, ACTOR_CHAN),
                                 .chans_len = t->len[ACTOR_CHAN],
                                 .hist = topology_actor(t, ACTOR_HIST, i % t->len[ACTOR_HIST])->id,
                                 .net = port_of(s, ACTOR_FANOUT, i),
                                 .ts_high_us = ts_high_us,
                                 .gate = gate_of(s, ACTOR_FANOUT, i),
                                 .dir = reader_of(s, ACTOR_FANOUT, i),
                                 .conf = s->conf};
        TRY(fanout_new(&s->fanouts[i], &fc));
        place(s, ACTOR_FANOUT, i, &fanout_actor_ops, s->fanouts[i]);
        static struct net_owner owners[server_loops_max]; /* live as long as the process */
        owners[i] = (struct net_owner){&fanout_net_ops, s->fanouts[i]};
        net_adopts_to(t->net_of[a->id], a, &owners[i]);
    }
    return ERR_OK;
}

static enum err make_acceptors(struct server *s)
{
    struct topology *t = &s->topology;
    for (uint16_t i = 0; i < t->len[ACTOR_ACCEPTOR]; i++) {
        struct actor *a = topology_actor(t, ACTOR_ACCEPTOR, i);
        struct acceptor_conf ac = {.self = a->id,
                                   .index = i,
                                   .chans = topology_ids(t, ACTOR_CHAN),
                                   .hists = topology_ids(t, ACTOR_HIST),
                                   .fanouts = topology_ids(t, ACTOR_FANOUT),
                                   .chans_len = t->len[ACTOR_CHAN],
                                   .hists_len = t->len[ACTOR_HIST],
                                   .fanouts_len = t->len[ACTOR_FANOUT],
                                   .dir = t->first[ACTOR_DIR],
                                   .search = t->first[ACTOR_SEARCH],
                                   .login = t->first[ACTOR_LOGIN],
                                   .media = t->first[ACTOR_MEDIA],
                                   .gate = gate_of(s, ACTOR_ACCEPTOR, i),
                                   .net = port_of(s, ACTOR_ACCEPTOR, i),
                                   .dir_reader = reader_of(s, ACTOR_ACCEPTOR, i),
                                   .conf = s->conf};
        TRY(acceptor_new(&s->acceptors[i], &ac));
        place(s, ACTOR_ACCEPTOR, i, &acceptor_actor_ops, s->acceptors[i]);
        static struct net_owner owners[server_loops_max];
        owners[i] = (struct net_owner){&acceptor_net_ops, s->acceptors[i]};
        if (s->plain_fd >= 0)
            TRY(net_listen(t->net_of[a->id], s->plain_fd, false, a, &owners[i]));
        if (s->tls_fd >= 0)
            TRY(net_listen(t->net_of[a->id], s->tls_fd, true, a, &owners[i]));
    }
    return ERR_OK;
}

static enum err make_admin(struct server *s)
{
    struct topology *t = &s->topology;
    struct actor *a = topology_actor(t, ACTOR_ADMIN, 0);
    struct admin_conf ac = {.self = a->id,
                            .dir = t->first[ACTOR_DIR],
                            .hist = t->first[ACTOR_HIST],
                            .login = t->first[ACTOR_LOGIN],
                            .search = t->first[ACTOR_SEARCH],
                            .media = t->first[ACTOR_MEDIA],
                            .chans = topology_ids(t, ACTOR_CHAN),
                            .chans_len = t->len[ACTOR_CHAN],
                            .acceptors = topology_ids(t, ACTOR_ACCEPTOR),
                            .acceptors_len = t->len[ACTOR_ACCEPTOR],
                            .net = port_of(s, ACTOR_ADMIN, 0),
                            .dir_reader = reader_of(s, ACTOR_ADMIN, 0),
                            .conf = s->conf,
                            .topology = t,
                            .log = s->log,
                            .store = s->store,
                            .plain_port = s->plain_port,
                            .tls_port = s->tls_port};
    TRY(admin_new(&s->admin, &ac));
    place(s, ACTOR_ADMIN, 0, &admin_actor_ops, s->admin);
    static struct net_owner owner;
    owner = (struct net_owner){&admin_net_ops, s->admin};
    TRY(net_listen(t->net_of[a->id], s->control_fd, false, a,
                   &owner)); /* listener 0: may command */
    if (s->admin_fd >= 0)
        TRY(net_listen(t->net_of[a->id], s->admin_fd, false, a, &owner)); /* listener 1: may look */
    return ERR_OK;
}

static enum err load_secret(struct server *s)
{
    char store[512];
    snprintf(store, sizeof store, "%s/store", s->conf->server_data);
    return secret_load(s->conf->server_data, access(store, F_OK) != 0, s->secret);
}

static enum err start(struct server *s)
{
    char msg[512];
    if (net_probe(msg, sizeof msg) != ERR_OK)
        return refuse("kernel_lacks", msg);
    if (mkdir(s->conf->server_data, 0700) != 0 && errno != EEXIST)
        return refuse("data_directory", strerror(errno));
    TRY(load_secret(s));
    TRY(store_open(&s->store, s->conf));
    TRY(upgrade(s));
    TRY(open_tls(s));
    TRY(open_sockets(s));
    TRY(topology_init(&s->topology, s->conf, s->tls));
    TRY(log_new(&s->log, s->store, s->conf));
    place(s, ACTOR_LOG, 0, &log_actor_ops, s->log);
    TRY(make_dir(s));
    TRY(make_chans(s));
    TRY(make_login(s));
    TRY(make_hists(s));
    TRY(make_search(s));
    TRY(make_media(s));
    s->views = gate_views_new(s->topology.len[ACTOR_ACCEPTOR] + s->topology.len[ACTOR_FANOUT]);
    if (s->views == NULL)
        return ERR_NOMEM;
    TRY(make_fanouts(s));
    TRY(make_acceptors(s));
    TRY(make_admin(s));
    write_pid(s);
    topology_log_map(&s->topology, s->conf);
    TRY(topology_start(&s->topology));
    return watchdog_new(&s->watchdog, &s->topology, watchdog_tick_ms);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Also after a start that failed half-way: what was not made is NULL. */
static void release(struct server *s)
{
    struct topology *t = &s->topology;
    admin_free(s->admin);
    login_free(s->login);
    for (uint16_t i = 0; i < t->len[ACTOR_ACCEPTOR]; i++)
        acceptor_free(s->acceptors[i]);
    for (uint16_t i = 0; i < t->len[ACTOR_FANOUT]; i++)
        fanout_free(s->fanouts[i]);
    for (uint16_t i = 0; i < t->len[ACTOR_HIST]; i++)
        hist_free(s->hists[i]);
    search_free(s->search);
    media_free(s->media);
    for (uint16_t i = 0; i < t->len[ACTOR_CHAN]; i++)
        chan_shard_free(s->chans[i]);
    dir_free(s->dir); /* its epochs walk the readers' records once more */
    for (uint32_t i = 0; i < t->loops_len; i++)
        dir_reader_free(s->readers[i]);
    free(s->views);
    log_free(s->log);
    topology_deinit(t);
    if (s->store != NULL)
        store_close(s->store);
    if (s->tls != NULL)
        net_tls_free(s->tls);
    close_fd(&s->plain_fd);
    close_fd(&s->tls_fd);
    close_fd(&s->admin_fd);
    close_fd(&s->control_fd);
}

enum err server_start(struct server *s, const struct conf *c)
{
    s->conf = c;
    s->plain_fd = s->tls_fd = s->admin_fd = s->control_fd = -1;
    enum err err = start(s);
    if (err != ERR_OK) {
        watchdog_free(s->watchdog);
        topology_stop(&s->topology);
        release(s);
        return err;
    }
    log_info("ready",
             "\"http_port\":%u,\"https_port\":%u,\"admin_port\":%u,\"version\":\"" PARLEY_VERSION
             "\"",
             (unsigned)s->plain_port, (unsigned)s->tls_port, (unsigned)s->admin_port);
    admin_set_ready(s->admin, true);
    notify_manager("READY=1");
    return ERR_OK;
}

bool server_stop(struct server *s)
{
    notify_manager("STOPPING=1");
    admin_set_ready(s->admin, false);
    bool whole = drain_all(&s->topology, s->conf->server_drain_ms);
    watchdog_free(s->watchdog);
    topology_stop(&s->topology);
    remove_pid(s);
    release(s);
    return whole;
}

void server_reload(struct server *s)
{
    char msg[256];
    if (s->tls == NULL) {
        log_info("reload", "\"certificates\":\"none configured\"");
    } else if (net_tls_reload(s->tls, msg, sizeof msg) != ERR_OK) {
        log_warn("reload_failed", "\"problem\":%s,\"kept\":\"the old certificate\"",
                 log_str(sv_from(msg)));
    } else {
        log_info("reload", "\"certificates\":\"read again\"");
    }
}
