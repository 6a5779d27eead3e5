/* chan/follow.h - who follows a thread without having a row that says so: the author of its first
 * message, since then, and having read no more than that. So a thread costs its author nothing. */
#ifndef PARLEY_CHAN_FOLLOW_H
#define PARLEY_CHAN_FOLLOW_H

#include "store/row.h"

static inline struct row_follow follow_without_row(const struct row_message *parent, uint64_t uid)
{
    return (struct row_follow){
        .active = uid == parent->uid, .since_us = parent->ts_us, .read_us = parent->ts_us};
}

#endif
