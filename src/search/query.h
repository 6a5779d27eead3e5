/* search/query.h - what is typed into a search field, taken apart: words, "phrases", -words, and
 * from: in: before: after: on: during: has: is:, of files also type:, with Slack's meaning. Names
 * are left as they were typed; who asks resolves them. Source: Slack, search.messages and its help
 * page on modifiers. Thread: any. Memory: the arena; strings point into the text. */
#ifndef PARLEY_SEARCH_QUERY_H
#define PARLEY_SEARCH_QUERY_H

#include "base/arena.h"
#include "base/err.h"

enum {
    query_bytes_max = 1000,
    query_terms_max = 32,
    query_names_max = 8 /* of each modifier */
};

enum query_has { /* bits of has: */
                 HAS_LINK = 1,
                 HAS_REACTION = 2, /* has:reaction, or has::name: with has_emoji */
                 HAS_PIN = 4,
                 HAS_STAR = 8,
                 HAS_FILE = 16
};

enum query_is {                /* bits of is: */
                IS_THREAD = 1, /* a message with replies, or a reply */
                IS_SAVED = 2,
                IS_DM = 4
};

struct query_term {
    struct str_view text; /* a word, or what stood between quotes */
    bool phrase;          /* its words in this order, next to each other */
    bool negated;         /* must not be there */
    bool prefix;          /* word*: what begins with it */
};

struct query_name { /* @ada, ada, <@U1>, me; #general, general, <#C1|x>, @ada (a direct
                       conversation) */
    struct str_view text;
    bool negated;
};

enum query_of { QUERY_MESSAGES, QUERY_FILES };

struct query {
    enum query_of of;
    struct query_term terms[query_terms_max];
    uint32_t terms_len;
    struct query_name from[query_names_max], in[query_names_max], type[query_names_max];
    uint32_t from_len, in_len, type_len;
    uint64_t after_s, before_s; /* after_s <= time < before_s; seconds of Unix time; 0: open */
    uint32_t has, has_not, is, is_not;
    struct str_view has_emoji; /* the last one named */
};

/* now_s, tz_offset_s: what "today" is for who asks. Errors: ERR_NO_QUERY (nothing but spaces),
 * ERR_INVALID_ARGUMENTS (too long, too many). A modifier that is not known is a word, as in Slack.
 */
MUST_USE enum err query_parse(struct query *q, enum query_of of, struct str_view text,
                              uint64_t now_s, int32_t tz_offset_s);

#endif
