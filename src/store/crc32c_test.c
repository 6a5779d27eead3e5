/* Our checksum, and RocksDB's own calls, against RocksDB's own code. */
#include "store/crc32c.h"

#include "base/rand.h"
#include "test.h"

/* As the linker names them (CMakeLists.txt): what RocksDB calls, and what it would have called. */
uint32_t _ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *p, size_t n);
uint32_t __real__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *p, size_t n);

enum { bytes_max = 40000 };

static uint32_t whole(const void *p, size_t n)
{
    return ~crc32c_add(~0u, p, n);
}

/* RFC 3720 B.4 and the usual nine digits. */
TEST(known_values)
{
    uint8_t zeros[32] = {0};
    CHECK_EQ(whole("123456789", 9), 0xe3069283u);
    CHECK_EQ(whole(zeros, sizeof zeros), 0x8a9136aau);
    CHECK_EQ(whole("", 0), 0u);
}

TEST(every_length_is_as_rocksdb_counts)
{
    static char text[bytes_max];
    struct rand_src r;
    rand_init_seeded(&r, 7);
    rand_bytes(&r, text, sizeof text);
    for (size_t i = 0; i < 4000; i++) {
        size_t n = i < 2000 ? i : rand_below(&r, bytes_max), from = rand_below(&r, bytes_max - n);
        uint32_t begin = (uint32_t)rand_u64(&r);
        uint32_t theirs = __real__ZN7rocksdb6crc32c6ExtendEjPKcm(begin, text + from, n);
        CHECK_EQ(~crc32c_add(~begin, text + from, n), theirs);
        CHECK_EQ(_ZN7rocksdb6crc32c6ExtendEjPKcm(begin, text + from, n), theirs);
    }
}

TEST(in_pieces_as_in_one)
{
    char text[bytes_max / 4];
    struct rand_src r;
    rand_init_seeded(&r, 8);
    rand_bytes(&r, text, sizeof text);
    for (size_t cut = 0; cut < sizeof text; cut += 97)
        CHECK_EQ(~crc32c_add(crc32c_add(~0u, text, cut), text + cut, sizeof text - cut),
                 whole(text, sizeof text));
}
