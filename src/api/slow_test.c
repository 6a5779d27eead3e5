/* The table of slow requests: bounded, ranked, forgetting; and what an acceptor puts into it. */
#include "api/slow.h"
#include "api/acceptor_msg.h"
#include "api/test_world.h"

static const uint64_t window_us = UINT64_C(1000000) * slow_window_s;

static bool offer(struct slow_table *t, uint32_t own_us, uint64_t now_us)
{
    return slow_offer(t, own_us, now_us) != NULL;
}

TEST(the_table_keeps_the_slowest_of_many_in_order)
{
    static struct slow_table t;
    struct slow_entry out[slow_entries_max];
    t = (struct slow_table){0};
    /* 1 .. 1000, each once, in no order: 7 and 1000 have no common divisor. */
    for (uint32_t i = 0; i < 1000; i++)
        (void)offer(&t, i * 7 % 1000 + 1, 1000 + i);
    CHECK_EQ(t.len, slow_entries_max);
    CHECK_EQ(slow_read(&t, 5000, out), slow_entries_max);
    for (uint32_t i = 0; i < slow_entries_max; i++)
        CHECK_EQ(out[i].own_us, 1000 - i);
    CHECK(!offer(&t, 1000 - slow_entries_max + 1, 5000)); /* as fast as the last one: it stays */
    CHECK(offer(&t, 1000 - slow_entries_max + 2, 5000));
}

TEST(what_is_too_old_is_not_told_and_makes_room_for_anything)
{
    static struct slow_table t;
    struct slow_entry out[slow_entries_max];
    t = (struct slow_table){0};
    CHECK(offer(&t, 9000, 1000));
    for (uint32_t i = 1; i < slow_entries_max; i++)
        CHECK(offer(&t, 100 + i, 2000));
    CHECK(!offer(&t, 1, 1000 + window_us - 1));
    CHECK_EQ(slow_read(&t, 1000 + window_us - 1, out), slow_entries_max);
    CHECK_EQ(out[0].own_us, 9000);
    CHECK_EQ(slow_read(&t, 1000 + window_us, out), slow_entries_max - 1);
    CHECK_EQ(out[0].own_us, 100 + slow_entries_max - 1);
    CHECK(offer(&t, 1, 1000 + window_us));
    CHECK(!offer(&t, 1, 1000 + window_us)); /* one was too old, not two */
    CHECK_EQ(slow_read(&t, 1000 + window_us, out), slow_entries_max);
    CHECK_EQ(slow_read(&t, 2000 + 2 * window_us, out), 0);
}

/* ---- an acceptor ---- */

enum { ADMIN = A_COUNT };

/* As admin asks. */
static uint32_t ask_slow(struct world *w, struct slow_entry *entries)
{
    static struct edge back;
    struct acceptor_slow m = {.entries = entries};
    struct cell request = {.type = ACCEPTOR_SLOW, .req = 77, .u.p = &m}, *run;
    CHECK_EQ(edge_init(&back, A_SELF, ADMIN, CLASS_ANSWER, 4), ERR_OK);
    outbox_wire(&w->out, &back);
    acceptor_actor_ops.on_cells(w->a, ADMIN, CLASS_REQUEST, &request, 1, &w->t);
    world_publish(w);
    CHECK_EQ(edge_peek(&back, 4, &run), 1);
    CHECK_EQ(run->req, 77);
    CHECK_EQ(run->err, ERR_OK);
    edge_deinit(&back);
    return m.len;
}

static void check_stages(const struct slow_entry *e, const uint32_t at_us[STAGE_COUNT])
{
    for (int s = 0; s < STAGE_COUNT; s++)
        CHECK_EQ(e->at_us[s], at_us[s]);
}

static uint64_t count_of(const struct world *w, enum metric_hist id)
{
    return w->metrics.hists[id].count;
}

static const char first_half[] = POST_LINE " HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN) JSON_TYPE
    "Content-Length: 32\r\n\r\n{\"channel\"";
static const char second_half[] = ":\"general\",\"text\":\"a\"}";

