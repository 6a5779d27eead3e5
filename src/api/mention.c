#include "api/mention.h"

#include <utf8proc.h>

#include "base/id.h"

struct linker {
    struct buf *out;
    struct str_view text;
    const struct mention_rules *rules;
    size_t written; /* of the text */
    uint32_t names;
};

/* ---- characters ---- */

enum kind { KIND_OTHER, KIND_SPACE, KIND_WORD, KIND_SYMBOL };

/* Marks belong to the letter before them; symbols, emoji among them, may be in a name, too. */
static enum kind kind_of(int32_t c)
{
    if (c < 0x80) {
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return word ? KIND_WORD : c <= ' ' || c == 0x7f ? KIND_SPACE : KIND_OTHER;
    }
    /* Whatever is not named here is KIND_OTHER. */
    static const uint8_t kinds[] = {
        [UTF8PROC_CATEGORY_LU] = KIND_WORD,   [UTF8PROC_CATEGORY_LL] = KIND_WORD,
        [UTF8PROC_CATEGORY_LT] = KIND_WORD,   [UTF8PROC_CATEGORY_LM] = KIND_WORD,
        [UTF8PROC_CATEGORY_LO] = KIND_WORD,   [UTF8PROC_CATEGORY_MN] = KIND_WORD,
        [UTF8PROC_CATEGORY_MC] = KIND_WORD,   [UTF8PROC_CATEGORY_ME] = KIND_WORD,
        [UTF8PROC_CATEGORY_ND] = KIND_WORD,   [UTF8PROC_CATEGORY_NL] = KIND_WORD,
        [UTF8PROC_CATEGORY_NO] = KIND_WORD,   [UTF8PROC_CATEGORY_SM] = KIND_SYMBOL,
        [UTF8PROC_CATEGORY_SC] = KIND_SYMBOL, [UTF8PROC_CATEGORY_SK] = KIND_SYMBOL,
        [UTF8PROC_CATEGORY_SO] = KIND_SYMBOL, [UTF8PROC_CATEGORY_CF] = KIND_SYMBOL, /* a joiner */
        [UTF8PROC_CATEGORY_ZS] = KIND_SPACE,  [UTF8PROC_CATEGORY_ZL] = KIND_SPACE,
        [UTF8PROC_CATEGORY_ZP] = KIND_SPACE,  [UTF8PROC_CATEGORY_CC] = KIND_SPACE};
    size_t category = (size_t)utf8proc_category(c);
    return category < ARRAY_LEN(kinds) ? (enum kind)kinds[category] : KIND_OTHER;
}

/* Its length; the text is valid. */
static size_t decode(struct str_view text, size_t at, int32_t *c)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text.p + at,
                                          (utf8proc_ssize_t)(text.len - at), c);
    ASSERT(n > 0);
    return (size_t)n;
}

/* Something may begin at `at`. */
static bool is_boundary(struct str_view text, size_t at)
{
    int32_t c;
    if (at == 0)
        return true;
    do
        at--;
    while (at > 0 && ((uint8_t)text.p[at] & 0xc0) == 0x80);
    (void)decode(text, at, &c);
    return kind_of(c) != KIND_WORD && (c >= 0x80 || memchr("<@#&/.", c, 6) == NULL);
}

/* ---- what is passed over ---- */

/* Of `code` or ```code```, at a backquote; one that nothing closes is a character. */
static size_t code_len(struct str_view s)
{
    if (sv_starts(s, SV("```"))) {
        const char *end = memmem(s.p + 3, s.len - 3, "```", 3);
        return end == NULL ? 3 : (size_t)(end - s.p) + 3;
    }
    for (size_t i = 1; i < s.len && s.p[i] != '\n'; i++) {
        if (s.p[i] == '`')
            return i + 1;
    }
    return 1;
}

/* Of <...>. It is looked for up to the next '<' only: each byte is seen twice at most. */
static size_t bracket_len(struct str_view s)
{
    for (size_t i = 1; i < s.len && s.p[i] != '<' && s.p[i] != '\n'; i++) {
        if (s.p[i] == '>')
            return i + 1;
    }
    return 1;
}

/* ---- writing ---- */

/* What stands before `at` goes out as it is. */
static void catch_up(struct linker *l, size_t at)
{
    buf_put(l->out, l->text.p + l->written, at - l->written);
    l->written = at;
}

static void put_id(struct buf *out, enum id_kind kind, uint64_t id)
{
    char text[id_text_max];
    buf_put(out, text, id_format(text, kind, id));
}

static void put_token(struct buf *out, const struct mention *m, struct str_view name)
{
    switch (m->kind) {
    case MENTION_USER:
        buf_put(out, "<@", 2);
        put_id(out, ID_USER, m->id);
        break;
    case MENTION_GROUP:
        buf_put_sv(out, SV("<!subteam^"));
        put_id(out, ID_USERGROUP, m->id);
        break;
    case MENTION_CHANNEL:
        buf_put(out, "<#", 2);
        put_id(out, ID_CHANNEL, m->id);
        buf_putc(out, '|');
        buf_put_sv(out, name);
        break;
    }
    buf_putc(out, '>');
}

