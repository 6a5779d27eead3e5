/* chan/channel_json.h - the conversation object as Slack's clients read it (slack-api reference,
 * section 10). */
#ifndef PARLEY_CHAN_CHANNEL_JSON_H
#define PARLEY_CHAN_CHANNEL_JSON_H

#include "json/write.h"
#include "store/row.h"

enum id_kind channel_letter(enum channel_kind kind); /* of its id */

struct channel_view { /* what depends on the reader */
    uint64_t viewer;  /* of a direct conversation: "user" is the other one */
    bool is_member;
    bool closed; /* a direct conversation that the viewer has put out of sight */
    bool with_num_members;
    uint32_t num_members;
    bool with_read; /* last_read, unread_count, unread_count_display, latest follow */
    uint64_t last_read_us, unread, latest_us;
};

void channel_json(struct json_out *j, const struct row_chan_info *info,
                  const struct channel_view *v);

#endif
