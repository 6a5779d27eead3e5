/* ledger.h - what was sent, acknowledged and delivered: the books the audits are made from.
 * A message's client_msg_id is a UUID of the run's prefix and the message's number, so that an
 * event or a row of history finds its line without a table. Thread: main. */
#ifndef PARLEY_BENCH_LEDGER_H
#define PARLEY_BENCH_LEDGER_H

#include "bench.h"
#include "ws_client.h"

enum {
    key_text_len = 36,
    key_number_len = 8,
    key_suffix_len = key_text_len - key_number_len,
    ledger_messages_max = 50 * 1000 * 1000
};

enum { ledger_root = UINT32_MAX, ledger_reactions_max = 255 };

struct message {          /* 32 bytes: a run of an hour has twenty million of them */
    uint64_t intended_us; /* steady clock; latency counts from here */
    uint64_t ts_us;       /* acknowledged; TS_NONE: not */
    uint32_t channel;
    uint32_t text;     /* what the owner's text() wants to know */
    uint32_t parent;   /* acknowledged before this one is sent; ledger_root: it is no reply */
    uint8_t stored;    /* times seen in history, 255 at most */
    uint8_t reactions; /* acknowledged, each user's by itself */
    bool sent : 1;
    bool due : 1;      /* acknowledged before the history audit began: it must find it */
    bool repeated : 1; /* was in history before this run: its events were then */
    bool threaded : 1; /* set by the audit: somebody's parent */
};

struct delivery {         /* the rest of a message, when sockets are watched */
    uint64_t written_us;  /* first byte of the first try; set with the acknowledgement */
    uint64_t event_ts_us; /* of the first event that carried it */
    uint32_t sockets;     /* that have it */
};

struct ledger {
    struct bench *bench;
    char key_suffix[key_suffix_len + 1];
    struct message *messages;
    uint32_t len, cap;
    const char **channels;       /* ids */
    const char **channel_tokens; /* of a member, to read history with */
    uint32_t channels_len;
    /* The text that message i was sent with; lives until the next call. */
    struct str_view (*text)(void *owner, uint32_t i);
    void *owner;
    /* read from books: in place of text; and per channel what came later is another run's */
    const uint64_t *text_hashes, *newest_us;
    /* deliveries: a bit per message and socket */
    struct ws_set *sockets;         /* NULL: none */
    struct delivery *deliveries_of; /* a line per message */
    uint32_t words;                 /* per message */
    uint64_t *got, *expected;       /* expected NULL: every socket, every message */
    uint64_t *last_ts;              /* per socket and channel, of the present connection */
    uint64_t *read;                 /* as got: found in history instead; NULL: nobody catches up */
    void (*hello)(void *owner, struct ws_client *ws); /* may be NULL */
    void (*delivered)(void *owner, uint32_t i);       /* to every socket; may be NULL */
    struct hist_log *delivery_us;                     /* from intended; NULL: not measured */
    uint64_t acked, deliveries, duplicates, foreign_events;
    /* by the delivery audit */
    uint64_t caught_up, audited_deliveries, gaps_announced, missing_deliveries, stray_deliveries;
    /* by the history audit */
    uint64_t history_messages, history_foreign, stored_unacknowledged, missing_in_history;
    uint64_t threads; /* read reply by reply */
};

void ledger_init(struct ledger *l, struct bench *b, uint64_t seed);
void ledger_deinit(struct ledger *l);
/* Books deliveries of these sockets; sets their callbacks. before any message. per_message: the
 * caller says who is expected, with ledger_expect. */
void ledger_watch(struct ledger *l, struct ws_set *sockets, bool per_message);
/* A new line, a root; its number. UINT32_MAX: the books are full. */
uint32_t ledger_add(struct ledger *l, uint32_t channel, uint32_t text, uint64_t intended_us);
uint64_t *ledger_expected(struct ledger *l, uint32_t i); /* words of bits, to be filled */
void ledger_key(const struct ledger *l, uint32_t i, char out[key_text_len + 1]);
/* False: no key of this run. */
bool ledger_find(const struct ledger *l, struct str_view key, uint32_t *i);

/* Waits until every delivery is there, or none came for a second; 15 s at most. */
void ledger_settle(struct ledger *l);
/* Each acknowledged message reached each socket that was connected before it was sent, or the
 * socket was told of a gap or disconnected. */
void ledger_audit_deliveries(struct ledger *l);
/* Each acknowledged message once in history, in order, with its text and its reactions; replies in
 * their threads and nowhere else; nothing else with a key. Reads each channel after its oldest
 * (oldest NULL: all of it). False: history cannot be read. With --books the books are kept then. */
bool ledger_audit_history(struct ledger *l, const uint64_t *oldest_us);
/* Of a text as it was sent, or as history has it, with its three entities. */
uint64_t ledger_text_hash(struct str_view text);
/* Keeps the books in a file of its own in dir, for parley-bench audit. A problem if it cannot. */
void ledger_write_books(struct ledger *l, const uint64_t *oldest_us, const char *dir);
/* The newest ts of each channel, to begin the audit at. */
void ledger_read_heads(struct ledger *l, uint64_t *heads_us);
void ledger_report(struct ledger *l);
/* From here every socket must see every acknowledged message, pushed or read from history; after
 * ledger_watch. */
void ledger_expect_catching_up(struct ledger *l);
/* The messages of an answer of conversations.history were read by this socket. */
void ledger_caught_up(struct ledger *l, const struct ws_client *ws, struct str_view answer);

#endif
