/* First byte: which record; second: whether the checksum is put right, so that what lies behind it
 * is reached. What decodes is encoded and decoded again. */
#include "fuzz.h"
#include "store/row_file.h"

static uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

#define AGAIN(kind)                                                                                \
    do {                                                                                           \
        struct row_##kind row, again;                                                              \
        if (row_##kind##_decode(&row, key, value) != ERR_OK)                                       \
            break;                                                                                 \
        row_##kind##_encode(&b, &k, &row);                                                         \
        CLAIM(b.failed || row_##kind##_decode(&again, key, buf_view(&b)) == ERR_OK);               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct key k;
    struct buf b;
    if (n < 2)
        return 0;
    fuzz_init(&f, data, n);
    key_user(&k, 5);
    struct str_view key = key_view(&k);
    size_t len = n - 2;
    char *record = malloc(len + 4);
    memcpy(record, data + 2, len);
    if ((data[1] & 1) != 0) {
        uint32_t crc = ~crc32c(crc32c(~0u, key.p, key.len), record, len);
        memcpy(record + len, &crc, 4);
        len += 4;
    }
    char *exact = fuzz_exact(record, len);
    struct str_view value = {exact, len};
    buf_init(&b, &f.arena, 64);
    switch (data[0] % 18) {
    case 0:
        AGAIN(message);
        break;
    case 1:
        AGAIN(dedup);
        break;
    case 2:
        AGAIN(chan_info);
        break;
    case 3:
        AGAIN(chan_head);
        break;
    case 4:
        AGAIN(member);
        break;
    case 5:
        AGAIN(cursor);
        break;
    case 6:
        AGAIN(team);
        break;
    case 7:
        AGAIN(user);
        break;
    case 8:
        AGAIN(token);
        break;
    case 9:
        AGAIN(channel_name);
        break;
    case 11:
        AGAIN(document);
        break;
    case 12:
        AGAIN(scheduled);
        break;
    case 13:
        AGAIN(file);
        break;
    case 14:
        AGAIN(file_listed);
        break;
    case 15:
        AGAIN(blob);
        break;
    case 16:
        AGAIN(file_words);
        break;
    case 17:
        AGAIN(files_indexed);
        break;
    default: {
        uint64_t v, again;
        if (row_u64_decode(&v, key, value) != ERR_OK)
            break;
        row_u64_encode(&b, &k, v);
        CLAIM(row_u64_decode(&again, key, buf_view(&b)) == ERR_OK && again == v);
        break;
    }
    }
    free(exact);
    free(record);
    fuzz_deinit(&f);
    return 0;
}
