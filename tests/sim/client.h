/* sim/client.h - simulated users: HTTP requests with keys and retries on other connections, and one
 * WebSocket each. Their codecs are their own (http_client.c, socket.c); what they are told is held
 * against the oracle (answer.c, socket.c). */
#ifndef PARLEY_SIM_CLIENT_H
#define PARLEY_SIM_CLIENT_H

#include "keep.h"
#include "net.h"
#include "oracle.h"
#include "plan.h"

struct world;

enum {
    client_prefs_max = 12,
    client_pipe_max = 6,
    client_retries_max = 48,
    client_rtm_max = 8,
    client_extra_max = 2,
    client_body_max = 1 << 20
};

enum op_kind {
    OP_POST,
    OP_HISTORY,
    OP_JOIN,
    OP_LEAVE,
    OP_INVITE,
    OP_CREATE,
    OP_RENAME,
    OP_LIST,
    OP_MEMBERS,
    OP_EDIT,
    OP_REACT,
    OP_UNREACT,
    OP_REACTED, /* the messages that other has reacted to */
    OP_DELETE,  /* a reply */
    OP_REPLIES,
    OP_FOLLOW, /* the thread of a message; oldest_us: read up to there, 0: not named */
    OP_UNFOLLOW,
    OP_THREAD_MARK,
    OP_MARK,     /* read up to oldest_us */
    OP_SCHEDULE, /* of an unkeyed message */
    OP_PREF,     /* one more member of the user's preferences */
    OP_SEARCH,   /* for the word that stands in one message only */
    OP_SIGN_IN,  /* as other, with the password `version` */
    OP_WHO,      /* with the token `as`, which a sign-in brought */
    OP_INFO,
    OP_KICK,
    OP_ARCHIVE,
    OP_UNARCHIVE,
    OP_PIN,
    OP_UNPIN,
    OP_PINS,
    OP_OPEN,  /* the direct conversation with users */
    OP_CLOSE, /* out of the user's sight */
    OP_STAR,  /* keep.h: `version` is the index of what is kept */
    OP_UNSTAR,
    OP_STARS,
    OP_BOOKMARK,
    OP_BOOKMARKS,
    OP_REMIND,
    OP_REMINDERS,
    OP_CONNECT,
    OP_KINDS
};

struct op {
    enum op_kind kind;
    uint32_t number; /* of the message */
    uint64_t cid;
    uint8_t other;        /* user to invite, to kick, or to sign in as; plan_users_max: as nobody */
    uint32_t users;       /* OP_OPEN: bit per user, the client's own too */
    uint32_t limit, name; /* name: that a channel is to get; OP_REACT, OP_UNREACT: which emoji */
    uint32_t version;     /* OP_EDIT; OP_PREF: which name; OP_LIST: 1 without archived ones */
    bool resumes;         /* OP_CONNECT: goes on from oldest_us */
    uint64_t oldest_us;
    uint64_t sent_pos, sent_us; /* when the request was written */
    uint32_t wish;              /* oracle_wishes.c; 0: what it asks for is not told by rows */
    uint32_t token, as;
    bool token_dead; /* it had been revoked before the request was written */
    bool must;       /* OP_SEARCH: asked until it is found */
    bool quiet;      /* a second copy of a request that is under way elsewhere: not retried */
    uint16_t attempts;
};

struct http_client { /* one connection */
    struct sim_conn *conn;
    struct bytes in;
    uint32_t token;
    bool last;                     /* the server said Connection: close */
    bool shut;                     /* the client has said its last word, and reads on */
    uint64_t opened_us, opened_by; /* opened_by: incarnation of the server */
    struct op pipe[client_pipe_max];
    uint32_t pipe_len, depth;
};

/* What a client was told last of one thing that changes: a text, a reaction, a pin, a member. */
struct told {
    uint64_t pos;    /* the first row that it can mean */
    uint32_t socket; /* which of the client's told it */
    uint32_t covers; /* of its channel then */
    uint32_t is;     /* what it has become, + 1; 0: nothing was told */
};

/* What a socket knows of a channel. */
struct sub {
    uint64_t covered_pos; /* up to here it knows the channel by hello, join or refetch */
    uint32_t covers;      /* how often it was told to fetch it */
    uint32_t next;        /* ordinal of the first message not yet received or covered */
    uint32_t next_reply;  /* and of the first reply */
    uint64_t last_ts_us;
    /* What it is told next became stored behind this: the end of the batch before that of what it
     * was told last. By the daemon's clock not before event_us. */
    uint64_t told_pos, event_us;
    struct told told_members[plan_users_max];
    /* Members, pins and changes of messages it knows up to there: it asks after hello,
     * channel_joined or refetch. */
    uint64_t members_pos;
    uint64_t heard_pos[plan_users_max]; /* the newest change of each one that it has heard of */
    uint64_t pins_pos;                  /* of the pins, likewise */
    bool left;                          /* it was told so, and not yet that it is in again */
};

enum socket_state { SOCKET_NONE, SOCKET_ASKED, SOCKET_UPGRADING, SOCKET_OPEN, SOCKET_LIVE };

