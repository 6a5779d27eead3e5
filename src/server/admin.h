/* server/admin.h - the operator's actor. Two listeners, one little HTTP server:
 *   listener 0, the Unix socket DATA/control.sock (mode 0600): POST /v1/COMMAND with a JSON object;
 * what parleyctl speaks. listener 1, TCP [server] admin_listen: GET /metrics, /health/live,
 * /health/ready. No commands. Commands go through the same dir and chan requests as the API;
 * nothing here writes by itself. Thread: dir's loop. */
#ifndef PARLEY_SERVER_ADMIN_H
#define PARLEY_SERVER_ADMIN_H

#include "base/conf.h"
#include "dir/read.h"
#include "net/port.h"
#include "ring/loop.h"
#include "store/log.h"

struct topology;

struct admin_conf {
    actor_id self, dir, hist, login, search, media;
    const actor_id *chans, *acceptors; /* borrowed for life */
    uint16_t chans_len, acceptors_len;
    struct net_port net;
    struct dir_reader *dir_reader; /* the loop's */
    const struct conf *conf;
    const struct topology *topology; /* metrics and rings of every loop, read while they run */
    const struct log *log;
    struct store *store; /* asked what it owes */
    uint16_t plain_port, tls_port;
};

struct admin;
MUST_USE enum err admin_new(struct admin **out, const struct admin_conf *c);
void admin_free(struct admin *a);
void admin_set_ready(struct admin *a, bool ready); /* any thread; /health/ready */
extern const struct actor_ops admin_actor_ops;     /* self: struct admin * */
extern const struct net_owner_ops admin_net_ops;   /* self: struct admin * */

#endif
