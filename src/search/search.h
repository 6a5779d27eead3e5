/* search/search.h - the index of messages and who asks it. Follows what chan has made durable, some
 * hundred milliseconds behind, and writes postings through log; after a crash or a lost hint it
 * compares how far each channel is indexed with the channel's head. Reads block: it has a loop of
 * its own. Pure otherwise: rows, cells and time come in, a batch and answers go out. Thread: its
 * loop. Source: Slack search.messages. */
#ifndef PARLEY_SEARCH_SEARCH_H
#define PARLEY_SEARCH_SEARCH_H

#include "base/conf.h"
#include "ring/loop.h"
#include "store/view.h"

struct search_conf {
    actor_id self, log;
    struct view view;
    bool enabled;         /* else nothing is indexed, and queries are ERR_NOT_ENABLED */
    uint32_t delay_ms;    /* from a hint to the batch */
    uint32_t batch_words; /* postings of one batch */
    uint32_t queue_max;   /* queries that wait */
    uint32_t dirty_max;   /* channels that wait; more, and all are compared again */
};

struct search;
MUST_USE enum err search_new(struct search **out, const struct search_conf *c);
void search_free(struct search *s);
extern const struct actor_ops search_actor_ops; /* self: struct search * */

#endif
