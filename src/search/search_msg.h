/* search/search_msg.h - what search is told and asked. */
#ifndef PARLEY_SEARCH_MSG_H
#define PARLEY_SEARCH_MSG_H

#include "ring/cell.h"
#include "search/match.h"
#include "store/row.h"

enum search_msg {
    /* event from chan: cid has messages that the index may not know; u.u[0] != 0: an old one was
     * edited (key_edited). cid ID_NONE: hints were lost, any channel may have. A hint only: what is
     * indexed is what is stored. */
    SEARCH_DIRTY = 1,
    SEARCH_MESSAGES, /* request; struct search_messages */
    SEARCH_REBUILD   /* request from admin: forget how far the channels are indexed, and begin again
                      */
};

enum { search_names_max = 8, search_page_max = 100, search_pages_max = 100 };

struct search_found {
    uint64_t cid, ts_us, uid, thread_ts_us;
    uint32_t score;
    enum channel_kind kind;
    struct str_view channel; /* its name */
    struct str_view message; /* {...}, as history shows it */
    struct str_view text;    /* of it, unescaped; with marks when they were asked for */
};

/* In the requester's arena, lent until the answer. Only messages that the viewer could read in
 * history are found, counted or hinted at. Errors: ERR_SERVICE_UNAVAILABLE (too many wait). */
struct search_messages {
    uint64_t team, uid;
    bool guest; /* sees public channels only as a member */
    struct match match;
    /* Names that the requester has resolved; a positive list that is empty although names were
     * typed finds nothing: the requester answers that itself. */
    uint64_t from[search_names_max], in[search_names_max];
    uint64_t not_from[search_names_max], not_in[search_names_max];
    uint32_t from_len, in_len, not_from_len, not_in_len;
    uint64_t after_us, before_us;      /* after_us <= ts < before_us; 0: open */
    uint32_t has, has_not, is, is_not; /* bits of query.h; HAS_STAR, IS_SAVED: not here */
    struct str_view has_emoji;
    bool by_score, ascending, highlight;
    uint32_t page, count; /* page from 1 on */
    struct arena *arena;
    /* out */
    struct search_found *found;
    uint32_t len;
    uint32_t total; /* that match; exact unless more */
    bool more;      /* older ones were not looked at: the query is too wide */
    uint32_t rows;  /* of the index that were read */
};

#endif
