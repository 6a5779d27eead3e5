/* chan/message_json.h - a message row as clients see it: the stored body, then what changes.
 * Source: Slack, message object and its subtypes (message_changed, tombstone). */
#ifndef PARLEY_CHAN_MESSAGE_JSON_H
#define PARLEY_CHAN_MESSAGE_JSON_H

#include "json/write.h"
#include "store/row.h"

/* Bytes of the object at most, for who makes room first. */
size_t message_json_max(const struct row_message *m);

/* Whether history shows it: not deleted, or the parent of replies that are still there. */
bool message_is_shown(const struct row_message *m);

/* {...}. A parent has reply_count, reply_users, reply_users_count, latest_reply, thread_ts; a
 * deleted one that still has replies is a tombstone. with_metadata: include_all_metadata. The same
 * for every reader. */
void message_json(struct buf *b, const struct row_message *m, uint64_t cid, bool with_metadata);

/* The same, with what the thread is to one reader: subscribed, and of a follower last_read and
 * unread_count. */
struct follow_view {
    bool active;
    uint64_t read_us, unread;
};
void message_json_followed(struct buf *b, const struct row_message *m, uint64_t cid,
                           bool with_metadata, const struct follow_view *v);

/* ,"reactions":[{"name":..,"users":[..],"count":..}] or nothing. */
void message_json_reactions(struct buf *b, const struct row_message *m);

#endif
