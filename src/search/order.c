/* A merge sort that begins with the runs that there are, and of two neighbours moves only what
 * overlaps. */
#include "search/order.h"

/* Where each run ends, into ends unless that is NULL; how many there are. */
static uint32_t find_runs(const struct posting *p, uint32_t len, uint32_t *ends)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i <= len; i++) {
        if (i < len && p[i].ts_us <= p[i - 1].ts_us)
            continue;
        if (ends != NULL)
            ends[n] = i;
        n++;
    }
    return n;
}

/* The first of p[from..to) that is older than ts_us. */
static uint32_t first_older(const struct posting *p, uint32_t from, uint32_t to, uint64_t ts_us)
{
    while (from < to) {
        uint32_t mid = from + (to - from) / 2;
        if (p[mid].ts_us < ts_us)
            to = mid;
        else
            from = mid + 1;
    }
    return from;
}

/* Runs p[from..mid) and p[mid..to) become one. spare has room for the first. */
static void merge(struct posting *p, uint32_t from, uint32_t mid, uint32_t to,
                  struct posting *spare)
{
    uint32_t at = first_older(p, from, mid, p[mid].ts_us);
    uint32_t left = mid - at, i = 0, j = mid;
    memcpy(spare, p + at, left * sizeof *spare);
    while (i < left)
        p[at++] = j < to && p[j].ts_us > spare[i].ts_us ? p[j++] : spare[i++];
}

static void merge_all(struct posting *p, uint32_t *ends, uint32_t n, struct posting *spare)
{
    while (n > 1) {
        uint32_t kept = 0, from = 0;
        for (uint32_t k = 0; k < n; k += 2) {
            uint32_t to = k + 1 < n ? ends[k + 1] : ends[k];
            if (k + 1 < n)
                merge(p, from, ends[k], to, spare);
            ends[kept++] = from = to;
        }
        n = kept;
    }
}

static uint32_t drop_repeated(struct posting *p, uint32_t len)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < len; i++) {
        if (kept == 0 || p[kept - 1].ts_us != p[i].ts_us)
            p[kept++] = p[i];
    }
    return kept;
}

enum err postings_order(struct posting *p, uint32_t *len, struct arena *a)
{
    uint32_t runs = find_runs(p, *len, NULL);
    if (runs > 1) {
        uint32_t *ends = arena_alloc(a, runs * sizeof *ends);
        struct posting *spare = arena_alloc(a, *len * sizeof *spare);
        if (ends == NULL || spare == NULL)
            return ERR_NOMEM;
        merge_all(p, ends, find_runs(p, *len, ends), spare);
    }
    *len = drop_repeated(p, *len);
    return ERR_OK;
}
