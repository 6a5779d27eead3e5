/* Random days of four sockets from a seed: events, slow readers, deaths, joins, leaves, gaps,
 * revalidations. What must hold: each socket sees a channel's events in order without a hole, or a
 * refetch hint between; every frame comes home; nothing is left over. */
#include "fanout/fake_world.h"

enum { socks = 4, chans = 40, steps = 10000, seeds = 30 };

static struct {
    uint64_t sent[chans];        /* number of the newest event of each channel */
    uint64_t seen[socks][chans]; /* by each socket */
    bool excused[socks][chans];  /* a hint came, or the membership changed */
    bool member[3][chans];       /* of each user, as chan sees it */
    struct rand_src rand;
    uint64_t user[socks];
} m;

static uint64_t below(uint64_t n)
{
    return rand_below(&m.rand, n);
}

static void tune(struct conf *c)
{
    c->ws_queue_soft_bytes = 1024;
    c->ws_queue_hard_bytes = 2048;
    c->ws_queue_total_bytes = 6144;
    c->ws_tickets_max = 16;
}

static void excuse(unsigned s)
{
    for (unsigned i = 0; i < chans; i++)
        m.excused[s][i] = true;
}

static void on_text(unsigned s, struct str_view text)
{
    unsigned chan;
    unsigned long long n;
    char copy[2048];
    CHECK(text.len < sizeof copy);
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%u:%llu:", &chan, &n) == 2) {
        CHECK(n > m.seen[s][chan]);
        CHECK(n == m.seen[s][chan] + 1 || m.excused[s][chan]);
        m.seen[s][chan] = n;
        m.excused[s][chan] = false;
    } else if (strstr(copy, "\"refetch\"") != NULL) {
        if (strstr(copy, "\"all\":true") != NULL)
            excuse(s);
        for (unsigned i = 0; i < chans; i++) {
            char id[id_text_max + 3];
            size_t len = id_format(id + 1, ID_CHANNEL, 100 + i);
            id[0] = '"';
            id[len + 1] = '"';
            id[len + 2] = '\0';
            m.excused[s][i] |= strstr(copy, id) != NULL;
        }
    } else {
        CHECK(strstr(copy, "hello") != NULL || strstr(copy, "pong") != NULL);
    }
}

static void read_some(unsigned s)
{
    struct sock *k = &w.socks[s];
    uint8_t opcode;
    struct str_view payload;
    if (k->id == 0 || k->iov_len == 0)
        return;
    k->wire_len = k->read = 0;
    sent(s);
    if (k->wire_len > 4 && memcmp(k->wire, "HTTP", 4) == 0)
        head_is(s, "HTTP/1.1 101 ");
    while (frame(s, &opcode, &payload)) {
        if (opcode == WS_TEXT)
            on_text(s, payload);
    }
}

static void serve_hist(void)
{
    struct cell *c;
    uint64_t cids[chans];
    uint32_t n = 0;
    if (edge_peek(&w.req_hist, 1, &c) == 0)
        return;
    uint64_t uid = ((struct hist_memberships *)c->u.p)->uid;
    for (unsigned i = 0; i < chans; i++) {
        if (m.member[uid - 101][i])
            cids[n++] = 100 + i;
    }
    answer_hist(cids, n);
}

static void serve_sub(void)
{
    struct cell c = {0};
    if (!pop(&w.req_chan, &c))
        return;
    struct chan_sub *s = c.u.p;
    for (uint64_t i = 0; i < s->n; i++) {
        s->chans[i].member = m.member[s->uid - 101][s->chans[i].cid - 100];
    }
    c.type = FAN_SUB_OK;
    c.flags = CELL_F_ANSWER;
    c.err = below(50) == 0 && s->n == 1 ? ERR_SERVICE_UNAVAILABLE : ERR_OK;
    outbox_credit_back(&w.out, CHAN);
    give(CHAN, CLASS_EVENT, &c);
}

static void open_or_close(unsigned s)
{
    char ticket[ticket_text_len];
    if (w.socks[s].id != 0) {
        close_now(s, ERR_CLOSED);
        return;
    }
    m.user[s] = 1 + below(3);
    if (issue(m.user[s], ticket) != ERR_OK)
        return;
    excuse(s);
    adopt(s, ticket);
}

