/* main.c - parleyctl: the operator's tool. One table row per command. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/client.h"
#include "ctl/demo.h"

enum { columns_max = 16, positionals_max = 2 };

struct command {
    const char *words, *endpoint; /* "user add", "user.add" */
    const char
        *positionals[positionals_max]; /* JSON names of the words behind; "<name" is a line of
                                          standard input: words of a command line are seen */
    const char *usage, *help;
    const char *list, *columns[columns_max]; /* human output: a member that is an array or object,
                                                and its columns */
};

static const struct command commands[] = {
    {"workspace add",
     "workspace.add",
     {"domain"},
     "DOMAIN [--name NAME]",
     "found a workspace",
     "workspace",
     {"id", "domain", "name"}},
    {"workspace list",
     "workspace.list",
     {0},
     "",
     "all workspaces",
     "workspaces",
     {"id", "domain", "name", "users"}},
    {"user add",
     "user.add",
     {"name"},
     "NAME [--email E] [--real-name R] [--bot] [ROLE]",
     "a person or a bot; joins #general, but for a guest",
     "user",
     {"id", "name", "real_name", "email", "bot_id"}},
    {"user change",
     "user.change",
     {"user"},
     "USER [--email E] [--real-name R] [ROLE | --member]",
     "ROLE: --admin, --owner, --primary-owner or --guest",
     "user",
     {"id", "name", "real_name", "email", "is_admin", "is_owner", "is_restricted"}},
    {"user list",
     "user.list",
     {0},
     "",
     "users of a workspace",
     "users",
     {"id", "name", "real_name", "email", "is_bot", "deleted"}},
    {"user disable",
     "user.disable",
     {"user"},
     "USER",
     "all tokens of the user stop at once",
     NULL,
     {0}},
    {"user password",
     "user.password",
     {"user", "<password"},
     "USER",
     "for auth.signin; a line of standard input",
     NULL,
     {0}},
    {"token issue",
     "token.issue",
     {"user"},
     "USER [--scopes A,B]",
     "a new token, shown this once",
     NULL,
     {0}},
    {"token revoke",
     "token.revoke",
     {"token"},
     "TOKEN",
     "stops at once, open sockets too",
     NULL,
     {0}},
    {"channel add",
     "channel.add",
     {"name"},
     "NAME --creator USER [--private]",
     "a channel",
     "channel",
     {"id", "name", "is_private"}},
    {"channel list",
     "channel.list",
     {0},
     "",
     "all channels, private ones too",
     "channels",
     {"id", "name", "is_private", "is_archived", "num_members"}},
    {"channel join",
     "channel.join",
     {"channel", "user"},
     "CHANNEL USER | CHANNEL --all",
     "bring users in",
     NULL,
     {0}},
    {"search rebuild",
     "search.rebuild",
     {0},
     "",
     "make the index of messages and files anew, beside everything else",
     NULL,
     {0}},
    {"status", "status", {0}, "", "what the daemon is doing", NULL, {0}},
    {"slow",
     "slow",
     {0},
     "",
     "the slowest requests of the last ten minutes, by stage",
     "requests",
     {"at", "method", "request_id", "team", "user", "channel", "server_us", "total_us", "parsed_us",
      "queued_us", "stepped_us", "batched_us", "durable_us", "answered_us", "sent_us"}},
};

static const char demo_usage[] = "[--users N --channels M [--member-of-all]]";

/* Options that become members of the request. */
static const struct option_row {
    const char *option, *member;
    bool flag;
} request_options[] = {
    {"workspace", "workspace", false},
    {"name", "name", false},
    {"email", "email", false},
    {"real-name", "real_name", false},
    {"creator", "creator", false},
    {"bot", "bot", true},
    {"scopes", "scopes", false},
    {"owner", "owner", true},
    {"primary-owner", "primary_owner", true},
    {"guest", "guest", true},
    {"member", "member", true},
    {"admin", "admin", true},
    {"private", "private", true},
    {"all", "all", true},
};
enum { request_options_len = ARRAY_LEN(request_options), OPT_REQUEST = 1000 };

