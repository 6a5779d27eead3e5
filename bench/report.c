#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    double q;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

static struct report_row *add(struct report *r, const char *name)
{
    ASSERT(r->len < report_rows_max);
    struct report_row *row = &r->rows[r->len++];
    row->name = name;
    return row;
}

void report_u64(struct report *r, const char *name, uint64_t v)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_U64;
    row->u = v;
}

void report_real(struct report *r, const char *name, double v)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_REAL;
    row->real = v;
}

void report_text(struct report *r, const char *name, const char *v)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_TEXT;
    snprintf(row->text, sizeof row->text, "%s", v);
}

void report_hist(struct report *r, const char *name, const struct hist_log *h)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_HIST;
    row->hist = h;
}

void report_problem(struct report *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (r->problems < report_problems_shown)
        vsnprintf(r->samples[r->problems], sizeof r->samples[0], fmt, ap);
    va_end(ap);
    r->problems++;
}

static void print_json_text(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            printf("\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            printf("\\u%04x", (unsigned)*s);
        else
            putchar(*s);
    }
    putchar('"');
}

static double mean(const struct hist_log *h)
{
    return h->count > 0 ? (double)h->sum / (double)h->count : 0;
}

static void print_json(const struct report *r)
{
    putchar('{');
    for (uint32_t i = 0; i < r->len; i++) {
        const struct report_row *row = &r->rows[i];
        printf("\"%s\":", row->name);
        if (row->kind == ROW_U64) {
            printf("%llu", (unsigned long long)row->u);
        } else if (row->kind == ROW_REAL) {
            printf("%.3f", row->real);
        } else if (row->kind == ROW_TEXT) {
            print_json_text(row->text);
        } else {
            printf("{\"count\":%llu,\"mean\":%.1f", (unsigned long long)row->hist->count,
                   mean(row->hist));
            for (size_t q = 0; q < ARRAY_LEN(quantiles); q++)
                printf(",\"%s\":%llu", quantiles[q].name,
                       (unsigned long long)hist_log_quantile(row->hist, quantiles[q].q));
            printf(",\"max\":%llu}", (unsigned long long)row->hist->max);
        }
        putchar(',');
    }
    printf("\"problems\":%llu,\"problem_samples\":[", (unsigned long long)r->problems);
    for (uint32_t i = 0; i < MIN(r->problems, report_problems_shown); i++) {
        if (i > 0)
            putchar(',');
        print_json_text(r->samples[i]);
    }
    puts("]}");
}

static void print_table(const struct report *r)
{
    for (uint32_t i = 0; i < r->len; i++) {
        const struct report_row *row = &r->rows[i];
        printf("%-28s", row->name);
        if (row->kind == ROW_U64) {
            printf("%14llu\n", (unsigned long long)row->u);
        } else if (row->kind == ROW_REAL) {
            printf("%14.2f\n", row->real);
        } else if (row->kind == ROW_TEXT) {
            printf("%14s\n", row->text);
        } else {
            printf("%14llu  mean %.0f", (unsigned long long)row->hist->count, mean(row->hist));
            for (size_t q = 0; q < ARRAY_LEN(quantiles); q++)
                printf("  %s %llu", quantiles[q].name,
                       (unsigned long long)hist_log_quantile(row->hist, quantiles[q].q));
            printf("  max %llu\n", (unsigned long long)row->hist->max);
        }
    }
    printf("%-28s%14llu\n", "problems", (unsigned long long)r->problems);
}

void report_print(const struct report *r, bool json)
{
    if (json)
        print_json(r);
    else
        print_table(r);
    fflush(stdout);
    for (uint32_t i = 0; i < MIN(r->problems, report_problems_shown); i++)
        fprintf(stderr, "problem: %s\n", r->samples[i]);
    if (r->problems > report_problems_shown)
        fprintf(stderr, "and %llu more problems\n",
                (unsigned long long)(r->problems - report_problems_shown));
}
