/* api/acceptor.h - the acceptor actor: HTTP connections, authentication, limits, arguments,
 * answers. Thread: its loop. Pure of system calls: bytes come in through net_owner_ops, leave
 * through net_port. */
#ifndef PARLEY_API_ACCEPTOR_H
#define PARLEY_API_ACCEPTOR_H

#include "base/conf.h"
#include "dir/read.h"
#include "net/port.h"
#include "ring/gate.h"
#include "ring/loop.h"

struct acceptor_conf {
    actor_id self;
    uint16_t index;
    const actor_id *chans, *hists, *fanouts; /* borrowed for life */
    uint16_t chans_len, hists_len, fanouts_len;
    actor_id dir, media, search, login;
    struct gate_conf gate;
    struct net_port net;
    struct dir_reader *dir_reader; /* the loop's reader */
    const struct conf *conf;
};

struct acceptor;
MUST_USE enum err acceptor_new(struct acceptor **out, const struct acceptor_conf *c);
void acceptor_free(struct acceptor *a);
extern const struct actor_ops acceptor_actor_ops;   /* self: struct acceptor * */
extern const struct net_owner_ops acceptor_net_ops; /* self: struct acceptor * */

#endif
