/* A connection's life: echo, slow readers, hand-over, the limit. */
#include "net/test_rig.h"

#include <poll.h>

TEST(echo_and_ends_of_every_kind)
{
    fix_init(16, 20000, false);
    int a = dial(f.port), b = dial(f.port), c = dial(f.port);
    tell(a, "aello");
    expect(a, "bfmmp");
    tell(b, "Fx");
    expect(b, "bye");
    CHECK_EQ(end_of(b), 0);
    tell(c, "R");
    CHECK_EQ(end_of(c), ECONNRESET);
    tell(a, "again");
    expect(a, "bhbjo");
    close(a);
    CHECK(within(&f.owners[0].closed, 3));
    CHECK_EQ(value(&f.owners[0].opened), 3);
    CHECK_EQ(value(&f.owners[0].close_err[ERR_OK]), 2);
    CHECK_EQ(value(&f.owners[0].close_err[ERR_CLOSED]), 1);
    close(b);
    close(c);
    fix_deinit();
}

/* An answer that is sent before a close can be read by a client that is still sending. */
TEST(a_flushed_answer_outlives_what_the_client_still_sends)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    static char junk[300000];
    memset(junk, 'F', sizeof junk);
    CHECK_EQ(send(a, junk, sizeof junk, MSG_NOSIGNAL), (ssize_t)sizeof junk);
    usleep(50000);
    expect(a, "bye");
    close(a);
    fix_deinit();
}

TEST(a_paused_connection_is_not_read_and_loses_nothing)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "P");
    CHECK(within(&f.owners[0].pauses, 1));
    tell(a, "x1");
    usleep(20000);
    tell(a, "23");
    expect(a, "y234");
    CHECK_EQ(value(&f.owners[0].data_while_paused), 0);
    close(a);
    fix_deinit();
}

static void read_big(int fd)
{
    static uint8_t buf[65536];
    for (size_t at = 0; at < big_bytes;) {
        ssize_t r = take(fd, buf, sizeof buf);
        CHECK(r > 0);
        for (ssize_t i = 0; i < r; i++, at++)
            CHECK(buf[i] == (uint8_t)(at * 7 >> 3));
    }
}

TEST(large_sends_arrive_whole)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "B");
    usleep(100000); /* the socket's buffer fills: short sends */
    read_big(a);
    tell(a, "still");
    expect(a, "tujmm");
    close(a);
    fix_deinit();
}

TEST(a_reader_that_takes_nothing_is_cut_off)
{
    fix_init(16, 200, false);
    int a = dial(f.port), b = dial(f.port);
    tell(a, "B");
    CHECK(within(&f.owners[0].closed, 1));
    CHECK_EQ(value(&f.owners[0].close_err[ERR_IO]), 1);
    CHECK_EQ(value(&f.owners[0].sent_err), 1); /* its memory came back before the end */
    tell(b, "ok");
    expect(b, "pl"); /* the neighbour is unharmed */
    close(a);
    close(b);
    fix_deinit();
}

/* The last answer before a close has the same patience, and no more. */
TEST(a_reader_that_takes_nothing_before_a_close_is_cut_off)
{
    fix_init(16, 200, false);
    int a = dial(f.port);
    tell(a, "W");
    CHECK(within(&f.owners[0].closed, 1));
    CHECK_EQ(value(&f.owners[0].close_err[ERR_OK]), 1);
    close(a);
    fix_deinit();
}

/* The kernel takes more only when a good part of what it holds has left: that is longer than the
 * patience here, and the reader reads all the time. */
TEST(a_reader_without_a_pause_is_slow_and_not_cut_off)
{
    enum { step = 32 << 10 };
    static uint8_t buf[step];
    fix_init(16, 800, false);
    int a = dial(f.port);
    tell(a, "B");
    for (size_t at = 0; at < big_bytes;) {
        usleep(at < big_bytes / 3 ? 30000 : 0); /* 1 MB/s, and not for ever */
        ssize_t r = take(a, buf, sizeof buf);
        CHECK(r > 0);
        at += (size_t)r;
    }
    tell(a, "still");
    expect(a, "tujmm");
    close(a);
    fix_deinit();
}

