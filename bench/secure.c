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
    BIO *received, *to_send; /* the SSL's; ciphertext */
    const struct secure_ops *ops;
    void *self;
    bool up;
};

struct secure *secure_new(const struct secure_ops *ops, void *self)
{
    static SSL_CTX *ctx;
    if (ctx == NULL) {
        ctx = SSL_CTX_new(TLS_client_method());
        ASSERT(ctx != NULL);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    struct secure *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    *s = (struct secure){.ssl = SSL_new(ctx),
                         .received = BIO_new(BIO_s_mem()),
                         .to_send = BIO_new(BIO_s_mem()),
                         .ops = ops,
                         .self = self};
    ASSERT(s->ssl != NULL && s->received != NULL && s->to_send != NULL);
    SSL_set_bio(s->ssl, s->received, s->to_send);
    SSL_set_connect_state(s->ssl);
    SSL_set_shed_handshake_config(s->ssl, 1);
    return s;
}

static void send_all(struct secure *s)
{
    const uint8_t *p;
    size_t n;
    if (BIO_mem_contents(s->to_send, &p, &n) == 1 && n > 0) {
        s->ops->send(s->self, p, n);
        BIO_reset(s->to_send);
    }
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
    send_all(s);
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
    int taken = BIO_write(s->received, p, (int)n);
    ASSERT(taken == (int)n);
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
    send_all(s);
    return true;
}
