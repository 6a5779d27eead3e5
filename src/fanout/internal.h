/* internal.h - what the files of fanout share.
 *
 * What a socket costs while idle, in user memory of this room: struct fan_conn (208 bytes, the
 * decoder's 64 included), a 16-byte hot slot, 20 bytes of the tables that lead to it, and 8 bytes a
 * subscription: 4 in the socket's list, 4 in the channel's. A queue exists only while something is
 * queued, an ask (memberships, CHAN_SUB) only until hello. */
#ifndef PARLEY_FANOUT_INTERNAL_H
#define PARLEY_FANOUT_INTERNAL_H

#include "base/slab.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "fanout/fanout.h"
#include "fanout/fanout_msg.h"
#include "hist/hist_msg.h"
#include "json/read.h"
#include "json/write.h"
#include "ws/frame.h"

enum {
    slot_none = UINT32_MAX,
    asks_max = 1024,        /* sockets that ask for memberships at once; the others wait in line */
    sub_batch_max = 256,    /* channels of one CHAN_SUB */
    send_bytes_max = 65536, /* of one send: a part of the queue that is done within stuck_ms */
    dropped_max = 32,       /* channels of a refetch hint; more: all */
    own_bytes_max = 131072, /* one frame made here: a pong, a reply, a hint */
    own_classes = 5,
    idle_us = 30000000, /* the last subscriber is gone for so long: CHAN_IDLE */
    channels_max = 1 << 22,
    ask_arena_max = 1 << 20,
    request_arena_max = 1 << 20,
    scratch_max = 16 << 20,
    sweep_parts = 25, /* of ws.ping_ms: a look at what is stuck, idle or watched */
    chunk_pieces = 15,
    missed_margin_us = 1000000
};

/* ---- pool.c: objects of one size; grows to its high water, then only recycles ---- */

struct pool {
    size_t object_bytes;
    void *free;
    struct pool_block *blocks;
    uint32_t used;
};
void pool_init(struct pool *p, size_t object_bytes);
void pool_deinit(struct pool *p);
void *pool_take(struct pool *p); /* as it was left; NULL: no memory */
void pool_give(struct pool *p, void *object);

/* ---- tickets ---- */

struct ticket {
    uint64_t random[2];
    uint64_t team, uid, token_tag;
    uint64_t expires_us; /* steady clock */
    uint64_t since_us;   /* wall clock */
    bool resumes;
    bool batch_presence;
    uint64_t self;
    uint32_t bucket_next;
    uint32_t older, newer; /* all tickets live equally long: order of age is order of expiry */
};

struct tickets {
    struct slab slots;
    uint32_t *buckets;
    uint32_t buckets_len; /* a power of two */
    uint32_t oldest, newest;
};

/* ---- queues ---- */

/* A frame's uses inside this fanout: one plain count, so that the atomic is touched once. */
struct frame_use {
    struct frame *frame;
    uint32_t uses;
};

struct own { /* bytes made here */
    struct own *next;
    uint32_t size_class, len;
    uint8_t b[];
};

/* One of the two above; the lowest bit tells own bytes. */
typedef uintptr_t piece;

struct chunk { /* two cache lines */
    struct chunk *next;
    piece p[chunk_pieces];
};

struct piece_list {
    struct chunk *head, *tail;
    uint32_t len;
    uint32_t sent;      /* the first of them, with net now */
    uint8_t first, end; /* in head; in tail, one past the last */
};

struct piece_at { /* a place in a list */
    struct chunk *chunk;
    uint32_t i;
};

/* Channels that a client is told to fetch again. */
struct hint {
    uint32_t len;
    bool all; /* more than fit, or not known which */
    uint64_t cids[dropped_max];
};

/* What waits for one socket. Urgent: answer to the upgrade, hello, control frames; it passes the
 * rest. Normal: events and replies, in order; held back until hello. */
