/* docgen.c - writes the parts of the documentation that the tables of the code already say:
 * settings, errors, metrics, stages, API methods, and conf/parley.conf as a whole. In a Markdown
 * file a generated part stands between two markers and everything outside of them is left alone:
 *
 *     <!-- generated: NAME -->
 *     ...
 *     <!-- end: NAME -->
 *
 * parley-docgen ROOT writes what differs; parley-docgen --check ROOT writes nothing and fails when
 * a file is not what would be written. parley-docgen --methods prints the table of methods as JSON,
 * for tests that go through all of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/method.h"
#include "base/conf.h"
#include "base/err.h"
#include "json/write.h"

enum { file_bytes_max = 4 << 20, arena_bytes = 1 << 20 };

typedef void part_fn(struct buf *out);

/* A pipe inside a cell would end it. */
static void put_cell(struct buf *out, const char *text)
{
    buf_printf(out, " ");
    for (; *text != '\0'; text++) {
        if (*text == '|')
            buf_putc(out, '\\');
        buf_putc(out, *text);
    }
    buf_printf(out, " |");
}

/* ---- errors ---- */

static const char *const retry_words[] = {[RETRY_NO] = "no",
                                          [RETRY_LATER] = "after `Retry-After`",
                                          [RETRY_SAFE] = "yes, same `client_msg_id`"};

/* Codes that share a string with an earlier one, or have none, never look different to a client. */
static bool seen_by_clients(int code)
{
    const char *slack = err_slack((enum err)code);
    if (slack[0] == '\0')
        return false;
    for (int i = 0; i < code; i++) {
        if (strcmp(err_slack((enum err)i), slack) == 0)
            return false;
    }
    return true;
}

static void put_errors(struct buf *out)
{
    buf_printf(out, "| error | status | retry helps | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < ERR_COUNT; i++) {
        enum err e = (enum err)i;
        if (!seen_by_clients(i))
            continue;
        buf_printf(out, "| `%s` | %d | %s |", err_slack(e), err_http(e), retry_words[err_retry(e)]);
        put_cell(out, err_meaning(e));
        buf_putc(out, '\n');
    }
}

/* ---- metrics ---- */

static const struct {
    const char *name, *kind, *suffix, *help;
} metrics[] = {
#define COUNTER(id, help)   {#id, "counter", "_total", help},
#define GAUGE(id, help)     {#id, "gauge", "", help},
#define HISTOGRAM(id, help) {#id, "summary", "", help},
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static void put_metrics(struct buf *out)
{
    buf_printf(out, "| metric | kind | what it counts |\n|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        buf_printf(out, "| `parley_");
        for (const char *p = metrics[i].name; *p != '\0'; p++)
            buf_putc(out, *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p);
        buf_printf(out, "%s` | %s |", metrics[i].suffix, metrics[i].kind);
        put_cell(out, metrics[i].help);
        buf_putc(out, '\n');
    }
}

/* ---- stages ---- */

static void put_stages(struct buf *out)
{
    static const struct {
        const char *name, *what;
    } stages[] = {
#define STAGE(code, name, what) {name, what},
#include "api/stage.def"
#undef STAGE
    };
    buf_printf(out, "| stage | passed when |\n|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        buf_printf(out, "| `%s` |", stages[i].name);
        put_cell(out, stages[i].what);
        buf_putc(out, '\n');
    }
}

/* ---- methods ---- */

/* The daemon's own rows, but for their functions, which are not linked here. */
#define METHOD_RUN(f) NULL
#include "api/method_row.h"

static const struct method rows[] = {
#include "api/method.def"
};

static const struct {
    const char *name, *why;
} absent[] = {
#define ABSENT(name, why) {name, why},
#include "api/absent.def"
#undef ABSENT
};

static const char *const tiers[] = {"tier 1", "tier 2", "tier 3", "tier 4", "special"};

static void put_kinds(struct buf *out, const struct method *m)
{
    static const char *const kinds[] = {"user", "bot", "app"};
    const char *between = "";
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if ((m->who >> i & 1) == 0)
            continue;
        buf_printf(out, "%s%s", between, kinds[i]);
        between = ", ";
    }
    if ((m->who & WHO_NO_GUESTS) != 0)
        buf_printf(out, "; no guests");
}

static void put_who(struct buf *out, const struct method *m)
{
    buf_printf(out, "Token: ");
    if (m->who == WHO_ANYONE)
        buf_printf(out, "none needed");
    put_kinds(out, m);
    const char *between = ". Scope: ";
    for (int s = 0; s < SCOPE_COUNT; s++) {
        if ((m->scopes >> s & 1) == 0)
            continue;
        buf_printf(out, "%s`%s`", between, scope_name((enum scope_bit)s));
        between = " or ";
    }
    buf_printf(out, ". Rate: %s.\n\n", tiers[m->tier]);
}

static void put_arg(struct buf *out, const struct arg_spec *a)
{
    buf_printf(out, "| `%s` | %s", a->name, arg_type_name(a->type));
    if (a->max > 0)
        buf_printf(out, ", at most %u", a->max);
    buf_printf(out, a->missing == ERR_OK ? " | no |" : " | yes, `%s` |", err_slack(a->missing));
    put_cell(out, a->what);
    buf_printf(out, " `%s` |\n", err_slack(a->bad));
}

