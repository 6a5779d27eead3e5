#include "http1/form.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

struct fix {
    struct arena_pool pool;
    struct arena a;
    struct form form;
};

static void fix_init(struct fix *f)
{
    memset(f, 0, sizeof *f);
    arena_pool_init(&f->pool, 16384, 1, UINT64_MAX);
    CHECK_EQ(arena_init(&f->a, &f->pool, 4 << 20), ERR_OK);
}

static void fix_deinit(struct fix *f)
{
    arena_deinit(&f->a);
    arena_pool_deinit(&f->pool);
}

/* The body in a block of its exact size, so that a read past its end is seen. */
static char *exact(struct str_view s)
{
    char *p = malloc(s.len + (s.len == 0));
    memcpy(p, s.p, s.len);
    return p;
}

/* name=value;name=value as text */
static void describe(const struct form *f, char *out, size_t n)
{
    struct buf b;
    buf_init_fixed(&b, out, n - 1);
    for (uint32_t i = 0; i < f->len; i++) {
        const struct form_param *p = &f->params[i];
        buf_printf(&b, "%.*s=%.*s", SV_ARG(p->name), SV_ARG(p->value));
        if (p->is_file)
            buf_printf(&b, "(file %.*s, %.*s)", SV_ARG(p->filename), SV_ARG(p->content_type));
        buf_putc(&b, ';');
    }
    out[b.len] = '\0';
}

static void check_urlencoded(struct str_view text, const char *want) /* NULL: refused */
{
    struct fix f;
    char got[1024], *p = exact(text);
    fix_init(&f);
    enum err err = form_parse_urlencoded(&f.form, &f.a, (struct str_view){p, text.len});
    if (want == NULL) {
        CHECK_EQ(err, ERR_INVALID_FORM_DATA);
    } else {
        CHECK_EQ(err, ERR_OK);
        describe(&f.form, got, sizeof got);
        CHECK_STR(got, want);
    }
    fix_deinit(&f);
    free(p);
}

