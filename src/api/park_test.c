/* Requests that cannot be sent at once: shares, order, room, deadlines, the pace of connects. */
#include "api/test_world.h"

TEST(no_credit_parks_in_order_then_refuses)
{
    struct world *w = world_new();
    w->conf.ring_request_cells = 2; /* one credit */
    w->conf.http_parked_max = 2;
    world_start(w);
    for (conn_id c = 0; c < 4; c++) {
        char body[64];
        snprintf(body, sizeof body, "{\"channel\":\"general\",\"text\":\"m%d\"}", (int)c);
        open_conn(w, c);
        ask(w, c, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    }
    struct cell first = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(w->conns[1].paused && w->conns[2].paused);
    SAID(3, "HTTP/1.1 503 ");
    SAID(3, "\"error\":\"service_unavailable\"");
    SAID(3, "Retry-After: ");
    CHECK_EQ(w->metrics.values[METRIC_RING_STALLS], 1);
    posted(w, first, 1000000);
    struct cell second = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(strstr(post_of(&second)->members.p, "m1") != NULL);
    CHECK(!w->conns[1].paused && w->conns[2].paused);
    posted(w, second, 2000000);
    struct cell third = take(w, A_CHAN);
    CHECK(strstr(post_of(&third)->members.p, "m2") != NULL);
    posted(w, third, 3000000);
    SAID(2, "\"ok\":true");
    CHECK_EQ(w->out.requests_out, 0);
    world_free(w);
}

static bool says(const struct cell *c, const char *text)
{
    return strstr(post_of(c)->members.p, text) != NULL;
}

/* A crowd in one channel stops at 8/9 of the credits: what is left is for the others, who neither
 * wait nor are refused, and who waits in the crowd goes before who comes later. */
TEST(one_channel_leaves_credits_to_the_others)
{
    enum { credits = 31, share = 28 };
    struct world *w = world_new();
    char text[16384];
    struct cell crowd[share];
    w->conf.ring_request_cells = credits + 1;
    w->conf.http_pipeline_max = share + 1;
    w->conf.api_channel_window = 64;
    w->conf.http_parked_max = 2;
    world_start(w);
    for (conn_id c = 0; c < 4; c++)
        open_conn(w, c);
    pipeline(text, sizeof text, share + 1);
    feed(w, 0, text);
    for (int i = 0; i < share; i++)
        crowd[i] = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(w->conns[0].paused);

    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=CR8&text=other");
    struct cell other = take(w, A_CHAN);
    CHECK(says(&other, "other"));
    ask(w, 2, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=late");
    CHECK(!asked(w, A_CHAN));
    ask(w, 3, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=refused");
    SAID(3, "HTTP/1.1 503 ");

    int answered = 0;
    while (!asked(w, A_CHAN) && answered < share)
        posted(w, crowd[answered++], 1000000);
    struct cell next = take(w, A_CHAN);
    CHECK(says(&next, "m28"));
    while (!asked(w, A_CHAN) && answered < share)
        posted(w, crowd[answered++], 1000000);
    struct cell late = take(w, A_CHAN);
    CHECK(says(&late, "late"));
    CHECK(answered <= 6); /* as soon as its share allows */
    while (answered < share)
        posted(w, crowd[answered++], 1000000);
    posted(w, other, 2000000);
    posted(w, next, 3000000);
    posted(w, late, 4000000);
    SAID(2, "\"ok\":true");
    CHECK_EQ(w->out.requests_out, 0);
    world_free(w);
}

static void post_as(struct world *w, conn_id c, const char *auth, const char *channel)
{
    char body[64];
    snprintf(body, sizeof body, "channel=%s&text=in_%s", channel, channel);
    char fields[256];
    snprintf(fields, sizeof fields, "%s" FORM_TYPE, auth);
    ask(w, c, POST_LINE, fields, body);
}

/* While another workspace calls, what is past the window waits, also with credits left; the other
 * one's posts pass. */
TEST(a_workspace_leaves_commits_to_another)
{
    enum { window = 3 };
    struct world *w = world_new();
    struct cell flood[window];
    w->conf.api_workspace_window = window;
    w->conf.http_parked_max = 8;
    world_start(w);
    for (conn_id c = 0; c < 8; c++)
        open_conn(w, c);
    post_as(w, 0, BEARER(ADA_TOKEN), "CR8"); /* not in the bucket of another */
    post_as(w, 1, BEARER(EVE_TOKEN), "CR1");
    flood[0] = take(w, A_CHAN);
    posted(w, take(w, A_CHAN), 1000000);
    for (conn_id c = 2; c < 6; c++)
        post_as(w, c, BEARER(ADA_TOKEN), (const char *[]){"CR2", "CR3", "CR4", "CR5"}[c - 2]);
    for (int i = 1; i < window; i++)
        flood[i] = take(w, A_CHAN);
    CHECK(!asked(w, A_CHAN));
    CHECK(w->conns[4].paused && w->conns[5].paused);
    post_as(w, 6, BEARER(EVE_TOKEN), "CR6");
    struct cell eve = take(w, A_CHAN);
    CHECK(says(&eve, "in_CR6"));
    posted(w, eve, 2000000);
    SAID(6, "\"ok\":true");
    posted(w, flood[1], 3000000);
    struct cell next = take(w, A_CHAN);
    CHECK(says(&next, "in_CR4"));
    CHECK(!asked(w, A_CHAN));
    /* The other has been silent for long: there is no window any more. */
    pass_ms(w, 3 << (gate_epoch_us_log2 - 10));
    SAID(5, "deadline_exceeded");
    for (conn_id c = 1; c < 4; c++)
        post_as(w, c == 1 ? 7 : c, BEARER(ADA_TOKEN), "CR7");
    for (int i = 0; i < 3; i++)
        posted(w, take(w, A_CHAN), 4000000);
    posted(w, next, 5000000);
    posted(w, flood[0], 5000000);
    posted(w, flood[2], 5000000);
    CHECK_EQ(w->out.requests_out, 0);
    world_free(w);
}

static void issue_ticket(struct world *w, actor_id fan, struct cell c)
{
    struct fan_ticket *k = c.u.p;
    memset(k->ticket, 'a', sizeof k->ticket);
    reply(w, fan, c, ERR_OK, 0);
}

/* A storm of reconnects: past the burst tickets are asked for at a rate, in order, and posts of
 * other connections do not wait for them. */
TEST(tickets_are_asked_for_at_a_rate)
{
    struct world *w = world_new();
    w->conf.ws_connects_per_s = 10;
    w->conf.ws_connects_burst = 2;
    w->conf.ws_connects_held_max = 2;
    w->conf.http_parked_max = 1;
    world_start(w);
    pass_ms(w, 1000);
    for (conn_id c = 0; c < 6; c++)
        open_conn(w, c);
    for (conn_id c = 0; c < 5; c++)
        ask(w, c, "POST /api/rtm.connect", BEARER(ADA_TOKEN), "");
    actor_id fan = asked(w, A_FAN) ? A_FAN : A_FAN2;
    struct cell burst[2] = {take(w, fan), take(w, fan)};
    CHECK(!asked(w, fan));
    SAID(4, "HTTP/1.1 503 ");
    CHECK_EQ(w->metrics.values[METRIC_CONNECTS_HELD], 2);
    ask(w, 5, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=m0");
    posted(w, take(w, A_CHAN), 1000000);
    SAID(5, "\"ok\":true");
    for (conn_id c = 2; c < 4; c++) {
        pass_ms(w, 80);
        CHECK(!asked(w, fan));
        pass_ms(w, 30);
        issue_ticket(w, fan, take(w, fan));
        SAID(c, "\"ok\":true");
    }
    for (int i = 0; i < 2; i++)
        issue_ticket(w, fan, burst[i]);
    CHECK_EQ(w->out.requests_out, 0);
    world_free(w);
}

/* A credit comes home and a new request arrives in one turn: who waited goes first. */
TEST(nobody_overtakes_the_parked)
{
    struct world *w = world_new();
    w->conf.ring_request_cells = 2;
    world_start(w);
    for (conn_id c = 0; c < 3; c++)
        open_conn(w, c);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=m0");
    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=m1");
    struct cell c = take(w, A_CHAN);
    outbox_credit_back(&w->out, A_CHAN);
    acceptor_actor_ops.on_cells(w->a, A_CHAN, CLASS_ANSWER, &c, 1, &w->t);
    ask(w, 2, POST_LINE, BEARER(ADA_TOKEN) FORM_TYPE, "channel=general&text=m2");
    c = take(w, A_CHAN);
    CHECK(strstr(post_of(&c)->members.p, "m1") != NULL);
    posted(w, c, 1000000);
    c = take(w, A_CHAN);
    CHECK(strstr(post_of(&c)->members.p, "m2") != NULL);
    posted(w, c, 2000000);
    world_free(w);
}

TEST(parked_requests_end_at_their_deadline_or_revocation)
{
    struct world *w = world_new();
    w->conf.ring_request_cells = 2;
    world_start(w);
    const char *body = "{\"channel\":\"general\",\"text\":\"x\"}";
    for (conn_id c = 0; c < 3; c++)
        open_conn(w, c);
    ask(w, 0, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE, body);
    ask(w, 1, POST_LINE, BEARER(ADA_TOKEN) JSON_TYPE "X-Request-Timeout: 50\r\n", body);
    ask(w, 2, POST_LINE, BEARER(BOT_TOKEN) JSON_TYPE, body);
    struct cell first = take(w, A_CHAN);
    pass_ms(w, 300);
    SAID(1, "HTTP/1.1 503 ");
    SAID(1, "deadline_exceeded");
    CHECK_EQ(w->conns[2].len, 0);
    /* The bot's token is revoked: told before the revocation is acknowledged. */
    uint8_t hash[32];
    struct cell revoke = {.type = DIR_REVOKE};
    token_hash(&w->dir->tables.hasher, SV(BOT_TOKEN), hash);
    memcpy(&revoke.u.u[0], hash, sizeof revoke.u.u[0]);
    __atomic_store_n(&tables_token(&w->dir->tables, revoke.u.u[0])->state, TOKEN_REVOKED,
                     __ATOMIC_RELEASE);
    acceptor_actor_ops.on_cells(w->a, A_DIR, CLASS_CONTROL, &revoke, 1, &w->t);
    end_turn(w);
    SAID(2, "token_revoked");
    struct cell *ack;
    CHECK_EQ(edge_peek(&w->control, 1, &ack), 1);
    CHECK_EQ(ack->type, DIR_REVOKED);
    posted(w, first, 1000000);
    CHECK(!asked(w, A_CHAN));
    world_free(w);
}
