/* Shares of channels and of workspaces, and who goes first of those that wait. */
#include "ring/gate.h"

#include <stdlib.h>

#include "base/id.h"
#include "test.h"

enum { CHAN_A = 3, HIST = 4, team_window = 4, channel_window = 20, credits_max = 90 };
static const uint64_t team1 = 101, team2 = 102, room1 = 201, room2 = 202;

struct world {
    struct gate g;
    uint32_t credits;
    struct gate_item items[128];
};

static struct world *world_with(uint32_t window, struct gate_views *views, uint32_t self)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    gate_init(&w->g, &(struct gate_conf){.team_window = window,
                                         .channel_window = channel_window,
                                         .views = views,
                                         .self = self});
    w->credits = credits_max;
    return w;
}

static struct world *world_new(void)
{
    return world_with(team_window, NULL, 0);
}

/* True: it was sent; else it waits. */
static bool ask(struct world *w, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team)
{
    gate_aim(&w->g, i, dst, cid, team, dst == CHAN_A);
    if (!gate_open(&w->g, i, w->credits)) {
        gate_put(&w->g, i);
        return false;
    }
    gate_sent(i);
    w->credits--;
    return true;
}

static void answered(struct world *w, struct gate_item *i)
{
    gate_back(i);
    w->credits++;
}

/* All that may go do; whether those were n, the first of them this one. */
static bool go(struct world *w, actor_id dst, const struct gate_item *first, uint32_t n)
{
    struct gate_item *i;
    uint32_t sent = 0;
    gate_scan(&w->g, dst);
    while ((i = gate_next(&w->g, dst, w->credits)) != NULL) {
        if (sent++ == 0 && i != first)
            return false;
        gate_leave(&w->g, i);
        gate_sent(i);
        w->credits--;
    }
    return sent == n;
}

static void gate_posts(struct gate *g, uint64_t cid, uint64_t team)
{
    gate_aim(g, &(struct gate_item){0}, CHAN_A, cid, team, true);
}

static void both_post(struct world *w)
{
    gate_posts(&w->g, room1, team1);
    gate_posts(&w->g, room1, team2);
    gate_turn(&w->g, 1);
}

TEST(alone_a_workspace_has_all_credits)
{
    struct world *w = world_new();
    for (uint32_t i = 0; i < credits_max; i++) {
        gate_posts(&w->g, room1 + i, team1);
        CHECK(ask(w, &w->items[i], CHAN_A, room1 + i, team1));
        gate_turn(&w->g, 1);
    }
    CHECK(!ask(w, &w->items[100], CHAN_A, ID_NONE, team1));
    CHECK(!w->items[100].over); /* no credit is left */
    CHECK(go(w, CHAN_A, NULL, 0));
    answered(w, &w->items[7]);
    CHECK(!ask(w, &w->items[101], CHAN_A, 999, team2)); /* who waits goes first */
    CHECK(go(w, CHAN_A, &w->items[100], 1));
    free(w);
}

TEST(a_crowd_in_a_channel_stops_at_its_share_and_others_pass)
{
    struct world *w = world_new();
    uint32_t n = 0;
    w->credits = 18;
    while (ask(w, &w->items[n], CHAN_A, room1, team1))
        n++;
    CHECK_EQ(n, 16); /* 8/9 of them */
    CHECK(w->items[n].over);
    CHECK(ask(w, &w->items[101], CHAN_A, room2, team1));
    CHECK(!ask(w, &w->items[102], CHAN_A, room1, team1)); /* behind the one that waits */
    answered(w, &w->items[0]);
    answered(w, &w->items[101]);
    CHECK(go(w, CHAN_A, &w->items[n], 1));
    CHECK_EQ(w->g.waiting, 1);
    free(w);
}