static void print_options(void)
{
    puts("\n  --data DIR            the daemon's data directory (default: data)\n"
         "  --workspace DOMAIN    which workspace, by domain or id; without it, the only one\n"
         "  --json                the daemon's answer as JSON; demo --json FILE writes it to FILE\n"
         "  --version, --help     COMMAND --help: how that command is called");
}

static void print_help(void)
{
    puts("parleyctl - runs a Parley server's workspaces, over the Unix socket in its data "
         "directory\n\n"
         "usage: parleyctl [--data DIR] [--workspace DOMAIN] [--json] COMMAND ...\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-15s %-52s %s\n", commands[i].words, commands[i].usage, commands[i].help);
    printf("  %-15s %-52s %s\n", "demo", demo_usage, "a workspace to try, or a population");
    print_options();
}

/* ---- human tables ---- */

static struct str_view cell_text(const struct answer *row, const char *column)
{
    struct str_view s = answer_str(row, column);
    return s.p == NULL ? SV("-") : s;
}

static void print_rows(const struct command *cmd, const struct answer *rows, uint32_t n)
{
    size_t width[columns_max] = {0};
    for (int c = 0; c < columns_max && cmd->columns[c] != NULL; c++) {
        width[c] = strlen(cmd->columns[c]);
        for (uint32_t r = 0; r < n; r++)
            width[c] = MAX(width[c], utf8_count(cell_text(&rows[r], cmd->columns[c])));
    }
    for (int c = 0; c < columns_max && cmd->columns[c] != NULL; c++)
        printf("%-*s  ", (int)width[c], cmd->columns[c]);
    putchar('\n');
    for (uint32_t r = 0; r < n; r++) {
        for (int c = 0; c < columns_max && cmd->columns[c] != NULL; c++) {
            struct str_view s = cell_text(&rows[r], cmd->columns[c]);
            printf("%.*s%*s  ", SV_ARG(s), (int)(width[c] - utf8_count(s)), "");
        }
        putchar('\n');
    }
}

/* "name: value"; of an object its own members, of a list of objects their names. */
static void print_member(struct client *c, struct str_view name, const struct json_value *v)
{
    struct answer one;
    struct json_member *items;
    uint32_t n;
    printf("%.*s:", SV_ARG(name));
    if (v->type == JSON_OBJECT && object_read(c, v->s, &one)) {
        for (uint32_t i = 0; i < one.len; i++)
            printf(" %.*s=%.*s", SV_ARG(one.members[i].name), SV_ARG(one.members[i].value.s));
    } else if (v->type == JSON_ARRAY &&
               json_read_array(c->json, &c->arena, v->s, &items, &n) == ERR_OK) {
        for (uint32_t i = 0; i < n; i++) {
            if (object_read(c, items[i].value.s, &one))
                printf(" %.*s", SV_ARG(answer_str(&one, "name")));
        }
    } else {
        printf(" %.*s", SV_ARG(v->s));
    }
    putchar('\n');
}

static void print_human(struct client *c, const struct command *cmd, const struct answer *a)
{
    struct json_value *v =
        cmd->list == NULL ? NULL : json_find(a->members, a->len, sv_from(cmd->list));
    struct answer one;
    if (v != NULL && v->type == JSON_OBJECT && object_read(c, v->s, &one)) {
        print_rows(cmd, &one, 1);
        return;
    }
    struct json_member *items;
    uint32_t n;
    if (v != NULL && json_read_array(c->json, &c->arena, v->s, &items, &n) == ERR_OK) {
        struct answer *rows = arena_zalloc(&c->arena, (n + 1) * sizeof *rows);
        for (uint32_t i = 0; rows != NULL && i < n; i++) {
            if (!object_read(c, items[i].value.s, &rows[i]))
                return;
        }
        if (rows != NULL)
            print_rows(cmd, rows, n);
        return;
    }
    for (uint32_t i = 0; i < a->len; i++) {
        if (!sv_eq(a->members[i].name, SV("ok")))
            print_member(c, a->members[i].name, &a->members[i].value);
    }
}

