#include "dir/token.h"

#include "test.h"

/* RFC 4231, test case 2, with the key padded to 32 bytes (the same HMAC). */
TEST(the_hash_is_hmac_sha256)
{
    struct token_hasher h;
    uint8_t secret[32] = "Jefe", out[32];
    token_hasher_init(&h, secret);
    token_hash(&h, SV("what do ya want for nothing?"), out);
    CHECK_MEM(out,
              "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7\x5a\x00\x3f\x08"
              "\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43",
              32);
}

TEST(tokens_have_slacks_shape_and_never_repeat)
{
    struct rand_src r;
    char a[token_text_max], b[token_text_max];
    rand_init_seeded(&r, 1);
    token_make(a, TOKEN_USER, UINT64_MAX, UINT64_MAX, UINT64_MAX, &r);
    token_make(b, TOKEN_USER, UINT64_MAX, UINT64_MAX, UINT64_MAX, &r);
    CHECK(strlen(a) < token_text_max);
    CHECK(strcmp(a, b) != 0);
    token_make(a, TOKEN_BOT, 1, 2, 3, &r);
    CHECK(strncmp(a, "xoxb-1-2-3-", 11) == 0);
    CHECK_EQ(strlen(a), 11 + 40);
    CHECK_EQ(strspn(a + 11, "0123456789abcdef"), 40);
    token_make(a, TOKEN_APP, 1, 2, 3, &r);
    CHECK(strncmp(a, "xapp-", 5) == 0);
}
