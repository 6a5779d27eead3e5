#include "base/metric.h"

enum kind { KIND_COUNTER, KIND_GAUGE };

static const struct {
    const char *name, *help;
    enum kind kind;
} values[METRIC_COUNT] = {
#define COUNTER(id, help_) [METRIC_##id] = {#id, help_, KIND_COUNTER},
#define GAUGE(id, help_)   [METRIC_##id] = {#id, help_, KIND_GAUGE},
#define HISTOGRAM(id, help_)
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static const struct {
    const char *name, *help;
} hists[METRIC_HIST_COUNT] = {
#define COUNTER(id, help_)
#define GAUGE(id, help_)
#define HISTOGRAM(id, help_) [METRIC_HIST_##id] = {#id, help_},
#include "base/metric.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

static void put_name(struct buf *b, const char *name)
{
    buf_put(b, "parley_", 7);
    for (; *name != '\0'; name++)
        buf_putc(b, *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name);
}

static void put_head(struct buf *b, const char *name, const char *suffix, const char *help,
                     const char *type)
{
    buf_put(b, "# HELP ", 7);
    put_name(b, name);
    buf_printf(b, "%s %s\n# TYPE ", suffix, help);
    put_name(b, name);
    buf_printf(b, "%s %s\n", suffix, type);
}

static void put_value(struct buf *b, const char *name, const char *suffix, uint64_t v)
{
    put_name(b, name);
    buf_printf(b, "%s %llu\n", suffix, (unsigned long long)v);
}

static void render_hist(const struct metrics *const *all, size_t n, unsigned id, struct buf *out)
{
    static const struct {
        double q;
        const char *label;
    } quantiles[] = {{0.5, "{quantile=\"0.5\"}"},
                     {0.9, "{quantile=\"0.9\"}"},
                     {0.99, "{quantile=\"0.99\"}"},
                     {0.999, "{quantile=\"0.999\"}"}};
    struct hist_log sum = {0};
    for (size_t i = 0; i < n; i++)
        hist_log_merge(&sum, &all[i]->hists[id]);
    put_head(out, hists[id].name, "", hists[id].help, "summary");
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        put_value(out, hists[id].name, quantiles[i].label, hist_log_quantile(&sum, quantiles[i].q));
    put_value(out, hists[id].name, "_sum", sum.sum);
    put_value(out, hists[id].name, "_count", sum.count);
}

void metrics_render(const struct metrics *const *all, size_t n, struct buf *out)
{
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        bool counter = values[id].kind == KIND_COUNTER;
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += __atomic_load_n(&all[i]->values[id], __ATOMIC_RELAXED);
        put_head(out, values[id].name, counter ? "_total" : "", values[id].help,
                 counter ? "counter" : "gauge");
        put_value(out, values[id].name, counter ? "_total" : "", sum);
    }
    for (unsigned id = 0; id < METRIC_HIST_COUNT; id++)
        render_hist(all, n, id, out);
}
