/* sim/oracle.h - what is true: built from nothing but the rows that became durable and the answers
 * that clients were given. Positions count durable rows: an answer or an event carries the position
 * at which the server said it, and must be true at some position between question and answer. */
#ifndef PARLEY_SIM_ORACLE_H
#define PARLEY_SIM_ORACLE_H

#include "base/str_view.h"
#include "levels.h"
#include "plan.h"
#include "store/batch.h"
#include "store/row.h"

struct world;

enum {
    oracle_channels_max = 128,
    oracle_text_max = 2048,
    oracle_edits_max = 12,
    oracle_passwords_max = 4,
    oracle_emoji_max = 4 /* that clients react with: r0, r1... */
};

struct follow { /* what a thread is to a user since pos */
    uint64_t pos, read_us, since_us;
    uint8_t user;
    bool active;
};

struct otext { /* what a message's row said since pos */
    uint64_t pos;
    uint32_t version;
};

struct omsg { /* by its number, which stands in its text */
    uint64_t cid;
    uint8_t user;
    bool keyed, sent, acked;
    bool system;                   /* the channel's own: nobody sent it */
    uint64_t post_s, promised_pos; /* scheduled for; when that was answered ok, 0: was not */
    uint32_t key;                  /* the same one may serve other senders and other channels */
    uint64_t ts_us, pos;           /* of its row; 0: none yet */
    uint64_t stored_us;            /* wall clock of the daemon then */
    uint32_t ordinal;              /* among the roots or the replies of its channel */
    uint32_t thread;               /* number of the message that it answers to; 0: none */
    uint64_t deleted_pos;          /* 0: it is there */
    bool delete_asked, threaded;   /* threaded: there were replies to it */
    struct levels pinned;          /* 1: its channel's pins have it */
    bool says_pinned;              /* its row does */
    /* Edits: version v is text of its own; how many were sent, which one each row had. */
    uint32_t edits;
    struct otext *rows; /* whenever it was edited, to the same text too */
    uint32_t rows_len, rows_cap;
    uint64_t edited_us;      /* of the newest */
    struct levels reactions; /* a bit for each, oracle_reaction() */
    struct levels written;   /* how many rows of it */
    /* What its newest row says of its thread. */
    uint32_t replies, repliers;
    uint64_t latest_us;
    bool thread_touched;
    uint32_t reacted, listed; /* bit per user: whose reactions it has; in whose lists it is */
    bool lists_touched;
    /* Of its thread: rows of those who follow it, or do not any more; the newest reply of each; the
     * newest of all, or itself, as it was before this batch. */
    struct follow *follows;
    uint32_t follows_len, follows_cap;
    uint64_t replied_pos[plan_users_max];
    uint64_t newest_before_us;
    uint64_t newest_reply_us; /* that ever was */
    uint64_t reply_gone_pos;  /* when one was last deleted */
};

struct ouser {
    uint64_t uid, team;
    uint32_t channels, channels_peak; /* memberships now, and the most ever */
};

struct reading {
    uint64_t pos, ts_us;
    uint8_t user;
};

struct otoken { /* as it is stored: nobody can read its text from it */
    uint64_t tag, team, uid, pos;
};

struct called {
    uint64_t pos;
    char name[84];
};

struct numbers {
    uint32_t *all;
    uint32_t len, cap;
};