struct queue {
    uint64_t conn;
    struct piece_list urgent, normal;
    uint32_t bytes;        /* of both */
    uint32_t flight_bytes; /* of them with net now; 0: nothing is */
    uint64_t sent_us;
    struct hint *owed; /* NULL: none */
    bool dirty;
    struct queue *dirty_prev, *dirty_next;
    struct queue *prev, *next;               /* all queues, for shedding */
    struct queue *flight_prev, *flight_next; /* by sent_us, for stuck ones */
};

/* ---- sockets ---- */

enum conn_state {
    FAN_OPENING, /* 101 is out, hello is not */
    FAN_OPEN,
    FAN_CLOSING, /* the last bytes wait for the send under way */
    FAN_GONE     /* net_close was called; on_close will come */
};

struct fan_conn {
    conn_id net; /* what a delivery needs comes first */
    uint64_t self;
    uint64_t uid;
    struct queue *q;
    uint16_t requests_out;
    uint8_t state;
    bool indexed, paused, waiting, left_out;
    bool batch_presence;                     /* takes lists in presence_change */
    bool resumes;                            /* gets again what came after since_us, and nothing
                                                behind a loss before its hint */
    uint32_t subs_len, subs_cap, unsure_len; /* unsure_len of them wait for chan's word */
    uint32_t *subs;                          /* indices in subs.chans, unordered */
    uint64_t team, token_tag;
    uint32_t user_prev, user_next, team_prev, team_next; /* slots */
    uint32_t wait_prev, wait_next;
    uint64_t since_us; /* what its channels got after this (wall clock), it has not heard of */
    struct ask *ask;
    struct watched *watched; /* whose presence it wants to hear of; NULL: nobody's */
    uint8_t *held;           /* bytes that came behind the frame that filled a bound */
    uint32_t held_len;
    struct ws_decoder ws;
};

/* Swept for heartbeats without touching the sockets. */
struct hot {
    uint64_t conn; /* SLAB_NONE: free */
    uint32_t heard_ms;
    uint8_t pings; /* sent since anything was heard */
};
_Static_assert(sizeof(struct hot) == 16, "four hot slots to a cache line");

/* Sockets by a number, user or team: chains through their slots. */
struct conn_index {
    uint32_t *heads;
    uint32_t len; /* a power of two */
};

/* ---- subscriptions ---- */

struct sub_chan {
    uint64_t cid;
    uint32_t *slots; /* ascending; confirmed subscribers */
    uint32_t len, cap;
    uint32_t *unsure; /* ascending; get nothing until chan has answered for them */
    uint32_t unsure_len, unsure_cap;
    uint32_t asked; /* unsure slots below it have been asked for */
    uint32_t out;   /* asks for unsure slots that chan has not answered */
    uint32_t idle_prev, idle_next, unsure_next;
    uint64_t idle_since_us;
    uint64_t kept, kept_us; /* its newest event in the replay's ring: place + 1 and time; 0: none */
    uint64_t whole_since_us; /* what came after this (wall clock) was kept */
    uint64_t gap_us;         /* something was lost before this; 0: nothing */
    bool live, idle, asking;
    bool again; /* some of them were refused */
};

struct subs {
    struct sub_chan *chans;
    uint32_t len, cap;
    uint32_t free;  /* chain through unsure_next */
    uint32_t *hash; /* index + 1; 0: empty */
    uint32_t hash_len, used;
    uint32_t idle_first, idle_last;
    uint32_t asking_first, asking_last;
};

/* ---- replay ---- */

struct replay {
    uint8_t *ring;
    uint64_t bytes;  /* 0: nothing is kept */
    uint64_t head;   /* bytes written since the start */
    uint64_t gap_us; /* of any channel; from the first socket on, since before it nobody listened */
    bool listened;   /* there has been a socket */
    uint64_t turn_us; /* wall clock of the last turn */
};

/* ---- presence ---- */

enum { presence_ids_max = 1000 }; /* of one socket */

struct watched_by {
    uint32_t slot, at; /* the socket, and the place in its list */
};

