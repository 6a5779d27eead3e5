/* api/content.h - what a message says, from the arguments of a method. */
#ifndef PARLEY_API_CONTENT_H
#define PARLEY_API_CONTENT_H

#include "api/internal.h"
#include "chan/post_json.h"

/* A conversation by the argument "channel": id, #name or name. A private channel's name leads to
 * its id only inside: chan refuses who is no member with the same answer as an absent one. Errors:
 * ERR_CHANNEL_NOT_FOUND. */
MUST_USE enum err content_channel(const struct request *r, uint64_t *cid);
/* Over api.text_max characters. */
bool content_too_long(const struct request *r, struct str_view text);
/* text, markdown_text, blocks, attachments: given and within their bounds. Whether there is any at
 * all is the caller's to ask. Errors: ERR_MSG_TOO_LONG, ERR_MARKDOWN_TEXT_CONFLICT. */
MUST_USE enum err content_read(const struct request *r, struct post_json *p);
/* metadata: compact JSON, or p NULL. Errors: ERR_INVALID_METADATA. */
MUST_USE enum err content_metadata(struct request *r, struct str_view *out);
struct chan_post;
/* The members of the post, its sender and its key, and room for the answer. Errors: ERR_NOMEM. */
MUST_USE enum err content_encode(struct request *r, const struct post_json *p,
                                 struct chan_post *post);
enum { content_answer_bytes = 256 }; /* at most, around the members */
/* Who speaks, under the own name: team, user, bot with its profile. */
void content_self(const struct request *r, struct post_json *p);
/* Who speaks: team, user, bot with its profile, another name if the caller is a bot. */
void content_sender(const struct request *r, struct post_json *p);

#endif
