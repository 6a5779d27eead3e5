/* dir/token.h - the text of a token and its keyed hash. The text is shown once, when it is issued;
 * what is stored and looked up is HMAC-SHA256 of it under the server's secret (RFC 2104), so a
 * copied database tells no token. */
#ifndef PARLEY_DIR_TOKEN_H
#define PARLEY_DIR_TOKEN_H

#include <openssl/sha.h>
#include "base/rand.h"
#include "base/str_view.h"
#include "dir/dir_msg.h"

/* Both halves of the HMAC with the key already in: a hash costs no allocation and no key set-up. */
struct token_hasher {
    SHA256_CTX inner, outer;
};

void token_hasher_init(struct token_hasher *h, const uint8_t secret[32]);
void token_hash(const struct token_hasher *h, struct str_view token, uint8_t out[32]);

/* xoxp-TEAM-USER-SECONDS-hex, all but the hex decimal; 160 random bits. */
void token_make(char out[token_text_max], enum token_kind kind, uint64_t team, uint64_t uid,
                uint64_t now_s, struct rand_src *rand);

#endif