struct watch { /* a user that some socket here watches */
    uint64_t uid;
    struct presence *p;
    struct watched_by *by;
    uint32_t by_len, by_cap; /* by_len 0: free, linked by next */
    uint32_t next;
    bool active; /* as was told last */
};

struct watches {
    struct watch *all;
    uint32_t len, cap, free;
    uint32_t at,
        left; /* where the sweep is: the user, and how many of its watchers it has not told */
    uint32_t *buckets;
    uint32_t buckets_len; /* a power of two */
};

struct watching {
    uint32_t watch, by; /* in watches.all, and the place in its list */
};

struct watched { /* the list of one socket */
    uint32_t len;
    struct watching to[];
};

struct presence_id {
    uint64_t uid;
    struct presence *p;
    bool told; /* to those who watch */
};

/* ---- asks ---- */

struct sub_req { /* lent to chan as sub */
    struct sub_req *next;
    struct ask *ask; /* NULL: of one unsure socket, from sub_pool */
    uint16_t chan;
    struct chan_sub sub;
};

/* The memberships of one socket on their way to subscriptions. Outlives the socket until all that
 * is lent has come back. */
struct ask {
    struct ask *next; /* of those with something unsent */
    struct ask *all_prev, *all_next;
    uint64_t conn;
    struct arena arena;
    struct hist_memberships memberships;
    struct sub_req *unsent;
    uint32_t out;
    bool failed, queued;
    struct hint missed; /* channels with messages that came before chan had heard of the socket */
};

struct post_req {
    struct arena arena;
    struct gate_item gate;
    uint64_t handle;
    struct chan_post post;
    uint64_t conn, cid;
    int64_t reply_to;
    struct str_view text;
};

struct fanout {
    struct fanout_conf conf;
    struct turn *turn; /* the present one */
    struct tickets tickets;
    struct slab conns;
    struct hot *hot;
    uint32_t open, conns_max;
    uint32_t *by_net; /* slot of this room by slot of net */
    uint32_t by_net_len;
    struct conn_index users, teams;
    struct subs subs;
    struct replay replay;
    struct watches watches;
    struct pool chunks, uses, queues, hints, asks, sub_pool;
    struct own *own_free[own_classes];
    struct queue *dirty, *queues_first, *flight_first, *flight_last;
    uint64_t queued_bytes, shed_turn_us, shed_logged_us;
    uint32_t wait_first, wait_last; /* sockets waiting for an ask */
    struct ask *asks_unsent, *asks_unsent_last, *asks_first;
    uint32_t asks_out;
    uint64_t *stamps;  /* the youngest grant of interest seen from each chan; see CHAN_IDLE */
    struct slab posts; /* out, or waiting at the gate */
    struct gate gate;
    struct arena_pool arenas;
    struct arena_pool scratch_pool;
    struct arena scratch; /* of one frame from a client */
    struct json_reader *json;
    struct timer tick;
    uint64_t rest_due_us; /* steady clock: what is not done each tick */
    uint64_t swept_us;
    uint32_t acks_owed;
    actor_id acks_to;
    bool draining, retry_unsure; /* retry_unsure: refused, and none confirmed since */
    uint64_t drain_us;
};

/* Messages by socket that wait at the gate; past it they are refused. */
static inline uint32_t posts_waiting_max(const struct fanout *f)
{
    return (uint32_t)f->conf.conf->ring_request_cells - 1;
}

/* table.c */
MUST_USE enum err conns_init(struct fanout *f);
void conns_deinit(struct fanout *f);
struct fan_conn *conn_take(struct fanout *f, conn_id net); /* NULL: full */
void conn_give(struct fanout *f, struct fan_conn *c);
struct fan_conn *conn_by_net(struct fanout *f, conn_id net);
static inline struct fan_conn *conn_find(struct fanout *f, uint64_t handle)
{
    return slab_find(&f->conns, handle);
}
static inline struct fan_conn *conn_at(struct fanout *f, uint32_t slot)
{
    return (struct fan_conn *)(void *)(f->conns.slots + (size_t)slot * f->conns.slot_bytes);
}
void conn_index(struct fanout *f, struct fan_conn *c); /* by user and team */
void conn_unindex(struct fanout *f, struct fan_conn *c);
/* Walks: start with slot_none, ends with NULL; the one returned may be unindexed meanwhile only by
 * on_close, which never comes from inside. */
