#include "secure.h"

#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these headers are not BoringSSL's; see cmake/Dependencies.cmake"
#endif
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct secure {
    SSL *ssl;
    const struct secure_ops *ops;
    void *self;
    const uint8_t *in;
    size_t in_len;
    bool up;
};

static int bio_read(BIO *bio, char *p, int n)
{
    struct secure *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = MIN((size_t)n, s->in_len);
    memcpy(p, s->in, take);
    s->in += take;
    s->in_len -= take;
    return (int)take;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct secure *s = BIO_get_data(bio);
    s->ops->send(s->self, (const uint8_t *)p, (size_t)n);
    return n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "parley-bench");
    ASSERT(m != NULL);
    BIO_meth_set_create(m, bio_create);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

struct secure *secure_new(const struct secure_ops *ops, void *self)
{
    static BIO_METHOD *method;
    static SSL_CTX *ctx;
    if (ctx == NULL) {
        method = make_method();
        ctx = SSL_CTX_new(TLS_client_method());
        ASSERT(ctx != NULL);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    struct secure *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    *s = (struct secure){.ssl = SSL_new(ctx), .ops = ops, .self = self};
    BIO *bio = BIO_new(method);
    ASSERT(s->ssl != NULL && bio != NULL);
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_connect_state(s->ssl);
    SSL_set_shed_handshake_config(s->ssl, 1);
    return s;
}

void secure_free(struct secure *s)
{
    if (s == NULL)
        return;
    SSL_free(s->ssl);
    free(s);
}

static bool broken(void)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    fprintf(stderr, "parley-bench: TLS: %s\n", text);
    ERR_clear_error();
    return false;
}

static bool handshake(struct secure *s)
{
    int rc = SSL_do_handshake(s->ssl);
    if (rc != 1)
        return SSL_get_error(s->ssl, rc) == SSL_ERROR_WANT_READ || broken();
    s->up = true;
    s->ops->opened(s->self);
    return true;
}

void secure_begin(struct secure *s)
{
    bool ok = handshake(s);
    ASSERT(ok); /* nothing has come yet that could be wrong */
}

bool secure_input(struct secure *s, const uint8_t *p, size_t n)
{
    static uint8_t plain[SSL3_RT_MAX_PLAIN_LENGTH];
    s->in = p;
    s->in_len = n;
    if (!s->up && !handshake(s))
        return false;
    while (s->up && s->ops->live(s->self)) {
        int r = SSL_read(s->ssl, plain, sizeof plain);
        if (r > 0) {
            s->ops->data(s->self, plain, (size_t)r);
            continue;
        }
        int error = SSL_get_error(s->ssl, r);
        return error == SSL_ERROR_WANT_READ || (error != SSL_ERROR_ZERO_RETURN && broken());
    }
    return true;
}

bool secure_write(struct secure *s, const void *p, size_t n)
{
    const uint8_t *at = p;
    for (int w; n > 0; at += w, n -= (size_t)w) {
        w = SSL_write(s->ssl, at, (int)MIN(n, (size_t)SSL3_RT_MAX_PLAIN_LENGTH));
        if (w <= 0)
            return broken();
    }
    return true;
}
