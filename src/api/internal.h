/* api/internal.h - the acceptor's state, shared by the files of this room. A connection holds its
 * requests in order; a request owns the arena that everything about it lies in, and lives until its
 * answer is sent or, when the client has left, until whoever borrowed the arena has answered. */
#ifndef PARLEY_API_INTERNAL_H
#define PARLEY_API_INTERNAL_H

#include "api/acceptor.h"
#include "api/handles.h"
#include "api/method.h"
#include "api/rate_table.h"
#include "api/slow.h"
#include "api/transfer.h"
#include "base/log.h"
#include "base/slab.h"
#include "dir/rate.h"
#include "dir/user_json.h"
#include "http1/parse.h"
#include "http1/write.h"
#include "json/read.h"
#include "json/write.h"
#include "store/key.h"

enum {
    arena_first_bytes = 16384,
    arena_keep_max = 1024,
    arena_request_max = 12 << 20, /* a 1 MiB body, its arguments unescaped and compacted, the
                                    members made of them, the answer: each about as long again */
    arena_list_max = 64 << 20,    /* answers that list everything */
    head_bytes_max = 4096,        /* of an answer; set aside at the start, so that */
    error_body_max = 2048,        /* a refusal never fails for want of room */
    refused_body_max = 65536, /* of a refused request: longer, and the connection ends instead */
    drain_patience_part = 5,  /* of the drain's time, for clients that are slow to send or read */
    proxies_max = 64,
    signins_max = 16, /* under way per acceptor: about a second of hashing */
    id_hex_len = 32,
    span_hex_len = 16
};

/* ---- connections (conn.c) ---- */

union peer_addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct hconn {
    struct acceptor *a;
    conn_id id; /* CONN_NONE: the slot is free */
    struct request *first, *last;
    struct request *reading; /* the one whose bytes come now; it is `last` then */
    struct hconn *dirty_next;
    uint8_t *held; /* bytes that came behind what may be read now */
    uint32_t held_len, held_at;
    uint32_t under_way; /* requests that are whole and whose answer is not sent */
    uint32_t parked;
    uint32_t sending_n; /* requests in the send under way */
    uint64_t idle_since_us;
    uint64_t timer_due_us; /* what timer is armed for; 0: not */
    struct timer timer;
    union peer_addr addr;
    uint16_t listener;
    bool tls, trusted; /* trusted: the peer is a configured proxy */
    bool sending, paused, dirty;
    bool sending_file; /* what is being sent is a piece of the first request's file */
    bool ended;        /* the client sends no more */
    bool closing;      /* not one more byte is read; ends once all answers are sent */
    bool ending;       /* net_close was called */
    bool starved;      /* no memory for one more request until the present ones are sent */
};

/* ---- requests (request.c) ---- */

enum req_state {
    REQ_HEAD, /* being read */
    REQ_BODY,
    REQ_RUNNING,  /* a handler works on it, in this very call */
    REQ_PARKED,   /* waits for a credit */
    REQ_OUT,      /* another actor has it and its arena */
    REQ_LISTING,  /* writes a long list, a part each turn */
    REQ_ANSWERED, /* waits for those before it */
    REQ_SENDING,
    REQ_TRANSFER, /* waits for media's answer to a cell of its transfer */
    REQ_FILE,     /* its head is written, its body comes out of its transfer */
    REQ_UPGRADE   /* waits to be handed to a fanout */
};

enum route {
    ROUTE_NONE,
    ROUTE_API,
    ROUTE_AVATAR,
    ROUTE_RTM,
    ROUTE_UPLOAD,
    ROUTE_FILE,
    ROUTE_PUBLIC
};

struct who { /* copied from the principal: that one may be gone next turn */
    uint64_t team, uid, bot_id, app_id, scopes, tag;
    enum token_kind kind;
    uint32_t user_flags;
};

/* The header fields that matter, found in one pass. p NULL: absent. */
struct head_fields {
    struct str_view token, content_type, content_encoding, traceparent, errors, timeout,
        forwarded_for, forwarded_proto, upgrade, ws_key, ws_version;
    bool auth_bad; /* two Authorization fields that differ, or not a bearer token */
};

struct arg_value {
    bool given;
    struct str_view s;
    uint64_t n; /* number, boolean, ts or id */
};

