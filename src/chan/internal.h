/* chan/internal.h - shared by the files of chan/ only.
 *
 * The life of a request: on_cells queues it (op), end_turn brings it to its channel's list, loads
 * the channel when it is cold, reads the dedup rows of the turn at once and steps the lists, at
 * most chan_steps_max per channel. A step adds rows to the open batch and hangs effects on it: the
 * answer (the op itself) and events. The batch goes to log; its answer releases the effects in
 * order. */
#ifndef PARLEY_CHAN_INTERNAL_H
#define PARLEY_CHAN_INTERNAL_H

#include "chan/chan.h"
#include "chan/chan_msg.h"
#include "hist/hist_msg.h"
#include "json/write.h"
#include "ring/frame.h"
#include "store/batch.h"

enum {
    chan_steps_max = 64,   /* of one channel in one turn: a hot channel does not starve the rest */
    turn_steps_max = 1024, /* of all channels in one turn */
    turn_sub_channels_max = 4096, /* looked at for CHAN_SUB in one turn; one request at least */
    batches_max = 64,             /* made at start: one open, the others with log */
    loads_max = 64,               /* cold channels being read at once; the others wait in a list */
    pending_buckets = 4096,
    pending_row_buckets = 1024,
    fanouts_max = 64, /* bits of the interest map */
    sub_restarts_max = 4,
    owed_pays_max = 256 /* channels whose debts are tried in one turn */
};

/* ---- intrusive lists ---- */

struct link {
    struct link *prev, *next; /* NULL: in no list */
};

static inline void list_init(struct link *head)
{
    head->prev = head->next = head;
}
static inline bool list_empty(const struct link *head)
{
    return head->next == head;
}
static inline void list_del(struct link *l)
{
    if (l->next == NULL)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}