struct ochan {
    uint64_t cid, team, creator;
    uint64_t pos; /* created */
    enum channel_kind kind;
    bool general;
    char name[84];
    char listed[84];       /* the name whose row leads to it */
    uint32_t names;        /* rows that do */
    struct called *called; /* its names so far */
    uint32_t called_len, called_cap;
    struct numbers roots, replies; /* its messages, in order of their rows */
    uint32_t counted;              /* those that took a number */
    uint64_t last_ts_us;
    uint32_t members, memberships; /* bit per user: the channel's rows, the users' rows */
    uint32_t cursors;              /* bit per user who has one */
    uint64_t head_seq, head_ts_us, head_members, head_pins;
    bool touched, pins_touched;
    struct levels membership[plan_users_max]; /* 1: is a member */
    struct levels sizes;                      /* how many members it has */
    struct levels archived;                   /* 1: it is */
    bool listed_archived;                     /* by the row of its name */
    struct levels pins;                       /* how many */
    /* A direct conversation: what its members are known by, and for each the newest ts when it was
     * put out of sight, 0: it is not. */
    uint8_t set[16];
    uint32_t sets; /* rows that lead to it by its members */
    struct levels closed[plan_users_max], newest;
    uint64_t opened_pos[plan_users_max]; /* when it was first put back, or left there; 0: never */
    struct reading *reads;               /* how far members have read, as it was stored */
    uint32_t reads_len, reads_cap;
    uint32_t acked_len; /* ordinal behind the newest message answered ok */
};

enum wish_kind { WISH_FOLLOW, WISH_UNFOLLOW, WISH_MARK, WISH_REACT, WISH_UNREACT, WISH_EDIT };

struct wish { /* one request of user's about a message; oracle_wishes.c */
    uint32_t number;
    uint8_t user;
    enum wish_kind kind;
    uint64_t what; /* of a thread: read up to, 0: not named; or which reaction, which version */
    uint64_t sent_pos, sent_us; /* sent_us: by the daemon's clock */
    uint64_t until_pos;         /* what is stored behind it is not of it; UINT64_MAX: under way */
    uint64_t lost_us;           /* when its client gave it up; 0: it waits */
    uint32_t deed;              /* what it explains, its index + 1; 0: nothing */
    uint32_t round;             /* the last search that looked at it */
};

struct deed { /* what became stored at pos, and the requests that may have been it */
    uint64_t pos;
    uint32_t first, len; /* in oracle.candidates */
};

struct oracle {
    uint64_t pos;
    uint64_t batch_pos; /* before the present batch */
    uint64_t *ends;     /* of all batches so far */
    uint32_t ends_len, ends_cap;
    struct omsg *msgs;
    uint32_t msgs_len, msgs_cap; /* msgs[0] is unused */
    struct ochan chans[oracle_channels_max];
    uint32_t chans_len;
    struct ouser users[plan_users_max];
    uint32_t users_len;
    uint64_t *ts_set; /* every ts ever given; open addressing */
    uint32_t ts_len, ts_cap;
    struct { /* of plan.signer; the operator counts them */
        uint64_t pos;
        uint32_t number;
    } passwords[oracle_passwords_max];
    uint32_t passwords_len;
    struct otoken *tokens;
    uint32_t tokens_len, tokens_cap;
    struct wish *wishes; /* by id - 1 */
    uint32_t wishes_len, wishes_cap;
    uint32_t wishes_ended; /* none of so many is under way */
    struct deed *deeds;
    uint32_t deeds_len, deeds_cap;
    uint32_t *candidates; /* ids of wishes, of each deed a run; those of the newest deed are last */
    uint32_t candidates_len, candidates_cap;
    uint32_t round;
};

void oracle_init(struct oracle *o);
void oracle_deinit(struct oracle *o);
void oracle_on_batch(struct world *w, const struct batch *b); /* oracle_rows.c */

/* A new message to be sent by that user; returns its number. */
uint32_t oracle_message(struct oracle *o, uint64_t cid, uint8_t user, bool keyed);
/* Text and key are functions of the number. */
struct str_view oracle_text(uint32_t number, char out[oracle_text_max]);
struct str_view oracle_key(const struct omsg *m, char out[256]);
/* The same message as its n-th edit has it; 0: as it was posted. */
struct str_view oracle_version(uint32_t number, uint32_t version, char out[oracle_text_max]);
/* Which of them a text is; UINT32_MAX: none that was sent. */
uint32_t oracle_version_of(const struct oracle *o, uint32_t number, struct str_view text);
/* The number in a text; 0: none. */
uint32_t oracle_number(struct str_view text);

