/* api/test_world.h - an acceptor between a network made of memory and neighbours that the test
 * plays itself: it sees every cell, answers when it likes, and holds the clock. Only for *_test.c.
 */
#ifndef PARLEY_API_TEST_WORLD_H
#define PARLEY_API_TEST_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "api/acceptor.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "dir/internal.h"
#include "fanout/fanout_msg.h"
#include "hist/hist_msg.h"
#include "test.h"

enum { A_SELF, A_CHAN, A_HIST, A_FAN, A_FAN2, A_DIR, A_MEDIA, A_COUNT };
enum { world_conns_max = 8, world_sent_max = 1 << 22 };
enum { TEAM = 100, OTHER_TEAM = 101, EVE = 204, ADA = 201, BOB = 202, BOT = 203, CID = 777 };
#define ADA_TOKEN  "xoxp-100-201-1-aaaaaaaa"
#define BOT_TOKEN  "xoxb-100-203-1-bbbbbbbb"
#define OLD_TOKEN  "xoxp-100-202-1-cccccccc"
#define APP_TOKEN  "xapp-100-201-1-dddddddd"
#define BARE_TOKEN "xoxp-100-201-1-eeeeeeee"
#define EVE_TOKEN  "xoxp-101-204-1-ffffffff"

struct world_conn {
    char out[world_sent_max];
    size_t len;
    bool sending, paused, closed, reset, gone;
    unsigned sends;
};

struct world {
    struct conf conf;
    struct dir *dir;
    struct dir_reader *reader;
    struct acceptor *a;
    struct outbox out;
    struct edge edges[A_COUNT], control;
    struct wheel wheel;
    struct rand_src rand;
    struct metrics metrics;
    struct turn t;
    struct world_conn conns[world_conns_max];
    bool accept_paused;
    struct net_adopt *adopted;
    actor_id adopted_by;
};

static struct world *world_of_net;

static struct world_conn *wc(conn_id c)
{
    return &world_of_net->conns[(uint32_t)c];
}

static void w_send(void *net, conn_id c, const struct iovec *v, unsigned n)
{
    (void)net;
    ASSERT(!wc(c)->sending && !wc(c)->closed && n > 0 && n <= net_iov_max);
    for (unsigned i = 0; i < n; i++) {
        ASSERT(wc(c)->len + v[i].iov_len < world_sent_max);
        memcpy(wc(c)->out + wc(c)->len, v[i].iov_base, v[i].iov_len);
        wc(c)->len += v[i].iov_len;
    }
    wc(c)->out[wc(c)->len] = '\0';
    wc(c)->sending = true;
    wc(c)->sends++;
}

static void w_pause(void *net, conn_id c)
{
    (void)net;
    wc(c)->paused = true;
}

static void w_resume(void *net, conn_id c)
{
    (void)net;
    wc(c)->paused = false;
}

static void w_close(void *net, conn_id c, enum net_close_how how)
{
    (void)net;
    wc(c)->closed = true;
    wc(c)->reset = how == NET_CLOSE_RESET;
}

static void w_handover(void *net, conn_id c, actor_id to, struct net_adopt *a)
{
    (void)net;
    ASSERT(!wc(c)->sending);
    wc(c)->gone = true;
    world_of_net->adopted = a;
    world_of_net->adopted_by = to;
}

static void w_accept_pause(void *net)
{
    ((struct world *)net)->accept_paused = true;
}

static void w_accept_resume(void *net)
{
    ((struct world *)net)->accept_paused = false;
}

static const struct net_port_ops world_port_ops = {
    w_send, w_pause, w_resume, w_close, w_handover, w_accept_pause, w_accept_resume};

/* The fanout's own function; a test of this room does not link the fanout. */
uint16_t fan_ticket_index(const char ticket[ticket_text_len])
{
    for (int i = 0; i < ticket_text_len; i++) {
        if (strchr("0123456789abcdef", ticket[i]) == NULL)
            return actors_max;
    }
    return (uint16_t)strtoul((char[]){ticket[0], ticket[1], 0}, NULL, 16);
}

static void world_token(struct world *w, const char *text, uint64_t uid, enum token_kind kind,
                        uint64_t scopes, uint64_t revoked_s)
{
    uint8_t hash[32];
    struct row_token row = {.team = uid == EVE ? OTHER_TEAM : TEAM,
                            .uid = uid,
                            .kind = kind,
                            .scopes = scopes,
                            .revoked_s = revoked_s};
    token_hash(&w->dir->tables.hasher, sv_from(text), hash);
    CHECK_EQ(tables_put_token(&w->dir->tables, hash, &row), ERR_OK);
}

