#include "search/query.h"

enum { day_s = 86400 };

/* ---- days ---- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. Source: H. Hinnant,
 * "chrono-compatible low-level date algorithms". */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

struct days { /* first <= day < end */
    int64_t first, end;
};

static bool month_of(int64_t y, int64_t m, struct days *out)
{
    if (y < 1970 || y > 9999 || m < 1 || m > 12)
        return false;
    *out = (struct days){days_of(y, m, 1), m == 12 ? days_of(y + 1, 1, 1) : days_of(y, m + 1, 1)};
    return true;
}

static bool day_of(int64_t y, int64_t m, int64_t d, struct days *out)
{
    struct days month;
    if (!month_of(y, m, &month) || d < 1 || d > month.end - month.first)
        return false;
    *out = (struct days){month.first + d - 1, month.first + d};
    return true;
}

/* 2026, 2026-11, 2026-11-25, 11/25/2026. */
static bool numeric_days(struct str_view s, struct days *out)
{
    uint64_t v[3];
    size_t n = 0;
    bool slashes = s.len > 0 && memchr(s.p, '/', s.len) != NULL;
    while (s.p != NULL && n < ARRAY_LEN(v)) {
        struct str_view part = sv_cut(&s, slashes ? '/' : '-');
        if (part.len > 4 || !sv_to_u64(part, &v[n++]))
            return false;
    }
    if (s.p != NULL)
        return false;
    if (slashes)
        return n == 3 && day_of((int64_t)v[2], (int64_t)v[0], (int64_t)v[1], out);
    if (n == 1) {
        struct days last;
        if (!month_of((int64_t)v[0], 1, out) || !month_of((int64_t)v[0], 12, &last))
            return false;
        out->end = last.end;
        return true;
    }
    return n == 2 ? month_of((int64_t)v[0], (int64_t)v[1], out)
                  : day_of((int64_t)v[0], (int64_t)v[1], (int64_t)v[2], out);
}

/* The latest one that has begun. */
static bool named_month(struct str_view s, int64_t today, struct days *out)
{
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    int64_t y, m;
    date_of(today, &y, &m);
    for (int64_t i = 0; i < 12; i++) {
        struct str_view name = sv_from(names[i]);
        bool is =
            sv_eq_nocase(s, name) || (s.len == 3 && sv_eq_nocase(s, (struct str_view){name.p, 3}));
        if (is)
            return month_of(i + 1 <= m ? y : y - 1, i + 1, out);
    }
    return false;
}

static bool read_days(struct str_view s, int64_t today, struct days *out)
{
    if (sv_eq_nocase(s, SV("today")))
        *out = (struct days){today, today + 1};
    else if (sv_eq_nocase(s, SV("yesterday")))
        *out = (struct days){today - 1, today};
    else if (sv_eq_nocase(s, SV("week"))) /* from Monday on; 1970-01-01 was a Thursday */
        *out = (struct days){today - (today + 3) % 7, today + 1};
    else if (!numeric_days(s, out))
        return named_month(s, today, out);
    return true;
}

/* ---- modifiers ---- */

struct parse {
    struct query *q;
    int64_t today;
    int32_t tz_offset_s;
    bool too_many;
};

typedef bool modifier_fn(struct parse *p, struct str_view value, bool negated);

static uint64_t seconds_of(const struct parse *p, int64_t day)
{
    int64_t s = day * day_s - p->tz_offset_s;
    return s < 0 ? 0 : (uint64_t)s;
}

static void not_before(struct parse *p, int64_t day)
{
    p->q->after_s = MAX(p->q->after_s, seconds_of(p, day));
}

static void not_behind(struct parse *p, int64_t day)
{
    uint64_t s = MAX(seconds_of(p, day), (uint64_t)1);
    p->q->before_s = p->q->before_s == 0 ? s : MIN(p->q->before_s, s);
}

static bool on_before(struct parse *p, struct str_view value, bool negated)
{
    struct days d;
    if (negated || !read_days(value, p->today, &d))
        return false;
    not_behind(p, d.first);
    return true;
}

static bool on_after(struct parse *p, struct str_view value, bool negated)
{
    struct days d;
    if (negated || !read_days(value, p->today, &d))
        return false;
    not_before(p, d.end);
    return true;
}

static bool on_during(struct parse *p, struct str_view value, bool negated)
{
    struct days d;
    if (negated || !read_days(value, p->today, &d))
        return false;
    not_before(p, d.first);
    not_behind(p, d.end);
    return true;
}

static bool add_name(struct parse *p, struct query_name *names, uint32_t *len,
                     struct str_view value, bool negated)
{
    if (*len == query_names_max)
        p->too_many = true;
    else
        names[(*len)++] = (struct query_name){value, negated};
    return true;
}

static bool on_from(struct parse *p, struct str_view value, bool negated)
{
    return add_name(p, p->q->from, &p->q->from_len, value, negated);
}

static bool on_in(struct parse *p, struct str_view value, bool negated)
{
    return add_name(p, p->q->in, &p->q->in_len, value, negated);
}

