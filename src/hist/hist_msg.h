/* hist/hist_msg.h - requests to hist, the blocking reader. u.p is a struct below in the requester's
 * arena, lent until the answer; JSON goes into out, a buf on that arena (raise its bytes_max for
 * unlimited lists). Rights are checked here, by rows: an unseen private conversation is
 * ERR_CHANNEL_NOT_FOUND like an absent one. */
#ifndef PARLEY_HIST_MSG_H
#define PARLEY_HIST_MSG_H

#include "ring/cell.h"
#include "store/row.h"

enum hist_msg {
    HIST_HISTORY = 1,  /* struct hist_history */
    HIST_MESSAGE,      /* struct hist_message */
    HIST_INFO,         /* struct hist_info */
    HIST_MEMBERS,      /* struct hist_members */
    HIST_LIST,         /* struct hist_list: channels of a team, or of a user */
    HIST_MEMBERSHIPS,  /* struct hist_memberships: for fanout */
    HIST_LOAD,         /* struct hist_load: a cold channel for chan */
    HIST_REPLIES,      /* struct hist_replies */
    HIST_REPLY_BEFORE, /* struct hist_reply_before */
    HIST_SEQ_AT,       /* struct hist_seq_at */
    HIST_PINS,         /* struct hist_pins */
    HIST_DOCUMENT,     /* struct hist_document */
    HIST_SCHEDULED,    /* struct hist_scheduled */
    HIST_REACTED,      /* struct hist_reacted */
    HIST_SEES          /* struct hist_sees */
};

struct hist_viewer { /* who reads */
    uint64_t team, uid;
    bool is_bot;   /* bots read only where they are members: ERR_NOT_IN_CHANNEL */
    bool is_admin; /* the operator's tool: sees all */
    bool is_guest; /* sees only where it is a member */
};

/* A page of long messages ends early: the reader asks again by its cursor. One message always fits.
 */
enum { hist_page_bytes_max = 1 << 20 };

struct hist_history {
    struct hist_viewer viewer;
    uint64_t cid;
    uint64_t oldest_us, latest_us; /* 0: open end; exclusive unless inclusive */
    bool inclusive;
    bool metadata; /* include_all_metadata */
    uint32_t limit;
    struct buf out;    /* appended: messages, comma separated, newest first: {...},{...} */
    uint32_t messages; /* out */
    bool has_more;     /* out */
    int32_t pins;      /* out: pinned messages of the channel */
    uint64_t next_us;  /* out: continue with latest < next_us */
};

struct hist_message { /* root or reply */
    struct hist_viewer viewer;
    uint64_t cid, ts_us;
    struct buf out;             /* {...}; absent or deleted: ERR_MESSAGE_NOT_FOUND */
    uint64_t uid, thread_ts_us; /* out: who wrote it; of a reply */
    struct str_view reactions;  /* out: ,"reactions":[..] as in out, or empty; in out's arena */
};

/* A thread: the parent first on each page, with what the thread is to the viewer, then replies in
 * rising order. ts_us may be a reply's.
 * Errors: ERR_THREAD_NOT_FOUND. */
struct hist_replies {
    struct hist_viewer viewer;
    uint64_t cid, ts_us;
    uint64_t oldest_us, latest_us, after_us; /* after_us: continue behind it (cursor); 0: from the
                                                beginning */
    bool inclusive, metadata;
    uint32_t limit; /* of replies */
    struct buf out; /* {...},{...} */
    uint32_t messages;
    bool has_more;
    uint64_t next_us; /* out: after_us of the next page */
};

struct hist_reply_before { /* the newest reply of the thread that is not deleted and older than
                              ts_us */
    uint64_t cid, thread_ts_us, ts_us;
    uint64_t before_ts_us; /* out; 0: none */
};

struct hist_seq_at { /* of the newest message of the channel that is not newer than ts_us */
    uint64_t cid, ts_us;
    uint64_t seq; /* out; 0: none */
};

