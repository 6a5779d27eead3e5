/* chan/chan.h - persistence actor: the only decider about the channels of its virtual shards.
 * Holds heads, members and recent keys in memory, gives ts and seq, encodes each event once, groups
 * rows into batches for log, and lets answers and events go only after the batch is durable. Pure:
 * cells, time and read results come in; cells, batches and frames go out. Thread: its loop. Source:
 * Slack chat.postMessage, conversations.join/leave/invite. */
#ifndef PARLEY_CHAN_CHAN_H
#define PARLEY_CHAN_CHAN_H

#include "base/conf.h"
#include "ring/frame.h"
#include "ring/loop.h"
#include "store/view.h"

struct log;

enum { chans_max = 64, chan_pins_max = 100 /* of a channel; Slack: pins.add */ };

struct chan_conf {
    actor_id self, log, hist; /* hist loads cold channels for this chan */
    uint16_t index,
        count; /* among the chans; ts is congruent to index mod the next power of two >= count */
    const actor_id *fanouts; /* borrowed for life */
    uint16_t fanouts_len;
    uint32_t channels_max, members_max, pins_max, parked_max, frames_max;
    uint64_t batch_bytes_max; /* of one batch */
    uint32_t
        sub_reserve;     /* event cells kept free per fanout for FAN_SUB_OK: the fanout's credits */
    uint64_t ts_high_us; /* floor read back at start */
    uint64_t epoch;      /* read back at start + 1 */
    struct view view;    /* multi_get only */
    bool (*disk_full)(const struct log *l); /* NULL: never */
    const struct log *disk;
    bool tells_search; /* of each channel that has something new */
    uint32_t news_delay_ms;
    actor_id search;
};

struct chan_shard;
MUST_USE enum err chan_shard_new(struct chan_shard **out, const struct chan_conf *c);
void chan_shard_free(struct chan_shard *s);
/* At start: the highest ts that any chan ever gave. Every chan starts above it, whatever the clock
 * says now and however many chans there were. */
MUST_USE enum err chan_ts_high(const struct view *v, uint64_t *ts_high_us);

struct batch;
typedef enum err chan_write_fn(void *ctx, const struct batch *b);
/* At start, before any actor runs: reactions from before schema 3 get the rows that reactions.list
 * reads. Reads all messages once in the life of a store, about a million a second, and notes with
 * each write how far it is: cut off, the next start goes on from there. What is damaged is logged
 * and passed by. write: durable when it returns. Errors: of view and write, logged. */
MUST_USE enum err chan_list_reactions(const struct view *v, chan_write_fn *write, void *ctx);
extern const struct actor_ops chan_actor_ops; /* self: struct chan_shard * */

/* Which of `count` chans decides about cid. */
static inline uint16_t chan_of(uint64_t cid, uint16_t count)
{
    return (uint16_t)(vshard_of(cid) % count);
}

#endif
