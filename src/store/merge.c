#include "store/merge.h"

static struct str_view key_in(rocksdb_iterator_t *it)
{
    struct str_view key;
    key.p = rocksdb_iter_key(it, &key.len);
    return key;
}

static struct str_view value_in(rocksdb_iterator_t *it)
{
    struct str_view value;
    value.p = rocksdb_iter_value(it, &value.len);
    return value;
}

/* Of the tails' present rows the lowest key; of equal ones the first tail's. NULL: all at end. */
static struct tail_cursor *lowest(struct tail_cursor *tails, uint32_t n)
{
    struct tail_cursor *low = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (tails[i].valid && (low == NULL || sv_cmp(tails[i].key, low->key) < 0))
            low = &tails[i];
    }
    return low;
}

void merge_scan(struct tail_cursor *tails, uint32_t tails_len, rocksdb_iterator_t *it,
                view_row_fn *fn, void *ctx)
{
    bool more = true;
    while (more) {
        bool in_files = it != NULL && rocksdb_iter_valid(it);
        struct tail_cursor *low = lowest(tails, tails_len);
        if (low == NULL && !in_files)
            return;
        struct str_view key = in_files ? key_in(it) : SV_NONE;
        int order = !in_files ? -1 : low == NULL ? 1 : sv_cmp(low->key, key);
        if (order > 0) {
            more = fn(ctx, key, value_in(it));
            rocksdb_iter_next(it);
            continue;
        }
        key = low->key;
        if (!low->deleted)
            more = fn(ctx, key, low->value);
        for (uint32_t i = 0; i < tails_len; i++) {
            if (tails[i].valid && sv_eq(tails[i].key, key))
                tail_next(&tails[i]);
        }
        if (order == 0)
            rocksdb_iter_next(it);
    }
}