struct chan_post;
typedef void req_then(struct request *r, const struct cell *answer);
typedef void users_then(struct request *r, uint64_t next);

struct request {
    struct acceptor *a;
    struct hconn *conn; /* NULL: the client has left */
    uint64_t handle;
    struct request *next; /* on the connection */
    enum req_state state;
    enum route route;
    enum err refused; /* judged by its head, or by media; answered once the body has passed */
    struct arena arena;
    struct http_parser *parser;
    struct http_request http;
    struct head_fields fields;
    uint64_t started_us, read_due_us, deadline_us, fed;
    uint32_t at_us[STAGE_COUNT]; /* since started_us; see stages.c */
    uint32_t passed;             /* a bit per stage */
    uint64_t turn;               /* of the token's check */
    const struct method *method;
    struct transfer *transfer; /* NULL: none */
    struct who who;
    bool known;         /* who is filled */
    bool wants_100;     /* waits for "100 Continue" */
    bool close;         /* the connection ends behind this answer */
    bool http_errors;   /* true status on API errors */
    bool signing_in;    /* counted in signins_len */
    bool secure;        /* came by TLS, here or at a trusted proxy */
    bool args_gathered; /* as the body came */
    bool goes_on;       /* half done is worse than done: neither its client's leaving, nor its
                           deadline, nor its token's end stops it any more */
    char id[id_hex_len], trace[id_hex_len], span[span_hex_len], trace_flags[2];
    /* arguments */
    struct json_member *args;
    uint32_t args_len, query_args_len;
    struct arg_value *argv;
    const char *detail; /* which argument is at fault; NULL: none */
    /* work */
    req_then *then;
    struct {
        struct gate_item gate; /* where it goes, and its place in a line */
        uint16_t type;
        bool paced; /* ws.connects_per_s */
        uint64_t cid;
        void *p;
    } out;
    void *work;                   /* the handler's own, in the arena */
    const struct chan_post *post; /* for its stamps; NULL: no post */
    struct {                      /* a list of users on its way */
        uint64_t after;
        uint32_t left;
        bool room_made; /* for all of it, or it is not known how much */
        bool with_locale;
        users_then *then;
        struct request *next; /* waits for its part of a turn too */
    } users;
    struct timer timer; /* deadline while parked */
    /* answer */
    char *head_p, *error_p;
    struct str_view head, answer_body, extra; /* head: and a short body; extra: header lines */
    struct str_view content;                  /* header lines of a body that is no JSON */
    uint64_t stream_bytes;                    /* of a body that comes out of the transfer */
    struct str_view base_url;                 /* made when first needed */
    struct buf body;
    struct json_out j;
    uint32_t retry_after_s;
    int status;
    enum err err;
};