struct fan_conn *conn_of_user(struct fanout *f, uint64_t uid, struct fan_conn *after);
struct fan_conn *conn_of_team(struct fanout *f, uint64_t team, struct fan_conn *after);

/* ticket.c */
MUST_USE enum err tickets_init(struct tickets *t, uint32_t max);
void tickets_deinit(struct tickets *t);
void on_ticket(struct fanout *f, actor_id from, const struct cell *cell);
bool ticket_take(struct fanout *f, const char text[ticket_text_len], struct ticket *out);
void tickets_revoke(struct tickets *t, uint64_t tag, uint64_t uid);

/* piece.c */
bool pieces_add(struct pool *chunks, struct piece_list *l, piece p); /* false: no memory */
piece pieces_take(struct pool *chunks, struct piece_list *l);        /* the first */
static inline struct piece_at pieces_first(const struct piece_list *l)
{
    return (struct piece_at){l->head, l->first};
}
piece *pieces_next(struct piece_at *at); /* the one there; moves on; at most len times */
/* What is behind `end` goes; what is before it are the len first. */
void pieces_cut(struct pool *chunks, struct piece_list *l, struct piece_at end, uint32_t len);

/* queue.c */
static inline uint32_t queue_bytes(const struct fan_conn *c)
{
    return c->q == NULL ? 0 : c->q->bytes;
}
void queue_event(struct fanout *f, struct fan_conn *c, struct frame_use *use, bool typing);
/* Bytes as they go on the wire. False: no memory; the socket is closed with a reset. */
bool queue_own(struct fanout *f, struct fan_conn *c, bool urgent, const void *head, size_t head_len,
               struct str_view body);
bool queue_text(struct fanout *f, struct fan_conn *c, bool urgent, struct str_view json);
/* A refetch hint for cid (ID_NONE: all) once the queue is short; until then the channel is silent.
 */
void queue_owe(struct fanout *f, struct fan_conn *c, uint64_t cid);
void hint_add(struct hint *h, uint64_t cid);
void queue_hint(struct fanout *f, struct fan_conn *c, bool urgent, const struct hint *h);
/* Events go, owed (a hint) or not; own bytes stay, unless a socket ends before its hello: they are
 * what it was to get again. */
void queue_drop_events(struct fanout *f, struct fan_conn *c, bool owe);
void queue_dirty(struct fanout *f, struct fan_conn *c);
void queue_flush_all(struct fanout *f);
void queue_sent(struct fanout *f, struct fan_conn *c);
void queue_free(struct fanout *f, struct fan_conn *c);
/* The socket whose send has been under way longest since before then_us, or NULL. */
struct fan_conn *queue_stuck(struct fanout *f, uint64_t then_us);
void queue_free_own(struct fanout *f, struct queue *q); /* at the end: frames have no home now */
void queues_deinit(struct fanout *f);
struct frame_use *use_take(struct fanout *f, struct frame *frame);
void use_drop(struct fanout *f, struct frame_use *use);