struct ochan *oracle_chan(struct oracle *o, uint64_t cid);                 /* or NULL */
struct omsg *oracle_by_ts(struct oracle *o, uint64_t cid, uint64_t ts_us); /* or NULL */
uint8_t oracle_user(const struct oracle *o, uint64_t uid); /* plan_users_max: unknown */
bool oracle_member_at(const struct ochan *c, uint8_t user, uint64_t pos);
/* The end of the batch with pos, and that of the batch before: what became durable together. */
uint64_t oracle_batch_end(const struct oracle *o, uint64_t pos);
uint64_t oracle_batch_before(const struct oracle *o, uint64_t pos);
/* A change of a message, whose row has pos, was decided while user was a member: the row stands
 * where the first change of that message in its batch stood. */
bool oracle_heard(const struct oracle *o, const struct ochan *c, uint8_t user, uint64_t pos);
/* Since when user, who is a member at pos, has been one; 0: is none. */
uint64_t oracle_member_since(const struct ochan *c, uint8_t user, uint64_t pos);
/* Whether membership was `member` at any position from..to. */
bool oracle_was(const struct ochan *c, uint8_t user, bool member, uint64_t from, uint64_t to);

/* oracle_message.c. */
void oracle_on_message(struct world *w, struct ochan *c, const struct row *r);
/* After each whole batch a thread's counts are those of its replies. */
void oracle_check_threads(struct world *w);

/* oracle_channel.c: archives, pins, direct conversations. */
static inline bool oracle_is_direct(const struct ochan *c)
{
    return channel_is_direct(c->kind);
}
/* Whether it was out of that member's sight, or was not, at any position from..to. */
bool oracle_was_closed(const struct ochan *c, uint8_t user, bool closed, uint64_t from,
                       uint64_t to);
/* How many of its messages behind ts_us are unread for user: of those that were there at pos, and
 * not deleted at gone_pos. */
uint32_t oracle_unread(const struct oracle *o, const struct ochan *c, uint8_t user, uint64_t ts_us,
                       uint64_t pos, uint64_t gone_pos);
/* A pinned message's row; the row that leads from its members to a direct conversation. */
void oracle_on_pin(struct world *w, struct ochan *c, const struct row *r);
void oracle_on_set(struct world *w, struct ochan *c, const struct row *r);
/* What was decided while the channel was archived; called between the rows. */
void oracle_check_quiet(struct world *w, const struct ochan *c, const char *what);
/* What must hold after each whole batch. */
void oracle_check_sets(struct world *w, const struct ochan *c);
void oracle_check_pins(struct world *w, struct ochan *c);

/* Whether that was its name at any position from..to. */
bool oracle_was_called(const struct ochan *c, const char *name, uint64_t from, uint64_t to);

/* Whether it became stored, at any position behind from and up to `to`, that user had read up to
 * ts_us; _was: or was so already. */
bool oracle_had_read(const struct ochan *c, uint8_t user, uint64_t ts_us, uint64_t from,
                     uint64_t to);
bool oracle_read_was(const struct ochan *c, uint8_t user, uint64_t ts_us, uint64_t from,
                     uint64_t to);

/* An edit to that version may have become stored with the message's row i: it has that text, or
 * that of a change behind it in the same batch. */
bool oracle_may_be_edit(const struct oracle *o, uint32_t number, uint32_t i, uint32_t version);
/* The text was the message's at some position from..to. */
bool oracle_was_text(const struct oracle *o, uint32_t number, struct str_view text, uint64_t from,
                     uint64_t to);

/* An answer says that the message is stored with this ts; it was said at pos. */
void oracle_check_ok(struct world *w, uint32_t number, uint64_t ts_us, uint64_t pos);
/* A message is shown (event or history) at pos; returns its number. */
uint32_t oracle_check_shown(struct world *w, uint64_t cid, struct str_view text, uint64_t ts_us,
                            uint64_t uid, uint64_t pos, const char *where);

uint64_t oracle_be64(struct str_view key, size_t at); /* a number in a key */

