/* main.c - parley-bench: load on a Parley server, and an audit of what came of it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bystander.h"
#include "load.h"

enum {
    conns_max = 16384,
    sockets_max = 1000000,
    sockets_by_number_max = 8192, /* more: in the ring's table */
    sources_each = 4,
    bystander_conns = 16,
    files_reserve = 256,
    arena_first = 1 << 20,
    exit_usage = 2
};

static const struct command {
    const char *name;
    bool (*run)(struct bench *b);
    uint64_t conns, rate, seconds; /* when not given */
} commands[] = {
    {"replay", replay_run, 64, 0, 0},    {"send", send_run, 32, 0, 10},
    {"fanout", fanout_run, 32, 20, 10},  {"idle", idle_run, 32, 0, 10},
    {"history", history_run, 16, 0, 10}, {"storm", storm_run, 512, 50, 10},
    {"mixed", mixed_run, 64, 500, 10},   {"populate", populate_run, 64, 0, 0},
    {"calls", calls_run, 16, 0, 10},     {"audit", audit_run, 16, 0, 0},
};

static const char help[] =
    "parley-bench - load on a Parley server, and an audit of what came of it\n\n"
    "  parley-bench replay FILE --demo DEMO.json [--ctl PARLEYCTL --data DIR] [--speed X]\n"
    "      Replays Slack messages (JSON lines) over HTTP, all authors listening on WebSockets.\n"
    "      Survives a server that is killed and started again (60 s of patience per call).\n"
    "  parley-bench send --demo DEMO.json [--conns C] [--rate R] [--seconds S]\n"
    "               [--text-bytes B] [--channels K] [--in-flight F] [--skewed] [--sample T]\n"
    "      Posts only. Without --rate each connection sends as soon as it is answered; with it,\n"
    "      posts go out on time and latency counts from the intended time.\n"
    "  parley-bench fanout --demo DEMO.json --subscribers N [--rate R] [--seconds S]\n"
    "      N sockets in one channel; the time from a post to each of its deliveries. With --rate "
    "0\n"
    "      C posts are always under way, each until every socket has it.\n"
    "  parley-bench idle --demo DEMO.json --sockets N [--processes P] [--seconds S]\n"
    "      Holds N idle sockets, in P helper processes, and measures the memory they take.\n"
    "  parley-bench history --demo DEMO.json [--conns R] [--channels K] [--fill M] [--age A]\n"
    "               [--page-rows P]\n"
    "      R readers of the newest page of 100 of K channels, then of deeper pages; before that\n"
    "      M messages are posted to each channel.\n"
    "  parley-bench storm --demo DEMO.json --sockets N [--rate R] [--conns C] [--seconds S]\n"
    "      A process of its own, so that it does not wait in the client behind the others, posts\n"
    "      to a channel of its own at rate R over 16 connections; after S seconds N sockets are\n"
    "      cut off at once. All come back over C HTTP connections and read what they missed from\n"
    "      history, while the posts go on.\n"
    "  parley-bench mixed FILE --demo DEMO.json [--rate R] [--sockets N] [--channels K]\n"
    "      R calls a second with the channels and texts of a trace: posts, reads, typing, and\n"
    "      sockets that are lost and come back. The demo's users must not be members of all.\n"
    "  parley-bench populate FILE --demo DEMO.json --out OUT.json [--channels K] [--messages M]\n"
    "      Makes a workspace that has grown: K channels of very different sizes, three of ten\n"
    "      private, with the demo's users in them; M messages with the texts of a trace, a fifth\n"
    "      of them replies; reactions. OUT.json says what there is, and serves as a population.\n"
    "  parley-bench calls LIST --demo DEMO.json [--conns C] [--rate R] [--seconds S]\n"
    "      The calls of a list of JSON lines, in order and again:\n"
    "      {\"token\":..,\"method\":..,\"args\":{..},\"holds\":\"what the answer must contain\"}\n"
    "  parley-bench audit BOOKS... --demo DEMO.json\n"
    "      Looks for every post that earlier runs with --books had acknowledged, in history over\n"
    "      HTTP: once, in order, with its text. The server may have been started anew, or have "
    "got\n"
    "      later posts.\n\n"
    "  --demo FILE       the population: parleyctl --data DIR demo --users N --channels M\n"
    "                    --member-of-all --json FILE\n"
    "  --conns C         HTTP connections, one call at a time on each (32; replay, mixed,\n"
    "                    populate 64; history, calls, audit 16; storm 512)\n"
    "  --rate R          per second (send, calls: 0, a closed loop; fanout 20, storm 50, mixed "
    "500)\n"
    "  --seconds S       how long (10; replay: 0, to the end of the file)\n"
    "  --text-bytes B    length of a message's text (100)\n"
    "  --channels K      channels posted to (1; mixed 100; populate 2000)\n"
    "  --messages M      of populate (1000000)\n"
    "  --out FILE        of populate: what it made; tokens are in it\n"
    "  --in-flight F     with --rate: posts that are due while F wait for their answers are not\n"
    "                    sent, but counted (1048576); bounds what an outage leaves to catch up\n"
    "  --skewed          send: the k-th channel gets a share of 1/k (else each the same)\n"
    "  --sample T        send: a JSON line on standard output for each T seconds (0: none)\n"
    "  --subscribers N   sockets of fanout (100)\n"
    "  --sockets N       sockets of idle (1000)\n"
    "  --processes P     helpers of idle: each may hold as many files as one process\n"
    "  --fill M          messages posted to each channel before history is read (1000)\n"
    "  --age A           history: deeper pages begin A seconds ago (0: behind the newest page)\n"
    "  --page-rows P     messages in a page of history (100)\n"
    "  --speed X         replay at X times the real pace (0: as fast as accepted)\n"
    "  --ctl PATH        parleyctl, to make users when the population has fewer than the trace\n"
    "  --data DIR        the server's data directory, for --ctl and to find parleyd.pid\n"
    "  --books DIR       keeps what was acknowledged in a file of its own there, for audit\n"
    "  --base-url URL    instead of the population's: another address, https:// (any certificate)\n"
    "  --pid PID         the server, for CPU and memory from /proc\n"
    "  --json            one JSON object instead of the table\n\n"
    "Times are microseconds unless the name says otherwise. Ctrl-C ends the load; the report and\n"
    "the audit still come, a second Ctrl-C kills. Exit status: 0 all well, 1 the audit found\n"
    "problems or the load could not run, 2 wrong usage.\n";

