/* fanout/fanout.h - owns WebSocket connections: tickets, upgrades, subscriptions, delivery, RTM
 * frames from clients. Thread: its loop. Sources: RFC 6455; Slack RTM (slack-api reference, section
 * 6). */
#ifndef PARLEY_FANOUT_FANOUT_H
#define PARLEY_FANOUT_FANOUT_H

#include "base/conf.h"
#include "dir/read.h"
#include "net/port.h"
#include "ring/gate.h"
#include "ring/loop.h"

/* Descriptors and slots beyond ws.conns_max: an upgrade that finds the table full still gets its
 * 503. */
enum { fan_refusals_max = 64 };

struct fanout_conf {
    actor_id self;
    uint16_t index;
    const actor_id *chans; /* borrowed for life */
    uint16_t chans_len;
    actor_id hist;
    struct gate_conf gate;
    struct net_port net;
    uint64_t ts_high_us;    /* no ts or event_ts from before the start is later (chan_ts_high) */
    struct dir_reader *dir; /* the loop's reader, shared by the actors of the loop */
    const struct conf *conf;
};

struct fanout;
MUST_USE enum err fanout_new(struct fanout **out, const struct fanout_conf *c);
void fanout_free(struct fanout *f);
extern const struct actor_ops fanout_actor_ops; /* self: struct fanout * */
extern const struct net_owner_ops
    fanout_net_ops; /* self: struct fanout *; on_open is never called */

#endif
