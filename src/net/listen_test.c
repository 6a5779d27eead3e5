/* Addresses to listen on. */
#include "net/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

static void *free_address(void *fd)
{
    usleep(150000);
    close((int)(intptr_t)fd);
    return NULL;
}

/* As after a restart: whoever had the address is not quite gone. */
TEST(an_address_that_becomes_free_is_taken)
{
    char msg[300], addr[32];
    int first, fd;
    uint16_t port, again;
    pthread_t thread;
    CHECK_EQ(net_listen_socket("127.0.0.1:0", &first, &port, msg, sizeof msg), ERR_OK);
    snprintf(addr, sizeof addr, "127.0.0.1:%u", port);
    CHECK_EQ(pthread_create(&thread, NULL, free_address, (void *)(intptr_t)first), 0);
    CHECK_EQ(net_listen_socket(addr, &fd, &again, msg, sizeof msg), ERR_OK);
    CHECK_EQ(again, port);
    pthread_join(thread, NULL);
    close(fd);
}

TEST(bad_addresses_and_files_are_told)
{
    char msg[300];
    int fd;
    uint16_t port;
    struct net_tls *tls;
    CHECK_EQ(net_listen_socket("nowhere", &fd, &port, msg, sizeof msg), ERR_BAD_CONF);
    CHECK_EQ(net_listen_socket("127.0.0.1:", &fd, &port, msg, sizeof msg), ERR_BAD_CONF);
    CHECK_EQ(net_listen_socket("127.0.0.1:http", &fd, &port, msg, sizeof msg), ERR_BAD_CONF);
    CHECK_EQ(net_listen_socket("203.0.113.1:1", &fd, &port, msg, sizeof msg), ERR_BAD_CONF);
    CHECK(strstr(msg, "203.0.113.1:1") != NULL);
    CHECK_EQ(net_tls_new(&tls, "/nonexistent", "/nonexistent", msg, sizeof msg), ERR_BAD_CONF);
    CHECK(strstr(msg, "/nonexistent") != NULL);
}
