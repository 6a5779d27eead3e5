#include "chan/posted.h"

#include "store/row.h"

enum err posted_ts(const struct view *v, uint64_t cid, uint64_t uid, struct str_view client_msg_id,
                   struct arena *scratch, uint64_t *ts_us)
{
    uint8_t slot[key128_bytes];
    key128_of(slot, client_msg_id);
    for (uint32_t probe = 0; probe < dedup_probes_max; probe++, slot[key128_bytes - 1]++) {
        struct key k;
        struct str_view value;
        struct row_dedup row;
        key_dedup(&k, cid, uid, slot);
        TRY(view_get1(v, CF_IDX, &k, scratch, &value));
        if (value.p == NULL)
            break;
        TRY(row_dedup_decode(&row, key_view(&k), value));
        if (sv_eq(row.client_msg_id, client_msg_id)) {
            *ts_us = row.ts_us;
            return ERR_OK;
        }
    }
    *ts_us = TS_NONE;
    return ERR_OK;
}
