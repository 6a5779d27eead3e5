#include "dir/token.h"
#include "base/hex.h"

#include <stdio.h>

enum { block_bytes = 64, random_bytes = 20 };

void token_hasher_init(struct token_hasher *h, const uint8_t secret[32])
{
    uint8_t pad[block_bytes];
    for (size_t i = 0; i < block_bytes; i++)
        pad[i] = (uint8_t)((i < 32 ? secret[i] : 0) ^ 0x36);
    SHA256_Init(&h->inner);
    SHA256_Update(&h->inner, pad, sizeof pad);
    for (size_t i = 0; i < block_bytes; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&h->outer);
    SHA256_Update(&h->outer, pad, sizeof pad);
}

void token_hash(const struct token_hasher *h, struct str_view token, uint8_t out[32])
{
    SHA256_CTX inner = h->inner, outer = h->outer;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_Update(&inner, token.p, token.len);
    SHA256_Final(digest, &inner);
    SHA256_Update(&outer, digest, sizeof digest);
    SHA256_Final(out, &outer);
}

void token_make(char out[token_text_max], enum token_kind kind, uint64_t team, uint64_t uid,
                uint64_t now_s, struct rand_src *rand)
{
    static const char *const prefixes[] = {
        [TOKEN_USER] = "xoxp", [TOKEN_BOT] = "xoxb", [TOKEN_APP] = "xapp"};
    uint8_t random[random_bytes];
    rand_bytes(rand, random, sizeof random);
    int n = snprintf(out, token_text_max, "%s-%llu-%llu-%llu-", prefixes[kind],
                     (unsigned long long)team, (unsigned long long)uid, (unsigned long long)now_s);
    ASSERT(n > 0 && n + 2 * random_bytes < token_text_max);
    hex_write(out + n, random, random_bytes);
    out[n + 2 * random_bytes] = '\0';
}
