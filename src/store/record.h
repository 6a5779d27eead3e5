/* record.h - one commit as it lies in the family `log`: a version byte, every row of the group in
 * order (op, family, length of key and value, key, value), CRC-32C over the commit's number and all
 * before it. Thread: any. */
#ifndef PARLEY_STORE_RECORD_H
#define PARLEY_STORE_RECORD_H

#include "store/batch.h"

struct record_row {
    enum row_op op;
    enum cf cf;
    struct str_view key, value; /* in the record */
};

/* Of the chain of batches that begins with first; *rows: how many rows it will hold. */
size_t record_bytes(const struct batch *first, uint32_t *rows);
/* Writes exactly record_bytes(). */
void record_write(uint8_t *p, uint64_t number, const struct batch *first);
/* Is it whole, and the commit of that number? Then record_next may be used on it. */
MUST_USE bool record_check(uint64_t number, struct str_view record, uint32_t *rows);
/* Takes the next row off *rest, which begins as record_rows(). False: that was all. */
struct str_view record_rows(struct str_view record);
bool record_next(struct str_view *rest, struct record_row *out);

#endif