static inline void list_add_tail(struct link *head, struct link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* ---- members ---- */

/* Open addressing over uids; ID_NONE is an empty slot. */
struct member_set {
    uint64_t *slots;
    uint32_t cap, len; /* cap: 0 or a power of two */
};
void member_set_free(struct member_set *s);
/* Room for `more` uids. Errors: ERR_NOMEM; the set is as it was. */
MUST_USE enum err member_set_reserve(struct member_set *s, uint32_t more);
bool member_set_has(const struct member_set *s, uint64_t uid);
void member_set_prefetch(const struct member_set *s, uint64_t uid); /* it will be asked for */
void member_set_add(struct member_set *s, uint64_t uid); /* room was reserved; not in it yet */
void member_set_del(struct member_set *s, uint64_t uid); /* it is in */

/* ---- a channel in memory ---- */

enum chan_state { CHAN_COLD, CHAN_LOADING, CHAN_READY };

struct chan {
    uint64_t cid;
    uint64_t handle; /* in the slab */
    enum chan_state state;
    bool counted;              /* in resident: from its first load to its end */
    bool changed;              /* since it came into memory */
    struct row_chan_info info; /* strings in text */
    char *text;
    struct row_chan_head head; /* as decided; may not be durable yet */
    uint64_t durable_ts_us;    /* newest durable message */
    uint64_t durable_us;       /* wall clock of the newest event that was told; never too early */
    struct member_set members;
    uint64_t interest; /* bit per fanout */
    uint64_t stamp;    /* of the newest grant of interest, see CHAN_IDLE */
    /* Bits per fanout of what must be said before anything else about the channel. */
    uint64_t gap_owed, revalidate_owed;
    struct chan_batch *batch;        /* the newest with a row of the channel, not durable yet */
    struct chan_batch *member_batch; /* the newest that changes members */
    struct row *head_row;            /* in the open batch, when batch is the open one */
    struct op *first, *last;         /* requests not stepped yet, in order */
    uint32_t ops_len;
    struct link ready;   /* has requests and may be stepped */
    struct link waiting; /* CHAN_LOADING without a load yet */
    struct link owed;
    struct link news; /* has something that search has not been told of */
    bool news_edited;
    struct link lru; /* when nothing pins it */
    struct chan *next;
};

/* ---- effects ---- */

enum effect_kind {
    EFFECT_ANSWER,  /* an op */
    EFFECT_CREATED, /* an op, CHAN_CREATED: tells the creator first */
    EFFECT_POSTED,
    EFFECT_CHANNEL_EVENT,
    EFFECT_USER_EVENT,
    EFFECT_HINT, /* for a user's sockets; nothing is owed when it is lost */
    EFFECT_JOINED,
    EFFECT_LEFT
};

struct effect {
    struct effect *next;
    enum effect_kind kind;
    struct chan *c;      /* pinned by the batch; not to be looked at when the batch has failed */
    struct frame *frame; /* NULL: none could be had, the event becomes a gap */
    uint64_t uid;        /* whose sockets, who joined, who left */
    uint64_t ts_us;      /* EFFECT_POSTED */
    uint64_t to;         /* fanouts that were interested when it was decided */
    bool leaving;        /* EFFECT_USER_EVENT */
    bool edited;         /* EFFECT_CHANNEL_EVENT: the index must see the message again */
};

/* A request from its arrival to its answer. */
struct op {
    struct effect e; /* hung on a batch: the answer */
    struct cell request;
    actor_id from;
    enum err err;
    uint16_t flags;
    uint64_t ts_us;               /* CHAN_POST: of the answer */
    uint64_t stepped_us;          /* CHAN_POST: steady clock */
    const struct view_get *dedup; /* CHAN_POST with a key: read for this step */
    uint64_t at;                  /* CHAN_SUB: channels [0, at) are known */
    uint32_t restarts;
    struct op *next;
};

/* ---- batches ---- */

struct pending_key { /* of a post that is not durable yet; in its batch's hang arena */
    uint64_t cid, uid, ts_us;
    uint8_t slot[key128_bytes];
    struct str_view client_msg_id; /* in the post's arena, which is lent as long */
    struct chan_batch *batch;
    struct pending_key *next, **link; /* of the bucket */
    struct pending_key *batch_next;
};

/* A message that was changed, or got a reply, or who follows its thread, in a batch that is not
 * durable yet: what the next change begins with. In its batch's hang arena; the row lies in the
 * batch. */
struct pending_row {
    uint64_t cid, ts_us;
    uint64_t uid; /* who follows the thread of ts_us; ID_NONE: the message itself */
    struct row *row;
    struct chan_batch *batch;
    struct pending_row *next, **link; /* of the bucket; link NULL: a newer one took its place */
    struct pending_row *batch_next;
};

struct chan_batch {
    struct batch b; /* lent to log while in flight */
    struct arena hang;
    struct effect *first, *last;
    struct pending_key *keys;
    struct pending_row *rows;
    struct row *ts_high_row;
    struct chan_batch *next;
};

struct chan_load {
    struct hist_load m; /* lent to hist */
    struct arena arena;
    struct chan *c;
    struct chan_load *next;
};

struct chan_shard {
    struct chan_conf conf;
    struct turn *turn; /* of the present call */
    uint64_t ts_mod;
    uint64_t last_ts_us; /* never lowered */
    uint64_t epoch, number;
    uint64_t stamp;
    uint8_t fanout_index[actors_max];
    uint64_t fanouts; /* a bit for each */

    /* table.c */
    struct slab *slab;
    struct chan **buckets;
    uint32_t buckets_len;
    uint32_t resident;   /* at most channels_max */
    uint64_t evicted_us; /* wall clock of the last eviction: what was forgotten was durable then */
    struct link lru_plain, lru_interest;

    /* requests; bounded by the requesters' credits and the event rings */
    struct op_chunk *chunks;
    struct op *free_ops;
    struct op *new_first, *new_last;   /* of this turn, not yet with a channel */
    struct op *subs_first, *subs_last; /* CHAN_SUB not looked at yet */
    uint32_t requests;                 /* taken and not answered */
    uint32_t parked;                   /* waiting for cold channels */
    struct link ready;

    /* load.c */
    struct arena_pool load_pool;
    struct chan_load *loads, *free_loads;
    struct link loads_waiting;

    /* commit.c */
    struct arena_pool batch_pool, hang_pool;
    struct chan_batch *batches, *free_batches;
    struct chan_batch *open;                       /* being built; NULL: none */
    struct chan_batch *flight_first, *flight_last; /* with log */
    struct pending_key *pending[pending_buckets];
    struct pending_row *pending_rows[pending_row_buckets];

    /* emit.c */
    struct frame_slab frames;
    struct link owed;
    uint64_t all_owed; /* bit per fanout: an event for one user was lost */
    struct link news;  /* channels that search has not been told of */
    struct timer news_timer;
    bool news_due;
    bool search_owed; /* a channel left memory and search could not be told */
    struct timer retry;

    /* of one turn */
    struct arena_pool scratch_pool;
    struct arena scratch;
    struct view_get *gets;
    struct key *keys;
    uint32_t gets_len;
    enum err dedup_err; /* of the read of this turn */
    char *body;
    size_t body_cap;
};

/* ---- table.c ---- */
MUST_USE enum err table_init(struct chan_shard *s);
void table_deinit(struct chan_shard *s);
struct chan *table_find(const struct chan_shard *s, uint64_t cid);
void table_prefetch(const struct chan_shard *s, uint64_t cid); /* its bucket */
struct chan *table_add(struct chan_shard *s, uint64_t cid);    /* NULL: full; state CHAN_COLD */
void table_remove(struct chan_shard *s, struct chan *c);
/* Makes room for one more resident channel. False: all are pinned. */
MUST_USE bool table_make_room(struct chan_shard *s);
/* What was loaded is wrong or of no use any more; the channel itself, its requests and its debts
 * stay. */
void table_forget(struct chan *c);
/* After anything that pins, unpins or uses c: its place among the candidates for eviction. */
void table_place(struct chan_shard *s, struct chan *c);
/* Removes c when nothing about it is worth keeping. */
void table_drop_if_empty(struct chan_shard *s, struct chan *c);

/* ---- shard.c ---- */
/* Answers now. */
void op_answer(struct chan_shard *s, struct op *op, enum err err);
/* Answers when everything decided about c so far is durable. c NULL: now. */
void op_answer_after(struct chan_shard *s, struct op *op, struct chan *c, enum err err);
/* Puts op at the end of cid's list and has the channel loaded. Errors: ERR_SERVICE_UNAVAILABLE. */
MUST_USE enum err op_queue(struct chan_shard *s, struct op *op, uint64_t cid);

/* ---- load.c ---- */
MUST_USE enum err load_init(struct chan_shard *s);
void load_deinit(struct chan_shard *s);
void load_begin(struct chan_shard *s, struct chan *c);
void load_next(struct chan_shard *s); /* starts what waits, as credits allow */
void load_done(struct chan_shard *s, const struct cell *answer);

/* ---- steps ---- */
void post_step(struct chan_shard *s, struct chan *c, struct op *op);
/* Rises whatever the clock does, and no other chan can give the same. */
uint64_t post_next_ts(const struct chan_shard *s, const struct chan *c);
/* An event about c with room for bytes, in scratch: {"type":type,"channel":..,"channel_type":..;
 * the members follow, then event_end. */
struct json_out event_begin(struct chan_shard *s, const struct chan *c, struct buf *b,
                            const char *type, size_t bytes);
/* Hangs it on the open batch for all who listen. */
struct effect *event_end(struct chan_shard *s, struct chan *c, struct json_out *j);
/* A parent has one reply more or less: tells who listens. */
void change_tell_parent(struct chan_shard *s, struct chan *c, const struct row_message *m);
void change_step(struct chan_shard *s, struct chan *c, struct op *op);
/* What stands in a message's row under "files"; p NULL: nothing. */
struct str_view change_files(const struct row_message *row);
/* Length of the JSON value at the start of s. */
size_t change_value_len(struct str_view s);
/* message_changed, once it is durable. */
void change_tell(struct chan_shard *s, struct chan *c, const struct row_message *now,
                 const struct row_message *before);
/* Writes the message anew. Errors: ERR_SERVICE_UNAVAILABLE. */
MUST_USE enum err change_rewrite(struct chan_shard *s, struct chan *c,
                                 const struct row_message *now);
/* Ends j; NULL: no memory for its text, or no frame; the event becomes a gap. */
struct frame *change_frame(struct chan_shard *s, const struct chan *c, struct json_out *j);

/* ---- what users have reacted to (reacted.c) ---- */

/* Of reacted_put: one row. Of reacted_gone: as many as there may be. */
size_t reacted_room(void);
size_t reacted_gone_room(const struct row_message *before);
/* uid's reactions on the message changed. */
void reacted_put(struct chan_shard *s, const struct chan *c, const struct row_message *before,
                 const struct row_message *now, uint64_t uid);
/* The message is deleted, its reactions with it. */
void reacted_gone(struct chan_shard *s, const struct chan *c, const struct row_message *before);

/* ---- files (file.c) ---- */

/* Room for its effect is the caller's. */
void file_tell_shared(struct chan_shard *s, struct chan *c, uint64_t uid, const struct file_id *id);
MUST_USE enum err file_gone(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                            const struct row_message *row);
MUST_USE enum err file_tell(struct chan_shard *s, struct chan *c, const struct chan_change *m);
void info_step(struct chan_shard *s, struct chan *c, struct op *op);
void show_step(struct chan_shard *s, struct chan *c, struct op *op);
void join_step(struct chan_shard *s, struct chan *c, struct op *op);
void leave_step(struct chan_shard *s, struct chan *c, struct op *op);
void invite_step(struct chan_shard *s, struct chan *c, struct op *op);
void created_step(struct chan_shard *s, struct chan *c, struct op *op);
void created_tell(struct chan_shard *s, const struct effect *e); /* EFFECT_CREATED */
void sub_step(struct chan_shard *s, struct op *op);
void sub_absent(struct chan_shard *s, struct op *op); /* the channel it waits for does not exist */
void sub_answer(struct chan_shard *s, struct op *op, enum err err);
void on_idle(struct chan_shard *s, actor_id from, const struct cell *cell);
void on_typing(struct chan_shard *s, const struct cell *cell);

/* ---- dedup.c ---- */
void dedup_gather(struct chan_shard *s, struct op *op, uint64_t cid);
void dedup_read(struct chan_shard *s);

enum dedup_found { DEDUP_NEW, DEDUP_STORED, DEDUP_PENDING, DEDUP_FAILED };
struct dedup {
    enum dedup_found found;
    uint64_t ts_us;
    struct chan_batch *batch; /* DEDUP_PENDING */
    enum err err;             /* DEDUP_FAILED */
    uint8_t slot[key128_bytes];
};
void dedup_look(struct chan_shard *s, const struct op *op, uint64_t cid, struct dedup *out);
void dedup_add(struct chan_shard *s, struct pending_key *k);
void dedup_forget(struct chan_batch *cb);

/* ---- message.c: messages that change ---- */

/* A message as it is decided so far, durable or not. Its strings lie in a batch or in scratch. */
struct message {
    struct row_message row;
    bool found; /* also when it is deleted */
};
/* Root or reply. Point reads in the middle of the step: changes are rare beside posts. Errors:
 * ERR_STORAGE_UNAVAILABLE. */
MUST_USE enum err message_look(struct chan_shard *s, uint64_t cid, uint64_t ts_us,
                               struct message *out);
/* Room that message_put takes; hang: pending_row_bytes. */
size_t message_room(const struct row_message *m);
void message_put(struct chan_shard *s, uint64_t cid, const struct row_message *m);

/* ---- pending.c ---- */
enum { pending_row_bytes = sizeof(struct pending_row) + 16 };
struct pending_row *pending_find(struct chan_shard *s, uint64_t cid, uint64_t ts_us, uint64_t uid);
/* Takes the place of an older batch's. */
void pending_add(struct chan_shard *s, uint64_t cid, uint64_t ts_us, uint64_t uid, struct row *row);
void pending_forget(struct chan_batch *cb);

/* ---- follow.c: who follows a thread ---- */

size_t follow_room(void); /* of a row; hang: pending_row_bytes, and one effect */
/* uid's following of parent's thread, as it is decided so far. Errors: ERR_STORAGE_UNAVAILABLE. */
MUST_USE enum err follow_look(struct chan_shard *s, const struct chan *c,
                              const struct row_message *parent, uint64_t uid,
                              struct row_follow *out, bool *has_row);
struct follow_reply { /* what a reply must know before it is decided */
    struct row_follow was;
    bool tell_author; /* its first one: the author follows from now on */
};
/* parent: without the reply. Errors: ERR_STORAGE_UNAVAILABLE. */
MUST_USE enum err follow_reply_look(struct chan_shard *s, const struct chan *c,
                                    const struct row_message *parent, uint64_t uid,
                                    struct follow_reply *out);
/* Whoever replies follows. Two effects at most. */
void follow_reply_put(struct chan_shard *s, struct chan *c, const struct row_message *parent,
                      uint64_t uid, uint64_t ts_us, const struct follow_reply *f);
MUST_USE enum err follow_change(struct chan_shard *s, struct chan *c, const struct chan_change *m,
                                uint16_t *flags);

/* ---- system.c ---- */
struct system_message {
    const char *subtype;             /* behind "channel_" or "group_" */
    const char *what;                /* behind "<@U1> " */
    const char *member;              /* of the JSON object, beside the text; NULL: none */
    struct str_view value, old_name; /* p NULL: none */
    uint64_t uid, inviter;
};
/* Rows' room for one with a value and an old name of so many bytes; and one effect. */
size_t system_room(size_t text);
/* Takes no number: it is unread to nobody. Raises the head's last ts: commit_head follows. */
void system_post(struct chan_shard *s, struct chan *c, const struct system_message *m);

/* ---- commit.c ---- */
MUST_USE enum err commit_init(struct chan_shard *s);
void commit_deinit(struct chan_shard *s);
/* The open batch with room for rows_bytes of rows and hang_bytes of effects, so that a step that
 * has begun to change things cannot fail. NULL: neither room nor a credit for another one. */
struct chan_batch *commit_room(struct chan_shard *s, size_t rows_bytes, size_t hang_bytes);
void commit_head(struct chan_shard *s, struct chan *c);    /* the head as it is now */
void commit_members(struct chan_shard *s, struct chan *c); /* the change of members in c->batch */
/* kind, c and what is known of the event; in the open batch, room was made by commit_room. */
struct effect *commit_effect(struct chan_shard *s, struct chan *c, enum effect_kind kind);
void commit_hang(struct chan_shard *s, struct chan_batch *cb, struct effect *e);
/* The open batch, when log has a credit and another batch is free. */
void commit_send(struct chan_shard *s);
void commit_done(struct chan_shard *s, const struct cell *answer);
enum { row_fixed_bytes = 320, head_value_max = 64 };
/* Upper bound of what one row takes of a batch's arena. */
static inline size_t row_room(size_t value_max)
{
    return row_fixed_bytes + value_max;
}
/* A value of at most value_max bytes: the buffer is made at once. */
struct buf *commit_put(struct chan_batch *cb, enum cf cf, const struct key *k, size_t value_max);

/* ---- emit.c ---- */
const char *channel_type_of(enum channel_kind kind); /* "channel" */
/* To the fanouts in `to` that are still interested; frame NULL: a gap for each. */
void emit_channel(struct chan_shard *s, struct chan *c, struct frame *f, uint64_t to);
/* Relayed or not: nobody is owed anything for it. */
void emit_typing(struct chan_shard *s, const struct chan *c, struct str_view body, uint64_t uid);
void emit_user(struct chan_shard *s, const struct effect *e);
/* To the sockets of e->uid, ID_NONE: of the whole team, where a ring has room. */
void emit_hint(struct chan_shard *s, const struct effect *e);
void emit_member(struct chan_shard *s, const struct effect *e); /* EFFECT_JOINED, _CREATED, _LEFT */
void emit_owed(struct chan_shard *s);
/* c has something new for the index; edited: an old message. Told with all others, a while later:
 * a hint for each message would wake the index as often. */
void emit_search(struct chan_shard *s, struct chan *c, bool edited);
void emit_news(struct chan_shard *s);                      /* what waits, as far as there is room */
void emit_last_news(struct chan_shard *s, struct chan *c); /* c is leaving memory */
/* Copies body into a frame; NULL is counted. */
struct frame *emit_frame(struct chan_shard *s, uint64_t cid, struct str_view body);

static inline uint64_t fanout_bit(const struct chan_shard *s, actor_id from)
{
    ASSERT(s->fanout_index[from] < fanouts_max); /* only fanouts subscribe */
    return 1ull << s->fanout_index[from];
}

#endif