static void put_own_errors(struct buf *out, const struct method *m)
{
    const char *between = "\nErrors: ";
    for (int i = ERR_OK + 1; i < ERR_COUNT; i++) {
        if (method_error(m, (enum err)i) != ERROR_OF_METHOD)
            continue;
        buf_printf(out, "%s`%s`", between, err_slack((enum err)i));
        between = ", ";
    }
    buf_printf(out, between[0] == ',' ? ".\n" : "\nErrors: none of its own.\n");
}

/* As GitHub names a section: without dots, in lower case. */
static void put_link(struct buf *out, struct str_view name)
{
    buf_printf(out, "[%.*s](#", SV_ARG(name));
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        if (c != '.')
            buf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
    }
    buf_putc(out, ')');
}

static void put_overview(struct buf *out)
{
    buf_printf(out, "| method | status | token | rate |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct method *m = &rows[i];
        buf_printf(out, "| ");
        put_link(out, m->name);
        buf_printf(out, " | %s | ", m->status[0] == '\0' ? "whole" : m->status);
        if (m->who == WHO_ANYONE)
            buf_printf(out, "none needed");
        put_kinds(out, m);
        buf_printf(out, " | %s |\n", tiers[m->tier]);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        buf_printf(out, "| %s | not served: %s | | |\n", absent[i].name, absent[i].why);
}

static void put_list(struct buf *out, const char *whose, const enum err *list, size_t len)
{
    buf_printf(out, "%s", whose);
    for (size_t i = 0; i < len; i++) {
        if (seen_by_clients((int)list[i]))
            buf_printf(out, "%s`%s`", i == 0 ? "" : ", ", err_slack(list[i]));
    }
    buf_printf(out, ".\n");
}

static void put_common_errors(struct buf *out)
{
    static const enum err of_all[] = {ERRORS_COMMON}, of_token[] = {ERRORS_TOKEN};
    put_list(out, "All methods: ", of_all, ARRAY_LEN(of_all));
    put_list(out, "\nThose that want a token, too: ", of_token, ARRAY_LEN(of_token));
    buf_printf(
        out,
        "\nThose that name a scope: `%s`; those that not every kind of token may call: `%s`.\n",
        err_slack(ERR_MISSING_SCOPE), err_slack(ERR_NOT_ALLOWED_TOKEN_TYPE));
}

static void put_methods(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct method *m = &rows[i];
        buf_printf(out, "%s### %.*s\n\n%s ", i == 0 ? "" : "\n", SV_ARG(m->name), m->what);
        put_who(out, m);
        if (m->args[0].name == NULL)
            buf_printf(out, "No arguments.\n");
        else
            buf_printf(out, "| argument | type | required | what it is | when it does not fit |\n"
                            "|---|---|---|---|---|\n");
        for (const struct arg_spec *a = m->args; a->name != NULL; a++)
            put_arg(out, a);
        put_own_errors(out, m);
    }
}

/* ---- settings ---- */

static void put_conf(struct buf *out)
{
    static struct conf c;
    conf_defaults(&c);
    buf_printf(out, "; Parley's settings. Every line here is the default: delete what you do not "
                    "change.\n"
                    "; Numbers take k, m and g (powers of 1024); times take ms, s and min.\n"
                    "; Check a file with: parleyd --config FILE --check\n"
                    "; Made from src/base/conf.def by parley-docgen.\n\n");
    conf_print(&c, true, out);
}

/* ---- files ---- */

static const struct {
    const char *file, *name; /* name NULL: the whole file */
    part_fn *put;
} parts[] = {
    {"conf/parley.conf", NULL, put_conf},
    {"docs/operations.md", "settings", conf_print_markdown},
    {"docs/operations.md", "metrics", put_metrics},
    {"docs/operations.md", "stages", put_stages},
    {"docs/api.md", "methods at a glance", put_overview},
    {"docs/api.md", "errors of all methods", put_common_errors},
    {"docs/api.md", "methods", put_methods},
    {"docs/api.md", "errors", put_errors},
};

static bool fail(const char *path, const char *what)
{
    fprintf(stderr, "parley-docgen: %s: %s\n", path, what);
    return false;
}

/* An absent file is an empty one: the first run makes conf/parley.conf. */
static bool read_file(const char *path, char *text, size_t *len)
{
    FILE *f = fopen(path, "re");
    *len = 0;
    if (f == NULL)
        return errno == ENOENT || fail(path, strerror(errno));
    *len = fread(text, 1, file_bytes_max, f);
    bool ok = !ferror(f) && *len < file_bytes_max;
    fclose(f);
    text[*len] = '\0';
    return ok || fail(path, "cannot be read, or too large");
}

static bool write_file(const char *path, struct str_view text)
{
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return fail(path, strerror(errno));
    bool ok = fwrite(text.p, 1, text.len, f) == text.len;
    ok = fclose(f) == 0 && ok;
    return ok || fail(path, "cannot be written");
}

