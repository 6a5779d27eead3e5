#include "store/record.h"

#include "store/crc32c.h"

enum { record_version = 1, crc_bytes = 4, head_bytes = 8 };

/* Of a row, in front of key and value. x86-64 is little-endian, and so is this. */
struct row_head {
    uint8_t op, cf;
    uint16_t key_len;
    uint32_t value_len;
};
_Static_assert(sizeof(struct row_head) == head_bytes, "as on disk");

size_t record_bytes(const struct batch *first, uint32_t *rows)
{
    size_t bytes = 1 + crc_bytes;
    *rows = 0;
    for (const struct batch *b = first; b != NULL; b = b->next) {
        bytes += (size_t)b->rows_len * head_bytes + b->bytes;
        *rows += b->rows_len;
    }
    return bytes;
}

static uint32_t crc_of(uint64_t number, const void *p, size_t n)
{
    return ~crc32c_add(crc32c_add(~0u, &number, sizeof number), p, n);
}

static uint8_t *put_row(uint8_t *p, const uint8_t *end, const struct row *r)
{
    ASSERT(head_bytes + r->key.len + r->value.len <= (size_t)(end - p)); /* as the batch counted */
    struct row_head head = {r->op, r->cf, (uint16_t)r->key.len, (uint32_t)r->value.len};
    memcpy(p, &head, head_bytes);
    memcpy(p + head_bytes, r->key.p, r->key.len);
    p += head_bytes + r->key.len;
    if (r->value.len > 0)
        memcpy(p, r->value.p, r->value.len);
    return p + r->value.len;
}

void record_write(uint8_t *p, uint64_t number, const struct batch *first)
{
    uint32_t rows;
    uint8_t *begin = p, *end = p + record_bytes(first, &rows) - crc_bytes;
    *p++ = record_version;
    for (const struct batch *b = first; b != NULL; b = b->next) {
        for (const struct row *r = b->first; r != NULL; r = r->next)
            p = put_row(p, end, r);
    }
    ASSERT(p == end);
    uint32_t crc = crc_of(number, begin, (size_t)(p - begin));
    memcpy(p, &crc, crc_bytes);
}

/* With the bounds checked: false also when the rest is no row. */
static bool take_row(struct str_view *rest, struct record_row *out)
{
    struct row_head head;
    if (rest->len < head_bytes)
        return false;
    memcpy(&head, rest->p, head_bytes);
    size_t len = (size_t)head.key_len + head.value_len;
    if (head.op > ROW_DELETE || head.cf >= CF_COUNT || len > rest->len - head_bytes)
        return false;
    const char *key = rest->p + head_bytes;
    *out = (struct record_row){.op = (enum row_op)head.op,
                               .cf = (enum cf)head.cf,
                               .key = {key, head.key_len},
                               .value = {key + head.key_len, head.value_len}};
    *rest = (struct str_view){key + len, rest->len - head_bytes - len};
    return true;
}

bool record_check(uint64_t number, struct str_view record, uint32_t *rows)
{
    uint32_t crc;
    struct record_row row;
    *rows = 0;
    if (record.len < 1 + crc_bytes || record.p[0] != record_version)
        return false;
    memcpy(&crc, record.p + record.len - crc_bytes, crc_bytes);
    if (crc != crc_of(number, record.p, record.len - crc_bytes))
        return false;
    struct str_view rest = record_rows(record);
    while (take_row(&rest, &row))
        ++*rows;
    return rest.len == 0;
}

struct str_view record_rows(struct str_view record)
{
    return (struct str_view){record.p + 1, record.len - 1 - crc_bytes};
}

bool record_next(struct str_view *rest, struct record_row *out)
{
    return rest->len > 0 && take_row(rest, out);
}
