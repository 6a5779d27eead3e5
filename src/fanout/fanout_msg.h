/* fanout/fanout_msg.h - what fanout is told. Events arrive on EVENT edges from chan and dir;
 * tickets as requests from acceptors. */
#ifndef PARLEY_FANOUT_MSG_H
#define PARLEY_FANOUT_MSG_H

#include "ring/cell.h"
#include "ring/frame.h"

enum fan_msg {
    /* event: u.p = struct frame *, one reference is the receiver's. cid: channel scope; cid
     * ID_NONE: u.u[1] = uid for one user's sockets, or u.u[1] = ID_NONE and u.u[2] = team for a
     * whole team's. u.u[3] = uid to leave out, or ID_NONE. u.u[4] = fan_flags. */
    FAN_EVENT = 1,
    /* event: answer to CHAN_SUB, u.p = struct chan_sub * (the fanout's again), err. */
    FAN_SUB_OK,
    /* event from chan: u.u[0] = uid is now a member of cid, or made it: its sockets subscribe.
     * Interest is set already, u.u[2] = stamp of that grant (CHAN_IDLE). */
    FAN_JOINED,
    /* event: u.u[0] = uid left cid: its sockets unsubscribe. */
    FAN_LEFT,
    /* event: events of cid were lost on the way: every subscriber is owed a refetch hint. cid
     * ID_NONE: events of any channel, new memberships too: every socket is owed "all" and asks for
     * its memberships again. */
    FAN_GAP,
    /* event: a join or a removal was lost: forget all subscribers of cid, send CHAN_SUB for every
     * socket, and owe those that are members a hint. */
    FAN_REVALIDATE,
    /* request from an acceptor; struct fan_ticket; answered at once. ERR_FULL: table full;
     * ERR_SERVICE_UNAVAILABLE: draining. */
    FAN_TICKET
};

enum fan_flags {
    FAN_TYPING = 1,   /* u.u[4]: first to be dropped: typing and presence */
    FAN_NO_GUESTS = 2 /* of a team's: a channel that a guest is not in */
};

enum { ticket_text_len = 34 }; /* 2 hex digits fanout number + 32 hex digits random */

struct fan_ticket { /* in the acceptor's arena */
    uint64_t team, uid, token_tag;
    uint64_t since_us;            /* wall clock when the client asked, or what it heard last: of
                                     channels with newer messages hello is followed by a refetch
                                     hint */
    bool resumes;                 /* or by their events, where they are kept */
    bool batch_presence;          /* the client takes lists in presence_change */
    char ticket[ticket_text_len]; /* out */
};

/* net_adopt.owner_data of an upgrade: everything the fanout needs to write the 101 or the refusal.
 */
struct fan_upgrade {
    char ticket[ticket_text_len];
    char accept[28]; /* Sec-WebSocket-Accept */
    uint64_t wall_us;
    char request_id[33]; /* for the answer's header and the log; NUL behind it */
};

/* The fanout a ticket names; actors_max when malformed. */
uint16_t fan_ticket_index(const char ticket[ticket_text_len]);

#endif