/* subs.c */
void subs_init(struct subs *s);
void subs_deinit(struct subs *s);
uint32_t subs_find(const struct subs *s, uint64_t cid); /* slot_none: none */
bool subs_reserve(struct fan_conn *c, uint32_t len);    /* so that the list fits exactly */
/* False: its bound is reached (subs_full), or there was no memory. */
bool subs_add(struct fanout *f, struct fan_conn *c, uint64_t cid);
static inline bool subs_full(const struct fanout *f, const struct fan_conn *c)
{
    /* Those it is unsure of may be none of its own (a revalidation asks for everybody): they take
     * no room from those that are. */
    return c->subs_len - c->unsure_len >= f->conf.conf->ws_subscriptions_max;
}
void subs_unsure_all(struct fanout *f, uint64_t cid); /* every socket, subscribed or not */
bool subs_confirm(struct fanout *f, struct fan_conn *c, uint64_t cid, bool member); /* was unsure */
void subs_remove(struct fanout *f, struct fan_conn *c, uint64_t cid);
void subs_remove_all(struct fanout *f, struct fan_conn *c);
bool subs_has(const struct fanout *f, const struct fan_conn *c, uint64_t cid);
/* chan thinks that somebody listens here; if nobody does, it is told in a while. */
void subs_watch_idle(struct fanout *f, uint64_t cid);
void subs_tell_idle(struct fanout *f);
bool subs_next_unsure(struct fanout *f, uint32_t *chan, uint32_t *slot);
void subs_asked(struct fanout *f, uint32_t chan, uint32_t slot);
/* The answer to one such ask. Who was refused is asked for again when no ask is out any more: then
 * all that are still unsure were refused, and nobody is asked for twice. */
void subs_answered(struct fanout *f, uint64_t cid, bool refused);

/* replay.c */
MUST_USE enum err replay_init(struct replay *r, uint64_t bytes);
void replay_deinit(struct replay *r);
void replay_keep(struct fanout *f, struct sub_chan *h, const struct frame *frame, uint64_t except);
void replay_gap(struct fanout *f, uint64_t cid); /* events were lost; ID_NONE: of any channel */
void replay_turn(struct fanout *f);              /* once a turn: looks at the clock */
/* Something of this channel that came after the socket's since_us may have been lost here. */
MUST_USE bool replay_lost(const struct fanout *f, const struct fan_conn *c, uint64_t cid);
/* What came in this channel since the socket's since_us and a little before, in order. False: not
 * all of it is kept, and nothing was queued. */
MUST_USE bool replay_channel(struct fanout *f, struct fan_conn *c, uint64_t cid);

/* ask.c */
void ask_memberships(struct fanout *f, struct fan_conn *c);
/* Anything may be lost, memberships too: it is owed a hint for everything, and asks again. */
void ask_anew(struct fanout *f, struct fan_conn *c);
void ask_leave_line(struct fanout *f, struct fan_conn *c);
void ask_pump(struct fanout *f);
void on_memberships(struct fanout *f, const struct cell *cell);
void on_sub_ok(struct fanout *f, const struct cell *cell);

/* presence.c; ids: a JSON array */
void presence_subscribe(struct fanout *f, struct fan_conn *c, struct str_view ids); /* replaces */
void presence_query(struct fanout *f, struct fan_conn *c, struct str_view ids);
void presence_forget(struct fanout *f, struct fan_conn *c);
void presence_sweep(struct fanout *f); /* tells what has changed since it was told last */
void presence_free(struct fanout *f);

/* deliver.c */
void on_event_cell(struct fanout *f, const struct cell *cell);

/* rtm.c */
void rtm_text(struct fanout *f, struct fan_conn *c, struct str_view text);
void rtm_resume(struct fanout *f); /* posts what waited and may go; each turn */
void on_posted(struct fanout *f, const struct cell *cell);

/* conn.c */
/* Hello, and behind it what it has missed. */
void conn_ready(struct fanout *f, struct fan_conn *c, const struct hint *missed);
/* Sends what is queued of own bytes, a close frame, then closes. */
void conn_end(struct fanout *f, struct fan_conn *c, uint16_t status, struct str_view reason);
void conn_reset(struct fanout *f, struct fan_conn *c);
void conn_unblock(struct fanout *f, struct fan_conn *c); /* a bound may have been left */
void conns_revoke(struct fanout *f, uint64_t tag, uint64_t uid);
void conn_ping(struct fanout *f, struct fan_conn *c);

/* sweep.c */
void sweep_arm(struct fanout *f);
bool sweep_drain(struct fanout *f);

#endif