TEST(a_channel_has_a_window_while_another_is_posted_to)
{
    struct world *w = world_new();
    uint32_t n = 0;
    gate_posts(&w->g, room1, team1);
    gate_turn(&w->g, 1);
    while (n < 2 * channel_window && ask(w, &w->items[n], CHAN_A, room1, team1))
        n++;
    CHECK_EQ(n, 2 * channel_window); /* alone */
    gate_posts(&w->g, room2, team1);
    gate_turn(&w->g, 1);
    CHECK(!ask(w, &w->items[n], CHAN_A, room1, team1));
    CHECK(ask(w, &w->items[101], CHAN_A, room2, team1));
    CHECK(ask(w, &w->items[102], HIST, room1, team1)); /* its reads are no posts */
    for (uint32_t i = 0; i < channel_window; i++) {
        CHECK(go(w, CHAN_A, NULL, 0));
        answered(w, &w->items[i]);
    }
    answered(w, &w->items[channel_window]);
    CHECK(go(w, CHAN_A, &w->items[n], 1));
    free(w);
}

TEST(a_workspace_has_a_window_at_each_actor_while_another_posts)
{
    struct world *w = world_new();
    both_post(w);
    uint32_t n = 0;
    while (ask(w, &w->items[n], CHAN_A, 1000 + n, team1))
        n++;
    CHECK_EQ(n, team_window);
    CHECK(ask(w, &w->items[100], HIST, 2000, team1));   /* another actor */
    CHECK(ask(w, &w->items[101], CHAN_A, 2001, team2)); /* another workspace */
    CHECK(!ask(w, &w->items[102], CHAN_A, 2002, team1));
    answered(w, &w->items[0]);
    CHECK(!ask(w, &w->items[103], CHAN_A, 2003, team1)); /* does not overtake */
    CHECK(go(w, CHAN_A, &w->items[n], 1));
    free(w);
}

/* A flood of reads, by who posts nothing, beside another who only reads. */
TEST(readers_have_a_window_while_another_workspace_calls)
{
    struct world *w = world_new();
    uint32_t n = 0;
    CHECK(ask(w, &w->items[100], HIST, ID_NONE, team1));
    CHECK(ask(w, &w->items[101], HIST, ID_NONE, team2));
    gate_turn(&w->g, 1);
    CHECK(!w->g.several[GATE_TEAM]);
    while (ask(w, &w->items[n], HIST, ID_NONE, team1))
        n++;
    CHECK_EQ(n, team_window - 1);
    CHECK(ask(w, &w->items[102], HIST, ID_NONE, team2));
    for (n = 50; n < 50 + 2 * team_window; n++)
        CHECK(ask(w, &w->items[n], CHAN_A, room1 + n, team1)); /* it alone posts */
    free(w);
}

TEST(a_channel_leaves_room_in_the_window_of_its_workspace)
{
    struct world *w = world_new();
    both_post(w);
    uint32_t n = 0;
    while (ask(w, &w->items[n], CHAN_A, room1, team1))
        n++;
    CHECK_EQ(n, team_window - 1);
    CHECK(!ask(w, &w->items[100], CHAN_A, room2, team1)); /* who waits goes first, */
    CHECK(go(w, CHAN_A, &w->items[100], 1));              /* if it may */
    answered(w, &w->items[0]);
    CHECK(go(w, CHAN_A, NULL, 0));
    answered(w, &w->items[100]);
    CHECK(go(w, CHAN_A, &w->items[n], 1));
    free(w);
}

TEST(a_window_of_one_lets_one_pass)
{
    struct world *w = world_with(1, NULL, 0);
    both_post(w);
    CHECK(ask(w, &w->items[0], HIST, room1, team1)); /* is being read */
    CHECK(ask(w, &w->items[1], CHAN_A, room1, team1));
    CHECK(!ask(w, &w->items[2], CHAN_A, room1, team1));
    answered(w, &w->items[1]);
    CHECK(go(w, CHAN_A, &w->items[2], 1));
    free(w);
}

/* Without credits, and then over its share: the order stays. */
TEST(nothing_is_overtaken_in_its_channel)
{
    struct world *w = world_new();
    w->credits = 0;
    CHECK(!ask(w, &w->items[0], CHAN_A, room1, team1));
    CHECK(!ask(w, &w->items[1], CHAN_A, room2, team1));
    CHECK(!ask(w, &w->items[2], CHAN_A, room1, team1));
    w->credits = 1;
    CHECK(go(w, CHAN_A, &w->items[0], 1));
    CHECK(!ask(w, &w->items[3], CHAN_A, room1, team1));
    w->credits = 2;
    CHECK(go(w, CHAN_A, &w->items[1], 2));
    CHECK(!gate_waits(&w->items[2]) && gate_waits(&w->items[3]));
    w->credits = 1;
    CHECK(go(w, CHAN_A, &w->items[3], 1));
    free(w);
}

