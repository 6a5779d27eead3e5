/* api/mention.h - names in a text become the tokens that Slack's clients show as links: @ada is
 * <@U1>, @marketing <!subteam^S1>, @here <!here>, #general <#C1|general>; on demand bare URLs
 * become <https://...>. Source: Slack, "Formatting text for app surfaces"; chat.postMessage,
 * link_names and parse. Thread: any; it reads and writes what it is given only. */
#ifndef PARLEY_API_MENTION_H
#define PARLEY_API_MENTION_H

#include "base/arena.h"

enum {
    mention_names_max = 100, /* looked at in a text; what follows stays as it is */
    mention_words_max = 3,   /* of a display name */
    /* How many names are asked for at one place: each length with and without the marks at its end,
     * of which a channel's name has no full stop. */
    mention_asks_max = 3 * mention_words_max,
    mention_channel_asks_max = 2,
    mention_name_bytes_max = 320, /* 80 characters */
    /* A token at most: <#, id, |, name, >. */
    mention_token_bytes_max = mention_name_bytes_max + 32
};

enum mention_kind { MENTION_USER, MENTION_GROUP, MENTION_CHANNEL };

struct mention {
    enum mention_kind kind;
    uint64_t id;
};

enum mention_found {
    MENTION_NONE,   /* nobody has it: a shorter name may be meant */
    MENTION_FOUND,  /* *out */
    MENTION_SEVERAL /* have it: it stays as it is, and so do shorter ones */
};

/* Who or what is meant by the name behind `mark`, '@' or '#'. */
typedef enum mention_found mention_find(void *ctx, char mark, struct str_view name,
                                        struct mention *out);

struct mention_rules {
    mention_find *find;
    void *ctx;
    bool urls; /* wrap bare ones, too */
};

/* Appends text, valid UTF-8, to out with what it names replaced. A mention stands at the start or
 * behind what is no letter, digit, '<', '@', '#', '&', '/', '=' or '.'; its name is as long as one
 * is found. What stands in <...> on one line, in backquotes or in a URL of any scheme is not
 * touched. The text is escaped as Slack's are: &lt; and &gt; end a URL, &amp; is a part of it. Time
 * is linear in the text. */
void mention_link(struct buf *out, struct str_view text, const struct mention_rules *rules);

#endif
