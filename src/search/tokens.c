#include "search/tokens.h"

#include <utf8proc.h>

#define FOLD                                                                                       \
    ((utf8proc_option_t)(UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD |                \
                         UTF8PROC_STRIPMARK | UTF8PROC_IGNORE))
#define UNFOLD ((utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE))

enum {
    fold_points_max = token_chars_max * 18, /* no character decomposes into more */
    point_bytes_max = 4
};

enum kind { KIND_GAP, KIND_WORD, KIND_INSIDE, KIND_MARK, KIND_UNSPACED, KIND_EMOJI };

/* ---- characters ---- */

struct range {
    int32_t first, last;
};

static bool in_ranges(const struct range *r, size_t n, int32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c > r[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && c >= r[low].first;
}

/* Scripts without spaces between words: Unicode TR 14, classes ID and SA. */
static bool is_unspaced(int32_t c)
{
    static const struct range ranges[] = {
        {0x0e00, 0x0eff},   /* Thai, Lao */
        {0x1000, 0x109f},   /* Myanmar */
        {0x1780, 0x17ff},   /* Khmer */
        {0x2e80, 0x2fdf},   /* radicals */
        {0x3005, 0x3007},   /* iteration marks, zero */
        {0x3040, 0x30ff},   /* Hiragana, Katakana */
        {0x3100, 0x312f},   /* Bopomofo */
        {0x31a0, 0x31bf},   /* Bopomofo */
        {0x31f0, 0x31ff},   /* Katakana */
        {0x3400, 0x4dbf},   /* Han */
        {0x4e00, 0x9fff},   /* Han */
        {0xf900, 0xfaff},   /* Han, compatibility */
        {0xff66, 0xff9f},   /* halfwidth Katakana */
        {0x1b000, 0x1b16f}, /* kana */
        {0x20000, 0x3ffff}  /* Han */
    };
    return c >= ranges[0].first && in_ranges(ranges, ARRAY_LEN(ranges), c);
}

/* Tatweel stretches a word and soft hyphens and joiners shape it: none of them changes it. */
static bool is_inside(int32_t c)
{
    return c == '\'' || c == 0x2019 || c == 0x0640 || c == 0x00ad || c == 0x200c || c == 0x200d;
}

static enum kind ascii_kind(uint8_t c)
{
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return word ? KIND_WORD : c == '\'' ? KIND_INSIDE : KIND_GAP;
}

static enum kind kind_of(int32_t c)
{
    if (c < 0x80)
        return ascii_kind((uint8_t)c);
    if (is_inside(c))
        return KIND_INSIDE;
    /* Whatever is not named here is a gap; a skin tone too: a thumb is a thumb. */
    static const uint8_t kinds[] = {
        [UTF8PROC_CATEGORY_LU] = KIND_WORD, [UTF8PROC_CATEGORY_LL] = KIND_WORD,
        [UTF8PROC_CATEGORY_LT] = KIND_WORD, [UTF8PROC_CATEGORY_LM] = KIND_WORD,
        [UTF8PROC_CATEGORY_LO] = KIND_WORD, [UTF8PROC_CATEGORY_ND] = KIND_WORD,
        [UTF8PROC_CATEGORY_NL] = KIND_WORD, [UTF8PROC_CATEGORY_NO] = KIND_WORD,
        [UTF8PROC_CATEGORY_MN] = KIND_MARK, [UTF8PROC_CATEGORY_MC] = KIND_MARK,
        [UTF8PROC_CATEGORY_ME] = KIND_MARK, [UTF8PROC_CATEGORY_SO] = KIND_EMOJI};
    size_t category = (size_t)utf8proc_category(c);
    enum kind kind = category < ARRAY_LEN(kinds) ? (enum kind)kinds[category] : KIND_GAP;
    return kind == KIND_WORD && is_unspaced(c) ? KIND_UNSPACED : kind;
}

/* ---- folding ---- */

static size_t encode(const int32_t *points, size_t n, char out[token_bytes_max])
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[point_bytes_max];
        utf8proc_ssize_t k = utf8proc_encode_char(points[i], bytes);
        if (k <= 0 || len + (size_t)k > token_bytes_max)
            break;
        memcpy(out + len, bytes, (size_t)k);
        len += (size_t)k;
    }
    return len;
}