struct hist_pins {
    struct hist_viewer viewer;
    uint64_t cid;
    struct buf
        out; /* {"type":"message","created":..,"created_by":..,"channel":..,"message":{}},... */
    uint32_t len; /* out */
};

/* Messages that uid has reacted to, as far as the viewer may read them, newest first. By pages:
 * page 1 and on, count items each, of the newest hist_reacted_rows_max rows. By cursor: page 0,
 * count items older than before_us. A page of long messages ends early, and one may be empty
 * when what was on it is gone; next_us goes on behind it. What is damaged is passed by. Behind so
 * many rows on end that the viewer may not read the list is at its end. */
enum { hist_reacted_rows_max = 4096 };
struct hist_reacted {
    struct hist_viewer viewer;
    uint64_t uid;
    uint64_t before_us; /* 0: from the newest */
    uint32_t page, count;
    struct buf out;   /* {"type":"message","channel":..,"message":{}},... */
    uint32_t len;     /* out */
    uint32_t total;   /* out, by pages: items of all pages */
    uint64_t next_us; /* out: before_us of what follows; 0: nothing does */
};

struct hist_info {
    struct hist_viewer viewer;
    uint64_t cid;
    bool num_members;
    bool member;            /* out */
    struct buf out;         /* the conversation object */
    enum channel_kind kind; /* out */
};

struct hist_sees { /* which of these conversations the viewer may see; the absent are not seen */
    struct hist_viewer viewer;
    const uint64_t *cids;
    bool *seen; /* out, of each; the asker's */
    uint32_t len;
};

struct hist_members {
    struct hist_viewer viewer;
    uint64_t cid, after_uid;
    uint32_t limit;
    uint64_t *uids; /* out, in the arena */
    uint32_t len;
    uint64_t next_uid; /* out: 0 at the end */
    struct arena *arena;
};

enum { hist_types_public = 1, hist_types_private = 2, hist_types_im = 4, hist_types_mpim = 8 };

struct hist_list {
    struct hist_viewer viewer;
    bool members_only; /* users.conversations, rtm.start */
    /* members_only: not the viewer's but this user's, as far as the viewer may see them; ID_NONE:
     * the viewer's */
    uint64_t of;
    bool with_unread; /* unread_count, unread_count_display, last_read, latest ts: rtm.start */
    bool exclude_archived;
    uint32_t types, limit; /* limit UINT32_MAX: all */
    struct str_view after; /* name to continue behind (list), empty at first */
    struct buf out;        /* conversation objects, comma separated */
    uint32_t len;          /* out */
    struct str_view next;  /* out: name to continue behind, empty at the end; in the arena */
    struct arena *arena;
};

struct hist_memberships {
    uint64_t uid;
    uint64_t *cids;    /* out, in the arena */
    uint32_t len, max; /* max: in */
    bool more;         /* out: there were more than max */
    struct arena *arena;
};

struct hist_document { /* whether the asker may read it is the asker's to know */
    uint64_t owner;
    enum document_kind kind;
    uint64_t known;       /* the revision that the asker has; 0: none */
    uint64_t revision;    /* out; 0: there is none */
    struct str_view text; /* out, in the arena; empty: none, or the asker has it */
    struct arena *arena;
};

struct hist_scheduled { /* of one user, in the order in which they were made */
    uint64_t team, uid;
    uint64_t cid;                /* of this channel only; ID_NONE: of all */
    uint64_t oldest_s, latest_s; /* by their time, both included */
    uint64_t after_id;           /* continue behind it */
    uint32_t limit;
    struct buf out;   /* {"id":..,"channel_id":..,"post_at":..,"date_created":..,"text":..},... */
    uint32_t len;     /* out */
    uint64_t next_id; /* out: after_id of the next page; 0: the end */
};

struct hist_load { /* lent by chan; arena is chan's */
    uint64_t cid;
    uint32_t members_max;
    bool found;                /* out */
    struct row_chan_info info; /* out; strings in the arena */
    struct row_chan_head head;
    uint64_t *members; /* out, ascending */
    uint32_t members_len;
    struct arena *arena;
};

#endif
