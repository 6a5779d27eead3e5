#include "base/conf.h"

#include <stdlib.h>
#include <unistd.h>

#include "test.h"

struct fix {
    struct conf c;
    char msg[512], path[64];
};

static void fix_init(struct fix *f)
{
    memset(f, 0, sizeof *f);
    conf_defaults(&f->c);
}

static enum err set(struct fix *f, const char *name, const char *value)
{
    return conf_set(&f->c, sv_from(name), sv_from(value), f->msg, sizeof f->msg);
}

static enum err load(struct fix *f, struct str_view text)
{
    strcpy(f->path, "/tmp/parley-conf-XXXXXX");
    int fd = mkstemp(f->path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text.p, text.len), (ssize_t)text.len);
    close(fd);
    enum err e = conf_load_file(&f->c, f->path, f->msg, sizeof f->msg);
    unlink(f->path);
    return e;
}

static void check_msg(const struct fix *f, const char *part)
{
    if (strstr(f->msg, part) == NULL)
        print_error("message: %s\n", f->msg);
    CHECK(strstr(f->msg, part) != NULL);
}

TEST(defaults_are_in_range_and_agree)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(conf_check(&f.c, f.msg, sizeof f.msg), ERR_OK);
    CHECK_EQ(f.c.http_body_max, 1048576);
    CHECK_STR(f.c.server_listen, "127.0.0.1:8065");
}

TEST(units)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(set(&f, "http.body_max", "64k"), ERR_OK);
    CHECK_EQ(f.c.http_body_max, 65536);
    CHECK_EQ(set(&f, "store.cache_bytes", " 1G "), ERR_OK);
    CHECK_EQ(f.c.store_cache_bytes, 1u << 30);
    CHECK_EQ(set(&f, "http.idle_timeout_ms", "2min"), ERR_OK);
    CHECK_EQ(f.c.http_idle_timeout_ms, 120000);
    CHECK_EQ(set(&f, "http.idle_timeout_ms", "3s"), ERR_OK);
    CHECK_EQ(f.c.http_idle_timeout_ms, 3000);
    CHECK_EQ(set(&f, "http.idle_timeout_ms", "40ms"), ERR_OK);
    CHECK_EQ(f.c.http_idle_timeout_ms, 40);
    static const char *const bad[] = {
        "", "k", "-1", "1x", "1 k", "0x10", "1.5", "1s", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(set(&f, "http.body_max", bad[i]), ERR_BAD_CONF);
    CHECK_EQ(set(&f, "store.cache_bytes", "18014398509481984k"), ERR_BAD_CONF); /* wraps to 0 */
    CHECK_EQ(set(&f, "http.idle_timeout_ms", "1k"), ERR_BAD_CONF);
    CHECK_EQ(f.c.http_body_max, 65536); /* untouched by a refusal */
}

TEST(ranges_are_told)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(set(&f, "http.pipeline_max", "65"), ERR_BAD_CONF);
    check_msg(&f, "http.pipeline_max: \"65\" is not a number from 1 to 64 (requests)");
    CHECK_EQ(set(&f, "http.pipeline_max", "0"), ERR_BAD_CONF);
    CHECK_EQ(set(&f, "http.pipeline_max", "64"), ERR_OK);
    CHECK_EQ(set(&f, "log.level", "loud"), ERR_BAD_CONF);
    check_msg(&f, "none of debug,info,warn,error");
    CHECK_EQ(set(&f, "log.level", "error"), ERR_OK);
    CHECK_EQ(f.c.log_level, 3);
    CHECK_EQ(set(&f, "threads.acceptor_with_chan", "perhaps"), ERR_BAD_CONF);
    CHECK_EQ(set(&f, "threads.acceptor_with_chan", "ON"), ERR_OK);
    CHECK(f.c.threads_acceptor_with_chan);
    char text[conf_str_max + 1];
    memset(text, 'x', sizeof text);
    text[conf_str_max] = '\0';
    CHECK_EQ(set(&f, "server.data", text), ERR_BAD_CONF);
    text[conf_str_max - 1] = '\0';
    CHECK_EQ(set(&f, "server.data", text), ERR_OK);
}

TEST(an_unknown_name_is_told_the_nearest)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(set(&f, "http.body_maxx", "1"), ERR_BAD_CONF);
    check_msg(&f, "unknown setting \"http.body_maxx\"; the nearest is \"http.body_max\"");
    CHECK_EQ(set(&f, "", "1"), ERR_BAD_CONF);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_EQ(set(&f, name, "1"), ERR_BAD_CONF); /* longer than any name */
    check_msg(&f, "unknown setting");
}

