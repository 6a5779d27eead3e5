/* ring/gate.h - fair shares of what other actors take: requests that an actor sends to them, and
 * lines for those that must wait.
 *
 * A request needs a credit of its destination (ring/outbox.h), and all share the credits. So
 * - a channel may have no more under way than gate_crowd times what is left: a lone crowd stops at
 *   8/9 of the credits, two at 8/17 each, and some are always left for whoever has nothing under
 *   way. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
 *   1998.)
 * - a workspace may, while another one calls too, have no more than a window under way at one
 *   actor. Commits are shared, so that the others wait as long as its part of each commit takes.
 *   The window's last eighth, at least one place, is for channels with nothing under way. Alone a
 *   workspace has all credits.
 * Whoever is over a share waits in a line of such; who only finds no credit, in another. Both are
 * first come, first served among those that may go.
 *
 * Pure memory. Thread: its actor's; of gate_views the others read. */
#ifndef PARLEY_RING_GATE_H
#define PARLEY_RING_GATE_H

#include "ring/cell.h"

enum {
    gate_buckets = 1024, /* channels, and pairs of workspace and actor, that share one share one */
    gate_crowd = 8,
    gate_epoch_us_log2 =
        23 /* 8.4 s: who has called in this one or the one before calls at present */
};

struct gate_share {
    uint32_t out, waits; /* with other actors; in a line because so many are */
};

/* In its owner's record of a request, zeroed at first. */
struct gate_item {
    struct gate_item *next, **link;    /* in its line; link NULL: waits in none */
    struct gate_share *channel, *team; /* NULL: it counts for none */
    actor_id dst;
    bool crowded; /* waits for a share */
};

/* Who has called of late, as each of the gates saw it. A word a gate, on a line of its own: written
 * by its thread, read by all, both relaxed. */
struct gate_view {
    _Alignas(64) uint64_t word; /* epoch << 32 | who */
};
struct gate_views {
    uint32_t len;
    struct gate_view of[];
};
/* NULL: no memory. All zero: nobody has called. free() it behind the threads. */
struct gate_views *gate_views_new(uint32_t len);

struct gate_conf {
    uint32_t window;          /* requests of a workspace at one actor, while others call; >= 1 */
    struct gate_views *views; /* borrowed for life; NULL: this gate alone */
    uint32_t self;            /* its index in views */
};

struct gate {
    struct gate_line {
        struct gate_item *first, **last;
    } plain[actors_max], crowded[actors_max];
    struct gate_share channels[gate_buckets], teams[gate_buckets];
    uint32_t waiting, crowded_len; /* in all lines; of them, in those of the crowded */
    bool several;                  /* workspaces call at present */
    /* Who has called, of this gate's own requests: since the last turn, before it in this epoch, in
     * the one before. */
    uint32_t fresh, now, before, epoch;
    struct gate_conf conf;
};

/* Zeroed memory. */
void gate_init(struct gate *g, const struct gate_conf *conf);
/* At the end of each turn, before gate_next: who calls at present? */
void gate_turn(struct gate *g, uint64_t mono_us);

/* Where it goes and for whom: cid or team ID_NONE: for no channel, for no workspace. It is neither
 * waiting nor under way. */
void gate_aim(struct gate *g, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team);
/* May it be sent now? credits: what is left of its destination's. If not, i->crowded says why, and
 * gate_put is what follows, or a refusal. */
bool gate_open(const struct gate *g, struct gate_item *i, uint32_t credits);
void gate_put(struct gate *g, struct gate_item *i);
void gate_leave(struct gate *g, struct gate_item *i); /* it waits no longer */
static inline bool gate_waits(const struct gate_item *i)
{
    return i->link != NULL;
}
/* Who of those that wait for dst may go next, if there is a credit; NULL: nobody. The two lines
 * take turns by crowds_first, so that neither waits for the end of the other. A scan of the line.
 */
struct gate_item *gate_next(const struct gate *g, actor_id dst, uint32_t credits,
                            bool crowds_first);
void gate_sent(struct gate_item *i);
void gate_back(struct gate_item *i); /* the answer is here */

#endif