struct socket {
    enum socket_state state; /* OPEN: 101 has come; LIVE: hello has come */
    struct sim_conn *conn;
    struct bytes in;
    char ticket[64];
    uint32_t ticket_uses;   /* upgrades that it opened */
    struct sim_conn *thief; /* a second connection with the same ticket, or NULL */
    struct bytes thief_in;
    uint32_t token;
    bool
        partial; /* hello said that channels were left out; also on a socket that it goes on from */
    /* It gave last_ts: it goes on from what it knew, and others may go on from it. */
    bool resumes;
    bool resuming;         /* and has got hello, but not resumed */
    uint64_t last_ts_us;   /* what it gives next; 0: it knows nothing to go on from */
    uint64_t newest_ts_us; /* of the channels' events; last_ts_us is this once it has resumed */
    uint64_t known_pos;    /* when rtm.connect was answered */
    uint64_t opened_us, retry_us;
    struct sub subs[oracle_channels_max];
    struct heard *heard; /* by a message's number: of its changes; socket_view.c */
    uint32_t heard_len;
    struct {
        uint32_t number, id;
        uint64_t sent_pos;
    } rtm[client_rtm_max];
    uint32_t rtm_len, next_id, sockets; /* sockets: how many there have been */
    uint64_t events, hints;
};

struct client {
    struct world *w;
    uint16_t index;
    uint8_t user;
    struct rng rng;
    struct http_client http;
    struct http_client extra; /* for duplicates: the same request at the same time */
    struct op retries[client_retries_max];
    uint32_t retries_len;
    struct socket ws;
    uint64_t wake_us, next_op_us, retry_us, deaf_until_us, issue_us;
    uint32_t prefs_len;                       /* names that were set, c<client>-<n> */
    uint64_t pref_acked_us[client_prefs_max]; /* 0: not answered yet */
    struct kept kept[client_kept_max];
    uint32_t kept_len;
    uint32_t probes; /* of the calm phase, still to be done */
    bool woken;
};

void clients_init(struct world *w);
void clients_deinit(struct world *w);
void clients_on_crash(struct world *w);
/* No socket of a revoked token is left. */
void clients_check_revoked(struct world *w);
/* The server gave bytes to the network. */
void clients_on_send(struct world *w, const struct sim_conn *c);
void client_run(struct client *cl);
/* Nothing under way any more. */
bool client_idle(const struct client *cl);
void clients_hang_up(struct world *w);

/* choose.c: what to do next. False: it went over RTM already, or there is nothing to do. */
bool choose_op(struct client *cl, struct op *op);
/* In the calm phase each client shows that it is served. */
bool choose_probe(struct client *cl, struct op *op);
/* One of the newest messages that somebody sent to the channel, where others are busy too; 0: none.
 */
uint32_t choose_message(struct client *cl, const struct ochan *c);
/* A reply of the client's user, mostly one that is there; 0: none. */
uint32_t choose_reply(struct client *cl, const struct ochan *c);
/* choose_channel.c: about the channel itself. False: nothing. */
bool choose_channel_op(struct client *cl, struct op *op, const struct ochan *c);

/* http_client.c */
void http_send(struct client *cl, struct http_client *h, const struct op *op);
/* Reads what has come; answers go to answer_judge. */
void http_read(struct client *cl, struct http_client *h);
void put_json_string(struct bytes *b, struct str_view s);
void http_drop(struct client *cl, struct http_client *h, bool reset);

/* answer.c */
enum verdict { VERDICT_DONE, VERDICT_RETRY };
enum verdict answer_judge(struct client *cl, const struct op *op, int status, struct str_view body,
                          uint64_t pos);
/* Whether an error says "try again"; a violation when nothing can have caused it. */
bool answer_transient(struct world *w, struct str_view error);

/* socket.c */
void socket_want(struct client *cl);
/* known_pos: the client has seen, or can fetch, what was durable then. */
void socket_connect(struct client *cl, const char *ticket, const struct op *op, uint64_t known_pos);
void socket_read(struct client *cl);
void socket_drop(struct client *cl, bool reset);
/* A message over RTM; false: no room now. */
bool socket_post(struct client *cl, uint32_t number);
void socket_typing(struct client *cl, uint64_t cid);
/* Of all users, those of other workspaces too. */
void socket_watch_users(struct client *cl);
/* socket_events.c. The server said e at pos. */
void socket_on_event(struct client *cl, struct str_view e, uint64_t pos);

/* socket_view.c. It knows nothing. */
void view_begin(struct client *cl);
/* It knows what it knew; what it is told may be told again. */
void view_resume(struct client *cl, uint64_t pos);
/* It knows the messages of the channel up to pos and the rest up to members_pos: it fetches both
 * after this. */
void view_cover(struct client *cl, const struct ochan *c, uint64_t pos, uint64_t members_pos);
void view_cover_all(struct client *cl, uint64_t pos, uint64_t members_pos);
/* It is told of the message, by this text; nothing before it may be missing. */
void view_message(struct client *cl, const struct ochan *c, uint32_t number, uint32_t version);
/* An event of the channel was made at event_us by the daemon's clock; 0: it does not say. */
void view_event(struct client *cl, const struct ochan *c, uint64_t event_us);
/* It is told, by pos, of an edit, a deletion, a reaction, a pin, a join or leave of another. heard:
 * the newest row that the event can mean. */
void view_text(struct client *cl, const struct ochan *c, uint32_t number, uint32_t version,
               uint64_t pos);
void view_deleted(struct client *cl, const struct ochan *c, uint32_t number);
void view_reaction(struct client *cl, const struct ochan *c, uint32_t number, uint32_t bit,
                   bool there, uint64_t heard_pos, uint64_t pos);
void view_pin(struct client *cl, const struct ochan *c, uint32_t number, bool pinned,
              uint64_t heard_pos, uint64_t pos);
void view_member(struct client *cl, const struct ochan *c, uint8_t u, bool joined, uint64_t pos);
/* All that it should have seen it has seen, or was told to fetch. */
void socket_check_converged(struct client *cl);

void client_retry(struct client *cl, const struct op *op);
uint32_t client_token(struct client *cl); /* operator_tokens_max: none yet */

#endif
