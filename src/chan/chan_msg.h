/* chan/chan_msg.h - requests to chan. u.p is a struct below in the requester's arena, lent until
 * the answer; chan fills its out members. An answer that rests on rows comes only after they are
 * durable. */
#ifndef PARLEY_CHAN_MSG_H
#define PARLEY_CHAN_MSG_H

#include "ring/cell.h"
#include "store/row.h"

enum chan_msg {
    CHAN_POST = 1, /* request; struct chan_post */
    CHAN_JOIN,     /* request; struct chan_member_change */
    CHAN_LEAVE,    /* request; struct chan_member_change */
    CHAN_INVITE,   /* request; struct chan_member_change */
    /* request from dir: cid is new and durable, u.u[0] = the creator. Its sockets hear of it and
     * get the channel's events from then on, before anybody else's change can be. Any error: they
     * were not told. */
    CHAN_CREATED,
    CHAN_SUB, /* request from fanout; struct chan_sub. The answer goes through the EVENT ring as
               * FAN_SUB_OK, so that   it is ordered with the events; room for one per credit is
               * kept   free there */
    /* event from fanout: it has no subscriber of cid left. u.u[0]: the highest stamp it has seen in
     * a FAN_SUB_OK or FAN_JOINED of this chan. A younger grant of interest may have crossed this
     * cell on its way: then chan keeps the interest, since clearing it would lose events for good.
     * A channel that comes into memory is taken to be listened to by every fanout. */
    CHAN_IDLE,
    CHAN_TYPING /* event from fanout; u.u[0] = uid, u.u[1] = team; relayed to members elsewhere,
                   never stored */
};

/* flags of the answer to CHAN_POST */
enum {
    CHAN_F_DUPLICATE = 1
}; /* the key was known: ts is the first message's; body must be read from history */

/* Errors: ERR_CHANNEL_NOT_FOUND (absent, other team, private and not a member: all alike),
 * ERR_NOT_IN_CHANNEL, ERR_IS_ARCHIVED, ERR_DEADLINE, ERR_SERVICE_UNAVAILABLE,
 * ERR_STORAGE_UNAVAILABLE, ERR_DISK_FULL. The caller's own stored key is answered before membership
 * and archive are looked at. */
struct chan_post {
    uint64_t team, uid;
    struct str_view client_msg_id; /* 0..255 bytes; empty: none */
    uint8_t key128[key128_bytes];  /* of client_msg_id, computed by the requester */
    /* Whole JSON members, encoded by the requester and valid:
     * "type":"message","user":"U..","team":"T..","text":".."... Neither ts nor channel. At most 64
     * KiB goes out as an event; larger becomes a refetch hint. */
    struct str_view members;
    uint64_t deadline_us; /* steady clock; 0: none */
    uint64_t ts_us;       /* out */
    /* out, for the one who measures; steady clock, 0: it did not come so far. Decided; its batch
     * went to log; that batch was synced. */
    uint64_t stepped_us, batched_us, durable_us;
};

/* JOIN: uid itself. LEAVE: uid itself. INVITE: uid invites users[]. */
enum { invite_users_max = 1000 };
struct chan_member_change {
    uint64_t team, uid;
    const uint64_t *users; /* INVITE */
    uint32_t users_len;
    bool by_admin; /* operator's tool: no membership of the inviter needed, private too */
    bool silent;   /* no events: bulk population */
    uint64_t deadline_us;
    /* out */
    bool already; /* JOIN: was a member; LEAVE: was none; INVITE: all were */
    /* INVITE: enum err of each. NULL on the way in: made in the arena. ERR_TOO_MANY_MEMBERS of one
     * is the whole answer's error too; who found room is stored all the same. */
    uint32_t *user_errs;
    struct row_chan_info info; /* strings copied to arena */
    struct row_chan_head head;
    struct arena *arena; /* in */
};

struct chan_sub {
    uint64_t team, uid, n;
    uint64_t conn;  /* fanout's handle, returned in FAN_SUB_OK */
    uint64_t stamp; /* out: of the grant of interest, see CHAN_IDLE */
    struct {
        uint64_t cid;
        uint64_t last_ts_us; /* out: newest durable ts; later if the channel was evicted */
        /* out: chan's wall clock when that message became durable, or later: its ts tells when it
         * was decided, and a sync may take long. */
        uint64_t durable_us;
        bool member; /* out */
    } chans[];
};

#endif
