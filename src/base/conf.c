#include "base/conf.h"

#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum conf_type { CONF_TYPE_NUM, CONF_TYPE_BOOL, CONF_TYPE_STR, CONF_TYPE_ENUM };

struct setting {
    const char *section, *key, *why;
    enum conf_type type;
    size_t offset;
    uint64_t def, min, max; /* CONF_TYPE_NUM; def also of bools and enums */
    const char *unit;
    const char *def_str, *choices;
};

static const struct setting settings[] = {
#define CONF_NUM(s, k, d, lo, hi, u, w)                                                            \
    {#s, #k, w, CONF_TYPE_NUM, offsetof(struct conf, s##_##k), d, lo, hi, u, NULL, NULL},
#define CONF_BOOL(s, k, d, w)                                                                      \
    {#s, #k, w, CONF_TYPE_BOOL, offsetof(struct conf, s##_##k), d, 0, 1, "", NULL, NULL},
#define CONF_STR(s, k, d, w)                                                                       \
    {#s, #k, w, CONF_TYPE_STR, offsetof(struct conf, s##_##k), 0, 0, 0, "", d, NULL},
#define CONF_ENUM(s, k, d, c, w)                                                                   \
    {#s, #k, w, CONF_TYPE_ENUM, offsetof(struct conf, s##_##k), d, 0, 0, "", NULL, c},
#include "base/conf.def"
#undef CONF_NUM
#undef CONF_BOOL
#undef CONF_STR
#undef CONF_ENUM
};

static uint64_t *num_at(struct conf *c, const struct setting *s)
{
    return (uint64_t *)(void *)((char *)c + s->offset);
}

static void store_default(struct conf *c, const struct setting *s)
{
    char *at = (char *)c + s->offset;
    if (s->type == CONF_TYPE_NUM)
        *num_at(c, s) = s->def;
    else if (s->type == CONF_TYPE_BOOL)
        *(bool *)at = s->def != 0;
    else if (s->type == CONF_TYPE_ENUM)
        *(uint32_t *)(void *)at = (uint32_t)s->def;
    else
        snprintf(at, conf_str_max, "%s", s->def_str);
}

void conf_defaults(struct conf *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        store_default(c, &settings[i]);
}

/* ---- names ---- */

static struct str_view full_name(const struct setting *s, char out[96])
{
    int n = snprintf(out, 96, "%s.%s", s->section, s->key);
    return (struct str_view){out, (size_t)n};
}

/* Levenshtein distance, for "did you mean". */
static unsigned distance(struct str_view a, struct str_view b)
{
    unsigned row[97];
    if (a.len > 96 || b.len > 96)
        return 1000;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned substitute = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            row[j] = MIN(substitute, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

static const struct setting *find(struct str_view name, const struct setting **nearest)
{
    unsigned best = UINT_MAX; /* a name too long to compare still gets some neighbour */
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        char text[96];
        struct str_view full = full_name(&settings[i], text);
        if (sv_eq(full, name))
            return &settings[i];
        unsigned d = distance(full, name);
        if (d < best) {
            best = d;
            *nearest = &settings[i];
        }
    }
    return NULL;
}

/* ---- values ---- */

static bool parse_number(struct str_view v, const char *unit, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t times;
        bool time;
    } suffixes[] = {{"ms", 1, true},    {"min", 60000, true},  {"s", 1000, true},
                    {"k", 1024, false}, {"m", 1 << 20, false}, {"g", 1 << 30, false}};
    bool time = strcmp(unit, "ms") == 0;
    uint64_t times = 1;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        size_t n = strlen(suffixes[i].suffix);
        if (suffixes[i].time == time && v.len > n &&
            sv_eq_nocase((struct str_view){v.p + v.len - n, n}, sv_from(suffixes[i].suffix))) {
            v.len -= n;
            times = suffixes[i].times;
            break;
        }
    }
    uint64_t n;
    return sv_to_u64(v, &n) && !__builtin_mul_overflow(n, times, out);
}

static bool parse_bool(struct str_view v, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no",
                                                                                "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (sv_eq_nocase(v, sv_from(yes[i])) || sv_eq_nocase(v, sv_from(no[i]))) {
            *out = sv_eq_nocase(v, sv_from(yes[i]));
            return true;
        }
    }
    return false;
}

static bool parse_choice(struct str_view v, const char *choices, uint32_t *out)
{
    struct str_view rest = sv_from(choices);
    for (uint32_t i = 0; rest.p != NULL; i++) {
        if (sv_eq(sv_cut(&rest, ','), v)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static enum err set_value(struct conf *c, const struct setting *s, struct str_view v, char *msg,
                          size_t n)
{
    char *at = (char *)c + s->offset;
    uint64_t number;
    if (s->type == CONF_TYPE_NUM) {
        if (!parse_number(v, s->unit, &number) || number < s->min || number > s->max) {
            snprintf(msg, n, "%s.%s: \"%.*s\" is not a number from %llu to %llu (%s)", s->section,
                     s->key, SV_ARG(v), (unsigned long long)s->min, (unsigned long long)s->max,
                     s->unit);
            return ERR_BAD_CONF;
        }
        *num_at(c, s) = number;
    } else if (s->type == CONF_TYPE_BOOL) {
        if (!parse_bool(v, (bool *)at)) {
            snprintf(msg, n, "%s.%s: \"%.*s\" is neither true nor false", s->section, s->key,
                     SV_ARG(v));
            return ERR_BAD_CONF;
        }
    } else if (s->type == CONF_TYPE_ENUM) {
        if (!parse_choice(v, s->choices, (uint32_t *)(void *)at)) {
            snprintf(msg, n, "%s.%s: \"%.*s\" is none of %s", s->section, s->key, SV_ARG(v),
                     s->choices);
            return ERR_BAD_CONF;
        }
    } else {
        if (v.len >= conf_str_max) {
            snprintf(msg, n, "%s.%s: longer than %d bytes", s->section, s->key, conf_str_max - 1);
            return ERR_BAD_CONF;
        }
        if (v.len > 0)
            memcpy(at, v.p, v.len);
        at[v.len] = '\0';
    }
    return ERR_OK;
}

enum err conf_set(struct conf *c, struct str_view name, struct str_view value, char *msg,
                  size_t msg_len)
{
    const struct setting *nearest = NULL;
    const struct setting *s = find(name, &nearest);
    if (s != NULL)
        return set_value(c, s, sv_trim(value), msg, msg_len);
    char text[96];
    struct str_view near = full_name(nearest, text);
    snprintf(msg, msg_len, "unknown setting \"%.*s\"; the nearest is \"%.*s\"", SV_ARG(name),
             SV_ARG(near));
    return ERR_BAD_CONF;
}

struct load {
    struct conf *conf;
    FILE *file;
    int line;       /* the one that is being read */
    int wrong_line; /* where reading stopped; 0: nothing wrong yet */
    char why[384];
};

enum { line_max = 1024 };

static void wrong(struct load *l, const char *why)
{
    l->wrong_line = l->line;
    snprintf(l->why, sizeof l->why, "%s", why);
}

/* inih splits longer lines in two, and reads an indented line as more of the value before it:
 * neither may change what a setting gets, so lines are refused or stripped before inih sees them.
 * Nothing is read behind the first error, whose line and reason are the ones told. */
static char *read_line(char *out, int n, void *ctx)
{
    struct load *l = ctx;
    char line[line_max];
    if (l->wrong_line != 0 || fgets(line, sizeof line, l->file) == NULL)
        return NULL;
    l->line++;
    struct str_view text = sv_from(line);
    bool ended = text.len > 0 && text.p[text.len - 1] == '\n';
    if (!ended && !feof(l->file)) {
        wrong(l, "the line is too long, or holds a NUL byte");
        return NULL;
    }
    text.len -= ended;
    text = sv_trim(text);
    if (text.len > 0 && (text.p[0] == ';' || text.p[0] == '#'))
        text.len = 0;
    if (text.len + 2 > (size_t)n) {
        wrong(l, "the line is too long");
        return NULL;
    }
    snprintf(out, (size_t)n, "%.*s\n", SV_ARG(text));
    return out;
}

static int on_pair(void *ctx, const char *section, const char *key, const char *value)
{
    struct load *l = ctx;
    char name[line_max], why[sizeof l->why];
    snprintf(name, sizeof name, "%s.%s", section, key);
    if (conf_set(l->conf, sv_from(name), sv_from(value), why, sizeof why) == ERR_OK)
        return 1;
    if (l->wrong_line == 0)
        wrong(l, why);
    return 0;
}

enum err conf_load_file(struct conf *c, const char *path, char *msg, size_t msg_len)
{
    struct load l = {.conf = c, .file = fopen(path, "re")};
    if (l.file == NULL) {
        snprintf(msg, msg_len, "%s: cannot be read", path);
        return ERR_BAD_CONF;
    }
    int line = ini_parse_stream(read_line, &l, on_pair, &l);
    bool unread = ferror(l.file) != 0;
    fclose(l.file);
    if (unread) {
        snprintf(msg, msg_len, "%s: cannot be read", path);
        return ERR_BAD_CONF;
    }
    if (l.wrong_line != 0 && (line <= 0 || line >= l.wrong_line))
        snprintf(msg, msg_len, "%s:%d: %s", path, l.wrong_line, l.why);
    else if (line != 0)
        snprintf(msg, msg_len, "%s:%d: not of the form key = value", path, line);
    else
        return ERR_OK;
    return ERR_BAD_CONF;
}

/* ---- rules across settings ---- */

static bool power_of_two(uint64_t n)
{
    return (n & (n - 1)) == 0;
}

enum err conf_check(const struct conf *c, char *msg, size_t msg_len)
{
    const char *wrong = NULL;
    bool cert = c->server_cert[0] != '\0', key = c->server_key[0] != '\0';
    if (cert != key)
        wrong = "server.cert and server.key go together";
    else if (c->server_tls_listen[0] != '\0' && !cert)
        wrong = "server.tls_listen needs server.cert and server.key";
    else if (c->server_listen[0] == '\0' && c->server_tls_listen[0] == '\0')
        wrong = "one of server.listen and server.tls_listen must be set";
    else if (c->server_data[0] == '\0')
        wrong = "server.data must name a directory";
    else if (!power_of_two(c->ring_request_cells) || !power_of_two(c->ring_event_cells) ||
             !power_of_two(c->ring_control_cells))
        wrong = "ring.request_cells, ring.event_cells and ring.control_cells are powers of two";
    else if (c->ws_queue_soft_bytes >= c->ws_queue_hard_bytes)
        wrong = "ws.queue_soft_bytes is less than ws.queue_hard_bytes";
    else if (c->http_request_line_max > c->http_head_max)
        wrong = "http.request_line_max is at most http.head_max";
    if (wrong == NULL)
        return ERR_OK;
    snprintf(msg, msg_len, "%s", wrong);
    return ERR_BAD_CONF;
}

/* ---- printing ---- */

static void print_value(const struct conf *c, const struct setting *s, struct buf *out)
{
    const char *at = (const char *)c + s->offset;
    if (s->type == CONF_TYPE_NUM) {
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)(const void *)at);
    } else if (s->type == CONF_TYPE_BOOL) {
        buf_printf(out, "%s", *(const bool *)at ? "true" : "false");
    } else if (s->type == CONF_TYPE_STR) {
        buf_printf(out, "%s", at);
    } else {
        struct str_view rest = sv_from(s->choices), v = SV_NONE;
        for (uint32_t i = 0; i <= *(const uint32_t *)(const void *)at; i++)
            v = sv_cut(&rest, ',');
        buf_put_sv(out, v);
    }
}

static void print_range(const struct setting *s, struct buf *out)
{
    if (s->type == CONF_TYPE_NUM)
        buf_printf(out, "%llu to %llu %s", (unsigned long long)s->min, (unsigned long long)s->max,
                   s->unit);
    else if (s->type == CONF_TYPE_BOOL)
        buf_printf(out, "true or false");
    else if (s->type == CONF_TYPE_ENUM)
        buf_printf(out, "%s", s->choices);
    else
        buf_printf(out, "text");
}

void conf_print(const struct conf *c, bool with_why, struct buf *out)
{
    const char *section = "";
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        if (strcmp(section, s->section) != 0) {
            buf_printf(out, "%s[%s]\n", i == 0 ? "" : "\n", s->section);
            section = s->section;
        }
        if (with_why) {
            buf_printf(out, "; %s\n; ", s->why);
            print_range(s, out);
            buf_putc(out, '\n');
        }
        buf_printf(out, "%s = ", s->key);
        print_value(c, s, out);
        buf_putc(out, '\n');
    }
}

void conf_print_markdown(struct buf *out)
{
    static struct conf c; /* too large for a small stack */
    conf_defaults(&c);
    buf_printf(out, "| setting | default | range | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *s = &settings[i];
        buf_printf(out, "| `%s.%s` | `", s->section, s->key);
        size_t before = out->len;
        print_value(&c, s, out);
        if (out->len > before) {
            buf_printf(out, "` | ");
        } else { /* Markdown shows an empty code span as two backticks */
            out->len--;
            buf_printf(out, "empty | ");
        }
        print_range(s, out);
        buf_printf(out, " | %s |\n", s->why);
    }
}
