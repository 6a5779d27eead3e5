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

void report_bytes(struct report *r, const char *name, uint64_t v)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_BYTES;
    row->u = v;
}

void report_parts(struct report *r, const char *name, const struct report_part *parts, uint32_t len)
{
    struct report_row *row = add(r, name);
    row->kind = ROW_PARTS;
    row->parts = parts;
    row->parts_len = len;
}

static bool shown(const struct report *r, const struct report_row *row)
{
    return r->problems == 0 || row->kind == ROW_U64 || row->kind == ROW_TEXT;
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

static void print_json_hist(const struct hist_log *h)
{
    printf("{\"count\":%llu,\"mean\":%.1f", (unsigned long long)h->count, mean(h));
    for (size_t q = 0; q < ARRAY_LEN(quantiles); q++)
        printf(",\"%s\":%llu", quantiles[q].name,
               (unsigned long long)hist_log_quantile(h, quantiles[q].q));
    printf(",\"max\":%llu}", (unsigned long long)h->max);
}

static void print_json_value(const struct report_row *row)
{
    switch (row->kind) {
    case ROW_U64:
    case ROW_BYTES:
        printf("%llu", (unsigned long long)row->u);
        break;
    case ROW_TEXT:
        print_json_text(row->text);
        break;
    case ROW_REAL:
        printf("%.3f", row->real);
        break;
    case ROW_HIST:
        print_json_hist(row->hist);
        break;
    case ROW_PARTS:
        for (uint32_t i = 0; i < row->parts_len; i++) {
            putchar(i == 0 ? '{' : ',');
            print_json_text(row->parts[i].name);
            printf(":%.3f", row->parts[i].value);
        }
        fputs(row->parts_len == 0 ? "{}" : "}", stdout);
        break;
    }
}

static void print_json(const struct report *r)
{
    putchar('{');
    for (uint32_t i = 0; i < r->len; i++) {
        if (!shown(r, &r->rows[i]))
            continue;
        printf("\"%s\":", r->rows[i].name);
        print_json_value(&r->rows[i]);
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

static void print_table_hist(const struct hist_log *h)
{
    printf("%14llu  mean %.0f", (unsigned long long)h->count, mean(h));
    for (size_t q = 0; q < ARRAY_LEN(quantiles); q++)
        printf("  %s %llu", quantiles[q].name,
               (unsigned long long)hist_log_quantile(h, quantiles[q].q));
    printf("  max %llu\n", (unsigned long long)h->max);
}

static void print_table(const struct report *r)
{
    for (uint32_t i = 0; i < r->len; i++) {
        const struct report_row *row = &r->rows[i];
        if (!shown(r, row))
            continue;
        printf("%-34s", row->name);
        switch (row->kind) {
        case ROW_U64:
        case ROW_BYTES:
            printf("%14llu\n", (unsigned long long)row->u);
            break;
        case ROW_TEXT:
            printf("%14s\n", row->text);
            break;
        case ROW_REAL:
            printf("%14.2f\n", row->real);
            break;
        case ROW_HIST:
            print_table_hist(row->hist);
            break;
        case ROW_PARTS:
            putchar('\n');
            for (uint32_t k = 0; k < row->parts_len; k++)
                printf("  %-32s%14.2f\n", row->parts[k].name, row->parts[k].value);
            break;
        }
    }
    printf("%-34s%14llu\n", "problems", (unsigned long long)r->problems);
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