static void world_people(struct world *w)
{
    struct tables *t = &w->dir->tables;
    const struct row_user users[] = {
        {.uid = ADA, .team = TEAM, .name = SV("ada"), .real_name = SV("Ada"), .email = SV("a@x.y")},
        {.uid = BOB, .team = TEAM, .name = SV("bob"), .real_name = SV("Bob")},
        {.uid = BOT,
         .team = TEAM,
         .name = SV("parrot"),
         .bot_id = 301,
         .app_id = 302,
         .flags = USER_BOT},
        {.uid = EVE, .team = OTHER_TEAM, .name = SV("eve"), .real_name = SV("Eve")}};
    const struct row_team teams[] = {
        {.team = TEAM, .domain = SV("demo"), .name = SV("Demo")},
        {.team = OTHER_TEAM, .domain = SV("other"), .name = SV("Other")}};
    for (size_t i = 0; i < ARRAY_LEN(teams); i++)
        CHECK_EQ(tables_put_team(t, &teams[i]), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(users); i++)
        CHECK_EQ(tables_put_user(t, &users[i]), ERR_OK);
    CHECK_EQ(tables_put_name(t, TABLE_CHANNELS, TEAM, SV("general"), CID, CHANNEL_PUBLIC), ERR_OK);
    world_token(w, ADA_TOKEN, ADA, TOKEN_USER, UINT64_MAX, 0);
    world_token(w, BOT_TOKEN, BOT, TOKEN_BOT, UINT64_MAX, 0);
    world_token(w, OLD_TOKEN, BOB, TOKEN_USER, UINT64_MAX, 5);
    world_token(w, APP_TOKEN, ADA, TOKEN_APP, UINT64_MAX, 0);
    world_token(w, BARE_TOKEN, ADA, TOKEN_USER, 0, 0);
    world_token(w, EVE_TOKEN, EVE, TOKEN_USER, UINT64_MAX, 0);
}

static actor_id world_chans[] = {A_CHAN}, world_hists[] = {A_HIST}, world_fans[] = {A_FAN, A_FAN2};

/* ring_cells: a power of two; credits are one less. Settings may be changed before world_start. */
static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    conf_defaults(&w->conf);
    w->conf.http_conns_max = world_conns_max;
    w->conf.ring_request_cells = 16;
    return w;
}

static void world_start(struct world *w)
{
    struct dir_conf dc = {.self = A_DIR, .frames_max = 2, .tokens_max = 64};
    world_of_net = w;
    rand_init_seeded(&w->rand, 7);
    w->t = (struct turn){.mono_us = 1000000000,
                         .wall_us = 1700000000000000,
                         .out = &w->out,
                         .rand = &w->rand,
                         .wheel = &w->wheel,
                         .metrics = &w->metrics};
    wheel_init(&w->wheel, w->t.mono_us);
    CHECK_EQ(dir_new(&w->dir, &dc), ERR_OK);
    world_people(w);
    CHECK_EQ(dir_reader_new(&w->reader, w->dir), ERR_OK);
    for (actor_id i = 1; i < A_COUNT; i++) {
        CHECK_EQ(
            edge_init(&w->edges[i], A_SELF, i, CLASS_REQUEST, (uint32_t)w->conf.ring_request_cells),
            ERR_OK);
        outbox_wire(&w->out, &w->edges[i]);
    }
    CHECK_EQ(edge_init(&w->control, A_SELF, A_DIR, CLASS_CONTROL, 4), ERR_OK);
    outbox_wire(&w->out, &w->control);
    struct acceptor_conf ac = {.self = A_SELF,
                               .chans = world_chans,
                               .hists = world_hists,
                               .fanouts = world_fans,
                               .chans_len = 1,
                               .hists_len = 1,
                               .fanouts_len = 2,
                               .dir = A_DIR,
                               .media = A_MEDIA,
                               .gate = {.team_window = (uint32_t)w->conf.api_workspace_window,
                                        .channel_window = (uint32_t)w->conf.api_channel_window},
                               .net = {&world_port_ops, w},
                               .dir_reader = w->reader,
                               .conf = &w->conf};
    CHECK_EQ(acceptor_new(&w->a, &ac), ERR_OK);
}

static void __attribute__((unused)) world_free(struct world *w)
{
    acceptor_free(w->a);
    for (actor_id i = 1; i < A_COUNT; i++)
        edge_deinit(&w->edges[i]);
    edge_deinit(&w->control);
    dir_free(w->dir);
    dir_reader_free(w->reader);
    free(w);
}

static void world_publish(struct world *w)
{
    for (uint32_t i = 0; i < w->out.dirty_len; i++)
        edge_publish(w->out.dirty[i]);
    w->out.dirty_len = 0;
}

static void end_turn(struct world *w)
{
    acceptor_actor_ops.end_turn(w->a, &w->t);
    world_publish(w);
}

static void __attribute__((unused)) pass_ms(struct world *w, uint64_t ms)
{
    w->t.mono_us += ms * 1000;
    w->t.wall_us += ms * 1000;
    wheel_advance(&w->wheel, w->t.mono_us, &w->t);
    end_turn(w);
}

