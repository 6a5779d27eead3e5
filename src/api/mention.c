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

static bool is_ascii_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Marks belong to the letter before them; symbols, emoji among them, may be in a name, too. */
static enum kind kind_of(int32_t c)
{
    if (c < 0x80)
        return is_ascii_word((char)c) ? KIND_WORD : c <= ' ' || c == 0x7f ? KIND_SPACE : KIND_OTHER;
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

/* Behind '=' stands a value, of a URL without a scheme most of the time. */
static bool may_be_name(struct str_view text, size_t at)
{
    return is_boundary(text, at) && (at == 0 || text.p[at - 1] != '=');
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

static size_t without(struct str_view text, size_t from, size_t end, struct str_view marks)
{
    while (end > from && memchr(marks.p, text.p[end - 1], marks.len) != NULL)
        end--;
    return end;
}

/* The mark is at `at`, the name ends at `end`. Unless it is found, it stays. */
static enum mention_found replace(struct linker *l, size_t at, size_t end)
{
    struct str_view name = {l->text.p + at + 1, end - at - 1};
    char mark = l->text.p[at];
    struct mention m;
    if (name.len == 0)
        return MENTION_NONE;
    if (mark == '@' && is_special(name)) {
        catch_up(l, at);
        buf_put(l->out, "<!", 2);
        buf_put_sv(l->out, name);
        buf_putc(l->out, '>');
    } else {
        enum mention_found found = l->rules->find(l->rules->ctx, mark, name, &m);
        if (found != MENTION_FOUND)
            return found;
        catch_up(l, at);
        put_token(l->out, &m, name);
    }
    l->written = end;
    return MENTION_FOUND;
}

/* A full stop is the sentence's first ("Thanks @ada."), what it ends else may be the name's or
 * formatting (@dash-, _@ada_). Returns where the name ends that was not MENTION_NONE, 0: none. */
static size_t replace_to(struct linker *l, size_t at, size_t end)
{
    size_t from = at + 1, ends[3] = {without(l->text, from, end, SV(".")),
                                     without(l->text, from, end, SV(".-_")), end};
    uint32_t n = l->text.p[at] == '@' ? 3 : 2; /* no channel's name has a full stop */
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && (ends[i] == ends[0] || ends[i] == ends[i - 1]))
            continue;
        if (replace(l, at, ends[i]) != MENTION_NONE)
            return ends[i];
    }
    return 0;
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
    for (uint32_t i = n; i > 0; i--) {
        size_t end = replace_to(l, at, ends[i - 1]);
        if (end > 0)
            return end;
    }
    return at + 1;
}

/* ---- URLs ---- */

static bool is_entity(struct str_view text, size_t at, struct str_view entity)
{
    return sv_starts((struct str_view){text.p + at, text.len - at}, entity);
}

/* Where a URL ends whose scheme's "://" ends at `from`; `from`: there is none. Punctuation behind
 * it is the sentence's, and so is a closing parenthesis that it does not open. */
static size_t url_end(struct str_view text, size_t from)
{
    size_t end = from;
    int open = 0;
    while (end < text.len) {
        int32_t c;
        size_t n = decode(text, end, &c);
        if (kind_of(c) == KIND_SPACE || (c < 0x80 && memchr("<>\"`|", c, 5) != NULL) ||
            is_entity(text, end, SV("&lt;")) || is_entity(text, end, SV("&gt;")))
            break;
        open += (c == '(') - (c == ')');
        end += n;
    }
    while (end > from) {
        char last = text.p[end - 1];
        if (last == ')' && open < 0)
            open++;
        else if (memchr(".,;:!?'*", last, 8) == NULL ||
                 (end - from >= 5 && is_entity(text, end - 5, SV("&amp;"))))
            break;
        end--;
    }
    return end;
}

/* At "://": a URL, if a scheme stands before it. Returns where to go on. Http and https are wrapped
 * on demand. */
static size_t link_url(struct linker *l, size_t at)
{
    enum { web_bytes_max = 5 };
    struct str_view text = l->text;
    size_t from = at + 3, begin = at;
    while (begin > l->written && at - begin <= web_bytes_max && is_ascii_word(text.p[begin - 1]))
        begin--;
    if (begin == at)
        return from;
    size_t end = url_end(text, from); /* none of it is looked at again but for its end's marks */
    if (end == from)
        return from;
    struct str_view scheme = {text.p + begin, at - begin};
    bool web = sv_eq_nocase(scheme, SV("https")) || sv_eq_nocase(scheme, SV("http"));
    if (l->rules->urls && web && is_boundary(text, begin)) {
        catch_up(l, begin);
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
            at = may_be_name(text, at) ? link_name(&l, at) : at + 1;
            break;
        case ':':
            at = sv_starts(rest, SV("://")) ? link_url(&l, at) : at + 1;
            break;
        default:
            at++;
        }
    }
    catch_up(&l, text.len);
}
