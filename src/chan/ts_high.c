#include "chan/chan.h"

#include "store/row.h"

enum { scratch_bytes = 16384 };

enum err chan_ts_high(const struct view *v, uint64_t *ts_high_us)
{
    struct arena_pool pool;
    struct arena a;
    arena_pool_init(&pool, scratch_bytes, 1, UINT64_MAX);
    TRY(arena_init(&a, &pool, UINT64_MAX));
    *ts_high_us = 0;
    enum err err = ERR_OK;
    for (uint32_t i = 0; i < chans_max && err == ERR_OK; i++) {
        struct key k;
        struct str_view value;
        uint64_t ts_us = 0;
        key_meta(&k, SV("ts_high"), i);
        err = view_get1(v, CF_META, &k, &a, &value);
        if (err == ERR_OK && value.p != NULL)
            err = row_u64_decode(&ts_us, key_view(&k), value);
        *ts_high_us = MAX(*ts_high_us, ts_us);
    }
    arena_deinit(&a);
    arena_pool_deinit(&pool);
    return err;
}