/* ---- names ---- */

static bool is_special(struct str_view name)
{
    return sv_eq(name, SV("here")) || sv_eq(name, SV("channel")) || sv_eq(name, SV("everyone"));
}

static size_t word_end(struct str_view text, size_t at)
{
    while (at < text.len) {
        int32_t c;
        size_t n = decode(text, at, &c);
        enum kind kind = kind_of(c);
        bool mark = c == '.' || c == '-' || c == '_';
        if (kind != KIND_WORD && kind != KIND_SYMBOL && !mark)
            break;
        at += n;
    }
    return at;
}

/* "Thanks @ada." does not mean ada. */
static size_t without_marks(struct str_view text, size_t from, size_t end)
{
    while (end > from && memchr(".-_", text.p[end - 1], 3) != NULL)
        end--;
    return end;
}

/* False: it stays. The mark is at `at`, the name ends at `end`. */
static bool replace(struct linker *l, size_t at, size_t end)
{
    struct str_view name = {l->text.p + at + 1, end - at - 1};
    char mark = l->text.p[at];
    struct mention m;
    if (name.len == 0)
        return false;
    if (mark == '@' && is_special(name)) {
        catch_up(l, at);
        buf_put(l->out, "<!", 2);
        buf_put_sv(l->out, name);
        buf_putc(l->out, '>');
    } else if (l->rules->find(l->rules->ctx, mark, name, &m)) {
        catch_up(l, at);
        put_token(l->out, &m, name);
    } else {
        return false;
    }
    l->written = end;
    return true;
}

/* Returns where to go on: behind the name, or behind the mark. */
static size_t link_name(struct linker *l, size_t at)
{
    struct str_view text = l->text;
    size_t ends[mention_words_max], from = at + 1;
    uint32_t n = 0,
             words = text.p[at] == '@' ? mention_words_max : 1; /* a channel's has no space */
    if (l->names == mention_names_max)
        return at + 1;
    while (n < words) {
        size_t end = word_end(text, from);
        if (end == from || end - at > mention_name_bytes_max + 1)
            break;
        ends[n++] = end;
        if (end == text.len || text.p[end] != ' ')
            break;
        from = end + 1;
    }
    l->names += n > 0;
    size_t end = at + 1;
    for (uint32_t i = n; i > 0; i--) {
        end = without_marks(text, at + 1, ends[i - 1]);
        if (replace(l, at, end))
            return end;
    }
    return n > 0 && end < ends[0] && replace(l, at, ends[0]) ? ends[0] : at + 1;
}

/* ---- URLs ---- */

/* Where a bare URL that begins at `at` ends; `at`: there is none. Punctuation behind it is the
 * sentence's, and so is a closing parenthesis that it does not open. */
static size_t url_end(struct str_view text, size_t at)
{
    struct str_view rest = {text.p + at, text.len - at};
    size_t scheme = sv_starts(rest, SV("https://")) ? 8 : sv_starts(rest, SV("http://")) ? 7 : 0;
    size_t end = at + scheme;
    int open = 0;
    if (scheme == 0)
        return at;
    while (end < text.len) {
        int32_t c;
        size_t n = decode(text, end, &c);
        if (kind_of(c) == KIND_SPACE || (c < 0x80 && memchr("<>\"`|", c, 5) != NULL))
            break;
        open += (c == '(') - (c == ')');
        end += n;
    }
    while (end > at + scheme) {
        char last = text.p[end - 1];
        if (last == ')' && open < 0)
            open++;
        else if (memchr(".,;:!?'*", last, 8) == NULL)
            break;
        end--;
    }
    return end > at + scheme ? end : at;
}

/* Returns where to go on. */
static size_t link_url(struct linker *l, size_t at)
{
    size_t end = url_end(l->text, at);
    if (end == at)
        return at + 1;
    if (l->rules->urls) {
        catch_up(l, at);
        buf_putc(l->out, '<');
        catch_up(l, end);
        buf_putc(l->out, '>');
    }
    return end;
}

void mention_link(struct buf *out, struct str_view text, const struct mention_rules *rules)
{
    struct linker l = {.out = out, .text = text, .rules = rules};
    for (size_t at = 0; at < text.len;) {
        struct str_view rest = {text.p + at, text.len - at};
        switch (text.p[at]) {
        case '`':
            at += code_len(rest);
            break;
        case '<':
            at += bracket_len(rest);
            break;
        case '@':
        case '#':
            at = is_boundary(text, at) ? link_name(&l, at) : at + 1;
            break;
        case 'h':
            at = is_boundary(text, at) ? link_url(&l, at) : at + 1;
            break;
        default:
            at++;
        }
    }
    catch_up(&l, text.len);
}