/* oracle_reactions.c. */
static inline uint32_t oracle_reaction(uint32_t emoji, uint8_t user)
{
    return emoji * plan_users_max + user;
}
_Static_assert(oracle_emoji_max *plan_users_max <= 64, "a bit for each");
uint32_t oracle_emoji(struct str_view name); /* oracle_emoji_max: none of theirs */
uint64_t oracle_reactions_of(uint8_t user);  /* bits */
/* Whether it may have been given, or taken back, in the batch of the message's row pos, which tells
 * nothing of it: the other way round in the same batch, or the message was deleted in it. */
bool oracle_reaction_is_hidden(struct oracle *o, uint32_t number, uint32_t bit, bool add,
                               uint64_t pos);
void oracle_on_reactions(struct world *w, const struct ochan *c, uint32_t n,
                         struct str_view packed);
/* When it last came, or went, up to pos; 0: never. A deletion does not count. */
uint64_t oracle_reaction_became(const struct omsg *m, uint32_t bit, bool there, uint64_t pos);
/* When it first did, behind `after` and up to `to`. */
uint64_t oracle_reaction_next(const struct omsg *m, uint32_t bit, bool there, uint64_t after,
                              uint64_t to);

/* oracle_wishes.c. A request was written; its id, which is not 0. */
uint32_t oracle_wish(struct world *w, struct wish wish);
/* It was answered at pos: it did, if anything, what became stored up to there. 0: it did nothing.
 */
void oracle_wish_ends(struct world *w, uint32_t id, uint64_t pos);
/* Its client has gone, and nobody will ever know. */
void oracle_wish_lost(struct world *w, uint32_t id);
/* The process has ended, and with it all of them. */
void oracle_wishes_end(struct oracle *o);
/* Before each batch. */
void oracle_wishes_expire(struct world *w);
/* A request for that was under way when the row pos was stored, and was not refused. */
bool oracle_under_way(const struct oracle *o, uint32_t number, enum wish_kind kind, uint64_t what,
                      uint64_t pos);
/* Something became stored at pos: which requests may have been it is said before the next one. */
struct deed oracle_deed_at(const struct oracle *o, uint64_t pos);
/* Request id asks for what the deed is: it may have been it, unless it was not under way. */
void oracle_deed_may_be(struct oracle *o, struct deed *d, uint32_t id);
/* False: it has no request of its own. */
bool oracle_deed(struct oracle *o, const struct deed *d);
/* Those behind the first len were only tried. */
void oracle_deeds_forget(struct oracle *o, uint32_t len);

/* oracle_follows.c: what a thread is to a user at pos; false: it becomes nothing else up to `to`.
 */
struct follow oracle_follow_at(const struct omsg *m, uint8_t user, uint64_t pos);
bool oracle_follow_next(const struct omsg *m, uint8_t user, uint64_t to, struct follow *f);
/* Replies of others behind read_us to message n: of those that were there at pos, and not deleted
 * at gone_pos. */
uint32_t oracle_unread_replies(const struct oracle *o, uint32_t n, uint8_t user, uint64_t read_us,
                               uint64_t pos, uint64_t gone_pos);
void oracle_on_follow(struct world *w, const struct row *r);
/* After each whole batch. */
void oracle_check_follows(struct world *w, uint32_t n);

/* oracle_lists.c: rows beside messages. */
void oracle_on_reacted(struct world *w, const struct row *r);
void oracle_check_lists(struct world *w);

/* oracle_signin.c: rows of passwords and tokens. */
void oracle_on_password(struct world *w, const struct row *r);
void oracle_on_token(struct world *w, const struct row *r);
/* Whether, at any position from..to, it was true or false that this is the user's password. */
bool oracle_was_password(const struct world *w, uint8_t user, uint32_t number, bool is,
                         uint64_t from, uint64_t to);
/* The token is the user's and was stored at pos. */
bool oracle_has_token(const struct world *w, struct str_view text, uint8_t user, uint64_t pos);

/* What was promised for a time that is over was posted, unless its sender had left or the
 * channel was archived. */
void oracle_check_scheduled(struct world *w, uint64_t now_s);

#endif
