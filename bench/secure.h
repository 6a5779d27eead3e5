/* secure.h - TLS of a load generator's stream: handshake as a client, any certificate. What a
 * server's certificate is worth is not measured here. Thread: main. */
#ifndef PARLEY_BENCH_SECURE_H
#define PARLEY_BENCH_SECURE_H

#include "base/compiler.h"

struct secure;
struct secure_ops {                                       /* of the stream below; self is its own */
    void (*send)(void *self, const uint8_t *p, size_t n); /* ciphertext, copied */
    void (*opened)(void *self);
    void (*data)(void *self, uint8_t *p, size_t n); /* plaintext */
    bool (*live)(void *self);                       /* false: nothing more is read */
};

struct secure *secure_new(const struct secure_ops *ops, void *self);
void secure_free(struct secure *s); /* NULL is fine */
void secure_begin(struct secure *s);
/* False: the peer broke the protocol, or has closed. */
bool secure_input(struct secure *s, const uint8_t *p, size_t n);
bool secure_write(struct secure *s, const void *p, size_t n);

#endif
