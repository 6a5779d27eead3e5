/* Two loops in two threads with a futex for a driver: requests, answers, credits, sleeping and
 * waking. */
#include "ring/loop.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <time.h>

#include "ring/frame.h"
#include "test.h"

struct futex_driver {
    uint32_t bell;
};

static void futex_wait_for(void *driver, uint64_t timeout_us)
{
    struct futex_driver *d = driver;
    if (timeout_us != 0 && __atomic_load_n(&d->bell, __ATOMIC_ACQUIRE) == 0) {
        struct timespec ts = {.tv_sec = 0, .tv_nsec = 50000000};
        syscall(SYS_futex, &d->bell, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
    }
    __atomic_store_n(&d->bell, 0, __ATOMIC_RELEASE);
}

static void futex_dispatch(void *driver)
{
    (void)driver;
}

static void futex_ring(void *driver, void *other)
{
    (void)driver;
    struct futex_driver *d = other;
    __atomic_store_n(&d->bell, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &d->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static const struct loop_driver_ops futex_ops = {futex_wait_for, futex_dispatch, futex_ring};

enum { asks_total = 20000 };

struct asker {
    uint64_t asked, answered, wrong;
    struct loop *loop;
};

static void asker_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                        uint32_t n, struct turn *t)
{
    (void)from, (void)class, (void)t;
    struct asker *a = self;
    for (uint32_t i = 0; i < n; i++) {
        if (cells[i].req != a->answered || cells[i].u.u[0] != cells[i].req * 2)
            a->wrong++;
        a->answered++;
    }
    if (a->answered == asks_total)
        loop_stop(a->loop);
}

static void asker_end(void *self, struct turn *t)
{
    struct asker *a = self;
    for (struct cell *c; a->asked < asks_total && (c = outbox_request(t->out, 1)) != NULL;
         a->asked++) {
        c->type = 1;
        c->req = a->asked;
    }
}

static void answerer_cells(void *self, actor_id from, enum ring_class class,
                           const struct cell *cells, uint32_t n, struct turn *t)
{
    (void)self, (void)class;
    for (uint32_t i = 0; i < n; i++)
        outbox_answer(t->out, from, &cells[i])->u.u[0] = cells[i].req * 2;
}

static void *run(void *l)
{
    loop_run(l);
    return NULL;
}

TEST(requests_are_answered_in_order_and_credits_come_home)
{
    static struct loop loops[2];
    static struct actor actors[2];
    struct futex_driver drivers[2] = {{0}, {0}};
    struct loop *peers[2] = {&loops[0], &loops[1]};
    struct asker asker = {.loop = &loops[0]};
    const struct actor_ops asker_ops = {.on_cells = asker_cells, .end_turn = asker_end};
    const struct actor_ops answerer_ops = {.on_cells = answerer_cells};
    struct edge req, ans;
    CHECK_EQ(edge_init(&req, 0, 1, CLASS_REQUEST, 8), ERR_OK);
    CHECK_EQ(edge_init(&ans, 1, 0, CLASS_ANSWER, 8), ERR_OK);
    struct edge *in[2] = {&ans, &req};
    for (uint16_t i = 0; i < 2; i++) {
        CHECK_EQ(loop_init(&loops[i], i, i == 0 ? "asker" : "answerer"), ERR_OK);
        loops[i].driver_ops = &futex_ops;
        loops[i].driver = &drivers[i];
        loops[i].peers = peers;
        actors[i] =
            (struct actor){.ops = i == 0 ? &asker_ops : &answerer_ops, .self = &asker, .id = i};
        actors[i].in = &in[i];
        actors[i].in_len = 1;
        loop_add(&loops[i], &actors[i]);
    }
    outbox_wire(&actors[0].outbox, &req);
    outbox_wire(&actors[1].outbox, &ans);
    pthread_t t[2];
    pthread_create(&t[0], NULL, run, &loops[0]);
    pthread_create(&t[1], NULL, run, &loops[1]);
    pthread_join(t[0], NULL);
    loop_stop(&loops[1]);
    futex_ring(NULL, &drivers[1]);
    pthread_join(t[1], NULL);
    CHECK_EQ(asker.answered, asks_total);
    CHECK_EQ(asker.wrong, 0);
    CHECK_EQ(actors[0].outbox.credits[1], 7);
    CHECK_EQ(actors[0].outbox.requests_out, 0);
    edge_deinit(&req);
    edge_deinit(&ans);
}

TEST(event_reserve_is_kept_for_answers)
{
    static struct outbox o;
    struct edge ev;
    CHECK_EQ(edge_init(&ev, 0, 1, CLASS_EVENT, 4), ERR_OK);
    outbox_wire(&o, &ev);
    struct cell request = {.type = 5, .req = 9};
    CHECK(outbox_event(&o, 1, 2) != NULL);
    CHECK(outbox_event(&o, 1, 2) == NULL);
    struct cell *c = outbox_event_answer(&o, 1, &request);
    CHECK_EQ(c->req, 9);
    CHECK_EQ(c->flags, CELL_F_ANSWER);
    CHECK(outbox_event_answer(&o, 1, &request) != NULL);
    edge_deinit(&ev);
}

TEST(frames_are_bounded_recycled_and_carry_their_header)
{
    struct frame_slab s;
    frame_slab_init(&s, 3, 2);
    struct frame *a = frame_take(&s, 5), *b = frame_take(&s, 300);
    CHECK(frame_take(&s, 1) == NULL);
    memcpy(a->body, "hello", 5);
    frame_release(a, 2);
    frame_release(b, 1);
    CHECK_EQ(frame_wire(a).len, 7);
    CHECK_MEM(frame_wire(a).p, "\x81\x05hello", 7);
    CHECK_MEM(frame_wire(b).p, "\x81\x7e\x01\x2c", 4);
    CHECK(!frame_drop(a));
    CHECK(frame_drop(a));
    frame_give(&s, a);
    CHECK(frame_take(&s, 9) == a);
    CHECK(frame_drop(b));
    frame_give(&s, a);
    frame_give(&s, b);
    CHECK_EQ(s.out, 0);
    CHECK(frame_take(&s, frame_body_max + 1) == NULL);
    frame_slab_deinit(&s);
}
