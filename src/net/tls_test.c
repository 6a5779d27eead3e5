/* The same over TLS, and what is refused before it is up. */
#include "net/test_rig.h"

#include <openssl/ssl.h>
#include <poll.h>

static SSL *secure(int fd, SSL_CTX *ctx, SSL_SESSION *session)
{
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (session != NULL)
        SSL_set_session(ssl, session);
    int rc;
    errno = 0;
    while ((rc = SSL_connect(ssl)) < 0 && errno == EINTR)
        errno = 0;
    CHECK_EQ(rc, 1);
    return ssl;
}

static int ssl_take(SSL *ssl, void *p, size_t n)
{
    int r;
    errno = 0;
    while ((r = SSL_read(ssl, p, (int)n)) < 0 && errno == EINTR)
        errno = 0;
    return r;
}

static void ssl_expect(SSL *ssl, const char *text)
{
    char got[512] = "";
    size_t n = strlen(text), have = 0;
    while (have < n) {
        int r = ssl_take(ssl, got + have, n - have);
        CHECK(r > 0);
        have += (size_t)r;
    }
    CHECK_STR(got, text);
}

static void ssl_tell(SSL *ssl, const char *text)
{
    CHECK_EQ(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void tls_round(uint16_t version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\x02h2\x08http/1.1", 12);
    kept = NULL;
    for (int round = 0; round < 2; round++) {
        int fd = dial(f.tls_port);
        SSL *ssl = secure(fd, ctx, kept);
        CHECK_EQ(SSL_session_reused(ssl), round);
        const uint8_t *alpn;
        unsigned alpn_len;
        SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
        CHECK_EQ(alpn_len, 8);
        ssl_tell(ssl, "aello");
        ssl_expect(ssl, "bfmmp");
        char got[8]; /* SSL_read gives no more than a record: three pieces were sent as one */
        ssl_tell(ssl, "abcdef");
        CHECK_EQ(ssl_take(ssl, got, sizeof got), 6);
        ssl_tell(ssl, "P");
        ssl_tell(ssl, "x1");
        ssl_expect(ssl, "y2");
        SSL_free(ssl);
        close(fd);
    }
    SSL_SESSION_free(kept);
    SSL_CTX_free(ctx);
}

TEST(tls_echo_resumption_and_pause)
{
    fix_init(16, 20000, true);
    tls_round(TLS1_2_VERSION);
    tls_round(TLS1_3_VERSION);
    CHECK_EQ(value(&f.owners[0].data_while_paused), 0);
    fix_deinit();
}

TEST(tls_handover_and_orderly_end)
{
    fix_init(16, 20000, true);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = dial(f.tls_port);
    SSL *ssl = secure(fd, ctx, NULL);
    ssl_tell(ssl, "Hleft");
    ssl_tell(ssl, "xlate"); /* a record of its own, ciphertext on its way while it moves */
    ssl_expect(ssl, "ticket:left");
    CHECK_EQ(value(&f.owners[1].adopted), 1);
    ssl_expect(ssl, "ymbuf");
    ssl_tell(ssl, "B");
    static uint8_t buf[65536];
    for (size_t at = 0; at < big_bytes;) {
        int r = ssl_take(ssl, buf, sizeof buf);
        CHECK(r > 0);
        for (int i = 0; i < r; i++, at++)
            CHECK(buf[i] == (uint8_t)(at * 7 >> 3));
    }
    ssl_tell(ssl, "F");
    ssl_expect(ssl, "bye");
    CHECK_EQ(ssl_take(ssl, buf, 1), 0);
    CHECK_EQ(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* close_notify, not a cut */
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 500), 1); /* and FIN at once behind it */
    CHECK_EQ(end_of(fd), 0);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    fix_deinit();
}

/* net_test.c has the same without TLS, and why. */
TEST(a_slow_reader_over_tls_is_not_cut_off_and_one_that_stops_is)
{
    fix_init(16, 800, true);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int fd = dial(f.tls_port);
    SSL *ssl = secure(fd, ctx, NULL);
    static uint8_t buf[16384]; /* a record */
    ssl_tell(ssl, "B");
    for (size_t at = 0; at < big_bytes;) {
        usleep(at < big_bytes / 3 ? 15000 : 0);
        int r = ssl_take(ssl, buf, sizeof buf);
        CHECK(r > 0);
        at += (size_t)r;
    }
    ssl_tell(ssl, "B");
    CHECK(within(&f.owners[0].closed, 1));
    CHECK_EQ(value(&f.owners[0].close_err[ERR_IO]), 1);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    fix_deinit();
}

TEST(tls_refusals)
{
    fix_init(16, 20000, true);
    int fd = dial(f.tls_port);
    tell(fd, "GET / HTTP/1.1\r\n\r\n"); /* no TLS at all */
    char junk[256];
    while (take(fd, junk, sizeof junk) > 0)
        continue;
    close(fd);
    fd = dial(f.tls_port); /* says nothing: the handshake's time runs out */
    CHECK(end_of(fd) != EAGAIN);
    close(fd);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    fd = dial(f.tls_port);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    CHECK(SSL_connect(ssl) != 1);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(ctx, (const uint8_t *)"\x02h2", 3); /* nothing that we speak */
    fd = dial(f.tls_port);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    CHECK(SSL_connect(ssl) != 1);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    CHECK_EQ(value(&f.owners[0].opened), 0);
    fix_deinit();
}
