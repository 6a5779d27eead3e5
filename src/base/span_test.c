/* Spans against a plain loop: every length, every place of the byte that ends it, every byte. */
#include "base/span.h"

#include <stdlib.h>

#include "test.h"

static inline int ends(__m128i bytes)
{
    return _mm_movemask_epi8(_mm_or_si128(span_at_most(bytes, 0x1f), span_is(bytes, '"')));
}

TEST(as_a_plain_loop_says)
{
    enum { longest = 50 };
    for (size_t n = 0; n <= longest; n++) {
        char *exact = malloc(n + (n == 0)); /* so that a read past the end is seen */
        CHECK(exact != NULL);
        memset(exact, 0x80, n);
        CHECK_EQ(span(exact, n, ends), n);
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                exact[at] = (char)c;
                CHECK_EQ(span(exact, n, ends), c <= 0x1f || c == '"' ? at : n);
            }
            exact[at] = (char)0xff;
        }
        for (size_t at = n; at-- > 0;) { /* the first one counts */
            exact[at] = '"';
            CHECK_EQ(span(exact, n, ends), at);
        }
        free(exact);
    }
}