TEST(a_slow_reader_gets_all_before_a_close)
{
    enum { step = 256 << 10 };
    static uint8_t buf[step];
    fix_init(16, 400, false);
    int a = dial(f.port);
    tell(a, "W");
    size_t at = 0, rest_at = 0;
    for (ssize_t r = 1; r > 0; at += (size_t)r) {
        if (at >= rest_at) {
            usleep(50000); /* in all four times the patience of the writer */
            rest_at += step;
        }
        r = take(a, buf, sizeof buf);
        CHECK(r >= 0);
    }
    CHECK_EQ(at, big_bytes);
    close(a);
    fix_deinit();
}

TEST(handover_takes_leftovers_and_late_bytes)
{
    fix_init(16, 20000, false);
    int a = dial(f.port);
    tell(a, "Hleft");
    expect(a, "ticket:left");
    tell(a, "xlate");
    expect(a, "ymbuf");
    CHECK_EQ(value(&f.owners[1].adopted), 1);
    CHECK_EQ(value(&f.owners[0].closed), 0); /* the old owner let go of it */
    tell(a, "F");
    expect(a, "bye");
    CHECK_EQ(end_of(a), 0);
    CHECK(within(&f.owners[1].closed, 1));
    close(a);
    /* Bytes that arrive while it moves, and a peer that leaves while it moves. */
    for (int i = 0; i < 50; i++) {
        a = dial(f.port);
        tell(a, "H");
        if (i % 2 == 0) {
            tell(a, "x");
            expect(a, "ticket:");
            /* The x may have been the leftover's, or late and echoed. */
            char c;
            CHECK_EQ(take(a, &c, 1), 1);
            CHECK(c == 'x' || c == 'y');
        }
        close(a);
    }
    CHECK(within(&f.owners[1].closed, 51));
    fix_deinit();
}

/* Either loop may end with the news of a handover unread: it is freed, and once (AddressSanitizer
 * sees both). */
TEST(loops_stop_while_a_connection_moves)
{
    for (int i = 0; i < 40; i++) {
        int fds[16];
        fix_init(ARRAY_LEN(fds), 20000, false);
        for (size_t k = 0; k < ARRAY_LEN(fds); k++)
            fds[k] = dial(f.port);
        for (size_t k = 0; k < ARRAY_LEN(fds); k++)
            tell(fds[k], "Hx");
        fix_deinit();
        for (size_t k = 0; k < ARRAY_LEN(fds); k++)
            close(fds[k]);
    }
}

TEST(handover_within_a_loop)
{
    handover_to = 0;
    fix_init(16, 20000, false);
    handover_to = 1;
    int a = dial(f.port);
    tell(a, "Hx");
    expect(a, "ticket:x");
    tell(a, "a");
    expect(a, "b");
    close(a);
    CHECK(within(&f.owners[0].closed, 1));
    fix_deinit();
}

TEST(past_the_limit_connections_wait_in_the_backlog)
{
    fix_init(2, 20000, false);
    int a = dial(f.port), b = dial(f.port), c = dial(f.port);
    tell(a, "a");
    tell(b, "a");
    tell(c, "a");
    expect(a, "b");
    expect(b, "b");
    struct pollfd p = {.fd = c, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 100), 0);
    CHECK_EQ(value(&f.owners[0].opened), 2);
    close(a);
    expect(c, "b");
    close(b);
    close(c);
    CHECK(within(&f.owners[0].closed, 3));
    fix_deinit();
}

/* Slots are freed by the kernel before their connections here: crowds at the limit must not find
 * the table at odds with the slab. */
TEST(crowds_come_and_go_at_the_limit)
{
    enum { crowd = 200, limit = 80 };
    fix_init(limit, 20000, false);
    static int fds[crowd];
    for (int round = 0; round < 15; round++) {
        for (int i = 0; i < crowd; i++) {
            fds[i] = dial(f.port);
            (void)send(fds[i], i % 3 == 0 ? "R" : i % 3 == 1 ? "F" : "a", 1, MSG_NOSIGNAL);
        }
        for (int i = 0; i < crowd; i++)
            close(fds[i]);
    }
    for (int i = 0; i < 300; i++) { /* whatever is left of the backlog drains, then all is well */
        usleep(10000);
        if (value(&f.owners[0].opened) == value(&f.owners[0].closed))
            break;
    }
    int a = dial(f.port);
    tell(a, "a");
    expect(a, "b");
    close(a);
    fix_deinit();
}