TEST(a_post_has_all_eight_stages)
{
    static struct slow_entry e[slow_entries_max];
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    uint64_t from_us = w->t.mono_us;
    feed(w, 0, first_half);
    w->t.mono_us = from_us + 100;
    feed(w, 0, second_half);
    struct cell c = take(w, A_CHAN);
    post_of(&c)->stepped_us = from_us + 90; /* its turn began before ours: it took nothing */
    post_of(&c)->batched_us = from_us + 170;
    post_of(&c)->durable_us = from_us + 1170;
    w->t.mono_us = from_us + 1200;
    posted(w, c, 1000000);
    CHECK_EQ(ask_slow(w, e), 0); /* not over yet */
    w->t.mono_us = from_us + 1250;
    sent(w, 0);
    CHECK_EQ(ask_slow(w, e), 1);
    CHECK_EQ(e->passed, (1u << STAGE_COUNT) - 1);
    check_stages(e, (const uint32_t[STAGE_COUNT]){0, 100, 100, 100, 170, 1170, 1200, 1250});
    CHECK_EQ(e->own_us, 1100);
    CHECK_SV(e->method, "chat.postMessage");
    CHECK_EQ(e->status, 200);
    CHECK_EQ(e->team, TEAM);
    CHECK_EQ(e->uid, ADA);
    CHECK_EQ(e->cid, CID);
    char id[slow_id_len + 1] = "";
    memcpy(id, e->request_id, slow_id_len);
    SAID(0, id);
    CHECK_EQ(count_of(w, METRIC_HIST_POST_PARSED_US), 1);
    CHECK_EQ(w->metrics.hists[METRIC_HIST_POST_BATCHED_US].sum, 70);
    CHECK_EQ(w->metrics.hists[METRIC_HIST_POST_DURABLE_US].sum, 1000);
    CHECK_EQ(w->metrics.hists[METRIC_HIST_POST_SENT_US].sum, 50);
    world_free(w);
}

TEST(what_no_chan_has_seen_lacks_its_stages)
{
    static struct slow_entry e[slow_entries_max];
    const uint32_t own =
        1u << STAGE_ACCEPTED | 1u << STAGE_PARSED | 1u << STAGE_ANSWERED | 1u << STAGE_SENT;
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, "POST /api/auth.test", BEARER(ADA_TOKEN), "");
    w->t.mono_us += 7;
    sent(w, 0);
    CHECK_EQ(ask_slow(w, e), 1);
    CHECK_EQ(e->passed, own);
    CHECK_EQ(e->at_us[STAGE_SENT], 7);
    /* Refused by chan at once: decided, never stored, not among the posts. */
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, "{\"channel\":\"general\",\"text\":\"a\"}");
    struct cell c = take(w, A_CHAN);
    w->t.mono_us += 500;
    post_of(&c)->stepped_us = w->t.mono_us;
    reply(w, A_CHAN, c, ERR_NOT_IN_CHANNEL, 0);
    sent(w, 0);
    CHECK_EQ(ask_slow(w, e), 2);
    CHECK_EQ(e->passed, own | 1u << STAGE_QUEUED | 1u << STAGE_STEPPED);
    CHECK_EQ(e->err, ERR_NOT_IN_CHANNEL);
    CHECK_EQ(count_of(w, METRIC_HIST_POST_PARSED_US), 0);
    world_free(w);
}

/* The one that a client had no patience for is the one to know about. */
TEST(a_client_that_left_is_in_the_table)
{
    static struct slow_entry e[slow_entries_max];
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, "{\"channel\":\"general\",\"text\":\"a\"}");
    struct cell c = take(w, A_CHAN);
    pass_ms(w, 5);
    leave(w, 0);
    CHECK_EQ(ask_slow(w, e), 0); /* chan has it still */
    post_of(&c)->stepped_us = post_of(&c)->batched_us = w->t.mono_us;
    pass_ms(w, 5);
    post_of(&c)->durable_us = w->t.mono_us;
    posted(w, c, 1000000);
    CHECK_EQ(ask_slow(w, e), 1);
    CHECK_EQ(e->status, 0);
    CHECK_EQ(e->own_us, 10000);
    CHECK_EQ(e->at_us[STAGE_BATCHED], 5000);
    CHECK_EQ(e->passed, (1u << STAGE_COUNT) - 1 - (1u << STAGE_SENT));
    /* Answered, not taken by the kernel any more. */
    open_conn(w, 1);
    ask(w, 1, "POST /api/auth.test", BEARER(ADA_TOKEN), "");
    leave(w, 1);
    CHECK_EQ(ask_slow(w, e), 2);
    CHECK_SV(e[1].method, "auth.test");
    CHECK_EQ(e[1].passed >> STAGE_SENT & 1, 0);
    world_free(w);
}

/* A slow client is not a slow server; half a request is none. */
TEST(a_slow_upload_does_not_rank)
{
    static struct slow_entry e[slow_entries_max];
    struct world *w = world_new();
    world_start(w);
    open_conn(w, 0);
    feed(w, 0, "POST /api/auth.test HTTP/1.1\r\nHost: h\r\n" BEARER(ADA_TOKEN));
    pass_ms(w, 3000);
    feed(w, 0, "\r\n");
    sent(w, 0);
    CHECK_EQ(ask_slow(w, e), 1);
    CHECK_EQ(e->own_us, 0);
    CHECK_EQ(e->at_us[STAGE_PARSED], 3000000);
    feed(w, 0, first_half);
    pass_ms(w, w->conf.http_body_timeout_ms + 100);
    SAID(0, " 408 ");
    sent(w, 0);
    CHECK_EQ(ask_slow(w, e), 1);
    world_free(w);
}
