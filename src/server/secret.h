/* server/secret.h - the server's own key: 32 random bytes in DATA/secret.key, mode 0600, made at
 * first start, before the store. It keys the stored token hashes: a copied database alone tells no
 * token, and a store without its key knows none. */
#ifndef PARLEY_SERVER_SECRET_H
#define PARLEY_SERVER_SECRET_H

#include "base/err.h"

/* may_create: there is no store yet that another key belongs to. Several processes at once get the
 * same key. Errors, logged with what to do: ERR_IO; ERR_CORRUPT (wrong size, or gone). */
MUST_USE enum err secret_load(const char *data_dir, bool may_create, uint8_t out[32]);

#endif
