/* chan/post_json.h - the members of a message, encoded once by whoever takes the post (acceptor or
 * fanout): exactly the bytes that are stored, sent and read back. */
#ifndef PARLEY_CHAN_POST_JSON_H
#define PARLEY_CHAN_POST_JSON_H

#include "json/write.h"

struct post_json {
    uint64_t team, uid, bot_id, app_id; /* bot_id ID_NONE: a person */
    struct str_view bot_name;
    struct str_view subtype;                        /* "me_message", "bot_message", or empty */
    struct str_view username, icon_url, icon_emoji; /* of a bot that speaks under another name */
    struct str_view client_msg_id;                  /* or empty */
    struct str_view text;                           /* valid UTF-8, as the client sent it */
    struct str_view blocks, attachments, files;     /* checked JSON arrays, or empty */
    bool upload;                                    /* it was made to show its files */
    bool plain;                                     /* "mrkdwn":false: its text has no formatting */
};

/* Whole members without braces: "type":"message","user":... Neither ts nor channel. Returns where
 * that begins which an edit replaces (chan_post.content_at): ,"text":... */
uint32_t post_json_members(struct buf *b, const struct post_json *p);
/* That part alone. */
void post_json_content(struct buf *b, const struct post_json *p);

/* Text as Slack guarantees it: stray &, < and > become entities; the three entities and well-formed
 * <...> tokens stay as they are, to the byte. Source: slack-api reference 4.2. */
void post_json_text(struct json_out *j, struct arena *a, struct str_view text);

#endif
