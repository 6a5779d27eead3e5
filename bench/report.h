/* report.h - the results: rows in order, as a table or one JSON object, and the audit's problems.
 * Thread: main. */
#ifndef PARLEY_BENCH_REPORT_H
#define PARLEY_BENCH_REPORT_H

#include "base/hist_log.h"

enum { report_rows_max = 128, report_problems_shown = 20, report_part_name_max = 16 };

/* One share of a figure. */
struct report_part {
    char name[report_part_name_max];
    double value;
};

struct report_row {
    /* Counts and texts say what happened; the others are figures. */
    enum { ROW_U64, ROW_TEXT, ROW_BYTES, ROW_REAL, ROW_HIST, ROW_PARTS } kind;
    const char *name; /* JSON name, with the unit at its end; lives for ever */
    uint64_t u;
    double real;
    char text[96];
    const struct hist_log *hist; /* microseconds */
    const struct report_part *parts;
    uint32_t parts_len;
};

struct report {
    struct report_row rows[report_rows_max];
    uint32_t len;
    uint64_t problems;
    char samples[report_problems_shown][240];
};

void report_u64(struct report *r, const char *name, uint64_t v);
void report_real(struct report *r, const char *name, double v);
void report_text(struct report *r, const char *name, const char *v);
void report_hist(struct report *r, const char *name, const struct hist_log *h);
void report_bytes(struct report *r, const char *name, uint64_t v);
/* parts live for ever. */
void report_parts(struct report *r, const char *name, const struct report_part *parts,
                  uint32_t len);
/* Something the server must not do. The first few are kept and shown. */
void report_problem(struct report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* To standard output. With problems no figure is printed: a server that does not do the work is
 * not measured by it. */
void report_print(const struct report *r, bool json);

#endif
