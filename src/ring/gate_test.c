/* Shares of channels and of workspaces, and who goes first of those that wait. */
#include "ring/gate.h"

#include <stdlib.h>

#include "base/id.h"
#include "test.h"

enum { CHAN_A = 3, CHAN_B = 4, window = 4, credits_max = 90 };
static const uint64_t team1 = 101, team2 = 102, room1 = 201, room2 = 202;

struct world {
    struct gate g;
    uint32_t credits;
    struct gate_item items[128];
};

static struct world *world_new(struct gate_views *views, uint32_t self)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    gate_init(&w->g, &(struct gate_conf){.window = window, .views = views, .self = self});
    w->credits = credits_max;
    return w;
}

/* True: it was sent; else it waits. */
static bool ask(struct world *w, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team)
{
    gate_aim(&w->g, i, dst, cid, team);
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

/* The next of those that wait is sent. */
static struct gate_item *next(struct world *w, actor_id dst, bool crowds_first)
{
    struct gate_item *i = gate_next(&w->g, dst, w->credits, crowds_first);
    if (i != NULL) {
        gate_leave(&w->g, i);
        gate_sent(i);
        w->credits--;
    }
    return i;
}

static void both_call(struct world *w)
{
    struct gate_item *i = &w->items[127];
    CHECK(ask(w, i, CHAN_B, ID_NONE, team2));
    answered(w, i);
    CHECK(ask(w, i, CHAN_B, ID_NONE, team1));
    answered(w, i);
    gate_turn(&w->g, 1);
}

TEST(alone_a_workspace_has_all_credits)
{
    struct world *w = world_new(NULL, 0);
    for (uint32_t i = 0; i < credits_max; i++) {
        CHECK(ask(w, &w->items[i], CHAN_A, room1 + i, team1));
        gate_turn(&w->g, 1);
    }
    CHECK(!ask(w, &w->items[100], CHAN_A, ID_NONE, team1));
    CHECK(!w->items[100].crowded); /* no credit is left */
    answered(w, &w->items[7]);
    CHECK(next(w, CHAN_A, true) == &w->items[100]);
    free(w);
}

TEST(a_crowd_in_a_channel_stops_at_its_share_and_others_pass)
{
    struct world *w = world_new(NULL, 0);
    uint32_t n = 0;
    while (ask(w, &w->items[n], CHAN_A, room1, team1))
        n++;
    CHECK_EQ(n, credits_max * gate_crowd / (gate_crowd + 1));
    CHECK(w->items[n].crowded);
    CHECK(ask(w, &w->items[101], CHAN_A, room2, team1));
    CHECK(!ask(w, &w->items[102], CHAN_A, room1, team1)); /* behind the one that waits */
    answered(w, &w->items[0]);
    answered(w, &w->items[101]);
    CHECK(next(w, CHAN_A, false) == &w->items[n]);
    CHECK(next(w, CHAN_A, false) == NULL);
    CHECK_EQ(w->g.waiting, 1);
    CHECK_EQ(w->g.crowded_len, 1);
    free(w);
}

TEST(a_workspace_has_a_window_at_each_actor_while_another_calls)
{
    struct world *w = world_new(NULL, 0);
    both_call(w);
    uint32_t n = 0;
    while (ask(w, &w->items[n], CHAN_A, 1000 + n, team1))
        n++;
    CHECK_EQ(n, window);
    CHECK(ask(w, &w->items[100], CHAN_B, 2000, team1)); /* another actor */
    CHECK(ask(w, &w->items[101], CHAN_A, 2001, team2)); /* another workspace */
    CHECK(!ask(w, &w->items[102], CHAN_A, 2002, team1));
    answered(w, &w->items[0]);
    CHECK(!ask(w, &w->items[103], CHAN_A, 2003, team1)); /* does not overtake */
    CHECK(next(w, CHAN_A, false) == &w->items[n]);
    CHECK(next(w, CHAN_A, true) == NULL);
    free(w);
}

TEST(a_channel_leaves_room_in_the_window_of_its_workspace)
{
    struct world *w = world_new(NULL, 0);
    both_call(w);
    uint32_t n = 0;
    while (ask(w, &w->items[n], CHAN_A, room1, team1))
        n++;
    CHECK_EQ(n, window - 1);
    CHECK(!ask(w, &w->items[100], CHAN_A, room2, team1)); /* who waits goes first */
    CHECK(next(w, CHAN_A, false) == &w->items[100]);      /* if it may */
    CHECK(next(w, CHAN_A, false) == NULL);
    answered(w, &w->items[0]);
    CHECK(next(w, CHAN_A, false) == NULL);
    answered(w, &w->items[100]);
    CHECK(next(w, CHAN_A, false) == &w->items[n]);
    free(w);
}

TEST(the_window_ends_when_the_others_have_been_silent)
{
    struct world *w = world_new(NULL, 0);
    both_call(w);
    uint64_t epoch_us = (uint64_t)1 << gate_epoch_us_log2;
    struct gate_item *i = &w->items[126];
    for (uint64_t at_us = epoch_us; at_us <= 2 * epoch_us; at_us += epoch_us) {
        CHECK(w->g.several);
        gate_turn(&w->g, at_us);
        CHECK(ask(w, i, CHAN_A, ID_NONE, team1));
        answered(w, i);
    }
    CHECK(!w->g.several);
    gate_turn(&w->g, 2 * epoch_us + 1);
    gate_turn(&w->g, 9 * epoch_us); /* nobody for long */
    CHECK(ask(w, i, CHAN_A, ID_NONE, team2));
    answered(w, i);
    gate_turn(&w->g, 9 * epoch_us + 1);
    CHECK(!w->g.several);
    free(w);
}

TEST(what_another_gate_sees_counts)
{
    struct gate_views *views = gate_views_new(2);
    struct world *v = world_new(views, 0), *w = world_new(views, 1);
    uint64_t epoch_us = (uint64_t)1 << gate_epoch_us_log2;
    CHECK(ask(v, &v->items[0], CHAN_A, ID_NONE, team1));
    CHECK(ask(w, &w->items[0], CHAN_A, ID_NONE, team1));
    gate_turn(&v->g, 5 * epoch_us);
    gate_turn(&w->g, 5 * epoch_us);
    CHECK(!v->g.several && !w->g.several); /* the same one at both */
    CHECK(ask(w, &w->items[1], CHAN_A, ID_NONE, team2));
    gate_turn(&w->g, 5 * epoch_us + 1);
    gate_turn(&v->g, 5 * epoch_us + 1);
    CHECK(v->g.several && w->g.several);
    gate_turn(&v->g, 6 * epoch_us); /* w sleeps; what it saw is of the epoch before */
    CHECK(v->g.several);
    gate_turn(&v->g, 7 * epoch_us);
    CHECK(!v->g.several);
    free(v);
    free(w);
    free(views);
}

TEST(who_leaves_a_line_leaves_no_trace)
{
    struct world *w = world_new(NULL, 0);
    w->credits = 0;
    for (uint32_t i = 0; i < 3; i++)
        CHECK(!ask(w, &w->items[i], CHAN_A, room1 + i, team1));
    gate_leave(&w->g, &w->items[1]);
    gate_leave(&w->g, &w->items[2]);
    CHECK(!gate_waits(&w->items[2]) && gate_waits(&w->items[0]));
    CHECK(!ask(w, &w->items[3], CHAN_A, room1, team1));
    w->credits = 2;
    CHECK(next(w, CHAN_A, false) == &w->items[0]);
    CHECK(next(w, CHAN_A, true) == &w->items[3]);
    CHECK(next(w, CHAN_A, true) == NULL);
    CHECK_EQ(w->g.waiting, 0);
    free(w);
}