/* ---- commands ---- */

struct invocation {
    const char *data_dir, *json_path;
    bool json, help, version;
    const char *values[request_options_len]; /* NULL: not given */
    struct demo_options demo;
};

static const struct command *find_command(char **words, int len, int *used)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        char joined[128];
        int n = strchr(commands[i].words, ' ') == NULL ? 1 : 2;
        if (len < n)
            continue;
        snprintf(joined, sizeof joined, "%s%s%s", words[0], n == 2 ? " " : "",
                 n == 2 ? words[1] : "");
        if (strcmp(joined, commands[i].words) == 0) {
            *used = n;
            return &commands[i];
        }
    }
    return NULL;
}

static struct str_view read_line(struct client *c)
{
    enum { line_max = 2048 };
    char *line = arena_alloc(&c->arena, line_max);
    if (line == NULL || fgets(line, line_max, stdin) == NULL)
        return SV("");
    return (struct str_view){line, strcspn(line, "\r\n")};
}

static struct str_view request_body(struct client *c, const struct command *cmd,
                                    const struct invocation *in, char **words, int len)
{
    struct buf b;
    buf_init(&b, &c->arena, 512);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    for (int i = 0; i < len && i < positionals_max && cmd->positionals[i] != NULL; i++)
        json_kv_str(&j, cmd->positionals[i], sv_from(words[i]));
    for (size_t i = 0; i < request_options_len; i++) {
        const struct option_row *o = &request_options[i];
        if (in->values[i] == NULL ||
            (len > 0 && cmd->positionals[0] != NULL && strcmp(o->member, cmd->positionals[0]) == 0))
            continue;
        if (o->flag)
            json_kv_bool(&j, o->member, true);
        else
            json_kv_str(&j, o->member, sv_from(in->values[i]));
    }
    for (int i = 0; i < positionals_max && cmd->positionals[i] != NULL; i++) {
        if (cmd->positionals[i][0] == '<')
            json_kv_str(&j, cmd->positionals[i] + 1, read_line(c));
    }
    json_obj_end(&j);
    return buf_view(&b);
}

/* All of them are needed, but for the user of "channel join CHANNEL --all". */
static bool positionals_fit(const struct command *cmd, const struct invocation *in, int given)
{
    int most = 0, least;
    while (most < positionals_max && cmd->positionals[most] != NULL &&
           cmd->positionals[most][0] != '<')
        most++;
    least = most;
    for (size_t i = 0; i < request_options_len; i++) {
        if (strcmp(request_options[i].option, "all") == 0 && in->values[i] != NULL && most == 2)
            least = 1;
    }
    return given >= least && given <= most;
}

static int run_command(struct client *c, const struct invocation *in, char **words, int len)
{
    int used = 0;
    const struct command *cmd = find_command(words, len, &used);
    if (cmd == NULL) {
        fprintf(stderr, "parleyctl: no command \"%s%s%s\". Try parleyctl --help.\n", words[0],
                len > 1 ? " " : "", len > 1 ? words[1] : "");
        return 2;
    }
    if (!positionals_fit(cmd, in, len - used)) {
        fprintf(stderr, "usage: parleyctl %s %s\n", cmd->words, cmd->usage);
        return 2;
    }
    struct answer a;
    if (!client_must(c, cmd->endpoint, request_body(c, cmd, in, words + used, len - used), &a))
        return 1;
    if (in->json)
        printf("%.*s\n", SV_ARG(a.text));
    else
        print_human(c, cmd, &a);
    return 0;
}