struct proxy {
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

struct acceptor {
    struct acceptor_conf conf;
    struct turn *t; /* of the present call */
    uint64_t turn;  /* counts end_turn */
    struct hconn *conns;
    uint32_t conns_cap, conns_len;
    struct slab requests;
    struct transfers transfers;
    struct arena_pool pool;
    struct http_limits limits;
    struct json_reader *json;
    struct hconn *dirty;
    struct request *abandoned; /* went on without a client, and are done: freed in this turn */
    struct request *listing, **listing_last; /* in order of their next part */
    struct gate gate;
    uint32_t held_len;          /* of those that wait: who asks for a ticket */
    uint64_t connect_due_us;    /* the next ticket may be asked for: ws.connects_per_s */
    struct timer connect_timer; /* armed while some wait for that */
    uint32_t hist_next;         /* reads go round */
    bool draining;
    uint64_t drain_late_us; /* from then on nobody is waited for */
    struct proxy proxies[proxies_max];
    uint32_t proxies_len;
    struct rate_table address_rates, token_rates; /* by address; by token and method */
    struct rate_table signin_rates;               /* by address and by account */
    uint32_t signins_len;                         /* with the login actor */
    struct rate tiers[TIER_COUNT];
    struct method_index methods;
    uint64_t undocumented[method_slots / 2 / 64]; /* bits of methods of which the log has said it */
    struct slow_table slow;
    struct handles handles;
    char scopes_all[1024]; /* what a token with every scope is told */
};

extern const struct net_owner_ops acceptor_net_ops;
void hconn_mark(struct hconn *c); /* hconn_step is owed at the end of the turn */
void hconn_step(struct hconn *c); /* sends, reads on, hands over or ends: whatever is due */
/* Ends it if nothing is under way; late: nor waits for what the client still has to send or read.
 */
void hconn_drain(struct hconn *c, bool late);
void hconn_reset(struct hconn *c); /* an answer cannot go on */
void hconn_free(struct hconn *c);
/* Bytes of this connection may be parsed now. */
bool hconn_blocked(const struct hconn *c);

/* NULL: no memory. */
struct request *req_new(struct hconn *c);
void req_free(struct request *r);
void req_abandon(struct request *r); /* its answer has no client any more */
void req_free_abandoned(struct acceptor *a);
void req_begins(struct request *r); /* its first byte has come */
void req_head_done(struct request *r);
void req_whole(struct request *r);
/* The bytes are no request, or came too late: answered, then the end. What the head was refused for
 * goes before what is wrong with its body. */
void req_end(struct request *r, enum err err);
/* Refuses what is still being read: answered once the body has passed, or at once where that would
 * take too long. */
void req_refuse(struct request *r, enum err err);
bool req_has_body(const struct request *r);
/* Token, scope and kind of caller, by the head and the arguments that are here. */
MUST_USE enum err req_authorise(struct request *r);
/* Sends a cell to dst; r waits, parked if need be, and then() gets the answer. p lies in r's arena.
 */
void req_send(struct request *r, actor_id dst, uint16_t type, uint64_t cid, void *p,
              req_then *then);
/* The same, at the pace of ws.connects_per_s at most. No other request goes to such a dst. */
void req_send_paced(struct request *r, actor_id dst, uint16_t type, void *p, req_then *then);
void req_on_answer(struct acceptor *a, const struct cell *c);

/* ---- waiting for a credit (park.c) ---- */

void park_resume(struct acceptor *a); /* sends what may go, at the end of a turn */
void park_revoke(struct acceptor *a);
void park_leave(struct request *r); /* not parked: nothing */
actor_id req_chan(const struct request *r, uint64_t cid);
actor_id req_hist(struct request *r);

/* ---- stages (stages.c) ---- */

void stage_mark(struct request *r, enum stage s); /* passed in this turn */
/* What chan wrote into the post; as soon as it is back, while those lines are in the cache. */
void stages_take_post(struct request *r);
/* Nothing more happens to it: counted, told to who traces, kept if it was slow. */
void stages_done(struct request *r);

/* ---- judging (head.c, auth.c, address.c, proxy.c, args.c) ---- */

/* Fields, trace, path: what the head alone tells. */
MUST_USE enum err head_judge(struct request *r);
void head_name(struct request *r); /* its ids, for the answer and the log */
/* By the Authorization field; without one the address's rate is taken, and ERR_OK leaves the token
 * to auth_by_args. */
MUST_USE enum err auth_by_head(struct request *r);
MUST_USE enum err auth_by_args(struct request *r);
/* For a file: the header's token only, of a member, with the scope. */
MUST_USE enum err auth_for_file(struct request *r);
MUST_USE enum err auth_again(struct request *r); /* after a turn: is the token still good? */
MUST_USE enum err proxies_parse(struct acceptor *a, const char *list);
bool proxies_have(const struct acceptor *a, const union peer_addr *addr);
MUST_USE enum err address_take_rate(struct request *r);
void address_key(const struct request *r, uint64_t key[2]); /* of IPv6 the network's half */
/* The client's address, IPv4 as ::ffff:a.b.c.d; zeros when there is none, as for a Unix socket. */
void proxy_client_ip(const struct request *r, uint8_t ip[16]);
/* The client's address as text: the peer's, or what trusted proxies say. */
struct str_view proxy_client(const struct request *r, char *out, size_t cap);
MUST_USE enum err args_gather(struct request *r);
MUST_USE enum err args_check(struct request *r);
const struct json_value *args_find(const struct request *r, struct str_view name);
/* By a name of the method's row. */
const struct arg_value *arg(const struct request *r, const char *name);
/* From now on its text is s, in the request's arena. */
void arg_replace(struct request *r, const char *name, struct str_view s);
MUST_USE enum err cursor_read(struct request *r, const char *key, struct str_view *value);
/* "response_metadata":{"next_cursor":...}; empty value: the end. */
void cursor_write(struct request *r, const char *key, struct str_view value);
/* The same of a page that ends at a ts or an id; 0: the end. */
void cursor_write_u64(struct request *r, const char *key, uint64_t value);
/* Of lists in numbered pages, as many as the method's row lets page be: which one is asked for, by
 * the argument cursor ("*": the first), else by page; and the cursor of the page behind it. */
MUST_USE enum err page_read(struct request *r, uint32_t *page);
void page_cursor_write(struct request *r, uint32_t count, uint32_t total, uint32_t page);
/* "paging":{"count","total","page","pages"} */
void paging_write(struct request *r, uint32_t count, uint32_t total, uint32_t page);

/* ---- answers (answer.c) ---- */

void answer_begin(struct request *r); /* {"ok":true; members follow through r->j */
void answer_begin_sized(struct request *r, size_t bytes); /* how much room to begin with */
void answer_end(struct request *r);
void answer_error(struct request *r, enum err err);
bool answer_refused(struct request *r, const struct cell *c); /* by its error, if it has one */
void answer_done(struct request *r, const struct cell *c);    /* {"ok":true} or that; a req_then */
/* With a body of the caller's making. */
void answer_body(struct request *r, enum err err, struct str_view body);
void answer_preflight(struct request *r);
/* No JSON: fields say what it is and how long it may be kept. */
void answer_file(struct request *r, struct str_view fields, struct str_view body);
void answer_text(struct request *r, enum err err, struct str_view text); /* plain */
/* The head of an answer whose body of so many bytes comes out of the transfer, if it has one. */
void answer_stream(struct request *r, int status, struct str_view fields, uint64_t bytes);
/* 503, end, and all but the first block of the arena is given back at once. */
void answer_nomem(struct request *r);
/* A whole answer in constant memory: 503, end. */
struct str_view answer_busy(struct acceptor *a);
void answer_url(const struct request *r, struct buf *out, bool websocket);

/* ---- shared by families ---- */

struct dir_direct_open;
/* Finds or makes the direct conversation of the members in m, the caller among them (channel.c). */
void direct_open(struct request *r, struct dir_direct_open *m, req_then *then);

/* archives/C1/p1517436010000936?thread_ts=..&cid=C1 (chat.c): what follows our own address. */
void permalink_path(struct buf *out, enum id_kind letter, uint64_t cid, uint64_t ts_us,
                    uint64_t thread_ts_us);

static inline bool req_is_admin(const struct request *r)
{
    return (r->who.user_flags & (USER_ADMIN | USER_OWNER)) != 0;
}
static inline bool req_is_guest(const struct request *r)
{
    return (r->who.user_flags & USER_GUEST) != 0;
}
struct hist_viewer;
struct hist_viewer req_viewer(const struct request *r);
struct user_view req_user_view(struct request *r); /* as this caller sees users */
/* At most limit users with an id behind `after`, in order of id. A workspace may have tens of
 * thousands: a batch is written now, the others one a turn, one list after the other.
 * then(): next is the last of them when there are more, else 0. */
void users_json(struct request *r, uint64_t after, uint32_t limit, users_then *then);
void users_step(struct acceptor *a);

/* GET /avatar/RRGGBB.png (avatar.c) */
bool avatar_path(struct str_view path, uint8_t rgb[3]);
void avatar_answer(struct request *r);

/* POST /upload/F... (upload.c): by its head, then whole. */
MUST_USE enum err upload_begin(struct request *r);
void upload_whole(struct request *r);
/* files.upload with a form (form_upload.c): its file is streamed. Others: nothing. */
MUST_USE enum err form_upload_begin(struct request *r);
/* The socket is not read while both chunks are full. */
static inline bool upload_blocked(const struct request *r)
{
    return r->transfer != NULL && req_has_body(r) && transfer_full(r->transfer);
}
/* GET /files/F.../NAME and /files-pub/F...-SECRET/NAME (download.c) */
void download_start(struct request *r);

void signin_end(struct request *r); /* signin.c: it waits for no password (any more) */

/* GET /rtm/TICKET (upgrade.c) */
void upgrade_judge(struct request *r);
void upgrade_hand_over(struct request *r);

#endif
