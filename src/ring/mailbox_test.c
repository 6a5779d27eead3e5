#include "ring/mailbox.h"

#include <pthread.h>

#include "test.h"

static struct edge make(uint32_t size)
{
    struct edge e;
    CHECK_EQ(edge_init(&e, 0, 1, CLASS_REQUEST, size), ERR_OK);
    return e;
}

TEST(staged_cells_are_unseen_until_published)
{
    struct edge e = make(8);
    edge_stage(&e)->req = 7;
    struct cell *run;
    CHECK_EQ(edge_peek(&e, 8, &run), 0);
    CHECK(edge_publish(&e));
    CHECK(!edge_publish(&e));
    CHECK_EQ(edge_peek(&e, 8, &run), 1);
    CHECK_EQ(run[0].req, 7);
    edge_consume(&e, 1);
    CHECK(edge_empty(&e));
    edge_deinit(&e);
}

TEST(full_at_size_minus_one_and_room_returns)
{
    struct edge e = make(2);
    CHECK_EQ(edge_room(&e), 1);
    CHECK(edge_stage(&e) != NULL);
    CHECK(edge_stage(&e) == NULL);
    CHECK_EQ(e.full, 1);
    edge_publish(&e);
    CHECK(edge_stage(&e) == NULL);
    edge_consume(&e, 1);
    CHECK_EQ(edge_room(&e), 1);
    edge_deinit(&e);
}

TEST(a_run_ends_at_the_wrap)
{
    struct edge e = make(4);
    struct cell *run;
    for (int i = 0; i < 3; i++)
        edge_stage(&e);
    edge_publish(&e);
    CHECK_EQ(edge_peek(&e, 8, &run), 3);
    edge_consume(&e, 3);
    for (uint64_t i = 0; i < 3; i++)
        edge_stage(&e)->req = i;
    edge_publish(&e);
    CHECK_EQ(edge_peek(&e, 8, &run), 1);
    CHECK_EQ(run[0].req, 0);
    edge_consume(&e, 1);
    CHECK_EQ(edge_peek(&e, 8, &run), 2);
    CHECK_EQ(run[1].req, 2);
    edge_consume(&e, 2);
    edge_deinit(&e);
}

enum { cells_total = 200000 };

static void *produce(void *arg)
{
    struct edge *e = arg;
    for (uint64_t i = 0; i < cells_total;) {
        struct cell *c = edge_stage(e);
        if (c != NULL) {
            c->req = i;
            c->u.u[4] = ~i;
            i++;
        }
        if (c == NULL || i % 16 == 0)
            edge_publish(e);
    }
    edge_publish(e);
    return NULL;
}

TEST(two_threads_every_cell_once_in_order)
{
    struct edge e = make(64);
    pthread_t t;
    pthread_create(&t, NULL, produce, &e);
    uint64_t next = 0;
    while (next < cells_total) {
        struct cell *run;
        uint32_t n = edge_peek(&e, 32, &run);
        for (uint32_t i = 0; i < n; i++, next++) {
            if (run[i].req != next || run[i].u.u[4] != ~next)
                fail_msg("cell %llu", (unsigned long long)next);
        }
        if (n > 0)
            edge_consume(&e, n);
    }
    pthread_join(t, NULL);
    edge_deinit(&e);
}
