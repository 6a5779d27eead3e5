/* BoringSSL over the connection's own bytes: the BIO reads from the received buffer in place and
 * writes into a buffer (wire.c) that a connection has only while something is to be sent, so an
 * idle one keeps none. The pieces of a send are joined into full records: each record costs a seal,
 * 22 bytes on the wire and an opening at the client. The SSL and its BIO hang on struct tls_conn
 * alone, which moves whole when a connection changes its loop. */
#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these headers are not BoringSSL's; see cmake/Dependencies.cmake"
#endif
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/internal.h"

struct net_tls {
    pthread_mutex_t lock; /* around ctx; taken once a handshake */
    SSL_CTX *ctx;
    char cert_path[conf_str_max], key_path[conf_str_max];
};

struct tls_conn {
    SSL *ssl;
    struct net *net; /* whose loop it is on; set on every way in */
    const uint8_t *in;
    uint32_t in_len;
    struct wire *out;  /* ciphertext not yet being sent */
    struct wire *wire; /* being sent */
};

/* ---- BIO ---- */

static int bio_read(BIO *bio, char *p, int n)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    uint32_t take = MIN((uint32_t)n, t->in_len);
    memcpy(p, t->in, take);
    t->in += take;
    t->in_len -= take;
    return (int)take;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls_conn *t = BIO_get_data(bio);
    if (!wire_reserve(t->net, &t->out, (size_t)n))
        return -1;
    memcpy(t->out->b + t->out->len, p, (size_t)n);
    t->out->len += (uint32_t)n;
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

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 0x7f, "parley");
    ASSERT(method != NULL);
    BIO_meth_set_create(method, bio_create);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

/* ---- certificates ---- */

