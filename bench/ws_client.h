/* ws_client.h - RTM sockets: rtm.connect, upgrade, hello, events; comes back after every loss.
 * Remembers when it was connected and which gaps were announced, for the delivery audit.
 * Source: RFC 6455; Slack rtm.connect. Thread: main. */
#ifndef PARLEY_BENCH_WS_CLIENT_H
#define PARLEY_BENCH_WS_CLIENT_H

#include "http_client.h"

struct bench;
struct ws_client;

/* [hello, loss): lost_us 0 while it holds. */
struct ws_span {
    uint64_t hello_us, lost_us;
};
struct ws_hint {
    uint64_t at_us;
    char channel[16]; /* empty: all channels */
};

enum ws_state { WS_CLOSED, WS_ASKING, WS_CONNECTING, WS_UPGRADING, WS_WAITING_HELLO, WS_READY };

struct ws_stats {
    uint64_t hellos, losses, hints, pings, goodbyes, malformed, refused;
    uint64_t frames, frame_bytes;
};

struct ws_set {
    struct bench *bench;
    struct ws_client *clients;
    uint32_t len;
    uint64_t ready;              /* gauge */
    uint64_t to_be_ready;        /* wanted and never ready so far */
    uint32_t asking, asking_max; /* rtm.connect to hello under way, so that no ticket grows old */
    uint32_t next_unasked;
    struct ws_stats stats;
    /* A text frame with a message's key; returns how the caller likes. */
    void (*on_message)(void *owner, struct ws_client *ws, struct str_view frame);
    void (*on_hello)(void *owner, struct ws_client *ws);
    void *owner;
};

struct ws_client {
    struct stream stream; /* first */
    struct ws_set *set;
    const char *token;
    uint32_t index;
    enum ws_state state;
    bool wanted, was_ready, counted_asking;
    char path[512], host[128];
    char accept[28];
    uint8_t *part; /* of a head or frame under way */
    size_t part_len, part_cap;
    struct http_request request;
    struct io_timer timer; /* next try, or the patience with this one */
    struct ws_span *spans;
    uint32_t spans_len, spans_cap;
    struct ws_hint *hints;
    uint32_t hints_len, hints_cap;
};

/* len sockets; socket i uses tokens[i % tokens_len]. Nothing is connected yet. */
void ws_set_init(struct ws_set *s, struct bench *b, uint32_t len, const char *const *tokens,
                 uint32_t tokens_len);
/* Connects all of them and waits until each has said hello; false: not within until_us. */
bool ws_set_connect(struct ws_set *s, uint64_t until_us);
void ws_set_close(struct ws_set *s);
enum { ws_say_max = 1024 };
/* One text frame of up to ws_say_max bytes; nothing when the socket is not ready. */
void ws_say(struct ws_client *ws, struct str_view text);
/* Lost without a Close, as when a network goes away; it comes back. */
void ws_cut(struct ws_client *ws);

#endif