static bool parse_count(const char *text, uint64_t max, uint64_t *out)
{
    if (sv_to_u64(sv_from(text), out) && *out <= max)
        return true;
    fprintf(stderr, "parleyctl: \"%s\" is not a number up to %llu\n", text,
            (unsigned long long)max);
    return false;
}

static int parse(struct invocation *in, int argc, char **argv)
{
    enum { OPT_DATA = 1, OPT_JSON, OPT_USERS, OPT_CHANNELS, OPT_MEMBER_OF_ALL };
    struct option options[request_options_len + 8] = {
        {"data", required_argument, NULL, OPT_DATA},
        {"json", no_argument, NULL, OPT_JSON},
        {"users", required_argument, NULL, OPT_USERS},
        {"channels", required_argument, NULL, OPT_CHANNELS},
        {"member-of-all", no_argument, NULL, OPT_MEMBER_OF_ALL},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'}};
    for (size_t i = 0; i < request_options_len; i++)
        options[7 + i] = (struct option){request_options[i].option,
                                         request_options[i].flag ? no_argument : required_argument,
                                         NULL, (int)(OPT_REQUEST + i)};
    int opt;
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (opt == 'h') {
            in->help = true;
        } else if (opt == 'v') {
            in->version = true;
        } else if (opt == OPT_DATA) {
            in->data_dir = optarg;
        } else if (opt == OPT_JSON) {
            in->json = true;
        } else if (opt == OPT_USERS) {
            if (!parse_count(optarg, 100000, &in->demo.users))
                return 2;
        } else if (opt == OPT_CHANNELS) {
            if (!parse_count(optarg, 100000, &in->demo.channels))
                return 2;
        } else if (opt == OPT_MEMBER_OF_ALL) {
            in->demo.member_of_all = true;
        } else if (opt >= OPT_REQUEST) {
            in->values[opt - OPT_REQUEST] = request_options[opt - OPT_REQUEST].flag ? "" : optarg;
        } else {
            fputs("Try parleyctl --help.\n", stderr);
            return 2;
        }
    }
    return 0;
}

/* Of the command that is named, else of everything. */
static void print_help_of(char **words, int len)
{
    int used;
    const struct command *cmd = find_command(words, len, &used);
    if (cmd != NULL)
        printf("usage: parleyctl %s %s\n\n  %s\n", cmd->words, cmd->usage, cmd->help);
    else if (len > 0 && strcmp(words[0], "demo") == 0)
        printf("usage: parleyctl demo %s [--json FILE]\n\n"
               "  Makes a workspace with three users, a bot and two channels, once; prints it with "
               "its tokens.\n"
               "  --users N --channels M: a workspace of its own with N users more, each with a "
               "token, and M channels.\n"
               "  --member-of-all: everybody is in all of them, not only the channels' creator.\n",
               demo_usage);
    else {
        print_help();
        return;
    }
    print_options();
}

static int run_demo(struct client *c, struct invocation *in, char **words, int len)
{
    if (len > (in->json ? 2 : 1)) {
        fprintf(stderr, "usage: parleyctl demo %s [--json FILE]\n", demo_usage);
        return 2;
    }
    in->demo.json_path = len == 2 ? words[1] : NULL;
    return demo_run(c, &in->demo) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct invocation in = {.data_dir = "data"};
    struct client client = {.fd = -1};
    int bad = parse(&in, argc, argv);
    if (bad != 0)
        return bad;
    char **words = argv + optind;
    int len = argc - optind;
    if (in.version) {
        puts("parleyctl " PARLEY_VERSION);
        return 0;
    }
    if (in.help || len == 0) {
        print_help_of(words, len);
        return in.help ? 0 : 2;
    }
    if (!client_open(&client, in.data_dir))
        return 1;
    int rc = strcmp(words[0], "demo") == 0 ? run_demo(&client, &in, words, len)
                                           : run_command(&client, &in, words, len);
    client_close(&client);
    return rc;
}