TEST(urlencoded)
{
    check_urlencoded(SV(""), "");
    check_urlencoded(SV("&&a=1&&b=2&"), "a=1;b=2;");
    check_urlencoded(SV("token=xoxb-1&text=a+b%20c%2B%26%3d"), "token=xoxb-1;text=a b c+&=;");
    check_urlencoded(SV("a&b=&=c&a=2"), "a=;b=;=c;a=2;");
    check_urlencoded(SV("a=b=c"), "a=b=c;");
    check_urlencoded(SV("%61=%C3%a4%F0%9F%8E%89"), "a=\xc3\xa4\xf0\x9f\x8e\x89;");
    check_urlencoded(SV("a=\xc3\xa4"), "a=\xc3\xa4;"); /* raw UTF-8 comes from careless clients */
    static const char *const refused[] = {"a=%",         "a=%4",         "a=%4g",         "a=%g4",
                                          "%=1",         "a=%00",        "a=%ff",         "a=\xff",
                                          "a=%ED%A0%80", "%C3=1",        "a=%C3",         "a=%%41",
                                          "a=%C0%80",    "a=b&c=%u0041", "a=%f4%90%80%80"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        check_urlencoded(sv_from(refused[i]), NULL);
    check_urlencoded(SV("a=\0"), NULL);
}

TEST(too_many_fields_are_refused)
{
    struct fix f;
    char text[4096];
    size_t n = 0;
    for (int i = 0; i < form_params_max; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "a=%d&", i);
    fix_init(&f);
    CHECK_EQ(form_parse_urlencoded(&f.form, &f.a, (struct str_view){text, n}), ERR_OK);
    CHECK_EQ(f.form.len, form_params_max);
    CHECK_SV(f.form.params[255].value, "255");
    CHECK_EQ(form_parse_urlencoded(&f.form, &f.a, SV("b=1")), ERR_INVALID_FORM_DATA);
    fix_deinit(&f);
}

TEST(path_unescaping_keeps_the_plus)
{
    struct fix f;
    struct str_view out;
    fix_init(&f);
    CHECK_EQ(form_unescape(&f.a, SV("a+b%2Fc"), false, &out), ERR_OK);
    CHECK_SV(out, "a+b/c");
    CHECK_EQ(form_unescape(&f.a, SV_NONE, true, &out), ERR_OK);
    CHECK_SV(out, "");
    CHECK(out.p != NULL);
    fix_deinit(&f);
}

TEST(media_types)
{
    struct fix f;
    fix_init(&f);
    CHECK_SV(media_type(SV("text/html; charset=utf-8")), "text/html");
    CHECK_SV(media_type(SV(" application/json ")), "application/json");
    static const struct {
        struct str_view value, want;
    } rows[] = {{{"a/b; charset=utf-8", 18}, {"utf-8", 5}},
                {{"a/b;Charset = \"utf-8\" ; x=y", 27}, {"utf-8", 5}},
                {{"a/b; x=\"; charset=no\"; charset=yes", 34}, {"yes", 3}},
                {{"a/b; x; charset=yes", 19}, {"yes", 3}},
                {{"a/b; charset=\"a\\\"b\\\\c\\d\"", 24}, {"a\"b\\c\\d", 7}},
                {{"a/b; charset=", 13}, {"", 0}},
                {{"a/b; charset=\"open", 18}, {NULL, 0}},
                {{"a/b", 3}, {NULL, 0}},
                {{"a/b;;;", 6}, {NULL, 0}},
                {{"", 0}, {NULL, 0}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str_view got = media_param(&f.a, rows[i].value, SV("charset"));
        CHECK(sv_eq(got, rows[i].want));
        CHECK_EQ(got.p == NULL, rows[i].want.p == NULL);
    }
    fix_deinit(&f);
}

#define TYPE "multipart/form-data; boundary=XX"

static enum err multipart(struct fix *f, struct str_view body, char *got, size_t n)
{
    char *p = exact(body);
    enum err err = form_parse_multipart(&f->form, &f->a, SV(TYPE), (struct str_view){p, body.len});
    if (err == ERR_OK)
        describe(&f->form, got, n);
    free(p);
    return err;
}

#define PART(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

TEST(multipart_bodies)
{
    static const struct {
        struct str_view body;
        const char *want; /* NULL: refused */
    } rows[] = {
#define ROW(text, want) {{text, sizeof(text) - 1}, want}
        ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n" PART("b") "\r\n\r\n--XX--\r\n", "a=1;b=;"),
        /* A real client does not finish its last boundary. */
        ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n" PART("b") "\r\n2\r\n--XX", "a=1;b=2;"),
        ROW("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n", "a=1;"),
        ROW("preamble\r\n--XX\r\n" PART("a") "\r\n1\r\n--XX--epilogue --XX", "a=1;"),
        ROW("--XX--\r\n", ""),
        ROW("--XX", ""),
        /* An empty part without a line of its own, then another: not one part that holds both. */
        ROW("--XX\r\n" PART("a") "\r\n--XX\r\n" PART("b") "\r\n2\r\n--XX--", "a=;b=2;"),
        ROW("--XX\r\n" PART("a") "\r\n\r\n\r\n--X\r\n-XX\r\n--XX--", "a=\r\n\r\n--X\r\n-XX;"),
        ROW("--XX\r\ncontent-disposition:form-data; filename=\"x.bin\"; name=f\r\n"
            "Content-Type: application/octet-stream\r\n\r\n\xff\r\n--XX--",
            "f=\xff(file x.bin, application/octet-stream);"),
        ROW("--XX\r\nContent-Type: text/plain\r\n" PART("a") "X-Y: z\r\n\r\n1\r\n--XX--", "a=1;"),
        ROW("", NULL),
        ROW("a=1", NULL),
        ROW("-XX\r\n" PART("a") "\r\n1\r\n-XX--", NULL),
        ROW("--XY\r\n" PART("a") "\r\n1\r\n--XY--", NULL),
        ROW("--XX\r\n" PART("a") "\r\n1", NULL),
        ROW("--XX\r\n" PART("a") "\r\n1\r\n", NULL),
        ROW("--XX\r\n" PART("a") "\r\n1\r\n--X", NULL),
        ROW("--XX\r\n" PART("a"), NULL),
        ROW("--XX\r\n" PART("a") "\r\n", NULL),
        ROW("--XX\r\n\r\n1\r\n--XX--", NULL),
        ROW("--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--", NULL),
        ROW("--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--XX--", NULL),
        ROW("--XX\r\nno colon\r\n\r\n1\r\n--XX--", NULL),
        ROW("--XX\n" PART("a") "\r\n1\r\n--XX--", NULL),
        ROW("--XXjunk\r\n" PART("a") "\r\n1\r\n--XX--", NULL),
        ROW("--XX\r\n" PART("a") "\r\n1\r\n--XXjunk\r\n--XX--", NULL),
        ROW("--XX\r\n" PART("a") "\r\n\xff\r\n--XX--", NULL),
        ROW("--XX\r\n" PART("a") "\r\na\0b\r\n--XX--", NULL),
        ROW("--XX\r\n" PART("\xff") "\r\n1\r\n--XX--", NULL),
        ROW("--XX\r\nContent-Disposition: form-data; name=f; filename=\"\xff\"\r\n\r\n1\r\n--XX--",
            NULL),
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fix f;
        char got[1024] = "";
        fix_init(&f);
        enum err err = multipart(&f, rows[i].body, got, sizeof got);
        if (err != (rows[i].want == NULL ? ERR_INVALID_FORM_DATA : ERR_OK))
            print_error("row %zu: %s\n", i, err_code_name(err));
        CHECK_EQ(err, rows[i].want == NULL ? ERR_INVALID_FORM_DATA : ERR_OK);
        if (rows[i].want != NULL)
            CHECK_STR(got, rows[i].want);
        fix_deinit(&f);
    }
}

/* A body that is cut anywhere before its last boundary is refused, and never read past its end. */
TEST(a_cut_multipart_body_is_refused)
{
    struct str_view whole =
        SV("--XX\r\n" PART("a") "\r\n1\r\n--XX\r\n" PART("b") "\r\n22\r\n--XX--\r\n");
    size_t second = 6 + strlen(PART("a")) + 2 + 1 + 6; /* up to and with the second boundary */
    for (size_t n = 0; n <= whole.len; n++) {
        struct fix f;
        char got[256];
        fix_init(&f);
        enum err err = multipart(&f, (struct str_view){whole.p, n}, got, sizeof got);
        bool at_boundary = n == 4 || n == 6 || n == second || n == second + 2 || n >= whole.len - 4;
        CHECK_EQ(err, at_boundary && n != whole.len - 3 ? ERR_OK : ERR_INVALID_FORM_DATA);
        fix_deinit(&f);
    }
}

TEST(boundaries_that_cannot_be)
{
    static const char *const types[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
        ("multipart/form-data; boundary="
         "00000000000000000000000000000000000000000000000000000000000000000000000")};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct fix f;
        fix_init(&f);
        CHECK_EQ(form_parse_multipart(&f.form, &f.a, sv_from(types[i]), SV("--\r\n\r\n\r\n----")),
                 ERR_INVALID_FORM_DATA);
        fix_deinit(&f);
    }
}

/* Boundaries almost met, over and over: time stays linear. */
TEST(a_hostile_body_takes_linear_time)
{
    struct fix f;
    size_t n = 1 << 20;
    char *p = malloc(n);
    fix_init(&f);
    for (size_t i = 0; i < n; i++)
        p[i] = "\r\n--X"[i % 5];
    memcpy(p, "--XX\r\n" PART("a") "\r\n", 6 + strlen(PART("a")) + 2);
    CHECK_EQ(form_parse_multipart(&f.form, &f.a, SV(TYPE), (struct str_view){p, n}),
             ERR_INVALID_FORM_DATA);
    free(p);
    fix_deinit(&f);
}
