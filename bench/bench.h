/* bench.h - what every subcommand has at hand: options, loop, connections, population, report.
 * Thread: main. */
#ifndef PARLEY_BENCH_BENCH_H
#define PARLEY_BENCH_BENCH_H

#include "crowd.h"
#include "http_client.h"
#include "population.h"
#include "report.h"
#include "server_proc.h"
#include "json/read.h"
#include "json/write.h"

struct options {
    const char *command, *demo, *ctl, *data_dir, *base_url, *books, *out;
    char *const *operands; /* the trace, the list, or books */
    uint32_t operands_len;
    uint64_t pid;
    uint64_t conns, rate, seconds, text_bytes, channels, subscribers, sockets, in_flight, fill,
        processes, sample, age, page_rows, messages;
    double speed; /* 0: as fast as accepted */
    bool json, skewed;
};

struct bench {
    struct options opt;
    struct crowd crowd;
    struct io io;
    struct http_pool http;
    struct json_reader *json;
    struct arena_pool arenas;
    struct arena arena;   /* until the end */
    struct arena scratch; /* of the answer being read; see reply_read */
    struct population population;
    struct server_proc server;
    struct report report;
    struct io_timer progress;
    void (*progress_line)(void *owner, char *out, size_t max);
    void *progress_owner;
    uint64_t started_us;
};

/* An API answer. Views live until the next reply_read. */
struct reply {
    bool ok;
    int status;
    struct str_view error; /* of the API, or why there is none: "no_answer", "bad_json" */
    struct json_member *members;
    uint32_t len;
};

void reply_read(struct bench *b, const struct http_answer *a, struct reply *out);
struct str_view reply_str(const struct reply *r, const char *name); /* p NULL: absent */
/* Member of an object's source text; false: it is none, or absent. */
bool object_member(struct bench *b, struct str_view object, const char *name,
                   struct json_value *out);

/* One call, waited for. Arguments as name, value pairs up to NULL; a value that begins with '\1' is
 * JSON. The views of *out live until the next reply_read. False: the API said no, see out->error.
 */
bool api_call(struct bench *b, const char *token, const char *method, const char *const *args,
              struct reply *out);
#define API_ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Object of name, value pairs up to NULL; a value that begins with '\1' is JSON. */
void json_args(struct json_out *j, const char *const *args);

/* Many calls, some at a time, all waited for. args are read before make() is called again. */
struct batch_call {
    const char *token, *method, *args[8];
};
struct batch {
    struct bench *bench;
    uint32_t len;
    void (*make)(void *owner, uint32_t item, struct batch_call *out);
    void (*done)(void *owner, uint32_t item, const struct reply *r);
    void *owner;
    uint32_t next; /* kept by batch_run */
    uint64_t left;
};
void batch_run(struct batch *t);

/* A copy with a NUL, until the end. */
const char *bench_text(struct bench *b, struct str_view s);
void *bench_zalloc(struct bench *b, size_t n);

/* What a subcommand prints on standard error each second. */
void bench_progress(struct bench *b, void (*line)(void *owner, char *out, size_t max), void *owner);

/* Takes the measured time and a signal into the report; loops run again for the audit. */
void bench_load_ended(struct bench *b, uint64_t measured_us);
void bench_report_client(struct bench *b);
/* The server's CPU since server_proc_start, for each of units: a row, and one with its share by
 * thread. Names live for ever. Nothing is said when the server is not known. */
void bench_report_cpu(struct bench *b, const char *name, const char *by_thread, uint64_t units);

/* The subcommands: true when all went as it should. */
bool audit_run(struct bench *b);
bool replay_run(struct bench *b);
bool send_run(struct bench *b);
bool fanout_run(struct bench *b);
bool idle_run(struct bench *b);
bool history_run(struct bench *b);
bool storm_run(struct bench *b);
bool mixed_run(struct bench *b);
bool populate_run(struct bench *b);
bool calls_run(struct bench *b);

#endif