/* Messages have none: to them it is a word. */
static bool on_type(struct parse *p, struct str_view value, bool negated)
{
    return p->q->of == QUERY_FILES && add_name(p, p->q->type, &p->q->type_len, value, negated);
}

static bool set_bit(uint32_t *yes, uint32_t *no, uint32_t bit, bool negated)
{
    *(negated ? no : yes) |= bit;
    return true;
}

static bool on_has(struct parse *p, struct str_view value, bool negated)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } words[] = {{"link", HAS_LINK},         {"links", HAS_LINK},         {"url", HAS_LINK},
                 {"reaction", HAS_REACTION}, {"reactions", HAS_REACTION}, {"pin", HAS_PIN},
                 {"pins", HAS_PIN},          {"star", HAS_STAR},          {"file", HAS_FILE},
                 {"files", HAS_FILE}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(value, sv_from(words[i].name)))
            return set_bit(&p->q->has, &p->q->has_not, words[i].bit, negated);
    }
    if (negated || value.len < 3 || value.p[0] != ':' || value.p[value.len - 1] != ':')
        return false;
    p->q->has_emoji = (struct str_view){value.p + 1, value.len - 2};
    return set_bit(&p->q->has, &p->q->has_not, HAS_REACTION, false);
}

static bool on_is(struct parse *p, struct str_view value, bool negated)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } words[] = {{"thread", IS_THREAD}, {"threads", IS_THREAD}, {"saved", IS_SAVED},
                 {"starred", IS_SAVED}, {"dm", IS_DM},          {"dms", IS_DM}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(value, sv_from(words[i].name)))
            return set_bit(&p->q->is, &p->q->is_not, words[i].bit, negated);
    }
    return sv_eq_nocase(value, SV("pinned")) ? set_bit(&p->q->has, &p->q->has_not, HAS_PIN, negated)
                                             : false;
}

static const struct {
    const char *name;
    modifier_fn *fn;
} modifiers[] = {{"from", on_from},   {"in", on_in},     {"before", on_before},
                 {"after", on_after}, {"on", on_during}, {"during", on_during},
                 {"has", on_has},     {"is", on_is},     {"type", on_type}};

static bool modifier(struct parse *p, struct str_view word, bool negated)
{
    struct str_view rest = word, name = sv_cut(&rest, ':');
    for (size_t i = 0; i < ARRAY_LEN(modifiers) && rest.p != NULL && rest.len > 0; i++) {
        if (sv_eq_nocase(name, sv_from(modifiers[i].name)))
            return modifiers[i].fn(p, rest, negated);
    }
    return false;
}

/* ---- words ---- */

static void add_term(struct parse *p, struct query_term t)
{
    if (t.text.len == 0)
        return;
    if (p->q->terms_len == query_terms_max)
        p->too_many = true;
    else
        p->q->terms[p->q->terms_len++] = t;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Up to the next space, or the quote that ends it; a name in brackets may have spaces. */
static size_t word_len(struct str_view s)
{
    size_t i = 0;
    bool bracket = false;
    for (; i < s.len && (bracket || !is_space(s.p[i])); i++) {
        if (s.p[i] == '<')
            bracket = memchr(s.p + i, '>', s.len - i) != NULL;
        else if (s.p[i] == '>')
            bracket = false;
    }
    return i;
}

static void read_word(struct parse *p, struct str_view word, bool negated)
{
    if (modifier(p, word, negated))
        return;
    struct query_term t = {.text = word, .negated = negated};
    if (word.len > 1 && word.p[word.len - 1] == '*') {
        t.text.len--;
        t.prefix = true;
    }
    add_term(p, t);
}

enum err query_parse(struct query *q, enum query_of of, struct str_view text, uint64_t now_s,
                     int32_t tz_offset_s)
{
    *q = (struct query){.of = of};
    struct parse p = {
        .q = q, .today = ((int64_t)now_s + tz_offset_s) / day_s, .tz_offset_s = tz_offset_s};
    bool any = false;
    if (text.len > query_bytes_max)
        return ERR_INVALID_ARGUMENTS;
    for (size_t i = 0; i < text.len;) {
        if (is_space(text.p[i])) {
            i++;
            continue;
        }
        any = true;
        bool negated = text.p[i] == '-' && i + 1 < text.len && !is_space(text.p[i + 1]);
        i += negated;
        struct str_view rest = {text.p + i, text.len - i};
        const char *end = rest.p[0] != '"' ? NULL : memchr(rest.p + 1, '"', rest.len - 1);
        if (end != NULL) {
            struct str_view inside = {rest.p + 1, (size_t)(end - rest.p - 1)};
            add_term(&p, (struct query_term){.text = inside, .phrase = true, .negated = negated});
            i += inside.len + 2;
            continue;
        }
        size_t n = word_len(rest);
        read_word(&p, (struct str_view){rest.p, n}, negated);
        i += n;
    }
    if (p.too_many)
        return ERR_INVALID_ARGUMENTS;
    return any ? ERR_OK : ERR_NO_QUERY;
}