/* The old text with the part's new body between its markers. */
static bool splice(struct buf *out, const char *path, const char *old, const char *name,
                   part_fn *put)
{
    char begin[64], end[64];
    snprintf(begin, sizeof begin, "<!-- generated: %s -->\n", name);
    snprintf(end, sizeof end, "<!-- end: %s -->\n", name);
    const char *from = strstr(old, begin);
    const char *to = from == NULL ? NULL : strstr(from, end);
    if (to == NULL) {
        fprintf(stderr, "parley-docgen: %s: no markers for \"%s\"\n", path, name);
        return false;
    }
    from += strlen(begin);
    buf_put(out, old, (size_t)(from - old));
    put(out);
    buf_printf(out, "%s", to);
    return true;
}

static bool make_part(size_t i, const char *root, bool check, struct arena *a, bool *stale)
{
    static char old[file_bytes_max + 1];
    char path[4096];
    size_t len;
    struct buf out;
    snprintf(path, sizeof path, "%s/%s", root, parts[i].file);
    buf_init(&out, a, arena_bytes);
    old[0] = '\0';
    if (!read_file(path, old, &len))
        return false;
    if (parts[i].name == NULL)
        parts[i].put(&out);
    else if (!splice(&out, path, old, parts[i].name, parts[i].put))
        return false;
    if (out.failed)
        return fail(path, "no memory");
    if (out.len == len && memcmp(out.p, old, len) == 0)
        return true;
    *stale = true;
    printf("%s%s%s: %s\n", parts[i].file, parts[i].name == NULL ? "" : ", ",
           parts[i].name == NULL ? "" : parts[i].name, check ? "stale" : "written");
    return check || write_file(path, buf_view(&out));
}

/* ---- methods as JSON ---- */

static void put_method(struct json_out *j, const struct method *m)
{
    static const char *const type_codes[] = {
#define ARG_TYPE(code, name) #code,
#include "api/arg_type.def"
#undef ARG_TYPE
    };
    json_obj(j);
    json_kv_str(j, "name", m->name);
    json_kv_bool(j, "token", m->who != WHO_ANYONE);
    json_kv_bool(j, "user", (m->who & WHO_USER) != 0);
    json_kv_bool(j, "bot", (m->who & WHO_BOT) != 0);
    json_kv_bool(j, "guests", (m->who & WHO_NO_GUESTS) == 0);
    json_key(j, "scopes");
    json_arr(j);
    for (int s = 0; s < SCOPE_COUNT; s++) {
        if ((m->scopes >> s & 1) != 0)
            json_str(j, sv_from(scope_name((enum scope_bit)s)));
    }
    json_arr_end(j);
    json_key(j, "errors"); /* all that it may answer */
    json_arr(j);
    for (int i = ERR_OK + 1; i < ERR_COUNT; i++) {
        if (method_error(m, (enum err)i) != ERROR_OF_NONE)
            json_str(j, sv_from(err_slack((enum err)i)));
    }
    json_arr_end(j);
    json_key(j, "args");
    json_arr(j);
    for (const struct arg_spec *a = m->args; a->name != NULL; a++) {
        json_obj(j);
        json_kv_str(j, "name", sv_from(a->name));
        json_kv_str(j, "type", sv_from(type_codes[a->type]));
        json_kv_bool(j, "required", a->missing != ERR_OK);
        json_obj_end(j);
    }
    json_arr_end(j);
    json_obj_end(j);
}

/* {"methods":[...],"absent":["name",...]} */
static bool print_methods(struct arena *a)
{
    struct buf b;
    buf_init(&b, a, 65536);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_key(&j, "methods");
    json_arr(&j);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        put_method(&j, &rows[i]);
    json_arr_end(&j);
    json_key(&j, "absent");
    json_arr(&j);
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        json_str(&j, sv_from(absent[i].name));
    json_arr_end(&j);
    json_obj_end(&j);
    return !b.failed && fwrite(b.p, b.len, 1, stdout) == 1 && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    bool check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (argc != 2 && !check) {
        fputs("usage: parley-docgen [--check] ROOT | --methods\n"
              "Writes the generated parts of docs/ and conf/ under ROOT, or checks them.\n",
              stderr);
        return 2;
    }
    struct arena_pool pool;
    struct arena a;
    arena_pool_init(&pool, arena_bytes, 1, UINT64_MAX);
    if (arena_init(&a, &pool, UINT64_MAX) != ERR_OK)
        return 1;
    bool ok = true, stale = false;
    bool lists = strcmp(argv[1], "--methods") == 0;
    if (lists)
        ok = print_methods(&a);
    for (size_t i = 0; !lists && i < ARRAY_LEN(parts); i++)
        ok &= make_part(i, argv[argc - 1], check, &a, &stale);
    arena_deinit(&a);
    arena_pool_deinit(&pool);
    if (check && stale)
        fputs("parley-docgen: run the target docs: cmake --build build/debug --target docs\n",
              stderr);
    return ok && !(check && stale) ? 0 : 1;
}