static void open_conn(struct world *w, conn_id c)
{
    struct net_peer peer = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&peer.addr;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(0x0a000001); /* 10.0.0.1 */
    acceptor_net_ops.on_open(w->a, c, &peer, &w->t);
    end_turn(w);
}

/* As net does: nothing arrives at a paused or closed connection. */
static void feed_bytes(struct world *w, conn_id c, const char *text, size_t len)
{
    uint8_t *copy = calloc(1, len + 64);
    memcpy(copy, text, len);
    acceptor_net_ops.on_data(w->a, c, copy, len, &w->t);
    free(copy);
    end_turn(w);
}

static void __attribute__((unused)) feed(struct world *w, conn_id c, const char *text)
{
    feed_bytes(w, c, text, strlen(text));
}

static void sent(struct world *w, conn_id c)
{
    CHECK(w->conns[c].sending);
    w->conns[c].sending = false;
    acceptor_net_ops.on_sent(w->a, c, ERR_OK, &w->t);
    end_turn(w);
}

static void __attribute__((unused)) leave(struct world *w, conn_id c)
{
    acceptor_net_ops.on_close(w->a, c, ERR_CLOSED, &w->t);
    end_turn(w);
}

/* The client sends no more. */
static void __attribute__((unused)) feed_end(struct world *w, conn_id c)
{
    acceptor_net_ops.on_end(w->a, c, &w->t);
    end_turn(w);
}

/* Takes the next request that actor was sent. */
static struct cell take(struct world *w, actor_id actor)
{
    struct cell *run;
    uint32_t n = edge_peek(&w->edges[actor], 1, &run);
    CHECK_EQ(n, 1);
    struct cell c = *run;
    edge_consume(&w->edges[actor], 1);
    return c;
}

static bool __attribute__((unused)) asked(struct world *w, actor_id actor)
{
    return !edge_empty(&w->edges[actor]);
}

static void reply(struct world *w, actor_id actor, struct cell c, enum err err, uint16_t flags)
{
    c.err = err;
    c.flags = flags;
    outbox_credit_back(&w->out, actor);
    acceptor_actor_ops.on_cells(w->a, actor, CLASS_ANSWER, &c, 1, &w->t);
    end_turn(w);
}

static struct chan_post *post_of(const struct cell *c)
{
    CHECK_EQ(c->type, CHAN_POST);
    return c->u.p;
}

static void __attribute__((unused)) posted(struct world *w, struct cell c, uint64_t ts_us)
{
    post_of(&c)->ts_us = ts_us;
    reply(w, A_CHAN, c, ERR_OK, 0);
}

static const char *__attribute__((unused)) said(struct world *w, conn_id c)
{
    return w->conns[c].out;
}

static void forget(struct world *w, conn_id c)
{
    w->conns[c].len = 0;
    w->conns[c].out[0] = '\0';
}

#define SAID(c, text)                                                                              \
    do {                                                                                           \
        if (strstr(said(w, (c)), (text)) == NULL)                                                  \
            print_error("said: %s\nwithout: %s\n", said(w, (c)), (text));                          \
        CHECK(strstr(said(w, (c)), (text)) != NULL);                                               \
    } while (0)
#define NOT_SAID(c, text) CHECK(strstr(said(w, (c)), (text)) == NULL)

/* One whole request on a connection that is idle; what was said before is forgotten. */
static void __attribute__((unused))
ask(struct world *w, conn_id c, const char *line, const char *fields, const char *body)
{
    static char text[1 << 18];
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: chat.test\r\n%s", line, fields);
    if (body != NULL)
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %zu\r\n\r\n%s",
                      strlen(body), body);
    else
        n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    if (w->conns[c].sending)
        sent(w, c);
    forget(w, c);
    feed_bytes(w, c, text, (size_t)n);
}

/* A world that runs, with connection 0 open. */
static __attribute__((unused)) struct world *start(void)
{
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    return w;
}

#define BEARER(token) "Authorization: Bearer " token "\r\n"
#define JSON_TYPE     "Content-Type: application/json; charset=utf-8\r\n"
#define FORM_TYPE     "Content-Type: application/x-www-form-urlencoded\r\n"
#define POST_LINE     "POST /api/chat.postMessage"
#define POSTED        "\"ok\":true,\"channel\":\"CR9\",\"ts\":\"0000000001.000000\""

/* n posts, one behind the other on a connection: m0, m1, ... */
static const char post_text[] __attribute__((unused)) = POST_LINE
    " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE "Content-Length: %zu\r\n\r\n%s";

static void __attribute__((unused)) pipeline(char *out, size_t cap, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"channel\":\"general\",\"text\":\"m%d\"}", i);
        at += (size_t)snprintf(out + at, cap - at, post_text, strlen(body), body);
    }
}

#endif