static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                       unsigned in_len, void *arg)
{
    (void)ssl, (void)arg;
    static const uint8_t ours[] = "\x08http/1.1";
    uint8_t *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_ctx(const char *cert, const char *key, char *msg, size_t msg_len)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return NULL;
    bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
    const char *what = cert;
    ok = ok && SSL_CTX_use_certificate_chain_file(ctx, cert) == 1;
    if (ok) {
        what = key;
        ok = SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_check_private_key(ctx) == 1;
    }
    if (!ok) {
        char text[160];
        ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
        snprintf(msg, msg_len, "%s: %s", what, text);
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets are stateless */
    SSL_CTX_set_early_data_enabled(ctx, 0);                  /* replayable */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

enum err net_tls_new(struct net_tls **out, const char *cert_path, const char *key_path, char *msg,
                     size_t msg_len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    struct net_tls *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    snprintf(t->cert_path, sizeof t->cert_path, "%s", cert_path);
    snprintf(t->key_path, sizeof t->key_path, "%s", key_path);
    t->ctx = make_ctx(cert_path, key_path, msg, msg_len);
    if (t->ctx == NULL) {
        free(t);
        return ERR_BAD_CONF;
    }
    pthread_mutex_init(&t->lock, NULL);
    *out = t;
    return ERR_OK;
}

enum err net_tls_reload(struct net_tls *t, char *msg, size_t msg_len)
{
    SSL_CTX *fresh = make_ctx(t->cert_path, t->key_path, msg, msg_len);
    if (fresh == NULL)
        return ERR_BAD_CONF;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = fresh;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old); /* live connections hold their own references */
    return ERR_OK;
}

void net_tls_free(struct net_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- connections ---- */

enum err tls_conn_new(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    struct net_tls *shared = n->conf.tls;
    pthread_mutex_lock(&shared->lock);
    t->ssl = SSL_new(shared->ctx);
    pthread_mutex_unlock(&shared->lock);
    BIO *bio = t->ssl == NULL ? NULL : BIO_new(method);
    if (bio == NULL) {
        SSL_free(t->ssl);
        free(t);
        return ERR_NOMEM;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    SSL_set_shed_handshake_config(t->ssl, 1);
    c->tls = t;
    return ERR_OK;
}

void tls_conn_free(struct tls_conn *t)
{
    SSL_free(t->ssl);
    free(t->out);
    free(t->wire);
    free(t);
}

/* Every call into the SSL may write through the BIO. */
static struct tls_conn *enter(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = c->tls;
    t->net = n;
    ERR_clear_error();
    return t;
}

/* Sends what the BIO has gathered, when nothing is being sent. */
static bool begin_send(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = c->tls;
    if (c->sending || t->out == NULL)
        return false;
    t->wire = t->out;
    t->out = NULL;
    conn_send_bytes(n, c, t->wire->b, t->wire->len);
    return true;
}

bool tls_flush(struct net *n, struct net_conn *c, size_t sent)
{
    struct tls_conn *t = c->tls;
    struct wire *w = t->wire;
    if (w != NULL) {
        w->at += (uint32_t)sent;
        if (w->at < w->len) {
            conn_send_bytes(n, c, w->b + w->at, w->len - w->at);
            return true;
        }
        wire_give(n, w);
        t->wire = NULL;
    }
    return begin_send(n, c);
}

static void log_failure(const char *event)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    log_debug(event, "\"problem\":%s", log_str(sv_from(text)));
    ERR_clear_error();
}

/* What the next record takes: a long piece where it lies, short ones together. */
static struct iovec next_record(struct net *n, const struct send_op *s)
{
    const struct iovec *v = &s->iov[s->at];
    if (v->iov_len >= tls_record_bytes || s->at + 1 == s->len)
        return (struct iovec){v->iov_base, MIN(v->iov_len, (size_t)tls_record_bytes)};
    size_t len = 0;
    for (unsigned i = s->at; i < s->len && len < tls_record_bytes; i++) {
        size_t take = MIN(s->iov[i].iov_len, tls_record_bytes - len);
        memcpy(n->record + len, s->iov[i].iov_base, take);
        len += take;
    }
    return (struct iovec){n->record, len};
}

bool tls_send_more(struct net *n, struct net_conn *c)
{
    struct send_op *s = c->send;
    size_t taken = 0;
    bool all = send_advance(s, 0); /* over empty pieces */
    if (all)
        return false;
    struct tls_conn *t = enter(n, c);
    for (int w; !all && taken < tls_chunk_bytes; taken += (size_t)w) {
        struct iovec r = next_record(n, s);
        w = SSL_write(t->ssl, r.iov_base, (int)r.iov_len);
        if (w <= 0) {
            log_failure("tls_write_failed");
            conn_close(n, c, ERR_IO, NET_CLOSE_RESET);
            return true;
        }
        all = send_advance(s, (size_t)w);
    }
    begin_send(n, c);
    return true;
}

void tls_close_notify(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = enter(n, c);
    if (SSL_in_init(t->ssl) == 0)
        SSL_shutdown(t->ssl);
    ERR_clear_error();
    begin_send(n, c);
}

/* True: the handshake is done. */
static bool handshake(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = c->tls;
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        metric_add(&n->loop->metrics, METRIC_TLS_HANDSHAKES, 1);
        begin_send(n, c);
        conn_open(n, c);
        return true;
    }
    int error = SSL_get_error(t->ssl, rc);
    begin_send(n, c); /* our flight, or the alert */
    if (error != SSL_ERROR_WANT_READ) {
        metric_add(&n->loop->metrics, METRIC_TLS_FAILED, 1);
        log_failure("tls_handshake_failed");
        conn_close(n, c, ERR_IO, NET_CLOSE_FLUSH);
    }
    return false;
}

static void read_records(struct net *n, struct net_conn *c)
{
    struct tls_conn *t = c->tls;
    while (c->state == CONN_OPEN && !c->paused) {
        int r = SSL_read(t->ssl, n->plain, tls_plain_bytes - buffer_padding);
        if (r > 0) {
            conn_deliver(n, c, n->plain, (size_t)r);
            if (t->in_len == 0 && SSL_has_pending(t->ssl) == 0)
                return; /* it could only say so, after it has set up its buffers for more */
            continue;
        }
        int error = SSL_get_error(t->ssl, r);
        if (error == SSL_ERROR_WANT_READ || (error == SSL_ERROR_ZERO_RETURN && conn_tell_end(n, c)))
            return;
        if (error != SSL_ERROR_ZERO_RETURN)
            log_failure("tls_read_failed");
        begin_send(n, c); /* an alert, if any */
        conn_close(n, c, error == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED : ERR_IO, NET_CLOSE_FLUSH);
        return;
    }
}

/* Ciphertext that cannot be taken now goes where it will be found again. */
static void keep_rest(struct net *n, struct net_conn *c, struct tls_conn *t)
{
    bool handover = c->state == CONN_HANDOVER;
    uint8_t **to = handover ? &c->adopt->late : &c->held;
    uint32_t *len = handover ? &c->adopt->late_len : &c->held_len;
    if (t->in_len > 0 && (handover || (c->state == CONN_OPEN && !c->ended))) {
        uint8_t *more = realloc(*to, *len + t->in_len + buffer_padding);
        if (more == NULL) {
            conn_close(n, c, ERR_NOMEM, NET_CLOSE_RESET);
        } else {
            memcpy(more + *len, t->in, t->in_len);
            *to = more;
            *len += (uint32_t)t->in_len;
        }
    }
    t->in_len = 0;
}

void tls_input(struct net *n, struct net_conn *c, uint8_t *p, size_t len)
{
    struct tls_conn *t = enter(n, c);
    t->in = p;
    t->in_len = (uint32_t)len;
    if (c->state == CONN_HANDSHAKE && !handshake(n, c)) {
        t->in_len = 0;
        return;
    }
    read_records(n, c);
    keep_rest(n, c, t);
    if (c->state == CONN_OPEN)
        begin_send(n, c); /* tickets, key updates */
}