TEST(rules_across_settings)
{
    static const struct {
        const char *name, *value, *told;
    } rules[] = {{"server.cert", "x.pem", "go together"},
                 {"server.tls_listen", "127.0.0.1:1", "needs server.cert"},
                 {"server.listen", "", "must be set"},
                 {"server.data", "", "directory"},
                 {"ring.request_cells", "3", "powers of two"},
                 {"ws.queue_hard_bytes", "65536", "less than"},
                 {"http.head_max", "1024", "at most"}};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct fix f;
        fix_init(&f);
        CHECK_EQ(set(&f, rules[i].name, rules[i].value), ERR_OK);
        CHECK_EQ(conf_check(&f.c, f.msg, sizeof f.msg), ERR_BAD_CONF);
        check_msg(&f, rules[i].told);
    }
}

TEST(a_file_error_names_its_line_and_its_own_reason)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(load(&f, SV("[http]\nbody_max = 2k\n\nbody_mx = 1\n[ws]\nping_ms = never\n")),
             ERR_BAD_CONF);
    check_msg(&f, ":4: unknown setting \"http.body_mx\"");
    CHECK_EQ(load(&f, SV("[http]\nbody_max 2k\npipeline_max = 0\n")), ERR_BAD_CONF);
    check_msg(&f, ":2: not of the form");
    CHECK_EQ(load(&f, SV("body_max = 2k\n")), ERR_BAD_CONF);
    check_msg(&f, ":1: unknown setting");
    CHECK_EQ(conf_load_file(&f.c, "/nonexistent/parley.conf", f.msg, sizeof f.msg), ERR_BAD_CONF);
    check_msg(&f, "cannot be read");
}

/* The INI reader takes an indented line for more of the value before it, and cuts long lines in
 * two. */
TEST(a_file_line_is_one_setting)
{
    struct fix f;
    fix_init(&f);
    CHECK_EQ(load(&f, SV("[server]\ndata = here\n  listen = 127.0.0.1:9\n")), ERR_OK);
    CHECK_STR(f.c.server_data, "here");
    CHECK_STR(f.c.server_listen, "127.0.0.1:9");
    char text[600] = "[server]\n; ";
    size_t n = strlen(text);
    memset(text + n, 'c', 400);
    strcpy(text + n + 400, "\ndata = there\n");
    CHECK_EQ(load(&f, sv_from(text)), ERR_OK);
    CHECK_STR(f.c.server_data, "there");
    strcpy(text, "[server]\ndata = ");
    n = strlen(text);
    memset(text + n, 'd', 180);
    strcpy(text + n + 180, "\n");
    CHECK_EQ(load(&f, sv_from(text)), ERR_OK);
    CHECK_EQ(strlen(f.c.server_data), 180);
    memset(text + n, 'e', 250);
    strcpy(text + n + 250, "\n");
    CHECK_EQ(load(&f, sv_from(text)), ERR_BAD_CONF); /* refused, never cut */
    check_msg(&f, ":2: the line is too long");
    CHECK_EQ(load(&f, SV("[server]\ndata = x\0y\nlisten = 1\n")), ERR_BAD_CONF);
    check_msg(&f, ":2:");
}

TEST(what_is_printed_loads_again)
{
    struct fix f, g;
    static char space[65536];
    struct buf out;
    fix_init(&f);
    fix_init(&g);
    CHECK_EQ(set(&f, "http.body_max", "2048"), ERR_OK);
    CHECK_EQ(set(&f, "log.level", "warn"), ERR_OK);
    CHECK_EQ(set(&f, "server.public_url", "https://chat.example.com"), ERR_OK);
    buf_init_fixed(&out, space, sizeof space);
    conf_print(&f.c, true, &out);
    CHECK(!out.failed);
    CHECK_EQ(load(&g, buf_view(&out)), ERR_OK);
    CHECK_MEM(&f.c, &g.c, sizeof f.c);
    buf_init_fixed(&out, space, sizeof space);
    conf_print_markdown(&out);
    CHECK(!out.failed);
    buf_putc(&out, '\0');
    CHECK(strstr(out.p, "| `server.tls_listen` | empty | text |") != NULL);
    CHECK(strstr(out.p, "| `server.data` | `data` | text |") != NULL);
}