static size_t fold_ascii(struct str_view s, char out[token_bytes_max])
{
    size_t len = 0;
    for (size_t i = 0; i < s.len && len < token_bytes_max; i++) {
        char c = s.p[i];
        if (c != '\'')
            out[len++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return len;
}

static size_t fold(struct str_view s, bool ascii, char out[token_bytes_max])
{
    int32_t points[fold_points_max];
    if (ascii)
        return fold_ascii(s, out);
    utf8proc_ssize_t n = utf8proc_decompose((const uint8_t *)s.p, (utf8proc_ssize_t)s.len, points,
                                            fold_points_max, FOLD);
    if (n < 0 || n > fold_points_max)
        return 0;
    size_t kept = 0;
    for (size_t i = 0; i < (size_t)n; i++) {
        if (!is_inside(points[i]))
            points[kept++] = points[i];
    }
    /* Hangul comes apart into letters, and belongs together. */
    utf8proc_ssize_t m = utf8proc_normalize_utf32(points, (utf8proc_ssize_t)kept, UNFOLD);
    return m < 0 ? 0 : encode(points, (size_t)m, out);
}

/* ---- runs ---- */

struct run {
    token_fn *fn;
    void *ctx;
    uint32_t at;
    bool stopped;
    const char *word; /* the one that is being read; NULL: none */
    const char *word_end;
    uint32_t chars;
    bool ascii;
    struct str_view last; /* character of an unspaced script, not yet told; p NULL: none */
};

static void tell(struct run *r, struct str_view source, bool ascii, bool pair, bool rest)
{
    char out[token_bytes_max];
    size_t n = r->stopped ? 0 : fold(source, ascii, out);
    if (n == 0)
        return;
    struct token t = {.word = {out, n}, .source = source, .at = r->at, .pair = pair, .rest = rest};
    r->stopped = !r->fn(r->ctx, &t);
    r->at++;
}

static void end_word(struct run *r)
{
    if (r->word == NULL)
        return;
    struct str_view s = {r->word, (size_t)(r->word_end - r->word)};
    r->word = NULL;
    tell(r, s, r->ascii, false, false);
}

static void end_unspaced(struct run *r)
{
    struct str_view s = r->last;
    r->last = SV_NONE;
    if (s.p != NULL)
        tell(r, s, false, false, true);
}

static void on_word(struct run *r, const char *p, size_t n, bool ascii)
{
    end_unspaced(r);
    if (r->word == NULL) {
        r->word = p;
        r->chars = 0;
        r->ascii = true;
    }
    if (r->chars < token_chars_max) { /* what is too long is known by its beginning */
        r->word_end = p + n;
        r->ascii &= ascii;
    }
    r->chars++;
}

static void on_unspaced(struct run *r, const char *p, size_t n)
{
    end_word(r);
    if (r->last.p != NULL)
        tell(r, (struct str_view){r->last.p, (size_t)(p + n - r->last.p)}, false, true, false);
    r->last = (struct str_view){p, n};
}

/* An apostrophe and the like: only between two characters of a word. */
static void on_inside(struct run *r, bool ascii)
{
    if (r->word != NULL && r->chars < token_chars_max)
        r->ascii &= ascii;
}

/* An accent belongs to the character before it. */
static void on_mark(struct run *r, const char *p, size_t n)
{
    if (r->last.p != NULL) {
        r->last.len = (size_t)(p + n - r->last.p);
    } else if (r->word != NULL && r->chars < token_chars_max) {
        r->word_end = p + n;
        r->ascii = false;
        r->chars++;
    }
}

static void on_gap(struct run *r)
{
    end_word(r);
    end_unspaced(r);
}

/* Length of &amp; &lt; &gt; at the start of s; 0: none. */
static size_t entity_len(struct str_view s)
{
    return sv_starts(s, SV("&amp;"))                              ? 5
           : sv_starts(s, SV("&lt;")) || sv_starts(s, SV("&gt;")) ? 4
                                                                  : 0;
}

void tokens_each(struct str_view text, token_fn *fn, void *ctx)
{
    struct run r = {.fn = fn, .ctx = ctx};
    for (size_t i = 0; i < text.len && !r.stopped;) {
        const char *p = text.p + i;
        uint8_t c = (uint8_t)*p;
        int32_t point = c;
        size_t n = 1;
        if (c == '&' && entity_len((struct str_view){p, text.len - i}) > 0) {
            n = entity_len((struct str_view){p, text.len - i});
        } else if (c >= 0x80) {
            utf8proc_ssize_t k =
                utf8proc_iterate((const uint8_t *)p, (utf8proc_ssize_t)(text.len - i), &point);
            n = k <= 0 ? 1 : (size_t)k;
            point = k <= 0 ? ' ' : point;
        }
        switch (kind_of(point)) {
        case KIND_WORD:
            on_word(&r, p, n, point < 0x80);
            break;
        case KIND_INSIDE:
            on_inside(&r, point < 0x80);
            break;
        case KIND_MARK:
            on_mark(&r, p, n);
            break;
        case KIND_UNSPACED:
            on_unspaced(&r, p, n);
            break;
        case KIND_EMOJI:
            on_gap(&r);
            tell(&r, (struct str_view){p, n}, false, false, false);
            break;
        case KIND_GAP:
            on_gap(&r);
            break;
        }
        i += n;
    }
    on_gap(&r);
}
