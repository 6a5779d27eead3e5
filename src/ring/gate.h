/* ring/gate.h - fair shares of what other actors take: requests that an actor sends to them, and
 * a line for those that must wait.
 *
 * A request needs a credit of its destination (ring/outbox.h), and all share the credits and each
 * commit: who is behind a flood waits as long as the flood's part of a commit takes. So
 * - a channel may, while another one is posted to, have no more than a window under way, and never
 *   more than gate_crowd times the credits that are left: a lone crowd stops at 8/9 of them, two at
 *   8/17 each. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 *   switches", 1998.)
 * - a workspace may have no more than a smaller window under way at one actor: at a chan while
 *   another one posts, elsewhere while another one calls at all. Its last eighth, at least one
 *   place of more, is for channels with nothing under way.
 * Who has nothing under way is over no share. What must wait does so in order of arrival, and is
 * passed by only by those who are over no share while it is; in one channel nothing is passed.
 * The room for who waits is shared like the credits.
 *
 * Pure memory. Thread: its actor's; of gate_views the others read. */
#ifndef PARLEY_RING_GATE_H
#define PARLEY_RING_GATE_H

#include "ring/cell.h"

enum {
    gate_buckets = 65536, /* of a hash of channel, or workspace, and actor: few share a share */
    gate_crowd = 8,
    gate_epoch_us_log2 = 23 /* 8.4 s: who posts is remembered for one to three of them */
};

struct gate_share {
    uint32_t out, waits; /* with the actor; in the line */
};

/* In its owner's record of a request, zeroed at first. */
struct gate_item {
    struct gate_item *next, **link;    /* in the line; link NULL: waits in none */
    struct gate_share *channel, *team; /* NULL: it counts for none */
    actor_id dst;
    bool decides; /* dst is a chan */
    bool over;    /* must wait for a share, not for a credit alone */
};

/* Of whom there may be several: workspaces that post, channels that are posted to, workspaces that
 * call. */
enum gate_kind { GATE_TEAM, GATE_CHANNEL, GATE_CALLER, GATE_KINDS };

/* Who has posted of late, as each of the gates saw it. Words of a gate, on a line of their own:
 * written by its thread, read by all, both relaxed. */
struct gate_view {
    _Alignas(64) uint64_t words[GATE_KINDS]; /* epoch << 32 | who */
};
struct gate_views {
    uint32_t len;
    struct gate_view of[];
};
/* NULL: no memory. All zero: nobody has posted. free() it behind the threads. */
struct gate_views *gate_views_new(uint32_t len);

struct gate_conf {
    uint32_t team_window, channel_window; /* requests at one actor; >= 1 */
    struct gate_views *views;             /* borrowed for life; NULL: this gate alone */
    uint32_t self;                        /* its index in views */
};

struct gate {
    struct gate_line {
        struct gate_item *first, **last;
        struct gate_item *at; /* where the present scan is */
        bool dry;             /* somebody waits for a credit alone */
    } lines[actors_max];
    struct gate_share channels[gate_buckets], teams[gate_buckets];
    uint32_t waiting;         /* in all lines */
    bool several[GATE_KINDS]; /* post at present */
    uint32_t epoch;
    struct {
        uint32_t fresh, now, before; /* since the last turn, before it in this epoch, in the last */
    } who[GATE_KINDS];               /* has posted, by this gate */
    struct gate_conf conf;
};

/* Zeroed memory. */
void gate_init(struct gate *g, const struct gate_conf *conf);
/* At the end of each turn, before gate_scan: who posts at present? */
void gate_turn(struct gate *g, uint64_t mono_us);

/* Where it goes and for whom; ID_NONE: for no channel, for no workspace. decides: to a chan, so
 * that it may become a part of a commit. It is neither waiting nor under way. */
void gate_aim(struct gate *g, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team,
              bool decides);
/* May it be sent now? credits: what is left of its destination's. */
bool gate_open(const struct gate *g, struct gate_item *i, uint32_t credits);
/* If not, may it wait? left: room for more that wait. */
bool gate_has_room(const struct gate_item *i, uint32_t left);
void gate_put(struct gate *g, struct gate_item *i);
void gate_leave(struct gate *g, struct gate_item *i); /* it waits no longer */
static inline bool gate_waits(const struct gate_item *i)
{
    return i->link != NULL;
}
/* Who of those that wait for dst may go, in order: gate_scan, then gate_next until NULL; what it
 * gives leaves. Nothing comes back meanwhile, so that one pass finds all. */
void gate_scan(struct gate *g, actor_id dst);
struct gate_item *gate_next(struct gate *g, actor_id dst, uint32_t credits);
void gate_sent(struct gate_item *i);
void gate_back(struct gate_item *i); /* the answer is here */

#endif