/* The room for who waits is shared as the credits are. */
TEST(a_crowd_leaves_room_to_wait)
{
    enum { room = 18 };
    struct world *w = world_new();
    w->credits = 0;
    for (uint32_t i = 0; i < 16; i++) {
        gate_aim(&w->g, &w->items[i], CHAN_A, room1 + i, team1, true);
        CHECK(gate_has_room(&w->items[i], room - w->g.waiting));
        CHECK(!ask(w, &w->items[i], CHAN_A, room1 + i, team1));
    }
    gate_aim(&w->g, &w->items[20], CHAN_A, 999, team1, true);
    CHECK(!gate_has_room(&w->items[20], room - w->g.waiting));
    gate_aim(&w->g, &w->items[20], CHAN_A, 999, team2, true);
    CHECK(gate_has_room(&w->items[20], room - w->g.waiting));
    CHECK(!gate_has_room(&w->items[20], 0));
    free(w);
}

TEST(the_window_ends_when_the_others_have_been_silent)
{
    struct world *w = world_new();
    both_post(w);
    uint64_t epoch_us = (uint64_t)1 << gate_epoch_us_log2;
    for (uint64_t at_us = epoch_us; at_us <= 2 * epoch_us; at_us += epoch_us) {
        CHECK(w->g.several[GATE_TEAM] && !w->g.several[GATE_CHANNEL]);
        gate_posts(&w->g, room1, team1);
        gate_turn(&w->g, at_us);
    }
    CHECK(!w->g.several[GATE_TEAM]);
    gate_turn(&w->g, 9 * epoch_us); /* nobody for long */
    gate_posts(&w->g, room1, team2);
    gate_turn(&w->g, 9 * epoch_us + 1);
    CHECK(!w->g.several[GATE_TEAM]);
    free(w);
}

TEST(what_another_gate_sees_counts)
{
    struct gate_views *views = gate_views_new(2);
    struct world *v = world_with(1, views, 0), *w = world_with(1, views, 1);
    uint64_t epoch_us = (uint64_t)1 << gate_epoch_us_log2;
    gate_posts(&v->g, room1, team1);
    gate_posts(&w->g, room1, team1);
    gate_turn(&v->g, 5 * epoch_us);
    gate_turn(&w->g, 5 * epoch_us);
    CHECK(!v->g.several[GATE_TEAM] && !w->g.several[GATE_TEAM]); /* the same one at both */
    gate_posts(&w->g, room1, team2);
    gate_turn(&w->g, 5 * epoch_us + 1);
    gate_turn(&v->g, 5 * epoch_us + 1);
    CHECK(v->g.several[GATE_TEAM] && w->g.several[GATE_TEAM]);
    gate_turn(&v->g, 6 * epoch_us); /* w sleeps; what it saw is of the epoch before */
    CHECK(v->g.several[GATE_TEAM] && !v->g.several[GATE_CHANNEL]);
    gate_turn(&v->g, 7 * epoch_us);
    CHECK(!v->g.several[GATE_TEAM]);
    free(v);
    free(w);
    free(views);
}

TEST(who_leaves_the_line_leaves_no_trace)
{
    struct world *w = world_new();
    w->credits = 0;
    for (uint32_t i = 0; i < 3; i++)
        CHECK(!ask(w, &w->items[i], CHAN_A, room1 + i, team1));
    gate_leave(&w->g, &w->items[1]);
    gate_leave(&w->g, &w->items[2]);
    CHECK(!gate_waits(&w->items[2]) && gate_waits(&w->items[0]));
    CHECK(!ask(w, &w->items[3], CHAN_A, room1, team1));
    w->credits = 2;
    CHECK(go(w, CHAN_A, &w->items[0], 2));
    CHECK_EQ(w->g.waiting, 0);
    CHECK(ask(w, &w->items[4], CHAN_A, 999, team1) == false); /* no credit */
    gate_leave(&w->g, &w->items[4]);
    w->credits = 1;
    CHECK(ask(w, &w->items[4], CHAN_A, 999, team1));
    free(w);
}
