#include "server/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPT_SET = 256, OPT_CHECK, OPT_VERSION, OPT_PRINT_CONFIG };

/* Options that are a setting under a shorter name. */
static const struct {
    const char *option, *setting, *help;
} named[] = {
    {"data", "server.data", "DIR        directory of the store (default: data)"},
    {"listen", "server.listen", "ADDR:PORT  plain HTTP and WebSocket (default: 127.0.0.1:8065)"},
    {"tls-listen", "server.tls_listen", "ADDR:PORT  HTTPS; needs --cert and --key"},
    {"cert", "server.cert", "FILE       certificate chain, PEM"},
    {"key", "server.key", "FILE       private key, PEM"},
    {"admin-listen", "server.admin_listen",
     "ADDR:PORT  /metrics and /health (default: 127.0.0.1, any port)"},
    {"log-level", "log.level", "LEVEL      debug, info, warn or error (default: info)"},
};

static void print_help(void)
{
    puts("parleyd - chat server: messages are stored first, then seen\n\n"
         "usage: parleyd [--config FILE] [options]\n\n"
         "  --config       FILE       settings, INI (conf/parley.conf is the commented default)");
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        printf("  --%-12s %s\n", named[i].option, named[i].help);
    puts("  --set          SECTION.KEY=VALUE   any setting; may be repeated\n"
         "  --check                   validate, print the effective settings and exit\n"
         "  --print-config            print every setting with its reason, unit and range, and "
         "exit\n"
         "  --version, --help\n\n"
         "signals: TERM and INT drain and stop, HUP reads the certificates again.\n"
         "A first workspace: parleyctl --data DIR demo --json demo.json");
}

static bool set(struct conf *c, struct str_view name, struct str_view value)
{
    char msg[512];
    if (conf_set(c, name, value, msg, sizeof msg) == ERR_OK)
        return true;
    fprintf(stderr, "parleyd: %s\n", msg);
    return false;
}

static bool set_pair(struct conf *c, const char *text)
{
    struct str_view value = sv_from(text);
    struct str_view name = sv_cut(&value, '=');
    if (value.p == NULL) {
        fprintf(stderr, "parleyd: --set takes SECTION.KEY=VALUE, not \"%s\"\n", text);
        return false;
    }
    return set(c, name, value);
}

static bool load_file(struct conf *c, const char *path)
{
    char msg[512];
    if (conf_load_file(c, path, msg, sizeof msg) == ERR_OK)
        return true;
    fprintf(stderr, "parleyd: %s\n", msg);
    return false;
}

static enum options_verdict print_settings(const struct conf *c, bool with_why)
{
    struct arena_pool pool;
    struct arena a;
    struct buf b;
    arena_pool_init(&pool, 65536, 1, UINT64_MAX);
    if (arena_init(&a, &pool, UINT64_MAX) != ERR_OK)
        return OPTIONS_BAD;
    buf_init(&b, &a, 65536);
    conf_print(c, with_why, &b);
    fwrite(b.p, 1, b.len, stdout);
    arena_deinit(&a);
    arena_pool_deinit(&pool);
    return OPTIONS_DONE;
}

/* The file is read first, wherever --config stands, so that options win over it. */
static bool load_config_option(struct conf *c, int argc, char **argv, const struct option *options)
{
    int opt;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'c' && !load_file(c, optarg))
            return false;
    }
    opterr = 1;
    optind = 1;
    return true;
}

enum options_verdict options_parse(struct conf *c, int argc, char **argv)
{
    struct option options[ARRAY_LEN(named) + 8] = {
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, OPT_SET},
        {"check", no_argument, NULL, OPT_CHECK},
        {"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, 'h'}};
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        options[6 + i] = (struct option){named[i].option, required_argument, NULL, (int)(1000 + i)};
    conf_defaults(c);
    if (!load_config_option(c, argc, argv, options))
        return OPTIONS_BAD;
    bool check = false, print = false;
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool ok = true;
        if (opt == 'h') {
            print_help();
            return OPTIONS_DONE;
        } else if (opt == OPT_VERSION) {
            puts("parleyd " PARLEY_VERSION);
            return OPTIONS_DONE;
        } else if (opt == OPT_SET) {
            ok = set_pair(c, optarg);
        } else if (opt >= 1000) {
            ok = set(c, sv_from(named[opt - 1000].setting), sv_from(optarg));
        } else if (opt == OPT_CHECK) {
            check = true;
        } else if (opt == OPT_PRINT_CONFIG) {
            print = true;
        } else if (opt != 'c') {
            ok = false;
        }
        if (!ok) {
            fputs("Try parleyd --help.\n", stderr);
            return OPTIONS_BAD;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "parleyd: unexpected argument \"%s\"\n", argv[optind]);
        return OPTIONS_BAD;
    }
    char msg[512];
    if (conf_check(c, msg, sizeof msg) != ERR_OK) {
        fprintf(stderr, "parleyd: %s\n", msg);
        return OPTIONS_BAD;
    }
    return check || print ? print_settings(c, print) : OPTIONS_RUN;
}
