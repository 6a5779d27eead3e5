/* First byte: even, the rest is a value of packed words, asked by a query: it is corrupt, or what
 * is said of it is within bounds. Odd, it is a text: gathered, packed and read again it has the
 * words that it had, and a query finds of them what it finds in the text. */
#include "fuzz.h"
#include "json/read.h"
#include "media/words.h"

static const char query[] = "a b* \"a b\" -\"b a\"";

static void compile(struct fuzz *f, struct match *m, struct words_query *q)
{
    struct query parsed;
    CLAIM(query_parse(&parsed, QUERY_FILES, sv_from(query), 1764072000, 0) == ERR_OK);
    CLAIM(match_compile(m, &parsed, &f->arena) == ERR_OK);
    CLAIM(words_query_init(q, m, &f->arena) == ERR_OK);
}

static void read_value(struct fuzz *f, struct str_view value)
{
    struct match m;
    struct words_query q;
    bool found;
    uint32_t score;
    struct words_reader r = words_read(value);
    struct packed_word w;
    compile(f, &m, &q);
    while (words_next(&r, &w)) {
        CLAIM(w.text.len <= token_bytes_max && w.text.p + w.text.len <= value.p + value.len);
        words_skip(&r, &w);
    }
    CLAIM((words_match(&q, value, &found, &score) == ERR_CORRUPT) == r.corrupt);
}

static void read_text(struct fuzz *f, struct str_view text)
{
    struct match m;
    struct words_query q;
    struct words w, again;
    struct buf first, second;
    bool found, matches;
    uint32_t score;
    if (!utf8_valid(text) || words_init(&w, &f->arena) != ERR_OK ||
        words_init(&again, &f->arena) != ERR_OK)
        return;
    compile(f, &m, &q);
    buf_init(&first, &f->arena, 64);
    buf_init(&second, &f->arena, 64);
    words_add_content(&w, text);
    words_sort(&w);
    words_pack(&w, &first);
    if (w.failed || first.failed)
        return;
    CLAIM(words_match(&q, buf_view(&first), &found, &score) == ERR_OK);
    matches = match_text(&m, text, &f->arena, &score);
    CLAIM(w.len == words_max || text.len > content_places || found == matches);
    CLAIM(words_add_packed_content(&again, buf_view(&first)) == ERR_OK);
    words_sort(&again);
    words_pack(&again, &second);
    CLAIM(
        again.failed || second.failed ||
        (first.len == second.len && (first.len == 0 || memcmp(first.p, second.p, first.len) == 0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    if (n < 1)
        return 0;
    fuzz_init(&f, data, n);
    char *bytes = fuzz_exact(data + 1, n - 1);
    if ((data[0] & 1) == 0)
        read_value(&f, (struct str_view){bytes, n - 1});
    else
        read_text(&f, (struct str_view){bytes, n - 1});
    free(bytes);
    fuzz_deinit(&f);
    return 0;
}
