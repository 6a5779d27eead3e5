/* sim/store.h - the modelled store: a durable map behind view_ops, and the log actor in front of
 * it. A commit takes a while; a crash meanwhile keeps a prefix of its whole batches. What
 * store/log.h promises about failures is kept here too. */
#ifndef PARLEY_SIM_STORE_H
#define PARLEY_SIM_STORE_H

#include "ring/loop.h"
#include "sorted.h"
#include "store/batch.h"
#include "store/log.h"
#include "store/view.h"

struct world;

enum commit_end { COMMIT_OK, COMMIT_NO_SPACE, COMMIT_IO_ERROR, COMMIT_SYNC_ERROR };

struct sim_log { /* dies with the process */
    struct cell *queue;
    actor_id *from;
    uint32_t len, cap;
    bool committing; /* the thread blocks until done_us */
    enum commit_end end;
    uint64_t done_us;
    uint64_t failed_epoch[log_parts_max];
    bool stopped;
    enum err stopped_err;
    uint64_t looked_us;
    bool disk_full;
    struct timer timer;
    struct world *w;
};

struct sim_store { /* outlives it */
    struct world *w;
    struct rng rng;
    struct sorted cfs[CF_COUNT];
    /* What memory tells of changes: the number of the batch that wrote a key last, and of the one
     * that did anything but put a message in front of its channel's. Up to settled it is silent. */
    struct sorted written[CF_COUNT], disturbed;
    uint64_t settled;
    uint64_t no_space_until_us, read_errors_until_us;
    uint64_t commits, batches;
};

extern const struct actor_ops sim_log_ops; /* self: struct sim_log * */
bool sim_disk_full(const struct log *l);   /* l: really a struct sim_log * */

void sim_store_init(struct sim_store *s, struct world *w, uint64_t seed);
void sim_store_deinit(struct sim_store *s);
struct view sim_view(struct sim_store *s);

struct sim_log *sim_log_new(struct world *w);
void sim_log_free(struct sim_log *l);
/* The process dies: of the commit under way a seeded prefix of whole batches is on the disk. */
void sim_log_crash(struct sim_log *l);

#endif
