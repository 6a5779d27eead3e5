/* hist/internal.h - shared by the files of hist/ only. */
#ifndef PARLEY_HIST_INTERNAL_H
#define PARLEY_HIST_INTERNAL_H

#include "hist/hist.h"
#include "hist/hist_msg.h"
#include "hist/recent.h"
#include "hist/see.h"

struct waiting {
    struct cell request;
    actor_id from;
};

struct hist {
    struct view view;
    struct recent *recent;
    struct seer seer;
    uint64_t damaged;         /* records passed by in this turn; told to the metrics at its end */
    struct recent_count told; /* what the metrics know of recent's counts */
    struct arena_pool pool;
    struct arena scratch;    /* of one request; rows of a scan are read in place */
    uint32_t own_posts_left; /* of one request: messages that may still be read to count unread */
    /* Requests in order of arrival: [at, len) wait. Bounded by the requesters' credits. */
    struct waiting *queue;
    uint32_t queue_at, queue_len, queue_cap;
};

/* thread.c */
MUST_USE enum err hist_one(struct hist *h, struct hist_message *m);
MUST_USE enum err hist_replies(struct hist *h, struct hist_replies *m);
MUST_USE enum err hist_reply_before(struct hist *h, struct hist_reply_before *m);
MUST_USE enum err hist_seq_at(struct hist *h, struct hist_seq_at *m);
MUST_USE enum err hist_pins(struct hist *h, struct hist_pins *m);

/* Root or reply. */
MUST_USE enum err hist_read_message(struct hist *h, uint64_t cid, uint64_t ts_us,
                                    struct row_message *row, bool *found);

/* follow.c: what parent's thread is to uid. shown: it is one, or may become one. */
struct follow_view;
MUST_USE enum err hist_follow(struct hist *h, uint64_t uid, uint64_t cid,
                              const struct row_message *parent, struct follow_view *out,
                              bool *shown);

/* reacted.c */
MUST_USE enum err hist_reacted(struct hist *h, struct hist_reacted *m);

/* list.c */
MUST_USE enum err hist_head(struct hist *h, uint64_t cid, struct row_chan_head *head);
MUST_USE enum err hist_info(struct hist *h, struct hist_info *m);
MUST_USE enum err hist_list(struct hist *h, struct hist_list *m);

#endif