/* ---- options ---- */

static bool parse_number(const char *name, const char *text, uint64_t max, uint64_t *out)
{
    if (sv_to_u64(sv_from(text), out) && *out <= max)
        return true;
    fprintf(stderr, "parley-bench: --%s \"%s\" is not a number up to %llu\n", name, text,
            (unsigned long long)max);
    return false;
}

struct numbers {
    const char *name;
    uint64_t *at, max;
};

static bool parse_options(struct options *o, int argc, char **argv)
{
    const struct numbers numbers[] = {{"conns", &o->conns, conns_max},
                                      {"rate", &o->rate, 1000000},
                                      {"seconds", &o->seconds, 86400},
                                      {"text-bytes", &o->text_bytes, 39900},
                                      {"channels", &o->channels, 100000},
                                      {"subscribers", &o->subscribers, sockets_max},
                                      {"sockets", &o->sockets, sockets_max},
                                      {"pid", &o->pid, INT32_MAX},
                                      {"in-flight", &o->in_flight, load_in_flight_max},
                                      {"fill", &o->fill, 1000000},
                                      {"processes", &o->processes, crowd_max},
                                      {"sample", &o->sample, 86400},
                                      {"age", &o->age, 1000000000},
                                      {"page-rows", &o->page_rows, 999},
                                      {"messages", &o->messages, ledger_messages_max}};
    enum { numbers_len = ARRAY_LEN(numbers) };
    const struct {
        const char *name, **at;
    } texts[] = {{"demo", &o->demo},         {"ctl", &o->ctl}, {"data", &o->data_dir},
                 {"base-url", &o->base_url}, {"out", &o->out}, {"books", &o->books}};
    struct option long_options[numbers_len + ARRAY_LEN(texts) + 5] = {
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, 'j'},
        {"skewed", no_argument, NULL, 'k'},
        {"speed", required_argument, NULL, 's'}};
    size_t n = 4;
    for (size_t i = 0; i < numbers_len; i++)
        long_options[n++] =
            (struct option){numbers[i].name, required_argument, NULL, 1000 + (int)i};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        long_options[n++] = (struct option){texts[i].name, required_argument, NULL, 2000 + (int)i};
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        char *end;
        if (c == 'h') {
            fputs(help, stdout);
            exit(0);
        } else if (c == 'j') {
            o->json = true;
        } else if (c == 'k') {
            o->skewed = true;
        } else if (c == 's') {
            o->speed = strtod(optarg, &end);
            if (*end != '\0' || end == optarg || !(o->speed >= 0 && o->speed <= 1e9)) {
                fprintf(stderr, "parley-bench: --speed \"%s\" is no factor\n", optarg);
                return false;
            }
        } else if (c >= 2000) {
            *texts[c - 2000].at = optarg;
        } else if (c >= 1000) {
            const struct numbers *num = &numbers[c - 1000];
            if (!parse_number(num->name, optarg, num->max, num->at))
                return false;
        } else {
            return false;
        }
    }
    return true;
}

