/* server/secret.h - the server's own key: 32 random bytes in DATA/secret.key, mode 0600, made at
 * first start. It keys the stored token hashes: a copied database alone tells no token. */
#ifndef PARLEY_SERVER_SECRET_H
#define PARLEY_SERVER_SECRET_H

#include "base/err.h"

/* Errors: ERR_IO (logged), ERR_CORRUPT (wrong size; logged with what to do). */
MUST_USE enum err secret_load(const char *data_dir, uint8_t out[32]);

#endif