static void change_membership(void)
{
    uint64_t user = below(3), chan = below(chans);
    bool in = !m.member[user][chan], lost = below(4) == 0;
    m.member[user][chan] = in;
    for (unsigned s = 0; s < socks; s++)
        m.excused[s][chan] |= m.user[s] == user + 1;
    if (lost)
        tell(FAN_REVALIDATE, CHAN, 100 + chan, 0);
    else
        tell(in ? FAN_JOINED : FAN_LEFT, CHAN, 100 + chan, 101 + user);
}

static void say(void)
{
    char body[600];
    uint64_t chan = below(3) == 0 ? below(chans) : below(4);
    bool lost = below(40) == 0;
    int n =
        snprintf(body, sizeof body, "%u:%llu:", (unsigned)chan, (unsigned long long)++m.sent[chan]);
    size_t pad = (size_t)below(400);
    memset(body + n, 'x', pad);
    body[(size_t)n + pad] = '\0';
    if (lost)
        tell(FAN_GAP, CHAN, 100 + chan, 0);
    else
        event(100 + chan, body, 0, 0);
}

/* Both ends of every subscription are there, once, and the table finds each channel. */
static void check_tables(void)
{
    uint64_t at_chans = 0, at_conns = 0;
    const struct subs *t = &w.f->subs;
    for (uint32_t i = 0; i < t->len; i++) {
        const struct sub_chan *h = &t->chans[i];
        at_chans += h->len + h->unsure_len;
        CHECK(!h->live || subs_find(t, h->cid) == i);
        for (uint32_t k = 1; k < h->len; k++)
            CHECK(h->slots[k - 1] < h->slots[k]);
    }
    for (unsigned s = 0; s < socks; s++)
        at_conns += w.socks[s].id == 0 ? 0 : conn_by_net(w.f, w.socks[s].id)->subs_len;
    CHECK_EQ(at_chans, at_conns);
}

static void step(void)
{
    unsigned s = (unsigned)below(socks);
    switch (below(12)) {
    case 0:
        serve_hist();
        break;
    case 1:
    case 2:
        serve_sub();
        break;
    case 3:
        if (below(8) == 0)
            open_or_close(s);
        break;
    case 4:
        if (below(6) == 0)
            change_membership();
        break;
    case 5:
        read_some((unsigned)below(2)); /* two of them read more often */
        break;
    case 6:
        read_some(s);
        break;
    case 7:
        if (w.socks[s].id != 0 && !w.socks[s].paused && w.socks[s].closed == 0)
            client(s, WS_TEXT, "{\"type\":\"ping\",\"id\":1}");
        break;
    case 8:
        advance(below(40) == 0 ? 31000 : below(500)); /* channels are forgotten, readers cut */
        break;
    default:
        say();
    }
    if (below(3) == 0)
        end_turn();
    for (unsigned i = 0; i < socks; i++) {
        if (w.socks[i].closed != 0)
            close_now(i, ERR_OK);
    }
    frames_come_home();
    check_tables();
}

/* Everybody answers and reads: then all that was said has been seen or excused. */
static void settle(void)
{
    for (int i = 0; i < 2000; i++) {
        serve_hist();
        serve_sub();
        end_turn();
        for (unsigned s = 0; s < socks; s++)
            read_some(s);
        if (i % 100 == 0)
            advance(1100);
    }
    for (unsigned s = 0; s < socks; s++) {
        for (unsigned c = 0; c < chans && w.socks[s].id != 0; c++) {
            struct fan_conn *k = conn_by_net(w.f, w.socks[s].id);
            CHECK_EQ(k->state, FAN_OPEN);
            CHECK_EQ(subs_has(w.f, k, 100 + c), m.member[m.user[s] - 1][c]);
            if (m.member[m.user[s] - 1][c])
                CHECK(m.seen[s][c] == m.sent[c] || m.excused[s][c]);
        }
    }
}

TEST(every_event_is_seen_in_order_or_excused)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        begin(tune);
        memset(&m, 0, sizeof m);
        rand_init_seeded(&m.rand, seed);
        for (unsigned i = 0; i < 3 * chans; i++)
            m.member[i / chans][i % chans] = below(3) != 0;
        print_message("seed %llu\n", (unsigned long long)seed);
        for (int i = 0; i < steps; i++)
            step();
        settle();
        end();
    }
}