static const struct command *parse(struct options *o, int argc, char **argv)
{
    const struct command *cmd = NULL;
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            cmd = &commands[i];
    }
    *o = (struct options){.text_bytes = 100,
                          .channels = 1,
                          .subscribers = 100,
                          .sockets = 1000,
                          .in_flight = load_in_flight_max,
                          .fill = 1000,
                          .messages = 1000000,
                          .page_rows = 100};
    if (cmd != NULL) {
        o->command = cmd->name;
        o->conns = cmd->conns;
        o->rate = cmd->rate;
        o->seconds = cmd->seconds;
        if (cmd->run == mixed_run) {
            o->channels = 100;
            o->sockets = 200;
        } else if (cmd->run == populate_run) {
            o->channels = 2000;
        }
        argc--;
        argv++;
    }
    if (!parse_options(o, argc, argv))
        return NULL;
    if (cmd == NULL) {
        fprintf(stderr,
                "parley-bench: say what to do: replay, send, fanout, idle, history, storm,\n"
                "mixed, populate, calls or audit\n");
        return NULL;
    }
    bool populate = cmd->run == populate_run, calls = cmd->run == calls_run;
    bool trace = cmd->run == replay_run || cmd->run == mixed_run || populate || calls;
    bool paced = cmd->run == storm_run || cmd->run == mixed_run;
    bool audit = cmd->run == audit_run;
    if ((audit ? argc - optind == 0 : argc - optind != (trace ? 1 : 0)) || o->demo == NULL ||
        o->conns == 0 || o->subscribers == 0 || o->sockets == 0 || o->in_flight == 0 ||
        o->page_rows == 0 || (o->ctl != NULL && o->data_dir == NULL) || (paced && o->rate == 0) ||
        (populate && (o->out == NULL || o->messages == 0 || o->channels == 0))) {
        fprintf(stderr, "parley-bench: %s needs --demo FILE%s\n", cmd->name,
                populate ? ", --out FILE and one FILE of messages; and no zero counts"
                : calls  ? " and one LIST"
                : trace  ? " and one FILE of messages; --ctl needs --data"
                : audit  ? " and BOOKS"
                         : "; and no zero counts");
        return NULL;
    }
    o->operands = argv + optind;
    o->operands_len = (uint32_t)(argc - optind);
    return cmd;
}

/* ---- setting up ---- */

static bool raise_files(uint64_t wanted)
{
    struct rlimit rl;
    wanted += files_reserve;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return false;
    if (rl.rlim_cur >= wanted)
        return true;
    rl.rlim_cur = MIN(rl.rlim_max, (rlim_t)wanted);
    if (setrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur >= wanted)
        return true;
    fprintf(stderr, "parley-bench: %llu files are needed, RLIMIT_NOFILE allows %llu\n",
            (unsigned long long)wanted, (unsigned long long)rl.rlim_max);
    return false;
}

/* As many sockets as a process may open do not leave it room for the rest. */
static bool many_sockets(const struct options *o)
{
    return o->sockets > sockets_by_number_max;
}

static bool set_up(struct bench *b)
{
    const struct options *o = &b->opt;
    arena_pool_init(&b->arenas, arena_first, 4, UINT64_MAX);
    if (json_reader_new(&b->json) != ERR_OK ||
        arena_init(&b->arena, &b->arenas, (uint64_t)1 << 32) != ERR_OK ||
        arena_init(&b->scratch, &b->arenas, (uint64_t)1 << 30) != ERR_OK) {
        fputs("parley-bench: no memory\n", stderr);
        return false;
    }
    bool table = b->crowd.len == 0 && many_sockets(o);
    uint64_t sockets = table || b->crowd.len > 0 ? 0 : o->sockets;
    if (!raise_files(o->conns + sockets + o->subscribers + 4096) || !io_init(&b->io) ||
        (table && !io_make_table(&b->io, (uint32_t)o->sockets)) || !population_read(b, o->demo))
        return false;
    if (table || b->crowd.part > 0) { /* from 127.0.1.0 on, each helper its own */
        b->io.sources = sources_each;
        b->io.source.s_addr = htonl(INADDR_LOOPBACK - 1 + 256 + b->crowd.part * sources_each);
    }
    if (o->base_url != NULL)
        b->population.base_url = o->base_url;
    if (!http_pool_init(&b->http, &b->io, b->population.base_url, (uint32_t)o->conns))
        return false;
    server_proc_init(&b->server, o->pid, o->data_dir);
    return true;
}

int main(int argc, char **argv)
{
    static struct bench b;
    const struct command *cmd = parse(&b.opt, argc, argv);
    if (cmd == NULL) {
        fputs("Try parley-bench --help.\n", stderr);
        return exit_usage;
    }
    if (cmd->run == idle_run && b.opt.processes > 0 &&
        !crowd_fork(&b.crowd, (uint32_t)b.opt.processes, &b.opt.sockets))
        return 1;
    if (cmd->run == storm_run && !bystander_fork())
        return 1;
    if (bystander_part()) {
        b.opt.conns = MIN(b.opt.conns, (uint64_t)bystander_conns);
        b.opt.sockets = 0;
    }
    if (!set_up(&b))
        return 1;
    if (bystander_part())
        return bystander_run(&b) ? 0 : 1;
    if (b.crowd.part > 0)
        return cmd->run(&b) ? 0 : 1;
    report_text(&b.report, "command", cmd->name);
    bool ok = cmd->run(&b);
    report_print(&b.report, b.opt.json);
    return ok ? 0 : 1; /* the kernel takes back the rest, calls under way included */
}
